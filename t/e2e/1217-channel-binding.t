#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# SCRAM-SHA-1-PLUS and SCRAM-SHA-256-PLUS (RFC 5802, 9266) with SMTP, IMAP and POP3: gsasl where it speaks the protocol, a client of
# our own everywhere; a binding to another channel, and a client that was told that there is none.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha1 sha256 hmac_sha1 hmac_sha256);
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Posthouse;
use Tls;

Posthouse::need('gsasl');
my $p = Posthouse->new(tls => 1, scheme => 'PLAIN', main => { auth_mechanisms => 'plain scram-sha-1 scram-sha-256 scram-sha-1-plus scram-sha-256-plus', auth_failure_delay => '0s',
	mail_max_userip_connections => 0, login_max_attempts => 1000 })->start;
my ($user, $password) = ('alice', $p->password('alice'));
my %hash = ('SCRAM-SHA-1' => [ \&sha1, \&hmac_sha1 ], 'SCRAM-SHA-256' => [ \&sha256, \&hmac_sha256 ]);
my %service = (smtp => 'submission', imap => 'imap', pop3 => 'pop3');

sub begin { # a session under TLS, and what is offered
	my ($protocol) = @_;
	my $c = $p->connect($service{$protocol});
	my $offered;
	$c->line;
	if ($protocol eq 'smtp') {
		$c->cmd('EHLO c.test', qr/^250/);
		$c->cmd('STARTTLS', qr/^220/);
		$c->tls;
		$offered = $c->cmd('EHLO c.test', qr/^250/);
	} elsif ($protocol eq 'imap') {
		$c->imap('STARTTLS');
		$c->tls;
		$offered = join ' ', map { /AUTH=(\S+)/g } $c->imap('CAPABILITY');
	} else {
		$c->cmd1('STLS', qr/^\+OK/);
		$c->tls;
		($offered) = grep { /^SASL/ } $c->multi('CAPA');
	}
	return ($c, $offered);
}

# The server's challenge, decoded, or undef and the last line. What to send begins a line of its own.
sub turn {
	my ($c, $send) = @_;
	$c->send($send);
	my $line = $c->line;
	return $line =~ /^(?:334|\+) (\S*)$/ ? decode_base64($1) : (undef, $line);
}

# header: "p=tls-exporter,," and so on; the binding data, or what to lie about it. Success?
sub scram {
	my ($protocol, $mechanism, $header, $binding) = @_;
	my ($c) = begin($protocol);
	my ($hash, $hmac) = @{ $hash{ $mechanism =~ s/-PLUS$//r } };
	my $ssl = $c->sock->_get_ssl_object;
	my $data = $header =~ /^p=/ ? $binding // Net::SSLeay::export_keying_material($ssl, 32, 'EXPORTER-Channel-Binding', '') : '';
	my $bare = "n=$user,r=clientnonce";
	my $command = $protocol eq 'smtp' ? 'AUTH' : $protocol eq 'imap' ? 'a1 AUTHENTICATE' : 'AUTH';
	my ($first) = turn($c, "$command $mechanism");
	return 0 unless defined $first;
	my ($challenge) = turn($c, encode_base64("$header$bare", ''));
	return 0 unless defined $challenge;
	my ($nonce, $salt, $n) = $challenge =~ /^r=(clientnonce[^,]+),s=([^,]+),i=(\d+)$/ or die $challenge;
	my $salted = my $u = $hmac->(decode_base64($salt) . pack('N', 1), $password);
	$salted ^= $u = $hmac->($u, $password) for 2 .. $n;
	my $final = 'c=' . encode_base64($header . $data, '') . ",r=$nonce";
	my $key = $hmac->('Client Key', $salted);
	my $proof = $key ^ $hmac->("$bare,$challenge,$final", $hash->($key));
	my ($server, $line) = turn($c, encode_base64("$final,p=" . encode_base64($proof, ''), ''));
	if (defined $server) {
		is $server, 'v=' . encode_base64($hmac->("$bare,$challenge,$final", $hmac->('Server Key', $salted)), ''), "$protocol $mechanism: the server knows it, too";
		$c->send('');
		$line = $c->line;
	}
	$line = $c->line if $protocol eq 'imap' && $line =~ /^\* CAPABILITY/;
	return $line =~ /^(?:235|a1 OK|\+OK)/ ? 1 : 0;
}

for my $protocol (sort keys %service) {
	my ($c, $offered) = begin($protocol);
	for my $mechanism (sort keys %hash) {
		like $offered, qr/\b$mechanism-PLUS\b/, "$protocol: $mechanism-PLUS is offered under TLS";
		is scram($protocol, "$mechanism-PLUS", 'p=tls-exporter,,'), 1, "$protocol $mechanism-PLUS";
		is scram($protocol, "$mechanism-PLUS", 'p=tls-exporter,,', 'x' x 32), 0, 'bound to another channel';
		is scram($protocol, "$mechanism-PLUS", 'p=tls-other,,', 'x' x 32), 0, 'bound to what nobody knows';
		is scram($protocol, "$mechanism-PLUS", 'n,,'), 0, 'not bound';
		is scram($protocol, $mechanism, 'y,,'), 0, "$protocol $mechanism: somebody has hidden -PLUS from the client";
		is scram($protocol, $mechanism, 'n,,'), 1, 'a client that cannot bind';
	}
}

for my $protocol ('smtp', 'imap') {
	for my $mechanism (map { "$_-PLUS" } sort keys %hash) {
		for my $case ([ $password, 1 ], [ 'wrong', 0 ]) {
			my @args = ("--$protocol", '--connect', $p->address . ':' . $p->port($service{$protocol}), '--starttls', '--x509-ca-file=', '--mechanism', $mechanism,
				'-a', $user, '--service', $protocol, '--hostname', $p->address, '--password', $case->[0]);
			my ($status, $text) = Posthouse::run('timeout', 20, 'sh', '-c', 'gsasl --client "$@" </dev/null', 'gsasl', @args);
			is $status == 0 ? 1 : 0, $case->[1], "gsasl $protocol $mechanism, " . ($case->[1] ? 'right' : 'wrong') . ' password' or diag $text;
		}
	}
}
like $p->wait_log(qr/imap-login: Login:.*method=SCRAM-SHA-256-PLUS/, from => 0), qr/TLS/, 'the log says so';
$p->stop;
done_testing;
