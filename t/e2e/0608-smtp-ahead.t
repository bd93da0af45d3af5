#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The envelope of the next letter leaves with the end of the one before it (RFC 2920 3.1), and whatever the server then says of
# either, each letter has its own fate. The servers here answer the end of content only when the next DATA is there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use SmtpTest;

# Two servers for one destination, the better one first.
my @address = ('127.0.8.1', '127.0.8.2');
my $port = do { my $l = IO::Socket::INET->new(LocalAddr => '0.0.0.0', Listen => 1, Proto => 'tcp'); $l->sockport };
my $dns = SmtpTest::Dns->new('two.test MX' => [ SmtpTest::Dns::mx(1, 'a.test'), SmtpTest::Dns::mx(2, 'b.test') ],
	'a.test A' => [ SmtpTest::Dns::a($address[0]) ], 'b.test A' => [ SmtpTest::Dns::a($address[1]) ]);
my $t = SmtpTest->new(smtp_dns_server => "127.0.0.1:$dns->{port}");
my @P = (EXT => ['PIPELINING']);

# Letters, each to one recipient: their fates, in order.
sub fates {
	my ($hop, @rcpts) = @_;
	my @m = map { $t->letter("$_\@example.test") } @rcpts;
	my $r = $t->job($hop, @m);
	$t->play('idle');
	return (join(' ', map { $r->{$_}{0} } @m), $r->{log});
}

{
	my $s = $t->server(@P, AHEAD => 3);
	my ($fates, $log) = fates($s->{hop}, qw(a b c d));
	is $fates, 'sent sent sent sent', 'four letters';
	is_deeply [ $s->said =~ /^1 AHEAD (.*)$/mg ], [ ('MAIL RCPT DATA') x 3 ], 'three envelopes went ahead';
	like $s->content($_), qr/^Hello, m$_\.\r$/m, "content of letter $_" for 1 .. 4;
	unlike $s->said, qr/RSET/, 'nothing to reset';
	like $log, qr/to=<d\@example\.test>, relay=\S+, conn_use=4,/, 'one connection';
	like $s->said, qr/^1 QUIT$/m, 'left in good manners';
}
{
	my $s = $t->server();
	is + (fates($s->{hop}, qw(a b c)))[0], 'sent sent sent', 'without PIPELINING';
	unlike $s->said, qr/AHEAD/, 'nothing goes ahead';
}
for my $no ('550 5.7.1 no', '450 4.7.1 not now') {
	my $s = $t->server(@P, AHEAD => 2, DOT => [ '250 2.0.0 Ok', $no, '250 2.0.0 Ok' ]);
	my $want = $no =~ /^5/ ? 'bounced' : 'deferred';
	my ($fates, $log) = fates($s->{hop}, qw(a b c));
	is $fates, "sent $want sent", "the end of one is answered with $no";
	like $log, qr/to=<b\@.*\($no|to=<b\@.*said: $no \(in reply to end of DATA command\)/, 'and that one has the reason';
}
for my $what (['MAIL', '250 2.1.0 Ok', '550 5.7.1 no', '250 2.1.0 Ok'], ['RCPT', '250 2.1.5 Ok', '550 5.1.1 no', '250 2.1.5 Ok'],
	      ['DATA', '354 go', '554 5.5.1 no', '354 go']) {
	my ($verb, @replies) = @$what;
	for my $data ('554 5.5.1 no valid recipients', '354 go') {
		next if $verb ne 'RCPT' && $data =~ /^354/;
		my $s = $t->server(@P, AHEAD => 1, $verb => [@replies], $verb eq 'DATA' ? () : (DATA => [ '354 go', $data, '354 go' ]));
		my ($fates) = fates($s->{hop}, qw(a b c));
		is $fates, 'sent bounced sent', "$verb of one that went ahead is refused" . ($verb eq 'RCPT' ? ", DATA: $data" : '');
	}
}
for my $end ('close', '421 4.3.2 going down', 'reset') {
	my $s = $t->server(@P, AHEAD => 1, DOT => [ $end, '250 2.0.0 Ok' ]);
	my ($fates) = fates($s->{hop}, qw(a b));
	is $fates, 'deferred sent', "the end is answered with $end: the next goes over a new connection";
	is scalar(() = $s->said =~ /DOT/g), 2, 'no letter went twice';
}
{
	my $s = $t->server(@P, AHEAD => 1, MAIL => [ '250 2.1.0 Ok', 'close', '250 2.1.0 Ok' ]);
	is + (fates($s->{hop}, qw(a b)))[0], 'sent sent', 'the connection ends behind the first: a fresh one for the second';
}
{
	my $s = $t->server(@P, AHEAD => 1, DOT => [ "250 2.0.0 Ok\n250 2.1.0 Ok\n250 2.1.5 Ok\n354 go\n250 2.0.0 early", '250 2.0.0 Ok' ],
		MAIL => [ '250 2.1.0 Ok', 'raw:' ], RCPT => [ '250 2.1.5 Ok', 'raw:' ], DATA => [ '354 go', 'raw:' ]);
	my ($fates, $log) = fates($s->{hop}, qw(a b));
	is $fates, 'sent deferred', 'an answer to content that was not sent is no answer';
	like $log, qr/to=<b\@.*protocol error: reply without a command/, 'and is named';
}
{
	my @s = map { $t->server(@P, ADDR => $address[$_], PORT => $port, AHEAD => 1, $_ == 0 ? (DOT => [ '450 4.2.0 full', '250 2.0.0 Ok' ]) : ()) } 0, 1;
	my ($fates) = fates("two.test:$port", qw(a b));
	is $fates, 'sent sent', 'refused for now by the first server: both letters reach the second';
	is scalar(() = $s[0]->said =~ /DOT/g), 1, 'the first was offered one';
	unlike $s[0]->said, qr/QUIT/, 'and was left without a word: that would have been content';
	is scalar(() = $s[1]->said =~ /DOT/g), 2, 'the second got both';
}
$dns->stop;
done_testing;
