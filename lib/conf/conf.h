/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: main.cf read into one struct, each field declared once in conf/params.def.
 * Strings are expanded ($name replaced) and NUL-terminated; times are milliseconds in fields that end in _ms; numbers
 * are range-checked. A field is named exactly like its parameter. PARAM_RAW strings are not expanded: the program that
 * reads one replaces its names at each use (expand.h). Empty defaults that are derived (myhostname, mynetworks, ...)
 * are filled in; unprivileged_mode is "yes" or "no".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

#define PARAM_STR(name, def, owners, help) const char *name;
#define PARAM_RAW(name, def, owners, help) const char *name;
#define PARAM_INT(name, def, min, max, owners, help) int64_t name;
#define PARAM_TIME(name, def, unit, min, max, owners, help) int64_t name##_ms;
#define PARAM_BOOL(name, def, owners, help) bool name;
struct conf {
#include "conf/params.def"
	struct conf_raw *raw; /* every name as written, for lookups by name */
	const struct conf *stressed; /* the same with $stress = yes: what a service uses while all its places are taken */
};
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL

/*
 * The process's configuration: set by service_main or a tool's main before any thread starts. In a worker of a service that runs
 * into its limit it becomes conf->stressed, and the one from before again later, at any moment: what must not change between two
 * looks is to be remembered. Both live for ever.
 */
extern const struct conf *_Atomic conf;

enum conf_status {
	CONF_OK = 0,
	CONF_WARN,  /* usable; messages has warnings */
	CONF_ERROR, /* not usable; messages has "file:line: what is wrong; did you mean X?" lines */
};

/*
 * Read dir/main.cf and overrides ("name=value", applied last, as -o). *out is valid unless CONF_ERROR and lives for
 * ever. messages: one line per problem, "error: " or "warning: " first.
 */
enum conf_status conf_load(const char *dir, const char *const *overrides, size_t noverrides, struct conf **out,
			   struct buf *messages) __attribute__((warn_unused_result));
void conf_free(struct conf *c); /* a configuration that was not adopted, and tests; NULL is fine */
/* Directory to read: the -c option, else MAIL_CONFIG in the environment (not for a set-id program), else CONFIG_DIR. */
const char *conf_dir(const char *option);
/* For tools: load or die with the messages; sets conf. */
void conf_load_or_die(const char *dir);

/* Does the instance run without root (conf->unprivileged_mode, resolved)? */
bool conf_unprivileged(const struct conf *c);

/* A parameter's value by name, expanded, or NULL when no such parameter is known or set. In a. */
const char *conf_value(const struct conf *c, struct arena *a, const char *name);
/* Expand $name, ${name}, ${name?text}, ${name:text}, ${name?{a}:{b}}, $$ in text. NULL past 64 KiB or on recursion. */
const char *conf_expand(const struct conf *c, struct arena *a, struct span text);
/* transport "smtp" + suffix "_destination_concurrency_limit": its own setting, or fallback. _ms: a time. */
int64_t conf_transport_int(const struct conf *c, const char *transport, const char *suffix, int64_t fallback);
int64_t conf_transport_time_ms(const struct conf *c, const char *transport, const char *suffix, int64_t fallback_ms);

bool conf_parse_time_ms(struct span text, char default_unit, int64_t *ms_r); /* 30, 30s, 5m, 2h, 1d, 1w, 500ms, 0.25s */
bool conf_parse_bool(struct span text, bool *value_r);
bool conf_parse_int(struct span text, int64_t *value_r);

/* Everything a tool needs to list parameters; kind is 's' string, 'r' raw string, 'i' number, 't' time, 'b' boolean. */
struct conf_param {
	const char *name, *def, *owners, *help;
	int64_t min, max; /* of numbers, and of times in milliseconds */
	size_t offset;    /* in struct conf */
	char kind, unit;  /* unit: of a time written without one */
};
extern const struct conf_param conf_params[];
extern const size_t conf_nparams;
/* The nearest known name, or NULL when none is near. */
const char *conf_nearest(const char *name);
