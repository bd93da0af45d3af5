#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# RFC 7162 QRESYNC.
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
sub append { my ($conn, $n) = @_; my $text = "Subject: $n\r\n\r\nx\r\n"; $conn->imap('APPEND INBOX {' . length($text) . "+}\r\n$text") }

like untagged($c, 'CAPABILITY'), qr/ QRESYNC( |$)/, 'it is advertised';
append($c, $_) for 1 .. 10;
like tagged($c, 'SELECT INBOX (QRESYNC (1 1))'), qr/ BAD /, '3.2.5 not before ENABLE QRESYNC';
like untagged($c, 'ENABLE QRESYNC'), qr/^\* ENABLED QRESYNC/, '3.2.3 ENABLE';
my ($validity) = untagged($c, 'SELECT INBOX') =~ /UIDVALIDITY (\d+)/;
like tagged($c, "SELECT INBOX (QRESYNC $_)"), qr/ BAD /, "$_: bad"
	for '', '()', '(1)', '(0 1)', '(1 0)', '(1 x)', '(1 1 1:x)', '(1 1 1:2 (1:2))', '(1 1 1:2 (1:2 1:2)', '(1 1) QRESYNC (1 1)';
my ($start) = untagged($c, 'SELECT INBOX') =~ /HIGHESTMODSEQ (\d+)/;
like untagged($c, 'STORE 1 +FLAGS (\Seen)'), qr/^\* 1 FETCH \(UID 1 FLAGS \(.*\) MODSEQ \(\d+\)\)$/, '3.2.4 UID with flags, CONDSTORE goes with it';

# 3.2.10 VANISHED in place of EXPUNGE
my $other = $p->imap('alice');
$other->imap('SELECT INBOX');
$c->imap('STORE 2:3,7 +FLAGS.SILENT (\Deleted)');
my @l = $c->imap('EXPUNGE');
is $l[0], '* VANISHED 2:3,7', '3.2.10 VANISHED of EXPUNGE';
my ($high) = $l[-1] =~ /^\S+ OK \[HIGHESTMODSEQ (\d+)\]/;
cmp_ok $high, '>', $start, '3.2.7 the reply has HIGHESTMODSEQ';
is untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)'), "* STATUS INBOX (HIGHESTMODSEQ $high)", 'the right one';
like untagged($other, 'NOOP'), qr/^\* 7 EXPUNGE\|\* 3 EXPUNGE\|\* 2 EXPUNGE/, 'EXPUNGE for those who know no better';
$other->imap('STORE 7 +FLAGS.SILENT (\Deleted)');
$other->imap('EXPUNGE');
like untagged($c, 'NOOP'), qr/\* VANISHED 10\b/, 'VANISHED for what another session expunged';
$c->imap('STORE 6 +FLAGS.SILENT (\Deleted)');
@l = $c->imap('UID EXPUNGE 9');
is $l[0], '* VANISHED 9', '3.2.8 UID EXPUNGE';
like $l[-1], qr/OK \[HIGHESTMODSEQ \d+\]/, 'and its reply';
$c->imap('CREATE box');
$c->imap('UID MOVE 8 box');
like untagged($c, 'UID FETCH 1:* (UID)'), qr/^\* 1 FETCH \(UID 1\)\|\* 2 FETCH \(UID 4\)\|\* 3 FETCH \(UID 5\)\|\* 4 FETCH \(UID 6\)$/, 'what is left';

# 3.2.6 UID FETCH ... (CHANGEDSINCE n VANISHED)
is untagged($c, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE $high VANISHED)") =~ s/\|.*//r, '* VANISHED (EARLIER) 2:3,7:10', '3.2.6 UID FETCH with VANISHED';
is untagged($c, "UID FETCH 1:2,4,9 (FLAGS) (CHANGEDSINCE $high VANISHED)"), '* VANISHED (EARLIER) 2,9', 'of these only';
my ($now) = untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)') =~ /HIGHESTMODSEQ (\d+)/;
is untagged($c, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE $now VANISHED)"), '', 'nothing changed, nothing to tell';
like tagged($c, $_), qr/ BAD /, "$_: bad" for 'UID FETCH 1:* (FLAGS) (VANISHED)', 'FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)';
like tagged($other, 'UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)'), qr/ BAD /, 'not without ENABLE QRESYNC';

# 3.2.5 SELECT
sub resync { my ($args) = @_; my $all = untagged($c, "SELECT INBOX (QRESYNC ($args))"); return join '|', grep { /VANISHED|FETCH/ } split /\|/, $all }
$c->imap('STORE 3 +FLAGS.SILENT (\Flagged)');
my $changed = qr/\* 3 FETCH \(UID 5 FLAGS \([^)]*\\Flagged[^)]*\) MODSEQ \(\d+\)\)/;
like untagged($c, "SELECT INBOX (QRESYNC ($validity $now))"), qr/^\* OK \[CLOSED\]/, '3.2.11 CLOSED';
like resync("$validity $now"), qr/^\* VANISHED \(EARLIER\) 2:3,7:10\|$changed$/, '3.2.5.1 what is gone and what changed';
like resync("$validity $now 1:5"), qr/^\* VANISHED \(EARLIER\) 2:3\|$changed$/, 'of the known UIDs';
is resync("$validity $now 1:4"), '* VANISHED (EARLIER) 2:3', 'only of these';
like resync("$validity $now 1:10 (1:4 1:4)"), qr/^\* VANISHED \(EARLIER\) 2:3,7:10\|$changed$/, '3.2.5.2 with message sequence match data';
is resync(($validity + 1) . " $now"), '', 'another UIDVALIDITY: the client starts anew';
my ($last) = untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)') =~ /HIGHESTMODSEQ (\d+)/;
is resync("$validity $last"), '', 'nothing changed';
is resync("$validity 9223372036854775807 1:10"), '', 'a sequence from the future';
append($c, 11);
like resync("$validity $last"), qr/^\* VANISHED \(EARLIER\) 2:3,7:10\|\* 5 FETCH \(UID 11 /, 'new mail';

# 3.2.9 CLOSE
$c->imap('STORE 1 +FLAGS.SILENT (\Deleted)');
like tagged($c, 'CLOSE'), qr/OK \[HIGHESTMODSEQ \d+\]/, '3.2.9 CLOSE has HIGHESTMODSEQ';
like untagged($c, 'SELECT INBOX (CONDSTORE)'), qr/^\* FLAGS/, 'SELECT with another parameter';

# After the loss of everything but the mailbox, too
my ($m) = untagged($c, 'STATUS INBOX (HIGHESTMODSEQ)') =~ /HIGHESTMODSEQ (\d+)/;
$_->imap('LOGOUT') for $c, $other;
$p->stop;
system('find', $p->dir, '-name', 'posthouse-index', '-delete');
$p->start;
$c = $p->imap('alice');
$c->imap('ENABLE QRESYNC');
like resync("$validity $m"), qr/^\* VANISHED \(EARLIER\) 1:3,7:10\|.*UID 4 .*UID 5 .*UID 6 .*UID 11 /, 'the index was lost: everything is told';
done_testing;
