#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Restrictions beside Postfix, those that need no DNS: accept, reject and lookup failure of each, with smtpd_delay_reject on and off. The
# same dialogues with the same main.cf lines, byte for byte (see t/lib/Beside.pm); 1331 has those with DNS.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Temp;
use Posthouse;
use Postfix;
use Beside;

Postfix::need();

my $dir = File::Temp->newdir;
chmod 0755, $dir;
sub table { my ($name, $text) = @_; Posthouse::write_file("$dir/$name", $text); return "texthash:$dir/$name" }

# [ word, right side ]: every result of access(5), found by the client's address, HELO name, sender and recipient.
my @result = (
	[ ok => 'OK' ], [ okt => 'OK with a text' ], [ relay => 'RELAY' ], [ dunno => 'DUNNO' ], [ num => '12345' ], [ num4 => '450' ], [ num5 => '550' ],
	[ rej => 'REJECT' ], [ rejt => 'reject with a text' ], [ rejd => 'REJECT 5.1.1 with a code' ], [ rejw => 'REJECT 4.1.1 of the wrong class' ],
	[ rejb => 'REJECT 9.9.9 no code' ], [ def => 'DEFER' ], [ deft => 'DEFER 4.2.1 come back' ], [ c450 => '450 later' ], [ c550 => '550 never' ],
	[ c554d => '554 5.3.4 with a code' ], [ c421 => '421 4.7.0 goodbye' ], [ c521 => '521 no mail here' ], [ dip => 'DEFER_IF_PERMIT' ],
	[ dipt => 'DEFER_IF_PERMIT 4.2.2 maybe' ], [ dir => 'DEFER_IF_REJECT' ], [ dirt => 'DEFER_IF_REJECT 4.2.3 perhaps' ], [ warn => 'WARN' ],
	[ warnt => 'WARN look at this' ], [ info => 'INFO' ], [ infot => 'INFO that is it' ], [ hold => 'HOLD' ], [ holdt => 'HOLD for a reason' ],
	[ disc => 'DISCARD' ], [ disct => 'DISCARD quietly' ], [ redi => 'REDIRECT bob@example.test' ], [ redi0 => 'REDIRECT' ], [ redib => 'REDIRECT nobody' ],
	[ bcc => 'BCC bob@example.test' ], [ bcc0 => 'BCC' ], [ prep => 'PREPEND X-A: b' ], [ prep0 => 'PREPEND' ], [ prepb => 'PREPEND no header' ],
	[ fil => 'FILTER smtp:[127.0.0.1]:9' ], [ fil0 => 'FILTER' ], [ filb => 'FILTER nothing' ], [ list => 'permit_mynetworks, reject' ],
	[ class => 'class_strict' ], [ map => 'check_sender_access texthash:/nonexistent' ], [ word => 'no_such_word' ],
	[ long => '550 ' . 'long ' x 80 ], [ utf => "550 caf\xc3\xa9" ],
);
my %at; # the address of a client for each result
my $n = 1;
$at{ $_->[0] } = '127.77.9.' . $n++ for @result;
my $acc = table('acc', join '', map { my ($w, $r) = @$_; "$at{$w} $r\n$w.test $r\n$w\@s.test $r\nalice+$w\@example.test $r\n" } @result);
my @words = map { $_->[0] } @result;
Posthouse::write_file("$dir/re", "/^bad/ REJECT bad\n/^(.*)\\.name/ 550 not \$1\n");
Posthouse::write_file("$dir/nets", "127.77.5.0/24 REJECT net\n127.77.6.1 OK\n127.77.6.0/24 DEFER\n0.0.0.0/0 DUNNO\n");
Posthouse::write_file("$dir/commands", "/^bonjour/ NOOP\n/^(mail from:) *<(.*)> AUTH=<>/ \$1<\$2>\n/^(RCPT TO:<.*)\@gone\\.test>/ \$1\@example.test>\n/^vrfy/ GET /\n");
Posthouse::write_file("$dir/footers", "/User unknown/ \\c, \$client_address\n/^500/ see\\nthe book\n");
my $broken = "texthash:$dir/not-there";
my ($A, $N, $X) = ('alice@example.test', 'nobody@example.test', 'x@y.test');
my @mail = (from => $X, to => $A);
# Postfix undoes user%domain@us and domain!user@us and looks at what comes out; we leave it where it is, and it is never a destination of ours.
my @routed = (differs => 'routed through us', ours => qr/^RCPT.* => 554 5\.7\.1 /m);
my @both = ({ delay => 'yes' }, { delay => 'no' });

