#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# AUTH as other mail servers got it wrong, from another machine's address (a network name space of its own): before TLS, tickets and
# renegotiation (S6), names that are programs in another language and answers from the wrong entry of a cache (S19), ten thousand broken
# attempts beside a good one, guessing of users (S20).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use MIME::Base64;
use Net::SSLeay;
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);
use Posthouse;
use Tls;

my ($server, $client) = qw(10.144.0.1 10.144.0.2);
if (!$ENV{IN_OWN_NETWORK}) {
	my $can = !system 'unshare -rn true 2>/dev/null';
	plan skip_all => 'no network name spaces here' unless $can || $ENV{CI};
	$ENV{IN_OWN_NETWORK} = 1;
	exec 'unshare', '-rn', $^X, $0 or die "unshare: $!";
}
for my $command ('link set lo up', map { "addr add $_/32 dev lo" } $server, $client) {
	system("ip $command") == 0 or die "ip $command failed";
}

my $p = Posthouse->new(address => $server, tls => 1, scheme => 'PLAIN', main => { auth_failure_delay => '0s', login_max_attempts => 1000,
	smtpd_peername_lookup => 'no', smtpd_soft_error_limit => 1000000, smtpd_hard_error_limit => 1000000, smtpd_client_connection_count_limit => 0,
	login_client_connection_count_limit => 0, mail_max_userip_connections => 0, mynetworks => '127.0.0.0/8', max_use => 100000,
	auth_mechanisms => 'plain login scram-sha-256' }, services => <<'END');
3001 inet n - - - - smtpd -o smtpd_soft_error_limit=3 -o smtpd_hard_error_limit=10 -o smtpd_error_sleep_time=200ms
END
# What a wrong password costs is measured by the first hash of the file; this one is cheap.
Posthouse::write_file($p->dir . '/users', 'model:' . crypt('x', '$1$saltsalt') . ":$<:0::/tmp:/bin/sh:\n" . Posthouse::slurp($p->dir . '/users'));
$p->start;
my %pw = map { $_ => $p->password($_) } 'alice', 'bob';

sub b64 { encode_base64($_[0], '') }
sub plain { 'AUTH PLAIN ' . b64("\0$_[0]\0$_[1]") }

# From another machine's address; %o: tls => from the first byte.
sub from {
	my ($service, %o) = @_;
	my $sock = IO::Socket::INET->new(PeerAddr => $server, PeerPort => $p->port($service), LocalAddr => $client) or die "connect: $@";
	$sock->autoflush(1);
	setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
	my $c = Posthouse::Conn->new($sock, $p);
	$c->tls if $o{tls};
	return $c;
}

sub submission {
	my $c = from('submissions', tls => 1);
	$c->reply(qr/^220/);
	$c->cmd('EHLO client.test', qr/^250-AUTH PLAIN/m);
	return $c;
}

subtest 'S6: no password before TLS' => sub {
	my $c = from('submission');
	$c->reply(qr/^220/);
	unlike $c->cmd('EHLO client.test', qr/^250-STARTTLS/m), qr/PLAIN|LOGIN/, 'not offered';
	for my $command ('AUTH PLAIN', 'AUTH LOGIN', 'AUTH LOGIN ' . b64('alice'), plain('alice', $pw{alice})) {
		like $c->cmd($command), qr/^538 5\.7\.11 Encryption required/, "$command: refused at once";
	}
	$c->cmd('STARTTLS', qr/^220/);
	$c->tls;
	like $c->cmd('EHLO client.test'), qr/^250-AUTH PLAIN LOGIN SCRAM-SHA-256/m, 'offered within TLS';
	like $c->cmd(plain('alice', $pw{alice})), qr/^235 /, 'and taken';
	$c = from('imap');
	$c->expect(qr/LOGINDISABLED/);
	$c->imap('LOGIN alice {3}', qr/PRIVACYREQUIRED/);
	pass 'IMAP: no "+", the literal is not asked for';
	$c = from('pop3');
	$c->expect(qr/^\+OK/);
	like $c->cmd1('USER alice', qr/./), qr/^-ERR \[AUTH\]/, 'POP3: USER is refused, not PASS';
};

