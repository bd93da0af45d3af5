#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A mailbox that is full or disabled is refused at RCPT, before anything is accepted; where that cannot be known, delivery says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Test::More;
use Posthouse;

my $p = Posthouse->new(users => [qw(alice bob carol)], main => { mailbox_size_limit => 40000, virtual_mailbox_limit => 40000, message_size_limit => 30000,
	smtpd_error_sleep_time => 0, smtpd_hard_error_limit => 100, recipient_delimiter => '+', virtual_mailbox_domains => 'v.test', auth_failure_delay => 0,
	virtual_alias_maps => 'inline:{ { one@example.test = alice@example.test }, { both@example.test = alice@example.test bob@example.test } }' });
my $dir = $p->dir;
$p->set(virtual_mailbox_base => "$dir/virtual", virtual_mailbox_maps => 'inline:{ { x@v.test = x }, { y@v.test = y/ } }');
mkdir "$dir/virtual";
Posthouse::append_file("$dir/aliases", "sales: alice\n");
$p->start;

sub fill { my ($path, $bytes) = @_; Posthouse::write_file($path, "From x\@y Thu Jan  1 00:00:00 2026\nSubject: x\n\n" . 'x' x ($bytes - 60) . "\n") }
sub rcpt {
	my ($to, $size) = @_;
	my $c = $p->smtp;
	$c->cmd('EHLO client.test', qr/^250/);
	$c->cmd('MAIL FROM:<x@client.test>' . ($size ? " SIZE=$size" : ''), qr/^250/);
	my $r = $c->cmd("RCPT TO:<$to>");
	$c->cmd('QUIT', qr/^221/);
	return $r;
}

my $ok = '250 2.1.5 Ok';
my $full = '452 4.2.2 <alice@example.test>: Recipient address rejected: Mailbox is full';
is rcpt('alice@example.test'), $ok, 'no mailbox yet';
fill($p->spool('alice'), 41000);
is rcpt('alice@example.test'), $full, 'full';
like $p->wait_log(qr/reject: RCPT/), qr/NOQUEUE: reject: RCPT from \S+: \Q$full\E; from=<x\@client\.test> to=<alice\@example\.test> proto=ESMTP/, 'in the log';
is rcpt('Alice@Example.Test'), $full =~ s/alice\@example.test/Alice\@Example.Test/r, 'in any case';
like rcpt('one@example.test'), qr/^452 4\.2\.2 <one\@example\.test>/, 'by its alias, too';
is rcpt('both@example.test'), $ok, 'a list is not refused for one of its members';
is rcpt('sales@example.test'), $ok, 'an alias of aliases(5)';
is rcpt('bob@example.test'), $ok, 'somebody else';
fill($p->spool('alice'), 38000);
is rcpt('alice@example.test', 5000), $full, 'no room for what is announced';
is rcpt('alice@example.test', 1000), $ok, 'but for less';
is rcpt('alice@example.test'), $ok, 'or when it does not say';
fill($p->spool('alice'), 41000);
Posthouse::write_file("$dir/home/alice/.forward", "bob\n");
is rcpt('alice@example.test'), $ok, 'with a .forward the mailbox does not matter';
unlink "$dir/home/alice/.forward";
is rcpt('alice+list@example.test'), $ok, 'a .forward+extension could be there: delivery will see';
unlink $p->spool('alice');
is rcpt('alice@example.test'), $ok, 'emptied: at once';
is rcpt('x@v.test'), $ok, 'a virtual mailbox';
fill("$dir/virtual/x", 41000);
like rcpt('x@v.test'), qr/^452 4\.2\.2 <x\@v\.test>: Recipient address rejected: Mailbox is full$/, 'full';
is rcpt('y@v.test'), $ok, 'a Maildir has no limit';

# --- disabled
my $users = Posthouse::slurp("$dir/users");
sub login { my $c = $p->smtp('submission'); $c->cmd('EHLO client.test', qr/^250/); return $c->cmd('AUTH PLAIN ' . encode_base64("\0carol\0" . $p->password('carol'), '')) }
like login(), qr/^235 /, 'carol may log in';
Posthouse::write_file("$dir/users", $users =~ s/^(carol:.*:)$/$1disabled/mr);
$p->wait_until('carol is disabled', sub { rcpt('carol@example.test') eq '550 5.2.1 <carol@example.test>: Recipient address rejected: Mailbox is disabled' });
pass 'disabled, said at RCPT';
like rcpt('carol+x@example.test'), qr/^550 5\.2\.1 /, 'with an extension';
like rcpt('nobody@example.test'), qr/^550 5\.1\.1 /, 'who is not there is told so';
like login(), qr/^535 /, 'no login with the right password';
my $i = $p->connect('imap');
$i->expect(qr/^\* OK/);
$i->imap('LOGIN carol ' . $p->password('carol'), qr/^\S+ NO/);
my $id = $p->submit(to => 'carol@example.test');
like $p->wait_log(qr/$id: to=<carol/, from => 0), qr/dsn=4\.2\.1, status=deferred \(mailbox is disabled\)/, 'what is here already waits';
is rcpt('bob@example.test'), $ok, 'others are not concerned';
Posthouse::write_file("$dir/users", $users);
$p->wait_until('carol is back', sub { rcpt('carol@example.test') eq $ok });
like login(), qr/^235 /, 'enabled again';
$p->wait_until('delivery', sub { $p->tool('postqueue', '-f'); $p->log_count(qr/$id: to=<carol.*status=sent/) });
pass 'and what waited is delivered';

fill($p->spool('alice'), 41000);
$p->set(smtpd_reject_unlisted_recipient => 'no');
$p->reload;
$p->wait_until('the new setting', sub { rcpt('alice@example.test') eq $ok });
pass 'smtpd_reject_unlisted_recipient = no: nothing is looked up';
$p->stop;
done_testing;
