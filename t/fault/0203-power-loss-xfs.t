#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# 0200-power-loss.t on xfs.
use strict;
use warnings;
use FindBin;

$ENV{FS} = 'xfs';
$ENV{LOSSES} ||= 5;
exec $^X, "$FindBin::Bin/0200-power-loss.t" or die "exec: $!";
