# SPDX-License-Identifier: BSD-2-Clause
#
# What the benches share: figures of processes and machine, and Posthouse beside Dovecot with the same users and mailboxes.
#
#	use Bench;
#	Bench::enter();                         # root in a Sandbox, in a directory of BENCH_DIR (var/bench), on a real disk
#	Bench::users(100);                      # user0 .. user99 of the system, all with the password "secret"
#	my %system = Bench::mail_servers(letters => 10);   # Posthouse and, unless no_dovecot, Dovecot: not yet started
#	Bench::leave();
package Bench;
use strict;
use warnings;
use Dovecot;
use POSIX qw(sysconf _SC_CLK_TCK);
use Posthouse;
use Sandbox;

our $dir;
our $nusers = 0;
my $HASH = crypt('secret', '$6$benchbench'); # 5,000 rounds of SHA-512

sub enter {
	if ($>) {
		print "$0 needs root: it makes users in a namespace of its own\n";
		exit 77;
	}
	$dir = $ENV{BENCH_DIR} || "$Posthouse::TOP/var/bench";
	$ENV{BENCH_DIR} = $dir = "$dir/$$" unless $ENV{IN_SANDBOX};
	Sandbox::do_or_die('mkdir', '-p', $dir);
	Sandbox::enter(dir => $dir);
	STDOUT->autoflush(1);
	$Posthouse::TIMEOUT = 300;
	Sandbox::users('posthouse:x:20701:20701::/:/bin/false', 'postlogin:x:20702:20702::/:/bin/false');
}

sub leave { system 'rm', '-rf', $dir unless $ENV{KEEP} }

sub users {
	my ($n) = @_;
	$nusers = $n;
	Sandbox::users(map { sprintf 'user%d:x:%d:%d::%s/home/user%d:/bin/sh', $_, 21000 + $_, 21000 + $_, $dir, $_ } 0 .. $n - 1);
	for my $u (0 .. $n - 1) {
		for my $home ("$dir/home/user$u", "$dir/dovecot-home/user$u") {
			Sandbox::do_or_die('mkdir', '-p', $home);
			chown 21000 + $u, 21000 + $u, $home;
		}
	}
	Posthouse::write_file("$dir/passwords", join '', map { sprintf "user%d:{SHA512-CRYPT}%s:%d:%d::%s/home/user%d:/bin/sh:\n", $_,
		$HASH, 21000 + $_, 21000 + $_, $dir, $_ } 0 .. $n - 1);
}

# The same letters in each user's mbox of both systems.
sub mailboxes {
	my ($where, $letters) = @_;
	my $text = join '', map { "From x\@bench.test Tue Jan  2 03:04:05 2024\nFrom: <x\@bench.test>\nSubject: letter $_\nMessage-ID: <"
		. "$_\@bench.test>\n\n" . "It is raining, and there is no news of the horses from the other side.\n" x 57 . "\n" } 1 .. $letters;
	mkdir $where;
	chmod 01777, $where;
	for my $u (0 .. $nusers - 1) {
		Posthouse::write_file("$where/user$u", $text);
		chown 21000 + $u, 21000 + $u, "$where/user$u";
		chmod 0600, "$where/user$u";
	}
	return $where;
}

sub posthouse {
	my (%o) = @_;
	my $p = Posthouse->new(address => '127.0.0.2', main => { unprivileged_mode => 'no', userdb => 'passwd',
		passdb => "passwd-file:$dir/passwords", mail_owner => 'posthouse', mail_max_userip_connections => 0,
		mail_location => "mbox:~/mail:INBOX=" . mailboxes("$dir/posthouse-mail", $o{letters}) . '/%u' , %{ $o{main} || {} } });
	chmod 0755, $p->dir, $p->dir . '/..';
	$p->set(queue_directory => "$dir/posthouse/queue", data_directory => "$dir/posthouse/data", maillog_file => "$dir/posthouse/maillog");
	Sandbox::do_or_die('mkdir', '-p', "$dir/posthouse"); # what is in it, the programs make
	bless $p, 'Bench::Posthouse';
	@Posthouse::PORT{qw(imap pop3)} = (143, 110);
	return $p;
}

sub dovecot {
	my (%o) = @_;
	return Dovecot->new(dir => "$dir/dovecot", address => '127.0.0.3', passwords => "$dir/passwords",
		location => "mbox:$dir/dovecot-home/%u/mail:INBOX=" . mailboxes("$dir/dovecot-mail", $o{letters}) . '/%u',
		settings => "mail_max_userip_connections = 0\n" . ($o{settings} || ''));
}

sub mail_servers {
	my (%o) = @_;
	my %system = (Posthouse => posthouse(%o));
	$system{Dovecot} = dovecot(%o) if !$o{no_dovecot} && Dovecot::installed();
	return %system;
}

# --- figures --------------------------------------------------------------------------------------------------------------

# A process and its descendants: pid => [fields of /proc/PID/stat].
sub tree {
	my ($pid) = @_;
	my (%children, %stat, %tree);
	for my $path (glob '/proc/[0-9]*/stat') {
		my @f = split ' ', Posthouse::slurp($path) =~ s/^(\d+) \(.*\)/$1 x/r;
		next unless @f > 16;
		push @{ $children{ $f[3] } }, $f[0];
		$stat{ $f[0] } = \@f;
	}
	my @todo = ($pid);
	while (defined(my $one = shift @todo)) {
		$tree{$one} = $stat{$one} if $stat{$one};
		push @todo, @{ $children{$one} || [] };
	}
	return \%tree;
}

# User and system seconds of a process, its living descendants, and all of theirs that have ended.
sub cpu_seconds {
	my ($pid) = @_;
	my ($sum, $tree) = (0, tree($pid));
	$sum += $_->[13] + $_->[14] + $_->[15] + $_->[16] for values %$tree;
	return $sum / sysconf(_SC_CLK_TCK);
}

# MemAvailable in kB. Others work on the machine, too: the largest of several looks.
sub mem_available {
	my $most = 0;
	for (1 .. 10) {
		my ($kb) = Posthouse::slurp('/proc/meminfo') =~ /^MemAvailable:\s+(\d+)/m;
		$most = $kb if $kb > $most;
		select undef, undef, undef, 0.1;
	}
	return $most;
}

sub median { my @s = sort { $a <=> $b } @_; return $s[ @s / 2 ] }

package Bench::Posthouse;
our @ISA = qw(Posthouse);

sub maillog { "$Bench::dir/posthouse/maillog" }
sub pid { my ($pid) = Posthouse::slurp("$Bench::dir/posthouse/data/master.lock") =~ /(\d+)/; return $pid && kill(0, $pid) ? $pid : 0 }

1;
