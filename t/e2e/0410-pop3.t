#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# POP3 on an mbox: every command of RFC 1939, CAPA, PIPELINING, unique ids that last, bytes that stay what they are.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { auth_failure_delay => '10ms', mail_max_userip_connections => 0 });
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
my $spool = $p->spool('alice');

# The bodies as they are to come out; in the file a line that begins with From_ is quoted.
my @mail = (
	"From: a\@b\nSubject: one\n\nbody\n",
	"From: a\@b\nSubject: dots\n\n.\n..\n.x\n\n.",
	"From: a\@b\nSubject: nul\n\na\0b\n\xff\xfe\nFrom here\n",
	"From: a\@b\nSubject: empty\n\n",
	"From: a\@b\nSubject: big\n\n" . join('', map { "line $_ " . 'x' x 60 . "\n" } 1 .. 40000),
	"From: a\@b\nSubject: long\n\n" . 'y' x 100000 . "\n",
);
my @lines = map { (my $t = $_) =~ s/\n?\z/\n/; [ split /\n/, $t, -1 ] } @mail;
pop @$_ for @lines;

sub mbox {
	my @which = @_;
	return join '', map {
		my $t = $_;
		$t =~ s/^(>*From )/>$1/mg;
		$t =~ s/\n?\z/\n/;
		"From x\@y Thu Jan  1 00:00:00 2026\n$t\n";
	} @which;
}
sub fill { Posthouse::write_file($spool, mbox(@mail)) }
sub size { my $n = 0; $n += length($_) + 2 for @{ $_[0] }; return $n }
sub login { return $p->pop3('alice') }

fill();
$p->start;

