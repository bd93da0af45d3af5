#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The harness of 0200-power-loss.t sees what it is there to see: with fsync and fdatasync that do nothing, mail is lost.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

plan skip_all => 'needs root, mount namespaces and loop devices' if $> != 0 || system('unshare', '-m', 'true');
plan skip_all => 'a sanitizer must be the first library' if ($ENV{BIN} || '') =~ /asan|tsan/;
my $dir = tempdir(CLEANUP => 1);
open my $c, '>', "$dir/nosync.c" or die;
print $c "int fsync(int fd) { (void)fd; return 0; }\nint fdatasync(int fd) { (void)fd; return 0; }\n";
close $c;
system('cc', '-shared', '-fPIC', '-o', "$dir/nosync.so", "$dir/nosync.c") == 0 or die 'cannot compile';
for my $fs (qw(ext4 xfs btrfs)) {
	my $text = qx(FS=$fs LD_PRELOAD=$dir/nosync.so LOSSES=3 $^X $FindBin::Bin/0200-power-loss.t 2>&1);
	my $status = $?;
	plan skip_all => 'no loop mounts here' if $text =~ /SKIP no loop/ && !$ENV{CI};
	if ($text =~ /# SKIP (.*)/) {
		diag "$fs: $1";
		next;
	}
	isnt($status, 0, "$fs: it fails without syncs");
	like($text, qr/^not ok \d+ - none is lost/m, "$fs: because mail is lost") or diag $text;
}
done_testing;
