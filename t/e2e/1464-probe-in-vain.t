#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A site that answers nothing at all: what is sent to it is dropped, because its listener takes no more connections. Probes do not
# wait as long as a delivery would, go one at a time, and the mail goes when it is back.
use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use Posthouse;
use Socket;
use Test::More;
use Time::HiRes qw(time);

my $p = Posthouse->new(main => { minimal_backoff_time => '1h', site_probe_time => '300ms', crowded_site_probe_time => '300ms',
	smtp_connect_timeout => '120s', smtp_probe_connect_timeout => '300ms' });
my $address = $p->address;
my $port = do { IO::Socket::INET->new(LocalAddr => $address, Listen => 1, Proto => 'tcp')->sockport };
$p->set(relayhost => "[$address]:$port");
$p->start;

sub in_vain { return $p->log_count(qr/smtp\[\d+\]: connect to .*: Connection timed out/) }

my $id = $p->send_mail(to => 'zoe@far.example');
$p->wait_log(qr/$id: to=.*status=deferred \(connect to .*Connection refused/);

# Room for one, and that is taken.
my $listener = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 1, ReuseAddr => 1, Proto => 'tcp') or die "listen: $!";
listen $listener, 0 or die "listen: $!";
my @waiting;
while (@waiting < 10) {
	my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Proto => 'tcp', Blocking => 0) or die "connect: $!";
	push @waiting, $s;
	last unless IO::Select->new($s)->can_write(0.3);
}
cmp_ok(scalar @waiting, '<', 10, 'a listener that is full');
my $begun = time;
$p->wait_until('three probes that hear nothing', sub { in_vain() >= 3 }, 100);
cmp_ok(time - $begun, '<', 100, 'in a time in which a delivery would still wait for the first');

# A site may be slow to answer and yet be there: after a while one probe waits as long as a delivery would.
my $mark = sprintf '%08X:%04X', unpack('V', Socket::inet_aton($address)), $port;
my %since;
sub longest_wait {
	my %now = map { /^\s*\d+: (\S+) $mark 02 / ? ($1 => 1) : () } split /\n/, Posthouse::slurp('/proc/net/tcp');
	delete $since{$_} for grep { !$now{$_} } keys %since;
	$since{$_} ||= time for keys %now;
	return (sort { $b <=> $a } map { time - $_ } values %since)[0] || 0;
}
longest_wait();
my %ours = %since; # the one of this test that found no room
$p->wait_until('a patient probe', sub { delete @since{ keys %ours }; longest_wait(); delete @since{ keys %ours }; grep { time - $_ > 2 } values %since }, 100);
pass('a probe that waits longer than smtp_probe_connect_timeout');

# It is back.
close $_ for @waiting, $listener;
my $pid = open my $sink, '-|', "$Posthouse::TBIN/bench/sink", '-n', 1, "$address:$port" or die "sink: $!";
is(scalar <$sink>, "ready\n", 'the site is back');
like(scalar <$sink>, qr/^messages=1 /, 'and gets its letter');
$p->wait_log(qr/$id: removed/);
done_testing;
