#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Certificates: two kinds at once, by name, replaced while sessions go on, spoilt ones, what posthouse check says, selfsign.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Tls;

Posthouse::need('openssl');

sub new_pair {
	my ($p, $name, @options) = @_;
	my $d = $p->dir;
	my ($status, $text) = $p->tool('posthouse', 'selfsign', '-f', @options, "$d/tls/$name.crt", "$d/tls/$name.key");
	die $text if $status;
	return ("$d/tls/$name.crt", "$d/tls/$name.key");
}
sub pem { my ($p) = Posthouse::slurp($_[0]) =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)/s; return $p }

my $p = Posthouse->new(tls => 1, main => { sessions => 200, login_client_connection_count_limit => 0, smtpd_client_connection_count_limit => 0 });
my $d = $p->dir;
my ($rsa, $rsa_key) = new_pair($p, 'rsa', '-r', '-n', 'mail.example.test');
my ($ec, $ec_key) = new_pair($p, 'ec', '-n', 'mail.example.test', '-n', '127.0.0.1');
my ($other, $other_key) = new_pair($p, 'other', '-n', 'other.example');
my ($wild, $wild_key) = new_pair($p, 'wild', '-n', '*.wild.example');
Posthouse::write_file("$d/sni", "other.example $other_key $other\n.wild.example $wild_key $wild\n");
$p->set(smtpd_tls_cert_file => $rsa, smtpd_tls_key_file => $rsa_key, smtpd_tls_eccert_file => $ec, smtpd_tls_eckey_file => $ec_key,
	tls_server_sni_maps => "texthash:$d/sni");
my ($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^tls: everything fine$/m, 'check is content';
$p->start;

# --- two kinds, and by name
for my $port ('submissions', 'imaps') {
	is fingerprint($p, $port, '-sigalgs', 'RSA-PSS+SHA256'), pem($rsa), "$port: RSA for who wants RSA";
	is fingerprint($p, $port, '-sigalgs', 'ECDSA+SHA256'), pem($ec), 'and ECDSA beside it';
	is fingerprint($p, $port, '-servername', 'OTHER.example'), pem($other), 'by name';
	is fingerprint($p, $port, '-servername', 'a.wild.example'), pem($wild), 'by the domain above it';
	is fingerprint($p, $port, '-servername', 'nobody.example', '-sigalgs', 'ECDSA+SHA256'), pem($ec), 'an unknown name gets the usual one';
}

# --- replaced while 100 sessions go on
my @open;
for (1 .. 100) {
	my $c = $p->connect('imaps')->tls;
	$c->expect(qr/^\* OK/);
	push @open, $c;
}
my @smtp = map { my $c = $p->connect('submissions')->tls; $c->reply(qr/^220 /); $c } 1 .. 20;
new_pair($p, 'rsa', '-r', '-n', 'mail.example.test', '-n', 'new.example.test');
new_pair($p, 'ec', '-n', 'mail.example.test', '-n', 'new.example.test');
for my $port ('submissions', 'imaps') {
	ok $p->wait_until("the new certificate on $port", sub { fingerprint($p, $port, '-sigalgs', 'ECDSA+SHA256') eq pem($ec) }), "$port: the new ECDSA certificate, without a reload";
	is fingerprint($p, $port, '-sigalgs', 'RSA-PSS+SHA256'), pem($rsa), 'and the new RSA one';
}
my $broken = grep { !eval { $_->imap('NOOP'); 1 } } @open;
$broken += grep { !eval { $_->cmd('NOOP', qr/^250/); 1 } } @smtp;
is $broken, 0, 'no session broke';
$_->close for @open, @smtp;

# --- a key that does not fit, a file that is no certificate, none at all: the one before stays
my $good = pem($ec);
my $good_key = Posthouse::slurp($ec_key);
my (undef, $strange) = new_pair($p, 'strange', '-n', 'strange.example');
Posthouse::write_file($ec_key, Posthouse::slurp($strange));
$p->wait_log(qr/master\[\d+\]: warning: TLS certificate: .*the private key does not belong to the certificate; the one in use stays/);
is fingerprint($p, 'imaps', '-sigalgs', 'ECDSA+SHA256'), $good, 'a key of another certificate: the old pair goes on';
Posthouse::write_file($ec_key, "nonsense\n");
$p->wait_log(qr/warning: TLS certificate: .*; the one in use stays/);
is fingerprint($p, 'submissions', '-sigalgs', 'ECDSA+SHA256'), $good, 'nonsense: the same';
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^tls: error: .*the private key does not belong|^tls: error: .*no private key/m, 'check names it';
$p->reload;
is fingerprint($p, 'imaps', '-sigalgs', 'ECDSA+SHA256'), $good, 'also after a reload, for new workers';
Posthouse::write_file($ec_key, $good_key);

# --- what check warns of
sub openssl { my ($s, $t) = Posthouse::run('openssl', @_); die $t if $s }
my @short = new_pair($p, 'short', '-d', 5, '-n', 'mail.example.test');
$p->set(smtpd_tls_cert_file => $short[0], smtpd_tls_key_file => $short[1]);
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^tls: warning: smtpd_tls_cert_file: certificate of mail\.example\.test expires in [45] days$/m, 'a certificate that expires soon';
Posthouse::append_file($short[0], pem($other) . "\n");
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^tls: warning: .*the chain does not fit: mail\.example\.test was not issued by other\.example/m, 'a chain that does not fit';

# --- files of workers: keys for their users only
is sprintf('%04o', (stat $_)[2] & 07777), '0400', "$_ is for its reader only" for glob "$d/queue/tls/* $d/queue/login/tls/*";
isnt Posthouse::slurp("$d/queue/tls/tickets"), Posthouse::slurp("$d/queue/login/tls/tickets"), 'login does not have the ticket keys of smtpd';
done_testing;
