#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the delivery agents and of qmgr while mail is relayed to another site. Every id answered with 250 arrives; twice only
# where the other side had the letter and its answer was lost with the process.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $load = $ENV{LOAD} || 400;
my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test' });
$remote->start;

sub queue_empty { ($_[0]->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ }

for my $victim (qw(smtp qmgr)) {
	my $p = Posthouse->new(main => { relayhost => '[' . $remote->address . ']:2025', minimal_backoff_time => '1s', site_probe_time => '200ms' });
	$p->start;
	my $pid = open my $out, '-|', "$Posthouse::TBIN/bench/source", '-a', $p->address, '-s', 10, '-m', $load, '-l', 3000, '-c', '-t', 'zoe@remote.test'
		or die "fork: $!";
	my $kills = 0;
	for my $share (1 .. 3) {
		$p->wait_until('deliveries', sub { $p->log_count(qr/status=sent/) >= $load * $share / 8 });
		$kills += kill 'KILL', $_->[0] for grep { $_->[1] eq $victim } $p->processes;
	}
	ok($kills, "$victim: killed $kills times");
	my @ids = map { /^accepted (\S+)/ ? $1 : () } <$out>;
	close $out;
	is(scalar @ids, $load, "$victim: all letters are accepted meanwhile");
	$p->wait_until('an empty queue', sub { queue_empty($p) }, 60);
	$remote->wait_until('deliveries there', sub { queue_empty($remote) }, 60);
	my (%n, $double);
	my $box = Posthouse::slurp($remote->spool('zoe'));
	$n{$1}++ while $box =~ /^\s+by mail\.example\.test \(Posthouse\) with ESMTP id (\S+)$/mg;
	is(join(' ', grep { !$n{$_} } @ids), '', "$victim: none is lost");
	$double = grep { ($n{$_} || 0) > 1 } @ids;
	# A killed smtp had at most one letter per connection under way.
	cmp_ok($double, '<=', $victim eq 'smtp' ? 3 * 20 : 0, "$victim: $double arrived twice");
	is((grep { $_ > 2 } values %n), 0, "$victim: none more often") if $victim eq 'qmgr';
	$p->stop;
}
done_testing;
