/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole SMTP session through smtpd's own code: what the client says is the input, over a socket pair. The queue and auth are
 * played here, so that nothing is written and what reaches them is checked: no message without a sender and recipients, none for
 * another site from somebody who has not authenticated, nobody authenticated without the password.
 *
 * The first octet chooses: 1 LMTP, 2 clients that talk too early are refused, 4 the header of a load balancer comes first, 8 no AUTH in
 * clear.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/pack.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"
#include "lib/route/route.h"
#include "lib/service/auth_ask.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WAYS = 16, INPUT_BYTES = 4096, ROOM_BYTES = 4 << 20, FIELDS_MAX = 6000 };

static const struct conf *ways[WAYS];

/* What one session did. */
static struct {
	unsigned passwords;  /* that were right */
	unsigned messages;
	struct queue_writer *open;
} seen;

/* --- the queue ---------------------------------------------------------------------------------------------------- */

struct queue_writer {
	struct buf content;
	bool relayed; /* for another site, from a stranger: it may only be thrown away */
};

static void check_envelope(struct queue_writer *w, const struct queue_envelope *env)
{
	must(queue_id_valid(span_cstr(env->id)) && env->nrcpts > 0);
	w->relayed = false;
	for (size_t i = 0; i < env->nrcpts; i++) {
		struct span to = env->rcpts[i].address, domain = addr_split(to).domain;

		must(to.len > 0 && span_chr(to, '\n') < 0 && span_chr(to, '\0') < 0);
		w->relayed |= !env->sasl_user.len && !span_iis(domain, "example.test") && !span_iis(domain, "mail.example.test");
	}
}

struct queue_writer *queue_create(const struct queue_envelope *env)
{
	must(seen.open == NULL);
	seen.open = mem_zalloc(sizeof *seen.open);
	check_envelope(seen.open, env);
	buf_init(&seen.open->content, ROOM_BYTES);
	return seen.open;
}

void queue_write(struct queue_writer *w, struct span content)
{
	must(w == seen.open && buf_add_span(&w->content, content));
}

uint64_t queue_written(const struct queue_writer *w)
{
	return w->content.len;
}

void queue_change_envelope(struct queue_writer *w, const struct queue_envelope *env)
{
	must(w == seen.open);
	check_envelope(w, env);
}

int queue_commit(struct queue_writer *w, struct queue_place *place_r)
{
	struct span text = buf_span(&w->content);

	*place_r = (struct queue_place){ 0 };
	must(!w->relayed);
	must(span_starts(text, "Received: from ") && span_ends(text, "\n") && span_chr(text, '\r') < 0);
	must(text.len <= (uint64_t)conf->message_size_limit + FIELDS_MAX);
	seen.messages++;
	queue_abort(w);
	return 0;
}

void queue_abort(struct queue_writer *w)
{
	must(w == seen.open);
	seen.open = NULL;
	buf_free(&w->content);
	free(w);
}

bool job_announce(const struct queue_envelope *env, const struct queue_place *place)
{
	(void)place;
	must(env->nrcpts > 0);
	return true;
}

void job_announce_end(void)
{
}

/* --- auth --------------------------------------------------------------------------------------------------------- */

/* alice's password is "secret", her token, too. A SCRAM proof is never right: nobody can guess the nonce. */
enum auth_ask auth_ask(const char *path, const struct handover_login *q, int client, struct arena *a,
		       struct handover_reply *reply_r)
{
	struct buf b, frame;

	(void)path;
	must(client < 0 && span_is(q->service, "smtp"));
	buf_init(&frame, FRAME_MAX);
	*reply_r = (struct handover_reply){ .code = HANDOVER_REFUSED };
	if (!handover_put_login(&frame, q)) {
		buf_free(&frame);
		return AUTH_SAID;
	}
	buf_free(&frame);
	if (span_is(q->user, "away"))
		return AUTH_NOT_TAKEN;
	if (q->want == HANDOVER_WANT_PARAMETERS) {
		buf_init(&b, HANDOVER_DATA_MAX);
		pack_u32(&b, 4096);
		buf_adds(&b, "some salt");
		*reply_r = (struct handover_reply){ .code = HANDOVER_OK, .data = arena_span(a, buf_span(&b)) };
		buf_free(&b);
	} else if (span_is(q->user, "alice") && span_is(q->password, "secret")) {
		seen.passwords++;
		*reply_r = (struct handover_reply){ .code = HANDOVER_OK, .user = arena_span(a, q->user) };
	}
	return AUTH_SAID;
}

/* --- the configuration -------------------------------------------------------------------------------------------- */

