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

my $p = Posthouse->new(relay => '127.0.0.99', main => { sessions => 1, smtpd_error_sleep_time => 0 }, services => <<'END');
3001 inet n - - - - smtpd -o smtpd_client_connection_rate_limit=3
3002 inet n - - - - smtpd -o smtpd_client_message_rate_limit=2 -o smtpd_client_recipient_rate_limit=3
3003 inet n - - - - smtpd -o smtpd_per_request_deadline=yes -o smtpd_timeout=1s
3004 inet n - - - - smtpd -o smtpd_client_connection_rate_limit=1 -o anvil_rate_time_unit=1s
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

from('127.0.0.5', 3004)->reply(qr/^220/);
like from('127.0.0.5', 3004)->reply, qr/^421/, 'a short period';
ok $p->wait_until('the next period', sub { from('127.0.0.5', 3004)->reply =~ /^220/ }), 'is over in time';

# A byte now and then.
my $s = from('127.0.0.1', 3003);
$s->reply(qr/^220/);
my $said = '';
eval {
	local $SIG{PIPE} = 'IGNORE';
	for (1 .. 40) {
		$s->send_raw('N');
		my $rin = '';
		vec($rin, fileno $s->sock, 1) = 1;
		last if select $rin, undef, undef, 0.2;
	}
	$said = $s->reply;
};
is $said, '421 4.4.2 mail.example.test Error: timeout exceeded', 'a command has one deadline';
$p->stop;
done_testing;
