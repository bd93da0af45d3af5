#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# When a message came into its mailbox: RFC 8514 (SAVEDATE), over mbox and Maildir.
use strict;
use warnings;
use POSIX qw(strftime mktime);
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my ($p, $c, $location);
my %MONTH = (Jan => 0, Feb => 1, Mar => 2, Apr => 3, May => 4, Jun => 5, Jul => 6, Aug => 7, Sep => 8, Oct => 9, Nov => 10, Dec => 11);
$ENV{TZ} = 'UTC';
POSIX::tzset();

sub append {
	my ($args, $text) = @_;
	$text =~ s/\n/\r\n/g;
	$c->imap("APPEND INBOX $args {" . length($text) . "+}\r\n$text");
}
sub bad { return ($c->imap($_[0], qr/^/))[-1] }
sub found { return ($c->imap("SEARCH $_[0]"))[0] }
# seconds, or NIL, of each message
sub dates {
	return map {
		/\(SAVEDATE (?:"([ \d]\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"|(NIL))/
			? $10 // mktime($6, $5, $4, $1, $MONTH{$2}, $3 - 1900) - "${7}1" * ($8 * 3600 + $9 * 60) : ()
	} $c->imap('FETCH 1:* (SAVEDATE)');
}
sub within { my ($at, $from) = @_; return $at ne 'NIL' && $at >= $from - 1 && $at <= time + 1 }
sub day { return strftime('%d-', gmtime $_[0]) . (sort { $MONTH{$a} <=> $MONTH{$b} } keys %MONTH)[(gmtime $_[0])[4]] . strftime('-%Y', gmtime $_[0]) }

sub dialogue {
	my $from = time;
	append('"01-Feb-2020 10:00:00 +0000"', "Subject: old\n\nbody\n");
	$p->submit(to => 'alice@example.test');
	$p->wait_log(qr/ status=sent/);
	$c->imap('SELECT INBOX');
	my @at = dates();
	is @at, 2, 'two messages';
	ok within($at[0], $from), 'APPEND: now, whatever the internal date is' or diag "$at[0]";
	ok within($at[1], $from), 'a letter: now' or diag "$at[1]";
	like +($c->imap('FETCH 1 (INTERNALDATE)'))[0], qr/ 1-Feb-2020|01-Feb-2020/, 'the internal date is another one';
	my $tomorrow = day(time + 2 * 86400);
	is found("SAVEDBEFORE $tomorrow"), '* SEARCH 1 2', 'SAVEDBEFORE';
	is found('SAVEDBEFORE 2-Feb-2020'), '* SEARCH', '... is not BEFORE';
	is found('BEFORE 2-Feb-2020'), '* SEARCH 1', '... this is';
	is found('SAVEDSINCE 2-Feb-2020'), '* SEARCH 1 2', 'SAVEDSINCE';
	is found("SAVEDSINCE $tomorrow"), '* SEARCH', '... not yet';
	is found('OR SAVEDON ' . day($at[0]) . ' SAVEDON ' . day($at[1])), '* SEARCH 1 2', 'SAVEDON';
	is found('SAVEDON 1-Feb-2020'), '* SEARCH', '... another day';
	is found('NOT SAVEDATESUPPORTED'), '* SEARCH', 'SAVEDATESUPPORTED: all, or none would be it';
	is found('SAVEDATESUPPORTED'), '* SEARCH 1 2', '... all';
	like bad($_), qr/ BAD /, "BAD: $_" for 'SEARCH SAVEDON', 'SEARCH SAVEDBEFORE yesterday', 'SEARCH SAVEDSINCE 32-Feb-2020', 'FETCH 1 (SAVEDATE.PEEK)';
	$c->imap('STORE 1:2 +FLAGS (\Seen $x)');
	is_deeply [dates()], \@at, 'it does not change with flags';
	$c->imap('CREATE copies');
	$from = time;
	$c->imap('COPY 1 copies');
	$c->imap('SELECT copies');
	ok within((dates())[0], $from), 'COPY: now';
	$c->imap('CLOSE');
	unlink glob("$p->{dir}/home/alice/mail/.imap/*/posthouse-{index,cache}"), glob("$p->{dir}/home/alice/Maildir/{.*/,}posthouse-*");
	$p->stop;
	$p->start;
	$c = $p->imap('alice');
	$c->imap('SELECT INBOX');
	is_deeply [dates()], \@at, 'the index is lost: the same dates';
	if ($location =~ /^mbox/) {
		append('', "Subject: x\n\nx\n");
		$c->imap('STORE 1 +FLAGS (\Deleted ' . join(' ', map { "keyword$_" } 1 .. 20) . ')');
		$c->imap('EXPUNGE');
		is +(dates())[0], $at[1], 'the mbox is rewritten: the same date';
		$c->imap('CLOSE');
		Posthouse::append_file("$p->{dir}/home/alice/inbox", "\nFrom mutt Sat Feb  1 10:00:00 2020\nSubject: foreign\n\nbody\n\n");
		$c->imap('SELECT INBOX');
		is +(dates())[-1], 'NIL', 'what another program wrote: nobody knows';
		is found('SAVEDBEFORE 2-Feb-2020'), '* SEARCH 3', '... its internal date has to do';
	}
	$c->close;
}

for (['mbox:~/mail:INBOX=~/inbox', 'inbox'], ['maildir:~/Maildir', 'Maildir/']) {
	my $home_mailbox;
	($location, $home_mailbox) = @$_;
	subtest $location => sub {
		$p = Posthouse->new(main => { mail_location => $location, home_mailbox => $home_mailbox });
		$p->start;
		$c = $p->imap('alice');
		like +($c->imap('CAPABILITY'))[0], qr/ SAVEDATE\b/, 'advertised';
		dialogue();
		$p->stop;
	};
}
done_testing;
