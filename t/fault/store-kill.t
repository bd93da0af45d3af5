#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A mailbox operation is killed at each of its system calls in turn; then mail comes in, and the mailbox is looked at: every
# letter is there once and whole, UIDs are what they were, and what was not finished either happened or did not.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $tbin = $ENV{TBIN} // 'build/release/t';
my $do = "$tbin/lib/store-do";
plan skip_all => 'strace is not installed' if system('command -v strace >/dev/null 2>&1') != 0;
plan skip_all => "$do is not built" unless -x $do;

my $dir = tempdir(CLEANUP => 1);
my @calls = qw(pwrite64 write fdatasync fsync ftruncate fallocate unlink rename renameat2 openat);

sub location { my ($kind, $at) = @_; return $kind eq 'mbox' ? "mbox:$at/mail:INBOX=$at/spool" : "maildir:$at/Maildir"; }

sub run { my @cmd = @_; my $out = ''; open(my $p, '-|', "exec 2>/dev/null; exec @cmd") or die; { local $/; $out = <$p> // ''; } close $p; return ($out, $?); }

# What the mailbox holds: { key => [uid, flags] }, how often each, and UIDVALIDITY.
sub look {
	my ($loc) = @_;
	my ($out, $status) = run($do, $loc, 'check');
	my ($validity, @entries) = split ' ', $out;
	my (%have, %times);
	for (@entries) { my ($uid, $key, $flags) = split /:/; $have{$key} = "$uid$flags"; $times{$key}++; }
	return { status => $status, validity => $validity // '', have => \%have, twice => [ grep { $times{$_} > 1 } keys %times ], raw => $out };
}

sub problem {
	my ($case, $before, $now) = @_;
	return "check failed: $now->{raw}" if $now->{status} != 0;
	return "twice: @{$now->{twice}}" if @{$now->{twice}};
	return "UIDVALIDITY changed" if $now->{validity} ne $before->{validity};
	my %gone = map { $_ => 1 } @{$case->{gone} // []};
	my $gone = grep { !exists $now->{have}{$_} } keys %gone;
	return "expunged by half: $now->{raw}" if $case->{kind} eq 'mbox' && $gone != 0 && $gone != keys %gone;
	for my $key (keys %{$before->{have}}) {
		next if $gone{$key};
		return "lost: $key ($now->{raw})" unless exists $now->{have}{$key};
		(my $was = $before->{have}{$key}) =~ s/F//; (my $is = $now->{have}{$key}) =~ s/F//;
		return "UID of $key: was $was, is $is" if $was ne $is;
	}
	for my $key (@{$case->{again} // []}) { return "not there: $key ($now->{raw})" unless exists $now->{have}{$key}; }
	return undef;
}

sub try_case {
	my ($case, $behind) = @_;
	my ($kills, @bad) = (0);
	my $start = "$dir/start-$case->{name}";
	system('rm', '-rf', $start);
	mkdir $start;
	system($do, location($case->{kind}, $start), 'fill', 8) == 0 or die;
	run($do, location($case->{kind}, $start), 'check');
	my $before = look(location($case->{kind}, $start));
	for my $call (@calls) {
		for (my $n = 1; $n < 400; $n++) {
			my $at = "$dir/try";
			system('rm', '-rf', $at);
			system('cp', '-a', $start, $at);
			my $loc = location($case->{kind}, $at);
			my $pid = fork();
			if ($pid == 0) {
				open STDERR, '>', '/dev/null';
				exec 'strace', '-f', '-qq', '-o', '/dev/null', '-e', "trace=$call", '-e', "inject=$call:signal=KILL:when=$n", $do, $loc, @{$case->{op}};
				exit 127;
			}
			waitpid $pid, 0;
			my $killed = $? != 0;
			$kills++ if $killed;
			if ($behind eq 'deliver') { system("'$do' '$loc' deliver 900 2>/dev/null") == 0 or push @bad, "$call $n: deliver"; }
			elsif ($behind eq 'raw') { system("'$do' '$loc' deliver-raw 900 2>/dev/null") == 0 or push @bad, "$call $n: raw"; }
			if ($case->{again}) { system("'$do' '$loc' deliver @{$case->{again}} 2>/dev/null") == 0 or push @bad, "$call $n: deliver again"; }
			my $now = look($loc);
			my $p = problem($case, $before, $now);
			$p = "900 is missing" if !$p && $behind && !exists $now->{have}{900};
			push @bad, "$call $n: $p" if $p;
			last unless $killed;
		}
	}
	ok(!@bad, "$case->{name}" . ($behind ? ", then $behind" : '') . ": $kills kills") or diag(join "\n", @bad[0 .. ($#bad > 9 ? 9 : $#bad)]);
}

my @cases = (
	{ name => 'mbox-expunge', kind => 'mbox', op => [ 'expunge', 2, 5 ], gone => [ 2, 5 ] },
	{ name => 'mbox-expunge-first', kind => 'mbox', op => [ 'expunge', 1 ], gone => [ 1 ] },
	{ name => 'mbox-expunge-last', kind => 'mbox', op => [ 'expunge', 7, 8 ], gone => [ 7, 8 ] },
	{ name => 'mbox-grow', kind => 'mbox', op => [ 'grow', 3, 6 ] },
	{ name => 'maildir-expunge', kind => 'maildir', op => [ 'expunge', 2, 5 ], gone => [ 2, 5 ] },
	{ name => 'maildir-flags', kind => 'maildir', op => [ 'grow', 3, 6 ] },
);
for my $case (@cases) {
	try_case($case, '');
	try_case($case, 'deliver');
	try_case($case, 'raw') if $case->{kind} eq 'mbox';
}
# a delivery that is killed is made again by the queue
for my $kind (qw(mbox maildir)) {
	try_case({ name => "$kind-deliver", kind => $kind, op => [ 'deliver', 21, 22 ], again => [ 21, 22 ] }, '');
	try_case({ name => "$kind-append", kind => $kind, op => [ 'append', 31, 32 ] }, 'deliver');
}
done_testing();
