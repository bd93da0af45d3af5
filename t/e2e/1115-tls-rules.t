#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What a client without TLS may do by ssl and disable_plaintext_auth, seen from another machine; plaintext in the same segment as STARTTLS
# and STLS, and behind it; handshakes that never end; renegotiation. In a network name space, for a client that is not loopback.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use MIME::Base64;
use Posthouse;
use Tls;

Posthouse::need('openssl');
my ($server, $client, $trusted) = qw(10.144.0.1 10.144.0.2 10.144.7.3);
if (!$ENV{IN_OWN_NETWORK}) {
	my $can = !system 'unshare -rn true 2>/dev/null';
	plan skip_all => 'no network name spaces here' unless $can || $ENV{CI};
	$ENV{IN_OWN_NETWORK} = 1;
	exec 'unshare', '-rn', $^X, $0 or die "unshare: $!";
}
for my $command ('link set lo up', map { "addr add $_/32 dev lo" } $server, $client, $trusted) {
	system("ip $command") == 0 or die "ip $command failed";
}

my $privacy = qr/NO \[PRIVACYREQUIRED\]/;
my %main = (auth_failure_delay => '10ms', login_trusted_networks => '10.144.7.0/24', login_timeout => '3s', smtpd_starttls_timeout => '3s', smtpd_tls_security_level => 'may',
	smtpd_sasl_auth_enable => 'yes', auth_mechanisms => 'plain cram-md5');
my $p = Posthouse->new(address => $server, tls => 1, main => \%main)->start;
my $d = $p->dir;
my $plain = encode_base64("\0alice\0" . $p->password('alice'), '');

sub from {
	my ($address, $service) = @_;
	my $sock = IO::Socket::INET->new(PeerAddr => $server, PeerPort => $p->port($service), LocalAddr => $address) or die "connect: $@";
	$sock->autoflush(1);
	return Posthouse::Conn->new($sock, $p);
}

# --- ssl and disable_plaintext_auth: [ssl, disable_plaintext_auth, may a stranger log in in the clear, is TLS there]
for my $case ([ 'yes', 'yes', 0, 1 ], [ 'yes', 'no', 1, 1 ], [ 'required', 'yes', 0, 1 ], [ 'required', 'no', 0, 1 ], [ 'no', 'yes', 0, 0 ], [ 'no', 'no', 1, 0 ]) {
	my ($ssl, $disable, $may, $tls) = @$case;
	$p->set(ssl => $ssl, disable_plaintext_auth => $disable);
	$p->stop;
	$p->start;
	subtest "ssl = $ssl, disable_plaintext_auth = $disable" => sub {
		my $c = from($client, 'imap');
		my $greeting = $c->line;
		is $greeting =~ /LOGINDISABLED/ ? 0 : 1, $may, 'IMAP: LOGINDISABLED says so';
		is $greeting =~ /AUTH=PLAIN/ ? 1 : 0, $may, 'AUTH=PLAIN says so';
		is $greeting =~ /STARTTLS/ ? 1 : 0, $tls, 'STARTTLS';
		$c->imap('LOGIN alice wrong', $may ? qr/NO \[AUTHENTICATIONFAILED\]/ : $privacy);
		if ($ssl eq 'required') { # no login at all, whatever it shows
			unlike $greeting, qr/AUTH=/, 'no mechanism';
			$c->imap('AUTHENTICATE CRAM-MD5', $privacy);
		} else {
			like $greeting, qr/AUTH=CRAM-MD5/, 'CRAM-MD5 shows no password';
		}
		$c->imap("AUTHENTICATE PLAIN $plain", $may ? qr/ OK / : $privacy);
		$c = from($client, 'pop3');
		$c->expect(qr/^\+OK/);
		my @capa = $c->multi('CAPA');
		is scalar(grep { /^USER$|^SASL.* PLAIN/ } @capa) ? 1 : 0, $may, 'POP3: USER and SASL say so';
		is scalar(grep { $_ eq 'STLS' } @capa), $tls, 'STLS';
		$c->cmd1('USER alice', $may ? qr/^\+OK/ : qr/^-ERR \[AUTH\] Plaintext/);
		$c->cmd1('PASS ' . $p->password('alice'), $may ? qr/^\+OK/ : qr/^-ERR \[AUTH\] Plaintext/);
		for my $who ($trusted, $server) { # they count as protected
			$c = from($who, 'imap');
			$c->expect(qr/AUTH=PLAIN/);
			$c->imap("AUTHENTICATE PLAIN $plain");
		}
		for my $how ('imaps', 'imap') {
			if ($tls) {
				$c = from($client, $how);
				if ($how eq 'imap') {
					$c->line;
					$c->imap('STARTTLS');
				}
				$c->tls;
				$c->line if $how eq 'imaps';
				$c->imap("AUTHENTICATE PLAIN $plain");
			} elsif ($how eq 'imap') {
				$c = from($client, $how);
				$c->line;
				$c->imap('STARTTLS', qr/ BAD /);
			}
		}
		pass 'under TLS everybody may';
	};
}
$p->set(ssl => 'yes', disable_plaintext_auth => 'yes');
$p->stop;
$p->start;

