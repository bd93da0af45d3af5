#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Aliases, .forward, :include:, commands and files, as local(8) expands them.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(users => [qw(alice bob carol dave erin)], main => {
	recipient_delimiter => '+',
	command_time_limit => '2s',
	allow_mail_to_files => 'alias, forward',
	message_size_limit => 2000000,
	default_transport => 'nowhere', # nothing leaves this machine
	local_recipient_maps => '',
});
my $dir = $p->dir;

Posthouse::append_file("$dir/aliases", <<"END");
one: alice
Mixed.Case: alice
list: alice, bob
nested: list, carol
same: alice, alice, list
self: self
alice-too: \\alice
include: :include:$dir/included
looped-include: :include:$dir/looping
missing-include: :include:$dir/not-there
command: "|cat >$dir/out.command; env >$dir/out.env"
words: "|/bin/cp /dev/stdin $dir/out.words"
exit67: "|echo no such person here; exit 67"
exit75: "|echo come back later; exit 75"
killed: "|kill -9 \$\$"
slow: "|sleep 100"
early: "|exit 0"
file: $dir/out.file
maildir: $dir/out.maildir/
away: someone\@elsewhere.test
owned: bob, exit67
owner-owned: carol
bob+special: alice
mixture: bob, exit67
broken: bob, "carol
loop-a: loop-b
loop-b: loop-a
END
Posthouse::write_file("$dir/included", "# people\ncarol, dave\n\nbob\n");
Posthouse::write_file("$dir/looping", ":include:$dir/looping\n");
$p->start;

my $host = 'mail.example.test';
my ($id);

# Send to one recipient; the log lines of the message once it is off the queue or deferred.
sub deliver {
	my ($to, %o) = @_;
	my $from = $p->{logpos};
	$id = $p->send_mail(to => "$to\@$host", from => "s\@$host", %o);
	$p->wait_log(qr/\Q$id\E: (?:removed|.*status=deferred)/, from => $from);
	return grep { /\Q$id\E: to=/ } split /\n/, Posthouse::slurp($p->maillog);
}

# Who got it: mailboxes in which the letter of this id is.
sub got {
	my ($what) = @_;
	my @who;
	for my $user (qw(alice bob carol dave erin)) {
		my $n = () = Posthouse::slurp($p->spool($user)) =~ /^Subject: \Q$what\E$/mg;
		push @who, ($user) x $n;
	}
	return "@who";
}

my $n = 0;
sub reaches {
	my ($to, $who, $why) = @_;
	my $subject = 'letter ' . ++$n;
	my @lines = deliver($to, text => "Subject: $subject\n\nbody\n");
	$p->wait_until("$subject for $who", sub { got($subject) eq $who }) if $who;
	is got($subject), $who, $why;
	return @lines;
}

# --- users and aliases ---
my @log = reaches('alice', 'alice', 'a user');
like $log[0], qr/: to=<alice\@$host>, relay=local, delay=[\d.]+, delays=[\d.\/]+, dsn=2\.0\.0, status=sent \(delivered to mailbox\)$/,
	'the log line';