# For each of these options, with smtpd_delay_reject on and off.
sub both { my ($what, $options, @probes) = @_; return map { [ "$what, delay $_->{delay}", { %$options, %$_ }, @probes ] } @both }
sub each_word (&) { my ($f) = @_; return map { local $_ = $_; [ $f->() ] } @words }

my @cases = (
	# --- what every list can say ---
	(map { my $stage = $_; map { both("$stage: $_", { $stage => $_ }, [ @mail, data => 1 ], [ from => '', to => [ 'postmaster', 'Postmaster@example.test' ] ]) }
		'reject', 'defer', 'defer_if_permit', 'warn_if_reject reject, warn_if_reject defer' } qw(client helo sender)),
	[ 'recipient: reject', { recipient => 'reject' }, [ @mail ], [ from => $X, to => 'postmaster' ], [ from => $X, to => 'PostMaster' ],
	  [ from => $X, to => 'postmaster@example.test' ] ],
	[ 'relay: reject', { relay => 'reject' }, [ @mail ], [ from => $X, to => 'postmaster' ] ],
	[ 'relay after recipient', { relay => 'reject', recipient => 'defer', smtpd_relay_before_recipient_restrictions => 'no' }, [ @mail ] ],
	[ 'permit ends one list only', { client => 'permit, reject', recipient => 'permit, reject', relay => 'permit_auth_destination, reject' }, [ @mail ], [ from => $X, to => 'x@else.test' ] ],
	[ 'names in any case', { recipient => 'PERMIT_mynetworks, Reject' }, [ @mail ] ],
	[ 'data', { data => 'reject' }, [ @mail, data => 1, more => [ 'RSET' ] ], [ from => $X, to => [ $A, 'bob@example.test' ], data => 1 ] ],
	[ 'data: defer_if_permit', { data => 'defer_if_permit, permit' }, [ @mail, data => 1 ] ],
	[ 'data: about recipients', { data => "check_recipient_access $acc" }, [ from => $X, to => 'alice+rej@example.test', data => 1 ],
	  [ from => $X, to => [ 'alice+rej@example.test', 'bob@example.test' ], data => 1 ] ],
	[ 'data: a bare table', { data => $acc }, [ @mail, data => 1 ] ],
	[ 'end of data', { end_of_data => 'reject' }, [ @mail, data => 1, more => [ 'NOOP' ] ] ],
	[ 'end of data: defer_if_permit', { end_of_data => 'defer_if_permit' }, [ @mail, data => 1, more => [ 'NOOP' ] ] ],
	[ 'end of data: about senders', { end_of_data => "check_sender_access $acc" }, each_word { from => "$_\@s.test", to => $A, data => 1 } ],
	[ 'a rule nobody knows', { recipient => 'reject_everything' }, [ @mail ] ],
	[ 'warn_if_reject before a rule nobody knows', { recipient => 'warn_if_reject reject_everything' }, [ @mail ] ],
	[ 'a table without a name', { recipient => 'check_recipient_access nothing' }, [ @mail ] ],
	[ 'codes of our own', { client => 'reject', reject_code => 521 }, [ @mail ] ],
	[ 'codes: defer', { client => 'defer', defer_code => 451 }, [ @mail ] ],
	[ 'sleep', { recipient => 'sleep 0, reject' }, [ @mail ] ],

	# --- put off ---
	[ 'defer_if_permit, unknown user', { recipient => 'defer_if_permit' }, [ @mail ], [ from => $X, to => $N ] ],
	[ 'defer_if_permit, explicit unlisted', { recipient => 'defer_if_permit, reject_unlisted_recipient' }, [ from => $X, to => $N ] ],
	[ 'defer_if_reject, unknown user', { recipient => 'defer_if_reject' }, [ @mail ], [ from => $X, to => $N ] ],
	[ 'defer_if_reject, then a 4xx', { recipient => 'defer_if_reject, defer' }, [ @mail ] ],
	[ 'defer_if_reject, then a 421', { recipient => "defer_if_reject, check_sender_access $acc" }, [ from => 'c421@s.test', to => $A ], [ from => 'c550@s.test', to => $A ] ],
	[ 'defer_if_reject from the other list', { relay => 'defer_if_reject, permit_auth_destination', recipient => 'reject' }, [ @mail ] ],
	[ 'defer_if_permit from the other list', { relay => 'defer_if_permit, permit_auth_destination', recipient => 'permit' }, [ @mail ] ],
	[ 'defer_if_reject is forgotten', { sender => 'defer_if_reject', recipient => 'reject' }, [ @mail ] ],
	both('defer_if_permit at client, reject at recipient', { client => 'defer_if_permit', recipient => 'reject' }, [ @mail ]),
	both('defer_if_permit at each', { client => 'defer_if_permit', helo => "check_helo_access $acc", sender => "check_sender_access $acc" },
	     [ greet => 'dipt.test', from => 'dip@s.test', to => $A ], [ greet => undef, from => 'dip@s.test', to => $A ]),
	[ 'warn_if_reject defer_if_permit', { recipient => 'warn_if_reject defer_if_permit' }, [ @mail ] ],
	[ 'warn_if_reject defer_if_reject', { recipient => 'warn_if_reject defer_if_reject, reject' }, [ @mail ] ],

	# --- access(5) ---
	both('client access', { client => "check_client_access $acc" }, each_word { client => $at{$_}, @mail }),
	both('helo access', { helo => "check_helo_access $acc" }, each_word { greet => "$_.test", @mail }, ),
	both('sender access', { sender => "check_sender_access $acc" }, each_word { from => "$_\@s.test", to => $A }),
	[ 'recipient access', { recipient => "check_recipient_access $acc" }, each_word { from => $X, to => "alice+$_\@example.test", data => 1 } ],
	[ 'recipient access in the relay list', { relay => "check_recipient_access $acc, permit_auth_destination, reject" },
	  map { [ from => $X, to => "alice+$_\@example.test" ] } qw(ok rej dip disc) ],
	[ 'bare tables', { client => $acc, helo => $acc, sender => $acc, recipient => $acc }, map { [ client => $at{dunno}, greet => 'dunno.test', @$_ ] }
	  [ @mail ], [ from => 'rej@s.test', to => $A ], [ from => $X, to => 'alice+rej@example.test' ] ],
	[ 'warn_if_reject and tables', { sender => "warn_if_reject check_sender_access $acc" }, each_word { from => "$_\@s.test", to => $A } ],
	[ 'reverse names', { client => "check_reverse_client_hostname_access $acc" }, map { [ client => $at{$_}, @mail ] } qw(ok rej dunno) ],
	[ 'broken tables: client', { client => "check_client_access $broken" }, [ @mail ] ],
	[ 'broken tables: reverse name', { client => "check_reverse_client_hostname_access $broken" }, [ @mail ] ],
	[ 'broken tables: helo', { helo => "check_helo_access $broken" }, [ @mail ] ],
	[ 'broken tables: sender', { sender => "check_sender_access $broken" }, [ @mail ], [ from => '', to => $A ] ],
	[ 'broken tables: recipient', { recipient => "check_recipient_access $broken" }, [ @mail ] ],
	[ 'broken tables: warn_if_reject', { recipient => "warn_if_reject check_recipient_access $broken" }, [ @mail ] ],
	[ 'broken tables: data', { data => "check_sender_access $broken" }, [ @mail, data => 1 ] ],
	[ 'codes of tables', { sender => "check_sender_access $acc", access_map_reject_code => 550, access_map_defer_code => 451 },
	  map { [ from => "$_\@s.test", to => $A ] } qw(rej def dip c554d) ],
	[ 'the null sender', { sender => 'check_sender_access inline:{ { <> = REJECT null } }' }, [ from => '', to => $A ], [ @mail ] ],
	[ 'another key for the null sender', { sender => 'check_sender_access inline:{ { nobody = REJECT null } }', smtpd_null_access_lookup_key => 'nobody' }, [ from => '', to => $A ] ],
	[ 'a text longer than a reply', { sender => 'check_sender_access inline:{ { x@y.test = REJECT ' . 'long ' x 120 . '} }' },
	  [ @mail, differs => 'RFC 5321 4.5.3.1.5: 512 octets', ours => qr/^RCPT TO:<alice\@example\.test> => .{510}$/m ] ],
	[ 'OK for a routed recipient', { relay => 'check_recipient_access static:OK, reject' }, [ from => $X, to => 'x@else.test' ], [ from => $X, to => '@example.test:x@else.test' ],
	  map { [ from => $X, to => $_, @routed ] } 'x%else.test@example.test', 'else.test!x@example.test', '"x@else.test"@example.test' ],
	[ 'recipients routed through us', { relay => 'reject_unauth_destination' },
	  map { [ from => $X, to => $_, @routed ] } 'alice%example.test@example.test', 'example.test!alice@example.test', '"alice@example.test"@example.test' ],
	[ 'routed recipients', { relay => 'reject_unauth_destination' }, map { [ from => $X, to => $_ ] } 'x%else.test@example.test', 'else.test!x@example.test',
	  'alice%example.test', 'example.test!alice', '@else.test:alice@example.test', '"alice"@example.test', 'alice@[127.77.0.9]',
	  'alice@EXAMPLE.TEST', 'alice@example.test.', 'alice@localhost', 'alice', '"a b"@else.test', '"a\\"b"@else.test', 'a..b@else.test' ],
	[ 'parents of a domain', { sender => "check_sender_access " . table('par', "p.test REJECT parent\n.dot.test REJECT dot\nuser\@ REJECT user\nu+e\@z.test REJECT ext\nq\@z.test DUNNO\nz.test REJECT z\n") },
	  map { [ from => $_, to => $A ] } 'x@p.test', 'x@a.p.test', 'x@a.b.p.test', 'x@dot.test', 'x@a.dot.test', 'user@k.test', 'user+x@k.test', 'u@z.test',
	  'u+e@z.test', 'q@z.test', 'q+e@z.test', 'Q@Z.TEST', 'x@xp.test', '"q"@z.test' ],
	[ 'parents with a dot', { parent_domain_matches_subdomains => '', sender => "check_sender_access texthash:$dir/par" },
	  map { [ from => $_, to => $A ] } 'x@p.test', 'x@a.p.test', 'x@a.dot.test', 'x@a.b.dot.test', 'x@dot.test' ],
	[ 'helo access by pattern', { helo => "check_helo_access regexp:$dir/re" }, map { [ greet => $_, @mail ] } 'bad.test', 'my.name', 'good.test' ],
	[ 'client access by network', { client => "check_client_access cidr:$dir/nets" },
	  map { [ client => "127.77.$_", @mail ] } '5.1', '6.1', '6.2', '7.1' ],
	[ 'client access by parts of the address', { client => 'check_client_access inline:{ { 127.77.5 = REJECT three } { 127.77.6.1 = OK } { 127.77.6 = 450 three } { unknown = DUNNO } { 127 = REJECT one } }' },
	  [ client => '127.77.5.1', @mail ] ],
	[ 'client access by parts, unlisted name', { client => 'check_client_access inline:{ { 127.77.5 = REJECT three } { 127.77.6.1 = OK } { 127.77.6 = 450 three } { 127 = REJECT one } }' },
	  map { [ client => "127.77.$_", @mail ] } '5.1', '6.1', '6.2', '7.1' ],
	[ 'a class in itself', { recipient => 'class_loop' }, [ @mail, differs => 'Postfix dies of it', ours => qr/^RCPT.* => 451 4\.3\.5 Server configuration error$/m ] ],
	[ 'several lists of a class', { recipient => 'class_strict, reject' }, [ @mail ], [ from => 'x', to => $A ], [ from => $X, to => 'alice' ] ],
	[ 'a class in a class', { recipient => 'class_outer' }, [ @mail ], [ from => 'x', to => $A ], [ client => '127.78.0.1', @mail ] ],
	[ 'warn_if_reject and a class', { recipient => 'warn_if_reject class_reject, defer' }, [ @mail ] ],
	[ 'DISCARD ends all lists', { sender => "check_sender_access $acc", recipient => 'reject', relay => 'reject' }, [ from => 'disc@s.test', to => [ $A, $N, 'x@else.test' ], data => 1 ] ],

	# --- the client ---
	[ 'permit_mynetworks', { recipient => 'permit_mynetworks, reject' }, [ @mail ], [ client => '127.78.0.1', @mail ] ],
	[ 'permit_mynetworks from a broken table', { recipient => 'permit_mynetworks, reject', mynetworks => $broken }, [ @mail ] ],
	[ 'relaying with a broken mynetworks', { relay => 'permit_mynetworks, reject_unauth_destination', mynetworks => $broken }, [ from => $X, to => 'x@else.test' ], [ @mail ] ],
	[ 'mynetworks by exclusion', { recipient => 'permit_mynetworks, reject', mynetworks => '!127.78.0.1, 127.78.0.0/16' }, [ client => '127.78.0.1', @mail ], [ client => '127.78.0.2', @mail ] ],
	[ 'unknown clients', { client => 'reject_unknown_client_hostname', unknown_client_reject_code => 550 }, [ @mail ] ],
	[ 'unknown reverse names', { client => 'reject_unknown_reverse_client_hostname' }, [ @mail ] ],
	[ 'plaintext', { recipient => 'reject_plaintext_session', plaintext_reject_code => 530 }, [ @mail ] ],
	[ 'pipelining', { data => 'reject_unauth_pipelining', client => 'reject_unauth_pipelining' }, [ @mail, data => 1 ] ],

	# --- commands by their text, and what is added to a refusal ---
	(map { [ "not SMTP: $_", {}, [ greet => undef, more => [ $_, 'NOOP' ] ] ] } 'GET / HTTP/1.0', 'post /x HTTP/1.1', 'CONNECT c.example:25 HTTP/1.0', 'Host: c.example', 'X:', ':', '{}', '22 x', 'OPTIONS x'),
	[ 'smtpd_forbidden_commands', { smtpd_forbidden_commands => 'foo, VRFY' }, [ more => [ 'VRFY alice', 'GET x', 'Foo' ] ], [ more => [ 'From: x' ] ] ],
	[ 'smtpd_noop_commands', { smtpd_noop_commands => 'vrfy, inline:{foo=x}', smtpd_junk_command_limit => 1, smtpd_hard_error_limit => 3 }, [ more => [ 'VRFY alice', 'FOO', 'bar', ('FOO x y') x 5 ] ] ],
	[ 'smtpd_command_filter', { smtpd_command_filter => "regexp:$dir/commands" }, [ more => [ 'BONJOUR', 'mail from: <x@y.test> AUTH=<>', ' RCPT TO:<bob@gone.test>', 'RCPT TO:<alice@example.test>', 'VRFY x' ] ] ],
	[ 'smtpd_command_filter from a broken table', { smtpd_command_filter => $broken }, [ greet => 'c.example' ] ],
	[ 'smtpd_reject_footer', { smtpd_reject_footer => 'Call $server_name, say $client_address\n$client_name $reverse_client_name $helo_name $sender $sender_name $sender_domain $unknown.${recipient?R}', smtpd_discard_ehlo_keywords => 'VRFY' },
	  [ more => [ 'FOO' ] ], [ from => $X, to => $N ], [ from => '', to => [ $A, $N ] ], [ from => 'x', to => [ 'x@else.test' ] ], [ greet => '', @mail ], [ greet => 'c|e*', more => [ 'FOO' ] ] ],
	[ 'smtpd_reject_footer in the same line', { smtpd_reject_footer => '\c. Sorry, $client', client => 'reject' }, [ @mail ] ],
	[ 'smtpd_reject_footer in the same line and another', { smtpd_reject_footer => '\c. Sorry\nfor all\c\n', client => 'reject', soft_bounce => 'yes' }, [ @mail ] ],
	[ 'smtpd_reject_footer_maps', { smtpd_reject_footer_maps => "regexp:$dir/footers", smtpd_reject_footer => 'other' }, [ from => $X, to => $N ], [ more => [ 'FOO' ] ], [ from => $X, to => 'x@else.test' ] ],
	[ 'smtpd_recipient_overshoot_limit', { smtpd_recipient_limit => 2, smtpd_recipient_overshoot_limit => 2, smtpd_hard_error_limit => 2 }, [ from => $X, to => [ ($A) x 8 ] ] ],
	[ 'smtpd_client_port_logging', { smtpd_client_port_logging => 'yes', client => 'warn_if_reject reject, defer' }, [ @mail ] ],
	[ 'smtpd_expansion_filter', { smtpd_reject_footer => '$client_address $helo_name', smtpd_expansion_filter => '\\61\\40.a-z' }, [ more => [ 'FOO' ] ] ],
	(map { my $list = $_; [ "smtpd_log_access_permit_actions: $list", { smtpd_log_access_permit_actions => $list, sender => "check_sender_access $acc", recipient => 'permit_mynetworks, permit' }, (map { [ from => "$_\@s.test", to => $A ] } qw(ok relay num disc dunno dip)),
	  [ client => '127.78.0.1', @mail ], [ from => $X, to => 'r@relay.test' ] ] } 'static:all', 'permit_mynetworks, ok, PERMIT_auth_destination', 'DISCARD'),

	# --- HELO ---
	both('no HELO', { helo => 'reject' }, [ greet => undef, @mail ], [ @mail ]),
	[ 'smtpd_helo_required', { smtpd_helo_required => 'yes' }, [ greet => undef, @mail ] ],
	[ 'HELO syntax', { helo => 'reject_invalid_helo_hostname', invalid_hostname_reject_code => 550 }, map { [ greet => $_, @mail ] } 'c.example', 'c.example.', 'c..example', '.c', 'c.',
	  '[1.2.3.4', '1.2.3.4]', '[]', '[x]', '[IPv6:2001:db8::1]', '[2001:db8::1]', '2001:db8::1', '127.1', '256.1.1.1', 'a' x 64 . '.test', 'a.' x 130 . 'test', 'x_y', '-', 'a-.b', "caf\xc3\xa9.test" ],
	[ 'HELO full name', { helo => 'reject_non_fqdn_helo_hostname' }, map { [ greet => $_, @mail ] } 'c.example', 'c.example.', 'c', 'c.', '[1.2.3.4]', '[1.2.3]', '[x.y]', '1.2.3.4', '1.2',
	  'x_y.test', "caf\xc3\xa9.test" ],
	[ 'HELO and EHLO', { helo => 'reject_non_fqdn_helo_hostname', delay => 'no' }, [ verb => 'EHLO', greet => 'c', from => $X ], [ greet => 'c', from => $X ],
	  [ greet => 'c', more => [ 'HELO c.example', "MAIL FROM:<$X>" ] ] ],

	[ 'older names', { client => 'warn_if_reject reject_unknown_client', helo => 'reject_invalid_hostname, reject_non_fqdn_hostname', recipient => 'check_recipient_maps' }, [ greet => 'a..b', @mail ],
	  [ greet => 'c', @mail ], [ from => $X, to => $N ], [ @mail ] ],

	# --- addresses ---
	[ 'full senders', { sender => 'reject_non_fqdn_sender', non_fqdn_reject_code => 550 }, map { [ from => $_, to => $A ] } 'x', 'x@y', 'x@y.', 'x@y.test.', 'x@[1.2.3.4]', 'x@[bad]', '', '"x y"@z',
	  'x@a_b.test', 'x@-a.test', 'x%y.test', 'y.test!x' ],
	[ 'full recipients', { recipient => 'reject_non_fqdn_recipient' }, map { [ from => $X, to => $_ ] } 'alice', 'alice@localhost', 'alice@example.test.', 'postmaster', 'postmaster@localhost',
	  'alice@[127.77.0.9]', '"al ice"' ],
	[ 'unlisted senders', { sender => 'reject_unlisted_sender' }, map { [ from => $_, to => $A ] } $A, $N, 'nobody', '', 'x@y.test', 'postmaster@example.test', 'MAILER-DAEMON@example.test',
	  'double-bounce@example.test', 'info@alias.test', 'who@alias.test', 'a@box.test', 'who@box.test', 'r@relay.test', 'who@relay.test' ],
	[ 'unlisted recipients', { recipient => 'reject_unlisted_recipient' }, map { [ from => $X, to => $_ ] } $A, $N, 'alice+x@example.test', 'nobody+x@example.test', 'postmaster+x@example.test',
	  'double-bounce@example.test', 'MAILER-DAEMON@example.test', 'mailer-daemon', 'info@alias.test', 'who@alias.test', 'info+x@alias.test', 'a@box.test', 'who@box.test', 'a+x@box.test',
	  'r@relay.test', 'who@relay.test', 'r@sub.relay.test', 'who@catch.test', 'tr@example.test', 'err@example.test', 'x@err.test', 'x@retry.test', '"nobody here"@example.test' ],
	[ 'listed by default', { smtpd_reject_unlisted_recipient => 'yes', smtpd_reject_unlisted_sender => 'yes' }, [ from => $N, to => $A ], [ from => $X, to => $N ], [ from => $A, to => $A ] ],
	[ 'not looked up', { smtpd_reject_unlisted_recipient => 'no' }, [ from => $X, to => $N ] ],
	[ 'codes of unknown users', { unknown_local_recipient_reject_code => 450, unknown_virtual_alias_reject_code => 451, unknown_virtual_mailbox_reject_code => 452, unknown_relay_recipient_reject_code => 553 },
	  map { [ from => $X, to => $_ ] } $N, 'who@alias.test', 'who@box.test', 'who@relay.test' ],
	[ 'unknown users without a table', { show_user_unknown_table_name => 'no' }, map { [ from => $X, to => $_ ] } $N, 'who@alias.test', 'who@box.test', 'who@relay.test' ],
	[ 'broken recipient tables', { local_recipient_maps => $broken }, [ @mail ], [ from => $X, to => 'postmaster@example.test' ], [ from => $X, to => 'info@alias.test' ] ],
	[ 'broken alias tables', { virtual_alias_maps => $broken }, [ @mail ], [ from => $X, to => 'info@alias.test' ] ],
	[ 'broken mailbox tables', { virtual_mailbox_maps => $broken }, [ from => $X, to => 'a@box.test' ] ],
	[ 'broken relay recipients', { relay_recipient_maps => $broken }, [ from => $X, to => 'r@relay.test' ] ],
	[ 'bounces to many', { recipient => 'reject_multi_recipient_bounce' }, [ from => '', to => [ $A, 'bob@example.test' ] ], [ from => $X, to => [ $A, 'bob@example.test' ] ] ],
	[ 'bounces to many, in another list', { client => 'reject_multi_recipient_bounce', multi_recipient_bounce_reject_code => 450 }, [ from => '', to => [ $A, 'bob@example.test' ] ] ],

	# --- relaying ---
	[ 'reject_unauth_destination', { relay => 'reject_unauth_destination', relay_domains_reject_code => 571 }, map { [ from => $X, to => $_ ] } 'x@else.test', 'r@relay.test', 'r@sub.relay.test', 'a@box.test',
	  'info@alias.test', $A, 'x@[192.0.2.1]', 'postmaster@else.test', 'postmaster' ],
	[ 'defer_unauth_destination', { relay => 'defer_unauth_destination' }, [ from => $X, to => 'x@else.test' ], [ @mail ] ],
	[ 'defer_unauth_destination with a code', { relay => 'defer_unauth_destination', relay_domains_reject_code => 550 }, [ from => $X, to => 'x@else.test' ] ],
	[ 'permit_auth_destination', { relay => 'permit_auth_destination, reject' }, map { [ from => $X, to => $_ ] } 'x@else.test', 'r@relay.test', $A, 'x%else.test@example.test' ],
	[ 'in lists before RCPT', { sender => 'reject_unauth_destination', delay => 'no' }, [ from => $X, to => 'x@else.test' ] ],
	[ 'soft_bounce', { soft_bounce => 'yes', client => 'reject' }, [ @mail ], [ from => $X, to => 'x@else.test' ] ],

	# --- ETRN ---
	both('ETRN', { etrn => "check_etrn_access $acc, reject", client => 'permit_mynetworks' }, (map { [ more => [ "ETRN $_.test" ] ] } qw(rej rejt def dip dir ok hold disc redi class)),
	     [ more => [ 'ETRN unknown.example' ] ]),
	both('ETRN and the lists before', { etrn => 'reject', client => 'defer_if_permit', helo => "check_helo_access $acc" }, [ more => [ 'ETRN x.test' ] ],
	     [ greet => 'rej.test', more => [ 'ETRN x.test' ] ]),
);

