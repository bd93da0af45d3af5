#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse user: add, passwd, del, list; and that running servers follow at once.
use strict;
use warnings;
use Test::More;
use FindBin;
use MIME::Base64 ();
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

subtest 'disable, enable' => sub {
	my $line = sub { (Posthouse::slurp($file) =~ /^carol:(?:[^:]*:){6}(.*)$/m)[0] };
	is_deeply [ user("fourth\n", 'passwd', 'carol') ], [ 0, '' ], 'a password';
	ok works('carol', 'fourth'), 'works';
	is_deeply [ user('', 'disable', 'carol') ], [ 0, '' ], 'disable';
	is $line->(), 'nologin', 'a word in the file';
	my $before = Posthouse::slurp($file);
	is_deeply [ user('', 'disable', 'carol') ], [ 0, '' ], 'again';
	is Posthouse::slurp($file), $before, 'changes nothing';
	my $said = sub { my ($port, @lines) = @_; my $c = $p->connect($port); $c->line; my $last; for (@lines) { $c->send($_); $last = $c->line } return $last };
	is $said->('imap', 'a LOGIN carol fourth'), 'a NO [CONTACTADMIN] The account is disabled, or it or its password has expired.', 'IMAP says so';
	is $said->('imap', 'a LOGIN carol third'), 'a NO [AUTHENTICATIONFAILED] Authentication failed.', 'but only to whoever knows the password';
	is $said->('pop3', 'USER carol', 'PASS fourth'), '-ERR [AUTH] The account is disabled, or it or its password has expired.', 'POP3 says so';
	my $c = $p->connect('submission');
	$c->reply;
	$c->cmd('EHLO c.test', qr/^250/);
	like $c->cmd('AUTH PLAIN ' . MIME::Base64::encode("\0carol\0fourth", ''), qr//), qr/^535 /, 'submission';
	is +(user("fifth\n", 'passwd', '-s', 'SCRAM-SHA-256', 'carol'))[0], 0, 'another password does not change that';
	is $line->(), 'nologin', 'the word stays';
	ok !works('carol', 'fifth'), 'no login';
	$p->send_mail(from => 'alice@example.test', to => 'carol@example.test', text => "Subject: for carol\n\nhello\n");
	ok $p->wait_until('her mail', sub { -e $p->spool('carol') && Posthouse::slurp($p->spool('carol')) =~ /for carol/ }), 'mail is delivered';
	Posthouse::write_file($file, Posthouse::slurp($file) =~ s/:nologin$/:userdb_mail=mbox:~\/x nologin=y/mr);
	ok !works('carol', 'fifth'), 'among other words';
	is_deeply [ user('', 'enable', 'carol') ], [ 0, '' ], 'enable';
	is $line->(), 'userdb_mail=mbox:~/x', 'other words stay';
	ok works('carol', 'fifth'), 'works again';
	Posthouse::write_file($file, Posthouse::slurp($file) . "dave:{PLAIN}x\n");
	is +(user('', 'disable', 'dave'))[0], 0, 'a short line';
	like Posthouse::slurp($file), qr/^dave:\{PLAIN\}x::::::nologin$/m, 'gets its fields';
	is +(user('', 'enable', 'dave'))[0], 0, 'enable';
	like Posthouse::slurp($file), qr/^dave:\{PLAIN\}x::::::$/m, 'keeps them';
	isnt +(user('', 'disable', 'erin'))[0], 0, 'no such user';
	user('', 'del', 'dave');
};
user("third:\n", 'passwd', 'carol');
is_deeply [ user('', 'del', 'carol') ], [ 0, '' ], 'del';
ok !works('carol', 'third:'), 'gone';
isnt +(user('', 'del', 'carol'))[0], 0, 'not twice';
is +(user('', 'frobnicate', 'carol'))[0], 64, 'usage';
is_deeply [ glob("$file.*") ], [], 'nothing is left behind';
$p->stop;
done_testing;
