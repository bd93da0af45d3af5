#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A listing is the whole queue from the first moment, also while qmgr has not read it yet.
use strict;
use warnings;
use lib 't/lib';
use Fcntl qw(:flock);
use IO::Socket::INET;
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { relayhost => '[127.0.0.1]:9', defer_transports => 'smtp' });
$p->start;
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
my @ids;
for my $n (1 .. 3) {
	$c->cmd('MAIL FROM:<a@elsewhere.example>', qr/^250/);
	$c->cmd("RCPT TO:<b$n\@far.example>", qr/^250/);
	$c->cmd('DATA', qr/^354/);
	my $reply = $c->cmd("Subject: $n\r\n\r\n.", qr/^250/);
	push @ids, $reply =~ /queued as (\S+)/;
}
$p->wait_until('three deferred', sub { $p->log_count(qr/status=deferred/) >= 3 });
my ($status, $text) = $p->tool('postsuper', '-h', $ids[2]);
is $status, 0, 'one is held';
$p->stop;

# An agent of an earlier qmgr that is still at work: the new one waits for it and knows nothing yet.
open my $agent, '+<', "$p->{dir}/queue/mail/work.lock" or die "work.lock: $!";
flock $agent, LOCK_SH or die "flock: $!";
$p->start;
($status, $text) = $p->tool('postqueue', '-p');
is $status, 0, 'the queue is listed';
like $text, qr/^$_\W/m, "$_ is listed" for @ids;
like $text, qr/^$ids[2]!/m, 'the one on hold is marked';
close $agent;
# It reads them now: a flush finds the two that are not held.
$p->wait_until('the queue to be read', sub { $p->tool('postqueue', '-f'); $p->log_count(qr/status=deferred/) >= 5 });
($status, $text) = $p->tool('postqueue', '-p');
like $text, qr/in 3 Requests/, 'and none twice';
done_testing;
