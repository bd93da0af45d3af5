/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent of the users' processes. One thread, one loop; everything it does is a step between two events:
 *
 *	connection from auth     accepted, kept until auth closes it
 *	SESSION frame on it      the user's process is found or forked, frame and client go there, auth gets its answer
 *	WHO frame on it          answered; posthouse kick: the processes that are meant are told to end
 *	word from a process      a session is over; or it is idle and asks whether it may leave
 *	a process ends           it is reaped; a death by signal is logged
 *	DRAIN, STOP from master  no new sessions; processes finish theirs, or say goodbye; the last one's end is ours
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/pack.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/io/loop.h"
#include "lib/service/handover.h"
#include "lib/service/service.h"
#include "lib/service/userproc_child.h"

enum { ANSWER_MS = 1000, ACCEPTS_PER_ROUND = 64, WORDS_PER_ROUND = 64 };

struct auth_conn {
	struct list_node node;
	struct loop_source src;
};

/* Everything that a user runs here. Whoever differs in any part of the key gets a process of his own. */
struct owner {
	struct span key;
	char *name; /* for the log, escaped there */
	struct list children;
	size_t nchildren;
};

struct child {
	struct list_node node;  /* of all children */
	struct list_node sibling; /* of the owner's */
	struct owner *owner;
	struct loop_source src; /* our end of the pair; fd -1 once the other end is closed */
	struct list sessions;
	pid_t pid;
	uint32_t sent;
	bool leaving; /* gets no further sessions */
};

struct session {
	struct list_node node;
	uint32_t number;
	struct netaddr remote;
	int64_t since; /* wall seconds */
	bool secured;
};

/* One per process: a program is the parent of one protocol's processes. */
static struct {
	const struct userproc *up;
	struct loop *loop;
	struct loop_source *listeners;
	int nlisteners;
	struct loop_source orders;
	struct loop_timer kill_timer;
	struct list conns, children;
	struct htab owners;
	struct htab logins; /* by the user's name: int64_t milliseconds, while it matters */
	int64_t swept_at_ms;
	struct buf frame, out;
	size_t nchildren, nsessions;
	int64_t limit_warned_at_ms;
	bool draining, stopping;
	struct stat log; /* the file that lines go to */
} parent;

static void report_busy(uint32_t started)
{
	service_set_busy((uint32_t)parent.nsessions, started);
}

/* --- owners and their processes ---------------------------------------------------------------------------------- */

static void key_of(struct buf *key, const struct user *u)
{
	pack_span(key, u->name);
	pack_u32(key, u->uid);
	pack_u32(key, u->gid);
	pack_span(key, span_cstr(u->home));
	pack_span(key, span_cstr(u->mail_location));
}

static struct owner *owner_get(const struct user *u)
{
	struct buf key;
	struct owner *o;

	buf_init(&key, FRAME_MAX);
	key_of(&key, u);
	o = htab_get(&parent.owners, buf_span(&key));
	if (o == NULL) {
		o = mem_zalloc(sizeof *o);
		o->key = span_of(mem_strndup(key.ptr, key.len), key.len);
		o->name = mem_strndup(u->name.ptr, u->name.len);
		list_init(&o->children);
		htab_put(&parent.owners, o->key, o);
	}
	buf_free(&key);
	return o;
}

static void owner_drop_if_empty(struct owner *o)
{
	if (o->nchildren > 0)
		return;
	htab_del(&parent.owners, o->key);
	free((char *)o->key.ptr);
	free(o->name);
	free(o);
}

static uint32_t sessions_from(const struct owner *o, const struct netaddr *remote)
{
	uint32_t n = 0;

	list_for_each(c, &o->children)
		list_for_each(s, &list_entry(c, struct child, sibling)->sessions)
			n += netaddr_eq(&list_entry(s, struct session, node)->remote, remote);
	return n;
}

static void session_drop(struct session *s)
{
	list_remove(&s->node);
	free(s);
	parent.nsessions--;
}

