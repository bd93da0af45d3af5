# SPDX-License-Identifier: BSD-2-Clause
#
# TLS in tests: s_client($p, port, options...) gives all that openssl prints; $c->tls(SSL options) makes a connection of
# Posthouse.pm a TLS one (and dies with the reason when it cannot); fingerprint($p, port, options...) of the certificate served.
package Tls;
use strict;
use warnings;
use Exporter 'import';
use Posthouse ();
our @EXPORT = qw(s_client fingerprint);

BEGIN {
	eval { require IO::Socket::SSL; 1 } or Posthouse::need('IO::Socket::SSL (libio-socket-ssl-perl)');
}

sub s_client {
	my ($p, $port, @options) = @_;
	my $command = join ' ', map { "'$_'" } 'openssl', 's_client', '-connect', $p->address . ':' . $p->port($port), @options;
	# Quit by a command, after the session's tickets have come.
	my (undef, $text) = Posthouse::run('timeout', $Posthouse::TIMEOUT, 'sh', '-c', "printf 'QUIT\\r\\nx LOGOUT\\r\\n' | $command -ign_eof 2>&1");
	return $text;
}

sub fingerprint {
	my $text = s_client(@_);
	my ($pem) = $text =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)/s or return "none: $text";
	return $pem;
}

sub Posthouse::Conn::tls {
	my ($self, %o) = @_;
	die "plaintext is left: $self->{in}\n" if length $self->{in};
	IO::Socket::SSL->start_SSL($self->{sock}, SSL_verify_mode => 0, Timeout => $Posthouse::TIMEOUT, %o) or die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
	return $self;
}

1;
