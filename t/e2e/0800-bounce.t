#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Notices: who gets one, about what, in what form (RFC 3461, 3464); and who never does.
use strict;
use warnings;
use Test::More;
use FindBin;
use IO::Socket::INET;
use POSIX ();
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $host = 'mail.example.test';
my $p = Posthouse->new(users => [qw(alice bob carol)], main => {
	local_recipient_maps => '',
	relayhost => '[127.0.0.1]:1',
	bounce_size_limit => 20000,
	enable_threaded_bounces => "yes",
	minimal_backoff_time => '1s',
	maximal_backoff_time => '2s',
});
my $dir = $p->dir;
Posthouse::append_file("$dir/aliases", "refuse: \"|echo we do not want this; exit 77\"\nowned: refuse, nobody-at-all\n");
$p->start;

# Send by SMTP with parameters: mail("MAIL parameters", "text", [ address, "RCPT parameters" ], ...): the queue id.
sub mail {
	my ($from, $mail, $text, @rcpts) = @_;
	my $c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd("MAIL FROM:<$from> $mail", qr/^250/);
	$c->cmd("RCPT TO:<$_->[0]> " . ($_->[1] // ''), qr/^250/) for @rcpts;
	$c->cmd('DATA', qr/^354/);
	$text =~ s/\n/\r\n/g;
	$c->send_raw($text);
	my ($id) = $c->cmd('.', qr/^250/) =~ /queued as (\S+)/;
	$c->cmd('QUIT', qr/^221/);
	return $id;
}

# The notice about this message that a user got.
sub notice {
	my ($user, $id) = @_;
	return $p->wait_until("a notice about $id for $user", sub {
		my ($l) = grep { /^X-\w+-Queue-ID: (\w+)$/m && $1 eq $id } split /^(?=From \S+  \w{3} \w{3} )/m, Posthouse::slurp($p->spool($user));
		return $l;
	});
}

sub gone { $p->wait_log(qr/\Q$_[0]\E: removed/, from => 0) }

my $text = "Subject: the letter\nMessage-Id: <original\@client.test>\n\nthe body\n";

# --- failure ---
my $id = mail("alice\@$host", 'ENVID=abc', $text, [ "nobody\@$host", 'ORCPT=rfc822;someone+40else.test' ], ["refuse\@$host"], ["bob\@$host"]);
my $n = notice('alice', $id);
like $n, qr/^From MAILER-DAEMON  /, 'From_ line';
like $n, qr/^Return-Path: <>$/m, 'from the null sender';
like $n, qr/^From: MAILER-DAEMON\@$host \(Mail Delivery System\)$/m, 'From';
like $n, qr/^To: alice\@$host$/m, 'To';
like $n, qr/^Auto-Submitted: auto-replied$/m, 'Auto-Submitted';
like $n, qr/^References: <original\@client\.test>$/m, 'References';
like $n, qr/^Message-Id: <\S+\@$host>$/mi, 'Message-Id';
like $n, qr/^Content-Type: multipart\/report; report-type=delivery-status;/m, 'multipart/report';
my ($boundary) = $n =~ /boundary="([^"]+)"/;
my (undef, @parts) = split /^--\Q$boundary\E(?:--)?\n/m, $n;
is scalar @parts, 4, 'three parts, and nothing after them' or diag $n;
like $parts[0], qr/<nobody\@$host>(?s:.*)unknown user: "nobody"/, 'for people: an unknown user';
like $parts[0], qr/<refuse\@$host>(?s:.*)we do not\s+want\s+this/, 'for people: what the command said';
like $parts[1], qr/^Content-Type: message\/delivery-status$/m, 'for programs';
like $parts[1], qr/^Reporting-MTA: dns; $host$/m, 'Reporting-MTA';
like $parts[1], qr/^Original-Envelope-Id: abc$/m, 'Original-Envelope-Id';
like $parts[1], qr/^Arrival-Date: /m, 'Arrival-Date';
my ($nobody) = grep { /^Final-Recipient: rfc822; ?nobody\@$host$/m } split /\n\n/, $parts[1];
like $nobody, qr/^Original-Recipient: rfc822; ?someone\@else\.test$/m, 'a recipient, as the sender wrote it';
like $nobody, qr/^Action: failed\nStatus: 5\.1\.1$/m, 'what became of it';
like $parts[1], qr/^Final-Recipient: rfc822; ?refuse\@$host\n(?:.+\n)*Action: failed\nStatus: 5\.7\.0\n/m, 'the other one';
unlike $n, qr/bob\@$host\n/, 'none about the one who got it';
like $parts[2], qr/^Content-Type: message\/rfc822$/m, 'the letter itself';
like $parts[2], qr/^Subject: the letter\n(?s:.*)\n\nthe body\n/m, 'whole';
like $p->wait_log(qr/\Q$id\E: sender non-delivery notification: \w+$/, from => 0), qr/bounce\[/, 'logged';
gone($id);

# --- how much of it ---
$id = mail("alice\@$host", 'RET=HDRS', $text, ["nobody\@$host"]);
$n = notice('alice', $id);
like $n, qr/^Content-Type: text\/rfc822-headers$/m, 'RET=HDRS: the header';
unlike $n, qr/the body/, 'only';
$id = mail("alice\@$host", '', "Subject: large\n\n" . ("y" x 70 . "\n") x 300, ["nobody\@$host"]);
$n = notice('alice', $id);
like $n, qr/^Subject: large$/m, 'past bounce_size_limit: the header';
unlike $n, qr/yyyy/, 'only';

# --- NOTIFY ---
$id = mail("alice\@$host", '', $text, [ "nobody\@$host", 'NOTIFY=NEVER' ], [ "nobody2\@$host", 'NOTIFY=FAILURE' ], [ "nobody3\@$host", 'NOTIFY=DELAY' ]);
$n = notice('alice', $id);
like $n, qr/^Final-Recipient: rfc822; ?nobody2\@$host$/m, 'NOTIFY=FAILURE is told';
unlike $n, qr/nobody3?\@$host/, 'NEVER and DELAY are not';
$id = mail("alice\@$host", '', $text, [ "nobody\@$host", 'NOTIFY=NEVER' ]);
gone($id);
is $p->log_count(qr/\Q$id\E: sender non-delivery/), 0, 'nobody to tell';
$id = mail("alice\@$host", '', $text, [ "bob\@$host", 'NOTIFY=SUCCESS' ], ["carol\@$host"]);
$n = notice('alice', $id);
like $n, qr/^Subject: Successful Mail Delivery Report$/m, 'NOTIFY=SUCCESS';
like $n, qr/^Final-Recipient: rfc822; ?bob\@$host\n(?:.+\n)*Action: delivered\nStatus: 2\.0\.0\n/m, 'delivered';
unlike $n, qr/carol\@$host/, 'for those who asked';
unlike $n, qr/the body/, 'without the body';
$p->wait_log(qr/\Q$id\E: sender delivery status notification: \w+$/, from => 0);
gone($id);

# --- never a notice about a notice ---
$id = mail('', '', $text, ["nobody\@$host"]);
gone($id);
is $p->log_count(qr/\Q$id\E: \w+ non-delivery/), 0, 'from <>: nobody is told';
$id = mail("nosuchuser\@$host", '', $text, ["nobody\@$host"]);
my ($second) = $p->wait_log(qr/\Q$id\E: sender non-delivery notification: /, from => 0) =~ /(\w+)$/;
gone($second);
is $p->log_count(qr/\Q$second\E: \w+ non-delivery/), 0, 'a notice that cannot be delivered: the end';
is $p->log_count(qr/from=<>.*queue active/) > 0, 1, 'notices are from <>';

# --- hostile text ---
$id = mail("\"al ice\\\"x\"\@$host", '', "Subject: x\nMessage-Id: <a\@b>\x01\nX: --=_\n\n--$boundary--\n", ["\"no\\\"body y\"\@$host"]);
$p->wait_log(qr/\Q$id\E: sender non-delivery notification: /, from => 0);
pass 'odd addresses';

# --- double bounces to the postmaster ---
$p->set(notify_classes => 'resource, software, 2bounce, bounce', bounce_notice_recipient => 'carol');
$p->reload;
$id = mail("nosuchuser\@$host", '', $text, ["nobody\@$host"]);
($second) = $p->wait_log(qr/\Q$id\E: sender non-delivery notification: /) =~ /(\w+)$/;
$n = notice('carol', $id);
like $n, qr/^Return-Path: <double-bounce\@$host>$/m, 'bounce: a copy for the postmaster';
unlike $n, qr/the body/, 'with the header only';
$n = notice('carol', $second);
like $n, qr/^Return-Path: <double-bounce\@$host>\n/m, '2bounce: the notice itself';
$p->set(bounce_notice_recipient => 'nosuchuser');
$p->reload;
$id = mail('', '', $text, ["nobody\@$host"]);
($second) = $p->wait_log(qr/\Q$id\E: postmaster non-delivery notification: /) =~ /(\w+)$/;
$p->wait_log(qr/\Q$second\E: undeliverable postmaster notification discarded/, from => 0);
gone($second);
pass 'a postmaster who is not there ends it';

# --- delay, expiry ---
$p->set(notify_classes => 'resource, software', delay_warning_time => '1s', maximal_queue_lifetime => '60s');
$p->reload;
$id = mail("alice\@$host", '', $text, ['x@far.test'], [ 'y@far.test', 'NOTIFY=FAILURE' ]);
$n = notice('alice', $id);
like $n, qr/^Subject: Delayed Mail \(still being retried\)$/m, 'delay_warning_time';
like $n, qr/^Final-Recipient: rfc822; ?x\@far\.test\n(?:.+\n)*Action: delayed\nStatus: 4\.\d\.\d\n(?:.+\n)*Will-Retry-Until: /m, 'the recipient that waits';
unlike $n, qr/y\@far\.test/, 'but not one that does not want to hear of delays';
$p->wait_log(qr/\Q$id\E: sender delay notification: /, from => 0);
$p->wait_until('one more attempt', sub { $p->log_count(qr/\Q$id\E: to=<x.*deferred/) >= 3 });
is $p->log_count(qr/\Q$id\E: sender delay notification: /), 1, 'once';
$p->set(maximal_queue_lifetime => '1s');
$p->reload;
$p->wait_log(qr/\Q$id\E: from=<alice\@$host>, status=expired, returned to sender/, from => 0);
gone($id);
my $last = $p->wait_until('the last notice', sub {
	(grep { /^X-\w+-Queue-ID: \Q$id\E$/m && /Action: failed/ } split /^(?=From \S+  \w{3} \w{3} )/m, Posthouse::slurp($p->spool('alice')))[0];
});
like $last, qr/^Final-Recipient: rfc822; ?x\@far\.test$/m, 'maximal_queue_lifetime: it comes back';
like $last, qr/^Final-Recipient: rfc822; ?y\@far\.test$/m, 'for all its recipients';
like $last, qr/Connection refused/, 'with the last reason';

# --- what another server said (last, for it changes where mail goes) ---
my $door = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
my $peer = fork;
if ($peer == 0) {
	while (my $s = $door->accept) {
		my %say = (EHLO => '250 peer.test', MAIL => '250 ok', QUIT => '221 bye',
			RCPT => "550-5.1.1 no such user\r\n550 5.1.1 \x1b[2Jreally not");
		print $s "220 peer.test ESMTP\r\n";
		while (my $line = <$s>) {
			print $s ($say{ uc substr $line, 0, 4 } // '250 ok'), "\r\n";
		}
	}
	POSIX::_exit(0);
}
$p->set(relayhost => '[127.0.0.1]:' . $door->sockport, maximal_queue_lifetime => '60s');
$p->reload;
$id = mail("alice\@$host", '', $text, ['z@far.test']);
$n = notice('alice', $id);
kill 'TERM', $peer;
waitpid $peer, 0;
like $n, qr/^Remote-MTA: dns; ?127\.0\.0\.1$/m, 'Remote-MTA';
like $n, qr/^Diagnostic-Code: smtp; ?550.5\.1\.1 no such user/m, 'Diagnostic-Code: what it said';
unlike $n, qr/\x1b/, 'without its control characters';

$p->stop;
done_testing;
