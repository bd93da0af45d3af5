/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "smtp/self.h"

enum { QUOTED_MAX = 600, WATCH_MS = 2000 };

/* --- stages ------------------------------------------------------------------------------------------------------- */

static const struct stage {
	const char *doing;   /* "lost connection with H while ..." */
	const char *command; /* "... (in reply to X)" */
} stages[] = {
	[PEER_GREETING] = { "receiving the initial server greeting", "connection" },
	[PEER_EHLO] = { "performing the EHLO handshake", "EHLO command" },
	[PEER_HELO] = { "performing the HELO handshake", "HELO command" },
	[PEER_LHLO] = { "performing the LHLO handshake", "LHLO command" },
	[PEER_RSET] = { "sending RSET", "RSET command" },
	[PEER_MAIL] = { "sending MAIL FROM", "MAIL FROM command" },
	[PEER_RCPT] = { "sending RCPT TO", "RCPT TO command" },
	[PEER_DATA] = { "sending DATA command", "DATA command" },
	[PEER_BODY] = { "sending message body", "message body" },
	[PEER_DOT] = { "sending end of data -- message may be sent more than once", "end of DATA command" },
};

int64_t peer_timeout_ms(enum peer_stage stage)
{
	switch (stage) {
	case PEER_GREETING:
	case PEER_EHLO:
	case PEER_HELO:
	case PEER_LHLO:
		return conf->smtp_helo_timeout_ms;
	case PEER_RSET:
	case PEER_MAIL:
		return conf->smtp_mail_timeout_ms;
	case PEER_RCPT:
		return conf->smtp_rcpt_timeout_ms;
	case PEER_DATA:
		return conf->smtp_data_init_timeout_ms;
	case PEER_BODY:
		return conf->smtp_data_xfer_timeout_ms;
	case PEER_DOT:
		return conf->smtp_data_done_timeout_ms;
	}
	return conf->smtp_helo_timeout_ms;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

struct verdict peer_lost(struct peer *p, enum peer_stage stage, enum io_status status, struct arena *a)
{
	const char *doing = stages[stage].doing;

	p->dead = true;
	if (status == IO_TIMEOUT)
		return verdict_make(a, "4.4.2", "conversation with " SPAN_FMT " timed out while %s", SPAN_ARG(p->name),
				    doing);
	if (status == IO_STOPPING)
		return verdict_make(a, "4.3.2",
				    "conversation with " SPAN_FMT " broken off by our own mail system while %s",
				    SPAN_ARG(p->name), doing);
	return verdict_make(a, "4.4.2", "lost connection with " SPAN_FMT " while %s", SPAN_ARG(p->name), doing);
}

static struct verdict garbage(struct peer *p, enum peer_stage stage, enum smtp_reply_status status, struct arena *a)
{
	p->dead = true;
	return verdict_make(a, "4.5.0", "protocol error: %s from " SPAN_FMT " while %s", smtp_reply_status_str(status),
			    SPAN_ARG(p->name), stages[stage].doing);
}

/* As much of what a server says as leaves room for the rest of a verdict. */
static struct span quotable(struct span text)
{
	return span_head(text, QUOTED_MAX);
}

struct verdict peer_verdict(const struct peer *p, enum peer_stage stage, struct arena *a)
{
	const struct smtp_reply *r = &p->parser.reply;
	char dsn[sizeof r->dsn];

	memcpy(dsn, r->dsn, sizeof dsn);
	/* "Go on" where nothing can follow, "done" where nothing is. */
	if (dsn[0] == '3' || (dsn[0] == '2' && stage != PEER_DOT) || !verdict_dsn_valid(span_cstr(dsn)))
		memcpy(dsn, "4.5.0", sizeof "4.5.0");
	if (dsn[0] == '2')
		return verdict_make(a, dsn, SPAN_FMT, SPAN_ARG(quotable(r->text)));
	return verdict_make(a, dsn, "host " SPAN_FMT " said: " SPAN_FMT " (in reply to %s)", SPAN_ARG(p->name),
			    SPAN_ARG(quotable(r->text)), stages[stage].command);
}

/* Did the queue manager go away? Whoever follows it waits for us, so nothing may take long now. */
static bool is_orphaned(const struct peer *p)
{
	struct pollfd fd = { .fd = p->owner_fd };

	return poll(&fd, 1, 0) > 0 && fd.revents & (POLLHUP | POLLERR);
}

/*
 * More input. When the system stops or the queue manager is gone, waiting for a server ends soon, save for the answer
 * to the final dot: without it the message would go out a second time. At a stop that is waited for as long as master
 * allows.
 */
static enum io_status more_input(struct peer *p, enum peer_stage stage, int64_t deadline_ms)
{
	struct pollfd fd = { .fd = stream_fd(p->stream), .events = POLLIN };
	enum io_status status = stream_flush(p->stream);

	while (status == IO_OK) {
		int64_t slice = clock_deadline(WATCH_MS);

		stream_set_deadline(p->stream, slice < deadline_ms ? slice : deadline_ms);
		status = stream_fill(p->stream);
		if (status != IO_TIMEOUT || clock_mono_ms() >= deadline_ms)
			break;
		status = stage != PEER_DOT && is_orphaned(p) ? IO_STOPPING : IO_OK;
	}
	if (status != IO_STOPPING || stage != PEER_DOT)
		return status;
	if (poll(&fd, 1, (int)(conf->stop_timeout_ms * 3 / 4)) <= 0)
		return IO_STOPPING;
	return stream_fill(p->stream);
}

bool peer_answer(struct peer *p, enum peer_stage stage, struct arena *a, struct verdict *trouble_r)
{
	enum smtp_reply_status status = SMTP_REPLY_MORE;
	int64_t deadline_ms = clock_deadline(peer_timeout_ms(stage));

	smtp_reply_reset(&p->parser);
	stream_set_deadline(p->stream, deadline_ms);
	while (status == SMTP_REPLY_MORE) {
		struct span in = stream_buffered(p->stream);
		size_t before = in.len;
		enum io_status io = IO_OK;

		if (before == 0 && (io = more_input(p, stage, deadline_ms)) != IO_OK) {
			*trouble_r = peer_lost(p, stage, io, a);
			return false;
		}
		if (before == 0)
			continue;
		status = smtp_reply_feed(&p->parser, &in);
		stream_consume(p->stream, before - in.len);
	}
	if (status != SMTP_REPLY_DONE) {
		*trouble_r = garbage(p, stage, status, a);
		return false;
	}
	if (p->parser.reply.code == 421 && stage > PEER_LHLO) {
		*trouble_r = peer_verdict(p, stage, a);
		p->dead = true;
		return false;
	}
	return true;
}

bool peer_in_step(struct peer *p, enum peer_stage stage, struct arena *a, struct verdict *trouble_r)
{
	if (!stream_has_input(p->stream))
		return true;
	p->dead = true;
	*trouble_r = verdict_make(a, "4.5.0", "protocol error: reply without a command from " SPAN_FMT " while %s",
				  SPAN_ARG(p->name), stages[stage].doing);
	return false;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int connect_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/*
 * Whether a site is back is asked in vain most of the time. SYNs that it dropped are repeated at ever longer pauses, so a new
 * connection tells sooner than a long wait; and of a machine that was started anew while we waited for its greeting we hear
 * nothing, as we send nothing.
 */
enum { ALIVE_S = 5, ALIVE_PROBES = 60 };

static void keep_alive(int fd)
{
	int on = 1, seconds = ALIVE_S, probes = ALIVE_PROBES;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static int connect_to(struct arena *a, const struct site_host *host, bool probing, struct span name, struct verdict *trouble_r)
{
	const char *bind_text = host->addr.family == AF_INET ? conf->smtp_bind_address : conf->smtp_bind_address6;
	struct netaddr local;
	bool bound = *bind_text && netaddr_parse(span_cstr(bind_text), &local);
	int fd;

	local.port = 0;
	if (host->path) {
		fd = connect_unix(host->path);
		if (fd < 0)
			*trouble_r = verdict_make(a, "4.4.1", "connect to " SPAN_FMT ": %s", SPAN_ARG(name),
						  strerrordesc_np(errno));
		return fd;
	}
	fd = netaddr_connect(&host->addr, bound ? &local : NULL,
			     clock_deadline(probing && conf->smtp_probe_connect_timeout_ms < conf->smtp_connect_timeout_ms
						? conf->smtp_probe_connect_timeout_ms
						: conf->smtp_connect_timeout_ms));
	if (fd >= 0 && probing)
		keep_alive(fd);
	if (fd < 0)
		*trouble_r = verdict_make(a, "4.4.1", "connect to " SPAN_FMT ":%u: %s", SPAN_ARG(name),
					  (unsigned)host->addr.port, strerrordesc_np(errno));
	return fd;
}

static bool refused(struct peer *p, struct arena *a, struct verdict *trouble_r)
{
	char dsn[sizeof p->parser.reply.dsn];

	memcpy(dsn, p->parser.reply.dsn, sizeof dsn);
	if (dsn[0] == '2' || dsn[0] == '3')
		memcpy(dsn, "4.5.0", sizeof "4.5.0");
	*trouble_r = verdict_make(a, dsn, "host " SPAN_FMT " refused to talk to me: " SPAN_FMT, SPAN_ARG(p->name),
				  SPAN_ARG(quotable(p->parser.reply.text)));
	return false;
}

static bool greeted(struct peer *p, struct arena *a, struct verdict *trouble_r)
{
	int code;

	if (!peer_answer(p, PEER_GREETING, a, trouble_r))
		return false;
	code = p->parser.reply.code;
	if (code / 100 == 2)
		return true;
	/* No transaction yet, so this says something of the server and its day, not of the mail. */
	if (code / 100 == 5 && conf->smtp_skip_5xx_greeting)
		p->parser.reply.dsn[0] = '4';
	p->dead = code == 421;
	return refused(p, a, trouble_r);
}

/* A server that answers under our own name, where we take mail ourselves: a translator of addresses leads back here. */
static bool is_ourselves(const struct peer *p, const struct site_host *host)
{
	return !site_lmtp && self_is_port(host->addr.port) && span_iis(p->ehlo.name, conf->myhostname);
}

static bool introduced(struct peer *p, const struct site_host *host, struct arena *a, struct verdict *trouble_r)
{
	enum peer_stage stage = site_lmtp ? PEER_LHLO : PEER_EHLO;

	if (!peer_in_step(p, stage, a, trouble_r))
		return false;
	stream_printf(p->stream, "%s %s\r\n", site_lmtp ? "LHLO" : "EHLO", conf->smtp_helo_name);
	if (!peer_answer(p, stage, a, trouble_r))
		return false;
	if (p->parser.reply.code / 100 == 2) {
		smtp_ehlo_parse(&p->a, &p->parser, &p->ehlo);
	} else if (p->parser.reply.code == 421 || site_lmtp) {
		p->dead = p->parser.reply.code == 421;
		return refused(p, a, trouble_r);
	} else {
		if (!peer_in_step(p, PEER_HELO, a, trouble_r))
			return false;
		stream_printf(p->stream, "HELO %s\r\n", conf->smtp_helo_name);
		if (!peer_answer(p, PEER_HELO, a, trouble_r))
			return false;
		if (p->parser.reply.code / 100 != 2)
			return refused(p, a, trouble_r);
	}
	if (!is_ourselves(p, host))
		return true;
	*trouble_r = verdict_make(a, "4.4.6",
				  "host " SPAN_FMT " greeted me with my own host name %s: mail loops back to "
				  "myself; see mydestination, relay_domains and proxy_interfaces",
				  SPAN_ARG(p->name), conf->myhostname);
	return false;
}

struct peer *peer_open(struct arena *a, const struct site_host *host, bool probing, int owner_fd,
		       struct verdict *trouble_r, struct span *relay_r)
{
	char text[NETADDR_TEXT_MAX];
	struct span name = span_cstr(arena_printf(a, SPAN_FMT "[%s]", SPAN_ARG(host->name),
						  host->path ? host->path : netaddr_text(&host->addr, text)));
	int fd = connect_to(a, host, probing, name, trouble_r);
	struct peer *p;

	if (fd < 0)
		return NULL;
	p = mem_zalloc(sizeof *p);
	p->stream = stream_open(fd);
	p->owner_fd = owner_fd;
	p->opened_ms = clock_mono_ms();
	p->name = arena_span(&p->a, name);
	p->relay = host->path ? p->name : span_cstr(arena_printf(&p->a, SPAN_FMT ":%u", SPAN_ARG(name), (unsigned)host->addr.port));
	smtp_reply_init(&p->parser);
	*relay_r = arena_span(a, p->relay);
	if (greeted(p, a, trouble_r) && introduced(p, host, a, trouble_r))
		return p;
	peer_close(p);
	return NULL;
}

void peer_close(struct peer *p)
{
	if (p == NULL)
		return;
	if (!p->dead && !p->ahead) { /* behind a DATA that went ahead QUIT would be content */
		/* One write that fits into any socket buffer: this does not wait. */
		stream_set_deadline(p->stream, clock_deadline(1000));
		stream_puts(p->stream, "QUIT\r\n");
		(void)stream_flush(p->stream);
	}
	stream_close(p->stream);
	smtp_reply_free(&p->parser);
	arena_free(&p->a);
	free(p);
}