static void child_unplug(struct child *c)
{
	c->leaving = true;
	if (c->src.fd < 0)
		return;
	loop_del(parent.loop, &c->src);
	close(c->src.fd);
	c->src.fd = -1;
}

/* The process is gone: so are its sessions. */
static void child_drop(struct child *c)
{
	struct owner *o = c->owner;

	child_unplug(c);
	list_for_each_safe(s, &c->sessions)
		session_drop(list_entry(s, struct session, node));
	list_remove(&c->node);
	list_remove(&c->sibling);
	free(c);
	parent.nchildren--;
	o->nchildren--;
	owner_drop_if_empty(o);
	report_busy(0);
	if (parent.nchildren == 0 && (parent.draining || parent.stopping))
		loop_stop(parent.loop);
}

static bool child_send(struct child *c, enum userproc_word word, int fd)
{
	if (c->src.fd < 0)
		return false;
	buf_reset(&parent.out);
	userproc_put(&parent.out, word, 0);
	return frame_send(c->src.fd, buf_span(&parent.out), fd, clock_mono_ms()) == IO_OK;
}

static bool child_tell(struct child *c, enum userproc_word word)
{
	return child_send(c, word, -1);
}

static void child_said(struct child *c, enum userproc_word word, uint32_t n)
{
	if (word == USERPROC_BYE) {
		if (n == c->sent && child_tell(c, USERPROC_LEAVE))
			c->leaving = true;
		return;
	}
	if (word != USERPROC_ENDED)
		return;
	list_for_each(node, &c->sessions) {
		struct session *s = list_entry(node, struct session, node);

		if (s->number == n) {
			session_drop(s);
			report_busy(0);
			return;
		}
	}
}

static void child_ready(struct loop_source *src, uint32_t events)
{
	struct child *c = list_entry(src, struct child, src);
	enum userproc_word word;
	uint32_t n;

	(void)events;
	for (int i = 0; i < WORDS_PER_ROUND; i++) { /* a process that never stops talking keeps nobody else waiting */
		enum io_status st = frame_recv(src->fd, &parent.frame, NULL, clock_mono_ms());

		if (st == IO_TIMEOUT || st == IO_STOPPING)
			return;
		if (st != IO_OK || !userproc_get(buf_span(&parent.frame), &word, &n)) {
			child_unplug(c); /* ended, or out of its mind: it ends when it sees the pair closed */
			return;
		}
		child_said(c, word, n);
	}
}

static struct child *child_new(struct owner *o, const struct user *u)
{
	struct child *c;
	int pair[2];
	pid_t pid;

