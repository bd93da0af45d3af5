#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Killed workers are replaced, services that keep dying are held back, and nothing survives master.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], master => <<'END', main => { sessions => 5, service_throttle_time => '2s', stop_timeout => '1s' });
2701 inet n - - - 3 echo
2702 inet n - - - 3 echo -T
2703 inet n - - - 3 echo -B start
2704 inet n - - - 3 echo -B session
2705 inet n - - - 3 echo -o sessions=wrong
END
$p->start;

sub session {
	my ($port) = @_;
	my $c = $p->connect($port);
	my ($pid) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
	return ($c, $pid);
}

for my $port (2701, 2702) {
	my ($c, $pid) = session($port);
	kill 'KILL', $pid;
	ok $c->eof, "kill -9 of a worker of $port ends its session";
	(my $d, my $next) = session($port);
	isnt $next, $pid, 'and the next one has a new worker';
	like $p->wait_log(qr/killed by signal/), qr{warning: process \S+/echo pid $pid killed by signal 9$}, 'logged';
}

# A crash loop: tried again after growing pauses, while the others live.
my $hopeless = $p->connect(2703);
my $from = time;
$p->wait_log(qr{fatal: told to fail}) for 1 .. 3;
cmp_ok time - $from, '>', 1, 'a service that dies at once is not tried in a tight loop';
$p->wait_log(qr{warning: process \S+/echo pid \d+ exit status 1}, from => 0);
$p->wait_log(qr{warning: \S+/echo: bad command startup -- throttling});
pass 'logged as Postfix does';
# Between two pauses it is tried again, and is not throttled while that goes on.
$p->wait_until('status to show it', sub { ($p->tool('posthouse', 'status'))[1] =~ /2703 .* throttled for/ });
pass 'status shows it';
$p->wait_until('the third failure to be counted', sub { $p->status->{'2703/inet'}{failures} >= 3 });
pass 'and counts the failures';
(my $alive) = session(2701);
pass 'other services are not touched';
$hopeless->close;

my $crash = $p->connect(2704);
ok $crash->eof, 'a crash in a session ends the session';
$p->wait_log(qr/killed by signal 6/);
pass 'and is logged';

my $wrong = $p->connect(2705);
$p->wait_log(qr/sessions = wrong/);
pass 'a wrong -o is named in the log';
$wrong->close;

# Master itself.
my ($c1, $pid1) = session(2701);
my ($c2, $pid2) = session(2702);
my $master = $p->pid;
kill 'KILL', $master;
$p->wait_until('the lock to be free', sub { !$p->pid });
$p->start;
pass 'a new master starts at once, even while old workers are leaving';
isnt $p->pid, $master, 'it is another';
is $c1->line, 'bye: stopping', 'sessions of the old one are told';
is $c2->line, 'bye: stopping', 'in single-session workers too';
$p->wait_until('old workers to go', sub { !kill(0, $pid1) && !kill(0, $pid2) });
pass 'workers do not survive their master';
ok + (session(2701))[1], 'and the new one serves';

# A session that does not end is ended.
my ($stuck, $stuck_pid) = session(2702);
kill 'STOP', $stuck_pid;
$from = time;
$p->stop;
cmp_ok time - $from, '<', 10, 'a hanging worker does not hold up the stop';
is scalar($p->processes), 0, 'nothing is left';
$p->start;
my ($c3) = session(2701);
is + ($p->tool('posthouse', 'abort'))[0], 0, 'abort';
is $p->pid, 0, 'is a stop';
done_testing;
