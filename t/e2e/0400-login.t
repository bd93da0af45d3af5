#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Before login: what is said, what is refused, what is logged; and hostile input.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Posthouse;
use Time::HiRes qw(time);

my $p = Posthouse->new(master => <<'END', main => { auth_failure_delay => '300ms', auth_verbose => 'yes', login_timeout => '20s' });
pop3 inet n - y - - login -P pop3
imap inet n - y - - login -P imap
auth unix - n - - - auth
END
$p->start;
my $ip = quotemeta '127.0.0.1';

sub imap { my $c = $p->connect('imap'); $c->expect(qr/^\* OK \[CAPABILITY IMAP4rev1 /); return $c }
sub pop3 { my $c = $p->connect('pop3'); $c->expect(qr/^\+OK Posthouse ready\.$/); return $c }
sub took { my $from = time; $_[0]->(); return time - $from }

# --- IMAP ---
my $c = imap();
is_deeply [ $c->imap('CAPABILITY') ], [ '* CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN',
	'a1 OK Capability completed.' ], 'CAPABILITY on loopback';
like + ($c->imap('noop'))[-1], qr/^a2 OK/, 'NOOP';
like + ($c->imap('ID ("name" "x")'))[0], qr/^\* ID \("name" "Posthouse"/, 'ID';
$c->imap($_, qr/^\S+ BAD /), pass "$_ is not for strangers" for 'SELECT INBOX', 'STARTTLS', 'NONSENSE', 'LOGIN', 'LOGIN a';
my $no = 'NO [AUTHENTICATIONFAILED] Authentication failed.';
my $wrong = took(sub { $c->imap('LOGIN alice wrong', qr/^\S+ \Q$no\E$/) });
my $unknown = took(sub { $c->imap('LOGIN nobody wrong', qr/^\S+ \Q$no\E$/) });
cmp_ok $wrong, '>=', 0.29, 'a refusal takes auth_failure_delay';
cmp_ok $unknown, '>=', 0.29, 'for an unknown user, too';
cmp_ok abs($wrong - $unknown), '<', 0.15, 'and as long';
my @lines = $c->imap('LOGOUT');
like $lines[0], qr/^\* BYE /, 'LOGOUT';
ok $c->eof, 'closed';
$p->wait_log(qr/dovecot\[\d+\]: auth: passwd-file\(alice,$ip\): Password mismatch$/);
$p->wait_log(qr/dovecot\[\d+\]: auth: passwd-file\(nobody,$ip\): unknown user$/);
my $client = qr/rip=$ip, lip=\Q$p->{address}\E, secured, session=<[^ >]{12}>/;
like $p->wait_log(qr/imap-login: Aborted login/),
	qr/imap-login: Aborted login \(auth failed, 2 attempts in \d+ secs\): user=<nobody>, method=PLAIN, $client$/,
	'logged at the end';

$c = imap();
$c->send('a LOGIN {5}');
$c->expect(qr/^\+ /);
$c->send('alice {5+}');
$c->send('wrong');
$c->expect(qr/^a \Q$no\E$/);
pass 'LOGIN with literals';
$c->imap('AUTHENTICATE PLAIN ' . encode_base64("\0alice\0wrong", ''), qr/\Q$no\E/);
$c->imap('AUTHENTICATE PLAIN ' . encode_base64("bob\0alice\0" . $p->password('alice'), ''), qr/\Q$no\E/);
$c->expect(qr/^\* BYE Too many failed logins/);
ok $c->eof, 'login_max_attempts';
$p->wait_log(qr/imap-login: Disconnected: Too many failed logins \(auth failed, 3 attempts in \d+ secs\): user=<alice>,/);

$c = imap();
$c->send('a AUTHENTICATE PLAIN');
$c->expect(qr/^\+ ?$/);
$c->send('*');
$c->expect(qr/^a BAD/);
$c->send('b AUTHENTICATE LOGIN');
is $c->line, '+ VXNlcm5hbWU6', 'LOGIN asks for the user name';
$c->send(encode_base64('alice', ''));
is $c->line, '+ UGFzc3dvcmQ6', 'and the password';
$c->send(encode_base64('wrong', ''));
$c->expect(qr/^b \Q$no\E$/);
$c->imap('AUTHENTICATE CRAM-MD5', qr/^\S+ NO Unsupported/);
$c->imap("AUTHENTICATE PLAIN $_", qr/^\S+ BAD/) for '=', '!!!', 'YQ', encode_base64("\0\0", '');
$c->send('c AUTHENTICATE PLAIN');
$c->expect(qr/^\+/);
$c->close;
$p->wait_log(qr/imap-login: Disconnected: Connection closed \(auth failed, 1 attempts/);

# Bytes that have no business in a name.
for my $name ("../../x", "alice/../bob", "a' OR 1=1--", "*)(uid=*", "%1000000u", 'x' x 300, "\xc3\xa9") {
	my $q = imap();
	$q->imap("LOGIN \"$name\" x", qr/\Q$no\E/);
	$q->imap('LOGOUT');
}
pass 'odd names are unknown users';
$p->wait_log(qr{auth: login\(\.\./\.\./x,$ip\): unknown user});
$p->wait_log(qr{auth: login\(\*\?\?uid=\*,$ip\): unknown user});
$c = imap();
$c->send_raw("a LOGIN \"x\0y\" \"z\"\r\n");
$c->expect(qr/^a BAD/);
$c->send_raw("b LOGIN {3}\r\n");
$c->expect(qr/^\+/);
$c->send_raw("x\0y z\r\n");
$c->expect(qr/^b BAD/);
$c->imap('NOOP');
pass 'a NUL is an error, not an end';
for my $size ('{4294967295}', '{-1}', '{99999999999999999999}', '{18446744073709551616+}', '{100000+}') {
	my $q = imap();
	$q->send("a LOGIN $size");
	$q->expect(qr/^(?:a (?:BAD|NO)|\* BAD|\* BYE)/);
	pass "literal $size";
}

# 1 MB of parentheses without a line end, on many connections: nobody else notices.
my @storm = map { imap() } 1 .. 20;
for my $s (@storm) {
	$s->send_raw('a NOOP ' . '(' x 65536);
}
for my $s (@storm) {
	$s->send_raw('(' x 65536) for 1 .. 15;
	$s->send('');
	$s->expect(qr/^a BAD/);
}
imap()->imap('NOOP');
pass '20 MB of parentheses';

# --- POP3 ---
$c = pop3();
is_deeply [ $c->multi('CAPA') ], [ qw(CAPA TOP UIDL RESP-CODES PIPELINING AUTH-RESP-CODE UTF8 LANG), 'EXPIRE NEVER', 'USER', 'SASL PLAIN LOGIN' ], 'CAPA';
is_deeply [ $c->multi('AUTH') ], [ qw(PLAIN LOGIN) ], 'AUTH alone lists';
$c->cmd1('NOOP', qr/^\+OK/);
$c->cmd1($_, qr/^-ERR /) for 'STAT', 'RETR 1', 'XYZ', 'PASS x', 'USER', '';
$c->cmd1('USER alice', qr/^\+OK/);
my $t = took(sub { $c->cmd1('PASS wrong word ', qr/^-ERR \[AUTH\] Authentication failed\.$/) });
cmp_ok $t, '>=', 0.29, 'POP3 waits, too';
$c->cmd1('AUTH PLAIN', qr/^\+ ?$/);
$c->cmd1(encode_base64("\0alice\0x", ''), qr/^-ERR \[AUTH\]/);
$c->cmd1('AUTH LOGIN', qr/^\+ VXNlcm5hbWU6$/);
$c->cmd1('*', qr/^-ERR/);
$c->cmd1('QUIT', qr/^\+OK/);
ok $c->eof, 'closed';
like $p->wait_log(qr/pop3-login: Aborted login/),
	qr/Aborted login \(auth failed, 2 attempts in \d+ secs\): user=<alice>, method=PLAIN, rip=$ip,/, 'logged';

$c = pop3();
$c->cmd1('XYZ', qr/^-ERR/) for 1 .. 10;
$c->expect(qr/^-ERR Too many invalid commands/);
ok $c->eof, 'ten bad commands are enough';
$c = pop3();
$c->send('USER ' . 'x' x 20000);
$c->expect(qr/^-ERR Command line too long/);
$c->send_raw("USER a\0b\r\n");
$c->expect(qr/^-ERR Malformed/);
$c->close;
$p->wait_log(qr/pop3-login: Disconnected: Connection closed \(no auth attempts in 0 secs\): rip=$ip, lip=/);

# What does not work is not the user's fault: the right password, and nobody to hand over to.
$c = pop3();
$c->cmd1('USER alice', qr/^\+OK/);
$c->cmd1('PASS ' . $p->password('alice'), qr/^-ERR \[SYS\/TEMP\] Temporary authentication failure\.$/);
$c->cmd1('QUIT', qr/^\+OK/);
$p->wait_log(qr/pop3-login: Aborted login \(internal failure, 1 attempts/);
$c = imap();
$c->imap('LOGIN alice ' . $p->password('alice'), qr/^\S+ NO \[UNAVAILABLE\] Temporary authentication failure\.$/);

# --- log readers ---
SKIP: {
	my $filter = '/etc/fail2ban/filter.d/dovecot.conf';
	skip 'fail2ban is not installed', 2 unless -r $filter && grep { -x "$_/fail2ban-regex" } split /:/, $ENV{PATH};
	my ($status, $text) = Posthouse::run('fail2ban-regex', '--print-all-matched', $p->maillog, $filter);
	my $expected = () = Posthouse::slurp($p->maillog) =~ /(?:auth failed, \d+ attempts|: unknown user|Password mismatch)/g;
	like $text, qr/, $expected matched,/, "fail2ban sees all $expected failures";
	unlike $text, qr/internal failure.*\n.*Missed/, 'and none of ours';
}

# The whole attempt to log in has one deadline, however slowly the client speaks.
$p->set(login_timeout => '1s');
$p->reload;
$c = $p->wait_until('the new setting', sub { my $n = eval { pop3() } or return; $n });
$c->send_raw('U');
$t = took(sub { $c->expect(qr/^-ERR Disconnected for inactivity/) });
cmp_ok $t, '<', 10, 'login_timeout';
ok $c->eof, 'closed';
$p->stop;
done_testing;