my $c = login();
is_deeply [ $c->multi('CAPA') ], [ qw(CAPA TOP UIDL RESP-CODES PIPELINING AUTH-RESP-CODE UTF8 LANG), 'EXPIRE NEVER' ], 'CAPA';
my $total = 0;
$total += size($_) for @lines;
is $c->cmd1('STAT', qr/^\+OK/), '+OK ' . @mail . " $total", 'STAT';
my @list = $c->multi('LIST');
is_deeply \@list, [ map { $_ + 1 . ' ' . size($lines[$_]) } 0 .. $#mail ], 'LIST';
is $c->cmd1('LIST 3', qr/./), "+OK $list[2]", 'LIST 3';
is_deeply [ $c->multi('RETR ' . ($_ + 1)) ], $lines[$_], "RETR " . ($_ + 1) for 0 .. $#mail;
is_deeply [ $c->multi('TOP 5 0') ], [ 'From: a@b', 'Subject: big', '' ], 'TOP 0';
is_deeply [ $c->multi('TOP 5 2') ], [ @{ $lines[4] }[ 0 .. 4 ] ], 'TOP 2';
is_deeply [ $c->multi('top 2 1000') ], $lines[1], 'TOP of more than there is';
my @uidl = $c->multi('UIDL');
is scalar(grep { /^\d+ [!-~]{1,70}$/ } @uidl), scalar(@mail), 'UIDL';
my %different = map { (split ' ')[1], 1 } @uidl;
is scalar(keys %different), scalar(@mail), 'all different';
is $c->cmd1('UIDL 2', qr/./), "+OK $uidl[1]", 'UIDL 2';
$c->cmd1($_, qr/^-ERR /) for 'RETR', 'RETR 0', 'RETR 7', 'RETR x', 'RETR 1 2', 'RETR 99999999999999999999', 'RETR -1', 'TOP 1',
	'TOP 1 x', 'TOP 9 1', 'DELE', 'DELE 7', 'LIST 7', 'UIDL 7', 'XYZ', 'USER alice', 'PASS x', '';
pass 'errors';
$c->cmd1('NOOP', qr/^\+OK/);
$c->cmd1('DELE 1', qr/^\+OK/);
$c->cmd1($_, qr/^-ERR /) for 'DELE 1', 'RETR 1', 'TOP 1 1', 'LIST 1', 'UIDL 1';
is $c->cmd1('STAT', qr/./), '+OK ' . (@mail - 1) . ' ' . ($total - size($lines[0])), 'STAT without the deleted one';
is_deeply [ $c->multi('LIST') ], [ @list[ 1 .. $#list ] ], 'LIST without it';
is_deeply [ $c->multi('UIDL') ], [ @uidl[ 1 .. $#uidl ] ], 'UIDL without it';
$c->cmd1('RSET', qr/^\+OK/);
is $c->cmd1('STAT', qr/./), '+OK ' . @mail . " $total", 'RSET';
$c->cmd1('DELE 2', qr/^\+OK/);
$c->close;    # no QUIT
my $who = qr/dovecot\[\d+\]: pop3\(alice\)<\d+><[^ >]{12}>/;
like $p->wait_log(qr/pop3\(alice\)/),
	qr/$who: Disconnected: Connection closed top=3\/\d+, retr=6\/\d+, del=0\/6, size=$total$/, 'logged';

$c = login();
is $c->cmd1('STAT', qr/./), '+OK ' . @mail . " $total", 'nothing is deleted without QUIT';
is_deeply [ $c->multi('UIDL') ], \@uidl, 'UIDL stays';
$c->cmd1('DELE 2', qr/^\+OK/);
$c->cmd1('DELE 4', qr/^\+OK/);
$c->cmd1('QUIT', qr/^\+OK Logging out, messages deleted/);
ok $c->eof, 'closed';
like $p->wait_log(qr/pop3\(alice\).*Logged out/), qr/Logged out top=0\/0, retr=0\/0, del=2\/6, size=\d+$/, 'logged';
$c = login();
my @left = map { (split ' ')[1] } $c->multi('UIDL');
is_deeply \@left, [ map { (split ' ', $uidl[$_])[1] } 0, 2, 4, 5 ], 'two are gone, the others keep their ids';
is_deeply [ $c->multi('RETR 2') ], $lines[2], 'and their bytes';
$c->cmd1('QUIT', qr/^\+OK Logging out\.$/);

# Mail that comes during a session is for the next one.
$c = login();
$c->cmd1('STAT', qr/^\+OK 4 /);
Posthouse::append_file($spool, mbox("Subject: new\n\nnew\n"));
$c->cmd1('STAT', qr/^\+OK 4 /);
$c->cmd1('DELE 1', qr/^\+OK/);
$c->cmd1('QUIT', qr/^\+OK/);
$c = login();
$c->cmd1('STAT', qr/^\+OK 4 /);
is_deeply [ $c->multi('RETR 4') ], [ 'Subject: new', '', 'new' ], 'new mail survives the deletion of old mail';

# Another session deletes what we look at.
my $d = login();
$d->cmd1('DELE 1', qr/^\+OK/);
$d->cmd1('QUIT', qr/^\+OK/);
my $gone = $c->cmd1('RETR 1', qr/^(?:-ERR|\+OK)/);
if ($gone =~ /^\+OK/) { 1 while $c->line ne '.' }
is_deeply [ $c->multi('RETR 4') ], [ 'Subject: new', '', 'new' ], 'numbers stay when another session deletes';
$c->cmd1('DELE 4', qr/^\+OK/);
$c->cmd1('QUIT', qr/^\+OK/);
$c = login();
$c->cmd1('STAT', qr/^\+OK 2 /);
is_deeply [ map { (split ' ')[1] } $c->multi('UIDL') ], [ map { (split ' ', $uidl[$_])[1] } 4, 5 ], 'and the right ones go';
$c->cmd1('QUIT', qr/^\+OK/);

# Pipelined, login and all, in one packet.
fill();
unlink glob $p->dir . '/home/alice/mail/.imap/INBOX/*';
$c = $p->pop3;
$c->send_raw(join "\r\n", 'USER alice', 'PASS ' . $p->password('alice'), 'STAT', 'NOOP', 'RETR 1', 'DELE 1', 'LIST 9', 'QUIT', '');
$c->expect(qr/^\+OK$/);
$c->expect(qr/^\+OK Logged in/);
$c->expect(qr/^\+OK 6 $total$/);
$c->expect(qr/^\+OK$/);
$c->expect(qr/^\+OK /);
$c->expect(qr/^\Q$_\E$/) for @{ $lines[0] }, '.';
$c->expect(qr/^\+OK/);
$c->expect(qr/^-ERR/);
$c->expect(qr/^\+OK Logging out, messages/);
ok $c->eof, 'pipelining';

# Byte by byte, and lines ended by LF alone.
$c = login();
for my $byte (split //, "STAT\r\nNOOP\nLIST 1\r\n") { $c->send_raw($byte) }
$c->expect(qr/^\+OK/) for 1 .. 3;
$c->send('NOOP ' . 'x' x 5000);
$c->expect(qr/^-ERR Command line too long/);
$c->send_raw("NO\0OP\r\n");
$c->expect(qr/^-ERR/);
$c->send('JUNK') for 1 .. 20;
my @junk;
while (defined(my $l = $c->line)) { push @junk, $l }
cmp_ok scalar(@junk), '<', 25, 'a client that talks nonsense is disconnected';

# An empty maildrop; one that cannot be opened.
$c = $p->pop3('bob');
is $c->cmd1('STAT', qr/./), '+OK 0 0', 'no mailbox yet';
is_deeply [ $c->multi('LIST') ], [], 'LIST of nothing';
is_deeply [ $c->multi('UIDL') ], [], 'UIDL of nothing';
$c->cmd1('QUIT', qr/^\+OK/);
my $bob = $p->spool('bob');
my %not_a_mailbox = (
	directory => [ sub { mkdir $bob }, sub { rmdir $bob } ],
	FIFO => [ sub { system 'mkfifo', $bob }, sub { unlink $bob } ],
	'link to a file of alice' => [ sub { symlink $spool, $bob }, sub { unlink $bob } ],
);
unlink $bob;
for my $what (sort keys %not_a_mailbox) {
	$not_a_mailbox{$what}[0]->();
	$c = $p->pop3;
	$c->cmd1('USER bob', qr/^\+OK/);
	$c->cmd1('PASS ' . $p->password('bob'), qr/^-ERR \[SYS\/TEMP\]/);
	ok $c->eof, "a $what in the place of a mailbox";
	$not_a_mailbox{$what}[1]->();
}

# Dovecot's other form of ids.
$p->set(pop3_uidl_format => '%v.%u', pop3_timeout => '1s');
$p->reload;
$c = $p->wait_until('the new setting', sub { my $n = login(); ($n->multi('UIDL'))[0] =~ /^1 \d+\.\d+$/ && $n });
pass 'pop3_uidl_format';
$c->expect(qr/^-ERR Disconnected for inactivity/);
ok $c->eof, 'pop3_timeout';
$p->set(pop3_timeout => '10m');
$p->reload;

# Stop: a session is told, and deletes nothing.
$c = $p->wait_until('the new setting', sub { login() });
$c->cmd1('DELE 1', qr/^\+OK/);
$p->stop;
my $last = $c->line;
ok !defined $last || $last =~ /^-ERR/, 'stop';
$p->start;
$c = login();
$c->cmd1('STAT', qr/^\+OK 5 /);
$c->cmd1('QUIT', qr/^\+OK/);
is $p->log_count(qr/panic|killed by signal|ERROR: AddressSanitizer/), 0, 'no crash';

# Real clients.
SKIP: {
	skip 'curl is not installed', 2 if system 'curl --version >/dev/null 2>&1';
	my $url = "pop3://$p->{address}:2110";
	my ($status, $text) = Posthouse::run('curl', '-sS', '--max-time', 20, '-u', 'alice:' . $p->password('alice'), "$url/1");
	is $text, join('', map { "$_\r\n" } @{ $lines[1] }), 'curl retrieves';
	($status) = Posthouse::run('curl', '-sS', '--max-time', 20, '-u', 'alice:wrong', "$url/");
	is $status, 67, 'curl is refused with a wrong password';
}
$p->stop;
done_testing;
