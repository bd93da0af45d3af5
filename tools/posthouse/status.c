/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/log.h"
#include "tools/posthouse/posthouse.h"

static struct {
	uint32_t workers, busy;
	uint64_t total, rss_bytes;
	bool json, any;
} sum;

/* Names come from master.cf: quotes and backslashes are the only bytes in them that JSON minds. */
static void json_string(const char *name, struct span value)
{
	printf("\"%s\": \"", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			putchar('\\');
		putchar(value.ptr[i]);
	}
	fputs("\", ", stdout);
}

static void print_json(const struct control_service *s)
{
	putchar('{');
	json_string("service", s->name);
	json_string("type", s->type);
	json_string("program", s->program);
	json_string("listens", s->listens);
	printf("\"workers\": %u, \"draining\": %u, \"maxproc\": %u, \"busy\": %u, \"limit\": %u, \"sessions\": %" PRIu64
	       ", \"failures\": %u, \"rss_bytes\": %" PRIu64 ", \"generation\": %u, \"throttled_ms\": %u}\n",
	       s->workers, s->draining, s->maxproc, s->busy, s->limit, s->total, s->restarts, s->rss_bytes,
	       s->generation, s->pause_ms);
}

static void print_row(const struct control_service *s)
{
	char limit[16] = "-";

	if (s->maxproc)
		snprintf(limit, sizeof limit, "%u", s->maxproc);
	printf("%-14.*s %-11.*s %-8.*s %7u %7s %6u %9" PRIu64 " %8u %9.1f %4u", SPAN_ARG(s->name), SPAN_ARG(s->type),
	       SPAN_ARG(s->program), s->workers, limit, s->busy, s->total, s->restarts, (double)s->rss_bytes / 1048576,
	       s->generation);
	if (s->draining)
		printf("  %u leaving", s->draining);
	if (s->pause_ms)
		printf("  throttled for %u.%u s", s->pause_ms / 1000, s->pause_ms % 1000 / 100);
	putchar('\n');
}

static void each_service(const struct control_service *s)
{
	if (!sum.any && !sum.json)
		printf("%-14s %-11s %-8s %7s %7s %6s %9s %8s %9s %4s\n", "service", "type", "program", "workers",
		       "maxproc", "busy", "sessions", "failures", "rss MiB", "gen");
	sum.any = true;
	sum.workers += s->workers;
	sum.busy += s->busy;
	sum.total += s->total;
	sum.rss_bytes += s->rss_bytes;
	if (sum.json)
		print_json(s);
	else
		print_row(s);
}

int show_status(bool json)
{
	pid_t pid = running_master();
	int status;

	if (pid == 0) {
		log_error("the mail system is not running");
		return 1;
	}
	sum.json = json;
	status = ask_master(CONTROL_STATUS, "", each_service);
	if (status == 0 && !json)
		printf("master is process %d: %u workers, %u sessions running, %" PRIu64 " begun, %.1f MiB\n", (int)pid,
		       sum.workers, sum.busy, sum.total, (double)sum.rss_bytes / 1048576);
	return status;
}
