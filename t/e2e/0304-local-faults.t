#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# System calls of local(8) that fail: the letter waits and arrives once, whatever it was that did not work.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

Posthouse::need('strace');
my $host = 'mail.example.test';
my $p = Posthouse->new(users => [qw(alice bob)], main => {
	minimal_backoff_time => '1s',
	maximal_backoff_time => '1s',
	service_throttle_time => '1s',
	max_idle => '600s',
	virtual_alias_maps => 'inline:{alice@elsewhere.test=alice@mail.example.test}',
});
my $dir = $p->dir;
Posthouse::append_file("$dir/aliases", "command: \"|cat >>$dir/out\"\nmaildir: $dir/box/\nelsewhere: alice\@elsewhere.test\n");
$p->start;

sub arrived {
	my ($what) = @_;
	my $all = join '', map { Posthouse::slurp($_) } $p->spool('alice'), "$dir/out", glob "$dir/box/new/*";
	return scalar(() = $all =~ /^Subject: \Q$what\E$/mg);
}

sub worker {
	return $p->wait_until('a worker', sub { (map { $_->[0] } grep { $_->[1] eq 'local' } $p->processes)[0] });
}

$p->send_mail(to => "alice\@$host", subject => 'first');
$p->wait_until('the first', sub { arrived('first') });
my $n = 0;
for my $case (
	[ 'alice', 'fdatasync:error=EIO' ], [ 'alice', 'pwrite64:error=ENOSPC' ], [ 'alice', 'pwrite64:error=EDQUOT' ],
	[ 'alice', 'pwrite64:error=EIO' ], [ 'alice', 'openat:error=EMFILE' ], [ 'alice', 'openat:error=ENFILE' ],
	[ 'alice', 'openat:error=EACCES' ], [ 'alice', 'newfstatat:error=EIO' ], [ 'alice', 'fcntl:error=ENOLCK' ],
	[ 'maildir', 'fsync:error=EIO' ], [ 'maildir', 'write:error=ENOSPC' ], [ 'maildir', 'openat:error=ENOSPC' ],
	[ 'command', 'clone,clone3,fork,vfork:error=EAGAIN' ], [ 'command', 'pipe2:error=EMFILE' ],
	[ 'command', 'pidfd_open:error=ENOMEM' ],
	(map { [ 'alice', 'openat:error=EIO', $_ ] } 2 .. 8), (map { [ 'maildir', 'openat:error=EACCES', $_ ] } 2 .. 8),
	(map { [ 'elsewhere', 'openat:error=ENOSPC', $_ ] } 1 .. 6), (map { [ 'elsewhere', 'pwrite64,pwritev,writev,fdatasync,fsync:error=EIO', $_ ] } 1 .. 3),
) {
	my ($to, $inject, $when) = (@$case, 1);
	my $subject = 'fault ' . ++$n;
	my $pid = worker();
	my $said = "$dir/strace.$n";
	my $tracer = fork;
	if ($tracer == 0) {
		open STDERR, '>', $said;
		exec 'strace', '-f', '-o', "$dir/trace.$n", '-e', "inject=$inject:when=$when", '-p', $pid or POSIX::_exit(1);
	}
	$p->wait_until('strace to attach', sub { Posthouse::slurp($said) =~ /attached/ });
	my $id = $p->send_mail(to => "$to\@$host", subject => $subject);
	$p->wait_log(qr/\Q$id\E: to=/, from => 0);
	kill 'TERM', $tracer;
	waitpid $tracer, 0;
	$p->tool('postqueue', '-f');
	my ($copy) = $p->wait_log(qr/\Q$id\E: to=.*status=sent/, from => 0) =~ /forwarded as (\w+)/;
	$p->wait_log(qr/\Q$copy\E: removed/, from => 0) if $copy;
	is arrived($subject), 1, "$to, $inject, call $when: arrives once";
	is $p->log_count(qr/\Q$id\E: .*status=bounced/), 0, 'and was not given up';
	my $hit = Posthouse::slurp("$dir/trace.$n") =~ /\(INJECTED\)/;
	diag "$inject, call $when was not met" unless $hit || $when > 1;
}
is +($p->tool('postqueue', '-p'))[1], "Mail queue is empty\n", 'nothing is left';

$p->stop;
done_testing;
