#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Reload keeps sessions and sockets; a bad configuration changes nothing; one service is restarted alone.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], main => { sessions => 5 }, master => <<'END');
2701 inet n - - - 3 echo
2702 inet n - - - 3 echo -T
echo unix - - - - 1 echo
END
$p->start;

sub session {
	my ($port) = @_;
	my $c = $p->connect($port);
	my ($pid) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
	return ($c, $pid);
}

my ($old, $old_pid) = session(2701);
my ($single, $single_pid) = session(2702);
$p->reload;
my ($new, $new_pid) = session(2701);
isnt $new_pid, $old_pid, 'after a reload a new process takes the next session';
is $old->cmd1('still there', qr/./), 'still there', 'a session of before goes on';
is $single->cmd1('still there', qr/./), 'still there', 'in a single-session worker too';
is $p->status->{'2701/inet'}{draining}, 1, 'status shows one that is leaving';
$old->cmd1('quit', qr/^bye: quit/);
$single->cmd1('quit', qr/^bye: quit/);
$p->wait_until('old workers to leave', sub { !kill(0, $old_pid) && !kill(0, $single_pid) });
pass 'the old workers leave with their last session';

my $master_cf = $p->dir . '/master.cf';
my $good = Posthouse::slurp($master_cf);
my $main_good = Posthouse::slurp($p->dir . '/main.cf');
for my $bad ([ 'master.cf', "oops\n", qr/8 columns/ ], [ 'main.cf', "no_such_name = 1\n", qr/no_such_name/ ],
	[ 'main.cf', "service_throttle_time = soon\n", qr/service_throttle_time = soon/ ]) {
	my ($file, $line, $re) = @$bad;
	Posthouse::append_file($p->dir . "/$file", $line);
	my ($status, $text) = $p->tool('posthouse', 'reload');
	is $status, 1, "$file with '" . (split /\n/, $line)[0] . "': reload fails";
	like $text, $re, 'and says why';
	is $new->cmd1('same', qr/./), 'same', 'sessions go on';
	my ($c, $pid) = session(2701);
	is $pid, $new_pid, 'no worker was replaced';
	Posthouse::write_file($master_cf, $good);
	Posthouse::write_file($p->dir . '/main.cf', $main_good);
}
$p->wait_log(qr/error: reload failed/);

# Between a mistake and its correction nothing depends on the file.
$p->set(nonsense => 1);
kill 'KILL', $new_pid;
$p->wait_until('the worker to go', sub { !kill 0, $new_pid });
($new, $new_pid) = session(2701);
ok $new_pid, 'a worker that starts after main.cf was spoilt goes by the one in use';
is + ($p->tool('posthouse', 'status'))[0], 0, 'status works all the same';
Posthouse::write_file($p->dir . '/main.cf', $main_good);
$p->set(data_directory => $p->dir);
my $pid_now = $p->pid;
kill 'HUP', $pid_now;
$p->wait_log(qr/error: queue_directory, data_directory and unprivileged_mode change only by stop and start/);
pass 'a moved data_directory is refused';
Posthouse::write_file($p->dir . '/main.cf', $main_good);

my $taken = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => $p->address, LocalPort => 2704) or die $!;
Posthouse::write_file($master_cf, $good . "2703 inet n - - - 3 echo\n2704 inet n - - - 3 echo\n");
is + ($p->tool('posthouse', 'reload'))[0], 1, 'a taken port: reload fails';
ok !IO::Socket::INET->new(PeerAddr => $p->address, PeerPort => 2703), 'and the other new port is not left open';
close $taken;
$p->reload;
(my $c, my $pid) = session(2703);
ok $pid, 'a new service runs after the next reload';

Posthouse::write_file($master_cf, $good =~ s/^2702.*\n//mr);
$p->reload;
ok !IO::Socket::INET->new(PeerAddr => $p->address, PeerPort => 2702), 'a removed service no longer listens';
is $c->cmd1('on', qr/./), 'on', 'a session of a removed service goes on';

# Addresses change while it runs: one port on all addresses, then on one only, and back.
# A port of this run alone: other tests listen on addresses of their own.
my $everywhere = 20000 + $$ % 10000;
$p->set(inet_interfaces => '127.0.0.1');
Posthouse::write_file($master_cf, "0.0.0.0:$everywhere inet n - - - 3 echo\n");
$p->reload;
($c, $pid) = session($everywhere);
Posthouse::write_file($master_cf, "$p->{address}:$everywhere inet n - - - 3 echo\n");
$p->reload;
($c, $pid) = session($everywhere);
ok $pid, 'from 0.0.0.0 to one address without a stop';
Posthouse::write_file($master_cf, "0.0.0.0:$everywhere inet n - - - 3 echo\n");
$p->reload;
($c, $pid) = session($everywhere);
ok $pid, 'and back';

# restart of one service; SIGHUP is a reload; the log file is opened anew.
Posthouse::write_file($master_cf, $good);
$p->set(inet_interfaces => $p->address);
$p->reload;
(my $c1, my $pid1) = session(2701);
(my $c2, my $pid2) = session(2702);
is + ($p->tool('posthouse', 'restart', '2701'))[0], 0, 'restart 2701';
isnt + (session(2701))[1], $pid1, 'its next session gets a new process';
is $c1->cmd1('on', qr/./), 'on', 'its running session goes on';
$c2->cmd1('quit', qr/bye/);
is + (session(2702))[1], $pid2, 'the other service keeps its process';
is + ($p->tool('posthouse', 'restart', 'nothing'))[0], 1, 'restart of an unknown service is refused';

my $before = $p->log_count(qr/reload --/);
kill 'HUP', $p->pid;
$p->wait_until('the reload', sub { $p->log_count(qr/reload --/) > $before });
pass 'SIGHUP reloads';

(my $l, my $lpid) = session(2701);
rename $p->maillog, $p->maillog . '.1';
is + ($p->tool('posthouse', 'logrotate'))[0], 0, 'logrotate';
$p->wait_until('workers to use the new file', sub { readlink("/proc/$lpid/fd/5") eq $p->maillog });
pass 'a running worker writes to the new file';
done_testing;
