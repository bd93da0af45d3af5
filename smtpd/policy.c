/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check_policy_service: a program outside decides. "name=value" lines and an empty line there, "action=..." and an empty line
 * back. Connections are kept and shared by all sessions; one that was idle may be dead, so a failure is tried again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/dial.h"
#include "lib/proto/mailhost.h"
#include "smtpd/restrict.h"

enum { POOL_MAX = 64, REQUEST_MAX = 32 * 1024, LINE_MAX_BYTES = 4096, ANSWER_LINES_MAX = 100 };

struct policy {
	struct span endpoint;  /* "inet:127.0.0.1:10031" */
	struct span context, default_action;
	int64_t timeout_ms, max_idle_ms, max_ttl_ms, retry_delay_ms, request_limit, try_limit;
};

struct connection {
	struct stream *stream;
	char *endpoint;
	int64_t opened_ms, idle_since_ms, requests;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *pool[POOL_MAX];

/* --- settings ----------------------------------------------------------------------------------------------------- */

static bool set_option(struct policy *p, struct span option)
{
	struct span value = option, name = span_trim(span_cut(&value, '='));
	const struct {
		const char *name;
		int64_t *ms, *number;
		struct span *text;
	} options[] = {
		{ "timeout", &p->timeout_ms, NULL, NULL },
		{ "max_idle", &p->max_idle_ms, NULL, NULL },
		{ "max_ttl", &p->max_ttl_ms, NULL, NULL },
		{ "retry_delay", &p->retry_delay_ms, NULL, NULL },
		{ "request_limit", NULL, &p->request_limit, NULL },
		{ "try_limit", NULL, &p->try_limit, NULL },
		{ "default_action", NULL, NULL, &p->default_action },
		{ "policy_context", NULL, NULL, &p->context },
	};

	value = span_trim(value);
	if (value.len >= 2 && value.ptr[0] == '{' && value.ptr[value.len - 1] == '}')
		value = span_trim(span_of(value.ptr + 1, value.len - 2));
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (!span_is(name, options[i].name))
			continue;
		if (options[i].ms)
			return conf_parse_time_ms(value, 's', options[i].ms);
		if (options[i].number)
			return conf_parse_int(value, options[i].number);
		*options[i].text = value;
		return true;
	}
	return false;
}

/* "inet:host:port", or "{ inet:host:port, timeout=10s, default_action=DUNNO }". */
static bool read_policy(struct span arg, struct policy *p)
{
	struct span word;

	*p = (struct policy){
		.context = span_cstr(conf->smtpd_policy_service_policy_context),
		.default_action = span_cstr(conf->smtpd_policy_service_default_action),
		.timeout_ms = conf->smtpd_policy_service_timeout_ms,
		.max_idle_ms = conf->smtpd_policy_service_max_idle_ms,
		.max_ttl_ms = conf->smtpd_policy_service_max_ttl_ms,
		.retry_delay_ms = conf->smtpd_policy_service_retry_delay_ms,
		.request_limit = conf->smtpd_policy_service_request_limit,
		.try_limit = conf->smtpd_policy_service_try_limit,
		.endpoint = arg,
	};
	if (arg.len < 2 || arg.ptr[0] != '{')
		return arg.len > 0;
	arg = span_trim(span_of(arg.ptr + 1, arg.len - 1 - (arg.ptr[arg.len - 1] == '}')));
	if (!map_list_word(&arg, &p->endpoint))
		return false;
	/* Values may hold blanks inside braces; around "=" there may be some too. */
	while ((arg = span_trim(arg)).len) {
		ptrdiff_t at = span_chr(arg, '=');
		struct span name = span_head(arg, at < 0 ? arg.len : (size_t)at), value = span_skip(arg, name.len + 1);

		while (name.len && strchr(", \t\n", name.ptr[0]))
			name = span_skip(name, 1);
		if (at < 0 || !map_list_word(&value, &word))
			return false;
		if (!set_option(p, span_of(name.ptr, (size_t)(word.ptr + word.len - name.ptr))))
			return false;
		arg = value;
	}
	return true;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void drop(struct connection *con)
{
	stream_close(con->stream);
	free(con->endpoint);
	free(con);
}

static bool stale(const struct connection *con, int64_t max_idle_ms, int64_t max_ttl_ms)
{
	int64_t now = clock_mono_ms();

	return now - con->idle_since_ms > max_idle_ms || now - con->opened_ms > max_ttl_ms || stream_has_input(con->stream);
}

/* An idle one, or NULL. The ones that are too old are closed on the way. */
static struct connection *take(const struct policy *p)
{
	struct connection *found = NULL, *old[POOL_MAX];
	size_t nold = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < POOL_MAX && !found; i++) {
		if (pool[i] == NULL || !span_is(p->endpoint, pool[i]->endpoint))
			continue;
		if (stale(pool[i], p->max_idle_ms, p->max_ttl_ms))
			old[nold++] = pool[i];
		else
			found = pool[i];
		pool[i] = NULL;
	}
	pthread_mutex_unlock(&lock);
	while (nold)
		drop(old[--nold]);
	return found;
}

