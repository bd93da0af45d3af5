#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 at the system calls of smtpd while it accepts, of qmgr while it hands out, of smtp while it relays and of bounce while it
# writes a notice; master starts them anew. Every id that was answered with 250 is in the mailbox, here exactly once; at the other site
# or in a notice at least once; and the queue ends empty.
use strict;
use warnings;
use lib 't/lib';
use POSIX qw(:sys_wait_h);
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

Posthouse::need('strace');
my $budget = $ENV{SECONDS} || 30; # of the whole; rounds of n go on until it is used up
my $begin = time;
my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test' });
$remote->start;
my $p = Posthouse->new(main => {
	relayhost => '[' . $remote->address . ']:2025', minimal_backoff_time => '1s', maximal_backoff_time => '1s', site_probe_time => '200ms',
	service_throttle_time => '1s', max_idle => '600s',
});
$p->start;
my $host = 'mail.example.test';
my %to = (here => "alice\@$host", there => 'zoe@remote.test', nowhere => 'nobody@remote.test');
my %ids = map { $_ => [] } keys %to;

sub queue_empty { ($_[0]->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ }

# A client that is not answered does not count its letter as taken.
sub try_to_send {
	my ($kind) = @_;
	my $id = eval { local $Posthouse::TIMEOUT = 10; $p->send_mail(to => $to{$kind}, from => "bob\@$host", subject => $kind) };
	push @{ $ids{$kind} }, $id if $id;
	return $id;
}

sub gone { my ($id) = @_; return !$id || $p->log_count(qr/\b$id: removed/) }

# Process ids: who of them gets the work is not ours to say.
sub workers {
	my ($role, $kind) = @_;
	my $find = sub { map { $_->[0] } grep { $_->[1] eq $role } $p->processes };
	try_to_send($kind) unless $find->();
	$p->wait_until("a process of $role", sub { my @found = $find->() });
	return $find->();
}

# strace may wait for ever for the threads of a process that was killed in the middle: then it goes, too, and they with it.
sub end_tracer {
	my ($tracer) = @_;
	my $end = time + 5;
	kill 'TERM', $tracer;
	until (waitpid $tracer, WNOHANG) {
		kill 'KILL', $tracer if time > $end;
		select undef, undef, undef, 0.01;
	}
}

# Kill the n-th time it makes this call. False: it does not make it so often.
sub kill_at {
	my ($role, $call, $n, $kind) = @_;
	my @pids = workers($role, $kind);
	my $said = $p->dir . '/said';
	unlink $said;
	my $tracer = fork;
	if ($tracer == 0) {
		open STDERR, '>', $said;
		exec 'strace', '-f', '-o', '/dev/null', '-e', "trace=$call", '-e', "inject=$call:signal=KILL:when=$n", map { ('-p', $_) } @pids or POSIX::_exit(1);
	}
	$p->wait_until('strace to attach', sub { Posthouse::slurp($said) =~ /attached|No such process/ });
	my $id = try_to_send($kind);
	my $killed;
	my $end = time + 3;
	select undef, undef, undef, 0.01 until ($killed = waitpid($tracer, WNOHANG)) || gone($id) || time > $end;
	end_tracer($tracer) unless $killed;
	return $killed || grep { !kill 0, $_ } @pids;
}

my @cases = (
	(map { [ 'smtpd', $_, 'here' ] } qw(pwritev fdatasync sendmsg sendto)),
	(map { [ 'qmgr', $_, 'here' ] } qw(recvmsg sendmsg write epoll_wait)), (map { [ 'qmgr', $_, 'nowhere' ] } qw(recvmsg sendmsg write openat)),
	(map { [ 'smtp', $_, 'there' ] } qw(sendto recvfrom pwrite64 sendmsg)), (map { [ 'smtp', $_, 'nowhere' ] } qw(openat write fsync renameat2 sendmsg)),
	(map { [ 'bounce', $_, 'nowhere' ] } qw(openat writev fsync renameat2 sendmsg write fdatasync)),
);
my %kills;
for my $n (1 .. 4) {
	for my $case (@cases) {
		my ($role, $call, $kind) = @$case;
		next if ($n > 1 && time - $begin > $budget) || $case->[3]; # the first round is always whole
		if (kill_at($role, $call, $n, $kind)) {
			$kills{$role}++;
		} else {
			$case->[3] = 1;
		}
	}
}
cmp_ok($kills{$_} || 0, '>', 0, "$_: killed " . ($kills{$_} || 0) . ' times') for qw(smtpd qmgr smtp bounce);
ok($p->wait_until('an empty queue', sub { queue_empty($p) }), 'the queue ends empty');
ok($remote->wait_until('an empty queue there', sub { queue_empty($remote) }), 'there, too');
my %n;
my $box = Posthouse::slurp($p->spool('alice'));
$n{$1}++ while $box =~ /^\s+by mail\.example\.test \(Posthouse\) with ESMTP id (\S+)$/mg;
is(join(' ', grep { ($n{$_} || 0) != 1 } @{ $ids{here} }), '', @{ $ids{here} } . ' letters are here, each once');
$box = Posthouse::slurp($remote->spool('zoe'));
is(join(' ', grep { $box !~ /with ESMTP id $_$/m } @{ $ids{there} }), '', @{ $ids{there} } . ' are at the other site');
$box = Posthouse::slurp($p->spool('bob'));
is(join(' ', grep { $box !~ /^X-\w+-Queue-ID: $_$/mi } @{ $ids{nowhere} }), '', 'of ' . @{ $ids{nowhere} } . ' the sender was told');
done_testing;
