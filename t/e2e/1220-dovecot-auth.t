#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Dovecot's authentication protocol, both ends: a real Postfix asks us (sasl), and our smtpd asks a real Dovecot. Then what either
# side makes of a peer that breaks the protocol, says nothing, or goes away.
use strict;
use warnings;
use Test::More;
use IO::Socket::UNIX;
use MIME::Base64;
use POSIX ();
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Postfix;

sub b64 { encode_base64($_[0], '') }
sub open_up { my ($p) = @_; chmod 0711, $_ for ($p->dir =~ s{/i$}{}r), $p->dir, $p->dir . '/queue' }

my $p = Posthouse->new(scheme => 'PLAIN', users => [qw(alice bob carol)], main => { auth_failure_delay => '800ms', smtpd_hard_error_limit => 100,
	auth_mechanisms => 'plain login cram-md5 scram-sha-256 scram-sha-256-plus', auth_default_realm => '', smtpd_soft_error_limit => 100,
	disable_plaintext_auth => 'yes' },
	services => "sasl unix-stream n - - - - sasl\n")->start;
open_up($p);
my $socket = $p->dir . '/queue/public/sasl';
my $pw = $p->password('alice');

# --- as Dovecot's clients do it ---------------------------------------------------------------------------------------
sub client {
	my ($greeting) = @_;
	my $s = IO::Socket::UNIX->new(Peer => $socket) or die "$socket: $!";
	print $s $greeting // "VERSION\t1\t1\nCPID\t$$\n";
	$s->flush;
	return $s;
}
sub handshake {
	my $s = client(@_);
	my @lines;
	while (defined(my $line = readline $s)) { chomp $line; push @lines, $line; last if $line eq 'DONE' }
	return ($s, @lines);
}
sub ask { my ($s, @fields) = @_; print $s join("\t", @fields) . "\n"; $s->flush; return said($s) }
sub said { my ($s) = @_; my $line = readline $s; chomp $line if defined $line; return $line }
my $from = "service=smtp\trip=192.0.2.7\tlip=192.0.2.1\tsecured";

subtest 'a client by hand' => sub {
	my ($s, @lines) = handshake();
	is_deeply [ grep { /^(VERSION|MECH)/ } @lines ], [ "VERSION\t1\t1", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext",
		"MECH\tCRAM-MD5\tdictionary\tactive", "MECH\tSCRAM-SHA-256\tmutual-auth" ], 'the handshake';
	like join("\n", @lines), qr/^SPID\t\d+\nCUID\t\d+\nCOOKIE\t[0-9a-f]{32}\nDONE$/m, 'and its end';
	is ask($s, 'AUTH', 1, 'PLAIN', $from, 'resp=' . b64("\0alice\0$pw")), "OK\t1\tuser=alice", 'PLAIN';
	is ask($s, 'AUTH', 2, 'PLAIN', $from), "CONT\t2\t", 'without an initial response';
	is ask($s, 'CONT', 2, b64("\0alice\0$pw")), "OK\t2\tuser=alice", 'which then comes';
	is ask($s, 'AUTH', 3, 'LOGIN', $from), "CONT\t3\t" . b64('Username:'), 'LOGIN';
	is ask($s, 'CONT', 3, b64('ALICE')), "CONT\t3\t" . b64('Password:'), 'LOGIN asks on';
	is ask($s, 'CONT', 3, b64($pw)), "OK\t3\tuser=alice", 'the name as the database has it';
	my $t = time;
	print $s "AUTH\t4\tPLAIN\t$from\tresp=" . b64("\0alice\0wrong") . "\n";
	is ask($s, 'AUTH', 6, 'PLAIN', $from, 'resp=' . b64("\0bob\0" . $p->password('bob'))), "OK\t6\tuser=bob", 'a refusal holds up nobody';
	is said($s), "FAIL\t4\tuser=alice", 'which comes';
	cmp_ok time - $t, '>', 0.79, 'and late';
	is ask($s, 'AUTH', 5, 'PLAIN', $from, 'resp=' . b64("\0nobody\0wrong")), "FAIL\t5\tuser=nobody", 'an unknown user: the same words';
	is ask($s, 'AUTH', 7, 'GSSAPI', $from), "FAIL\t7\treason=Unsupported authentication mechanism", 'a mechanism that is not offered';
	is ask($s, 'AUTH', 8, 'PLAIN', $from, 'resp=*'), "FAIL\t8\treason=Invalid base64 data in initial response", 'not base64';
	is ask($s, 'AUTH', 9, 'PLAIN', $from, 'resp=' . b64('x')), "FAIL\t9\treason=malformed response", 'not PLAIN';
	is ask($s, 'CONT', 99, b64('x')), "FAIL\t99\treason=Authentication request timed out", 'an exchange that is not there';
	ask($s, 'AUTH', 10, 'LOGIN', $from);
	print $s "CANCEL\t10\n";
	is ask($s, 'AUTH', 10, 'LOGIN', $from), "CONT\t10\t" . b64('Username:'), 'CANCEL makes room for the same id';
	my @many = map { ask($s, 'AUTH', $_, 'LOGIN', $from) } 100 .. 140;
	is_deeply [ (grep { /^FAIL/ } @many)[0], scalar grep { /^CONT/ } @many ], [ "FAIL\t131\ttemp\tcode=temp_fail", 31 ], 'so many at a time and no more';
	is ask($s, 'AUTH', 1, 'PLAIN', $from, 'resp=' . b64("\0alice\0$pw")) =~ /^FAIL/, 1, 'full is full';
};

