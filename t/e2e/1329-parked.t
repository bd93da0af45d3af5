#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# SMTP sessions that wait for their client have no thread, and each goes on where it was: in the clear and over TLS, between commands
# and within one, to its timeout, through a reload, to the goodbye of a stop.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Tls;

my $p = Posthouse->new(tls => 1, relay => '127.0.0.0/8', main => { smtpd_authorized_xclient_hosts => '127.0.0.0/8' }, services => <<'END')->start;
3001 inet n - - - 1 smtpd
  -o smtpd_timeout=4s
3002 inet n - - - 1 smtpd
  -o smtpd_timeout=4s
  -o smtpd_per_request_deadline=yes
END

sub hello { my $c = $p->smtp($_[0] || 'smtp'); $c->cmd('EHLO client.test', qr/^250 /m); return $c }
sub tls { my $c = hello(@_); $c->cmd('STARTTLS', qr/^220/); $c->tls; $c->cmd('EHLO client.test', qr/^250 /m); return $c }
sub mail { my ($c) = @_; $c->cmd('MAIL FROM:<x@client.test>', qr/^250/); $c->cmd('RCPT TO:<alice@example.test>', qr/^250/); return $c }
sub with { my ($c, $bytes) = @_; $c->send_raw($bytes); return $c }

# asan and tsan have threads of their own.
my ($checker) = Posthouse::slurp("$Posthouse::BIN/smtpd") =~ /__([at]san)_init/;
my $own = !$checker ? 1 : $checker eq 'asan' ? 2 : 3;
sub threads {
	my $most = 0;
	for (grep { $_->[1] eq 'smtpd' } $p->processes) {
		my ($n) = Posthouse::slurp("/proc/$_->[0]/status") =~ /^Threads:\s+(\d+)/m;
		$most = $n if ($n // 0) > $most;
	}
	return $most;
}
sub all_parked { return $p->wait_until('all of them parked', sub { threads() <= $own }) }

# --- all at the same time: one pause for everybody
my $began = time;
my @late = (
	[ 'after the banner', $p->smtp(3001), 'CONNECT' ],
	[ 'after EHLO', hello(3001), 'EHLO' ],
	[ 'within a line', with(hello(3001), 'NOO'), 'EHLO' ],
	[ 'within a transaction', mail(hello(3001)), 'RCPT' ],
	[ 'over TLS', tls(3001), 'EHLO' ],
	[ 'with a deadline for the request', hello(3002), 'EHLO' ],
);
my %c = map { $_ => hello() } qw(pipelined xclient starttls gone reload stopped);
my %tls = map { $_ => tls() } qw(pipelined within reload stopped);
my $within = with(hello(), 'MAIL FROM:<x@cli');
with($tls{within}, 'MAIL FROM:<x@cli');
my $long = with(hello(), 'x' x 5000);
my $content = mail(hello());
$content->cmd("BDAT 16\r\nSubject: parts", qr/^250/);
my $auth = hello('submission');
my $between = hello('submission');
is $between->cmd('AUTH LOGIN'), '334 VXNlcm5hbWU6', 'AUTH has begun';

$between->cmd(encode_base64('alice', ''), qr/^334/); # a dialogue of its own, which keeps its thread
is $between->cmd(encode_base64($p->password('alice'), '')), '235 2.7.0 Authentication successful', 'and is over';
my @again = map { [ $_ => $_ eq 'TLS' ? tls(3001) : hello(3001) ] } qw(clear TLS);
ok all_parked(), 'a few dozen sessions, no thread but the main one';

# --- timeouts: the next command has a time of its own
my $asked = time;
my @went_on = grep { $_->[1]->cmd('NOOP') =~ /^250/ } @again; # on a slow machine it may have been too late
for (@late) {
	my ($what, $c, $after) = @$_;
	is $c->line, '421 4.4.2 mail.example.test Error: timeout exceeded', "smtpd_timeout $what";
	ok $c->eof, 'and closed';
	$p->wait_log(qr/smtpd\[\d+\]: timeout after $after from localhost/, from => 0);
}
cmp_ok time - $began, '>=', 4, 'not before it is over';
for (@went_on) {
	like $_->[1]->line, qr/^421 4\.4\.2 /, "$_->[0]: and after another command";
	cmp_ok time - $asked, '>=', 4, 'not before that is over';
}
is $p->log_count(qr/timeout after/), @late + @again, 'one line for each';

# --- going on, in the clear and over TLS
for ([ clear => $c{pipelined} ], [ TLS => $tls{pipelined} ]) {
	my ($what, $c) = @$_;
	$c->send_raw("MAIL FROM:<x\@client.test>\r\nRCPT TO:<alice\@example.test>\r\nRCPT TO:<nobody\@example.test>\r\nDATA\r\n");
	like $c->reply, $_, "$what: pipelined commands are answered in order" for qr/^250 2\.1\.0/, qr/^250 2\.1\.5/, qr/^550 5\.1\.1/, qr/^354/;
	$c->send_raw("Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n");
	like $c->reply, $_, "$what: and what is behind the content" for qr/^250 2\.0\.0 .*queued as/, qr/^221/;
}
for ([ clear => $within ], [ TLS => $tls{within} ]) {
	my ($what, $c) = @$_;
	$c->send_raw("ent.test>\r\nRCPT TO:<alice\@example.test>\r\nRSET\r\n");
	like $c->reply, $_, "$what: a command in two parts" for qr/^250 2\.1\.0/, qr/^250 2\.1\.5/, qr/^250 2\.0\.0/;
	is $c->cmd('NOOP'), '250 2.0.0 Ok', "$what: and the next";
}
with($long, "QUIT\r\nRSET\r\n");
is $long->line, '500 5.5.2 Error: line too long', 'the end of a line that was too long is no command';
is $long->line, '250 2.0.0 Ok', 'what is behind it is one';
$content->send_raw("BDAT 10 LAST\r\n\r\nsecond\r\n");
like $content->reply, qr/^250 2\.0\.0 .*queued as/, 'a message in chunks';

# --- commands that change the session
is $auth->cmd('AUTH PLAIN ' . encode_base64("\0alice\0" . $p->password('alice'), '')), '235 2.7.0 Authentication successful', 'AUTH';
like $c{xclient}->cmd('XCLIENT ADDR=192.0.2.7 NAME=far.test'), qr/^220 /, 'XCLIENT';
$c{xclient}->cmd('EHLO far.test', qr/^250/);
$c{starttls}->cmd('STARTTLS', qr/^220/);
$c{starttls}->tls;
like $c{starttls}->cmd('EHLO client.test'), qr/^250 /m, 'STARTTLS';
$c{gone}->close;
$p->wait_log(qr/lost connection after EHLO from localhost/, from => 0);
pass 'a client that goes away';

# --- a reload lets them go on, a stop says goodbye
my @here = ([ XCLIENT => $c{xclient} ], [ STARTTLS => $c{starttls} ], map { [ clear => $c{$_} ], [ TLS => $tls{$_} ] } qw(reload stopped));
ok all_parked(), 'parked again';
$p->reload;
like $_->[1]->cmd('NOOP'), qr/^250 /, "$_->[0]: goes on after a reload" for @here[ 0 .. 3 ];
$p->stop;
for (@here) {
	is $_->[1]->line, '421 4.3.2 mail.example.test Service is going down, try again', "$_->[0]: the goodbye of a stop";
	ok $_->[1]->eof, 'and closed';
}
is $p->log_count(qr/did not end within stop_timeout/), 0, 'nobody was forgotten';
done_testing;
