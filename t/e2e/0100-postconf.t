#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# postconf, and configurations as people bring them from Postfix.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $BIN = $ENV{BIN} or die 'BIN is not set';
my $dir = tempdir(CLEANUP => 1);

sub spew {
	my ($name, $text) = @_;
	open my $f, '>', "$dir/$name" or die "$name: $!";
	print $f $text;
	close $f or die;
}

sub slurp {
	open my $f, '<', "$dir/$_[0]" or die "$_[0]: $!";
	local $/;
	my $text = <$f>;
	return $text // '';
}

# status, standard output, standard error
sub run {
	my ($tool, @args) = @_;
	open my $p, '-|', 'sh', '-c', 'exec "$@" 2>' . "$dir/err", 'sh', "$BIN/$tool", @args or die "$tool: $!";
	local $/;
	my $out = <$p>;
	close $p;
	return ($? >> 8, $out // '', slurp('err'));
}

sub postconf { return run('postconf', '-c', $dir, @_) }
sub value { my (undef, $out) = postconf('-xh', $_[0]); chomp $out; return $out }

spew('master.cf', '');

# --- a stock file: the settings of Postfix 3.7's own, as distributed, and of RHEL 8's ------------------------------------
my @stock = (
	'compatibility_level = 3.7', 'queue_directory = /var/spool/postfix', 'command_directory = /usr/sbin',
	'daemon_directory = /usr/libexec/postfix', 'data_directory = /var/lib/postfix', 'mail_owner = postfix',
	'inet_interfaces = localhost', 'inet_protocols = all', 'mydestination = $myhostname, localhost.$mydomain, localhost',
	'unknown_local_recipient_reject_code = 550', 'alias_maps = hash:/etc/aliases', 'alias_database = hash:/etc/aliases',
	'debug_peer_level = 2',
	"debugger_command =\n\t PATH=/bin:/usr/bin\n\t ddd \$daemon_directory/\$process_name \$process_id & sleep 5",
	'sendmail_path = /usr/sbin/sendmail.postfix', 'newaliases_path = /usr/bin/newaliases.postfix',
	'mailq_path = /usr/bin/mailq.postfix', 'setgid_group = postdrop', 'html_directory = no',
	'manpage_directory = /usr/share/man', 'sample_directory = /usr/share/doc/postfix/samples',
	'readme_directory = /usr/share/doc/postfix/README_FILES', 'smtpd_tls_cert_file = /etc/pki/tls/certs/postfix.pem',
	'smtpd_tls_key_file = /etc/pki/tls/private/postfix.key', 'smtpd_tls_security_level = may',
	'smtp_tls_CApath = /etc/pki/tls/certs', 'smtp_tls_CAfile = /etc/pki/tls/certs/ca-bundle.crt',
	'smtp_tls_security_level = may', 'meta_directory = /etc/postfix', 'shlib_directory = /usr/lib64/postfix',
);
my $filler = join "\n", map { "# line $_ of a long comment: name = value" } 1 .. 600;
spew('main.cf', join("\n$filler\n\n", @stock) . "\n");
my ($status, $out, $err) = postconf('-n');
is $status, 0, 'the stock file is read';
is scalar(() = $out =~ /^\S/mg), scalar @stock, 'postconf -n shows the lines that are set';
unlike $err, qr/unknown/, 'and knows them all';
like $err, qr{main\.cf:\d+: parameter html_directory is known to Postfix but not used by Posthouse yet}, 'what it does not use is said';
($status, $out) = run('postmap', '-c', $dir, '-q', 'a', 'inline:{a=b}');
is "$status $out", "0 b\n", 'the other programs run with it';

# --- the lines of the book --------------------------------------------------------------------------------------------------
spew('main.cf', <<'END');
# Who we are
myhostname = mail.linuxprobe.com
mydomain = linuxprobe.com
myorigin = $mydomain
inet_interfaces = all
mydestination = $myhostname, $mydomain
#mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain,
# mail.$mydomain, www.$mydomain, ftp.$mydomain
relay_domains =
mynetworks = 168.100.189.0/28, 127.0.0.0/8
protocols = imap pop3 lmtp
disable_plaintext_auth = no
login_trusted_networks = 192.168.10.0/24
mail_location = mbox:~/mail:INBOX=/var/mail/%u
END
($status, $out, $err) = postconf('-n');
is "$status$err", '0', 'the lines of the book, without a warning';
is value('mydestination'), 'mail.linuxprobe.com, linuxprobe.com', '$name is replaced';
is value('myorigin'), 'linuxprobe.com', 'myorigin';
is value('smtpd_banner'), 'mail.linuxprobe.com ESMTP Posthouse', 'a default follows';
is value('disable_plaintext_auth'), 'no', 'a name of Dovecot';

# --- a larger site: submission, restriction classes, per-transport names, user's own names --------------------------------------
spew('main.cf', <<'END');
myhostname = mx1.example.org
mua_relay = permit_sasl_authenticated, reject
smtpd_restriction_classes = greylist, strict
greylist = check_policy_service inet:127.0.0.1:10023
strict = reject_unknown_client_hostname
smtpd_recipient_restrictions = permit_mynetworks, check_recipient_access
  hash:/etc/postfix/access,
# a comment in the middle

  reject_unauth_destination
slow_destination_concurrency_limit = 2
slow_destination_rate_delay = 1s
smtp_destination_recipient_limit = 10
milter_default_action = accept
smtpd_milters = inet:localhost:8891
virtual_mailbox_domains = hash:/etc/postfix/vdomains
virtual_transport = lmtp:unix:private/dovecot-lmtp
smtpd_timeout = ${stress?{10}:{300}}s
domains = a.example b.example
relay_domains = $domains
END
spew('master.cf', "submission inet n - n - - smtpd\n  -o smtpd_relay_restrictions=\$mua_relay\n  -o syslog_name=postfix/\$service_name\n");
($status, $out, $err) = postconf('-n');
unlike $err, qr/unknown/, 'every name has a use';
is value('relay_domains'), 'a.example b.example', "a name of one's own";
is value('smtpd_timeout'), '300s', '${stress?{10}:{300}}s';
is value('smtpd_recipient_restrictions'), 'permit_mynetworks, check_recipient_access  hash:/etc/postfix/access,  reject_unauth_destination',
	'continuation over a comment and an empty line';
spew('master.cf', '');

# --- mistakes -----------------------------------------------------------------------------------------------------------------
sub refused {
	my ($text, $message, $name) = @_;
	spew('main.cf', "myhostname = a.example\n$text");
	my ($st, undef, $e) = run('postmap', '-c', $dir, '-q', 'a', 'inline:{a=b}');
	is $st, 1, "$name: refused";
	like $e, $message, "$name: the reason";
}
refused("mydestinaton = x\n", qr/error: \S+main\.cf:2: unknown parameter mydestinaton; did you mean mydestination\?/, 'a misspelt name');
refused("max_use = lots\n", qr/error: \S+main\.cf:2: max_use = lots: a number is expected/, 'a word for a number');
refused("max_idle = 5 fortnights\n", qr/error: \S+main\.cf:2: max_idle = 5 fortnights: a time is expected/, 'a time');
refused("\nmail_name = \${x\n", qr/error: \S+main\.cf:3: .*a \{ has no matching \}/, 'a brace');
refused("this is no setting\n", qr/error: \S+main\.cf:2: name = value is expected/, 'a line of prose');
refused("a = \$b\nb = \$a\nmail_name = \$a\n", qr/error: \S+main\.cf:4: .*refers to itself/, 'a circle');

# --- looking at it --------------------------------------------------------------------------------------------------------------
spew('main.cf', "myhostname = a.example\nmail_name = \"A\\B\n");
is + (postconf('-h', 'myhostname', 'mydomain'))[1], "a.example\nexample\n", '-h';
is + (postconf('-H', 'myhostname'))[1], "myhostname\n", '-H';
is + (postconf('-d', 'max_use'))[1], "max_use = 1000\n", '-d';
is + (postconf('-j', 'mail_name'))[1], qq({"name": "mail_name", "value": "\\"A\\\\B"}\n), '-j';
is + (postconf('-o', 'mail_name=C', 'mail_name'))[1], "mail_name = C\n", '-o';
is + (postconf('relayhost'))[1], "relayhost =\n", 'an empty value';
($status, $out, $err) = postconf('nosuchname', 'relay_host');
is "$status$out", '1', 'an unknown name';
like $err, qr/relay_host: unknown parameter; did you mean relayhost\?/, 'is told with the nearest one';
like + (postconf('-m'))[1], qr/^hash$/m, '-m';
my @all = split /\n/, (postconf())[1];
is_deeply [ sort @all ], \@all, 'all parameters, in order';

spew('origin', "example.net\n");
spew('main.cf', "myhostname = a.example\nmyorigin = $dir/origin\nunprivileged_mode = auto\n");
is + (postconf('-n'))[1], "myhostname = a.example\nmyorigin = $dir/origin\nunprivileged_mode = auto\n", '-n shows what was written';
is value('myorigin'), 'example.net', 'the name of a file stands for its first line';

# --- changing it ----------------------------------------------------------------------------------------------------------------
spew('main.cf', "# top\nmyhostname = a.example\nrelayhost = x,\n  y\n\nmail_name = one\nmail_name = two\n");
chmod 0640, "$dir/main.cf";
is + (postconf('-e', 'mail_name = three', 'relayhost='))[0], 0, '-e';
is slurp('main.cf'), "# top\nmyhostname = a.example\nrelayhost =\n\nmail_name = three\n", 'the rest stays as it is';
is + (stat "$dir/main.cf")[2] & 07777, 0640, 'and the mode';
is + (postconf('max_use=5'))[0], 0, 'name=value without -e';
is + (postconf('-#', 'relayhost'))[0], 0, '-#';
is + (postconf('-X', 'mail_name'))[0], 0, '-X';
is slurp('main.cf'), "# top\nmyhostname = a.example\n#relayhost =\n\nmax_use = 5\n", 'commented, removed';
($status, $out, $err) = postconf('-e', 'mydestinaton=x');
like $err, qr/main\.cf:\d+: unknown parameter mydestinaton; did you mean mydestination\?/, 'a misspelt name is told at once';

spew('master.cf', "# services\nsmtp inet n - y - - smtpd\n  -v -o a=b\nqmgr unix - - - - 1 qmgr\n");
like + (postconf('-M', 'smtp/inet'))[1], qr/^smtp +inet +n +- +y +- +- +smtpd -v\n    -o a=b\n$/, '-M';
is + (postconf('-F', 'qmgr/unix/process_limit'))[1], "qmgr/unix/process_limit = 1\n", '-F';
is + (postconf('-P', 'smtp/inet/a'))[1], "smtp/inet/a = b\n", '-P';
is + (postconf('-F', '*/*/chroot=n'))[0], 0, '-F with a value';
is + (postconf('-P', 'smtp/inet/mail_name=two words', 'smtp/inet/a=c'))[0], 0, '-P with a value';
is + (postconf('-Me', 'submission/inet=submission inet n - n - - smtpd'))[0], 0, '-Me';
is + (postconf('-M#', 'qmgr/unix'))[0], 0, '-M#';
is + (postconf('-MX', 'nosuch/unix'))[0], 1, '-MX of a service that is not there';
is slurp('master.cf') =~ s/ +/ /gr, <<'END', 'master.cf afterwards';
# services
smtp inet n - n - - smtpd -v
 -o a=c
 -o { mail_name = two words }
#qmgr unix - - n - 1 qmgr
submission inet n - n - - smtpd
END

done_testing;
