#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of local(8) and bounce(8) while they work: every letter is in its mailbox once, every notice arrives at least once.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $host = 'mail.example.test';
my ($letters, $least, $most) = (0, 150, 3000); # until local was killed often enough
my $p = Posthouse->new(users => [qw(alice bob)], main => {
	local_recipient_maps => '',
	minimal_backoff_time => '1s',
	maximal_backoff_time => '1s',
	service_throttle_time => '1s',
});
# carol has a Maildir by an alias, alice and bob an mbox.
Posthouse::append_file($p->dir . '/aliases', 'carol: ' . $p->dir . "/carol.maildir/\n");
$p->start;

my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
my @kills;
while ($letters < $least || ($letters < $most && 4 > grep { $_ eq 'local' } @kills)) {
	my $i = ++$letters;
	$c->cmd("MAIL FROM:<bob\@$host>", qr/^250/);
	$c->cmd("RCPT TO:<$_\@$host>", qr/^250/) for qw(alice carol nobody);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: number $i\r\n\r\n" . ("x" x 70 . "\r\n") x 20 . '.', qr/^250/);
	next if $i % 10;
	for my $process ($p->processes) {
		next unless $process->[1] =~ /^(?:local|bounce)$/;
		kill 'KILL', $process->[0];
		push @kills, $process->[1];
	}
}
cmp_ok scalar(grep { $_ eq 'local' } @kills), '>', 3, 'local was killed ' . grep({ $_ eq 'local' } @kills) . ' times';
ok 1, 'bounce was killed ' . grep({ $_ eq 'bounce' } @kills) . ' times';

$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] eq "Mail queue is empty\n" }, 90);
my $want = join ' ', 1 .. $letters;
sub numbers { return join ' ', sort { $a <=> $b } $_[0] =~ /^Subject: number (\d+)$/mg }
is numbers(Posthouse::slurp($p->spool('alice'))), $want, 'alice has every letter, once';
is numbers(join '', map { Posthouse::slurp($_) } glob $p->dir . '/carol.maildir/new/*'), $want, 'so has carol, in a Maildir';
my %told;
$told{$_}++ for Posthouse::slurp($p->spool('bob')) =~ /^Subject: number (\d+)$/mg;
is join(' ', sort { $a <=> $b } keys %told), $want, 'bob was told of every failure';
is +(() = Posthouse::slurp($p->spool('alice')) =~ /^From /mg), $letters, 'the mailbox holds nothing else';

$p->stop;
done_testing;
