#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# smtpd_discard_ehlo_keywords and smtpd_discard_ehlo_keyword_address_maps: what is not offered is off.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;
use Tls;

my $p = Posthouse->new(tls => 1, relay => '127.0.0.0/8', main => { smtpd_error_sleep_time => 0, smtpd_authorized_xclient_hosts => '127.0.0.0/8', smtpd_authorized_verp_clients => '' }, services => <<'END');
3001 inet n - - - - smtpd -o { smtpd_discard_ehlo_keywords = starttls, auth, chunking, DSN, smtputf8, xclient, etrn, no-such } -o smtpd_sasl_auth_enable=yes
3002 inet n - - - - smtpd -o { smtpd_discard_ehlo_keyword_address_maps = inline:{ { 127.0.0.3 = chunking silent-discard }, { 127.0.0.4 = no-such } } } -o smtpd_discard_ehlo_keywords=vrfy
3003 inet n - - - - smtpd -o smtpd_discard_ehlo_keyword_address_maps=unix:no-such-table
3004 inet n - - - - smtpd -o { smtpd_discard_ehlo_keywords = 8bitmime auth etrn pipelining size vrfy xclient xforward starttls enhancedstatuscodes dsn smtputf8 chunking limits }
3005 inet n - - - - smtpd -o smtputf8_enable=no
END
$p->start;

sub from {
	my ($address, $port) = @_;
	my $c = Posthouse::Conn->new(IO::Socket::INET->new(LocalAddr => $address, PeerAddr => $p->address, PeerPort => $port) || die($!), $p);
	$c->reply(qr/^220/);
	return $c;
}

sub keywords { join ' ', map { /^250[- ](\w+)/ ? $1 : () } grep { !/mail\.example\.test/ } split /\r?\n/, $_[0]->cmd($_[1] || 'EHLO c.test', qr/^250/) }

my $c = from('127.0.0.1', 3001);
is keywords($c), 'PIPELINING SIZE VRFY ENHANCEDSTATUSCODES 8BITMIME LIMITS', 'what is left';
$p->wait_log(qr/smtpd\[\d+\]: discarding EHLO keywords: AUTH ETRN XCLIENT STARTTLS DSN SMTPUTF8 CHUNKING$/);
is $c->cmd('STARTTLS'), '502 5.5.1 Error: command not implemented', 'no STARTTLS';
is $c->cmd('AUTH PLAIN'), '503 5.5.1 Error: authentication not enabled', 'no AUTH';
is $c->cmd('MAIL FROM:<x@client.test> RET=FULL'), '501 5.7.1 DSN support is disabled', 'no RET';
is $c->cmd('MAIL FROM:<x@client.test> ENVID=1'), '501 5.7.1 DSN support is disabled', 'no ENVID';
is $c->cmd('MAIL FROM:<x@client.test> SMTPUTF8'), '555 5.5.4 Unsupported option: SMTPUTF8', 'no SMTPUTF8';
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
is $c->cmd('RCPT TO:<alice@example.test> NOTIFY=NEVER'), '501 5.7.1 DSN support is disabled', 'no NOTIFY';
is $c->cmd('RCPT TO:<alice@example.test> ORCPT=rfc822;a@b.test'), '501 5.7.1 DSN support is disabled', 'no ORCPT';
$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
$c->send_raw("BDAT 6 LAST\r\nRSET\r\n");
is $c->reply, '521 5.5.1 Error: command not implemented', 'no BDAT';
ok $c->eof, 'and its content is not taken for commands';
$c = from('127.0.0.1', 3001);
$c->cmd('EHLO c.test', qr/^250/);
like $c->cmd('XCLIENT NAME=a.test'), qr/^220/, 'XCLIENT is only left out';

is keywords(from('127.0.0.1', 3002)), 'PIPELINING SIZE ETRN STARTTLS XCLIENT ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 LIMITS CHUNKING', 'an address that the table does not know';
$p->wait_log(qr/discarding EHLO keywords: VRFY$/);
$c = from('127.0.0.3', 3002);
is keywords($c), 'PIPELINING SIZE VRFY ETRN STARTTLS XCLIENT ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 LIMITS', 'one that it knows, CHUNKING was the last line';
$c->cmd('QUIT', qr/^221/);
$p->wait_log(qr/disconnect from \S+\[127\.0\.0\.3\]/);
is $p->log_count(qr/discarding EHLO keywords: .*CHUNKING.*silent/), 0, 'silently';
is $p->log_count(qr/discarding EHLO keywords: CHUNKING/), 0, 'so';
like keywords(from('127.0.0.4', 3002)), qr/VRFY.*CHUNKING/, 'everything for one';

$c = from('127.0.0.1', 3003);
is $c->cmd('EHLO c.test'), '421 4.3.0 mail.example.test Server local data error', 'a table that cannot be asked';
ok $c->eof, 'ends the session';
$p->wait_log(qr/warning: don't know what EHLO features to announce to \S+\[127\.0\.0\.1\]/);

is from('127.0.0.1', 3004)->cmd('EHLO c.test'), '250 mail.example.test', 'nothing is left';
unlike keywords($c = from('127.0.0.1', 3005)), qr/SMTPUTF8/, 'smtputf8_enable = no';
is $c->cmd('MAIL FROM:<x@client.test> SMTPUTF8'), '555 5.5.4 Unsupported option: SMTPUTF8', 'is off, too';

# The lines of EHLO keep their shape over STARTTLS and a letter comes through.
$c = from('127.0.0.1', 3002);
$c->cmd('EHLO c.test', qr/^250-STARTTLS$/m);
$c->cmd('STARTTLS', qr/^220/);
$c->tls;
is keywords($c), 'PIPELINING SIZE ETRN XCLIENT ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 LIMITS CHUNKING', 'after STARTTLS';
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
$c->cmd('DATA', qr/^354/);
like $c->cmd("Subject: x\r\n\r\nx\r\n."), qr/^250/, 'a letter';
$p->stop;
done_testing;