subtest 'S6: tickets and renegotiation' => sub {
	my %starttls = (smtp => [ '-starttls', 'smtp' ], imap => [ '-starttls', 'imap' ]);
	for my $v ('-tls1_2', '-tls1_3') {
		for ([ 'smtp', 'submissions' ], [ 'imaps', 'pop3s' ], [ 'imaps', 'submissions' ], [ 'imap', 'imaps' ]) {
			my ($one, $other) = @$_;
			my $ticket = $p->dir . "/ticket$v$one$other";
			s_client($p, $one, @{ $starttls{$one} || [] }, $v, '-sess_out', $ticket);
			ok -s $ticket, "a ticket of $one ($v)";
			like s_client($p, $other, @{ $starttls{$other} || [] }, $v, '-sess_in', $ticket), qr/^New, /m, "is none for $other";
		}
	}
	for my $service ('submissions', 'imaps', 'pop3s') {
		my $c = from($service);
		$c->tls(SSL_version => 'TLSv1_2');
		$c->line;
		my $ssl = $c->sock->_get_ssl_object;
		Net::SSLeay::renegotiate($ssl);
		cmp_ok Net::SSLeay::do_handshake($ssl), '<=', 0, "$service: no renegotiation";
	}
};

subtest 'S19: names that other programs would execute' => sub {
	my @names = ("a' OR 1=1--", "alice' --", '*)(uid=*', '*', 'alice)(|(uid=*', '%1000000u', '%u', '%{user}', '%s%s%n', '${run{id}}', '$user', '`id`', '../alice',
		"alice\@example.test\@x", 'alice%00', 'ali?e', 'al*', '{PLAIN}x', 'alice:x', "\xc0\x80alice", 'a' x 300, '/etc/passwd', '-alice', '#alice', '+', '.');
	my $c = submission();
	my $wrong = $c->cmd(plain('alice', 'wrong'));
	for my $name (@names) {
		is $c->cmd(plain($name, $pw{alice})), $wrong, "AUTH as $name" =~ s/[^ -~]/?/gr;
	}
	like $c->cmd(plain($_, $pw{alice})), qr/^5\d\d /, 'control bytes in a name' for "alice\n", "alice\tx", "alice\1";
	for my $name (grep { !/[\x80-\xff]/ } @names) {
		my $i = from('imaps', tls => 1);
		$i->expect(qr/^\* OK/);
		$i->imap("LOGIN \"$name\" \"$pw{alice}\"", qr/^\S+ NO \[AUTHENTICATIONFAILED\] Authentication failed\.$/);
	}
	pass 'IMAP the same';
	for my $name (grep { !/[\x80-\xff ]/ } @names) {
		my $d = from('pop3s', tls => 1);
		$d->expect(qr/^\+OK/);
		$d->cmd1("USER $name", qr/^(?:\+OK|-ERR)/) =~ /^\+/ or next;
		$d->cmd1("PASS $pw{alice}", qr/^-ERR \[AUTH\] Authentication failed\.$/);
	}
	pass 'POP3 the same';
	like submission()->cmd(plain('alice', $pw{alice})), qr/^235/, 'alice still may';
};

subtest 'S19: the cache knows whose password it is' => sub {
	my @wrong;
	my $try = sub {
		my ($user, $password, $good) = @_;
		my $c = submission();
		push @wrong, "$user by SMTP" if ($c->cmd(plain($user, $password)) =~ /^235/ ? 1 : 0) != $good;
		my $i = from('imaps', tls => 1);
		$i->expect(qr/^\* OK/);
		$i->send("a LOGIN $user $password");
		push @wrong, "$user by IMAP" if ($i->line =~ /^a OK/ ? 1 : 0) != $good;
	};
	for (1 .. 10) {
		$try->('alice', $pw{alice}, 1);
		$try->('bob', $pw{alice}, 0);
		$try->('bob', $pw{bob}, 1);
		$try->('alice', $pw{bob}, 0);
		$try->('alice', '', 0) if $_ == 1;
	}
	is "@wrong", '', 'two users and each other\'s passwords in turn';
	Posthouse::write_file($p->dir . '/users', Posthouse::slurp($p->dir . '/users') =~ s/\Q$pw{bob}\E/changed/r);
	$p->wait_until('the new password', sub { submission()->cmd(plain('bob', 'changed')) =~ /^235/ });
	unlike submission()->cmd(plain('bob', $pw{bob})), qr/^235/, 'a password that was changed is forgotten';
};

# --- S20

my $EACH = 5000;
my @garbage = ('AUTH PLAIN =', 'AUTH PLAIN ====', 'AUTH PLAIN AA==', 'AUTH PLAIN !!!!', 'AUTH PLAIN ' . b64("\0" x 300), 'AUTH LOGIN ' . b64("\xff" x 600),
	"AUTH \x80\xff", 'AUTH', 'AUTH NTLM', 'AUTH LOGIN', 'AUTH PLAIN', 'AUTH SCRAM-SHA-256', 'AUTH SCRAM-SHA-256 ' . b64('n,,n=,r='),
	'AUTH SCRAM-SHA-256 ' . b64('n,,n=alice,r=x'), plain('alice', 'wrong'), plain('nobody', 'x'), 'AUTH PLAIN ' . 'A' x 1500);
