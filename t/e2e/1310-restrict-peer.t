#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Restrictions, rule by rule: the same dialogues with us and with the Postfix of the distribution, each service of both with the
# same -o options, the same tables and the same name server; replies must be the same byte for byte, but for queue ids.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use IO::Socket::INET;
use Posthouse;
use Postfix;
use Sandbox;
use SmtpTest;

Postfix::need();
Sandbox::enter();

# --- the world ----------------------------------------------------------------------------------------------------------

my ($A, $N, $MX, $T) = (\&SmtpTest::Dns::a, \&SmtpTest::Dns::name, \&SmtpTest::Dns::mx, \&SmtpTest::Dns::txt);
my $dns = SmtpTest::Dns->new(PORT => 53,
	'2.0.77.127.in-addr.arpa PTR' => [ $N->('good.client.test') ], 'good.client.test A' => [ $A->('127.77.0.2') ],
	'3.0.77.127.in-addr.arpa PTR' => [ $N->('forged.client.test') ], 'forged.client.test A' => [ $A->('127.77.0.9') ],
	'4.0.77.127.in-addr.arpa PTR' => 'SERVFAIL',
	'there.test A' => [ $A->('192.0.2.1') ], 'mxonly.test MX' => [ $MX->(10, 'mx.evil.test') ], 'mx.evil.test A' => [ $A->('192.0.2.66') ],
	'mxonly.test NS' => [ $N->('ns.evil.test') ], 'ns.evil.test A' => [ $A->('192.0.2.77') ],
	'evil.test NS' => [ $N->('ns.evil.test') ],
	'null.test MX' => [ $MX->(0, '') ], 'broken.test MX' => 'SERVFAIL', 'broken.test A' => 'SERVFAIL', 'broken.test AAAA' => 'SERVFAIL',
	'2.0.77.127.rbl.test A' => [ $A->('127.0.0.2') ], '2.0.77.127.rbl.test TXT' => [ $T->('listed, see https://rbl.test/2') ],
	'3.0.77.127.rbl.test A' => [ $A->('127.0.0.4') ],
	'1.0.77.127.white.test A' => [ $A->('127.0.0.1') ],
	'there.test.dom.test A' => [ $A->('127.0.0.2') ], 'good.client.test.dom.test A' => [ $A->('127.0.0.2') ],
	'there.test.dom.test TXT' => [ $T->('domain listed') ],
);
Posthouse::write_file("$Sandbox::root/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n");
system('mount', '--bind', "$Sandbox::root/resolv.conf", '/etc/resolv.conf') == 0 or die "resolv.conf";

my $tables = "$Sandbox::root/tables";
mkdir $tables;
sub table { my ($name, $text) = @_; Posthouse::write_file("$tables/$name", $text); return "texthash:$tables/$name" }
my @dsn = qw(1.0 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 1.10 2.1 3.0 4.4 7.25);
my $acc = table('acc', join('', map { "dsn$_.test 550 5.$_ said\nalice+$_\@example.test REJECT 5.$_ said\n" } @dsn) . <<'END');
127.77.0.2 REJECT
127.77.0.3 450 come back
127.77.0 DEFER not this net
good.client.test 554 5.7.9 by name
client.test REJECT parent
a.test OK
b.test REJECT
c.test REJECT no mail from c
sub.c.test DUNNO
d.test DEFER
e.test DEFER_IF_PERMIT maybe later
f.test DEFER_IF_REJECT
g.test 550 5.1.8 not here
h.test 451 later
i.test 521 go away for good
j.test WARN just saying
k.test INFO hello
l.test reject_unauth_destination, reject
m.test class_strict
n.test permit
o.test 12345
p.test nonsense_word
q.test HOLD
r.test PREPEND X-Test: yes
s.test REJECT 5.7.99 with an enhanced code
user@t.test REJECT the whole address
user@ REJECT any user
alice+x@example.test REJECT extension
alice@example.test DUNNO
bob@example.test REJECT not bob
<> REJECT no null
192.0.2.66 REJECT bad exchanger
192.0.2.77 REJECT bad name server
192.0.2.1 REJECT bad address
mx.evil.test REJECT bad exchanger name
postmaster@ OK
END

