#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Restrictions beside Postfix, those that ask DNS, a certificate or a login: see 1330. In namespaces, because Postfix asks the name
# server of /etc/resolv.conf.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::UNIX;
use MIME::Base64;
use POSIX ();
use Posthouse;
use Postfix;
use Sandbox;
use SmtpTest;
use Tls;
use Beside;

Postfix::need();
Posthouse::need('openssl');
Sandbox::enter();

my ($A, $N, $MX, $T) = (\&SmtpTest::Dns::a, \&SmtpTest::Dns::name, \&SmtpTest::Dns::mx, \&SmtpTest::Dns::txt);
my $dns = SmtpTest::Dns->new(PORT => 53,
	'2.0.77.127.in-addr.arpa PTR' => [ $N->('good.client.test') ], 'good.client.test A' => [ $A->('127.77.0.2') ],
	'good.client.test MX' => [ $MX->(10, 'mx.evil.test') ], 'client.test NS' => [ $N->('ns.evil.test') ],
	'3.0.77.127.in-addr.arpa PTR' => [ $N->('forged.client.test') ], 'forged.client.test A' => [ $A->('127.77.0.9') ],
	'4.0.77.127.in-addr.arpa PTR' => 'SERVFAIL',
	'5.0.77.127.in-addr.arpa PTR' => [ $N->('gone.client.test') ],
	'6.0.77.127.in-addr.arpa PTR' => [ $N->('slow.client.test') ], 'slow.client.test A' => 'SERVFAIL', 'slow.client.test AAAA' => 'SERVFAIL',
	'there.test A' => [ $A->('192.0.2.1') ], 'six.test AAAA' => [ "\x20\x01\x0d\xb8" . "\0" x 11 . "\1" ],
	'mxonly.test MX' => [ $MX->(10, 'mx.evil.test') ], 'mx.evil.test A' => [ $A->('192.0.2.66') ], 'mxlost.test MX' => [ $MX->(10, 'lost.test') ],
	'mxonly.test NS' => [ $N->('ns.evil.test') ], 'ns.evil.test A' => [ $A->('192.0.2.77') ], 'evil.test NS' => [ $N->('ns.evil.test') ],
	'null.test MX' => [ $MX->(0, '') ], 'broken.test MX' => 'SERVFAIL', 'broken.test A' => 'SERVFAIL', 'broken.test AAAA' => 'SERVFAIL', 'broken.test NS' => 'SERVFAIL',
	'halfbroken.test MX' => 'SERVFAIL', 'halfbroken.test A' => [ $A->('192.0.2.3') ], 'odd.test TXT' => [ $T->('x') ],
	'real.relay.test A' => [ $A->('192.0.2.4') ],
	'2.0.77.127.rbl.test A' => [ $A->('127.0.0.2') ], '2.0.77.127.rbl.test TXT' => [ $T->('listed, see https://rbl.test/2'), $T->('and here') ],
	'3.0.77.127.rbl.test A' => [ $A->('127.0.0.4'), $A->('127.0.0.9') ], '4.0.77.127.rbl.test A' => 'SERVFAIL',
	'2.0.77.127.white.test A' => [ $A->('127.0.0.1') ], '3.0.77.127.white.test A' => 'SERVFAIL',
	'good.client.test.dwhite.test A' => [ $A->('127.0.0.1') ],
	map({ ("$_.dom.test A" => [ $A->('127.0.0.2') ], "$_.dom.test TXT" => [ $T->("$_ is bad") ]) } 'there.test', 'good.client.test', 'forged.client.test', 'example.test', '1.2.3.4', '3.4'),
	'backup.test MX' => [ $MX->(10, 'mx.far.test'), $MX->(20, 'mail.example.test') ], 'mx.far.test A' => [ $A->('192.0.2.80') ],
	'backupip.test MX' => [ $MX->(20, 'alias.us.test'), $MX->(10, 'mx.far.test') ], 'alias.us.test A' => [ $A->('127.0.0.1') ],
	'primary.test MX' => [ $MX->(10, 'mail.example.test'), $MX->(20, 'mx.far.test') ], 'other.test MX' => [ $MX->(10, 'mx.far.test'), $MX->(20, 'mx.evil.test') ],
	'lostbest.test MX' => [ $MX->(10, 'lost.test'), $MX->(20, 'mail.example.test') ], 'slowbest.test MX' => [ $MX->(10, 'broken.test'), $MX->(20, 'mail.example.test') ],
	'twobest.test MX' => [ $MX->(10, 'mx.far.test'), $MX->(10, 'mx.evil.test'), $MX->(20, 'mail.example.test') ], 'single.test MX' => [ $MX->(10, 'mx.far.test') ],
);
Posthouse::write_file("$Sandbox::root/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n");
system('mount', '--bind', "$Sandbox::root/resolv.conf", '/etc/resolv.conf') == 0 or die "resolv.conf";

