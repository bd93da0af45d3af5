/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/sender_login.h"

#include "lib/conf/conf.h"
#include "lib/map/userdb.h"
#include "lib/route/tables.h"

static bool owns(struct span owners, struct span user)
{
	struct span word;

	while (span_word(&owners, ", \t\r\n", &word))
		if (span_ieq(word, user))
			return true;
	return false;
}

/*
 * Without tables, an address of this machine belongs to the user it is named after, or to those it is an alias of. Of other
 * addresses nothing is known.
 */
static enum map_status natural_owner(struct check *c, struct span sender, struct span *owners_r)
{
	struct arena *a = &c->s->cmd;
	struct addr parts = addr_split(sender);
	struct span base = parts.local, ext;
	struct user u;
	enum map_status st;

	if (!route_is_local_name(parts.domain))
		return MAP_NOTFOUND;
	st = map_list_get_address(map_list_open(conf->alias_maps), a, sender, conf->recipient_delimiter, true, owners_r, &ext);
	if (st != MAP_NOTFOUND)
		return st;
	(void)addr_split_ext(parts.local, span_cstr(conf->recipient_delimiter), &base, &ext);
	base = arena_lower(a, base);
	*owners_r = base;
	return userdb_get(a, base, &u);
}

static enum map_status look_up(struct check *c, struct span sender, struct span *owners_r)
{
	struct span ext;

	if (conf->smtpd_sender_login_maps[0] == '\0')
		return natural_owner(c, sender, owners_r);
	return map_list_get_address(map_list_open(conf->smtpd_sender_login_maps), &c->s->cmd, sender, conf->recipient_delimiter,
				    route_is_local_name(addr_split(sender).domain), owners_r, &ext);
}

enum decision reject_sender_login(struct check *c, const struct use *u)
{
	struct smtpd_session *s = c->s;
	enum sender_login rule = (enum sender_login)u->rule->about;
	struct span sender = s->txn.env.sender, owners = SPAN_NONE;
	bool logged_in = s->sasl_user.len > 0;

	if (!conf->smtpd_sasl_auth_enable || sender.len == 0)
		return NEXT;
	if (rule == (logged_in ? SENDER_LOGIN_UNAUTHENTICATED : SENDER_LOGIN_AUTHENTICATED))
		return NEXT;
	/* What a table says is known of everybody; what names alone suggest holds for those who logged in. */
	if (rule == SENDER_LOGIN_KNOWN && !logged_in && conf->smtpd_sender_login_maps[0] == '\0')
		return NEXT;
	switch (look_up(c, sender, &owners)) {
	case MAP_TEMP:
		return refuse_lookup(c, s->txn.sender_given);
	case MAP_NOTFOUND:
		if (!logged_in || rule == SENDER_LOGIN_KNOWN)
			return NEXT;
		break;
	case MAP_OK:
		if (logged_in && owns(owners, s->sasl_user))
			return NEXT;
	}
	if (!logged_in)
		return refuse(c, 553, "5.7.1", "<" SPAN_FMT ">: Sender address rejected: not logged in",
			      SPAN_ARG(s->txn.sender_given));
	return refuse(c, 553, "5.7.1", "<" SPAN_FMT ">: Sender address rejected: not owned by user " SPAN_FMT,
		      SPAN_ARG(s->txn.sender_given), SPAN_ARG(s->sasl_user));
}
