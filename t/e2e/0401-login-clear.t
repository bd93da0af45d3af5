#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Passwords in clear from another machine: disable_plaintext_auth, login_trusted_networks. In a network name space of its own,
# where the client can have an address that is neither loopback nor the server's.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use MIME::Base64;
use Posthouse;

my ($server, $client, $trusted) = qw(10.143.0.1 10.143.0.2 10.143.7.3);
if (!$ENV{IN_OWN_NETWORK}) {
	my $can = !system 'unshare -rn true 2>/dev/null';
	plan skip_all => 'no network name spaces here' unless $can || $ENV{CI};
	$ENV{IN_OWN_NETWORK} = 1;
	exec 'unshare', '-rn', $^X, $0 or die "unshare: $!";
}
for my $command ('link set lo up', map { "addr add $_/32 dev lo" } $server, $client, $trusted) {
	system("ip $command") == 0 or die "ip $command failed";
}

my $p = Posthouse->new(address => $server, master => <<'END', main => { auth_failure_delay => '10ms' });
pop3 inet n - y - - login -P pop3
imap inet n - y - - login -P imap
auth unix - n - - - auth
END
$p->start;

sub from {
	my ($address, $service) = @_;
	my $sock = IO::Socket::INET->new(PeerAddr => $server, PeerPort => $p->port($service), LocalAddr => $address)
		or die "connect: $@";
	$sock->autoflush(1);
	return Posthouse::Conn->new($sock, $p);
}

my $privacy = 'NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.';
my $auth = '-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.';
my $failed = 'NO [AUTHENTICATIONFAILED] Authentication failed.';

my $c = from($client, 'imap');
my $greeting = $c->expect(qr/^\* OK \[CAPABILITY [^\]]*\bLOGINDISABLED\b/);
unlike $greeting, qr/AUTH=/, 'LOGINDISABLED, and no mechanism, in the greeting';
like + ($c->imap('CAPABILITY'))[0], qr/LOGINDISABLED/, 'and in CAPABILITY';
$c->imap('LOGIN alice wrong', qr/^\S+ \Q$privacy\E$/);
$c->imap('LOGIN alice ' . $p->password('alice'), qr/^\S+ \Q$privacy\E$/);
$c->imap('AUTHENTICATE PLAIN', qr/^\S+ \Q$privacy\E$/);
$c->imap('AUTHENTICATE PLAIN ' . encode_base64("\0alice\0x", ''), qr/^\S+ \Q$privacy\E$/);
$c->send('x LOGIN {5}');
$c->expect(qr/^x \Q$privacy\E$/);
$c->send('y LOGIN {5+}');
$c->send_raw("alice {5+}\r\nwrong\r\n");
$c->expect(qr/^y \Q$privacy\E$/);
$c->imap('NOOP');
pass 'IMAP: refused before the password is asked for';
$c->imap('LOGOUT');
$p->wait_log(qr/imap-login: Aborted login \(tried to use disallowed plaintext auth\): rip=\Q$client\E, lip=\Q$server\E, session=/);

$c = from($client, 'pop3');
$c->expect(qr/^\+OK/);
is_deeply [ grep { /USER|SASL/ } $c->multi('CAPA') ], [], 'POP3: neither USER nor SASL in CAPA';
is_deeply [ $c->multi('AUTH') ], [], 'nor in AUTH';
$c->cmd1($_, qr/^\Q$auth\E$/) for 'USER alice', 'PASS x', 'AUTH PLAIN', 'AUTH LOGIN';
$c->cmd1('QUIT', qr/^\+OK/);
pass 'POP3: refused';
$p->wait_log(qr/pop3-login: Aborted login \(tried to use disallowed plaintext auth\): rip=\Q$client\E/);

# The server's own address, from itself, is as good as loopback.
$c = from($server, 'imap');
$c->expect(qr/AUTH=PLAIN/);
$c->imap('LOGIN alice wrong', qr/\Q$failed\E/);
pass 'the server itself may';

$p->set(login_trusted_networks => '10.143.7.0/24');
$p->reload;
$c = $p->wait_until('the new setting', sub { my $n = from($trusted, 'imap'); $n->line =~ /AUTH=PLAIN/ && $n });
$c->imap('LOGIN alice wrong', qr/\Q$failed\E/);
pass 'a trusted network may';
$c = from($client, 'imap');
$c->expect(qr/LOGINDISABLED/);
pass 'its neighbours may not';

# One client cannot take all places before login.
$c->close;
$p->set(login_client_connection_count_limit => 4, sessions => 3);
$p->reload;
$p->wait_until('the new limit', sub {
	my @c = map { from($client, 'imap') } 1 .. 6;
	my @first = map { $_->line } @c;
	return (4 == grep { /^\* OK/ } @first) && (2 == grep { /^\* BYE Too many connections from your network/ } @first);
});
pass 'login_client_connection_count_limit, over several processes';
my @held = map { my $h = from($client, 'pop3'); $h->expect(qr/^\+OK/); $h } 1 .. 4;
from($client, 'pop3')->expect(qr/^-ERR \[SYS\/TEMP\] Too many connections/);
from($trusted, 'pop3')->expect(qr/^\+OK/);
from($_, 'pop3')->expect(qr/^\+OK/) for ($server) x 8;
pass 'others come in';
$held[0]->cmd1('QUIT', qr/^\+OK/);
ok $held[0]->eof, 'one leaves';
$p->wait_until('a free place', sub { from($client, 'pop3')->line =~ /^\+OK/ });
$_->close for @held;

$p->set(disable_plaintext_auth => 'no');
$p->reload;
$c = $p->wait_until('the new setting', sub { my $n = from($client, 'imap'); $n->line =~ /AUTH=PLAIN/ && $n });
$c->imap('LOGIN alice wrong', qr/\Q$failed\E/);
$c->imap('LOGOUT');
pass 'disable_plaintext_auth = no: all may';
unlike $p->wait_log(qr/imap-login: Aborted.*rip=\Q$client\E.*session/), qr/secured/, 'and the log does not call it secured';
$p->stop;
done_testing;
