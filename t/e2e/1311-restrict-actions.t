#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What access tables and policy services do besides saying no: HOLD, DISCARD, REDIRECT, BCC, PREPEND, FILTER, also when the content is
# there already; policy services that answer,
# hang, talk nonsense or are not there; lists whose answer is about us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Temp;
use IO::Socket::INET;
use POSIX ();
use Posthouse;
use SmtpTest;

# --- a policy service: answers by the sender ------------------------------------------------------------------------------

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20) or die;
my $policy_port = $listener->sockport;
my $seen = File::Temp->new;
my $owner = $$;
my $server = fork // die;
if (!$server) {
	my $n = 0;
	setpgrp;
	open STDOUT, '>', '/dev/null';
	open STDERR, '>', '/dev/null';
	while (my $c = $listener->accept) {
		$n++;
		next if fork;
		my %a;
		while (my $line = <$c>) {
			chomp $line;
			if ($line ne '') { my ($k, $v) = split /=/, $line, 2; $a{$k} = $v; next }
			open my $log, '>>', $seen->filename;
			print $log join(' ', "connection=$n", map { "$_=$a{$_}" } sort keys %a), "\n";
			close $log;
			my ($what) = $a{sender} =~ /^(\w+)/;
			POSIX::_exit(0) if $what eq 'hangup';
			if ($what eq 'hang') { sleep 60; POSIX::_exit(0) }
			print {$c} +{ dunno => "action=DUNNO\n\n", reject => "action=reject by policy\n\n", greylist => "action=defer_if_permit try later\n\n",
				nonsense => "hello\n\n", long => 'action=' . 'x' x 10000 . "\n\n", hold => "action=HOLD\n\n",
				prepend => "action=PREPEND X-Policy: seen\n\n", redirect => "action=REDIRECT bob\@example.test\n\n",
				bcc => "action=BCC bob\@example.test\n\n", filter => "action=FILTER discard:\n\n", throw => "action=DISCARD\n\n" }->{$what} // "action=OK\n\n";
			$c->flush;
			%a = ();
		}
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}
END { if ($$ == $owner) { local $?; kill '-TERM', $server; waitpid $server, 0 } }

my ($A, $T) = (\&SmtpTest::Dns::a, \&SmtpTest::Dns::txt);
my $dns = SmtpTest::Dns->new('1.0.0.127.quota.test A' => [ $A->('127.255.255.254') ], '1.0.0.127.wild.test A' => [ $A->('203.0.113.1') ],
	'1.0.0.127.down.test A' => 'SERVFAIL', '1.0.0.127.real.test A' => [ $A->('127.0.0.2') ],
	'1.0.0.127.real.test TXT' => [ $T->("line\r\nbreak \x1b[2J") ]);
my $endpoint = "inet:127.0.0.1:$policy_port";
my $p = Posthouse->new(relay => '192.0.2.1', main => { smtp_dns_server => "127.0.0.1:$dns->{port}", smtpd_error_sleep_time => 0,
	smtpd_policy_service_timeout => '1s', smtpd_policy_service_retry_delay => '0s' }, services => <<END);
3001 inet n - - - - smtpd -o { smtpd_sender_restrictions = check_sender_access inline:{ { h\@x.test = HOLD }, { d\@x.test = DISCARD }, { r\@x.test = REDIRECT bob\@example.test }, { b\@x.test = BCC bob\@example.test }, { p\@x.test = PREPEND X-Seen: yes }, { f\@x.test = FILTER discard: }, { n\@x.test = FILTER nowhere } } }
3002 inet n - - - - smtpd -o { smtpd_recipient_restrictions = check_policy_service $endpoint }
3003 inet n - - - - smtpd -o { smtpd_recipient_restrictions = check_policy_service { $endpoint, timeout=1s, try_limit=1, default_action=DUNNO } }
3004 inet n - - - - smtpd -o { smtpd_client_restrictions = reject_rbl_client quota.test, reject_rbl_client wild.test, reject_rbl_client down.test }
3005 inet n - - - - smtpd -o { smtpd_client_restrictions = reject_rbl_client real.test }
3006 inet n - - - - smtpd -o { smtpd_end_of_data_restrictions = check_policy_service $endpoint }
3007 inet n - - - - smtpd -o { smtpd_relay_restrictions = permit }
END
$p->start;

sub deliver {
	my ($from, $port) = @_;
	return $p->send_mail(from => $from, port => $port, text => "Subject: from $from\n\nx\n");
}

sub try { # the reply to RCPT
	my ($from, $port) = @_;
	my $c = $p->smtp($port);
	$c->cmd('EHLO c.test', qr/^250/);
	$c->cmd("MAIL FROM:<$from>", qr/^250/);
	return $c->cmd('RCPT TO:<alice@example.test>');
}

subtest 'access tables' => sub {
	my $held = deliver('h@x.test', 3001);
	$p->wait_log(qr/hold: RCPT from .*<h\@x\.test>: Sender address triggers HOLD action; from=<h\@x\.test> to=<alice\@example\.test>/, from => 0);
	like +($p->tool('postqueue', '-p'))[1], qr/^$held!/m, 'HOLD';
	my $gone = deliver('d@x.test', 3001);
	$p->wait_log(qr/discard: RCPT from .*<d\@x\.test>: Sender address triggers DISCARD action/, from => 0);
	unlike +($p->tool('postqueue', '-p'))[1], qr/$gone/, 'DISCARD';
	my %id = map { $_ => deliver("$_\@x.test", 3001) } 'r', 'b', 'p';
	# Programs log on their own: no order among them.
	like $p->wait_log(qr/qmgr.*$id{r}: from=/, from => 0), qr/nrcpt=1/, 'REDIRECT';
	$p->wait_log(qr/$id{$_->[0]}: to=<$_->[1]\@example\.test>.*status=sent/, from => 0) for [ r => 'bob' ], [ b => 'bob' ], [ b => 'alice' ], [ p => 'alice' ];
	my ($alice, $bob) = map { Posthouse::slurp($p->spool($_)) } 'alice', 'bob';
	like $alice, qr/^X-Seen: yes\nReceived: /m, 'PREPEND';
	like $bob, qr/Subject: from r\@x/, 'REDIRECT goes there';
	unlike $alice, qr/Subject: from [hdr]\@x/, 'and nowhere else; neither does what is held or discarded';
	like $_, qr/Subject: from b\@x/, 'BCC' for $alice, $bob;
	my $filtered = deliver('f@x.test', 3001);
	like $p->wait_log(qr/$filtered: to=<alice\@example\.test>/, from => 0), qr/relay=none,.*status=sent \(/, 'FILTER: by that transport';
	deliver('n@x.test', 3001);
	$p->wait_log(qr/warning: access table .* entry "n\@x\.test" requires transport:destination/, from => 0);
	pass 'FILTER without one';
	my ($status) = $p->tool('postsuper', '-H', $held);
	$p->wait_log(qr/$held: to=<alice\@example\.test>.*status=sent/, from => 0);
	is $status, 0, 'what was held is released';
};

subtest 'policy services' => sub {
	is try('ok@x.test', 3002), '250 2.1.5 Ok', 'OK';
	is try('dunno@x.test', 3002), '250 2.1.5 Ok', 'DUNNO';
	is try('reject@x.test', 3002), '554 5.7.1 <alice@example.test>: Recipient address rejected: by policy', 'reject';
	is try('greylist@x.test', 3002), '450 4.7.1 <alice@example.test>: Recipient address rejected: try later', 'defer_if_permit';
	for my $bad ('nonsense', 'long', 'hangup', 'hang') {
		is try("$bad\@x.test", 3002), '451 4.3.5 <alice@example.test>: Recipient address rejected: Server configuration problem', $bad;
		is try("$bad\@x.test", 3003), '250 2.1.5 Ok', "$bad, with a default of its own";
	}
	like Posthouse::slurp($seen->filename), qr/^connection=1 .*sender=ok.*\nconnection=1 .*sender=dunno/m, 'a connection is kept';
	my ($line) = grep { /sender=ok/ } split /\n/, Posthouse::slurp($seen->filename);
	# What 127.0.0.1 is called is the machine's business; the log says it, too.
	my ($name) = $p->wait_log(qr/ connect from .*\[127\.0\.0\.1\]/, from => 0) =~ / connect from (\S+)\[/;
	like $line, qr/\b$_( |$)/, $_ for 'request=smtpd_access_policy', 'protocol_state=RCPT', 'protocol_name=ESMTP', 'client_address=127\.0\.0\.1',
		"client_name=\Q$name\E", 'helo_name=c\.test', 'recipient=alice@example\.test', 'recipient_count=0', 'queue_id=', 'server_port=3002';
	deliver('prepend@x.test', 3006);
	deliver('hold@x.test', 3006);
	like +($p->tool('postqueue', '-p'))[1], qr/!/, 'HOLD at the end of the message';
	# The envelope is changed when the content is written: in memory, or in a file that has to be written anew.
	my @size = (small => 10, large => 200_000);
	while (my ($what, $bytes) = splice @size, 0, 2) {
		my $text = sub { "Subject: $what $_[0]\n\n" . join('', map { sprintf "line %06d\n", $_ } 1 .. $bytes / 12) . "the end\n" };
		my %id = map { $_ => $p->send_mail(from => "$_\@x.test", port => 3006, text => $text->($_)) } qw(redirect bcc filter hold prepend throw);
		like $p->wait_log(qr/qmgr.*$id{redirect}: from=/, from => 0), qr/nrcpt=1/, "REDIRECT at the end of a $what message";
		$p->wait_log(qr/$id{$_->[0]}: to=<$_->[1]\@example\.test>.*status=sent/, from => 0)
			for [ redirect => 'bob' ], [ bcc => 'bob' ], [ bcc => 'alice' ], [ filter => 'alice' ], [ prepend => 'alice' ];
		like $p->wait_log(qr/$id{filter}: to=/, from => 0), qr/relay=none/, 'FILTER';
		my ($alice, $bob) = map { Posthouse::slurp($p->spool($_)) } 'alice', 'bob';
		like $_->[0], qr/\n\Q@{[ $text->($_->[1]) ]}\E\n/, "$_->[1]: byte for byte" for [ $bob, 'redirect' ], [ $bob, 'bcc' ], [ $alice, 'bcc' ], [ $alice, 'prepend' ];
		unlike $alice, qr/Subject: $what (?:redirect|filter|hold|throw)/, 'and the others did not come';
		unlike $alice, qr/^X-Policy:/m, 'PREPEND comes too late';
		my $queue = ($p->tool('postqueue', '-p'))[1];
		like $queue, qr/^$id{hold}!/m, 'HOLD';
		unlike $queue, qr/^$id{throw}/m, 'DISCARD';
	}
	$p->wait_log(qr/warning: access table \S+: action PREPEND must be used before END-OF-MESSAGE/, from => 0);
	like Posthouse::slurp($seen->filename), qr/protocol_state=END-OF-MESSAGE .*queue_id=\w+.*recipient_count=1.*size=[1-9]/, 'with size and queue id';
};

subtest 'lists' => sub {
	is try('x@x.test', 3004), '250 2.1.5 Ok', 'answers that are no listing, and a list that does not answer';
	is $p->log_count(qr/answers 127\.255\.255\.254: it refuses questions/), 1, 'logged';
	try('x@x.test', 3004);
	is $p->log_count(qr/answers 127\.255\.255\.254: it refuses questions/), 1, 'once';
	is try('x@x.test', 3005), '554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using real.test; line??break ?[2J', 'a reason with control bytes';
};

is try('x@x.test', 3007), '451 4.3.5 Server configuration error', 'a list that would relay for everybody';
$p->stop;
$dns->stop;
done_testing;