my $b = Beside->new(
	main => {
		smtpd_peername_lookup => 'no', smtpd_restriction_classes => 'class_strict, class_loop, class_outer, class_reject', class_strict => 'reject_non_fqdn_sender, reject_non_fqdn_recipient',
		class_loop => 'class_loop', class_outer => 'permit_mynetworks, class_strict, defer', class_reject => 'reject',
		virtual_alias_domains => 'alias.test', virtual_alias_maps => 'inline:{ info@alias.test=alice@example.test, @catch.test=alice@example.test, tr@example.test=alice }',
		virtual_mailbox_domains => 'box.test', virtual_mailbox_maps => 'inline:{ a@box.test=a/ }', relay_domains => 'relay.test, catch.test, err.test, retry.test',
		relay_recipient_maps => 'inline:{ r@relay.test=x, @err.test=x, @retry.test=x, r@sub.relay.test=x }',
		transport_maps => 'inline:{ { err@example.test=error:5.2.1 gone for good } { err.test = error:5.1.2 no such place } { retry.test = retry:4.3.2 closed today } }',
		local_recipient_maps => 'inline:{ alice=x, bob=x, err=x }',
	},
	theirs => { smtpd_tls_security_level => 'none' },
	cases => \@cases,
);
$b->run;
done_testing;
