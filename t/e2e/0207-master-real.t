#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The real services under master: growing and shrinking, reload in the middle of things, restart of one, no orphans.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(main => { max_idle => '2s', smtpd_client_connection_count_limit => 0, stop_timeout => '5s' });
$p->start;

# 200 sessions at a time.
my @c = map { $p->connect('smtp') } 1 .. 200;
$_->reply(qr/^220 /) for @c;
my $s = $p->status->{'smtp/inet'};
is $s->{busy}, 200, '200 parallel SMTP sessions';
is $s->{workers}, 10, 'in ten processes of 20 sessions';
like + ($p->tool('posthouse', 'status'))[1], qr/^smtp +inet +smtpd +10 +100 +200 +200 /m, 'as posthouse status shows';
$_->cmd('QUIT', qr/^221/) for @c;
$p->wait_until('idle processes to leave', sub { $p->status->{'smtp/inet'}{workers} == 0 });
pass 'idleness lets them go';
$p->send_mail(subject => 'after the rush');
pass 'and the next letter is taken all the same';

# Reload in the middle of a transaction, and of a POP3 session.
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
$p->wait_log(qr/status=sent/);
my $pop = $p->pop3('alice');
my ($n) = $pop->cmd1('STAT', qr/^\+OK \d/) =~ /OK (\d+)/;
is $n, 1, 'one letter so far';
$p->reload;
$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
$c->cmd('DATA', qr/^354/);
$c->cmd("Subject: across a reload\r\n\r\nx\r\n.", qr/^250 .*queued as/);
pass 'a transaction goes on across a reload';
$p->wait_log(qr/status=sent/);
pass 'and its letter is delivered by the new generation';
ok scalar($pop->multi('RETR 1')), 'a POP3 session goes on too';
$pop->cmd1('QUIT', qr/^\+OK/);
$c->cmd('QUIT', qr/^221/);
my $imap = $p->imap('alice');
$imap->imap('SELECT INBOX');
$p->reload;
$imap->imap('NOOP');
pass 'an IMAP session goes on across a reload';
my $beside = $p->imap('alice');
$beside->imap('SELECT INBOX');
$imap->imap('NOOP');
pass 'and one of the new generation beside it';
$_->imap('LOGOUT') for $imap, $beside;
my $again = $p->pop3('alice');
is + ($again->cmd1('STAT', qr/^\+OK \d/) =~ /OK (\d+)/)[0], 2, 'two letters now';
$again->cmd1('QUIT', qr/^\+OK/);

# Restart of one.
my ($qmgr) = map { $_->[0] } grep { $_->[1] eq 'qmgr' } $p->processes;
my $open = $p->smtp;
my ($smtpd) = map { $_->[0] } grep { $_->[1] eq 'smtpd' } $p->processes;
is + ($p->tool('posthouse', 'restart', 'smtpd'))[0], 0, 'restart smtpd';
$open->cmd('NOOP', qr/^250/);
$open->cmd('QUIT', qr/^221/);
$p->wait_until('the old smtpd to leave', sub { !kill 0, $smtpd });
is + (map { $_->[0] } grep { $_->[1] eq 'qmgr' } $p->processes)[0], $qmgr, 'qmgr is the same as before';
$p->send_mail(subject => 'after the restart');
$p->wait_log(qr/status=sent/);
pass 'mail flows';

my ($local) = map { $_->[0] } grep { $_->[1] eq 'local' } $p->processes;
is + ($p->tool('posthouse', 'restart', 'local'))[0], 0, 'restart local';
$p->wait_until('the old local to leave', sub { !kill 0, $local });
pass 'a delivery agent leaves between two jobs, although qmgr keeps its connection';
$p->send_mail(subject => 'after the restart of local');
$p->wait_log(qr/status=sent/);
is $p->log_count(qr/in the middle of a job/), 0, 'and no job was cut short';

# protocols
$p->set(protocols => 'imap');
$p->reload;
ok !IO::Socket::INET->new(PeerAddr => $p->address, PeerPort => 2110), 'a protocol that is no longer wanted does not listen';
ok $p->connect('imap'), 'the other does';
$p->set(protocols => 'imap pop3');
$p->reload;
$pop = $p->pop3('alice');

# Master is killed: nobody stays, and the next start delivers what is there.
my $idle = $p->smtp;
$imap = $p->imap('alice');
$imap->imap('SELECT INBOX');
kill 'KILL', $p->pid;
$p->wait_until('all processes to end', sub { !$p->processes }, 15);
pass 'after kill -9 of master nothing is left, with sessions open';
$p->start;
$p->send_mail(subject => 'after the kill');
$p->wait_log(qr/status=sent/);
pass 'mail flows again';

$pop = $p->pop3('bob');
$idle = $p->smtp;
$imap = $p->imap('alice');
$imap->imap('SELECT INBOX');
$imap->send('i1 IDLE');
$imap->expect(qr/^\+/);
$p->stop;
is scalar($p->processes), 0, 'stop with open sessions leaves nothing behind';
is $p->log_count(qr/fatal|panic|killed by|exit status|did not end/), 0, 'and the log has nothing bad to tell';
done_testing;
