# SPDX-License-Identifier: BSD-2-Clause
#
# A real Postfix of the distribution as a peer, from a private configuration: own queue, own data, own log, own address.
# Needs root, because Postfix does. /etc/postfix is read by none of it and never written.
#
#	use Postfix;
#	Postfix::need();                                     # or the test is left out
#	my $pf = Postfix->new(address => '127.1.2.3', main => { relayhost => '[127.1.2.4]:2025' });
#	$pf->start;    $pf->wait_log(qr/status=sent/);    $pf->stop;
#
# new(): dir (default: a temporary one), address, port (25), main => { name => value }, services => lines for master.cf.
package Postfix;
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Posthouse;

our @ISA = qw(Posthouse); # the waits and the SMTP client
my @running;

sub need {
	Posthouse::skip('Postfix as a peer needs root') if $>;
	Posthouse::need('/usr/sbin/postfix');
}

sub installed { return -x '/usr/sbin/postfix' && -x '/usr/lib/postfix/sbin/master' }

sub new {
	my ($class, %o) = @_;
	my $root = $o{dir} || tempdir("postfix-$$-XXXXXX", TMPDIR => 1, CLEANUP => !$ENV{KEEP});
	my $self = bless { dir => $root, address => $o{address} || Posthouse::_address(), port => $o{port} || 25,
		logpos => 0, owner => $$ }, $class;
	my %main = (
		compatibility_level => '3.6',
		queue_directory => "$root/queue",
		data_directory => "$root/data",
		command_directory => '/usr/sbin',
		daemon_directory => '/usr/lib/postfix/sbin',
		mail_owner => 'postfix',
		setgid_group => 'postdrop',
		myhostname => 'postfix.example.net',
		mydomain => 'example.net',
		mydestination => '$myhostname, $mydomain, localhost',
		inet_interfaces => "loopback-only", # it must be an address of an interface; the service below binds its own
		inet_protocols => 'ipv4',
		mynetworks => '127.0.0.0/8',
		alias_maps => '',
		alias_database => '',
		biff => 'no',
		mail_spool_directory => "$root/mail",
		maillog_file => "$root/maillog",
		maillog_file_prefixes => $root,
		smtp_host_lookup => 'native',
		disable_dns_lookups => 'yes',
		%{ $o{main} || {} },
	);
	chmod 0755, $root;
	make_path("$root/queue", "$root/conf", "$root/mail");
	mkdir "$root/data", 0755;
	chown scalar(getpwnam 'postfix'), -1, "$root/data";
	chmod 01777, "$root/mail";
	Posthouse::write_file("$root/conf/main.cf", join '', map { "$_ = $main{$_}\n" } sort keys %main);
	Posthouse::write_file("$root/conf/master.cf", <<END . ($o{services} || ''));
$self->{address}:$self->{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
tlsmgr unix - - n 1000? 1 tlsmgr
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
END
	push @running, $self;
	return $self;
}

sub dir { "$_[0]{dir}/conf" }
sub address { $_[0]{address} }
sub maillog { "$_[0]{dir}/maillog" }
sub mailbox { "$_[0]{dir}/mail/$_[1]" }
sub port { $_[1] eq 'smtp' ? $_[0]{port} : $_[1] }

sub pid {
	my ($self) = @_;
	my ($pid) = Posthouse::slurp("$self->{dir}/queue/pid/master.pid") =~ /(\d+)/;
	return $pid && kill(0, $pid) ? $pid : 0;
}

sub command {
	my ($self, $what) = @_;
	my ($status, $text) = Posthouse::run('/usr/sbin/postfix', '-c', $self->dir, $what);
	die "postfix $what: $text" . Posthouse::slurp($self->maillog) if $status;
}

sub start {
	my ($self) = @_;
	$self->command('start');
	$self->wait_log(qr/daemon started/);
	return $self;
}

sub stop {
	my ($self) = @_;
	my $pid = $self->pid or return;
	$self->command('stop');
	$self->wait_until('the end of Postfix', sub { !kill 0, $pid });
}

END {
	my $status = $?;
	for my $p (grep { $_->{owner} == $$ } @running) {
		eval { local $Posthouse::TIMEOUT = 10; $p->stop };
		my $pid = $p->pid;
		kill 'TERM', $pid if $pid;
	}
	$? = $status;
}

1;
