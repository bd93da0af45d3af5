#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# What the RFCs of POP3 say, rule by rule: the dialogues in t/e2e/dialogue/*.pop3, each on an mbox and on a Maildir that hold the
# same three messages. A file is a list of connections:
#
#	== what it shows		a new connection; its greeting is read
#	C: sent				CR LF is added; %U alice, %P her password, %B the base64 of NUL %U NUL %P
#	S: regular expression		the next line
#	S.				more lines, up to the dot: none of them
#	S. regular expression		the same, joined with "|", dots undone
#	EOF				the server has closed
#	FILL				the three messages anew (on a connection's first line)
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Posthouse;

my @mail = ("From: a\@b\nSubject: one\n\nbody 1\n", "From: a\@b\nSubject: two\n\n.dot\n..\n", "From: a\@b\nSubject: three\n\nx\ny\nz\n");

sub fill_mbox {
	my ($p) = @_;
	Posthouse::write_file($p->spool('alice'), join '', map { "From x\@y Thu Jan  1 00:00:00 2026\n$_\n" } @mail);
}

sub fill_maildir {
	my ($p) = @_;
	my $dir = $p->dir . '/home/alice/Maildir';
	system 'rm', '-rf', $dir;
	mkdir $_ for $dir, map { "$dir/$_" } qw(tmp new cur);
	for my $n (1 .. 3) {
		Posthouse::write_file("$dir/new/178000000$n.M1P1.host", $mail[ $n - 1 ]);
		utime 1780000000 + $n, 1780000000 + $n, "$dir/new/178000000$n.M1P1.host";
	}
}

sub play {
	my ($p, $fill, $path) = @_;
	my ($c, $what, $wrong, @done);
	my $password = $p->password('alice');
	my $plain = encode_base64("\0alice\0$password", '');
	my $finish = sub {
		push @done, [ $what, $wrong ] if defined $what;
		undef $wrong;
	};
	open my $in, '<', $path or die "$path: $!";
	while (my $line = <$in>) {
		chomp $line;
		next if $line =~ /^(?:#|$)/;
		if ($line =~ /^== (.*)/) {
			$finish->();
			($what, $c) = ($1, undef);
			next;
		}
		next if $wrong;
		eval {
			$fill->($p) if $line eq 'FILL';
			if (!$c) {
				$c = $p->connect('pop3');
				$c->expect(qr/^\+OK/);
			}
			if ($line =~ /^C: ?(.*)/) {
				my $text = $1;
				$text =~ s/%([UPB])/{ U => 'alice', P => $password, B => $plain }->{$1}/ge;
				$c->send($text);
			} elsif ($line =~ /^S: (.*)/) {
				$c->expect(qr/$1/);
			} elsif ($line =~ /^S\. ?(.*)/) {
				my ($re, @lines) = $1;
				while (1) {
					my $l = $c->line // die "end of file\n";
					last if $l eq '.';
					push @lines, $l =~ s/^\.//r;
				}
				my $all = join '|', @lines;
				die "got <$all>, expected $re\n" if $all !~ /^$re$/;
			} elsif ($line eq 'EOF') {
				die "not closed\n" unless $c->eof;
			} elsif ($line ne 'FILL') {
				die "what is $line?\n";
			}
			1;
		} or $wrong = "$path:$.: $@";
	}
	$finish->();
	return @done;
}

for my $kind (qw(mbox maildir)) {
	my %main = (auth_failure_delay => '10ms', login_max_attempts => 100, auth_mechanisms => 'plain login scram-sha-256');
	$main{mail_location} = 'maildir:~/Maildir' if $kind eq 'maildir';
	my $p = Posthouse->new(scheme => 'PLAIN', main => \%main, master => <<'END');
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
	my $fill = $kind eq 'mbox' ? \&fill_mbox : \&fill_maildir;
	$fill->($p);
	$p->start;
	for my $path (sort glob "$FindBin::Bin/dialogue/*.pop3") {
		my ($name) = $path =~ m{([^/]+)\.pop3$};
		ok !$_->[1], "$kind, $name: $_->[0]" or diag($_->[1]) for play($p, $fill, $path);
	}
	is $p->log_count(qr/panic|killed by signal|ERROR: AddressSanitizer/), 0, 'no crash';
	$p->stop;
}
done_testing;
