# SPDX-License-Identifier: BSD-2-Clause
#
# A private instance for a test, and clients that talk to it line by line. Perl core modules only.
#
#	use Posthouse;
#	my $p = Posthouse->new(main => { sessions => 3 });   # directory, users alice and bob, address of its own
#	$p->start;                                           # returns when it runs; dies with the error text if not
#	my $c = $p->smtp;                                    # connected, greeting read
#	$c->cmd('EHLO client.test', qr/^250 /);              # send a line, read a (multi-line) reply, die unless it matches
#	$p->wait_log(qr/status=sent/);                       # the matching line of the log
#	$p->stop;                                            # also done at the end of the test, whatever happens
#
# new(): main => { name => value } or text, appended to main.cf; master => text in place of master.cf; services => text
#        appended to master.cf; programs => [names in $TBIN/lib to run as services]; users => [names]; scheme => SHA512-CRYPT or PLAIN;
#        tls => 1: a certificate in
#        tls/; relay => mynetworks.
# Posthouse::need('swaks', 'curl') leaves the whole test out when a program is missing; with CI set that is a failure.
# Every wait has a deadline ($Posthouse::TIMEOUT seconds) and dies when it passes, with the end of the log.
package Posthouse;
use strict;
use warnings;
use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{TEST_TIMEOUT} || 30;
our $TOP = abs_path(dirname(__FILE__) . '/../..');
our $BIN = $ENV{BIN} || (grep { -x "$_/master" } map { "$TOP/build/$_/bin" } qw(release debug))[0];
our $TBIN = $ENV{TBIN} || do { (my $t = $BIN) =~ s{/bin$}{/t}; $t };
our %PORT = (smtp => 2025, submission => 2587, submissions => 2465, lmtp => 2024, pop3 => 2110, pop3s => 2995, imap => 2143, imaps => 2993);

# A server that hangs up early is found out by what is read, not by the end of the test.
$SIG{PIPE} = sub { }; # a handler, because programs that are started would inherit "IGNORE"

my @instances;
my $count = 0;

# A loopback address that no other running test has: made from the process id.
sub _address {
	my $v = $$ * 8 + $count++ % 8;
	return sprintf '127.%d.%d.%d', 16 + ($v >> 14) % 200, ($v >> 7) & 127, ($v & 127) + 1;
}

sub new {
	my ($class, %o) = @_;
	my $root = tempdir("posthouse-$$-XXXXXX", TMPDIR => 1, CLEANUP => !$ENV{KEEP});
	my $self = bless { dir => "$root/i", address => $o{address} || _address(), owner => $$, logpos => 0 }, $class;
	my $bin = $BIN;
	my $main = ref $o{main} ? join('', map { "$_ = $o{main}{$_}\n" } sort keys %{ $o{main} }) : $o{main} || '';

	if ($o{programs}) {
		$bin = "$root/bin";
		mkdir $bin;
		symlink $_, "$bin/" . (split m{/})[-1] for glob("$BIN/*"), map { "$TBIN/lib/$_" } @{ $o{programs} };
	}
	local $ENV{BIN} = $bin;
	local $ENV{USERS} = join ' ', @{ $o{users} } if $o{users};
	local $ENV{SCHEME} = $o{scheme} || 'SHA512-CRYPT';
	local $ENV{RELAY_NETWORKS} = $o{relay} if defined $o{relay};
	local $ENV{EXTRA} = '-';
	local $ENV{TLS} = $o{tls} ? 'yes' : 'no';
	open my $make, '|-', "$TOP/conf/new-instance", $self->{dir}, $self->{address} or die "new-instance: $!";
	print $make $main;
	close $make or die "new-instance failed";
	write_file("$self->{dir}/master.cf", $o{master}) if defined $o{master};
	append_file("$self->{dir}/master.cf", $o{services}) if defined $o{services};
	push @instances, $self;
	return $self;
}

# Leave the whole test out. Never for a missing program in CI: there, what is not installed was not tested.
sub skip {
	print "1..0 # SKIP @_\n";
	exit 0;
}

sub need {
	my (@programs) = @_;
	for my $name (@programs) {
		next if grep { -x } $name =~ m{/} ? $name : map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin', '/sbin';
		die "$name is not installed\n" if $ENV{CI};
		skip("$name is not installed");
	}
}

