#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# AUTH under attack: garbage beside a good login, equal times, growing delays, tokens by a hook, what fail2ban sees.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use IO::Socket::UNIX;
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(users => [qw(alice bob carol dave)], main => { auth_failure_delay => '0s', syslog_name => 'postfix',
	auth_mechanisms => 'plain login cram-md5 scram-sha-256 oauthbearer xoauth2', smtpd_hard_error_limit => 100000, smtpd_soft_error_limit => 100000,
	smtpd_client_connection_count_limit => 0 });
$p->set(oauth2_introspection => 'unix:' . $p->dir . '/hook');
$p->start;
my $pw = $p->password('alice');
sub b64 { encode_base64($_[0], '') }
sub hello { my $c = $p->smtp('submission'); $c->cmd('EHLO client.test', qr/^250 /m); return $c }

# --- garbage
my @garbage = ('AUTH', 'AUTH =', 'AUTH PLAIN =', 'AUTH PLAIN ====', 'AUTH PLAIN AA==', 'AUTH PLAIN ' . b64("\0" x 300), 'AUTH PLAIN ' . 'A' x 1600,
	'AUTH LOGIN ' . b64("\xff" x 600), "AUTH \x80\xff", 'AUTH CRAM-MD5', 'AUTH SCRAM-SHA-256 ' . b64('n,,n=,r='), 'AUTH SCRAM-SHA-256 ' . b64("n,,n=a\0b,r=x"),
	'AUTH SCRAM-SHA-256 ' . b64('n,,n=' . 'x' x 1000 . ',r=x'), 'AUTH XOAUTH2 ' . b64("user=\1auth=Bearer \1\1"), 'AUTH OAUTHBEARER ' . b64("n,a=x,\1"),
	'AUTH PLAIN ' . b64("\0../../etc/passwd\0x"), 'AUTH PLAIN ' . b64("\0alice\nx\0x"), 'AUTH PLAIN ' . b64("\0%n%n%s\0x"));
my @answers = ('*', '', '=', '=', '====', 'A', 'A' x 12000, b64('x' x 500), b64('c=biws,r=x,p='), b64("\0\0\0"), "\0");
my $storm = fork;
die unless defined $storm;
if ($storm == 0) {
	srand 1;
	my $c = hello();
	for (1 .. 1500) {
		$c->send($garbage[ rand @garbage ]);
		my $r = $c->reply;
		for (1 .. 4) {
			last unless $r =~ /^334/;
			$c->send($answers[ rand @answers ]);
			$r = $c->reply;
		}
		die "$r\n" unless $r =~ /^[45]\d\d /;
		$c = hello() if rand() < 0.1; # and go away in the midst
		if (rand() < 0.05) { $c->send('AUTH LOGIN'); $c = hello() }
	}
	require POSIX;
	POSIX::_exit(0);
}
my $good = 0;
while (waitpid($storm, POSIX::WNOHANG()) == 0) {
	my $c = hello();
	die "a good login failed\n" unless $c->cmd('AUTH PLAIN ' . b64("\0alice\0$pw")) =~ /^235/;
	$c->cmd('QUIT', qr/^221/);
	$good++;
}
is $?, 0, 'garbage is refused, and nothing else happens';
cmp_ok $good, '>', 5, "good logins meanwhile: $good";

# --- the same time for an unknown user and for a wrong password
# (A busy machine can blur a median; what really takes longer does so each time.)
my $d = hello();
my @strange = ('nobody', 'not a name');
my %median;
sub medians {
	my %times;
	for (1 .. 15) {
		for my $name ('bob', @strange) {
			my $t = time;
			$d->cmd('AUTH PLAIN ' . b64("\0$name\0wrong"), qr/^535/);
			push @{ $times{$name} }, time - $t;
		}
	}
	return map { $_ => (sort { $a <=> $b } @{ $times{$_} })[7] } keys %times;
}
sub alike { return abs($median{ $_[0] } - $median{bob}) < 0.5 * $median{bob} + 0.002 }
for my $try (1 .. 3) {
	%median = medians();
	last unless grep { !alike($_) } @strange;
}
ok alike($_), sprintf '%s: %.1f ms, wrong password: %.1f ms', $_, 1000 * $median{$_}, 1000 * $median{bob} for @strange;

