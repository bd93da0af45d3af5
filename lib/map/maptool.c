/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/maptool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/map/build.h"

struct options {
	const char *name; /* of the program */
	enum map_build how;
	const char *dir, *query, *delete;
	bool list, add;
	unsigned flags;
};

static void usage(const struct options *o) __attribute__((noreturn));
static void usage(const struct options *o)
{
	fprintf(stderr, "usage: %s [-fiNnrsw] [-c dir] [-q key] [-d key] [type:]name ...\n", o->name);
	exit(1);
}

/* Messages of lib/map ("error: ", "warning: ") to the log. */
static void log_messages(struct buf *messages)
{
	struct span rest = buf_span(messages), line;

	while (span_word(&rest, "\n", &line)) {
		if (span_starts(line, "warning: "))
			line = span_skip(line, strlen("warning: "));
		if (span_starts(line, "error: "))
			log_error(SPAN_FMT, SPAN_ARG(span_skip(line, strlen("error: "))));
		else
			log_warn(SPAN_FMT, SPAN_ARG(line));
	}
	buf_reset(messages);
}

static const char *with_type(struct arena *a, const char *table)
{
	return strchr(table, ':') ? table : arena_printf(a, "%s:%s", conf->default_database_type, table);
}

static void print_pair(struct span key, struct span value)
{
	printf("%.*s\t%.*s\n", SPAN_ARG(key), SPAN_ARG(value));
}

/* Call each for the key, or for every line of standard input when it is "-". False when it was for none. */
static bool for_keys(const char *key, bool (*each)(void *ctx, struct span key), void *ctx)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	bool any = false;

	if (strcmp(key, "-") != 0)
		return each(ctx, span_cstr(key));
	while ((n = getline(&line, &size, stdin)) > 0) {
		struct span s = span_trim(span_of(line, (size_t)n));

		any = (s.len > 0 && each(ctx, s)) || any;
	}
	free(line);
	return any;
}

/* --- -q ----------------------------------------------------------------------------------------------------------- */

struct query {
	const struct options *o;
	struct arena a;
	struct map **maps;
	int n;
	bool failed;
};

static bool query_key(void *ctx, struct span key)
{
	struct query *q = ctx;
	struct span value;

	for (int i = 0; i < q->n; i++) {
		enum map_status st = map_get(q->maps[i], &q->a, key, &value);

		if (st == MAP_NOTFOUND)
			continue;
		q->failed = st == MAP_TEMP || q->failed;
		if (st == MAP_TEMP)
			return false;
		if (strcmp(q->o->query, "-") == 0)
			print_pair(key, value);
		else
			printf("%.*s\n", SPAN_ARG(value));
		return true;
	}
	return false;
}

static int query(const struct options *o, char **tables, int n)
{
	struct query q = { .o = o, .n = n };
	bool found;

	q.maps = mem_realloc_array(NULL, (size_t)n, sizeof(*q.maps));
	for (int i = 0; i < n; i++) {
		q.maps[i] = map_open(with_type(&q.a, tables[i]));
		map_set_source(q.maps[i], o->how);
	}
	found = for_keys(o->query, query_key, &q);
	free(q.maps);
	arena_free(&q.a);
	if (q.failed)
		log_fatal("the table cannot be read");
	return found ? 0 : 1;
}

/* --- one table ---------------------------------------------------------------------------------------------------- */

struct table_work {
	const struct options *o;
	const char *table;
	struct map_pairs pairs;
	struct buf messages;
};

static int list(struct table_work *w)
{
	int rc = map_read_compiled(&w->pairs, w->table, &w->messages);

	for (size_t i = 0; rc == 0 && i < w->pairs.n; i++)
		print_pair(w->pairs.v[i]->key, w->pairs.v[i]->value);
	return rc == 0 ? 0 : 1;
}

static bool delete_key(void *ctx, struct span key)
{
	struct table_work *w = ctx;
	struct map_pair *pair = map_pairs_find(&w->pairs, key, w->o->flags);

	if (pair)
		pair->deleted = true;
	return pair != NULL;
}

static int remove_keys(struct table_work *w)
{
	if (map_read_compiled(&w->pairs, w->table, &w->messages) < 0 || !for_keys(w->o->delete, delete_key, w))
		return 1;
	return map_write(&w->pairs, w->table, NULL, w->o->flags, &w->messages) == 0 ? 0 : 1;
}

/* -i: the lines of standard input go into the table that is there. */
static int add(struct table_work *w)
{
	struct buf text;
	int rc;

	buf_init(&text, LINES_FILE_MAX);
	if (lines_read_file("/dev/stdin", &text) < 0)
		log_fatal("standard input: %s", strerror(errno));
	rc = map_read_compiled(&w->pairs, w->table, &w->messages);
	if (rc == 0) {
		map_read_source(&w->pairs, "standard input", buf_span(&text), w->o->how, w->o->flags, &w->messages);
		rc = map_write(&w->pairs, w->table, NULL, w->o->flags, &w->messages);
	}
	buf_free(&text);
	return rc == 0 ? 0 : 1;
}

static int work(const struct options *o, const char *table)
{
	struct table_work w = { .o = o };
	struct arena a = ARENA_INIT;
	int status;

	w.table = with_type(&a, table);
	buf_init(&w.messages, 1 << 20);
	if (o->list)
		status = list(&w);
	else if (o->delete)
		status = remove_keys(&w);
	else if (o->add)
		status = add(&w);
	else
		status = map_build_with(w.table, o->how, o->flags, &w.messages) == 0 ? 0 : 1;
	log_messages(&w.messages);
	map_pairs_free(&w.pairs);
	buf_free(&w.messages);
	arena_free(&a);
	return status;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void take_option(struct options *o, int c)
{
	switch (c) {
	case 'c':
		o->dir = optarg;
		break;
	case 'q':
		o->query = optarg;
		break;
	case 'd':
		o->delete = optarg;
		break;
	case 's':
		o->list = true;
		break;
	case 'i':
		o->add = true;
		break;
	case 'f':
		o->flags |= MAP_BUILD_KEEP_CASE;
		break;
	case 'n':
		o->flags |= MAP_BUILD_NO_NUL;
		break;
	case 'N':
		o->flags &= ~(unsigned)MAP_BUILD_NO_NUL;
		break;
	case 'r':
		o->flags |= MAP_BUILD_REPLACE;
		break;
	case 'w':
		o->flags |= MAP_BUILD_QUIET;
		break;
	case 'o':
	case 'p':
	case 'u':
	case 'v':
		break; /* taken and without effect */
	default:
		usage(o);
	}
}

int maptool_main(int argc, char **argv, const char *name, enum map_build how)
{
	struct options o = { .name = name, .how = how };
	int c, status = 0;

	log_open(name, LOG_TO_STDERR, -1, 0);
	while ((c = getopt(argc, argv, "c:q:d:sifnNrwopuv")) != -1)
		take_option(&o, c);
	argc -= optind;
	argv += optind;
	if (argc == 0 || (o.query && o.delete) || ((o.query || o.delete) && (o.list || o.add)))
		usage(&o);
	conf_load_or_die(conf_dir(o.dir));
	if (o.query)
		return query(&o, argv, argc);
	for (int i = 0; i < argc; i++)
		status |= work(&o, argv[i]);
	return status;
}
