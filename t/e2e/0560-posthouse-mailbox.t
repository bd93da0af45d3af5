#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse mailbox and posthouse index: a user's mail from the command line, over mbox and Maildir.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p;

sub ph {
	my ($input, @args) = @_;
	my ($in, $out) = ("$p->{dir}/in", "$p->{dir}/out");
	Posthouse::write_file($in, $input);
	my $pid = fork // die;
	if (!$pid) {
		open STDIN, '<', $in or die;
		open STDOUT, '>', $out or die;
		open STDERR, '>', "$p->{dir}/err" or die;
		exec "$Posthouse::BIN/posthouse", '-c', $p->{dir}, @args or die;
	}
	waitpid $pid, 0;
	return ($? >> 8, Posthouse::slurp($out), Posthouse::slurp("$p->{dir}/err"));
}
sub ok_is {
	my ($args, $want, $name) = @_;
	my ($status, $out, $err) = ph('', @$args);
	is "$status $out", "0 $want", $name or diag $err;
	return $out;
}
sub fails {
	my ($want, $name, @args) = @_;
	my ($status, $out, $err) = ph('', @args);
	is $status, $want, $name or diag "$out$err";
	like $err, qr/\S/, '... and it says why';
}
sub answer { my (undef, $out) = ph('', @_); return $out }

