#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What has broken IMAP and POP3 servers before: S10 (NUL, UTF-8), S11 (literals, integers), S12 (nesting), S13 (headers that cost
# time), S17 (links in the mail directory), S18 (paths), S27 (mail of others). Over mbox and Maildir.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my ($p, $c, $root);
sub bad { return ($c->imap($_[0], qr/^/))[-1] }
sub append {
	my ($box, $text) = @_;
	$text =~ s/\n/\r\n/g;
	$c->imap("APPEND $box () {" . length($text) . "+}\r\n$text");
}
sub dead { $c->imap('NOOP'); return }

sub s10 {
	for my $line ("LOGIN \"x\0y\" \"z\"", "SELECT \"IN\0BOX\"", "SEARCH SUBJECT \"\0\"", "STATUS IN\0BOX (MESSAGES)") {
		$c->send_raw("h $line\r\n");
		like $c->line, qr/^h BAD /, 'S10: NUL in a command' ;
	}
	like bad("CREATE \"\xc3\""), qr/ (?:BAD|NO) /, 'S10: UTF-8 that is cut';
	like bad('CREATE "&"'), qr/ (?:BAD|NO) /, 'S10: modified UTF-7 that is none';
	like bad('CREATE "&AAA-"'), qr/ (?:BAD|NO) /, 'S10: NUL in modified UTF-7';
	append('INBOX', "From: <\"\"\@d>\nTo: (a comment \\\nSubject: =?utf-8?q?=c3?=\nBcc: \"x\n\na\0b\xff\n");
	$c->imap('SELECT INBOX');
	my ($e) = $c->imap('FETCH 1 (ENVELOPE BODYSTRUCTURE)');
	like $e, qr/ENVELOPE \(/, 'S10: an empty local part, an open comment, half a letter';
	my @b = $c->imap('FETCH 1 BODY.PEEK[TEXT]');
	like $b[0], qr/\na\0b\xff\r\n/, 'S10: NUL in a body is kept';
	$c->imap('SEARCH OR FROM x BODY y');
}

sub s11 {
	like bad("SELECT {$_}"), qr/ (?:BAD|NO) /, "S11: {$_}" for '4294967295', '-1', '99999999999999999999', '18446744073709551616', '', '1x';
	like bad($_), qr/ BAD /, "S11: $_" for 'FETCH 4294967296 FLAGS', 'FETCH 0 FLAGS', 'FETCH -1 FLAGS', 'UID FETCH 99999999999999999999:* FLAGS',
		'FETCH 1 BODY[99999999999]', 'FETCH 1 BODY[]<4294967296.1>', 'FETCH 1 BODY[]<0.0>', 'SEARCH LARGER 4294967296',
		'SEARCH MODSEQ 18446744073709551616', 'STORE 1 (UNCHANGEDSINCE 99999999999999999999) FLAGS ()';
	like bad('FETCH 1 BODY.PEEK[]<4294967295.4294967295>'), qr/ (?:OK|BAD) /, 'S11: a part behind the end';
	dead();
	$c->send_raw('h SEARCH' . ' SUBJECT {1+}' . ("\r\nx SUBJECT {1+}" x 998) . "\r\nx\r\n");
	like $c->line, qr/^(?:h (?:BAD|NO)|\* SEARCH|\* BYE)/, 'S11: 1000 literals in one command';
	$c = $p->imap('alice');
}

sub s12 {
	my $t = time;
	$c->imap('SELECT INBOX');
	like bad('SEARCH ' . '(' x 5000 . 'ALL' . ')' x 5000), qr/ BAD /, 'S12: parentheses';
	like bad('SEARCH ' . 'NOT ' x 5000 . 'ALL'), qr/ BAD /, 'S12: NOT NOT ...';
	like bad('SEARCH ' . 'OR ALL ' x 5000 . 'ALL'), qr/ BAD /, 'S12: OR OR ...';
	like bad('FETCH 1 BODY[' . join('.', (1) x 5000) . ']'), qr/ (?:BAD|OK|NO) /, 'S12: a part deep down';
	like bad('LIST "" "' . '*%' x 400 . 'x"'), qr/ (?:OK|NO|BAD) /, 'S12: LIST "*%*%*%..."';
	my $nest = join '', map { "Content-Type: multipart/mixed; boundary=b$_\n\n--b$_\n" } 1 .. 3000;
	append('INBOX', "Subject: nest\n${nest}\nx\n");
	append('INBOX', "Content-Type: message/rfc822\n\n" x 3000 . "Subject: inner\n\nx\n");
	$c->imap('SELECT INBOX');
	my @l = $c->imap('FETCH 2:3 (BODYSTRUCTURE)');
	is @l, 3, 'S12: 3000 nested multiparts and messages';
	$c->imap('SEARCH BODY nothing');
	cmp_ok time - $t, '<', 60, 'S12: ... in no time';
}

sub s13 {
	append('INBOX', "Subject: many\n" . "To: a\@b.test\n" x 50_000 . "\nx\n");
	append('INBOX', 'To: ' . join(",\n ", map { "u$_ <u$_\@b.test>" } 1 .. 50_000) . "\n\nx\n");
	append('INBOX', "Content-Type: text/plain;\n" . join(";\n", map { " name*$_*=x" } 0 .. 50_000) . "\n\nx\n");
	append('INBOX', 'References: ' . join("\n ", map { "<$_\@b.test>" } 1 .. 50_000) . "\n\nx\n");
	$c->imap('SELECT INBOX');
	my $t = time;
	my @l = $c->imap('FETCH 4:7 (ENVELOPE BODYSTRUCTURE THREADID)');
	is scalar(grep { /^\* \d FETCH/ } @l), 4, 'S13: 50,000 fields, addresses, parameters and references';
	$c->imap($_) for 'SORT (TO SUBJECT) UTF-8 ALL', 'THREAD REFERENCES UTF-8 ALL', 'SEARCH TO nobody';
	cmp_ok time - $t, '<', 60, 'S13: ... in no time';
}

sub s17 {
	my $secret = "$p->{dir}/secret";
	Posthouse::write_file($secret, "From x Sat Feb  1 10:00:00 2020\nSubject: secret\n\nx\n\n");
	my $maildir = $root =~ /Maildir/;
	mkdir $root;
	if ($maildir) {
		mkdir "$root/.trap";
		mkdir "$root/.trap/$_" for qw(cur new tmp);
		symlink $secret, "$root/.trap/dovecot-uidlist";
		symlink $secret, "$root/.trap/posthouse-index";
		$c->imap('SELECT trap', qr/^/);
		$c->imap('APPEND trap {3+}' . "\r\nx\r\n", qr/^/);
	} else {
		symlink $secret, "$root/trap";
		like bad('SELECT trap'), qr/ NO /, 'S17: a symbolic link is no mailbox';
		like bad("APPEND trap {3+}\r\nx\r\n"), qr/ NO /, '... nothing is appended to it';
		POSIX::mkfifo("$root/fifo", 0600);
		like bad('SELECT fifo'), qr/ NO /, 'S17: nor is a FIFO';
		unlike join("\n", $c->imap('LIST "" *')), qr/trap|fifo/, '... and LIST does not say so';
	}
	is Posthouse::slurp($secret), "From x Sat Feb  1 10:00:00 2020\nSubject: secret\n\nx\n\n", 'S17: what a link points to is untouched';
	dead();
}

# S18, S27: every command that names a mailbox, with names that lead to somebody else.
sub s18 {
	my @names = ('../bob/mail/private', '../../bob/mail/private', '/etc/passwd', "$p->{dir}/home/bob/mail/private", '~bob/mail/private', '~/../bob/mail/private',
		'a/../../bob/mail/private', 'a//b', './a', 'a/./b', '..', '.', '/', 'a/', '#ns/x', '&AC8-etc', '&AC4-.', "a\\b", '.imap', '.imap/INBOX');
	for my $name (@names) {
		my $q = '"' . ($name =~ s/([\\"])/\\$1/gr) . '"';

		for my $command ("SELECT $q", "EXAMINE $q", "STATUS $q (MESSAGES UIDNEXT)", "DELETE $q", "RENAME $q stolen", "COPY 1 $q", "MOVE 1 $q") {
			next if $command =~ /COPY|MOVE/ && ($c->imap('SELECT INBOX'))[-1] !~ / OK /;
			my $got = bad($command);
			unlike $got, qr/^\S+ OK /, "S18: $command";
			unlike $got, qr/bob's|ermission/i, '... and says nothing more' if $got =~ /bob/;
		}
		like bad("APPEND $q {1+}\r\nx"), qr/ (?:NO|BAD) /, "S18: APPEND $name";
		$c->imap('LIST "" ' . $q, qr/^/);
		$c->imap("LIST $q *", qr/^/);
		bad("SUBSCRIBE $q");
		bad("RENAME INBOX $q") if $name =~ /\.\.|^\/|~/;
		bad("CREATE $q") if $name =~ /\.\.|^\/|~/;
	}
	unlike join("\n", $c->imap('LIST "" *')), qr/private|passwd|stolen/, 'S27: LIST shows nothing of it';
	is_deeply [glob "$p->{dir}/home/bob/mail/*"], ["$p->{dir}/home/bob/mail/private"], 'S27: the other mailbox is where it was';
	is Posthouse::slurp("$p->{dir}/home/bob/mail/private"), "private\n", '... as it was';
	for my $name ('../../etc/passwd', 'alice/../bob') {
		my $l = $p->connect('imap');
		$l->expect(qr/^\* OK/);
		like +($l->imap("LOGIN $name x", qr/^/))[-1], qr/ NO /, "S18: LOGIN $name";
	}
	dead();
}

sub pop3 {
	my $pop = $p->pop3;
	$pop->cmd1('USER alice', qr/^\+OK/);
	$pop->cmd1('PASS ' . $p->password('alice'), qr/^\+OK/);
	for my $line ("RETR 0", 'RETR -1', 'RETR 4294967297', 'RETR 99999999999999999999', 'DELE 1x', 'TOP 1 -1', "RETR 1\0",
		'LIST ' . 'x' x 200, 'UIDL ../x', "\xff\xfe", '') {
		$pop->send_raw("$line\r\n");
		like $pop->line, qr/^-ERR/, 'S10, S11: POP3 ' . substr($line, 0, 30) =~ s/[^ -~]/?/gr;
	}
	$pop->cmd1('NOOP', qr/^\+OK/);
	$pop->cmd1('QUIT', qr/^\+OK/);
}

use POSIX ();
for my $location ('mbox:~/mail', 'maildir:~/Maildir') {
	subtest $location => sub {
		$p = Posthouse->new(master => <<'END', main => { mail_location => $location });
imap inet n - y - - login -P imap
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
imap unix - n - - 1 imapd
pop3 unix - n - - 1 pop3d
END
		$root = "$p->{dir}/home/alice/" . ($location =~ /(\w+)$/)[0];
		$p->start;
		mkdir "$p->{dir}/home/bob";
		mkdir "$p->{dir}/home/bob/mail";
		Posthouse::write_file("$p->{dir}/home/bob/mail/private", "private\n");
		$c = $p->imap('alice');
		s10();
		s11();
		s12();
		s13();
		s17();
		$c->imap('SELECT INBOX');
		s18();
		$c->close;
		pop3();
		$p->stop;
	};
}
done_testing;
