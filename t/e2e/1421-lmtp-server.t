#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The LMTP server: the lines of the shipped master.cf, over TCP and a UNIX socket. swaks, Postfix's lmtp and ours deliver into it; each
# recipient has an answer of its own, whatever becomes of the letter.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Basename qw(dirname);
use IO::Socket::UNIX;
use Test::More;
use Posthouse;
use Postfix;

Posthouse::need('swaks', 'curl');

# What an administrator does: the marks of a comment taken away.
my $shipped = Posthouse::slurp("$Posthouse::TOP/conf/master.cf");
is $shipped =~ s/^#(lmtp +(?:inet|unix-stream) .*\n(?:#  -o .*\n)+)/($1 =~ s{^#}{}mgr)/gme, 2, 'two services in the shipped master.cf';
$shipped =~ s/^lmtp +inet/3024 inet/m; # a port that is free
my $p = Posthouse->new(relay => '127.0.0.0/8', master => $shipped, main => { message_size_limit => 100000, smtpd_error_sleep_time => 0 });
my $socket = $p->dir . '/queue/public/lmtp';
$p->start;

sub unix { my $c = Posthouse::Conn->new(IO::Socket::UNIX->new(Peer => $socket) || die("$socket: $!"), $p); $c->reply(qr/^220 /); return $c }
my %way = (tcp => sub { $p->smtp(3024) }, unix => \&unix);

sub greet { my ($c) = @_; $c->cmd('LHLO c.test', qr/^250-PIPELINING$/m); return $c }
sub begin {
	my ($c, @to) = @_;
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	return map { $c->cmd("RCPT TO:<$_\@example.test>") } @to;
}

for my $way (sort keys %way) {
	subtest "a dialogue over $way" => sub {
		my $c = $way{$way}->();
		is $c->cmd('EHLO c.test'), '500 5.5.1 Error: use LHLO', 'EHLO';
		is $c->cmd('HELO c.test'), '500 5.5.1 Error: use LHLO', 'HELO';
		is $c->cmd('LHLO'), '501 Syntax: LHLO hostname', 'LHLO without a name';
		like $c->cmd('HELP'), qr/^214 2\.0\.0 LHLO MAIL/, 'HELP';
		my $offer = $c->cmd('LHLO c.test', qr/^250/);
		like $offer, qr/^250[- ]$_\b/m, $_ for qw(PIPELINING ENHANCEDSTATUSCODES 8BITMIME SIZE CHUNKING DSN);
		unlike $offer, qr/^250[- ](?:AUTH|STARTTLS)/m, 'no TLS on a UNIX socket' if $way eq 'unix';
		my @r = begin($c, 'alice', 'nobody', 'bob');
		is $r[0], '250 2.1.5 Ok', 'one who is here';
		like $r[1], qr/^550 5\.1\.1 <nobody\@example\.test>: Recipient address rejected: User unknown/, 'one who is not';
		like $c->cmd('RCPT TO:<x@elsewhere.test>'), qr/^[45]54 [45]\.7\.1 .*Relay access denied/, 'somebody elsewhere';
		$c->cmd('DATA', qr/^354/);
		$c->send("Subject: $way\r\n\r\nbody\r\n.");
		my ($id) = $c->reply =~ /^250 2\.0\.0 Ok: queued as (\S+)$/;
		is $c->reply, "250 2.0.0 Ok: queued as $id", 'an answer for each of the two';
		is $c->cmd('NOOP'), '250 2.0.0 Ok', 'and no third';
		$p->wait_log(qr/$id: to=<$_\@example\.test>.*status=sent/, from => 0) for 'alice', 'bob';
		like Posthouse::slurp($p->spool('bob')), qr/^Received: from c\.test \(\S+ \[127[.\d]+\]\)\n\tby mail\.example\.test \(\S+\) with LMTP id $id; /m, 'how it came';

		begin($c, 'alice', 'alice');
		$c->cmd('DATA', qr/^354/);
		$c->send("Subject: twice\r\n\r\n.");
		like $c->reply, qr/^250 /, 'named twice, answered twice' for 1, 2;
		begin($c, 'nobody');
		is $c->cmd('DATA'), '503 5.5.1 Error: need RCPT command', 'nobody accepted: no content (RFC 2033 4.2)';
		$c->cmd('RSET', qr/^250/);

		begin($c, ('alice') x 30);
		$c->cmd('DATA', qr/^354/);
		$c->send(('x' x 70 . "\r\n") x 2000 . '.');
		is $c->reply, '552 5.3.4 Error: message file too big', "too big, for recipient $_" for 1 .. 30;
		is $c->cmd('NOOP'), '250 2.0.0 Ok', 'that was one mistake, not thirty';

		begin($c, 'alice', 'bob');
		$c->send_raw("BDAT 6\r\na: b\r\nBDAT 6 LAST\r\n\r\nxyz\n");
		is $c->reply, '250 2.0.0 Ok: 6 bytes', 'a chunk has one answer';
		like $c->reply, qr/^250 2\.0\.0 Ok: 12 bytes queued as \S+$/, 'the last one one for each' for 1, 2;
		begin($c, 'alice', 'bob');
		$c->send_raw("BDAT 100001\r\n" . 'x' x 100001 . "BDAT 3 LAST\r\nxyz");
		is $c->reply, '552 5.3.4 Error: message file too big', 'a chunk that is refused, too';
		is $c->reply, '551 5.0.0 Discarded after earlier error', 'and then the last one' for 1, 2;
		is $c->cmd('QUIT'), '221 2.0.0 Bye', 'the end';
		like $p->wait_log(qr/disconnect from .* lhlo=/, from => 0), qr/lmtp\/smtpd\[\d+\]: /, 'in the log';
	};
}

