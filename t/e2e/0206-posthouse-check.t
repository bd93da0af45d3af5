#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# posthouse check: one precise line per mistake.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(programs => ['echo'], master => "2701 inet n - - - 3 echo\n");
my $good = Posthouse::slurp($p->dir . '/main.cf');

my ($status, $text) = $p->tool('posthouse', 'check');
is $status, 0, 'an instance as it was made has no mistakes';
is scalar(() = $text =~ /^[\w.]+: everything fine$/mg), 8, 'and every section says so' or diag $text;

my $d = $p->dir;
my @cases = (
	[ 'misspelt name', "mydestinations = x\n", qr/^main\.cf: error: \Q$d\E\/main\.cf:\d+: .*mydestinations.*mydestination\b/m ],
	[ 'bad time', "smtpd_timeout = soon\n", qr/^main\.cf: error: \Q$d\E\/main\.cf:\d+: smtpd_timeout = soon/m ],
	[ 'out of range', "sessions = 0\n", qr/^main\.cf: error: .*sessions = 0: must not be less than 1/m ],
	[ 'unknown facility', "syslog_facility = mails\n", qr/^main\.cf: error: syslog_facility = mails/m ],
	[ 'short host name', "myhostname = mail\n", qr/^main\.cf: warning: myhostname = mail: not a fully qualified name/m ],
	[ 'missing table', "virtual_alias_maps = hash:$d/nosuch\n", qr/^tables: error: .*\Q$d\E\/nosuch/m ],
	[ 'unknown table type', "transport_maps = foo:bar\n", qr/^tables: error: foo:bar: unknown type/m ],
	[ 'missing passwd-file', "userdb = passwd-file:$d/nosuch\n", qr/^tables: error: userdb: passwd-file:\Q$d\E\/nosuch: No such file/m ],
	[ 'a domain twice', "virtual_alias_domains = example.test\nvirtual_alias_maps = inline:{a=b}\n",
		qr/^routes: warning: do not list domain example\.test in BOTH mydestination and virtual_alias_domains/m ],
	[ 'no syslog', "maillog_file =\n", qr/^main\.cf: warning: no syslog daemon/m ],
	[ 'no spool', "mail_spool_directory = $d/nosuch\n", qr/^directories: error: mail_spool_directory = \Q$d\E\/nosuch: No such file/m ],
	[ 'queue is a file', "queue_directory = $d/aliases\n", qr/^directories: error: \Q$d\E\/aliases: not a directory/m ],
	[ 'no room', "message_size_limit = 4611686018427387904\nmailbox_size_limit = 0\n", qr/^directories: error: queue_directory: .*no room/m ],
	[ 'missing program', "daemon_directory = $d\n", qr/^master\.cf: error: master\.cf:1: service 2701: \Q$d\E\/echo: No such file/m ],
	[ 'interface without address', "inet_interfaces = nosuch.invalid\n", qr/nosuch\.invalid/ ],
);
@cases = grep { $_->[0] ne 'no syslog' } @cases if -e '/dev/log';
for (@cases) {
	my ($name, $lines, $re) = @$_;
	Posthouse::write_file("$d/main.cf", $good . $lines);
	($status, $text) = $p->tool('posthouse', 'check');
	is $status, 1, "$name: found";
	like $text, $re, "$name: told where";
}
Posthouse::write_file("$d/main.cf", $good . "unprivileged_mode = no\nmail_owner = nosuchuser\n");
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^users: error: mail_owner = nosuchuser: there is no such user; useradd/m, 'missing user: found, with the remedy';

Posthouse::write_file("$d/main.cf", $good);
Posthouse::write_file("$d/master.cf", "2701 inet n n - - 3 smtpd\nlocal unix - - - - - local\n");
($status, $text) = $p->tool('posthouse', 'check');
like $text, qr/^master\.cf: warning: master\.cf:1: .*smtpd does not run as root/m, 'unpriv n for smtpd is not taken in silence';
like $text, qr/^master\.cf: warning: master\.cf:2: .*local needs root/m, 'nor y for local';
Posthouse::append_file("$d/master.cf", "2702 inet n - - - 3 echo -o session=3\n");
($status, $text) = $p->tool('posthouse', 'check');
is $status, 1, 'a misspelt -o: found';
like $text, qr/^master\.cf: error: -o session=3: .*sessions/m, 'with the nearest name' or diag $text;

Posthouse::write_file("$d/main.cf", $good . "maillog_file = $d/nosuch/log\n");
($status, $text) = $p->tool('posthouse', 'start');
is $status, 1, 'a log file that cannot be opened: not started';
like $text, qr/maillog_file = \Q$d\E\/nosuch\/log: No such file/, 'and said why';
done_testing;