static const char main_cf[] =
	"unprivileged_mode = yes\nmyhostname = mail.example.test\nmydomain = example.test\nmynetworks = 203.0.113.77\n"
	"mydestination = $myhostname, $mydomain\nalias_maps =\nalias_database =\nqueue_directory = .\ndata_directory = .\n"
	"local_recipient_maps = inline:{ { alice = x }, { bob = x } }\nsmtpd_reject_unlisted_sender = yes\n"
	"virtual_alias_maps = inline:{ { both@example.test = alice@example.test bob@example.test } }\n"
	"recipient_delimiter = +\ninet_interfaces = 127.0.0.1\nrelay_domains =\nfast_flush_domains = relay.test\n"
	"smtpd_peername_lookup = no\nsmtpd_client_connection_count_limit = 0\nsmtpd_timeout = 5s\nmessage_size_limit = 3000\n"
	"smtpd_error_sleep_time = 0\nauth_failure_delay = 0\nsmtpd_junk_command_limit = 1000\nsmtpd_hard_error_limit = 100\n"
	"smtpd_sasl_auth_enable = yes\nauth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 oauthbearer xoauth2\n"
	"smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\nqueue_minfree = 1\n"
	"smtpd_sender_restrictions = reject_known_sender_login_mismatch, check_sender_access inline:{ { bad@x.test = REJECT },"
	" { drop@x.test = DISCARD }, { hold@x.test = HOLD }, { later@x.test = DEFER_IF_PERMIT } }\n"
	"smtpd_end_of_data_restrictions = check_sender_access inline:{ { end@x.test = REJECT },"
	" { endbcc@x.test = BCC bob@example.test } }\n"
	"smtpd_sender_login_maps = inline:{ { alice@example.test = alice }, { bob@example.test = bob } }\nuserdb = passwd-file:/dev/null\n"
	"smtpd_upstream_proxy_hosts = 192.0.2.0/24\nsmtpd_authorized_xclient_hosts = 192.0.2.0/24\n"
	"smtpd_authorized_xforward_hosts = 192.0.2.0/24\n";

static const struct conf *load(const char *dir, unsigned way)
{
	const char *const overrides[] = {
		way & 2 ? "smtpd_forbid_unauth_pipelining=yes" : "smtpd_forbid_unauth_pipelining=no",
		way & 4 ? "smtpd_upstream_proxy_protocol=haproxy" : "smtpd_upstream_proxy_protocol=",
		way & 8 ? "disable_plaintext_auth=yes" : "disable_plaintext_auth=no",
	};
	struct conf *c = NULL;
	struct buf messages;

	buf_init(&messages, 65536);
	if (conf_load(dir, overrides, sizeof overrides / sizeof *overrides, &c, &messages) == CONF_ERROR)
		log_fatal("%s", buf_cstr(&messages));
	buf_free(&messages);
	return c;
}

static void set_up(void)
{
	char dir[] = "/tmp/fuzz-smtpd-XXXXXX", path[64];
	FILE *f;

	must(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/main.cf", dir);
	f = fopen(path, "w");
	must(f && fputs(main_cf, f) >= 0 && fclose(f) == 0);
	for (unsigned i = 0; i < WAYS; i++)
		ways[i] = load(dir, i);
	must(unlink(path) == 0 && rmdir(dir) == 0);
	conf = ways[0];
	log_open("fuzz", LOG_TO_FD, open("/dev/null", O_WRONLY | O_CLOEXEC), 0);
	route_init();
	access_init();
	smtpd_auth_init();
}

/* --- one session -------------------------------------------------------------------------------------------------- */

/* Whole lines, each with a code; nothing that a terminal would obey. */
static void check_replies(struct span text)
{
	unsigned queued = 0, granted = 0;

	while (text.len) {
		ptrdiff_t end = span_find(text, SPAN("\r\n"));
		struct span line = span_head(text, end < 0 ? 0 : (size_t)end);

		must(end >= 3 && line.ptr[0] >= '2' && line.ptr[0] <= '5' && ascii_isdigit(line.ptr[1]) && ascii_isdigit(line.ptr[2]));
		must(line.len > 3 && (line.ptr[3] == ' ' || line.ptr[3] == '-'));
		for (size_t i = 0; i < line.len; i++)
			must(!ascii_iscntrl(line.ptr[i]));
		queued += span_starts(line, "250 ") && span_find(line, SPAN("queued as ")) > 0;
		granted += span_starts(line, "235 ");
		text = span_skip(text, line.len + 2);
	}
	must(queued >= seen.messages && granted == seen.passwords);
}

static void read_replies(int fd, struct buf *replies)
{
	char piece[65536];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
		must(buf_add(replies, piece, (size_t)n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct service_session ss = { .fd = -1 };
	int room = ROOM_BYTES, pair[2];
	struct buf replies;

	if (size == 0 || size > INPUT_BYTES)
		return 0;
	if (ways[0] == NULL)
		set_up();
	conf = ways[data[0] % WAYS];
	smtpd_lmtp = data[0] & 1;
	memset(&seen, 0, sizeof seen);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	/* Nobody reads until the session is over: all that it says must have room. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
		(void)!setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	must(send(pair[1], data + 1, size - 1, 0) == (ssize_t)size - 1 && shutdown(pair[1], SHUT_WR) == 0);
	must(netaddr_parse(SPAN("192.0.2.1"), &ss.peer) && netaddr_parse(SPAN("192.0.2.25"), &ss.local));
	ss.fd = pair[0];
	smtpd_session(&ss);
	must(seen.open == NULL);
	buf_init(&replies, ROOM_BYTES);
	read_replies(pair[1], &replies);
	close(pair[1]);
	check_replies(buf_span(&replies));
	buf_free(&replies);
	return 0;
}
