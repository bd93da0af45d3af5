#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Every mechanism against every server: gsasl, swaks and curl with the right and with a wrong password; stored keys of SCRAM; users
# whose stored password fits no such mechanism; users who do not exist.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use Digest::SHA qw(sha1 sha256 hmac_sha1 hmac_sha256);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

Posthouse::need('gsasl', 'swaks', 'curl');
my $mechanisms = 'plain login cram-md5 scram-sha-1 scram-sha-256';
my $p = Posthouse->new(scheme => 'PLAIN', main => { auth_mechanisms => $mechanisms, auth_failure_delay => '0s',
	login_max_attempts => 1000, mail_max_userip_connections => 0 });
my ($uid, $gid) = ($<, (split ' ', $()[0]);

# Salted password, as PBKDF2 with one block of output.
sub hi {
	my ($hmac, $password, $salt, $n) = @_;
	my $u = $hmac->($salt . pack('N', 1), $password);
	my $sum = $u;
	$sum ^= $u = $hmac->($u, $password) for 2 .. $n;
	return $sum;
}
sub stored {
	my ($hmac, $hash, $password, $salt, $n) = @_;
	my $salted = hi($hmac, $password, $salt, $n);
	return join ',', $n, map { encode_base64($_, '') } $salt, $hash->($hmac->('Client Key', $salted)), $hmac->('Server Key', $salted);
}
Posthouse::append_file($p->dir . '/users', join '', map { "$_->[0]:$_->[1]:$uid:${gid}::/tmp:/bin/sh:\n" }
	[ keys256 => '{SCRAM-SHA-256}' . stored(\&hmac_sha256, \&sha256, 'secret', 'some salt', 5000) ],
	[ keys1 => '{SCRAM-SHA-1}' . stored(\&hmac_sha1, \&sha1, 'secret', 'other salt', 4096) ],
	[ accent => '{PLAIN}' . "pa\xcc\x88ss\xe2\x85\xa8" ], [ accent256 => '{SCRAM-SHA-256}' . stored(\&hmac_sha256, \&sha256, "p\xc3\xa4ssIX", 'a salt', 4096) ],
	[ crypt => crypt('secret', '$6$saltsalt') ], [ broken => '{SCRAM-SHA-256}1,2,3' ]);
$p->start;
my %port = (imap => 2143, pop3 => 2110, smtp => 2587);

sub gsasl {
	my ($service, $mechanism, $user, $password) = @_;
	my @args = ("--$service", '--connect', $p->address . ":$port{$service}", '--no-starttls', '--mechanism', $mechanism, '-a', $user,
		'--service', $service, '--hostname', $p->address, '--password', $password);
	return (Posthouse::run('timeout', 20, 'sh', '-c', 'gsasl --client "$@" </dev/null', 'gsasl', @args))[0] == 0;
}

my %secret = (alice => $p->password('alice'), keys256 => 'secret', keys1 => 'secret', crypt => 'secret');
my %works = (alice => [ map { uc } split ' ', $mechanisms ], keys256 => [ 'PLAIN', 'SCRAM-SHA-256' ], keys1 => [ 'PLAIN', 'SCRAM-SHA-1' ],
	crypt => [ 'PLAIN', 'LOGIN' ]);
for my $service ('imap', 'smtp') {
	for my $mechanism (map { uc } split ' ', $mechanisms) {
		for my $user (sort keys %works) {
			my $should = grep { $_ eq $mechanism } @{ $works{$user} };
			next if !$should && $mechanism !~ /SCRAM|CRAM/;
			is gsasl($service, $mechanism, $user, $secret{$user}) ? 1 : 0, $should, "$service $mechanism $user";
		}
		ok !gsasl($service, $mechanism, 'alice', 'wrong'), "$service $mechanism: wrong password";
		ok !gsasl($service, $mechanism, 'nobody', 'wrong'), "$service $mechanism: unknown user";
	}
}
# SASLprep: "\xe4" as one character, as two, and with what is mapped to nothing; stored in another form than typed.
for my $typed ("p\xc3\xa4ssIX", "pa\xcc\x88ss\xe2\x85\xa8", "p\xc3\xa4s\xc2\xadsIX") {
	for my $service ('imap', 'smtp') {
		ok gsasl($service, 'SCRAM-SHA-256', $_, $typed), "$service: a password past ASCII, $_" for 'accent', 'accent256';
		ok gsasl($service, 'SCRAM-SHA-1', 'accent', $typed), "$service: the same with SHA-1";
	}
	my $c = $p->smtp('submission');
	$c->cmd('EHLO x', qr/^250 /m);
	like $c->cmd('AUTH PLAIN ' . encode_base64("\0accent256\0$typed", '')), qr/^235/, 'PLAIN against keys of SCRAM';
}
ok !gsasl('imap', 'SCRAM-SHA-256', 'accent', 'passIX'), 'not without the accent';
ok !gsasl('imap', 'SCRAM-SHA-256', 'broken', 'secret'), 'a broken field is nobody\'s password';

for my $mechanism (map { uc } split ' ', $mechanisms) {
	my @swaks = ('swaks', '--server', $p->address, '--port', 2587, '--from', 'alice@example.test', '--to', 'x@elsewhere.test',
		'--quit-after', 'RCPT', '--auth', $mechanism, '--auth-user', 'alice');
	next if $mechanism =~ /SCRAM-SHA-256/; # swaks knows SHA-1 only by a module that is not always there
	next if $mechanism =~ /SCRAM/ && !eval { require Authen::SCRAM::Client };
	my ($status, $text) = Posthouse::run(@swaks, '--auth-password', $secret{alice});
	is $status, 0, "swaks $mechanism" or diag $text;
	isnt +(Posthouse::run(@swaks, '--auth-password', 'wrong'))[0], 0, "swaks $mechanism: wrong password";
}
my $curl_scram = (Posthouse::run('curl', '--version'))[1] =~ /gsasl/;
for my $url ("imap://@{[ $p->address ]}:2143/", "pop3://@{[ $p->address ]}:2110/", "smtp://@{[ $p->address ]}:2587") {
	for my $mechanism (map { uc } split ' ', $mechanisms) {
		next if $mechanism =~ /SCRAM/ && !$curl_scram;
		my @curl = ('curl', '-sS', '--max-time', 20, '--login-options', "AUTH=$mechanism", $url);
		push @curl, '-X', 'NOOP' if $url =~ /^smtp/;
		my ($status, $text) = Posthouse::run(@curl, '-u', "alice:$secret{alice}");
		is $status, 0, "curl $url $mechanism" or diag $text;
		is +(Posthouse::run(@curl, '-u', 'alice:wrong'))[0], 67, "curl $url $mechanism: wrong password";
	}
}
like $p->wait_log(qr/imap-login: Login:.*method=SCRAM-SHA-256/, from => 0), qr/user=<alice>/, 'the mechanism is in the log';
like $p->wait_log(qr/SASL SCRAM-SHA-256 authentication failed/, from => 0), qr/sasl_username=/, 'also of a failure';

# Nobody learns from the parameters who exists: the same salt each time, and in every process.
sub salt {
	my ($user) = @_;
	my $c = $p->smtp('submission');
	$c->cmd('EHLO x', qr/^250 /m);
	my $r = $c->cmd('AUTH SCRAM-SHA-256 ' . encode_base64("n,,n=$user,r=abc", ''), qr/^334 /);
	my ($salt, $n) = decode_base64(substr $r, 4) =~ /,s=([^,]+),i=(\d+)$/;
	$c->close;
	return "$salt $n";
}
is salt('nobody'), salt('nobody'), 'an unknown user has a salt';
isnt salt('nobody'), salt('nobody2'), 'of his own';
is salt('alice'), salt('alice'), 'as has one whose password is kept in clear';
my $before = salt('nobody');
$p->stop;
$p->start;
is salt('nobody'), $before, 'and keeps it over a restart';

# The client must not say that we have no channel binding when we have; nor bind to a channel that is not there.
my $c = $p->smtp('submission');
$c->cmd('EHLO x', qr/^250 /m);
like $c->cmd('AUTH SCRAM-SHA-256 ' . encode_base64('p=tls-exporter,,n=alice,r=abc', '')), qr/^535 /, 'no channel, no binding';
like $c->cmd('AUTH SCRAM-SHA-256 ' . encode_base64('n,a=bob,n=alice,r=abc', '')), qr/^535 /, 'not for another user';
like $c->cmd('AUTH SCRAM-SHA-256 ' . encode_base64('n,,m=x,n=alice,r=abc', '')), qr/^535 /, 'no extension that must be understood';
like $c->cmd('AUTH CRAM-MD5 ' . encode_base64('alice', '')), qr/^535 /, 'CRAM-MD5 begins with the server';
$p->stop;
done_testing;
