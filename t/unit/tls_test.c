/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/io/tls.h"

enum { WAIT_MS = 20000 };

static char dir[] = "/tmp/tls_test.XXXXXX";
static char good[2][64], other[2][64]; /* certificate, key */

static void make_pair(const char *name, char paths[2][64], const char *host)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_EXTENSION *san;
	char text[128];
	FILE *f;

	snprintf(paths[0], 64, "%s/%s.crt", dir, name);
	snprintf(paths[1], 64, "%s/%s.key", dir, name);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600L * 24 * 300);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	snprintf(text, sizeof text, "DNS:%s", host);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	X509_add_ext(cert, san, -1);
	X509_EXTENSION_free(san);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	f = fopen(paths[0], "w");
	PEM_write_X509(f, cert);
	fclose(f);
	f = fopen(paths[1], "w");
	PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static bool add(struct buf *b, const char *name, const char *one, const char *two, char *why)
{
	const char *files[] = { one, two };

	return tls_bundle_add(b, name, files, two ? 2 : 1, why);
}

static struct tls_context *server(const struct tls_settings *set)
{
	char why[TLS_WHY_MAX];
	struct tls_context *c;
	struct buf b;

	buf_init(&b, TLS_BUNDLE_MAX);
	assert_true(add(&b, "", good[0], good[1], why));
	assert_true(add(&b, ".sub.test", other[0], other[1], why));
	c = tls_server(buf_span(&b), set, why);
	if (c == NULL)
		print_message("# %s\n", why);
	assert_non_null(c);
	buf_free(&b);
	return c;
}

/* --- bundles and settings ----------------------------------------------------------------------------------------- */

static void bundles(void **state)
{
	char why[TLS_WHY_MAX];
	struct buf b;

	(void)state;
	buf_init(&b, TLS_BUNDLE_MAX);
	assert_true(add(&b, "", good[0], good[1], why));
	assert_true(add(&b, "", good[1], good[0], why)); /* the other order */
	assert_false(add(&b, "", good[0], other[1], why));
	assert_non_null(strstr(why, "does not belong"));
	assert_non_null(strstr(why, good[0]));
	assert_false(add(&b, "", good[0], NULL, why));
	assert_non_null(strstr(why, "no private key"));
	assert_false(add(&b, "", "/nonexistent/file", NULL, why));
	assert_non_null(strstr(why, "No such file"));
	buf_free(&b);
}

static void settings(void **state)
{
	static const struct {
		const char *protocols, *ciphers, *groups;
		bool fine;
	} cases[] = {
		{ ">=TLSv1.2", "", "", true },
		{ "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", NULL, NULL, true },
		{ "TLSv1.2:TLSv1.3", NULL, "X25519 prime256v1", true },
		{ ">=TLSv1.2 <=TLSv1.2", NULL, NULL, true },
		{ ">=TLSv9", NULL, NULL, false },
		{ NULL, "nonsense", NULL, false },
		{ NULL, NULL, "nonsense", false },
	};
	char why[TLS_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tls_settings set = {
			.protocols = cases[i].protocols, .ciphers = cases[i].ciphers, .groups = cases[i].groups,
		};
		struct tls_context *c = tls_client(SPAN_NONE, &set, why);

		assert_int_equal(c != NULL, cases[i].fine);
		tls_context_free(c);
	}
	assert_null(tls_grade("best"));
	assert_non_null(tls_grade("high"));
}

/* --- two ends ----------------------------------------------------------------------------------------------------- */

struct end {
	struct stream *s;
	struct tls_context *context;
	struct tls_info info;
	enum io_status status;
	char why[TLS_WHY_MAX];
};

static void *accept_one(void *arg)
{
	struct end *e = arg;

	e->status = tls_accept(e->s, e->context, clock_deadline(WAIT_MS), &e->info, e->why);
	return NULL;
}

static void two_ends(struct end *a, struct end *b, const char *name, bool verify)
{
	int pair[2];
	pthread_t t;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	a->s = stream_open(pair[0]);
	b->s = stream_open(pair[1]);
	assert_int_equal(pthread_create(&t, NULL, accept_one, a), 0);
	b->status = tls_connect(b->s, b->context, name, verify, clock_deadline(WAIT_MS), &b->info, b->why);
	if (b->status != IO_OK)
		shutdown(stream_fd(b->s), SHUT_RDWR);
	pthread_join(t, NULL);
}

