/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool of listening sockets, found by their address and not by their service: a service may be renamed and keep its
 * socket. A reload opens what is new before it gives up anything, so a port that is taken leaves everything as it was.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "lib/service/layout.h"

enum { BACKLOG = 4096, SYSTEMD_FIRST_FD = 3, SYSTEMD_MAX = 64, PREDECESSOR_MS = 3000, PREDECESSOR_POLL_MS = 20 };

static struct listener *pool_add(const struct endpoint *e, int fd)
{
	struct listener *l = mem_zalloc(sizeof *l);

	l->at = *e;
	l->source.fd = fd;
	l->source.ready = service_listener_ready;
	list_append(&master.listeners, &l->node);
	return l;
}

struct listener *listen_lookup(const struct endpoint *e)
{
	list_for_each(node, &master.listeners)
		if (endpoint_eq(&list_entry(node, struct listener, node)->at, e))
			return list_entry(node, struct listener, node);
	return NULL;
}

/* --- from systemd ------------------------------------------------------------------------------------------------- */

static void inherit(int fd)
{
	struct endpoint e = { .type = MASTERCF_INET };
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	char text[ENDPOINT_TEXT_MAX];

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    (ss.ss_family != AF_INET && ss.ss_family != AF_INET6)) {
		log_warn("descriptor %d from the service manager is not a TCP socket: closed", fd);
		close(fd);
		return;
	}
	netaddr_from_sockaddr(&e.addr, (struct sockaddr *)&ss);
	log_info("listening socket from the service manager: %s", endpoint_text(&e, text));
	pool_add(&e, fd);
}

void listen_inherit(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	if (pid == NULL || count == NULL || atoi(pid) != getpid())
		return;
	for (int i = 0; i < atoi(count) && i < SYSTEMD_MAX; i++)
		inherit(SYSTEMD_FIRST_FD + i);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int open_stream(const char *path, mode_t mode)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int saved;

	if (fd < 0)
		return -1;
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	if ((unlink(path) == 0 || errno == ENOENT) && bind(fd, (struct sockaddr *)&sun, sizeof sun) == 0 &&
	    chmod(path, mode) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* private/: mail_owner's group, or root alone; login/: the group of login; public/: everybody, the program looks who it
 * is. */
static int open_unix(const struct endpoint *e, const struct mastercf_service *s)
{
	bool public = strncmp(e->path, "public/", 7) == 0;
	mode_t mode = public ? 0666 : endpoint_program(s->program)->root_peers ? 0600 : 0660;
	uid_t uid;
	gid_t gid;
	bool known =
	    strncmp(e->path, "login/", 6) == 0 ? layout_login_ids(conf, &uid, &gid) : layout_mail_ids(conf, &uid, &gid);
	int fd = e->type == MASTERCF_UNIX ? frame_listen(e->path, mode, BACKLOG) : open_stream(e->path, mode);

	if (fd >= 0 && !public && !conf_unprivileged(conf) && (!known || chown(e->path, 0, gid) < 0))
		log_warn("%s: cannot give it to its group: %m", e->path);
	return fd;
}

/* A socket that the new configuration does not want may sit on the port of one that it does want (0.0.0.0:25,
 * 192.0.2.1:25). */
static bool suspend_rivals(const struct endpoint *e)
{
	bool any = false;

	list_for_each(node, &master.listeners) {
		struct listener *l = list_entry(node, struct listener, node);

		if (l->at.type != MASTERCF_INET || l->wanted || l->suspended || l->at.addr.port != e->addr.port)
			continue;
		shutdown(l->source.fd, SHUT_RD); /* for all who share it: old children may still have it open */
		l->suspended = any = true;
	}
	return any;
}

/* After a master that was killed its children may still have the port for a moment: they leave when they see that it is gone. */
static int listen_after_predecessor(const struct netaddr *addr)
{
	static int64_t give_up_ms;
	int fd;

	if (give_up_ms == 0)
		give_up_ms = clock_deadline(PREDECESSOR_MS);
	do {
		poll(NULL, 0, PREDECESSOR_POLL_MS);
		fd = netaddr_listen(addr, BACKLOG);
	} while (fd < 0 && errno == EADDRINUSE && clock_mono_ms() < give_up_ms);
	return fd;
}

static int open_endpoint(const struct endpoint *e, const struct mastercf_service *s)
{
	int fd = e->type == MASTERCF_INET ? netaddr_listen(&e->addr, BACKLOG) : open_unix(e, s);

	if (fd < 0 && errno == EADDRINUSE && e->type == MASTERCF_INET && suspend_rivals(e))
		fd = netaddr_listen(&e->addr, BACKLOG);
	if (fd < 0 && errno == EADDRINUSE && e->type == MASTERCF_INET && master.generation == 0)
		fd = listen_after_predecessor(&e->addr);
	return fd;
}

bool listen_claim(const struct endpoint *e, const struct mastercf_service *s, struct buf *messages)
{
	struct listener *l = listen_lookup(e);
	char text[ENDPOINT_TEXT_MAX];

	if (l && l->wanted) {
		buf_addf(messages, "error: master.cf:%d: service %s: another service listens on %s\n", s->line, s->name,
			 endpoint_text(e, text));
		return false;
	}
	if (l)
		l->wanted = true;
	return true;
}

bool listen_open(const struct endpoint *e, const struct mastercf_service *s, struct buf *messages)
{
	struct listener *l = listen_lookup(e);
	char text[ENDPOINT_TEXT_MAX];
	int fd;

	if (l && !l->fresh)
		return true;
	if (l)
		return listen_claim(e, s, messages); /* two new services want the same address */
	fd = open_endpoint(e, s);
	if (fd < 0 && e->optional && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		return true;
	if (fd < 0) {
		buf_addf(messages, "error: master.cf:%d: service %s: cannot listen on %s: %s\n", s->line, s->name,
			 endpoint_text(e, text), strerror(errno));
		return false;
	}
	l = pool_add(e, fd);
	l->fresh = l->wanted = true;
	return true;
}

/* --- changing over ------------------------------------------------------------------------------------------------ */

void listen_begin(void)
{
	list_for_each(node, &master.listeners) {
		struct listener *l = list_entry(node, struct listener, node);

		l->wanted = l->fresh = l->suspended = false;
	}
}

static void drop(struct listener *l, bool for_good)
{
	loop_del(master.loop, &l->source);
	if (for_good) { /* children that still have it open must not keep the address */
		shutdown(l->source.fd, SHUT_RDWR);
		if (l->at.type != MASTERCF_INET)
			unlink(l->at.path);
	}
	close(l->source.fd);
	list_remove(&l->node);
	free(l);
}

void listen_commit(void)
{
	list_for_each_safe(node, &master.listeners)
		if (!list_entry(node, struct listener, node)->wanted)
			drop(list_entry(node, struct listener, node), true);
}

void listen_rollback(void)
{
	list_for_each_safe(node, &master.listeners)
		if (list_entry(node, struct listener, node)->fresh)
			drop(list_entry(node, struct listener, node), true);
	list_for_each(node, &master.listeners) {
		struct listener *l = list_entry(node, struct listener, node);

		if (l->suspended && listen(l->source.fd, BACKLOG) < 0)
			log_warn("cannot listen on port %u again: %m", l->at.addr.port);
	}
}

void listen_close_all(void)
{
	list_for_each_safe(node, &master.listeners)
		drop(list_entry(node, struct listener, node), true);
}
