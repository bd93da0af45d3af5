/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UIDs of an mbox. The truth is X-IMAPbase (UIDVALIDITY, highest UID) in the first message and X-UID in each, as
 * c-client and Dovecot write them. Beside the mbox the state file keeps UIDVALIDITY and the next UID (so that neither
 * is lost with the first message, nor a UID given twice after a crash: it is durable before a client hears of a UID)
 * and the UIDs of messages of other programs, whose headers have no room for them, until the next
 * rewriting, and of all others until the mbox is synced.
 *
 * A number in the file counts only where it ascends and is below the next UID; a forged or damaged one is replaced.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/log.h"
#include "lib/store/mbox-int.h"

static uint32_t mix(uint32_t h, uint32_t v)
{
	return (uint32_t)crc32(h, (const unsigned char *)&v, sizeof v);
}

static ptrdiff_t index_at(const struct folder *f, uint64_t off)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->recs[mid].mbox.off < off)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->n && f->recs[low].mbox.off == off ? (ptrdiff_t)low : -1;
}

/* UIDs that another session, or this one before, gave to messages without X-UID. */
static void apply_run(struct folder *f, const struct mbox_run *run)
{
	ptrdiff_t at = index_at(f, run->first_off);
	uint32_t hash = 0;

	if (at < 0 || run->count == 0 || run->count > f->n - (size_t)at || run->uid > UINT32_MAX - run->count ||
	    f->recs[at + run->count - 1].mbox.off != run->last_off)
		return;
	for (uint32_t i = 0; i < run->count; i++)
		hash = mix(hash, f->recs[at + i].mbox.from_hash);
	for (uint32_t i = 0; hash == run->hash && i < run->count; i++) {
		struct rec *r = &f->recs[at + i];

		if (r->m.uid == 0) {
			r->m.uid = run->uid + i;
			r->dirty |= DIRTY_UID;
		}
		r->mbox.unsynced |= r->m.uid == run->uid + i;
	}
}

/* UIDVALIDITY and next UID; false: the numbers in the file mean nothing. */
static bool decide_validity(struct folder *f)
{
	struct mbox *m = f->mbox;
	uint32_t validity, next;
	bool trust = true;

	if (m->base_validity != 0) {
		validity = m->base_validity;
		next = m->base_lastuid + 1;
	} else if (m->state.sequence > 0) {
		validity = m->state.uidvalidity;
		next = m->state.uidnext;
	} else if (f->uidvalidity != 0) {
		validity = f->uidvalidity;
		next = f->uidnext;
	} else {
		validity = uidvalidity_new(f->validity_file);
		next = 1;
		trust = false;
	}
	if (m->state.sequence > 0 && m->state.uidvalidity == validity && m->state.uidnext > next)
		next = m->state.uidnext;
	if (f->uidvalidity == validity && f->uidnext > next)
		next = f->uidnext;
	if (f->uidvalidity != validity)
		f->generation++;
	f->uidvalidity = validity;
	f->uidnext = next;
	return trust;
}

static void renumber_all(struct folder *f)
{
	f->uidvalidity = uidvalidity_new(f->validity_file);
	f->uidnext = 1;
	for (size_t i = 0; i < f->n; i++)
		f->recs[i].m.uid = 0;
}

void mbox_assign_uids(struct folder *f)
{
	struct mbox *m = f->mbox;
	bool trust = decide_validity(f), broken = false;
	uint32_t prev = 0;

	if (f->uidnext > UINT32_MAX - 65536 - f->n)
		renumber_all(f);
	for (size_t i = 0; i < f->n && !trust; i++)
		f->recs[i].m.uid = 0;
	if (m->state.uidvalidity == f->uidvalidity)
		for (uint32_t i = 0; i < m->state.nruns; i++)
			apply_run(f, &m->state.runs[i]);
	for (size_t i = 0; i < f->n; i++) {
		struct rec *r = &f->recs[i];

		if (broken || r->m.uid <= prev || r->m.uid >= f->uidnext) {
			/* the first one without a number of its own; what follows has to come behind it */
			if (!broken) {
				broken = true;
				for (size_t j = i; j < f->n; j++)
					f->recs[j].m.uid = 0;
			}
			r->m.uid = f->uidnext++;
			r->dirty |= DIRTY_UID;
			f->generation++;
		}
		if (r->dirty & DIRTY_UID)
			f->dirty = true;
		prev = r->m.uid;
	}
}

static void find_runs(struct folder *f, struct mbox_state *s)
{
	struct mbox_run *run = NULL;

	s->nruns = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct rec *r = &f->recs[i];

		if (!(r->dirty & DIRTY_UID) && !r->mbox.unsynced) {
			run = NULL;
			continue;
		}
		if (run == NULL || run->uid + run->count != r->m.uid) {
			if (s->nruns == MBOX_RUNS_MAX)
				return;
			run = &s->runs[s->nruns++];
			*run = (struct mbox_run){ .first_off = r->mbox.off, .uid = r->m.uid };
		}
		run->last_off = r->mbox.off;
		run->hash = mix(run->hash, r->mbox.from_hash);
		run->count++;
	}
}

void mbox_synced(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->recs[i].mbox.unsynced = false;
}

void mbox_save_state(struct folder *f)
{
	struct mbox *m = f->mbox;
	struct mbox_state s = { .sequence = m->state.sequence, .uidvalidity = f->uidvalidity, .uidnext = f->uidnext };

	find_runs(f, &s);
	if (m->state.sequence > 0 && s.uidvalidity == m->state.uidvalidity && s.uidnext == m->state.uidnext &&
	    s.nruns == m->state.nruns && memcmp(s.runs, m->state.runs, s.nruns * sizeof *s.runs) == 0)
		return;
	if (mbox_state_save(f->ctl, &s) < 0) {
		if (!m->ctl_failed)
			log_warn("%s: UIDs are kept in the mailbox only: %s: %s", f->path, f->ctl, strerrordesc_np(errno));
		m->ctl_failed = true;
	}
	m->state = s;
}
