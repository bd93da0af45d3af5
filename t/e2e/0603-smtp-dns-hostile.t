#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A name server that fails, lies, or sends nonsense: never a crash, never a lost letter; temporary unless the answer is clear.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use SmtpTest;

my $p = \&SmtpTest::Dns::name;
my $port = do { my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp'); $l->sockport };

# A whole answer with these octets after the question.
sub packet {
	my ($answers, $rest) = @_;
	return sub { my ($query, $q) = @_; substr($query, 0, 2) . pack('n5', 0x8180, 1, $answers, 0, 0) . $q . $rest };
}

sub rr { my ($type, $data) = @_; return "\xc0\x0c" . pack 'nnNn/a*', $type, 1, 300, $data }

my $dns = SmtpTest::Dns->new(
	'mx.test A' => [ SmtpTest::Dns::a('127.0.0.1') ],
	'good.test MX' => [ SmtpTest::Dns::mx(10, 'mx.test') ],
	'null.test MX' => [ SmtpTest::Dns::mx(0, '') ],
	'servfail.test MX' => 'SERVFAIL',
	'refused.test MX' => 'REFUSED',
	'afail.test MX' => [ SmtpTest::Dns::mx(10, 'ahost.test') ], 'ahost.test A' => 'SERVFAIL', 'ahost.test AAAA' => 'SERVFAIL',
	'short0.test MX' => [''], 'short1.test MX' => ["\0"], 'short2.test MX' => ["\0\1"], 'short3.test MX' => ["\0\1\5"],
	'mixed.test MX' => [ "\0", SmtpTest::Dns::mx(10, 'mx.test'), "\0\1\77" ],
	'many.test MX' => [ map { SmtpTest::Dns::mx(10, "mx.test") } 1 .. 2500 ],
	'manya.test A' => [ map { SmtpTest::Dns::a('127.0.0.1') } 1 .. 3500 ],
	'self.test CNAME' => [ $p->('self.test') ],
	'loopa.test CNAME' => [ $p->('loopb.test') ], 'loopb.test CNAME' => [ $p->('loopa.test') ],
	'ptrloop.test MX' => packet(1, "\xc0\x0c" . pack('nnNn', 15, 1, 1, 4) . "\0\1\xc0" . chr(12 + 14 + 4 + 12 + 2)),
	'cut.test MX' => packet(5, rr(15, SmtpTest::Dns::mx(1, 'mx.test'))),
	'long.test MX' => packet(1, "\xc0\x0c" . pack('nnNn', 15, 1, 1, 60000) . "\0\1\2mx"),
	'empty.test MX' => sub { substr $_[0], 0, 2 },
	'control.test MX' => [ pack('n', 1) . "\5a\nb\0c\4test\0" ],
	'root.test MX' => [ SmtpTest::Dns::mx(5, ''), SmtpTest::Dns::mx(10, 'mx.test') ],
	'chain.test CNAME' => [ $p->('good.test') ],
);
my $t = SmtpTest->new(smtp_dns_server => "127.0.0.1:$dns->{port}", inet_protocols => 'ipv4');
my $s = $t->server(PORT => $port);

my @table = (
	[ 'good.test', 'sent', 0, qr/relay=mx\.test\[127\.0\.0\.1\]/ ],
	[ 'chain.test', 'sent', 0, qr/relay=mx\.test/ ],
	[ 'null.test', 'bounced', 0, qr/dsn=5\.1\.0, status=bounced \(Domain null\.test does not accept mail \(nullMX\)\)/ ],
	[ 'root.test', 'sent', 0, qr/relay=mx\.test/ ],
	[ 'servfail.test', 'deferred', 1, qr/dsn=4\.4\.3, status=deferred \(Host or domain name not found\. Name service error for name=servfail\.test type=MX: Host not found, try again\)/ ],
	[ 'refused.test', 'deferred', 1, qr/dsn=4\.4\.3, .*try again/ ],
	[ 'afail.test', 'deferred', 1, qr/dsn=4\.4\.3, .*name=ahost\.test type=A: Host not found, try again/ ],
	map({ [ "short$_.test", 'deferred', 1, qr/dsn=4\.4\.3, .*Malformed or unexpected name server reply/ ] } 0 .. 3),
	[ 'mixed.test', 'sent', 0, qr/relay=mx\.test/ ],
	[ 'many.test', 'sent', 0, qr/relay=mx\.test/ ],
	[ 'manya.test', 'sent', 0, qr/relay=manya\.test/ ],
	map({ [ "$_.test", 'deferred', 1, qr/dsn=4\.4\.3, .*(?:Malformed|try again)/ ] } qw(self loopa ptrloop cut long empty control)),
);
for (@table) {
	my ($domain, $fate, $down, $log) = @$_;
	my $m = $t->letter("u\@$domain");
	my $r = $t->job("$domain:$port", $m);
	is "$r->{$m}{0} $r->{$m}{down}", "$fate $down", $domain;
	like $r->{log}, $log, "$domain: log" or diag $r->{log};
	$t->play('idle');
}
$dns->stop;
my $m = $t->letter('u@good.test');
my $r = $t->job("good.test:$port", $m);
is "$r->{$m}{0} $r->{$m}{down}", 'deferred 1', 'no name server at all';
$t->play('idle');
undef $t;

# --- mail that would come back to us ------------------------------------------------------------------------------------

my $own = 2025; # where an unprivileged smtpd listens
$dns = SmtpTest::Dns->new(
	'us.test A' => [ SmtpTest::Dns::a('127.0.8.1') ], 'a.test A' => [ SmtpTest::Dns::a('127.0.8.2') ],
	'b.test A' => [ SmtpTest::Dns::a('127.0.8.3') ],
	'best.test MX' => [ SmtpTest::Dns::mx(10, 'us.test'), SmtpTest::Dns::mx(20, 'a.test') ],
	'backup.test MX' => [ SmtpTest::Dns::mx(10, 'a.test'), SmtpTest::Dns::mx(20, 'us.test'), SmtpTest::Dns::mx(30, 'b.test') ],
	'equal.test MX' => [ SmtpTest::Dns::mx(10, 'us.test'), SmtpTest::Dns::mx(10, 'a.test') ],
);
$t = SmtpTest->new(smtp_dns_server => "127.0.0.1:$dns->{port}", inet_interfaces => '127.0.8.1', inet_protocols => 'ipv4',
		   SERVICES => "smtp inet n - - - - smtpd\n");
$s = $t->server(ADDR => '127.0.8.2', PORT => $own);
for ([ 'best.test', 'deferred', qr/dsn=4\.4\.6, status=deferred \(mail for best\.test loops back to myself: .*mydestination.*relay_domains/ ],
     [ 'equal.test', 'deferred', qr/dsn=4\.4\.6/ ], [ 'us.test', 'deferred', qr/dsn=4\.4\.6/ ],
     [ 'backup.test', 'sent', qr/relay=a\.test\[127\.0\.8\.2\]/ ]) {
	my ($domain, $fate, $log) = @$_;
	$m = $t->letter("u\@$domain");
	$r = $t->job("$domain:$own", $m);
	is "$r->{$m}{0} $r->{$m}{down}", "$fate 0", "$domain, where we are a host ourselves";
	like $r->{log}, $log, "$domain: log" or diag $r->{log};
	$t->play('idle');
}
# With its better host down, a backup may not fall to hosts worse than itself.
$s->stop;
$s = $t->server(ADDR => '127.0.8.3', PORT => $own);
$m = $t->letter('u@backup.test');
$r = $t->job("backup.test:$own", $m);
is "$r->{$m}{0} $r->{$m}{down}", 'deferred 1', 'backup, the better host down';
is $s->said, '', 'nothing goes to worse hosts';
# Another port of the same address is somebody else: a content filter, a test.
$s = $t->server(ADDR => '127.0.8.1');
$m = $t->letter('u@filter.test');
is $t->job("[127.0.8.1]:$s->{port}", $m)->{$m}{0}, 'sent', 'another port of our address is not us';

undef $t;
$dns->stop;
done_testing;
