#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Who is a recipient, as a stranger sees it: address classes, tables of every kind, and what happens when tables change.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(relay => '192.0.2.0/24', main => <<'END');
recipient_delimiter = +
proxy_interfaces = 192.0.2.9
relay_domains = relay.test
relay_recipient_maps = inline:{known@relay.test=x}
smtpd_error_sleep_time = 0s
smtpd_hard_error_limit = 1000
smtpd_soft_error_limit = 1000
END
my $dir = $p->dir;
$p->set(
	virtual_alias_maps => "hash:$dir/virtual, pcre:$dir/virtual.pcre",
	virtual_alias_domains => 'alias.test both.test',
	virtual_mailbox_domains => "$dir/domains",
	virtual_mailbox_maps => "texthash:$dir/boxes",
	virtual_mailbox_base => "$dir/boxes.d",
	mydestination => '$myhostname, $mydomain, localhost, both.test',
);
Posthouse::write_file("$dir/virtual", "info\@alias.test alice\n\@all.alias.test bob\nnick\@example.test alice\n");
Posthouse::write_file("$dir/virtual.pcre", "/^list-(.*)\@alias\\.test\$/ \$1\@example.test\n");
Posthouse::write_file("$dir/domains", "# ours\nbox.test\n");
Posthouse::write_file("$dir/boxes", "one\@box.test one/\n");
Posthouse::append_file("$dir/aliases", "team: alice, bob\n");
$p->start;

my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250[ -]/);
$c->cmd('MAIL FROM:<>', qr/^250 /);

# Replies may be read again and again: a table that has just changed is noticed within a second.
sub rcpt {
	my ($address, $want, $name) = @_;
	my $reply = $c->cmd("RCPT TO:<$address>", qr/^\d/);
	$reply = $p->wait_until($address, sub { my $r = $c->cmd("RCPT TO:<$address>", qr/^\d/); $r =~ $want ? $r : undef }, 5)
		if $reply !~ $want && $name =~ /changed/;
	like $reply, $want, $name || $address;
}

sub unknown { my ($table) = @_; return qr/^550 5\.1\.1 <.*>: Recipient address rejected: User unknown in $table table/ }

rcpt('alice@example.test', qr/^250 2\.1\.5 /);
rcpt('Alice@EXAMPLE.test', qr/^250 /);
rcpt('alice+ext@mail.example.test', qr/^250 /);
rcpt('team@localhost', qr/^250 /, 'an alias');
rcpt('nick@example.test', qr/^250 /, 'a virtual alias in a local domain');
rcpt('postmaster', qr/^250 /, 'postmaster without a domain');
rcpt('postmaster@example.test', qr/^250 /);
rcpt('nobody@example.test', unknown('local recipient'));
rcpt('../alice@example.test', unknown('local recipient'));
rcpt('alice@[' . $p->address . ']', qr/^250 /, 'our address as a literal');
rcpt('alice@[192.0.2.9]', qr/^250 /, 'the address of the translator');
rcpt('alice@[192.0.2.10]', qr/^\d5\d 5?4?\.7\.1 .*Relay access denied/, 'another address');
rcpt('info@alias.test', qr/^250 /);
rcpt('list-bob@alias.test', qr/^250 /, 'a pattern');
rcpt('other@alias.test', unknown('virtual alias'));
rcpt('one@box.test', qr/^250 /);
rcpt('two@box.test', unknown('virtual mailbox'));
rcpt('known@relay.test', qr/^250 /);
rcpt('unknown@relay.test', unknown('relay recipient'));
rcpt('any@elsewhere.test', qr/^\d5\d [45]\.7\.1 .*Relay access denied/);
rcpt('any%elsewhere.test@example.test', qr{^454 4\.7\.1 .*Relay access denied}, 'no way round by a %');
rcpt('elsewhere.test!any@example.test', qr{^454 4\.7\.1 .*Relay access denied}, 'or a !');
like $p->wait_log(qr/BOTH/, from => 0), qr/do not list domain both\.test in BOTH mydestination and virtual_alias_domains/,
	'a domain in two classes is told';

Posthouse::append_file("$dir/virtual", "more\@alias.test alice\n");
rcpt('more@alias.test', qr/^250 /, 'the virtual table changed');
Posthouse::append_file("$dir/aliases", "later: alice\n");
rcpt('later@example.test', qr/^250 /, 'the alias table changed');
Posthouse::append_file("$dir/users", "carol:{PLAIN}x::::\n");
rcpt('carol@example.test', qr/^250 /, 'the users changed');
Posthouse::append_file("$dir/domains", "second.test\n");
Posthouse::append_file("$dir/boxes", "x\@second.test x/\n");
rcpt('x@second.test', qr/^250 /, 'the list of domains changed');
rename "$dir/boxes", "$dir/boxes.away" or die;
rcpt('one@box.test', qr/^451 4\.3\.0 .*Temporary lookup failure/, 'a table that is gone has changed to a temporary failure');
like $p->wait_log(qr/boxes/), qr/error: open \S+boxes: No such file or directory/, 'with the reason in the log';
rename "$dir/boxes.away", "$dir/boxes" or die;
rcpt('one@box.test', qr/^250 /, 'and is there again when it has changed back');

$c->cmd('QUIT', qr/^221 /);
$p->stop;
done_testing;
