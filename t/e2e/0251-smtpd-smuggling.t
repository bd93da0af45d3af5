#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Only CR LF . CR LF ends a message (RFC 5321 4.1.1.4): whatever else looks like an end is content, and a client that talks before its
# turn is not served.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { smtpd_error_sleep_time => '0s', smtpd_hard_error_limit => 1000, smtpd_soft_error_limit => 1000 });
$p->start;

my %ends = (
	'LF . LF' => "\n.\n", 'LF . CRLF' => "\n.\r\n", 'CRLF . LF' => "\r\n.\n", 'CR . CR' => "\r.\r", 'CR . LF' => "\r.\n",
	'LF . CR' => "\n.\r", 'CR . CRLF' => "\r.\r\n", 'CRLF . CR' => "\r\n.\r", 'CRLF NUL . CRLF' => "\r\n\0.\r\n",
	'CRLF . CR CRLF' => "\r\n.\r\r\n",
);

for my $policy (qw(normalize reject)) {
	$p->set(smtpd_forbid_bare_newline => $policy);
	$p->reload;
	for my $name (sort keys %ends) {
		my $c = $p->smtp;
		$c->cmd('EHLO client.test', qr/^250/);
		$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
		$c->cmd('RCPT TO:<bob@example.test>', qr/^250/);
		$c->cmd('DATA', qr/^354/);
		my $smuggled = "MAIL FROM:<evil\@client.test>\r\nRCPT TO:<alice\@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";
		$c->send_raw("Subject: outer\r\n\r\ntext$ends{$name}$smuggled\r\n.\r\n");
		my $reply = $c->reply;
		like($reply, $policy eq 'reject' && $ends{$name} =~ /(?<!\r)\n/ ? qr/^550 5\.5\.2 / : qr/^250 /, "$policy: $name: one reply");
		like($c->cmd('NOOP'), qr/^250 2\.0\.0 Ok$/, "$policy: $name: the next command is the client's own");
		$c->cmd('QUIT', qr/^221/);
	}
}
is($p->log_count(qr/: reject: .*evil/) + $p->log_count(qr/from=<evil/), 0, 'nothing was taken for a second message');
$p->wait_until('deliveries', sub { ($p->tool('postqueue', '-p'))[1] =~ /empty/ });
ok(!-s $p->spool('alice'), 'and nothing was delivered to the other user');
unlike(Posthouse::slurp($p->spool('bob')), qr/\r/, 'no CR is left in what was stored');

# A client that may end lines without CR.
$p->set(smtpd_forbid_bare_newline_exclusions => '127.0.0.1', smtpd_forbid_bare_newline_reject_code => 521);
$p->reload;
for my $case ([ '127.0.0.1', qr/^250 2\.0\.0 Ok: queued as/ ], [ '127.0.0.2', qr/^521 5\.5\.2 Error: bare <LF> received$/, "\r\n.\r\n" ]) {
	my ($from, $reply, $end) = @$case;
	my $c = Posthouse::Conn->new(IO::Socket::INET->new(LocalAddr => $from, PeerAddr => $p->address, PeerPort => 2025) || die($!), $p);
	$c->reply(qr/^220/);
	$c->cmd($_, qr/^[23]/) for 'HELO client.test', 'MAIL FROM:<x@client.test>', 'RCPT TO:<bob@example.test>', 'DATA';
	$c->send_raw("Subject: x\n\nx\n.\n" . ($end // ''));
	like($c->reply, $reply, "smtpd_forbid_bare_newline_exclusions: $from");
}

# Talking out of turn.
for my $case (
	[ 'EHLO and more in one segment', "EHLO c\r\nMAIL FROM:<x\@y.test>\r\n" ],
	[ 'HELO, then pipelining', "HELO c\r\nMAIL FROM:<x\@y.test>\r\nRCPT TO:<bob\@example.test>\r\nDATA\r\n" ],
	[ 'DATA and the content at once', "MAIL FROM:<x\@y.test>\r\nRCPT TO:<bob\@example.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n", 1 ],
) {
	my ($name, $bytes, $ehlo) = @$case;
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/) if $ehlo;
	$c->send_raw($bytes);
	my ($last, $line) = ('', '');
	while (defined($line = $c->line)) { $last = $line }
	like($last, qr/^554 5\.5\.0 Error: SMTP protocol synchronization/, "$name: refused and disconnected");
}
ok($p->log_count(qr/improper command pipelining after (?:EHLO|HELO|DATA) from /) >= 3, 'the log says so');

# What may be pipelined is (RFC 2920), the next transaction behind the end of the data included.
{
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/);
	$c->send_raw("MAIL FROM:<x\@y.test>\r\nRCPT TO:<bob\@example.test>\r\nDATA\r\n");
	$c->reply(qr/^250/), $c->reply(qr/^250/), $c->reply(qr/^354/);
	$c->send_raw("Subject: a\r\n\r\nx\r\n.\r\nMAIL FROM:<x\@y.test>\r\nRCPT TO:<bob\@example.test>\r\nRSET\r\nQUIT\r\n");
	like($c->reply, qr/^250 2\.0\.0 Ok: queued as/, 'content');
	like($c->reply, qr/^250 2\.1\.0/, 'MAIL behind it');
	like($c->reply, qr/^250 2\.1\.5/, 'RCPT');
	like($c->reply, qr/^250 2\.0\.0/, 'RSET');
	like($c->reply, qr/^221/, 'QUIT');
}
done_testing;
