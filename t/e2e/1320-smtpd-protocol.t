#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# BDAT, SMTPUTF8, XCLIENT, XFORWARD, the header of a load balancer, LMTP: what they do, and what a hostile client gets.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Posthouse;

my $p = Posthouse->new(relay => '127.0.0.0/8', main => { smtpd_authorized_xclient_hosts => '127.0.0.1', smtpd_error_sleep_time => 0,
	message_size_limit => 100000, smtpd_authorized_xforward_hosts => '127.0.0.1', smtpd_hard_error_limit => 1000,
	mydestination => '$myhostname, $mydomain, localhost, xn--bcher-kva.test', smtpd_junk_command_limit => 1000000 }, services => <<'END');
3001 inet n - - - - smtpd -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_timeout=1s
3002 inet n - - - - smtpd -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_hosts=192.0.2.1
3003 inet n - - - - smtpd -L
private-lmtp unix-stream n - - - - smtpd -L
END
$p->start;

sub begin {
	my ($c) = @_;
	$c->cmd('EHLO c.test', qr/^250-CHUNKING|^250 CHUNKING/m);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
}

subtest 'BDAT' => sub {
	my $c = $p->smtp;
	begin($c);
	my $text = "Subject: chunks\r\n\r\n.dots\r\n.\r\nend\r\n";
	my ($one, $two) = (substr($text, 0, 17), substr($text, 17)); # between CR and LF
	$c->send_raw('BDAT ' . length($one) . "\r\n$one");
	is $c->reply, '250 2.0.0 Ok: 17 bytes', 'a chunk';
	$c->send_raw('BDAT ' . length($two) . " LAST\r\n$two");
	like $c->reply, qr/^250 2\.0\.0 Ok: 34 bytes queued as \S+$/, 'the last one';
	$p->wait_log(qr/to=<alice\@example\.test>.*status=sent/);
	like Posthouse::slurp($p->spool('alice')), qr/Subject: chunks\n\n\.dots\n\.\nend\n/, 'byte for byte';

	begin($c);
	$c->send_raw("BDAT 5\r\nab: cBDAT 2\r\n\r\nBDAT 0 LAST\r\n");
	$c->reply(qr/^250/) for 1 .. 2;
	like $c->reply, qr/^250 .*queued as/, 'pipelined, the last one empty';

	begin($c);
	$c->send_raw("BDAT 200000 LAST\r\n" . 'x' x 200000);
	is $c->reply, '552 5.3.4 Error: message file too big', 'too big: read to its end';
	is $c->cmd('DATA'), '503 5.5.1 Error: need RCPT command', 'and then nothing is left of the transaction';

	begin($c);
	$c->send_raw("BDAT 3\r\na: ");
	$c->reply(qr/^250/);
	is $c->cmd('DATA'), '503 5.5.1 Error: DATA after BDAT', 'no DATA in between';
	is $c->cmd('RCPT TO:<bob@example.test>'), '503 5.5.1 Error: RCPT after BDAT', 'no RCPT either';
	$c->cmd('RSET', qr/^250/);
	$c->send_raw("BDAT 4\r\nQUIT");
	is $c->reply, '503 5.5.1 Error: need RCPT command', 'without a transaction the chunk is no command';
	$c->cmd('RSET', qr/^250/);

	begin($c);
	$c->send_raw("BDAT 10 LAST\r\na: b\r\n\r\nc\r" . "BDAT 10 LAST\r\n0123456789");
	like $c->reply, qr/^250/, 'a last chunk';
	like $c->reply, qr/^503/, 'and another one';
	begin($p->smtp);
	for my $bad ('BDAT', 'BDAT -1', 'BDAT 18446744073709551615', 'BDAT 99999999999999999999', 'BDAT 1 FIRST', 'BDAT 0x10') {
		my $d = $p->smtp;
		begin($d);
		is $d->cmd($bad), '521 5.5.4 Syntax: BDAT count [LAST]', $bad;
		ok $d->eof, 'and the end of the connection';
	}
	my $d = $p->smtp;
	begin($d);
	$d->send_raw("BDAT 1\r\nx" x 20000);
	$d->reply(qr/^250/) for 1 .. 20000;
	like $d->cmd('BDAT 0 LAST'), qr/^250/, 'very many tiny chunks';
	begin($d);
	$d->send_raw("BDAT 9000000000\r\n");
	like $d->reply, qr/^521 5\.3\.4 /, 'a size that nobody reads';
	ok $d->eof, 'ends the connection';
	begin($d = $p->smtp);
	$d->send_raw("BDAT 100\r\nhalf");
	$d->close;
	like $p->wait_log(qr/lost connection after BDAT/), qr/\(4 bytes\)/, 'a client that leaves within a chunk';
	is((grep { /^posthouse|\.tmp/ } map { (split m{/})[-1] } glob($p->dir . '/queue/tmp/*')), 0, 'leaves nothing behind');
};

