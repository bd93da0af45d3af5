/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"

enum { PASSWD_BUFFER = 16384 };

bool rights_privileged(void)
{
	return !conf_unprivileged(conf);
}

static void set_rights(struct arena *a, struct rights *r, const struct passwd *pw)
{
	*r = (struct rights){
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
		.name = arena_strdup(a, pw->pw_name),
		.home = arena_strdup(a, pw->pw_dir),
		.shell = arena_strdup(a, pw->pw_shell),
	};
}

struct rights rights_of_user(struct arena *a, const struct user *u)
{
	return (struct rights){
		.uid = u->uid,
		.gid = u->gid,
		.name = arena_cstr(a, u->name),
		.home = u->home ? u->home : "/",
		.shell = u->shell ? u->shell : "/bin/sh",
	};
}

static bool rights_of_account(struct arena *a, const char *name, uid_t uid, struct rights *r)
{
	char buffer[PASSWD_BUFFER];
	struct passwd pw, *found = NULL;
	int err = name ? getpwnam_r(name, &pw, buffer, sizeof buffer, &found)
		       : getpwuid_r(uid, &pw, buffer, sizeof buffer, &found);

	if (found)
		set_rights(a, r, found);
	else if (!rights_privileged())
		*r = (struct rights){ geteuid(), getegid(), "nobody", "/", "/bin/sh" };
	else if (name)
		log_error("account \"%s\": %s", name, err ? strerrordesc_np(err) : "does not exist");
	else
		log_error("account of user id %u: %s", uid, err ? strerrordesc_np(err) : "does not exist");
	return found || !rights_privileged();
}

bool rights_of_name(struct arena *a, const char *name, struct rights *r)
{
	return rights_of_account(a, name, 0, r);
}

bool rights_default(struct arena *a, struct rights *r)
{
	if (!rights_privileged())
		return rights_of_account(a, NULL, geteuid(), r);
	if (!rights_of_account(a, conf->default_privs, 0, r))
		return false;
	if (r->uid == 0) {
		log_error("default_privs must not be root");
		return false;
	}
	return true;
}

bool rights_of_owner(struct arena *a, uid_t owner, struct rights *r)
{
	return owner == 0 ? rights_default(a, r) : rights_of_account(a, NULL, owner, r);
}

/* What the process is at the moment; nothing is done twice. */
static struct {
	bool changed;
	uid_t uid;
	gid_t gid, group;
} now;

static bool set_effective(uid_t uid, gid_t own, gid_t group)
{
	gid_t groups[2] = { group, own };

	if (setgroups(group == own ? 1 : 2, groups) < 0 || setresgid(-1, group, -1) < 0)
		return false;
	return setresuid(-1, uid, -1) == 0;
}

bool rights_become(const struct rights *r, gid_t group)
{
	int err;

	if (group == (gid_t)-1)
		group = r->gid;
	if (!rights_privileged() || (now.changed && now.uid == r->uid && now.gid == r->gid && now.group == group))
		return true;
	rights_restore();
	now.changed = true;
	now.uid = r->uid;
	now.gid = r->gid;
	now.group = group;
	if (set_effective(r->uid, r->gid, group))
		return true;
	err = errno;
	rights_restore();
	errno = err;
	return false;
}

bool rights_become_mail_owner(void)
{
	static struct rights owner; /* never changes while the process lives */
	static struct arena a;

	if (!rights_privileged())
		return true;
	if (!owner.name && !rights_of_account(&a, conf->mail_owner, 0, &owner)) {
		errno = ENOENT;
		return false;
	}
	return rights_become(&owner, -1);
}

void rights_restore(void)
{
	gid_t none = 0;

	if (!now.changed)
		return;
	now.changed = false;
	if (setresuid(-1, 0, -1) < 0 || setresgid(-1, 0, -1) < 0 || setgroups(1, &none) < 0)
		log_fatal("cannot become root again: %m");
}

bool rights_become_for_good(const struct rights *r)
{
	if (!rights_privileged())
		return true;
	if (setgroups(1, &r->gid) < 0 || setresgid(r->gid, r->gid, r->gid) < 0)
		return false;
	return setresuid(r->uid, r->uid, r->uid) == 0 && (r->uid == 0 || setuid(0) < 0);
}