# --- tokens
my $hook = IO::Socket::UNIX->new(Local => $p->dir . '/hook', Listen => 5) or die "hook: $!";
my $server = fork;
die unless defined $server;
if ($server == 0) {
	while (my $s = $hook->accept) {
		my $line = <$s> // '';
		my ($verb, $service, $mechanism, $user, $ip, $token) = split /\t/, $line;
		chomp $token;
		print $s $token eq "good-$service-$user" ? "OK\t$user\n" : $token eq 'broken' ? "?\n" : $token eq 'others' ? "OK\tbob\n" : "NO\n";
		close $s;
	}
}
my $c = hello();
my $oauth = sub { 'AUTH XOAUTH2 ' . b64("user=alice\1auth=Bearer $_[0]\1\1") };
like $c->cmd($oauth->('bad')), qr/^334 /, 'a bad token: first the reason';
is decode_base64(substr $c->cmd(''), 4) ? 1 : 0, 1, 'then the refusal';
$c = hello();
like $c->cmd($oauth->('others')), qr/^334 /, 'somebody else\'s';
like $c->cmd(''), qr/^535 5.7.8/, 'refused';
like $c->cmd($oauth->('broken')), qr/^334 |^454/, 'no answer';
$c = hello();
like $c->cmd($oauth->('good-smtp-alice')), qr/^235/, 'XOAUTH2';
$c = hello();
like $c->cmd('AUTH OAUTHBEARER ' . b64("n,a=alice,\1host=x\1port=587\1auth=Bearer good-smtp-alice\1\1")), qr/^235/, 'OAUTHBEARER';
my $i = $p->connect('imap');
$i->expect(qr/^\* OK.*AUTH=XOAUTH2/);
$i->send('a AUTHENTICATE XOAUTH2 ' . b64("user=alice\1auth=Bearer good-imap-alice\1\1"));
like $i->line, qr/^a OK/, 'XOAUTH2 over IMAP';
kill 'TERM', $server;
waitpid $server, 0;

# --- delays grow with each failure of an account, whatever the service
$p->set(auth_failure_delay => '400ms', login_max_attempts => 100);
$p->reload;
sub waits { my ($c, $user) = @_; my $t = time; $c->cmd('AUTH PLAIN ' . b64("\0$user\0wrong"), qr/^535/); return time - $t }
$c = hello();
my @w = map { waits($c, 'carol') } 1 .. 3;
cmp_ok $w[0], '>', 0.39, 'the first failure waits';
cmp_ok $w[0], '<', 2, 'but not long';
cmp_ok $w[2], '>', 0.79, 'the third twice as long';
$i = $p->connect('imap');
$i->expect(qr/^\* OK/);
my $t = time;
$i->send('a LOGIN carol wrong');
$i->expect(qr/^a NO/);
cmp_ok time - $t, '>', 1.59, 'the fourth again, over IMAP';
$t = time;
$c = hello();
$c->cmd('AUTH PLAIN ' . b64("\0carol\0" . $p->password('carol')), qr/^235/);
cmp_ok time - $t, '<', 1.5, 'the right password is not delayed';
$c = hello();
cmp_ok waits($c, 'carol'), '<', 0.79, 'and clears the account';
cmp_ok waits($c, 'dave'), '<', 0.79, 'others were never slowed down';

# --- the log
if (grep { -x "$_/fail2ban-regex" } split /:/, $ENV{PATH}) {
	my ($status, $text) = Posthouse::run('fail2ban-regex', $p->maillog, 'postfix[mode=auth]');
	like $text, qr/^Failregex: [1-9]\d* total/m, 'fail2ban finds the failures';
}
unlike Posthouse::slurp($p->maillog), qr/\Q$pw\E|@{[ b64($pw) ]}/, 'no password in the log';
$p->stop;
done_testing;
