#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# SORT and THREAD: RFC 5256, 5267 (ESORT), 5957 (SORT=DISPLAY).
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
sub untagged { my @l = $c->imap(@_); pop @l; s/TAG "a\d+"/TAG/ for @l; return join '|', @l }
sub bad { return ($c->imap($_[0], qr/^/))[-1] }

append('"03-Feb-2020 10:00:00 +0000"', <<'END');
From: Zoe <zoe@one.test>
To: "B. User" <b@two.test>
Subject: apples
Date: Mon, 3 Feb 2020 10:00:00 +0000
Message-ID: <1@one.test>

one
END
append('"01-Feb-2020 10:00:00 +0000"', <<'END');
From: =?utf-8?q?=C3=84nne?= <yves@one.test>
To: Adam <z@two.test>
Cc: c@three.test
Subject: Re: [list]  Apples
Date: Mon, 3 Feb 2020 10:30:00 +0100
Message-ID: <2@one.test>
In-Reply-To: <1@one.test>

two two
END
append('"02-Feb-2020 10:00:00 +0000"', <<'END');
From: <ADAM@one.test>
To: <a@two.test>
Cc: a@three.test
Subject: =?utf-8?b?w4RwZmVs?=
Message-ID: <3@one.test>

three
END
append('"04-Feb-2020 10:00:00 +0000"', <<'END');
From: nobody <x@one.test>
To: undisclosed:;
Subject: Fwd: apples (fwd)
Date: nonsense
References: <1@one.test> <2@one.test>
Message-ID: <4@one.test>

four four four four
END
like + ($c->imap('CAPABILITY'))[0], qr/ SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS\b/, 'advertised';
$c->imap('SELECT INBOX');

my %sort = (
	'ARRIVAL' => '2 3 1 4', 'REVERSE ARRIVAL' => '4 1 3 2', 'DATE' => '3 2 1 4', 'SIZE' => '3 1 4 2', 'CC' => '1 4 3 2',
	'FROM' => '3 4 2 1', 'TO' => '3 1 4 2', 'SUBJECT' => '1 2 4 3', 'DISPLAYFROM' => '3 4 1 2', 'DISPLAYTO' => '3 2 1 4',
	'REVERSE SUBJECT' => '3 1 2 4', 'SUBJECT REVERSE DATE' => '4 1 2 3', 'SUBJECT REVERSE ARRIVAL FROM' => '4 1 2 3',
);
is untagged("SORT ($_) UTF-8 ALL"), "* SORT $sort{$_}", "SORT ($_)" for sort keys %sort;
is untagged('UID SORT (REVERSE ARRIVAL) US-ASCII 2:3'), '* SORT 3 2', 'UID SORT, part of the mailbox';
is untagged('SORT (ARRIVAL) UTF-8 ANSWERED'), '* SORT', 'nothing found';
is untagged('sort (arrival) iso-8859-1 SUBJECT "' . "\xc4" . 'pfel"'), '* SORT 3', 'the charset is used';
is untagged('SORT RETURN (ALL MIN MAX COUNT) (ARRIVAL) UTF-8 ALL'), '* ESEARCH (TAG) MIN 2 MAX 4 COUNT 4 ALL 2:3,1,4', 'ESORT';
is untagged('UID SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL'), '* ESEARCH (TAG) UID ALL 4,1,3,2', 'descending numbers are no ranges';
is untagged('UID SORT RETURN (PARTIAL 2:3) (REVERSE ARRIVAL) UTF-8 ALL'), '* ESEARCH (TAG) UID PARTIAL (2:3 1,3)', 'PARTIAL';
is untagged('SORT RETURN (SAVE COUNT) (ARRIVAL) UTF-8 2:3'), '* ESEARCH (TAG) COUNT 2', 'SAVE';
is untagged('SEARCH $'), '* SEARCH 2 3', '... for the next command';
like bad("SORT $_"), qr/ BAD /, "BAD: SORT $_" for '', '()', '(ARRIVAL)', '(ARRIVAL) UTF-8', '(NONE) UTF-8 ALL', '(REVERSE) UTF-8 ALL',
	'ARRIVAL UTF-8 ALL', '(REVERSE REVERSE ARRIVAL) UTF-8 ALL', '(ARRIVAL) ALL';
like bad('SORT (ARRIVAL) X-NONE ALL'), qr/ NO \[BADCHARSET/, 'unknown charset';

# --- THREAD
is untagged('THREAD REFERENCES UTF-8 ALL'), '* THREAD (3)(1 2 4)', 'REFERENCES';
is untagged('UID THREAD REFS UTF-8 ALL'), '* THREAD (3)(1 2 4)', 'REFS';
is untagged('THREAD ORDEREDSUBJECT UTF-8 ALL'), '* THREAD (3)(2 (1)(4))', 'ORDEREDSUBJECT';
is untagged('THREAD REFERENCES UTF-8 2:4'), '* THREAD (3)(2 4)', 'without the first';
is untagged('THREAD REFERENCES UTF-8 ANSWERED'), '* THREAD', 'nothing found';
like bad("THREAD $_"), qr/ BAD /, "BAD: THREAD $_" for '', 'NONE UTF-8 ALL', 'REFERENCES', 'REFERENCES UTF-8', 'REFERENCES ALL';
done_testing;
