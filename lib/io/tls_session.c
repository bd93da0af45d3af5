/* SPDX-License-Identifier: BSD-2-Clause */
/* A session: handshake, reading, writing. The library works on the descriptor itself, which is non-blocking. */
#include <errno.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/io/tls_int.h"

/* What a call that did not succeed means, as read(2) and write(2) would say it: 0 is the end. */
static ssize_t outcome(struct tls *t, int result, short *want_r)
{
	int saved = errno;

	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*want_r = POLLIN;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*want_r = POLLOUT;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		t->broken = true;
		errno = saved ? saved : ECONNRESET;
		return -1;
	default:
		t->broken = true;
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			ERR_clear_error();
			return 0;
		}
		errno = EPROTO;
		return -1;
	}
}

static ssize_t tls_read(void *transport, void *to, size_t len, short *want_r)
{
	struct tls *t = transport;
	size_t n = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(t->ssl, to, len, &n);
	return result == 1 ? (ssize_t)n : outcome(t, result, want_r);
}

static ssize_t tls_write(void *transport, const void *from, size_t len, short *want_r)
{
	struct tls *t = transport;
	size_t n = 0;
	ssize_t result;

	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(t->ssl, from, len, &n);
	if (result == 1)
		return (ssize_t)n;
	result = outcome(t, (int)result, want_r);
	if (result == 0) { /* nobody reads any more */
		errno = EPIPE;
		result = -1;
	}
	return result;
}

static void tls_close(void *transport)
{
	struct tls *t = transport;

	ERR_clear_error();
	if (!t->broken && SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl); /* says goodbye and does not wait for an answer */
	SSL_free(t->ssl);
	ERR_clear_error();
	tls_context_free(t->context);
	free(t);
}

const struct stream_ops tls_ops = { tls_read, tls_write, tls_close };

/* --- handshake ---------------------------------------------------------------------------------------------------- */

static struct tls *new_session(struct tls_context *c, int fd)
{
	struct tls *t = mem_zalloc(sizeof *t);

	t->context = tls_context_use(c);
	t->ssl = SSL_new(c->ctx);
	must(t->ssl != NULL && SSL_set_fd(t->ssl, fd) == 1);
	SSL_set_app_data(t->ssl, t);
	return t;
}

static enum io_status failed(struct tls *t, const char *text, char *why_r)
{
	long verdict = SSL_get_verify_result(t->ssl);

	t->broken = true;
	if (verdict != X509_V_OK && !SSL_is_server(t->ssl)) {
		snprintf(why_r, TLS_WHY_MAX, "%s", X509_verify_cert_error_string(verdict));
		ERR_clear_error();
	} else {
		tls_why(why_r, text);
	}
	return IO_ERROR;
}

static enum io_status shake(struct stream *s, struct tls *t, char *why_r)
{
	for (;;) {
		enum io_status status;
		short want = 0;
		int result;

		ERR_clear_error();
		errno = 0;
		result = SSL_do_handshake(t->ssl);
		if (result == 1)
			return IO_OK;
		switch (SSL_get_error(t->ssl, result)) {
		case SSL_ERROR_WANT_READ:
			want = POLLIN;
			break;
		case SSL_ERROR_WANT_WRITE:
			want = POLLOUT;
			break;
		case SSL_ERROR_SYSCALL:
			t->broken = true;
			snprintf(why_r, TLS_WHY_MAX, "%s", errno ? strerror(errno) : "lost connection");
			return IO_EOF;
		default:
			return failed(t, NULL, why_r);
		}
		status = stream_wait(s, want);
		if (status != IO_OK) {
			t->broken = true;
			snprintf(why_r, TLS_WHY_MAX, "%s", io_status_str(status));
			return status;
		}
	}
}

static enum io_status handshake(struct stream *s, struct tls *t, int64_t deadline_ms, char *why_r)
{
	int64_t own = stream_deadline(s);
	enum io_status status = stream_flush(s);

	why_r[0] = '\0';
	if (stream_has_input(s)) {
		snprintf(why_r, TLS_WHY_MAX, "plaintext after the command that starts TLS");
		status = IO_TOO_LONG;
	}
	stream_set_deadline(s, own < deadline_ms ? own : deadline_ms);
	if (status == IO_OK)
		status = shake(s, t, why_r);
	stream_set_deadline(s, own);
	if (status == IO_OK)
		must(stream_set_transport(s, &tls_ops, t));
	else
		tls_close(t);
	return status;
}

enum io_status tls_accept(struct stream *s, struct tls_context *c, int64_t deadline_ms, struct tls_info *info_r,
			  char why_r[TLS_WHY_MAX])
{
	struct tls *t = new_session(c, stream_fd(s));
	enum io_status status;

	SSL_set_accept_state(t->ssl);
	memset(info_r, 0, sizeof *info_r);
	status = handshake(s, t, deadline_ms, why_r);
	if (status == IO_OK)
		tls_info_take(t, info_r, true);
	return status;
}

enum io_status tls_connect(struct stream *s, struct tls_context *c, const char *name, bool verify, int64_t deadline_ms,
			   struct tls_info *info_r, char why_r[TLS_WHY_MAX])
{
	struct tls *t = new_session(c, stream_fd(s));
	enum io_status status;

	SSL_set_connect_state(t->ssl);
	memset(info_r, 0, sizeof *info_r);
	SSL_set_verify(t->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (name && *name) {
		SSL_set_tlsext_host_name(t->ssl, name);
		SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		SSL_set1_host(t->ssl, name);
	}
	status = handshake(s, t, deadline_ms, why_r);
	if (status == IO_OK)
		tls_info_take(t, info_r, false);
	return status;
}
