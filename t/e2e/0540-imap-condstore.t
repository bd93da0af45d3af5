#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# RFC 7162 CONDSTORE.
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
sub untagged { my ($conn, @a) = @_; my @l = $conn->imap(@a); pop @l; return join '|', @l }
sub tagged { my ($conn, @a) = @_; return ($conn->imap(@a, qr/^/))[-1] }
sub append { my $text = "Subject: $_[0]\r\n\r\nx\r\n"; $c->imap('APPEND INBOX {' . length($text) . "+}\r\n$text") }
sub modseqs { my %m; for (split /\|/, $_[0]) { $m{$1} = $2 if /^\* (\d+) FETCH .*MODSEQ \((\d+)\)/ } return %m }

like untagged($c, 'CAPABILITY'), qr/ CONDSTORE( |$)/, 'it is advertised';
like untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)'), qr/^\* STATUS INBOX \(HIGHESTMODSEQ [1-9]\d*\)$/, '3.1.7 an empty mailbox has one, too';
append($_) for 1 .. 4;

# 3.1.2.1: told at SELECT, CONDSTORE or not
my $plain = $p->imap('alice');
like untagged($plain, 'SELECT INBOX'), qr/\* OK \[HIGHESTMODSEQ \d+\]/, '3.1.2.1 HIGHESTMODSEQ of SELECT';
unlike untagged($plain, 'FETCH 1 FLAGS'), qr/MODSEQ/, '3.1 no MODSEQ before a command that enables it';
unlike untagged($plain, 'STORE 1 +FLAGS (\Seen)'), qr/MODSEQ/, '... with STORE neither';

# 3.1.8
my ($highest) = untagged($c, 'SELECT INBOX (CONDSTORE)') =~ /HIGHESTMODSEQ (\d+)/;
my %m = modseqs(untagged($c, 'FETCH 1:* (MODSEQ)'));
is_deeply [ sort keys %m ], [ 1 .. 4 ], '3.1.4.2 the FETCH item';
is((sort { $b <=> $a } values %m)[0], $highest, 'the highest of them is HIGHESTMODSEQ');
cmp_ok $m{1}, '>', $m{4}, 'a changed flag counts more than an arrival';
like untagged($c, 'FETCH 2 FLAGS'), qr/FLAGS \(.*\) MODSEQ \(@{[ $m{2} ]}\)/, '3.1.8 SELECT (CONDSTORE) enables it';
like tagged($c, 'SELECT INBOX (NONSENSE)'), qr/ BAD /, 'an unknown parameter';
like tagged($c, 'SELECT INBOX (CONDSTORE'), qr/ BAD /, 'half of one';
$c->imap('EXAMINE INBOX (CONDSTORE)');
$c->imap('SELECT INBOX (CONDSTORE)');

# 3.1.3 STORE
my %n = modseqs(untagged($c, 'STORE 2 +FLAGS (\Flagged)'));
cmp_ok $n{2}, '>', $highest, 'STORE gives a higher one';
%n = modseqs(untagged($c, 'STORE 2 +FLAGS.SILENT (\Answered)'));
ok $n{2}, '3.1.3 .SILENT tells MODSEQ';
unlike untagged($c, 'STORE 2 -FLAGS.SILENT (\Answered)'), qr/FLAGS/, '... and no flags';
my $before = (modseqs(untagged($c, 'FETCH 3 (MODSEQ)')))[1];
untagged($c, 'STORE 3 -FLAGS (\Answered)');
is((modseqs(untagged($c, 'FETCH 3 (MODSEQ)')))[1], $before, 'what changes nothing changes no sequence');
my @l = $c->imap("STORE 3 (UNCHANGEDSINCE $before) +FLAGS (\\Seen)");
like $l[0], qr/^\* 3 FETCH \(FLAGS \(\\Seen.*\) MODSEQ \(\d+\)\)/, '3.1.3 UNCHANGEDSINCE that holds';
like $l[-1], qr/^\S+ OK (?!\[MODIFIED)/, '... is plain OK';
@l = $c->imap("STORE 2:4 (UNCHANGEDSINCE $m{4}) +FLAGS.SILENT (\\Draft)");
like $l[-1], qr/^\S+ OK \[MODIFIED 2:3\]/, '3.1.3 MODIFIED: numbers of what was changed since, the rest is done';
like untagged($c, 'FETCH 4 FLAGS'), qr/Draft/, 'done';
unlike untagged($c, 'FETCH 2:3 FLAGS'), qr/Draft/, 'not done';
my ($uid3) = untagged($c, 'FETCH 3 UID') =~ /UID (\d+)/;
@l = $c->imap("UID STORE $uid3 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Draft)");
like $l[-1], qr/^\S+ OK \[MODIFIED $uid3\]/, 'UIDs for UID STORE';
like $l[0], qr/^\* 3 FETCH \(UID $uid3 FLAGS \(.*\) MODSEQ \(\d+\)\)/, 'and the flags that stand in the way';
like tagged($c, 'STORE 3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\Draft)'), qr/OK \[MODIFIED 3\]/, 'UNCHANGEDSINCE 0 never holds';
like tagged($c, "STORE 3 $_ +FLAGS (\\Draft)"), qr/ BAD /, "$_: bad" for '(UNCHANGEDSINCE)', '(UNCHANGEDSINCE x)', '(OTHER 1)', '()';

# another session is told MODSEQ only when it asked for it
like untagged($plain, 'NOOP'), qr/FETCH \(FLAGS \([^)]*\)\)/, 'another session hears of flags';
untagged($plain, "STORE 1 +FLAGS (\\Flagged)");
like untagged($c, 'NOOP'), qr/^\* 1 FETCH \(FLAGS \(.*\) MODSEQ \(\d+\)\)$/, '3.1 and this one of MODSEQ, unasked';
untagged($plain, 'STORE 1 -FLAGS.SILENT (\Flagged)');
untagged($plain, 'STORE 1 +FLAGS.SILENT (\Flagged)');
like untagged($c, 'NOOP'), qr/^\* 1 FETCH \(FLAGS \(.*\) MODSEQ \(\d+\)\)$/, 'also when the flags are what they were';

