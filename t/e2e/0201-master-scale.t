#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Workers come when they are needed, up to the limit, and leave when they are not.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], master => <<'END', main => { sessions => 20, max_idle => '1s', max_use => 1000 });
2701 inet n - - - 10 echo
2702 inet n - - - 3 echo -T
2703 inet n - - - 5 echo -o max_use=2
END
$p->start;

my @c = map { $p->connect(2701) } 1 .. 200;
my %pids;
for my $c (@c) {
	my ($pid) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
	$pids{$pid}++;
}
is scalar(keys %pids), 10, '200 parallel sessions are served by ten workers of 20';
my $s = $p->status->{'2701/inet'};
is $s->{workers}, 10, 'status: workers';
is $s->{busy}, 200, 'status: sessions running';
is $s->{limit}, 200, 'status: limit';

my $waiting = $p->connect(2701);
$c[0]->cmd1('quit', qr/bye/);
$waiting->expect(qr/^hello/);
pass 'the 201st session waits until one of the 200 ends';
is $p->status->{'2701/inet'}{workers}, 10, 'and the limit holds';

$_->close for @c, $waiting;
$p->wait_until('idle workers to leave', sub { $p->status->{'2701/inet'}{workers} == 0 });
pass 'idle workers leave';
is $p->status->{'2701/inet'}{sessions}, 201, 'their sessions stay counted';
my $again = $p->connect(2701);
$again->expect(qr/^hello/);
pass 'the next session gets a new worker';

@c = map { $p->connect(2702) } 1 .. 4;
$_->expect(qr/^hello/) for @c[ 0 .. 2 ];
is $p->status->{'2702/inet'}{workers}, 3, 'one process per session: three for three';
$c[0]->cmd1('quit', qr/bye/);
$c[3]->expect(qr/^hello/);
pass 'the fourth waits for a free one';

my %seen;
for (1 .. 6) {
	my $c = $p->connect(2703);
	my ($pid) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
	$seen{$pid}++;
	$c->cmd1('quit', qr/bye/);
}
is_deeply [ sort values %seen ], [ 2, 2, 2 ], 'a worker leaves after max_use sessions';
is $p->log_count(qr/(?:warning|fatal|error)(?!: service "\w+" \(\d+\) has reached its process limit|: to avoid this condition)/), 0,
	'without a complaint in the log but of the limits that were reached';
done_testing;
