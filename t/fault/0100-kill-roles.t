#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of each kind of process in turn under load, and of all at once. Every id answered with 250 is in a mailbox, exactly once.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my @users = map { "user$_" } 0 .. 19;
my $load = $ENV{LOAD} || 300;

# ids in mailboxes => how often
sub delivered {
	my ($p) = @_;
	my %n;
	for my $user (@users) {
		my $text = Posthouse::slurp($p->spool($user));
		$n{$1}++ while $text =~ /^\s+by \S+ \(Posthouse\) with ESMTP id (\S+)$/mg;
	}
	return \%n;
}

sub queue_empty {
	my ($p) = @_;
	my ($status, $text) = $p->tool('postqueue', '-p');
	return $text =~ /Mail queue is empty/;
}

# Load in a child; returns a handle that gives the ids when it ends.
sub start_load {
	my ($p) = @_;
	my $pid = open my $out, '-|', 'sh', '-c',
		"exec $Posthouse::TBIN/bench/source -a " . $p->address . " -s 10 -m $load -l 2000 -u 20 -c 2>/dev/null";
	die "fork: $!" unless $pid;
	return $out;
}

sub finish_load {
	my ($out) = @_;
	my @ids;
	while (<$out>) {
		push @ids, $1 if /^accepted (\S+)/;
	}
	close $out;
	return @ids;
}

sub kill_all {
	my ($p, @programs) = @_;
	my $killed = 0;
	for ($p->processes) {
		my ($pid, $name) = @$_;
		$killed += kill 'KILL', $pid if grep { $_ eq $name } @programs;
	}
	return $killed;
}

for my $victims (['smtpd'], ['qmgr'], ['local'], ['master'], [qw(master smtpd qmgr local)]) {
	my $what = join ' ', @$victims;
	my $p = Posthouse->new(users => \@users, main => { minimal_backoff_time => '1s', maximal_backoff_time => '2s' });
	$p->start;
	my $out = start_load($p);
	# In the middle of it: some were delivered, some were not.
	$p->wait_until('deliveries', sub { $p->log_count(qr/status=sent/) >= $load / 10 });
	ok(kill_all($p, @$victims) > 0, "$what: killed");
	# A process that was killed is not gone at once.
	$p->wait_until("the end of master", sub { !$p->pid }) if grep { $_ eq "master" } @$victims;
	my @ids = finish_load($out);
	cmp_ok(scalar @ids, '>', 0, "$what: " . @ids . ' letters were answered with 250');
	$p->start unless $p->pid;
	$p->wait_until('an empty queue', sub { queue_empty($p) }, 60);
	my $n = delivered($p);
	my @lost = grep { !$n->{$_} } @ids;
	my @double = grep { $n->{$_} > 1 } keys %$n;
	is("@lost", '', "$what: none is lost");
	is("@double", '', "$what: none is doubled");
	$p->stop;
}
done_testing;
