#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The way a book teaches to set up a mail server, step by step on a machine of its own (namespaces; /usr, /etc and /var are
# overlays): make install, make users, five lines of main.cf and Dovecot's four, a system user with a password, a directory;
# then mail from a client of the network, read over POP3 and IMAP with the password of the system.
use strict;
use warnings;
use Test::More;
use POSIX ();
use Posthouse;
use Sandbox;

Posthouse::need(qw(swaks curl useradd chpasswd make su hostname dnsmasq));
Sandbox::enter();
Sandbox::overlay('/usr', '/etc', '/var', '/home') or Posthouse::skip('the kernel has no overlay file system');
my ($mode) = $Posthouse::BIN =~ m{/build/(\w+)/bin$};
my ($server, $client) = ('192.168.10.10', '192.168.10.20');
# The client is another machine: a network namespace at the other end of a wire.
my $machine = fork // die;
exec 'unshare', '-n', 'sleep', 600 if !$machine;
Posthouse->wait_until('the other machine', sub { readlink("/proc/$machine/ns/net") ne readlink('/proc/self/ns/net') });
my @there = ('nsenter', '-t', $machine, '-n');
Sandbox::do_or_die(split / /) for 'ip link add server type veth peer name client', "ip address add $server/24 dev server",
	'ip link set server up', "ip link set client netns $machine", "@there ip address add $client/24 dev client",
	"@there ip link set client up", "@there ip link set lo up";

sub sh { my ($cmd) = @_; return Posthouse::run('sh', '-c', $cmd) }

sub good {
	my ($name, $cmd) = @_;
	my ($status, $text) = sh($cmd);
	is $status, 0, $name or diag $text;
	return $text;
}

# 1. The name of the host.
good('host name', 'hostname mail.linuxprobe.com && echo mail.linuxprobe.com >/etc/hostname');
Posthouse::append_file('/etc/hosts', "\n$server mail.linuxprobe.com mail\n$client pc20.linuxprobe.com\n");

# A name server that knows /etc/hosts, and that there is nothing else.
Posthouse::write_file('/etc/resolv.conf', "nameserver 127.0.0.1\n");
my $names = fork // die;
exec 'dnsmasq', '--keep-in-foreground', '--no-resolv', '--conf-file=/dev/null', '--listen-address=127.0.0.1', '--bind-interfaces',
	'--local=/#/', '--pid-file=', '--user=root', '--log-facility=/dev/null' if !$names;

# 2. The software. A mail system that the distribution brought is not in the way: it does not run.
good('make install', "make -s -C $Posthouse::TOP MODE=$mode install");
good('make users', "make -s -C $Posthouse::TOP MODE=$mode users");
good('make install again keeps settings', "echo '# mine' >>/etc/posthouse/main.cf && make -s -C $Posthouse::TOP MODE=$mode install"
	. ' && grep -q "^# mine" /etc/posthouse/main.cf');
ok -x "/usr/lib/posthouse/$_", "$_ is there" for qw(master smtpd qmgr smtp local bounce login auth imapd pop3d);
ok -x "/usr/sbin/$_", "$_ is there" for qw(sendmail posthouse postqueue postsuper postcat postconf postmap postalias);
like good('manual', 'man -w posthouse 2>/dev/null || ls /usr/share/man/man8/posthouse.8'), qr/posthouse/, 'manual page is found';
SKIP: {
	skip 'no systemd-analyze', 1 if !-x '/usr/bin/systemd-analyze';
	my ($status, $text) = sh('systemd-analyze verify --man=no /lib/systemd/system/posthouse.service 2>&1');
	unlike $text, qr/posthouse\.service:.*(Unknown|Failed|Invalid|not executable|missing)/i, 'the unit is understood';
}

Posthouse::append_file('/etc/posthouse/main.cf', <<'END');
myhostname = mail.linuxprobe.com
mydomain = linuxprobe.com
myorigin = $mydomain
inet_interfaces = all
mydestination = $myhostname, $mydomain
# Dovecot's
protocols = imap pop3 lmtp
disable_plaintext_auth = no
login_trusted_networks = 192.168.10.0/24
mail_location = mbox:~/mail:INBOX=/var/mail/%u
# for this test: no waiting, a log to read
auth_failure_delay = 0
maillog_file = /var/log/posthouse.log
END
is good('postconf', 'postconf -h myorigin mydestination'), "\$mydomain\n\$myhostname, \$mydomain\n", 'the settings are read';

