#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A letter with thousands of recipients at one destination does not keep single letters to the same destination waiting: they go
# after a few of its shares, not after all of them.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $n = $ENV{FAIR_RCPTS} || ($ENV{CI} ? 5000 : 2000);
my $remote = Posthouse->new(users => ['zoe'], main => {
	myhostname => 'mx.remote.test', mydestination => 'remote.test', virtual_alias_domains => '', local_recipient_maps => '',
	local_transport => 'discard:', smtpd_recipient_limit => 1000 });
my $p = Posthouse->new(main => {
	relayhost => '[' . $remote->address . ']:2025', smtpd_recipient_limit => $n, smtpd_timeout => '300s',
	default_destination_concurrency_limit => 2, default_destination_recipient_limit => 20 });
$remote->start;
$p->start;

# The large one is held until all are in the queue, so that it has the start.
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
for (my $at = 0; $at < $n; $at += 500) {
	my $last = $at + 500 < $n ? $at + 499 : $n - 1;
	$c->send_raw(join '', map { "RCPT TO:<u$_\@remote.test>\r\n" } $at .. $last);
	$c->reply(qr/^250/) for $at .. $last;
}
$c->cmd('DATA', qr/^354/);
my ($big) = $c->cmd("Subject: many\r\n\r\nx\r\n.", qr/^250/) =~ /queued as (\S+)/;
$p->wait_log(qr/$big: to=<u0\@remote\.test>.*status=sent/, from => 0);
my @single = map { $p->send_mail(to => "single$_\@remote.test") } 1 .. 10;

for my $id (@single) {
	$p->wait_log(qr/$id: to=<single/, from => 0, timeout => 120);
}
$p->wait_log(qr/$big: removed/, from => 0, timeout => 240);
my (%after, %taken_at);
my $done = 0;
for my $line (split /\n/, Posthouse::slurp($p->maillog)) {
	$done++ if $line =~ /smtp\[\d+\]: $big: to=/;
	$taken_at{$1} = $done if $line =~ /qmgr\[\d+\]: (\w+): from=.*queue active/;
	$after{$1} = $done - $taken_at{$1} if $line =~ /smtp\[\d+\]: (\w+): to=<single/;
}
is($done, $n, "$n recipients of one letter");
is(scalar keys %after, 10, 'and ten single letters');
my ($worst) = sort { $b <=> $a } values %after;
cmp_ok($worst, '<=', 20 * 8, "a single letter waited for at most $worst recipients of the large one");
done_testing;
