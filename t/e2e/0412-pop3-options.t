#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The parameters of POP3, each from the outside: unique ids, X-UIDL, pop3_lock_session, LAST, LOGIN-DELAY, EXPIRE, hidden messages,
# workarounds, letters in UTF-8, what is logged.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $master = <<'END';
pop3 inet n - y - - login -P pop3
imap inet n - y - - login -P imap
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
imap unix - n - - 1 imapd
END
my %common = (auth_failure_delay => '10ms', login_max_attempts => 100, mail_max_userip_connections => 0);
my @mail = (
	"X-UIDL: first.id\nSubject: one\n\nbody 1\n",
	"X-UIDL: first.id\nSubject: two\n\nbody\0 2\n",
	"Subject: gr\xc3\xbc\xc3\x9fe\n\nbody 3\n",
	"X-UIDL: not an id\nSubject: four\n\nbody 4\n",
	"Subject: five",
);

sub mbox {
	my ($p, @which) = @_;
	Posthouse::write_file($p->spool('alice'), join '', map { "From x\@y Thu Jan  1 00:00:00 2026\n" . s/\n?\z/\n/r . "\n" } @which);
}

sub uidl { my ($c) = @_; return map { (split ' ')[1] } $c->multi('UIDL') }
sub quit { $_[0]->cmd1('QUIT', qr/^\+OK/) }

# --- on an mbox ---------------------------------------------------------------------------------------------------------
my $p = Posthouse->new(master => $master, main => { %common,
	pop3_reuse_xuidl => 'yes', pop3_uidl_duplicates => 'rename', pop3_enable_last => 'yes', pop3_utf8_required => 'yes',
	pop3_client_workarounds => 'outlook-no-nuls, oe-ns-eoh', pop3_expire_days => 30, pop3_no_flag_updates => 'yes',
	pop3_logout_format => 'top=%t/%p retr=%r/%b del=%d/%m size=%s in=%i out=%o %x 100%%' });
mbox($p, @mail);
$p->start;

my $c = $p->pop3('alice');
is scalar(grep { $_ eq 'EXPIRE 30' } $c->multi('CAPA')), 1, 'pop3_expire_days';
my @ids = uidl($c);
is_deeply [ @ids[ 0, 1 ] ], [ 'first.id', 'first.id-2' ], 'pop3_reuse_xuidl, and the second one is renamed';
like $ids[$_], qr/^[0-9a-f]{16}$/, 'no X-UIDL, or one that is no id: an id of the usual form' for 2 .. 4;
is $c->cmd1('UIDL 2', qr/^/), '+OK 2 first.id-2', 'UIDL of one';
$c->cmd1('LAST', qr/^\+OK 0$/);
is_deeply [ $c->multi('RETR 2') ], [ 'X-UIDL: first.id', 'Subject: two', '', "body\x80 2" ], 'outlook-no-nuls';
$c->cmd1('LAST', qr/^\+OK 2$/);
$c->multi('RETR 1');
$c->cmd1('LAST', qr/^\+OK 2$/);
$c->cmd1('RSET', qr/^\+OK/);
$c->cmd1('LAST', qr/^\+OK 0$/);
is_deeply [ $c->multi('RETR 5') ], [ 'Subject: five', '' ], 'oe-ns-eoh';
is_deeply [ $c->multi('TOP 5 0') ], [ 'Subject: five', '' ], 'with TOP, too';
is_deeply [ $c->multi('TOP 1 0') ], [ 'X-UIDL: first.id', 'Subject: one', '' ], 'and no second empty line';
like $c->cmd1("$_ 3" . ($_ eq 'TOP' ? ' 0' : ''), qr/^/), qr/^-ERR \[UTF8\] /, "pop3_utf8_required: $_" for qw(RETR TOP);
quit($c);
like $p->wait_log(qr/pop3\(alice\).*Logged out/), qr/Logged out top=2\/\d+ retr=3\/\d+ del=0\/5 size=\d+ in=\d+ out=\d+ %x 100%$/, 'pop3_logout_format';

