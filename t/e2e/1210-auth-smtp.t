#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# AUTH of the submission service with PLAIN and LOGIN: what is offered, what is answered, what is logged, who may relay.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(relay => '127.0.0.99', main => { auth_failure_delay => '0s', smtpd_hard_error_limit => 100, smtpd_soft_error_limit => 100 }, services => <<'END')->start;
3001 inet n - - - - smtpd -o smtpd_sasl_auth_enable=yes -o broken_sasl_auth_clients=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
3002 inet n - - - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_client_auth_rate_limit=2
END
my $pw = $p->password('alice');
sub b64 { encode_base64($_[0], '') }
sub hello { my $c = $p->smtp($_[0] || 'submission'); $c->cmd('EHLO client.test', qr/^250 /m); return $c }

my $c = $p->smtp('submission');
like $c->cmd('EHLO client.test'), qr/^250-AUTH PLAIN LOGIN$/m, 'offered on submission';
unlike $p->smtp->cmd('EHLO client.test'), qr/AUTH/, 'not on port 25';
like hello('smtp')->cmd('AUTH PLAIN'), qr/^503 5.5.1 Error: authentication not enabled$/, 'and refused there';
like $c->cmd('MAIL FROM:<alice@example.test>'), qr/^250/, 'MAIL is allowed before';
like $c->cmd('AUTH PLAIN'), qr/^503 5.5.1 Error: MAIL transaction in progress$/, 'no AUTH within a transaction';
like $c->cmd('RCPT TO:<alice@example.test>'), qr/^554 5.7.1 .*: Recipient address rejected: Access denied$/, 'no mail before AUTH';
$c->cmd('RSET', qr/^250/);
like $c->cmd('AUTH'), qr/^501 5.5.4 Syntax: AUTH mechanism$/, 'no mechanism';
like $c->cmd('AUTH PLAIN a b'), qr/^501 5.5.4 Syntax: AUTH mechanism$/, 'too much';
like $c->cmd('AUTH GSSAPI'), qr/^535 5.7.8 Error: authentication failed: Invalid authentication mechanism$/, 'unknown mechanism';
like $c->cmd('AUTH PLAIN *'), qr/^535 5.7.8 .*Invalid base64 data/, 'not base64';
like $c->cmd('AUTH PLAIN ' . b64('alice')), qr/^535 5.7.8 .*malformed/, 'not PLAIN';
my $wrong = $c->cmd('AUTH PLAIN ' . b64("\0alice\0wrong"));
is $wrong, '535 5.7.8 Error: authentication failed: authentication failure', 'wrong password';
is $c->cmd('AUTH PLAIN ' . b64("\0nobody\0wrong")), $wrong, 'unknown user: the same words';
is $c->cmd('AUTH PLAIN ' . b64("bob\0alice\0$pw")), $wrong, 'for another user: the same words';
like $p->wait_log(qr/SASL PLAIN authentication failed: authentication failure/),
	qr{posthouse/submission/smtpd\[\d+\]: warning: \S+\[127.0.0.1\]: SASL PLAIN authentication failed: authentication failure, sasl_username=alice$}, 'logged';
