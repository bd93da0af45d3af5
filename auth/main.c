/* SPDX-License-Identifier: BSD-2-Clause */
/* auth: holds the password data and is the only door to a mailbox. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/proto/auth_name.h"
#include "lib/service/service.h"

enum { REQUEST_MS = 5000, ANSWER_MS = 5000 };

static uid_t login_uid, mail_uid;

static uid_t uid_of(const char *name)
{
	struct passwd *pw = conf_unprivileged(conf) ? NULL : getpwnam(name);

	return pw ? pw->pw_uid : geteuid();
}

static void before_jail(void)
{
	passdb_setup(conf->passdb);
	login_uid = uid_of(conf->default_login_user);
	mail_uid = uid_of(conf->mail_owner);
}

static bool peer_may_ask(int fd)
{
	uid_t uid;

	if (frame_peer(fd, &uid, NULL, NULL) < 0)
		return false;
	if (uid == 0 || uid == geteuid() || uid == login_uid || uid == mail_uid)
		return true;
	log_warn("connection by uid %d refused", (int)uid);
	return false;
}

/* Fill in what the lookups use. False: no user can have this name, or this password. */
static bool prepare(struct attempt *at)
{
	struct span name = at->login.user;

	netaddr_text(&at->login.remote, at->ip);
	at->shown = auth_name_for_log(&at->arena, name);
	at->password = "";
	if (at->login.password.len == 0 || span_chr(at->login.password, '\0') >= 0)
		return false;
	at->password = arena_cstr(&at->arena, at->login.password);
	if (!auth_name_valid(name))
		return false;
	name = auth_name_format(&at->arena, conf->auth_username_format, name);
	at->name = arena_cstr(&at->arena, name);
	return name.len > 0;
}

static enum handover_code of_passdb(enum passdb_status status)
{
	switch (status) {
	case PASSDB_OK:
		return HANDOVER_OK;
	case PASSDB_UNKNOWN:
	case PASSDB_MISMATCH:
		return HANDOVER_REFUSED;
	case PASSDB_DISABLED:
		return HANDOVER_DISABLED;
	case PASSDB_TEMP:
		break;
	}
	return HANDOVER_TEMP;
}

/* Somebody who proved who he is: may he have a mailbox here? */
static enum handover_code identify(struct attempt *at, struct user *u)
{
	switch (userdb_get(&at->arena, span_cstr(at->name), u)) {
	case MAP_OK:
		break;
	case MAP_NOTFOUND:
		log_error("%s has a password in passdb, but is not in userdb", at->name);
		return HANDOVER_TEMP;
	default:
		return HANDOVER_TEMP;
	}
	if (conf_unprivileged(conf))
		return HANDOVER_OK;
	if (u->uid == 0 || (int64_t)u->uid < conf->first_valid_uid) {
		log_warn("%s(%s): uid %d is below first_valid_uid (%lld): refused", at->name, at->ip, (int)u->uid,
			 (long long)conf->first_valid_uid);
		return HANDOVER_REFUSED;
	}
	return HANDOVER_OK;
}

static enum handover_code decide(struct attempt *at, int client, uint32_t *pid_r)
{
	enum handover_code code;
	struct user u;

	if (!prepare(at)) {
		passdb_waste_time(at);
		passdb_log(at, "login", "unknown user (not an acceptable name or password)");
		return HANDOVER_REFUSED;
	}
	code = of_passdb(passdb_verify(at));
	if (code == HANDOVER_OK)
		code = identify(at, &u);
	if (code != HANDOVER_OK)
		return code;
	at->login.user = u.name;
	if (span_is(at->login.service, "smtp")) /* only verified */
		return HANDOVER_OK;
	return handoff(at, &u, client, pid_r);
}

static void answer(int fd, const struct handover_reply *r)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	if (!handover_put_reply(&b, r) || frame_send(fd, buf_span(&b), -1, clock_deadline(ANSWER_MS)) != IO_OK)
		log_debug("who asked went away before the answer");
	buf_wipe(&b);
}

/* The arena holds the password, too: everything is wiped before it is given back. */
static void forget(struct attempt *at)
{
	if (at->password && at->password[0])
		mem_wipe((char *)at->password, strlen(at->password));
	arena_free(&at->arena);
}

static void session(const struct service_session *s)
{
	struct attempt at = { .arena = ARENA_INIT };
	struct buf frame;
	int client = -1;

	buf_init(&frame, FRAME_MAX);
	if (peer_may_ask(s->fd) &&
	    frame_recv(s->fd, &frame, &client, clock_deadline(REQUEST_MS)) == IO_OK) {
		if (handover_get_login(buf_span(&frame), &at.login)) {
			struct handover_reply r = { .code = HANDOVER_TEMP };

			r.code = decide(&at, client, &r.pid);
			r.user = r.code == HANDOVER_OK ? at.login.user : SPAN_NONE;
			answer(s->fd, &r);
		} else {
			log_error("malformed login frame");
		}
	}
	if (client >= 0)
		close(client);
	forget(&at);
	buf_wipe(&frame);
	close(s->fd);
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "auth",
		.shape = SERVICE_SINGLE,
		.identity = SERVICE_AS_ROOT,
		.before_jail = before_jail,
		.session = session,
	};

	return service_main(argc, argv, &s);
}