subtest 'SMTPUTF8' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250-SMTPUTF8/m);
	$c->cmd("MAIL FROM:<j\xc3\xb6rg\@client.test>", qr/^5\d\d/);
	$c->cmd("MAIL FROM:<j\xc3\xb6rg\@client.test> SMTPUTF8", qr/^250/);
	is $c->cmd("RCPT TO:<alice\@b\xc3\xbccher.test>"), '250 2.1.5 Ok', 'a domain past ASCII is its A-label';
	is $c->cmd("RCPT TO:<alice\@b\xc3\x9cCHER.test>"), '250 2.1.5 Ok', 'in any case';
	like $c->cmd("RCPT TO:<alice\@b\xc3cher.test>"), qr/^5\d\d /, 'broken UTF-8';
	$c->cmd('DATA', qr/^354/);
	like $c->cmd("Subject: \xc3\xbc\r\n\r\n."), qr/^250/, 'accepted';
	like $p->wait_log(qr/to=<alice\@xn--bcher-kva\.test>/), qr/status=sent/, 'and delivered';
	like Posthouse::slurp($p->spool('alice')), qr/with UTF8SMTP id/, 'the trace says how it came';
};

subtest 'XCLIENT' => sub {
	my $d = $p->smtp;
	my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.2', PeerAddr => $p->address, PeerPort => 2025) or die;
	my $stranger = Posthouse::Conn->new($sock, $p);
	$stranger->reply(qr/^220/);
	unlike $stranger->cmd('EHLO c.test', qr/^250/), qr/XCLIENT/, 'not offered to everybody';
	is $stranger->cmd('XCLIENT ADDR=192.0.2.1'), '550 5.7.0 Error: insufficient authorization', 'nor allowed';
	my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', PeerAddr => $p->address, PeerPort => 2025) or die;
	my $c = Posthouse::Conn->new($l, $p);
	$c->reply(qr/^220/);
	$c->cmd('EHLO c.test', qr/^250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT$/m);
	like $c->cmd('XCLIENT FOO=1'), qr/^501 5\.5\.4 Bad XCLIENT attribute/, 'an unknown attribute';
	like $c->cmd('XCLIENT ADDR=999.1.1.1'), qr/^501/, 'no address';
	like $c->cmd('XCLIENT NAME=a+0Ab'), qr/^501/, 'a line end inside';
	like $c->cmd('XCLIENT ADDR=192.0.2.7 NAME=mail.far.test HELO=far.test PROTO=ESMTP'), qr/^220 /, 'a greeting, as at first';
	$c->cmd('EHLO far.test', qr/^250/);
	$c->cmd('MAIL FROM:<x@far.test>', qr/^250/);
	is $c->cmd('RCPT TO:<a@else.test>'), '454 4.7.1 <a@else.test>: Relay access denied', 'no longer one of ours';
	$p->wait_log(qr/reject: RCPT from mail\.far\.test\[192\.0\.2\.7\]: 454/);
	is $c->cmd('XCLIENT ADDR=127.0.0.1'), '503 5.5.1 Error: MAIL transaction in progress', 'not within a transaction';
	$c->cmd('RSET', qr/^250/);
	like $c->cmd('XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]'), qr/^220/, 'unavailable';
};

