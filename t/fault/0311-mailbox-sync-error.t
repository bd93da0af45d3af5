#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The sync of a mailbox fails after its letters were reported as delivered: they are found, written anew, synced, and there once.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

Posthouse::need('strace');
my $p = Posthouse->new(main => { max_idle => '600s', minimal_backoff_time => '1s' });
$p->start;
$p->send_mail(to => 'alice@example.test', subject => 'first');
$p->wait_log(qr/status=sent/);
my $again = sub { my ($status, $text) = $p->tool('postqueue', '-p'); $text =~ /Mail queue is empty/ };
$p->wait_until('an empty queue', $again);
my @pids = map { $_->[0] } grep { $_->[1] eq 'local' } $p->processes;
my ($said, $trace) = map { $p->dir . "/$_" } 'said', 'trace';
my $box = $p->spool('alice');
my $tracer = fork;
if ($tracer == 0) {
	open STDERR, '>', $said;
	exec 'strace', '-f', '-y', '-s', '4096', '-o', $trace, '-P', $box, '-e', 'trace=pwrite64,fdatasync', '-e', 'inject=fdatasync:error=EIO:when=1',
		map { ('-p', $_) } @pids or POSIX::_exit(1);
}
$p->wait_until('strace to attach', sub { my $n = () = Posthouse::slurp($said) =~ /attached/g; $n >= @pids });
my $id = $p->send_mail(to => 'alice@example.test', subject => 'second');
ok($p->wait_log(qr/cannot be made durable: Input\/output error; 1 letters are delivered again/, from => 0), 'the sync failed');
ok($p->wait_log(qr/already delivered, not again: $id/, from => 0), 'the letter is found in the mailbox');
my $good = qr/fdatasync\([^\n]*EIO.*pwrite64\([^\n]*Subject: second.*fdatasync\([^\n]*\) = 0/s;
ok($p->wait_until('a sync', sub { Posthouse::slurp($trace) =~ $good }), 'and written and synced again');
kill 'TERM', $tracer;
waitpid $tracer, 0;
is(scalar(() = Posthouse::slurp($box) =~ /^Subject: second$/mg), 1, 'it is there once');
$p->stop;
$p->start;
$p->send_mail(to => 'alice@example.test', subject => 'third');
$p->wait_until('the third', sub { Posthouse::slurp($box) =~ /^Subject: third$/m });
is($p->log_count(qr/already delivered, not again: $id/), 1, 'the queue has forgotten it');
done_testing;
