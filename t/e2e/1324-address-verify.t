#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# reject_unverified_recipient and reject_unverified_sender: probes, their cache, the replies; nothing is delivered, nothing bounces.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;

my $far = Posthouse->new(relay => '127.0.0.0/8', main => { myhostname => 'mx.far.test', mydestination => 'far.test', smtpd_error_sleep_time => 0 })->start;
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die; # connects, and says nothing
my $dead = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my ($site, $port) = ($far->address, $far->port('smtp'));
my $p = Posthouse->new(relay => '127.0.0.0/8', main => { smtpd_error_sleep_time => 0, smtpd_hard_error_limit => 1000, smtpd_client_connection_count_limit => 0,
	relayhost => "[$site]:$port", local_recipient_maps => '', mailbox_sync_interval => '0', address_verify_poll_delay => '10s',
	virtual_alias_maps => "inline:{ { sales\@example.test = alice\@far.test }, { gone\@example.test = nobody\@far.test }, { both\@example.test = alice\@far.test bob\@example.test } }",
	transport_maps => 'inline:{ { mute.test = smtp:[127.0.0.1]:' . $mute->sockport . " }, { dead.test = smtp:[127.0.0.1]:$dead }, { no.test = error:5.7.1 not there }, { later.test = retry:4.2.1 not now }, { void.test = discard: }, { program.test = program: }, { elsewhere.test = error:5.9.9 real mail only } }",
	address_verify_transport_maps => "inline:{ { elsewhere.test = smtp:[$site]:$port } }" . ' $transport_maps',
	}, services => <<'END')->start;
3001 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient
3002 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient -o unverified_recipient_reject_code=550
3003 inet n - - - - smtpd -o smtpd_sender_restrictions=reject_unverified_sender
3004 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient -o address_verify_poll_count=1
3005 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient -o { unverified_recipient_reject_reason = go away } -o unverified_recipient_reject_code=554
3006 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient -o unverified_recipient_reject_code=250
3007 inet n - - - - smtpd -o smtpd_recipient_restrictions=reject_unverified_recipient -o address_verify_negative_refresh_time=1s
program unix - n n - - pipe flags= user=nobody argv=/bin/false
END

sub begin { my ($port, $from) = @_; my $c = $p->connect($port); $c->reply(qr/^220/); $c->cmd('EHLO c.test', qr/^250/); return $c }
sub rcpt {
	my ($port, $to) = @_;
	my $c = begin($port);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	my $said = $c->cmd("RCPT TO:<$to>");
	$c->cmd('QUIT', qr/^221/);
	return $said;
}
sub probes { $p->log_count(qr/qmgr\[\d+\]: \w+: from=<double-bounce\@\S+>, size=\d+, nrcpt=\d+ \(queue active\)/) }
my $no = "host $site\[$site\] said: 550 5.1.1 <nobody\@far.test>: Recipient address rejected: User unknown in local recipient table (in reply to RCPT TO command)";

