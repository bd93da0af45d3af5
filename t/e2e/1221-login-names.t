#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# How a login name becomes a user: realms, format, characters, translation; and what smtpd adds and leaves out of its own.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

sub b64 { encode_base64($_[0], '') }
my $p = Posthouse->new(scheme => 'PLAIN', users => [ 'alice', 'alice@one.test', 'alice@two.test' ], main => { auth_failure_delay => '0s',
	smtpd_hard_error_limit => 100, smtpd_soft_error_limit => 100, login_max_attempts => 100, auth_mechanisms => 'plain login cram-md5 scram-sha-256' });
$p->start;
my %pw = map { $_ => $p->password($_) } 'alice', 'alice@one.test', 'alice@two.test';

sub change { $p->set(@_); $p->stop; $p->start }
sub hello { my $c = $p->smtp('submission'); $c->{ehlo} = $c->cmd('EHLO client.test', qr/^250 /m); return $c }
# Who somebody is to IMAP and to SMTP, who gives this name with the password of $user; '' when refused.
sub smtp_user { my ($name, $user) = @_;
	my $c = hello();
	return '' unless $c->cmd('AUTH PLAIN ' . b64("\0$name\0$pw{$user}")) =~ /^235/;
	$c->cmd('MAIL FROM:<>', qr/^250/);
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: x\r\n\r\n.", qr/^250/);
	my ($who) = $p->wait_log(qr/client=.*sasl_username=/) =~ /sasl_username=(\S+)/;
	return $who;
}
sub imap_ok { my ($name, $user) = @_; my $c = $p->connect('imap'); $c->expect(qr/^\* OK/); $c->send("a LOGIN \"$name\" $pw{$user}"); return ($c->line // '') =~ /^a OK/ ? 1 : 0 }
sub both { my ($name, $user, $want, $what) = @_; is smtp_user($name, $user), $want, "SMTP: $what"; is imap_ok($name, $user), $want ne '' ? 1 : 0, "IMAP: $what" }

both('alice', 'alice', 'alice', 'a plain name');
both('Alice@ONE.test', 'alice@one.test', 'alice@one.test', 'with a realm, in lower case');

change(auth_default_realm => 'one.test');
both('alice', 'alice@one.test', 'alice@one.test', 'auth_default_realm');
both('alice', 'alice', '', 'and not without');
both('alice@two.test', 'alice@two.test', 'alice@two.test', 'another realm is none of its business');
change(auth_realms => 'one.test three.test');
both('alice', 'alice@one.test', 'alice@one.test', 'auth_realms has the default one');
both('alice@two.test', 'alice@two.test', '', 'and not this');
change(auth_realms => '', auth_default_realm => '', auth_username_format => '%n');
both('alice@anywhere.test', 'alice', 'alice', 'auth_username_format %n');
both('ALICE', 'alice', '', 'which keeps capitals');
change(auth_username_format => '%Ln@two.test');
both('ALICE', 'alice@two.test', 'alice@two.test', 'auth_username_format with a domain');
change(auth_username_format => '%Lu', auth_username_translation => '%@#@+-');
both('alice%one.test', 'alice@one.test', 'alice@one.test', 'auth_username_translation');
both('alice#two.test', 'alice@two.test', 'alice@two.test', 'each pair');
both('alice%one%test', 'alice@one.test', '', 'not twice');
change(auth_username_translation => '', auth_username_chars => 'abcdefghijklmnopqrstuvwxyz');
both('alice', 'alice', 'alice', 'auth_username_chars allows it');
both('alice@one.test', 'alice@one.test', '', 'and not this');
both('ALICE', 'alice', '', 'before letters are made small');
change(auth_username_chars => '');
both('alice@one.test', 'alice@one.test', 'alice@one.test', 'empty: all');

# smtpd
change(smtpd_sasl_local_domain => 'two.test');
is smtp_user('alice', 'alice@two.test'), 'alice@two.test', 'smtpd_sasl_local_domain';
is smtp_user('alice@one.test', 'alice@one.test'), 'alice@one.test', 'of names without a realm';
is imap_ok('alice', 'alice'), 1, 'and of SMTP alone';
my $c = hello();
my $challenge = decode_base64(substr $c->cmd('AUTH CRAM-MD5', qr/^334 /), 4);
require Digest::MD5;
my $k = $pw{'alice@two.test'} . "\0" x (64 - length $pw{'alice@two.test'});
my $mac = Digest::MD5::md5_hex(($k ^ "\x5c" x 64) . Digest::MD5::md5(($k ^ "\x36" x 64) . $challenge));
like $c->cmd(b64("alice $mac")), qr/^235/, 'with a proof, too';
if (grep { -x "$_/gsasl" } split /:/, $ENV{PATH}) {
	my ($status, $text) = Posthouse::run('gsasl', '--smtp', '--connect', "$p->{address}:2587", '-a', 'alice', '-z', 'alice',
		'-p', $pw{'alice@two.test'}, '-m', 'SCRAM-SHA-256', '--quiet', '--no-starttls');
	is $status, 0, 'and SCRAM' or diag $text;
}
change(smtpd_sasl_mechanism_filter => '!login, !cram-md5, static:rest');
$c = hello();
like $c->{ehlo}, qr/^250-AUTH PLAIN SCRAM-SHA-256$/m, 'smtpd_sasl_mechanism_filter';
like $c->cmd('AUTH LOGIN'), qr/^535 .*Invalid authentication mechanism/, 'what is not offered is not taken';
change(smtpd_sasl_mechanism_filter => 'login', smtpd_sasl_response_limit => 14000);
$c = hello();
like $c->{ehlo}, qr/^250-AUTH LOGIN$/m, 'a list of what may be';
$c->cmd('AUTH LOGIN', qr/^334/);
like $c->cmd('A' x 13000), qr/^(334|535)/, 'smtpd_sasl_response_limit';
$c = hello();
$c->cmd('AUTH LOGIN', qr/^334/);
like $c->cmd('A' x 14100), qr/^500 5\.5\.6/, 'and past it';
$p->stop;
done_testing;
