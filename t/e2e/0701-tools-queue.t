#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# postqueue, postsuper, postcat: the queue seen and changed, with the mail system up and down.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $host = 'mail.example.test';
my $p = Posthouse->new(main => { relayhost => '[127.0.0.1]:1', minimal_backoff_time => '1000s', maximal_backoff_time => '4000s' });
my $dir = $p->dir;

sub listing {
	my ($status, $text) = $p->tool('postqueue', '-j');
	die "postqueue -j: $status: $text" if $status;
	return map { decode_json($_) } split /\n/, $text;
}

# The queue as id => object.
sub queue { return map { $_->{queue_id} => $_ } listing() }

sub queued {
	my (@to) = @_;
	my $id = $p->send_mail(to => \@to, from => 's@x.test', subject => "to @to");
	$p->wait_until("$id to be deferred", sub {
		my %now = queue();
		return $now{$id} && $now{$id}{queue_name} eq 'deferred' && !grep { !$_->{delay_reason} } @{ $now{$id}{recipients} };
	});
	return $id;
}

# --- nothing ---
my ($status, $text) = $p->tool('postqueue', '-p');
is $status, 69, 'no queue yet' or diag $text;
$p->start;
($status, $text) = $p->tool('postqueue', '-p');
is "$status $text", "0 Mail queue is empty\n", 'an empty queue';
is scalar(listing()), 0, 'as JSON';
for my $bad ([], ['-x'], [ '-p', 'x' ], [ '-p', '-j' ], [ '-i', '../x' ]) {
	is +($p->tool('postqueue', @$bad))[0], 64, "postqueue @$bad: wrong use";
}

# --- two letters ---
my $one = queued('a@one.test');
my $two = queued('b@two.test', 'c@two.test', "alice\@$host");
my %q = queue();
is_deeply [ sort keys %q ], [ sort $one, $two ], 'both are listed';
is $q{$one}{sender}, 's@x.test', 'sender';
is $q{$one}{recipients}[0]{address}, 'a@one.test', 'recipient';
like $q{$one}{recipients}[0]{delay_reason}, qr/Connection refused/, 'reason';
cmp_ok $q{$one}{message_size}, '>', 50, 'size';
cmp_ok abs($q{$one}{arrival_time} - time), '<', 30, 'arrival time';
ok !$q{$one}{forced_expire}, 'forced_expire';
is_deeply [ map { $_->{address} } @{ $q{$two}{recipients} } ], [ 'b@two.test', 'c@two.test' ], 'only open recipients';

