#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The whole house as root with system users, in a mount namespace of its own: a letter goes through all of it, and every process
# is who it should be.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

plan skip_all => 'needs root' if $>;
plan skip_all => 'needs mount namespaces' if system 'unshare -m true 2>/dev/null';
exec 'unshare', '-m', $^X, $0 or die $! unless $ENV{IN_NAMESPACE}++;

my $p = Posthouse->new;
my $d = $p->dir;
$p->set(unprivileged_mode => 'no', userdb => 'passwd', passdb => 'shadow', mail_spool_directory => "$d/varmail",
	mail_location => "mbox:~/mail:INBOX=$d/varmail/%u");
chomp(my $hash = `openssl passwd -6 open-sesame`);
mkdir "$d/$_" for qw(etc varmail);
Posthouse::write_file("$d/etc/passwd", "root:x:0:0::/root:/bin/sh\nposthouse:x:20701:20701::/:/bin/false\n"
	. "postlogin:x:20702:20702::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\nalice:x:30001:30001::$d/home/alice:/bin/sh\n");
Posthouse::write_file("$d/etc/group", "root:x:0:\nmail:x:8:\nposthouse:x:20701:\npostlogin:x:20702:\npostdrop:x:20703:\n"
	. "nobody:x:65534:\nalice:x:30001:\n");
Posthouse::write_file("$d/etc/shadow", "root:*:19000:0:99999:7:::\nalice:$hash:19000:0:99999:7:::\n");
chmod 0644, map { "$d/etc/$_" } qw(passwd group);
chmod 0640, "$d/etc/shadow";
system('mount', '--bind', "$d/etc/$_", "/etc/$_") == 0 or die for qw(passwd group shadow);
chown 0, 8, "$d/varmail";
chmod 02775, "$d/varmail";
chown 30001, 30001, "$d/home/alice";
chmod 0755, "$d/..", $d, map { "$d/$_" } qw(etc home spool);
chmod 0644, "$d/aliases";
rmdir "$d/$_" for qw(data queue);
local %Posthouse::PORT = (smtp => 25, pop3 => 110, imap => 143);

my ($status, $text) = $p->tool('posthouse', 'check');
is $status, 0, 'check' or diag $text;
$p->start;
$p->send_mail(subject => 'through the whole house');
$p->wait_log(qr/status=sent/);
my $pop = $p->pop3('alice', 'open-sesame');
is scalar(grep { /^Subject: through the whole house/ } $pop->multi('RETR 1')), 1, 'POP3 reads what SMTP took';
my $imap = $p->imap('alice', 'open-sesame');
like join("\n", $imap->imap('SELECT INBOX')), qr/^\* 1 EXISTS/m, 'IMAP too';
my @box = stat "$d/varmail/alice";
is_deeply [ @box[ 4, 5 ] ], [ 30001, $box[5] ], 'the mailbox is its owner\'s';
is $box[2] & 07, 0, 'and nobody else\'s';

my %who = (smtpd => 20701, qmgr => 20701, local => 0, auth => 0, login => 20702);
my %users;
for ($p->processes) {
	my ($pid, $program) = @$_;
	my $proc = Posthouse::slurp("/proc/$pid/status");
	my ($uid) = $proc =~ /^Uid:\t(\d+)\t\1\t\1\t\1$/m;
	if ($program =~ /^(imapd|pop3d)$/) { # the parent, and one that has become the user
		$users{$program}{ $uid // 'mixed' }++;
		like $proc, qr/^Seccomp:\t2$/m, "$program as alice can run nothing" if $uid && $Posthouse::BIN !~ /asan|tsan/;
		next;
	}
	next unless exists $who{$program};
	is $uid, $who{$program}, "$program runs as $who{$program}";
	like $proc, qr/^CapEff:\t0+$/m, "$program has no capabilities" if $who{$program};
	like $proc, qr/^NoNewPrivs:\t1$/m, "$program can get no new privileges" if $who{$program};
	is readlink("/proc/$pid/root"), "$d/queue/login", 'login sees nothing but its own directory' if $program eq 'login';
}
is_deeply $users{$_}, { 0 => 1, 30001 => 1 }, "$_: one parent, one process as alice" for qw(imapd pop3d);

$p->stop;
is scalar($p->processes), 0, 'nothing is left, the users\' processes neither';
done_testing;
