#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Programs that people and scripts send mail with: each hands in a letter, with an attachment where it can, and the text comes
# out at the other end as it was.
use strict;
use warnings;
use Test::More;
use MIME::Base64;
use Posthouse;

Posthouse::need(qw(curl msmtp s-nail mutt));
my $p = Posthouse->new->start;
my ($dir, $host) = ($p->dir, $p->address);
my $to = 'alice@example.test';
my $body = "Gr\xc3\xbc\xc3\x9fe,\n.\n..dots\nFrom the coach house\n\nend\n";
my $letter = "From: <bob\@example.test>\nTo: <$to>\nSubject: by NAME\nMIME-Version: 1.0\n"
	. "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n$body";
my $attachment = join '', map { chr($_ * 7 % 256) } 0 .. 9999;
Posthouse::write_file("$dir/body", $body);
Posthouse::write_file("$dir/attachment.bin", $attachment);
Posthouse::write_file("$dir/muttrc", <<END);
set smtp_url=smtp://$host:2025/
set ssl_starttls=no
set ssl_force_tls=no
set from=bob\@example.test
set realname=Bob
set copy=no
set send_charset=utf-8
set charset=utf-8
set assumed_charset=utf-8
END
$ENV{HOME} = $dir;
$ENV{LC_ALL} = 'C.UTF-8';

sub shell { return Posthouse::run('sh', '-c', 'in=$1; shift; exec "$@" <"$in"', 'sh', @_) }

# The newest letter in alice's mailbox, its content decoded.
sub arrived {
	my ($name, $from) = @_;
	$p->wait_log(qr/to=<alice\@example\.test>.*status=sent/, from => $from);
	my ($text) = Posthouse::slurp($p->spool('alice')) =~ /.*^(From .*)\z/ms;
	my ($head, $content) = split /\n\n/, $text, 2;
	return ($head, $content);
}

my $fresh = sub { -s $p->maillog };

sub check_plain {
	my ($name, @cmd) = @_;
	(my $text = $letter) =~ s/NAME/$name/;
	Posthouse::write_file("$dir/letter", $text);
	my $from = $fresh->();
	my ($status, $out) = shell("$dir/letter", @cmd);
	is $status, 0, "$name: sent" or return diag $out;
	my ($head, $content) = arrived($name, $from);
	like $head, qr/^Subject: by \Q$name\E$/m, "$name: arrived";
	(my $want = $body) =~ s/^From />From /mg;
	is $content =~ s/\n+\z//r, $want =~ s/\n+\z//r, "$name: as it was";
}

check_plain('msmtp', qw(msmtp --auth=off --tls=off --from=bob@example.test), "--host=$host", '--port=2025', $to);
check_plain('curl', qw(curl -sS --crlf --mail-from bob@example.test --mail-rcpt), $to, '-T', '-', "smtp://$host:2025/client.test");
check_plain('sendmail', "$Posthouse::BIN/sendmail", '-C', $dir, '-f', 'bob@example.test', '-i', $to);
check_plain('sendmail -t', "$Posthouse::BIN/sendmail", '-C', $dir, '-f', 'bob@example.test', '-i', '-t');

sub check_mime {
	my ($name, @cmd) = @_;
	my $from = $fresh->();
	my ($status, $out) = shell("$dir/body", @cmd);
	is $status, 0, "$name: sent" or return diag $out;
	my ($head, $content) = arrived($name, $from);
	like $head, qr/^Subject: by \Q$name\E$/m, "$name: arrived";
	my ($boundary) = $head =~ /boundary="?([^"\n;]+)/;
	ok $boundary, "$name: a multipart" or return;
	my ($first, $second) = grep { /^Content-/mi } split /^--\Q$boundary\E(?:--)?\n/m, $content;
	my $decode = sub {
		my ($h, $b) = split /\n\n/, $_[0], 2;
		return decode_base64($b) if $h =~ /^Content-Transfer-Encoding: *base64/mi;
		if ($h =~ /quoted-printable/i) {
			$b =~ s/=\n//g;
			$b =~ s/=([0-9A-F]{2})/chr hex $1/gie;
		}
		return $b =~ s/^>From /From /mgr;
	};
	is $decode->($first) =~ s/\n+\z//r, $body =~ s/\n+\z//r, "$name: the text";
	ok $decode->($second) eq $attachment, "$name: the attachment, octet for octet";
}

check_mime('mutt', 'mutt', '-n', '-F', "$dir/muttrc", '-s', 'by mutt', '-a', "$dir/attachment.bin", '--', $to);
check_mime('s-nail', qw(s-nail -:/ -Sv15-compat -Sfrom=bob@example.test -Ssendcharsets=utf-8 -Sttycharset=utf-8), "-Smta=smtp://$host:2025",
	'-Ssmtp-auth=none', "-SDEAD=$dir/dead", '-Ssendwait', '-s', 'by s-nail', '-a', "$dir/attachment.bin", $to);

done_testing;