static void close_ends(struct end *a, struct end *b)
{
	stream_close(a->s);
	stream_close(b->s);
	tls_context_free(a->context);
	tls_context_free(b->context);
}

static struct tls_context *client(const char *trusted, const char *protocols)
{
	struct tls_settings set = { .ca_file = trusted, .protocols = protocols };
	char why[TLS_WHY_MAX];
	struct tls_context *c = tls_client(SPAN_NONE, &set, why);

	assert_non_null(c);
	return c;
}

/* Who is believed by a client that verifies, and by one that does not. */
static void verification(void **state)
{
	static const struct {
		const char *name;
		bool trusted, verify, fine, trusted_r, name_r;
	} cases[] = {
		{ "good.test", true, true, true, true, true },
		{ "wrong.test", true, true, false, false, false },
		{ "good.test", false, true, false, false, false },
		{ "good.test", false, false, true, false, false },
		{ "wrong.test", true, false, true, false, false },
		{ NULL, true, true, true, true, false },
	};
	struct tls_settings set = { .session_context = "test" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct end a = { .context = server(&set) }, b = { .context = client(cases[i].trusted ? good[0] : other[0], NULL) };

		two_ends(&a, &b, cases[i].name, cases[i].verify);
		assert_int_equal(b.status == IO_OK, cases[i].fine);
		assert_int_equal(b.info.peer_trusted, cases[i].trusted_r);
		assert_int_equal(b.info.peer_name_ok, cases[i].name_r);
		if (cases[i].fine)
			assert_string_equal(b.info.peer_subject, "good.test");
		else
			assert_true(b.why[0] != '\0');
		close_ends(&a, &b);
	}
}

/* Both ends agree about what they agreed on, and about channel bindings. */
static void facts(void **state)
{
	static const char *const protocols[] = { "TLSv1.2", "TLSv1.3" };
	struct tls_settings set = { .session_context = "test" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct end a = { .context = server(&set) }, b = { .context = client(other[0], protocols[i]) };
		struct buf text;

		two_ends(&a, &b, "a.sub.test", false);
		assert_int_equal(a.status, IO_OK);
		assert_string_equal(a.info.protocol, protocols[i]);
		assert_string_equal(a.info.cipher, b.info.cipher);
		assert_string_equal(a.info.sni, "a.sub.test");
		assert_string_equal(b.info.peer_subject, "other.test"); /* chosen by name */
		assert_int_equal(a.info.endpoint_len, 32);
		assert_memory_equal(a.info.endpoint, b.info.endpoint, 32);
		assert_int_equal(a.info.exporter_len, 32);
		assert_memory_equal(a.info.exporter, b.info.exporter, 32);
		assert_int_equal(a.info.unique_len, i == 0 ? 12 : 0);
		assert_int_equal(a.info.unique_len, b.info.unique_len);
		assert_memory_equal(a.info.unique, b.info.unique, a.info.unique_len);
		buf_init(&text, 1024);
		tls_describe(&text, &a.info, " ");
		assert_non_null(strstr(buf_cstr(&text), " with cipher "));
		assert_int_equal(strstr(buf_cstr(&text), " key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256") != NULL, i);
		buf_free(&text);
		close_ends(&a, &b);
	}
}

static void injected_plaintext(void **state)
{
	struct tls_settings set = { .session_context = "test" };
	struct end a = { .context = server(&set) };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	a.s = stream_open(pair[0]);
	assert_true(stream_unread(a.s, SPAN("NOOP\r\n")));
	assert_int_equal(tls_accept(a.s, a.context, clock_deadline(WAIT_MS), &a.info, a.why), IO_TOO_LONG);
	stream_close(a.s);
	close(pair[1]);
	tls_context_free(a.context);
}

static void handshake_deadline(void **state)
{
	struct tls_settings set = { .session_context = "test" };
	struct end a = { .context = server(&set) };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	a.s = stream_open(pair[0]);
	assert_int_equal(write(pair[1], "\x16\x03\x01", 3), 3); /* and no more */
	assert_int_equal(tls_accept(a.s, a.context, clock_deadline(50), &a.info, a.why), IO_TIMEOUT);
	stream_close(a.s);
	close(pair[1]);
	tls_context_free(a.context);
}

/* --- the relay ---------------------------------------------------------------------------------------------------- */

