#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# smtpd_client_*_rate_limit over all processes, and what is too slow under smtpd_per_request_deadline.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;
use Tls;

Posthouse::need('openssl');

my $p = Posthouse->new(tls => 1, relay => '127.0.0.99', main => { sessions => 1, smtpd_error_sleep_time => 0 }, services => <<'END');
3001 inet n - - - - smtpd -o smtpd_client_connection_rate_limit=3
3002 inet n - - - - smtpd -o smtpd_client_message_rate_limit=2 -o smtpd_client_recipient_rate_limit=3
3003 inet n - - - - smtpd -o smtpd_per_request_deadline=yes -o smtpd_timeout=1s
3004 inet n - - - - smtpd -o smtpd_client_connection_rate_limit=1 -o anvil_rate_time_unit=1s
3005 inet n - - - - smtpd -o smtpd_client_new_tls_session_rate_limit=2
3006 inet n - - - - smtpd -o smtpd_client_new_tls_session_rate_limit=2 -o smtpd_tls_wrappermode=yes
3007 inet n - - - - smtpd -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_hosts=127.0.0.1 -o smtpd_client_connection_rate_limit=2
3008 inet n - - - - smtpd -o smtpd_per_request_deadline=yes -o smtpd_timeout=3s -o smtpd_min_data_rate=10000
END
$p->start;

sub from {
	my ($address, $port) = @_;
	return Posthouse::Conn->new(IO::Socket::INET->new(LocalAddr => $address, PeerAddr => $p->address, PeerPort => $port) || die($!), $p);
}

for (1 .. 3) { from('127.0.0.1', 3001)->reply(qr/^220/) }
my $over = from('127.0.0.1', 3001);
is $over->reply, '421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1', 'one connection more';
ok $over->eof, 'is closed';
$p->wait_log(qr/warning: Connection rate limit exceeded: 4 from \S+\[127\.0\.0\.1\] for service 3001/);
like from('127.0.0.2', 3001)->reply, qr/^220/, 'somebody else is served';
like from('127.0.0.99', 3001)->reply, qr/^220/, 'an exception';
like from('127.0.0.1', 3002)->reply(qr/^220/), qr/^220/, 'each service counts for itself';

my $c = from('127.0.0.1', 3002);
$c->reply(qr/^220/);
$c->cmd('EHLO c', qr/^250/);
for (1 .. 2) { $c->cmd('MAIL FROM:<x@y.test>', qr/^250/); $c->cmd('RSET', qr/^250/) }
is $c->cmd('MAIL FROM:<x@y.test>'), '450 4.7.1 Error: too much mail from 127.0.0.1', 'messages';
my $d = from('127.0.0.3', 3002);
$d->reply(qr/^220/);
$d->cmd('EHLO c', qr/^250/);
$d->cmd('MAIL FROM:<x@y.test>', qr/^250/);
$d->cmd('RCPT TO:<alice@example.test>', qr/^250/) for 1 .. 3;
is $d->cmd('RCPT TO:<bob@example.test>'), '450 4.7.1 Error: too many recipients from 127.0.0.3', 'recipients';

# One network is one client: who has a /64 has as many addresses as he likes.
sub six {
	my ($address) = @_;
	my $c = from('127.0.0.1', 3007);
	$c->send_raw("PROXY TCP6 $address 2001:db8::25 4711 25\r\n");
	return $c->reply;
}
like six("2001:db8:1:1::$_"), qr/^220/, "IPv6, $_" for 1 .. 2;
like six('2001:db8:1:1:ffff::3'), qr/^421 4\.7\.0 \S+ Error: too many connections from 2001:db8:1:1:ffff::3$/, 'another address of the same /64';
like six('2001:db8:1:2::1'), qr/^220/, 'another /64';

from('127.0.0.5', 3004)->reply(qr/^220/);
like from('127.0.0.5', 3004)->reply, qr/^421/, 'a short period';
ok $p->wait_until('the next period', sub { from('127.0.0.5', 3004)->reply =~ /^220/ }), 'is over in time';