# [ what, { stage => rules }, [ client, helo, sender, recipient or commands ]... ]
my @senders = map { "x\@$_.test" } 'a' .. 's';
my @cases = (
	[ 'nothing but the default', { relay => 'permit_mynetworks, defer_unauth_destination' },
	  [ 2, 'c.example', 'x@y.test', 'alice@example.test' ], [ 2, 'c.example', 'x@y.test', 'a@else.test' ],
	  [ 2, 'c.example', 'x@y.test', 'nobody@example.test' ], [ 2, 'c.example', '', 'postmaster' ],
	  [ 2, 'c.example', 'x@y.test', 'a%b.test@example.test' ], [ 2, 'c.example', 'x@y.test', 'alice@[127.77.9.9]' ] ],
	[ 'reject_unauth_destination', { relay => 'reject_unauth_destination' }, [ 2, 'c.example', 'x@y.test', 'a@else.test' ] ],
	[ 'reject', { client => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'reject at HELO', { helo => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'reject at MAIL', { sender => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ], [ 2, 'c.example', '', 'alice@example.test' ] ],
	[ 'reject at RCPT', { recipient => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'defer', { recipient => 'defer' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'reject at DATA', { data => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test', 'DATA' ] ],
	[ 'reject at the end', { end_of_data => 'reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test', 'DATA', "a: b\r\n\r\n." ] ],
	[ 'no delay: client', { client => 'reject', -delay => 'no' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'no delay: HELO', { helo => 'reject', -delay => 'no' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'no delay: MAIL', { sender => 'reject', -delay => 'no' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'no delay: put off', { client => 'defer_if_permit', -delay => 'no' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'warn_if_reject', { sender => 'warn_if_reject reject', recipient => 'warn_if_reject reject_non_fqdn_recipient, defer' },
	  [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'warn_if_reject for the next only', { recipient => 'warn_if_reject permit_mynetworks, reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'defer_if_permit', { recipient => 'defer_if_permit, permit' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'defer_if_permit, then reject', { recipient => 'defer_if_permit, reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'defer_if_reject', { recipient => 'defer_if_reject, reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'defer_if_reject, then permit', { recipient => 'defer_if_reject, permit' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'both', { recipient => 'defer_if_reject, defer_if_permit, reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'a class', { recipient => 'class_strict' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ], [ 2, 'c.example', 'x@y', 'alice@example.test' ] ],
	[ 'an unknown name', { recipient => 'no_such_rule' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'permit_inet_interfaces', { recipient => 'permit_inet_interfaces, reject' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'client names', { client => 'reject_unknown_client_hostname' }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 4 ],
	[ 'client reverse names', { client => 'reject_unknown_reverse_client_hostname' }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 4 ],
	[ 'plaintext', { recipient => 'reject_plaintext_session' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'HELO syntax', { helo => 'reject_invalid_helo_hostname' },
	  map { [ 2, $_, 'x@y.test', 'alice@example.test' ] } 'c.example', 'short', '-bad.example', 'a..b', '[1.2.3.4]', '[1.2.3.456]', '1.2.3.4',
	  '1.2.3', 'a_b.example', 'sp*ce.example', '[IPv6:::1]', 'bad.example-' ],
	[ 'HELO full name', { helo => 'reject_non_fqdn_helo_hostname' }, map { [ 2, $_, 'x@y.test', 'alice@example.test' ] } 'c.example', 'short',
	  '[1.2.3.4]', '1.2.3.4', 'a..b' ],
	[ 'HELO in DNS', { helo => 'reject_unknown_helo_hostname' }, map { [ 2, $_, 'x@y.test', 'alice@example.test' ] } 'there.test', 'nowhere.test',
	  'mxonly.test', '[1.2.3.4]', 'broken.test' ],
	[ 'full addresses', { sender => 'reject_non_fqdn_sender', recipient => 'reject_non_fqdn_recipient' }, [ 2, 'c.example', 'x', 'alice@example.test' ],
	  [ 2, 'c.example', 'x@y', 'alice@example.test' ], [ 2, 'c.example', '', 'alice' ], [ 2, 'c.example', 'x@y.test', 'alice@localhost' ],
	  [ 2, 'c.example', 'x@[1.2.3.4]', 'postmaster' ], [ 2, 'c.example', 'x@y.test', 'PostMaster' ] ],
	[ 'sender domains', { sender => 'reject_unknown_sender_domain' }, map { [ 2, 'c.example', $_, 'alice@example.test' ] } 'x@there.test',
	  'x@nowhere.test', 'x@mxonly.test', 'x@null.test', 'x@broken.test', '', 'x@[1.2.3.4]', 'alice@example.test' ],
	[ 'recipient domains', { recipient => 'reject_unknown_recipient_domain', relay => 'check_client_access static:OK, reject_unauth_destination' }, map { [ 2, 'c.example', 'x@y.test', $_ ] } 'x@there.test',
	  'x@nowhere.test', 'x@mxonly.test', 'x@null.test', 'x@broken.test', 'alice@example.test' ],
	[ 'unlisted', { sender => 'reject_unlisted_sender', recipient => 'reject_unlisted_recipient' }, map { [ 2, 'c.example', @$_ ] }
	  [ 'nobody@example.test', 'alice@example.test' ], [ 'alice@example.test', 'nobody@example.test' ], [ '', 'bob@example.test' ] ],
	[ 'bounces to many', { data => 'reject_multi_recipient_bounce' }, [ 2, 'c.example', '', 'alice@example.test', 'RCPT TO:<bob@example.test>', 'DATA' ] ],
	[ 'bounces to one', { data => 'reject_multi_recipient_bounce' }, [ 2, 'c.example', '', 'alice@example.test', 'DATA', "\r\n." ] ],
	[ 'client access', { client => "check_client_access $acc" }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 4 ],
	[ 'HELO access', { helo => "check_helo_access $acc" }, map { [ 2, "$_.test", 'x@y.test', 'alice@example.test' ] } 'a' .. 'i', 'x.c', 'sub.c' ],
	[ 'sender access', { sender => "check_sender_access $acc" }, map { [ 2, 'c.example', $_, 'alice@example.test' ] } @senders, 'x@sub.c.test',
	  'x@x.sub.c.test', 'user@t.test', 'user@u.test', 'user+e@u.test', '' ],
	[ 'recipient access', { recipient => "check_recipient_access $acc" }, map { [ 2, 'c.example', 'x@y.test', $_ ] } 'alice@example.test',
	  'alice+x@example.test', 'bob@example.test', 'bob+y@example.test', 'postmaster' ],
	[ 'enhanced codes', { client => "check_helo_access $acc", sender => "check_sender_access $acc", recipient => "check_recipient_access $acc" },
	  map { [ 2, "dsn$_.test", 'x@y.test', 'alice@example.test' ], [ 2, 'c.example', "x\@dsn$_.test", 'alice@example.test' ],
	  [ 2, 'c.example', 'x@y.test', "alice+$_\@example.test" ] } @dsn ],
	[ 'a bare table', { sender => $acc }, [ 2, 'c.example', 'x@c.test', 'alice@example.test' ] ],
	[ 'exchangers', { sender => "check_sender_mx_access $acc" }, map { [ 2, 'c.example', "x\@$_.test", 'alice@example.test' ] } 'mxonly', 'there', 'nowhere' ],
	[ 'name servers', { sender => "check_sender_ns_access $acc" }, map { [ 2, 'c.example', "x\@$_.test", 'alice@example.test' ] } 'mxonly', 'sub.mxonly', 'there' ],
	[ 'addresses', { sender => "check_sender_a_access $acc" }, map { [ 2, 'c.example', "x\@$_.test", 'alice@example.test' ] } 'mxonly', 'there' ],
	[ 'a broken table', { sender => "check_sender_access texthash:$tables/none" }, [ 2, 'c.example', 'x@c.test', 'alice@example.test' ] ],
	[ 'cidr', { client => 'check_client_access cidr:' . do { table('nets', "127.77.0.2/31 REJECT pair\n"); "$tables/nets" } },
	  map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 3 ],
	[ 'a block list', { client => 'reject_rbl_client rbl.test' }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 3 ],
	[ 'a block list with a filter', { client => 'reject_rbl_client rbl.test=127.0.0.[4..5]' }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 3 ],
	[ 'domain block lists', { sender => 'reject_rhsbl_sender dom.test', client => 'reject_rhsbl_client dom.test', helo => 'reject_rhsbl_helo dom.test' },
	  [ 1, 'c.example', 'x@there.test', 'alice@example.test' ], [ 2, 'c.example', 'x@y.test', 'alice@example.test' ], [ 1, 'there.test', 'x@y.test', 'alice@example.test' ] ],
	[ 'an allow list', { client => 'permit_dnswl_client white.test, reject' }, map { [ $_, 'c.example', 'x@y.test', 'alice@example.test' ] } 1 .. 2 ],
	[ 'a reply of one\'s own', { client => 'reject_rbl_client rbl.test', -rbl => '$rbl_code 5.7.55 $rbl_class [$rbl_what] is on $rbl_domain${rbl_reason?, $rbl_reason}' },
	  [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'sender logins', { sender => 'reject_sender_login_mismatch' }, map { [ 2, 'c.example', $_, 'alice@example.test' ] } 'owned@example.test', 'x@y.test', '' ],
	[ 'a silent policy service', { recipient => 'check_policy_service unix:private/nobody' }, [ 2, 'c.example', 'x@y.test', 'alice@example.test' ] ],
	[ 'ETRN', { etrn => "check_etrn_access $acc" }, map { [ 2, 'c.example', undef, undef, "ETRN $_" ] } 'b.test', 'z.test', '', 'a b', '-x', 'sp*ce' ],
);

my $port = 3000;
my %stage = map { $_ => "smtpd_${_}_restrictions" } qw(client helo sender relay recipient data end_of_data etrn);
my $services = sub {
	my ($address) = @_;
	my $text = '';
	for my $i (0 .. $#cases) {
		my %o = %{ $cases[$i][1] };
		my %set = map { $stage{$_} => $o{$_} } grep { $stage{$_} } keys %o;
		$set{smtpd_relay_restrictions} //= 'permit_auth_destination, reject';
		$set{smtpd_delay_reject} = $o{-delay} if $o{-delay};
		(my $rbl = $o{-rbl} // '') =~ s/\$/\$\$/g;
		$set{default_rbl_reply} = $o{-rbl} if $o{-rbl};
		$text .= ($address ? "$address:" : '') . ($port + $i) . " inet n - n - - smtpd\n" .
			join '', map { "    -o { $_ = $set{$_} }\n" } sort keys %set;
	}
	return $text;
};
my %main = (
	myhostname => 'mail.example.test', mydomain => 'example.test', mydestination => '$myhostname, $mydomain, localhost',
	mynetworks => '127.0.0.0/16', smtpd_banner => '$myhostname ESMTP', local_recipient_maps => 'inline:{ alice=x, bob=x, postmaster=x }',
	smtpd_restriction_classes => 'class_strict', class_strict => 'reject_non_fqdn_sender, defer', recipient_delimiter => '+',
	smtpd_sender_login_maps => 'inline:{ owned@example.test=alice }', smtpd_error_sleep_time => '0', smtpd_hard_error_limit => 100,
	smtpd_soft_error_limit => 100, smtpd_policy_service_retry_delay => '1s', smtpd_sasl_auth_enable => 'no',
	smtpd_client_connection_count_limit => 0, smtpd_policy_service_try_limit => 1, fast_flush_domains => '',
);
my $pf = Postfix->new(main => { %main, disable_dns_lookups => 'no', smtpd_tls_security_level => 'none' }, services => $services->(undef));
$pf->{address} = '127.0.0.1';
my $p = Posthouse->new(main => \%main);
Posthouse::append_file($p->dir . '/master.cf', $services->(undef));
Posthouse::append_file($p->dir . '/main.cf', "inet_interfaces = $p->{address}\n");
Posthouse::append_file($pf->dir . '/main.cf', "inet_interfaces = 127.0.0.1\n");
$pf->start;
$p->start;

sub play {
	my ($address, $port, $probe) = @_;
	my ($client, $helo, $from, $to, @more) = @$probe;
	my $sock = IO::Socket::INET->new(LocalAddr => "127.77.0.$client", PeerAddr => $address, PeerPort => $port, Timeout => 20)
		or return ("connect: $@");
	my $c = Posthouse::Conn->new($sock);
	my @said;
	for my $line (undef, "HELO $helo", defined $from ? "MAIL FROM:<$from>" : (), defined $to ? "RCPT TO:<$to>" : (), @more, 'QUIT') {
		eval {
			$sock->print("$line\r\n") if defined $line;
			my $text = $c->reply(qr/^/);
			$text =~ s/queued as \S+/queued as ID/;
			push @said, (defined $line ? "$line => " : '') . $text;
			1;
		} or do { push @said, "closed"; last };
	}
	return @said;
}

for my $i (0 .. $#cases) {
	my ($what, undef, @probes) = @{ $cases[$i] };
	subtest $what => sub {
		for my $probe (@probes) {
			my @ours = play($p->address, $port + $i, $probe);
			my @theirs = play('127.0.0.1', $port + $i, $probe);
			(my $name = join ' ', map { $_ // '-' } @$probe) =~ s/\s+/ /g;
			is join("\n", @ours), join("\n", @theirs), $name;
		}
	};
}
done_testing;
