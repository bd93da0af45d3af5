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
#include "lib/map/fresh.h"
#include "lib/map/match.h"
#include "lib/proto/auth_name.h"
#include "lib/service/penalty.h"
#include "lib/service/service.h"

enum { REQUEST_MS = 5000, ANSWER_MS = 5000 };

static uid_t login_uid, mail_uid;
static struct penalty *penalty;
static struct match *trusted;

static uid_t uid_of(const char *name)
{
	struct passwd *pw = conf_unprivileged(conf) ? NULL : getpwnam(name);

	return pw ? pw->pw_uid : geteuid();
}

static void before_jail(void)
{
	passdb_setup(conf->passdb);
	secret_setup();
	cache_setup();
	penalty = penalty_open("pid/auth.failures");
	trusted = match_open(conf->login_trusted_networks, MATCH_NETWORK);
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

/* auth_realms: the only ones there are; auth_default_realm: of a name without one. Empty: a realm that is not ours. */
static struct span with_realm(struct attempt *at, struct span name)
{
	struct span realm = name, rest = span_cstr(conf->auth_realms), word;

	(void)span_cut(&realm, '@');
	if (realm.len == 0)
		return conf->auth_default_realm[0] ? span_cstr(arena_printf(&at->arena, SPAN_FMT "@%s", SPAN_ARG(name),
									    conf->auth_default_realm))
						   : name;
	if (rest.len == 0)
		return name;
	while (span_word(&rest, ", \t", &word))
		if (span_ieq(word, realm))
			return name;
	return SPAN_NONE;
}

/* auth_username_translation: "%@/@" makes an @ of % and of /. */
static struct span translated(struct attempt *at, struct span name)
{
	struct span pairs = span_cstr(conf->auth_username_translation);
	char *to = arena_cstr(&at->arena, name);

	for (size_t i = 0; i < name.len; i++)
		for (size_t p = 0; p + 1 < pairs.len; p += 2)
			if (to[i] == pairs.ptr[p]) {
				to[i] = pairs.ptr[p + 1];
				break;
			}
	return span_of(to, name.len);
}

static bool chars_allowed(struct span name)
{
	for (size_t i = 0; i < name.len && conf->auth_username_chars[0]; i++)
		if (name.ptr[i] == '\0' || strchr(conf->auth_username_chars, name.ptr[i]) == NULL)
			return false;
	return true;
}

/* Fill in what the lookups use. False: no user can have this name, or this password. */
static bool prepare(struct attempt *at)
{
	struct span name = at->login.user;

	netaddr_text(&at->login.remote, at->ip);
	at->shown = auth_name_for_log(&at->arena, name);
	at->password = "";
	at->mech = sasl_mech_find(at->login.mechanism);
	if (attempt_by_password(at) && span_chr(at->login.password, '\0') < 0)
		at->password = arena_cstr(&at->arena, at->login.password);
	name = translated(at, name);
	if (!auth_name_valid(name) || !chars_allowed(name))
		return false;
	name = with_realm(at, name);
	name = auth_name_format(&at->arena, conf->auth_username_format, name);
	if (name.len == 0)
		return false;
	at->name = arena_cstr(&at->arena, name);
	return at->mech != SASL_NO_MECHANISM && (at->login.password.len > 0 || at->login.want == HANDOVER_WANT_PARAMETERS) &&
	       (at->password[0] || !attempt_by_password(at));
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
	if (u->disabled || u->no_login)
		return HANDOVER_DISABLED;
	if (conf_unprivileged(conf))
		return HANDOVER_OK;
	if (u->uid == 0 || (int64_t)u->uid < conf->first_valid_uid) {
		log_warn("%s(%s): uid %d is below first_valid_uid (%lld): refused", at->name, at->ip, (int)u->uid,
			 (long long)conf->first_valid_uid);
		return HANDOVER_REFUSED;
	}
	return HANDOVER_OK;
}

/* --- counting failures -------------------------------------------------------------------------------------------- */

static uint64_t key_of(const char *kind, struct span what)
{
	unsigned char digest[SECRET_DIGEST_BYTES];
	uint64_t key;
	struct buf b;

	buf_init(&b, HANDOVER_USER_MAX + 16);
	buf_adds(&b, kind);
	buf_add_span(&b, what);
	secret_digest(buf_span(&b), digest);
	buf_free(&b);
	memcpy(&key, digest, sizeof key);
	return key ? key : 1;
}

/* Behind this machine and trusted networks are many users, who are not to wait for each other. */
static uint64_t network_of(const struct attempt *at)
{
	const struct netaddr *a = &at->login.remote;

	if ((a->family != AF_INET && a->family != AF_INET6) || netaddr_is_loopback(a) ||
	    match_netaddr(trusted, a, SPAN_NONE) == MAP_OK)
		return 0;
	return key_of("network ", span_of((const char *)a->bytes, a->family == AF_INET ? 4 : 8));
}

static uint64_t account_of(const struct attempt *at)
{
	return key_of("account ", at->name ? span_cstr(at->name) : at->login.user);
}

static void count(const struct attempt *at, struct handover_reply *r)
{
	if (r->code == HANDOVER_OK)
		penalty_success(penalty, account_of(at));
	else if (r->code == HANDOVER_REFUSED || r->code == HANDOVER_DISABLED)
		r->delay_ms = penalty_delay_ms(penalty_failure(penalty, network_of(at), account_of(at), (int64_t)clock_wall()),
					       conf->auth_failure_delay_ms);
}

/* --- deciding ----------------------------------------------------------------------------------------------------- */

static enum handover_code verify(struct attempt *at)
{
	if (prepare(at))
		return of_passdb(passdb_verify(at));
	passdb_waste_time(at);
	passdb_log(at, "login", "unknown user (not an acceptable name or password)");
	return HANDOVER_REFUSED;
}

/* What a proof is made of, before it is known whether there is such a user. */
static void parameters(struct attempt *at, struct handover_reply *r)
{
	r->code = verify(at);
	if (r->code == HANDOVER_REFUSED || r->code == HANDOVER_DISABLED) {
		secret_unknown_parameters(at);
		r->code = HANDOVER_OK;
	}
	r->data = at->data;
}

static void login(struct attempt *at, int client, struct handover_reply *r)
{
	struct user u;

	r->code = verify(at);
	if (r->code == HANDOVER_OK)
		r->code = identify(at, &u);
	if (r->code == HANDOVER_OK)
		at->login.user = u.name;
	if (r->code == HANDOVER_OK && !span_is(at->login.service, "smtp"))
		r->code = handoff(at, &u, client, &r->pid);
	count(at, r);
	r->user = r->code == HANDOVER_OK ? at->login.user : SPAN_NONE;
}

static void decide(struct attempt *at, int client, struct handover_reply *r)
{
	fresh_check_now(); /* a password that was changed a moment ago is changed */
	if (at->login.want == HANDOVER_WANT_PARAMETERS) {
		parameters(at, r);
	} else if (at->login.want == HANDOVER_WANT_PROOF) {
		r->code = verify(at);
		r->data = r->code == HANDOVER_OK ? at->data : SPAN_NONE;
	} else {
		login(at, client, r);
	}
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

			decide(&at, client, &r);
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
