/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outcome of an attempt to accept or deliver mail: a class, an enhanced status code (RFC 3463) and a text.
 * What is not on the short list of permanent failures is temporary.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum verdict_class {
	VERDICT_OK = 0, /* done */
	VERDICT_TEMP,   /* may work later: 4xx, defer */
	VERDICT_PERM,   /* will not work: 5xx, bounce */
};

struct verdict {
	enum verdict_class class;
	char dsn[12];     /* "5.1.1" */
	struct span text; /* one line, no CR or LF; lives in the arena it was made with, or is a literal */
};

/* dsn: "x.y.z"; its first digit decides the class. fmt: printf; the text is allocated in a. */
struct verdict verdict_make(struct arena *a, const char *dsn, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A failed system call on `what`, as a verdict: always temporary; a full disk or quota is 4.2.2. */
struct verdict verdict_errno(struct arena *a, const char *what, int err);
bool verdict_dsn_valid(struct span dsn); /* class "." subject "." detail, RFC 3463 section 2 */
