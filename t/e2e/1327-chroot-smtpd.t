#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# smtpd in a root directory of its own (the chroot column), as root: it takes mail, and has the cache of probed addresses, also when
# that is not there yet. In name spaces of its own, over copies of /etc/passwd and group.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Posthouse;

plan skip_all => 'needs root' if $>;
if (!$ENV{IN_OWN_SYSTEM}) {
	plan skip_all => 'no name spaces here' if system 'unshare -mn true 2>/dev/null';
	$ENV{IN_OWN_SYSTEM} = 1;
	exec 'unshare', '-mn', '--propagation', 'private', $^X, $0 or die "unshare: $!";
}
my $etc = tempdir('posthouse-etc-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $etc;
Posthouse::write_file("$etc/passwd", Posthouse::slurp('/etc/passwd') . "posthouse:x:190:190::/:/bin/false\npostlogin:x:191:191::/:/bin/false\n");
Posthouse::write_file("$etc/group", Posthouse::slurp('/etc/group') . "posthouse:x:190:\npostlogin:x:191:\n");
chmod 0644, "$etc/passwd", "$etc/group";
system('mount', '--bind', "$etc/$_", "/etc/$_") == 0 or die "mount $_" for qw(passwd group);
system('ip link set lo up') == 0 or die 'ip';

my $p = Posthouse->new(main => { unprivileged_mode => 'no', inet_interfaces => '127.0.0.1', local_recipient_maps => '', alias_maps => '',
	transport_maps => 'inline:{ { void.test = discard: }, { no.test = error:5.1.1 nobody }, { example.test = discard: } }', mynetworks => '127.0.0.0/8',
	unverified_recipient_reject_code => 550, address_verify_poll_delay => '10s', smtpd_recipient_restrictions => 'reject_unverified_recipient' }, master => <<'END');
127.0.0.1:2025 inet n - y - - smtpd
qmgr unix n - - 300 1 qmgr
END
$p->{address} = '127.0.0.1';
chmod 0755, $p->dir, $p->dir =~ s{/[^/]*$}{}r;
$p->tool('posthouse', 'set-permissions');
ok !-e $p->dir . '/data/verify_cache.lmdb', 'no cache yet';
$p->start;
my $c = $p->connect(2025);
$c->reply(qr/^220/);
$c->cmd('EHLO c.test', qr/^250/);
$c->cmd('MAIL FROM:<x@example.test>', qr/^250/);
my ($smtpd) = grep { -e "/proc/$_/root" && readlink("/proc/$_/root") ne '/' } map { m{/proc/(\d+)/} } grep { Posthouse::slurp($_) =~ /^smtpd$/ } glob '/proc/[0-9]*/comm';
is readlink("/proc/$smtpd/root"), $p->dir . '/queue', 'its root directory';
is $c->cmd('RCPT TO:<a@no.test>'), '550 5.1.1 <a@no.test>: Recipient address rejected: undeliverable address: nobody', 'a recipient that does not exist';
is $c->cmd('RCPT TO:<a@void.test>'), '250 2.1.5 Ok', 'one that does';
is +(stat $p->dir . "/data/verify_cache.lmdb$_")[4], 190, "the cache$_ belongs to mail_owner" for '', '-lock';
$c->cmd('DATA', qr/^354/);
like $c->cmd("Subject: x\r\n\r\nx\r\n."), qr/^250 /, 'mail is taken';
$p->wait_log(qr/to=<a\@void\.test>.*status=sent/);
$p->stop;
done_testing;
