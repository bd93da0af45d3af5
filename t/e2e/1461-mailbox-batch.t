#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# mailbox_batch_delay and mailbox_batch_limit: the first letter for a mailbox goes at once, the next ones wait for each other, but no
# longer than the delay, and not once there are as many as go together. Other mailboxes do not wait.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

my $p = Posthouse->new(users => [qw(alice bob carol)], main => { mailbox_batch_delay => '60s', mailbox_batch_limit => 2 });
$p->start;
my $start = time;

sub gone { my ($id) = @_; return $p->wait_log(qr/$id: removed/, from => 0) }
sub is_queued { my ($id) = @_; return ($p->tool('postqueue', '-j'))[1] =~ /"queue_id": "$id"/ }

gone($p->send_mail(to => 'alice@example.test', subject => 'first'));
my $second = $p->send_mail(to => 'alice@example.test', subject => 'second');
gone($p->send_mail(to => 'bob@example.test'));
gone($p->send_mail(to => 'carol@example.test'));
ok(is_queued($second), 'the second letter waits, and others do not wait with it');
like((grep { /$second/ } split /\n/, ($p->tool('postqueue', '-j'))[1])[0], qr/"queue_name": "active"/, 'it is listed as active');
my $third = $p->send_mail(to => 'alice@example.test', subject => 'third');
gone($_) for $second, $third;
cmp_ok(time - $start, '<', 50, 'two of them do not wait for the delay');
is(join(' ', Posthouse::slurp($p->spool('alice')) =~ /^Subject: (\S+)$/mg), 'first second third', 'in their order');


# After these two the next one waits again. A new qmgr knows of no delivery before, so the letter is the first one to it; the one behind
# that goes by itself when the delay is over, and not before.
my $fourth = $p->send_mail(to => 'alice@example.test', subject => 'fourth');
gone($p->send_mail(to => 'postmaster@example.test', subject => 'alias of alice'));
ok(is_queued($fourth), 'the next one waits again');
$p->set(mailbox_batch_delay => '1s');
my $before_fourth = time;
$p->reload;
gone($fourth);
gone($p->send_mail(to => 'alice@example.test', subject => 'fifth'));
my $apart = time - $before_fourth;
cmp_ok($apart, '>', 0.95, "alone, the fifth went when the delay was over: after $apart s");
cmp_ok($apart, '<', 25, 'and no later');

# 0: no waiting at all.
$p->set(mailbox_batch_delay => 0);
$p->reload;
my @ids = map { $p->send_mail(to => 'alice@example.test', subject => $_) } 'sixth', 'seventh';
gone($_) for @ids;
is(() = Posthouse::slurp($p->spool('alice')) =~ /^Subject: /mg, 8, 'every letter is there once');
done_testing;