subtest 'the one protocol is not the other' => sub {
	is $p->smtp->cmd('LHLO x'), '500 5.5.1 Error: command not recognized', 'LHLO at port 25';
	Posthouse::write_file($p->dir . '/letter', "Subject: curl\n\nx\n");
	my ($status) = Posthouse::run('curl', '-sS', '--max-time', 20, 'smtp://' . $p->address . ':3024', '--mail-from', 'x@client.test',
		'--mail-rcpt', 'alice@example.test', '-T', $p->dir . '/letter');
	isnt $status, 0, 'curl speaks SMTP, and gets nowhere';
	$p->smtp(3024)->send_raw("LHLO c.test\r\nMAIL FROM:<x\@y.test>\r\n");
	$p->wait_log(qr/improper command pipelining after LHLO from/, from => 0);
	pass 'who does not wait for the greeting is no mail system';
};

subtest 'swaks' => sub {
	for ([ '--server', $p->address, '--port', 3024 ], [ '--socket', $socket ]) {
		my ($status, $text) = Posthouse::run('swaks', '--protocol', 'LMTP', '--timeout', 20, @$_, '--from', 'x@client.test', '--to',
			'alice@example.test,nobody@example.test,bob@example.test', '--force-getpwuid');
		is scalar(() = $text =~ /queued as/g), 2, "two answers: $_->[0]" or diag $text;
		like $text, qr/LHLO .*550 5\.1\.1 <nobody/s, 'and a refusal';
	}
};

subtest 'our own client' => sub {
	my $q = Posthouse->new(main => { mydestination => 'far.test', relay_domains => 'example.test', local_recipient_maps => '' });
	for my $hop ('inet:' . $p->address . ':3024', "unix:$socket") {
		$q->set(transport_maps => "inline:{ { example.test = lmtp:$hop } }");
		$q->pid ? $q->reload : $q->start;
		my $id = $q->send_mail(to => [ map { "$_\@example.test" } qw(alice nobody bob) ]);
		my $line = sub { $q->wait_log(qr/$id: to=<$_[0]\@example\.test>/, from => 0) };
		like $line->($_), qr/lmtp\[\d+\]: .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as/, "$hop: $_" for 'alice', 'bob';
		like $line->('nobody'), qr/dsn=5\.1\.1, status=bounced \(.*550 5\.1\.1 .*\(in reply to RCPT TO command\)\)/, 'one is not there';
	}
	$q->stop;
};

subtest 'Postfix' => sub {
	plan skip_all => 'it needs root' if $>;
	Postfix::need();
	chmod 0755, $p->dir, dirname($p->dir), $p->dir . '/queue'; # its lmtp is not root
	my $pf = Postfix->new(main => { relay_domains => 'a.test, b.test', transport_maps => 'inline:{ { a.test = lmtp:inet:' . $p->address .
		":3024 } { b.test = lmtp:unix:$socket } }" });
	$p->set(mydestination => '$myhostname, example.test, a.test, b.test');
	$p->reload;
	$pf->start;
	for my $site ('a.test', 'b.test') {
		my $id = $pf->send_mail(to => [ map { "$_\@$site" } qw(alice nobody bob) ]);
		my $line = sub { $pf->wait_log(qr/$id: to=<$_[0]\@$site>/, from => 0) };
		like $line->($_), qr/lmtp\[\d+\]: .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as/, "$site: $_" for 'alice', 'bob';
		like $line->('nobody'), qr/dsn=5\.1\.1, status=bounced .*550 5\.1\.1/, 'one is not there';
		$p->wait_log(qr/to=<$_\@$site>.*status=sent/, from => 0) for 'alice', 'bob';
	}
	$pf->stop;
};

$p->stop;
done_testing;