# --- certificates ---
my $dir = "$Sandbox::root/files";
mkdir $dir;
chmod 0755, $dir;
sub table { my ($name, $text) = @_; Posthouse::write_file("$dir/$name", $text); return "texthash:$dir/$name" }
sub cert {
	my ($name) = @_;
	system("openssl req -x509 -newkey rsa:2048 -nodes -keyout $dir/$name.key -out $dir/$name.crt -days 2 -subj /CN=$name.client.test 2>/dev/null") == 0 or die 'openssl';
	chmod 0644, "$dir/$name.key";
	my ($print) = `openssl x509 -in $dir/$name.crt -noout -fingerprint -sha256` =~ /=(\S+)/;
	return $print;
}
cert('server');
my ($known, $stranger) = (cert('known'), cert('stranger'));
my %tls = map { $_ => { SSL_use_cert => 1, SSL_cert_file => "$dir/$_.crt", SSL_key_file => "$dir/$_.key" } } 'known', 'stranger';

# --- who may log in: Dovecot's protocol, for Postfix; ours has a table of its own ---
mkdir "$dir/auth";
my $socket = IO::Socket::UNIX->new(Local => "$dir/auth/socket", Listen => 50) or die "socket: $!";
chmod 0777, "$dir/auth/socket";
my $owner = $$;
my $login = fork // die;
if (!$login) {
	$SIG{CHLD} = 'IGNORE';
	while (my $c = $socket->accept) {
		next if fork;
		$c->autoflush(1);
		print $c "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n";
		while (my $line = <$c>) {
			my ($id, $text) = $line =~ /^AUTH\t(\d+)\t.*resp=(\S+)/ or next;
			my (undef, $user) = split /\0/, decode_base64($text);
			print $c "OK\t$id\tuser=$user\n";
		}
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}

# --- a policy service that says nothing and keeps what it is asked ---
my $policy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "policy: $!";
my $policy_port = $policy->sockport;
my $keeper = fork // die;
if (!$keeper) {
	$SIG{CHLD} = 'IGNORE';
	while (my $c = $policy->accept) {
		next if fork;
		local $/ = "\n\n";
		while (my $request = <$c>) {
			open my $f, '>>', "$dir/requests" or die;
			syswrite $f, $request;
			close $f;
			syswrite $c, "action=DUNNO\n\n";
		}
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}
END { for ($login, $keeper) { if ($_ && $$ == $owner) { local $?; kill 'TERM', $_; waitpid $_, 0 } } }

# What one of the two asked, in order, without what must differ. The last two attributes are those of Postfix 3.8. A greeting in the
# clear is forgotten at STARTTLS (RFC 3207 4.2), so that the next one finds no ESMTP yet.
sub requests {
	my ($have_them) = @_;
	my $last = qr/\ncompatibility_level=.*\nmail_version=.*/;
	my @all = grep { $have_them == /$last/ } split /\n\n/, Posthouse::slurp("$dir/requests");
	s/^(protocol_state=EHLO\nprotocol_name=)ESMTP/$1SMTP/m for @all;
	return map { s/$last//r =~ s/^((?:instance|queue_id|client_port|server_address)=).+$/$1.../mgr } @all;
}

my $acc = table('acc', <<END);
192.0.2.66 REJECT bad exchanger
192.0.2.77 REJECT bad name server
192.0.2.1 REJECT bad address
127.77.0.2 REJECT bad client address
good.client.test 554 5.7.9 by name
forged.client.test REJECT claims to be
mx.evil.test REJECT bad exchanger name
alice REJECT no letters from alice
bob DUNNO
$known REJECT a known certificate
$stranger OK
END
my $ok = table('ok', "192.0.2.66 OK\nmx.evil.test OK\n192.0.2.1 OK\nns.evil.test OK\nforged.client.test OK\n");
my ($to, $from) = ('alice@example.test', 'x@y.test');
my @mail = (from => $from, to => $to);
my @subjects = (
	[ client => 'client' ], [ reverse_client_hostname => 'client' ], [ helo => 'helo' ], [ sender => 'sender' ], [ recipient => 'recipient' ] );
sub clients { return map { [ client => "127.77.0.$_", @mail ] } @_ }
sub senders { return map { [ from => /@|^$/ ? $_ : "x\@$_", to => $to ] } @_ }
sub helos { return map { [ greet => $_, @mail ] } @_ }
sub rcpts { return map { [ from => $from, to => "x\@$_" ] } @_ }
my @all = (relay => 'check_client_access static:OK, reject_unauth_destination');
my %sasl = (smtpd_sasl_auth_enable => 'yes', smtpd_sender_login_maps => 'inline:{ alice@example.test=alice, both@example.test={alice, bob}, @owned.test=bob }');

my @cases = (
	[ 'client names', { client => 'reject_unknown_client_hostname' }, clients(1 .. 6) ],
	[ 'client names with a code', { client => 'reject_unknown_client_hostname', unknown_client_reject_code => 550 }, clients(1, 3, 4) ],
	[ 'reverse names', { client => 'reject_unknown_reverse_client_hostname' }, clients(1 .. 6) ],
	[ 'client access', { client => "check_client_access $acc" }, clients(1 .. 4) ],
	[ 'reverse access', { client => "check_reverse_client_hostname_access $acc" }, clients(1 .. 4) ],
	[ 'reverse access cannot permit', { client => "check_reverse_client_hostname_access $ok" }, clients(3) ],
	[ 'HELO', { helo => 'reject_unknown_helo_hostname' }, helos(qw(there.test six.test nowhere.test mxonly.test null.test broken.test odd.test [1.2.3.4] [1.2.3] 1.2.3.4 short a..b)) ],
	[ 'HELO with codes', { helo => 'reject_unknown_helo_hostname', unknown_hostname_reject_code => 550, unknown_helo_hostname_tempfail_action => 'defer' }, helos(qw(nowhere.test broken.test)) ],
	[ 'sender domains', { sender => 'reject_unknown_sender_domain' }, senders(qw(there.test six.test nowhere.test mxonly.test null.test broken.test halfbroken.test odd.test mxlost.test
	  [1.2.3.4] example.test box.test alias.test relay.test real.relay.test), '') ],
	[ 'sender domains with codes', { sender => 'reject_unknown_sender_domain', unknown_address_reject_code => 550, unknown_address_tempfail_action => 'defer' }, senders(qw(nowhere.test broken.test)) ],
	[ 'sender domains, then a reject', { sender => 'reject_unknown_sender_domain, reject' }, senders('broken.test') ],
	[ 'recipient domains', { recipient => 'reject_unknown_recipient_domain', @all }, rcpts(qw(there.test nowhere.test mxonly.test null.test broken.test relay.test real.relay.test [1.2.3.4])) ],
	(map { my ($what, $stage) = @$_; map { my $kind = $_; [ "check_${what}_${kind}_access", { @all, $stage => "check_${what}_${kind}_access $acc" },
		$stage eq 'client' ? clients(1 .. 3) : $stage eq 'helo' ? helos(qw(mxonly.test there.test nowhere.test broken.test null.test [192.0.2.1])) :
		$stage eq 'sender' ? senders(qw(mxonly.test sub.mxonly.test there.test nowhere.test broken.test null.test mxlost.test [192.0.2.1]), '') :
		rcpts(qw(mxonly.test there.test nowhere.test broken.test [192.0.2.1])) ] } 'a', 'mx', 'ns' } @subjects),
	[ 'exchangers cannot permit', { sender => "check_sender_mx_access $ok" }, senders('mxonly.test', 'there.test') ],
	[ 'name servers cannot permit', { sender => "check_sender_ns_access $ok" }, senders('mxonly.test') ],
	[ 'addresses cannot permit', { helo => "check_helo_a_access $ok" }, helos('there.test') ],

	# --- lists ---
	[ 'a block list', { client => 'reject_rbl_client rbl.test' }, clients(1 .. 4) ],
	[ 'a block list with a filter', { client => 'reject_rbl_client rbl.test=127.0.0.[4..5]' }, clients(2, 3) ],
	[ 'a block list with another', { client => 'reject_rbl_client rbl.test=127.0.0.[1;3;9]' }, clients(2, 3) ],
	[ 'a block list in the recipient list', { recipient => 'reject_rbl_client rbl.test' }, clients(2) ],
	[ 'a block list with a code', { client => 'reject_rbl_client rbl.test', maps_rbl_reject_code => 450 }, clients(2) ],
	[ 'replies by list', { client => 'reject_rbl_client rbl.test=127.0.0.9, reject_rbl_client rbl.test', rbl_reply_maps => table('replies',
	  "rbl.test=127.0.0.9 521 4.7.1 you are \$rbl_what\nrbl.test \$rbl_code go away\n") }, clients(2, 3) ],
	[ 'a reply without a code', { client => 'reject_rbl_client rbl.test', default_rbl_reply => 'go away' }, clients(2) ],
	[ 'a reply with a code only', { client => 'reject_rbl_client rbl.test', default_rbl_reply => '550 5.7.2' },
	  [ @mail, differs => 'Postfix sends what its buffer had before', ours => qr/^RCPT.* => 550 5\.7\.2 Service unavailable$/m ] ],
	[ 'a reply about addresses', { sender => 'reject_rhsbl_sender dom.test', default_rbl_reply => '550 5.1.1 $rbl_class $rbl_what $rbl_domain' }, senders('there.test') ],
	[ 'a broken table of replies', { client => 'reject_rbl_client rbl.test', rbl_reply_maps => "texthash:$dir/none" }, clients(2) ],
	[ 'rhsbl client', { client => 'reject_rhsbl_client dom.test' }, clients(1 .. 3) ],
	[ 'rhsbl reverse client', { client => 'reject_rhsbl_reverse_client dom.test' }, clients(1 .. 3) ],
	[ 'rhsbl helo', { helo => 'reject_rhsbl_helo dom.test' }, helos(qw(there.test 1.2.3.4 [1.2.3.4] a..b nowhere.test)) ],
	[ 'rhsbl sender', { sender => 'reject_rhsbl_sender dom.test' }, senders('there.test', 'nowhere.test', '[1.2.3.4]', '') ],
	[ 'rhsbl recipient', { recipient => 'reject_rhsbl_recipient dom.test', @all }, rcpts('there.test', 'nowhere.test'), [ @mail ] ],
	[ 'an allow list', { client => 'permit_dnswl_client white.test, reject' }, clients(1 .. 3) ],
	[ 'an allow list and relaying', { recipient => 'permit_dnswl_client white.test, reject', @all }, [ from => $from, to => 'x@else.test' ], clients(2, 3) ],
	[ 'an allow list at DATA', { data => 'permit_dnswl_client white.test, reject' }, map { [ client => "127.77.0.$_", @mail, data => 1 ] } 1 .. 3 ],
	[ 'an allow list of domains', { client => 'permit_rhswl_client dwhite.test, reject' }, clients(1 .. 3) ],

	[ 'older names', { client => 'reject_rbl rbl.test', helo => 'reject_unknown_hostname', sender => 'reject_unknown_address' }, clients(1, 2), [ client => '127.77.0.1', greet => 'there.test', @mail ],
	  [ client => '127.77.0.1', greet => 'there.test', from => 'x@nowhere.test', to => $to ], [ client => '127.77.0.1', greet => 'there.test', from => 'x@there.test', to => $to ] ],

	# --- relaying as a backup ---
	[ 'permit_mx_backup', { relay => 'permit_mx_backup, reject_unauth_destination' }, rcpts(qw(backup.test backupip.test primary.test other.test single.test lostbest.test slowbest.test twobest.test
	  broken.test nowhere.test null.test there.test [1.2.3.4] example.test relay.test)), [ @mail ], [ from => $from, to => 'a%backup.test' ] ],
	[ 'permit_mx_backup_networks', { relay => 'permit_mx_backup, reject_unauth_destination', permit_mx_backup_networks => '192.0.2.80' }, rcpts(qw(backup.test backupip.test twobest.test lostbest.test slowbest.test)) ],
	[ 'permit_mx_backup_networks elsewhere', { relay => 'permit_mx_backup, reject_unauth_destination', permit_mx_backup_networks => '198.51.100.0/24' }, rcpts(qw(backup.test)) ],
	[ 'permit_mx_backup_networks broken', { relay => 'permit_mx_backup, reject_unauth_destination', permit_mx_backup_networks => "texthash:$dir/none" }, rcpts(qw(backup.test)) ],
	[ 'permit_inet_interfaces', { recipient => 'permit_inet_interfaces, reject' }, [ client => '127.0.0.1', @mail ], [ client => '127.0.0.3', @mail ], clients(2) ],

	# --- certificates ---
	[ 'permit_tls_clientcerts', { recipient => 'permit_tls_clientcerts, reject', relay_clientcerts => "inline:{ $known=x }" }, [ @mail, tls => $tls{known} ], [ @mail, tls => $tls{stranger} ],
	  [ @mail, tls => {} ], [ @mail ] ],
	[ 'permit_tls_clientcerts from a broken table', { recipient => 'permit_tls_clientcerts, reject', relay_clientcerts => "texthash:$dir/none" }, [ @mail, tls => $tls{known} ], [ @mail, tls => {} ], [ @mail ] ],
	[ 'permit_tls_all_clientcerts', { recipient => 'permit_tls_all_clientcerts, reject', smtpd_tls_CAfile => "$dir/known.crt" }, [ @mail, tls => $tls{known} ], [ @mail, tls => $tls{stranger} ], [ @mail ] ],
	[ 'check_ccert_access', { recipient => "check_ccert_access $acc, reject" }, [ @mail, tls => $tls{known} ], [ @mail, tls => $tls{stranger} ], [ @mail, tls => {} ], [ @mail ] ],
	[ 'check_ccert_access from a broken table', { recipient => "check_ccert_access texthash:$dir/none" }, [ @mail, tls => $tls{known} ], [ @mail, tls => {} ] ],
	[ 'reject_plaintext_session', { recipient => 'reject_plaintext_session' }, [ @mail, tls => {} ], [ @mail ] ],

	# --- logins ---
	[ 'permit_sasl_authenticated', { recipient => 'permit_sasl_authenticated, reject', %sasl }, [ @mail, auth => 'alice' ], [ @mail ] ],
	[ 'permit_sasl_authenticated and relaying', { relay => 'permit_sasl_authenticated, reject_unauth_destination', %sasl }, map { [ from => $from, to => 'x@else.test', @$_ ] } [ auth => 'alice' ], [] ],
	[ 'check_sasl_access', { recipient => "check_sasl_access $acc", %sasl }, map { [ @mail, @$_ ] } [ auth => 'alice' ], [ auth => 'bob' ], [] ],
	[ 'check_sasl_access from a broken table', { recipient => "check_sasl_access texthash:$dir/none", %sasl }, map { [ @mail, @$_ ] } [ auth => 'alice' ], [] ],
	(map { [ $_, { sender => $_, %sasl }, map { my $who = $_; map { [ from => $_, to => $to, @$who ] } 'alice@example.test', 'both@example.test', 'x@owned.test', 'free@example.test', 'x@y.test', '' }
	  [ auth => 'alice' ], [ auth => 'bob' ], [] ] } 'reject_sender_login_mismatch', 'reject_authenticated_sender_login_mismatch', 'reject_unauthenticated_sender_login_mismatch',
	  'reject_known_sender_login_mismatch'),
	# --- policy services: what is asked is compared at the end ---
	[ 'a policy service', { map({ $_ => "check_policy_service inet:127.0.0.1:$policy_port" } qw(client helo sender recipient data end_of_data etrn)), delay => 'no', %sasl, smtpd_tls_CAfile => "$dir/known.crt",
	  smtpd_policy_service_policy_context => 'here' }, [ @mail, data => 1 ], [ from => '', to => [ $to, 'bob@example.test' ], data => 1 ], [ client => '127.77.0.3', verb => 'EHLO', more => [ 'ETRN x.test', 'MAIL FROM:<x@y.test> SIZE=1234', 'RCPT TO:<alice+e@EXAMPLE.test>' ] ],
	  [ @mail, tls => $tls{known} ], [ @mail, tls => $tls{stranger} ], [ @mail, auth => 'alice' ] ],
	[ 'sender logins from a broken table', { sender => 'reject_sender_login_mismatch', %sasl, smtpd_sender_login_maps => "texthash:$dir/none" }, map { [ @mail, @$_ ] } [ auth => 'alice' ], [] ],
);

Beside->new(
	main => { mynetworks => '127.78.0.0/16', virtual_mailbox_domains => 'box.test', virtual_alias_domains => 'alias.test', relay_domains => 'relay.test', virtual_alias_maps => 'inline:{ alice@alias.test=alice }',
		smtpd_tls_cert_file => "$dir/server.crt", smtpd_tls_key_file => "$dir/server.key", smtpd_tls_security_level => 'may', smtpd_tls_ask_ccert => 'yes', smtpd_tls_auth_only => 'no',
		smtpd_tls_fingerprint_digest => 'sha256' },
	theirs => { smtpd_sasl_type => 'dovecot', smtpd_sasl_path => "unix:$dir/auth/socket", inet_interfaces => '127.0.0.1' },
	ours => { disable_plaintext_auth => 'no' },
	interfaces => '127.0.0.1',
	cases => \@cases,
)->run;
my ($ours, $theirs) = ([ requests(1) ], [ requests(0) ]);
ok @$ours > 20, 'policy services were asked';
is_deeply $ours, $theirs, 'the same questions, attribute by attribute, as Postfix has them';
$dns->stop;
done_testing;