struct relayed {
	struct stream *s;
	int fd;
};

static void *relay_one(void *arg)
{
	struct relayed *r = arg;

	tls_relay(r->s, r->fd, WAIT_MS);
	close(r->fd);
	return NULL;
}

/* Echo until the end of the input, then one word more: it must still arrive. */
static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char bytes[5000];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		for (ssize_t at = 0, put; at < n; at += put) {
			put = write(fd, bytes + at, (size_t)(n - at));
			assert_true(put > 0);
		}
	assert_int_equal(write(fd, "BYE", 3), 3);
	close(fd);
	return NULL;
}

static void relay(void **state)
{
	enum { ROUNDS = 200, BLOCK = 10000 };
	struct tls_settings set = { .session_context = "test" };
	struct end a = { .context = server(&set) }, b = { .context = client(good[0], NULL) };
	struct relayed r;
	pthread_t relay_thread, echo_thread;
	int pair[2], other_end;
	char block[BLOCK];

	(void)state;
	two_ends(&a, &b, "good.test", true);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(io_set_nonblock(pair[0]), 0);
	r = (struct relayed){ a.s, pair[0] };
	other_end = pair[1];
	pthread_create(&relay_thread, NULL, relay_one, &r);
	pthread_create(&echo_thread, NULL, echo, &other_end);
	stream_set_deadline(b.s, clock_deadline(WAIT_MS));
	for (int i = 0; i < ROUNDS; i++) {
		size_t got = 0;

		memset(block, 'a' + i % 26, sizeof block);
		stream_write(b.s, span_of(block, sizeof block));
		assert_int_equal(stream_flush(b.s), IO_OK);
		while (got < sizeof block) {
			struct span have = stream_buffered(b.s);

			if (have.len == 0) {
				assert_int_equal(stream_fill(b.s), IO_OK);
				continue;
			}
			have = span_head(have, sizeof block - got);
			for (size_t k = 0; k < have.len; k++)
				assert_int_equal(have.ptr[k], 'a' + i % 26);
			got += have.len;
			stream_consume(b.s, have.len);
		}
	}
	shutdown(stream_fd(b.s), SHUT_WR); /* without a goodbye of TLS: the end of the input all the same */
	assert_int_equal(pthread_join(echo_thread, NULL), 0);
	assert_int_equal(pthread_join(relay_thread, NULL), 0);
	close_ends(&a, &b);
}

/* --- tickets ------------------------------------------------------------------------------------------------------ */

static void read_file(const char *path, unsigned char to[256])
{
	int fd = open(path, O_RDONLY);

	assert_int_equal(read(fd, to, 256), 256);
	close(fd);
}

/* The file is magic (8), time (8), then current, next and previous key of 80 bytes each. */
static void ticket_keys(void **state)
{
	enum { HEAD = 16, KEY = 80 };
	unsigned char before[256], after[256];
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s/tickets", dir);
	assert_int_equal(tls_tickets_rotate(path, 3600, (gid_t)-1), 1);
	read_file(path, before);
	assert_int_equal(tls_tickets_rotate(path, 3600, (gid_t)-1), 0);
	assert_int_equal(tls_tickets_rotate(path, 0, (gid_t)-1), 1); /* any age is too old */
	read_file(path, after);
	assert_memory_equal(after + HEAD, before + HEAD + KEY, KEY);         /* next became current */
	assert_memory_equal(after + HEAD + 2 * KEY, before + HEAD, KEY);     /* current became previous */
	assert_memory_not_equal(after + HEAD + KEY, before + HEAD + KEY, KEY);
}

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	signal(SIGPIPE, SIG_IGN); /* as every service does */
	tls_init();
	make_pair("good", good, "good.test");
	make_pair("other", other, "other.test");
	return 0;
}

static int tear_down(void **state)
{
	char path[64];

	(void)state;
	for (int i = 0; i < 2; i++) {
		unlink(good[i]);
		unlink(other[i]);
	}
	snprintf(path, sizeof path, "%s/tickets", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundles),	    cmocka_unit_test(settings),		  cmocka_unit_test(verification),
		cmocka_unit_test(facts),	    cmocka_unit_test(injected_plaintext), cmocka_unit_test(handshake_deadline),
		cmocka_unit_test(relay),	    cmocka_unit_test(ticket_keys),
	};

	return cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
}
