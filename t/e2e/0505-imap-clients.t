#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Real clients: mbsync two-way, curl, fetchmail, getmail.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Posthouse;

# The client, or a skipped test on a user's machine.
sub client {
	my ($name) = @_;
	return 1 if grep { -x "$_/$name" } split /:/, $ENV{PATH};
	die "$name is not installed\n" if $ENV{CI};
	return 0;
}

my $p = Posthouse->new(master => <<'END', main => { mail_location => 'maildir:~/Maildir' });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;
my ($ip, $port, $password) = ($p->address, $p->port('imap'), $p->password('alice'));
my $home = $ENV{HOME} = tempdir(CLEANUP => 1);
sub message { "From: <a\@x.test>\r\nSubject: s$_[0]\r\nMessage-ID: <s$_[0]\@x.test>\r\n\r\nbody $_[0]\r\n" . 'z' x ($_[0] * 97) . "\r\n" }
sub append { my ($c, $box, $n) = @_; my $m = message($n); $c->imap("APPEND $box {" . length($m) . "+}\r\n$m") }

my $c = $p->imap('alice');
$c->imap("CREATE $_") for 'work', 'work/deep', '"with space"';
append($c, 'INBOX', $_) for 1 .. 9;
append($c, 'work/deep', $_) for 10 .. 14;
$c->imap('SELECT INBOX');
$c->imap('STORE 2,3 +FLAGS.SILENT (\Seen \Flagged)');

SKIP: {
	skip 'no mbsync', 5 unless client('mbsync');
	Posthouse::write_file("$home/mbsyncrc", <<END);
IMAPStore far
Host $ip
Port $port
User alice
Pass $password
SSLType None
AuthMechs LOGIN

MaildirStore near
Path $home/mail/
Inbox $home/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
END
	mkdir "$home/mail";
	my $sync = sub { my ($status, $text) = Posthouse::run('mbsync', '-q', '-c', "$home/mbsyncrc", 'all'); $status && diag $text; return $status };
	my $local = sub { my ($box) = @_; return sort map { s{.*/}{}r } glob("$home/mail/$box/cur/* $home/mail/$box/new/*") };
	is $sync->(), 0, 'mbsync: first run';
	is scalar(my @l = $local->('INBOX')), 9, 'mbsync: INBOX';
	is scalar(my @d = $local->('work/deep')), 5, 'mbsync: a folder below a folder';
	my ($seen) = grep { /FS$/ } @l;
	unlink "$home/mail/INBOX/cur/$seen";
	Posthouse::write_file("$home/mail/work/deep/new/1.local", message(20) =~ s/\r\n/\n/gr);
	$c->imap('SELECT INBOX');
	$c->imap('STORE 1 +FLAGS.SILENT (\Deleted)');
	$c->imap('EXPUNGE');
	is $sync->(), 0, 'mbsync: second run';
	is_deeply [ scalar(@l = $local->('INBOX')), map { /MESSAGES (\d+)/ } map { $c->imap("STATUS $_ (MESSAGES)") } 'INBOX', 'work/deep' ],
		[ 7, 7, 6 ], 'mbsync: both sides have changed alike';
}

SKIP: {
	skip 'no curl', 3 unless client('curl');
	my @curl = ('curl', '-sS', '-u', "alice:$password");
	append($c, '"with space"', 30);
	my ($status, $text) = Posthouse::run(@curl, "imap://$ip:$port/with%20space;MAILINDEX=1");
	is $text, message(30), 'curl: FETCH, byte for byte';
	Posthouse::write_file("$home/up.eml", message(31));
	is + (Posthouse::run(@curl, "imap://$ip:$port/work", '-T', "$home/up.eml"))[0], 0, 'curl: APPEND';
	like + (Posthouse::run(@curl, "imap://$ip:$port/work?SUBJECT%20s31"))[1], qr/\* SEARCH 1\b/, 'curl: SEARCH';
}

SKIP: {
	skip 'no fetchmail', 3 unless client('fetchmail');
	my ($left) = map { /MESSAGES (\d+)/ } $c->imap('STATUS INBOX (MESSAGES)');
	Posthouse::write_file("$home/fetchmailrc", "poll $ip "
		. "protocol imap port $port username alice password \"$password\" fetchall no keep sslproto '' mda \"cat >>$home/got\"\n");
	chmod 0600, "$home/fetchmailrc";
	my ($status, $text) = Posthouse::run('fetchmail', '-f', "$home/fetchmailrc", '--nosyslog', '--pidfile', "$home/pid", '--idfile', "$home/ids");
	is $status, 0, 'fetchmail' or diag $text;
	is scalar(() = Posthouse::slurp("$home/got") =~ /^Subject: s/mg), $left, 'fetchmail: all of them';
	like + ($c->imap('STATUS INBOX (MESSAGES)'))[0], qr/MESSAGES 0/, 'fetchmail: and expunged';
}
$c->imap('LOGOUT');
is $p->log_count(qr/panic|signal|fatal|error/), 0, 'nothing died';
done_testing;