	if (frame_pair(pair) < 0) {
		log_error("socketpair for %s(%s): %s", parent.up->protocol, o->name, strerror(errno));
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		userproc_child(parent.up, u, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		log_error("fork for %s(%s): %s", parent.up->protocol, o->name, strerror(errno));
		close(pair[0]);
		return NULL;
	}
	c = mem_zalloc(sizeof *c);
	c->owner = o;
	c->pid = pid;
	list_init(&c->sessions);
	list_append(&parent.children, &c->node);
	list_append(&o->children, &c->sibling);
	o->nchildren++;
	parent.nchildren++;
	c->src.fd = pair[0];
	c->src.ready = child_ready;
	loop_add(parent.loop, &c->src, EPOLLIN);
	return c;
}

static struct child *child_of(struct owner *o)
{
	if (!parent.up->one_process_per_user)
		return NULL;
	list_for_each(node, &o->children) {
		struct child *c = list_entry(node, struct child, sibling);

		if (!c->leaving)
			return c;
	}
	return NULL;
}

static void reap(int signo, void *arg)
{
	int status;
	pid_t pid;

	(void)signo;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		list_for_each_safe(node, &parent.children) {
			struct child *c = list_entry(node, struct child, node);

			if (c->pid != pid)
				continue;
			if (WIFSIGNALED(status))
				log_warn("%s(%s) pid %d killed by signal %d", parent.up->protocol, c->owner->name, (int)pid,
					 WTERMSIG(status));
			else if (WEXITSTATUS(status) != 0)
				log_warn("%s(%s) pid %d exit status %d", parent.up->protocol, c->owner->name, (int)pid,
					 WEXITSTATUS(status));
			child_drop(c);
			break;
		}
	}
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

static bool give(struct child *c, const struct handover_session *s, int client)
{
	struct session *rec;

	if (frame_send(c->src.fd, buf_span(&parent.frame), client, clock_mono_ms()) != IO_OK)
		return false;
	rec = mem_zalloc(sizeof *rec);
	rec->number = ++c->sent;
	rec->remote = s->remote;
	rec->since = clock_wall();
	rec->secured = s->secured;
	list_append(&c->sessions, &rec->node);
	parent.nsessions++;
	report_busy(1);
	return true;
}

static bool too_many_processes(void)
{
	int64_t now = clock_mono_ms();

	if (parent.nchildren < (size_t)conf->user_process_limit)
		return false;
	if (now - parent.limit_warned_at_ms > 60000 || parent.limit_warned_at_ms == 0)
		log_warn("user_process_limit (%lld) reached: %s logins are put off", (long long)conf->user_process_limit,
			 parent.up->protocol);
	parent.limit_warned_at_ms = now;
	return true;
}

/* A process that died a moment ago may not be reaped yet: then a second one is tried, a fresh one. */
static enum handover_code place(struct owner *o, const struct handover_session *s, int client, pid_t *pid_r)
{
	struct child *c = child_of(o);

	if (c != NULL && give(c, s, client)) {
		*pid_r = c->pid;
		return HANDOVER_OK;
	}
	if (c != NULL) {
		log_warn("%s(%s) pid %d takes no sessions: %s", parent.up->protocol, o->name, (int)c->pid, strerror(errno));
		c->leaving = true;
	}
	if (too_many_processes() || (c = child_new(o, &s->user)) == NULL)
		return HANDOVER_TEMP;
	if (!give(c, s, client)) {
		child_unplug(c);
		return HANDOVER_TEMP;
	}
	*pid_r = c->pid;
	return HANDOVER_OK;
}

static void forget_login(struct span name, void *value, void *arg)
{
	int64_t *at_ms = value;

	(void)arg;
	if (clock_mono_ms() - *at_ms < parent.up->login_delay_ms)
		return;
	free(htab_del(&parent.logins, name));
}

/* When the user was let in the last time; what is too old to matter goes now and then. */
static int64_t *last_login(struct span name)
{
	int64_t now = clock_mono_ms(), delay = parent.up->login_delay_ms;

	if (now - parent.swept_at_ms > (delay > 10000 ? delay : 10000)) {
		parent.swept_at_ms = now;
		htab_each(&parent.logins, forget_login, NULL);
	}
	return htab_get(&parent.logins, name);
}

static bool too_soon(const struct user *u)
{
	const int64_t *at_ms;

	if (parent.up->login_delay_ms == 0)
		return false;
	at_ms = last_login(u->name);
	return at_ms != NULL && clock_mono_ms() - *at_ms < parent.up->login_delay_ms;
}

static void note_login(const struct user *u)
{
	int64_t *at_ms;

	if (parent.up->login_delay_ms == 0)
		return;
	at_ms = last_login(u->name);
	if (at_ms == NULL) {
		at_ms = mem_alloc(sizeof *at_ms);
		htab_put(&parent.logins, u->name, at_ms);
	}
	*at_ms = clock_mono_ms();
}

static enum handover_code admit(const struct handover_session *s, int client, pid_t *pid_r)
{
	int64_t limit = conf->mail_max_userip_connections;
	enum handover_code code;
	struct owner *o;

