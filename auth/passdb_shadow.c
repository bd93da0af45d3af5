/* SPDX-License-Identifier: BSD-2-Clause */
/* The system's own passwords: shadow(5), and the password field of passwd(5) where there is no shadow entry. */
#include <errno.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>

#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { ENTRY_BYTES = 16384, DAY_S = 86400 };

static struct hash_model model;
static bool model_known;

/* The first user with a hash stands for all: a system makes them all the same way. */
static void find_model(void)
{
	char space[ENTRY_BYTES];
	struct spwd entry, *sp;

	if (model_known)
		return;
	model_known = true;
	setspent();
	while (getspent_r(&entry, space, sizeof space, &sp) == 0)
		if (hash_is_model(span_cstr(sp->sp_pwdp))) {
			hash_model_set(&model, span_cstr(sp->sp_pwdp));
			break;
		}
	endspent();
	mem_wipe(space, sizeof space);
}

void passdb_shadow_waste(const struct attempt *at, const char *arg)
{
	(void)arg;
	if (!attempt_by_password(at))
		return;
	find_model();
	hash_waste(&model, at->password);
}

static bool expired(const struct spwd *sp)
{
	long today = (long)(clock_wall() / DAY_S);

	if (sp->sp_expire >= 0 && today >= sp->sp_expire)
		return true;
	if (sp->sp_lstchg == 0) /* must be changed at the next login */
		return true;
	return sp->sp_lstchg > 0 && sp->sp_max >= 0 && today > sp->sp_lstchg + sp->sp_max;
}

static enum passdb_status verify(struct attempt *at, const char *field)
{
	const char *why;
	enum passdb_status status;

	if (!hash_is_model(span_cstr(field)))
		passdb_shadow_waste(at, "");
	status = secret_verify(at, span_cstr(field), &why);
	if (status == PASSDB_TEMP)
		log_error("shadow: entry of %s: %s", at->name, why);
	return status;
}

static enum passdb_status without_shadow(struct attempt *at)
{
	char space[ENTRY_BYTES];
	struct passwd entry, *pw = NULL;
	int err = getpwnam_r(at->name, &entry, space, sizeof space, &pw);
	enum passdb_status status;

	if (pw == NULL && err != 0 && err != ENOENT) {
		log_error("passwd: entry of %s: %s", at->name, strerror(err));
		return PASSDB_TEMP;
	}
	if (pw == NULL || strcmp(pw->pw_passwd, "x") == 0) {
		passdb_shadow_waste(at, "");
		return PASSDB_UNKNOWN;
	}
	status = verify(at, pw->pw_passwd);
	mem_wipe(space, sizeof space);
	return status;
}

enum passdb_status passdb_shadow(struct attempt *at, const char *arg)
{
	char space[ENTRY_BYTES];
	struct spwd entry, *sp = NULL;
	int err = getspnam_r(at->name, &entry, space, sizeof space, &sp);
	enum passdb_status status;

	(void)arg;
	if (sp == NULL && err != 0 && err != ENOENT) {
		log_error("shadow: entry of %s: %s", at->name, strerror(err));
		return PASSDB_TEMP;
	}
	if (sp == NULL)
		return without_shadow(at);
	status = verify(at, sp->sp_pwdp);
	if (status == PASSDB_OK && expired(sp)) {
		passdb_log(at, "shadow", "account or password has expired");
		status = PASSDB_DISABLED;
	}
	mem_wipe(space, sizeof space);
	return status;
}
