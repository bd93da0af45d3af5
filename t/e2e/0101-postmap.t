#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# postmap and postalias, and tables exchanged with Postfix.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $BIN = $ENV{BIN} or die 'BIN is not set';
my $dir = tempdir(CLEANUP => 1);
my $err = '';

sub spew {
	my ($name, $text) = @_;
	open my $f, '>', "$dir/$name" or die "$name: $!";
	print $f $text;
	close $f or die;
}

# Run a program with text on its standard input: its standard output; the status is in $?, the rest in $err.
sub run {
	my ($in, @command) = @_;
	spew('in', $in);
	open my $p, '-|', 'sh', '-c', qq(exec "\$@" <"$dir/in" 2>"$dir/err"), 'sh', @command or die "$command[0]: $!";
	my $out = join '', <$p>;
	close $p;
	open my $e, '<', "$dir/err" or die;
	$err = join '', <$e>;
	return $out;
}

sub postmap { my ($in, @arg) = @_; return run($in, "$BIN/postmap", '-c', $dir, @arg) }
sub postalias { my ($in, @arg) = @_; return run($in, "$BIN/postalias", '-c', $dir, @arg) }

spew('main.cf', "myhostname = a.example\nunprivileged_mode = yes\nuserdb = passwd-file:$dir/users\n");
spew('users', "alice:{PLAIN}x\n");

for my $type (qw(hash btree lmdb)) {
	my $t = "$type:$dir/$type";

	spew($type, "# comment\nKey one\nother\n  two words\n\n\"with blank\" three\nkey again\n");
	chmod 0640, "$dir/$type";
	postmap('', $t);
	is $?, 0, "$type: made";
	like $err, qr/\Q$type\E:7: duplicate entry: "key"/, "$type: a second value is told";
	my ($compiled) = grep { -e } "$dir/$type.db", "$dir/$type.lmdb";
	is + (stat $compiled)[2] & 07777, 0640, "$type: with the mode of the text";
	is postmap('', '-q', 'KEY', $t), "one\n", "$type: -q";
	is postmap('', '-q', 'with blank', $t), "three\n", "$type: a quoted key";
	is postmap('', '-q', 'nothing', $t), '', "$type: a key that is not there";
	is $? >> 8, 1, "$type: has status 1";
	is postmap("key\nnothing\nother\n", '-q', '-', $t), "key\tone\nother\ttwo words\n", "$type: keys from standard input";
	postmap("new 4\nkey 5\n", '-i', $t);
	is postmap('', '-q', 'new', $t), "4\n", "$type: -i";
	is postmap('', '-q', 'key', $t), "one\n", "$type: -i does not replace";
	postmap("key 5\n", '-ir', $t);
	is postmap('', '-q', 'key', $t), "5\n", "$type: -i -r does";
	postmap('', '-d', 'other', $t);
	is $?, 0, "$type: -d";
	postmap('', '-d', 'other', $t);
	is $? >> 8, 1, "$type: -d of what is not there";
	is join('', sort split /^/, postmap('', '-s', $t)), "key\t5\nnew\t4\nwith blank\tthree\n", "$type: -s";
	spew($type, "key six\n");
	is postmap('', '-q', 'key', $t), "six\n", "$type: a newer text is taken without postmap";
	unlink "$dir/$type";
	is postmap('', '-q', 'key', $t), "six\n", "$type: and is not needed then";
}

postmap('', '-q', 'x', "hash:$dir/missing");
is $? >> 8, 1, 'a table that is not there';
like $err, qr{error: open database \Q$dir\E/missing\.db: No such file or directory}, 'is an error';
postmap('', "hash:$dir/missing");
like $err, qr{error: open \Q$dir\E/missing: No such file or directory}, 'also when it is to be made';
postmap('', "regexp:$dir/hash");
like $err, qr/only hash, btree and lmdb tables are compiled/, 'a type that is not compiled';
is postmap('', '-q', 'alice', 'unix:passwd.byname') =~ /^alice:/, 1, 'users';
is postmap('', '-q', 'b', 'inline:{a=1}', 'inline:{b=2}'), "2\n", 'several tables';
spew('re', "/^(.*)\@x\$/ \$1 at x\n");
is postmap('', '-q', 'me@X', "regexp:$dir/re"), "me at x\n", 'patterns';
is postmap('', '-q', 'me@X', "pcre:$dir/re"), "me at x\n", 'of both kinds';
spew('net', "10.0.0.0/8 ten\n");
is postmap('', '-q', '10.1.2.3', "cidr:$dir/net"), "ten\n", 'networks';

spew('aliases', "Root: alice\nlist: a\@x.example,\n  |/bin/cat\n\"a b\": c\nwrong\n");
postalias('', "$dir/aliases");
like $err, qr/aliases:5: an alias is/, 'postalias tells of a wrong line';
is postalias('', '-q', 'root', "$dir/aliases"), "alice\n", 'and takes the others';
is postalias('', '-q', 'a b', "$dir/aliases"), "c\n", 'a quoted name';
like postalias('', '-q', 'list', "$dir/aliases"), qr/^a\@x\.example,\s+\|\/bin\/cat$/, 'a list over two lines';

# --- with Postfix, when it is here ------------------------------------------------------------------------------------
SKIP: {
	my ($theirs) = grep { -x } '/usr/sbin/postmap', '/usr/bin/postmap';
	my $version = $theirs ? `postconf -h mail_version 2>/dev/null` : '';
	skip 'Postfix is not installed', 4 unless $version =~ /^[23]\./;
	mkdir "$dir/postfix";
	spew('postfix/main.cf', "queue_directory = $dir\ndata_directory = $dir\nmyhostname = a.example\n");
	spew('pf', "key one\nOther two\n");
	run('', $theirs, '-c', "$dir/postfix", "hash:$dir/pf");
	unlink "$dir/pf";
	is postmap('', '-q', 'key', "hash:$dir/pf"), "one\n", "Postfix's table read here";
	is postmap('', '-q', 'OTHER', "hash:$dir/pf"), "two\n", 'in lower case';
	spew('ours', "key one\n");
	postmap('', "hash:$dir/ours");
	is run('', $theirs, '-c', "$dir/postfix", '-q', 'key', "hash:$dir/ours"), "one\n", 'ours read by Postfix';
	postmap('', '-n', "hash:$dir/ours");
	is run('', $theirs, '-c', "$dir/postfix", '-q', 'key', "hash:$dir/ours"), "one\n", 'without the NUL as well';
}

done_testing;
