#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What has to be enabled: RFC 6855 (UTF8=ACCEPT), RFC 9051 (IMAP4rev2).
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
sub untagged { my @l = $c->imap(@_); pop @l; s/TAG "a\d+"/TAG/ for @l; return join '|', @l }
sub bad { return ($c->imap($_[0], qr/^/))[-1] }
my $name = "Entw\xc3\xbcrfe & \xe2\x82\xac";
my $wire = 'Entw&APw-rfe &- &IKw-';
my $text = "Subject: \xc3\xa4\r\nFrom: <j\xc3\xb6rg\@one.test>\r\n\r\nbody\r\n";
sub append { return bad("APPEND INBOX $_[0]\{" . length($text) . "+}\r\n$text$_[1]") }

like + ($c->imap('CAPABILITY'))[0], qr/^\* CAPABILITY IMAP4rev1 IMAP4rev2 .* UTF8=ACCEPT\b/, 'advertised';
$c->imap("CREATE \"$wire\"");
like untagged('LIST "" "Ent*"'), qr/ "\Q$wire\E"$/, 'names are in modified UTF-7';
like append('UTF8 (~', ')'), qr/ BAD /, 'APPEND UTF8 before ENABLE';

# --- UTF8=ACCEPT
is untagged('ENABLE UTF8=ACCEPT X-NONE'), '* ENABLED UTF8=ACCEPT', 'ENABLE';
like untagged('LIST "" "Ent*"'), qr/ "\Q$name\E"$/, 'names are in UTF-8';
is untagged("STATUS \"$name\" (MESSAGES)"), "* STATUS \"$name\" (MESSAGES 0)", 'in both directions';
like untagged("LIST \"\" \"*\xc3\xbcrfe*\""), qr/ "\Q$name\E"$/, 'in patterns';
like bad("STATUS \"$wire\" (MESSAGES)"), qr/ NO \[NONEXISTENT\]/, 'and not in modified UTF-7';
like bad("STATUS \"\xff\" (MESSAGES)"), qr/ NO \[CANNOT\]/, 'what is no UTF-8';
$c->imap("SUBSCRIBE \"$name\"");
is untagged('LSUB "" "*"'), "* LSUB () \"/\" \"$name\"", 'LSUB';
$c->imap("RENAME \"$name\" \"a \\\" b\"");
like untagged('LIST "" "a*"'), qr/ "a \\" b"$/, 'quotes are escaped';
like append('UTF8 (~', ')'), qr/ OK /, 'APPEND UTF8';
like append('(\Seen) UTF8 (~', ''), qr/ BAD /, 'its parenthesis is missing';
like append('UTF8 (', ')'), qr/ BAD /, 'its tilde is missing';
my $n = length $text;
like bad("APPEND INBOX UTF8 (~{$n+}\r\n$text) (\\Seen) UTF8 (~{$n+}\r\n$text) {$n+}\r\n$text"), qr/ OK \[APPENDUID \d+ 2:4\]/, 'several';
$c->imap('SELECT INBOX');
is untagged('FETCH 1 BODY[]'), "* 1 FETCH (BODY[] {$n}\n$text FLAGS (\\Seen \\Recent))", 'the letter is as it was';
is untagged("SEARCH SUBJECT \"\xc3\xa4\""), '* SEARCH 1 2 3 4', 'SEARCH is in UTF-8';
like bad('SEARCH CHARSET UTF-8 ALL'), qr/ BAD /, 'and takes no CHARSET';
$c->close;

# --- IMAP4rev2
$c = $p->imap('bob');
is untagged('ENABLE IMAP4rev2'), '* ENABLED IMAP4rev2', 'ENABLE IMAP4rev2';
$c->imap("CREATE \"$name\"");
bad("APPEND \"$name\" (\\Deleted) {$n+}\r\n$text");
bad("APPEND \"$name\" {$n+}\r\n$text");
is untagged("STATUS \"$name\" (MESSAGES DELETED SIZE)"), "* STATUS \"$name\" (MESSAGES 2 SIZE " . 2 * $n . ' DELETED 1)', 'STATUS DELETED';
my $select = untagged("SELECT \"$name\"");
unlike $select, qr/RECENT|UNSEEN/i, 'SELECT: nothing recent, no UNSEEN';
like $select, qr/\* 2 EXISTS.*\* LIST \(\\HasNoChildren\) "\/" "\Q$name\E"/, 'SELECT: EXISTS and LIST';
like $select, qr/\[UIDVALIDITY \d+\].*\[UIDNEXT 3\]/, 'SELECT: UIDVALIDITY, UIDNEXT';
is untagged('FETCH 1:2 FLAGS'), '* 1 FETCH (FLAGS (\Deleted))|* 2 FETCH (FLAGS ())', 'no \Recent';
is untagged('SEARCH ALL'), '* ESEARCH (TAG) ALL 1:2', 'SEARCH is answered with ESEARCH';
is untagged('UID SEARCH RETURN (COUNT) CHARSET UTF-8 DELETED'), '* ESEARCH (TAG) UID COUNT 1', 'with options';
is untagged('SEARCH ANSWERED'), '* ESEARCH (TAG)', 'nothing';
is untagged('STATUS INBOX (DELETED)'), '* STATUS INBOX (DELETED 0)', 'STATUS of another';
like untagged('SELECT inbox'), qr/\[CLOSED\].*\* LIST \(\S.*\) "\/" INBOX/, 'CLOSED, and the right name';
done_testing;