reaches('ALICE', 'alice', 'case does not matter');
reaches('alice+ext', 'alice', 'an extension');
@log = reaches('one', 'alice', 'an alias');
like $log[0], qr/: to=<alice\@$host>, orig_to=<one\@$host>, relay=local/, 'logged with what it was';
reaches('mixed.CASE', 'alice', 'an alias in mixed case');
reaches('list', 'alice bob', 'a list');
reaches('list+x', 'alice bob', 'a list with an extension');
reaches('nested', 'alice bob carol', 'a list in a list');
reaches('same', 'alice bob', 'duplicates are left out');
reaches('bob+special', 'alice', 'an alias for user+extension');
reaches('alice-too', 'alice', 'a backslash');
reaches('include', 'bob carol dave', ':include:');
like +(deliver('nobody'))[0], qr/dsn=5\.1\.1, status=bounced \(unknown user: "nobody"\)/, 'an unknown user';
like +(deliver('self'))[0], qr/status=bounced \(unknown user: "self"\)/, 'an alias that holds only itself';
like +(deliver('loop-a'))[0], qr/status=bounced/, 'aliases in a circle';
like +(deliver('looped-include'))[0], qr/dsn=5\.4\.6, status=bounced \(:include:.* includes itself\)/, ':include: in a circle';
like +(deliver('missing-include'))[0], qr/dsn=4\.3\.0, status=deferred \(.*not-there: No such file/, 'a missing :include: waits';
like +(deliver('broken'))[0], qr/dsn=4\.3\.5, status=deferred \(alias broken: unclosed quote/, 'a mistake in the list waits';
is got('test'), '', 'and none of it was delivered';

# --- header ---
deliver('list', text => "Subject: header test\n\nbody\n");
$p->wait_until('header test', sub { got('header test') eq 'alice bob' });
like Posthouse::slurp($p->spool('bob')), qr/^Return-Path: <s\@$host>
X-Original-To: list\@$host
Delivered-To: list\@$host
Received: .*
(?:\t.*
)*Subject: header test
/m,
	'Return-Path, X-Original-To, Delivered-To';

# --- commands ---
@log = deliver('command', text => "Subject: for a command\n\nFrom here\n");
like $log[0], qr/status=sent \(delivered to command: cat >/, 'a command by the shell';
like Posthouse::slurp("$dir/out.command"), qr/\AFrom s\@$host  .*\nReturn-Path: .*\nX-Original-To: .*\nDelivered-To: command\@$host\n(?s:.*)\n\nFrom here\n\z/,
	'gets From_ line, header, body';
my $env = Posthouse::slurp("$dir/out.env");
like $env, qr/^SENDER=s\@$host$/m, 'SENDER';
like $env, qr/^RECIPIENT=command\@$host$/m, 'RECIPIENT';
like $env, qr/^LOCAL=command$/m, 'LOCAL';
like $env, qr/^DOMAIN=$host$/m, 'DOMAIN';
unlike $env, qr/^(?:BIN|TBIN|PERL\w*|PWD=\Q$FindBin::Bin\E.*|USERS)=/m, 'and nothing of the mail system\'s environment';
deliver('words');
like Posthouse::slurp("$dir/out.words"), qr/^Subject: test$/m, 'a command without a shell';
like +(deliver('exit67'))[0], qr/dsn=5\.1\.1, status=bounced \(user unknown\. Command output: no such person here\)/, 'exit 67 is a failure';
like +(deliver('exit75'))[0], qr/dsn=4\.3\.0, status=deferred \(temporary failure\. Command output: come back later\)/, 'exit 75 is not';
like +(deliver('killed'))[0], qr/dsn=4\.3\.0, status=deferred \(command died of signal 9/, 'nor is a signal';
like +(deliver('slow'))[0], qr/dsn=4\.3\.0, status=deferred \(command time limit exceeded/, 'nor is the time limit';
@log = deliver('early', text => "Subject: x\n\n" . ("0123456789abcde\n" x 65536));
like $log[0], qr/status=sent/, 'a command that reads nothing';
$env = '';
$p->send_mail(to => "command+a`id`b\@$host", from => "x;id|y\@$host");
$p->wait_until('environment', sub { ($env = Posthouse::slurp("$dir/out.env")) =~ /^EXTENSION=a/m });
like $env, qr/^EXTENSION=a_id_b$/m, 'backquotes do not get to a command';
like $env, qr/^SENDER=x_id_y\@$host$/m, 'nor do semicolons and bars';

# --- files ---
like +(deliver('file'))[0], qr/status=sent \(delivered to file: \Q$dir\E\/out\.file\)/, 'a file';
like Posthouse::slurp("$dir/out.file"), qr/^Subject: test$/m, 'has the letter';
like +(deliver('maildir'))[0], qr/status=sent/, 'a Maildir';
is scalar(() = glob "$dir/out.maildir/new/*"), 1, 'has the letter';

# --- elsewhere, owners ---
@log = deliver('away');
my ($copy) = $log[0] =~ /to=<someone\@elsewhere\.test>, orig_to=<away\@$host>.*status=sent \(forwarded as (\w+)\)/;
ok $copy, 'an address elsewhere becomes a queue entry';
my (undef, $shown) = $p->tool('postcat', '-q', $copy);
like $shown, qr/^sender: s\@$host$/m, 'from the same sender';
like $shown, qr/^Received: by $host .*id \Q$copy\E;\n\t.*\nDelivered-To: away\@$host\n/m, 'with a trace';
@log = deliver('owned');
($copy) = map { /forwarded as (\w+)/ } @log;
like $p->wait_log(qr/\Q$copy\E: from=/, from => 0), qr/from=<owner-owned\@$host>/, 'owner- is the new sender';
@log = deliver('mixture');
is +(grep { /status=sent/ } @log), 1, 'a list with a failure: one got it';
is +(grep { /status=bounced/ } @log), 1, 'one did not';

# --- .forward ---
Posthouse::write_file("$dir/home/dave/.forward", "# comment\n\\dave, bob\n");
Posthouse::write_file("$dir/home/carol/.forward", "carol, \"|cat >$dir/out.forward\"\n");
Posthouse::write_file("$dir/home/erin/.forward", "\n# nothing\n");
Posthouse::write_file("$dir/home/erin/.forward+lists", "bob\n");
reaches('dave', 'bob dave', '.forward with a copy');
reaches('carol', 'carol', '.forward that names its user');
like Posthouse::slurp("$dir/out.forward"), qr/^Delivered-To: carol\@$host$/m, 'and a command';
reaches('erin', 'erin', 'an empty .forward');
reaches('erin+lists', 'bob', '.forward+extension');
reaches('erin+other', 'erin', 'another extension');
chmod 0666, "$dir/home/dave/.forward";
reaches('dave', 'dave', 'a .forward that everybody can write is not used');
$p->wait_log(qr/warning: .*dave\/\.forward is not used: everybody can write to it/, from => 0);
unlink "$dir/home/dave/.forward";
symlink "$dir/home/carol/.forward", "$dir/home/dave/.forward";
reaches('dave', 'dave', 'nor is a link');

# --- loops ---
Posthouse::write_file("$dir/home/carol/.forward", "bob\n");
Posthouse::write_file("$dir/home/bob/.forward", "carol\n");
my $from = $p->{logpos};
$p->send_mail(to => "bob\@$host", from => "alice\@$host");
like $p->wait_log(qr/status=bounced/, from => $from), qr/dsn=5\.4\.6, status=bounced \(mail forwarding loop for (?:bob|carol)\@$host\)/,
	'two that forward to each other';
$p->wait_until('a notice', sub { Posthouse::slurp($p->spool('alice')) =~ /mail forwarding loop/ });
pass 'the sender is told';

$p->stop;
done_testing;
