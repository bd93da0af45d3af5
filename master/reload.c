/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the configuration and changing over to it. Everything that can fail is done before anything is changed: files
 * read, addresses found, sockets opened. Then services take their new entries, get a new generation, and the old
 * children drain.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/service/logto.h"

/* A configuration that is read and whose sockets are open, not yet in use. */
struct plan {
	struct arena arena;
	struct mastercf mastercf;
	struct endpoints *endpoints; /* of each service; count 0: not run */
	struct buf *messages;
	struct buf without_tls; /* names of services that are not run for want of a certificate */
};

bool log_reopen(void)
{
	int fd = logto_open_file(conf);

	if (fd < 0 && errno) {
		log_error("maillog_file = %s: %m", conf->maillog_file);
		return false;
	}
	if (master.log_fd >= 0)
		close(master.log_fd);
	master.log_fd = fd;
	logto_use(conf, "master", fd);
	return true;
}

/*
 * Workers read a copy of main.cf, made when it was last found good: one that is started after somebody spoilt the file,
 * before the next reload, runs by what is in use. Two steps, because the plan may still fail.
 */
static bool copy_main_cf(struct buf *messages)
{
	char path[4096];
	struct buf text;
	int fd;
	bool ok;

	snprintf(path, sizeof path, "%s/main.cf", master.config_dir);
	buf_init(&text, LINES_FILE_MAX);
	ok = lines_read_file(path, &text) == 0;
	fd = ok ? open("run/main.cf.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
	if (!ok)
		buf_addf(messages, "error: copy of %s in %s/run: %s\n", path, conf->queue_directory, strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return ok;
}

static bool program_is_there(const struct mastercf_service *s, struct buf *messages)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", conf->daemon_directory, s->program);
	if (access(path, X_OK) == 0)
		return true;
	buf_addf(messages, "warning: master.cf:%d: service %s is not run: %s: %s\n", s->line, s->name, path,
		 strerror(errno));
	return false;
}

static bool plan_service(struct plan *p, size_t i)
{
	const struct mastercf_service *s = &p->mastercf.services[i];
	bool ok;

	if (!endpoint_wanted(conf, s) || mastercf_is_settled(s) || !program_is_there(s, p->messages))
		return true;
	if (tls_is_missing(s)) {
		buf_addf(&p->without_tls, " %s", s->name);
		return true;
	}
	ok = endpoints_of(conf, s, &p->arena, &p->endpoints[i], p->messages);
	for (size_t k = 0; ok && k < p->endpoints[i].count; k++)
		ok = listen_claim(&p->endpoints[i].list[k], s, p->messages);
	return ok;
}

static bool open_sockets(struct plan *p, size_t i)
{
	bool ok = true;

	for (size_t k = 0; k < p->endpoints[i].count; k++)
		ok = listen_open(&p->endpoints[i].list[k], &p->mastercf.services[i], p->messages) && ok;
	return ok;
}

/* conf is the new one already: mastercf_load and the sockets go by it. */
static bool make_plan(struct plan *p)
{
	bool ok = copy_main_cf(p->messages) &&
		  mastercf_load(master.config_dir, &p->arena, &p->mastercf, p->messages) != CONF_ERROR;

	if (!ok)
		return false;
	p->endpoints = arena_array(&p->arena, p->mastercf.count + 1, sizeof *p->endpoints);
	listen_begin();
	/* All claims first: a new socket must never suspend one that another service still needs. */
	buf_init(&p->without_tls, 4096);
	for (size_t i = 0; i < p->mastercf.count; i++)
		ok = plan_service(p, i) && ok;
	if (ok)
		tls_set_missing(buf_cstr(&p->without_tls));
	buf_free(&p->without_tls);
	for (size_t i = 0; ok && i < p->mastercf.count; i++)
		ok = open_sockets(p, i);
	if (!ok)
		listen_rollback();
	return ok;
}

/* --- taking it over ----------------------------------------------------------------------------------------------- */

static struct service_state *new_service(const struct mastercf_service *e)
{
	struct service_state *s = mem_zalloc(sizeof *s);

	s->name = mem_strdup(e->name);
	s->type = e->type;
	list_init(&s->children);
	list_append(&master.services, &s->node);
	return s;
}

static void attach_listeners(struct service_state *s, const struct endpoints *list)
{
	free(s->listeners);
	s->listeners = mem_realloc_array(NULL, list->count, sizeof *s->listeners);
	s->nlisteners = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct listener *l = listen_lookup(&list->list[i]);

		if (l == NULL) /* an optional one that this machine does not have */
			continue;
		l->service = s;
		s->listeners[s->nlisteners++] = l;
	}
}