static void put_back(struct connection *con, const struct policy *p)
{
	con->idle_since_ms = clock_mono_ms();
	con->requests++;
	if (p->request_limit <= 0 || con->requests < p->request_limit) {
		pthread_mutex_lock(&lock);
		for (size_t i = 0; i < POOL_MAX && con; i++) {
			if (pool[i])
				continue;
			pool[i] = con;
			con = NULL;
		}
		pthread_mutex_unlock(&lock);
	}
	if (con)
		drop(con);
}

static struct connection *connect_to(const struct policy *p)
{
	struct connection *con;
	int fd = -1;

	errno = EINVAL;
	if (span_starts(p->endpoint, "unix:") || span_starts(p->endpoint, "inet:"))
		fd = dial(p->endpoint, clock_deadline(p->timeout_ms));
	if (fd < 0) {
		log_warn("connect to policy service " SPAN_FMT ": %m", SPAN_ARG(p->endpoint));
		return NULL;
	}
	con = mem_zalloc(sizeof *con);
	con->stream = stream_open(fd);
	con->endpoint = mem_strndup(p->endpoint.ptr, p->endpoint.len);
	con->opened_ms = con->idle_since_ms = clock_mono_ms();
	return con;
}

/* --- request and answer ------------------------------------------------------------------------------------------- */

static void add(struct buf *b, const char *name, struct span value)
{
	size_t from;

	buf_addf(b, "%s=", name);
	from = b->len;
	buf_add_span(b, value);
	for (size_t i = from; i < b->len; i++)
		if (b->ptr[i] == '\n' || b->ptr[i] == '\r' || b->ptr[i] == '\0')
			b->ptr[i] = '?';
	buf_addc(b, '\n');
}

static void add_number(struct buf *b, const char *name, uint64_t n)
{
	buf_addf(b, "%s=%llu\n", name, (unsigned long long)n);
}

/* One text for all requests about one message. */
static const char *instance(struct smtpd_session *s)
{
	static _Atomic unsigned sequence;

	if (s->txn.instance == NULL)
		s->txn.instance = arena_printf(&s->txn.arena, "%x.%llx.%x", (unsigned)getpid(), (unsigned long long)clock_wall_us(),
					       atomic_fetch_add(&sequence, 1));
	return s->txn.instance;
}

static void add_tls(struct buf *b, const struct tls_info *tls)
{
	static const struct tls_info none;
	bool trusted = tls && tls->peer_trusted; /* names that nobody vouches for are not passed on */

	if (tls == NULL)
		tls = &none;
	add(b, "ccert_subject", span_cstr(trusted ? tls->peer_subject : ""));
	add(b, "ccert_issuer", span_cstr(trusted ? tls->peer_issuer : ""));
	add(b, "ccert_fingerprint", span_cstr(tls->peer_fingerprint));
	add(b, "ccert_pubkey_fingerprint", span_cstr(tls->peer_key_fingerprint));
	add(b, "encryption_protocol", span_cstr(tls->protocol));
	add(b, "encryption_cipher", span_cstr(tls->cipher));
	add_number(b, "encryption_keysize", (uint64_t)tls->bits_used);
}

