#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What old mail programs say: Outlook Express, Outlook, Foxmail, a script. And unique ids that outlast everything but the message.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { auth_failure_delay => '10ms' });
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
my $password = $p->password('alice');
my $spool = $p->spool('alice');
Posthouse::write_file($spool, join '', map { "From x\@y Thu Jan  1 00:00:00 2026\nSubject: m$_\n\nbody $_\n\n" } 1 .. 4);
$p->start;

# [ sent, pattern of the first line, 'm' when lines up to a dot follow ]
my %dialogue = (
	'Outlook Express' => [
		[ 'USER alice', qr/^\+OK/ ], [ "PASS $password", qr/^\+OK/ ], [ 'STAT', qr/^\+OK 4 \d+$/ ], [ 'UIDL', qr/^\+OK/, 'm' ],
		[ 'LIST', qr/^\+OK/, 'm' ], [ 'RETR 1', qr/^\+OK/, 'm' ], [ 'RETR 2', qr/^\+OK/, 'm' ], [ 'QUIT', qr/^\+OK/ ],
	],
	'Outlook Express with secure password authentication' => [
		[ 'AUTH', qr/^\+OK/, 'm' ], [ 'AUTH NTLM', qr/^-ERR/ ], [ 'QUIT', qr/^\+OK/ ],
	],
	'Outlook' => [
		[ 'CAPA', qr/^\+OK/, 'm' ], [ 'AUTH LOGIN', qr/^\+ VXNlcm5hbWU6$/ ], [ encode_base64('alice', ''), qr/^\+ UGFzc3dvcmQ6$/ ],
		[ encode_base64($password, ''), qr/^\+OK/ ], [ 'CAPA', qr/^\+OK/, 'm' ], [ 'UIDL', qr/^\+OK/, 'm' ], [ 'TOP 1 0', qr/^\+OK/, 'm' ],
		[ 'RETR 1', qr/^\+OK/, 'm' ], [ 'QUIT', qr/^\+OK/ ],
	],
	'Foxmail' => [
		[ 'CAPA', qr/^\+OK/, 'm' ], [ 'USER alice', qr/^\+OK/ ], [ "PASS $password", qr/^\+OK/ ], [ 'STAT', qr/^\+OK 4 / ],
		[ 'UIDL', qr/^\+OK/, 'm' ], [ 'LIST', qr/^\+OK/, 'm' ], [ 'TOP 4 10', qr/^\+OK/, 'm' ], [ 'NOOP', qr/^\+OK/ ], [ 'QUIT', qr/^\+OK/ ],
	],
	'a client that tries APOP first' => [
		[ 'APOP alice c4c9334bac560ecc979e58001b3e22fb', qr/^-ERR/ ], [ 'user alice', qr/^\+OK/ ], [ "pass $password", qr/^\+OK/ ],
		[ 'last', qr/^-ERR/ ], [ 'stat', qr/^\+OK/ ], [ 'list 1', qr/^\+OK 1 \d+$/ ], [ 'uidl 1', qr/^\+OK 1 \S+$/ ],
		[ 'retr 1', qr/^\+OK \d+/, 'm' ], [ 'quit', qr/^\+OK/ ],
	],
	'the second try' => [
		[ 'USER alice', qr/^\+OK/ ], [ 'PASS wrong', qr/^-ERR \[AUTH\]/ ], [ "PASS $password", qr/^-ERR/ ], [ 'USER alice', qr/^\+OK/ ],
		[ "PASS $password", qr/^\+OK/ ], [ 'QUIT', qr/^\+OK/ ],
	],
);
for my $who (sort keys %dialogue) {
	my $c = $p->pop3;
	for my $step (@{ $dialogue{$who} }) {
		my ($line, $re, $many) = @$step;
		$many ? $c->multi($line, $re) : $c->cmd1($line, $re);
	}
	ok $c->eof, $who;
}

sub uidl {
	my $c = $p->pop3('alice');
	my @ids = map { (split ' ')[1] } $c->multi('UIDL');
	$c->cmd1('QUIT', qr/^\+OK/);
	return \@ids;
}

my $ids = uidl();
is scalar(@$ids), 4, 'four ids';
$p->stop;
$p->start;
is_deeply uidl(), $ids, 'the same after a restart';
$p->stop;
system 'rm', '-rf', glob($p->dir . '/home/alice/mail/.imap'), glob($p->dir . '/home/alice/mail/dovecot*');
$p->start;
is_deeply uidl(), $ids, 'the same without the index';
Posthouse::append_file($spool, "From x\@y Thu Jan  1 00:00:00 2026\nSubject: m5\n\nbody 5\n\n");
is_deeply [ @{ uidl() }[ 0 .. 3 ] ], $ids, 'the same when mail arrives';
my $copy = Posthouse::slurp($spool);
unlink $spool;
Posthouse::write_file($spool, $copy);
is_deeply [ @{ uidl() }[ 0 .. 3 ] ], $ids, 'the same in a copy of the file';
$p->stop;
done_testing;
