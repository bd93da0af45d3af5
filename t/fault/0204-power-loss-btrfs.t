#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# 0200-power-loss.t on btrfs.
use strict;
use warnings;
use FindBin;

$ENV{FS} = 'btrfs';
$ENV{LOSSES} ||= 5;
exec $^X, "$FindBin::Bin/0200-power-loss.t" or die "exec: $!";
