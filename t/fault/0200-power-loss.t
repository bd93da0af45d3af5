#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Power loss at random instants under load: queue and mailboxes on a file system of their own that is cut off from its disk,
# everything killed, mounted again, started again. Every id answered with 250 is in a mailbox exactly once, and no mailbox holds a
# letter that is not whole.
#	LOSSES	how often (10)
#	FS	ext4, xfs (FS_IOC_SHUTDOWN without flushing the journal); btrfs, which does not know that: there the disk's image lies on an
#		xfs, and what a clone has that is made of it at once goes on (ext4)
#	TWO	1: the mailboxes on a file system of their own
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
my $fs = $ENV{FS} || 'ext4';
my $users = 10;
my $work = tempdir('powerloss-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %size = (ext4 => '96M', xfs => '320M', btrfs => '256M');
my @disks; # { image, at }
mkdir "$work/$_" for qw(mnt outer);

sub sh { system(@_) == 0 or die "@_: $?" }
sub mount_disks { sh('mount', '-o', 'loop', $_->{image}, $_->{at}) for @disks }

sub make_fs {
	my ($kind, $image, $size) = @_;
	my $force = $kind eq 'ext4' ? '-F' : '-f';
	return system("truncate -s $size $image && mkfs.$kind -q $force $image >/dev/null 2>&1") == 0;
}

sub add_disk {
	my ($image, $at) = @_;
	make_fs($fs, $image, $size{$fs}) && system("mount -o loop $image '$at' 2>/dev/null") == 0 or return;
	push @disks, { image => $image, at => $at };
}

sub cut_off {
	my ($disk) = @_;
	if ($fs eq 'btrfs') {
		sh('cp', '--reflink=always', $disk->{image}, "$disk->{image}.cut");
		return;
	}
	open my $d, '<', $disk->{at} or die "open: $!";
	my $how = pack 'L', 2; # FS_GOING_FLAGS_NOLOGFLUSH
	ioctl($d, 0x8004587d, $how) or die "FS_IOC_SHUTDOWN: $!";
}

sub cut_power { cut_off($_) for rand() < 0.5 ? @disks : reverse @disks }

# A mount cannot go while a process works in it; those are ours, and killed.
sub unmount {
	for my $disk (reverse @disks) {
		my $gone = 0;
		for (1 .. 200) {
			$gone = system("umount '$disk->{at}' 2>/dev/null") == 0;
			last if $gone;
			sleep 0.05;
		}
		die 'cannot unmount' unless $gone;
		rename "$disk->{image}.cut", $disk->{image} if -e "$disk->{image}.cut";
	}
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

if ($fs ne 'ext4') {
	Posthouse::need("mkfs.$_") for $fs eq 'btrfs' ? qw(xfs btrfs) : $fs;
	for my $kind ($fs eq 'btrfs' ? qw(xfs btrfs) : $fs) {
		plan skip_all => "this kernel has no $kind" unless Posthouse::slurp('/proc/filesystems') =~ /\b$kind$/m;
	}
}
my $images = $work;
if ($fs eq 'btrfs' && make_fs('xfs', "$work/xfs", '1G') && system("mount -o loop $work/xfs $work/outer 2>/dev/null") == 0) {
	$images = "$work/outer";
}
if (!add_disk("$images/disk", "$work/mnt")) {
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
if ($ENV{TWO}) {
	add_disk("$images/disk2", $p->dir . '/spool') or die 'no second disk';
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
	mount_disks();
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
system("umount $work/outer") if $images ne $work;
done_testing;