subtest 'what breaks the protocol' => sub {
	my %bad = ('another version' => "VERSION\t2\t0\nCPID\t1\n", 'AUTH first' => "AUTH\t1\tPLAIN\n", 'no number' => "VERSION\tx\n",
		'a long line' => "VERSION\t1\t1\nAUTH\t1\tPLAIN\tresp=" . 'A' x 20000 . "\n", 'no id' => "VERSION\t1\t1\nAUTH\t\tPLAIN\n",
		'twice the same id' => "VERSION\t1\t1\nAUTH\t1\tLOGIN\nAUTH\t1\tLOGIN\n", 'a big id' => "VERSION\t1\t1\nCONT\t4294967296\tx\n");
	for my $what (sort keys %bad) {
		my $s = client($bad{$what});
		my $rest = do { local $/; local $SIG{ALRM} = sub { die "no end after $what\n" }; alarm 20; my $r = readline $s; alarm 0; $r };
		unlike $rest, qr/^OK/m, "$what: disconnected";
	}
	my ($s) = handshake("VERSION\t1\t99\nSERVICE\tSMTP\nCPID\t1\nNEWS\tfrom\tthe\tfuture\n");
	is ask($s, 'AUTH', 1, 'PLAIN', $from, "future=1", 'resp=' . b64("\0alice\0$pw")), "OK\t1\tuser=alice", 'what is not known is passed over';
	my @open = map { (handshake())[0] } 1 .. 30;
	is ask($open[-1], 'AUTH', 1, 'PLAIN', $from, 'resp=' . b64("\0alice\0$pw")), "OK\t1\tuser=alice", '30 connections at a time';
};

subtest 'only some users may ask' => sub {
	plan skip_all => 'needs root' if $>;
	my $uid = getpwnam 'nobody';
	my $pid = fork // die;
	if (!$pid) {
		POSIX::setuid($uid);
		my $s = IO::Socket::UNIX->new(Peer => $socket) or POSIX::_exit(2);
		POSIX::_exit(defined readline($s) ? 1 : 0);
	}
	waitpid $pid, 0;
	is $? >> 8, 0, 'another is disconnected';
	$p->wait_log(qr{sasl\[\d+\]: warning: connection by uid $uid refused: not in auth_client_users$});
};

