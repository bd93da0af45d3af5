#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The address_verify_* parameters: what bounds the probes, how long a result counts, who sends them, and which way they take.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;

my $far = Posthouse->new(relay => '127.0.0.0/8', main => { myhostname => 'mx.far.test', mydestination => 'far.test', smtpd_error_sleep_time => 0 })->start;
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die; # connects, and says nothing
my $site = '[' . $far->address . ']:' . $far->port('smtp');

sub server {
	my (%main) = @_;
	my $p = Posthouse->new(relay => '127.0.0.0/8', main => { smtpd_error_sleep_time => 0, smtpd_client_connection_count_limit => 0,
		smtpd_recipient_restrictions => 'reject_unverified_recipient', local_recipient_maps => '', relay_recipient_maps => '',
		address_verify_poll_delay => '10s', unverified_recipient_reject_code => 550,
		transport_maps => 'inline:{ { mute.test = smtp:[127.0.0.1]:' . $mute->sockport . ' } }', %main }, services => <<'END');
3001 inet n - - - - smtpd -o address_verify_poll_count=1
END
	return $p->start;
}
sub rcpt {
	my ($p, $to, $port) = @_;
	my $c = $p->connect($port || 'smtp');
	$c->reply(qr/^220/);
	$c->cmd('EHLO c.test', qr/^250/);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	my $said = $c->cmd("RCPT TO:<$to>");
	$c->cmd('QUIT', qr/^221/);
	return $said;
}
sub probes { return $_[0]->log_count(qr/qmgr\[\d+\]: \w+: from=<[^>]*>, size=\d+, nrcpt=1 \(queue active\)/) }

subtest 'too many at a time' => sub {
	my $p = server(relayhost => $site, address_verify_pending_request_limit => 1);
	rcpt($p, 'a@mute.test', 3001);
	$p->wait_log(qr/\(queue active\)/);
	is rcpt($p, 'alice@far.test'), '450 4.1.1 <alice@far.test>: Recipient address rejected: unverified address: Too many address verification requests', 'one more';
	$p->wait_log(qr/to=<alice\@far\.test>, relay=none, .*dsn=4\.3\.2, status=undeliverable \(Too many address verification requests\)/);
	is scalar(() = Posthouse::slurp($p->maillog) =~ /: removed$/mg), 1, 'its probe is gone';
	$p->stop;
};

subtest 'the ways of probes' => sub {
	# Mail for all of these would go nowhere.
	my $p = server(relayhost => '[127.0.0.1]:1', mydestination => 'example.test local.test', relay_domains => 'relay.test', virtual_mailbox_domains => 'virtual.test',
		virtual_mailbox_maps => 'inline:{ { alice@virtual.test = x } }', local_transport => 'error:no mail', virtual_transport => 'error:no mail',
		relay_transport => 'error:no mail', address_verify_local_transport => 'error:5.1.1 local', address_verify_virtual_transport => 'error:5.1.1 virtual',
		address_verify_relay_transport => 'error:5.1.1 relay', address_verify_relayhost => $site, address_verify_map => 'btree:$data_directory/found', address_verify_sender => 'probes@example.test', address_verify_sender_ttl => '1d');
	like rcpt($p, "alice\@$_.test"), qr/undeliverable address: $_$/, "address_verify_${_}_transport" for qw(local virtual relay);
	is rcpt($p, 'alice@far.test'), '250 2.1.5 Ok', 'address_verify_relayhost';
	like rcpt($p, 'nobody@far.test'), qr/^550 5\.1\.1 .*User unknown/, 'and its answer';
	like $far->wait_log(qr/reject: RCPT from .*nobody\@far\.test/), qr/from=<probes[0-9a-f]+\@example\.test>/, 'address_verify_sender, and when it was';
	ok -s $p->dir . '/data/found.lmdb', 'address_verify_map';
	$p->stop;
	$p = server(default_transport => 'smtp:[127.0.0.1]:1', address_verify_default_transport => "smtp:$site", address_verify_sender => '<>');
	is rcpt($p, 'alice@far.test'), '250 2.1.5 Ok', 'address_verify_default_transport';
	$p->wait_log(qr/from=<>, .*\(queue active\)/, from => 0);
	pass 'no sender';
	$p->stop;
};

subtest 'how long it counts' => sub {
	my $p = server(relayhost => $site, address_verify_negative_cache => 'no');
	like rcpt($p, 'nobody@far.test', 3001), qr/in progress/, 'a failure';
	$p->wait_log(qr/status=undeliverable-but-not-cached \(host /);
	$p->wait_log(qr/: removed$/);
	like rcpt($p, 'nobody@far.test', 3001), qr/in progress/, 'is not kept without address_verify_negative_cache';
	$p->wait_log(qr/status=undeliverable-but-not-cached \(host /);
	$p->stop;

	$p = server(relayhost => $site, address_verify_positive_refresh_time => '1s', address_verify_negative_expire_time => '1s');
	is rcpt($p, 'alice@far.test'), '250 2.1.5 Ok', 'a success';
	my $n = probes($p);
	ok $p->wait_until('another probe', sub { rcpt($p, 'alice@far.test', 3001) =~ /^250/ or die; probes($p) > $n }), 'is looked at again, and counts meanwhile';
	like rcpt($p, 'nobody@far.test'), qr/^550/, 'a failure';
	ok $p->wait_until('its end', sub { rcpt($p, 'nobody@far.test', 3001) =~ /in progress/ }), 'is forgotten after address_verify_negative_expire_time';
	$p->stop;

	$p = server(relayhost => $site, address_verify_positive_expire_time => '1s');
	is rcpt($p, 'alice@far.test'), '250 2.1.5 Ok', 'a success';
	ok $p->wait_until('its end', sub { rcpt($p, 'alice@far.test', 3001) =~ /in progress/ }), 'is forgotten after address_verify_positive_expire_time';
	$p->stop;
};
$far->stop;
done_testing;
