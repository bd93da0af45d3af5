# SPDX-License-Identifier: BSD-2-Clause
#
# The same SMTP dialogues with us and with the Postfix of the distribution. Each case is a service of its own on both sides, with the
# same -o options; replies must be the same byte for byte, and so must what the log says of decisions, but for queue ids.
#
#	my $b = Beside->new(main => { ... }, ours => { ... }, theirs => { ... }, cases => [
#		[ 'what', { client => 'rules', recipient => 'rules', name => 'value' }, [ from => 'x@y.test', to => 'alice@example.test' ], ... ] ]);
#	$b->run;
#
# Options: the stages client, helo, sender, relay, recipient, data, end_of_data and etrn are smtpd_STAGE_restrictions; other names
# are parameters; delay is smtpd_delay_reject. A probe: client (address; default 127.77.0.2), greet (HELO name, undef: none), verb
# (HELO), from, to (address or [addresses]; undef: no such command), data => 1 (DATA, and content where it is asked for),
# more => [lines], auth => user, tls => options of IO::Socket::SSL.
# A probe with differs => 'reason' is one where we do better: replies must then differ, and `ours' must match ours.
package Beside;
use strict;
use warnings;
use IO::Socket::INET;
use MIME::Base64;
use Test::More;
use Posthouse;
use Postfix;

my %stage = map { $_ => "smtpd_${_}_restrictions" } qw(client helo sender relay recipient data end_of_data etrn);
my $PORT = 3000;

my %common = (
	myhostname => 'mail.example.test', mydomain => 'example.test', mydestination => '$myhostname, $mydomain, localhost', mynetworks => '127.78.0.0/16',
	smtpd_banner => '$myhostname ESMTP', local_recipient_maps => 'inline:{ alice=x, bob=x }', recipient_delimiter => '+',
	smtpd_error_sleep_time => '0', smtpd_hard_error_limit => 100, smtpd_soft_error_limit => 100, smtpd_client_connection_count_limit => 0,
	smtpd_policy_service_try_limit => 1, smtpd_policy_service_retry_delay => '1s', fast_flush_domains => '', smtpd_sasl_auth_enable => 'no',
);

sub services {
	my ($self, $address) = @_;
	my $text = '';
	for my $i (0 .. $#{ $self->{cases} }) {
		my %o = %{ $self->{cases}[$i][1] };
		my %set = (syslog_name => "postfix/c$i", smtpd_relay_restrictions => 'permit_auth_destination, reject');
		$set{ $stage{$_} || ($_ eq 'delay' ? 'smtpd_delay_reject' : $_) } = $o{$_} for keys %o;
		$text .= "$address:" . ($PORT + $i) . " inet n - n - - smtpd\n" . join '', map { "    -o { $_ = $set{$_} }\n" } sort keys %set;
	}
	return $text;
}

sub new {
	my ($class, %o) = @_;
	my $self = bless { cases => $o{cases} }, $class;
	my %main = (%common, %{ $o{main} || {} });
	$self->{pf} = Postfix->new(main => { %main, disable_dns_lookups => 'no', %{ $o{theirs} || {} } });
	Posthouse::append_file($self->{pf}->dir . '/master.cf', $self->services($self->{pf}->address));
	# A process for each case: where all of them look for leaks before they end, a busy machine needs a while.
	$self->{ph} = Posthouse->new(main => { %main, stop_timeout => '120s', %{ $o{ours} || {} } }, %{ $o{instance} || {} });
	Posthouse::append_file($self->{ph}->dir . '/main.cf', "inet_interfaces = " . ($o{interfaces} || $self->{ph}->address) . "\n");
	Posthouse::append_file($self->{ph}->dir . '/master.cf', $self->services($self->{ph}->address));
	return $self;
}

sub same { my ($text) = @_; $text =~ s/queued as \S+/queued as ID/; $text =~ s/(\[127\.[\d.]+\]):\d+/$1:PORT/g; return $text }

