#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What went wrong in other mail servers, played against ours: smuggling outward (S2), talking out of turn (S3), commands behind STARTTLS
# (S4), state that is not reset (S7), BDAT (S8), NUL and broken UTF-8 (S10), numbers and base64 (S11), headers that
# cost (S13), line ends and escapes where they do not belong (S22). Smuggling inward (S1) is 0251.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MIME::Base64;
use Time::HiRes qw(time);
use Posthouse;
use SmtpTest;
use Tls;

my $SECONDS = $ENV{STATE_SECONDS} || 12; # for the sequences of four commands

my $p = Posthouse->new(tls => 1, main => { smtpd_error_sleep_time => 0, smtpd_soft_error_limit => 1000000, smtpd_hard_error_limit => 1000000,
	smtpd_junk_command_limit => 1000000, smtpd_tls_auth_only => 'no' }, services => <<'END');
3001 inet n - - - - smtpd -o message_size_limit=1000 -o { smtpd_end_of_data_restrictions = check_sender_access inline:{ { ok@x.test = DISCARD }, { no@x.test = REJECT } } }
3002 inet n - - - - smtpd -o smtpd_sasl_auth_enable=yes -o disable_plaintext_auth=no -o smtpd_tls_auth_only=no
END
$p->start;

# --- S7: all sequences of commands, beside a model of what may be answered ------------------------------------------------

my $content = "a: b\r\n\r\nc\r\n.\r\n";
my %symbol = (
	E => "EHLO c.test\r\n", R => "RCPT TO:<alice\@example.test>\r\n", r => "RCPT TO:<nobody\@example.test>\r\n", M => "MAIL FROM:<ok\@x.test>\r\n",
	N => "MAIL FROM:<no\@x.test>\r\n", m => "MAIL FROM:<bad\r\n", D => "DATA\r\n", d => "DATA\r\n", B => "BDAT 5 LAST\r\na: b\n", b => "BDAT 5\r\na: b\n",
	S => "RSET\r\n", V => "VRFY alice\r\n", X => "BDAT 1100 LAST\r\n" . 'x' x 1100,
);
my @symbols = sort keys %symbol;

sub fresh { return { mail => '', rcpts => 0, chunks => 0, failed => 0 } }

# The codes that the model allows for a command, and what it does to the state. $t->{mail}: '', 'ok' or 'no'; {chunks}: between BDATs.
sub model {
	my ($t, $c) = @_;
	my $reset = sub { %$t = %{ fresh() } };
	if ($c eq 'E' || $c eq 'S') { $reset->(); return '250' }
	return '252' if $c eq 'V';
	if ($c =~ /[MNm]/) {
		return '503' if $t->{chunks} || $t->{failed} || $t->{mail};
		return '501' if $c eq 'm';
		$t->{mail} = $c eq 'M' ? 'ok' : 'no';
		return '250';
	}
	if ($c =~ /[Rr]/) {
		return '503' if $t->{chunks} || $t->{failed} || !$t->{mail};
		return '550' if $c eq 'r';
		$t->{rcpts}++;
		return '250';
	}
	my $none = $t->{mail} ? '554' : '503';
	my $end = $t->{mail} eq 'ok' ? '250' : '554';
	if ($c =~ /[Dd]/) {
		return '503' if $t->{chunks} || $t->{failed};
		return $none unless $t->{rcpts};
		$reset->();
		return $c eq 'd' ? '354 552' : "354 $end";
	}
	my $code = $t->{failed} ? '551' : !$t->{rcpts} ? $none : $c eq 'X' ? '552' : $c eq 'b' ? '250' : $end;
	if ($c eq 'b') {
		$t->{$code eq '250' ? 'chunks' : 'failed'} = 1;
	} else {
		$reset->();
	}
	return $code;
}

sub read_code { my ($c) = @_; return substr $c->reply, 0, 3 }

