#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A listing comes from qmgr's memory, and says the same as the files: recipients that are not done with, each with its reason, after
# an attempt, after a change by postsuper, and after a start.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $remote = Posthouse->new(users => ['zoe'], main => { myhostname => 'mx.remote.test', mydestination => 'remote.test',
	smtpd_recipient_restrictions => 'check_recipient_access inline:{ { later@remote.test = 450 4.7.1 come later }, '
		. '{ busy@remote.test = 451 4.7.2 am busy } }, reject_unauth_destination', local_recipient_maps => '' });
my $p = Posthouse->new(main => { relayhost => '[' . $remote->address . ']:2025', minimal_backoff_time => '1h' });
$remote->start;
$p->start;

my %id = (
	one => $p->send_mail(to => 'later@remote.test', from => 'a.b@client.test'),
	three => $p->send_mail(to => [ 'later@remote.test', 'zoe@remote.test', 'busy@remote.test' ]),
	held => $p->send_mail(to => [ map { "$_\@remote.test" } qw(busy later) ], from => ''),
	many => $p->send_mail(to => [ 'later@remote.test', map { "later+$_" . 'x' x 40 . '@remote.test' } 1 .. 40 ]),
);
$p->wait_log(qr/$_: to=<later\@.*status=deferred/, from => 0) for values %id;
$p->wait_log(qr/$id{$_}: to=<busy\@.*status=deferred/, from => 0) for qw(three held);
$p->wait_until('all asleep', sub { (() = ($p->tool('postqueue', '-j'))[1] =~ /"queue_name": "deferred"/g) == 4 });
$p->tool('postsuper', '-h', $id{held});

sub listing { return join '', sort grep { /^\{/ } map { "$_\n" } split /\n/, ($p->tool('postqueue', '-j'))[1] }
sub rcpts { my ($id, $list) = @_; my ($line) = grep { /"$id"/ } split /\n/, $list; return $line // '' }
sub file_of { my ($id) = @_; return (glob "$p->{dir}/queue/mail/?/$id")[0] }

$p->wait_until('one held', sub { listing() =~ /"queue_name": "hold"/ });
my $memory = listing();
like(rcpts($id{three}, $memory), qr/come later/, 'a reason');
like(rcpts($id{three}, $memory), qr/am busy/, 'and another of the same letter');
unlike(rcpts($id{three}, $memory), qr/zoe/, 'who has got the letter is not listed');
$p->wait_until('files of their own', sub { 4 == grep { file_of($_) } values %id });
rename file_of($id{$_}), "$p->{dir}/$_" or die "rename: $!" for qw(one three held);
is(listing(), $memory, 'no file is read for a listing');
rename "$p->{dir}/$_", "$p->{dir}/queue/mail/" . substr($id{$_}, rindex($id{$_}, 'z') - 1, 1) . "/$id{$_}" or die "rename: $!" for qw(one three held);
$p->stop;
is(listing(), $memory, 'the files say the same');
$p->start;
$p->wait_until('all read', sub { (() = listing() =~ /"queue_name": "deferred"/g) == 3 });
is(listing(), $memory, 'and so does the memory of a new qmgr');
$p->tool('postsuper', '-H', $id{held});
$p->wait_until('four deferred', sub { (() = listing() =~ /"queue_name": "deferred"/g) == 4 });
like(rcpts($id{held}, listing()), qr/am busy/, 'released, with its reason');
done_testing;
