/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Letters that an agent has put into a mailbox and that stay in the queue until the mailbox is durable. We have forgotten them, but
 * a scan must not take them for mail that nobody knows of: the user may have read and expunged one, and would get it again.
 *
 *	the agent          a scan
 *	lives              passes over them
 *	is gone            hands them out as `kept': to be made durable where they are, not to be written anew
 *	and so are we      (then it made them durable before the next qmgr looked; after a crash of all they are delivered again,
 *	                   and what is whole in the mailbox is recognised)
 *
 * We are not told when they are durable: of each agent as many are remembered as it can keep, and ids of what is no more do no
 * harm.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

struct kept {
	struct list_node node;
	struct kept_list *list;
	char id[QUEUE_ID_MAX];
};

static struct htab table;
static struct kept_list orphans = { LIST_INIT(orphans.ids), 0 };

static void drop(struct kept *k)
{
	htab_del(&table, span_cstr(k->id));
	list_remove(&k->node);
	k->list->n--;
	free(k);
}

static void append(struct kept_list *l, struct kept *k)
{
	k->list = l;
	list_append(&l->ids, &k->node);
	if (++l->n > JOB_KEPT_MAX + (unsigned)conf->mailbox_batch_limit)
		drop(list_entry(list_first(&l->ids), struct kept, node));
}

void kept_add(struct kept_list *l, const char *id)
{
	struct kept *k;

	kept_drop(id);
	k = mem_zalloc(sizeof *k);
	memcpy(k->id, id, sizeof k->id);
	htab_put(&table, span_cstr(id), k);
	append(l, k);
}

void kept_release(struct kept_list *l)
{
	struct list_node *n;

	while ((n = list_first(&l->ids)) != NULL) {
		list_remove(n);
		l->n--;
		append(&orphans, list_entry(n, struct kept, node));
	}
}

bool kept_by_agent(const char *id)
{
	const struct kept *k = htab_get(&table, span_cstr(id));

	return k && k->list != &orphans;
}

bool kept_take(const char *id)
{
	struct kept *k = htab_get(&table, span_cstr(id));

	if (k)
		drop(k);
	return k != NULL;
}

void kept_drop(const char *id)
{
	(void)kept_take(id);
}
