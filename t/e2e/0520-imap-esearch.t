#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What a search returns and keeps: RFC 4731 (ESEARCH), 5182 (SEARCHRES), 9394 (PARTIAL); RFC 5032 (WITHIN).
use strict;
use warnings;
use POSIX qw(strftime);
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
# untagged lines, with the tag of an ESEARCH made plain
sub untagged { my @l = $c->imap(@_); pop @l; s/TAG "a\d+"/TAG/ for @l; return join '|', @l }
sub bad { return ($c->imap($_[0], qr/^/))[-1] }

append($_ % 2 ? '()' : '(\Flagged)', "Subject: s$_\n\nbody\n") for 1 .. 9;
like + ($c->imap('CAPABILITY'))[0], qr/ ESEARCH SEARCHRES WITHIN PARTIAL\b/, 'advertised';
$c->imap('SELECT INBOX');
$c->imap('STORE 3 +FLAGS.SILENT (\Deleted)');
$c->imap('EXPUNGE'); # sequence numbers and UIDs differ: 1 2 4 5 6 7 8 9

# --- ESEARCH
is untagged('SEARCH RETURN (MIN MAX COUNT ALL) FLAGGED'), '* ESEARCH (TAG) MIN 2 MAX 7 COUNT 4 ALL 2:3,5,7', 'everything at once';
is untagged('UID SEARCH RETURN (MAX MIN) FLAGGED'), '* ESEARCH (TAG) UID MIN 2 MAX 8', 'UIDs';
is untagged('UID SEARCH RETURN () FLAGGED'), '* ESEARCH (TAG) UID ALL 2,4,6,8', 'RETURN () is ALL';
is untagged('SEARCH return (count) CHARSET UTF-8 FLAGGED SUBJECT s4'), '* ESEARCH (TAG) COUNT 1', 'with a charset';
is untagged('SEARCH RETURN (MIN MAX COUNT ALL) ANSWERED'), '* ESEARCH (TAG) COUNT 0', 'nothing found';
is untagged('SEARCH RETURN (MIN) ANSWERED'), '* ESEARCH (TAG)', 'not even a count';
is untagged('SEARCH FLAGGED'), '* SEARCH 2 3 5 7', 'the plain form stays';
like bad($_), qr/ BAD /, "BAD: $_" for 'SEARCH RETURN (NONE) ALL', 'SEARCH RETURN (MIN ALL', 'SEARCH RETURN MIN ALL', 'SEARCH RETURN (MIN)',
	'SEARCH RETURN (COUNT) CHARSET';

