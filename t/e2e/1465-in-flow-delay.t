#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# in_flow_delay: while new mail waits for a place of qmgr_message_active_limit a session waits before it takes one more letter, and
# goes on at once when there are places again.
use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

# Both places are taken by letters for a site that takes connections and says nothing; a third letter has none.
sub full {
	my ($delay) = @_;
	my $p = Posthouse->new(main => { qmgr_message_active_limit => 2, in_flow_delay => $delay, minimal_backoff_time => '1h', smtp_helo_timeout => '300s' });
	my $site = IO::Socket::INET->new(LocalAddr => $p->address, Listen => 64, Proto => 'tcp') or die "listen: $!";
	$p->set(relayhost => '[' . $p->address . ']:' . $site->sockport);
	$p->start;
	my $c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250 /m);
	letter($c) for 1 .. 3;
	$p->wait_until('one without a place', sub { listed($p, 'incoming') == 1 && listed($p, 'active') == 2 });
	return ($p, $c, $site);
}

# How long it took to be accepted.
sub letter {
	my ($c) = @_;
	my $begun = time;
	begin_letter($c);
	end_letter($c);
	return time - $begun;
}

sub begin_letter {
	my ($c) = @_;
	$c->cmd('MAIL FROM:<a@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<zoe@far.example>', qr/^250/);
	$c->send_raw("DATA\r\n");
}

sub end_letter {
	my ($c) = @_;
	$c->reply(qr/^354/);
	$c->cmd("Subject: x\r\n\r\nx\r\n.", qr/^250/);
}

sub listed { my ($p, $state) = @_; return scalar(() = ($p->tool('postqueue', '-j'))[1] =~ /"queue_name": "$state"/g) }

my ($p, $c, $site) = full('2s');
my $took = letter($c);
cmp_ok($took, '>=', 1.9, sprintf 'the next one is taken after in_flow_delay (%.2f s)', $took);
is(listed($p, 'incoming'), 2, 'and waits in the queue');
$p->stop;

($p, $c, $site) = full('300s');
begin_letter($c);
my $now = time;
ok(!IO::Select->new($c->sock)->can_read(1), 'it is not taken at once');
$site->close; # its mail sleeps, and the places are free
end_letter($c);
cmp_ok(time - $now, '<', 200, 'it is taken before the delay is over, because there is a place');
$p->wait_until('all asleep', sub { listed($p, 'deferred') == 4 }, 60);
$p->stop;

($p, $c, $site) = full(0);
letter($c);
is(listed($p, 'incoming'), 2, '0: no delay');
$p->stop;
done_testing;
