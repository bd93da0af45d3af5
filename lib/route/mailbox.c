/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can the mailbox take mail? Looked at from outside, by whoever is not allowed to open it: what cannot be seen (a directory that is
 * closed, a .forward that may be there, a command that delivers) counts as fine, and delivery will say.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf/conf.h"
#include "lib/map/userdb.h"
#include "lib/proto/addr.h"
#include "lib/route/route.h"
#include "lib/route/tables.h"

static struct verdict fine(struct arena *a, int *code_r)
{
	*code_r = 250;
	return verdict_make(a, "2.1.5", "Ok");
}

/* mbox files only: the size of a Maildir is not limited. size: of the message, 0 when it is not known. */
static struct verdict of_file(struct arena *a, const char *path, int64_t limit, uint64_t size, int *code_r)
{
	struct stat st;

	if (limit <= 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
	    (st.st_size < limit && size < (uint64_t)(limit - st.st_size)))
		return fine(a, code_r);
	*code_r = 452;
	return verdict_make(a, "4.2.2", "Mailbox is full");
}

/* Does delivery read the mailbox's file next, with no file of the user's in between? */
static bool straight(struct arena *a, const struct user *u, bool extended)
{
	struct span rest = span_cstr(conf->forward_path), word;

	if (*conf->mailbox_command)
		return false;
	while (span_word(&rest, ", \t\r\n", &word))
		if (extended || !span_starts(word, "$home/.forward"))
			return false;
	return !*conf->forward_path || (access(arena_printf(a, "%s/.forward", u->home), F_OK) < 0 && errno == ENOENT);
}

/* An alias, also of the name without its extension, goes elsewhere. */
static bool is_alias(struct arena *a, struct span address)
{
	struct span value, ext;

	return map_list_get_address(map_list_open(conf->alias_maps), a, address, conf->recipient_delimiter, true, &value, &ext) !=
	       MAP_NOTFOUND;
}

static enum map_status find_user(struct arena *a, struct span local, struct user *u, bool *extended_r)
{
	enum map_status st = userdb_get(a, local, u);
	struct span base, ext;

	*extended_r = st == MAP_NOTFOUND && addr_split_ext(local, span_cstr(conf->recipient_delimiter), &base, &ext);
	return *extended_r ? userdb_get(a, base, u) : st;
}

static struct verdict of_user(struct arena *a, struct span address, uint64_t size, int *code_r)
{
	struct user u;
	bool extended;

	if (is_alias(a, address) || find_user(a, arena_lower(a, addr_split(address).local), &u, &extended) != MAP_OK)
		return fine(a, code_r);
	if (u.disabled) {
		*code_r = 550;
		return verdict_make(a, "5.2.1", "Mailbox is disabled");
	}
	if (*conf->home_mailbox || !straight(a, &u, extended))
		return fine(a, code_r);
	return of_file(a, arena_printf(a, "%s/" SPAN_FMT, conf->mail_spool_directory, SPAN_ARG(u.name)),
		       conf->mailbox_size_limit, size, code_r);
}

static struct verdict of_virtual(struct arena *a, struct span address, uint64_t size, int *code_r)
{
	struct map_list *boxes = route_tables.virtual_mailbox;
	struct span value, ext;

	if (map_list_get_address(boxes, a, address, conf->recipient_delimiter, false, &value, &ext) != MAP_OK ||
	    span_ends(value, "/"))
		return fine(a, code_r);
	return of_file(a, arena_printf(a, "%s/" SPAN_FMT, conf->virtual_mailbox_base, SPAN_ARG(value)), conf->virtual_mailbox_limit,
		       size, code_r);
}

struct verdict route_mailbox(struct arena *a, struct span address, uint64_t size, int *code_r)
{
	struct route r = { 0 };
	bool temp;
	enum route_class class = route_class_of(addr_split(address).domain, &temp);

	if (temp || (class != ROUTE_LOCAL && class != ROUTE_VIRTUAL_MAILBOX) || route_resolve(a, address, &r) != MAP_OK)
		return fine(a, code_r);
	if (class == ROUTE_LOCAL && span_is(r.transport, "local"))
		return of_user(a, address, size, code_r);
	if (class == ROUTE_VIRTUAL_MAILBOX && span_is(r.transport, "virtual"))
		return of_virtual(a, address, size, code_r);
	return fine(a, code_r);
}
