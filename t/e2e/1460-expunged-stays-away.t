#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A letter counts as delivered before its mailbox is durable (mailbox_sync_interval), and its place in the queue is kept until then.
# Its owner may read and expunge it meanwhile: whatever then looks through the queue does not bring it back, and does not double
# what the owner left there.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(users => [qw(alice bob)], main => { mailbox_sync_interval => '60s', service_throttle_time => '1s' });
my %in_mailbox;
my $sent = 0;
$p->start;
$p->wait_log(qr/@{[ $p->send_mail(to => "$_\@example.test") ]}: removed/, from => 0) for qw(alice bob); # a new file is synced at once
Posthouse::write_file($p->spool('alice'), '');

sub worker { return (grep { $_->[1] eq $_[0] } $p->processes)[0][0] }

# Three letters, of which the second is expunged; its id.
sub deliver {
	my ($how) = @_;
	my @ids = map { $p->send_mail(to => 'alice@example.test', subject => 'letter ' . ++$sent) } 1 .. 3;
	$p->wait_log(qr/$_: removed/, from => 0) for @ids;
	my @kept = grep { ($p->tool('postcat', '-eq', $_))[0] == 0 } @ids;
	is(scalar @kept, 3, 'three letters are in the mailbox, and still in the queue');
	if ($how eq 'POP3') {
		my $c = $p->pop3('alice');
		my ($n) = $c->cmd1('STAT', qr/^\+OK \d+/) =~ /(\d+)/;
		$c->cmd1('DELE ' . ($n - 1), qr/^\+OK/);
		$c->cmd1('QUIT', qr/^\+OK/);
	} else {
		my $c = $p->imap('alice');
		my ($n) = join("\n", $c->imap('SELECT INBOX')) =~ /^\* (\d+) EXISTS/m;
		$c->imap('STORE ' . ($n - 1) . ' +FLAGS (\Deleted)');
		$c->imap('EXPUNGE');
		$c->imap('LOGOUT');
	}
	$in_mailbox{$sent} = $in_mailbox{ $sent - 2 } = 1;
	return $ids[1];
}

# A letter that nobody announced: when it is delivered, the queue was looked through.
sub stray {
	Posthouse::write_file($p->dir . '/content', "Subject: stray\n\nx\n");
	my $out = `echo 'new m x\@client.test 0 @{[ $p->dir ]}/content bob\@example.test' | $Posthouse::TBIN/lib/jobplay @{[ $p->dir ]}/queue private/local`;
	my ($id) = $out =~ /^id (\S+)/m or die "no stray: $out";
	return $id;
}

sub check {
	my ($expunged, $stray, $what) = @_;
	$p->wait_log(qr/$stray: removed/, from => 0);
	$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /Mail queue is empty/ });
	my $text = Posthouse::slurp($p->spool('alice'));
	my @there = $text =~ /^Subject: letter (\d+)$/mg;
	is("@there", join(' ', sort { $a <=> $b } keys %in_mailbox), "$what: what is in the mailbox is what its owner left there")
		or diag join "\n", grep { /\Q$expunged\E/ } split /\n/, Posthouse::slurp($p->maillog);
}

# qmgr scans when a program dies that had announced mail.
my $expunged = deliver('POP3');
my $stray = stray();
kill 'KILL', worker('smtpd');
check($expunged, $stray, 'a scan');
is($p->log_count(qr/$expunged: from=/), 1, 'a scan: passed over') ;

$expunged = deliver('IMAP');
$stray = stray();
kill 'KILL', worker('local');
check($expunged, $stray, 'kill -9 of local');
ok($p->log_count(qr/already delivered and taken out, not again: $expunged\.0/), 'kill -9 of local: the log says what became of it');

$expunged = deliver('POP3');
$stray = stray();
kill 'KILL', worker('qmgr');
check($expunged, $stray, 'kill -9 of qmgr');

$expunged = deliver('IMAP');
$stray = stray();
is(($p->tool('posthouse', 'restart', 'qmgr'))[0], 0, 'posthouse restart qmgr');
check($expunged, $stray, 'restart of qmgr');

$expunged = deliver('POP3');
$stray = stray();
$p->reload;
check($expunged, $stray, 'reload');

$expunged = deliver('POP3');
$stray = stray();
$p->tool('postqueue', '-f');
$p->tool('postsuper', '-r', $expunged);
kill 'KILL', worker('smtpd');
check($expunged, $stray, 'flush, and a requeue of what is done with');

$expunged = deliver('IMAP');
$stray = stray();
$p->stop;
$p->start;
check($expunged, $stray, 'stop and start');
done_testing;
