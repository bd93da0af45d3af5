#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What smtp says to a server that is in good health, and what it makes of its answers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use SmtpTest;

my $t = SmtpTest->new;

{
	my $s = $t->server(EXT => [qw(PIPELINING 8BITMIME DSN ENHANCEDSTATUSCODES)], DOT => '250 2.0.0 Ok: queued as X1');
	my $m = $t->letter({ content => "Subject: dots\n\n.\n..two\nlone \r cr\nlast" }, 'bob@example.test');
	my $r = $t->job($s->{hop}, $m);
	is $r->{$m}{0}, 'passed', 'delivered, to a server that answers for DSN';
	is $r->{$m}{down}, 0, 'the site is up';
	my $id = $t->id($m);
	like $r->{log}, qr{posthouse/smtp\[\d+\]: $id: to=<bob\@example\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:$s->{port}, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as X1\)$}m, 'log line';
	is $s->content(1), "Subject: dots\r\n\r\n..\r\n...two\r\nlone   cr\r\nlast\r\n", 'content on the wire';
	is_deeply $t->journal($m), [ { gone => 1 } ], 'a message that is done is removed';

	my @two = ($t->letter('a@example.test'), $t->letter('b@example.test'));
	$r = $t->job($s->{hop}, @two);
	is $r->{ $two[0] }{0}, 'passed', 'second on the same connection';
	is $r->{ $two[1] }{0}, 'passed', 'third';
	like $r->{log}, qr{to=<a\@example\.test>, relay=\S+, conn_use=2, delay=}, 'conn_use=2';
	like $r->{log}, qr{to=<b\@example\.test>, relay=\S+, conn_use=3, delay=}, 'conn_use=3';
	$t->play('idle');
	$m = $t->letter('c@example.test');
	$t->job($s->{hop}, $m);
	like $s->said, qr{^1 EHLO client\.test\n(?:1 .*\n)*1 QUIT\n1 end\n2 connect\n}m, 'QUIT when idle, then a new connection';
	$t->play('idle');
}

{
	my $s = $t->server(EXT => [qw(PIPELINING DSN 8BITMIME), 'SIZE 1000'],
			   RCPT => sub { $_[0] =~ /bad/ ? '550 5.1.1 no such user' : $_[0] =~ /later/ ? '450 4.2.1 busy' : '250 2.1.5 Ok' });
	my $m = $t->letter({ sender => 'se+nder@client.test', flags => 1 | 8 }, 'ok@example.test|7|rfc822;o=k@example.test',
			   'bad@example.test|||alias@example.test', 'later@example.test', 'a"b@example.test');
	my $r = $t->job($s->{hop}, $m);
	is_deeply [ @{ $r->{$m} }{ 0 .. 3 } ], [qw(passed bounced deferred passed)], 'each recipient its own fate';
	like $s->said, qr{MAIL FROM:<se\+nder\@client\.test> SIZE=\d+ BODY=8BITMIME RET=HDRS$}m, 'parameters of MAIL';
	like $s->said, qr{RCPT TO:<"a\\"b"\@example\.test>$}m, 'quoted where needed';
	like $s->said, qr{RCPT TO:<ok\@example\.test> NOTIFY=NEVER,SUCCESS,FAILURE ORCPT=rfc822;o\+3Dk\@example\.test$}m, 'parameters of RCPT';
	like $r->{log}, qr{to=<bad\@example\.test>, orig_to=<alias\@example\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, delay=.*, dsn=5\.1\.1, status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)\)}, 'bounced';
	like $r->{log}, qr{to=<later\@example\.test>, .*, dsn=4\.2\.1, status=deferred \(host .* said: 450 4\.2\.1 busy \(in reply to RCPT TO command\)\)}, 'deferred';
	my $j = $t->journal($m);
	is_deeply [ map { $_->{state} } @$j ], [ 1, 2, 0, 1 ], 'journal: delivered, bounced, pending, delivered';
	is $j->[2]{attempts}, 1, 'one deferral';
	is $j->[1]{dsn}, '5.1.1', 'code in the journal';
	like $j->[1]{relay}, qr/^127\.0\.0\.1\[127\.0\.0\.1\]:\d+$/, 'relay in the journal';

	my $big = $t->letter({ content => "Subject: big\n\n" . "x" x 70 . "\n" x 1000 }, 'ok@example.test');
	$r = $t->job($s->{hop}, $big);
	is $r->{$big}{0}, 'bounced', 'too big for the server';
	like $r->{log}, qr{dsn=5\.3\.4, status=bounced \(message size \d+ exceeds size limit 1000 of server 127\.0\.0\.1\[127\.0\.0\.1\]\)}, 'size in the log';
	unlike $s->said =~ s/.*DOT//sr, qr/MAIL/, 'the server was not asked';
	$t->play('idle');
}