sub dir { $_[0]{dir} }
sub address { $_[0]{address} }
sub maillog { "$_[0]{dir}/maillog" }
sub port { $PORT{ $_[1] } || $_[1] }
sub spool { "$_[0]{dir}/spool/$_[1]" }
sub password { (map { /^\Q$_[1]\E:(.*)$/ ? $1 : () } split /\n/, slurp("$_[0]{dir}/passwords"))[0] }

# --- files --------------------------------------------------------------------------------------------------------------

sub slurp {
	my ($path) = @_;
	open my $f, '<:raw', $path or return '';
	local $/;
	return scalar(<$f>) // '';
}

sub write_file {
	my ($path, $text) = @_;
	open my $f, '>:raw', $path or die "$path: $!";
	print $f $text;
	close $f or die "$path: $!";
}

sub append_file {
	my ($path, $text) = @_;
	open my $f, '>>:raw', $path or die "$path: $!";
	print $f $text;
	close $f or die "$path: $!";
}

# Change main.cf: set("name", "value"); the last setting of a name wins. In use after reload.
sub set {
	my ($self, %values) = @_;
	append_file("$self->{dir}/main.cf", join '', map { "$_ = $values{$_}\n" } sort keys %values);
}

# --- running ------------------------------------------------------------------------------------------------------------

# (exit status, output and error output) of a program of ours: tool('posthouse', 'status'). -c DIR is added.
sub tool {
	my ($self, $name, @args) = @_;
	my @c = $name =~ /^(sendmail|mailq|newaliases)$/ ? ('-C', $self->{dir}) : ('-c', $self->{dir});
	return run("$BIN/$name", @c, @args);
}

sub run {
	my (@cmd) = @_;
	my $pid = open my $out, '-|';
	die "fork: $!" unless defined $pid;
	if ($pid == 0) {
		open STDERR, '>&', \*STDOUT;
		exec @cmd or die "$cmd[0]: $!";
	}
	local $/;
	my $text = <$out> // '';
	close $out;
	return ($? >> 8 | ($? & 127 ? 128 + ($? & 127) : 0), $text);
}

sub start {
	my ($self) = @_;
	my ($status, $text) = $self->tool('posthouse', 'start');
	die "start failed: $text" if $status;
	return $self;
}

sub stop {
	my ($self) = @_;
	return 1 unless $self->pid;
	my ($status, $text) = $self->tool('posthouse', 'stop');
	die "stop failed: $text" if $status;
	return 1;
}

sub reload {
	my ($self) = @_;
	my ($status, $text) = $self->tool('posthouse', 'reload');
	die "reload failed: $text" if $status;
	return 1;
}

# Process id of the running master, 0 when there is none: by its lock.
sub pid {
	my ($self) = @_;
	open my $lock, '<', "$self->{dir}/data/master.lock" or return 0;
	return 0 if flock $lock, LOCK_SH | LOCK_NB;
	return <$lock> + 0;
}

# { "service/type" => { workers => n, ... } } as posthouse status -j prints it.
sub status {
	my ($self) = @_;
	my ($status, $text) = $self->tool('posthouse', 'status', '-j');
	my %all;
	for my $line (split /\n/, $status ? '' : $text) {
		my %s = $line =~ /"(\w+)": (?:")?((?:[^",}]|(?<=\[)[^"]*)*)/g;
		$all{"$s{service}/$s{type}"} = \%s;
	}
	return \%all;
}

# Processes whose command line names this instance: [ [pid, program], ... ].
sub processes {
	my ($self) = @_;
	my @found;
	for my $dir (glob '/proc/[0-9]*') {
		my @argv = split /\0/, slurp("$dir/cmdline");
		next unless grep { $_ eq $self->{dir} || $_ eq "$self->{dir}/queue/run" } @argv;
		next if slurp("$dir/stat") =~ /\) Z /;
		push @found, [ (split m{/}, $dir)[-1], (split m{/}, $argv[0])[-1] ];
	}
	return @found;
}

# --- waiting ------------------------------------------------------------------------------------------------------------

# Call the condition until it is true and return what it returned; dies after $TIMEOUT seconds.
sub wait_until {
	my ($self, $what, $condition, $timeout) = @_;
	my $end = time + ($timeout || $TIMEOUT);
	while (1) {
		my $got = $condition->();
		return $got if $got;
		last if time > $end;
		select undef, undef, undef, 0.02;
	}
	die "waited in vain for $what\n";
}

