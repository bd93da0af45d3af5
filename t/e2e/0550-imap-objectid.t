#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Ids of mailboxes, messages and conversations: RFC 8474 (OBJECTID), over mbox and Maildir.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my ($p, $c, %email);
my $ID = qr/[A-Za-z0-9_-]{1,255}/;

sub append {
	my ($box, $args, $text) = @_;
	$text =~ s/\n/\r\n/g;
	$c->imap("APPEND $box $args {" . length($text) . "+}\r\n$text");
}
sub bad { return ($c->imap($_[0], qr/^/))[-1] }
sub id { my ($id) = join("\n", @_) =~ /MAILBOXID \(($ID)\)/; return $id // 'none' }
sub status { return id($c->imap("STATUS $_[0] (MAILBOXID)")) }
sub fetched { my ($item, @l) = @_; return map { /[ (]\Q$item\E (\((?:$ID)\)|NIL)/ ? $1 =~ s/[()]//gr : () } @l }
sub forget_index { unlink glob("$p->{dir}/home/alice/mail/.imap/*/posthouse-{index,cache}"), glob("$p->{dir}/home/alice/Maildir/{.*/,}posthouse-*") }

sub mailboxes {
	my $inbox = id($c->imap('SELECT INBOX'));
	like $inbox, qr/^$ID$/, 'SELECT says it';
	is id($c->imap('EXAMINE INBOX')), $inbox, '... EXAMINE, too';
	is status('INBOX'), $inbox, '... and STATUS';
	my $a = id($c->imap('CREATE a'));
	like $a, qr/^$ID$/, 'CREATE says it';
	isnt $a, $inbox, '... another one';
	is status('a'), $a, '... and STATUS';
	is((($c->imap('STATUS a (MESSAGES MAILBOXID UIDNEXT)'))[0] =~ s/\($a\)/(X)/r), '* STATUS a (MESSAGES 0 UIDNEXT 1 MAILBOXID (X))',
		'among others');
	append('a', '', "Subject: x\n\nx\n");
	is status('a'), $a, 'mail comes';
	$c->imap('RENAME a b');
	is status('b'), $a, 'renamed: the same mailbox';
	my $new = id($c->imap('CREATE a'));
	isnt $new, $a, 'made anew under the old name: another one';
	$c->imap('DELETE a');
	isnt id($c->imap('CREATE a')), $new, '... each time';
	$c->imap('CREATE b/c');
	my $child = status('b/c');
	$c->imap('RENAME b d');
	is status('d/c'), $child, 'a child moves with its parent';
	is status('d'), $a, '... and the parent';
	append('INBOX', '', "Subject: y\n\ny\n");
	$c->imap('SELECT INBOX');
	$c->imap('RENAME INBOX old');
	is status('INBOX'), $inbox, 'INBOX stays when it is renamed';
	isnt status('old'), $inbox, '... what got its messages is another mailbox';
	my @list = $c->imap('LIST "" d RETURN (STATUS (MAILBOXID))');
	is id(@list), $a, 'LIST-STATUS';
	like bad('STATUS d (MAILBOXID'), qr/ BAD /, 'BAD: no end';
	like bad('STATUS nothere (MAILBOXID)'), qr/ NO /, 'no mailbox, no id';
	forget_index();
	$p->stop;
	$p->start;
	$c = $p->imap('alice');
	is status('d'), $a, 'the index is lost: the same id';
	is status('INBOX'), $inbox, '... of INBOX, too';
}

sub messages {
	$c->imap('CREATE m');
	append('m', '"01-Feb-2020 10:00:00 +0000"', "Message-ID: <1\@x>\nSubject: one\n\nbody\n");
	append('m', '"01-Feb-2020 10:00:00 +0000"', "Message-ID: <2\@x>\nReferences: <1\@x>\nSubject: Re: one\n\nbody\n");
	append('m', '"01-Feb-2020 10:00:00 +0000"', "Message-ID: <3\@x>\nReferences: <1\@x> <2\@x>\nSubject: Re: one\n\nbody\n");
	append('m', '"01-Feb-2020 10:00:00 +0000"', "Message-ID: <4\@x>\nIn-Reply-To: <1\@x>\nSubject: Re: one\n\nbody\n");
	append('m', '"01-Feb-2020 10:00:00 +0000"', "Subject: alone\n\nbody\n");
	append('m', '"02-Feb-2020 10:00:00 +0000"', "Subject: alone\n\nbody\n");
	$c->imap('SELECT m');
	my @lines = $c->imap('FETCH 1:* (EMAILID THREADID)');
	my @e = fetched('EMAILID', @lines);
	my @t = fetched('THREADID', @lines);
	is scalar(grep { /^$ID$/ } @e), 6, 'EMAILIDs';
	my %seen = map { $_ => 1 } @e;
	is keys %seen, 6, '... all different, also where only the internal date is';
	isnt $t[0], 'NIL', 'a THREADID';
	is_deeply [@t[1 .. 3]], [($t[0]) x 3], '... of the whole conversation';
	is_deeply [@t[4, 5]], ['NIL', 'NIL'], 'no Message-ID, no THREADID';
	unlike "@lines", qr/FLAGS/, 'nothing is marked as read';
	is_deeply [fetched('EMAILID', $c->imap('FETCH 1:* EMAILID'))], \@e, 'the same again';
	is_deeply [$c->imap("SEARCH EMAILID $e[2]")]->[0], '* SEARCH 3', 'SEARCH EMAILID';
	is_deeply [$c->imap("SEARCH THREADID $t[0] NOT 1")]->[0], '* SEARCH 2 3 4', 'SEARCH THREADID';
	is_deeply [$c->imap("UID SEARCH OR EMAILID $e[5] THREADID $t[0]")]->[0], '* SEARCH 1 2 3 4 6', 'both';
	is_deeply [$c->imap('SEARCH EMAILID x-_9')]->[0], '* SEARCH', 'one that is not there';
	is_deeply [$c->imap('SEARCH THREADID NIL')]->[0], '* SEARCH', 'NIL is no id';
	like bad($_), qr/ BAD /, "BAD: $_" for 'SEARCH EMAILID', 'SEARCH EMAILID a.b', 'SEARCH THREADID ""', 'SEARCH EMAILID (a)',
		'SEARCH EMAILID ' . 'x' x 256;
	$c->imap('CREATE n');
	$c->imap('COPY 2 n');
	$c->imap('UID MOVE 3 n');
	append('n', '"01-Feb-2020 10:00:00 +0000"', "Message-ID: <1\@x>\nSubject: one\n\nbody\n");
	$c->imap('SELECT n');
	is_deeply [fetched('EMAILID', $c->imap('FETCH 1:* EMAILID'))], [@e[1, 2, 0]], 'COPY, MOVE and the same APPEND keep it';
	is_deeply [fetched('THREADID', $c->imap('FETCH 1:* THREADID'))], [@t[1, 2, 0]], '... and the conversation';
	$c->imap('STORE 1 +FLAGS (\Flagged $x)');
	forget_index();
	$p->stop;
	$p->start;
	$c = $p->imap('alice');
	$c->imap('SELECT n');
	is_deeply [fetched('EMAILID', $c->imap('FETCH 1:* EMAILID'))], [@e[1, 2, 0]], 'the index is lost: the same ids';
	$email{$e[0]}++;
}

for my $location ('mbox:~/mail', 'maildir:~/Maildir') {
	subtest $location => sub {
		$p = Posthouse->new(master => <<'END', main => { mail_location => $location });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
		$p->start;
		$c = $p->imap('alice');
		like +($c->imap('CAPABILITY'))[0], qr/ OBJECTID\b/, 'advertised';
		mailboxes();
		messages();
		$c->close;
		$p->stop;
	};
}
is_deeply [values %email], [2], 'the id of a message does not depend on the format of the mailbox';
done_testing;
