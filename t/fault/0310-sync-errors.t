#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Syncs and writes of smtpd fail under load. Whoever is told 250 has a letter whose bytes were synced after they were written, with no
# failed sync of that file between: the kernel reports a failure once. Everybody else is told 4xx, and every 250 is delivered.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

Posthouse::need('strace');
my @users = map { "user$_" } 0 .. 9;
my $source = "$Posthouse::TBIN/bench/source";

sub delivered {
	my ($p) = @_;
	my %n;
	for my $user (@users) {
		my $text = Posthouse::slurp($p->spool($user));
		$n{$1}++ while $text =~ /^\s+by \S+ \(Posthouse\) with ESMTP id (\S+)$/mg;
	}
	return \%n;
}

# [ thread, name, argument text, result, line of entry, line of exit ]: the two halves of interrupted calls put together.
sub calls {
	my ($file) = @_;
	my (%open, @calls);
	open my $f, '<', $file or die "$file: $!";
	while (<$f>) {
		if (/^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/) {
			$open{$1} = [ $1, $2, $3, undef, $., undef ];
		} elsif (/^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)/ && $open{$1}) {
			my $c = delete $open{$1};
			$c->[2] .= $3;
			@$c[ 3, 5 ] = ($4, $.);
			push @calls, $c;
		} elsif (/^(\d+) +(\w+)\((.*)\) += (-?\d+)/) {
			push @calls, [ $1, $2, $3, $4, $., $. ];
		}
	}
	return @calls;
}

# Ids that were answered with 250 and were not durable then.
sub not_durable {
	my ($file) = @_;
	my (%written, %answered, %syncs, %failed, @bad);
	for my $c (calls($file)) {
		my (undef, $name, $args, $result, $from, $to) = @$c;
		my ($path) = $args =~ /^\d+<([^>]*)>/;
		if ($name eq 'pwritev') { # the letters of a round
			$written{$1} = [ $path, $to ] while $args =~ /with ESMTP id (\w+)\\n/g;
		} elsif ($name =~ /^renameat2?$/ && $args =~ /"([0-9A-Za-z]{10,}z[0-9A-Za-z]+)", RENAME/) {
			$written{$1} = [ $path, $to ];
		} elsif ($name =~ /^f(?:data)?sync$/) {
			push @{ $syncs{$path} }, [ $from, $to ] if $result == 0;
			push @{ $failed{$path} }, [ $from, $to ] if $result < 0;
		} elsif ($args =~ /queued as ([0-9A-Za-z]+)/) {
			$answered{$1} = $from;
		}
	}
	for my $id (keys %answered) {
		my ($path, $at) = @{ $written{$id} || [ '', 0 ] };
		my $end = $answered{$id};
		my ($synced) = map { $_->[1] } grep { $_->[0] > $at && $_->[1] < $end } @{ $syncs{$path} };
		my $failed = grep { $_->[1] > $at && $_->[0] < ($synced || 0) } @{ $failed{$path} };
		push @bad, "$id ($path)" if !$synced || $failed;
	}
	return (scalar(keys %answered), @bad);
}

for my $inject ('fdatasync:error=EIO:when=2+7', 'fdatasync:error=EIO:delay_enter=3000:when=1+4', 'pwritev:error=EIO:when=3+9', 'fsync:error=EIO:when=1+3') {
	my $p = Posthouse->new(users => \@users, main => { queue_log_segment_size => 1048576, max_idle => '600s', minimal_backoff_time => '1s' });
	$p->start;
	$p->send_mail(to => 'user0@example.test');
	my ($pid) = map { $_->[0] } grep { $_->[1] eq 'smtpd' } $p->processes;
	my ($said, $trace) = map { $p->dir . "/$_" } 'said', 'trace';
	my $tracer = fork;
	if ($tracer == 0) {
		open STDERR, '>', $said;
		exec 'strace', '-f', '-y', '-v', '-s', '256', '-o', $trace, '-e', 'trace=pwritev,fdatasync,fsync,renameat2,write,writev,sendto,sendmsg',
			'-e', "inject=$inject", '-p', $pid or POSIX::_exit(1);
	}
	$p->wait_until('strace to attach', sub { Posthouse::slurp($said) =~ /attached/ });
	my $out = qx($source -a ${\$p->address} -s 8 -m 150 -l 20000 -u 10 -c 2>&1);
	my @ids = $out =~ /^accepted (\S+)/mg;
	my @refused = $out =~ /^refused: (.*?)\r?$/mg;
	kill 'TERM', $tracer;
	waitpid $tracer, 0;
	my ($n, @bad) = not_durable($trace);
	cmp_ok($n, '>', 0, "$inject: $n of them accepted, " . @refused . ' refused');
	is("@bad", '', 'what was accepted was durable');
	is(join("\n", grep { !/^4/ } @refused), '', 'refused for now, not for good');
	$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ });
	my $d = delivered($p);
	is(join(' ', grep { ($d->{$_} || 0) != 1 } @ids), '', 'what was accepted is delivered once');
	$p->stop;
}
done_testing;
