#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# SEARCH: every key of RFC 3501, in clear, encoded, nested, with a charset.
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
my $c = $p->imap('alice');

sub append {
	my ($args, $text) = @_;
	$text =~ s/\n/\r\n/g;
	$c->imap("APPEND INBOX $args {" . length($text) . "+}\r\n$text");
}
append('(\Seen \Answered) "01-Feb-2020 23:59:59 +0000"', <<'END');
From: Alice <alice@one.test>
To: bob@two.test
Cc: carol@three.test
Subject: First letter
Date: Sat, 1 Feb 2020 23:59:59 -0800
X-Flavour: vanilla

The quick brown fox.
END
append('(\Flagged $Todo) "02-Feb-2020 00:00:01 +0000"', <<'END');
From: =?utf-8?q?J=C3=B6rg?= <joerg@one.test>
To: =?iso-8859-1?q?Bj=F6rn?= <bjoern@two.test>
Bcc: hidden@three.test
Subject: =?utf-8?b?R3LDvMOfZQ==?= from the
 north
Date: Mon, 3 Feb 2020 10:00:00 +0100
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=
=DFe aus K=D6LN
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+YmFzZXNpeHR5Zm91cjwvYj4K
--b
Content-Type: application/octet-stream

needleinbinary
--b--
END
append('(\Deleted \Draft) "03-Feb-2020 12:00:00 +0000"', "Subject: third\n\nx\n" . 'y' x 2000 . "\n");
$c->imap('SELECT INBOX');

my @table = (
	'ALL', '1 2 3',  '1:2', '1 2',  '3,1', '1 3',  '*', '3',  'UID 2:*', '2 3',  'UID 2 ALL', '2',  '2 SEEN', '',
	'SEEN', '1',  'UNSEEN', '2 3',  'ANSWERED', '1',  'UNANSWERED', '2 3',  'FLAGGED', '2',  'UNFLAGGED', '1 3',
	'DELETED', '3',  'UNDELETED', '1 2',  'DRAFT', '3',  'UNDRAFT', '1 2',
	'KEYWORD $Todo', '2',  'KEYWORD $todo', '2',  'UNKEYWORD $Todo', '1 3',  'KEYWORD none', '',  'UNKEYWORD none', '1 2 3',
	'BEFORE 2-Feb-2020', '1',  'ON 2-Feb-2020', '2',  'SINCE 2-Feb-2020', '2 3',  'ON "3-Feb-2020"', '3',
	'SENTBEFORE 2-Feb-2020', '1',  'SENTON 1-Feb-2020', '1',  'SENTSINCE 2-Feb-2020', '2',
	'LARGER 1000', '3',  'SMALLER 1000', '1 2',
	'FROM alice', '1',  'FROM ONE.TEST', '1 2',  'TO bob', '1',  'CC carol', '1',  'BCC hidden', '2',  'SUBJECT LETTER', '1',
	'SUBJECT "from the north"', '2',  'HEADER X-Flavour vanilla', '1',  'HEADER x-flavour ""', '1',  'HEADER X-None ""', '',
	'BODY fox', '1',  'BODY alice', '',  'TEXT alice', '1',  'TEXT vanilla', '1',  'BODY basesixtyfour', '2',
	'BODY needleinbinary', '',  'TEXT X-Flavour', '1',
	'CHARSET UTF-8 SUBJECT {7}' . "\r\n" . "gr\xc3\xbc\xc3\x9fe", '2',
	'CHARSET UTF-8 FROM {5}' . "\r\n" . "J\xc3\x96RG", '2',  'CHARSET UTF-8 TO {7}' . "\r\n" . "bj\xc3\xb6rn", '2',
	'CHARSET ISO-8859-1 BODY {5}' . "\r\n" . "gr\xfc\xdfe", '2',
	'CHARSET UTF-8 BODY {5}' . "\r\n" . "k\xc3\xb6ln", '2',  'CHARSET US-ASCII TEXT quick', '1',
	'NOT SEEN', '2 3',  'NOT NOT SEEN', '1',  'OR SEEN FLAGGED', '1 2',  'OR (SEEN ANSWERED) (DELETED)', '1 3',
	'NOT (OR SEEN OR FLAGGED DELETED)', '',  'UNSEEN UNFLAGGED', '3',  '(UNSEEN) (NOT DELETED) TO two.test', '2',
	'OR FROM alice SUBJECT third', '1 3',  'NOT FROM alice', '2 3',
);
push @table, map { ("HEADER $_ \"\"", $_ eq 'Subject' ? '1 2 3' : $_ eq 'Cc' ? '1' : '2') } qw(Subject Cc Bcc);
@table = (@table, @table); # the second time the fields are in the index
while (my ($key, $want) = splice @table, 0, 2) {
	my ($head, $literal) = split /\{\d+\}\r\n/, $key;
	my @l = eval { $c->imap(defined $literal ? "SEARCH $head\{" . length($literal) . "+}\r\n$literal" : "SEARCH $key") };
	(my $name = $key) =~ s/[^ -~]/?/g;
	is $l[0], '* SEARCH' . ($want eq '' ? '' : " $want"), $name or diag $@;
}
# A long text is looked at in pieces.
append('', "Subject: long\nContent-Type: text/plain; charset=iso-8859-1\n\n" . ("line of text number one, f\xfcr alle\n" x 60_000)
	. "the last w\xf6rds\n" . 'x' x 2_000_000 . "endless\n");
is + ($c->imap("SEARCH CHARSET ISO-8859-1 BODY {10+}\r\nlast w\xd6rds"))[0], '* SEARCH 4', 'in a later piece of a long text';
is + ($c->imap('SEARCH BODY endless'))[0], '* SEARCH 4', 'behind a line of 2 MB';
is + ($c->imap('SEARCH 4 BODY nowhere'))[0], '* SEARCH', 'and what is not there';
$c->imap('STORE 4 +FLAGS.SILENT (\Deleted)');
$c->imap('UID EXPUNGE 4');
my %found = map { my $key = $_; $key => join ' ', grep { /\d/ } split / /, ($c->imap("SEARCH $key"))[0] } 'RECENT', 'NOT OLD', 'NEW', 'RECENT UNSEEN';
is $found{'NOT OLD'}, $found{RECENT}, 'OLD is what is not RECENT';
is $found{NEW}, $found{'RECENT UNSEEN'}, 'NEW is what is RECENT and not SEEN';
is + ($c->imap('UID SEARCH NOT 1'))[0], '* SEARCH 2 3', 'UID SEARCH';
is + ($c->imap('SEARCH 1 77'))[0], '* SEARCH', 'a number past the end finds nothing';
like + ($c->imap('SEARCH CHARSET x-none ALL', qr/ NO /))[-1], qr/ NO \[BADCHARSET \(.*\)\]/, 'BADCHARSET';
$c->imap('SEARCH ' . $_, qr/ BAD /) for 'FOO', 'ON 99-Feb-2020', 'LARGER x', 'NOT', 'OR SEEN', '(SEEN', 'SUBJECT', 'NOT ' x 40 . 'SEEN';
pass 'bad ones';
done_testing;
