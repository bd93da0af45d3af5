/* SPDX-License-Identifier: BSD-2-Clause */
/* Becoming who the service runs as. A service that cannot is not run: no way back to root is left open. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/service/sandbox.h"
#include "lib/service/worker.h"

static void change_root(const char *dir)
{
	if (chroot(dir) < 0 || chdir("/") < 0)
		log_fatal("chroot %s: %m", dir);
}

static void become(const struct passwd *pw)
{
	if (setgroups(1, &pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		log_fatal("cannot become user %s: %m", pw->pw_name);
	if (pw->pw_uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		log_fatal("user %s can become root again", pw->pw_name);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void worker_jail(void)
{
	const struct service *s = worker.service;
	const char *name = s->identity == SERVICE_AS_LOGIN ? conf->default_login_user : conf->mail_owner;
	bool privileged = !conf_unprivileged(conf);
	const struct passwd *pw = NULL;

	if (chdir(conf->queue_directory) < 0)
		log_fatal("queue_directory %s: %m", conf->queue_directory);
	if (privileged && s->identity != SERVICE_AS_ROOT) {
		errno = 0;
		pw = getpwnam(name);
		if (pw == NULL)
			log_fatal("user %s: %s", name, errno ? strerror(errno) : "no such user");
	}
	if (s->identity == SERVICE_AS_LOGIN && chdir("login") < 0)
		log_fatal("%s/login: %m", conf->queue_directory);
	if (privileged && (s->identity == SERVICE_AS_LOGIN || worker.chroot))
		change_root(".");
	if (pw)
		become(pw);
	if (s->identity != SERVICE_AS_ROOT && !sandbox_enter(s->identity == SERVICE_AS_LOGIN))
		log_debug("no system call filter: %m");
	if (privileged)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
