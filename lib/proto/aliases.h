/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text forms of forwarding: the right side of an aliases(5) entry, an :include: file and a .forward file. Pure
 * syntax; what an item means and whether it is allowed is decided by local(8). Every call is linear in what it steps
 * over.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { ALIAS_ITEM_MAX = 8192 }; /* bytes of one item */

enum alias_kind {
	ALIAS_ADDRESS, /* user, user@domain: internal form */
	ALIAS_DIRECT,  /* \user: the user without alias or .forward; text without the backslash */
	ALIAS_COMMAND, /* |command line; text without the bar, trimmed */
	ALIAS_FILE,    /* /file/name */
	ALIAS_INCLUDE, /* :include:/file/name; text is the name */
};

struct alias_item {
	enum alias_kind kind;
	struct span text; /* not empty, no control bytes but tab; in the arena or in the input */
};

enum alias_err {
	ALIAS_OK = 0,
	ALIAS_END,      /* nothing is left */
	ALIAS_UNCLOSED, /* a quoted string, comment or <address> without its end */
	ALIAS_CONTROL,  /* a NUL or other control byte */
	ALIAS_TOO_LONG, /* past ALIAS_ITEM_MAX */
	ALIAS_EMPTY,    /* an item without a text: "", |, :include: */
};
const char *alias_err_str(enum alias_err err);

/*
 * Take the next item off the front of *list, a comma or blank separated list: user, \user, user@domain, Full Name
 * <user@domain>, |command, "|command with, commas", |"command", /file, "/file with blanks", :include:/file; (comments)
 * and empty places between commas are skipped. Inside quotes \x stands for x. An unquoted |command goes up to the next
 * comma. On an error *list has moved past the whole list: the caller reports it and gives up.
 */
enum alias_err alias_next(struct arena *a, struct span *list, struct alias_item *item_r)
    __attribute__((warn_unused_result));

/* Next line of a .forward or :include: file that is not blank and not a # comment, without its line end; false at the
 * end. */
bool alias_line(struct span *file, struct span *line_r);

/* One entry of an aliases(5) file. */
struct alias_entry {
	struct span name;  /* unquoted, lower case */
	struct span value; /* continuation lines joined by blanks, trimmed */
	int line;          /* where it begins, counted from 1 */
	bool bad; /* no name, no colon or nothing after it: name and value are empty, the entry is to be reported */
};
/*
 * Take the next entry off the front of *file; *line is the number of lines stepped over so far (0 at first). A line
 * that begins with a blank continues the entry before, blank lines and lines that begin with # between them are
 * skipped. False at the end.
 */
bool alias_entry_next(struct arena *a, struct span *file, int *line, struct alias_entry *entry_r);
