#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# confirm_delay_cleared: who was told of a delay is told of its end; nobody else is.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test' });
my $p = Posthouse->new(main => { relayhost => '[' . $remote->address . ']:2025', delay_warning_time => '1s', confirm_delay_cleared => 'yes' });
$p->start;
my $late = $p->send_mail(to => 'zoe@remote.test', from => 'alice@example.test');
my $null = $p->send_mail(to => 'zoe@remote.test', from => '');
$p->wait_log(qr/$late: sender delay notification: /, from => 0);
$remote->start;
$p->wait_log(qr/$late: to=<zoe.*status=sent/, from => 0);
my ($notice) = $p->wait_log(qr/$late: sender delivery status notification: /, from => 0) =~ /: (\w+)$/;
ok($p->wait_log(qr/$late: removed/, from => 0), 'and the message is done');
$p->wait_log(qr/$notice: removed/, from => 0);
like(Posthouse::slurp($p->spool('alice')), qr/^Subject: Successful Mail Delivery Report\n(?s:.*?)^Final-Recipient: rfc822; ?zoe\@remote\.test\n(?:\S.*\n)*?Action: (?:relayed|delivered)\n/m, 'the sender reads of it');
my $soon = $p->send_mail(to => 'zoe@remote.test', from => 'alice@example.test');
$p->wait_log(qr/$_: removed/, from => 0) for $soon, $null;
is($p->log_count(qr/(?:$soon|$null): sender delivery status/), 0, 'not about mail that was not late, not to nobody');
done_testing;