	if (!conf_unprivileged(conf) && s->user.uid == 0) {
		log_error("%s(%.*s): refused to run as root", parent.up->protocol, SPAN_ARG(s->user.name));
		return HANDOVER_DISABLED;
	}
	o = owner_get(&s->user);
	if (limit > 0 && s->remote.family != AF_UNIX && sessions_from(o, &s->remote) >= limit)
		code = HANDOVER_LIMIT;
	else if (too_soon(&s->user))
		code = HANDOVER_TOO_SOON;
	else
		code = place(o, s, client, pid_r);
	if (code == HANDOVER_OK)
		note_login(&s->user);
	owner_drop_if_empty(o);
	return code;
}

static void conn_drop(struct auth_conn *ac)
{
	loop_del(parent.loop, &ac->src);
	close(ac->src.fd);
	list_remove(&ac->node);
	free(ac);
}

static bool conn_answer(struct auth_conn *ac, enum handover_code code, struct span user, pid_t pid)
{
	buf_reset(&parent.out);
	if (!handover_put_answer(&parent.out, code, user, (uint32_t)pid))
		return false;
	return frame_send(ac->src.fd, buf_span(&parent.out), -1, clock_deadline(ANSWER_MS)) == IO_OK;
}

static bool is_meant(const struct child *c, const struct handover_who *w)
{
	if (w->user.len > 0)
		return span_is(w->user, c->owner->name);
	list_for_each(node, &c->sessions)
		if (netaddr_eq(&list_entry(node, struct session, node)->remote, &w->remote))
			return true;
	return false;
}

static bool show_session(struct auth_conn *ac, const struct handover_seen *seen)
{
	buf_reset(&parent.out);
	return handover_put_seen(&parent.out, seen) &&
	       frame_send(ac->src.fd, buf_span(&parent.out), -1, clock_deadline(ANSWER_MS)) == IO_OK;
}

/* posthouse who, or kick: a process ends with all of its sessions, which say goodbye. */
static bool answer_who(struct auth_conn *ac, const struct handover_who *w)
{
	list_for_each(child, &parent.children) {
		struct child *c = list_entry(child, struct child, node);

		if (w->kick && !is_meant(c, w))
			continue;
		list_for_each(node, &c->sessions) {
			struct session *s = list_entry(node, struct session, node);
			struct handover_seen seen = { .user = span_cstr(c->owner->name), .pid = (uint32_t)c->pid, .since = s->since,
						      .remote = s->remote, .secured = s->secured };

			if (!show_session(ac, &seen))
				return false;
		}
		if (w->kick && child_tell(c, USERPROC_QUIT))
			c->leaving = true;
	}
	return show_session(ac, &(struct handover_seen){ 0 });
}

static void conn_ready(struct loop_source *src, uint32_t events)
{
	struct auth_conn *ac = list_entry(src, struct auth_conn, src);
	struct arena a = ARENA_INIT;
	struct handover_session s;
	struct handover_who who;
	int client = -1;
	pid_t pid = 0;
	bool keep;

	(void)events;
	switch (frame_recv(src->fd, &parent.frame, &client, clock_mono_ms())) {
	case IO_OK:
		break;
	case IO_TIMEOUT:
	case IO_STOPPING:
		return;
	default:
		conn_drop(ac);
		return;
	}
	if (client < 0 && handover_get_who(buf_span(&parent.frame), &who)) {
		keep = answer_who(ac, &who);
	} else if (client < 0 || !handover_get_session(buf_span(&parent.frame), &a, &s)) {
		log_error("malformed session frame");
		keep = false;
	} else {
		enum handover_code code = admit(&s, client, &pid);

		keep = conn_answer(ac, code, s.user.name, pid);
	}
	if (client >= 0)
		close(client);
	arena_free(&a);
	mem_wipe(parent.frame.ptr, parent.frame.len); /* the next user's process inherits our memory */
	if (!keep)
		conn_drop(ac);
}

static void listener_ready(struct loop_source *src, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct auth_conn *ac;
		uid_t uid;
		gid_t gid;
		pid_t pid;

		if (fd < 0)
			return;
		if (frame_peer(fd, &uid, &gid, &pid) < 0 || uid != geteuid()) {
			log_warn("connection by uid %d refused: only auth may", (int)uid);
			close(fd);
			continue;
		}
		ac = mem_zalloc(sizeof *ac);
		ac->src.fd = fd;
		ac->src.ready = conn_ready;
		list_append(&parent.conns, &ac->node);
		loop_add(parent.loop, &ac->src, EPOLLIN);
	}
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* auth finds its connection closed without an answer and turns to the next generation. */
static void take_no_more(void)
{
	for (int i = 0; i < parent.nlisteners; i++)
		loop_del(parent.loop, &parent.listeners[i]);
	list_for_each_safe(node, &parent.conns)
		conn_drop(list_entry(node, struct auth_conn, node));
}

/* Three who lose patience in turn: a process with its sessions, its parent with the process, master with the parent. */
static void kill_late(struct loop_timer *t)
{
	(void)t;
	list_for_each(node, &parent.children)
		kill(list_entry(node, struct child, node)->pid, SIGKILL);
}

static void wind_up(enum service_order order)
{
	bool stop = order == SERVICE_ORDER_STOP;

	if ((stop && parent.stopping) || (!stop && (parent.draining || parent.stopping)))
		return;
	take_no_more();
	parent.draining = true;
	parent.stopping = stop;
	list_for_each(node, &parent.children)
		child_tell(list_entry(node, struct child, node), stop ? USERPROC_QUIT : USERPROC_DRAIN);
	if (stop)
		loop_timer_set(parent.loop, &parent.kill_timer, clock_deadline(conf->stop_timeout_ms / 4 * 3));
	if (parent.nchildren == 0)
		loop_stop(parent.loop);
}

/* Reading orders may have put another file in the place of the log. */
static bool log_was_changed(void)
{
	struct stat now;

	if (log_fd() < 0 || fstat(log_fd(), &now) < 0 || (now.st_ino == parent.log.st_ino && now.st_dev == parent.log.st_dev))
		return false;
	parent.log = now;
	return true;
}

static void orders_ready(struct loop_source *src, uint32_t events)
{
	enum service_order order = service_read_order();

	(void)events;
	if (log_was_changed())
		list_for_each(node, &parent.children)
			child_send(list_entry(node, struct child, node), USERPROC_LOG, log_fd());
	if (order == SERVICE_ORDER_STOP)
		loop_del(parent.loop, src); /* what follows is end of file for ever */
	if (order == SERVICE_ORDER_STOP || order == SERVICE_ORDER_DRAIN)
		wind_up(order);
}

void userproc_run(const int *listeners, int nlisteners, const struct userproc *up)
{
	parent.up = up;
	parent.loop = loop_new();
	list_init(&parent.conns);
	list_init(&parent.children);
	buf_init(&parent.frame, FRAME_MAX);
	buf_init(&parent.out, FRAME_MAX);
	parent.kill_timer.fire = kill_late;
	userproc_warm();
	loop_signal(parent.loop, SIGCHLD, reap, NULL);

	parent.listeners = mem_zalloc((size_t)nlisteners * sizeof *parent.listeners);
	parent.nlisteners = nlisteners;
	for (int i = 0; i < nlisteners; i++) {
		parent.listeners[i].fd = listeners[i];
		parent.listeners[i].ready = listener_ready;
		io_set_nonblock(listeners[i]);
		loop_add(parent.loop, &parent.listeners[i], EPOLLIN);
	}
	log_was_changed();
	parent.orders.fd = service_order_fd();
	parent.orders.ready = orders_ready;
	loop_add(parent.loop, &parent.orders, EPOLLIN);
	loop_run(parent.loop);
	loop_free(parent.loop);
}
