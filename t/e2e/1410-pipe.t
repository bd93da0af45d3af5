#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Transports that are commands: pipe(8) with its attributes, macros, exit statuses, time limit.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;
use Time::HiRes qw(time);

my $p = Posthouse->new(main => {
	transport_maps => 'inline:{ ' . join(' ', map { "{ $_.test = $_:Hop.Example }" } qw(show many exit slow gone big form once)) . ' }',
	recipient_delimiter => '+', show_destination_recipient_limit => 1, slow_time_limit => '1s', export_environment => 'A=1',
	minimal_backoff_time => '1h', maximal_backoff_time => '1h',
});
my $out = $p->dir . '/out';
my $user = getpwuid $>;
Posthouse::write_file("$out.sh", <<"END");
#!/bin/sh
name=\$1; shift
{ for a in "\$@"; do echo "arg <\$a>"; done; env | LC_ALL=C sort; id -un; pwd; echo; cat; echo END; } >>$out/\$name
END
Posthouse::write_file("$out.exit", "#!/bin/sh\ncat >/dev/null\n[ -z \"\$2\" ] || echo \"\$2\"\nexit \$1\n");
chmod 0755, "$out.sh", "$out.exit";
mkdir $out;
chmod 0777, $out;
Posthouse::append_file($p->dir . '/master.cf', <<"END");
show unix - n n - - pipe flags=DFORhu user=$user directory=/ argv=$out.sh show -f \${sender} -- \${recipient} \$user \$extension \$mailbox \$domain \${nexthop} \$size \${queue_id} \$original_recipient "\$client_address a\$\$b
many unix - n n - 1 pipe user=$user argv=$out.sh many -r \${recipient} -s \$sender
exit unix - n n - - pipe user=$user argv=$out.exit \$user \${extension}
slow unix - n n - - pipe user=$user argv=/bin/sh -c {sleep 60 & sleep 60}
gone unix - n n - - pipe user=$user argv=/no/such/command
big  unix - n n - - pipe user=$user size=2000 argv=/bin/cat
form unix - n n - - pipe flags=.>B user=$user eol=\\r\\n argv=$out.sh form
once unix - n n - - pipe flags=D user=$user argv=$out.sh once \$recipient
END
$p->start;

sub outcome {
	my ($id, $to) = @_;
	return $p->wait_log(qr/$id: to=<\Q$to\E>/, from => 0);
}

my $id = $p->send_mail(to => 'Fred+Tag@SHOW.test', from => 'x@client.test');
like(outcome($id, 'Fred+Tag@SHOW.test'), qr/relay=show, .*dsn=2\.0\.0, status=sent \(delivered via show service\)$/, 'delivered');
my $got = Posthouse::slurp("$out/show");
my @args = $got =~ /^arg <(.*)>$/mg;
is_deeply([ @args[ 0 .. 6 ] ], [ '-f', 'x@client.test', '--', 'fred+tag@show.test', 'fred', 'tag', 'fred+tag' ], 'arguments, folded');
is_deeply([ @args[ 7, 8, 10, 11, 12, 13 ] ], [ 'show.test', 'hop.example', $id, 'fred+tag@show.test', '"127.0.0.1', 'a$b' ], 'more arguments');
like($got, qr/^A=1\nPATH=[^\n]*\nPWD=\/(?:\nSHLVL=\d+)?(?:\n_=[^\n]*)?\n$user\n\/\n\n/m, 'environment, user, directory');
like($got, qr/^From x\@client\.test  .*\nReturn-Path: <x\@client\.test>\nX-Original-To: Fred\+Tag\@SHOW\.test\nDelivered-To: Fred\+Tag\@SHOW\.test\nReceived: /m, 'head');

$id = $p->send_mail(to => [ 'a@many.test', 'b@many.test' ], from => '');
outcome($id, "$_\@many.test") for 'a', 'b';
is_deeply([ Posthouse::slurp("$out/many") =~ /^arg <(.*)>$/mg ], [ '-r', 'a@many.test', 'b@many.test', '-s', 'MAILER-DAEMON' ], 'one command for several recipients, null sender');
$id = $p->send_mail(to => [ 'a@once.test', 'b@once.test' ]);
outcome($id, "$_\@once.test") for 'a', 'b';
is(() = Posthouse::slurp("$out/once") =~ /^Delivered-To: [ab]\@once\.test$/mg, 2, 'with Delivered-To: one command each');
$id = $p->send_mail(to => 'a@once.test', text => "Delivered-To: a\@once.test\n\nx\n");
like(outcome($id, 'a@once.test'), qr/dsn=5\.4\.6, status=bounced \(mail forwarding loop/, 'loop');

my @exits = (
	[ '0',         'dsn=2.0.0, status=sent' ],
	[ '0+fine',    'status=sent (delivered via exit service (fine))' ],
	[ '75+busy',   'dsn=4.3.0, status=deferred', 'Command output: busy' ],
	[ '67',        'dsn=5.1.1, status=bounced' ],
	[ '1+what',    'dsn=5.3.0, status=bounced', 'Command output: what' ],
	[ '67+4.2.2',  'dsn=4.2.2, status=deferred' ],
);
for my $e (@exits) {
	my ($local, @want) = @$e;
	my $line = outcome($p->send_mail(to => "$local\@exit.test"), "$local\@exit.test");
	like($line, qr/\Q$_\E/, "$local: $_") for @want;
}
like(outcome($p->send_mail(to => '-oX@exit.test'), '-oX@exit.test'), qr/dsn=5\.1\.3, status=bounced/, 'no recipient is an option');

my $start = time;
like(outcome($p->send_mail(to => 'a@slow.test'), 'a@slow.test'), qr/dsn=4\.3\.0, status=deferred \(command time limit exceeded/, 'time limit');
cmp_ok(time - $start, '<', 10, 'in time');
is(scalar(grep { Posthouse::slurp("$_/cmdline") eq "sleep\00060\0" && Posthouse::slurp("$_/environ") =~ /^A=1\0|\0A=1\0/ } glob '/proc/[0-9]*'), 0, 'with all its children');
like(outcome($p->send_mail(to => 'a@gone.test'), 'a@gone.test'), qr/status=deferred .*no such file/i, 'no such command');
like(outcome($p->send_mail(to => 'a@big.test', text => "Subject: x\n\n" . "x" x 70 . "\n" x 3000), 'a@big.test'), qr/dsn=5\.2\.3, status=bounced/, 'too big');
outcome($p->send_mail(to => 'a@form.test', text => "Subject: x\n\n.dot\nFrom me\nFromage\n..\n"), 'a@form.test');
like(Posthouse::slurp("$out/form"), qr/\r\n\r\n\.\.dot\r\n>From me\r\nFromage\r\n\.\.\.\r\n\r\nEND\n/, 'eol, dots, From, blank line');

# One process for a transport: many letters do not wait for each other's idle time.
$start = time;
my @ids = map { $p->send_mail(to => "u$_\@many.test") } 1 .. 10;
outcome($ids[ $_ - 1 ], "u$_\@many.test") for 1 .. 10;
cmp_ok(time - $start, '<', 10, 'maxproc 1 is enough for ten letters');
done_testing;
