#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# 0200-power-loss.t with the mailboxes on a file system of their own.
use strict;
use warnings;
use FindBin;

$ENV{TWO} = '1';
$ENV{LOSSES} ||= 5;
exec $^X, "$FindBin::Bin/0200-power-loss.t" or die "exec: $!";
