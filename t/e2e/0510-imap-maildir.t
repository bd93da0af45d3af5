#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The IMAP dialogues that run over mbox, again over Maildir.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my %location = ('0500-imap-mailbox.t' => 'maildir:~/Maildir', '0501-imap-search.t' => 'maildir:~/Maildir',
	'0502-imap-sessions.t' => 'maildir:~/Maildir', '0504-imap-limits.t' => 'maildir:~/Maildir',
	'0521-imap-sort.t' => 'maildir:~/Maildir', '0522-imap-binary.t' => 'maildir:~/Maildir', '0523-imap-rev2.t' => 'maildir:~/Maildir',
	'0540-imap-condstore.t' => 'maildir:~/Maildir', '0541-imap-qresync.t' => 'maildir:~/Maildir');
for my $test (sort keys %location) {
	local $ENV{MAIL_LOCATION} = $location{$test};
	my ($status, $text) = Posthouse::run($^X, "$FindBin::Bin/$test");
	is $status, 0, "$test with $location{$test}" or diag grep { !/^ok/ } map { "$_\n" } split /\n/, $text;
}
done_testing;