# The first line that matches, beginning where the last match ended; from => 0 looks at the whole log again.
sub wait_log {
	my ($self, $re, %o) = @_;
	$self->{logpos} = $o{from} if defined $o{from};
	return $self->wait_until("log line $re", sub {
		my $log = slurp($self->maillog);
		pos($log) = $self->{logpos};
		while ($log =~ /\G([^\n]*)\n/gc) {
			my $line = $1;
			next unless $line =~ $re;
			$self->{logpos} = pos $log;
			return $line;
		}
		return;
	}, $o{timeout});
}

sub log_count {
	my ($self, $re) = @_;
	return scalar grep { $_ =~ $re } split /\n/, slurp($self->maillog);
}

sub log_tail {
	my ($self) = @_;
	my @lines = split /\n/, slurp($self->maillog);
	return join '', map { "# $_\n" } @lines > 40 ? @lines[ -40 .. -1 ] : @lines;
}

# --- clients ------------------------------------------------------------------------------------------------------------

sub connect {
	my ($self, $port) = @_;
	my $sock = IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->port($port), Timeout => $TIMEOUT)
		or die "connect $self->{address}:" . $self->port($port) . ": $@\n";
	$sock->autoflush(1);
	setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1; # or each small write waits for the other's delayed acknowledgement
	return Posthouse::Conn->new($sock, $self);
}

sub smtp {
	my ($self, $port) = @_;
	my $c = $self->connect($port || 'smtp');
	$c->reply(qr/^220 /);
	return $c;
}

