#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A mailbox operation is killed at each of its system calls in turn.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use StoreFault;

store_fault_ready();
my @mbox = qw(pwrite64 fdatasync fsync ftruncate fallocate unlink openat);
my @maildir = qw(write fsync fdatasync unlink rename renameat2);

try_case({ name => 'mbox-expunge', kind => 'mbox', op => [ 'expunge', 2, 5 ], gone => [ 2, 5 ] }, $_, 'signal=KILL', @mbox)
    for '', 'deliver', 'raw';
try_case({ name => 'mbox-expunge-first', kind => 'mbox', op => [ 'expunge', 1 ], gone => [ 1 ] }, 'deliver', 'signal=KILL', @mbox);
try_case({ name => 'mbox-expunge-last', kind => 'mbox', op => [ 'expunge', 7, 8 ], gone => [ 7, 8 ] }, 'raw', 'signal=KILL', @mbox);
try_case({ name => 'mbox-grow', kind => 'mbox', op => [ 'grow', 3, 6 ] }, $_, 'signal=KILL', @mbox) for '', 'deliver', 'raw';
try_case({ name => 'maildir-expunge', kind => 'maildir', op => [ 'expunge', 2, 5 ], gone => [ 2, 5 ] }, 'deliver', 'signal=KILL', @maildir);
try_case({ name => 'maildir-flags', kind => 'maildir', op => [ 'grow', 3, 6 ] }, 'deliver', 'signal=KILL', @maildir);
# a delivery that is killed is made again by the queue
try_case({ name => 'mbox-deliver', kind => 'mbox', op => [ 'deliver', 21, 22 ], again => [ 21, 22 ] }, '', 'signal=KILL', @mbox);
try_case({ name => 'mbox-append', kind => 'mbox', op => [ 'append', 31, 32 ] }, 'deliver', 'signal=KILL', @mbox);
try_case({ name => 'maildir-deliver', kind => 'maildir', op => [ 'deliver', 21, 22 ], again => [ 21, 22 ] }, '', 'signal=KILL', @maildir);
try_case({ name => 'maildir-append', kind => 'maildir', op => [ 'append', 31, 32 ] }, 'deliver', 'signal=KILL', @maildir);
done_testing();
