#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Next hops by MX records: dnsmasq on a loopback port answers, servers listen on several loopback addresses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use SmtpTest;

my ($dnsmasq) = grep { -x } qw(/usr/sbin/dnsmasq /usr/local/sbin/dnsmasq);
plan skip_all => 'no dnsmasq' if !$dnsmasq && !$ENV{CI};

# A port that is free on all the addresses that are used here.
my $port = do { my $l = IO::Socket::INET->new(LocalAddr => '0.0.0.0', Listen => 1, Proto => 'tcp'); $l->sockport };
my $dns_port = do { my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp'); $l->sockport };
my %host = (a => '127.0.7.1', b => '127.0.7.2', c => '127.0.7.3', dead => '127.0.7.9', us => '127.0.0.1');
my $pid = fork;
if (!$pid) {
	open STDERR, '>', '/dev/null';
	no warnings 'exec';
	exec $dnsmasq, '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--listen-address=127.0.0.1', '--bind-interfaces',
	    "--port=$dns_port", '--local=/test/', map({ "--host-record=$_.test,$host{$_}" } keys %host),
	    '--mx-host=one.test,a.test,10', '--mx-host=order.test,b.test,20', '--mx-host=order.test,a.test,10',
	    '--mx-host=order.test,c.test,30', '--mx-host=half.test,dead.test,5', '--mx-host=half.test,b.test,10',
	    map({ "--mx-host=equal.test,$_.test,10" } qw(a b c)), '--mx-host=nohost.test,nobody.test,10',
	    '--mx-host=loop.test,us.test,10', '--mx-host=loop.test,a.test,20', '--mx-host=backup.test,a.test,10', '--mx-host=backup.test,us.test,20',
	    '--mx-host=backup.test,b.test,30', '--txt-record=nomail.test,x', '--cname=alias.test,a.test', '--cname=mxalias.test,order.test';
	POSIX::_exit(127);
}

# Ready when it answers.
my $probe = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $dns_port, Proto => 'udp');
for (my $end = time + 30; time < $end;) {
	select undef, undef, undef, 0.02; # a closed port answers at once
	$probe->send(pack('n6', 1, 0x100, 1, 0, 0, 0) . SmtpTest::Dns::name('a.test') . pack 'nn', 1, 1);
	vec(my $r = '', fileno $probe, 1) = 1;
	last if select($r, undef, undef, 0.02) && defined $probe->recv(my $answer, 512);
}

my $t = SmtpTest->new(smtp_dns_server => "127.0.0.1:$dns_port", smtp_mx_session_limit => 2);
my %s = map { $_ => $t->server(ADDR => $host{$_}, PORT => $port) } qw(a b c);

sub went {
	my ($hop, $how) = @_;
	my $m = $t->letter("u\@$hop");
	my $r = $t->job($how || "$hop:$port", $m);
	$t->play('idle');
	my ($line) = $r->{log} =~ /(relay=.*)/;
	return ($r->{$m}{0}, $line, $r->{$m}{down}, $r->{log});
}

my ($fate, $line, $down, $log) = went('one.test');
is $fate, 'sent', 'one MX';
like $line, qr/^relay=a\.test\[127\.0\.7\.1\]:$port, /, 'its name and address in the log';
($fate, $line) = went('order.test');
like $line, qr/^relay=a\.test\[/, 'the best preference first';
($fate, $line, $down, $log) = went('half.test');
is $fate, 'sent', 'the second when the first is dead';
like $log, qr/connect to dead\.test\[127\.0\.7\.9\]:$port: Connection refused/, 'the dead one is named';
like $line, qr/^relay=b\.test\[/, 'relay is the one that took it';

my %seen;
for (1 .. 40) { $seen{$1}++ if (went('equal.test'))[1] =~ /relay=(\w)\.test/ }
is join(' ', sort keys %seen), 'a b c', 'equal preferences share the mail';

($fate, $line) = went('c.test');
like "$fate $line", qr/^sent relay=c\.test\[127\.0\.7\.3\]/, 'no MX: the address of the name';
($fate, $line) = went('x', "[b.test]:$port");
like "$fate $line", qr/^sent relay=b\.test\[127\.0\.7\.2\]/, '[host]';
($fate, $line) = went('alias.test');
like "$fate $line", qr/^sent relay=alias\.test\[127\.0\.7\.1\]/, 'an alias of a host';
($fate, $line) = went('x', "127.0.7.2:$port");
like "$fate $line", qr/^sent relay=127\.0\.7\.2\[127\.0\.7\.2\]/, 'a bare address';

($fate, $line, $down) = went('unknown.test');
is "$fate $down", 'bounced 0', 'a domain that does not exist';
like $line, qr/^relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not found\. Name service error for name=unknown\.test type=MX: Host not found\)/, 'its log line';
($fate, $line) = went('nohost.test');
like "$fate $line", qr/^bounced .*dsn=5\.4\.4, .*name=nobody\.test type=A: Host not found/, 'an MX host that does not exist';
($fate, $line) = went('nomail.test');
like "$fate $line", qr/^bounced .*dsn=5\.4\.4, .*name=nomail\.test type=A: Host found but no data record of requested type/, 'neither MX nor address';
($fate, $line) = went('-bad-.test');
like "$fate $line", qr/^bounced .*dsn=5\.4\.4, .*invalid host or domain name/, 'a name that cannot be';
($fate, $line) = went('x', '[a.test]:nosuchservice');
like "$fate $line", qr/^deferred .*dsn=4\.3\.5, .*unknown service/, 'an unknown service is temporary';

# --- the next server after a temporary refusal -------------------------------------------------------------------------

$_->stop for values %s;
$s{a} = $t->server(ADDR => $host{a}, PORT => $port, RCPT => sub { $_[0] =~ /grey/ ? '450 4.2.0 later' : $_[0] =~ /no/ ? '550 5.1.1 no' : '250 2.1.5 Ok' });
$s{b} = $t->server(ADDR => $host{b}, PORT => $port, RCPT => sub { $_[0] =~ /both/ ? '451 4.2.0 b' : '250 2.1.5 Ok' });
$s{c} = $t->server(ADDR => $host{c}, PORT => $port);
my $m = $t->letter('ok@order.test', 'grey@order.test', 'no@order.test', 'greyboth@order.test');
my $r = $t->job("order.test:$port", $m);
is_deeply [ @{ $r->{$m} }{ 0 .. 3 } ], [qw(sent sent bounced deferred)], 'a temporary refusal: the next host is asked for those';
like $r->{log}, qr/to=<ok\@.*relay=a\.test/, 'the first took one';
like $r->{log}, qr/to=<grey\@.*relay=b\.test/, 'the second the other';
unlike $s{b}->said, qr/ok\@order|no\@order/, 'and was not told of who is decided';
is $s{c}->said, '', 'two sessions at most (smtp_mx_session_limit)';
$t->play('idle');

# A lost answer to the dot is not tried elsewhere.
$s{a}->stop;
$s{b}->stop;
$s{a} = $t->server(ADDR => $host{a}, PORT => $port, DOT => 'close');
$s{b} = $t->server(ADDR => $host{b}, PORT => $port);
($fate, $line) = went('order.test');
like "$fate $line", qr/^deferred .*may be sent more than once/, 'the answer to the dot is lost: deferred';
is $s{b}->said, '', 'not sent to the next host';

# All hosts of the domain down.
$s{$_}->stop for qw(a b c);
($fate, $line, $down) = went('order.test');
is "$fate $down", 'deferred 1', 'nobody answers: site down';

undef $t;
kill 'TERM', $pid;
waitpid $pid, 0;
done_testing;