sub dialogue {
	my @m = ('mailbox');

	ok_is([@m, 'list', 'alice'], "INBOX\n", 'list');
	ok_is([@m, 'create', 'alice', 'a', "b/c\xc3\xa9"], '', 'create');
	ok_is([@m, 'list', 'alice'], "INBOX\na\nb/c\xc3\xa9\n", '... and they are there');
	like answer(@m, 'status', 'alice', 'a', 'INBOX'), qr/^a\tmessages=0\trecent=0\tunseen=0\tuidnext=1\tuidvalidity=\d+\thighestmodseq=\d+\tsize=0\tmailboxid=M\w+\nINBOX\tmessages=0\t/,
		'status';
	my $mbox = "From x\@client.test Sat Feb  1 10:00:00 2020\nStatus: RO\nX-Status: AF\nX-Keywords: work\nFrom: <x\@client.test>\nSubject: one\n\n>From the start\n>>From it\nbody\n\n"
		. "From y\@client.test Sun Feb  2 10:00:00 2020\nFrom: <y\@client.test>\nSubject: =?utf-8?q?tw=C3=B6?=\n\nbody\n\n";
	is + (ph($mbox, @m, 'import', 'alice', 'a'))[1], "2\n", 'import';
	ok_is([@m, 'search', 'alice', 'a', 'all'], "1\n2\n", 'search all');
	ok_is([@m, 'search', 'alice', 'a', 'unseen'], "2\n", 'unseen');
	ok_is([@m, 'search', 'alice', 'a', 'from', 'X@CLIENT', 'seen'], "1\n", 'words are all true');
	ok_is([@m, 'search', 'alice', 'a', 'subject', "tw\xc3\xb6"], "2\n", 'a subject that is encoded');
	ok_is([@m, 'search', 'alice', 'a', 'since', '2-Feb-2020', 'smaller', '1000'], "2\n", 'dates and sizes');
	ok_is([@m, 'search', 'alice', 'a', 'keyword', 'work', 'uid', '1:*'], "1\n", 'keyword, uid');
	like answer(@m, 'fetch', 'alice', 'info', 'a', 'uid', '1'), qr/^uid=1\tsize=\d+\tdate= ?0?1-Feb-2020 [^\t]*\tflags=\\Seen \\Answered \\Flagged work\n$/, 'fetch info';
	ok_is([@m, 'fetch', 'alice', 'header', 'a', 'uid', '2'], "From: <y\@client.test>\nSubject: =?utf-8?q?tw=C3=B6?=\n\n", 'fetch header');
	ok_is([@m, 'fetch', 'alice', 'text', 'a', 'uid', '1'], "From: <x\@client.test>\nSubject: one\n\nFrom the start\n>From it\nbody\n", 'fetch text: quotes are off');
	my $out = answer(@m, 'export', 'alice', 'a');
	like $out, qr/^From \S+ .*\nStatus: RO\nX-Status: AF\nX-Keywords: work\nFrom: .*\n\n>From the start\n>>From it\nbody\n\nFrom /s, 'export';
	is + (ph($out, @m, 'import', 'alice', "b/c\xc3\xa9"))[1], "2\n", 'what was exported can be imported';
	is answer(@m, 'export', 'alice', "b/c\xc3\xa9"), $out, '... and is the same';
	my ($id) = answer(@m, 'status', 'alice', 'a') =~ /mailboxid=(\w+)/;
	ok_is([@m, 'rename', 'alice', 'a', 'd'], '', 'rename');
	like answer(@m, 'status', 'alice', 'd'), qr/\tmailboxid=$id\n/, '... the same mailbox';
	my $c = $p->imap('alice');
	$c->imap('SELECT d');
	is(($c->imap('SEARCH ANSWERED'))[0], '* SEARCH 1', 'IMAP sees what was imported');
	$c->close;

	# --- the index
	ok_is(['index', 'verify', 'alice', 'd'], "d\tgood\tmessages=2\twrong=0\n", 'verify: good');
	my ($index) = map { "$_" } grep { -f } "$p->{dir}/home/alice/mail/.imap/d/posthouse-index", "$p->{dir}/home/alice/Maildir/.d/posthouse-index";
	ok $index, 'there is an index' or return;
	my $bytes = Posthouse::slurp($index);
	substr($bytes, length($bytes) / 2, 1) ^= "\x01";
	open my $fh, '+<', $index or die;
	print $fh $bytes;
	close $fh;
	my ($status, $text) = ph('', 'index', 'verify', 'alice');
	is $status, 65, 'verify: a bit has flipped';
	like $text, qr/^d\tdamaged\tmessages=2\twrong=0\n/m, '... which is found, and misleads nobody';
	ok_is(['index', 'rebuild', 'alice', 'd'], '', 'rebuild');
	ok_is(['index', 'verify', 'alice', 'd'], "d\tgood\tmessages=2\twrong=0\n", '... good again');
	unlink $index;
	ok_is(['index', 'verify', 'alice', 'd'], "d\tnone\tmessages=2\twrong=0\n", 'verify: none');
	ok_is(['index', 'rebuild', 'alice'], '', 'rebuild all');
	ok -f $index, '... makes one';
	ok_is([@m, 'delete', 'alice', 'd'], '', 'delete');

	# --- what cannot be
	fails(67, 'no such user', @m, 'list', 'nobody-here');
	fails(67, 'a name that is none', @m, 'list', '../alice');
	fails(66, 'no such mailbox', @m, 'status', 'alice', 'nothere');
	fails(66, '... to search', @m, 'search', 'alice', 'nothere', 'all');
	fails(66, '... to delete', @m, 'delete', 'alice', 'nothere');
	fails(66, '... to rename', @m, 'rename', 'alice', 'nothere', 'x');
	fails(73, 'it exists', @m, 'create', 'alice', 'INBOX');
	fails(73, 'INBOX stays', @m, 'delete', 'alice', 'INBOX');
	fails(65, "a name that leads away: $_", @m, 'create', 'alice', $_) for '../bob/x', '/etc/passwd', 'a//b', '~root', "a\nb";
	fails(64, 'not a word', @m, 'search', 'alice', 'INBOX', 'nonsense');
	fails(64, 'no value', @m, 'search', 'alice', 'INBOX', 'from');
	fails(64, 'a bad value', @m, 'search', 'alice', 'INBOX', 'since', 'yesterday');
	fails(64, 'a bad set', @m, 'search', 'alice', 'INBOX', 'uid', '1:x');
	fails(64, 'not a thing to fetch', @m, 'fetch', 'alice', 'all', 'INBOX', 'all');
	fails(64, 'too few', @m, 'rename', 'alice', 'a');
	fails(64, 'no verb', @m, 'frobnicate', 'alice');
	fails(64, 'nothing', 'index');
	is + (ph("Subject: not an mbox\n\nbody\n", @m, 'import', 'alice', 'INBOX'))[0], 65, 'not an mbox';
	is + (ph("\0\xff" x 1000, @m, 'import', 'alice', 'INBOX'))[0], 65, '... garbage';
	is + (ph('', @m, 'import', 'alice', 'INBOX'))[1], "0\n", 'nothing';
	like answer(@m, 'status', 'alice', 'INBOX'), qr/\tmessages=0\t/, '... and nothing came';
}

for my $location ('mbox:~/mail', 'maildir:~/Maildir') {
	subtest $location => sub {
		$p = Posthouse->new(master => <<'END', main => { mail_location => $location });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
		$p->start;
		dialogue();
		$p->stop;
	};
}
done_testing;
