#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# From login over auth to the user's process, with a server that echoes in the place of imapd.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['userecho'], master => <<'END',
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 userecho
END
	main => { auth_failure_delay => '10ms', user_process_idle => '1s', mail_max_userip_connections => 5 });
$p->start;

sub login {
	my ($user, $more) = @_;
	my $c = $p->connect('imap');
	$c->expect(qr/^\* OK/);
	$c->send_raw("t1 LOGIN $user " . $p->password($user) . "\r\n" . ($more // ''));
	my %got = $c->expect(qr/^t1 OK /) =~ /(\w+)=(\S*)/g;
	return ($c, \%got);
}

my ($c, $got) = login('alice');
is $got->{user}, 'alice', 'alice';
is $got->{method}, 'PLAIN', 'by PLAIN';
is $got->{secured}, 1, 'secured by loopback';
is $got->{home}, $p->dir . '/home/alice', 'in her home directory';
is $got->{uid}, $<, 'as the calling user';
my $line = $p->wait_log(qr/imap-login: Login/);
my $client = qr/rip=127\.0\.0\.1, lip=\Q$p->{address}\E, mpid=$got->{pid}, secured, session=<\Q$got->{session}\E>/;
like $line, qr/dovecot\[\d+\]: imap-login: Login: user=<alice>, method=PLAIN, $client$/, 'the login line';
is $c->cmd1('hello', qr/./), 'echo hello', 'the client talks to her process';

my ($d, $again) = login('alice', "one\r\ntwo\r\n");
is $again->{pid}, $got->{pid}, 'a second session shares the process';
is $again->{input}, 10, 'pipelined commands go along';
is $d->line, 'echo one', 'and are read';
is $d->line, 'echo two', 'all of them';
my ($e, $bob) = login('bob', 'x' x 12000 . "\r\n" . "quit\r\n");
isnt $bob->{pid}, $got->{pid}, 'bob has another process';
$e->expect(qr/^\* BYE/);
ok $e->eof, 'the input of a session can be long';

# mixed case is folded by auth_username_format
my $f = $p->connect('imap');
$f->expect(qr/^\* OK/);
$f->send('t LOGIN ALICE ' . $p->password('alice'));
$f->expect(qr/^t OK user=alice /);
pass 'auth_username_format';

# Each password opens one mailbox only, whoever came before.
for my $round (1 .. 3) {
	for my $pair ([ 'alice', 'bob' ], [ 'bob', 'alice' ]) {
		my $x = $p->connect('imap');
		$x->expect(qr/^\* OK/);
		$x->imap("LOGIN $pair->[0] " . $p->password($pair->[1]), qr/NO \[AUTHENTICATIONFAILED\]/);
		$x->send("t LOGIN $pair->[0] " . $p->password($pair->[0]));
		$x->expect(qr/^t OK user=$pair->[0] /);
		$x->send('quit');
		$x->expect(qr/BYE/);
	}
}
pass 'no password opens another mailbox';

# mail_max_userip_connections
my @more = map { (login('alice'))[0] } 1 .. 2;
my $g = $p->connect('imap');
$g->expect(qr/^\* OK/);
$g->imap('LOGIN alice ' . $p->password('alice'), qr/NO \[LIMIT\]/);
$p->connect('imap')->imap('LOGIN alice ' . $p->password('alice'), qr/NO \[LIMIT\]/);
$p->wait_log(qr/imap-login: Disconnected: Connection closed \(connection limit of the user, 1 attempts in/);
$f->send('quit');
$f->expect(qr/BYE/);
ok $f->eof, 'one leaves';
$p->wait_until('room for one more', sub { $g->send('t LOGIN alice ' . $p->password('alice')); $g->line =~ /^t OK/ });
pass 'another comes in, over the same connection';

# A process that dies takes its sessions along, and is named.
$_->close for @more, $g;
$d->send('crash');
ok $d->eof, 'a crash ends the session';
ok $c->eof, 'and the others of the user';
$p->wait_log(qr/userecho\[\d+\]: warning: imap\(alice\) pid $got->{pid} killed by signal 11/);
($c, $got) = login('alice');
is $c->cmd1('again', qr/./), 'echo again', 'there is a new one';

# Idle processes leave.
my ($h, $other) = login('bob');
$h->send('quit');
$h->expect(qr/BYE/);
$p->wait_until('the end of the idle process', sub { !kill 0, $other->{pid} });
pass 'an idle process leaves';
ok kill(0, $got->{pid}), 'one with a session stays';

# Reload: running sessions go on, new ones reach the new generation.
$p->reload;
is $c->cmd1('still', qr/./), 'echo still', 'a session outlives a reload';
my ($i, $new) = login('alice');
$p->wait_until('the new generation', sub { ($i, $new) = login('alice') if $new->{pid} == $got->{pid}; $new->{pid} != $got->{pid} });
is $c->cmd1('still', qr/./), 'echo still', 'beside the new process';
$c->send('quit');
$c->expect(qr/BYE/);
$p->wait_until('the end of the old process', sub { !kill 0, $got->{pid} });
pass 'the old process leaves with its last session';

# A new log file is in use by all, the users' processes included.
rename $p->maillog, $p->maillog . '.1' or die $!;
is + ($p->tool('posthouse', 'logrotate'))[0], 0, 'logrotate';
$p->wait_until('the line in the new log', sub {
	$i->cmd1('log', qr/./);
	Posthouse::slurp($p->maillog) =~ /userecho\[$new->{pid}\]: a line of the user's process/;
});
$p->{logpos} = 0;

# The parent of the users' processes dies: its processes end, the next one is found.
my $parent = (grep { $_->[1] eq 'userecho' && Posthouse::slurp("/proc/$_->[0]/stat") =~ /\) \w (\d+)/ && $1 == $p->pid } $p->processes)[0][0];
kill 'KILL', $parent;
is $i->line, '* BYE stopping', 'processes end with their parent';
($i, $new) = login('alice');
is $i->cmd1('anew', qr/./), 'echo anew', 'logins go on after its death';

# Garbage before login while a good login loops: none fails.
my $bad = 0;
for my $round (1 .. 30) {
	my @garbage = map { my $x = $p->connect('imap'); $x->send_raw("a AUTHENTICATE PLAIN !!!!\r\nb LOGIN {1+}\r\n"); $x } 1 .. 5;
	my ($ok) = eval { login('bob') };
	$bad++ unless $ok;
	$ok->send('quit') if $ok;
	$ok->expect(qr/BYE/) if $ok;
	$_->close for @garbage;
}
is $bad, 0, 'good logins among 150 bad ones';

# Stop says goodbye.
$p->stop;
is $i->line, '* BYE stopping', 'stop reaches the sessions';
is scalar($p->processes), 0, 'nothing is left over';

# Killed all at once, the users' processes end as well.
$p->start;
($c, $got) = login('alice');
kill 'KILL', map { $_->[0] } grep { $_->[0] != $got->{pid} } $p->processes;
$p->wait_until('the end of the orphan', sub { !kill 0, $got->{pid} });
pass 'no orphans';
done_testing;