static void put_request(struct buf *b, struct check *c, const struct policy *p)
{
	struct smtpd_session *s = c->s;
	bool settled = c->stage == ACCESS_DATA || c->stage == ACCESS_END_OF_DATA;
	char local[NETADDR_TEXT_MAX];

	add(b, "request", SPAN("smtpd_access_policy"));
	add(b, "protocol_state", span_cstr(c->where));
	add(b, "protocol_name", span_cstr(smtpd_protocol(s)));
	add(b, "client_address", span_cstr(s->peer_text));
	add(b, "client_name", s->client_name);
	add_number(b, "client_port", s->peer.port);
	add(b, "reverse_client_name", s->reverse_name);
	add(b, "server_address", span_cstr(netaddr_text(&s->local, local)));
	add_number(b, "server_port", s->local.port);
	add(b, "helo_name", s->helo);
	add(b, "sender", s->txn.env.sender);
	add(b, "recipient", c->recipient);
	add_number(b, "recipient_count", settled ? s->txn.accepted : 0);
	add(b, "queue_id", span_cstr(s->txn.env.id));
	add(b, "instance", span_cstr(c->recipient.len || s->txn.accepted ? instance(s) : "")); /* as in Postfix, not before RCPT */
	add_number(b, "size", s->txn.size);
	add(b, "etrn_domain", c->etrn);
	add(b, "stress", span_cstr(conf->stress));
	add(b, "sasl_method", span_cstr(s->sasl_method));
	add(b, "sasl_username", s->sasl_user);
	add(b, "sasl_sender", s->txn.sasl_sender);
	add_tls(b, s->tls);
	add(b, "policy_context", p->context);
	add(b, "compatibility_level", span_cstr(conf->compatibility_level));
	add(b, "mail_version", span_cstr(conf->mail_version));
	buf_addc(b, '\n');
}

/* The value of action=, in a; further attributes are ignored. */
static bool read_answer(struct connection *con, struct arena *a, struct span *action_r)
{
	bool found = false;
	struct span line;

	for (int n = 0; n < ANSWER_LINES_MAX; n++) {
		if (stream_line(con->stream, LINE_MAX_BYTES, &line, NULL) != IO_OK)
			return false;
		if (line.len == 0)
			return found;
		if (!span_starts(line, "action="))
			continue;
		*action_r = arena_span(a, span_trim(span_skip(line, 7)));
		found = true;
	}
	return false;
}

static bool ask_once(struct check *c, const struct policy *p, struct span request, struct span *action_r)
{
	struct connection *con = take(p);

	if (con == NULL)
		con = connect_to(p);
	if (con == NULL)
		return false;
	stream_set_deadline(con->stream, clock_deadline(p->timeout_ms));
	stream_write(con->stream, request);
	if (stream_flush(con->stream) == IO_OK && read_answer(con, &c->s->cmd, action_r)) {
		put_back(con, p);
		return true;
	}
	drop(con);
	return false;
}

static bool ask(struct check *c, const struct policy *p, struct span *action_r)
{
	struct buf request;
	bool ok = false;

	buf_init(&request, REQUEST_MAX);
	put_request(&request, c, p);
	for (int64_t i = 0; i < p->try_limit && !ok; i++) {
		if (i > 0)
			(void)!io_sleep_until(clock_deadline(p->retry_delay_ms));
		ok = !request.overflow && ask_once(c, p, buf_span(&request), action_r);
	}
	buf_free(&request);
	return ok;
}

enum decision check_policy_service(struct check *c, const struct use *u)
{
	struct span action;
	struct policy p;

	if (!read_policy(u->arg, &p)) {
		log_warn("check_policy_service: bad argument \"" SPAN_FMT "\"", SPAN_ARG(u->arg));
		return refuse_config(c);
	}
	if (!ask(c, &p, &action)) {
		log_warn("problem talking to policy service " SPAN_FMT ": its default action is taken", SPAN_ARG(p.endpoint));
		action = p.default_action;
	}
	return apply_result(c, arena_cstr(&c->s->cmd, p.endpoint), SPAN("policy query"), action, c->name, c->what);
}
