#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The power fails right after a mailbox operation has said that it is done: what it did is there after the restart. A file system
# of our own, on a loop device, is shut down without writing anything back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Temp qw(tempdir);
use StoreFault;

plan skip_all => 'needs root and mount namespaces' if $> != 0 || system('unshare', '-m', 'true');
my $do = ($ENV{TBIN} // 'build/release/t') . '/lib/store-do';
plan skip_all => "$do is not built" unless -x $do;
# mounts are nobody else's business
if (!$ENV{STORE_POWER_NS}) {
	$ENV{STORE_POWER_NS} = 1;
	exec 'unshare', '-m', $^X, $0 or plan skip_all => 'no unshare';
}
my $dir = tempdir(CLEANUP => 1);
my ($image, $mnt) = ("$dir/image", "$dir/mnt");
mkdir $mnt;
sub sh { return system("@_ >/dev/null 2>&1") == 0 }
plan skip_all => 'no loop device or ext4'
    unless sh("truncate -s 64M $image") && sh("mkfs.ext4 -q -F $image") && sh("mount -o loop $image $mnt");

sub power_off {
	open(my $fh, '<', $mnt) or die $!;
	my $how = pack 'L', 2; # the journal is not flushed either
	ioctl($fh, 0x8004587d, $how) or return 0;
	close $fh;
	return sh("umount $mnt") && sh("mount -o loop $image $mnt");
}

for my $kind (qw(mbox maildir)) {
	my $at = "$mnt/$kind";
	my $loc = location($kind, $at);
	mkdir $at;
	sh('sync');
	(store_do($loc, 'fill', 8))[1] == 0 or die 'fill';
	ok(power_off(), "$kind: power off and on") or last;
	my $before = look($loc);
	is(scalar keys %{$before->{have}}, 8, "$kind: 8 letters delivered");
	power_off();
	is(problem({ kind => $kind }, $before, look($loc)), undef, "$kind: UIDs once told are kept");
	for my $op ([ 'deliver', 11, 12 ], [ 'append', 13 ], [ 'expunge', 2, 12 ], [ 'grow', 3 ], [ 'deliver', 15 ], [ 'expunge', 1, 15 ]) {
		my ($verb, @keys) = @$op;
		(store_do($loc, @$op))[1] == 0 or die "@$op";
		power_off();
		my $now = look($loc);
		my $case = { kind => $kind, gone => $verb eq 'expunge' ? \@keys : [], again => $verb eq 'expunge' ? [] : \@keys };
		is(problem($case, $before, $now), undef, "$kind: @$op");
		is(scalar(grep { exists $now->{have}{$_} } @keys), 0, "$kind: and gone for good") if $verb eq 'expunge';
		is(scalar(grep { $now->{have}{$_} =~ /F/ } @keys), scalar @keys, "$kind: with their flags") if $verb eq 'grow';
		$before = $now;
	}
}
sh("umount $mnt");
done_testing();
