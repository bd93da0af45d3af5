#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A real Postfix on the other side: it relays to us, we relay to it; what arrives is byte for byte what was sent, failures
# travel back as notices, and a peer that comes back gets its mail at once.
use strict;
use warnings;
use Test::More;
use Posthouse;
use Postfix;

Postfix::need();
my ($our, $theirs) = (Posthouse::_address(), Posthouse::_address());
my $pf = Postfix->new(address => $theirs, main => {
	relayhost => "[$our]:2025", mynetworks => '127.0.0.0/8', local_recipient_maps => 'inline:{ root=x }',
	message_size_limit => 5000000 });
my $p = Posthouse->new(address => $our, relay => '127.0.0.0/8', main => { relayhost => "[$theirs]:25" });
$pf->start;
$p->start;

# The content after our trace fields, as the other end stores it: LF line ends.
sub content { my ($text) = @_; $text =~ s/\r\n/\n/g; return $text =~ /^(X-Test: .*)/ms ? $1 : undef }

# All that a server might add is there already, before the part that is compared.
my $head = "From: <x\@client.test>\nTo: <you\@example.test>\nDate: Tue, 24 Nov 2026 04:00:00 +0000\nMessage-Id: <%s\@client.test>\n";
my %letter = (
	plain => "X-Test: plain\nSubject: a\n\nHello.\n",
	dots => "X-Test: dots\nSubject: b\n\n.\n..\n.leading\nlast\n",
	'8bit' => "X-Test: 8bit\nSubject: caf\xc3\xa9\nContent-Type: text/plain; charset=utf-8\n\nna\xc3\xafve\n",
	from => "X-Test: from\nSubject: d\n\nFrom here\n\nFrom there\n>From everywhere\n",
	empty => "X-Test: empty\n\n",
	long => "X-Test: long\n\n" . 'x' x 990 . "\n" . "y\n" x 20000,
	big => "X-Test: big\n\n" . ("z" x 70 . "\n") x 20000,
);

subtest 'Postfix relays to us' => sub {
	for my $kind (sort keys %letter) {
		$pf->send_mail(to => 'alice@example.test', text => sprintf($head, "in-$kind") . $letter{$kind});
		like $p->wait_log(qr/to=<alice\@example\.test>.*status=sent/), qr/relay=local/, "$kind: delivered";
	}
	my $c = $p->pop3('alice');
	my %got;
	for my $n (1 .. keys %letter) {
		my $text = join '', map { "$_\n" } $c->multi("RETR $n");
		$got{$1} = content($text) if $text =~ /^X-Test: (\S+)/m;
		like $text, qr/^Received: from postfix\.example\.net \(.*\n\tby mail\.example\.test/m, 'its name is in our trace' if $n == 1;
	}
	ok defined $got{$_} && $got{$_} eq $letter{$_}, "$_: byte for byte" for sort keys %letter;
};

subtest 'we relay to Postfix' => sub {
	for my $kind (sort keys %letter) {
		$p->send_mail(to => 'root@example.net', text => sprintf($head, "out-$kind") . $letter{$kind});
		like $p->wait_log(qr/to=<root\@example\.net>.*status=sent/), qr/relay=\Q$theirs\E\[\Q$theirs\E\]:25, .*dsn=2\.0\.0/,
			"$kind: taken";
		$pf->wait_log(qr/to=<root\@example\.net>.*status=sent/);
	}
	my $box = Posthouse::slurp($pf->mailbox('root'));
	for my $kind (sort keys %letter) {
		(my $quoted = $letter{$kind}) =~ s/^(From )/>$1/mg;
		ok index($box, $quoted) >= 0, "$kind: byte for byte";
	}
};

subtest 'many recipients, one connection after another' => sub {
	my $from = length $p->maillog && -s $p->maillog;
	my $id = $p->send_mail(to => [ 'root@example.net', 'nobody-here@example.net' ], from => 'alice@example.test',
		text => "X-Test: two\nSubject: two\n\n");
	like $p->wait_log(qr/$id: to=<nobody-here\@example\.net>/, from => $from),
		qr/dsn=5\.1\.1, status=bounced \(host .*said: 550 5\.1\.1/, 'the unknown one bounces with the words of Postfix';
	ok $p->log_count(qr/$id: to=<root\@example\.net>.*status=sent/), 'the other one is delivered';
	$p->wait_log(qr/to=<alice\@example\.test>.*status=sent/);
	my $c = $p->pop3('alice');
	my ($n) = $c->cmd1('STAT', qr/^\+OK/) =~ /(\d+)/;
	my $notice = join "\n", $c->multi("RETR $n");
	like $notice, qr/^Content-Type: multipart\/report;\s+report-type=delivery-status/m, 'the sender gets a notice';
	like $notice, qr/^Final-Recipient: rfc822; ?nobody-here\@example\.net\nOriginal-Recipient: .*\nAction: failed\nStatus: 5\.1\.1/m,
		'about that recipient';
	like $notice, qr/^Diagnostic-Code: smtp; 550 5\.1\.1/m, 'with the reply';
};

subtest 'Postfix hears our refusals' => sub {
	my $at = -s $pf->maillog;
	$pf->send_mail(to => 'no-such-user@example.test', from => 'root@example.net');
	like $pf->wait_log(qr/to=<no-such-user\@example\.test>/, from => $at),
		qr/status=bounced \(host .* said: 550 5\.1\.1 <no-such-user\@example\.test>: Recipient address rejected: User unknown/,
		'an unknown user';
	$pf->wait_log(qr/to=<root\@example\.net>.*status=sent/);
	like Posthouse::slurp($pf->mailbox('root')), qr/^Diagnostic-Code: smtp; 550 5\.1\.1 <no-such-user/m, 'and tells its sender';
};

subtest 'a peer that comes back' => sub {
	my $count = 60;
	my $before = () = Posthouse::slurp($pf->mailbox('root')) =~ /^X-Back: /mg;
	is $before, 0, 'none yet';
	$pf->stop;
	my @id = map { $p->send_mail(to => 'root@example.net', text => "X-Back: $_\n\n") } 1 .. $count;
	$p->wait_log(qr/$id[-1]: to=<root\@example\.net>.*status=deferred \(.*refused/, from => 0);
	my ($status, $list) = $p->tool('postqueue', '-p');
	is scalar(() = $list =~ /^\s*\(.*[Cc]onnection refused\)/mg) > 0, 1, 'mailq says why';
	like $list, qr/in $count Requests\./, "and shows all $count";
	$pf->start;
	my $start = time;
	$p->wait_until('an empty queue', sub { ($p->tool('postqueue', '-p'))[1] =~ /queue is empty/ });
	$pf->wait_until('the last letter', sub { $count == (() = Posthouse::slurp($pf->mailbox('root')) =~ /^X-Back: /mg) });
	cmp_ok time - $start, '<', 20, 'delivered soon after it came back';
	my %seen;
	$seen{$_}++ for Posthouse::slurp($pf->mailbox('root')) =~ /^X-Back: (\d+)/mg;
	is join(',', map { "$_:" . ($seen{$_} // 0) } 1 .. $count), join(',', map { "$_:1" } 1 .. $count), 'each once';
};

done_testing;
