#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse mailbox as root: it becomes the user before it looks at anything of his.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Posthouse;

plan skip_all => 'needs root' if $>;
my ($uid, $gid) = (54321, 54321);
my $home = tempdir('posthouse-home-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $home;
mkdir "$home/$_", 0700 for qw(carol root);
chown $uid, $gid, "$home/carol";
Posthouse::write_file("$home/users", "carol:x:$uid:$gid\::$home/carol:\ntoor:x:0:0::$home/root:\n");
my $p = Posthouse->new(main => { unprivileged_mode => 'no', userdb => "passwd-file:$home/users", mail_location => 'mbox:~/mail:INBOX=~/inbox' });

sub owner { return join ':', (stat $_[0])[4, 5] }
my ($status, $text) = $p->tool('posthouse', 'mailbox', 'create', 'carol', 'a');
is $status, 0, 'create' or diag $text;
is owner("$home/carol/mail/a"), "$uid:$gid", 'the mailbox is the user\'s';
is((stat "$home/carol/mail/a")[2] & 07777, 0600, '... and nobody else\'s');
($status, $text) = $p->tool('posthouse', 'mailbox', 'status', 'carol', 'a');
like $text, qr/^a\tmessages=0\t/, 'status';
is owner($_), "$uid:$gid", 'so is what was made beside it' for glob "$home/carol/mail/.imap/a/*";
Posthouse::write_file("$home/secret", "From x Sat Feb  1 10:00:00 2020\nSubject: secret\n\nx\n\n");
chmod 0600, "$home/secret";
symlink "$home/secret", "$home/carol/inbox";
($status, $text) = $p->tool('posthouse', 'mailbox', 'export', 'carol', 'INBOX');
isnt $status, 0, 'a link to what the user may not read';
unlike $text, qr/Subject: secret/, '... is of no use to him';
($status, $text) = $p->tool('posthouse', 'mailbox', 'list', 'toor');
is $status, 77, 'never as root' or diag $text;
is_deeply [glob "$home/root/*"], [], '... nothing is made';
done_testing;
