#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Where a user's mail goes: spool, home_mailbox, mailbox_command, luser_relay, limits; and what may not be a mailbox.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $host = 'mail.example.test';
my $p = Posthouse->new(users => [qw(alice bob carol)], main => {
	local_recipient_maps => '',
	mailbox_size_limit => 40000,
	message_size_limit => 30000,
	deliver_lock_attempts => 2,
	soft_bounce => 'no',
});
my $dir = $p->dir;
$p->start;

my $id;

sub result {
	my ($to, %o) = @_;
	my $from = $p->{logpos};
	$id = $p->send_mail(to => "$to\@$host", from => "s\@$host", %o);
	$p->wait_log(qr/\Q$id\E: to=/, from => $from);
	return (grep { /\Q$id\E: to=/ } split /\n/, Posthouse::slurp($p->maillog))[0];
}

sub reconfigure {
	$p->set(@_);
	$p->reload;
}

# --- many letters at once: nothing lost, nothing mixed up ---
my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
for my $i (1 .. 40) {
	$c->cmd("MAIL FROM:<s\@$host>", qr/^250/);
	$c->cmd("RCPT TO:<carol\@$host>", qr/^250/);
	$c->cmd('DATA', qr/^354/);
	$c->cmd("Subject: number $i\r\n\r\nFrom me\r\n>From you\r\n.", qr/^250/);
}
$p->wait_until('40 letters', sub { (() = Posthouse::slurp($p->spool('carol')) =~ /^Subject: number/mg) >= 40 });
my $box = Posthouse::slurp($p->spool('carol'));
is join(' ', sort { $a <=> $b } $box =~ /^Subject: number (\d+)$/mg), join(' ', 1 .. 40), '40 letters, each once';
is scalar(() = $box =~ /^From /mg), 40, 'a body line From is no separator';
is scalar(() = $box =~ /^>>From you$/mg), 40, 'and can be told from one that was quoted before';

# --- limits ---
my $big = "Subject: big\n\n" . ("x" x 70 . "\n") x 360;
like result('bob', text => $big), qr/status=sent/, 'a letter of 26 kB fits';
like result('bob', text => $big), qr/dsn=4\.2\.2, status=deferred/, 'the next one waits: the mailbox is full';
$p->wait_until('mailq to say why', sub { ($p->tool('postqueue', '-p'))[1] =~ /^\s*\(.*mailbox.*\)\n\s+bob\@$host\n/m });
pass 'mailq says why';

# --- what may not be a mailbox (S17) ---
Posthouse::write_file("$dir/victim", "precious\n");
for my $case (
	['a symbolic link', sub { symlink "$dir/victim", $_[0] }],
	['a hard link', sub { link "$dir/victim", $_[0] }],
	['a FIFO', sub { system 'mkfifo', $_[0] }],
	['a directory', sub { mkdir $_[0] }],
) {
	my ($what, $make) = @$case;
	unlink $p->spool('alice');
	$make->($p->spool('alice'));
	like result('alice'), qr/status=deferred/, "$what is no mailbox";
	is Posthouse::slurp("$dir/victim"), "precious\n", 'and nothing was written';
	-d $p->spool('alice') && !-l $p->spool('alice') ? rmdir $p->spool('alice') : unlink $p->spool('alice');
}
$p->tool('postqueue', '-f');
$p->wait_until('the four that waited', sub { (() = Posthouse::slurp($p->spool('alice')) =~ /^From /mg) == 4 });
pass 'when it is gone, they arrive';

# --- somebody else holds the lock ---
Posthouse::write_file($p->spool('carol') . '.lock', "somebody\n");
like result('carol', subject => 'locked'), qr/status=deferred/, 'a locked mailbox waits';
unlink $p->spool('carol') . '.lock';
$p->tool('postqueue', '-f');
$p->wait_until('the lock to be gone', sub { Posthouse::slurp($p->spool('carol')) =~ /^Subject: locked/m });
pass 'and gets its mail when it is free';

# --- home_mailbox ---
reconfigure(home_mailbox => 'Maildir/');
like result('alice', subject => 'in a maildir'), qr/status=sent \(delivered to maildir\)/, 'home_mailbox = Maildir/';
my @new = glob "$dir/home/alice/Maildir/new/*";
is scalar @new, 1, 'one file in new';
my $letter = Posthouse::slurp($new[0]);
like $letter, qr/\AReturn-Path: <s\@$host>\nX-Original-To: alice\@$host\nDelivered-To: alice\@$host\nReceived: /, 'with its trace header';
ok -d "$dir/home/alice/Maildir/$_", $_ for qw(cur tmp);
is scalar(() = glob "$dir/home/alice/Maildir/tmp/*"), 0, 'nothing left in tmp';
reconfigure(home_mailbox => 'mbox');
like result('alice'), qr/status=sent \(delivered to mailbox\)/, 'home_mailbox = mbox';
like Posthouse::slurp("$dir/home/alice/mbox"), qr/\AFrom s\@$host /, 'a file at home';

# --- mailbox_command ---
reconfigure(mailbox_command => "cat >$dir/command.\"\$USER\".\"\$EXTENSION\"", recipient_delimiter => '+');
like result('bob+list'), qr/status=sent \(delivered to command: cat/, 'mailbox_command';
like Posthouse::slurp("$dir/command.bob.list"), qr/^Delivered-To: bob\+list\@$host$/m, 'gets user and extension by the environment';

# --- luser_relay ---
reconfigure(mailbox_command => '', home_mailbox => '', luser_relay => 'carol');
like result('nobody', subject => 'for nobody'), qr/to=<carol\@$host>, orig_to=<nobody\@$host>.*status=sent/, 'luser_relay';
reconfigure(luser_relay => '$local@elsewhere.test', default_transport => 'nowhere');
like result('nobody+x'), qr/to=<nobody\+x\@elsewhere\.test>.*status=sent \(forwarded as/, 'luser_relay with $local';
reconfigure(luser_relay => '|cat', allow_mail_to_commands => '');
like result('nobody'), qr/dsn=5\.7\.1, status=bounced/, 'a command that is not allowed';

# --- a letter that was here before ---
reconfigure(luser_relay => '');
like result('bob', text => "Delivered-To: BOB\@$host\nSubject: loop\n\n"), qr/dsn=5\.4\.6, status=bounced \(mail forwarding loop for bob\@$host\)/,
	'Delivered-To guard';
like result('alice', text => "Delivered-To: bob\@$host\nSubject: no loop\n\n"), qr/status=sent/, 'somebody else\'s Delivered-To is none';
like result('postmaster'), qr/status=sent/, 'postmaster';

$p->stop;
done_testing;