$c = $p->pop3;
$c->cmd1('UTF8', qr/^\+OK/);
$c->cmd1('USER alice', qr/^\+OK/);
$c->cmd1('PASS ' . $p->password('alice'), qr/^\+OK/);
is_deeply [ $c->multi('RETR 3') ], [ "Subject: gr\xc3\xbc\xc3\x9fe", '', 'body 3' ], 'a client that said UTF8 gets it';
is_deeply [ uidl($c) ], \@ids, 'the same ids again';
$c->cmd1('DELE 1', qr/^\+OK/);
quit($c);
$c = $p->pop3('alice');
is_deeply [ (uidl($c))[ 1 .. 3 ] ], [ @ids[ 2 .. 4 ] ], 'the ids of the others stay';
quit($c);
my $i = $p->imap('alice');
unlike join(' ', $i->imap('EXAMINE INBOX'), $i->imap('FETCH 1:* FLAGS')), qr/FETCH \([^)]*\\Seen/, 'pop3_no_flag_updates';
$i->imap('LOGOUT');
$p->stop;

# --- one session at a time, not too often ---
$p->set(pop3_lock_session => 'yes', pop3_enable_last => 'no', pop3_no_flag_updates => 'no', pop3_reuse_xuidl => 'no');
mbox($p, @mail);
$p->start;
$c = $p->pop3('alice');
$c->cmd1('LAST', qr/^-ERR/);
my $other = $p->pop3;
$other->cmd1('USER alice', qr/^\+OK/);
like $other->cmd1('PASS ' . $p->password('alice'), qr/^/), qr/^-ERR \[IN-USE\] /, 'pop3_lock_session: the second one';
ok $other->eof, 'is closed';
quit($p->pop3('bob'));
pass 'another user is let in';
$i = $p->imap('alice');
$i->imap('SELECT INBOX');
pass 'and IMAP';
$i->imap('LOGOUT');
quit($c);
ok $c->eof, 'over';
$c = $p->wait_until('the lock is free', sub {
	my $n = $p->pop3;
	$n->cmd1('USER alice', qr/^\+OK/);
	$n->cmd1('PASS ' . $p->password('alice'), qr/^/) =~ /^\+OK/ && $n;
});
$c->close;
$p->stop;

$p->set(pop3_lock_session => 'no', pop3_login_delay => '1h');
$p->start;
$c = $p->pop3;
is scalar(grep { $_ eq 'LOGIN-DELAY 3600' } $c->multi('CAPA')), 1, 'pop3_login_delay is announced';
$c->cmd1('USER alice', qr/^\+OK/);
$c->cmd1('PASS wrong', qr/^-ERR \[AUTH\]/);
$c->cmd1('USER alice', qr/^\+OK/);
$c->cmd1('PASS ' . $p->password('alice'), qr/^\+OK/);
pass 'a failed login does not count';
quit($c);
$c = $p->pop3;
$c->cmd1('USER alice', qr/^\+OK/);
like $c->cmd1('PASS ' . $p->password('alice'), qr/^/), qr/^-ERR \[LOGIN-DELAY\] /, 'the next one comes too soon';
quit($c);
like $p->wait_log(qr/login delay/), qr/pop3-login: Aborted login \(login delay, 1 attempts in \d+ secs\): user=<alice>/, 'logged';
quit($p->pop3('bob'));
$p->imap('alice')->imap('LOGOUT');
pass 'other users and IMAP do not wait';
$p->stop;

# --- messages that are hidden, not removed ---
$p->set(pop3_login_delay => '0', pop3_deleted_flag => '$POP3Deleted');
mbox($p, @mail);
$p->start;
$c = $p->pop3('alice');
@ids = uidl($c);
$c->cmd1("DELE $_", qr/^\+OK/) for 1, 3;
quit($c);
$c = $p->pop3('alice');
is_deeply [ uidl($c) ], [ @ids[ 1, 3, 4 ] ], 'pop3_deleted_flag: they are in no maildrop any more';
is + ($c->multi('RETR 2'))[1], 'Subject: four', 'numbers are those of what is left';
quit($c);
$i = $p->imap('alice');
like join(' ', $i->imap('SELECT INBOX')), qr/\* 5 EXISTS/, 'IMAP has all';
is_deeply [ grep { /^\* SEARCH/ } $i->imap('SEARCH KEYWORD $POP3Deleted') ], ['* SEARCH 1 3'], 'marked by a keyword';
$i->imap('LOGOUT');
$p->stop;
$p->set(pop3_delete_type => 'expunge');
$p->start;
$c = $p->pop3('alice');
$c->cmd1('STAT', qr/^\+OK 3 /);
$c->cmd1('DELE 1', qr/^\+OK/);
quit($c);
$i = $p->imap('alice');
like join(' ', $i->imap('SELECT INBOX')), qr/\* 4 EXISTS/, 'pop3_delete_type = expunge removes';
$i->imap('LOGOUT');
is $p->log_count(qr/panic|killed by signal|ERROR: AddressSanitizer/), 0, 'no crash';
$p->stop;

