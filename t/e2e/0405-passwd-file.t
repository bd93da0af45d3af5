#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Passwords of a passwd-file: schemes, fields that match nothing, changes while running; and what an unknown user costs.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use MIME::Base64;
use Posthouse;
use Time::HiRes qw(time);

my $p = Posthouse->new(programs => ['userecho'], master => <<'END',
imap inet n - y - - login -P imap
auth unix - n - - 1 auth
imap unix - n - - 1 userecho
END
	main => { auth_failure_delay => '0s', login_max_attempts => 1000, mail_max_userip_connections => 0 });
my ($uid, $gid) = ($<, (split ' ', $()[0]);
my %field = (
	bare => crypt('secret', '$6$saltsalt'),
	crypt => '{CRYPT}' . crypt('secret', '$1$saltsalt'),
	sha512 => '{SHA512-CRYPT}' . crypt('secret', '$6$saltsalt'),
	rounds => '{SHA512-CRYPT}' . crypt('secret', '$6$rounds=1000$saltsalt'),
	sha256 => '{sha256-crypt}' . crypt('secret', '$5$saltsalt'),
	md5 => '{MD5-CRYPT}' . crypt('secret', '$1$saltsalt'),
	bcrypt => '{BLF-CRYPT}' . crypt('secret', '$2b$05$saltsaltsaltsaltsaltsu'),
	plain => '{PLAIN}secret',
	clear => '{CLEARTEXT}secret',
);
my %never = (empty => '', emptyplain => '{PLAIN}', locked => '!' . $field{bare}, star => '*', lockedcrypt => '{CRYPT}!', short => '{CRYPT}x',
	nothash => 'secret');
my %broken = (unknown => '{ARGON9}secret', mismatch => '{SHA512-CRYPT}$1$saltsalt$x');

sub users { join '', map { "$_:$_[0]{$_}:$uid:${gid}::/tmp:/bin/sh:\n" } sort keys %{ $_[0] } }
Posthouse::write_file($p->dir . '/users', "# comment\n\n" . users({ %field, %never, %broken }));
$p->start;

my $c = $p->connect('imap');
$c->expect(qr/^\* OK/);
my $no = qr/^\S+ NO \[AUTHENTICATIONFAILED\]/;

sub good {
	my ($user, $password) = @_;
	my $d = $p->connect('imap');
	$d->expect(qr/^\* OK/);
	$d->send("t LOGIN $user \"$password\"");
	return ($d->line // '') =~ /^t OK user=\Q$user\E /;
}

for my $user (sort keys %field) {
	$c->imap("LOGIN $user \"$_\"", $no) for 'Secret', 'secre', 'secrets', 'secret ', '';
	$c->imap("AUTHENTICATE PLAIN " . encode_base64("\0$user\0secret\0", ''), qr/^\S+ BAD/);
	ok good($user, 'secret'), "$user: the right password and no other";
}
for my $user (sort keys %never) {
	$c->imap("LOGIN $user \"$_\"", $no) for '', 'secret', '!', '*', 'x', substr($never{$user}, 0, 100) =~ s/["\\]//gr;
	pass "$user: no password";
}
for my $user (sort keys %broken) {
	$c->imap("LOGIN $user secret", qr/^\S+ NO \[UNAVAILABLE\]/);
	$p->wait_log(qr{auth\[\d+\]: error: \S+/users: entry of $user: password scheme}, from => 0);
	pass "$user: the log says what is wrong";
}

# A user who is added or changed while auth runs.
$c->imap('LOGIN late secret', $no);
Posthouse::append_file($p->dir . '/users', users({ late => '{PLAIN}secret' }));
$p->wait_until('the new user', sub { good('late', 'secret') });
my $all = Posthouse::slurp($p->dir . '/users');
Posthouse::write_file($p->dir . '/users.new', $all =~ s/^late:.*$/late:{PLAIN}other:$uid:${gid}::\/tmp:\/bin\/sh:/mr);
rename $p->dir . '/users.new', $p->dir . '/users' or die $!;
$p->wait_until('the new password', sub { good('late', 'other') });
ok !good('late', 'secret'), 'the old password is out of use';

# Who does not exist costs as much as a wrong password does.
Posthouse::write_file($p->dir . '/users', users({ alice => $field{bare}, bob => '{PLAIN}x' }));
$p->wait_until('the old users gone', sub { !good('late', 'other') });
# (A busy machine can blur a median; what really takes longer does so each time.)
my @others = ('bob', 'nobody', '../etc');
my %median;
sub medians {
	my %took;
	for my $round (1 .. 15) {
		for my $user ('alice', @others) {
			my $from = time;
			$c->imap("LOGIN \"$user\" wrong", $no);
			push @{ $took{$user} }, time - $from;
		}
	}
	return map { $_ => (sort { $a <=> $b } @{ $took{$_} })[7] } keys %took;
}
sub alike { return abs(log $median{ $_[0] } / $median{alice}) < log 2.5 }
for my $try (1 .. 3) {
	%median = medians();
	last unless grep { !alike($_) } @others;
}
ok alike($_), sprintf '%s: %.1f ms, alice: %.1f ms', $_, 1000 * $median{$_}, 1000 * $median{alice} for @others;
$p->stop;
done_testing;
