#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that fetch mail over POP3: what they store is what was sent, what they delete is gone, and what they leave they do
# not take twice.
use strict;
use warnings;
use Test::More;
use Posthouse;

Posthouse::need(qw(fetchmail getmail mpop curl));
my $count = 9;
my $p = Posthouse->new(main => { auth_failure_delay => '0s' })->start;
my ($dir, $host, $password) = ($p->dir, $p->address, $p->password('alice'));
$ENV{HOME} = $dir;

# Bodies that fetchers and servers have got wrong: dots, From, no line, long lines, eight bits.
my @bodies = map {
	join '', map({ "line $_\n" } 1 .. $_ * 5), ".\n..\n.x\n", "From here\n" x ($_ % 3), "caf\xc3\xa9\n" x $_, 'y' x ($_ * 100), "\n"
} 0 .. $count - 1;

sub seed {
	my $c = $p->pop3('alice');
	my ($n) = $c->cmd1('STAT', qr/^\+OK/) =~ /(\d+)/;
	$c->cmd1("DELE $_", qr/^\+OK/) for 1 .. $n;
	$c->cmd1('QUIT', qr/^\+OK/);
	my $from = -s $p->maillog;
	$p->send_mail(text => "From: <x\@client.test>\nSubject: number $_\nMessage-Id: <$_.$$\@client.test>\n\n$bodies[$_]") for 0 .. $#bodies;
	$p->wait_until('the letters', sub { $count == (() = substr(Posthouse::slurp($p->maillog), $from) =~ /status=sent/g) });
	system 'rm', '-rf', "$dir/in";
	mkdir "$dir/$_" for 'in', 'in/new', 'in/cur', 'in/tmp';
}

# What a program stores through this command, or in the Maildir itself.
Posthouse::write_file("$dir/store", "#!/bin/sh\nf=\$(mktemp $dir/in/tmp/XXXXXXXX) && cat >\$f && mv \$f $dir/in/new/\n");
chmod 0755, "$dir/store";

sub stored {
	return map { (split /\n\n/, Posthouse::slurp($_) =~ s/\r\n/\n/gr, 2)[1] } glob "$dir/in/new/* $dir/in/cur/*";
}

sub left {
	my $c = $p->pop3('alice');
	my ($n) = $c->cmd1('STAT', qr/^\+OK/) =~ /(\d+)/;
	$c->cmd1('QUIT', qr/^\+OK/);
	return $n;
}

sub fetch {
	my ($name, $want_left, @cmd) = @_;
	my ($status, $text) = Posthouse::run(@cmd);
	is $status, 0, "$name: runs" or diag $text;
	is_deeply [ sort map { s/\n+\z//r } stored() ], [ sort map { s/\n+\z//r } @bodies ], "$name: byte for byte";
	is left(), $want_left, "$name: $want_left left on the server";
}

sub fetchmail {
	my ($options, $server) = @_;
	Posthouse::write_file("$dir/fetchmailrc", sprintf "set no bouncemail\npoll %s protocol pop3 port 2110 %s username alice password %s"
		. " mda \"%s\" sslproto '' %s\n", $host, $server || '', "\"$password\"", "$dir/store", $options);
	chmod 0600, "$dir/fetchmailrc";
	return ('fetchmail', '-f', "$dir/fetchmailrc", '--nodetach', '--norewrite', '--nosyslog', '--pidfile', "$dir/fetchmail.pid",
		'--idfile', "$dir/fetchids");
}

seed();
fetch('fetchmail', 0, fetchmail('fetchall no keep'));
seed();
fetch('fetchmail, keep, UIDL', $count, fetchmail('keep', 'uidl'));
my ($status) = Posthouse::run(fetchmail('keep', 'uidl'));
is $status, 1, 'fetchmail: nothing new the second time';
is scalar(stored()), $count, 'fetchmail: and nothing taken twice';

sub getmail {
	my ($delete) = @_;
	mkdir "$dir/getmail";
	Posthouse::write_file("$dir/getmail/getmailrc", <<END);
[retriever]
type=SimplePOP3Retriever
server=$host
port=2110
username=alice
password=$password
[destination]
type=MDA_external
path=$dir/store
allow_root_commands=true
unixfrom=false
[options]
read_all=false
delete=$delete
delivered_to=false
received=false
END
	return ('getmail', '--getmaildir', "$dir/getmail");
}

seed();
fetch('getmail, keep', $count, getmail('false'));
Posthouse::run(getmail('false'));
is scalar(stored()), $count, 'getmail: nothing twice';
seed();
fetch('getmail, delete', 0, getmail('true'));

sub mpop {
	my ($auth, $pipelining, $keep) = @_;
	Posthouse::write_file("$dir/pw", $password);
	return ('mpop', "--host=$host", '--port=2110', '--user=alice', "--passwordeval=cat $dir/pw", "--auth=$auth", '--tls=off',
		"--pipelining=$pipelining", "--keep=$keep", '--received-header=off', "--delivery=maildir,$dir/in",
		"--uidls-file=$dir/uidls");
}

for my $auth (qw(user plain login)) {
	seed();
	fetch("mpop, $auth, pipelined", $count, mpop($auth, 'on', 'on'));
}
Posthouse::run(mpop('user', 'on', 'on'));
is scalar(stored()), $count, 'mpop: nothing twice';
unlink "$dir/uidls";
seed();
fetch('mpop, delete, one by one', 0, mpop('user', 'off', 'off'));

seed();
my $url = "pop3://$host:2110";
my @curl = ('curl', '-sS', '--max-time', 20, '-u', "alice:$password");
for my $auth ('', '--login-options=AUTH=PLAIN', '--login-options=AUTH=LOGIN') {
	my ($s, $text) = Posthouse::run(@curl, ($auth ? split /=/, $auth, 2 : ()), "$url/");
	is $s, 0, 'curl: LIST ' . $auth;
	is scalar(() = $text =~ /^\d+ \d+\r?$/mg), $count, "curl: $count scan lines";
}
for my $n (1 .. 3) {
	my ($s, $text) = Posthouse::run(@curl, "$url/$n");
	is $text =~ s/\r\n/\n/gr =~ s/.*?\n\n//sr =~ s/\n+\z//r, $bodies[ $n - 1 ] =~ s/\n+\z//r, "curl: RETR $n";
}
isnt +(Posthouse::run('curl', '-sS', '-u', 'alice:wrong', "$url/"))[0], 0, 'curl: a wrong password is refused';
isnt +(Posthouse::run(@curl, "$url/999"))[0], 0, 'curl: no such letter';
is $p->log_count(qr/panic|signal|fatal|error: /), 0, 'nothing died';
done_testing;