# Logged in: POP3 as that user.
sub pop3 {
	my ($self, $user, $password) = @_;
	my $c = $self->connect('pop3');
	$c->expect(qr/^\+OK/);
	return $c unless $user;
	$c->cmd1("USER $user", qr/^\+OK/);
	$c->cmd1('PASS ' . ($password // $self->password($user)), qr/^\+OK/);
	return $c;
}

# Logged in: IMAP as that user. Commands by $c->imap('SELECT INBOX').
sub imap {
	my ($self, $user, $password) = @_;
	my $c = $self->connect('imap');
	$c->expect(qr/^\* OK/);
	$c->imap("LOGIN $user " . ($password // $self->password($user))) if $user;
	return $c;
}

# One letter over SMTP; returns the queue id. to: address or [addresses]; text with LF line ends.
sub send_mail {
	my ($self, %o) = @_;
	my $c = $self->smtp($o{port});
	my $text = $o{text} // "From: <x\@client.test>\nSubject: " . ($o{subject} // 'test') . "\n\nHello.\n";
	my @to = ref $o{to} ? @{ $o{to} } : ($o{to} // "alice\@example.test");

	$c->cmd('EHLO client.test', qr/^250 /m);
	$c->cmd('MAIL FROM:<' . ($o{from} // 'x@client.test') . '>', qr/^250/);
	$c->cmd("RCPT TO:<$_>", qr/^250/) for @to;
	$c->cmd('DATA', qr/^354/);
	$text =~ s/^\./../mg;
	$text =~ s/\n/\r\n/g;
	$c->send_raw($text);
	my ($id) = $c->cmd('.', qr/^250/) =~ /queued as (\S+)/;
	$c->cmd('QUIT', qr/^221/);
	return $id;
}

# The same through sendmail(1), which asks no questions about recipients.
sub submit {
	my ($self, %o) = @_;
	my @to = ref $o{to} ? @{ $o{to} } : $o{to};
	my $from = $o{from} // 'x@client.test';
	my $mark = length slurp($self->maillog);

	open my $pipe, '|-', "$BIN/sendmail", '-C', $self->{dir}, '-f', $from, @to or die "sendmail: $!";
	print $pipe "From: <$from>\nSubject: test\n\nHello.\n";
	close $pipe or die "sendmail: exit status $?\n";
	return $self->wait_log(qr/qmgr\[\d+\]: \S+: from=<\Q$from\E>/, from => $mark) =~ s/.*qmgr\[\d+\]: (\S+): from=.*/$1/sr;
}

END {
	my $status = $?;
	for my $p (@instances) {
		next if $p->{owner} != $$;
		# In a jail there is no /proc for the leak checker; that says nothing about the program.
		my @found = grep { /(?:Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:|panic: / }
			grep { !/LeakSanitizer (?:has encountered a fatal|does not work)/ } split /\n/, slurp($p->maillog);
		if (@found) {
			print STDERR "# the log of a program has: $_\n" for @found;
			$status ||= 1;
		}
		print STDERR $p->log_tail if $status;
		my $pid = $p->pid;
		eval { local $TIMEOUT = 5; $p->stop } if $pid;
		kill 'KILL', $pid if $pid && $p->pid;
	}
	$? = $status;
}

package Posthouse::Conn;
use strict;
use warnings;
use Time::HiRes qw(time);

sub new {
	my ($class, $sock, $owner) = @_;
	return bless { sock => $sock, owner => $owner, in => '', tag => 0 }, $class;
}

sub sock { $_[0]{sock} }

# Read more; false at the end of the stream, dies at the deadline.
sub fill {
	my ($self, $end) = @_;
	my $rin = '';
	vec($rin, fileno $self->{sock}, 1) = 1;
	my $left = $end - time;
	die "no answer in time; so far: $self->{in}\n"
		if $left <= 0 || !($self->{sock}->can('pending') && $self->{sock}->pending) && !select $rin, undef, undef, $left;
	return sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
}

# Next line without CRLF, undef at the end of the stream.
sub line {
	my ($self) = @_;
	my $end = time + $Posthouse::TIMEOUT;
	my $at;
	while (($at = index $self->{in}, "\n") < 0) {
		return undef unless $self->fill($end);
	}
	my $line = substr $self->{in}, 0, $at + 1, '';
	chop $line;
	$line =~ s/\r$//;
	return $line;
}

sub bytes {
	my ($self, $n) = @_;
	my $end = time + $Posthouse::TIMEOUT;
	while (length $self->{in} < $n) {
		die "the stream ended early\n" unless $self->fill($end);
	}
	return substr $self->{in}, 0, $n, '';
}

sub eof {
	my ($self) = @_;
	return !defined $self->line;
}

sub send_raw { my ($self, $bytes) = @_; my $sock = $self->{sock}; print $sock $bytes or $!{EPIPE} or die "send: $!" }
sub send { $_[0]->send_raw("$_[1]\r\n") }

# One line that must match.
sub expect {
	my ($self, $re) = @_;
	my $line = $self->line;
	die 'got ' . (defined $line ? "<$line>" : 'end of file') . ", expected $re\n"
		unless defined $line && $line =~ $re;
	return $line;
}

# An SMTP reply, all its lines.
sub reply {
	my ($self, $re) = @_;
	my @lines;
	do {
		my $line = $self->line;
		die "end of file in a reply, expected $re\n" unless defined $line;
		push @lines, $line;
	} while $lines[-1] =~ /^\d{3}-/;
	my $text = join "\n", @lines;
	die "got <$text>, expected $re\n" if $re && $text !~ $re;
	return $text;
}

sub cmd { my ($self, $line, $re) = @_; $self->send($line); return $self->reply($re) }
sub cmd1 { my ($self, $line, $re) = @_; $self->send($line); return $self->expect($re) }

# A POP3 answer of many lines, without the dot and with dots undone.
sub multi {
	my ($self, $line, $re) = @_;
	my @lines;
	$self->cmd1($line, $re || qr/^\+OK/);
	while (defined(my $l = $self->line)) {
		return @lines if $l eq '.';
		$l =~ s/^\.//;
		push @lines, $l;
	}
	die "end of file in a multi-line answer\n";
}

# An IMAP command: its untagged lines (literals joined in), then the tagged one, which must be OK or match.
sub imap {
	my ($self, $command, $re) = @_;
	my $tag = 'a' . ++$self->{tag};
	my @lines;
	$self->send("$tag $command");
	while (1) {
		my $line = $self->line;
		die "end of file in the answer to " . substr($command, 0, 200) . "\n" unless defined $line;
		while ($line =~ /\{(\d+)\}$/) {
			$line .= "\n" . $self->bytes($1);
			$line .= $self->line // '';
		}
		push @lines, $line;
		last if $line =~ /^\Q$tag\E /;
	}
	$re ||= qr/^\S+ OK/;
	die "$command: got <$lines[-1]>, expected $re\n" unless $lines[-1] =~ $re;
	return @lines;
}

sub close { CORE::close $_[0]{sock} }

1;
