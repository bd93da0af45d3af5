#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# One session: what is said before anything is selected, APPEND, SELECT, FETCH, STORE, EXPUNGE, COPY, MOVE, CLOSE.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my @location = $ENV{MAIL_LOCATION} ? (mail_location => $ENV{MAIL_LOCATION}) : ();
my $p = Posthouse->new(master => <<'END', main => { @location });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;

sub crlf { my ($t) = @_; $t =~ s/\n/\r\n/g; return $t }
sub append {
	my ($c, $box, $text, $args, $re) = @_;
	$text = crlf($text);
	return ($c->imap("APPEND $box " . ($args // '') . '{' . length($text) . "+}\r\n$text", $re))[-1];
}
# Without \Recent: a Maildir does not have it where a message comes with flags.
sub untagged { my @l = @_; pop @l; s{ \\Recent(?=[ )])}{} || s{\(\\Recent ?}{(} for @l; return \@l }

my $simple = <<'END';
From: "Joe Q. Public" <john.q.public@example.com>
To: Mary Smith <mary@x.test>, jdoe@example.org
Subject: Entwurf =?utf-8?q?=C3=BCber?= alles
Date: Tue, 1 Jul 2003 10:52:37 +0200
Message-ID: <5678.21-Nov-1997@example.com>

Hi everyone.
Second line.
END
my $multi = <<'END';
From: a@x.test
Subject: parts
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

preamble
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

SMO8bGxlCg==
--b1
Content-Type: message/rfc822

From: inner@x.test
Subject: inside

Inner text.
--b1--
END

my $c = $p->imap('alice');
my @l = $c->imap('CAPABILITY');
like $l[0], qr/^\* CAPABILITY IMAP4rev1 .*\bUIDPLUS\b.*\bMOVE\b/, 'CAPABILITY';
is_deeply untagged($c->imap('NAMESPACE')), ['* NAMESPACE (("" "/")) NIL NIL'], 'NAMESPACE';
is_deeply untagged($c->imap('ENABLE X-NONE X')), ['* ENABLED'], 'ENABLE of what there is not';
like $c->imap('ID NIL') ? 'ok' : '', qr/ok/, 'ID NIL';
for my $bad (['FETCH 1 FLAGS', qr/ BAD No mailbox selected/], ['XYZZY', qr/ BAD Error in IMAP command XYZZY: Unknown command/],
	['SELECT', qr/ BAD .*Missing arguments/], ['SELECT nowhere', qr/ NO \[NONEXISTENT\]/], ['SELECT "a', qr/ BAD /],
	['SELECT &bad', qr/ NO \[CANNOT\]/], ['UID NOOP', qr/ BAD /], ['SELECT ""', qr/ NO /],
	['APPEND nowhere {10}', qr/ NO \[TRYCREATE\]/], ['APPEND INBOX (\Foo) {1}', qr/ BAD /], ['APPEND INBOX', qr/ BAD /],
	['APPEND INBOX {20000000}', qr/ NO \[TOOBIG\]/], ['CREATE INBOX', qr/ NO \[ALREADYEXISTS\]/]) {
	ok eval { $c->imap(@$bad); 1 }, "refused: $bad->[0]" or diag $@;
}
like append($c, 'INBOX', $simple, '(\Seen $Work) "01-Jul-2003 10:52:37 +0000" '), qr/ OK \[APPENDUID \d+ 1\]/, 'APPEND, APPENDUID';
like append($c, 'INBOX', $multi), qr/ OK \[APPENDUID \d+ 2\]/, 'a second one';
like append($c, 'nowhere', $multi, '', qr/ NO \[TRYCREATE\]/), qr/TRYCREATE/, 'LITERAL+ to nowhere is read and refused';
ok $c->imap('NOOP'), 'and the connection stays in step';

@l = $c->imap('SELECT INBOX');
my $text = join "\n", @l;
like $text, qr/^\* FLAGS \(\\Answered \\Flagged \\Deleted \\Seen \\Draft \$Work\)$/m, 'FLAGS';
like $text, qr/^\* OK \[PERMANENTFLAGS \(.* \\\*\)\]/m, 'PERMANENTFLAGS';
like $text, qr/^\* 2 EXISTS$/m, 'EXISTS';
like $text, qr/^\* \d RECENT$/m, 'RECENT';
like $text, qr/^\* OK \[UNSEEN 2\]/m, 'UNSEEN';
like $text, qr/^\* OK \[UIDVALIDITY \d+\]/m, 'UIDVALIDITY';
like $text, qr/^\* OK \[UIDNEXT 3\]/m, 'UIDNEXT';
like $l[-1], qr/ OK \[READ-WRITE\] Select completed\.$/, 'READ-WRITE';

# --- FETCH ---
is_deeply untagged($c->imap('FETCH 1 FAST')),
	['* 1 FETCH (FLAGS (\Seen $Work) INTERNALDATE " 1-Jul-2003 10:52:37 +0000" RFC822.SIZE ' . length(crlf($simple)) . ')'], 'FAST';
is_deeply untagged($c->imap('FETCH 1 (UID BODY.PEEK[])')),
	["* 1 FETCH (UID 1 BODY[] {" . length(crlf($simple)) . "}\n" . crlf($simple) . ')'], 'BODY.PEEK[]: the very bytes';
is_deeply untagged($c->imap('FETCH 1 BODY[]<4.5>')), ["* 1 FETCH (BODY[]<4> {5}\n: \"Jo)"], 'partial';
is_deeply untagged($c->imap('FETCH 1 BODY[]<100000.5>')), ["* 1 FETCH (BODY[]<100000> {0}\n)"], 'partial past the end';
is_deeply untagged($c->imap('FETCH 1 ENVELOPE')), ['* 1 FETCH (ENVELOPE ("Tue, 1 Jul 2003 10:52:37 +0200" '
	. '"Entwurf =?utf-8?q?=C3=BCber?= alles" (("Joe Q. Public" NIL "john.q.public" "example.com")) '
	. '(("Joe Q. Public" NIL "john.q.public" "example.com")) (("Joe Q. Public" NIL "john.q.public" "example.com")) '
	. '(("Mary Smith" NIL "mary" "x.test")(NIL NIL "jdoe" "example.org")) NIL NIL NIL "<5678.21-Nov-1997@example.com>"))'], 'ENVELOPE';
is_deeply untagged($c->imap('FETCH 1 BODY.PEEK[HEADER.FIELDS (subject "DATE")]')),
	["* 1 FETCH (BODY[HEADER.FIELDS (subject DATE)] {86}\nSubject: Entwurf =?utf-8?q?=C3=BCber?= alles\r\nDate: Tue, 1 Jul 2003 10:52:37 +0200\r\n\r\n)"],
	'HEADER.FIELDS';
is_deeply untagged($c->imap('FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (Subject Date From To)]')),
	["* 1 FETCH (BODY[HEADER.FIELDS.NOT (Subject Date From To)] {46}\nMessage-ID: <5678.21-Nov-1997\@example.com>\r\n\r\n)"], 'HEADER.FIELDS.NOT';
is_deeply untagged($c->imap('FETCH 1 (RFC822.TEXT BODY[1])')),
	["* 1 FETCH (RFC822.TEXT {28}\nHi everyone.\r\nSecond line.\r\n BODY[1] {28}\nHi everyone.\r\nSecond line.\r\n)"], 'RFC822.TEXT, BODY[1]';
is_deeply untagged($c->imap('FETCH 2 BODYSTRUCTURE')), ['* 2 FETCH (BODYSTRUCTURE (("text" "plain" ("charset" "utf-8") NIL NIL "base64" 12 0 NIL NIL NIL NIL)'
	. '("message" "rfc822" NIL NIL NIL "7bit" 50 (NIL "inside" ((NIL NIL "inner" "x.test")) ((NIL NIL "inner" "x.test")) ((NIL NIL "inner" "x.test"))'
	. ' NIL NIL NIL NIL NIL)'
	. ' ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 11 0 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)'
	. ' "mixed" ("boundary" "b1") NIL NIL NIL))'], 'BODYSTRUCTURE';
is_deeply untagged($c->imap('FETCH 2 (BODY.PEEK[2.HEADER] BODY.PEEK[2.TEXT] BODY.PEEK[2.1] BODY.PEEK[1.MIME] BODY.PEEK[7])')),
	["* 2 FETCH (BODY[2.HEADER] {39}\nFrom: inner\@x.test\r\nSubject: inside\r\n\r\n BODY[2.TEXT] {11}\nInner text. BODY[2.1] {11}\nInner text."
	. " BODY[1.MIME] {78}\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n BODY[7] NIL)"], 'parts';
is_deeply untagged($c->imap('FETCH 2 FLAGS')), ['* 2 FETCH (FLAGS ())'], 'PEEK does not set \Seen';
is_deeply untagged($c->imap('FETCH 2 BODY[1]')), ["* 2 FETCH (BODY[1] {12}\nSMO8bGxlCg== FLAGS (\\Seen))"], 'BODY[] does';
is_deeply untagged($c->imap('UID FETCH 2:* (FLAGS)')), ['* 2 FETCH (UID 2 FLAGS (\Seen))'], 'UID FETCH';
is_deeply untagged($c->imap('UID FETCH 99 FLAGS')), [], 'UID FETCH of none';
is_deeply untagged($c->imap('UID FETCH 99:* UID')), ['* 2 FETCH (UID 2)'], '99:* is the last one';
for my $bad ('FETCH 3 FLAGS', 'FETCH 0 FLAGS', 'FETCH 1 XX', 'FETCH 1 (FLAGS', 'FETCH 1 BODY[1.]', 'FETCH 1 BODY[]<0>', 'FETCH 1 (ALL)',
	'FETCH 1,x FLAGS', 'STORE 1 +FLAGS (\Recent)', 'STORE 1 FLAG (\Seen)', 'STORE 1 FLAGS (\Seen', 'UID FETCH', 'SEARCH',
	'SEARCH (((((((((((((((((((ALL)))))))))))))))))))') {
	ok eval { $c->imap($bad, qr/^\S+ BAD /); 1 }, "BAD: $bad" or diag $@;
	$c->imap('NOOP');
}

# --- STORE, EXPUNGE ---
is_deeply untagged($c->imap('STORE 2 +FLAGS (\Flagged Brand-New)')), [
	'* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work Brand-New)',
	'* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work Brand-New \*)] Flags permitted.',
	'* 2 FETCH (FLAGS (\Flagged \Seen Brand-New))' ], 'STORE +FLAGS with a new keyword';
is_deeply untagged($c->imap('UID STORE 2 -FLAGS Brand-New')), ['* 2 FETCH (UID 2 FLAGS (\Flagged \Seen))'], 'UID STORE -FLAGS';
is_deeply untagged($c->imap('STORE 1:2 FLAGS.SILENT (\Answered)')), [], 'FLAGS.SILENT';
is_deeply untagged($c->imap('FETCH 1:2 FLAGS')), ['* 1 FETCH (FLAGS (\Answered))', '* 2 FETCH (FLAGS (\Answered))'], 'replaced';
append($c, 'INBOX', $simple) for 1 .. 3;
$c->imap('STORE 2,4 +FLAGS.SILENT (\Deleted)');
is_deeply untagged($c->imap('UID EXPUNGE 4')), ['* 4 EXPUNGE'], 'UID EXPUNGE';
is_deeply untagged($c->imap('EXPUNGE')), ['* 2 EXPUNGE'], 'EXPUNGE';
is_deeply untagged($c->imap('FETCH 1:* UID')), ['* 1 FETCH (UID 1)', '* 2 FETCH (UID 3)', '* 3 FETCH (UID 5)'], 'what is left';

# --- COPY, MOVE ---
$c->imap('COPY 1 nowhere', qr/ NO \[TRYCREATE\]/);
$c->imap('CREATE copies');
$c->imap('STORE 1 FLAGS (\Seen $Work)');
like + ($c->imap('COPY 1,3 copies'))[-1], qr/ OK \[COPYUID \d+ 1,5 1:2\] Copy completed\.$/, 'COPY, COPYUID';
like + ($c->imap('UID COPY 77 copies'))[-1], qr/ OK Copy completed\.$/, 'UID COPY of none';
my @moved = $c->imap('MOVE 1:2 copies');
like $moved[0], qr/^\* OK \[COPYUID \d+ 1,3 3:4\]/, 'MOVE: COPYUID';
is_deeply [ @moved[1 .. $#moved] ], [ '* 2 EXPUNGE', '* 1 EXPUNGE', $moved[-1] ], 'MOVE: EXPUNGE';
is_deeply untagged($c->imap('STATUS copies (MESSAGES UNSEEN UIDNEXT)')), ['* STATUS copies (MESSAGES 4 UIDNEXT 5 UNSEEN 2)'], 'STATUS';
@l = $c->imap('EXAMINE copies');
is $l[0], '* OK [CLOSED] Previous mailbox closed.', 'CLOSED';
like $l[-1], qr/ OK \[READ-ONLY\] Examine completed\.$/, 'READ-ONLY';
like + ($c->imap('FETCH 1 FLAGS'))[0], qr/\\Seen.*\$Work/, 'flags and keywords were copied';
$c->imap('STORE 1 +FLAGS (\Deleted)', qr/ NO /);
$c->imap('EXPUNGE', qr/ NO /);
is_deeply untagged($c->imap('FETCH 2 BODY[TEXT]')), ["* 2 FETCH (BODY[TEXT] {28}\nHi everyone.\r\nSecond line.\r\n)"], 'read-only: no \Seen';
$c->imap('UNSELECT');
$c->imap('CLOSE', qr/ BAD /);
$c->imap('SELECT copies');
$c->imap('STORE 1:3 +FLAGS (\Deleted)');
is_deeply untagged($c->imap('CLOSE')), [], 'CLOSE says nothing';
is_deeply untagged($c->imap('STATUS copies (MESSAGES)')), ['* STATUS copies (MESSAGES 1)'], 'and expunges';

# --- several messages in one APPEND; a literal the client waits for ---
$c->send('m APPEND copies {3}');
$c->expect(qr/^\+ /);
$c->send_raw("a\r\n (\\Seen) {4}\r\n");
$c->expect(qr/^\+ /);
$c->send_raw("b:\r\n\r\n");
like $c->line, qr/^m OK \[APPENDUID \d+ 5:6\]/, 'MULTIAPPEND';
$c->send('n SELECT {6}');
$c->expect(qr/^\+ /);
$c->send_raw("copies\r\n");
1 while (my $x = $c->line) !~ /^n /;
pass 'a mailbox name as a literal';

$c->send('z LOGOUT');
$c->expect(qr/^\* BYE /);
$c->expect(qr/^z OK /);
ok $c->eof, 'LOGOUT';
like $p->wait_log(qr/Disconnected: Logged out/), qr{imap\(alice\)<\d+><\S+>:\ Disconnected:\ Logged\ out
	\ in=\d+\ out=\d+\ deleted=\d+\ expunged=\d+\ trashed=0\ hdr_count=\d+\ hdr_bytes=\d+\ body_count=\d+\ body_bytes=\d+$}x, 'the line of the log';
done_testing;