# 3.1.4.1 CHANGEDSINCE
($highest) = untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)') =~ /HIGHESTMODSEQ (\d+)/;
is untagged($c, "FETCH 1:* (FLAGS) (CHANGEDSINCE $highest)"), '', '3.1.4.1 nothing is newer than HIGHESTMODSEQ';
untagged($plain, 'STORE 4 +FLAGS.SILENT (\Deleted)');
$c->imap('NOOP');
like untagged($c, "FETCH 1:* (FLAGS) (CHANGEDSINCE $highest)"), qr/^\* 4 FETCH \(FLAGS \([^|]*Deleted[^|]*\) MODSEQ \(\d+\)\)$/, 'only what changed, with MODSEQ';
like untagged($c, "UID FETCH 1:* (UID) (PARTIAL 1:2 CHANGEDSINCE 1)"), qr/^[^|]*\|[^|]*$/, 'together with PARTIAL';
like tagged($c, "FETCH 1:* (FLAGS) $_"), qr/ BAD /, "$_: bad" for '(CHANGEDSINCE)', '(CHANGEDSINCE -1)', '(CHANGEDSINCE 1', '(VANISHED)';

# 3.1.5 SEARCH
my ($m4) = untagged($c, 'FETCH 4 MODSEQ') =~ /MODSEQ \((\d+)\)/;
is untagged($c, "SEARCH MODSEQ $m4"), "* SEARCH 4 (MODSEQ $m4)", '3.1.5 SEARCH MODSEQ';
is untagged($c, "SEARCH MODSEQ \"/flags/\\\\draft\" all $m4"), "* SEARCH 4 (MODSEQ $m4)", 'with an entry';
is untagged($c, 'SEARCH MODSEQ ' . ($m4 + 1)), '* SEARCH', 'nothing found: no MODSEQ';
is untagged($c, "SEARCH OR MODSEQ $m4 SUBJECT 1"), "* SEARCH 1 4 (MODSEQ $m4)", 'in a nested key';
like untagged($c, "SEARCH RETURN (COUNT) MODSEQ 1"), qr/COUNT 4 MODSEQ $m4$/, 'RFC 4731 3.2 with ESEARCH';
like untagged($c, "SEARCH RETURN (MIN) MODSEQ 1"), qr/MIN 1 MODSEQ (\d+)$/, 'MIN';
unlike untagged($c, "SEARCH RETURN (MIN) MODSEQ 1"), qr/MODSEQ $m4$/, 'that of the message returned';
is untagged($c, "SORT (REVERSE SUBJECT) UTF-8 MODSEQ $m4"), "* SORT 4 (MODSEQ $m4)", 'SORT';
like tagged($c, 'SEARCH MODSEQ x'), qr/ BAD /, 'no number';

# 3.1 what else enables it
for my $command ('ENABLE CONDSTORE', 'STATUS INBOX (HIGHESTMODSEQ)', 'FETCH 1 (MODSEQ)', 'FETCH 1 (UID) (CHANGEDSINCE 1)', 'SEARCH MODSEQ 1',
	'STORE 1 (UNCHANGEDSINCE 1) FLAGS ()') {
	my $other = $p->imap('alice');
	$other->imap('SELECT INBOX');
	like untagged($other, $command), qr/\* OK \[HIGHESTMODSEQ \d+\]/, "$command: tells HIGHESTMODSEQ of the mailbox that is open";
	like untagged($other, 'FETCH 1 FLAGS'), qr/MODSEQ/, '... and enables it';
	$other->close;
}
$_->imap('LOGOUT') for $c, $plain;

# They survive the process, and the loss of the index
sub all_modseqs { my $conn = $p->imap('alice'); $conn->imap('SELECT INBOX'); my %r = modseqs(untagged($conn, 'FETCH 1:* MODSEQ')); $conn->imap('LOGOUT'); return \%r }
my $was = all_modseqs();
$p->stop;
$p->start;
is_deeply all_modseqs(), $was, 'the same after a restart';
# killed before the index is written: nothing lower than what was told before
my $k = $p->imap('alice');
$k->imap('SELECT INBOX (CONDSTORE)');
my ($told) = untagged($k, 'STORE 1 -FLAGS.SILENT (\Flagged)') =~ /MODSEQ \((\d+)\)/;
$k->imap('STORE 1 +FLAGS.SILENT (\Flagged)');
$k->imap('CHECK') if $ENV{MAIL_LOCATION};
kill 'KILL', map { $_->[1] eq 'imapd' ? $_->[0] : () } $p->processes;
$k->line;
my $after = all_modseqs();
cmp_ok $after->{1}, '>', $told, 'after a kill: flags that are as before have a higher one all the same';
done_testing;
