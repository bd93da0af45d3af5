# SPDX-License-Identifier: BSD-2-Clause
# Mailbox operations with a fault injected at one system call after the other. After each the mailbox is looked at: every letter
# is there once and whole, UIDs are what they were, and what was not finished either happened or did not.
package StoreFault;
use strict;
use warnings;
use Test::More;
$| = 1;
use File::Temp qw(tempdir);
use Exporter 'import';
our @EXPORT = qw(store_fault_ready try_case location store_do look problem);

my $do = ($ENV{TBIN} // 'build/release/t') . '/lib/store-do';
my $dir;

sub store_fault_ready {
	plan skip_all => 'strace is not installed' if system('command -v strace >/dev/null 2>&1') != 0;
	plan skip_all => "$do is not built" unless -x $do;
	$dir = tempdir(CLEANUP => 1);
}

sub location { my ($kind, $at) = @_; return $kind eq 'mbox' ? "mbox:$at/mail:INBOX=$at/spool" : "maildir:$at/Maildir"; }

# Run store-do; output and status.
sub store_do {
	my ($loc, @args) = @_;
	my $out = `exec 2>/dev/null; exec '$do' '$loc' @args`;
	return ($out, $?);
}

# What the mailbox holds: { key => uid and flags }, what is there twice, and UIDVALIDITY.
sub look {
	my ($loc) = @_;
	my ($out, $status) = store_do($loc, 'check');
	my ($validity, @entries) = split ' ', $out;
	my (%have, %times);
	for (@entries) {
		my ($uid, $key, $flags) = split /:/;
		$have{$key} = "$uid$flags";
		$times{$key}++;
	}
	my @twice = grep { $times{$_} > 1 } keys %times;
	return { status => $status, validity => $validity // '', have => \%have, raw => $out, twice => \@twice };
}

sub problem {
	my ($case, $before, $now) = @_;
	return "check failed: $now->{raw}" if $now->{status} != 0;
	return "twice: @{$now->{twice}}" if @{$now->{twice}};
	return 'UIDVALIDITY changed' if $now->{validity} ne $before->{validity};
	my %gone = map { $_ => 1 } @{$case->{gone} // []};
	my $gone = grep { !exists $now->{have}{$_} } keys %gone;
	return "expunged by half: $now->{raw}" if $gone != 0 && $gone != keys %gone;
	for my $key (keys %{$before->{have}}) {
		next if $gone{$key};
		return "lost: $key ($now->{raw})" unless exists $now->{have}{$key};
		my ($was, $is) = map { s/F//r } $before->{have}{$key}, $now->{have}{$key};
		return "UID of $key: was $was, is $is" if $was ne $is;
	}
	for my $key (@{$case->{again} // []}) {
		return "not there: $key ($now->{raw})" unless exists $now->{have}{$key};
	}
	return undef;
}

# How often the operation makes this system call.
sub calls_made {
	my ($case, $call) = @_;
	my ($at, $trace) = ("$dir/count", "$dir/trace");
	system('rm', '-rf', $at);
	system('cp', '-a', "$dir/start-$case->{name}", $at);
	system("strace -f -qq -o '$trace' -e trace=$call '$do' '" . location($case->{kind}, $at) . "' @{$case->{op}} >/dev/null 2>&1");
	open(my $in, '<', $trace) or return 0;
	return scalar grep { /\b\Q$call\E\(/ } <$in>;
}

# case: name, kind, op, gone (letters that the operation removes), again (letters delivered anew afterwards).
# behind: 'deliver' or 'raw': a letter comes in before anybody looks. fault: "signal=KILL" or "error=EIO".
sub try_case {
	my ($case, $behind, $fault, @calls) = @_;
	my ($faults, @bad) = (0);
	my $start = "$dir/start-$case->{name}";
	system('rm', '-rf', $start);
	mkdir $start;
	(store_do(location($case->{kind}, $start), 'fill', 8))[1] == 0 or die 'fill';
	my $before = look(location($case->{kind}, $start));
	for my $call (@calls) {
		for my $n (1 .. calls_made($case, $call)) {
			my $at = "$dir/try";
			my $loc = location($case->{kind}, $at);
			system('rm', '-rf', $at);
			system('cp', '-a', $start, $at);
			my $inject = "timeout -s KILL 30 strace -f -qq -o /dev/null -e trace=$call -e inject=$call:$fault:when=$n";
			system("$inject '$do' '$loc' @{$case->{op}} >/dev/null 2>&1");
			$faults++;
			my @then = $behind eq 'deliver' ? ([ 'deliver', 900 ]) : $behind eq 'raw' ? ([ 'deliver-raw', 900 ]) : ();
			push @then, [ 'deliver', @{$case->{again}} ] if $case->{again};
			for my $then (@then) { push @bad, "$call $n: @$then failed" if (store_do($loc, @$then))[1] != 0; }
			my $now = look($loc);
			my $p = problem($case, $before, $now);
			$p = '900 is missing' if !$p && $behind && !exists $now->{have}{900};
			push @bad, "$call $n: $p" if $p;
		}
	}
	my $name = "$case->{name}, $fault" . ($behind ? ", then $behind" : '') . ": $faults faults";
	ok(!@bad, $name) or diag(join "\n", @bad[0 .. ($#bad > 9 ? 9 : $#bad)]);
}

1;
