/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LIST patterns, RFC 3501 6.3.8: `*' stands for anything, `%' for anything without the hierarchy separator. The pattern
 * is compiled once; a match takes one step per octet of the name, whatever the pattern (all states are advanced
 * together).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { IMAP_PATTERN_MAX = 1000 };

struct imap_pattern {
	size_t words;    /* of 64 states each */
	size_t last;     /* the state in which all of the pattern has been seen */
	uint64_t *step;  /* [256][words]: from state i-1 to i on this octet */
	uint64_t *any;   /* states that a `*' keeps alive */
	uint64_t *level; /* states that a `%' keeps alive, except on the separator */
	char sep;
};

enum imap_match {
	IMAP_MATCH_NO = 0,
	IMAP_MATCH_YES,
	IMAP_MATCH_PARENT, /* not itself, but something below name + separator may match */
};

/* In a. False: longer than IMAP_PATTERN_MAX. no_case: ASCII letters match either case (INBOX). */
bool imap_pattern_compile(struct arena *a, struct span pattern, char sep, bool no_case, struct imap_pattern *p_r)
    __attribute__((warn_unused_result));
enum imap_match imap_pattern_match(const struct imap_pattern *p, struct span name);
