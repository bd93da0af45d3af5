#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Stress: when a service has all its workers and all their places are taken, $stress is "yes", for running sessions too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Posthouse;

# Two processes of two sessions each: four places.
my $p = Posthouse->new(main => { sessions => 2, smtpd_error_sleep_time => 0, service_stress_time => '3s' }, services => <<'END');
3001 inet n - - - 2 smtpd
  -o { smtpd_timeout = ${stress?{2}:{300}}s }
  -o { smtpd_recipient_restrictions = ${stress?{reject}:{permit}} }
3002 inet n - - - 2 smtpd
END
$p->start;

sub greet { my $c = $p->smtp(3001); $c->cmd('EHLO client.test', qr/^250/); return $c }
sub transaction {
	my ($c) = @_;
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	my $reply = $c->cmd('RCPT TO:<alice@example.test>');
	$c->cmd('RSET', qr/^250/);
	return $reply;
}

my @c = map { greet() } 1 .. 3;
for (1 .. 2) { like $c[0]->cmd('BOGUS'), qr/^500/, 'calm: errors are borne' }
like transaction($c[0]), qr/^250/, 'calm: the rules without stress';
is $p->log_count(qr/process limit/), 0, 'three of four places: no warning';

push @c, greet();
$p->wait_log(qr/master\[\d+\]: warning: service "3001" \(3001\) has reached its process limit "2": new clients may experience noticeable delays$/);
pass 'the last place: the warning of Postfix';
# The order goes to the workers after the warning.
$p->wait_until('stress', sub {
	$c[3]->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	my $refused = $c[3]->cmd('RCPT TO:<alice@example.test>') =~ /^554 5\.7\.1 .*Access denied/;
	$c[3]->cmd('RSET', qr/^250/) unless $refused;
	return $refused;
});
pass 'stress: rules that depend on it';
push @c, greet(); # full again, so that it is not over while this goes on; likewise below
$c[0]->send('BOGUS');
like $c[0]->line, qr/^500 /, 'stress: one error';
is $c[0]->line, '421 4.7.0 mail.example.test Error: too many errors', 'and it is over, in a session from before too (smtpd_hard_error_limit)';
ok $c[0]->eof, 'closed';
push @c, greet();
is $c[1]->cmd('NOOP'), '250 2.0.0 Ok', 'one junk command is allowed';
is $c[1]->cmd('NOOP'), '250 2.0.0 Ok', 'the second counts as an error (smtpd_junk_command_limit)';
like $c[1]->line, qr/^421 4\.7\.0 /, 'which is one too many';

push @c, greet();
$c[2]->cmd('MAIL FROM:<x@client.test>', qr/^250/);
is $c[2]->line, '421 4.4.2 mail.example.test Error: timeout exceeded', 'stress: less patience (smtpd_timeout)';
is $p->log_count(qr/process limit/), 1, 'one warning is enough';
like $p->smtp(3002)->cmd('EHLO client.test'), qr/^250/, 'another service is not concerned';

$_->sock->close for @c;
$p->wait_until('calm again', sub { (eval { transaction(greet()) } || '') =~ /^250/ });
my $calm = greet();
like $calm->cmd('BOGUS'), qr/^500/, 'calm again: errors are borne';
is $calm->cmd('NOOP'), '250 2.0.0 Ok', 'and the session goes on';

# A value that is wrong under stress only is found before it is used.
$p->set(smtpd_timeout => '${stress?{soon}:{300}}s');
my ($status, $text) = $p->tool('posthouse', 'reload');
isnt $status, 0, 'a value that is wrong under stress is refused';
like $text, qr/smtpd_timeout = soons: a time is expected.*\(under stress\)/, 'and named';
done_testing;
