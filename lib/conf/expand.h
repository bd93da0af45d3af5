/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * $name replacement, by any source of values.
 *
 *	$name  ${name}  $(name)       the value, or nothing
 *	${name?text}                  text when the value is not empty
 *	${name:text}                  text when the value is empty
 *	${name?{text}:{text}}         either
 *	${{a} == {b} ? {c} : {d}}     comparison: == != < <= > >=, of numbers when both are, else of strings
 *	$$                            a dollar
 *
 * text is expanded itself; white space just inside the braces of {text} is not part of it.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { EXPAND_BYTES_MAX = 65536, EXPAND_DEPTH_MAX = 50, EXPAND_LOOKUPS_MAX = 20000 };

struct expand {
	/* The final text for name, in a: it is not expanded again. False: unset. depth: how deep this lookup is nested.
	 */
	bool (*lookup)(struct expand *e, struct arena *a, struct span name, struct span *value_r);
	void *ctx;
	struct arena *a;
	unsigned depth, lookups; /* zero at first */
	bool testing;            /* the lookup decides a ${name?...}: an unset name is as good as an empty one */
	const char *error;       /* why expand_text gave NULL */
};

/* The expanded text in e->a, or NULL with e->error: past EXPAND_BYTES_MAX, too deep, too many names, bad syntax. */
const char *expand_text(struct expand *e, struct span text) __attribute__((warn_unused_result));
