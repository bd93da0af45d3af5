#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Power loss at random instants under load: queue and mailboxes on an ext4 of their own that is cut off from its disk
# (FS_IOC_SHUTDOWN without flushing the journal), everything killed, mounted again, started again. Every id answered with 250 is in a
# mailbox exactly once, and no mailbox holds a letter that is not whole. LOSSES: how often (10).
use strict;
use warnings;
use lib 't/lib';
use IO::Handle;
use File::Temp qw(tempdir);
use Posthouse;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs root, mount namespaces and loop devices'
	if $> != 0 || system('unshare', '-m', 'true');
unless ($ENV{IN_MOUNT_NAMESPACE}) {
	$ENV{IN_MOUNT_NAMESPACE} = 1;
	exec 'unshare', '-m', '--propagation', 'private', $^X, $0 or die "unshare: $!";
}

my $losses = $ENV{LOSSES} || 10;
my $users = 10;
my $work = tempdir('powerloss-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $disk = "$work/disk";
mkdir "$work/mnt";

sub sh { system(@_) == 0 or die "@_: $?" }
sub mount_disk { sh('mount', '-o', 'loop', $disk, "$work/mnt") }

sub cut_power {
	open my $d, '<', "$work/mnt" or die "open: $!";
	my $how = pack 'L', 2; # FS_GOING_FLAGS_NOLOGFLUSH
	ioctl($d, 0x8004587d, $how) or die "FS_IOC_SHUTDOWN: $!";
}

# The mount cannot go while a process works in it; those are ours, and killed.
sub unmount {
	for (1 .. 200) {
		return if system("umount '$work/mnt' 2>/dev/null") == 0;
		sleep 0.05;
	}
	die 'cannot unmount';
}

sub kill_instance {
	my ($p) = @_;
	for (1 .. 100) {
		my @alive = $p->processes or return;
		kill 'KILL', $_->[0] for @alive;
		sleep 0.02;
	}
	die 'cannot kill';
}

my (%promised, %seen);

# What was answered before the power went. An answer that comes later is none: on a file system that is going down a sync may return
# as if it had done something, which on a machine without power it does not.
sub read_ids {
	my ($out, $n) = @_;
	my $text = '';
	$out->blocking(0);
	while (sysread $out, $text, 65536, length $text) { }
	$promised{$_} = $n for $text =~ /^accepted (\S+)\n/mg;
}

if (system("truncate -s 96M $disk && mkfs.ext4 -q $disk && mount -o loop $disk $work/mnt 2>/dev/null")) {
	plan skip_all => 'no loop mounts here' unless $ENV{CI};
	die 'no loop mounts here';
}
my $p;
{
	local $ENV{TMPDIR} = "$work/mnt";
	$p = Posthouse->new(users => [ map { "user$_" } 0 .. $users - 1 ], main => {
		queue_minfree => 1, queue_log_segment_size => 1048576, maillog_file => "$work/maillog", minimal_backoff_time => '1s',
		service_throttle_time => '1s',
	});
}
sh('sync');

sub explain_lost {
	my $log = Posthouse::slurp("$work/maillog");
	for my $id (@_) {
		diag "$id was promised before loss " . $promised{$id} . '; its log lines:';
		diag "  $_" for grep { index($_, $id) >= 0 } split /\n/, $log;
	}
}

my ($lost, $double, $torn) = (0, 0, 0);
srand(my $seed = $ENV{SEED} || time);
diag "SEED=$seed";
for my $n (1 .. $losses) {
	$p->start;
	my $pid = open my $out, '-|', "$Posthouse::TBIN/bench/source 2>/dev/null -a " . $p->address . " -s 10 -m 20000 -l 2500 -u $users -c"
		or die "fork: $!";
	sleep 0.2 + rand 0.6;
	read_ids($out, $n);
	cut_power();
	kill_instance($p);
	kill 'TERM', $pid;
	close $out;
	unmount();
	mount_disk();
	$p->start;
	$p->wait_until("an empty queue after loss $n", sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ }, 60);
	$p->stop;
	%seen = ();
	for my $user (0 .. $users - 1) {
		my $text = Posthouse::slurp($p->spool("user$user"));
		for my $letter (split /^(?=From source\@)/m, $text) {
			my ($id) = $letter =~ /^\s+by \S+ \(Posthouse\) with ESMTP id (\S+)$/m;
			# Whole: its last content line has the length that source gives every line.
			if (!$id || $letter !~ /\n(.)\1{69}\n\n?\z/) { $torn++; (my $shown = substr($letter, 0, 300)) =~ s{\0}{.}g; diag "torn after loss $n in user$user, " . length($letter) . " bytes: $shown"; next }
			$seen{$id}++;
		}
	}
	$lost = grep { !$seen{$_} } keys %promised;
	$double = grep { $_ > 1 } values %seen;
	last if $lost || $double || $torn;
}
cmp_ok(scalar keys %promised, '>', 20 * $losses, scalar(keys %promised) . " letters were answered with 250 over $losses losses of power");
is($lost, 0, 'none is lost') or explain_lost(grep { !$seen{$_} } keys %promised);
is($double, 0, 'none is doubled') or diag join ' ', grep { $seen{$_} > 1 } keys %seen;
is($torn, 0, 'none is torn');
unmount();
done_testing;
