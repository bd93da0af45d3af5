#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What a stop of the mail system, or the end of the queue manager, does to a delivery under way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(time);
use SmtpTest;

my %long = map { +"smtp_${_}_timeout" => '60s' } qw(helo mail rcpt data_init data_xfer data_done);

sub wait_for {
	my ($s, $re) = @_;
	for (1 .. 1000) { return 1 if $s->said =~ $re; select undef, undef, undef, 0.01 }
	return 0;
}

# Begin a job, and when the server has heard what is to be waited for, stop master; the player's answer.
sub stopped_at {
	my ($script, $re) = @_;
	my $t = SmtpTest->new(%long);
	my $s = $t->server(%$script);
	my $m = $t->letter('u@example.test');
	print { $t->{to} } "job smtp $s->{hop} $m\n";
	$t->{to}->flush;
	ok wait_for($s, $re), 'the delivery has come that far';
	my $began = time;
	kill 'TERM', $t->{master};
	my $answer = readline $t->{from};
	return ($answer, time - $began, $t->log);
}

{
	my ($answer, $took, $log) = stopped_at({ DOT => sub { select undef, undef, undef, 1; '250 2.0.0 late' } }, qr/DOT$/m);
	like $answer, qr/^result m1 down=0 0=sent/, 'stopped after the dot: the answer is waited for';
	like $log, qr/status=sent \(250 2\.0\.0 late\)/, 'logged as sent';
}
{
	my ($answer, $took, $log) = stopped_at({ RCPT => 'hang' }, qr/RCPT/);
	like $answer, qr/^result m1 down=0 0=deferred/, 'stopped before: deferred';
	cmp_ok $took, '<', 5, 'at once';
	like $log, qr/dsn=4\.3\.2, status=deferred \(conversation with .* broken off by our own mail system while sending RCPT TO\)/, 'its log line';
}
{
	my $t = SmtpTest->new(%long);
	my $s = $t->server(RCPT => 'hang');
	my $m = $t->letter('u@example.test');
	print { $t->{to} } "job smtp $s->{hop} $m\n";
	$t->{to}->flush;
	ok wait_for($s, qr/RCPT/), 'under way';
	kill 'KILL', $t->{player_pid};
	waitpid delete $t->{player_pid}, 0;
	my $began = time;
	until ($t->log =~ /broken off/ || time - $began > 20) { select undef, undef, undef, 0.02 }
	cmp_ok time - $began, '<', 10, 'the queue manager is gone: broken off soon, not when the server has made up its mind';
}

done_testing;
