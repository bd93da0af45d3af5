#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Virtual mailboxes: paths from a table, directories made as needed, nothing outside the base.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(main => {
	virtual_mailbox_domains => 'v.test',
	virtual_mailbox_base => '$data_directory/virtual',
	virtual_mailbox_maps => 'texthash:$config_directory/boxes',
	virtual_mailbox_limit => 20000,
	message_size_limit => 15000,
	recipient_delimiter => '+',
});
my $dir = $p->dir;
Posthouse::write_file("$dir/boxes", <<'END');
one@v.test	v.test/one/
Two@V.test	v.test/sub/two
out@v.test	../../../../outside
@all.v.test	all/
END
$p->start;

sub result {
	my ($to, %o) = @_;
	my $from = $p->{logpos};
	my $id = $p->send_mail(to => $to, from => 's@mail.example.test', %o);
	$p->wait_log(qr/\Q$id\E: to=/, from => $from);
	return (grep { /\Q$id\E: to=/ } split /\n/, Posthouse::slurp($p->maillog))[0];
}

like result('one@v.test'), qr/: to=<one\@v\.test>, relay=virtual, .*status=sent \(delivered to maildir\)/, 'a Maildir';
my @new = glob "$dir/data/virtual/v.test/one/new/*";
is scalar @new, 1, 'is made with its directories';
like Posthouse::slurp($new[0]), qr/^Delivered-To: one\@v\.test$/m, 'Delivered-To';
like result('one+x@V.TEST'), qr/status=sent \(delivered to maildir\)/, 'extension and case';
like result('two@v.test'), qr/status=sent \(delivered to mailbox\)/, 'an mbox';
like Posthouse::slurp("$dir/data/virtual/v.test/sub/two"), qr/\AFrom s\@mail\.example\.test /, 'in a directory made for it';
like result('two@v.test', text => "Subject: big\n\n" . ("x" x 70 . "\n") x 180), qr/status=sent/, 'below the limit';
like result('two@v.test', text => "Subject: big\n\n" . ("x" x 70 . "\n") x 180), qr/dsn=4\.2\.2, status=deferred/, 'virtual_mailbox_limit';
like result('out@v.test'), qr/dsn=4\.3\.5, status=deferred \(bad path/, 'a path that climbs out is refused';
ok !-e "$dir/../outside" && !-e "$dir/outside", 'and nothing was made there';

my $c = $p->smtp;
$c->cmd('EHLO client.test', qr/^250 /m);
$c->cmd('MAIL FROM:<s@mail.example.test>', qr/^250/);
$c->cmd('RCPT TO:<none@v.test>', qr/^550 5\.1\.1 .*User unknown in virtual mailbox table/);
pass 'an unknown mailbox is refused at RCPT';

$p->stop;
done_testing;
