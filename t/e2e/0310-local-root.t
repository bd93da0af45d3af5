#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# The real thing, as root with system users, in a mount namespace of its own: whose rights each delivery has.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

if ($> != 0) {
	plan skip_all => 'needs root';
}
if (!$ENV{IN_NAMESPACE}) {
	if (system('unshare -m true 2>/dev/null') != 0) {
		plan skip_all => 'needs a mount namespace';
	}
	$ENV{IN_NAMESPACE} = 1;
	exec 'unshare', '-m', '--propagation', 'private', $^X, $0;
}

# --- users of this namespace: alice, bob, eve, posthouse, postlogin ---
my $host = 'mail.example.test';
my $root = File::Temp::tempdir('posthouse-root-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my %uid = (alice => 60001, bob => 60002, eve => 60003, posthouse => 60010, postlogin => 60011);
my %text = (passwd => Posthouse::slurp('/etc/passwd'), group => Posthouse::slurp('/etc/group'));
my ($mail_gid) = $text{group} =~ /^mail:[^:]*:(\d+):/m;
my ($nobody) = $text{passwd} =~ /^nobody:[^:]*:(\d+):/m;
for my $user (sort keys %uid) {
	$text{$_} =~ s/^\Q$user\E:.*\n//mg for qw(passwd group);
	$text{passwd} .= "$user:x:$uid{$user}:$uid{$user}::$root/home/$user:/bin/sh\n";
	$text{group} .= "$user:x:$uid{$user}:\n";
}
$text{group} =~ s/^postdrop:.*\n//mg;
$text{group} .= "postdrop:x:60020:\n";
for my $file (qw(passwd group)) {
	Posthouse::write_file("$root/$file", $text{$file});
	chmod 0644, "$root/$file";
	system('mount', '--bind', "$root/$file", "/etc/$file") == 0 or BAIL_OUT("cannot mount /etc/$file");
}
mkdir "$root/home", 0755;
for my $user (qw(alice bob eve)) {
	mkdir "$root/home/$user", 0700;
	chown $uid{$user}, $uid{$user}, "$root/home/$user";
}
mkdir "$root/spool";
chown 0, $mail_gid, "$root/spool";
chmod 02775, "$root/spool";
mkdir "$root/out";
chmod 01777, "$root/out";

# A write by whoever happens to be the writer.
my $who = "{ id -u; id -G; } >$root/out";
my $p = Posthouse->new(users => [], main => {
	unprivileged_mode => 'no',
	userdb => 'passwd',
	passdb => 'shadow',
	protocols => '',
	mail_spool_directory => "$root/spool",
	alias_maps => "hash:$root/aliases, texthash:$root/aliases.eve",
	alias_database => "hash:$root/aliases",
	local_recipient_maps => '',
	default_transport => 'nowhere',
	transport_maps => 'inline:{ { mda.test = mda: } { later.test = later: } }',
	queue_directory => "$root/queue",
	maillog_file => "$root/maillog",
	setgid_group => 'postdrop',
	allow_mail_to_commands => 'alias, forward, include',
});
rmdir $p->dir . '/data'; # made anew with its right owner
no warnings 'redefine';
*Posthouse::maillog = sub { "$root/maillog" };
*Posthouse::port = sub { $_[1] eq 'smtp' ? 25 : $_[1] };
chmod 0755, $p->dir, (split m{/[^/]+$}, $p->dir)[0];
# Only what is tested.
(my $master = Posthouse::slurp($p->dir . '/master.cf')) =~ s/^(?:pop3|imap|auth)\s.*\n//mg;
$master .= <<"END";
mda unix - n n - - pipe user=bob:eve argv=/bin/sh -c {cat >/dev/null; $who/mda}
later unix - n n - - pipe user=bob argv=/bin/sh -c {cat >/dev/null; exit 75}
END
Posthouse::write_file($p->dir . '/master.cf', $master);
chmod 0644, $p->dir . '/main.cf';

Posthouse::write_file("$root/aliases", <<"END");
postmaster: root
by-root: "|$who/by-root"
root-include: :include:$root/eves-list
eve-file: :include:$root/eve-file-list
root: alice
END
Posthouse::write_file("$root/eves-list", "\"|$who/by-include\"\n");
Posthouse::write_file("$root/eve-file-list", "$root/spool/bob\n");
Posthouse::write_file("$root/aliases.eve", "by-eve \"|$who/by-eve\"\n");
chown $uid{eve}, $uid{eve}, "$root/$_" for qw(eves-list eve-file-list aliases.eve);
chmod 0644, glob "$root/*list $root/aliases*";
Posthouse::write_file("$root/home/alice/.forward", "\\alice, \"|$who/forward\"\n");
chown $uid{alice}, $uid{alice}, "$root/home/alice/.forward";
chmod 0600, "$root/home/alice/.forward";
$p->start;

sub result {
	my ($to, %o) = @_;
	my $from = $p->{logpos};
	my $id = $p->send_mail(to => "$to\@$host", from => "s\@$host", %o);
	$p->wait_log(qr/\Q$id\E: (?:removed|to=.*status=deferred)/, from => $from);
	return join "\n", grep { /\Q$id\E: to=/ } split /\n/, Posthouse::slurp($p->maillog);
}
sub ran_as { return join ' ', split /\s+/, Posthouse::slurp("$root/out/$_[0]") }

# --- mailboxes ---
like result('bob'), qr/status=sent \(delivered to mailbox\)/, 'a mailbox';
my @st = stat "$root/spool/bob";
is $st[4], $uid{bob}, 'belongs to the user';
is sprintf('%o', $st[2] & 0777 & ~060), '600', 'and nobody else reads it';
like result('alice'), qr/delivered to mailbox(?s:.*)status=sent|status=sent(?s:.*)delivered to mailbox/, '.forward in a home that only its owner can enter';
is ran_as('forward'), "$uid{alice} $uid{alice}", 'its command runs as the user, with no other group';
is scalar(() = glob "$root/spool/*.lock"), 0, 'no lock file is left';

# --- aliases ---
like result('by-root'), qr/status=sent/, 'a command of root\'s aliases';
like ran_as('by-root'), qr/^$nobody /, 'runs as default_privs';
like result('by-eve'), qr/status=sent/, 'a command of a table that eve owns';
is ran_as('by-eve'), "$uid{eve} $uid{eve}", 'runs as eve';
like result('root-include'), qr/status=sent/, 'a command of an :include: file that eve owns';
is ran_as('by-include'), "$uid{eve} $uid{eve}", 'runs as eve';
my $before = Posthouse::slurp("$root/spool/bob");
like result('eve-file'), qr/status=deferred|status=bounced/, 'a file that eve may not write';
is Posthouse::slurp("$root/spool/bob"), $before, 'is not written';

# --- commands of master.cf ---
my $mda = $p->send_mail(to => 'x@mda.test', from => "s\@$host");
like $p->wait_log(qr/$mda: to=<x\@mda\.test>/, from => 0), qr/relay=mda, .*status=sent/, 'a transport that is a command';
is ran_as('mda'), "$uid{bob} $uid{eve}", 'runs as user=';
$mda = $p->send_mail(to => 'x@later.test', from => "s\@$host");
like $p->wait_log(qr/$mda: to=<x\@later\.test>/, from => 0), qr/dsn=4\.3\.0, status=deferred/, 'deferred by a command';
my ($held) = $p->wait_until('its file', sub { glob "$root/queue/mail/*/$mda" });
is +(stat $held)[4], $uid{posthouse}, 'what was written down belongs to the owner of the queue';

# --- links (S17) ---
Posthouse::write_file("$root/secret", "precious\n");
for my $case (
	['a symbolic link', sub { symlink "$root/secret", "$root/spool/eve" }],
	['a hard link', sub { link "$root/secret", "$root/spool/eve" }],
	['somebody else\'s file', sub { Posthouse::write_file("$root/spool/eve", ''); chown $uid{bob}, $uid{bob}, "$root/spool/eve" }],
) {
	$case->[1]->();
	like result('eve'), qr/status=deferred/, "$case->[0] is no mailbox";
	is Posthouse::slurp("$root/secret"), "precious\n", 'and nothing was written';
	unlink "$root/spool/eve";
}

# --- other spool directories ---
for my $case ([ 01777, 'world-writable with the sticky bit' ], [ 0755, 'root\'s own' ]) {
	unlink glob "$root/spool/*";
	chmod $case->[0], "$root/spool";
	like result('bob'), qr/status=sent \(delivered to mailbox\)/, "a spool directory that is $case->[1]";
	is +(stat "$root/spool/bob")[4], $uid{bob}, 'the mailbox belongs to the user';
}
chmod 02775, "$root/spool";

# --- the queue ---
like result('bob', text => "Subject: x\n\n"), qr/status=sent/, 'again';
my @not_ours = grep { (stat)[4] != $uid{posthouse} } glob "$root/queue/mail/* $root/queue/mail/*/*";
is "@not_ours", '', 'everything in the queue belongs to mail_owner';
Posthouse::write_file("$root/home/eve/.forward", "someone\@far.test\n");
chown $uid{eve}, $uid{eve}, "$root/home/eve/.forward";
my ($copy) = result('eve') =~ /forwarded as (\w+)/;
ok $copy, 'a copy in the queue';
is +(stat +(glob "$root/queue/mail/*/$copy")[0])[4], $uid{posthouse}, 'belongs to mail_owner, too';
is +($p->tool('postsuper', '-s'))[0], 0, 'postsuper as root';
@not_ours = grep { (stat)[4] != $uid{posthouse} } glob "$root/queue/mail/* $root/queue/mail/*/*";
is "@not_ours", '', 'leaves it so';

# --- who runs as whom ---
my %as;
for my $process (glob '/proc/[0-9]*') {
	my ($program, @argv) = split /\0/, Posthouse::slurp("$process/cmdline");
	next unless grep { $_ eq "$root/queue/run" } @argv;
	my ($uids) = Posthouse::slurp("$process/status") =~ /^Uid:\s+(.*)$/m;
	push @{ $as{ (split m{/}, $program)[-1] } }, $uids;
}
like $as{local}[0], qr/^0\t0\t0/, 'local is root between deliveries';
for my $program (qw(smtpd qmgr bounce)) {
	is +(grep { !/^$uid{posthouse}\t$uid{posthouse}\t$uid{posthouse}\t/ } @{ $as{$program} || [] }), 0, "$program is mail_owner";
}

# --- sendmail of a user ---
my $as_alice = "setpriv --reuid=$uid{alice} --regid=$uid{alice} --clear-groups";
my ($status, $said) = Posthouse::run('/bin/sh', '-c',
	"printf 'Subject: from alice\\n\\nx\\n' | $as_alice $Posthouse::BIN/sendmail -C " . $p->dir . ' bob');
is "$status $said", '0 ', 'sendmail as a user';
$p->wait_until('alice\'s letter', sub { Posthouse::slurp("$root/spool/bob") =~ /^Subject: from alice$/m });
like Posthouse::slurp("$root/spool/bob"), qr/^Received: by $host \(Posthouse, from userid $uid{alice}\)$/m, 'Received says who';
like Posthouse::slurp("$root/spool/bob"), qr/^Return-Path: <alice\@$host>$/m, 'so does the sender';


# --- what a user may do with the queue ---
($status, $said) = Posthouse::run('/bin/sh', '-c', "$as_alice $Posthouse::BIN/mailq -C " . $p->dir);
is $status, 0, 'mailq as a user' or diag $said;
like $said, qr/someone\@far\.test/, 'shows the queue';
for my $forbidden ('postsuper -d ALL', 'postsuper -h ALL', "postcat -q $copy") {
	my ($tool, @args) = split / /, $forbidden;
	($status, $said) = Posthouse::run('/bin/sh', '-c', "$as_alice $Posthouse::BIN/$tool -c " . $p->dir . " @args");
	isnt $status, 0, "$forbidden as a user fails";
	unlike $said, qr/Deleted|hold|sender:/, 'and does nothing';
}
like +($p->tool('postqueue', '-p'))[1], qr/^\Q$copy\E\*? /m, 'the letter is still there';

$p->stop;
done_testing;
