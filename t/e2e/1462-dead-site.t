#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A site that is dead with a heap of letters for it: one probe at a time, however many wait; when it is back the first letter goes
# within ten seconds and the rest as fast as fresh mail would. A site that refuses some letters: only those wait.
# DEAD_LETTERS: how many (10,000 is the full size).
use strict;
use warnings;
use lib 't/lib';
use IO::Handle;
use IO::Socket::INET;
use IO::Select;
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

my $n = $ENV{DEAD_LETTERS} || ($ENV{CI} ? 2000 : 1000);
my $p = Posthouse->new(main => { minimal_backoff_time => '1h', smtp_helo_timeout => '1s', mailbox_batch_delay => 0 });
my $address = $p->address;
my $port = do { IO::Socket::INET->new(LocalAddr => $address, Listen => 1, Proto => 'tcp')->sockport };
$p->set(relayhost => "[$address]:$port");
$p->start;

# Whoever connects hears nothing: the worst kind of dead. Prints "connections, most at a time" whenever one comes.
sub silent_site {
	my $listener = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 512, ReuseAddr => 1, Proto => 'tcp') or die "listen: $!";
	my $pid = open my $out, '-|' // die "fork: $!";
	return ($pid, $out) if $pid;
	STDOUT->autoflush(1);
	my $set = IO::Select->new($listener);
	my ($total, $most) = (0, 0);
	while (1) {
		for my $s ($set->can_read) {
			if ($s == $listener) { $set->add($listener->accept); $total++ }
			elsif (!sysread $s, my $text, 4096) { $set->remove($s); close $s }
		}
		$most = $set->count - 1 if $set->count - 1 > $most;
		print "$total $most\n";
	}
}

sub load {
	my (undef, $text) = Posthouse::run("$Posthouse::TBIN/bench/source", '-a', $p->address, '-m', $n, '-l', 2000, '-c', '-t', 'zoe@far.example');
	return scalar(() = $text =~ /^accepted \S+/mg);
}

sub sink { open my $sink, '-|', "$Posthouse::TBIN/bench/sink", @_, '-n', $n, "$address:$port" or die "sink: $!"; is(scalar <$sink>, "ready\n", 'a server listens'); return $sink }
sub deferred { return scalar(() = ($p->tool('postqueue', '-j'))[1] =~ /"queue_name": "deferred"/g) }

# How fast letters go that find the site up.
my $sink = sink();
my $begun = time;
is(load(), $n, "$n letters accepted");
like(scalar <$sink>, qr/^messages=$n /, 'and sent on');
my $fresh = time - $begun;
close $sink;
$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ });

my ($pid, $out) = silent_site();
is(load(), $n, "$n letters accepted while the site is dead");
$p->wait_until('all deferred', sub { deferred() == $n }, 120);
kill 'TERM', $pid;
close $out;
($pid, $out) = silent_site(); # counts anew
my $probes = '';
$probes = <$out> until $probes =~ /^2 /;
is($probes, "2 1\n", 'two probes, one at a time');
kill 'TERM', $pid;
close $out;

$sink = sink('-c');
$begun = time;
my ($first, $last, $all);
while (my $line = <$sink>) {
	$first //= time - $begun;
	$all = $line if $line =~ /^messages=/;
}
my $took = time - $begun;
close $sink;
like($all, qr/^messages=$n recipients=$n /, 'the site is back: every letter comes');
my ($seconds) = $all =~ /seconds=([\d.]+)/;
cmp_ok($first - 1, '<', $ENV{DEAD_LETTERS} ? 10 : 20, sprintf 'the first within %.1f s', $first);
cmp_ok($seconds, '<', 3 * $fresh + 5, sprintf 'the rest in %.1f s; %d fresh letters took %.1f s', $seconds, $n, $fresh);
$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ }, 60);

# A site that refuses some, for now: only those wait.
my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test',
	smtpd_recipient_restrictions => 'check_recipient_access inline:{ { later@remote.test = 450 4.7.1 come later } }, reject_unauth_destination',
	local_recipient_maps => '', local_transport => 'discard:' });
$remote->start;
$p->set(relayhost => '[' . $remote->address . ']:2025');
$p->reload;
my (@refused, @taken);
for my $i (1 .. 60) {
	push @{ $i % 3 ? \@taken : \@refused }, $p->send_mail(to => ($i % 3 ? 'zoe' : 'later') . '@remote.test');
}
my $both = $p->send_mail(to => [ 'zoe@remote.test', 'later@remote.test' ]);
$p->wait_log(qr/$_: removed/, from => 0) for @taken;
$p->wait_log(qr/$both: to=<zoe\@remote\.test>.*status=sent/, from => 0);
$p->wait_log(qr/$_: to=<later\@remote\.test>.*status=deferred \(host .* said: 450 4\.7\.1 .*come later/, from => 0) for @refused, $both;
$p->wait_until('the refused to sleep', sub { deferred() == @refused + 1 });
is($p->log_count(qr{to=<\w+\@remote\.test>.*suspended}), 0, 'the site does not count as down');
is($p->log_count(qr/(?:@{[ join '|', @taken ]}): to=.*status=deferred/), 0, 'nothing else waits');
done_testing;