for my $pipelining (0, 1) {
	my $how = $pipelining ? 'with PIPELINING' : 'without';
	my $s = $t->server(EXT => [ $pipelining ? 'PIPELINING' : '8BITMIME' ], RCPT => [ '550 5.1.1 no', '550 5.1.1 no', '250 2.1.5 Ok' ]);
	my @m = ($t->letter('x@example.test', 'y@example.test'), $t->letter('z@example.test'));
	my $r = $t->job($s->{hop}, @m);
	is_deeply [ @{ $r->{ $m[0] } }{ 0, 1 }, $r->{ $m[1] }{0} ], [qw(bounced bounced sent)], "all recipients refused $how, next letter goes";
	like $s->said, qr/RSET\n1 MAIL/, 'RSET before the next letter' if !$pipelining;
	is $s->content($pipelining ? 2 : 1) =~ /Hello, $m[1]/ ? 1 : 0, 1, "the content that went out is the second's";
	$t->play('idle');
}

{
	my $s = $t->server(EHLO => '500 5.5.1 what?');
	my $m = $t->letter('h@example.test');
	is $t->job($s->{hop}, $m)->{$m}{0}, 'sent', 'HELO when EHLO is refused';
	like $s->said, qr/^1 EHLO client\.test\n1 HELO client\.test\n1 MAIL FROM:<s\@client\.test>\n/m, 'without parameters';
	$t->play('idle');
}

{
	my $s = $t->server(EXT => ['PIPELINING']);
	$t->play('last 0');
	my $m = $t->letter('p@example.test');
	$t->job($s->{hop}, $m);
	is $t->journal($m)->[0]{state}, 1, 'delivered is journaled when other recipients are pending';
	$t->play('last 1');
	my @many = map { "r$_\@example.test" } 1 .. 350;
	$m = $t->letter({ sender => '-' }, @many);
	my $r = $t->job($s->{hop}, $m);
	is scalar(grep { /^\d+$/ && $r->{$m}{$_} eq 'sent' } keys %{ $r->{$m} }), 350, '350 recipients';
	like $s->said, qr/MAIL FROM:<>/, 'null sender';
	my ($down, $why) = $t->probe($s->{hop});
	is $down, 0, 'probe of a server that answers';
	$t->play('idle');
}

{
	my $s = $t->server(EXT => ['PIPELINING']);
	my $m = $t->letter("b\xc3\xbccher\@example.test");
	my $r = $t->job($s->{hop}, $m);
	like $r->{log}, qr/dsn=5\.6\.7, status=bounced \(SMTPUTF8 is required, but was not offered by host/, 'no SMTPUTF8';
	$t->play('idle');
	$s = $t->server(EXT => [ 'PIPELINING', 'SMTPUTF8' ]);
	$m = $t->letter("b\xc3\xbccher\@example.test");
	is $t->job($s->{hop}, $m)->{$m}{0}, 'sent', 'SMTPUTF8 offered';
	like $s->said, qr/^1 MAIL FROM:<s\@client\.test> SMTPUTF8$/m, 'and asked for';
	$t->play('idle');
}

# --- an idle connection is kept for a moment, and only for a moment ------------------------------------------------------

undef $t;
$t = SmtpTest->new(smtp_connection_cache_time_limit => '300ms');
{
	my $s = $t->server;
	my @m = map { $t->letter("k$_\@example.test") } 1 .. 2;
	$t->job($s->{hop}, $m[0]);
	$t->play('idle');
	my $r = $t->job($s->{hop}, $m[1]);
	like $r->{log}, qr/conn_use=2/, 'used again after IDLE';
	$t->play('idle');
	for (1 .. 500) { last if $s->said =~ /QUIT/; select undef, undef, undef, 0.01 }
	like $s->said, qr/^1 QUIT$/m, 'QUIT when nothing comes';
}

done_testing;
