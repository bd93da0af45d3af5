#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# RFC 3516 (BINARY), RFC 7889 (APPENDLIMIT), RFC 6154 (CREATE-SPECIAL-USE).
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my @location = $ENV{MAIL_LOCATION} ? (mail_location => $ENV{MAIL_LOCATION}) : ();
my $p = Posthouse->new(master => <<'END', main => { @location, message_size_limit => 100000, mailbox_size_limit => 10000000 });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;
my $c = $p->imap('alice');
sub untagged { my @l = $c->imap(@_); pop @l; return join '|', @l }
sub bad { return ($c->imap($_[0], qr/^/))[-1] }
sub append {
	my ($text, $mark) = @_;
	$text =~ s/\n/\r\n/g;
	return ($c->imap('APPEND INBOX ' . ($mark // '') . '{' . length($text) . "+}\r\n$text"))[-1];
}

like append(<<'END', '~'), qr/ OK \[APPENDUID/, 'APPEND with literal8';
Subject: parts
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=
=C3=9Fe
=3D end
--b
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

AAEC
Aw==
--b
Content-Type: text/plain

plain
lines
--b
Content-Type: text/plain
Content-Transfer-Encoding: x-unknown

secret
--b
Content-Type: message/rfc822

Subject: inner
Content-Transfer-Encoding: base64

aW5uZXI=
--b--
END
$c->imap('SELECT INBOX');
like + ($c->imap('CAPABILITY'))[0], qr/ BINARY APPENDLIMIT CREATE-SPECIAL-USE\b/, 'advertised';
is untagged('FETCH 1 BINARY.SIZE[1]'), '* 1 FETCH (BINARY.SIZE[1] 14)', 'BINARY.SIZE of quoted-printable';
is untagged('FETCH 1 (BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[9])'), '* 1 FETCH (BINARY.SIZE[2] 4 BINARY.SIZE[3] 12 BINARY.SIZE[9] 0)', 'of others';
is untagged('FETCH 1 BINARY.PEEK[1]'), "* 1 FETCH (BINARY[1] {14}\nGr\xc3\xbc\xc3\x9fe\r\n= end)", 'quoted-printable';
is untagged('FETCH 1 BINARY.PEEK[2]'), "* 1 FETCH (BINARY[2] ~{4}\n\0\1\2\3)", 'a NUL comes in a literal8';
is untagged('FETCH 1 FLAGS'), '* 1 FETCH (FLAGS (\Recent))', 'PEEK sets no flag';
is untagged('FETCH 1 BINARY.PEEK[2]<1.2>'), "* 1 FETCH (BINARY[2]<1> ~{2}\n\1\2)", 'partial';
is untagged('FETCH 1 BINARY.PEEK[1]<12.99>'), "* 1 FETCH (BINARY[1]<12> {2}\nnd)", 'partial past the end';
is untagged('FETCH 1 BINARY.PEEK[1]<99.1>'), "* 1 FETCH (BINARY[1]<99> {0}\n)", 'partial behind it';
is untagged('FETCH 1 BINARY.PEEK[3]'), "* 1 FETCH (BINARY[3] {12}\nplain\r\nlines)", 'no encoding';
is untagged('FETCH 1 BINARY.PEEK[9]'), '* 1 FETCH (BINARY[9] NIL)', 'no such part';
is untagged('FETCH 1 BINARY.PEEK[5.1]'), "* 1 FETCH (BINARY[5.1] {5}\ninner)", 'a part of a message inside';
like untagged('FETCH 1 BINARY.PEEK[5]'), qr/\nSubject: inner\r\n.*\r\naW5uZXI=\)$/s, 'the message inside is as it is';
like untagged('FETCH 1 BINARY.PEEK[]'), qr/BINARY\[\] \{\d+\}\nSubject: parts\r\n/, 'the whole message';
is untagged('UID FETCH 1 BINARY[1]<0.2>'), "* 1 FETCH (UID 1 BINARY[1]<0> {2}\nGr FLAGS (\\Seen \\Recent))", 'BINARY sets \Seen';
like bad('FETCH 1 (FLAGS BINARY.PEEK[4])'), qr/ NO \[UNKNOWN-CTE\]/, 'unknown encoding';
like bad("FETCH 1 $_"), qr/ BAD /, "BAD: $_" for 'BINARY', 'BINARY[HEADER]', 'BINARY[1.MIME]', 'BINARY.SIZE[1]<0.1>', 'BINARY[0]', 'BINARY[1]<0>';
my $zeros = "Subject: z\n\n" . "\0" x 60000 . "\n" . "x" x 10000 . "\n";
like append($zeros, '~'), qr/ OK /, 'APPEND of NULs';
ok index(untagged('UID FETCH 2 BINARY[1]'), "BINARY[1] ~{70004}\n" . "\0" x 60000 . "\r\n" . 'x' x 10000 . "\r\n") > 0, 'and back';

# --- APPENDLIMIT
is untagged('STATUS INBOX (APPENDLIMIT MESSAGES)'), '* STATUS INBOX (MESSAGES 2 APPENDLIMIT 100000)', 'STATUS (APPENDLIMIT)';
like bad('APPEND INBOX {100001}'), qr/ NO \[TOOBIG\]/, 'and it is one';

# --- CREATE-SPECIAL-USE
like bad('CREATE Sent (USE (\Sent))'), qr/ OK /, 'a use that fits';
like untagged('LIST "" Sent RETURN (SPECIAL-USE)'), qr/\\Sent/, 'is there';
like bad('CREATE "Sent Items" (USE (\Sent))'), qr/ NO \[USEATTR\]/, 'a second one';
is untagged('LIST "" "Sent Items"'), '', 'is not made';
like bad('CREATE letters (USE (\Junk))'), qr/ NO \[USEATTR\]/, 'a name that does not fit';
like bad('CREATE Trash (USE (\Trash \Junk))'), qr/ NO \[USEATTR\]/, 'two uses';
like bad('CREATE plain (USE ())'), qr/ OK /, 'none';
like bad('CREATE Sent (USE (\Sent))'), qr/ NO \[ALREADYEXISTS\]/, 'it exists';
like untagged('LIST "" Sent'), qr/Sent/, 'and stays';
like bad("CREATE x $_"), qr/ BAD /, "BAD: CREATE x $_" for '(USE)', '(NONE (\Sent))', '(USE (\Sent)', 'USE (\Sent)';
done_testing;
