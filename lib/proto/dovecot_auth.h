/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of Dovecot's authentication protocol, major version 1, as its server and its clients write them: fields separated by TAB,
 * without their LF. Pure.
 *
 *	server                                      client
 *	VERSION 1 2                                 VERSION 1 1
 *	MECH name flag...                           CPID pid
 *	SPID pid, CUID number, COOKIE hex
 *	DONE
 *	                                            AUTH id mechanism service=smtp [lip= rip= secured ...] [resp=base64]
 *	CONT id base64                              CONT id base64
 *	OK id user=name ...                         CANCEL id
 *	FAIL id [user=name] [reason=text] [temp] [code=temp_fail] ...
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum { DOVECOT_LINE_MAX = 16000, DOVECOT_MAJOR = 1, DOVECOT_MINOR = 1 };

enum dovecot_verb {
	DOVECOT_OTHER = 0, /* not known: to be passed over */
	DOVECOT_VERSION,
	DOVECOT_CPID,
	DOVECOT_MECH,
	DOVECOT_SPID,
	DOVECOT_DONE,
	DOVECOT_AUTH,
	DOVECOT_CONT,
	DOVECOT_CANCEL,
	DOVECOT_OK,
	DOVECOT_FAIL,
};

struct dovecot_line {
	enum dovecot_verb verb;
	uint32_t number;    /* VERSION: major; CPID: pid; AUTH, CONT, CANCEL, OK, FAIL: id */
	struct span text;   /* AUTH, MECH: the mechanism; CONT: base64 */
	struct span fields; /* what follows: dovecot_field */
};

/* line: without LF, at most DOVECOT_LINE_MAX bytes; out points into it. False: a known verb without what belongs to it. */
bool dovecot_line_parse(struct span line, struct dovecot_line *out) __attribute__((warn_unused_result));
/* Next "name=value" or "name" of *fields, as written; value_r: ptr NULL without "=". False: there is none. */
bool dovecot_field(struct span *fields, struct span *name_r, struct span *value_r);
/* A value as it is meant: ^A0 NUL, ^A1 ^A, ^At TAB, ^Ar CR, ^An LF; any other byte behind ^A stands for itself. In a. */
struct span dovecot_unescape(struct arena *a, struct span value);
/* The other way. False: b is full. */
bool dovecot_escape(struct buf *b, struct span value);