# --- hazards S4: what is in the segment of the command, or follows before the handshake, is never obeyed
my %start = (
	imap => [ "a STARTTLS\r\n", qr/^a OK /, "b CAPABILITY\r\n", qr/^[ab] |^\* CAPA/ ],
	pop3 => [ "STLS\r\n", qr/^\+OK/, "CAPA\r\n", qr/^\+OK/ ],
	smtp => [ "STARTTLS\r\n", qr/^220/, "EHLO evil.test\r\n", qr/^250/ ],
);
sub begin {
	my ($service) = @_;
	my $c = from($client, $service);
	$c->line;
	$c->cmd('EHLO c.test', qr/^250 /m) if $service eq 'smtp';
	return $c;
}
for my $service (sort keys %start) {
	my ($start, $ready, $injected, $obeyed) = @{ $start{$service} };
	for my $extra ($injected, substr($injected, 0, 1), "\r\n", "\0", ' ' x 4000) {
		my $c = begin($service);
		$c->send_raw($start . $extra);
		my @lines;
		while (defined(my $line = $c->line)) { push @lines, $line }
		ok !grep({ $_ =~ $ready } @lines), "$service: " . length($extra) . ' bytes in the same segment: no TLS, the end';
		ok !grep({ $_ =~ /^b |^\* CAPABILITY|^250/ } @lines), 'and nothing of it obeyed';
	}
	my $c = begin($service);
	$c->send_raw($start);
	$c->expect($ready);
	$c->send_raw($injected); # in place of the handshake
	unlike $c->line // '', $obeyed, "$service: plaintext in place of the handshake gets no answer";
	$c = begin($service);
	$c->send_raw($start);
	$c->expect($ready);
	$c->tls;
	$c->send_raw($injected);
	like $c->line, $obeyed, 'behind the handshake it does';
}

# --- handshakes that never end: nothing, half a record, a byte now and then; others are served meanwhile
my %patience = (smtp => qr/SSL_accept error from \S+: timeout/, imap => qr/imap-login: Disconnected: TLS handshake failed .*timeout/, pop3 => qr/pop3-login: Disconnected: TLS handshake failed .*timeout/);
for my $service (sort keys %start) {
	my @slow = map { my $c = begin($service); $c->send_raw($start{$service}[0]); $c->expect($start{$service}[1]); $c } 1 .. 6;
	$_->send_raw("\x16\x03\x01\x02\x00\x01") for @slow[ 0 .. 2 ];
	my $other = begin($service);
	$other->send_raw($start{$service}[0]);
	$other->expect($start{$service}[1]);
	$other->tls;
	pass "$service: served while others dawdle";
	my $end = time + $Posthouse::TIMEOUT;
	my $left = 1;
	while ($left && time < $end) { # a byte does not buy more time
		$left = grep { my $s = $_->sock; $s && defined getpeername($s) && (syswrite($s, "\0"), !sysread_now($s)) } @slow[ 3 .. 5 ];
		select undef, undef, undef, 0.3;
	}
	$_->eof or fail 'the end' for @slow[ 0 .. 2 ];
	ok !$left, "$service: half a handshake ends at its deadline";
	$p->wait_log($patience{$service}, from => 0);
}

# True when the other side has closed.
sub sysread_now {
	my ($s) = @_;
	my $rin = '';
	vec($rin, fileno $s, 1) = 1;
	return 0 unless select $rin, undef, undef, 0;
	my $n = sysread $s, my $x, 100;
	return !$n;
}

# --- renegotiation is refused (TLS 1.2; 1.3 has none): openssl asks for it at a line "R", when the session is there
for my $port ('imaps', 'submissions') {
	open my $tell, '|-', "exec timeout $Posthouse::TIMEOUT openssl s_client -tls1_2 -connect " . $p->address . ':' . $p->port($port) . " >$d/s_client 2>&1" or die $!;
	$tell->autoflush(1);
	$p->wait_until('the session', sub { Posthouse::slurp("$d/s_client") =~ /^(?:\* OK|220) /m });
	print $tell "R\n";
	ok $p->wait_until('the refusal', sub { Posthouse::slurp("$d/s_client") =~ /RENEGOTIATING.*(?:no renegotiation|error)/s }), "$port: renegotiation is refused";
	close $tell;
}
$p->stop;
done_testing;
