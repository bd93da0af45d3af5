#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Submission: missing header fields, sender addresses of others, limits per account with hold and release.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(users => [qw(alice bob carol)], main => { auth_failure_delay => '0s', recipient_delimiter => '+',
	submission_account_message_limit => 6, submission_account_recipient_limit => 4 });
Posthouse::append_file($p->dir . '/aliases', "sales: alice, bob\n");
$p->start;

sub login {
	my ($user) = @_;
	my $c = $p->smtp('submission');
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd('AUTH PLAIN ' . encode_base64("\0$user\0" . $p->password($user), ''), qr/^235/);
	return $c;
}

sub letter {
	my ($c, $from, $to, @parts) = @_;
	$c->cmd("MAIL FROM:<$from>", qr/^250/);
	$c->cmd("RCPT TO:<$_>", qr/^250/) for ref $to ? @$to : $to;
	$c->cmd('DATA', qr/^354/);
	for (@parts) { $c->send_raw($_); select undef, undef, undef, 0.05 if @parts > 1 }
	my ($id) = $c->cmd('.', qr/^250/) =~ /queued as (\S+)/;
	return $id;
}

sub delivered {
	my ($user, $id) = @_;
	$p->wait_log(qr/$id: removed/, from => 0);
	my ($letter) = grep { /id $id/ } split /^From /m, Posthouse::slurp($p->spool($user));
	return $letter // '';
}

my $c = login('alice');
my $text = delivered('bob', letter($c, 'alice@example.test', 'bob@example.test', "Subject: x\r\n\r\nbody\r\n"));
like $text, qr/^Date: \w{3}, \d+ .*\d{4} /m, 'Date is added';
like $text, qr/^From: <alice\@example.test>$/m, 'From is added';
like $text, qr/^Message-ID: <\S+\@mail.example.test>$/m, 'Message-ID is added';
like $text, qr/^Subject: x\nDate: .*\nFrom: .*\nMessage-ID: .*\n(X-UID.*\n)?\nbody$/m, 'at the end of the header';
$text = delivered('bob', letter($c, 'alice@example.test', 'bob@example.test', "From: Alice <alice\@example.test>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nMessage-Id: <me\@x>\r\n\r\nbody\r\n"));
is scalar(() = $text =~ /^(?:Date|From|Message-Id): /mig), 3, 'what is there stays alone';
$text = delivered('bob', letter($c, 'alice@example.test', 'bob@example.test', "Subject: pieces\r\n", "From: a\@x\r\n\r", "\nbody\r\n"));
like $text, qr/^Subject: pieces\nFrom: a\@x\nDate: .*\nMessage-ID: .*\n(X-UID.*\n)?\nbody$/m, 'also when the empty line comes in two pieces';
$text = delivered('bob', letter($c, 'alice@example.test', 'bob@example.test', "\r\nonly a body\r\n"));
like $text, qr/^Message-ID: .*\n(X-UID.*\n)?\nonly a body$/m, 'a body without a header';
$text = delivered('bob', letter($c, 'alice@example.test', 'bob@example.test', "Subject: no body\r\n"));
like $text, qr/^Subject: no body\nDate: .*\nFrom: .*\nMessage-ID: /m, 'a header without a body';
my $id = letter(my $d = login('bob'), 'bob@example.test', 'alice@example.test', "x: y\r\n\r\n");
unlike delivered('alice', $p->send_mail(text => "Subject: outside\n\nbody\n")), qr/^Date: /m, 'nothing is added for strangers';

for (['bob@example.test', 'another user'], ['postmaster@example.test', undef], ['sales@example.test', undef], ['alice+list@example.test', undef],
	['me@elsewhere.test', undef], ['Alice@Example.Test', undef], ['bob+x@example.test', 'extended']) {
	my ($from, $refused) = @$_;
	$c->cmd("MAIL FROM:<$from>", qr/^250/);
	like $c->cmd('RCPT TO:<bob@example.test>'), $refused ? qr/^553 5.7.1 <\Q$from\E>: Sender address rejected: not owned by user alice$/ : qr/^250/,
		"alice sends as $from";
	$c->cmd('RSET', qr/^250/);
}

# The sixth message is the last one that goes, or the fourth new recipient.
$id = letter($c, 'alice@example.test', 'bob@example.test', "Subject: six\r\n\r\n");
delivered('bob', $id);
$id = letter($c, 'alice@example.test', 'bob@example.test', "Subject: seven\r\n\r\n");
like $p->wait_log(qr/$id: hold: /), qr/warning: $id: hold: account alice is past its daily limit, 7 messages of 6/, 'one more is held';
my ($status, $list) = $p->tool('postqueue', '-p');
like $list, qr/^$id!/m, 'and shown so';
my $other = login('alice');
my $id2 = letter($other, 'alice@example.test', 'bob@example.test', "Subject: eight\r\n\r\n");
like $p->wait_log(qr/$id2: hold: /), qr/8 messages of 6/, 'counted over sessions';
$p->tool('postsuper', '-H', $id);
like delivered('bob', $id), qr/^Subject: seven$/m, 'released by postsuper -H';
$c = login('carol');
$id = letter($c, 'carol@example.test', [ map { "$_\@elsewhere.test" } 1 .. 4 ], "Subject: 4\r\n\r\n");
ok !$p->log_count(qr/$id: hold/), 'four recipients';
$id = letter($c, 'carol@example.test', [ map { "$_\@elsewhere.test" } 1 .. 4 ], "Subject: same\r\n\r\n");
ok !$p->log_count(qr/$id: hold/), 'the same again';
$id = letter($c, 'carol@example.test', '5@elsewhere.test', "Subject: 5\r\n\r\n");
like $p->wait_log(qr/$id: hold: /), qr/account carol is past its daily limit, 5 new recipients of 4/, 'a fifth';

# All that is held of one account, and of no other.
my $id3 = letter($other, 'alice@example.test', 'bob@example.test', "Subject: nine\r\n\r\n");
$p->wait_log(qr/$id3: hold: /);
($status, $list) = $p->tool('postsuper', '-a', 'ali', '-H', 'ALL');
is "$status$list", '0', 'nothing is held of another account';
($status, $list) = $p->tool('postsuper', '-a', 'alice', '-H', 'ALL');
is $status, 0, 'postsuper -a';
like $list, qr/^postsuper: $_: released from hold$/m, "$_ is released" for $id2, $id3;
like $list, qr/Released from hold: 2 messages/, 'and nothing else';
delivered('bob', $_) for $id2, $id3;
like + ($p->tool('postqueue', '-p'))[1], qr/^$id!/m, 'that of the other account is still held';
($status, $list) = $p->tool('postsuper', '-a', 'carol', '-d', 'ALL', 'hold');
like $list, qr/^postsuper: $id: removed$/m, 'until it is thrown away';
$p->stop;
done_testing;
