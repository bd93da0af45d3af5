#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# reject_unverified_recipient and reject_unverified_sender beside the distribution's Postfix: the same replies, byte for byte.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Beside;
use Posthouse;
use Postfix;

Postfix::need();
my $far = Posthouse->new(relay => '127.0.0.0/8', main => { myhostname => 'mx.far.test', mydestination => 'far.test', smtpd_error_sleep_time => 0 })->start;
my $hop = '[' . $far->address . ']:' . $far->port('smtp');
my @recipients = map { [ client => '127.78.0.2', from => 'x@client.test', to => $_ ] } 'alice@far.test', 'nobody@far.test', 'a@no.test', 'a@later.test', 'a@void.test';
my @senders = map { [ from => $_, to => 'alice@example.test' ] } 'alice@far.test', 'nobody@far.test', 'a@no.test', 'a@later.test', 'a@void.test', '';

Beside->new(main => {
		transport_maps => "inline:{ { far.test = smtp:$hop }, { no.test = error:5.7.1 not there }, { later.test = retry:4.2.1 not now }, { void.test = discard: } }",
		smtpd_recipient_restrictions => 'reject_unauth_destination' },
	cases => [
		[ 'recipients', { recipient => 'reject_unverified_recipient, permit', relay => 'permit_mynetworks, reject' }, @recipients ],
		[ 'for good', { recipient => 'reject_unverified_recipient, permit', relay => 'permit_mynetworks, reject', unverified_recipient_reject_code => 550 }, @recipients ],
		[ 'a text', { recipient => 'reject_unverified_recipient, permit', relay => 'permit_mynetworks, reject', unverified_recipient_reject_code => 554,
			unverified_recipient_reject_reason => 'no such person', unverified_recipient_defer_code => 451 }, @recipients ],
		[ 'later', { recipient => 'reject_unverified_recipient, reject', relay => 'permit_mynetworks, reject' }, @recipients ],
		[ 'at once', { recipient => 'reject_unverified_recipient, reject', relay => 'permit_mynetworks, reject', unverified_recipient_tempfail_action => 'defer' }, @recipients ],
		[ 'warned of', { recipient => 'warn_if_reject reject_unverified_recipient, permit', relay => 'permit_mynetworks, reject' }, @recipients ],
		[ 'senders', { sender => 'reject_unverified_sender' }, @senders ],
		[ 'senders, for good', { sender => 'reject_unverified_sender', unverified_sender_reject_code => 550 }, @senders ],
	])->run;
$far->stop;
done_testing;
