#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Trouble with the queue itself: damaged files, a directory that cannot be written, a full disk. Nothing that was accepted is lost,
# what cannot be accepted is answered 4xx.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { relayhost => '[127.0.0.1]:9', minimal_backoff_time => '1s' });
$p->start;

sub queue_file {
	my ($id) = @_;
	my ($dir) = $id =~ /(.)z[^z]*$/;
	return $p->dir . "/queue/mail/$dir/$id";
}

# Two letters wait for a site; one is damaged while qmgr is down.
my $good = $p->send_mail(to => 'a@far.test');
my $bad = $p->send_mail(to => 'b@far.test');
$p->wait_log(qr/$_: to=.*status=deferred/, from => 0) for $good, $bad;
$p->wait_until('files of their own', sub { -f queue_file($good) && -f queue_file($bad) });
$p->stop;
open my $f, '+<', queue_file($bad) or die "$bad: $!";
seek $f, 100, 0;
print $f "\xff\xff";
close $f;
$p->start;
like($p->wait_log(qr/$bad: the queue file is damaged/, from => 0), qr/error: $bad: .* moved to corrupt\/$bad/, 'a damaged file is moved aside and logged');
ok(-f $p->dir . "/queue/corrupt/$bad", 'it is kept for a person to look at');
like(($p->tool('postqueue', '-p'))[1], qr/^\Q$good\E/m, 'the rest goes on');
my $id = $p->send_mail(to => 'alice@example.test');
ok($p->wait_log(qr/$id: to=<alice\@example\.test>.*status=sent/, from => 0), 'and new mail is delivered');

SKIP: {
	skip 'a directory of mode 0 stops nobody who is root', 3 if $> == 0;
	chmod 0, glob($p->dir . '/queue/mail/*');
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	like($c->cmd("Subject: x\r\n\r\nx\r\n."), qr/^451 4\.3\.0 Error: queue file write error$/, 'an unwritable queue');
	ok($p->wait_log(qr/error: \w+: queue file write error: Permission denied/, from => 0), 'the log says why');
	chmod 0700, glob($p->dir . '/queue/mail/*');
	like($c->cmd('NOOP'), qr/^250/, 'the session goes on');
}

# A full disk: a small tmpfs over the queue's directories, in a mount namespace of its own.
SKIP: {
	skip 'needs root for a mount namespace', 5 if $> != 0 || system('unshare -m true 2>/dev/null');
	my $script = <<'END';
use strict; use warnings; use lib 't/lib'; use Posthouse;
my $p = Posthouse->new(main => { queue_minfree => 1, message_size_limit => 3000000, relayhost => '[127.0.0.1]:9' });
system('mount', '-t', 'tmpfs', '-o', 'size=2m,nr_inodes=200', 'tmpfs', $p->dir . '/queue') and die;
$p->start;
my (@ids, %replies);
for my $n (1 .. 30) {
	my $c = $p->smtp;
	$c->cmd('EHLO c', qr/^250/);
	if ($c->cmd('MAIL FROM:<x@client.test>') !~ /^250/) { $replies{'452 MAIL'}++; next }
	$c->cmd('RCPT TO:<bob@elsewhere.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->send_raw("Subject: $n\r\n\r\n" . ('x' x 70 . "\r\n") x 3000);
	my $r = $c->cmd('.');
	$replies{substr $r, 0, 9}++;
	push @ids, $r =~ /as (\S+)/ ? $1 : ();
}
my @files = grep { !m{/\.[^/]*$} } glob($p->dir . '/queue/mail/*/*');
my @left = glob($p->dir . '/queue/mail/*/.[0-9A-Za-z]*');
print 'accepted ', scalar @ids, ' files ', scalar @files, ' left ', scalar @left, ' replies ', join(', ', map { "$_ x$replies{$_}" } sort keys %replies), "\n";
my @bad = grep { my ($d) = /(.)z[^z]*$/; !-f $p->dir . "/queue/mail/$d/$_" } @ids;
print "missing @bad\n";
$p->stop;
system('umount', $p->dir . '/queue');
END
	my $file = $p->dir . '/full.pl';
	Posthouse::write_file($file, $script);
	my ($status, $text) = Posthouse::run('unshare', '-m', $^X, $file);
	is($status, 0, 'it ran') or diag $text;
	like($text, qr/^accepted [1-9]\d* /m, 'some fit');
	like($text, qr/452 4\.3\.1/, 'what does not fit is answered 452 4.3.1');
	like($text, qr/left 0 /, 'and leaves nothing behind');
	like($text, qr/^missing $/m, 'what was accepted is there');
}
done_testing;