subtest 'new TLS sessions' => sub {
	my $begin = sub {
		my ($address) = @_;
		my $c = from($address, 3005);
		$c->reply(qr/^220/);
		$c->cmd('EHLO c', qr/^250/);
		return $c;
	};
	my $tls = sub {
		my ($address, %o) = @_;
		my $c = $begin->($address);
		$c->cmd('STARTTLS', qr/^220/);
		return $c->tls(%o);
	};
	my @here = (3005, '-starttls', 'smtp', '-tls1_2', '-bind', '127.0.0.7:0');
	my $ticket = $p->dir . '/ticket';
	like s_client($p, @here, '-sess_out', $ticket), qr/^New, .*^221 /ms, 'one';
	like s_client($p, @here, '-sess_in', $ticket), qr/^Reused, .*^221 /ms, 'resumed: does not count' for 1 .. 4;
	like $tls->('127.0.0.7')->cmd('NOOP'), qr/^250/, 'two';
	my $c = $tls->('127.0.0.7');
	like $c->reply, qr/^421 4\.7\.0 mail\.example\.test Error: too many new TLS sessions from \S+\[127\.0\.0\.7\]$/, 'one more';
	ok $c->eof, 'is closed';
	$p->wait_log(qr/warning: New TLS session rate limit exceeded: 3 from \S+\[127\.0\.0\.7\] for service 3005/);
	$c = $begin->('127.0.0.7');
	like $c->cmd('STARTTLS'), qr/^454 4\.7\.0 Error: too many new TLS sessions from \S+\[127\.0\.0\.7\]$/, 'the next one is refused before the handshake';
	$p->wait_log(qr/warning: Refusing STARTTLS request from \S+\[127\.0\.0\.7\] for service 3005/);
	like $c->cmd('NOOP'), qr/^250/, 'and the session goes on in the clear';
	like $tls->('127.0.0.8')->cmd('NOOP'), qr/^250/, 'somebody else is served';
	like $tls->('127.0.0.99')->cmd('NOOP'), qr/^250/, 'an exception' for 1 .. 4;

	# A handshake that fails costs as much.
	for (1 .. 3) {
		my $d = $begin->('127.0.0.9');
		$d->cmd('STARTTLS', qr/^220/);
		$d->send_raw("no TLS at all\r\n\r\n");
		ok $d->eof, 'a handshake fails';
	}
	like $begin->('127.0.0.9')->cmd('STARTTLS'), qr/^454 4\.7\.0 Error: too many new/, 'that counts, too';

	for (1 .. 2) { like from('127.0.0.7', 3006)->tls->reply, qr/^220/, 'implicit TLS' }
	like from('127.0.0.7', 3006)->tls->reply, qr/^421 4\.7\.0 \S+ Error: too many new TLS sessions from/, 'one more';
	ok from('127.0.0.7', 3006)->eof, 'and then the connection is closed';
	$p->wait_log(qr/warning: Refusing TLS service request from \S+\[127\.0\.0\.7\] for service 3006/);
};

# A byte now and then.
sub trickle {
	my ($s) = @_;
	my $said = '';
	eval {
		local $SIG{PIPE} = 'IGNORE';
		for (1 .. 60) {
			$s->send_raw('N');
			my $rin = '';
			vec($rin, fileno $s->sock, 1) = 1;
			last if select $rin, undef, undef, 0.2;
		}
		$said = $s->reply;
	};
	return $said;
}
my $s = from('127.0.0.1', 3003);
$s->reply(qr/^220/);
is trickle($s), '421 4.4.2 mail.example.test Error: timeout exceeded', 'a command has one deadline';
$s = from('127.0.0.1', 3008);
$s->reply(qr/^220/);
$s->cmd($_, qr/^[23]/) for 'EHLO c', 'MAIL FROM:<x@y.test>', 'RCPT TO:<alice@example.test>', 'DATA';
$s->send_raw("Subject: x\r\n\r\n" . ('x' x 70 . "\r\n") x 10);
is trickle($s), '421 4.4.2 mail.example.test Error: timeout exceeded', 'content slower than smtpd_min_data_rate';
like $p->wait_log(qr/timeout after DATA/), qr/timeout after DATA \(\d+ bytes\) from \S+\[127\.0\.0\.1\]/, 'logged';
$p->stop;
done_testing;
