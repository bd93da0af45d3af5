/* SPDX-License-Identifier: BSD-2-Clause */
/* CREATE, with a special use (RFC 6154 3): a folder has its use by its name, so only a name that fits can be given one. */
#include "imapd/box.h"
#include "imapd/imapd.h"

/* " (USE (\Sent))" */
static bool scan_use(struct imap_scan *a, struct span *use_r, size_t *n_r)
{
	struct span word;

	*n_r = 0;
	if (a->in.len == 0)
		return true;
	if (!imap_scan_sp(a) || !imap_scan_open(a) || !imap_scan_atom(a, &word))
		return false;
	if (!span_iis(word, "USE"))
		return imap_scan_fail(a, "Unknown parameter");
	if (!imap_scan_sp(a) || !imap_scan_open(a))
		return false;
	for (; !imap_scan_peek(a, ')'); ++*n_r)
		if (!imap_scan_flag(a, use_r) || (!imap_scan_peek(a, ')') && !imap_scan_sp(a)))
			return false;
	return imap_scan_close(a) && imap_scan_close(a);
}

static bool has_use(struct session *s, struct store *store, struct span name, struct span use)
{
	struct store_folder *list;
	size_t n;

	if (span_ends(name, "/"))
		name.len--;
	if (store_list(store, &s->arena, &list, &n) != STORE_OK)
		return false;
	for (size_t i = 0; i < n; i++)
		if (span_eq(list[i].name, name))
			return list[i].special_use != NULL && span_iis(use, list[i].special_use);
	return false;
}

void cmd_create(struct session *s, struct imap_scan *a)
{
	struct span name, use = SPAN_NONE, id;
	enum store_status st;
	const char *done = "Create completed.";
	struct store *store;
	bool fits = true;
	size_t n;

	if (!scan_mailbox(s, a, &name))
		return;
	if (!scan_use(a, &use, &n) || !imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	store = store_lock();
	st = store_create(store, name);
	if (st == STORE_OK && n > 0)
		fits = n == 1 && has_use(s, store, name, use);
	if (!fits)
		(void)store_delete(store, name);
	else if (st == STORE_OK && store_id_of(store, name, &s->arena, &id) == STORE_OK) /* not of a level without mail */
		done = arena_printf(&s->arena, "[MAILBOXID (" SPAN_FMT ")] %s", SPAN_ARG(id), done);
	store_unlock();
	if (fits)
		reply_status(s, st, done);
	else
		reply(s, "NO [USEATTR] A mailbox of this name cannot have this use");
}
