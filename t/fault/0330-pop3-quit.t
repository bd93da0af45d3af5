#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# QUIT removes all that is marked or nothing, on an mbox and on a Maildir: pop3d is killed at each system call that QUIT makes and that
# changes files, and each of them fails. What the next session finds: all eight letters or the five that are left, each whole, under its id;
# and when the answer was that messages were deleted, they are.
use strict;
use warnings;
use lib 't/lib';
use POSIX qw(:sys_wait_h);
use Posthouse;
use Test::More;
use List::Util qw(shuffle);
use Time::HiRes qw(time);

Posthouse::need('strace');
my $budget = $ENV{SECONDS} || 15; # of each mailbox format: as many faults as there is time for, in any order
my @marked = (2, 4, 7);
my %marked = map { $_ => 1 } @marked;
my %calls = (
	mbox => [qw(openat pwrite64 fdatasync fsync ftruncate fallocate rename renameat unlink unlinkat)],
	maildir => [qw(openat write fsync unlink unlinkat rename renameat renameat2 link linkat)],
);

sub letter { my ($n) = @_; return "Subject: letter $n\n\n" . "line of letter $n\n" x ($n * 30) }
sub lines { my ($n) = @_; return [ split /\n/, letter($n) ] }

sub fill {
	my ($p, $kind) = @_;
	my $home = $p->dir . '/home/alice';
	if ($kind eq 'mbox') {
		system 'rm', '-rf', "$home/mail";
		mkdir "$home/mail";
		Posthouse::write_file($p->spool('alice'), join '', map { "From x\@y Thu Jan  1 00:00:00 2026\n" . letter($_) . "\n" } 1 .. 8);
	} else {
		system 'rm', '-rf', "$home/Maildir";
		mkdir $_ for "$home/Maildir", map { "$home/Maildir/$_" } qw(tmp new cur);
		Posthouse::write_file("$home/Maildir/cur/178000000$_.M1P1.host:2,S", letter($_)) for 1 .. 8;
	}
}

# number of the letter => unique id; dies when one is damaged
sub look {
	my ($c) = @_;
	my @ids = map { (split ' ')[1] } $c->multi('UIDL');
	my %found;
	for my $i (1 .. @ids) {
		my @got = $c->multi("RETR $i");
		my ($n) = ($got[0] // '') =~ /^Subject: letter (\d)$/ or die "what is this: $got[0]\n";
		die "letter $n is damaged\n" unless "@got" eq "@{ lines($n) }";
		die "letter $n is there twice\n" if $found{$n};
		$found{$n} = $ids[ $i - 1 ];
	}
	return \%found;
}

sub user_process {
	my ($p) = @_;
	my ($pid) = $p->wait_log(qr/pop3-login: Login: user=<alice>/) =~ /mpid=(\d+)/ or die 'no mpid';
	return $pid;
}

# strace may wait for ever for the threads of a process that was killed in the middle.
sub end_tracer {
	my ($tracer) = @_;
	my $end = time + 5;
	kill 'TERM', $tracer;
	until (waitpid $tracer, WNOHANG) {
		kill 'KILL', $tracer if time > $end;
		select undef, undef, undef, 0.01;
	}
}

sub ended {
	my ($pid) = @_;
	return !kill(0, $pid) || (Posthouse::slurp("/proc/$pid/stat") // '') =~ /^$|\) Z /;
}

sub await_end {
	my ($p, $pid) = @_;
	$p->wait_until('the end of the process', sub { ended($pid) });
}

# One QUIT with a fault at the n-th call. Undef: it makes fewer; '': all is well; else what is wrong.
sub try_quit {
	my ($p, $kind, $call, $fault, $n) = @_;
	fill($p, $kind);
	my $c = $p->pop3('alice');
	my $pid = user_process($p);
	my $before = look($c);
	my %number = map { (split ' ', $_)[1] => (split ' ', $_)[0] } $c->multi('UIDL');
	$c->cmd1("DELE $number{ $before->{$_} }", qr/^\+OK/) for @marked;
	my ($said, $trace) = ($p->dir . '/strace.said', $p->dir . '/strace.out');
	unlink $said, $trace;
	my $tracer = fork // die "fork: $!";
	if (!$tracer) {
		open STDERR, '>', $said;
		exec 'strace', '-f', '-y', '-o', $trace, '-e', "trace=$call", '-e', "inject=$call:$fault:when=$n", '-p', $pid or POSIX::_exit(1);
	}
	$p->wait_until('strace to attach', sub { -e $said && Posthouse::slurp($said) =~ /attached/ });
	$c->send('QUIT');
	my $answer = $c->line // '';
	$p->wait_until('the end of the session', sub { !defined $c->line });
	# what one thread tells another by an eventfd does not fail, and a process that is not told that a session is over does not leave
	my $no_file = qr/anon_inode.*INJECTED/;
	$p->wait_until('the end of the process', sub { ended($pid) || Posthouse::slurp($trace) =~ $no_file });
	kill 'KILL', $pid if Posthouse::slurp($trace) =~ $no_file;
	await_end($p, $pid);
	end_tracer($tracer);
	return undef if Posthouse::slurp($trace) =~ $no_file;
	return undef unless Posthouse::slurp($trace) =~ /INJECTED|SIGKILL/;
	my $now = eval {
		$c = $p->pop3('alice');
		my $second = user_process($p);
		my $found = look($c);
		$c->cmd1('QUIT', qr/^\+OK/);
		await_end($p, $second); # it writes its index
		$found;
	} or return "the next session: $@";
	my @gone = grep { !$now->{$_} } 1 .. 8;
	return "lost: @gone" if grep { !$marked{$_} } @gone;
	return "by half: @gone" if @gone && @gone != @marked;
	return "not done: $answer" if !@gone && $answer =~ /^\+OK/;
	return "the id of $_ changed" for grep { $now->{$_} && $now->{$_} ne $before->{$_} } 1 .. 8;
	return '';
}

for my $kind (qw(mbox maildir)) {
	my %main = (mail_max_userip_connections => 0, user_process_idle => '0s', pop3_no_flag_updates => 'yes');
	$main{mail_location} = 'maildir:~/Maildir' if $kind eq 'maildir';
	my $p = Posthouse->new(main => \%main, master => <<'END');
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
	fill($p, $kind);
	$p->start;
	# how often QUIT makes each call
	die 'the count went wrong' if defined try_quit($p, $kind, join(',', @{ $calls{$kind} }), 'error=EIO', 65535);
	my %made;
	$made{$_}++ for map { /^\d+ +(\w+)\(/ ? $1 : () } split /\n/, Posthouse::slurp($p->dir . '/strace.out');
	my ($end, %n, @bad, $left) = (time + $budget);
	my @faults = qw(signal=KILL error=EIO error=ENOSPC);
	my @todo = shuffle map { my $call = $_; map { my $n = $_; map { [ $call, $_, $n ] } @faults } 1 .. $made{$call} } sort keys %made;
	while (my $t = shift @todo) {
		my ($call, $fault, $n) = @$t;
		if (time > $end) {
			$left = 1 + @todo;
			last;
		}
		my $wrong = eval { try_quit($p, $kind, $call, $fault, $n) } // ($@ ? $@ : next);
		$n{$fault}++;
		push @bad, "$call $fault $n: $wrong" if $wrong ne '';
	}
	note "$kind: no time for $left more" if $left;
	ok !@bad, "$kind: " . join(', ', map { ($n{$_} // 0) . " times $_" } @faults) or diag(join "\n", @bad);
	$p->stop;
}
done_testing;
