#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse who and posthouse kick.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END');
imap inet n - y - - login -P imap
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
imap unix - n - - 1 imapd
pop3 unix - n - - 1 pop3d
END
my ($status, $text) = $p->tool('posthouse', 'who');
is $status, 1, 'it does not run';
$p->start;

# "user service" of each line
sub who {
	my ($status, $text) = $p->tool('posthouse', 'who');
	is $status, 0, 'who' or diag $text;
	return join ',', sort map { join ' ', (split /\t/)[0, 1] } split /\n/, $text;
}
is who(), '', 'nobody';
my @c = map { $p->imap($_) } qw(alice alice bob);
my $pop = $p->pop3;
$pop->cmd1('USER bob', qr/^\+OK/);
$pop->cmd1('PASS ' . $p->password('bob'), qr/^\+OK/);
is who(), 'alice imap,alice imap,bob imap,bob pop3', 'four sessions';
my $address = qr/127\.\d+\.\d+\.\d+/;
($status, $text) = $p->tool('posthouse', 'who');
like $text, qr/^alice\timap\t$address\t\d+\tsecured\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/m, 'a line';
my %pids = map { (split /\t/)[3] => 1 } grep { /^alice\t/ } split /\n/, $text;
is keys %pids, 1, 'sessions of one user are in one process';

($status, $text) = $p->tool('posthouse', 'kick', 'alice');
is $status, 0, 'kick';
is scalar(() = $text =~ /^alice\timap\t/mg), 2, '... says whom';
like $c[$_]->line // '', qr/^\* BYE /, '... goodbye' for 0, 1;
$c[2]->imap('NOOP');
my $again = $p->imap('alice');
$again->imap('NOOP');
$p->wait_until('three sessions', sub { who() eq 'alice imap,bob imap,bob pop3' });
pass 'others stay, and one may come back';

my ($ip) = (split /\t/, ($p->tool('posthouse', 'who'))[1])[2];
($status) = $p->tool('posthouse', 'kick', '192.0.2.1');
is $status, 67, 'nobody from this address';
($status) = $p->tool('posthouse', 'kick', $ip);
is $status, 0, 'an address';
like $again->line // '', qr/^\* BYE /, '... goodbye';
$p->wait_until('none', sub { who() eq '' });
pass 'all are gone';
for my $args (['kick', 'nobody'], ['kick', "a\nb"], ['kick', '%s%n'], ['kick', 'x' x 500]) {
	($status) = $p->tool('posthouse', @$args);
	is $status, 67, 'kick of nobody';
}
for my $args (['kick'], ['kick', ''], ['kick', 'x' x 600], ['kick', 'a', 'b'], ['who', 'a', 'b']) {
	($status) = $p->tool('posthouse', @$args);
	is $status, 64, 'wrong usage';
}
$p->imap('alice')->close;
done_testing;
