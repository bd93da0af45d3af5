#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# bounce_template_file: the administrator's texts in notices.
use strict;
use warnings;
use lib 't/lib';
use Posthouse;
use Test::More;

my $p = Posthouse->new(main => { transport_maps => 'inline:{ { err.test = error:5.1.6 moved } }', notify_classes => 'bounce', maximal_queue_lifetime => '3d' });
my $file = $p->dir . '/bounce.cf';
Posthouse::write_file($file, <<'END');
# texts
failure_template = <<EOF
Charset: iso-8859-1
From: MAILER-DAEMON (Die Post)
Subject: Zurueck
Postmaster-Subject: Kopie: Zurueck

Hier ist $myhostname. Nach ${maximal_queue_lifetime_hours} Stunden ($$).
EOF
END
$p->set(bounce_template_file => $file, bounce_notice_recipient => 'bob@example.test');
$p->start;
my $id = $p->submit(to => 'u@err.test', from => 'alice@example.test');
$p->wait_log(qr/$id: removed/, from => 0);
my %box = map { my $user = $_; $user => $p->wait_until("$user\'s notice", sub { my $t = Posthouse::slurp($p->spool($user)); $t =~ /--\n\z|--\n\n\z/ && $t }) } qw(alice bob);
like($box{alice}, qr/^From: MAILER-DAEMON\@mail\.example\.test \(Die Post\)\nSubject: Zurueck\nTo: alice/m, 'header');
like($box{alice}, qr/^Content-Type: text\/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nHier ist mail\.example\.test\. Nach 72 Stunden \(\$\)\.\n\n<u\@err\.test>: moved$/m, 'text');
like($box{bob}, qr/^Subject: Kopie: Zurueck$/m, "the postmaster's copy");
done_testing;
