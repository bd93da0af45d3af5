#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# fetchmail, getmail and mpop take a mailbox home byte for byte, leave it or empty it, and know the next time what they had.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { mail_max_userip_connections => 0 });
pop3 inet n - y - - login -P pop3
auth unix - n - - - auth
pop3 unix - n - - 1 pop3d
END
my ($home, $md, $host) = ($p->dir . '/client', $p->dir . '/client/md', $p->address);
my $password = $p->password('alice');
my @body = map {
	my $n = $_;
	join('', map { "line $_\n" } 1 .. $n * 7) . ".\n..\n.x\n" . "\xc3\xa9" x $n . "\n" . ($n % 3 ? '' : "From here\n");
} 0 .. 11;
mkdir $home;
$ENV{HOME} = $home;
$p->start;

sub seed {
	my $mbox = '';
	for my $n (0 .. $#body) {
		my $text = "From: <a\@client.example.org>\nTo: alice\nSubject: fetch $n\nMessage-ID: <f$n.$$\@client.example.org>\n\n$body[$n]";
		$text =~ s/^(>*From )/>$1/mg;
		$mbox .= "From a\@client.example.org Thu Jan  1 00:00:00 2026\n$text\n";
	}
	Posthouse::write_file($p->spool('alice'), $mbox);
	system 'rm', '-rf', $md, "$home/getmail", "$home/uidls";
	mkdir $_ for $md, "$md/new", "$md/cur", "$md/tmp", "$home/getmail";
}

sub fetched_is {
	my ($what) = @_;
	my @got = sort map { (Posthouse::slurp($_) =~ s/\r\n/\n/gr) =~ s/\A.*?\n\n//sr } glob "$md/{new,cur}/*";
	is_deeply \@got, [ sort @body ], $what;
}

sub left_is {
	my ($n, $what) = @_;
	my $c = $p->pop3('alice');
	like $c->cmd1('STAT', qr/./), qr/^\+OK $n /, $what;
	$c->cmd1('QUIT', qr/^\+OK/);
}

sub have {
	my ($program) = @_;
	return 1 if grep { -x "$_/$program" } split /:/, $ENV{PATH};
	$ENV{CI} ? BAIL_OUT("$program is not installed") : diag "$program is not installed";
	return 0;
}

Posthouse::write_file("$home/deliver", "#!/bin/sh\nf=\$(mktemp $md/tmp/XXXXXXXX) && cat >\$f && mv \$f $md/new/\n");
chmod 0700, "$home/deliver";

sub fetchmail {
	my ($options) = @_;
	Posthouse::write_file("$home/rc", "set no bouncemail\npoll $host protocol pop3 port 2110 " . ($options =~ /uidl/ ? 'uidl ' : '')
		. "username \"alice\" password \"$password\" is root here mda \"$home/deliver\" sslproto '' " . ($options =~ s/uidl//r) . "\n");
	chmod 0600, "$home/rc";
	my ($status, $text) = Posthouse::run(qw(timeout 60 fetchmail -f), "$home/rc", '--nodetach', '--pidfile', "$home/pid",
		qw(--norewrite --nosyslog -v));
	diag $text if $status > 1;    # 1: no mail
	return $status;
}

if (have('fetchmail')) {
	seed();
	is fetchmail('fetchall no keep'), 0, 'fetchmail';
	fetched_is('fetchmail: byte for byte');
	left_is(0, 'fetchmail: taken from the server');
	seed();
	is fetchmail('uidl keep'), 0, 'fetchmail with UIDL';
	fetched_is('fetchmail with UIDL: byte for byte');
	left_is(12, 'fetchmail with keep: left on the server');
	is fetchmail('uidl keep'), 1, 'a second run finds nothing new';
	fetched_is('and takes nothing twice');
}

if (have('getmail')) {
	seed();
	Posthouse::write_file("$home/getmail/getmailrc", <<END);
[retriever]
type=SimplePOP3Retriever
server=$host
port=2110
username=alice
password=$password
[destination]
type=MDA_external
path=$home/deliver
allow_root_commands=true
unixfrom=false
[options]
read_all=true
delete=true
delivered_to=false
received=false
END
	my ($status, $text) = Posthouse::run(qw(timeout 60 getmail --getmaildir), "$home/getmail");
	is $status, 0, 'getmail' or diag $text;
	fetched_is('getmail: byte for byte');
	left_is(0, 'getmail: taken from the server');
}

if (have('mpop')) {
	Posthouse::write_file("$home/pw", $password);
	for my $auth (qw(user plain login)) {
		seed();
		my $keep = $auth eq 'login' ? 'off' : 'on';
		my ($status, $text) = Posthouse::run(qw(timeout 60 mpop --only-new=off --tls=off --pipelining=on --received-header=off),
			"--host=$host", '--port=2110', '--user=alice', "--passwordeval=cat $home/pw", "--auth=$auth", "--keep=$keep",
			"--delivery=maildir,$md", "--uidls-file=$home/uidls");
		is $status, 0, "mpop, auth=$auth" or diag $text;
		fetched_is("mpop, auth=$auth: byte for byte");
		left_is($keep eq 'on' ? 12 : 0, "mpop, keep=$keep");
	}
}
$p->stop;
done_testing;