# What makes no sense is said at start.
for my $set ([ pop3_delete_type => 'flag', qr/needs a pop3_deleted_flag/ ], [ pop3_uidl_duplicates => 'maybe', qr/allow or rename/ ],
	[ pop3_client_workarounds => 'outlook-idle', qr/outlook-no-nuls and oe-ns-eoh/ ], [ pop3_uidl_format => '%v', qr/pop3_uidl_format = %v/ ]) {
	my $q = Posthouse->new(master => $master, main => { %common, @$set[ 0, 1 ] });
	$q->start;
	my $try = $q->pop3;    # no answer is waited for: there is nobody to give it
	$try->send_raw("USER alice\r\nPASS " . $q->password('alice') . "\r\n");
	like $q->wait_log($set->[2]), qr/fatal: .*$set->[0]/, "$set->[0] = $set->[1]";
	$q->stop;
}

# --- on a Maildir -----------------------------------------------------------------------------------------------------
$p = Posthouse->new(master => $master, main => { %common, mail_location => 'maildir:~/Maildir', pop3_uidl_format => '%f', pop3_save_uidl => 'yes',
	pop3_lock_session => 'yes' });
my $dir = $p->dir . '/home/alice/Maildir';
mkdir $_ for $dir, map { "$dir/$_" } qw(tmp new cur);
Posthouse::write_file("$dir/new/178000000$_.M1P1.host", "Subject: m$_\n\nbody $_\n") for 1 .. 3;
utime 1780000000 + $_, 1780000000 + $_, "$dir/new/178000000$_.M1P1.host" for 1 .. 3;
Posthouse::write_file("$dir/dovecot-uidlist", "3 V1780000000 N2 G0123456789abcdef0123456789abcdef\n1 Ptold.before :1780000001.M1P1.host\n");
$p->start;
$c = $p->pop3('alice');
my $want = [ 'told.before', '1780000002.M1P1.host', '1780000003.M1P1.host' ];
is_deeply [ uidl($c) ], $want, 'Maildir: the saved id, else %f';
$c->multi('RETR 2');
quit($c);
my $list = Posthouse::slurp("$dir/dovecot-uidlist");
like $list, qr/^2 P1780000002\.M1P1\.host :1780000002\.M1P1\.host$/m, 'pop3_save_uidl writes it down';
like $list, qr/^1 Ptold\.before :/m, 'and keeps what was there';
like $list, qr/\A3 V1780000000 N4 G0123456789abcdef/, 'and the header';
$p->stop;
$p->set(pop3_uidl_format => '%08Xu%08Xv', pop3_save_uidl => 'no');
$p->start;
$c = $p->pop3('alice');
is_deeply [ uidl($c) ], $want, 'they stay when the format changes';
$c->cmd1("DELE $_", qr/^\+OK/) for 1, 3;
quit($c);
is scalar(my @left = glob "$dir/{new,cur}/*"), 1, 'two are gone';
ok !-e "$dir/posthouse-expunge", 'and nothing is left to do';
ok $c->eof, 'over';

# Somebody was interrupted: what was to go, goes.
$p->stop;
Posthouse::write_file("$dir/new/178000000$_.M1P1.host", "Subject: m$_\n\nbody $_\n") for 4 .. 7;
Posthouse::write_file("$dir/posthouse-expunge", "1780000005.M1P1.host\0" . "1780000006.M1P1.host\0" . "1780000001.M1P1.host\0");
$p->start;
$c = $p->pop3('alice');
is_deeply [ sort map { ($c->multi("RETR $_"))[0] } 1 .. 3 ], [ map { "Subject: m$_" } 2, 4, 7 ], 'an interrupted expunge is finished';
$c->cmd1('STAT', qr/^\+OK 3 /);
ok !-e "$dir/posthouse-expunge", 'and forgotten';
quit($c);
is $p->log_count(qr/panic|killed by signal|ERROR: AddressSanitizer/), 0, 'no crash';
$p->stop;
done_testing;