subtest 'a recipient elsewhere' => sub {
	is rcpt(3001, 'alice@far.test'), '250 2.1.5 Ok', 'there';
	like $p->wait_log(qr/to=<alice\@far\.test>/), qr/relay=\S+, delay=\S+, delays=\S+, dsn=2\.1\.5, status=deliverable \(250 2\.1\.5 Ok\)$/, 'as the log says';
	is rcpt(3001, 'nobody@far.test'), "450 4.1.1 <nobody\@far.test>: Recipient address rejected: unverified address: " . substr($no, 0, 250), 'not there';
	like $p->wait_log(qr/to=<nobody\@far\.test>/), qr/dsn=5\.1\.1, status=undeliverable \(host /, 'as the log says';
	my $n = probes();
	is rcpt(3002, 'nobody@far.test'), "550 5.1.1 <nobody\@far.test>: Recipient address rejected: undeliverable address: $no", 'for good';
	is rcpt(3005, 'nobody@far.test'), '554 5.1.1 <nobody@far.test>: Recipient address rejected: undeliverable address: go away', 'in other words';
	is rcpt(3006, 'nobody@far.test'), '250 2.1.5 Ok', 'not at all';
	is rcpt(3002, 'alice@far.test'), '250 2.1.5 Ok', 'still there';
	is probes(), $n, 'all of it from the cache';
};

subtest 'aliases, other transports' => sub {
	is rcpt(3002, 'sales@example.test'), '250 2.1.5 Ok', 'an alias';
	like rcpt(3002, 'gone@example.test'), qr/^550 5\.1\.1 <gone\@example\.test>: Recipient address rejected: undeliverable address: host .*nobody/, 'an alias for nobody';
	is rcpt(3002, 'both@example.test'), '250 2.1.5 Ok', 'an alias for two';
	is rcpt(3002, 'alice@example.test'), '250 2.1.5 Ok', 'a user here';
	$p->wait_log(qr/local\[\d+\]: \w+: to=<alice\@example\.test>, relay=local, .*dsn=2\.0\.0, status=deliverable \(delivers to mailbox\)/);
	like rcpt(3002, 'who@example.test'), qr/^550 5\.1\.1 <who\@example\.test>: Recipient address rejected: undeliverable address: unknown user: "who"/, 'nobody here';
	is rcpt(3002, 'a@no.test'), '550 5.1.1 <a@no.test>: Recipient address rejected: undeliverable address: not there', 'error:';
	is rcpt(3002, 'a@later.test'), '450 4.1.1 <a@later.test>: Recipient address rejected: unverified address: not now', 'retry:';
	is rcpt(3002, 'a@void.test'), '250 2.1.5 Ok', 'discard:';
	is rcpt(3002, 'a@program.test'), '250 2.1.5 Ok', 'a program, which is not run';
	$p->wait_log(qr/to=<a\@program\.test>.*status=deliverable \(delivers to command: /);
	like rcpt(3002, 'a@dead.test'), qr/^450 4\.1\.1 <a\@dead\.test>: Recipient address rejected: unverified address: connect to .*Connection refused/, 'a site that is down';
	like rcpt(3002, 'b@dead.test'), qr/^450 4\.1\.1 <b\@dead\.test>: Recipient address rejected: unverified address: .*Connection refused/, 'and known to be';
};

subtest 'waiting' => sub {
	my $n = 1 + probes();
	is rcpt(3004, 'a@mute.test'), '450 4.1.1 <a@mute.test>: Recipient address rejected: unverified address: Address verification in progress', 'not at all';
	$p->wait_until('its probe', sub { probes() == $n });
	is rcpt(3004, 'a@mute.test'), '450 4.1.1 <a@mute.test>: Recipient address rejected: unverified address: Address verification in progress', 'again';
	is probes(), $n, 'one probe is enough';
};

subtest 'a sender' => sub {
	my $c = begin(3003);
	for (['alice@far.test', '250 2.1.5 Ok'], ['', '250 2.1.5 Ok'],
	     ['nobody@far.test', "450 4.1.7 <nobody\@far.test>: Sender address rejected: unverified address: " . substr($no, 0, 250)]) {
		$c->cmd("MAIL FROM:<$_->[0]>", qr/^250/);
		is $c->cmd('RCPT TO:<bob@far.test>'), $_->[1], "<$_->[0]>";
		$c->cmd('RSET', qr/^250/);
	}
	$p->wait_log(qr/reject: RCPT from \S+: 450 4\.1\.7 <nobody\@far\.test>: Sender address rejected: unverified address: host /, from => 0);
};

subtest 'the probe of another site' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250/);
	$c->cmd('MAIL FROM:<>', qr/^250/);
	is $c->cmd('RCPT TO:<double-bounce@example.test>'), '250 2.1.5 Ok', 'the sender of probes exists';
};

subtest 'the cache lasts' => sub {
	my $n = probes();
	$p->stop;
	$p->start;
	is rcpt(3001, 'alice@far.test'), '250 2.1.5 Ok', 'after a restart';
	is probes(), $n, 'without a probe';
	ok $p->wait_until('another probe', sub { rcpt(3007, 'nobody@far.test'); probes() > $n }), 'a failure is looked at again when its time has come';
};

subtest 'mail' => sub {
	my $c = begin(3001);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	is $c->cmd("RCPT TO:<$_>"), '250 2.1.5 Ok', $_ for 'bob@far.test', 'alice@far.test';
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: real\r\n\r\nx\r\n.", qr/^250/);
	$far->wait_log(qr/to=<bob\@far\.test>.*status=sent/);
	$far->wait_log(qr/to=<alice\@far\.test>.*status=sent/, from => 0);
	for my $who ('alice', 'bob') {
		my @subjects = Posthouse::slurp($far->spool($who)) =~ /^Subject: (.*)$/mg;
		is "@subjects", 'real', "$who has one letter, and no probe";
	}
	ok !-s $p->spool('alice'), 'nor here';
	is $p->log_count(qr/non-delivery|delay notification|postmaster non-delivery/), 0, 'nobody was told anything';
};
$p->stop;
my (undef, $list) = $p->tool('postqueue', '-p');
unlike $list, qr/far\.test|example\.test|no\.test|dead\.test|later\.test/, 'no probe is left in the queue, but the one that hangs' or diag $list;
$far->stop;
done_testing;
