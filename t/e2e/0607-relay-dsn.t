#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# NOTIFY=SUCCESS for mail that is relayed: a server with DSN answers for it; for one without, we say "relayed".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Temp;
use Posthouse;
use SmtpTest;

my $dir = File::Temp->newdir;
for my $dsn (0, 1) {
	my $s = SmtpTest::Server->new({ dir => "$dir" }, EXT => [ $dsn ? 'DSN' : 'PIPELINING' ]);
	my $p = Posthouse->new(main => { relayhost => $s->{hop} });
	$p->start;
	my $c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd('MAIL FROM:<alice@example.test> RET=HDRS', qr/^250/);
	$c->cmd('RCPT TO:<r@far.example> NOTIFY=SUCCESS', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: x\r\n\r\nbody\r\n.", qr/^250/);
	$p->wait_log(qr/to=<r\@far\.example>.*status=sent/);
	if ($dsn) {
		$p->wait_log(qr/: removed/);
		is $p->log_count(qr/delivery status notification/), 0, 'the server has DSN: no notice of ours';
		like $s->said, qr/RCPT TO:<r\@far\.example> NOTIFY=SUCCESS/, 'it was told';
	} else {
		ok $p->wait_log(qr/sender delivery status notification/), 'no DSN: a notice';
		unlike $s->said, qr/NOTIFY/, 'the server was not bothered';
		$p->wait_until('the notice in the mailbox', sub { Posthouse::slurp($p->spool('alice')) =~ /^Action: relayed$/m });
		pass 'Action: relayed';
	}
	$p->stop;
	$s->stop;
}
done_testing;
