#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Transports that qmgr settles itself (error, retry, discard), defer_transports, rate delays of a destination and of a transport.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

my $p = Posthouse->new(
	main => {
		transport_maps => 'inline:{ { err.test = error:5.1.6 moved away } { plain.test = error:no such place } { soft.test = error:4.2.1 come later } '
			. '{ wait.test = retry:we are moving } { void.test = discard:silently } { late.test = later: } { gone.test = closed:5.1.2 this domain is closed } }',
		defer_transports => 'later', local_destination_rate_delay => '0.4s', minimal_backoff_time => '1h', maximal_backoff_time => '1h',
	},
	services => "later unix - n - - - local\nclosed unix - - - - - error\nerror unix - - y - - error\nretry unix - - y - - error\n"
		. "discard unix - - y - - discard\n");
is(($p->tool('posthouse', 'check'))[0], 0, 'posthouse check has nothing to say of such lines') or diag(($p->tool('posthouse', 'check'))[1]);
$p->start;

my %want = (
	'err.test'   => 'dsn=5.1.6, status=bounced (moved away)',
	'plain.test' => 'dsn=5.0.0, status=bounced (no such place)',
	'soft.test'  => 'dsn=4.2.1, status=deferred (come later)',
	'wait.test'  => 'dsn=4.0.0, status=deferred (we are moving)',
	'void.test'  => 'dsn=2.0.0, status=sent (silently)',
	'gone.test'  => 'dsn=5.1.2, status=bounced (this domain is closed)',
	'late.test'  => 'dsn=4.3.2, status=deferred (deferred transport)',
);
for my $domain (sort keys %want) {
	my $id = $p->submit(to => "u\@$domain"); # smtpd would refuse some of them
	my $line = $p->wait_log(qr/$id: to=<u\@$domain>/, from => 0);
	like($line, qr/relay=none, delay=.*, \Q$want{$domain}\E$/, $domain);
	ok($p->wait_log(qr/$id: removed/, from => 0), "$domain: done with") if $want{$domain} =~ /sent|bounced/;
	like(($p->tool('postqueue', '-p'))[1], qr/^\Q$id\E.*\n\s*\(\Q$1\E\)/m, "$domain: listed with its reason") if $want{$domain} =~ /deferred \((.*)\)/;
}
my $id = $p->submit(to => [ 'a@void.test', 'b@wait.test', 'c@void.test' ]);
$p->wait_log(qr/$id: to=<$_>/, from => 0) for 'a@void.test', 'b@wait.test', 'c@void.test';
my $posts = ($p->tool('postqueue', '-j'))[1];
like($posts, qr/"queue_id": "$id".*b\@wait/, 'one of three waits');
unlike((grep { /$id/ } split /\n/, $posts)[0], qr/void/, 'discarded ones are written down');

is(($p->tool('postqueue', '-f'))[0], 0, 'flush');
ok($p->wait_log(qr/to=<u\@late\.test>, relay=(?!none)/, from => 0), 'a flush moves what is in defer_transports');

# Five letters to one user, one each 0.4 s; another user is not held up.
my $mark = length Posthouse::slurp($p->maillog);
my $start = time;
my @slow = map { $p->send_mail(to => 'alice@example.test') } 1 .. 5;
my $other = $p->send_mail(to => 'bob@example.test');
$p->wait_log(qr/$_: removed/, from => $mark) for @slow, $other;
my $took = time - $start;
my $log = substr Posthouse::slurp($p->maillog), $mark;
like($log, qr/$other: to=<bob\@example\.test>.*status=sent.*$slow[-1]: to=<alice/s, 'another destination is not held up');
cmp_ok($took, '>=', 1.6, sprintf 'destination rate delay: five letters took %.2f s', $took);
cmp_ok($took, '<', 10, 'and not for ever');

$p->set(local_transport_rate_delay => '400ms', local_destination_rate_delay => 0);
$p->reload;
$mark = length Posthouse::slurp($p->maillog);
$start = time;
my @ids = map { $p->send_mail(to => "$_\@example.test") } qw(alice bob alice bob);
$p->wait_log(qr/$_: removed/, from => $mark) for @ids;
$took = time - $start;
cmp_ok($took, '>=', 1.1, sprintf 'transport rate delay: four letters to two users took %.2f s', $took);

# Routes are looked at anew after a reload: what waited in `retry' goes its way.
$p->set(transport_maps => 'inline:{ { wait.test = local: } }', mydestination => 'example.test, wait.test');
$p->reload;
$mark = length Posthouse::slurp($p->maillog);
$p->tool('postqueue', '-f');
like($p->wait_log(qr/$id: to=<b\@wait\.test>/, from => $mark), qr/relay=local.*unknown user/i, 'a changed route counts after reload');
done_testing;
