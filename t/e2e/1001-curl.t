#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# curl as a client of SMTP and IMAP: what goes in comes out octet for octet, and what is not allowed is refused.
use strict;
use warnings;
use Test::More;
use Posthouse;

Posthouse::need('curl');
my $p = Posthouse->new(relay => '127.0.0.99', main => { auth_failure_delay => '0s' })->start;
my ($host, $dir, $password) = ($p->address, $p->dir, $p->password('alice'));
my ($smtp, $imap) = ("smtp://$host:2025", "imap://$host:2143");
my @as_alice = ('-u', "alice:$password");
my $letter = join "\r\n", 'From: <alice@example.test>', 'To: <alice@example.test>', 'Subject: by curl', 'MIME-Version: 1.0',
	'Content-Type: text/plain; charset=utf-8', '', 'line', '.dot line', '..two', '.', "caf\xc3\xa9", 'From here', '';
Posthouse::write_file("$dir/letter", $letter);

sub curl { return Posthouse::run('curl', '-sS', '--max-time', 20, @_) }

sub good {
	my ($name, @args) = @_;
	my ($status, $text) = curl(@args);
	is $status, 0, $name or diag $text;
	return $text;
}

sub bad {
	my ($name, $re, @args) = @_;
	my ($status, $text) = curl('-v', @args);
	isnt $status, 0, $name;
	like $text, $re, "$name: the reply";
}

my @envelope = ('--mail-from', 'x@client.test', '-T', "$dir/letter", '--mail-rcpt');
good('a letter', "$smtp/client.test", @envelope, 'alice@example.test');
$p->wait_log(qr/to=<alice\@example\.test>.*status=sent/);
like good('VRFY', $smtp, '--mail-rcpt', 'alice@example.test'), qr/^25[02] /m, 'VRFY: the reply';
bad('relaying', qr/^< (454|554) .*Relay access denied/m, $smtp, @envelope, 'who@elsewhere.test');
bad('an unknown user', qr/^< 550 5\.1\.1/m, $smtp, @envelope, 'nobody-here@example.test');

my ($n) = good('SEARCH', "$imap/INBOX?SUBJECT%20curl", @as_alice) =~ /^\* SEARCH (\d+)/m;
is $n, 1, 'SEARCH finds it';
is good('FETCH text', "$imap/INBOX;MAILINDEX=1;SECTION=TEXT", @as_alice), $letter =~ s/.*?\r\n\r\n//sr, 'text as sent';
good("AUTH=$_", "$imap/", '--login-options', "AUTH=$_", @as_alice, '-X', 'NOOP') for qw(PLAIN LOGIN);
bad('a wrong password', qr/NO \[AUTHENTICATIONFAILED\]/, "$imap/", '-u', 'alice:wrong', '-X', 'NOOP');
like good('LIST', "$imap/", @as_alice), qr/^\* LIST \([^)]*\) "." "?INBOX/m, 'LIST shows INBOX';
good('CREATE', "$imap/", @as_alice, '-X', 'CREATE curlbox');
good('APPEND', "$imap/curlbox", @as_alice, '-T', "$dir/letter");
is good('FETCH', "$imap/curlbox;MAILINDEX=1", @as_alice), $letter, 'appended and fetched, octet for octet';
is good('FETCH partial', "$imap/curlbox;MAILINDEX=1;SECTION=1;PARTIAL=0.5", @as_alice), "line\r", 'five octets of the first part';
good('STORE', "$imap/curlbox", @as_alice, '-X', 'STORE 1 +FLAGS (\Flagged)');
like good('SEARCH FLAGGED', "$imap/curlbox?FLAGGED", @as_alice), qr/^\* SEARCH 1\r?$/m, 'the flag is found';
like good('STATUS', "$imap/", @as_alice, '-X', 'STATUS curlbox (MESSAGES UIDNEXT)'),
	qr/^\* STATUS "?curlbox"? \(MESSAGES 1 UIDNEXT 2\)/m, 'STATUS counts';
bad('a mailbox that is not there', qr/ NO /, "$imap/no-such-box;MAILINDEX=1", @as_alice);
good('DELETE', "$imap/", @as_alice, '-X', 'DELETE curlbox');
bad('is gone', qr/ NO /, "$imap/curlbox;MAILINDEX=1", @as_alice);
is $p->log_count(qr/panic|signal|fatal|error: /), 0, 'nothing died';
done_testing;
