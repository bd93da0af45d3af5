#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# TLS of smtpd: STARTTLS, implicit, what is forgotten, what is refused, what is logged; injected commands; tickets; deadlines.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Tls;

Posthouse::need('openssl', 'swaks', 'curl');

my $p = Posthouse->new(tls => 1, main => { smtpd_tls_loglevel => 1, smtpd_tls_received_header => 'yes', smtpd_starttls_timeout => '2s' },
	services => "2525 inet n - - - - smtpd\n  -o smtpd_tls_security_level=encrypt\n"
	. "2526 inet n - - - - smtpd\n  -o smtpd_tls_security_level= -o smtpd_enforce_tls=yes\n2527 inet n - - - - smtpd\n  -o smtpd_tls_security_level= -o smtpd_use_tls=yes\n"
	. "2528 inet n - - - - smtpd\n  -o smtpd_tls_security_level=none -o smtpd_enforce_tls=yes\n")->start;
my $d = $p->dir;

# --- STARTTLS
my $c = $p->smtp;
like $c->cmd('STARTTLS now'), qr/^501 5\.5\.4 Syntax: STARTTLS$/, 'no arguments';
like $c->cmd('EHLO client.test'), qr/^250-STARTTLS$/m, 'offered';
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$c->cmd('STARTTLS', qr/^220 2\.0\.0 Ready to start TLS$/);
$c->tls;
like $c->cmd('RCPT TO:<alice@example.test>'), qr/^503 /, 'what was said in the clear is forgotten';
unlike $c->cmd('EHLO client.test'), qr/STARTTLS/, 'not offered again';
is $c->cmd('STARTTLS'), '554 5.5.1 Error: TLS already active', 'not twice';
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
$c->cmd('DATA', qr/^354/);
$c->send_raw("Subject: tls\r\n\r\nsecret\r\n");
$c->cmd('.', qr/^250/);
$c->cmd('QUIT', qr/^221/);
$p->wait_log(qr/Anonymous TLS connection established from \S+: TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256\/256 bits\) key-exchange X25519 server-signature ECDSA \(prime256v1\) server-digest SHA256$/);
$p->wait_log(qr/status=sent/);
like Posthouse::slurp($p->spool('alice')), qr/\n\t\(using TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256\/256 bits\)\n\t key-exchange X25519 server-signature ECDSA \(prime256v1\) server-digest SHA256\)\n\t\(No client certificate requested\)\n\tby \S+ \(Posthouse\) with ESMTPS id /, 'Received';

# --- TLS demanded
$c = $p->smtp(2525);
$c->cmd('EHLO client.test', qr/^250-STARTTLS$/m);
is $c->cmd($_), '530 5.7.0 Must issue a STARTTLS command first', "$_ in the clear" for 'MAIL FROM:<x@client.test>', 'VRFY alice', 'RSET';
$c->cmd('NOOP', qr/^250/);
$c->cmd('QUIT', qr/^221/);

# --- the older names
for my $case ([ 2526, 1, qr/^530 / ], [ 2527, 1, qr/^250 / ], [ 2528, 0, qr/^250 / ]) {
	my ($port, $offered, $reply) = @$case;
	$c = $p->smtp($port);
	is $c->cmd('EHLO client.test', qr/^250/) =~ /STARTTLS/ ? 1 : 0, $offered, "$port: STARTTLS";
	like $c->cmd('MAIL FROM:<x@client.test>'), $reply, 'in the clear';
}

# --- hazards S4: a command behind STARTTLS
for my $setting ('yes', 'no') {
	$p->set(smtpd_forbid_unauth_pipelining => $setting);
	$p->reload;
	$c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->send_raw("STARTTLS\r\nNOOP\r\n");
	like $c->line, qr/^554 5\.5\.0 /, "plaintext behind STARTTLS is refused (smtpd_forbid_unauth_pipelining=$setting)";
	ok $c->eof, 'and the connection closed, the second command unanswered';
}

