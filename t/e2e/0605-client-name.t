#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The name of a client: its PTR record, when the name found there has the client's address; else "unknown".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;
use SmtpTest;

my $A = \&SmtpTest::Dns::a;
my $N = \&SmtpTest::Dns::name;
my $dns = SmtpTest::Dns->new(
	'1.6.77.127.in-addr.arpa PTR' => [ $N->('good.example') ], 'good.example A' => [ $A->('127.77.6.9'), $A->('127.77.6.1') ],
	'2.6.77.127.in-addr.arpa PTR' => [ $N->('liar.example') ], 'liar.example A' => [ $A->('127.77.6.3') ],
	'3.6.77.127.in-addr.arpa PTR' => [ $N->('nowhere.example') ],
	'4.6.77.127.in-addr.arpa PTR' => [ $N->('127.77.6.4') ],
	'5.6.77.127.in-addr.arpa PTR' => ["\x0abad\nname]x\x07example\0"],
	'6.6.77.127.in-addr.arpa PTR' => 'SERVFAIL',
	'7.6.77.127.in-addr.arpa PTR' => ["\xc0\xff"],
	'8.6.77.127.in-addr.arpa PTR' => [ map { $N->('x' x 60 . ".$_.example") } 1 .. 200 ],
);
my $p = Posthouse->new(main => { smtp_dns_server => "127.0.0.1:$dns->{port}" });
$p->start;
for ([ 1, 'good.example', 'confirmed' ], [ 2, 'unknown', 'the name has another address' ], [ 3, 'unknown', 'the name does not exist' ],
     [ 4, 'unknown', 'an address for a name' ], [ 5, 'unknown', 'control bytes in the name' ], [ 6, 'unknown', 'the name server fails' ],
     [ 7, 'unknown', 'a broken record' ], [ 8, 'unknown', 'very many records' ], [ 9, 'unknown', 'no record' ]) {
	my ($host, $name, $what) = @$_;
	my $c = IO::Socket::INET->new(LocalAddr => "127.77.6.$host", PeerAddr => $p->address, PeerPort => 2025) or die "connect: $!";
	my $greeting = <$c>;
	print $c "QUIT\r\n";
	like $p->wait_log(qr/ connect from \S+\[127\.77\.6\.$host\]/), qr/connect from \Q$name\E\[/, $what;
}
$p->stop;
$dns->stop;
done_testing;
