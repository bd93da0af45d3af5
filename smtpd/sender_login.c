/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/sender_login.h"

#include "lib/conf/conf.h"
#include "lib/route/tables.h"

static bool owns(struct span owners, struct span user)
{
	struct span word;

	while (span_word(&owners, ", \t\r\n", &word))
		if (span_ieq(word, user))
			return true;
	return false;
}

enum decision reject_sender_login(struct check *c, const struct use *u)
{
	struct smtpd_session *s = c->s;
	enum sender_login rule = (enum sender_login)u->rule->about;
	struct span sender = s->txn.env.sender, owners = SPAN_NONE, ext;
	bool logged_in = s->sasl_user.len > 0;

	if (sender.len == 0 || (logged_in ? rule == SENDER_LOGIN_UNAUTHENTICATED
					  : rule == SENDER_LOGIN_AUTHENTICATED || rule == SENDER_LOGIN_KNOWN))
		return NEXT;
	switch (map_list_get_address(map_list_open(conf->smtpd_sender_login_maps), &s->cmd, sender, conf->recipient_delimiter,
				     route_is_local_name(addr_split(sender).domain), &owners, &ext)) {
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