# The account.
good('useradd', 'useradd -m -s /bin/sh liuchuan');
good('passwd', 'echo liuchuan:linuxprobe | chpasswd');
like Posthouse::slurp('/etc/shadow'), qr/^liuchuan:\$y\$/m, 'the password is kept by yescrypt';
good('the directory of the book', 'su - liuchuan -c "mkdir -p mail/.imap/INBOX"');

my ($status, $text) = sh('posthouse check');
is $status, 0, 'posthouse check' or diag $text;
good('start', 'posthouse start');

my $log = sub { Posthouse::slurp('/var/log/posthouse.log') };
sub wait_for { my ($what, $condition) = @_; return Posthouse->wait_until($what, $condition) }

# 3. A client of the network sends, and reads.
sub swaks {
	my (@args) = @_;
	return Posthouse::run(@there, 'swaks', '--server', $server, '--port', 25, '--helo', 'pc20.linuxprobe.com',
		'--from', 'boss@linuxprobe.com', @args);
}

($status, $text) = swaks('--to', 'liuchuan@linuxprobe.com', '--header', 'Subject: the first letter', '--body', 'Hello');
is $status, 0, 'a letter from the network is taken' or diag $text;
like $text, qr/220 mail\.linuxprobe\.com ESMTP/, 'the greeting has the name';
wait_for('the delivery', sub { $log->() =~ /to=<liuchuan\@linuxprobe\.com>.*status=sent/ });
my @st = stat '/var/mail/liuchuan';
is $st[4], scalar(getpwnam 'liuchuan'), 'the mailbox is his';
is $st[2] & 0007, 0, 'and nobody else reads it';

my $curl = "@there curl -sS --max-time 20 -u liuchuan:linuxprobe";
like good('POP3', "$curl pop3://$server/1"), qr/^Subject: the first letter\r?$/m, 'read over POP3 with the system password';
like good('IMAP', "$curl 'imap://$server/INBOX;MAILINDEX=1'"), qr/^Subject: the first letter\r?$/m, 'read over IMAP';
like good('folders', "$curl 'imap://$server/' -X 'LIST \"\" *'"), qr/INBOX/, 'folders are listed';
unlike good('folders again', "$curl 'imap://$server/' -X 'LIST \"\" *'"), qr/\.imap/, 'the index directory is not a folder';
good('a folder', "$curl imap://$server/ -X 'CREATE Sent'");
good('a letter into it', "printf 'Subject: kept\\r\\n\\r\\nx\\r\\n' >/etc/letter && $curl imap://$server/Sent -T /etc/letter");
ok -s '/home/liuchuan/mail/Sent', 'it is a file in ~/mail';
is +(stat _)[4], scalar(getpwnam 'liuchuan'), 'and his';
isnt +(sh("@there curl -sS -u liuchuan:wrong pop3://$server/"))[0], 0, 'a wrong password is refused';
isnt +(sh("@there curl -sS -u root:linuxprobe imap://$server/"))[0], 0, 'and so is root';

# Who is who while sessions are open.
my %conn = map { $_ => IO::Socket::INET->new(PeerAddr => $server, PeerPort => $_) } 25, 110, 143;
$_->autoflush(1), scalar <$_> for values %conn;
print { $conn{143} } "a LOGIN liuchuan linuxprobe\r\n";
while (readline $conn{143}) { last if /^a / }
print { $conn{110} } "USER liuchuan\r\nPASS linuxprobe\r\n";
readline $conn{110} for 1 .. 2;
my $user = join ' ', (scalar getpwnam 'liuchuan') x 4;
my %uid = map { $_ => join ' ', (scalar getpwnam $_) x 4 } qw(posthouse postlogin);
my %want = (master => '0 0 0 0', qmgr => $uid{posthouse}, smtpd => $uid{posthouse}, login => $uid{postlogin}, auth => '0 0 0 0',
	local => '0 0 0 0');
