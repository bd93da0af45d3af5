/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/layout.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"

/* run/ holds what root's own children believe: nobody else may write there */
enum owner { BY_ROOT, BY_ROOT_FOR_MAIL, BY_ROOT_FOR_LOGIN, BY_MAIL };

static const struct place {
	const char *name; /* below queue_directory; NULL: data_directory */
	mode_t mode;
	enum owner owner;
} places[] = {
	{ "", 0755, BY_ROOT },        { "private", 0750, BY_ROOT_FOR_MAIL },
	{ "public", 0755, BY_ROOT },  { "login", 0755, BY_ROOT },
	{ "tls", 0750, BY_ROOT_FOR_MAIL }, { "login/tls", 0750, BY_ROOT_FOR_LOGIN },
	{ "pid", 0755, BY_ROOT },     { "run", 0700, BY_ROOT },
	{ "mail", 0700, BY_MAIL },    { "log", 0700, BY_MAIL },
	{ "corrupt", 0700, BY_MAIL }, { NULL, 0700, BY_MAIL },
};

struct walk {
	enum layout_mode mode;
	struct buf *messages;
	bool unprivileged, ok;
	uid_t mail_uid;
	gid_t mail_gid, login_gid;
};

static bool ids_of(const struct conf *c, const char *name, uid_t *uid_r, gid_t *gid_r)
{
	const struct passwd *pw;

	*uid_r = geteuid();
	*gid_r = getegid();
	if (conf_unprivileged(c))
		return true;
	pw = getpwnam(name);
	if (pw == NULL)
		return false;
	*uid_r = pw->pw_uid;
	*gid_r = pw->pw_gid;
	return true;
}

bool layout_mail_ids(const struct conf *c, uid_t *uid_r, gid_t *gid_r)
{
	return ids_of(c, c->mail_owner, uid_r, gid_r);
}

bool layout_login_ids(const struct conf *c, uid_t *uid_r, gid_t *gid_r)
{
	return ids_of(c, c->default_login_user, uid_r, gid_r);
}

bool layout_as_mail_owner(const struct conf *c, void (*run)(void))
{
	uid_t uid;
	gid_t gid;
	bool ok;

	errno = ENOENT;
	if (!layout_mail_ids(c, &uid, &gid))
		return false;
	ok = setegid(gid) == 0 && seteuid(uid) == 0;
	if (ok)
		run();
	if (seteuid(getuid()) < 0 || setegid(getgid()) < 0)
		log_fatal("cannot become root again: %m");
	return ok;
}

static void problem(struct walk *w, const char *path, const char *what)
{
	buf_addf(w->messages, "error: %s: %s\n", path, what);
	w->ok = false;
}

/* mkdir -p; parents get 0755. */
static int make_path(const char *path, mode_t mode)
{
	char parent[4096];
	char *slash;

	if (mkdir(path, mode) == 0 || errno != ENOENT)
		return errno == EEXIST ? 0 : access(path, F_OK);
	if ((size_t)snprintf(parent, sizeof parent, "%s", path) >= sizeof parent)
		return -1;
	slash = strrchr(parent, '/');
	if (slash == NULL || slash == parent)
		return -1;
	*slash = '\0';
	if (make_path(parent, 0755) < 0)
		return -1;
	return mkdir(path, mode);
}

static void set_owner(struct walk *w, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	if (!w->unprivileged && lchown(path, uid, gid) < 0)
		problem(w, path, strerror(errno));
	if (chmod(path, mode) < 0)
		problem(w, path, strerror(errno));
}

static void compare(struct walk *w, const char *path, const struct stat *st, uid_t uid, gid_t gid, mode_t mode)
{
	char text[160];

	if (!S_ISDIR(st->st_mode)) {
		problem(w, path, "not a directory");
	} else if (w->unprivileged) { /* a group or world that may look on is its user's own choice */
		if (access(path, R_OK | W_OK | X_OK) < 0)
			problem(w, path, strerror(errno));
	} else if (st->st_uid != uid || st->st_gid != gid || (st->st_mode & 07777) != mode) {
		if (w->mode == LAYOUT_REPAIR) {
			set_owner(w, path, uid, gid, mode);
			return;
		}
		snprintf(text, sizeof text,
			 "owner %u:%u mode %04o, should be %u:%u %04o; `posthouse set-permissions' mends it",
			 st->st_uid, st->st_gid, st->st_mode & 07777, uid, gid, mode);
		problem(w, path, text);
	}
}

static void visit(struct walk *w, const char *path, const struct place *p)
{
	uid_t uid = p->owner == BY_MAIL ? w->mail_uid : 0;
	gid_t gid = p->owner == BY_ROOT ? 0 : p->owner == BY_ROOT_FOR_LOGIN ? w->login_gid : w->mail_gid;
	struct stat st;

	if (lstat(path, &st) == 0) {
		compare(w, path, &st, uid, gid, p->mode);
	} else if (errno != ENOENT) {
		problem(w, path, strerror(errno));
	} else if (w->mode == LAYOUT_CHECK) {
		return; /* the next start makes it */
	} else if (make_path(path, p->mode) < 0) {
		problem(w, path, strerror(errno));
	} else {
		set_owner(w, path, uid, gid, p->mode);
	}
}

bool layout_walk(const struct conf *c, enum layout_mode mode, struct buf *messages)
{
	struct walk w = { .mode = mode, .messages = messages, .unprivileged = conf_unprivileged(c), .ok = true };
	char path[4096];
	uid_t login_uid;

	if (!layout_mail_ids(c, &w.mail_uid, &w.mail_gid)) {
		buf_addf(messages, "error: mail_owner: there is no user %s\n", c->mail_owner);
		return false;
	}
	if (!layout_login_ids(c, &login_uid, &w.login_gid)) {
		buf_addf(messages, "error: default_login_user: there is no user %s\n", c->default_login_user);
		return false;
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const struct place *p = &places[i];

		if (p->name == NULL)
			snprintf(path, sizeof path, "%s", c->data_directory);
		else
			snprintf(path, sizeof path, "%s%s%s", c->queue_directory, p->name[0] ? "/" : "", p->name);
		visit(&w, path, p);
	}
	return w.ok;
}
