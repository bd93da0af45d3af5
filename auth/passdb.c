/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

enum { MEMBERS_MAX = 8 };

struct kind {
	const char *name;
	bool needs_arg;
	enum passdb_status (*verify)(struct attempt *at, const char *arg);
	void (*waste)(const struct attempt *at, const char *arg); /* NULL: it levels its times itself */
	const char *file; /* what it reads, unless that is its argument; NULL: nobody knows, so nothing is kept of it */
};

static const struct kind kinds[] = {
	{ "shadow", false, passdb_shadow, passdb_shadow_waste, "/etc/shadow" },
	{ "passwd-file", true, passdb_file, passdb_file_waste, "" },
	{ "pam", false, passdb_pam, NULL, NULL },
};

static struct {
	const struct kind *kind;
	const char *arg;
} members[MEMBERS_MAX];
static size_t nmembers;

static void add_member(struct span name, struct span arg)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (!span_is(name, kinds[i].name))
			continue;
		if (kinds[i].needs_arg != (arg.len > 0))
			log_fatal("passdb: %s %s an argument", kinds[i].name, kinds[i].needs_arg ? "needs" : "takes no");
		if (nmembers == MEMBERS_MAX)
			log_fatal("passdb: more than %d members", MEMBERS_MAX);
		members[nmembers].kind = &kinds[i];
		members[nmembers++].arg = mem_strndup(arg.len ? arg.ptr : "", arg.len);
		return;
	}
	log_fatal("passdb: %.*s is not known: shadow, pam or passwd-file:PATH is expected", SPAN_ARG(name));
}

void passdb_setup(const char *list)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		struct span name = span_cut(&word, ':');

		add_member(name, word);
	}
	if (nmembers == 0)
		log_fatal("passdb is empty: nobody could log in");
}

void passdb_log(const struct attempt *at, const char *db, const char *what)
{
	/* login and smtpd log each refusal: who counts failures must not see it twice. Of two questions, the last one counts. */
	if (!conf->auth_verbose || at->login.want != HANDOVER_WANT_LOGIN)
		return;
	log_as("dovecot", LOG_LV_INFO, "auth: %s(%s,%s): %s", db, at->shown, at->ip, what);
}

/* What a member says, or has said when nothing has changed since. */
static enum passdb_status ask(struct attempt *at, const struct kind *k, const char *arg)
{
	const char *file = k->file && k->file[0] == '\0' ? arg : k->file;
	enum passdb_status status;
	struct cache_key key;

	if (file == NULL) /* PAM knows passwords only */
		return attempt_by_password(at) ? k->verify(at, arg) : PASSDB_UNKNOWN;
	if (cache_knows(at, file, &key))
		return PASSDB_OK;
	status = k->verify(at, arg);
	if (status == PASSDB_OK)
		cache_keep(&key);
	return status;
}

enum passdb_status passdb_verify(struct attempt *at)
{
	enum passdb_status worst = PASSDB_UNKNOWN;

	if (at->mech == SASL_OAUTHBEARER || at->mech == SASL_XOAUTH2)
		return oauth_verify(at);
	for (size_t i = 0; i < nmembers; i++) {
		const struct kind *k = members[i].kind;
		enum passdb_status status = ask(at, k, members[i].arg);

		if (status == PASSDB_OK || status == PASSDB_DISABLED)
			return status;
		if (status == PASSDB_UNKNOWN)
			passdb_log(at, k->name, "unknown user");
		else if (status == PASSDB_MISMATCH && k->waste)
			passdb_log(at, k->name, "Password mismatch");
		if (status > worst)
			worst = status;
	}
	return worst;
}

void passdb_waste_time(struct attempt *at)
{
	if (!attempt_by_password(at)) {
		secret_waste(at);
		return;
	}
	for (size_t i = 0; i < nmembers; i++)
		if (members[i].kind->waste)
			members[i].kind->waste(at, members[i].arg);
}