# --- SEARCHRES
is untagged('SEARCH RETURN (SAVE) FLAGGED'), '', 'SAVE alone says nothing';
is untagged('FETCH $ (UID)'), '* 2 FETCH (UID 2)|* 3 FETCH (UID 4)|* 5 FETCH (UID 6)|* 7 FETCH (UID 8)', 'FETCH $';
is untagged('UID FETCH $ (UID)'), '* 2 FETCH (UID 2)|* 3 FETCH (UID 4)|* 5 FETCH (UID 6)|* 7 FETCH (UID 8)', 'UID FETCH $';
is untagged('SEARCH $ SUBJECT s8'), '* SEARCH 7', '$ as a key';
is untagged('UID SEARCH UID $ NOT SUBJECT s8'), '* SEARCH 2 4 6', 'UID $';
is untagged('SEARCH OR $ SUBJECT s1'), '* SEARCH 1 2 3 5 7', 'within OR';
like bad('SEARCH RETURN (SAVE) NOSUCHKEY'), qr/ BAD /, 'a search that is BAD';
is untagged('SEARCH $'), '* SEARCH 2 3 5 7', '... leaves it as it is';
like bad('SEARCH RETURN (SAVE) CHARSET X-NONE SUBJECT x'), qr/ NO \[BADCHARSET/, 'a search that is NO';
is untagged('SEARCH $'), '* SEARCH', '... empties it';
is untagged('FETCH $ (UID)'), '', 'and FETCH of nothing is no error';
is untagged('UID SEARCH RETURN (SAVE MIN) FLAGGED'), '* ESEARCH (TAG) UID MIN 2', 'SAVE MIN';
is untagged('SEARCH $'), '* SEARCH 2', '... saves one';
untagged('SEARCH RETURN (SAVE MIN MAX) FLAGGED');
is untagged('SEARCH $'), '* SEARCH 2 7', 'SAVE MIN MAX saves two';
untagged('SEARCH RETURN (SAVE MIN COUNT) FLAGGED');
is untagged('SEARCH $'), '* SEARCH 2 3 5 7', 'SAVE MIN COUNT saves all';
untagged('SEARCH RETURN (SAVE) $ NOT 2');
is untagged('SEARCH $'), '* SEARCH 3 5 7', 'narrowed down';
untagged('STORE $ +FLAGS.SILENT ($x)');
is untagged('SEARCH KEYWORD $x'), '* SEARCH 3 5 7', 'STORE $';
untagged('STORE 5 +FLAGS.SILENT (\Deleted)');
$c->imap('EXPUNGE');
is untagged('UID SEARCH $'), '* SEARCH 4 8', 'what has been expunged is not in it';
like +(($c->imap('COPY $ INBOX'))[-1]), qr/COPYUID \d+ 4,8 /, 'COPY $';
$c->imap('SELECT INBOX');
is untagged('SEARCH $'), '* SEARCH', 'SELECT empties it';
like bad('FETCH $,1 (UID)'), qr/ BAD /, '$ stands alone';

# --- PARTIAL: UIDs 1 2 4 5 7 8 9 10 11
is untagged('UID SEARCH RETURN (PARTIAL 1:3) ALL'), '* ESEARCH (TAG) UID PARTIAL (1:3 1:2,4)', 'the first three';
is untagged('UID SEARCH RETURN (PARTIAL -1:-3) ALL'), '* ESEARCH (TAG) UID PARTIAL (-1:-3 9:11)', 'the last three';
is untagged('UID SEARCH RETURN (COUNT PARTIAL 9:500) ALL'), '* ESEARCH (TAG) UID COUNT 9 PARTIAL (9:500 11)', 'more than there is';
is untagged('UID SEARCH RETURN (PARTIAL 10:500) ALL'), '* ESEARCH (TAG) UID PARTIAL (10:500 NIL)', 'past the end';
untagged('UID SEARCH RETURN (SAVE PARTIAL 3:2) ALL');
is untagged('UID SEARCH $'), '* SEARCH 2 4', 'SAVE of a part';
is untagged('UID FETCH 1:* (UID) (PARTIAL -1:-2)'), '* 8 FETCH (UID 10)|* 9 FETCH (UID 11)', 'FETCH of a part';
is untagged('UID FETCH 5:* (UID) (PARTIAL 2:2)'), '* 5 FETCH (UID 7)', 'counted within the set';
like bad($_), qr/ BAD /, "BAD: $_" for 'SEARCH RETURN (ALL PARTIAL 1:2) ALL', 'SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL',
	'SEARCH RETURN (PARTIAL 0:2) ALL', 'SEARCH RETURN (PARTIAL 1:-2) ALL', 'SEARCH RETURN (PARTIAL) ALL',
	'FETCH 1:* (UID) (PARTIAL 1:2)', 'UID FETCH 1:* (UID) (PARTIAL 1)', 'UID FETCH 1:* (UID) (NONE)';
$c->close;

# --- WITHIN
$c = $p->imap('bob');
append(strftime('"%d-%b-%Y %H:%M:%S +0000"', gmtime(time - $_)), "Subject: x\n\n") for 10000, 5000, 0;
$c->imap('SELECT INBOX');
is untagged('SEARCH YOUNGER 6000'), '* SEARCH 2 3', 'YOUNGER';
is untagged('SEARCH OLDER 4000'), '* SEARCH 1 2', 'OLDER';
is untagged('SEARCH OLDER 4000 YOUNGER 6000'), '* SEARCH 2', 'both';
is untagged('SEARCH YOUNGER 4294967295'), '* SEARCH 1 2 3', 'a long time';
like bad($_), qr/ BAD /, "BAD: $_" for 'SEARCH OLDER 0', 'SEARCH YOUNGER x', 'SEARCH YOUNGER';
done_testing;
