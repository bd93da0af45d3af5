#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# sendmail(1): every option that programs pass, header completion, input forms, exit statuses.
use strict;
use warnings;
use Test::More;
use FindBin;
use IO::Handle;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $host = 'mail.example.test';
my $me = getpwuid $<;
my $p = Posthouse->new(users => [qw(alice bob)], main => { default_transport => 'nowhere', message_size_limit => 100000, recipient_delimiter => '+' });
my $dir = $p->dir;

# (exit status, what it said) with text on standard input.
sub sendmail {
	my ($text, @args) = @_;
	my $in = "$dir/in.txt";
	Posthouse::write_file($in, $text);
	open my $old, '<&', \*STDIN or die;
	open STDIN, '<', $in or die;
	my @result = $p->tool('sendmail', @args);
	open STDIN, '<&', $old or die;
	return @result;
}

my ($status, $said) = sendmail("Subject: x\n\nhi\n", 'alice');
is $status, 75, 'the mail system is down: EX_TEMPFAIL';
like $said, qr/not running/, 'said in words';
$p->start;

# The letter with this subject in a user's mailbox: trace header off, as text.
sub letter {
	my ($user, $subject) = @_;
	return $p->wait_until("$subject for $user", sub {
		my ($l) = grep { /^Subject: \Q$subject\E$/m } split /^(?=From \S+  )/m, Posthouse::slurp($p->spool($user));
		return $l;
	});
}

# --- options: [ arguments, input or undef, exit status, recipient, pattern in the letter or output ] ---
my @table = (
	[ 'plain', ['alice'], 0, qr/^Return-Path: <$me\@$host>$/m ],
	[ '-i', [ '-i', 'alice' ], 0 ],
	[ '-oi', [ '-oi', 'alice' ], 0 ],
	[ '-bm', [ '-bm', 'alice' ], 0 ],
	[ '-f', [ '-f', 'other@x.test', 'alice' ], 0, qr/^Return-Path: <other\@x\.test>\n(?s:.*)^From: other\@x\.test$/m ],
	[ '-fattached', [ '-fother@x.test', 'alice' ], 0, qr/^Return-Path: <other\@x\.test>$/m ],
	[ '-f <>', [ '-f', '<>', 'alice' ], 0, qr/^Return-Path: <>\n(?s:.*)^From: MAILER-DAEMON\@$host/m ],
	[ '-f empty', [ '-f', '', 'alice' ], 0, qr/^Return-Path: <>$/m ],
	[ '-r', [ '-r', 'other@x.test', 'alice' ], 0, qr/^Return-Path: <other\@x\.test>$/m ],
	[ '-F', [ '-F', 'Full Name', 'alice' ], 0, qr/^From: Full Name <$me\@$host>$/m ],
	[ '-F quoted', [ '-F', 'A. "B" (C)', 'alice' ], 0, qr/^From: "A\. \\"B\\" \(C\)" <$me\@$host>$/m ],
	[ 'extension', ['alice+x'], 0, qr/^Delivered-To: alice\+x\@$host$/m ],
	[ 'full address', ["alice\@$host"], 0 ],
	[ 'name and address', ["Alice A. <alice\@$host>"], 0 ],
	[ 'comma list', ['alice, bob'], 0 ],
	[ '-t with recipient', [ '-t', 'alice' ], 0 ],
	[ '-N never', [ '-N', 'never', 'alice' ], 0 ],
	[ '-N list', [ '-N', 'success,failure', 'alice' ], 0 ],
	[ '-R -V', [ '-R', 'hdrs', '-V', 'env id+1', 'alice' ], 0 ],
	[ '-B', [ '-B', '8BITMIME', 'alice' ], 0 ],
	[ 'ignored', [ qw(-Ac -Am -em -oem -odb -om -m -n -G -U -h 3 -L tag -O Opt=val -X /dev/null -p ESMTP:host -o7 -o8 alice) ], 0 ],
	[ '--', [ '--', 'alice' ], 0 ],
	[ 'no recipients', [], 64, qr/no recipients/ ],
	[ 'bad option', [ '-Z', 'alice' ], 64, qr/usage/ ],
	[ 'bad -b', [ '-bx', 'alice' ], 64, qr/-b x/ ],
	[ 'bad -N', [ '-N', 'sometimes', 'alice' ], 64, qr/-N sometimes/ ],
	[ 'bad -R', [ '-R', 'some', 'alice' ], 64, qr/-R some/ ],
	[ 'bad -f', [ '-f', "a\nb\@x", 'alice' ], 64, qr/not an address/ ],
	[ 'bad recipient', ['@'], 64, qr/not an address/ ],
);
for my $case (@table) {
	my ($name, $args, $want, $re) = @$case;
	($status, $said) = sendmail("Subject: case $name\n\nbody\n", @$args);
	is $status, $want, "$name: exit status $want" or diag $said;
	like $want ? $said : letter('alice', "case $name"), $re, "$name: the effect" if $re;
	is $said, '', "$name: silent" unless $want;
}
letter('bob', 'case comma list');

