/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server says to our SMTP or LMTP client, RFC 5321 4.2: replies of one or more lines, and the keywords of an
 * EHLO reply. The server is hostile until shown otherwise: line length, line count and total size are bounded, remote
 * control bytes become `?', and nothing here is ever sent on unread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum {
	SMTP_REPLY_LINE_MAX = 2048,      /* octets of one line, its end not counted */
	SMTP_REPLY_LINES_MAX = 200,      /* lines of one reply */
	SMTP_REPLY_TEXT_MAX = 32 * 1024, /* octets kept of all lines; what follows is read and dropped */
};

enum smtp_reply_status {
	SMTP_REPLY_DONE = 0, /* the last line has been seen */
	SMTP_REPLY_MORE,     /* not yet */
	SMTP_REPLY_GARBAGE,  /* a line that does not start with a code of 2xx to 5xx and space, `-' or its end */
	SMTP_REPLY_MIXED,    /* lines of different classes under one reply */
	SMTP_REPLY_LINE_TOO_LONG,
	SMTP_REPLY_TOO_MANY_LINES,
};
const char *smtp_reply_status_str(enum smtp_reply_status status);

/* One reply. Spans point into the parser and live until smtp_reply_reset. */
struct smtp_reply {
	int code;         /* of the last line */
	char dsn[12];     /* enhanced code of the last line; "X.0.0" of the reply's class when there was none */
	bool has_dsn;     /* the server gave it, RFC 2034, and it fits the class */
	struct span text; /* whole lines, codes included, joined by a space: "250-a 250 b" */
	struct span last; /* text of the last line after the code */
	size_t nlines;    /* lines that were kept: smtp_reply_text_line takes 0 to nlines - 1 */
};

struct smtp_reply_parser {
	struct smtp_reply reply; /* valid once SMTP_REPLY_DONE */
	struct buf text;
	struct buf part; /* the line being collected by smtp_reply_feed */
	int class;       /* first digit of the lines so far, 0 at the start */
	size_t seen;
	uint32_t start[SMTP_REPLY_LINES_MAX]; /* offsets of the kept lines in text */
};

void smtp_reply_init(struct smtp_reply_parser *p);
void smtp_reply_free(struct smtp_reply_parser *p);
void smtp_reply_reset(struct smtp_reply_parser *p); /* before the next reply */

/*
 * One line without its line end. After anything but MORE, smtp_reply_reset comes next. An error means that the
 * connection is of no more use: what follows in it cannot be matched to commands.
 */
enum smtp_reply_status smtp_reply_line(struct smtp_reply_parser *p, struct span line)
    __attribute__((warn_unused_result));

/*
 * The same from raw bytes in chunks of any size: takes from the front of *in up to the end of the reply; lines end at
 * LF, a CR before it is dropped. MORE means that all of *in was taken.
 */
enum smtp_reply_status smtp_reply_feed(struct smtp_reply_parser *p, struct span *in)
    __attribute__((warn_unused_result));

/* After DONE: what line i (below nlines) says after its code. */
struct span smtp_reply_text_line(const struct smtp_reply_parser *p, size_t i);

/* --- EHLO, RFC 5321 4.1.1.1 --------------------------------------------------------------------------------------- */

enum smtp_ext {
	SMTP_EXT_PIPELINING = 1 << 0,
	SMTP_EXT_8BITMIME = 1 << 1,
	SMTP_EXT_STARTTLS = 1 << 2,
	SMTP_EXT_AUTH = 1 << 3,
	SMTP_EXT_ENHANCEDSTATUSCODES = 1 << 4,
	SMTP_EXT_DSN = 1 << 5,
	SMTP_EXT_SMTPUTF8 = 1 << 6,
	SMTP_EXT_CHUNKING = 1 << 7,
	SMTP_EXT_SIZE = 1 << 8,
	SMTP_EXT_BINARYMIME = 1 << 9,
	SMTP_EXT_XCLIENT = 1 << 10,
	SMTP_EXT_XFORWARD = 1 << 11,
	SMTP_EXT_LIMITS = 1 << 12,
	SMTP_EXT_REQUIRETLS = 1 << 13,
};

struct smtp_ehlo {
	unsigned exts;        /* enum smtp_ext */
	uint64_t size;        /* of SIZE; 0: no limit stated */
	struct span name;     /* first word of the first line: who the server says it is */
	struct span auth;     /* mechanisms, space separated, those of an old AUTH= line added; in the arena */
	struct span xforward; /* attributes, space separated */
	struct span xclient;
};

/* p: at DONE with code 250. Keywords that are not known are passed over. */
void smtp_ehlo_parse(struct arena *a, const struct smtp_reply_parser *p, struct smtp_ehlo *ehlo_r);
