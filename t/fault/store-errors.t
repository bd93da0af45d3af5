#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A system call of a mailbox operation fails: full disk, I/O error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use StoreFault;

store_fault_ready();
my @mbox = qw(pwrite64 fdatasync fsync ftruncate fallocate unlink openat pread64);
my @maildir = qw(write fsync fdatasync unlink rename renameat2 openat mkdir);

for my $fault ('error=ENOSPC', 'error=EIO') {
	try_case({ name => 'mbox-expunge', kind => 'mbox', op => [ 'expunge', 2, 5 ], gone => [ 2, 5 ] }, 'deliver', $fault, @mbox);
	try_case({ name => 'mbox-grow', kind => 'mbox', op => [ 'grow', 3, 6 ] }, 'deliver', $fault, @mbox);
	try_case({ name => 'mbox-deliver', kind => 'mbox', op => [ 'deliver', 21, 22 ], again => [ 21, 22 ] }, '', $fault, @mbox);
	try_case({ name => 'mbox-append', kind => 'mbox', op => [ 'append', 31, 32 ] }, 'deliver', $fault, @mbox);
	try_case({ name => 'maildir-deliver', kind => 'maildir', op => [ 'deliver', 21, 22 ], again => [ 21, 22 ] }, '', $fault, @maildir);
	try_case({ name => 'maildir-append', kind => 'maildir', op => [ 'append', 31, 32 ] }, 'deliver', $fault, @maildir);
}
done_testing();
