#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# TLS of login: STARTTLS and STLS, implicit, what is offered when, injected commands, the relay after login, ssl = required and no.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Tls;

Posthouse::need('openssl', 'curl');

my $p = Posthouse->new(tls => 1, main => { login_timeout => '3s' })->start;
my ($d, $pw) = ($p->dir, $p->password('alice'));
my @trust = ('--cacert', "$d/tls/cert.pem");

# --- IMAP
my $c = $p->connect('imap');
like $c->line, qr/^\* OK \[CAPABILITY [^\]]* STARTTLS /, 'offered in the greeting';
$c->imap('STARTTLS', qr/ OK Begin TLS negotiation now\.$/);
$c->tls;
my @caps = $c->imap('CAPABILITY');
unlike $caps[0], qr/STARTTLS|LOGINDISABLED/, 'not offered again';
$c->imap('STARTTLS', qr/ BAD /);
$c->imap("LOGIN alice $pw", qr/ OK \[CAPABILITY/);
$p->wait_log(qr/imap-login: Login: user=<alice>, method=PLAIN, rip=127\.0\.0\.1, lip=\S+, mpid=\d+, TLS, session=</);
$c->imap('SELECT INBOX');

# The relay: large in both directions at once, then the end from each side.
my $letter = "Subject: large\r\n\r\n" . join('', map { sprintf "%06d %s\r\n", $_, 'x' x 60 } 1 .. 30000);
my $size = length $letter;
$c->send("a APPEND INBOX {$size+}");
$c->send_raw("$letter\r\n");
$c->expect(qr/^\* 1 EXISTS/);
my $line;
do { $line = $c->line } until $line =~ /^a /;
like $line, qr/^a OK /, 'a large APPEND';
$c->send("b UID FETCH 1:* BODY.PEEK[]\r\nc NOOP");
$c->expect(qr/^\* 1 FETCH .*\{$size\}$/);
is $c->bytes($size), $letter, 'and back, byte for byte';
do { $line = $c->line } until $line =~ /^c /;
like $line, qr/^c OK/, 'pipelined behind it';
my $idle = $p->connect('imaps')->tls;
$idle->expect(qr/^\* OK \[CAPABILITY (?!.*STARTTLS)/);
$idle->imap("LOGIN alice $pw");
$idle->imap('SELECT INBOX');
$idle->send('i IDLE');
$idle->expect(qr/^\+ /);
$p->send_mail(to => 'alice@example.test');
$idle->expect(qr/^\* 2 EXISTS/);
$idle->send('DONE');
do { $line = $idle->line } until $line =~ /^i /;
$idle->imap('LOGOUT');
ok $idle->eof, 'the server ends: the client is told';
$c->close;
$p->wait_log(qr/imap\(alice\)<\d+><\S+>: Disconnected: Connection closed/, from => 0);

# --- POP3
$c = $p->connect('pop3');
$c->expect(qr/^\+OK/);
ok scalar(grep { $_ eq 'STLS' } $c->multi('CAPA')), 'STLS offered';
$c->cmd1('USER mallory', qr/^\+OK/);
$c->cmd1('STLS', qr/^\+OK Begin TLS negotiation now\.$/);
$c->tls;
ok !grep({ $_ eq 'STLS' } $c->multi('CAPA')), 'not offered again';
$c->cmd1("PASS $pw", qr/^-ERR No user name given/);
$c->cmd1('USER alice', qr/^\+OK/);
$c->cmd1("PASS $pw", qr/^\+OK/);
is scalar($c->multi('RETR 1')), 30002, 'a large letter';
$c->cmd1('QUIT', qr/^\+OK/);
for my $url ('imaps', 'pop3s', 'imap', 'pop3') {
	my ($status, $text) = Posthouse::run('curl', '-sS', @trust, '--ssl-reqd', '-u', "alice:$pw", "$url://" . $p->address . ':' . $p->port($url) . '/');
	is $status, 0, "curl, $url, verifying certificate and name" or diag $text;
}

# --- hazards S4
$c = $p->connect('imap');
$c->expect(qr/^\* OK/);
$c->send_raw("a STARTTLS\r\nb NOOP\r\n");
$c->expect(qr/^a BAD /);
$c->expect(qr/^\* BYE /);
ok $c->eof, 'IMAP: a command behind STARTTLS ends the session, unanswered';
$c = $p->connect('pop3');
$c->expect(qr/^\+OK/);
$c->send_raw("STLS\r\nCAPA\r\n");
$c->expect(qr/^-ERR /);
$c->expect(qr/^-ERR /);
ok $c->eof, 'POP3: the same';

# --- slow and broken clients
$c = $p->connect('imaps');
ok $c->eof, 'who says nothing is left after login_timeout, without a word in the clear';
$p->wait_log(qr/imap-login: Disconnected: TLS handshake failed \(no auth attempts in \d+ secs\): rip=\S+, lip=\S+, TLS handshaking: timeout, session=/);
$c = $p->connect('pop3s');
$c->send("USER alice\r\nPASS secret\r\nQUIT");
unlike $c->line // '', qr/^[+-]/, 'plaintext on a TLS port gets no answer';

# --- a reload and a stop while TLS sessions go on
$c = $p->connect('imaps')->tls;
$c->expect(qr/^\* OK/);
$c->imap("LOGIN alice $pw");
$p->reload;
$c->imap('NOOP');
$p->stop;
$c->expect(qr/^\* BYE /);
ok $c->eof, 'a stop says goodbye through TLS';

# --- ssl = required: strangers log in under TLS only, whatever disable_plaintext_auth says. ssl = no: none of it.
my $q = Posthouse->new(tls => 1, main => { ssl => 'no' })->start;
$q->wait_log(qr/services are not run: pop3s imaps/);
$c = $q->connect('imap');
unlike $c->line, qr/STARTTLS/, 'ssl = no: not offered';
$c->imap('STARTTLS', qr/ BAD /);
done_testing;