my %seen;
for my $dir (glob '/proc/[0-9]*') {
	my ($name) = (readlink("$dir/exe") || '') =~ m{^/usr/lib/posthouse/(\w+)} or next;
	my ($uids) = Posthouse::slurp("$dir/status") =~ /^Uid:\t(.*)$/m;
	$uids =~ tr/\t/ /;
	$seen{$name}{$uids} = 1;
	my $caps = Posthouse::slurp("$dir/status") =~ /^CapEff:\t0+$/m;
	ok $caps, "$name ($uids) has no capabilities" unless $uids =~ /^0 /;
	isnt readlink("$dir/root"), '/', 'login is in a jail' if $name eq 'login';
}
is join(', ', sort keys %{ $seen{$_} }), $want{$_}, "$_ runs as it should" for sort keys %want;
for my $name (qw(imapd pop3d)) {
	ok $seen{$name}{$user}, "$name runs as the user";
	is join(', ', grep { $_ ne $user && $_ ne '0 0 0 0' } sort keys %{ $seen{$name} }), '', "$name: as nobody else";
}
close $_ for values %conn;

# Who may relay: this machine, by default, and nobody else.
($status, $text) = swaks('--to', 'who@elsewhere.test');
like $text, qr/<\*\* 4?5?54 .*Relay access denied/, 'the network may not relay by default';
Posthouse::append_file('/etc/posthouse/main.cf', "mynetworks = 127.0.0.0/8 192.168.10.0/24\n");
good('reload', 'posthouse reload');
($status, $text) = swaks('--to', 'who@elsewhere.test', '--quit-after', 'RCPT');
is $status, 0, 'with mynetworks it may' or diag $text;
($status, $text) = swaks('--to', 'nobody-here@linuxprobe.com');
like $text, qr/550 5\.1\.1 .*User unknown in local recipient table/, 'unknown users are refused';

# A command on the machine: addresses get the domain of myorigin; localhost is not ours in the book's mydestination.
good('sendmail', 'printf "Subject: from the shell\n\nx\n" | su - liuchuan -c "/usr/sbin/sendmail liuchuan"');
wait_for('that letter', sub { $log->() =~ /to=<liuchuan\@linuxprobe\.com>.*status=sent/s && Posthouse::slurp('/var/mail/liuchuan') =~ /from the shell/ });
like Posthouse::slurp('/var/mail/liuchuan'), qr/^Return-Path: <liuchuan\@linuxprobe\.com>$/m, 'the sender has the domain';
like Posthouse::slurp('/var/mail/liuchuan'), qr/^Received: by mail\.linuxprobe\.com \(Posthouse, from userid \d+\)/m, 'and is known';
good('to root@localhost', 'printf "Subject: y\n\nx\n" | su - liuchuan -c "/usr/sbin/sendmail root@localhost"');
wait_for('its fate', sub { $log->() =~ /to=<root\@localhost>.*status=(bounced|deferred)/ });
like $log->(), qr/to=<root\@localhost>.*status=deferred \(mail for localhost loops back to myself: .*mydestination/, 'root@localhost does not loop, and the reason names the setting';
like good('mailq', '/usr/bin/mailq'), qr/Mail queue is empty|Request/, 'mailq answers';

# A service less.
Posthouse::append_file('/etc/posthouse/main.cf', "protocols = imap\n");
good('reload', 'posthouse reload');
is +(sh("@there curl -sS --max-time 5 pop3://$server/"))[0], 7, 'without pop3 in protocols port 110 is closed';
good('IMAP goes on', "$curl imap://$server/ -X NOOP");

# An account that is locked.
good('passwd -l', 'passwd -l liuchuan');
isnt +(sh("$curl imap://$server/ -X NOOP"))[0], 0, 'a locked account is refused';

good('stop', 'posthouse stop');
kill 'TERM', $machine, $names;
is scalar(grep { (readlink("$_/exe") || '') =~ m{^/usr/lib/posthouse/} } glob '/proc/[0-9]*'), 0, 'nobody is left';
unlike $log->(), qr/panic|fatal|Sanitizer/, 'no panic in the log';
diag $log->() if !Test::More->builder->is_passing;
done_testing;
