#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Sessions that wait have no thread: IDLE (RFC 2177) and silence between commands, by the dozen, and each goes on where it was.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { mail_max_userip_connections => 0, imap_idle_notify_interval => '3s' });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;

my @idle = map { my $c = $p->imap('alice'); $c->imap('SELECT INBOX'); $c } 1 .. 40;
my $tag = 'a-long-tag-of-its-own.' . 'x' x 60;
for my $c (@idle) {
	$c->send("$tag IDLE");
	$c->expect(qr/^\+ idling/);
}
my $silent = $p->imap('alice');
$silent->imap('SELECT INBOX');

# The process with the most descriptors is alice's, not its parent.
sub threads {
	my ($user) = sort { $b->[1] <=> $a->[1] } map { my $pid = $_->[0]; [ $pid, scalar(() = glob "/proc/$pid/fd/*") ] }
		grep { $_->[1] eq 'imapd' } $p->processes;
	return Posthouse::slurp("/proc/$user->[0]/status") =~ /^Threads:\s+(\d+)/m ? $1 : 0;
}
# asan and tsan have threads of their own.
my ($checker) = Posthouse::slurp("$Posthouse::BIN/imapd") =~ /__([at]san)_init/;
my $own = !$checker ? 1 : $checker eq 'asan' ? 2 : 3;
ok $p->wait_until('all of them parked', sub { threads() <= $own }), '41 sessions, no thread but the main one';

$_->expect(qr/^\* OK Still here/) for @idle;
pass 'each is told that the server is there';

my $c = $p->imap('alice');
$c->imap("APPEND INBOX {14+}\r\nSubject: x\r\n\r\n");
$_->expect(qr/^\* 1 EXISTS/) for @idle;
pass 'a new letter wakes all of them';
$_->expect(qr/^\* 1 RECENT|^\* OK/) for $idle[0];
like +($silent->imap('NOOP'))[0], qr/^\* 1 EXISTS/, 'a session that said nothing for a while goes on';

for my $i (@idle[ 0 .. 9 ]) {
	$i->send('DONE');
	my $line;
	do { $line = $i->line // 'end of file' } until $line !~ /^\* /;
	is $line, "$tag OK Idle completed.", 'IDLE is over under its own tag';
	is +($i->imap('FETCH 1 FLAGS'))[-1] =~ / OK /, 1, 'and the next command is answered';
}
$idle[10]->send_raw("DONE\r\nn1 NOOP\r\nn2 IDLE\r\nDONE\r\nn3 NOOP\r\n");
my $got = '';
while (defined(my $line = $idle[10]->line)) {
	$got .= "$1 " if $line =~ /^(\S+) OK/ && $1 ne '*';
	last if $line =~ /^n3 /;
}
is $got, "$tag n1 n2 n3 ", 'what was sent behind DONE is done';
$idle[11]->send('nonsense');
my $line;
do { $line = $idle[11]->line } until $line !~ /^\* /;
like $line, qr/^\Q$tag\E BAD .*Expected DONE/, 'something else than DONE';

# A client that goes away takes nothing along; the others are told that the server stops.
$_->close for @idle[ 12 .. 19 ];
$p->wait_until('their ends in the log', sub { $p->log_count(qr/Disconnected: Connection closed in IDLE/) == 8 });
$p->stop;
my $bye = 0;
for my $i (@idle[ 20 .. 39 ], $silent) {
	while (defined($line = $i->line)) { $bye++ if $line =~ /^\* BYE Server shutting down/ }
}
is $bye, 21, 'those who wait hear that the server goes';
done_testing;
