/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.cf by name, as written: what lib/conf fills struct conf from, and what postconf(1) lists.
 * An entry exists for every known parameter (its default, where == NULL, unless main.cf or an override sets it) and for
 * every other name that main.cf sets.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/htab.h"
#include "lib/base/span.h"
#include "lib/conf/conf.h"

struct conf_entry {
	const char *name;
	const char *value;              /* not expanded */
	const char *written;            /* the same as it was set, before anything was derived */
	const char *where;              /* "/etc/posthouse/main.cf:12", "-o name=value"; NULL: not set */
	const struct conf_param *param; /* NULL: not one of conf/params.def */
	bool derived;                   /* value was found out (myhostname, mynetworks, ...) */
};

struct conf_raw {
	struct arena arena;
	struct htab names;
	struct conf_entry **entries; /* in the order of params.def, then of main.cf */
	size_t count;
	const char *dir, *file; /* the directory and its main.cf */
};

struct conf_raw *raw_new(const char *dir);
void raw_free(struct conf_raw *raw);
struct conf_entry *raw_get(const struct conf_raw *raw, struct span name); /* NULL: no such entry */
/* Set name; where as above, copied. */
struct conf_entry *raw_set(struct conf_raw *raw, struct span name, struct span value, const char *where);

/*
 * One logical line "name = value" of main.cf, or an override: NULL, or what is wrong with it. The value is trimmed.
 * Pure.
 */
const char *raw_parse_assignment(struct span line, struct span *name_r, struct span *value_r);
/* All of main.cf's text into raw, last setting wins; problems go to messages. False when there were any. */
bool raw_parse_text(struct conf_raw *raw, struct span text, struct buf *messages);

/* An entry's value, expanded, in a. NULL, with *error_r saying why, when it cannot be. undefined_r (or NULL): the first
 * name used in it that is neither known nor set; SPAN_NONE: none. */
const char *raw_value(const struct conf_raw *raw, struct arena *a, struct span name, const char **error_r,
		      struct span *undefined_r);

/* Fill in what is derived when not set: myhostname, mydomain, mynetworks, unprivileged_mode, userdb, passdb, ... */
bool raw_derive(struct conf_raw *raw, struct buf *messages);
/* Unknown names: adds messages, returns false when there is an error among them. */
bool raw_check_names(struct conf_raw *raw, struct buf *messages);

/* The names Postfix 3.7 or Dovecot 2.3 have and Posthouse does not use yet. */
bool conf_is_foreign(struct span name);
/* smtp_destination_concurrency_limit and the like: the suffix of name, or NULL. */
const char *conf_transport_suffix(struct span name);
