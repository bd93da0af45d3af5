# SPDX-License-Identifier: BSD-2-Clause
#
# A real Dovecot 2.3 of the distribution as a peer, from a private configuration: own directories, own log, own address. Its users
# are the system's (in a Sandbox), its passwords are in a passwd-file. Needs root. /etc/dovecot is read by none of it.
#
#	use Dovecot;
#	Dovecot::need();                                     # or the test is left out
#	my $d = Dovecot->new(address => '127.1.2.3', passwords => $file, location => 'mbox:~/mail:INBOX=/var/mail/%u');
#	$d->start;    $d->imap('alice', 'secret');    $d->stop;
#
# new(): dir (default: a temporary one), address, passwords (a passwd-file), location; settings => further text for dovecot.conf.
package Dovecot;
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Posthouse;

our @ISA = qw(Posthouse); # the waits and the clients
my @running;
my %port = (imap => 143, pop3 => 110);

sub need {
	Posthouse::skip('Dovecot as a peer needs root') if $>;
	Posthouse::need('/usr/sbin/dovecot', '/usr/lib/dovecot/imap', '/usr/lib/dovecot/pop3');
}

sub installed { return !grep { !-x } '/usr/sbin/dovecot', '/usr/lib/dovecot/imap', '/usr/lib/dovecot/pop3' }

sub new {
	my ($class, %o) = @_;
	my $root = $o{dir} || tempdir("dovecot-$$-XXXXXX", TMPDIR => 1, CLEANUP => !$ENV{KEEP});
	my $self = bless { dir => $root, address => $o{address} || Posthouse::_address(), logpos => 0, owner => $$ }, $class;
	make_path("$root/run", "$root/lib");
	chmod 0755, $root;
	Posthouse::write_file("$root/dovecot.conf", <<"END" . ($o{settings} || ''));
base_dir = $root/run
state_dir = $root/lib
log_path = $root/maillog
instance_name = $root
listen = $self->{address}
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
mail_location = $o{location}
mail_privileged_group = mail
first_valid_uid = 100
passdb {
  driver = passwd-file
  args = $o{passwords}
}
userdb {
  driver = passwd
}
namespace inbox {
  inbox = yes
}
END
	push @running, $self;
	return $self;
}

sub maillog { "$_[0]{dir}/maillog" }
sub port { $port{ $_[1] } || $_[1] }

sub pid {
	my ($self) = @_;
	my ($pid) = Posthouse::slurp("$self->{dir}/run/master.pid") =~ /(\d+)/;
	return $pid && kill(0, $pid) ? $pid : 0;
}

sub start {
	my ($self) = @_;
	system "/usr/sbin/dovecot -c $self->{dir}/dovecot.conf >$self->{dir}/start.out 2>&1 </dev/null"; # the daemon keeps them open
	die 'dovecot: ' . Posthouse::slurp("$self->{dir}/start.out") . Posthouse::slurp($self->maillog) if $?;
	$self->wait_log(qr/starting up/);
	return $self;
}

sub stop {
	my ($self) = @_;
	my $pid = $self->pid or return;
	kill 'TERM', $pid;
	$self->wait_until('the end of Dovecot', sub { !kill 0, $pid });
}

END {
	my $status = $?;
	for my $p (grep { $_->{owner} == $$ } @running) {
		eval { local $Posthouse::TIMEOUT = 10; $p->stop };
	}
	$? = $status;
}

1;
