#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# POP3's APOP: offered by a timestamp in the greeting when auth_mechanisms has it; right and wrong digests, users without a plaintext
# secret and users who do not exist are refused in the same words.
use strict;
use warnings;
use Test::More;
use Digest::MD5 qw(md5_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(scheme => 'PLAIN', main => { auth_failure_delay => '10ms', login_max_attempts => 100, auth_mechanisms => 'plain apop' });
my ($uid, $gid) = ($<, (split ' ', $()[0]);
Posthouse::append_file($p->dir . '/users', 'hashed:' . crypt('secret', '$6$saltsalt') . ":$uid:${gid}::/tmp:/bin/sh:\n");
$p->start;
my $pw = $p->password('alice');

sub greeted {
	my $c = $p->connect('pop3');
	my ($stamp) = $c->line =~ /^\+OK .* (<[^<>@ ]+@[^<>@ ]+>)$/;
	return ($c, $stamp);
}

my ($c, $stamp) = greeted();
ok $stamp, 'a timestamp in the greeting';
is scalar(grep { /APOP/i } $c->multi('CAPA'), $c->multi('AUTH')), 0, 'which is how it is offered, and not as a mechanism';
isnt + (greeted())[1], $stamp, 'another one for each connection';
my $refused = $c->cmd1('APOP alice ' . md5_hex("${stamp}wrong"), qr/^-ERR \[AUTH\]/);
is $c->cmd1("APOP $_->[0] " . md5_hex($stamp . $_->[1]), qr/^/), $refused, "the same words: $_->[0]" for [ 'nobody', 'x' ], [ 'hashed', 'secret' ], [ 'a b', 'x' ];
is $c->cmd1('APOP alice ' . uc md5_hex("$stamp$pw"), qr/^/), $refused, 'small letters';
like $c->cmd1($_, qr/^/), qr/^-ERR APOP expects/, "syntax: $_" for 'APOP', 'APOP alice', 'APOP alice 123';
like $c->cmd1('AUTH APOP', qr/^/), qr/^-ERR Unsupported/, 'not by AUTH';
$c->cmd1('APOP alice ' . md5_hex("$stamp$pw"), qr/^\+OK/);
$c->cmd1('STAT', qr/^\+OK 0 0$/);
$c->cmd1('QUIT', qr/^\+OK/);
$p->wait_log(qr/pop3-login: Login: user=<alice>, method=APOP, /);
($c, my $other) = greeted();
$c->cmd1('APOP alice ' . md5_hex("$stamp$pw"), qr/^-ERR \[AUTH\]/);
pass 'a digest is good for its own connection only';
$c->cmd1('QUIT', qr/^\+OK/);
$p->wait_log(qr/pop3-login: Aborted login \(auth failed, 1 attempts in \d+ secs\): user=<alice>, method=APOP, /);
unlike $p->imap->imap('CAPABILITY'), qr/APOP/, 'no mechanism of IMAP';
$c = $p->smtp('submission');
unlike $c->cmd('EHLO x'), qr/APOP/, 'nor of SMTP';
like $c->cmd('AUTH APOP'), qr/^5/, 'refused there';

$p->set(auth_mechanisms => 'plain');
$p->reload;
$c = $p->wait_until('the new setting', sub { my ($n, $s) = greeted(); !$s && $n });
$c->cmd1('APOP alice ' . md5_hex("<>$pw"), qr/^-ERR Unknown command/);
pass 'without it in auth_mechanisms there is none';
$p->stop;
done_testing;
