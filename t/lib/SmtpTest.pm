# SPDX-License-Identifier: BSD-2-Clause
# For tests of smtp alone: an instance whose only service is smtp, a player of qmgr's part, scripted mail servers, and a
# name server that says what it is told to.
#
#	my $t = SmtpTest->new(smtp_helo_timeout => '1s');	# main.cf lines
#	my $s = $t->server(MAIL => '451 4.3.0 not now');	# listens on 127.0.0.1, a port of its own
#	my $m = $t->letter('bob@example.test', ...);		# name of a new message
#	my $r = $t->job("[127.0.0.1]:" . $s->{port}, $m);	# { $m => { down, 0 => 'sent', ... }, log => [lines], ... }
package SmtpTest;
use strict;
use warnings;
use File::Spec ();
use File::Temp ();
use IO::Handle;
use IO::Socket::INET;
use IPC::Open2;
use POSIX ();
use Posthouse ();
use Time::HiRes ();

sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; my $c = <$h>; return defined $c ? $c : '' }
sub spew { my ($f, $c) = @_; open my $h, '>', $f or die "$f: $!"; print $h $c; close $h or die "$f: $!" }

sub new {
	my ($class, %main) = @_;
	my $dir = File::Temp::tempdir('posthouse-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my $self = bless { dir => $dir, bin => File::Spec->rel2abs($Posthouse::BIN), tbin => File::Spec->rel2abs($Posthouse::TBIN),
			   n => 0, pids => [], owner => $$, log_at => 0 }, $class;
	mkdir "$dir/$_" for qw(queue data spool);
	%main = (unprivileged_mode => 'yes', myhostname => 'client.test', mydestination => '', inet_interfaces => '127.0.0.1',
		 queue_directory => "$dir/queue", data_directory => "$dir/data", mail_spool_directory => "$dir/spool",
		 daemon_directory => $self->{bin}, alias_maps => '', alias_database => '', maillog_file => "$dir/maillog",
		 userdb => "passwd-file:$dir/users", passdb => "passwd-file:$dir/users", smtp_connect_timeout => '1s',
		 smtp_helo_timeout => '1s', smtp_mail_timeout => '1s', smtp_rcpt_timeout => '1s', smtp_data_init_timeout => '1s',
		 smtp_data_xfer_timeout => '1s', smtp_data_done_timeout => '1s', smtp_connection_cache_time_limit => '0s', %main);
	my $services = delete $main{SERVICES} || '';
	spew("$dir/main.cf", join '', map { "$_ = $main{$_}\n" } sort keys %main);
	spew("$dir/users", '');
	spew("$dir/master.cf", "smtp unix - - - - - smtp\n$services");
	system("$self->{bin}/master", '-c', $dir, '-d') == 0 or die "master does not start: " . slurp("$dir/maillog");
	$self->{master} = 0 + slurp("$dir/queue/pid/master.pid");
	$self->{player_pid} = open2($self->{from}, $self->{to}, "$self->{tbin}/lib/jobplay", "$dir/queue", 'private/smtp');
	return $self;
}

sub DESTROY {
	my ($self) = @_;
	return if $$ != $self->{owner};
	local $?;
	$_->stop for grep { defined } @{ $self->{servers} || [] }; # they have a copy of the pipe
	close $self->{to} if $self->{to};
	waitpid $self->{player_pid}, 0 if $self->{player_pid};
	kill 'TERM', $self->{master} if $self->{master};
	for (my $i = 0; $self->{master} && $i < 500 && kill 0, $self->{master}; $i++) { select undef, undef, undef, 0.01 }
}

# Send commands to the player; the answer's lines without the final "ok". Dies on "failed".
sub play {
	my ($self, $line) = @_;
	my @answer;
	print { $self->{to} } "$line\n";
	$self->{to}->flush;
	while (defined(my $l = readline $self->{from})) {
		chomp $l;
		return @answer if $l eq 'ok';
		die "$line: $l\n" . $self->log if $l =~ /^failed/;
		push @answer, $l;
	}
	die "$line: jobplay is gone";
}

