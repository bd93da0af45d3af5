#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The highest counts and rates of clients in the log, over all processes: now and then, and when nobody is left to be counted.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;
use Postfix;

my $date = qr/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d/;

sub from {
	my ($p, $address, $port) = @_;
	my $c = Posthouse::Conn->new(IO::Socket::INET->new(LocalAddr => $address, PeerAddr => $p->address, PeerPort => $port) || die($!), $p);
	$c->reply(qr/^220/);
	return $c;
}

sub letter {
	my ($c, $recipients) = @_;
	$c->cmd('EHLO c', qr/^250/);
	$c->cmd('MAIL FROM:<>', qr/^250/);
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/) for 1 .. $recipients;
	$c->cmd('RSET', qr/^250/);
	$c->cmd('QUIT', qr/^221/);
	$c->eof;
}

my %limits = (smtpd_client_message_rate_limit => 50, smtpd_client_recipient_rate_limit => 50);
my $p = Posthouse->new(relay => '127.0.0.99', main => { sessions => 1, anvil_status_update_time => '1s' }, services => <<'END');
3001 inet n - - - - smtpd -o smtpd_client_message_rate_limit=50 -o smtpd_client_recipient_rate_limit=50
3002 inet n - - - - smtpd -o smtpd_client_ipv4_prefix_length=24
3003 inet n - - - - smtpd
END
$p->start;

# A number that was logged is logged again only when it was reached again, so each client is a little busier than the one before.
my @held = map { from($p, '127.0.0.1', 3001) } 1 .. 3;
$p->wait_log(qr{posthouse/anvil\[\d+\]: statistics: max connection count 3 for \(3001:127\.0\.0\.1\) at $date$}m, from => 0);
$p->wait_log(qr{posthouse/anvil\[\d+\]: statistics: max connection rate 3/60s for \(3001:127\.0\.0\.1\) at $date$}m, from => 0);
letter($_, 2) for @held;
$p->wait_log(qr{anvil\[\d+\]: statistics: max message rate 3/60s for \(3001:127\.0\.0\.1\) at $date$}m, from => 0);
$p->wait_log(qr{anvil\[\d+\]: statistics: max recipient rate 6/60s for \(3001:127\.0\.0\.1\) at $date$}m, from => 0);
pass 'counts and rates of one client, over all processes';

from($p, "127.0.0.$_", 3002)->cmd('QUIT', qr/^221/) for 10 .. 13;
$p->wait_log(qr{statistics: max connection rate 4/60s for \(3002:127\.0\.0\.0/24\) at $date$}m, from => 0);
pass 'a network is one client';
$p->wait_log(qr{statistics: max cache size \d+ at $date$}m, from => 0);
from($p, '127.0.0.99', 3003)->cmd('QUIT', qr/^221/) for 1 .. 6;
from($p, '127.0.0.20', 3003)->cmd('QUIT', qr/^221/) for 1 .. 5;
$p->wait_log(qr{statistics: max connection rate 5/60s for \(3003:127\.0\.0\.20\) at $date$}m, from => 0);
unlike Posthouse::slurp($p->maillog), qr/statistics: .*127\.0\.0\.99/, 'an exception is not counted';
$p->stop;

# The service becomes idle: the same lines as Postfix writes.
sub idle_lines {
	my ($server, $port) = @_;
	$server->start;
	letter(from($server, '127.0.0.1', $port), 1);
	$server->wait_log(qr/anvil\[\d+\]: statistics: max cache size \d+ at/);
	my $log = Posthouse::slurp($server->maillog);
	$server->stop;
	return [ map { s/ for \(\S+:127/ for (SERVICE:127/r =~ s/$date$/DATE/r } $log =~ m{/anvil\[\d+\]: (statistics: .*)}g ];
}

# Postfix does not leave before the unit of time is over.
my %idle = (max_idle => '1s', anvil_rate_time_unit => '4s', smtpd_relay_restrictions => 'permit_auth_destination, reject', %limits);
my $ours = idle_lines(Posthouse->new(relay => '127.0.0.99', main => \%idle), 2025);
is_deeply $ours, [ 'statistics: max connection rate 1/4s for (SERVICE:127.0.0.1) at DATE',
	'statistics: max connection count 1 for (SERVICE:127.0.0.1) at DATE',
	'statistics: max message rate 1/4s for (SERVICE:127.0.0.1) at DATE',
	'statistics: max recipient rate 1/4s for (SERVICE:127.0.0.1) at DATE', 'statistics: max cache size 1 at DATE' ], 'when it was idle';
SKIP: {
	skip 'Postfix is not installed, or this is not root', 1 if !Postfix::installed() || $>;
	my $theirs = idle_lines(Postfix->new(main => { %idle, mynetworks => '127.0.0.99', mydestination => 'example.test', local_recipient_maps => '' }), 25);
	is_deeply $ours, $theirs, 'as Postfix says it';
}
done_testing;