# One sequence over an open connection, pipelined as far as RFC 2920 has it: up to a DATA or EHLO, whose reply the client waits for.
sub play {
	my ($c, @sequence) = @_;
	my (@codes, $waiting);
	my $out = "RSET\r\n";
	my $flush = sub {
		$c->send_raw($out);
		$out = '';
		push @codes, read_code($c) for 1 .. $waiting;
		$waiting = 0;
	};
	$waiting = 1;
	for my $s (@sequence) {
		$out .= $symbol{$s};
		$waiting++;
		next unless $s =~ /[DdEV]/;
		$flush->();
		next unless $s =~ /[Dd]/ && $codes[-1] eq '354';
		$c->send_raw($s eq 'd' ? "a: b\r\n\r\n" . 'x' x 1200 . "\r\n.\r\n" : $content);
		$codes[-1] .= ' ' . read_code($c);
	}
	$flush->() if $waiting;
	return @codes[1 .. $#codes];
}

sub sequences { my ($n) = @_; return $n == 0 ? ([]) : map { my $s = $_; map { [ @$s, $_ ] } @symbols } sequences($n - 1) }

subtest 'S7: no sequence of commands leads to DATA without MAIL and RCPT' => sub {
	my $c = $p->smtp(3001);
	$c->cmd('EHLO c.test', qr/^250/);
	my ($n, @wrong) = (0);
	my $try = sub {
		my ($sequence) = @_;
		my @got = play($c, @$sequence);
		my $state = fresh();
		my @want = map { model($state, $_) } @$sequence;
		$n++;
		push @wrong, "@$sequence: @got, expected @want" if "@got" ne "@want";
		return @wrong < 10;
	};
	for my $length (1 .. 3) { $try->($_) || last for sequences($length) }
	is $n, 13 + 13 ** 2 + 13 ** 3, 'every sequence of up to three';
	# Those of four in an order that is the same every time, as many as the time allows; then longer ones.
	my ($end, $at, $all) = (time + $SECONDS, 0, 13 ** 4);
	for (my $i = 0; $i < $all && time < $end; $i++) {
		$at = ($at + 12347) % $all;
		my ($k, @sequence) = $at;
		push(@sequence, $symbols[$k % 13]), $k = int($k / 13) for 1 .. 4;
		last unless $try->(\@sequence);
	}
	srand 1;
	for (1 .. 300) { $try->([ map { $symbols[rand 13] } 1 .. 12 ]) || last }
	is "@wrong", '', "$n sequences";
	$c->cmd('QUIT', qr/^221/);
};

# --- the others ---------------------------------------------------------------------------------------------------------

sub begin {
	my ($c, $from, $to) = @_;
	$c->cmd('EHLO c.test', qr/^250/);
	$c->cmd('MAIL FROM:<' . ($from // 'x@client.test') . '>', qr/^250/);
	$c->cmd('RCPT TO:<' . ($to // 'alice@example.test') . '>', qr/^250/);
}

sub alive { my ($what) = @_; like eval { $p->smtp->cmd('NOOP') } // $@, qr/^250 /, "$what: the next client is served" }

subtest 'S3: talking before the banner' => sub {
	# The greeting of a client that is there first: it may be that the server was faster, and then this was pipelining.
	my $c = $p->connect('smtp');
	$c->send_raw("EHLO c.test\r\nMAIL FROM:<x\@y.test>\r\nRCPT TO:<alice\@example.test>\r\nDATA\r\na: b\r\n\r\nc\r\n.\r\n");
	my ($last, $line) = '';
	while (defined($line = $c->line)) { $last = $line }
	is $last, '554 5.5.0 Error: SMTP protocol synchronization', 'refused, and the end';
};

subtest 'S4: a command behind STARTTLS' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/STARTTLS/);
	$c->send_raw("STARTTLS\r\nNOOP\r\n");
	my ($all, $line) = '';
	while (defined($line = $c->line)) { $all .= "$line\n" }
	unlike $all, qr/^250/m, 'no reply to what came in the clear';
};

subtest 'S8: BDAT' => sub {
	my $c = $p->smtp;
	begin($c);
	$c->cmd('BDAT 0', qr/^250 2\.0\.0 Ok: 0 bytes/);
	$c->send_raw("BDAT 0\r\n" x 20000);
	$c->reply(qr/^250/) for 1 .. 20000;
	$c->send_raw("BDAT 4 LAST\r\nend\nBDAT 4 LAST\r\nend\n");
	like $c->reply, qr/^250 2\.0\.0 Ok: 4 bytes queued/, 'twenty thousand empty chunks';
	like $c->reply, qr/^503 /, 'LAST is the last';
	for my $size ('18446744073709551615', '9223372036854775807', '99999999999999999999999', '-1', '+1', '1e3', '') {
		begin(my $d = $p->smtp);
		like $d->cmd("BDAT $size"), qr/^521 5\.[35]\.4 /, "BDAT $size";
		ok $d->eof, 'and the end of the connection';
	}
	# TLS ends within a chunk, and then there is one more byte in the clear (CVE-2026-45185).
	for my $last ('', ' LAST') {
		my $t = $p->smtp;
		$t->cmd('EHLO c.test', qr/STARTTLS/);
		$t->cmd('STARTTLS', qr/^220/);
		$t->tls;
		begin($t);
		$t->send_raw("BDAT 100$last\r\nabc");
		my $sock = $t->{sock};
		$sock->stop_SSL(SSL_fast_shutdown => 1);
		bless $sock, 'IO::Socket::INET';
		syswrite $sock, "x\r\nQUIT\r\n";
		my $rest = '';
		while (sysread $sock, my $piece, 4096) { $rest .= $piece }
		unlike $rest, qr/^\d{3} /m, "TLS ends within a chunk$last: nothing is said in the clear";
		like $p->wait_log(qr/lost connection after BDAT/), qr/\(3 bytes\)/, 'the connection is over';
	}
	alive('S8');
	is(($p->tool('postqueue', '-p'))[0], 0, 'and the queue');
};

subtest 'S10: NUL, UTF-8, empty local part' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250/);
	for my $bad ("MAIL FROM:<a\0b\@x.test>", "NO\0OP", "MAIL FROM:<\xc3\@x.test> SMTPUTF8", "MAIL FROM:<\xff\xfe\@x.test> SMTPUTF8", "VRFY \xc3\x28", "VRFY \0") {
		like $c->cmd($bad), qr/^(?:5\d\d|252) /, 'a command: ' . ($bad =~ s/[^ -~]/?/gr);
		$c->cmd('RSET', qr/^250/);
	}
	$c->cmd('MAIL FROM:<x@client.test>', qr/^250/);
	like $c->cmd('RCPT TO:<""@example.test>'), qr/^5\d\d /, 'an empty local part';
	like $c->cmd('RCPT TO:<@example.test>'), qr/^5\d\d /, 'none at all';
	like $c->cmd("RCPT TO:<\"a\0b\"\@example.test>"), qr/^5\d\d /, 'NUL in a quoted string';
	like $c->cmd('RCPT TO:<alice@example.test> ORCPT=rfc822;a+00b'), qr/^5\d\d /, 'an encoded NUL';
	like $c->cmd('RCPT TO:<alice@example.test> ORCPT=rfc822;a+0Ab'), qr/^5\d\d /, 'an encoded line end';
	$c->cmd('RCPT TO:<alice@example.test>', qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->send_raw("Subject: \0in a header\r\nTo: (comment \\\r\nFrom: \"open\r\nDate: (((((\r\n\r\nNUL \0 in the body\r\n.\r\n");
	my ($id) = $c->reply(qr/^250/) =~ /as (\S+)/;
	$p->wait_log(qr/$id: removed/, from => 0);
	like Posthouse::slurp($p->spool('alice')), qr/^Subject: \0in a header\n.*^NUL \0 in the body\n/ms, 'NUL in a letter stays';
	my $i = $p->imap('alice');
	$i->imap('SELECT INBOX');
	like join("\n", $i->imap('FETCH 1:* (ENVELOPE BODYSTRUCTURE)')), qr/ENVELOPE/, 'and it can be looked at';
	alive('S10');
};

subtest 'S11: numbers, literals, base64' => sub {
	my $c = $p->smtp;
	$c->cmd('EHLO c.test', qr/^250/);
	for my $size ('18446744073709551615', '99999999999999999999999', '-1', '4294967296') {
		like $c->cmd("MAIL FROM:<x\@client.test> SIZE=$size"), qr/^5\d\d /, "SIZE=$size";
	}
	my $a = $p->smtp(3002);
	$a->cmd('EHLO c.test', qr/AUTH/);
	for my $text (map({ 'A' x $_ } 1 .. 9, 2001 .. 2004, 4001), '=', '====', 'A===', "\xff" x 8, encode_base64("\0" x 3000, '')) {
		like $a->cmd("AUTH PLAIN $text"), qr/^5(?:00|01|35) /, 'base64 of length ' . length $text;
	}
	for my $literal ('{4294967295}', '{-1}', '{99999999999999999999}', '{18446744073709551616}', '{1000000+}') {
		my $i = $p->imap;
		$i->send("a LOGIN $literal");
		my $line = $i->line;
		like $line // '* BYE', qr/^(?:a BAD|a NO|\* BYE|\* BAD)/, "a literal $literal before login";
	}
	my $i = $p->imap;
	$i->send_raw('a NOOP' . " {0+}\r\n" x 1000 . "\r\n");
	like $i->line // '* BYE', qr/^(?:a BAD|a NO|\* BYE|\* BAD)/, 'a thousand literals';
	alive('S11');
};

# Twice as much may take twice as long, and on a machine that does something else some more: not the square.
subtest 'S13: headers that cost' => sub {
	my %field = (
		'To' => sub { join '', map { "To: <a$_\@x.test>\r\n" } 1 .. $_[0] },
		'one long To' => sub { 'To: ' . join(",\r\n ", map { "<a$_\@x.test>" } 1 .. $_[0]) . "\r\n" },
		'parameters' => sub { "Content-Type: text/plain;\r\n" . join(";\r\n", map { " name*$_*=x" } 0 .. $_[0]) . "\r\n" },
		'one long line' => sub { 'X-Long: ' . 'x' x (15 * $_[0]) . "\r\n" },
	);
	for my $what (sort keys %field) {
		my @took;
		for my $n (20000, 80000) {
			my $c = $p->smtp;
			begin($c);
			my $start = time;
			$c->cmd('DATA', qr/^354/);
			$c->send_raw($field{$what}->($n) . "\r\nbody\r\n.\r\n");
			my ($id) = $c->reply(qr/^250/) =~ /as (\S+)/;
			$p->wait_log(qr/$id: removed/, from => 0);
			push @took, time - $start;
		}
		cmp_ok $took[1], '<', 12 * $took[0] + 3, sprintf '%s: %.2f s, four times as many %.2f s', $what, @took;
	}
	my $start = time;
	my $i = $p->imap('alice');
	$i->imap('SELECT INBOX');
	$i->imap('FETCH 1:* (ENVELOPE BODYSTRUCTURE)');
	cmp_ok time - $start, '<', 25, 'and who reads them waits for no square either';
};

subtest 'S22: line ends and escapes' => sub {
	my $c = $p->smtp;
	like $c->cmd("EHLO a\e[2J\a"), qr/^(?:250|50[01])/, 'an escape in EHLO';
	$c->cmd("EHLO c.test", qr/^250/);
	like $c->cmd("MAIL FROM:<a\e[31m\@x.test>"), qr/^(?:250|50[01]) /, 'an escape in an address';
	$c->cmd('RSET', qr/^250/);
	$c->send_raw("MAIL FROM:<a\nFrom x\@y.test>\r\n");
	like $c->reply, qr/^50[01] /, 'a line end in an address ends the line';
	like $c->reply, qr/^500 /, 'and what follows is a command of its own, which there is not';
	begin($c, 'x@client.test', 'bob@example.test');
	$c->cmd('DATA', qr/^354/);
	my $body = "From one\n>From two\n>>From three\n\nFrom four Mon Jan  1 00:00:00 2024\n\nlast\n";
	my $wire = $body =~ s/\n/\r\n/gr;
	my ($id) = $c->cmd("Subject: a\rFrom b\r\n\r\n$wire.", qr/^250/) =~ /as (\S+)/;
	$p->wait_log(qr/$id: removed/, from => 0);
	my $i = $p->imap('bob');
	like join("\n", $i->imap('SELECT INBOX')), qr/^\* 1 EXISTS/m, 'one letter, not two';
	my $text = join "\n", $i->imap('FETCH 1 BODY[TEXT]');
	$text =~ s/\r//g;
	like $text, qr/\Q$body\E/, 'and the body comes back as it was';
	unlike Posthouse::slurp($p->maillog), qr/[\0-\x08\x0b-\x1f\x7f]/, 'no control bytes in the log';
};

# --- S2: our client ---------------------------------------------------------------------------------------------------

subtest 'S2: smuggling outward' => sub {
	my $t = SmtpTest->new;
	for my $end ("\n.\n", "\r.\r", "\r\n.\r\n", "\n.\r\n", "\r\n.\n", "\r.\n", "\n.\r", "\r.\r\n", "\r\n.\r", "\n\0.\n", "\n.\r\r\n") {
		my $s = $t->server;
		my $m = $t->letter({ content => "Subject: x\n\nx${end}MAIL FROM:<a\@evil.test>$end.${end}DATA\n" }, 'bob@example.test');
		$t->job($s->{hop}, $m);
		my $wire = $s->content(1);
		unlike $wire, qr/\r(?!\n)|(?<!\r)\n/, 'only CR LF: ' . ($end =~ s/\r/CR /gr =~ s/\n/LF /gr =~ s/\0/NUL /gr);
		unlike $wire, qr/^\.(?!\.)/m, 'every dot at the start of a line has one in front';
		is scalar(() = $s->said =~ /^\d+ MAIL /mg), 1, 'one MAIL';
		$s->stop;
	}
};

$p->stop;
done_testing;