# letter({ sender, flags, content }, rcpts...)
sub letter {
	my ($self, @rcpts) = @_;
	my $o = ref $rcpts[0] ? shift @rcpts : {};
	my $name = 'm' . ++$self->{n};
	my $content = defined $o->{content} ? $o->{content} : "From: <s\@client.test>\nSubject: $name\n\nHello, $name.\n";
	spew("$self->{dir}/content", $content);
	my ($id) = $self->play(join ' ', 'new', $name, defined $o->{sender} ? $o->{sender} : 's@client.test', $o->{flags} || 0,
			       "$self->{dir}/content", @rcpts);
	$self->{id}{$name} = $id =~ s/^id //r;
	return $name;
}

sub id { $_[0]{id}{ $_[1] } }
sub log { slurp("$_[0]{dir}/maillog") }

sub new_log {
	my ($self) = @_;
	my $log = substr $self->log, $self->{log_at};
	$self->{log_at} += length $log;
	return $log;
}

# Result: name => { down => 0, reason => '', 0 => 'sent', ... }
sub job {
	my ($self, $hop, @names) = @_;
	my %r;
	for ($self->play(join ' ', 'job', 'smtp', $hop, @names)) {
		my ($name, $down, $each, $reason) = /^result (\S+) down=(\d)((?: \d+=\w+)*) \((.*)\)$/ or die $_;
		$r{$name} = { down => $down, reason => $reason, $each =~ /(\d+)=(\w+)/g };
	}
	$r{log} = $self->new_log;
	return \%r;
}

sub probe {
	my ($self, $hop) = @_;
	my ($down, $why) = join("\n", $self->play("probe smtp $hop")) =~ /^probe down=(\d) \((.*)\)$/m or die;
	return ($down, $why);
}

# [ { state, attempts, dsn, relay, reason }, ... ]
sub journal {
	my ($self, $name) = @_;
	return [ map { /^rcpt \d+ state=(\d) attempts=(\d+) dsn=(\S*) relay=(\S*) \((.*)\)$/
		       ? { state => $1, attempts => $2, dsn => $3, relay => $4, reason => $5 } : { gone => 1 } }
		 $self->play("show $name") ];
}

sub server {
	my ($self, %script) = @_;
	my $s = SmtpTest::Server->new($self, %script);
	push @{ $self->{servers} }, $s;
	return $s;
}

# --- a mail server that follows a script -------------------------------------------------------------------------------
# Keys: GREETING, EHLO, HELO, MAIL, RCPT, DATA, DOT, RSET, QUIT, each a reply without its CRLF, or a list of them used
# one after the other (the last stays), or a sub that gets the command line and gives a reply. EXT: list of extensions. Special
# replies: 'close', 'reset', 'hang', 'half' (close our direction, go on reading), "raw:bytes". ADDR: address to listen on; PORT.
# MIDDATA: close after so many bytes of content. STALL: read none of it. AHEAD: the end of content is not answered before a DATA
# behind it is there, so many times.
package SmtpTest::Server;
use strict;
use warnings;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP);

my %default = (
	GREETING => '220 fake.test ESMTP', HELO => '250 fake.test', MAIL => '250 2.1.0 Ok', RCPT => '250 2.1.5 Ok',
	DATA => '354 Go on', DOT => '250 2.0.0 Ok: queued as FAKE', RSET => '250 2.0.0 Ok', QUIT => '221 2.0.0 Bye',
);

sub new {
	my ($class, $test, %script) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => $script{ADDR} || '127.0.0.1', LocalPort => $script{PORT} || 0,
					     Listen => 64, ReuseAddr => 1, Proto => 'tcp') or die "listen: $!";
	my $self = bless { port => $listener->sockport, addr => $listener->sockhost, transcript => "$test->{dir}/server." . $listener->sockport . '.' .
			   $listener->sockhost, }, $class;
	$self->{hop} = "[$self->{addr}]:$self->{port}";
	SmtpTest::spew($self->{transcript}, '');
	%script = (%default, %script);
	$script{EHLO} = join "\n", map({ "250-$_" } 'fake.test', @{ $script{EXT} || [] }), '250 HELP' unless $script{EHLO};
	$self->{script} = \%script;
	$self->{owner} = $$;
	$self->{pid} = fork;
	die "fork: $!" unless defined $self->{pid};
	if (!$self->{pid}) {
		$SIG{TERM} = sub { POSIX::_exit(0) };
		$SIG{PIPE} = 'IGNORE';
		open $self->{out}, '>>', $self->{transcript};
		$self->{out}->autoflush(1);
		while (my $c = $listener->accept) {
			$self->{conn}++;
			$self->note("connect");
			eval { $self->talk($c); };
			$self->note("end");
			close $c;
		}
		POSIX::_exit(0);
	}
	close $listener;
	return $self;
}

