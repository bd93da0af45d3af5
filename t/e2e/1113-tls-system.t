#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# TLS as root, with the system's users: keys that only root can read, workers in their jails that get them all the same, also new
# ones; who may read the copies. In name spaces of its own, over copies of /etc/passwd, group and shadow.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Posthouse;
use Tls;

plan skip_all => 'needs root' if $>;
if (!$ENV{IN_OWN_SYSTEM}) {
	plan skip_all => 'no name spaces here' if system 'unshare -mn true 2>/dev/null';
	$ENV{IN_OWN_SYSTEM} = 1;
	exec 'unshare', '-mn', '--propagation', 'private', $^X, $0 or die "unshare: $!";
}
Posthouse::need('openssl');

my $etc = tempdir('posthouse-etc-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $etc;
mkdir "$etc/home";
Posthouse::write_file("$etc/passwd", Posthouse::slurp('/etc/passwd') .
	"posthouse:x:190:190::/:/bin/false\npostlogin:x:191:191::/:/bin/false\nuser:x:54001:54001::$etc/home:/bin/sh\n");
Posthouse::write_file("$etc/shadow", Posthouse::slurp('/etc/shadow') . 'user:' . crypt('secret', '$6$saltsalt$') . ":20000:0:99999:7:::\n");
Posthouse::write_file("$etc/group", Posthouse::slurp('/etc/group') . "posthouse:x:190:\npostlogin:x:191:\nuser:x:54001:\n");
chown 54001, 54001, "$etc/home";
chmod 0644, "$etc/passwd", "$etc/group";
system('mount', '--bind', "$etc/$_", "/etc/$_") == 0 or die "mount $_" for qw(passwd shadow group);
system('ip link set lo up') == 0 or die 'ip';

my $p = Posthouse->new(tls => 1, main => { unprivileged_mode => 'no', passdb => 'shadow', userdb => 'passwd', mail_location => 'maildir:~/Maildir',
	inet_interfaces => '127.0.0.1' }, master => <<'END');
127.0.0.1:2025 inet n - - - - smtpd
127.0.0.1:2993 inet n - y - - login -P imap -t
127.0.0.1:2995 inet n - y - - login -P pop3 -t
auth unix - n - - - auth
imap unix - n - - 1 imapd
pop3 unix - n - - 1 pop3d
qmgr unix n - - 300 1 qmgr
END
$p->{address} = '127.0.0.1';
my $d = $p->dir;
chmod 0755, $d, $d =~ s{/[^/]*$}{}r;
is sprintf('%04o', (stat "$d/tls/key.pem")[2] & 07777), '0600', 'the key is for root only';
$p->tool('posthouse', 'set-permissions');
$p->start;
for my $port (2993, 2995) {
	my $c = $p->connect($port)->tls;
	$c->expect(qr/^(\* OK|\+OK)/);
	if ($port == 2993) {
		$c->imap('LOGIN user secret');
		$c->imap('SELECT INBOX');
		$c->imap('LOGOUT');
	} else {
		$c->cmd1('USER user', qr/^\+OK/);
		$c->cmd1('PASS secret', qr/^\+OK/);
		$c->cmd1('QUIT', qr/^\+OK/);
	}
	ok $c->eof, "port $port: logged in through TLS, out of the jail";
}
my $c = $p->smtp(2025);
$c->cmd('EHLO client.test', qr/^250-STARTTLS$/m);
$c->cmd('STARTTLS', qr/^220/);
$c->tls;
$c->cmd('QUIT', qr/^221/);

# Renewed: no worker can read the new key, each serves it.
my ($status, $text) = $p->tool('posthouse', 'selfsign', '-f', '-n', 'mail.example.test', "$d/tls/cert.pem", "$d/tls/key.pem");
is $status, 0, 'a new pair' or diag $text;
my ($new) = Posthouse::slurp("$d/tls/cert.pem") =~ /(-----BEGIN.*-----END CERTIFICATE-----)/s;
for my $o ([2993], [2025, '-starttls', 'smtp']) {
	ok $p->wait_until('the new certificate', sub { fingerprint($p, @$o) eq $new }), "served on port $o->[0]";
}

# Who may read the copies.
for my $o ([ 'queue/tls', 190 ], [ 'queue/login/tls', 191 ]) {
	my @st = stat "$d/$o->[0]";
	is sprintf('%04o %d %d', $st[2] & 07777, @st[4, 5]), "0750 0 $o->[1]", $o->[0];
	for my $file (glob "$d/$o->[0]/*") {
		@st = stat $file;
		is sprintf('%04o %d %d', $st[2] & 07777, @st[4, 5]), "0440 0 $o->[1]", $file =~ s{.*/}{}r;
	}
}
($status, $text) = $p->tool('posthouse', 'check');
unlike $text, qr/^tls: (error|warning)/m, 'check is content';
done_testing;
