#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Start, stop, status, a second instance, wrong configurations.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], master => <<'END', main => { sessions => 2 });
2701 inet n - - - 3 echo
2702 inet n - - - 2 echo -T
echo unix - - - - 1 echo
END

is $p->pid, 0, 'not running yet';
is + ($p->tool('posthouse', 'stop'))[0], 1, 'stop says so';
is + ($p->tool('posthouse', 'check'))[0], 0, 'check finds nothing wrong';
$p->start;
ok $p->pid, 'running';
is Posthouse::slurp($p->dir . '/queue/pid/master.pid') + 0, $p->pid, 'the pid file agrees';

my ($status, $text) = $p->tool('posthouse', 'start');
is $status, 1, 'a second instance is refused';
like $text, qr/already running, process ${\ $p->pid}/, 'with the reason';

for my $port (2701, 2702) {
	my $c = $p->connect($port);
	$c->expect(qr/^hello from \d+/);
	is $c->cmd1('ping', qr/./), 'ping', "a session on $port";
	$c->cmd1('quit', qr/^bye: quit/);
}
is $p->status->{'2701/inet'}{sessions}, 1, 'status counts the session';
is $p->status->{'2701/inet'}{workers}, 1, 'of one worker';

my $open = $p->connect(2701);
$open->expect(qr/^hello/);
my $single = $p->connect(2702);
$single->expect(qr/^hello/);
$p->stop;
is $open->line, 'bye: stopping', 'a session in a thread says goodbye at stop';
is $single->line, 'bye: stopping', 'a session of a single-session worker too';
is $p->pid, 0, 'stopped';
is scalar($p->processes), 0, 'nothing is left over';
ok !-e $p->dir . '/queue/pid/master.pid', 'the pid file is gone';
ok !-e $p->dir . '/queue/private/echo', 'and the sockets';

# What cannot start says why.
my %wrong = (
	'unknown parameter' => [ 'main.cf', "smtpd_timout = 5\n", qr/main\.cf:\d+: .*smtpd_timout.*smtpd_timeout/ ],
	'bad number' => [ 'main.cf', "sessions = many\n", qr/main\.cf:\d+: sessions = many/ ],
	'broken master.cf' => [ 'master.cf', "2703 inet n - -\n", qr/master\.cf:\d+: 8 columns/ ],
	'unknown type' => [ 'master.cf', "x fifo n - - - - echo\n", qr/master\.cf:\d+: unknown service type fifo/ ],
	'two on one port' => [ 'master.cf', "$p->{address}:2701 inet n - - - - echo\n", qr/another service listens on/ ],
	'unknown port' => [ 'master.cf', "nosuchport inet n - - - - echo\n", qr/no port is called: nosuchport/ ],
);
for my $name (sort keys %wrong) {
	my ($file, $line, $re) = @{ $wrong{$name} };
	my $path = $p->dir . "/$file";
	my $good = Posthouse::slurp($path);
	Posthouse::append_file($path, $line);
	($status, $text) = $p->tool('posthouse', 'start');
	is $status, 1, "$name: not started";
	like $text, $re, "$name: said where and why";
	is + ($p->tool('posthouse', 'check'))[0], 1, "$name: check finds it" unless $name eq 'two on one port';
	Posthouse::write_file($path, $good);
}

my $taken = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => $p->address, LocalPort => 2701) or die $!;
($status, $text) = $p->tool('posthouse', 'start');
is $status, 1, 'a taken port: not started';
like $text, qr/cannot listen on $p->{address}:2701: Address already in use/, 'a taken port: said which';
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/ports: error: .*2701.*Address already in use/, 'a taken port: check finds it';
close $taken;

$p->start;
ok $p->pid, 'and all is well again';
done_testing;
