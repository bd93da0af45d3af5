#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Hostile and unlucky clients: limits, literals, time, and large messages in little memory.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my @location = $ENV{MAIL_LOCATION} ? (mail_location => $ENV{MAIL_LOCATION}) : ();
my $p = Posthouse->new(master => <<'END', main => { imap_timeout => '10s', message_size_limit => 50000000, @location });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;

my $idle = $p->imap('bob');
my $c = $p->imap('alice');
my ($pid) = do { $c->imap('NOOP'); $p->wait_until('process', sub { map { $_->[1] eq 'imapd' ? $_->[0] : () } $p->processes }) };

$c->send('a ' . 'x' x 200_000);
$c->expect(qr/^a BAD .*Too long command line/);
$c->send_raw("b NOOP \0\r\n");
$c->expect(qr/^b BAD /);
$c->send('c SELECT {99999999999999999999}');
$c->expect(qr/^c NO \[TOOBIG\]/);
$c->send('d SELECT {300000}');
$c->expect(qr/^d NO \[TOOBIG\]/);
$c->send_raw("e SELECT {300000+}\r\n" . 'y' x 300_000 . "\r\nf NOOP\r\n");
$c->expect(qr/^e NO \[TOOBIG\]/);
$c->expect(qr/^f OK /);
pass 'lines and literals past their limits, and the connection stays in step';
$c->send('g SEARCH ' . join ' ', ('{1+}') x 1);
$c->send_raw('a');
$c->send('');
$c->expect(qr/^g BAD /);
$c->send("\x{28}" x 60_000);
$c->expect(qr/BAD/);
$c->send_raw("h LIST \"\" " . '(' x 60_000 . "\r\n");
$c->expect(qr/^h BAD/);
$c->imap('NOOP');

sub append { my ($conn, $text) = @_; $text .= "\r\n\r\n"; $conn->imap('APPEND INBOX {' . length($text) . "+}\r\n$text") }
my $big = "Subject: big\r\n\r\n" . ("0123456789abcdef" x 4 . "\r\n") x 300_000;
$c->imap('APPEND INBOX {' . length($big) . "+}\r\n$big");
$c->imap('SELECT INBOX');
my @l = $c->imap('FETCH 1 (RFC822.SIZE BODY.PEEK[])');
is length $l[0], length("* 1 FETCH (RFC822.SIZE " . length($big) . " BODY[] {" . length($big) . "}\n)") + length $big, 'a message of 20 MB';
ok index($l[0], $big) > 0, 'with the very same bytes';
$c->send('x APPEND INBOX {60000000+}');
my $chunk = 'z' x 1_000_000;
$c->send_raw($chunk) for 1 .. 60;
$c->send('');
$c->expect(qr/^x NO \[TOOBIG\]/);
$c->imap('NOOP');
pass 'a message past message_size_limit is dropped as it comes';

# A client that asks for much and does not read holds up nobody else.
my $lazy = $p->imap('alice');
$lazy->imap('SELECT INBOX');
$lazy->send('l FETCH 1 BODY[]');
$lazy->expect(qr/^\* 1 FETCH/);
$c->imap('STORE 1 +FLAGS.SILENT (\Flagged)');
$c->imap('FETCH 1 BODY.PEEK[HEADER]');
append($c, 'Subject: x');
pass 'other sessions go on beside a client that does not read';
$lazy->close;

# Structures without end.
append($c, join '', "Content-Type: multipart/mixed; boundary=b0\r\n\r\n",
	map { "--b$_\r\nContent-Type: multipart/mixed; boundary=b" . ($_ + 1) . "\r\n\r\n" } 0 .. 10_000);
append($c, "Content-Type: message/rfc822\r\n\r\n" x 10_000);
append($c, "Content-Type: multipart/mixed; boundary=b\r\n\r\n" . "--b\r\n\r\n" x 50_000);
append($c, 'To: ' . '(' x 100_000);
append($c, 'To: ' . 'a@b.test, ' x 100_000);
append($c, "A: b\r\n" x 100_000);
my $began = time;
$c->imap('FETCH 2:* (BODYSTRUCTURE ENVELOPE BODY.PEEK[1.1.1.1.1.1.MIME] BODY.PEEK[HEADER.FIELDS (X)])');
$c->imap('SEARCH 2:* TEXT "nowhere at all"');
cmp_ok time - $began, '<', 20, 'hostile structures do not take long';
$c->send('lots SEARCH' . ' OR SUBJECT {1+}');
for (1 .. 1500) { $c->send_raw("a SUBJECT {1+}\r\n") }
$c->send('a');
$c->expect(qr/^lots (?:BAD|NO) /);
$c->imap('UID EXPUNGE 1:*');
pass 'more literals than one command may have';
$c->imap('STORE 2:* +FLAGS.SILENT (\Deleted)');
$c->imap('EXPUNGE');

# A client that goes away in the middle of an APPEND leaves nothing behind.
my $d = $p->imap('alice');
$d->send("y APPEND INBOX {1000+}");
$d->send_raw("half of it");
$d->close;
is + ($c->imap('STATUS INBOX (MESSAGES)'))[0], '* STATUS INBOX (MESSAGES 1)', 'half an APPEND is none';

# Too many bad commands.
$c->send("z$_ XYZZY") for 1 .. 20;
my $last;
while (defined(my $line = $c->line)) { $last = $line }
is $last, '* BYE Too many invalid IMAP commands.', 'disconnected after 20 bad commands';

# Inactivity.
$idle->expect(qr/^\* BYE Disconnected for inactivity\.$/);
ok $idle->eof, 'inactivity';
$p->wait_log(qr/imap\(bob\)<\d+><\S+>: Disconnected: Inactivity in=/, from => 0);
is $p->log_count(qr/panic|signal|fatal/), 0, 'nothing died';
done_testing;
