#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# POP3 on a Maildir, with a user's own mail location out of the passwd-file.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { mail_location => 'maildir:~/Maildir' });
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
my $dir = $p->dir . '/home/alice/Maildir';
mkdir $_ for $dir, "$dir/new", "$dir/cur", "$dir/tmp";
my @mail = map { "From: a\@b\nSubject: m$_\n\n.\nbody $_\n" . "x\n" x ($_ * 10) } 1 .. 5;
my @lines = map { [ split /\n/ ] } @mail;
my @sizes = map { my $n = 0; $n += length($_) + 2 for @$_; $n } @lines;

# Oldest first; the last one was seen already.
Posthouse::write_file("$dir/new/178000000$_.M1P1.host", $mail[ $_ - 1 ]) for 1 .. 4;
Posthouse::write_file("$dir/cur/1780000005.M1P1.host:2,S", $mail[4]);
$p->start;

my $c = $p->pop3('alice');
my %subject;    # Maildir has no order of its own: whatever it is, it stays
my @list = $c->multi('LIST');
is_deeply [ sort map { (split ' ')[1] } @list ], [ sort @sizes ], 'LIST';
for my $n (1 .. 5) {
	my @got = $c->multi("RETR $n");
	my ($which) = $got[1] =~ /Subject: m(\d)/;
	is_deeply \@got, $lines[ $which - 1 ], "RETR $n";
	$subject{$n} = $which;
}
my @uidl = map { (split ' ')[1] } $c->multi('UIDL');
$c->cmd1('DELE 2', qr/^\+OK/);
$c->cmd1('DELE 5', qr/^\+OK/);
$c->cmd1('QUIT', qr/^\+OK Logging out, messages deleted/);
my @files = glob "$dir/{new,cur}/*";
is scalar(@files), 3, 'two files are gone';
is scalar(grep { /:2,[A-Z]*S/ } @files), 3, 'what was retrieved is marked as seen';
$c = $p->pop3('alice');
is_deeply [ map { (split ' ')[1] } $c->multi('UIDL') ], [ @uidl[ 0, 2, 3 ] ], 'the others keep their ids';
Posthouse::write_file("$dir/tmp/x", "Subject: late\n\n");
rename "$dir/tmp/x", "$dir/new/1780000009.M1P1.host" or die $!;
$c->cmd1('STAT', qr/^\+OK 3 /);
$c->cmd1('QUIT', qr/^\+OK/);
$c = $p->pop3('alice');
$c->cmd1('STAT', qr/^\+OK 4 /);
is + ($c->multi('RETR 4'))[0], 'Subject: late', 'new mail comes last';
$c->cmd1('QUIT', qr/^\+OK/);
$p->stop;
done_testing;