sub stop {
	my ($self) = @_;
	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
}

sub DESTROY { my ($self) = @_; local $?; $self->stop if $self->{owner} == $$ }

sub note { my ($self, $text) = @_; print { $self->{out} } "$self->{conn} $text\n" }
# What clients said: lines "N command", N the number of the connection.
sub said { SmtpTest::slurp($_[0]{transcript}) }
# Content of the nth message as it came over the wire, without the final dot.
sub content { SmtpTest::slurp("$_[0]{transcript}.$_[1]") }

sub reply_for {
	my ($self, $key, $line) = @_;
	my $r = $self->{script}{$key};
	if (ref $r eq 'ARRAY') { $r = @$r > 1 ? shift @$r : $r->[0] }
	return ref $r eq 'CODE' ? $r->($line) : defined $r ? $r : '500 5.5.2 what?';
}

sub answer {
	my ($self, $c, $key, $line) = @_;
	my $r = $self->reply_for($key, $line);
	die "close" if $r eq 'close';
	if ($r eq 'reset') { setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0; die "close" }
	if ($r eq 'hang') { sysread $c, my $x, 65536 while 1 && select(undef, undef, undef, 0.05) >= 0 && !eof_of($c); die "close" }
	if ($r eq 'half') { shutdown $c, 1; return }
	if ($r =~ s/^raw://s) { syswrite_all($c, $r); return }
	$r =~ s/\n/\r\n/g;
	syswrite_all($c, "$r\r\n");
	die "close" if $r =~ /^(?:421|221)/m;
	return $r;
}

sub eof_of { my ($c) = @_; my $n = sysread $c, my $x, 65536; return defined $n && $n == 0 }

sub syswrite_all {
	my ($c, $bytes) = @_;
	while (length $bytes) { my $n = syswrite $c, $bytes; die "close" unless $n; substr $bytes, 0, $n, '' }
}

sub talk {
	my ($self, $c) = @_;
	my $in = '';
	$self->answer($c, 'GREETING', '');
	while (1) {
		while ($in !~ /\n/) { sysread $c, $in, 65536, length $in or die "close" }
		$in =~ s/^([^\n]*?)\r?\n//;
		my $line = $1;
		$self->note($line);
		my ($verb) = uc($line) =~ /^(\w+)/ or next;
		my $r = $self->answer($c, $verb, $line);
		next unless $verb eq 'DATA' && $r && $r =~ /^354/;
		my $all = "\r\n$in";
		select undef, undef, undef, 10 if $self->{script}{STALL};
		while ($all !~ /\r\n\.\r\n/) {
			die "close" if $self->{script}{MIDDATA} && length $all > $self->{script}{MIDDATA};
			sysread $c, $all, 65536, length $all or die "close";
		}
		$all =~ s/^(.*?\r\n)\.\r\n//s;
		my $content = $1;
		$in = $all;
		SmtpTest::spew("$self->{transcript}." . ++$self->{messages}, substr $content, 2);
		$self->note("DOT");
		if ($self->{script}{AHEAD} && $self->{script}{AHEAD}--) {
			while ($in !~ /^DATA\r?\n/m) { sysread $c, $in, 65536, length $in or die "close" }
		}
		$self->note('AHEAD ' . join ' ', map { uc } $in =~ /^(\w+)/mg) if $in ne '';
		$self->answer($c, 'DOT', $content);
	}
}

# --- a name server that says what it is told to ------------------------------------------------------------------------
# answers: "name type" => [ records as bytes of rdata ], or a code 'SERVFAIL', 'NXDOMAIN', 'DROP', or a sub that gets the query's
# bytes and gives a whole packet. Names in lower case; what is not listed does not exist.
package SmtpTest::Dns;
use strict;
use warnings;

my %type = (A => 1, NS => 2, CNAME => 5, PTR => 12, MX => 15, TXT => 16, AAAA => 28);

sub name { join('', map { chr(length) . $_ } split /\./, $_[0]) . "\0" }
sub a { pack 'C4', split /\./, $_[0] }
sub mx { pack('n', $_[0]) . name($_[1]) }
sub txt { pack 'C/a*', $_[0] }

sub new {
	my ($class, %answers) = @_;
	my $port = delete $answers{PORT} || 0; # 53 in a network namespace of its own
	my ($socket, $tcp);
	# The same port by TCP, for what does not fit: one that is free for UDP may not be for TCP.
	for (1 .. 50) {
		$socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'udp') or die "udp: $!";
		$tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $socket->sockport, Listen => 8, Proto => 'tcp',
					     ReuseAddr => 1) and last;
	}
	die "tcp: $!" unless $tcp;
	my $self = bless { port => $socket->sockport, owner => $$ }, $class;
	for my $how (0, 1) {
		my $pid = fork;
		die "fork: $!" unless defined $pid;
		if ($pid) { push @{ $self->{pids} }, $pid; next }
		$SIG{TERM} = sub { POSIX::_exit(0) };
		$how ? serve_tcp($tcp, \%answers) : serve_udp($socket, \%answers);
		POSIX::_exit(0);
	}
	return $self;
}

