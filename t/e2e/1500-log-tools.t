#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Programs that read the log of Postfix and Dovecot read ours: pflogsumm counts what happened, fail2ban sees who to ban.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use Posthouse;

Posthouse::need(qw(pflogsumm fail2ban-regex));
my %main = (auth_failure_delay => '0s', auth_mechanisms => 'plain login cram-md5 scram-sha-256', smtpd_hard_error_limit => 100,
	smtpd_soft_error_limit => 100, smtpd_relay_restrictions => 'permit_mynetworks, reject_unauth_destination');
sub b64 { encode_base64($_[0], '') }

sub fail2ban {
	my ($log, $filter, $want, $what) = @_;
	my ($s, $out) = Posthouse::run('fail2ban-regex', '--print-all-matched', $log, $filter);
	my ($matched) = $out =~ /^Lines: .* (\d+) matched/m;
	$filter =~ s{.*/}{};
	is $matched, $want, "fail2ban $filter: $what" or diag $out;
}

# What is tried below: one IMAP and one POP3 session that fail, and six AUTH of SMTP, two of them with SCRAM.
sub fail_to_log_in {
	my ($p) = @_;
	my $imap = $p->imap;
	$imap->imap('LOGIN alice wrong', qr/^\S+ NO/);
	$imap->imap('LOGOUT');
	my $pop = $p->pop3;
	$pop->cmd1('USER nobody-here', qr/^\+OK/);
	$pop->cmd1('PASS wrong', qr/^-ERR/);
	$pop->cmd1('QUIT', qr/^\+OK/);
	my $c = $p->smtp('submission');
	$c->cmd('EHLO client.test', qr/^250/);
	$c->cmd('AUTH PLAIN ' . b64("\0$_\0wrong"), qr/^535/) for 'alice', 'nobody-here';
	$c->cmd('AUTH LOGIN ' . b64('alice'), qr/^334/);
	$c->cmd(b64('wrong'), qr/^535/);
	my $challenge = $c->cmd('AUTH CRAM-MD5', qr/^334/);
	$c->cmd(b64('alice ' . '0' x 32), qr/^535/);
	for my $user ('alice', 'nobody-here') {
		my ($nonce) = decode_base64(substr $c->cmd('AUTH SCRAM-SHA-256 ' . b64("n,,n=$user,r=x"), qr/^334/), 4) =~ /^r=([^,]+)/;
		$c->cmd(b64("c=biws,r=$nonce,p=" . b64('x' x 32)), qr/^535/);
	}
	$c->cmd('AUTH GSSAPI', qr/^535/); # nobody's password was tried
	$c->cmd('QUIT', qr/^221/);
	$p->wait_until('the ends of the logins', sub { $p->log_count(qr/(imap|pop3)-login: (Disconnected|Aborted login)/) == 2 });
	$p->wait_log(qr/disconnect from .* auth=/);
}

my $p = Posthouse->new(relay => '127.0.0.99', scheme => 'PLAIN', main => { %main, syslog_name => 'postfix' })->start;
$p->send_mail(to => 'alice@example.test') for 1 .. 5;
$p->send_mail(to => [ 'alice@example.test', 'bob@example.test' ]);
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250/);
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$c->cmd('RCPT TO:<nobody-here@example.test>', qr/^550/);
$c->cmd('RCPT TO:<who@elsewhere.test>', qr/^554/);
$c->cmd('QUIT', qr/^221/);
fail_to_log_in($p);
$p->wait_until('7 deliveries', sub { $p->log_count(qr/status=sent/) == 7 });
$p->stop;

my ($status, $text) = Posthouse::run('pflogsumm', $p->maillog);
is $status, 0, 'pflogsumm runs';
my %count = map { /^\s+(\d+)\s+(received|delivered|deferred|bounced|rejected|senders|recipients)\b/ ? ($2 => $1) : () } split /\n/, $text;
is $count{received}, 6, 'received';
is $count{delivered}, 7, 'delivered';
is $count{rejected}, 2, 'rejected';
is $count{bounced}, 0, 'bounced';
like $text, qr/^Host\/Domain Summary: Message Delivery.*?^\s+7\s.*example\.test/ms, 'delivered to our domain';
like $text, qr/User unknown in local recipient table.*?nobody-here/s, 'the reasons of refusals';

my $ours = "$Posthouse::TOP/conf/fail2ban/filter.conf";
fail2ban($p->maillog, 'postfix', 2, 'refused mail');
fail2ban($p->maillog, 'postfix[mode=auth]', 4, 'AUTH, as far as it knows the mechanism');
fail2ban($p->maillog, 'dovecot', 2, 'IMAP and POP3: the sessions, once');
fail2ban($p->maillog, $ours, 10, 'all of them, once');
fail2ban($p->maillog, "$ours" . q{[mode=auth]}, 8, 'all failed logins, once');

# Dovecot's filter counts the reason as well where it is logged; ours does not.
$p = Posthouse->new(relay => '127.0.0.99', scheme => 'PLAIN', main => { %main, auth_verbose => 'yes' })->start;
fail_to_log_in($p);
$p->stop;
like Posthouse::slurp($p->maillog), qr/auth: passwd-file\(nobody-here,127\.0\.0\.1\): unknown user$/m, 'auth_verbose tells the reason';
fail2ban($p->maillog, $ours, 8, 'auth_verbose, another syslog_name');
done_testing;
