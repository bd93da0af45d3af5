#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Certificates of clients beside the Postfix of the distribution: who is trusted, what the log and the Received: field say of it, who is
# turned away, what opens a relay. The same dialogues with both, the same words.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;
use Postfix;
use Tls;

Postfix::need();
Posthouse::need('openssl');

my %main = (
	myhostname => 'mail.example.test', mydomain => 'example.test', mydestination => '$myhostname, $mydomain', mynetworks => '10.0.0.0/8',
	local_recipient_maps => 'inline:{ alice=x }', smtpd_error_sleep_time => 0, smtpd_tls_loglevel => 1, smtpd_tls_received_header => 'yes',
	smtpd_recipient_restrictions => 'check_client_access static:HOLD', tls_preempt_cipherlist => 'no', mail_name => 'Mail',
);
my $ours = Posthouse->new(tls => 1, main => \%main);
my $d = $ours->dir;
my $theirs = Postfix->new(main => { %main, smtpd_tls_cert_file => "$d/tls/cert.pem", smtpd_tls_key_file => "$d/tls/key.pem", smtpd_tls_fingerprint_digest => 'sha256',
	smtpd_tls_session_cache_database => '', tls_ssl_options => '', in_flow_delay => 0 });

# --- an authority, and those it has signed
sub openssl { my ($s, $t) = Posthouse::run('openssl', @_); die $t if $s; return $t }
sub own {
	my ($name, @key) = @_;
	openssl('req', '-x509', '-newkey', @key, '-nodes', '-days', 30, '-subj', "/O=Test/CN=$name", '-keyout', "$d/$name.key", '-out', "$d/$name.crt");
}
sub signed {
	my ($name, $subject, $days, @key) = @_;
	openssl('req', '-newkey', @key, '-nodes', '-subj', $subject, '-keyout', "$d/$name.key", '-out', "$d/$name.csr");
	openssl('x509', '-req', '-in', "$d/$name.csr", '-CA', "$d/authority.crt", '-CAkey', "$d/authority.key", '-set_serial', 7 + $days, '-days', $days, '-out', "$d/$name.crt");
}
my @ec = ('ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
own('authority', @ec);
own('stranger', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384');
# One whose certificate is two away from the authority's.
openssl('req', '-newkey', @ec, '-nodes', '-subj', "/CN=deep.test", '-keyout', "$d/deep.key", '-out', "$d/deep.csr");
Posthouse::write_file("$d/is-ca", "basicConstraints=critical,CA:true\n");
my $above = 'authority';
for my $name ('first', 'second') {
	openssl('req', '-newkey', @ec, '-nodes', '-subj', "/CN=$name", '-keyout', "$d/$name.key", '-out', "$d/$name.csr");
	openssl('x509', '-req', '-in', "$d/$name.csr", '-CA', "$d/$above.crt", '-CAkey', "$d/$above.key", '-set_serial', 50, '-days', 20, '-extfile', "$d/is-ca", '-out', "$d/$name.crt");
	$above = $name;
}
openssl('x509', '-req', '-in', "$d/deep.csr", '-CA', "$d/second.crt", '-CAkey', "$d/second.key", '-set_serial', 51, '-days', 20, '-out', "$d/deep.crt");
Posthouse::append_file("$d/deep.crt", Posthouse::slurp("$d/$_.crt")) for 'second', 'first';
mkdir "$d/trusted";
Posthouse::write_file("$d/trusted/a.pem", Posthouse::slurp("$d/authority.crt"));
openssl('rehash', "$d/trusted");
chmod 0755, $d, "$d/trusted", $d =~ s{/[^/]*$}{}r;
chmod 0644, "$d/trusted/a.pem";
signed('friend', '/CN=friend.test', 20, @ec);
signed('rsa', '/CN=rsa.test', 20, 'rsa:2048');
signed('edwards', '/CN=ed.test', 20, 'ed25519');
signed('expired', '/CN=expired.test', -1, @ec);
signed('odd', '/CN=od(d) \\\\ n(a(m)e)"', 20, @ec);
signed('nameless', '/O=Nobody', 20, @ec);
sub fingerprint_of { my ($name, $digest) = @_; return openssl('x509', '-in', "$d/$name.crt", '-noout', '-fingerprint', "-$digest") =~ /=(\S+)/ ? $1 : die }
sub key_fingerprint_of {
	my ($name, $digest) = @_;
	openssl('x509', '-in', "$d/$name.crt", '-noout', '-pubkey', '-out', "$d/$name.pub");
	openssl('pkey', '-pubin', '-in', "$d/$name.pub", '-outform', 'DER', '-out', "$d/$name.der");
	return join ':', openssl('dgst', "-$digest", '-r', "$d/$name.der") =~ /^([0-9a-f]+)/ ? map { uc } $1 =~ /(..)/g : die;
}

my $table = "$d/access";
Posthouse::write_file($table, join '', fingerprint_of('friend', 'sha256') . " REJECT by its certificate\n", key_fingerprint_of('rsa', 'sha256') . " REJECT by its key\n",
	fingerprint_of('edwards', 'sha1') . " REJECT by another digest\n", key_fingerprint_of('expired', 'sha1') . " REJECT its key by another digest\n");
my @relays = ('smtpd_relay_restrictions=permit_tls_clientcerts,reject_unauth_destination', 'smtpd_recipient_restrictions=');
my @services = (
	[ 'asked for', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt" ],
	[ 'nobody to trust', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes' ],
	[ 'not asked for', 'smtpd_tls_security_level=may', "smtpd_tls_CAfile=$d/authority.crt" ],
	[ 'demanded', 'smtpd_tls_security_level=encrypt', 'smtpd_tls_req_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt" ],
	[ 'demanded without TLS', 'smtpd_tls_security_level=may', 'smtpd_tls_req_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt" ],
	[ 'by table', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "smtpd_recipient_restrictions=check_ccert_access texthash:$table,check_client_access static:HOLD" ],
	[ 'by table, SHA-1', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', 'smtpd_tls_fingerprint_digest=sha1', "smtpd_recipient_restrictions=check_ccert_access texthash:$table,check_client_access static:HOLD" ],
	[ 'relay by certificate', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "relay_clientcerts=texthash:$table", @relays ],
	[ 'relay by certificate, SHA-1', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "relay_clientcerts=texthash:$table", 'smtpd_tls_fingerprint_digest=sha1', @relays ],
	[ 'relay by authority', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt",
		'smtpd_relay_restrictions=permit_tls_all_clientcerts,reject_unauth_destination', 'smtpd_recipient_restrictions=' ],
	[ 'a directory', 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "smtpd_tls_CApath=$d/trusted" ],
	(map { [ "depth $_", 'smtpd_tls_security_level=may', 'smtpd_tls_ask_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt", "smtpd_tls_ccert_verifydepth=$_" ] } 0 .. 2),
	[ 'first byte, demanded', 'smtpd_tls_wrappermode=yes', 'smtpd_tls_security_level=encrypt', 'smtpd_tls_req_ccert=yes', "smtpd_tls_CAfile=$d/authority.crt" ],
);
my $port = 3000;
for my $side ($ours, $theirs) {
	Posthouse::append_file($side->dir . '/master.cf', join '', map { my ($what, @o) = @{ $services[$_] };
		$side->address . ':' . ($port + $_) . " inet n - n - - smtpd\n -o syslog_name=postfix/c$_\n" . join '', map { " -o { $_ }\n" } @o } 0 .. $#services);
}

# --- one session: what is said and what is written of it
sub session {
	my ($side, $n, $to, %tls) = @_;
	my $wrapped = "@{ $services[$n] }" =~ /wrappermode/;
	my (@said, $text);
	my $c = $side->connect($port + $n);
	my $ok = eval {
		if (!$wrapped) {
			$c->reply(qr/^220/);
			$c->cmd('EHLO c.example', qr/STARTTLS/);
			$c->cmd('STARTTLS', qr/^220/);
		}
		$c->tls(%tls);
		push @said, $c->reply(qr//) if $wrapped;
		1;
	};
	return { said => [ 'no TLS' ] } unless $ok;
	my @lines = ('EHLO c.example', 'MAIL FROM:<x@c.example>', "RCPT TO:<$to>", $to =~ /elsewhere/ ? () : ('DATA', "Subject: x\r\n\r\nx\r\n."), 'QUIT');
	for my $line (@said && $said[0] =~ /^421/ ? () : @lines) { # Postfix greets after such a 421
		next if $line =~ /^Subject/ && $said[-1] !~ /^354/;
		my $reply = eval { $c->cmd($line, qr//) } // 'closed';
		push @said, $reply =~ s/^250-.*/250-/sr =~ s/queued as \S+/queued/r;
		last if $reply eq 'closed' || $reply =~ /^421/;
	}
	$c->close;
	my $mine = qr{postfix/c$n/smtpd\[\d+\]: };
	$side->wait_log(qr/${mine}disconnect/);
	my $all = Posthouse::slurp($side->maillog);
	my @log = map { /$mine(.*)/ ? $1 =~ s/^[0-9A-Za-z]{10,}:/ID:/r : () } split /\n/, $all;
	my $begin = (grep { $log[$_] =~ /^connect from/ } 0 .. $#log)[-1];
	($text) = received($side, ($all =~ /$mine(\w+): client=/g)[-1]) =~ /^(Received: .*?\n)(?!\s)/ms if "@said" =~ /queued/;
	return { said => \@said, log => [ grep { /TLS connection|abort|reject|certificate/ } @log[ $begin .. $#log ] ], received => $text };
}

sub received {
	my ($side, $id) = @_;
	my ($status, $text) = $side == $ours ? $side->tool('postcat', '-q', $id) : Posthouse::run('/usr/sbin/postcat', '-c', $side->dir, '-q', $id);
	die $text if $status;
	return $text =~ s/ id \S+/ id ID/r =~ s/; \w{3}, .*/; date/r;
}

sub client { my ($name, @more) = @_; return ($name ? (SSL_cert_file => "$d/$name.crt", SSL_key_file => "$d/$name.key") : (), @more) }

$_->start for $ours, $theirs;
my @clients = map { [ $_ || 'nobody', client($_) ] } 'friend', 'rsa', 'edwards', 'stranger', 'expired', 'odd', 'nameless', '';
my @old = map { [ "$_->[0], TLS 1.2", @$_[ 1 .. $#$_ ], SSL_version => 'TLSv1_2' ] } @clients[ 0, 1, 3, 7 ];
my @deep = ([ 'deep', client('deep') ], [ 'friend', client('friend') ]);
my @groups = map { [ "nobody, $_", SSL_ecdh_curve => $_ ] } 'P-256', 'P-521', 'X448';
for my $n (0 .. $#services) {
	my ($what) = @{ $services[$n] };
	subtest $what => sub {
		for my $who ($what =~ /^depth/ ? @deep : $what eq 'a directory' ? (@deep, $clients[3]) : (@clients, @old, $n ? () : @groups)) {
			my ($name, @tls) = @$who;
			is_deeply(session($ours, $n, $what =~ /^relay/ ? 'y@elsewhere.test' : 'alice@example.test', @tls),
				session($theirs, $n, $what =~ /^relay/ ? 'y@elsewhere.test' : 'alice@example.test', @tls), $name);
		}
	};
}

# A session that is resumed: the certificate of the first one counts.
for my $what ('relay by certificate', 'relay by authority') {
	my ($n) = grep { $services[$_][0] eq $what } 0 .. $#services;
	for my $name ('friend', 'stranger') {
		for my $version ('TLSv1_3', 'TLSv1_2') {
			my $ctx = IO::Socket::SSL::SSL_Context->new(client($name), SSL_verify_mode => 0, SSL_version => $version, SSL_session_cache_size => 10) or die 'no context';
			my ($first, $again) = map { session($ours, $n, 'y@elsewhere.test', SSL_reuse_ctx => $ctx, SSL_session_key => 'x') } 1, 2;
			like("@{ $again->{log} }", qr/TLS connection reused/, "$what, $name, $version: resumed");
			is_deeply($again->{said}, $first->{said}, 'with the outcome of the first time');
		}
	}
}
$_->stop for $ours, $theirs;
done_testing;
