#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The SMTP server's replies, as Postfix words them: who may send where, in which order, with which syntax.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(relay => '127.0.0.0/30', main => {
	smtpd_relay_restrictions => 'permit_mynetworks, reject_unauth_destination',
	virtual_alias_maps => 'inline:{ sales@virtual.test=alice@example.test, loop@virtual.test=loop@virtual.test,'
		. ' both@virtual.test=alice@example.test }',
	virtual_alias_domains => 'virtual.test',
	relay_domains => 'relay.test',
});
$p->start;

# [ command, reply ]: one connection from a client outside mynetworks.
my @dialogue = (
	[ 'MAIL', qr/^501 5\.5\.4 Syntax: MAIL FROM:<address>$/ ],
	[ 'RCPT TO:<alice@example.test>', qr/^503 5\.5\.1 Error: need MAIL command$/ ],
	[ 'DATA', qr/^503 5\.5\.1 Error: need RCPT command$/ ],
	[ 'EHLO', qr/^501 Syntax: EHLO hostname$/ ],
	[ 'EHLO client.test', qr/^250-mail\.example\.test\n250-PIPELINING\n250-SIZE 10240000\n250-VRFY\n250-ETRN\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250-DSN\n250-SMTPUTF8\n250-LIMITS RCPTMAX=1000\n250 CHUNKING$/ ],
	[ 'BOGUS', qr/^500 5\.5\.2 Error: command not recognized$/ ],
	[ 'STARTTLS', qr/^502 5\.5\.1 / ],
	[ 'AUTH PLAIN', qr/^50[23] 5\.5\.1 / ],
	[ 'MAIL FROM:<x@client.test', qr/^501 5\.1\.7 Bad sender address syntax$/ ],
	[ 'MAIL FROM:<x@client.test> SIZE=99999999', qr/^552 5\.3\.4 Message size exceeds fixed limit$/ ],
	[ 'MAIL FROM:<x@client.test> FOO=1', qr/^555 5\.5\.4 Unsupported option: FOO=1$/ ],
	[ 'MAIL FROM:<x@client.test> BODY=8BITMIME RET=HDRS ENVID=abc', qr/^250 2\.1\.0 Ok$/ ],
	[ 'MAIL FROM:<y@client.test>', qr/^503 5\.5\.1 Error: nested MAIL command$/ ],
	[ 'RCPT TO:<>', qr/^501 5\.1\.3 Bad recipient address syntax$/ ],
	[ 'RCPT TO:<nobody-here@example.test>', qr/^550 5\.1\.1 <nobody-here\@example\.test>: Recipient address rejected: User unknown in local recipient table$/ ],
	[ 'RCPT TO:<nobody@virtual.test>', qr/^550 5\.1\.1 <nobody\@virtual\.test>: Recipient address rejected: User unknown in virtual alias table$/ ],
	[ 'RCPT TO:<who@elsewhere.test>', qr/^554 5\.7\.1 <who\@elsewhere\.test>: Relay access denied$/ ],
	[ 'RCPT TO:<who%elsewhere.test@example.test>', qr/^554 5\.7\.1 <who%elsewhere\.test\@example\.test>: Relay access denied$/ ],
	[ 'RCPT TO:<example.test!who@elsewhere.test>', qr/^554 5\.7\.1 / ],
	[ 'RCPT TO:<@example.test:who@elsewhere.test>', qr/^554 5\.7\.1 <who\@elsewhere\.test>: Relay access denied$/ ],
	[ 'RCPT TO:<"who@elsewhere.test"@example.test>', qr/^554 5\.7\.1 / ],
	[ 'RCPT TO:<who@relay.test>', qr/^250 2\.1\.5 Ok$/ ],
	[ 'RCPT TO:<who@sub.relay.test>', qr/^250 2\.1\.5 Ok$/ ],
	[ 'RCPT TO:<alice@example.test> NOTIFY=NEVER,DELAY', qr/^501 5\.5\.4 / ],
	[ 'RCPT TO:<alice@example.test> NOTIFY=FAILURE ORCPT=rfc822;al@x', qr/^250 2\.1\.5 Ok$/ ],
	[ 'RSET', qr/^250 2\.0\.0 Ok$/ ],
	[ 'DATA', qr/^503 5\.5\.1 Error: need RCPT command$/ ],
	[ 'VRFY alice', qr/^252 2\.0\.0 alice$/ ],
	[ 'VRFY nobody-here', qr/^252 2\.0\.0 nobody-here$/ ],
	[ 'EXPN all', qr/^502 / ],
	[ 'HELP', qr/^214 2\.0\.0 / ],
	[ 'NOOP', qr/^250 2\.0\.0 Ok$/ ],
	[ 'QUIT', qr/^221 2\.0\.0 Bye$/ ],
);
{
	$p->set(smtpd_hard_error_limit => 100, smtpd_error_sleep_time => '0s', mynetworks => '127.0.0.0/32');
	$p->reload;
	my $c = $p->smtp;
	for (@dialogue) {
		my ($command, $reply) = @$_;
		my $got = $c->cmd($command);
		like($got, $reply, $command);
	}
	ok($c->eof, 'the connection is closed after QUIT');
	like($p->wait_log(qr/reject: RCPT.*elsewhere/, from => 0),
		qr/: \w+: reject: RCPT from \S+\[127\.\d+\.\d+\.\d+\]: 554 5\.7\.1 <who\@elsewhere\.test>: Relay access denied; from=<x\@client\.test> to=<who\@elsewhere\.test> proto=ESMTP helo=<client\.test>$/, 'the refusal is logged as Postfix does');
	like($p->wait_log(qr/disconnect from/), qr/ehlo=1\/2 .*mail=1\/6.*rset=1.*quit=1 /, 'so is the end');
}

