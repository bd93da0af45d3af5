/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unique id of a message is the first of these that there is: the one that stands in a Maildir's uidlist, because it was told
 * to clients before (by Dovecot, or with pop3_save_uidl); its X-UIDL: field, with pop3_reuse_xuidl; what pop3_uidl_format makes.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/conf/conf.h"
#include "lib/proto/header.h"
#include "lib/proto/pop3_uidl.h"
#include "pop3d/pop3d.h"

enum { LONGEST_SUFFIX = 12 };

static bool usable(struct span id)
{
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
			return false;
	return id.len > 0 && id.len <= POP3_UIDL_MAX;
}

/* Read once: kept with the index, empty when there is none. */
static struct span field_of(struct maildrop *d, const struct drop_msg *m)
{
	struct store_item item = { .name = SPAN("pop3 x-uidl") };
	struct store_view v;

	if (mailbox_items(d->mb, m->seq, &item, 1, &d->arena))
		return item.value;
	if (mailbox_view(d->mb, m->seq, &v) != STORE_OK)
		return SPAN_NONE;
	item.value = header_get(&d->arena, v.raw, "X-UIDL", 1000);
	store_view_done(&v);
	mailbox_items_put(d->mb, m->seq, &item, 1);
	return item.value;
}

static void put_id(struct maildrop *d, struct drop_msg *m, struct buf *out)
{
	struct pop3_uidl_values values = { .uidvalidity = d->uidvalidity, .uid = m->uid };
	struct span id = mailbox_saved_uidl(d->mb, m->seq, &d->arena);

	if (!usable(id) && conf->pop3_reuse_xuidl)
		id = field_of(d, m);
	if (usable(id)) {
		m->uidl = id.ptr; /* with a NUL behind it */
		buf_add_span(out, id);
		return;
	}
	if (pop3_uidl_format_needs_file(conf->pop3_uidl_format))
		values.file = mailbox_file_base(d->mb, m->seq, &d->arena);
	if (pop3_uidl_format(out, conf->pop3_uidl_format, &values))
		return;
	buf_reset(out); /* %f where there are no files, or a name that is no id */
	must(pop3_uidl_format(out, "%08Xu%08Xv", &values));
}

/* The second of two gets -2, the third -3, unless somebody has that, too. */
static void rename_if_taken(struct maildrop *d, struct drop_msg *m, struct htab *taken)
{
	struct span id = span_cstr(m->uidl);

	for (unsigned n = 2; htab_get(taken, id) != NULL; n++) {
		size_t room = (size_t)POP3_UIDL_MAX - LONGEST_SUFFIX, len = strlen(m->uidl);

		id = span_cstr(arena_printf(&d->arena, "%.*s-%u", (int)(len < room ? len : room), m->uidl, n));
	}
	m->uidl = id.ptr;
	htab_put(taken, id, m);
}

static void save(struct maildrop *d)
{
	uint32_t *seqs = mem_realloc_array(NULL, d->count + 1, sizeof *seqs);
	struct span *ids = mem_realloc_array(NULL, d->count + 1, sizeof *ids);

	for (uint32_t i = 0; i < d->count; i++) {
		seqs[i] = d->msg[i].seq;
		ids[i] = span_cstr(d->msg[i].uidl);
	}
	if (mailbox_save_uidls(d->mb, seqs, ids, d->count) != STORE_OK)
		log_warn("unique ids could not be saved"); /* the store has said why */
	free(seqs);
	free(ids);
}

/* All at once, when one depends on the others or on more than numbers. */
static void prepare(struct maildrop *d)
{
	struct htab taken = HTAB_INIT;
	struct buf b;

	d->uidls_known = true;
	buf_init(&b, 4096);
	for (uint32_t i = 0; i < d->count; i++) {
		buf_reset(&b);
		put_id(d, &d->msg[i], &b);
		d->msg[i].uidl = arena_strdup(&d->arena, buf_cstr(&b));
		if (options.rename_duplicates)
			rename_if_taken(d, &d->msg[i], &taken);
	}
	buf_free(&b);
	htab_free(&taken);
	if (conf->pop3_save_uidl)
		save(d);
}

void maildrop_uidl(struct maildrop *d, struct drop_msg *m, struct buf *out)
{
	buf_reset(out);
	if (!d->uidls_known && (options.rename_duplicates || conf->pop3_save_uidl || conf->pop3_reuse_xuidl ||
				pop3_uidl_format_needs_file(conf->pop3_uidl_format)))
		prepare(d);
	if (m->uidl)
		buf_adds(out, m->uidl);
	else
		put_id(d, m, out);
}
