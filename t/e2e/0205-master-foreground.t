#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# In the foreground: log on standard output, the service manager's protocols, process 1; wakeup, singletons, orphans.
use strict;
use warnings;
use Test::More;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], main => { stop_timeout => '2s' }, master => <<'END');
2701 inet n - - - 3 echo
waker unix - - - 1 1 echo -R
never unix - - - 1? 1 echo -R
END
my $posthouse = "$Posthouse::BIN/posthouse";

# A service manager: datagrams as they come.
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $p->dir . '/notify') or die $!;
sub told {
	my ($re) = @_;
	my $text = '';
	local $SIG{ALRM} = sub { die "the service manager was not told $re, but <$text>\n" };
	alarm $Posthouse::TIMEOUT;
	do { $notify->recv($text, 4096) // die $! } until $text =~ $re;
	alarm 0;
	return $text;
}

# start-fg as a child of ours, its standard output in a pipe; listen: a socket to pass as descriptor 3.
sub foreground {
	my (%o) = @_;
	pipe my $out, my $in or die $!;
	my $pid = fork // die $!;
	if ($pid == 0) {
		POSIX::setpgid(0, 0);
		open STDOUT, '>&', $in or die $!;
		open STDERR, '>&', $in or die $!;
		$ENV{NOTIFY_SOCKET} = $p->dir . '/notify';
		$ENV{WATCHDOG_USEC} = 2_000_000;
		if ($o{listen}) {
			@ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
			POSIX::dup2(fileno $o{listen}, 3);
			fcntl(STDIN, 0, 0);
			$^F = 10;
			open my $keep, '<&=', 3 or die $!;
			fcntl $keep, 2, 0; # F_SETFD: not close-on-exec
			exec $posthouse, '-c', $p->dir, 'start-fg';
		}
		exec @{ $o{wrap} || [] }, $posthouse, '-c', $p->dir, 'start-fg';
	}
	close $in;
	return ($pid, $out);
}

$p->set(maillog_file => '/dev/stdout');
my ($pid, $out) = foreground();
like told(qr/READY=1/), qr/MAINPID=$pid/, 'READY=1, with the main process';
told(qr/WATCHDOG=1/) for 1 .. 2;
pass 'the watchdog is fed';
like scalar(<$out>), qr/^\w+ +\d+ [\d:]+ \S+ posthouse\/master\[$pid\]: daemon started/, 'the log comes on standard output';

my $log = '';
$log .= <$out> until $log =~ /: running\n.*: woken\n/s;
pass 'a service with a wakeup time runs and is woken';
my $c = $p->connect(2701);
$c->expect(qr/^hello/);
my ($orphan) = $c->cmd1('orphan', qr/^orphan \d+/) =~ /(\d+)/;
# Signs of life that nobody took fill the socket, which holds ten: master would wait, and give up.
$notify->blocking(0);
1 while defined $notify->recv(my $old, 4096);
$notify->blocking(1);
$p->reload;
like told(qr/RELOADING=1/), qr/MONOTONIC_USEC=\d+/, 'RELOADING=1, with the time';
told(qr/READY=1/);
pass 'and READY=1 again';
kill 'TERM', $pid;
told(qr/STOPPING=1/);
pass 'STOPPING=1';
waitpid $pid, 0;
is $?, 0, 'SIGTERM is an orderly stop';
is $c->line, 'bye: stopping', 'for sessions too';
ok !kill(0, $orphan), 'a process that a worker left behind, deaf to SIGTERM, is gone';
$log .= join '', <$out>;
is scalar(() = $log =~ /: running\n/g), 2, 'once before and once after the reload; one with "?" not before it is used';

# Socket activation: the socket is ours, an address that master itself would refuse to bind twice.
my $mine = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1, LocalAddr => $p->address, LocalPort => 2701) or die $!;
my $early = $p->connect(2701);
($pid, $out) = foreground(listen => $mine);
told(qr/READY=1/);
close $mine;
$early->expect(qr/^hello/);
pass 'a client that came before the start is served';
kill 'TERM', $pid;
waitpid $pid, 0;

# Process 1 of a container.
SKIP: {
	skip 'needs pid namespaces', 3 if system 'unshare -pf --mount-proc true 2>/dev/null';
	($pid, $out) = foreground(wrap => [qw(unshare -pf --kill-child --mount-proc)]);
	like told(qr/READY=1/), qr/MAINPID=1$/m, 'runs as process 1';
	$c = $p->connect(2701);
	$c->expect(qr/^hello/);
	is $c->cmd1('ping', qr/./), 'ping', 'and serves';
	is + ($p->tool('posthouse', 'stop'))[0], 0, 'and stops';
	waitpid $pid, 0;
}

# Exclusive: the next one waits until the one before has left.
Posthouse::write_file($p->dir . '/master.cf', "2701 inet n - - - 1 echo -X -T\nwaker unix - - - 300 1 echo -R\n");
$p->set(maillog_file => $p->maillog);
open my $lock, '>', $p->dir . '/queue/pid/2701.lock' or die $!;
flock $lock, 2;
$p->start;
$c = $p->connect(2701);
$p->wait_until('the process to be started', sub { $p->status->{'2701/inet'}{workers} == 1 });
is $p->status->{'2701/inet'}{sessions}, 0, 'a process of an exclusive service waits while another has the lock';
close $lock;
my ($first) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
ok $first, 'and serves when it is free';
kill 'KILL', $first;
$c = $p->connect(2701);
my ($second) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
isnt $second, $first, 'a killed one does not leave the lock behind';

# A service with a wakeup time is there even when nobody connects.
my ($waker) = $p->wait_log(qr/: running/) =~ /\[(\d+)\]/;
kill 'KILL', $waker;
my ($next) = $p->wait_log(qr/: running/) =~ /\[(\d+)\]/;
isnt $next, $waker, 'a service with a wakeup time is replaced when it is killed';
$p->stop;
is scalar($p->processes), 0, 'nothing is left';
done_testing;
