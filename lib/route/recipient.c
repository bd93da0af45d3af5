/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a recipient exist? */
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/route/route.h"
#include "lib/route/tables.h"

/* A table cannot be asked: that says nothing about the recipient. */
static struct verdict temporary(struct arena *a, int *code_r)
{
	*code_r = 0;
	return verdict_make(a, "4.3.0", "Temporary lookup failure");
}

static struct verdict exists(struct arena *a, int *code_r)
{
	*code_r = 250;
	return verdict_make(a, "2.1.5", "Ok");
}

static struct verdict refuse(struct arena *a, enum route_class class, int *code_r)
{
	static const char *const tables[] = {
		[ROUTE_LOCAL] = "local recipient",
		[ROUTE_VIRTUAL_ALIAS] = "virtual alias",
		[ROUTE_VIRTUAL_MAILBOX] = "virtual mailbox",
		[ROUTE_RELAY] = "relay recipient",
	};
	const int64_t codes[] = {
		[ROUTE_LOCAL] = conf->unknown_local_recipient_reject_code,
		[ROUTE_VIRTUAL_ALIAS] = conf->unknown_virtual_alias_reject_code,
		[ROUTE_VIRTUAL_MAILBOX] = conf->unknown_virtual_mailbox_reject_code,
		[ROUTE_RELAY] = conf->unknown_relay_recipient_reject_code,
	};

	*code_r = (int)codes[class];
	if (!conf->show_user_unknown_table_name && class != ROUTE_VIRTUAL_ALIAS)
		return verdict_make(a, *code_r < 500 ? "4.1.1" : "5.1.1", "User unknown");
	return verdict_make(a, *code_r < 500 ? "4.1.1" : "5.1.1", "User unknown in %s table", tables[class]);
}

/* Other sites ask back whether the sender of our probes exists: address_verify_sender, with something behind it. */
static bool is_verify_sender(struct span local)
{
	struct span name = addr_split(span_cstr(conf->address_verify_sender)).local;

	if (conf->address_verify_sender_ttl_ms)
		local = span_head(local, name.len);
	return name.len && span_ieq(local, name);
}

/* RFC 5321 4.5.1: mail for the postmaster is taken; notices, and notices about them, have these names of ours. */
static bool always_exists(struct span local)
{
	return span_iis(local, "postmaster") || span_iis(local, "MAILER-DAEMON") || span_iis(local, conf->double_bounce_sender) ||
	       is_verify_sender(local);
}

/* transport_maps may say that nothing can be sent there: error:5.1.2 text, retry:text. False: the address has a way. */
static bool has_no_way(struct arena *a, struct span address, enum map_status *st, struct verdict *v_r, int *code_r)
{
	struct route r = { 0 };
	const char *dsn = NULL;
	struct span text, word;
	bool for_now;

	*st = route_resolve(a, address, &r);
	for_now = *st == MAP_OK && span_is(r.transport, "retry");
	if (*st != MAP_OK || (!for_now && !span_is(r.transport, "error")))
		return false;
	text = r.nexthop;
	*code_r = for_now ? 450 : 550;
	if (span_word(&text, " \t", &word) && verdict_dsn_valid(word))
		dsn = arena_printf(a, "%c" SPAN_FMT, for_now ? '4' : '5', SPAN_ARG(span_skip(word, 1)));
	else
		text = r.nexthop;
	*v_r = verdict_make(a, dsn ? dsn : for_now ? "4.1.1" : "5.1.1", SPAN_FMT, SPAN_ARG(span_trim(text)));
	return true;
}

static struct map_list *recipients_of(enum route_class class)
{
	switch (class) {
	case ROUTE_LOCAL:
		return route_tables.local_recipients;
	case ROUTE_VIRTUAL_MAILBOX:
		return route_tables.virtual_mailbox;
	case ROUTE_RELAY:
		return route_tables.relay_recipients;
	default:
		return NULL;
	}
}

struct verdict route_recipient(struct arena *a, struct span address, int *code_r)
{
	struct addr addr = addr_split(address);
	bool temp;
	enum route_class class = route_class_of(addr.domain, &temp);
	struct map_list *recipients = recipients_of(class);
	struct span value, ext;
	struct verdict no_way;
	enum map_status st;

	if (temp)
		return temporary(a, code_r);
	st = map_list_get_address(route_tables.virtual_alias, a, address, conf->recipient_delimiter,
				  class == ROUTE_LOCAL || span_iis(addr.domain, conf->myorigin), &value, &ext);
	if (st == MAP_NOTFOUND && class != ROUTE_VIRTUAL_ALIAS) {
		if (has_no_way(a, address, &st, &no_way, code_r))
			return no_way;
		st = st == MAP_OK ? MAP_NOTFOUND : st;
	}
	if (st == MAP_NOTFOUND && class == ROUTE_LOCAL && always_exists(addr.local))
		return exists(a, code_r);
	if (st == MAP_NOTFOUND && recipients && !map_list_empty(recipients))
		st = map_list_get_address(recipients, a, address, conf->recipient_delimiter, class == ROUTE_LOCAL,
					  &value, &ext);
	else if (st == MAP_NOTFOUND && class != ROUTE_VIRTUAL_ALIAS)
		st = MAP_OK;
	if (st == MAP_TEMP)
		return temporary(a, code_r);
	return st == MAP_OK ? exists(a, code_r) : refuse(a, class, code_r);
}
