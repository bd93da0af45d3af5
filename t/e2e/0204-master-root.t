#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The real thing as root, in a mount namespace of its own with its own user database: who runs as whom, and where.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

plan skip_all => 'needs root' if $>;
plan skip_all => 'needs mount namespaces' if system 'unshare -m true 2>/dev/null';
exec 'unshare', '-m', $^X, $0 or die $! unless $ENV{IN_NAMESPACE}++;

my $p = Posthouse->new(programs => ['echo'], master => <<'END');
25 inet n - - - 3 echo
24 inet n - - - 3 echo -T
110 inet n - - - 3 echo -Ilogin
143 inet n - y - 3 echo
587 inet n - - - 3 echo -Iroot
auth unix - n - - 1 echo -Iroot
echo unix - - - - 1 echo
submit unix-stream n - - - 1 echo
END
$p->set(unprivileged_mode => 'no', userdb => 'passwd', passdb => 'shadow', mail_owner => 'posthouse');
my $etc = $p->dir . '/etc';
mkdir $etc;
Posthouse::write_file("$etc/passwd", "root:x:0:0::/root:/bin/sh\nposthouse:x:20701:20701::/:/bin/false\n"
	. "postlogin:x:20702:20702::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n");
Posthouse::write_file("$etc/group", "root:x:0:\nposthouse:x:20701:\npostlogin:x:20702:\npostdrop:x:20703:\nnobody:x:65534:\n");
chmod 0644, "$etc/passwd", "$etc/group";
system('mount', '--bind', "$etc/$_", "/etc/$_") == 0 or die for qw(passwd group);
# The directory of the test is for root only; the instance must be reachable.
chmod 0755, $p->dir, $p->dir . '/..', map { $p->dir . "/$_" } qw(queue data spool home);
system 'rmdir', $p->dir . '/data', $p->dir . '/queue';

my ($status, $text) = $p->tool('posthouse', 'check');
is $status, 0, 'check' or diag $text;
$p->start;

my %expected = (
	25 => [ 20701, '/', 1 ], 24 => [ 20701, '/', 1 ], 110 => [ 20702, $p->dir . '/queue/login', 1 ],
	143 => [ 20701, $p->dir . '/queue', 1 ], 587 => [ 0, '/', 0 ],
);
for my $port (sort { $a <=> $b } keys %expected) {
	my ($uid, $root, $no_new) = @{ $expected{$port} };
	my $c = $p->connect($port);
	my ($pid) = $c->expect(qr/^hello from \d+/) =~ /(\d+)/;
	my $proc = Posthouse::slurp("/proc/$pid/status");
	like $proc, qr/^Uid:\t$uid\t$uid\t$uid\t$uid$/m, "port $port: user id $uid, all four of them";
	like $proc, qr/^Gid:\t$uid\t$uid\t$uid\t$uid$/m, "port $port: group id";
	like $proc, qr/^Groups:\t(?:$uid )?$/m, "port $port: no other groups" if $uid;
	like $proc, qr/^CapEff:\t0+$/m, "port $port: no capabilities" if $uid;
	like $proc, qr/^NoNewPrivs:\t$no_new$/m, "port $port: new privileges";
	is readlink("/proc/$pid/root"), $root, "port $port: root directory";
	is $c->cmd1('ping', qr/./), 'ping', "port $port: serves";
	next if $Posthouse::BIN =~ /asan|tsan/; # whose reports need what the filter forbids
	is $c->cmd1('exec', qr/./), $uid ? 'exec is forbidden' : 'exec works', "port $port: other programs";
	is $c->cmd1('inet', qr/./), $port == 110 ? 'socket is forbidden' : 'socket works', "port $port: network sockets";
	is $c->cmd1('unix', qr/./), 'socket works', "port $port: sockets to other programs of ours";
}

my %modes = ('queue' => [ 0755, 0, 0 ], 'queue/private' => [ 0750, 0, 20701 ], 'queue/public' => [ 0755, 0, 0 ],
	'queue/login' => [ 0755, 0, 0 ], 'queue/run' => [ 0700, 0, 0 ], 'queue/mail' => [ 0700, 20701, 20701 ],
	'data' => [ 0700, 20701, 20701 ], 'queue/private/echo' => [ 0660, 0, 20701 ], 'queue/login/auth' => [ 0660, 0, 20702 ],
	'queue/private/auth' => [ 0660, 0, 20701 ], 'queue/public/submit' => [ 0666, 0, 0 ], 'queue/private/master' => [ 0600, 0, 0 ]);
for my $path (sort keys %modes) {
	my @st = stat $p->dir . "/$path";
	is_deeply [ $st[2] & 07777, @st[ 4, 5 ] ], $modes{$path}, "$path: mode and owner";
}
$p->stop;
chmod 0777, $p->dir . '/queue/private';
($status, $text) = $p->tool('posthouse', 'check');
is $status, 1, 'check finds a directory that is open to all';
like $text, qr{queue/private: owner 0:20701 mode 0777, should be 0:20701 0750}, 'and says how it should be';
is + ($p->tool('posthouse', 'set-permissions'))[0], 0, 'set-permissions';
is + ($p->tool('posthouse', 'check'))[0], 0, 'mends it';

$p->set(mail_owner => 'nosuchuser');
($status, $text) = $p->tool('posthouse', 'start');
is $status, 1, 'without its user it does not start';
like $text, qr/mail_owner.*nosuchuser/, 'and says which is missing';
done_testing;
