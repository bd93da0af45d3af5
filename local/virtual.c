/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport `virtual': the mailbox, its user and its group come from tables; no aliases, no .forward, no commands.
 */
#include "local/local.h"

#include <string.h>

#include "lib/conf/conf.h"
#include "lib/proto/addr.h"

static struct map_list *mailboxes, *uids, *gids;

static void open_tables(void)
{
	if (mailboxes)
		return;
	uids = map_list_open(conf->virtual_uid_maps);
	gids = map_list_open(conf->virtual_gid_maps);
	mailboxes = map_list_open(conf->virtual_mailbox_maps);
}

/* user+ext@domain, user@domain, @domain. */
static enum map_status find(struct map_list *list, struct arena *a, struct span address, struct span *value_r)
{
	struct span ext;

	return map_list_get_address(list, a, arena_lower(a, address), conf->recipient_delimiter, false, value_r, &ext);
}

/* A numeric id; VERDICT_OK, or what is wrong. */
static struct verdict find_id(struct map_list *list, struct arena *a, struct span address, const char *what,
			      uint64_t least, uint64_t *id_r)
{
	struct span value;

	switch (find(list, a, address, &value)) {
	case MAP_TEMP:
		return verdict_make(a, "4.3.0", "%s database unavailable", what);
	case MAP_NOTFOUND:
		return verdict_make(a, "4.3.5", "%s not found in virtual_%s_maps", what, what);
	case MAP_OK:
		break;
	}
	if (!span_u64(span_trim(value), UINT32_MAX - 1, id_r) || *id_r < least)
		return verdict_make(a, "4.3.5", "bad %s \"" SPAN_FMT "\" in virtual_%s_maps", what, SPAN_ARG(value),
				    what);
	return verdict_make(a, "2.0.0", "%s", "");
}

static bool climbs(struct span path)
{
	struct span part;

	while (span_word(&path, "/", &part))
		if (span_is(part, ".."))
			return true;
	return false;
}

static struct verdict find_mailbox(struct arena *a, struct span address, struct action *act)
{
	struct span path;

	switch (find(mailboxes, a, address, &path)) {
	case MAP_TEMP:
		return verdict_make(a, "4.3.0", "virtual mailbox database unavailable");
	case MAP_NOTFOUND:
		return verdict_make(a, "5.1.1", "unknown user: \"" SPAN_FMT "\"", SPAN_ARG(address));
	case MAP_OK:
		break;
	}
	if (path.len == 0 || climbs(path))
		return verdict_make(a, "4.3.5", "bad path \"" SPAN_FMT "\" in virtual_mailbox_maps", SPAN_ARG(path));
	act->text = *conf->virtual_mailbox_base
			? arena_printf(a, "%s/" SPAN_FMT, conf->virtual_mailbox_base, SPAN_ARG(path))
			: arena_cstr(a, path);
	return verdict_make(a, "2.0.0", "%s", "");
}

/* In unprivileged mode every mailbox belongs to the process. */
static struct verdict find_rights(struct arena *a, struct span address, struct rights *r)
{
	uint64_t uid, gid;
	struct verdict v;

	if (!rights_privileged())
		return verdict_make(a, "2.0.0", "%s", "");
	v = find_id(uids, a, address, "uid", (uint64_t)conf->virtual_minimum_uid, &uid);
	if (v.class == VERDICT_OK)
		v = find_id(gids, a, address, "gid", 1, &gid);
	if (v.class == VERDICT_OK)
		*r = (struct rights){ .uid = (uid_t)uid, .gid = (gid_t)gid, .name = "virtual", .home = "/" };
	return v;
}

void virtual_recipient(struct arena *a, struct span address, struct plan *p)
{
	struct action *act = plan_add(a, p, ACTION_MAILBOX);

	open_tables();
	act->address = act->delivered = arena_span(a, address);
	act->user = addr_split(address).local;
	act->virtual_box = true;
	act->verdict = find_mailbox(a, address, act);
	if (act->verdict.class == VERDICT_OK)
		act->verdict = find_rights(a, address, &act->rights);
	if (act->verdict.class != VERDICT_OK)
		act->kind = ACTION_FAIL;
}
