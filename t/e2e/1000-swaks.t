#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# swaks as the client of port 25: what is accepted, what is refused with which code, and that it is all delivered.
use strict;
use warnings;
use Test::More;
use Posthouse;

Posthouse::need('swaks');
my $p = Posthouse->new(relay => '127.0.0.99', main => { smtpd_relay_restrictions => 'permit_mynetworks, reject_unauth_destination',
	message_size_limit => 3000000 })->start;
my $alice = 'alice@example.test';

# (exit status, transcript) of a run that sends to alice unless told otherwise.
sub swaks {
	my (@args) = @_;
	return Posthouse::run('swaks', '--timeout', 20, '--hide-informational', '--server', $p->address, '--port', 2025,
		'--helo', 'client.test', '--from', 'x@client.test', '--to', $alice, @args);
}

sub accepted {
	my ($name, @args) = @_;
	my ($status, $text) = swaks(@args);
	is $status, 0, "accepted: $name" or diag $text;
	return $text =~ /queued as (\S+)/ ? $1 : undef;
}

sub refused {
	my ($name, $re, @args) = @_;
	my ($status, $text) = swaks(@args);
	isnt $status, 0, "refused: $name";
	like $text, qr/^<[-~* ]*$re/m, "refused: $name: code and text";
}

my $big = $p->dir . '/big';
Posthouse::write_file($big, join '', ('x' x 76 . "\n") x 20000);

my %sent = map { $_->[0] => accepted(@$_) } (
	[ 'a plain letter' ],
	[ 'SMTP without extensions', '--protocol', 'SMTP' ],
	[ 'pipelined', '--pipeline' ],
	[ 'two recipients', '--to', "$alice,bob\@example.test" ],
	[ 'from nobody', '--from', '<>' ],
	[ '1.5 MB', '--body', "\@$big" ],
	[ 'an attachment', '--attach-type', 'application/octet-stream', '--attach', "\@$big" ],
	[ 'eight bits', '--header', "Subject: caf\xc3\xa9", '--body', "na\xc3\xafve" ],
	[ 'dots', '--body', '.\n..\n.hidden\nlast' ],
	[ 'an address in capitals', '--to', 'ALICE@EXAMPLE.TEST' ],
	[ 'an alias', '--to', 'postmaster@example.test' ],
	[ 'postmaster alone', '--to', 'postmaster' ],
	[ 'a route to ourselves', '--to', "\@example.test:$alice" ],
);
for my $name (sort keys %sent) {
	ok $sent{$name}, "queued: $name" or next;
	like $p->wait_log(qr/$sent{$name}: to=</, from => 0), qr/status=sent/, "delivered: $name";
}
like $p->wait_log(qr/$sent{'two recipients'}: to=<bob\@/, from => 0), qr/status=sent/, 'the second one too';

accepted("ends after $_", '--quit-after', $_) for qw(CONNECT EHLO MAIL RCPT);

refused('relaying', qr/554 5\.7\.1 <who\@elsewhere\.test>: Relay access denied/, '--to', 'who@elsewhere.test');
refused('relaying with %', qr/5\d\d 5/, '--to', 'who%elsewhere.test@example.test');
refused('relaying with !', qr/5\d\d 5/, '--to', 'example.test!who@elsewhere.test');
refused('relaying by a route', qr/5\d\d 5/, '--to', '@example.test:who@elsewhere.test');
refused('relaying in quotes', qr/5\d\d 5/, '--to', '"who@elsewhere.test"');
refused('relaying in quotes at home', qr/5\d\d 5/, '--to', '"who@elsewhere.test"@example.test');
refused('an unknown user', qr/550 5\.1\.1 <nobody-here\@example\.test>: Recipient address rejected: User unknown in local recipient table/,
	'--to', 'nobody-here@example.test');
refused('two at signs', qr/5\d\d 5/, '--to', 'alice@example@test');
refused('a letter that is too large', qr/552 5\.3\.4/, '--body', "\@$big", '--attach-type', 'text/plain', '--attach', "\@$big",
	'--attach', "\@$big");

# The relay network is another: from there the same is accepted.
my $id = accepted('relaying from mynetworks', '--local-interface', '127.0.0.99', '--to', 'who@elsewhere.invalid');
like $p->wait_log(qr/$id: to=<who\@elsewhere\.invalid>/, from => 0), qr/status=(bounced|deferred)/, 'and tried';

is $p->log_count(qr/panic|fatal|error: /), 0, 'no complaints of our own in the log' or diag $p->log_tail;
done_testing;