# No Message-ID, no helo, one recipient: the trace fields.
{
	my $c = $p->smtp;
	$c->cmd('MAIL FROM:<>', qr/^250/);
	$c->cmd('RCPT TO:<sales@virtual.test>', qr/^250/);
	$c->cmd('RCPT TO:<both@virtual.test>', qr/^250/);
	$c->cmd('DATA', qr/^354 End data with <CR><LF>\.<CR><LF>$/);
	my ($id) = $c->cmd("Subject: aliased\r\n\r\nHello.\r\n.", qr/^250 2\.0\.0 Ok: queued as \w+$/) =~ /as (\S+)/;
	$p->wait_log(qr/$id: removed/);
	my $text = Posthouse::slurp($p->spool('alice'));
	like($text, qr/^Received: from  ?\(\S+ \[127\.\S+\]\)\n\tby mail\.example\.test \(Posthouse\) with SMTP id \Q$id\E; \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)$/m, 'Received field');
	is(() = $text =~ /^Subject: aliased$/mg, 1, 'two aliases of one user: one copy');
	like($text, qr/^Return-Path: <>$/m, 'null reverse-path');
}

# Who is in mynetworks may relay; VRFY tells him.
{
	$p->set(mynetworks => '127.0.0.0/8');
	$p->reload;
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/);
	like($c->cmd('VRFY nobody-here'), qr/^550 5\.1\.1 /, 'VRFY of an unknown user');
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	like($c->cmd('RCPT TO:<who@elsewhere.test>'), qr/^250 2\.1\.5 Ok$/, 'a client in mynetworks may relay');
	like($c->cmd('RCPT TO:<loop@virtual.test>'), qr/^(?:250|451)/, 'an alias of itself');
}

# A restriction that nobody knows: deferred, never let through.
{
	$p->set(smtpd_relay_restrictions => 'permit_my_network, reject_unauth_destination');
	$p->reload;
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	like($c->cmd('RCPT TO:<alice@example.test>'), qr/^451 4\.3\.5 Server configuration error$/, 'an unknown restriction');
	ok($p->wait_log(qr/error: smtpd_relay_restrictions: unknown or incomplete restriction "permit_my_network"/, from => 0), 'and the log says so');
}
done_testing;
