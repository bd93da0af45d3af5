#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The LMTP client: next hops unix:PATH and inet:HOST:PORT, an answer for each recipient after the dot.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { minimal_backoff_time => '1h', maximal_backoff_time => '1h' });
my $path = $p->dir . '/lmtp.sock';
my $tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5) or die;
my $unix = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "$path: $!";
my $port = $tcp->sockport;

# A mailbox server: nobody@ does not exist, full@ is full for now, big@ refuses this letter, half@ breaks off after its first answers.
sub serve {
	my ($listener) = @_;
	my $pid = fork;
	return $pid if $pid;
	$SIG{PIPE} = 'IGNORE';
	$SIG{CHLD} = 'IGNORE';
	while (my $c = $listener->accept) {
		next if fork;
		$c->autoflush(1);
		my (@to, $name);
		print $c "220 box LMTP ready\r\n";
		while (my $line = <$c>) {
			if ($line =~ /^LHLO (\S+)/) { $name = $1; print $c "250-box\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n" }
			elsif ($line =~ /^MAIL/) { @to = (); print $c "250 2.1.0 ok\r\n" }
			elsif ($line =~ /^RCPT TO:<nobody/) { print $c "550 5.1.1 no such user\r\n" }
			elsif ($line =~ /^RCPT TO:<(\w+)/) { push @to, $1; print $c "250 2.1.5 ok\r\n" }
			elsif ($line =~ /^DATA/) {
				print $c @to ? "354 go on\r\n" : "503 5.5.1 nobody to deliver to\r\n";
				next unless @to;
				1 while ($line = <$c>) ne ".\r\n";
				for (@to) {
					last if $_ eq 'half';
					<$c> if $_ eq 'slow';
					print $c $_ eq 'full' ? "452 4.2.2 full\r\n" : $_ eq 'big' ? "552 5.2.3 too big for $_\r\n" : $_ eq 'who' ? "250 2.0.0 saved for $name\r\n" : "250 2.0.0 <$_> saved\r\n";
				}
				last if grep { $_ eq 'half' } @to;
			}
			elsif ($line =~ /^QUIT/) { print $c "221 bye\r\n"; last }
			elsif ($line =~ /^RSET/) { print $c "250 ok\r\n" }
			else { print $c "500 5.5.2 what? $line" }
		}
		POSIX::_exit(0);
	}
}
my @servers = (serve($tcp), serve($unix));
END { kill 'TERM', @servers if @servers }
$p->set(transport_maps => "inline:{ { u.test = lmtp:unix:$path } { i.test = lmtp:inet:127.0.0.1:$port } { b.test = lmtp:[127.0.0.1]:$port } { n.test = lmtp:unix:/no/such } { d.test = lmtp:inet:127.0.0.1 } }",
	lmtp_tcp_port => $port, lmtp_lhlo_name => 'courier.example.test', smtp_helo_name => 'wrong.example.test');
$p->start;

sub outcome { my ($id, $to) = @_; return $p->wait_log(qr/$id: to=<\Q$to\E>/, from => 0) }
for my $site ('u.test', 'i.test', 'b.test') {
	my $relay = $site eq 'u.test' ? qr/mail\.example\.test\[\Q$path\E\]/ : qr/127\.0\.0\.1\[127\.0\.0\.1\]:$port/;
	my $id = $p->send_mail(to => [ map { "$_\@$site" } qw(ann nobody full bob big) ]);
	like(outcome($id, "ann\@$site"), qr/lmtp\[\d+\]: .* relay=$relay, .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 <ann> saved\)/, "$site: first");
	like(outcome($id, "nobody\@$site"), qr/dsn=5\.1\.1, status=bounced \(host \S+ said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)\)/, "$site: refused");
	like(outcome($id, "full\@$site"), qr/dsn=4\.2\.2, status=deferred \(.*452 4\.2\.2 full \(in reply to end of DATA command\)\)/, "$site: deferred after the dot");
	like(outcome($id, "bob\@$site"), qr/status=sent \(250 2\.0\.0 <bob> saved\)/, "$site: last");
	like(outcome($id, "big\@$site"), qr/dsn=5\.2\.3, status=bounced/, "$site: bounced after the dot");
}
my $id = $p->send_mail(to => [ map { "$_\@u.test" } qw(ann half bob) ]);
like(outcome($id, 'ann@u.test'), qr/status=sent/, 'an answer that came before the connection broke stands');
like(outcome($id, "$_\@u.test"), qr/dsn=4\.4\.2, status=deferred \(lost connection/, "$_ waits") for 'half', 'bob';
$id = $p->send_mail(to => 'nobody@u.test');
like(outcome($id, 'nobody@u.test'), qr/dsn=5\.1\.1, status=bounced/, 'nobody accepted');
$id = $p->send_mail(to => 'ann@u.test');
like(outcome($id, 'ann@u.test'), qr/status=sent/, 'and on it goes');
$id = $p->send_mail(to => 'ann@n.test');
like(outcome($id, 'ann@n.test'), qr/relay=none, .*dsn=4\.4\.1, status=deferred \(connect to mail\.example\.test\[\/no\/such\]: No such file or directory\)/, 'no such socket');
$id = $p->send_mail(to => 'who@d.test');
like(outcome($id, 'who@d.test'), qr/relay=127\.0\.0\.1\[127\.0\.0\.1\]:$port, .*status=sent \(250 2\.0\.0 saved for courier\.example\.test\)/,
	'lmtp_tcp_port and lmtp_lhlo_name');
$p->set(lmtp_data_done_timeout => '1s', smtp_data_done_timeout => '1h');
$p->reload;
$id = $p->send_mail(to => 'slow@d.test');
like(outcome($id, 'slow@d.test'), qr/dsn=4\.4\.2, status=deferred \(conversation with \S+ timed out/, 'lmtp_data_done_timeout');
$p->set(lmtp_tls_security_level => 'encrypt');
$p->reload;
$id = $p->send_mail(to => [ 'bob@u.test', 'bob@i.test' ]);
like(outcome($id, 'bob@u.test'), qr/status=sent/, 'lmtp_tls_security_level: not for a socket of this machine');
like(outcome($id, 'bob@i.test'), qr/relay=none, .*dsn=4\.7\.5, status=deferred \(TLS is required/, 'but for the network');
done_testing;
