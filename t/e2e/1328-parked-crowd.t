#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# SMTP sessions that wait without a thread count as sessions everywhere: for the limits of clients, workers and services; and a process
# that has hundreds of them can be stopped, killed and replaced.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use Posthouse;
use Tls;

my ($checker) = Posthouse::slurp("$Posthouse::BIN/smtpd") =~ /__([at]san)_init/;
my $own = !$checker ? 1 : $checker eq 'asan' ? 2 : 3; # they have threads of their own
sub workers { my ($p) = @_; return map { $_->[0] } grep { $_->[1] eq 'smtpd' } $p->processes }
sub all_parked {
	my ($p) = @_;
	return $p->wait_until('all parked', sub {
		!grep { (Posthouse::slurp("/proc/$_/status") =~ /^Threads:\s+(\d+)/m ? $1 : 0) > $own } workers($p);
	});
}
sub connected { my ($p, $n, $service) = @_; return map { $p->smtp($service) } 1 .. $n }
sub bye { my $c = shift; return ($c->line // '') eq '421 4.3.2 mail.example.test Service is going down, try again' && $c->eof }

# --- places: two processes of four sessions; one that has had six leaves
my $p = Posthouse->new(tls => 1, relay => '127.0.0.99', main => { sessions => 4, smtpd_client_connection_count_limit => 8 }, services => <<'END')->start;
3001 inet n - - - 2 smtpd
  -o smtpd_timeout=300s
  -o smtpd_client_connection_count_limit=0
3002 inet n - - - 1 smtpd
  -o max_use=3
  -o smtpd_client_connection_count_limit=0
3003 inet n - - - 1 smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_upstream_proxy_hosts=127.0.0.0/8
END
my @full = connected($p, 8, 3001);
my @same = connected($p, 7); # and one more, for TLS
my @last = connected($p, 3, 3002);
my $proxied = $p->connect(3003);
$proxied->send_raw("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n");
$proxied->reply(qr/^220 /);
my $tls = $p->smtp;
$tls->cmd('EHLO client.test', qr/^250 /m);
$tls->cmd('STARTTLS', qr/^220/);
$tls->tls;
$tls->cmd('EHLO client.test', qr/^250 /m);
$tls->send_raw("MAIL FROM:<x\@cli");
all_parked($p);
my $s = $p->status;
is $s->{'3001/inet'}{busy}, 8, 'they count as busy';
is $s->{'3001/inet'}{workers}, 2, 'and are spread as others are' or diag explain $s->{'3001/inet'};
$p->wait_log(qr/service "3001" \(3001\) has reached its process limit "2"/, from => 0);
pass 'a service can be full of them';
my $waits = $p->connect(3001);
$_->cmd('QUIT', qr/^221/) for shift @full;
like $waits->line, qr/^220 /, 'one that leaves makes room';
my $over = $p->connect('smtp');
$over->reply(qr/^421 4\.7\.0 mail\.example\.test Error: too many connections from 127\.0\.0\.1$/);
pass 'smtpd_client_connection_count_limit counts them';
$over->close;
$_->cmd('QUIT', qr/^221/) for pop @same;
$p->wait_until('a free place', sub { my $c = $p->connect('smtp'); ($c->line // '') =~ /^220 / });
pass 'and no longer when they have left';
like $p->smtp(3002)->cmd('NOOP'), qr/^250 /, 'max_use: the next process takes the next';
like $_->cmd('NOOP'), qr/^250 /, 'and those of the one before go on' for @last;
$proxied->cmd('QUIT', qr/^221/);
$p->wait_log(qr/disconnect from \S+\[192\.0\.2\.7\] quit=1 commands=1/, from => 0);
pass 'a client behind a proxy';

# What the TLS library has read and the session has not yet is not waited for: one record, larger than the buffer has room for.
my $rcpt = "RCPT TO:<alice\@example.test>\r\n";
my $n = int(16000 / length $rcpt);
$tls->send_raw("ent.test>\r\n" . $rcpt x $n);
$tls->reply(qr/^250/) for 0 .. $n;
is $tls->cmd('RSET'), '250 2.0.0 Ok', 'a record of TLS with hundreds of commands';

# --- a process that dies takes only its own along
my ($victim) = grep { Posthouse::slurp("/proc/$_/cmdline") =~ /\0-n\x003001\0/ } workers($p);
kill 'KILL', $victim;
my $gone = $p->wait_until('its clients see it', sub { my @g = grep { IO::Select->new($_->sock)->can_read(0) } @full, $waits; @g == 4 && \@g });
ok $_->eof, 'whose process was killed is gone' for @$gone;
my %gone = map { $_ => 1 } @$gone;
like $_->cmd('NOOP'), qr/^250 /, 'the others are served' for grep { !$gone{$_} } @full, $waits;
like $p->smtp(3001)->cmd('NOOP'), qr/^250 /, 'new ones, too';
$p->stop;

# --- many in one process
my $many = $checker ? 60 : 150;
my $q = Posthouse->new(tls => 1, main => { sessions => 1000, stop_timeout => '20s', smtpd_client_connection_count_limit => 0 })->start;
my @many = connected($q, $many);
all_parked($q);
$q->reload;
like $many[0]->cmd('NOOP'), qr/^250 /, 'a reload lets them be';
push @many, connected($q, $many);
is $q->status->{'smtp/inet'}{busy}, 2 * $many, 'those of the old process count';
$q->stop;
is scalar(grep { bye($_) } @many), 2 * $many, 'everybody hears that it stops';
is $q->log_count(qr/did not end within stop_timeout/), 0, 'and in time';
done_testing;
