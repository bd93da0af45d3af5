#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Programs that people read mail with: mutt over IMAP and POP3 (driven by keys), s-nail over IMAP and POP3, fetchmail and getmail
# over IMAP. What they save is what was sent; what they delete is gone.
use strict;
use warnings;
use Test::More;
use Posthouse;

Posthouse::need(qw(mutt s-nail fetchmail getmail script));
my $p = Posthouse->new->start;
my ($dir, $host, $password) = ($p->dir, $p->address, $p->password('alice'));
$ENV{HOME} = $dir;
$ENV{TERM} = 'vt100';
$ENV{LC_ALL} = 'C.UTF-8';
my $count = 3;

sub text { my ($n) = @_; return "number $n\n.\n" . "line of $n\n" x ($n * 20) . "caf\xc3\xa9\n" }

sub clear_and_fill {
	my $c = $p->pop3('alice');
	my ($n) = $c->cmd1('STAT', qr/^\+OK/) =~ /(\d+)/;
	$c->cmd1("DELE $_", qr/^\+OK/) for 1 .. $n;
	$c->cmd1('QUIT', qr/^\+OK/);
	for my $i (1 .. $count) {
		my $from = -s $p->maillog;
		$p->send_mail(text => "From: <x\@client.test>\nSubject: letter $i\nMessage-Id: <r$i\@client.test>\n"
			. "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" . text($i));
		$p->wait_log(qr/status=sent/, from => $from);
	}
}

sub left {
	my $c = $p->imap('alice');
	my ($n) = map { /MESSAGES (\d+)/ } $c->imap('STATUS INBOX (MESSAGES)');
	$c->imap('LOGOUT');
	return $n;
}

sub holds_all {
	my ($name, $saved) = @_;
	$saved =~ s/\r\n/\n/g;
	ok index($saved, "\n\n" . text($_)) >= 0, "$name: letter $_ as it was" for 1 .. $count;
}

sub mutt {
	my ($url, $keys) = @_;
	Posthouse::write_file("$dir/muttrc", <<END);
set ssl_starttls=no ssl_force_tls=no imap_pass="$password" pop_pass="$password" imap_user=alice pop_user=alice
set wait_key=no confirmappend=no confirmcreate=no delete=yes move=no quit=yes header_cache="" sleep_time=0 pop_delete=no
set mbox_type=mbox save_empty=no mail_check=0 pop_checkinterval=0 folder=$dir spoolfile=$url imap_passive=yes
push "$keys"
END
	return Posthouse::run('timeout', 60, 'script', '-qec', "mutt -n -F $dir/muttrc -f $url", '/dev/null');
}

my ($status, $text);
clear_and_fill();
($status, $text) = mutt("imap://alice\@$host:2143/INBOX", "<tag-pattern>~A<enter><tag-prefix><copy-message>$dir/by-imap<enter>"
	. '<first-entry><delete-message><sync-mailbox><quit>');
is $status, 0, 'mutt over IMAP' or diag $text;
holds_all('mutt, IMAP', Posthouse::slurp("$dir/by-imap"));
is left(), $count - 1, 'mutt, IMAP: one deleted';

clear_and_fill();
($status, $text) = mutt("pop://alice\@$host:2110/", "<tag-pattern>~A<enter><tag-prefix><copy-message>$dir/by-pop<enter>"
	. '<first-entry><delete-message><sync-mailbox><quit>');
is $status, 0, 'mutt over POP3' or diag $text;
holds_all('mutt, POP3', Posthouse::slurp("$dir/by-pop"));
is left(), $count - 1, 'mutt, POP3: one deleted';

for my $protocol (qw(imap pop3)) {
	clear_and_fill();
	my $port = $p->port($protocol);
	($status, $text) = Posthouse::run('timeout', 60, 's-nail', '-:/', '-Sv15-compat', '-#', "-S$protocol-auth=" . ($protocol eq 'imap' ? 'login' : 'plain'), '-Spassword='
		. $password, '-Sttycharset=utf-8', '-Sno-header', "-Sfolder=$dir", '-R', '-Y', "copy * $dir/by-nail-$protocol\nx", '-f',
		"$protocol://alice\@$host:$port"
		. ($protocol eq 'imap' ? '/INBOX' : ''));
	is $status, 0, "s-nail over $protocol" or diag $text;
	holds_all("s-nail, $protocol", Posthouse::slurp("$dir/by-nail-$protocol"));
}

Posthouse::write_file("$dir/store", "#!/bin/sh\nf=\$(mktemp $dir/in/XXXXXXXX) && cat >\$f\n");
chmod 0755, "$dir/store";
Posthouse::write_file("$dir/fetchmailrc", "set no bouncemail\npoll $host protocol imap port 2143 username alice password \"$password\""
	. " mda \"$dir/store\" sslproto '' fetchall no keep\n");
chmod 0600, "$dir/fetchmailrc";
mkdir "$dir/getmail";
Posthouse::write_file("$dir/getmail/getmailrc", <<END);
[retriever]
type=SimpleIMAPRetriever
server=$host
port=2143
username=alice
password=$password
mailboxes=("INBOX",)
[destination]
type=MDA_external
path=$dir/store
allow_root_commands=true
unixfrom=false
[options]
read_all=true
delete=true
delivered_to=false
received=false
END
my %fetch = (
	fetchmail => [ 'fetchmail', '-f', "$dir/fetchmailrc", '--nodetach', '--norewrite', '--nosyslog', '--pidfile', "$dir/pid" ],
	getmail => [ 'getmail', '--getmaildir', "$dir/getmail" ],
);
for my $name (sort keys %fetch) {
	clear_and_fill();
	system 'rm', '-rf', "$dir/in";
	mkdir "$dir/in";
	($status, $text) = Posthouse::run(@{ $fetch{$name} });
	is $status, 0, "$name over IMAP" or diag $text;
	holds_all("$name, IMAP", join '', map { Posthouse::slurp($_) } glob "$dir/in/*");
	is left(), 0, "$name, IMAP: the mailbox is empty";
}
is $p->log_count(qr/panic|signal|fatal|error: /), 0, 'nothing died';
done_testing;