static void adopt(const struct mastercf_service *e, const struct endpoints *list)
{
	struct service_state *s = service_find(e->name, e->type);

	if (s == NULL)
		s = new_service(e);
	s->entry = e;
	s->retired = false;
	s->generation = master.generation;
	attach_listeners(s, list);
}

static void drain_services(void)
{
	list_for_each_safe(snode, &master.services) {
		struct service_state *s = list_entry(snode, struct service_state, node);

		s->retired = s->generation != master.generation;
		if (s->retired) {
			s->nlisteners = 0;
			s->entry = NULL;
		}
		loop_timer_del(master.loop, &s->throttle);
		s->throttled = false;
		list_for_each(cnode, &s->children)
			child_drain(list_entry(cnode, struct child, node));
		if (s->retired && list_empty(&s->children))
			service_forget(s);
	}
}

static void use_plan(struct plan *p)
{
	struct arena old = master.arena;

	if (rename("run/main.cf.new", "run/main.cf") < 0)
		log_error("%s/run/main.cf: %m", conf->queue_directory);
	master.arena = p->arena;
	master.generation++;
	for (size_t i = 0; i < p->mastercf.count; i++)
		if (p->endpoints[i].count)
			adopt(&p->mastercf.services[i], &p->endpoints[i]);
	drain_services();
	listen_commit();
	tls_prepare();
	list_for_each(node, &master.services) {
		struct service_state *s = list_entry(node, struct service_state, node);

		if (s->retired)
			continue;
		service_set_wakeup(s, true); /* who was running is running again, not only when somebody connects */
		service_settle(s);
	}
	arena_free(&old);
}

bool config_start(struct buf *messages)
{
	struct plan p = { .arena = ARENA_INIT, .messages = messages };

	if (!make_plan(&p))
		return false;
	use_plan(&p);
	return true;
}

static void give_log(struct child *c, void *arg)
{
	(void)arg;
	child_order(c, LINK_LOG, master.log_fd);
}

bool log_rotate(void)
{
	bool ok = log_reopen(); /* if not, the old file goes on */

	if (ok && master.log_fd >= 0)
		child_each(give_log, NULL);
	return ok;
}

/* --- reload ------------------------------------------------------------------------------------------------------- */

static bool same_places(const struct conf *a, const struct conf *b, struct buf *messages)
{
	if (strcmp(a->queue_directory, b->queue_directory) == 0 && strcmp(a->data_directory, b->data_directory) == 0 &&
	    conf_unprivileged(a) == conf_unprivileged(b))
		return true;
	buf_adds(messages,
		 "error: queue_directory, data_directory and unprivileged_mode change only by stop and start\n");
	return false;
}

static bool try_reload(struct buf *messages)
{
	struct plan p = { .arena = ARENA_INIT, .messages = messages };
	const struct conf *old = conf;
	struct conf *new;

	if (conf_load(master.config_dir, NULL, 0, &new, messages) == CONF_ERROR)
		return false;
	conf = new;
	if (!same_places(old, new, messages) || !make_plan(&p)) {
		conf = old;
		arena_free(&p.arena);
		conf_free(new);
		return false;
	}
	log_rotate();
	use_plan(&p);
	conf_free((struct conf *)(uintptr_t)old);
	return true;
}

void log_problems(const struct buf *messages)
{
	struct span rest = buf_span(messages), line;

	while (span_word(&rest, "\n", &line))
		if (span_starts(line, "error: "))
			log_error(SPAN_FMT, SPAN_ARG(span_skip(line, 7)));
		else
			log_warn(SPAN_FMT, SPAN_ARG(span_skip(line, span_starts(line, "warning: ") ? 9 : 0)));
}

bool config_reload(struct buf *messages)
{
	bool ok;

	if (master.phase != MASTER_RUNNING) {
		buf_adds(messages, "error: the mail system is stopping\n");
		return false;
	}
	notify_reloading();
	ok = try_reload(messages);
	log_problems(messages);
	if (ok)
		tls_log_missing();
	if (ok)
		log_info("reload -- version %s, configuration %s", conf->mail_version, master.config_dir);
	else
		log_error("reload failed: the configuration of before stays in use");
	notify_ready();
	return ok;
}

void config_restart_service(struct service_state *s)
{
	s->generation = ++master.generation;
	loop_timer_del(master.loop, &s->throttle);
	s->throttled = false;
	list_for_each(node, &s->children)
		child_drain(list_entry(node, struct child, node));
	service_set_wakeup(s, true);
	service_settle(s);
	log_info("restart of service %s", s->name);
}
