#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Bad input costs bounded memory and time and gets a precise answer.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

$SIG{PIPE} = 'IGNORE';

my $mb = $ENV{LONG_LINE_MB} || 64;
my $p = Posthouse->new(main => {
	message_size_limit => 100000, smtpd_recipient_limit => 5, smtpd_error_sleep_time => '0s', smtpd_hard_error_limit => 8,
	smtpd_soft_error_limit => 100, smtpd_timeout => '2s', hopcount_limit => 10, smtpd_junk_command_limit => 4,
});
$p->start;

sub session {
	my $c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250/);
	return $c;
}

sub data {
	my ($c, $text) = @_;
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<bob@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->send_raw($text);
	return $c->cmd('.');
}

sub smtpd_memory_kb {
	my ($most) = (0);
	for ($p->processes) {
		next unless $_->[1] eq 'smtpd' && Posthouse::slurp("/proc/$_->[0]/status") =~ /^VmHWM:\s+(\d+) kB/m;
		$most = $1 if $1 > $most;
	}
	return $most;
}

{ # one endless command line
	my $c = session();
	my $piece = 'x' x 1048576;
	$c->send_raw($piece) for 1 .. $mb;
	like($c->cmd(''), qr/^500 5\.5\.2 Error: line too long$/, "a line of $mb MB");
	like($c->cmd('NOOP'), qr/^250/, 'the session goes on');
	like(data($c, "Subject: full\r\n\r\n" . 'z' x 81 . "\r\n" . ("z" x 98 . "\r\n") x 999), qr/^250 /, 'one of just that size: what we add does not count');
	my $kb = smtpd_memory_kb();
	cmp_ok($kb, '<', 60000, "smtpd needed $kb kB at most") unless $Posthouse::BIN =~ /asan|tsan/;
}
{ # control bytes
	my $c = session();
	like($c->cmd("MAIL FROM:<a\0b\@client.test>"), qr/^50[01] 5\./, 'NUL in an address');
	like($c->cmd("MAIL FROM:<a\x1b[2J\@client.test>"), qr/^50[01] 5\./, 'escape sequence in an address');
	like($c->cmd("EHLO a\x1b[2Jb"), qr/^50[01]/, 'escape sequence in EHLO');
	unlike(Posthouse::slurp($p->maillog), qr/[\0-\x08\x0b-\x1f\x7f]/, 'the log has no control byte');
}
{ # NULs, 8-bit and long lines in the content are kept
	my $c = session();
	my $body = "a\0b\xe4\xff\r\n" . ('y' x 30000) . "\r\n..dot\r\n";
	my ($id) = data($c, "Subject: bytes\r\n\r\n$body") =~ /^250 .*as (\S+)/;
	ok($id, 'accepted');
	$p->wait_log(qr/$id: removed/);
	my $text = Posthouse::slurp($p->spool('bob'));
	(my $want = $body) =~ s/\r\n/\n/g;
	$want =~ s/^\.\././m;
	ok(index($text, "\n\n$want") > 0, 'byte for byte in the mailbox');
}
{ # sizes and counts
	my $c = session();
	like(data($c, "Subject: big\r\n\r\n" . ("z" x 70 . "\r\n") x 2000), qr/^552 5\.3\.4 Error: message file too big$/, 'a message past the limit');
	like($c->cmd('NOOP'), qr/^250/, 'the session goes on');
	like(data($c, ("Received: from a by b\r\n") x 11 . "Subject: loop\r\n\r\nx\r\n"), qr/^554 5\.4\.0 Error: too many hops$/, 'too many hops');
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<bob@example.test>', qr/^250/) for 1 .. 5;
	like($c->cmd('RCPT TO:<alice@example.test>'), qr/^452 4\.5\.3 Error: too many recipients$/, 'too many recipients');
}
{ # too many errors
	my $c = session();
	my $last = '';
	for (1 .. 20) {
		my $reply = eval { $c->cmd('BOGUS') } or last;
		$last = $reply;
		last if $reply =~ /^421/ || $reply =~ /too many/;
	}
	my $line;
	while (defined($line = $c->line)) { $last = $line }
	like($last, qr/^421 4\.7\.0 mail\.example\.test Error: too many errors$/, 'too many errors');
	ok($p->wait_log(qr/too many errors after UNKNOWN from /, from => 0), 'logged as Postfix does');
}
{ # NOOP for ever counts in the end
	my $c = session();
	my $n = 0;
	while ($n < 100) {
		my $reply = eval { $c->cmd('NOOP') } or last;
		$n++;
	}
	cmp_ok($n, '<', 30, 'junk commands become errors');
}
{ # silence
	my $c = session();
	like($c->reply, qr/^421 4\.4\.2 mail\.example\.test Error: timeout exceeded$/, 'a client that says nothing');
	ok($c->eof, 'is disconnected');
	ok($p->wait_log(qr/timeout after EHLO from /, from => 0), 'logged');
}
{ # gone in the middle
	my $c = session();
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<bob@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->send_raw("Subject: half\r\n\r\n" . 'x' x 80000);
	close $c->sock;
	ok($p->wait_log(qr/lost connection after DATA \(\d+ bytes\) from /, from => 0), 'a client that goes away in DATA');
	my @left = glob $p->dir . '/queue/mail/*/.[A-Za-z0-9]*';
	is("@left", '', 'nothing is left behind');
	unlike(Posthouse::slurp($p->spool('bob')), qr/Subject: half/, 'and nothing delivered');
}
done_testing;
