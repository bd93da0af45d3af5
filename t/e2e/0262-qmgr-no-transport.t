#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Mail for a transport that does not exist, more than may be awake at a time: other mail passes it.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => {
	transport_maps => 'inline:{dead.test=nosuch:}', qmgr_message_active_limit => 5, minimal_backoff_time => '10m', maximal_backoff_time => '20m',
});
$p->start;
$p->send_mail(to => 'a@dead.test');
ok($p->wait_log(qr/to=<a\@dead\.test>.*status=deferred \(.*mail transport unavailable/, from => 0), 'it sleeps when the transport stays away');
my @ids = map { $p->send_mail(to => "r$_\@dead.test") } 1 .. 20;
my $id = $p->send_mail(to => 'alice@example.test');
ok($p->wait_log(qr/$id: to=<alice\@example\.test>.*status=sent/, from => 0, timeout => 5), 'other mail is delivered at once');
$p->wait_log(qr/$_: to=.*status=deferred/, from => 0) for @ids;
like(($p->tool('postqueue', '-p'))[1], qr/mail transport unavailable/, 'the listing says why they wait');
done_testing;
