#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Folders: CREATE, DELETE, RENAME, LIST and its extensions, LSUB, names past ASCII.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Posthouse;

my $p = Posthouse->new(master => <<'END', main => { mail_location => 'maildir:~/Maildir' });
imap inet n - y - - login -P imap
auth unix - n - - - auth
imap unix - n - - 1 imapd
END
$p->start;
my $c = $p->imap('alice');
sub untagged { my @l = @_; pop @l; return [ sort @l ] }
# Names of a LIST or LSUB reply.
sub names { return join ' ', sort map { /^\* (?:LIST|LSUB) \(.*?\) "\/" (\S+)/ ? $1 : () } @_ }

is_deeply untagged($c->imap('LIST "" ""')), ['* LIST (\Noselect) "/" ""'], 'the separator';
is names($c->imap('LIST "" *')), 'INBOX', 'INBOX is there';
is names($c->imap('LIST "" inbox')), 'INBOX', 'in any case';
$c->imap("CREATE $_") for qw(Sent work work/a work/a/deep work/b Entw&APw-rfe), '"with space"';
is names($c->imap('LIST "" %')), '"with Entw&APw-rfe INBOX Sent work', '%';
is names($c->imap('LIST "" work/*')), 'work/a work/a/deep work/b', 'work/*';
is names($c->imap('LIST work/ %')), 'work/a work/b', 'reference and %';
is names($c->imap('LIST "" (work/% Sent)')), 'Sent work/a work/b', 'several patterns';
is names($c->imap('LIST "" *' . '%*' x 100 . 'zz')), '', 'a pattern that would explode';
like join("\n", $c->imap('LIST "" work')), qr/\\HasChildren/, '\HasChildren';
like join("\n", $c->imap('LIST "" work/b')), qr/\\HasNoChildren/, '\HasNoChildren';
like join("\n", $c->imap('LIST "" Sent')), qr/\\Sent/, 'special use';
$c->imap("SUBSCRIBE $_") for qw(Sent work/a/deep);
is names($c->imap('LSUB "" *')), 'Sent work/a/deep', 'LSUB *';
is_deeply untagged($c->imap('LSUB "" %')), ['* LSUB () "/" Sent', '* LSUB (\Noselect) "/" work'], 'LSUB %: a parent of one';
is names($c->imap('LIST (SUBSCRIBED) "" *')), 'Sent work/a/deep', 'LIST (SUBSCRIBED)';
like join("\n", $c->imap('LIST (SUBSCRIBED RECURSIVEMATCH) "" %')), qr/"\/" work \("CHILDINFO" \("SUBSCRIBED"\)\)/, 'RECURSIVEMATCH';
like join("\n", $c->imap('LIST "" (Sent) RETURN (SUBSCRIBED CHILDREN)')), qr/\\Subscribed/, 'RETURN (SUBSCRIBED)';
is names($c->imap('LIST (SPECIAL-USE) "" *')), 'Sent', 'LIST (SPECIAL-USE)';
my @l = $c->imap('LIST "" work/% RETURN (STATUS (MESSAGES UNSEEN))');
is scalar(grep { /^\* STATUS work\/[ab] \(MESSAGES 0 UNSEEN 0\)$/ } @l), 2, 'LIST-STATUS';
$c->imap('UNSUBSCRIBE Sent');
is names($c->imap('LSUB "" *')), 'work/a/deep', 'UNSUBSCRIBE';
$c->imap('LIST (RECURSIVEMATCH) "" *', qr/ BAD /);
$c->imap('LIST "" * RETURN (FOO)', qr/ BAD /);
$c->imap('LIST ""', qr/ BAD /);

$c->imap('RENAME work/b neu');
is names($c->imap('LIST "" neu')), 'neu', 'RENAME';
$c->imap('RENAME nowhere x', qr/ NO \[NONEXISTENT\]/);
$c->imap('RENAME Sent neu', qr/ NO \[ALREADYEXISTS\]/);
$c->imap('DELETE neu');
$c->imap('DELETE neu', qr/ NO \[NONEXISTENT\]/);
$c->imap('DELETE INBOX', qr/ NO \[CANNOT\]/);
$c->imap($_, qr/ NO \[(?:CANNOT|NONEXISTENT)\]/) for 'CREATE ../x', 'CREATE a/../../x', 'SELECT ../../bob', 'DELETE ../x';
pass 'names that lead out are refused';
$c->imap("APPEND INBOX {14+}\r\nSubject: x\r\n\r\n");
$c->imap('RENAME INBOX old');
is_deeply untagged($c->imap('STATUS old (MESSAGES)')), ['* STATUS old (MESSAGES 1)'], 'RENAME INBOX moves the messages';
is_deeply untagged($c->imap('STATUS INBOX (MESSAGES)')), ['* STATUS INBOX (MESSAGES 0)'], 'and INBOX stays';
done_testing;