my @answers = ('*', '', '=', '====', 'A', 'A' x 11000, b64('alice'), b64('x' x 500), b64('c=biws,r=x,p=AAAA'), b64("\0\0\0"));

# From the server itself, which needs no TLS for a password.
sub own { my $c = $p->smtp('submission'); $c->cmd('EHLO client.test', qr/^250-AUTH PLAIN/m); return $c }

# Half of what a storm is: attempts over connections that are left in the midst now and then.
sub storm {
	my ($seed) = @_;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	srand $seed;
	my $c = eval { own() } or POSIX::_exit(2);
	for my $n (1 .. $EACH) {
		$c->send($garbage[rand @garbage]);
		my $r = eval { $c->reply } or POSIX::_exit(3);
		for (1 .. 4) {
			last unless $r =~ /^334/ && rand() < 0.95; # or it goes away without an answer
			$c->send($answers[rand @answers]);
			$r = eval { $c->reply } or POSIX::_exit(4);
		}
		POSIX::_exit(5) unless $r =~ /^(?:5\d\d|334) /;
		$c = eval { own() } || POSIX::_exit(6) if $r =~ /^334/ || $n % 200 == 0;
	}
	POSIX::_exit(0);
}

sub memory {
	my %kib;
	for my $process ($p->processes) {
		my ($pid, $program) = @$process;
		$kib{"$program $pid"} = $1 if $program =~ /^(?:auth|smtpd)$/ && Posthouse::slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
	}
	return \%kib;
}

subtest 'S20: ten thousand broken attempts' => sub {
	my ($good, $failed, $began, $before) = (0, 0, time, undef);
	for my $round (1, 2) { # what the first one made bigger, the second one finds in place
		my %storms = map { $_ => 1 } map { storm(10 * $round + $_) } 1, 2;
		while (%storms) {
			my $ok = eval { submission()->cmd(plain('alice', $pw{alice})) =~ /^235/ && $p->imap('alice') };
			$ok ? $good++ : $failed++;
			for my $pid (keys %storms) {
				next unless waitpid($pid, POSIX::WNOHANG()) == $pid;
				is $?, 0, 'each is refused, and nothing else happens';
				delete $storms{$pid};
			}
		}
		$EACH = 1000 if $round == 1;
		$before = memory() if $round == 1;
	}
	is $failed, 0, "$good good logins meanwhile, none failed";
	cmp_ok time - $began, '<', 400, sprintf '%.1f s', time - $began;
	if ($Posthouse::BIN !~ /asan|tsan/) { # which keep freed memory for a while
		my $after = memory();
		my @grown = grep { $after->{$_} > $before->{$_} + 2048 } grep { $before->{$_} } keys %$after;
		is "@grown", '', 'nothing grows' or diag join ' ', map { "$_: $before->{$_} $after->{$_}" } @grown;
	}
	cmp_ok $p->log_count(qr/SASL .* authentication (?:failed|aborted)/), '>', $EACH, 'and they are in the log';
};

subtest 'S20: who is there is not told' => sub {
	my $c = from('smtp');
	$c->reply(qr/^220/);
	$c->cmd('EHLO client.test', qr/^250/);
	like $c->cmd("VRFY $_"), qr/^252 2\.0\.0 \Q$_\E$/, "VRFY $_" for 'alice', 'nobody', 'alice@example.test', 'nobody@example.test';
	is $c->cmd("EXPN $_"), '502 5.5.1 Error: command not implemented', "EXPN $_" for 'postmaster', 'nobody';
	my %said;
	for my $user ('alice', 'nobody') {
		my $d = submission();
		$said{$user} = join '|', $d->cmd(plain($user, 'x')), $d->cmd('AUTH LOGIN'), $d->cmd(b64($user)), $d->cmd(b64('x'));
		my $i = from('imaps', tls => 1);
		$i->expect(qr/^\* OK/);
		$said{$user} .= join '|', $i->imap("LOGIN $user x", qr/^\S+ NO/);
	}
	is $said{nobody}, $said{alice}, 'an unknown user and a wrong password: the same words';
};

subtest 'S20: many recipients that do not exist' => sub {
	my $c = from(3001);
	$c->reply(qr/^220/);
	$c->cmd('EHLO client.test', qr/^250/);
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	my ($n, $began, $line) = (0, time);
	$c->send_raw(join '', map { "RCPT TO:<nobody$_\@example.test>\r\n" } 1 .. 100);
	$n++ while defined($line = $c->line) && $line =~ /^550 5\.1\.1 /;
	is $n, 10, 'so many were answered';
	like $line // '', qr/^421 4\.7\.0 \S+ Error: too many errors$/, 'then the end';
	cmp_ok time - $began, '>', 7 * 0.19, 'and not fast';
	$p->wait_log(qr/too many errors after RCPT from/, from => 0);
};

$p->stop;
done_testing;
