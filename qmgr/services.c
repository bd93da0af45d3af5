/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What master.cf says of the transports. A program that serves one session at a time takes as many jobs as it has processes: more
 * connections than that would wait unanswered until one of the others is let go.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/mastercf.h"
#include "qmgr/qmgr.h"

static struct arena arena;
static struct mastercf mastercf;

void services_read(void)
{
	struct buf messages;

	buf_init(&messages, 65536);
	if (mastercf_load(conf->config_directory, &arena, &mastercf, &messages) == CONF_ERROR) {
		log_warn("cannot read master.cf: the limits of its services are not known here");
		mastercf.count = 0;
	}
	buf_free(&messages);
}

static const struct mastercf_service *find(const char *transport)
{
	for (size_t i = 0; i < mastercf.count; i++) {
		const struct mastercf_service *s = &mastercf.services[i];

		if (s->type == MASTERCF_UNIX && s->is_private && strcmp(s->name, transport) == 0)
			return s;
	}
	return NULL;
}

bool services_runs(const char *transport, const char *program)
{
	const struct mastercf_service *s = find(transport);

	return strcmp(s ? s->program : transport, program) == 0;
}

/* The program error bounces, but under the name retry it defers. Without a line in master.cf the names alone say the same. */
const char *services_settles(const char *transport)
{
	const struct mastercf_service *s = find(transport);

	if (strcmp(transport, "retry") == 0 && (s == NULL || strcmp(s->program, "error") == 0))
		return "retry";
	if (services_runs(transport, "error"))
		return "error";
	return services_runs(transport, "discard") ? "discard" : NULL;
}

unsigned services_agents(const char *transport, unsigned limit)
{
	const struct mastercf_service *s = find(transport);
	bool single = s && (strcmp(s->program, "local") == 0 || strcmp(s->program, "pipe") == 0 ||
			    strcmp(s->program, "bounce") == 0);

	return single && s->maxproc > 0 && (unsigned)s->maxproc < limit ? (unsigned)s->maxproc : limit;
}
