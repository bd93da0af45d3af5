#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# smtpd_client_connection_count_limit: one client has so many connections at a time, over all processes, and not one more.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

# One session in each process, so that the count has to be shared.
my $p = Posthouse->new(relay => '127.0.0.99', main => { sessions => 1, smtpd_client_connection_count_limit => 3 })->start;
my @c = map { $p->smtp } 1 .. 3;
my $over = $p->connect('smtp');
$over->reply(qr/^421 4\.7\.0 mail\.example\.test Error: too many connections from 127\.0\.0\.1$/);
ok $over->eof, 'the fourth is turned away';
$p->wait_log(qr/warning: Connection concurrency limit exceeded: more than 3 from \S+\[127\.0\.0\.1\] for service smtp/);
pass 'and the log says so';
$_->cmd('NOOP', qr/^250/) for @c;
pass 'the others are served';
my $trusted = IO::Socket::INET->new(PeerAddr => $p->address, PeerPort => 2025, LocalAddr => '127.0.0.99');
like scalar(<$trusted>), qr/^220 /, 'mynetworks are not held to it';
$c[0]->cmd('QUIT', qr/^221/);
my $next = $p->wait_until('a free place', sub {
	my $c = $p->connect('smtp');
	return $c->line =~ /^220 / ? $c : undef;
});
$next->cmd('NOOP', qr/^250/);
pass 'who leaves makes room';
# The place of a process that is killed is free again.
kill 'KILL', $_->[0] for grep { $_->[1] eq 'smtpd' } $p->processes;
ok $p->wait_until('room after a crash', sub { my $c = $p->connect('smtp'); ($c->line // '') =~ /^220 / }), 'and who dies too';

# One process with more sessions than one part of the table has places.
my $q = Posthouse->new(relay => '127.0.0.99', main => { sessions => 400, smtpd_client_connection_count_limit => 300 })->start;
my @many = map { $q->smtp } 1 .. 300;
$q->connect('smtp')->reply(qr/^421 4\.7\.0 mail\.example\.test Error: too many connections from 127\.0\.0\.1$/);
pass 'the 301st of one client is turned away';
done_testing;
