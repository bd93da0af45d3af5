#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Every way in which a server can fail: what becomes of the recipient, what the log says, whether the site counts as down.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use SmtpTest;

my $t = SmtpTest->new;
my $H = qr/127\.0\.0\.1\[127\.0\.0\.1\]/;
my $line = 'y' x 79 . "\n";
my $big_content = $line x 200_000;
my @P = (EXT => ['PIPELINING']);

# name, script of the server, fate, site down, dsn, reason
my @table = (
	[ 'greeting 421', { GREETING => '421 4.3.2 busy' }, 'deferred', 1, '4.3.2', qr/host $H refused to talk to me: 421 4\.3\.2 busy/ ],
	[ 'greeting 450', { GREETING => '450 later' }, 'deferred', 1, '4.0.0', qr/host $H refused to talk to me: 450 later/ ],
	[ 'greeting 554', { GREETING => '554 5.7.1 you are listed' }, 'deferred', 1, '4.7.1', qr/host $H refused to talk to me: 554 5\.7\.1 you are listed/ ],
	[ 'no greeting', { GREETING => 'hang' }, 'deferred', 1, '4.4.2', qr/conversation with $H timed out while receiving the initial server greeting/ ],
	[ 'closed at once', { GREETING => 'close' }, 'deferred', 1, '4.4.2', qr/lost connection with $H while receiving the initial server greeting/ ],
	[ 'reset at EHLO', { EHLO => 'reset' }, 'deferred', 1, '4.4.2', qr/lost connection with $H while performing the EHLO handshake/ ],
	[ 'half closed', { GREETING => 'half' }, 'deferred', 1, '4.4.2', qr/lost connection with $H while receiving the initial server greeting/ ],
	[ 'another protocol', { GREETING => "raw:HTTP/1.0 400 Bad\r\n\r\n" }, 'deferred', 1, '4.5.0', qr/protocol error: \S.* from $H while receiving the initial server greeting/ ],
	[ 'a bare code', { GREETING => "raw:5.7.2\r\n" }, 'deferred', 1, '4.5.0', qr/protocol error: / ],
	[ 'escape sequences', { GREETING => "raw:451 \e[2J\0\a x\r\n" }, 'deferred', 1, '4.0.0', qr/refused to talk to me: 451 \?\[2J\?\? x/ ],
	[ 'EHLO and HELO refused for now', { EHLO => '450 4.1.0 a', HELO => '450 4.1.0 b' }, 'deferred', 1, '4.1.0', qr/host $H refused to talk to me: 450 4\.1\.0 b/ ],
	[ 'EHLO and HELO refused', { EHLO => '550 a', HELO => '550 5.7.1 b' }, 'bounced', 0, '5.7.1', qr/host $H refused to talk to me: 550 5\.7\.1 b/ ],
	[ 'EHLO 421', { EHLO => '421 4.7.0 c' }, 'deferred', 1, '4.7.0', qr/host $H refused to talk to me: 421 4\.7\.0 c/ ],
	[ 'EHLO without an answer', { EHLO => 'hang' }, 'deferred', 1, '4.4.2', qr/conversation with $H timed out while performing the EHLO handshake/ ],
	[ 'closed at EHLO', { EHLO => 'close' }, 'deferred', 1, '4.4.2', qr/lost connection with $H while performing the EHLO handshake/ ],
	[ 'MAIL 451', { MAIL => '451 4.3.0 d' }, 'deferred', 0, '4.3.0', qr/host $H said: 451 4\.3\.0 d \(in reply to MAIL FROM command\)/ ],
	[ 'MAIL 550', { MAIL => '550 5.7.1 e' }, 'bounced', 0, '5.7.1', qr/host $H said: 550 5\.7\.1 e \(in reply to MAIL FROM command\)/ ],
	[ 'MAIL 550, pipelined', { @P, MAIL => '550 5.7.1 e', RCPT => '503 5.5.1 no', DATA => '503 5.5.1 no' }, 'bounced', 0, '5.7.1', qr/host $H said: 550 5\.7\.1 e \(in reply to MAIL FROM command\)/ ],
	[ 'MAIL 421', { @P, MAIL => '421 4.4.5 f' }, 'deferred', 0, '4.4.5', qr/host $H said: 421 4\.4\.5 f \(in reply to MAIL FROM command\)/ ],
	[ 'MAIL without an answer', { MAIL => 'hang' }, 'deferred', 0, '4.4.2', qr/conversation with $H timed out while sending MAIL FROM/ ],
	[ 'closed at MAIL', { @P, MAIL => 'close' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending MAIL FROM/ ],
	[ 'RCPT 450', { RCPT => '450 4.2.0 greylisted' }, 'deferred', 0, '4.2.0', qr/host $H said: 450 4\.2\.0 greylisted \(in reply to RCPT TO command\)/ ],
	[ 'RCPT 550 of old', { RCPT => '550 unknown' }, 'bounced', 0, '5.0.0', qr/host $H said: 550 unknown \(in reply to RCPT TO command\)/ ],
	[ 'RCPT 552', { RCPT => '552 5.5.3 too many' }, 'deferred', 0, '4.5.3', qr/host $H said: 552 5\.5\.3 too many \(in reply to RCPT TO command\)/ ],
	[ 'RCPT 421', { @P, RCPT => '421 4.7.0 enough' }, 'deferred', 0, '4.7.0', qr/host $H said: 421 4\.7\.0 enough \(in reply to RCPT TO command\)/ ],
	[ 'RCPT 354', { RCPT => '354 eh' }, 'deferred', 0, '4.5.0', qr/host $H said: 354 eh \(in reply to RCPT TO command\)/ ],
	[ 'code and class disagree', { RCPT => '450 5.1.1 hm' }, 'deferred', 0, '4.0.0', qr/said: 450 5\.1\.1 hm/ ],
	[ 'several lines', { RCPT => "550-5.1.1 one\n550 5.1.1 two" }, 'bounced', 0, '5.1.1', qr/said: 550-5\.1\.1 one 550 5\.1\.1 two \(in reply to RCPT TO command\)/ ],
	[ 'closed at RCPT', { @P, RCPT => 'close' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending RCPT TO/ ],
	[ 'reset at RCPT', { @P, RCPT => 'reset' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending (?:RCPT TO|MAIL FROM)/ ],
	[ 'half closed at RCPT', { RCPT => 'half' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending RCPT TO/ ],
	[ 'RCPT without an answer', { RCPT => 'hang' }, 'deferred', 0, '4.4.2', qr/conversation with $H timed out while sending RCPT TO/ ],
	[ 'DATA 451', { DATA => '451 4.3.0 g' }, 'deferred', 0, '4.3.0', qr/host $H said: 451 4\.3\.0 g \(in reply to DATA command\)/ ],
	[ 'DATA 554, pipelined', { @P, DATA => '554 5.5.1 h' }, 'bounced', 0, '5.5.1', qr/host $H said: 554 5\.5\.1 h \(in reply to DATA command\)/ ],
	[ 'DATA 250', { DATA => '250 2.0.0 thank you' }, 'deferred', 0, '4.5.0', qr/host $H said: 250 2\.0\.0 thank you \(in reply to DATA command\)/ ],
	[ 'closed at DATA', { DATA => 'close' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending DATA command/ ],
	[ 'DATA without an answer', { DATA => 'hang' }, 'deferred', 0, '4.4.2', qr/conversation with $H timed out while sending DATA command/ ],
	[ 'dot 451', { DOT => '451 4.7.1 virus scanner down' }, 'deferred', 0, '4.7.1', qr/host $H said: 451 4\.7\.1 virus scanner down \(in reply to end of DATA command\)/ ],
	[ 'dot 554', { DOT => '554 5.7.1 spam' }, 'bounced', 0, '5.7.1', qr/host $H said: 554 5\.7\.1 spam \(in reply to end of DATA command\)/ ],
	[ 'dot 421', { DOT => '421 4.3.0 i' }, 'deferred', 0, '4.3.0', qr/host $H said: 421 4\.3\.0 i \(in reply to end of DATA command\)/ ],
	[ 'closed after the dot', { DOT => 'close' }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending end of data -- message may be sent more than once/ ],
	[ 'no answer to the dot', { DOT => 'hang' }, 'deferred', 0, '4.4.2', qr/conversation with $H timed out while sending end of data -- message may be sent more than once/ ],
	[ 'garbage after the dot', { DOT => "raw:\0\0\0\r\n" }, 'deferred', 0, '4.5.0', qr/protocol error: .* from $H while sending end of data/ ],
	[ 'endless line', { EHLO => 'raw:250-' . 'x' x 300_000 }, 'deferred', 1, '4.5.0', qr/protocol error: reply line too long from $H while performing the EHLO handshake/ ],
	[ 'endless continuation', { EHLO => 'raw:' . "250-x\r\n" x 100_000 }, 'deferred', 1, '4.5.0', qr/protocol error: reply with too many lines from $H/ ],
	[ 'changing codes', { RCPT => "550-no\n250 yes" }, 'deferred', 0, '4.5.0', qr/protocol error: reply lines with different codes from $H while sending RCPT TO/ ],
	[ 'a reply ahead of EHLO', { GREETING => "220 hello\n250 early" }, 'deferred', 1, '4.5.0', qr/protocol error: reply without a command from $H while performing the EHLO handshake/ ],
	[ 'a reply ahead of MAIL', { EHLO => "250 hello\n250 early" }, 'deferred', 0, '4.5.0', qr/protocol error: reply without a command from $H while sending MAIL FROM/ ],
	[ 'a reply ahead of RCPT', { MAIL => "250 2.1.0 Ok\n250 2.1.5 early" }, 'deferred', 0, '4.5.0', qr/protocol error: reply without a command from $H while sending RCPT TO/ ],
	[ 'replies to all of it at once', { GREETING => "220 hello\n250 a\n250 b\n250 c\n354 d\n250 e" }, 'deferred', 1, '4.5.0', qr/protocol error: reply without a command/ ],
	[ 'a reply ahead of the content', { DATA => "354 go\n250 2.0.0 early" }, 'deferred', 0, '4.5.0', qr/protocol error: reply without a command from $H while sending message body/ ],
	[ 'the same, pipelined', { @P, DATA => "354 go\n250 2.0.0 early" }, 'deferred', 0, '4.5.0', qr/protocol error: reply without a command from $H while sending message body/ ],
	[ 'dies within the content', { MIDDATA => 100_000, BIG => 1 }, 'deferred', 0, '4.4.2', qr/lost connection with $H while sending message body/ ],
	[ 'stops reading the content', { DATA => [ '354 go', '354 go' ], STALL => 1, BIG => 1 }, 'deferred', 0, '4.4.2', qr/conversation with $H timed out while sending message body/ ],
);

for (@table) {
	my ($name, $script, $fate, $down, $dsn, $reason) = @$_;
	my $big = delete $script->{BIG};
	my $s = $t->server(%$script);
	my $m = $t->letter($big ? { content => $big_content } : {}, 'u@example.test');
	my $r = $t->job($s->{hop}, $m);
	my ($line) = $r->{log} =~ /^(.* to=<u\@example\.test>.*)$/m;
	my $j = $t->journal($m)->[0];

	is "$r->{$m}{0} down=$r->{$m}{down}", "$fate down=$down", $name;
	like $line || $r->{log}, qr/relay=$H:\d+, .*dsn=\Q$dsn\E, status=$fate \(.*$reason.*\)$/, "$name: log";
	is "$j->{state} $j->{dsn}", ($fate eq 'bounced' ? 2 : 0) . " $dsn", "$name: journal";
	like $j->{reason}, $reason, "$name: reason in the journal";
	$t->play('idle');
	$s->stop;
}

# --- no connection at all ----------------------------------------------------------------------------------------------

{
	my $free = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
	my $port = $free->sockport;
	close $free;
	my @m = map { $t->letter("n$_\@example.test") } 1 .. 3;
	my $r = $t->job("[127.0.0.1]:$port", @m);
	is join(' ', map { "$r->{$_}{0}/$r->{$_}{down}" } @m), 'deferred/1 deferred/1 deferred/1', 'refused: deferred, site down';
	like $r->{log}, qr/to=<n1\@example\.test>, relay=none, delay=.*, dsn=4\.4\.1, status=deferred \(connect to $H:$port: Connection refused\)/, 'its log line';
	is scalar(() = $r->{log} =~ /smtp\[\d+\]: connect to $H:$port: Connection refused/g), 1, 'one attempt for the whole job';
	is $r->{ $m[0] }{reason}, "connect to 127.0.0.1[127.0.0.1]:$port: Connection refused", 'reason for the site';
	my ($down, $why) = $t->probe("[127.0.0.1]:$port");
	is "$down $why", "1 connect to 127.0.0.1[127.0.0.1]:$port: Connection refused", 'a probe says the same';
	$t->new_log;
	# The server comes back.
	my $s = $t->server(PORT => $port);
	is +($t->probe("[127.0.0.1]:$port"))[0], 0, 'the next probe finds it up';
	$r = $t->job("[127.0.0.1]:$port", @m);
	is join(' ', map { $r->{$_}{0} } @m), 'sent sent sent', 'and the mail goes';
	is scalar(() = $s->said =~ /connect$/mg), 1, 'over the connection of the probe';
	$t->play('idle');
}

{
	# A full backlog: the kernel drops what would connect.
	my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
	my @held = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 4;
	my $m = $t->letter('w@example.test');
	my $r = $t->job("[127.0.0.1]:" . $full->sockport, $m);
	is "$r->{$m}{0}/$r->{$m}{down}", 'deferred/1', 'no connection in time';
	like $r->{log}, qr/relay=none, .*dsn=4\.4\.1, status=deferred \(connect to $H:\d+: Connection timed out\)/, 'its log line';
	$t->play('idle');
}

# --- a connection that has gone stale ----------------------------------------------------------------------------------

for my $how ('close', '421 4.4.2 idle too long', 'early') {
	my $s = $t->server($how eq 'early' ? (DOT => [ "250 2.0.0 Ok\n421 4.4.2 and goodbye", '250 2.0.0 Ok' ])
		: (MAIL => [ '250 2.1.0 Ok', $how, '250 2.1.0 Ok' ]), @P);
	my @m = map { $t->letter("stale$_\@example.test") } 1 .. 2;
	my $r = $t->job($s->{hop}, @m);
	is "$r->{$m[0]}{0} $r->{$m[1]}{0}", 'sent sent', "stale connection ($how): a fresh one, nobody is deferred";
	is scalar(() = $s->said =~ /connect$/mg), 2, 'two connections';
	$t->play('idle');
}

# --- 354 although nobody was accepted ----------------------------------------------------------------------------------

{
	my $s = $t->server(@P, RCPT => [ '550 5.1.1 no', '250 2.1.5 Ok' ]);
	my @m = map { $t->letter("lone$_\@example.test") } 1 .. 2;
	my $r = $t->job($s->{hop}, @m);
	is "$r->{$m[0]}{0} $r->{$m[1]}{0}", 'bounced sent', 'lone dot';
	is $s->content(1), '', 'an empty message for nobody';
	like $s->content(2), qr/Hello, $m[1]/, 'then the next';
	$t->play('idle');
}

# --- soft_bounce, message gone or corrupt ------------------------------------------------------------------------------

{
	my $s = $t->server;
	my $m = $t->letter('gone@example.test');
	my $id = $t->id($m);
	my ($file) = glob "$t->{dir}/queue/mail/*/$id";
	ok $file, 'queue file found';
	rename $file, "$file.away";
	my $r = $t->job($s->{hop}, $m);
	is $s->said, '', 'a message that is gone: nobody is connected to';
	is $r->{$m}{0}, 'sent', 'it counts as done';
	rename "$file.away", $file;
	open my $f, '+<', $file;
	seek $f, 20, 0;
	print $f "\xff" x 20;
	close $f;
	$r = $t->job($s->{hop}, $m);
	is $r->{$m}{0}, 'deferred', 'a damaged one is left to qmgr';
	ok -e $file, 'and stays where it is';
	$t->play('idle');
}

undef $t;
$t = SmtpTest->new(soft_bounce => 'yes');
{
	my $s = $t->server(RCPT => '550 5.1.1 no');
	my $m = $t->letter('soft@example.test');
	my $r = $t->job($s->{hop}, $m);
	is $r->{$m}{0}, 'deferred', 'soft_bounce';
	like $r->{log}, qr/dsn=4\.1\.1, status=SOFTBOUNCE \(host .* said: 550 5\.1\.1 no/, 'log of soft_bounce';
	is $t->journal($m)->[0]{dsn}, '4.1.1', 'journal of soft_bounce';
}

# S5: where TLS is demanded nothing goes in the clear, whatever the server offers.
for (
	[ { smtp_tls_security_level => 'encrypt' }, 'deferred', '4.7.5', qr/\(TLS is required, but our TLS engine is unavailable\)/ ],
	[ { smtp_tls_security_level => 'encyrpt' }, 'deferred', '4.7.5', qr/\(TLS is required, but our TLS engine is unavailable\)/ ],
	[ { smtp_enforce_tls => 'yes' }, 'deferred', '4.7.5', qr/\(TLS is required, but our TLS engine is unavailable\)/ ],
	[ { smtp_tls_security_level => 'may', smtp_tls_policy_maps => 'static:{verify match=nexthop}' }, 'deferred', '4.7.5', qr/\(TLS is required/ ],
	[ { smtp_tls_policy_maps => 'hash:/nonexistent/policy' }, 'deferred', '4.3.0', qr/\(TLS policy table lookup error for \[127/ ],
	[ { smtp_tls_security_level => 'secure', smtp_tls_policy_maps => 'static:may' }, 'sent', '2.1.0', qr/status=sent/ ],
	[ { smtp_tls_security_level => 'dane' }, 'sent', '2.1.0', qr/status=sent/ ],
) {
	my ($main, $fate, $dsn, $reason) = @$_;
	my $name = join ', ', map { "$_ = $main->{$_}" } sort keys %$main;
	undef $t;
	$t = SmtpTest->new(%$main);
	my $s = $t->server(EXT => ['STARTTLS'], DOT => '250 2.1.0 Ok');
	my $m = $t->letter('secret@example.test');
	my $r = $t->job($s->{hop}, $m);
	is $r->{$m}{0}, $fate, "$name: $fate";
	like $r->{log}, qr/dsn=\Q$dsn\E, .*$reason/, "$name: log";
	is $s->said =~ /MAIL/ ? 1 : 0, $fate eq "sent" ? 1 : 0, "$name: what the server heard";
}

done_testing;
