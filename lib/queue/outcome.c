/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

enum { DELAYS_MAX = 128, SIGNIFICANT_DIGITS = 2 };

/* --- the log line ------------------------------------------------------------------------------------------------- */

void outcome_put_delay(struct buf *b, int64_t us, unsigned decimals)
{
	int64_t unit = 1000000; /* of the last digit shown */
	int64_t limit = 1;
	char digits[24];
	int len;

	us = us < 0 ? 0 : us;
	for (unsigned i = 1; i < SIGNIFICANT_DIGITS; i++)
		limit *= 10;
	/* One more decimal as long as fewer than SIGNIFICANT_DIGITS digits would show. */
	for (; decimals > 0 && us / unit < limit; decimals--)
		unit /= 10;
	us += unit / 2;
	us -= us % unit;
	len = snprintf(digits, sizeof digits, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
	while (digits[len - 1] == '0')
		len--;
	len -= digits[len - 1] == '.';
	buf_add(b, digits, (size_t)len);
}

static void put_delays(struct buf *b, const struct job_message *m, const struct outcome *o)
{
	unsigned decimals = (unsigned)conf->delay_logging_resolution_limit;
	int64_t now = clock_wall_us();
	int64_t ready = o->ready_us ? o->ready_us : o->start_us;

	buf_adds(b, "delay=");
	outcome_put_delay(b, now - m->arrival_us, decimals);
	buf_adds(b, ", delays=");
	outcome_put_delay(b, m->active_us - m->arrival_us, decimals);
	buf_addc(b, '/');
	outcome_put_delay(b, o->start_us - m->active_us, decimals);
	buf_addc(b, '/');
	outcome_put_delay(b, ready - o->start_us, decimals);
	buf_addc(b, '/');
	outcome_put_delay(b, now - ready, decimals);
}

static bool is_soft(const struct verdict *v)
{
	return v->class == VERDICT_PERM && conf->soft_bounce;
}

static enum verdict_class final_class(const struct verdict *v)
{
	return is_soft(v) ? VERDICT_TEMP : v->class;
}

static void final_dsn(const struct verdict *v, char dsn_r[static sizeof v->dsn])
{
	memcpy(dsn_r, v->dsn, sizeof v->dsn);
	if (is_soft(v))
		dsn_r[0] = '4';
}

struct verdict outcome_final(struct verdict v)
{
	struct verdict final = v;

	final_dsn(&v, final.dsn);
	final.class = final_class(&v);
	return final;
}

static bool is_probe(const struct job_message *m)
{
	return (m->flags & QUEUE_PROBE) != 0;
}

static const char *status_str(const struct job_message *m, const struct verdict *v)
{
	static const char *const names[] = {
		[VERDICT_OK] = "sent",
		[VERDICT_TEMP] = "deferred",
		[VERDICT_PERM] = "bounced",
	};

	if (is_probe(m) && v->class == VERDICT_OK)
		return "deliverable";
	if (is_probe(m))
		return conf->address_verify_negative_cache ? "undeliverable" : "undeliverable-but-not-cached";
	return is_soft(v) ? "SOFTBOUNCE" : names[v->class];
}

void outcome_log(const struct job_message *m, const struct job_rcpt *r, const struct outcome *o)
{
	struct buf orig_to, conn_use, delays;
	char dsn[sizeof o->verdict.dsn];

	buf_init(&orig_to, QUEUE_ADDRESS_MAX + 32);
	buf_init(&conn_use, 32);
	buf_init(&delays, DELAYS_MAX);
	if (r->original.len && !span_eq(r->original, r->address))
		buf_addf(&orig_to, "orig_to=<" SPAN_FMT ">, ", SPAN_ARG(r->original));
	if (o->conn_use > 1)
		buf_addf(&conn_use, "conn_use=%u, ", o->conn_use);
	put_delays(&delays, m, o);
	if (is_probe(m))
		memcpy(dsn, o->verdict.dsn, sizeof dsn);
	else
		final_dsn(&o->verdict, dsn);
	log_info("%s: to=<" SPAN_FMT ">, %srelay=" SPAN_FMT ", %s%s, dsn=%s, status=%s (" SPAN_FMT ")", m->id,
		 SPAN_ARG(r->address), buf_cstr(&orig_to), SPAN_ARG(o->relay.len ? o->relay : SPAN("none")),
		 buf_cstr(&conn_use), buf_cstr(&delays), dsn, status_str(m, &o->verdict), SPAN_ARG(o->verdict.text));
	buf_free(&orig_to);
	buf_free(&conn_use);
	buf_free(&delays);
}

/* --- journal and result ------------------------------------------------------------------------------------------- */

static bool all_delivered(const struct job_message *m, const struct outcome *of)
{
	for (size_t i = 0; i < m->nrcpts; i++)
		if (final_class(&of[i].verdict) != VERDICT_OK)
			return false;
	return true;
}

/* Returns true for an entry that must reach the disk: a lost DELIVERED is a second copy, a lost deferral a retry. */
static bool make_entry(uint32_t index, const struct outcome *o, struct queue_journal_entry *e)
{
	static const enum queue_record types[] = {
		[VERDICT_OK] = QUEUE_REC_DELIVERED,
		[VERDICT_TEMP] = QUEUE_REC_DEFERRED,
		[VERDICT_PERM] = QUEUE_REC_BOUNCED,
	};

	*e = (struct queue_journal_entry){
		.type = types[final_class(&o->verdict)],
		.rcpt = index,
		.reason = o->verdict.text,
		.relay = o->relay,
	};
	final_dsn(&o->verdict, e->dsn);
	return e->type == QUEUE_REC_DELIVERED;
}

/* False: it could not be written. */
static bool write_journal(const struct job_message *m, const struct outcome *of)
{
	struct queue_journal_entry *entries;
	bool durable = false, written;

	if (m->nrcpts == 0)
		return true;
	if (m->last && (is_probe(m) || all_delivered(m, of))) {
		if (queue_remove(m->id, &m->place) < 0)
			log_warn("%s: cannot remove the delivered message: %s", m->id, strerrordesc_np(errno));
		return true;
	}
	entries = mem_realloc_array(NULL, m->nrcpts, sizeof *entries);
	for (size_t i = 0; i < m->nrcpts; i++) {
		durable |= make_entry(m->rcpts[i].index, &of[i], &entries[i]);
		if (is_probe(m)) /* done with, whatever it was; should it be lost, it is asked again */
			entries[i].type = QUEUE_REC_DELIVERED;
	}
	durable = durable && !is_probe(m);
	written = queue_journal(m->id, &m->place, entries, m->nrcpts, durable) == 0;
	if (!written)
		log_warn("%s: cannot journal what happened to %zu recipients: %s", m->id, m->nrcpts,
			 strerrordesc_np(errno));
	free(entries);
	return written;
}

/* A failure that is not in the journal is not one yet: bounce finds in the journal whom to report on. */
static enum verdict_class told_class(const struct verdict *v, bool written)
{
	enum verdict_class class = final_class(v);

	return class == VERDICT_PERM && !written ? VERDICT_TEMP : class;
}

static struct job_outcome told_probe(uint32_t index, const struct outcome *o)
{
	return (struct job_outcome){ index, o->verdict.class, false, span_head(o->verdict.text, QUEUE_REASON_MAX) };
}

static struct job_outcome told_outcome(uint32_t index, const struct outcome *o, bool written)
{
	struct job_outcome told = { index, told_class(&o->verdict, written), o->passed_on, SPAN_NONE };

	if (told.class != VERDICT_OK)
		told.reason = span_head(o->verdict.text, QUEUE_REASON_MAX);
	return told;
}

/* result: but for id and outcomes. */
static bool put_result(const struct job_message *m, const struct outcome *of, bool written, struct job_result result,
		       struct buf *frame)
{
	bool ok;

	memcpy(result.id, m->id, sizeof result.id);
	result.noutcomes = m->nrcpts;
	result.outcomes = m->nrcpts ? mem_realloc_array(NULL, m->nrcpts, sizeof *result.outcomes) : NULL;
	for (size_t i = 0; i < m->nrcpts; i++)
		result.outcomes[i] = is_probe(m) ? told_probe(m->rcpts[i].index, &of[i])
						 : told_outcome(m->rcpts[i].index, &of[i], written);
	ok = job_add_result(frame, &result);
	free(result.outcomes);
	return ok;
}

bool outcome_report(const struct job_message *m, const struct outcome *of, bool site_down, struct span reason,
		    struct buf *frame)
{
	struct job_result result = { .site_down = site_down, .reason = span_head(reason, QUEUE_REASON_MAX) };

	return put_result(m, of, write_journal(m, of), result, frame);
}

bool outcome_report_kept(const struct job_message *m, const struct outcome *of, struct buf *frame)
{
	return put_result(m, of, true, (struct job_result){ .kept = true }, frame);
}
