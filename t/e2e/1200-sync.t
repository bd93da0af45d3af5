#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that keep a copy of all folders: mbsync and offlineimap. Both sides change, both run again, and then both sides
# hold the same letters with the same flags: nothing lost, nothing doubled. Over Maildir and over mbox.
use strict;
use warnings;
use Test::More;
use File::Basename qw(basename dirname);
use Posthouse;

Posthouse::need(qw(mbsync offlineimap));

my $boxes = sub { my ($s) = @_; ('INBOX', 'sync', "sync${s}below", "sync${s}sp ace") };
my %layout = (
	maildir => { main => { home_mailbox => 'Maildir/', mail_location => 'maildir:~/Maildir' }, boxes => $boxes },
	mbox => { main => {}, boxes => $boxes },
);

sub letter {
	my ($n) = @_;
	return "From: <a\@client.test>\r\nSubject: number $n\r\nMessage-ID: <s$n\@client.test>\r\n\r\nbody $n\r\n" . 'z' x ($n * 97)
		. "\r\nFrom the top\r\n";
}

sub append {
	my ($c, $box, $n, $flags) = @_;
	my $text = letter($n);
	$c->send("x APPEND \"$box\" ($flags) {" . length($text) . '+}');
	$c->send_raw("$text\r\n");
	my $line;
	do { $line = $c->line // die 'end of file' } until $line =~ /^x /;
	die $line unless $line =~ /^x OK/;
}

# { "box message-id seen flagged" => count } on the server.
sub on_server {
	my ($p, @boxes) = @_;
	my %have;
	my $c = $p->imap('alice');
	for my $box (@boxes) {
		$c->imap("EXAMINE \"$box\"");
		for my $item ($c->imap('UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])')) {
			my ($id) = $item =~ /message-id: <([^>]+)>/i or next;
			my ($flags) = $item =~ /FLAGS \(([^)]*)\)/;
			$have{ join ' ', $box =~ s{.*[./]}{}r, $id, map { $flags =~ /\\$_/ ? 1 : 0 } qw(Seen Flagged) }++;
		}
	}
	$c->imap('LOGOUT');
	return \%have;
}