# --- implicit TLS
my ($status, $text) = Posthouse::run('swaks', '--server', $p->address . ':' . $p->port('submissions'), '--tls-on-connect', '--quit-after', 'ehlo', '--helo', 'client.test');
is $status, 0, 'swaks, implicit TLS' or diag $text;
($status, $text) = Posthouse::run('swaks', '--server', $p->address . ':' . $p->port('smtp'), '--tls', '--to', 'bob@example.test', '--from', 'x@client.test', '--suppress-data');
is $status, 0, 'swaks --tls' or diag $text;
for my $v ('1.2', '1.3') {
	my $mail = "$d/letter";
	Posthouse::write_file($mail, "Subject: curl $v\r\n\r\nx\r\n");
	($status, $text) = Posthouse::run('curl', '-sS', '--cacert', "$d/tls/cert.pem", "--tlsv$v", '--tls-max', $v, '--ssl-reqd', 'smtp://' . $p->address . ':2025/client.test',
		'--mail-from', 'x@client.test', '--mail-rcpt', 'bob@example.test', '-T', $mail);
	is $status, 0, "curl with TLS $v, verifying certificate and name" or diag $text;
}
like s_client($p, 'smtp', '-starttls', 'smtp', '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'), qr/alert protocol version|no protocols available|wrong version/i, 'not TLS 1.1';
like s_client($p, 'smtp', '-starttls', 'smtp', '-tls1_2', '-cipher', 'AES128-SHA'), qr/handshake failure/i, 'not without forward secrecy';

# --- hazards S6: a ticket is good for its own service only
for my $v ('-tls1_2', '-tls1_3') {
	my $ticket = "$d/ticket$v";
	s_client($p, 'smtp', '-starttls', 'smtp', $v, '-sess_out', $ticket);
	ok -s $ticket, "a ticket ($v)";
	like s_client($p, 'smtp', '-starttls', 'smtp', $v, '-sess_in', $ticket), qr/^Reused, /m, 'resumes where it came from';
	s_client($p, 'smtp', '-starttls', 'smtp', $v, '-sess_out', $ticket);
	like s_client($p, 'submissions', $v, '-sess_in', $ticket), qr/^New, /m, 'and not on another service';
}

# --- slow and broken clients
$c = $p->connect('submissions');
ok $c->eof, 'who says nothing is left after smtpd_starttls_timeout';
$p->wait_log(qr/SSL_accept error from \S+: timeout/);
$c = $p->connect('submissions');
$c->send_raw("EHLO client.test\r\n");
unlike $c->line // '', qr/^\d\d\d/, 'plaintext on a TLS port gets no reply';
$p->wait_log(qr/SSL_accept error from \S+: wrong version number/);

# --- certificates of clients
sub own { my ($s, $t) = Posthouse::run("$Posthouse::BIN/posthouse", 'selfsign', '-n', $_[0], "$d/$_[0].crt", "$d/$_[0].key"); die $t if $s }
own($_) for 'friend.test', 'stranger.test';
my (undef, $print) = Posthouse::run('openssl', 'x509', '-in', "$d/friend.test.crt", '-noout', '-fingerprint', '-sha256');
$print =~ /=(\S+)/ or die $print;
Posthouse::write_file("$d/certs", "$1 friend\n");
$p->set(smtpd_tls_ask_ccert => 'yes', relay_clientcerts => "texthash:$d/certs", mynetworks => '10.0.0.0/8',
	smtpd_relay_restrictions => 'permit_tls_clientcerts, reject_unauth_destination');
$p->reload;
for my $who ('friend.test', 'stranger.test', '') {
	$c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd('STARTTLS', qr/^220/);
	$c->tls($who ? (SSL_cert_file => "$d/$who.crt", SSL_key_file => "$d/$who.key") : ());
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	like $c->cmd('RCPT TO:<y@elsewhere.test>'), $who eq 'friend.test' ? qr/^250/ : qr/^554 5\.7\.1 .*Relay access denied/, 'relay for ' . ($who || 'nobody');
	$c->cmd('QUIT', qr/^221/);
}

# --- without a certificate all goes on
my $q = Posthouse->new(main => { smtpd_tls_security_level => 'may' })->start;
$q->wait_log(qr/no TLS certificate is configured, these services are not run: submissions pop3s imaps/);
$c = $q->smtp;
unlike $c->cmd('EHLO client.test'), qr/STARTTLS/, 'no certificate: not offered';
is $c->cmd('STARTTLS'), '454 4.7.0 TLS not available due to local problem', 'and not available';
$q->send_mail;
$q->wait_log(qr/status=sent/);
done_testing;
