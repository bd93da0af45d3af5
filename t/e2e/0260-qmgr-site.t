#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A site that is down: its mail waits together, visible with the reason, probed by one connection at a time; when the site is back
# everything goes at once, each letter exactly once (S3, S4).
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

my $letters = 1000;
my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test' });
my $site = '[' . $remote->address . ']:2025';
my $p = Posthouse->new(main => { relayhost => $site });
$p->start;

my (undef, $load) = Posthouse::run("$Posthouse::TBIN/bench/source", '-a', $p->address, '-m', $letters, '-l', 1000, '-c', '-t', 'zoe@remote.test');
my @ids = $load =~ /^accepted (\S+)/mg;
is(scalar @ids, $letters, "$letters letters are accepted while the site is down");

$p->wait_until('all deferred', sub { () = (my $t = ($p->tool('postqueue', '-j'))[1]) =~ /"queue_name": "deferred"/g; (() = $t =~ /deferred/g) == $letters });
my ($status, $list) = $p->tool('mailq');
is($status, 0, 'mailq');
is(() = $list =~ /Connection refused\)$/mg, $letters, 'every letter is listed with its reason');
like($list, qr/^-- \d+ Kbytes in $letters Requests\.$/m, 'and counted');

# Each probe is one connection attempt, logged by smtp.
my $before = $p->log_count(qr/smtp\[\d+\]: connect to .*Connection refused/);
cmp_ok($before, '<', 30, "the site was tried $before times, not $letters");

$remote->start;
my $start = time;
$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ });
my $took = time - $start;
cmp_ok($took, '<', 10, sprintf 'the last letter went %.1f s after the site was back', $took);
$remote->wait_until('deliveries there', sub { ($remote->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ });
my %n;
my $box = Posthouse::slurp($remote->spool('zoe'));
$n{$1}++ while $box =~ /^\s+by mail\.example\.test \(Posthouse\) with ESMTP id (\S+)$/mg;
is(join(' ', grep { ($n{$_} || 0) != 1 } @ids), '', 'each letter arrived exactly once');
is(scalar keys %n, $letters, 'and no other');
like($p->wait_log(qr/destination .* is back/, from => 0), qr/its mail is released/, 'the log says why');

# A site that refuses some: only those wait; a refusal for good comes back.
$remote->set(smtpd_recipient_restrictions => 'permit');
my $id = $p->send_mail(to => [ 'zoe@remote.test', 'nobody@remote.test' ], from => 'alice@example.test', subject => 'two');
like($p->wait_log(qr/$id: to=<nobody\@remote\.test>/, from => 0), qr/dsn=5\.1\.1, status=bounced \(host \S+ said: 550 5\.1\.1 <nobody\@remote\.test>: Recipient address rejected: User unknown in local recipient table \(in reply to RCPT TO command\)\)/, 'refused recipient');
$p->wait_log(qr/$id: to=<zoe\@remote\.test>.*status=sent/, from => 0);
$p->wait_log(qr/$id: sender non-delivery notification: /, from => 0);
$p->wait_log(qr/$id: removed/, from => 0);
$p->wait_until('the notice', sub { -s $p->spool('alice') });
like(Posthouse::slurp($p->spool('alice')), qr/^Final-Recipient: rfc822; ?nobody\@remote\.test$/m, 'the sender is told');
done_testing;
