#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# As root, with the system's users: shadow and PAM, locked and expired accounts, who runs as whom. In name spaces of its own, over
# copies of /etc/passwd, group, shadow and pam.d.
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
my $salt = 'saltsaltsalt';
my $day = int(time / 86400);
my %hash = (
	yescrypt => crypt('pw yescrypt', "\$y\$j9T\$$salt\$"),
	sha512 => crypt('pw sha512', "\$6\$$salt\$"),
	sha256 => crypt('pw sha256', "\$5\$$salt\$"),
	md5 => crypt('pw md5', "\$1\$saltsalt\$"),
	bcrypt => crypt('pw bcrypt', '$2b$05$saltsaltsaltsaltsaltsu'),
);
my @users = (    # name, uid, password field, last change, maximal age, account expires
	(map { [ $_, 0, $hash{$_}, $day, 99999, '' ] } sort keys %hash),
	[ 'locked', 0, "!$hash{sha512}", $day, 99999, '' ],
	[ 'star', 0, '*', $day, 99999, '' ],
	[ 'empty', 0, '', $day, 99999, '' ],
	[ 'gone', 0, $hash{sha512}, $day, 99999, $day - 1 ],
	[ 'never', 0, $hash{sha512}, $day, 99999, 0 ],
	[ 'aged', 0, $hash{sha512}, $day - 100, 30, '' ],
	[ 'mustchange', 0, $hash{sha512}, 0, 99999, '' ],
	[ 'fresh', 0, $hash{sha512}, $day - 10, 30, $day + 10 ],
	[ 'system', 200, $hash{sha512}, $day, 99999, '' ],
	[ 'toor', -1, $hash{sha512}, $day, 99999, '' ],
);
my $passwd = Posthouse::slurp('/etc/passwd') . "posthouse:x:190:190::/:/bin/false\npostlogin:x:191:191::/:/bin/false\n";
my $shadow = Posthouse::slurp('/etc/shadow');
my $group = Posthouse::slurp('/etc/group') =~ s/^mail:.*\n//mr;
$group .= "mail:x:8:\nposthouse:x:190:\npostlogin:x:191:\nfriends:x:4444:yescrypt\n";
my $uid = 54000;
mkdir "$etc/home";
chmod 0755, $etc, "$etc/home";
for my $u (@users) {
	my ($name, $id, $field, $change, $max, $expire) = @$u;
	$id = $id > 0 ? $id : $id < 0 ? 0 : ++$uid;
	$passwd .= "$name:x:$id:$id\::$etc/home/$name:/bin/sh\n";
	mkdir "$etc/home/$name", 0700;
	chown $id, $id, "$etc/home/$name";
	$shadow .= "$name:$field:$change:0:$max:7::$expire:\n";
}
Posthouse::write_file("$etc/passwd", $passwd);
Posthouse::write_file("$etc/shadow", $shadow);
Posthouse::write_file("$etc/group", $group);
system("cp -a /etc/pam.d $etc/pam.d") == 0 or die 'cp';
Posthouse::write_file("$etc/pam.d/posthousetest", "auth required pam_unix.so\naccount required pam_unix.so\n");
chmod 0644, "$etc/passwd", "$etc/group";
system('mount', '--bind', "$etc/$_", "/etc/$_") == 0 or die "mount $_" for qw(passwd shadow group pam.d);
system('ip link set lo up') == 0 or die 'ip';

my $p = Posthouse->new(programs => ['userecho'], main => {
	unprivileged_mode => 'no', auth_failure_delay => '10ms', auth_verbose => 'yes', passdb => 'shadow', userdb => 'passwd',
	mail_location => "mbox:~/mail:INBOX=$etc/spool/%u", pam_service_name => 'posthousetest',
}, master => <<'END');
2143 inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 userecho
2110 inet n - y - - login -P pop3
pop3 unix - n - - 1 pop3d
END
chmod 0755, $p->dir, $p->dir . '/..';
rmdir $p->dir . "/$_" or die for qw(queue data); # master makes them as they have to be
$p->start;

sub login {
	my ($user, $password, $re) = @_;
	my $c = $p->connect(2143);
	$c->expect(qr/^\* OK/);
	$c->send("t LOGIN $user \"$password\"");
	my %got = $c->expect($re) =~ /(\w+)=(\S*)/g;
	return ($c, \%got);
}
my ($no, $expired) = (qr/^t NO \[AUTHENTICATIONFAILED\] Authentication failed\.$/, qr/^t NO \[CONTACTADMIN\]/);

