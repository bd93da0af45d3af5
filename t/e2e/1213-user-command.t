#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse user: add, passwd, del, list; and that running servers follow at once.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(main => { auth_failure_delay => '0s', auth_mechanisms => 'plain login scram-sha-256', auth_cache_size => 100000,
	login_max_attempts => 100 })->start;
my $file = $p->dir . '/users';
Posthouse::write_file($file, "# the users\n" . Posthouse::slurp($file) . "# the end");
chmod 0640, $file;

sub user {
	my ($password, @args) = @_;
	Posthouse::write_file($p->dir . '/in', $password);
	return Posthouse::run('sh', '-c', 'exec "$@" <' . $p->dir . '/in', 'x', "$Posthouse::BIN/posthouse", '-c', $p->dir, 'user', @args);
}

sub works {
	my ($user, $password) = @_;
	my $c = $p->connect('imap');
	$c->expect(qr/^\* OK/);
	$c->send("a LOGIN $user \"$password\"");
	return ($c->line // '') =~ /^a OK/;
}

is_deeply [ user('', 'list') ], [ 0, "alice\nbob\n" ], 'list';
is_deeply [ user("first secret\n", 'add', '-d', $p->dir . '/home/carol', 'carol') ], [ 0, '' ], 'add';
like Posthouse::slurp($file), qr/^# the users\nalice:.*\nbob:.*\n# the end\ncarol:\{CRYPT\}\$\S+:\d+:\d+::\S+::\n$/s, 'one more line';
is +(stat $file)[2] & 07777, 0640, 'the mode stays';
ok works('carol', 'first secret'), 'she can log in';
ok works('carol', 'first secret'), 'again, from the cache';
isnt +(user("x\n", 'add', 'carol'))[0], 0, 'not twice';
is_deeply [ user("second\n", 'passwd', 'carol') ], [ 0, '' ], 'passwd';
ok works('carol', 'second'), 'the new password';
ok !works('carol', 'first secret'), 'not the old one, cache or not';
is_deeply [ user("third:\n", 'passwd', '-s', 'SCRAM-SHA-256', 'carol') ], [ 0, '' ], 'kept for SCRAM';
like Posthouse::slurp($file), qr/^carol:\{SCRAM-SHA-256\}4096,[^:]+:\d+:/m, 'keys instead of a hash';
ok works('carol', 'third:'), 'also a LOGIN';
if (grep { -x "$_/gsasl" } split /:/, $ENV{PATH}) {
	is +(Posthouse::run('sh', '-c', 'exec gsasl --client --imap --connect "$1:2143" --no-starttls --mechanism SCRAM-SHA-256 -a carol --password third: </dev/null', 'x',
		$p->address))[0], 0, 'and SCRAM';
}
for (['', 'an empty password'], ["\n", 'an empty line'], ["a\tb\n", 'a control character'], ['x' x 2000, 'too long']) {
	my $before = Posthouse::slurp($file);
	isnt +(user($_->[0], 'passwd', 'carol'))[0], 0, "refused: $_->[1]";
	is Posthouse::slurp($file), $before, 'nothing has changed';
}
isnt +(user("x\n", 'add', $_))[0], 0, "no user name: $_" for 'a b', '../x', 'Carol', '-x', 'a:b';
isnt +(user("a:b\n", 'passwd', '-s', 'PLAIN', 'carol'))[0], 0, 'a colon cannot be kept as PLAIN';
isnt +(user("x\n", 'passwd', 'dave'))[0], 0, 'no such user';
is_deeply [ user('', 'del', 'carol') ], [ 0, '' ], 'del';
ok !works('carol', 'third:'), 'gone';
isnt +(user('', 'del', 'carol'))[0], 0, 'not twice';
is +(user('', 'frobnicate', 'carol'))[0], 64, 'usage';
is_deeply [ glob("$file.*") ], [], 'nothing is left behind';
$p->stop;
done_testing;