sub play {
	my ($self, $side, $port, %p) = @_;
	my $server = $self->{$side};
	my $sock = IO::Socket::INET->new(LocalAddr => $p{client} || '127.77.0.2', PeerAddr => $server->address, PeerPort => $port,
		Timeout => 20) or return ("connect: $@");
	my $c = Posthouse::Conn->new($sock);
	my @said;
	my @to = ref $p{to} ? @{ $p{to} } : defined $p{to} ? $p{to} : ();
	my $greet = exists $p{greet} ? $p{greet} : 'c.example';
	my @lines = (undef, defined $greet ? ($p{verb} || 'HELO') . " $greet" : (), defined $p{from} ? "MAIL FROM:<$p{from}>" : (),
		(map { "RCPT TO:<$_>" } @to), $p{data} ? 'DATA' : (), @{ $p{more} || [] }, 'QUIT');
	if ($p{tls}) { # the replies to EHLO are no restriction's; what counts begins behind STARTTLS
		my $ok = eval { $c->reply; $c->cmd('EHLO c.example', qr/STARTTLS/); $c->cmd('STARTTLS', qr/^220/); $c->tls(%{ $p{tls} }); 1 };
		return ("TLS: $@") unless $ok;
		@lines = ('EHLO c.example', @lines[2 .. $#lines]);
	}
	if ($p{auth}) {
		my $ok = eval {
			$c->reply;
			$c->cmd('EHLO c.example', qr/^250/);
			$c->cmd('AUTH PLAIN ' . encode_base64("\0$p{auth}\0" . $self->{ph}->password($p{auth}), ''), qr/^235/);
			1;
		};
		return ("AUTH: $@") unless $ok;
		@lines = @lines[2 .. $#lines]; # greeted already
	}
	while (@lines) {
		my $line = shift @lines;
		eval {
			$c->send($line) if defined $line;
			push @said, (defined $line ? "$line => " : '') . same($c->reply(qr/^/));
			$said[-1] =~ s/ => 250-.*/ => 250/s if $said[-1] =~ /^EHLO/; # what is offered is another matter
			unshift @lines, '.' if $said[-1] =~ /^DATA => 354/;
			1;
		} or do { push @said, 'closed'; last };
	}
	return @said;
}

# What the log says of decisions, in order, once the end of the last of so many sessions is there.
sub decisions {
	my ($self, $side, $i, $sessions) = @_;
	my $server = $self->{$side};
	my $mine = qr{ postfix/c$i/smtpd\[\d+\]: };
	$server->wait_until("the log of case $i", sub {
		(() = Posthouse::slurp($server->maillog) =~ m{${mine}disconnect from}g) >= $sessions }) if $sessions;
	return map { same($_) } map { s/^[0-9A-Za-z]{10,}:/ID:/; s/to=<[^>]*>, orig_to//; $_ }
		grep { !/^warning: / && /^\w+: (?:reject|reject_warning|warn|info|hold|discard|redirect|bcc|filter|permit): / }
		map { /$mine(.*)/ ? $1 : () } split /\n/, Posthouse::slurp($server->maillog);
}

sub name {
	my (%p) = @_;
	return join ' ', map { defined $p{$_} ? "$_=" . (ref $p{$_} eq 'ARRAY' ? join '|', @{ $p{$_} } : ref $p{$_} ? 'yes' : $p{$_}) =~ s/\s+/ /gr : () }
		qw(client greet verb from to auth tls data more);
}

sub run {
	my ($self) = @_;
	$self->{pf}->start;
	$self->{ph}->start;
	for my $i (0 .. $#{ $self->{cases} }) {
		my ($what, $options, @probes) = @{ $self->{cases}[$i] };
		my $apart = 0;
		subtest $what => sub {
			for my $probe (@probes) {
				my %p = @$probe;
				my ($ours, $theirs) = map { join "\n", $self->play($_, $PORT + $i, %p) } 'ph', 'pf';
				if ($p{differs}) {
					$apart = 1;
					isnt $ours, $theirs, name(%p) . ": $p{differs}";
					like $ours, $p{ours}, 'ours';
				} else {
					is $ours, $theirs, name(%p);
				}
			}
			is_deeply([ $self->decisions('ph', $i, scalar @probes) ], [ $self->decisions('pf', $i, scalar @probes) ], 'the log') unless $apart;
		};
	}
	$self->{ph}->stop;
	$self->{pf}->stop;
}

1;