$c->cmd('AUTH PLAIN', qr/^334 $/);
is $c->cmd('*'), '501 5.7.0 Authentication aborted', 'cancelled';
$p->wait_log(qr/SASL PLAIN authentication aborted$/);
$c->cmd('AUTH PLAIN', qr/^334 $/);
is $c->cmd('x' x 13000), '500 5.5.6 SASL authentication failed: message too large', 'too long';
$c->cmd('AUTH LOGIN', qr/^334 VXNlcm5hbWU6$/);
$c->cmd(b64('alice'), qr/^334 UGFzc3dvcmQ6$/);
is $c->cmd(b64($pw)), '235 2.7.0 Authentication successful', 'LOGIN';
is $c->cmd('AUTH PLAIN ' . b64("\0alice\0$pw")), '503 5.5.1 Error: already authenticated', 'not twice';
unlike $c->cmd('EHLO client.test'), qr/AUTH/, 'not offered any more';
$c->cmd('MAIL FROM:<alice@example.test> AUTH=<>', qr/^250/);
like $c->cmd('RCPT TO:<x@elsewhere.test>'), qr/^250/, 'may relay now';
$c->cmd('RSET', qr/^250/);
$c->cmd('MAIL FROM:<alice@example.test>', qr/^250/);
$c->cmd('RCPT TO:<bob@example.test>', qr/^250/);
$c->cmd('DATA', qr/^354/);
my ($id) = $c->cmd("Subject: x\r\n\r\n.", qr/^250/) =~ /queued as (\S+)/;
like $p->wait_log(qr/client=.*, sasl_method=LOGIN, sasl_username=alice$/), qr/submission/, 'the client= line';
$c->cmd('QUIT', qr/^221/);
like $p->wait_log(qr/disconnect from .* auth=/), qr/ auth=1\/\d+ /, 'counted';
$p->wait_log(qr/$id: to=<bob/);
like Posthouse::slurp($p->spool('bob')), qr/ with ESMTPA id $id/, 'Received: says ESMTPA';

$c = hello();
like $c->cmd('AUTH LOGIN ' . b64('alice'), qr/^334 UGFzc3dvcmQ6$/), qr/334/, 'LOGIN with the name at once';
like $c->cmd(b64($pw)), qr/^235/, 'and it works';
$c = hello();
like $c->cmd('AUTH plain ' . b64("alice\0alice\0$pw")), qr/^235/, 'in small letters, for oneself';
$c = $p->smtp('submission');
like $c->cmd('AUTH PLAIN'), qr/^503 5.5.1 Error: send HELO\/EHLO first/, 'not before EHLO';

# What old mail programs say, and the keyword that they look for.
for my $old ([ 'Outlook 98', 'EHLO MY_PC', 'AUTH LOGIN', qr/^334 VXNlcm5hbWU6$/ ], [ 'Outlook Express', 'EHLO mypc', 'AUTH LOGIN', qr/^334 VXNlcm5hbWU6$/ ],
	[ 'Foxmail', 'EHLO foxmail-pc', 'AUTH LOGIN ' . b64('alice'), qr/^334 UGFzc3dvcmQ6$/ ]) {
	my ($name, $ehlo, $auth, $challenge) = @$old;
	$c = $p->smtp(3001);
	like $c->cmd($ehlo), qr/^250-AUTH PLAIN LOGIN\n250-AUTH=PLAIN LOGIN$/m, "$name: AUTH=";
	$c->cmd($auth, $challenge);
	$c->cmd(b64('alice'), qr/^334 UGFzc3dvcmQ6$/) if $auth eq 'AUTH LOGIN';
	$c->cmd(b64($pw), qr/^235/);
	like $c->cmd($_), qr/^250/, "$name: $_" for 'MAIL FROM: <alice@example.test>', 'RCPT TO: <bob@example.test>', 'RCPT TO: <x@elsewhere.test>';
	$c->cmd('RSET', qr/^250/);
	$c->cmd('QUIT', qr/^221/);
}

# Passwords are not to be guessed as fast as the line allows.
$c = hello(3002);
like $c->cmd('AUTH PLAIN ' . b64("\0alice\0wrong")), qr/^535/, 'a guess' for 1 .. 2;
is $c->cmd('AUTH PLAIN ' . b64("\0alice\0$pw")), '450 4.7.1 Error: too many AUTH commands from 127.0.0.1', 'smtpd_client_auth_rate_limit';
like hello(3002)->cmd('AUTH PLAIN ' . b64("\0alice\0$pw")), qr/^450 /, 'also in another session';
$p->wait_log(qr/warning: AUTH command rate limit exceeded: 4 from \S+\[127\.0\.0\.1\] for service 3002/);
$p->stop;
done_testing;
