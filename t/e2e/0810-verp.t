#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Variable envelope return paths: XVERP of smtpd and sendmail -XV; each copy, and each notice, has an address of its own.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { recipient_delimiter => '+',
	virtual_alias_maps => 'inline:{ { list@example.test = bob@example.test } }' });
Posthouse::append_file($p->dir . '/aliases', qq(u: "|exit 67"\nv: "|exit 67"\n));
$p->start;

my $c = $p->smtp;
like($c->cmd('EHLO c.test', qr/^250/), qr/^250-XVERP\r?$/m, 'offered');
$c->cmd('MAIL FROM:<list@example.test> XVERP=+', qr/^501 5\.5\.4 Error: XVERP needs two characters from -=\+/);
$c->cmd('MAIL FROM:<list@example.test> XVERP=+x', qr/^501 5\.5\.4 Error: XVERP needs two characters/);
$c->cmd('MAIL FROM:<> XVERP', qr/^503 5\.5\.4 Error: XVERP requires non-null sender/);
$c->cmd('MAIL FROM:<list@example.test> XVERP', qr/^250/);
$c->cmd("RCPT TO:<$_>", qr/^250/) for 'alice@example.test', 'u@example.test', 'v@example.test';
$c->cmd('DATA', qr/^354/);
my ($id) = $c->cmd("Subject: all\r\n\r\ntext\r\n.", qr/^250/) =~ /queued as (\S+)/;
$p->wait_log(qr/$id: removed/, from => 0);
like(Posthouse::slurp($p->spool('alice')), qr/^From list\+alice=example\.test\@example\.test /, 'the copy has its own return path');
my @notices = sort map { /sender non-delivery notification: (\S+)/ ? $1 : () } grep { /$id/ } split /\n/, Posthouse::slurp($p->maillog);
is(scalar @notices, 2, 'a notice for each that failed');
$p->wait_log(qr/$_: removed/, from => 0) for @notices;
my $bob = Posthouse::slurp($p->spool('bob'));
is_deeply([ sort $bob =~ /^To: (list\S+)$/mg ], [ 'list+u=example.test@example.test', 'list+v=example.test@example.test' ], 'each to its own address');

# --- all of it to the plain sender when told so; after a restart, from the file -----------------------------------------
$p->set(disable_verp_bounces => 'yes', defer_transports => 'local');
$p->reload;
my ($status, $text) = Posthouse::run('sh', '-c', "printf 'Subject: more\\n\\nx\\n' | $Posthouse::BIN/sendmail -C " . $p->dir . " -f list\@example.test -XV-= alice\@example.test u v");
is($status, 0, 'sendmail -XV') or diag $text;
$p->wait_until('a queued letter', sub { ($p->tool('postqueue', '-j'))[1] =~ /"queue_name"/ });
$p->stop;
$p->set(defer_transports => '');
$p->start;
$p->tool('postqueue', '-f');
$p->wait_until("alice's second letter", sub { Posthouse::slurp($p->spool('alice')) =~ /^From list-alice=example\.test\@example\.test /m });
my $line = $p->wait_log(qr/sender non-delivery notification: (?!$notices[0]|$notices[1])\S+/, from => 0);
$p->wait_until("bob's notice", sub { Posthouse::slurp($p->spool('bob')) =~ /^To: list\@example\.test$/m });
pass('one notice to the plain sender');

# --- not from everywhere ------------------------------------------------------------------------------------------------
$p->set(smtpd_authorized_verp_clients => '192.0.2.1');
$p->reload;
$c = $p->smtp;
unlike($c->cmd('EHLO c.test', qr/^250/), qr/XVERP/, 'not offered to others');
$c->cmd('MAIL FROM:<list@example.test> XVERP', qr/^555 5\.5\.4 Unsupported option: XVERP/);
($status) = Posthouse::run('sh', '-c', "$Posthouse::BIN/sendmail -C " . $p->dir . ' -XVab bob </dev/null');
is($status, 64, 'bad delimiters on the command line');
done_testing;
