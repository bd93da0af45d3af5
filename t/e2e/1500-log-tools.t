#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Programs that read the log of Postfix and Dovecot read ours: pflogsumm counts what happened, fail2ban sees who to ban.
use strict;
use warnings;
use Test::More;
use Posthouse;

Posthouse::need(qw(pflogsumm fail2ban-regex));
my $p = Posthouse->new(relay => '127.0.0.99', main => { syslog_name => 'postfix', auth_failure_delay => '0s',
	smtpd_relay_restrictions => 'permit_mynetworks, reject_unauth_destination' })->start;

$p->send_mail(to => 'alice@example.test') for 1 .. 5;
$p->send_mail(to => [ 'alice@example.test', 'bob@example.test' ]);
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250/);
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$c->cmd('RCPT TO:<nobody-here@example.test>', qr/^550/);
$c->cmd('RCPT TO:<who@elsewhere.test>', qr/^554/);
$c->cmd('QUIT', qr/^221/);
my $imap = $p->imap;
$imap->imap('LOGIN alice wrong', qr/^\S+ NO/);
$imap->imap('LOGOUT');
my $pop = $p->pop3;
$pop->cmd1('USER alice', qr/^\+OK/);
$pop->cmd1('PASS wrong', qr/^-ERR/);
$pop->cmd1('QUIT', qr/^\+OK/);
$p->wait_until('7 deliveries', sub { $p->log_count(qr/status=sent/) == 7 });
$p->wait_until('the ends of the logins', sub { $p->log_count(qr/(imap|pop3)-login: (Disconnected|Aborted login)/) == 2 });
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

sub fail2ban {
	my ($filter, $want) = @_;
	my ($s, $out) = Posthouse::run('fail2ban-regex', '--print-all-matched', $p->maillog, $filter);
	my ($matched) = $out =~ /^Lines: .* (\d+) matched/m;
	is $matched, $want, "fail2ban $filter" or diag $out;
}
fail2ban('postfix', 2);
fail2ban('dovecot', 4); # what auth says, and what login says
done_testing;