# --- input ---
sendmail("Subject: dot\n\none\n.\ntwo\n", 'alice');
like letter('alice', 'dot'), qr/\n\none\n\n?\z/, 'a dot ends the letter';
sendmail("Subject: dot -i\n\none\n.\ntwo\n", '-i', 'alice');
like letter('alice', 'dot -i'), qr/\n\none\n\.\ntwo\n/, 'not with -i';
sendmail("Subject: crlf\r\n\r\none\r\n..two\r\n", '-i', 'alice');
like letter('alice', 'crlf'), qr/\n\none\n\.\.two\n/, 'CRLF';
sendmail("From joe  Mon Jan  1 00:00:00 2024\nSubject: from\n\nFrom me\n", 'alice');
like letter('alice', 'from'), qr/\n\n>From me\n/, 'a From_ line in front is dropped, one in the body quoted';
sendmail("no header at all, Subject: body\n", 'alice');
$p->wait_until('no header', sub { Posthouse::slurp($p->spool('alice')) =~ /^From: .*\n\nno header at all, Subject: body$/m });
pass 'a letter without a header';
sendmail("Subject: no end", 'alice');
like letter('alice', 'no end'), qr/^From: /m, 'without a last line end';
sendmail("Subject: 8bit\n\n\xe4\xc3\xa4\0x\n", 'alice');
like letter('alice', '8bit'), qr/\n\n\xe4\xc3\xa4\0x\n/, '8-bit bytes and NUL';
sendmail("Subject: long\n\n" . 'x' x 5000 . "\n", 'alice');
like letter('alice', 'long'), qr/\n\nx{5000}\n/, 'a long line';
($status, $said) = sendmail("Subject: large\n\n" . ("x" x 99 . "\n") x 2000, 'alice');
is $status, 65, 'past message_size_limit';
like $said, qr/message_size_limit/, 'said in words';

# --- header ---
my $l = letter('alice', 'case plain');
like $l, qr/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}/m, 'Date is added';
like $l, qr/^Message-Id: <\S+\@$host>$/mi, 'Message-Id is added';
like $l, qr/^Received: by $host \(Posthouse, from userid $<\)\n\tid \w+/m, 'Received says who';
sendmail(<<'END', '-i', 'alice');
From: Me <me@x.test>
Date: Mon, 01 Jan 2024 00:00:00 +0000
Message-ID: <1@x>
Subject: complete
Bcc: bob
Return-Path: <evil>
Content-Length: 5

.
END
$l = letter('alice', 'complete');
is scalar(() = $l =~ /^(?:From|Date|Message-ID): /gmi), 3, 'what is there is left alone';
unlike $l, qr/^(?:Bcc|Content-Length|Return-Path: <evil>)/m, 'Bcc, Content-Length, Return-Path are dropped';

# --- -t ---
($status) = sendmail("To: Alice <alice>, bob\nCc: (a comment) alice\@$host\nBcc: bob\@$host\nSubject: to all\n\nx\n", '-t', '-i');
is $status, 0, '-t';
unlike letter($_, 'to all'), qr/^Bcc/mi, "$_ got it, without Bcc" for qw(alice bob);
($status) = sendmail("To: nobody\@elsewhere.test\nResent-To: bob\nSubject: resent\n\nx\n", '-ti');
like letter('bob', 'resent'), qr/^Resent-From: .*\n(?s:.*)/m, 'Resent-To alone counts when there is one';
is $p->log_count(qr/to=<nobody\@elsewhere/), 0, 'To does not';
($status, $said) = sendmail("Subject: to nobody\n\nx\n", '-t');
is $status, 64, '-t without recipients';

# --- other modes ---
($status, $said) = sendmail("EHLO x\r\nMAIL FROM:<a\@x.test>\r\nRCPT TO:<alice>\r\nDATA\r\nSubject: by smtp\r\n\r\nx\r\n.\r\nQUIT\r\n", '-bs');
like $said, qr/^220 (?s:.*)^250 2\.0\.0 Ok: queued as \w+(?s:.*)^221 /m, '-bs';
letter('alice', 'by smtp');
($status, $said) = $p->tool('sendmail', '-bv', 'alice');
is "$status $said", "0 alice... deliverable\n", '-bv';
sendmail("Subject: waits\n\nx\n", 'x@elsewhere.test');
$p->wait_log(qr/status=deferred|mail transport unavailable/);
for my $list ([ 'sendmail', '-bp' ], ['mailq']) {
	($status, $said) = $p->tool(@$list);
	like $said, qr/^----Queue ID-----(?s:.*)x\@elsewhere\.test\n(?s:.*)Request\.$/m, "@$list";
}
($status) = $p->tool('sendmail', '-q');
is $status, 0, '-q';
my ($id) = $said =~ /^(\w{8,})/m;
($status) = $p->tool('sendmail', "-qI$id");
is $status, 0, '-qI';
($status) = $p->tool('sendmail', '-qRelsewhere.test');
is $status, 0, '-qR';
Posthouse::append_file("$dir/aliases", "fresh: bob\n");
for my $build ([ 'sendmail', '-bi' ], [ 'sendmail', '-I' ], ['newaliases']) {
	unlink "$dir/aliases.db";
	($status, $said) = $p->tool(@$build);
	is $status, 0, "@$build" or diag $said;
	ok -s "$dir/aliases.db", 'makes the table';
}
sendmail("Subject: to a fresh alias\n\nx\n", 'fresh');
letter('bob', 'to a fresh alias');

# MAIL_CONFIG instead of -C; -C with the file.
$ENV{MAIL_CONFIG} = $dir;
($status) = Posthouse::run("$Posthouse::BIN/mailq");
is $status, 0, 'MAIL_CONFIG';
delete $ENV{MAIL_CONFIG};
($status) = Posthouse::run("$Posthouse::BIN/sendmail", '-C', "$dir/main.cf", '-bp');
is $status, 0, '-C main.cf';

# Killed before the end of its input: nothing is sent.
my $pid = open my $out, '|-', "$Posthouse::BIN/sendmail", '-C', $dir, 'alice' or die;
print $out "Subject: half\n\nhalf a letter\n";
$out->flush;
kill 'KILL', $pid;
close $out;
sendmail("Subject: after\n\nx\n", 'alice');
letter('alice', 'after');
unlike Posthouse::slurp($p->spool('alice')), qr/half a letter/, 'a sendmail that was killed sent nothing';

$p->stop;
done_testing;