subtest 'XFORWARD' => sub {
	my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', PeerAddr => $p->address, PeerPort => 2025) or die;
	my $c = Posthouse::Conn->new($l, $p);
	$c->reply(qr/^220/);
	$c->cmd('EHLO c.test', qr/^250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT$/m);
	is $c->cmd('XFORWARD NAME=first.test ADDR=192.0.2.9 IDENT=ABC SOURCE=REMOTE'), '250 2.0.0 Ok', 'accepted';
	like $c->cmd('XFORWARD WHAT=1'), qr/^501/, 'an unknown attribute';
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("\r\n.", qr/^250/);
	like $p->wait_log(qr/client=.*orig_client/), qr/, orig_queue_id=ABC, orig_client=first\.test\[192\.0\.2\.9\]$/, 'in the log';
};

sub raw { my ($port, $bytes) = @_; my $c = $p->connect($port); $c->send_raw($bytes); return $c }
sub v2 { my ($cmd, $fam, $data) = @_; return "\r\n\r\n\0\r\nQUIT\n" . pack('CCn/a*', 0x20 | $cmd, $fam, $data) }

subtest 'PROXY' => sub {
	my $c = raw(3001, "PROXY TCP4 192.0.2.5 192.0.2.6 1234 25\r\n");
	$c->reply(qr/^220/);
	$p->wait_log(qr/connect from unknown\[192\.0\.2\.5\]/);
	pass 'version 1';
	raw(3001, "PROXY TCP6 2001:db8::5 2001:db8::6 1234 25\r\n")->reply(qr/^220/);
	$p->wait_log(qr/connect from unknown\[2001:db8::5\]/);
	pass 'with IPv6';
	raw(3001, v2(1, 0x11, pack('C4C4nn', 192, 0, 2, 8, 192, 0, 2, 9, 99, 25) . 'extension'))->reply(qr/^220/);
	$p->wait_log(qr/connect from unknown\[192\.0\.2\.8\]/);
	pass 'version 2';
	raw(3001, v2(0, 0, ''))->reply(qr/^220/);
	$p->wait_log(qr/connect from \S+\[127/);
	pass 'a health check';
	for my $bad ("EHLO x\r\n", "PROXY TCP4 1.2.3.4\r\n", "PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
		     'PROXY ' . 'x' x 200, v2(1, 0x11, 'x'), v2(7, 0x11, 'x' x 12), "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" . 'x' x 100, "\r\nQUIT\r\n") {
		ok raw(3001, $bad)->eof, 'refused: ' . substr($bad, 0, 40) =~ s/[^ -~]/./gr;
	}
	ok raw(3001, 'PROX')->eof, 'a header that does not come';
	ok raw(3002, "PROXY TCP4 192.0.2.5 192.0.2.6 1234 25\r\n")->eof, 'from a host that is not listed';
	$p->wait_log(qr/warning: haproxy header from 127\S+: not a host of smtpd_upstream_proxy_hosts/, from => 0);
};

subtest 'LMTP' => sub {
	for my $c ($p->connect(3003), Posthouse::Conn->new(IO::Socket::UNIX->new(Peer => $p->dir . '/queue/public/private-lmtp') || die("$!"), $p)) {
		$c->reply(qr/^220/);
		like $c->cmd('EHLO x'), qr/^500 5\.5\.1/, 'no EHLO';
		$c->cmd('LHLO x', qr/^250/);
		$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
		is $c->cmd('DATA'), '503 5.5.1 Error: need RCPT command', 'no recipients';
		$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
		$c->cmd('RCPT TO:<bob@example.test>', qr/^250/);
		$c->cmd('DATA', qr/^354/);
		$c->send("a: b\r\n\r\nc\r\n.");
		like $c->reply, qr/^250 2\.0\.0 Ok: queued as/, "recipient $_" for 1, 2;
		$c->cmd('QUIT', qr/^221/);
	}
	like $p->smtp->cmd('LHLO x'), qr/^500 /, 'no LHLO elsewhere';
};

subtest 'ETRN' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250-ETRN$/m);
	is $c->cmd('ETRN else.test'), '459 <else.test>: service unavailable', 'not a domain of ours';
	$p->set(relay_domains => 'customer.test');
	$p->reload;
	$c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250/);
	is $c->cmd('ETRN customer.test'), '250 Queuing started', 'a customer';
};
$p->stop;
done_testing;