($status, $text) = $p->tool('postqueue', '-p');
like $text, qr/\A----Queue ID----- --Size-- ---Arrival Time---- --Sender\/Recipient------\n/, 'heading';
like $text, qr/^\Q$one\E {1,3} +\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d s\@x\.test\n +\(.*\)\n {47}a\@one\.test\n\n/m, 'columns';
like $text, qr/^-- \d+ Kbytes in 2 Requests\.\n\z/m, 'the sum';
is +(grep { length > 76 + 2 } grep { /^ +\(/ } split /\n/, $text), 0, 'reasons end at column 78';

# --- postcat ---
($status, $text) = $p->tool('postcat', '-q', $two);
like $text, qr/^sender: s\@x\.test$/m, 'postcat: sender';
like $text, qr/^recipient: alice\@$host \(delivered\)$/m, 'who has it';
like $text, qr/^recipient: b\@two\.test \(pending(?:, tried \d+ times?)?\)$/m, 'who has not';
like $text, qr/^client: .*\[127\.[\d.]+\]$/m, 'where it came from';
like $text, qr/^Subject: to b\@two/m, 'content';
like $text, qr/^.*: delivered: <alice\@$host>, relay=local, dsn=2\.0\.0 \(delivered to mailbox\)$/m, 'journal: delivered';
($status, $text) = $p->tool('postcat', '-q', $one);
like $text, qr/^recipient: a\@one\.test \(pending, tried \d+ times?\)$/m, 'how often it was tried';
like $text, qr/^.*: deferred: <a\@one\.test>, dsn=4\.4\.1 \(connect to .*refused\)$/m, 'journal: deferred';
($status, $text) = $p->tool('postcat', '-bq', $one);
is $text, "Hello.\n", '-b' if $text !~ /^\n/;
like $text, qr/^Hello\.$/m, '-b: the body' ;
unlike $text, qr/Subject/, 'only';
($status, $text) = $p->tool('postcat', '-hq', $one);
like $text, qr/^Subject: to a\@one\.test$/m, '-h: the header';
unlike $text, qr/Hello/, 'only';
($status, $text) = $p->tool('postcat', '-eq', $one);
unlike $text, qr/Subject|Hello/, '-e: neither';
my ($file) = glob "$dir/queue/mail/*/$one";
($status, $text) = Posthouse::run("$Posthouse::BIN/postcat", $file);
like $text, qr/^sender: s\@x\.test$/m, 'postcat FILE';
(my $gone = $one) =~ s{^..}{33};
is +($p->tool('postcat', '-q', $gone))[0], 66, 'an id that is not there' ;
is +($p->tool('postcat', '-q', '../../main.cf'))[0], 64, 'no id at all';
is +(Posthouse::run("$Posthouse::BIN/postcat", "$dir/main.cf"))[0], 64, 'a file that is none of ours';

# --- postsuper ---
sub super { return $p->tool('postsuper', @_) }
($status, $text) = super('-h', $one);
is $status, 0, 'postsuper -h';
like $p->wait_log(qr/postsuper\[\d+\]: \Q$one\E: placed on hold$/), qr/posthouse/, 'the log says so, too';
like $text, qr/^postsuper: \Q$one\E: placed on hold\npostsuper: Placed on hold: 1 message$/m, 'says so';
%q = queue();
is $q{$one}{queue_name}, 'hold', 'it is on hold';
like +($p->tool('postqueue', '-p'))[1], qr/^\Q$one\E!/m, 'mailq shows it';
is +(super('-h', $one))[1], '', 'again: nothing to do';
($status, $text) = super('-H', 'ALL');
like $text, qr/Released from hold: 1 message$/m, '-H ALL';
$p->wait_until('released', sub { my %now = queue(); $now{$one}{queue_name} ne 'hold' });
($status, $text) = super('-r', $one);
like $text, qr/Requeued: 1 message$/m, '-r';
($status, $text) = super('-e', $two);
like $text, qr/Force-expired: 1 message$/m, '-e';
$p->wait_log(qr/\Q$two\E: from=<s\@x\.test>, status=force-expired, returned to sender/);
$p->wait_log(qr/\Q$two\E: removed/);
pass 'and it goes back to its sender';

my @more = map { queued("m$_\@many.test") } 1 .. 3;
open my $ids, '>', "$dir/ids" or die;
print $ids "$more[0]\n\n  $more[1]  \n";
close $ids;
($status, $text) = Posthouse::run('/bin/sh', '-c', "$Posthouse::BIN/postsuper -c $dir -d - <$dir/ids");
like $text, qr/Deleted: 2 messages$/m, '-d - takes ids from standard input';
%q = queue();
ok !$q{ $more[0] } && !$q{ $more[1] } && $q{ $more[2] }, 'they are gone, the third is there';
is +(super('-d', $more[0]))[0], 0, 'deleting what is gone is no error';
is +(super('-d', 'not/an/id'))[0], 69, 'what is no id is one';
is +(super())[0], 64, 'wrong use';
is +(super('-d', 'ALL', 'nonsense'))[0], 64, 'an unknown queue';
super('-h', $more[2]);
($status, $text) = super('-d', 'ALL', 'deferred');
%q = queue();
is_deeply [ keys %q ], [ $more[2] ], '-d ALL deferred leaves what is on hold';
($status, $text) = super('-d', 'ALL');
is +($p->tool('postqueue', '-p'))[1], "Mail queue is empty\n", '-d ALL';

# --- requests ---
my $id = queued('d@d.test');
my $before = $p->log_count(qr/\Q$id\E: from=/);
is +($p->tool('postqueue', '-f'))[0], 0, 'postqueue -f';
is +($p->tool('postqueue', '-i', $id))[0], 0, 'postqueue -i';
is +($p->tool('postqueue', '-s', 'd.test'))[0], 0, 'postqueue -s';

# --- hostile contents ---
$p->send_mail(to => "x\@elsewhere.test", from => "\"a\\\"b\\\\c d\"\@x.test");
$p->wait_until('the odd sender', sub { grep { $_->{sender} eq '"a\\"b\\\\c d"@x.test' } listing() });
pass 'quotes and backslashes in JSON';

# --- the mail system is down ---
$p->stop;
my %down = queue_from(($p->tool('postqueue', '-j'))[1]);
ok $down{$id}, 'the queue is read from the disk';
like +($p->tool('postqueue', '-p'))[1], qr/warning: the mail system is down: reading the queue directly\n/, 'with a warning';
is +($p->tool('postqueue', '-f'))[0], 69, 'nothing can be scheduled';
($status, $text) = super('-h', $id);
like $text, qr/Placed on hold: 1 message$/m, 'postsuper works';
%down = queue_from(($p->tool('postqueue', '-j'))[1]);
is $down{$id}{queue_name}, 'hold', 'it is on hold';
($file) = glob "$dir/queue/mail/*/$id";
open my $damage, '+<', $file or die;
seek $damage, 100, 0;
print $damage 'X';
close $damage;
is +(Posthouse::run("$Posthouse::BIN/postcat", $file))[0], 65, 'postcat: a damaged file';
like +($p->tool('postqueue', '-p'))[1], qr/\Q$id\E: the queue file is damaged/, 'postqueue: says so and goes on';
($status, $text) = super('-s');
like $text, qr/\Q$id\E: damaged, moved to corrupt/, 'postsuper -s puts it aside';
ok -f "$dir/queue/corrupt/$id", 'there it is';
$p->start;
%q = queue();
ok !$q{$id}, 'and the mail system does not see it';

sub queue_from { return map { $_->{queue_id} => $_ } map { decode_json($_) } grep { /^\{/ } split /\n/, $_[0] }

$p->stop;
done_testing;