sub common {
	my ($db) = @_;
	for my $name (sort keys %hash) {
		my (undef, $got) = login($name, "pw $name", qr/^t OK/);
		is $got->{uid}, scalar(getpwnam $name), "$db: $name";
		login($name, "pw $name ", $no);
	}
	login($_, 'pw sha512', $no), pass "$db: $_ is refused" for qw(locked star empty nobody);
	login('empty', '', $no);
	login($_, 'pw sha512', $expired), pass "$db: $_ is refused as expired" for qw(gone never mustchange);
	login($_, 'wrong', $no), pass "$db: but not told to strangers" for qw(gone aged mustchange);
	login('fresh', 'pw sha512', qr/^t OK/);
	login($_, 'pw sha512', $no), pass "$db: $_ is below first_valid_uid" for qw(system toor);
}

common('shadow');
login('aged', 'pw sha512', $expired);
$p->wait_log(qr/auth: shadow\(nobody,127\.0\.0\.1\): Password mismatch|unknown user/, from => 0);
$p->wait_log(qr/auth: shadow\(locked,127\.0\.0\.1\): Password mismatch/, from => 0);
$p->wait_log(qr/system\(127\.0\.0\.1\): uid 200 is below first_valid_uid/, from => 0);

# Who is who.
my ($c, $got) = login('yescrypt', 'pw yescrypt', qr/^t OK/);
is join(',', sort { $a <=> $b } split /,/, $got->{groups}), join(',', 8, 4444, (getpwnam 'yescrypt')[3]), 'his groups, and mail';
my %status = map { /^(\w+):\s+(.*)/ ? ($1, $2) : () } split /\n/, Posthouse::slurp("/proc/$got->{pid}/status");
my $me = getpwnam 'yescrypt';
is $status{Uid}, "$me\t$me\t$me\t$me", 'his process is all his';
is $status{CapPrm} . $status{CapEff}, '0' x 32, 'without capabilities';
is $status{NoNewPrivs}, 1, 'and can get none';
my ($d, $other) = login('sha256', 'pw sha256', qr/^t OK/);
my @sockets = grep { /socket:/ } map { readlink } glob "/proc/$other->{pid}/fd/*";
is scalar(@sockets), 2, 'a process holds its own sockets only: the pair and the client';
for my $process ($p->processes) {
	my ($pid, $program) = @$process;
	next unless $program eq 'login';
	my %s = map { /^(\w+):\s+(.*)/ ? ($1, $2) : () } split /\n/, Posthouse::slurp("/proc/$pid/status");
	is $s{Uid}, "191\t191\t191\t191", 'login is nobody';
	is readlink("/proc/$pid/root"), $p->dir . '/queue/login', 'in its jail';
}

# A mailbox in the spool: his own file, locked with the help of the group mail.
mkdir "$etc/spool";
chown 0, 8, "$etc/spool";
chmod 02775, "$etc/spool";
for my $name ('md5', 'sha512') {
	Posthouse::write_file("$etc/spool/$name", "From x Thu Jan  1 00:00:00 2026\nSubject: for $name\n\nhello\n\n" x 2);
	chown scalar(getpwnam $name), 8, "$etc/spool/$name";
	chmod 0660, "$etc/spool/$name";
}
for my $name ('md5', 'sha512') {
	my $pop = $p->connect(2110);
	$pop->expect(qr/^\+OK/);
	$pop->cmd1("USER $name", qr/^\+OK/);
	$pop->cmd1("PASS pw $name", qr/^\+OK/);
	is_deeply [ $pop->multi('RETR 1') ], [ "Subject: for $name", '', 'hello' ], "$name reads his mail";
	$pop->cmd1('DELE 1', qr/^\+OK/);
	$pop->cmd1('QUIT', qr/^\+OK Logging out, messages deleted/);
	my @st = stat "$etc/spool/$name";
	is sprintf('%d:%d %o', @st[ 4, 5 ], $st[2] & 07777), getpwnam($name) . ':8 660', "and his file stays his";
	is scalar(() = Posthouse::slurp("$etc/spool/$name") =~ /^From /mg), 1, 'with one message';
}
is_deeply [ glob "$etc/spool/*.lock" ], [], 'no lock is left';

# The same by PAM.
$p->set(passdb => 'pam');
$p->reload;
$p->wait_until('PAM', sub { eval { login('star', 'x', $no) }; $p->log_count(qr/auth: pam\(star/) });
common('pam');
my $said = qr/pam_authenticate\(\) failed: Authentication failure \(Password mismatch\?\)/;
$p->wait_log(qr/auth: pam\(md5,127\.0\.0\.1\): $said$/, from => 0);

# Two in turn: the second knows whom the first does not.
Posthouse::write_file("$etc/extra", "sha512:{PLAIN}second chance\n" . "toor:{PLAIN}root\n");
$p->set(passdb => "shadow, passwd-file:$etc/extra");
$p->reload;
$p->wait_until('both', sub { eval { login('sha512', 'second chance', qr/^t OK/) } });
login('sha512', 'pw sha512', qr/^t OK/);
login('toor', 'root', $no);
pass 'several in turn';
$p->stop;
done_testing;
