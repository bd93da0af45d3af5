# SPDX-License-Identifier: BSD-2-Clause
#
# Root in a world of its own: the script starts again in private mount, process, host name and network namespaces, with a user
# database that is a copy, an empty /var/mail, and only a loopback interface. What it mounts, starts and adds goes with it.
#
#	use Sandbox;
#	Sandbox::enter();               # or the test is left out: not root, or no namespaces here
#	Sandbox::users('posthouse:x:20701:20701::/:/bin/false', ...);   # lines for passwd; a group of the same name each
#	Sandbox::groups('postdrop:x:20703:');
#	Sandbox::cover('/etc/posthouse', '/var/spool');                 # empty directories in place of these
#	Sandbox::overlay('/usr', '/etc', '/var');                       # what is written there is gone afterwards
package Sandbox;
use strict;
use warnings;
use File::Temp qw(tempdir);
use POSIX ();
use Posthouse;

our $root;

sub do_or_die { system(@_) == 0 or die "@_: failed\n" }

sub enter {
	my (%o) = @_;
	if (!$ENV{IN_SANDBOX}) {
		Posthouse::skip('needs root') if $>;
		Posthouse::need('unshare', 'ip', 'mount');
		Posthouse::skip('needs namespaces') if system 'unshare -mpnu --fork --mount-proc true 2>/dev/null';
		$ENV{IN_SANDBOX} = 1;
		$ENV{SANDBOX_DIR} = tempdir('sandbox-XXXXXX', TMPDIR => 1);
		# --kill-child: when the test is killed, everything in it is.
		my @lib = $INC{'Posthouse.pm'} =~ m{^(.*)/} ? "-I$1" : ();
		system 'unshare', '-mpnu', '--fork', '--kill-child', '--mount-proc', $^X, @lib, $0, @ARGV;
		my $status = $? >> 8 || $? & 127;
		system 'rm', '-rf', $ENV{SANDBOX_DIR};
		POSIX::_exit($status);
	}
	be_init();
	# What is mounted below it goes with the namespace; the empty directory is removed from outside, or is the caller's.
	$root = $o{dir} || $ENV{SANDBOX_DIR};
	chmod 0755, $root;
	do_or_die(qw(ip link set lo up));
	do_or_die('mkdir', '-p', "$root/etc", "$root/cover");
	for my $f (grep { -e "/etc/$_" } qw(passwd group shadow gshadow aliases)) {
		do_or_die('cp', '-p', "/etc/$f", "$root/etc/$f");
		do_or_die('mount', '--bind', "$root/etc/$f", "/etc/$f");
	}
	cover('/var/mail');
	chmod 02775, '/var/mail';
	chown 0, (getgrnam 'mail')[2] // 8, '/var/mail';
}

# Daemons become children of process 1: it has to wait for them, or they stay for ever as zombies. The test goes on in a child.
sub be_init {
	my $test = fork // die "fork: $!";
	return unless $test;
	my $status = 0;
	while ((my $pid = wait) > 0) {
		next unless $pid == $test;
		$status = $? >> 8 || $? & 127;
		last;
	}
	POSIX::_exit($status);
}

my $covered = 0;

sub cover {
	for my $dir (@_) {
		my $own = "$root/cover/" . ++$covered;
		do_or_die('mkdir', '-p', $own, $dir);
		chmod 0755, $own;
		do_or_die('mount', '--bind', $own, $dir);
	}
}

# False when the kernel has no overlay file system.
sub overlay {
	my (@dirs) = @_;
	if (!-d "$root/overlay") {
		do_or_die('mkdir', "$root/overlay");
		do_or_die(qw(mount -t tmpfs tmpfs), "$root/overlay"); # an overlay does not go on top of another one
	}
	for my $dir (@dirs) {
		my $own = "$root/overlay/" . ++$covered;
		do_or_die('mkdir', '-p', "$own/upper", "$own/work");
		return 0 if system 'mount', '-t', 'overlay', 'overlay', '-o', "lowerdir=$dir,upperdir=$own/upper,workdir=$own/work", $dir;
	}
	return 1;
}

sub groups { Posthouse::append_file('/etc/group', join '', map { "$_\n" } @_) }

sub users {
	Posthouse::append_file('/etc/passwd', join '', map { "$_\n" } @_);
	groups(map { my @f = split /:/; "$f[0]:x:$f[3]:" } @_);
}

1;