# --- Postfix asks us --------------------------------------------------------------------------------------------------
SKIP: {
	skip 'Postfix needs root', 1 if $>;
	Posthouse::need('/usr/sbin/postfix');
	my $pf = Postfix->new(main => { smtpd_sasl_auth_enable => 'yes', smtpd_sasl_type => 'dovecot', smtpd_sasl_path => $socket,
		mynetworks => '127.0.0.99', smtpd_relay_restrictions => 'permit_sasl_authenticated, reject', smtpd_hard_error_limit => 100 })->start;
	my $c = $pf->smtp;
	like $c->cmd('EHLO client.test'), qr/^250-AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256$/m, 'Postfix offers what we can';
	like $c->cmd('AUTH PLAIN ' . b64("\0alice\0wrong")), qr/^535 5\.7\.8/, 'a wrong password';
	like $c->cmd('AUTH PLAIN ' . b64("\0nobody\0wrong")), qr/^535 5\.7\.8/, 'an unknown user';
	my $challenge = decode_base64(substr $c->cmd('AUTH CRAM-MD5', qr/^334 /), 4);
	require Digest::MD5;
	my $k = $pw . "\0" x (64 - length $pw);
	my $mac = Digest::MD5::md5_hex(($k ^ "\x5c" x 64) . Digest::MD5::md5(($k ^ "\x36" x 64) . $challenge));
	like $c->cmd(b64("alice $mac")), qr/^235 2\.7\.0 Authentication successful$/, 'CRAM-MD5';
	$c->cmd('MAIL FROM:<alice@example.net>', qr/^250/);
	like $c->cmd('RCPT TO:<root@example.net>'), qr/^250/, 'may send now';
	$c->cmd('QUIT', qr/^221/);
	if (grep { -x "$_/gsasl" } split /:/, $ENV{PATH}) {
		my ($status, $text) = Posthouse::run('gsasl', '--smtp', '--connect', "$pf->{address}:25", '-a', 'alice', '-z', 'alice',
			'-p', $pw, '-m', 'SCRAM-SHA-256', '--quiet', '--no-starttls');
		like $pf->wait_log(qr/connect from/, from => 0), qr/smtpd/, 'gsasl came';
		is $status, 0, 'SCRAM-SHA-256 by gsasl' or diag $text;
	}
	$p->reload;
	$c = $pf->smtp;
	$c->cmd('EHLO client.test', qr/^250/);
	like $c->cmd('AUTH PLAIN ' . b64("\0alice\0$pw")), qr/^235/, 'after our reload';
	$c->cmd('QUIT', qr/^221/);
	$pf->stop;
}
$p->stop;
unlike Posthouse::slurp($p->maillog), qr/\Q$pw\E|@{[ b64("\0alice\0$pw") ]}|panic|fatal/, 'no password in the log, no crash';

# --- our smtpd asks others --------------------------------------------------------------------------------------------
my $q = Posthouse->new(relay => '127.0.0.99', tls => 1, main => { smtpd_sasl_type => 'dovecot', smtpd_tls_security_level => 'may',
	smtpd_hard_error_limit => 100, smtpd_soft_error_limit => 100, auth_failure_delay => '0s' });
my $theirs = $q->dir . '/theirs';
$q->set(smtpd_sasl_path => "unix:$theirs");
sub hello { my $c = $q->smtp('submission'); $c->{ehlo} = $c->cmd('EHLO client.test', qr/^250 /m); return $c }

sub dovecot {
	my $d = $q->dir . '/dovecot';
	mkdir $d;
	chmod 0711, $q->dir =~ s{/i$}{}r, $q->dir;
	Posthouse::write_file("$d/users", "dave:{PLAIN}sesame::::::\n");
	chmod 0644, "$d/users";
	Posthouse::write_file("$d/conf", <<END);
base_dir = $d/run
state_dir = $d/run
log_path = $d/log
ssl = no
protocols =
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-256
auth_failure_delay = 1 secs
passdb {
  driver = passwd-file
  args = $d/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener $theirs {
    mode = 0666
  }
}
END
	my $pid = fork // die;
	if (!$pid) { exec 'dovecot', '-F', '-c', "$d/conf" or POSIX::_exit(127) }
	$q->wait_until('Dovecot', sub { IO::Socket::UNIX->new(Peer => $theirs) }, sub { Posthouse::slurp("$d/log") });
	return $pid;
}

