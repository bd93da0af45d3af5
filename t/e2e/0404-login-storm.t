#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Ten thousand broken attempts to log in, and hundreds of clients that say next to nothing, while a good client comes and goes:
# it never fails, and nothing grows.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['userecho'], master => <<'END',
imap inet n - y - 40 login -P imap
auth unix - n - - 4 auth
imap unix - n - - 1 userecho
END
	main => { auth_failure_delay => '0s', login_timeout => '10s', login_max_attempts => 1000, max_use => 100000,
		mail_max_userip_connections => 0 });
my $gid = (split ' ', $()[0];
my $cheap = crypt('x', '$1$saltsalt'); # what an unknown user costs is measured by this
Posthouse::write_file($p->dir . '/users', "model:$cheap:$<:${gid}::/tmp:/bin/sh:\nalice:{PLAIN}secret:$<:${gid}::/tmp:/bin/sh:\n");
$p->start;

sub good {
	my $c = eval { $p->connect('imap') } or return 0;
	my $ok = eval {
		$c->expect(qr/^\* OK/);
		$c->send('t LOGIN alice secret');
		$c->expect(qr/^t OK/);
		$c->send('quit');
		$c->expect(qr/BYE/);
		1;
	};
	diag $@ unless $ok;
	$c->close;
	return $ok ? 1 : 0;
}

# Resident memory of each process, in KiB.
sub memory {
	my %kib;
	for my $process ($p->processes) {
		my ($pid, $program) = @$process;
		$kib{"$program $pid"} = $1 if Posthouse::slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/;
	}
	return \%kib;
}

is good(), 1, 'before the storm';
my @slow = map { my $c = $p->connect('imap'); $c->send_raw('a'); $c } 1 .. 300;
is good(), 1, 'with 300 silent clients';

my @garbage = ("a AUTHENTICATE PLAIN !!!!\r\n", "a AUTHENTICATE PLAIN AGFsaWNlAHdyb25n\r\n", "a LOGIN \"\" \"\"\r\n",
	"a LOGIN \"x\0\" y\r\n", "a LOGIN {3+}\r\nabc {3+}\r\nabc\r\n", "a AUTHENTICATE LOGIN YQ==\r\n*\r\n",
	"a LOGIN nobody x\r\n", "a AUTHENTICATE PLAIN =\r\n", "\0\xff\xfe\r\n", 'a LOGIN ' . '(' x 200 . "\r\n");
my ($sent, $failed, $before) = (0, 0);
for my $round (1 .. 200) {
	my @c = map { $p->connect('imap') } 1 .. 10;
	for my $c (@c) {
		$c->send_raw(join '', @garbage[ map { ($round + $_ * 3) % @garbage } 1 .. 5 ]);
		$sent += 5;
	}
	$failed++ unless good();
	$_->close for @c;
	$before = memory() if $round == 60;
}
is $sent, 10000, 'ten thousand broken attempts';
is $failed, 0, 'no good login failed meanwhile';
my $after = memory();
my @grown = map { "$_: $before->{$_} -> $after->{$_}" }
	grep { $before->{$_} && $after->{$_} > $before->{$_} + 1024 } sort keys %$after;
is_deeply \@grown, [], 'no process has grown by a MiB';
my $over = 0;
for my $c (@slow) { $over++ if ($c->line // '') =~ /^\* OK/ && ($c->line // '') =~ /^\* BYE Disconnected for inactivity/ }
is $over, 300, 'login_timeout ended the silent ones';
is $p->log_count(qr/panic|killed by|bad command startup/), 0, 'nothing crashed';
$p->stop;
done_testing;