sub in_copy {
	my ($root) = @_;
	my %have;
	for my $file (split /\n/, `find '$root' -type f -path '*/cur/*' -o -type f -path '*/new/*'`) {
		my $box = basename(dirname(dirname($file))) =~ s/.*\.//r;
		my ($id) = Posthouse::slurp($file) =~ /^message-id: <([^>]+)>/mi or next;
		my ($flags) = $file =~ /:2,(\w*)$/;
		$have{ join ' ', $box, $id, map { ($flags // '') =~ /$_/ ? 1 : 0 } qw(S F) }++;
	}
	return \%have;
}

sub same {
	my ($name, $p, $root, $count, @boxes) = @_;
	my ($server, $copy) = (on_server($p, @boxes), in_copy($root));
	is_deeply $copy, $server, "$name: the same on both sides";
	my $n = 0;
	$n += $_ for values %$server;
	is $n, $count, "$name: $count letters";
}

sub build {
	my ($p, @boxes) = @_;
	my $c = $p->imap('alice');
	$c->imap('SELECT INBOX');
	$c->imap('STORE 1:* +FLAGS.SILENT (\Deleted)', qr/./);
	$c->imap('CLOSE');
	$c->imap("DELETE \"$_\"", qr/./) for reverse @boxes[ 1 .. $#boxes ];
	for my $box (@boxes[ 1 .. $#boxes ]) {
		$c->imap("CREATE \"$box\"");
		$c->imap("SUBSCRIBE \"$box\"");
	}
	my $n = 0;
	for my $box (@boxes) {
		append($c, $box, $n++, $_ % 2 ? '\Seen' : '') for 0 .. 5;
	}
	$c->imap('LOGOUT');
}

# A flag, an expunge, a new letter and a copy there; a deletion, flags and a new letter here.
sub change {
	my ($p, $root, @boxes) = @_;
	my $c = $p->imap('alice');
	$c->imap("SELECT \"$boxes[1]\"");
	$c->imap('STORE 1 +FLAGS (\Flagged)');
	$c->imap('STORE 2 +FLAGS (\Deleted)');
	$c->imap('EXPUNGE');
	append($c, $boxes[2], 900, '');
	$c->imap("SELECT \"$boxes[2]\"");
	$c->imap("COPY 1 \"$boxes[3]\"");
	$c->imap('LOGOUT');
	my $leaf = $boxes[2] =~ s{.*[./]}{}r;
	my ($gone, $flagged, @rest) = sort grep { basename(dirname(dirname($_))) =~ /(?:^|\.)\Q$leaf\E$/ }
		split /\n/, `find '$root' -type f -path '*/cur/*' -o -type f -path '*/new/*'`;
	unlink $gone or die;
	my $box = dirname(dirname($flagged));
	rename $flagged, "$box/cur/" . basename($flagged) =~ s/:2,.*//r . ':2,FS' or die;
	Posthouse::write_file("$box/new/99999.local", letter(901) =~ s/\r\n/\n/gr);
}

sub mbsync {
	my ($p, $root, $pattern) = @_;
	Posthouse::write_file($p->dir . '/mbsyncrc', <<END);
IMAPAccount a
Host @{[ $p->address ]}
Port 2143
User alice
Pass @{[ $p->password('alice') ]}
SSLType None
AuthMechs LOGIN

IMAPStore r
Account a

MaildirStore l
Path $root/
Inbox $root/INBOX
SubFolders Verbatim

Channel c
Far :r:
Near :l:
Patterns INBOX $pattern
Create Both
Expunge Both
SyncState *
END
	return ('timeout', 60, 'mbsync', '-c', $p->dir . '/mbsyncrc', 'c');
}

sub offlineimap {
	my ($p, $root) = @_;
	Posthouse::write_file($p->dir . '/offlineimaprc', <<END);
[general]
accounts = a
metadata = $root.meta
maxsyncaccounts = 1
ui = basic
[Account a]
localrepository = l
remoterepository = r
[Repository l]
type = Maildir
localfolders = $root
sync_deletes = yes
[Repository r]
type = IMAP
remotehost = @{[ $p->address ]}
remoteport = 2143
remoteuser = alice
remotepass = @{[ $p->password('alice') ]}
ssl = no
starttls = no
auth_mechanisms = PLAIN, LOGIN
expunge = yes
END
	return ('timeout', 90, 'offlineimap', '-c', $p->dir . '/offlineimaprc', '-o');
}

for my $layout (sort keys %layout) {
	my $p = Posthouse->new(main => { %{ $layout{$layout}{main} }, mail_max_userip_connections => 50 })->start;
	$ENV{HOME} = $p->dir;
	my $c = $p->imap('alice');
	my ($separator) = map { /\) "(.)" / ? $1 : () } $c->imap('LIST "" ""');
	$c->imap('LOGOUT');
	my @boxes = $layout{$layout}{boxes}->($separator);
	for my $program ([ 'mbsync', \&mbsync, 'sync*' ], [ 'offlineimap', \&offlineimap ]) {
		my ($name, $command, @more) = @$program;
		my $root = $p->dir . "/copy-$name";
		mkdir $root;
		my @cmd = $command->($p, $root, @more);
		my $sync = sub {
			my ($status, $text) = Posthouse::run(@cmd);
			is $status, 0, "$layout, $name: $_[0]" or diag $text;
		};
		build($p, @boxes);
		$sync->('first run');
		same("$layout, $name", $p, $root, 24, @boxes);
		change($p, $root, @boxes);
		$sync->('second run');
		$sync->('third run') if $name eq 'offlineimap'; # it takes what it sent up down again first
		same("$layout, $name, after changes", $p, $root, 25, @boxes);
		my $before = in_copy($root);
		$sync->('last run');
		is_deeply in_copy($root), $before, "$layout, $name: nothing left to do";
	}
	$p->stop;
	is $p->log_count(qr/panic|signal|fatal|error: /), 0, "$layout: nothing died";
}
done_testing;
