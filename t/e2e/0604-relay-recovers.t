#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A relay host that is down: its mail waits with the reason shown; when it is back, all of it goes within seconds, each
# letter once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(time);
use IO::Socket::INET;
use Posthouse;

my $letters = 300;
my $p = Posthouse->new(main => { smtp_connect_timeout => '2s' });
my $address = $p->address;
my $port = do { my $l = IO::Socket::INET->new(LocalAddr => $address, Listen => 1, Proto => 'tcp'); $l->sockport };
$p->set(relayhost => "[$address]:$port");
$p->start;

my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
for my $n (1 .. $letters) {
	$c->cmd('MAIL FROM:<sender@example.com>', qr/^250/);
	$c->cmd("RCPT TO:<r$n\@far.example>", qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: $n\r\n\r\nbody\r\n.", qr/^250/);
}
$c->cmd('QUIT', qr/^221/);

my $list = '';
$p->wait_until('the queue to hold all letters', sub { (undef, $list) = $p->tool('postqueue', '-p'); $list =~ /in $letters Requests/ && $list =~ /Connection refused/ });
like $list, qr/\(connect to \Q$address\E\[\Q$address\E\]:$port: Connection refused\)/, 'postqueue -p gives the reason';

# Back again.
my $began = time;
my $pid = open my $sink, '-|', "$Posthouse::TBIN/bench/sink", '-n', $letters, "$address:$port" or die "sink: $!";
is scalar(<$sink>), "ready\n", 'the relay host is back';
my $count = <$sink>;
like $count, qr/^messages=$letters recipients=$letters /, 'every letter arrives';
cmp_ok time - $began, '<', 10, 'the last within ten seconds';
close $sink;
$p->wait_until('the queue to be empty', sub { (undef, $list) = $p->tool('postqueue', '-p'); $list =~ /queue is empty/ });
is $p->log_count(qr/status=sent/), $letters, 'each was sent once';

$p->stop;
done_testing;
