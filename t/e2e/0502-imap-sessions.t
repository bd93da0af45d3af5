#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Several sessions of one user: what one does the others are told, when they may be; IDLE at once; sequence numbers stay put.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Time::HiRes qw(time);
use Posthouse;

my @location = $ENV{MAIL_LOCATION} ? (mail_location => $ENV{MAIL_LOCATION}) : ();
my $p = Posthouse->new(master => <<'END', main => { imap_idle_notify_interval => '3s', @location });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;

sub untagged { my @l = @_; pop @l; return \@l }
sub append { my ($c, $n) = @_; $c->imap("APPEND INBOX {14+}\r\nSubject: x\r\n\r\n") for 1 .. $n // 1 }
# The next line that is not about \Recent: who has that depends on who looks first.
sub told { my ($c, $re) = @_; my $l; do { $l = $c->line // die 'end of file' } while $l =~ /^\* \d+ RECENT$/; die "got <$l>, expected $re\n" if $l !~ $re }
my ($one, $two, $three) = map { $p->imap('alice') } 1 .. 3;

append($one, 5);
$one->imap('SELECT INBOX');
my @l = $two->imap('SELECT INBOX');
ok + (grep { $_ eq '* 5 EXISTS' } @l), '2: five messages';
ok + (grep { $_ eq '* 0 RECENT' } @l), '2: \Recent belongs to the first session';

# 1 expunges; 2 must not be told in FETCH, STORE and SEARCH, and its numbers stay.
$one->imap('STORE 2 +FLAGS (\Deleted)');
is_deeply untagged($two->imap('NOOP')), ['* 2 FETCH (FLAGS (\Deleted))'], '2: told of a flag';
is_deeply untagged($one->imap('EXPUNGE')), ['* 2 EXPUNGE'], '1: EXPUNGE';
is_deeply untagged($two->imap('FETCH 3:4 UID')), ['* 3 FETCH (UID 3)', '* 4 FETCH (UID 4)'], '2: numbers have not moved';
is_deeply untagged($two->imap('SEARCH ALL')), ['* SEARCH 1 3 4 5'], '2: SEARCH leaves out what is gone';
is_deeply untagged($two->imap('STORE 3 +FLAGS (\Seen)')), ['* 3 FETCH (FLAGS (\Seen))'], '2: STORE by its own number';
like + ($two->imap('FETCH 2 BODY.PEEK[]', qr/ NO /))[-1], qr/ NO \[EXPUNGEISSUED\]/, '2: EXPUNGEISSUED';
is_deeply untagged($two->imap('UID FETCH 5 UID')), ['* 5 FETCH (UID 5)', '* 2 EXPUNGE'], '2: a UID command may tell';
is_deeply untagged($one->imap('NOOP')), ['* 2 FETCH (FLAGS (\Seen \Recent))'], '1: told of \Seen under its number';

# IDLE
$three->imap('EXAMINE INBOX');
$three->send('i IDLE');
$three->expect(qr/^\+ idling$/);
my $from = time;
$one->imap('STORE 1 +FLAGS (\Flagged)');
told($three, qr/^\* 1 FETCH \(FLAGS \(\\Flagged\)\)$/);
append($one);
told($three, qr/^\* 5 EXISTS$/);
$one->imap('STORE 1 +FLAGS (\Deleted)');
told($three, qr/^\* 1 FETCH/);
$one->imap('EXPUNGE');
told($three, qr/^\* 1 EXPUNGE$/);
# Another program delivers.
if ($ENV{MAIL_LOCATION}) {
	my $new = $p->dir . '/home/alice/Maildir/new';
	Posthouse::write_file("$new/../tmp/1.x", "Subject: from outside\n\nx\n");
	rename "$new/../tmp/1.x", "$new/1.x";
} else {
	Posthouse::append_file($p->spool('alice'), "From x\@y.test Thu Nov 24 10:00:00 2022\nSubject: from outside\n\nx\n\n");
}
told($three, qr/^\* 5 EXISTS$/);
cmp_ok time - $from, '<', 2.9, '3: IDLE is told at once';
told($three, qr/^\* OK Still here$/);
pass '3: Still here';
$three->send('DONE');
1 while (my $l = $three->line) !~ /^i OK Idle completed\.$/;
pass '3: DONE';
$three->send_raw("j IDLE\r\nDONE\r\nk NOOP\r\n");
$three->expect(qr/^\+ idling$/);
$three->expect(qr/^j OK /);
$three->expect(qr/^k OK /);
pass '3: IDLE and DONE in one packet';
$three->send('k IDLE');
$three->expect(qr/^\+ idling$/);
$three->send('NOPE');
$three->expect(qr/^k BAD /);

# another folder is deleted under a session
$one->imap('CREATE doomed');
$two->imap('SELECT doomed');
$one->imap('DELETE doomed');
$two->send('x NOOP');
my $line = $two->line;
like $line, qr/^\* BYE |^x OK/, '2: a mailbox deleted under it';
$one->imap('LOGOUT');

# one process for all of them
my %pids = map { $_ => 1 } do { my $log = Posthouse::slurp($p->maillog); $log =~ /user=<alice>.* mpid=(\d+)/g };
is keys %pids, 1, 'one process for the sessions of one user';
$three->send('y IDLE');
$three->expect(qr/^\+ idling$/);
$p->stop;
$three->expect(qr/^\* BYE Server shutting down\.$/);
ok $three->eof, 'BYE when the service stops, out of IDLE';
done_testing;