sub stop { my ($self) = @_; for (splice @{ $self->{pids} || [] }) { kill 'TERM', $_; waitpid $_, 0 } }
sub DESTROY { local $?; $_[0]->stop if $$ == $_[0]{owner} }
sub serve_udp {
	my ($socket, $answers) = @_;
	while (defined(my $from = $socket->recv(my $query, 4096))) {
		my $packet = make($query, $answers);
		next unless defined $packet;
		$packet = substr($packet, 0, 2) . pack('n', unpack('n', substr $packet, 2, 2) | 0x200) . pack('n4', 1, 0, 0, 0) .
		    question($query) if length $packet > 1232;
		$socket->send($packet, 0, $from);
	}
}

sub serve_tcp {
	my ($listener, $answers) = @_;
	while (my $c = $listener->accept) {
		sysread $c, my $len, 2;
		sysread $c, my $query, unpack 'n', $len;
		my $packet = make($query, $answers);
		syswrite $c, pack('n/a*', $packet) if defined $packet;
		close $c;
	}
}

sub question { my ($query) = @_; my ($q) = substr($query, 12) =~ /^((?:[^\0].*?)?\0....)/s; return $q }

sub make {
	my ($query, $answers) = @_;
	my $q = question($query);
	my ($labels, $qtype) = (substr($q, 0, -4), unpack 'n', substr $q, -4, 2);
	my @labels;
	while (length $labels > 1) { my $n = ord $labels; push @labels, substr $labels, 1, $n; substr $labels, 0, $n + 1, '' }
	my $name = lc join '.', @labels;
	my ($tname) = grep { $type{$_} == $qtype } keys %type;
	my $what = $answers->{"$name $tname"};
	return if defined $what && !ref $what && $what eq 'DROP';
	return $what->($query, $q) if ref $what eq 'CODE';
	my %codes = (SERVFAIL => 2, NXDOMAIN => 3, REFUSED => 5);
	my $known = grep { /^\Q$name\E / } keys %$answers;
	my $code = defined $what && !ref $what ? $codes{$what} : !$known ? 3 : 0;
	my @records = ref $what ? @$what : ();
	my $alias = !@records && !$code && $answers->{"$name CNAME"};
	my $body = join '', map { "\xc0\x0c" . pack('nnNn/a*', $qtype, 1, 300, $_) } @records;
	$body = "\xc0\x0c" . pack('nnNn/a*', 5, 1, 300, $alias->[0]) if $alias;
	return substr($query, 0, 2) . pack('n', 0x8180 | $code) . pack('n4', 1, $alias ? 1 : scalar @records, 0, 0) . $q . $body;
}

1;