SKIP: {
	skip 'Dovecot needs root', 1 if $>;
	Posthouse::need('dovecot');
	my $pid = dovecot();
	$q->start;
	my $c = hello();
	like $c->{ehlo}, qr/^250-AUTH (?=.*PLAIN)(?=.*DIGEST-MD5)(?=.*SCRAM-SHA-256)/m, 'we offer what Dovecot can';
	my $t = time;
	is $c->cmd('AUTH PLAIN ' . b64("\0dave\0wrong")), '535 5.7.8 Error: authentication failed: authentication failure', 'a wrong password';
	cmp_ok time - $t, '>', 0.5, 'Dovecot takes its time';
	$q->wait_log(qr/SASL PLAIN authentication failed: authentication failure/);
	like $c->cmd('AUTH LOGIN'), qr/^334 VXNlcm5hbWU6$/, 'LOGIN';
	like $c->cmd('*'), qr/^501 5\.7\.0/, 'cancelled';
	like $c->cmd('AUTH LOGIN'), qr/^334 VXNlcm5hbWU6$/, 'LOGIN again';
	like $c->cmd('n o'), qr/^535 .*Invalid base64/, 'what is not base64 does not get there';
	$c->cmd('AUTH LOGIN', qr/^334/);
	$c->cmd(b64('dave'), qr/^334 UGFzc3dvcmQ6$/);
	is $c->cmd(b64('sesame')), '235 2.7.0 Authentication successful', 'LOGIN';
	$c->cmd('MAIL FROM:<dave@elsewhere.test>', qr/^250/);
	like $c->cmd('RCPT TO:<alice@example.test>'), qr/^250/, 'may send now';
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: x\r\n\r\n.", qr/^250/);
	$q->wait_log(qr/client=.*, sasl_method=LOGIN, sasl_username=dave$/);
	like hello()->cmd('AUTH PLAIN ' . b64("\0dave\0sesame")), qr/^235/, 'PLAIN';
	if (grep { -x "$_/gsasl" } split /:/, $ENV{PATH}) {
		for my $mechanism (qw(SCRAM-SHA-256 CRAM-MD5)) {
			my ($status, $text) = Posthouse::run('gsasl', '--smtp', '--connect', "$q->{address}:2587", '-a', 'dave', '-z', 'dave', '-p', 'sesame',
				'-m', $mechanism, '--quiet', '--no-starttls');
			is $status, 0, "$mechanism by gsasl" or diag $text;
		}
	}
	$q->set(smtpd_sasl_security_options => 'noanonymous, noplaintext');
	$q->reload;
	$c = $q->wait_until('the new setting', sub { my $n = hello(); $n->{ehlo} !~ /PLAIN/ && $n });
	like $c->{ehlo}, qr/^250-AUTH (?!.*LOGIN)(?=.*CRAM-MD5)/m, 'noplaintext, by what Dovecot says of its mechanisms';
	like $c->cmd('AUTH PLAIN ' . b64("\0dave\0sesame")), qr/^535 .*Invalid authentication mechanism$/, 'and not by force';
	$q->set(smtpd_sasl_security_options => 'noanonymous');
	$q->stop;
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

# A server that does as it is told: each connection gets the lines of $script, a sub that is given what the client said.
sub fake {
	my ($script) = @_;
	unlink $theirs;
	my $listener = IO::Socket::UNIX->new(Local => $theirs, Listen => 20) or die "$theirs: $!";
	my $pid = fork // die;
	return ($pid, close $listener)[0] if $pid;
	while (my $s = $listener->accept) {
		next if fork;
		$s->autoflush(1);
		$script->($s);
		POSIX::_exit(0);
	}
}
my $hands = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tX-SECRET\tprivate\nMECH\tbad name\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";
sub answering { my ($answer) = @_; return sub { my ($s) = @_; print $s $hands; while (<$s>) { print $s ref $answer ? $answer->($_) : $answer if /^(AUTH|CONT)/ } } }
my $plain = 'AUTH PLAIN ' . b64("\0dave\0sesame");
my $lost = qr/^454 4\.7\.0 Temporary authentication failure: Connection lost to authentication server$/;
my @scripts = (
	[ 'goes away in the handshake', sub { }, undef ],
	[ 'is an auth-master socket', sub { my ($s) = @_; print $s "VERSION\t1\t2\nSPID\t1\n"; readline $s while !eof $s }, undef ],
	[ 'speaks version 2', sub { my ($s) = @_; print $s $hands =~ s/1/2/r; readline $s while !eof $s }, undef ],
	[ 'talks without end', sub { my ($s) = @_; print $s "MECH\tX$_\n" or last for 1 .. 100000 }, undef ],
	[ 'sends a line without end', sub { my ($s) = @_; print $s 'x' x 65536 or last for 1 .. 200 }, undef ],
	[ 'goes away at AUTH', sub { my ($s) = @_; print $s $hands; while (<$s>) { return if /^AUTH/ } }, $lost ],
	[ 'says OK without a user', answering("OK\t1\n"), qr/^454/ ],
	[ 'says OK of somebody else', answering("OK\t2\tuser=x\nFAIL\t1\treason=no\n"), qr/^535 5\.7\.8 Error: authentication failed: no$/ ],
	[ 'cannot decide', answering("FAIL\t1\ttemp\tcode=temp_fail\n"), qr/^454/ ],
	[ 'gives a reason that is none', answering("FAIL\t1\treason=a\1nb\x1b[2J" . 'y' x 3000 . "\n"), qr/^535 5\.7\.8 Error: authentication failed: a\?b\?\[2Jy+$/ ],
	[ 'has a challenge that is not base64', answering("CONT\t1\t\r250 x\n"), qr/^454/ ],
	[ 'has a bad number', answering("CONT\tx\ty\n"), qr/^454/ ],
	[ 'names a user with a line break', answering("OK\t1\tuser=da ve\1n\1tx\n"), qr/^235/ ],
);
my $first = 1;
for my $try (@scripts) {
	my ($what, $script, $want) = @$try;
	my $pid = fake($script);
	$q->start if $first;
	$q->stop, $q->start unless $first; # nothing is remembered of the one before
	$first = 0;
	my $c = hello();
	if ($want) {
		like $c->{ehlo}, qr/^250-AUTH PLAIN$/m, "$what: offered";
		like $c->cmd($plain), $want, "a server that $what";
	} else {
		unlike $c->{ehlo}, qr/AUTH/, "a server that $what: nothing is offered";
		like $c->cmd($plain), qr/^535/, 'and not taken';
	}
	$c->cmd('QUIT', qr/^221/);
	kill 'TERM', $pid;
	waitpid $pid, 0;
}
$q->wait_log(qr/SASL: Dovecot auth socket '\S+': \S/, from => 0);
unlink $theirs;
$q->stop;
$q->start;
unlike hello()->{ehlo}, qr/AUTH/, 'no server at all: mail goes on without AUTH';
$q->wait_log(qr/warning: SASL: Connect to Dovecot auth socket '\S+' failed: No such file or directory$/);

# A server that is there and says nothing: a client waits for EHLO, but not for ever, and others do not wait with it.
my $silent = fake(sub { sleep 60 });
$q->wait_until('the look at the silent server', sub { hello(); $q->log_count(qr/: (?:timeout|timed out|deadline)/i) });
pass 'a silent server is given up';
kill 'TERM', $silent;
waitpid $silent, 0;

# The settings of a Postfix beside Dovecot mean our own auth.
$q->set(smtpd_sasl_path => 'private/auth');
$q->stop;
$q->start;
like hello()->cmd('AUTH PLAIN ' . b64("\0alice\0" . $q->password('alice'))), qr/^235/, 'smtpd_sasl_path = private/auth is our auth';
$q->stop;
unlike Posthouse::slurp($q->maillog), qr/sesame|@{[ b64("\0dave\0sesame") ]}|panic|fatal/, 'no password in the log, no crash';
done_testing;
