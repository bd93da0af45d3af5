# SPDX-License-Identifier: BSD-2-Clause
#
# Posthouse beside Postfix for benches: privileged and durable, with the same settings, users and certificates, each logging to a
# file; and t/bench/source as the client of both.
#
#	BenchSmtp::enter(users => 100);                        # root in a Sandbox, as Bench::enter; user0 .. user99 of the system
#	my %system = BenchSmtp::systems(settings => {});       # Posthouse and, unless no_postfix, Postfix: not yet started
#	my %said = BenchSmtp::source($system{Posthouse}, '-m', 100);    # what source says of itself, by name
#	my $calls = BenchSmtp::count_calls($p, sub { ... });   # system calls of all its processes; undef: cannot be counted
#
# Port 25 has STARTTLS, and $TLS_PORT TLS from the first byte, with an ECDSA certificate and an RSA one.
package BenchSmtp;
use strict;
use warnings;
use Bench;
use List::Util qw(sum);
use POSIX ();
use Posthouse;
use Postfix;
use Sandbox;

our %address = (Posthouse => '127.0.0.2', Postfix => '127.0.0.3', sink => '127.0.0.4');
our $TLS_PORT = 10465;
my $dir;

sub enter {
	my (%o) = @_;
	Bench::enter();
	$dir = $Bench::dir;
	Sandbox::groups('postdrop:x:20703:') unless getgrnam 'postdrop';
	Sandbox::users(map { sprintf 'user%d:x:%d:%d::%s/home/user%d:/bin/sh', $_, 21000 + $_, 21000 + $_, $dir, $_ } 0 .. $o{users} - 1);
	for my $n (0 .. $o{users} - 1) {
		Sandbox::do_or_die('mkdir', '-p', "$dir/home/user$n");
		chown 21000 + $n, 21000 + $n, "$dir/home/user$n";
	}
	certificate('ecdsa', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1');
	certificate('rsa', 'rsa:2048');
}

sub certificate {
	my ($kind, @newkey) = @_;
	my ($status, $text) = Posthouse::run('openssl', 'req', '-x509', '-nodes', '-days', 30, '-subj', '/CN=mail.bench.test', '-newkey', @newkey,
		'-keyout', "$dir/$kind.key", '-out', "$dir/$kind.pem");
	die "openssl: $text" if $status;
	chmod 0600, "$dir/$kind.key";
}

sub settings {
	return (myhostname => 'mail.bench.test', mydomain => 'bench.test', mydestination => '$mydomain', mynetworks => '127.0.0.0/8',
		inet_protocols => 'ipv4', alias_maps => '', alias_database => '', smtpd_tls_security_level => 'may',
		smtpd_tls_eccert_file => "$dir/ecdsa.pem", smtpd_tls_eckey_file => "$dir/ecdsa.key", smtpd_tls_cert_file => "$dir/rsa.pem",
		smtpd_tls_key_file => "$dir/rsa.key");
}

sub tls_service { my ($name) = @_; return "$address{$name}:$TLS_PORT inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n" }

sub mail_directory { my ($path) = @_; mkdir $path; chmod 01777, $path; return $path }

sub posthouse {
	my (%settings) = @_;
	my $p = Posthouse->new(address => $address{Posthouse}, services => tls_service('Posthouse'),
		main => { settings(), unprivileged_mode => 'no', userdb => 'passwd', passdb => 'shadow', mail_owner => 'posthouse',
			mail_spool_directory => mail_directory("$dir/posthouse-mail"), %settings });
	my $old = $p->dir;
	chmod 0755, $old, "$old/..";
	# Queue and data on the disk that is measured, made by the programs themselves.
	$p->set(queue_directory => "$dir/posthouse/queue", data_directory => "$dir/posthouse/data", maillog_file => "$dir/posthouse/maillog");
	Sandbox::do_or_die('mkdir', '-p', "$dir/posthouse");
	bless $p, 'Bench::Posthouse';
	$p->{log} = $p->maillog;
	$p->{mail} = "$dir/posthouse-mail";
	return $p;
}

# in_flow_delay pauses smtpd when mail comes faster than it is delivered; without it Postfix is faster here.
sub postfix {
	my (%settings) = @_;
	my $p = Postfix->new(dir => "$dir/postfix", address => $address{Postfix}, services => tls_service('Postfix'),
		main => { settings(), in_flow_delay => '0', %settings });
	$p->{log} = $p->maillog;
	$p->{mail} = "$dir/postfix/mail";
	return $p;
}

# settings: of both; ours, theirs: of one.
sub systems {
	my (%o) = @_;
	my %settings = %{ $o{settings} || {} };
	my %system = (Posthouse => posthouse(%settings, %{ $o{ours} || {} }));
	$system{Postfix} = postfix(%settings, %{ $o{theirs} || {} }) if !$o{no_postfix} && Postfix::installed();
	return %system;
}

sub source {
	my ($p, @options) = @_;
	my ($status, $text) = Posthouse::run("$Posthouse::TBIN/bench/source", '-a', $p->address, @options);
	die "source: $text" . $p->log_tail if $status;
	return $text =~ /(\w+) ([\d.]+)/g;
}

# --- figures --------------------------------------------------------------------------------------------------------------

# Who else works for it: another server, its auth.
sub masters { my ($p) = @_; return map { $_->pid } $p, @{ $p->{helpers} || [] } }

sub cpu_seconds { my ($p) = @_; return sum(map { Bench::cpu_seconds($_) } masters($p)) }

sub count_calls {
	my ($p, $code) = @_;
	my @family = map { keys %{ Bench::tree($_) } } masters($p);
	my $perf = open(my $said, '-|') // die "fork: $!";
	if ($perf == 0) {
		open STDERR, '>&', \*STDOUT;
		exec 'perf', 'stat', '-x,', '-e', 'raw_syscalls:sys_enter', '-p', join ',', @family or POSIX::_exit(1);
	}
	select undef, undef, undef, 0.5; # perf does not say when it has begun
	$code->();
	kill 'INT', $perf;
	my ($calls) = join('', <$said>) =~ /^(\d+),.*raw_syscalls/m;
	close $said;
	return $calls;
}

1;
