/* SPDX-License-Identifier: BSD-2-Clause */
#include "local/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "local/later.h"

struct mailbox {
	struct deliver_batch *batch;
	char *path;
	struct rights rights;
	gid_t group; /* effective group while writing */
	enum action_kind kind;
	bool maildir;
};

static bool is_maildir(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '/';
}

/* The directory of an mbox, in a. */
static const char *parent_of(struct arena *a, const char *path)
{
	ptrdiff_t slash = span_rchr(span_cstr(path), '/');

	return slash > 0 ? arena_cstr(a, span_of(path, (size_t)slash)) : "/";
}

/*
 * The spool directory is usually root:mail 2775 or 1777. Where its group may write, that group is needed for the lock
 * file and to create the mailbox; where only root may, root creates the mailbox for the user. The effective group to
 * write with.
 */
static gid_t prepare_spool(struct arena *a, const struct action *act)
{
	const char *dir = parent_of(a, act->text);
	struct stat st;

	if (!rights_privileged() || is_maildir(act->text) || act->kind != ACTION_MAILBOX || stat(dir, &st) < 0)
		return act->rights.gid;
	if (st.st_mode & S_IWOTH)
		return act->rights.gid;
	if (st.st_mode & S_IWGRP)
		return st.st_gid;
	if (strcmp(dir, conf->mail_spool_directory) == 0 &&
	    deliver_create_spool(act->text, act->rights.uid, act->rights.gid) < 0)
		log_warn("%s: cannot make the mailbox: %m", act->text);
	return act->rights.gid;
}

static int64_t limit_of(const struct action *act)
{
	return act->virtual_box ? conf->virtual_mailbox_limit : conf->mailbox_size_limit;
}

struct mailbox *mailbox_open(struct arena *a, const struct action *act, struct verdict *v)
{
	struct deliver_target target = {
		.path = act->text,
		.uid = act->rights.uid,
		.gid = act->rights.gid,
		.check_owner = rights_privileged() && act->kind == ACTION_MAILBOX,
		.create_dirs = act->virtual_box,
		.size_limit = limit_of(act),
		.lock_methods = conf->mailbox_delivery_lock,
		.allow_special = act->kind == ACTION_FILE,
		.lock_deadline_ms = clock_deadline(conf->deliver_lock_attempts * conf->deliver_lock_delay_ms),
	};
	gid_t group = prepare_spool(a, act);
	struct deliver_batch *batch;
	struct mailbox *b;

	if (!rights_become(&act->rights, group)) {
		*v = verdict_errno(a, "cannot become the owner of the mailbox", errno);
		return NULL;
	}
	batch = deliver_begin(a, &target, v);
	if (!batch) {
		rights_restore();
		return NULL;
	}
	b = mem_zalloc(sizeof *b);
	*b = (struct mailbox){ batch, mem_strdup(act->text), act->rights, group, act->kind, is_maildir(act->text) };
	return b;
}

bool mailbox_is(const struct mailbox *b, const struct action *act)
{
	return b->kind == act->kind && b->rights.uid == act->rights.uid && strcmp(b->path, act->text) == 0;
}

struct verdict mailbox_add(struct mailbox *b, struct arena *a, struct letter *l, const struct job_rcpt *r,
			   const struct action *act)
{
	struct span sender = act->sender.ptr ? act->sender : l->m->sender;
	struct span original = r->original.len > 0 ? r->original : r->address;
	struct span delivered = letter_prepends("file") ? act->delivered : SPAN_NONE;
	struct deliver_letter letter = {
		.sender = sender,
		.headers = letter_headers(a, sender, original, delivered),
		.key = span_cstr(arena_printf(a, "%s.%u", l->m->id, r->index)),
		.again = l->m->again,
		.kept = l->m->kept,
		.next = letter_next,
		.arg = l,
	};

	if (!rights_become(&b->rights, b->group))
		return verdict_errno(a, "cannot become the owner of the mailbox", errno);
	letter_rewind(l);
	return deliver_add(b->batch, a, &letter);
}

static struct verdict close_it(struct mailbox *b, struct arena *a, struct deliver_wait *w_r)
{
	struct verdict v;

	if (!rights_become(&b->rights, b->group))
		log_warn("%s: cannot become the owner of the mailbox: %m", b->path);
	v = w_r ? deliver_release(b->batch, a, later_wants, w_r) : deliver_commit(b->batch, a);
	rights_restore();
	if (v.class == VERDICT_OK) {
		if (b->kind == ACTION_FILE)
			v = verdict_make(a, "2.0.0", "delivered to file: %s", b->path);
		else
			v = verdict_make(a, "2.0.0", "delivered to %s", b->maildir ? "maildir" : "mailbox");
	}
	free(b->path);
	free(b);
	return v;
}

struct verdict mailbox_close(struct mailbox *b, struct arena *a)
{
	return close_it(b, a, NULL);
}

struct verdict mailbox_release(struct mailbox *b, struct arena *a, struct deliver_wait *w_r, const char **path_r)
{
	*path_r = arena_strdup(a, b->path);
	return close_it(b, a, w_r);
}
