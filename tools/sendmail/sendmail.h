/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of sendmail(1).
 *
 *	main.c      what is asked for, and the modes that are other programs
 *	options.c   the command line
 *	message.c   the letter from standard input: header completed, recipients taken from it
 *	submit.c    handing it to the mail system over public/submit
 *	relay.c     -bs: SMTP on standard input and output
 *
 * Exit statuses are those of <sysexits.h>.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum { RECIPIENTS_MAX = 100000, HEADER_BYTES_MAX = 4 * 1024 * 1024 };

enum mode {
	MODE_SEND = 0,   /* -bm */
	MODE_LIST,       /* -bp, mailq */
	MODE_ALIASES,    /* -bi, -I, newaliases */
	MODE_SMTP,       /* -bs */
	MODE_VERIFY,     /* -bv */
	MODE_DAEMON,     /* -bd, -bl: posthouse start */
	MODE_FLUSH,      /* -q */
	MODE_FLUSH_ID,   /* -qI */
	MODE_FLUSH_SITE, /* -qR, -qS */
};

struct options {
	enum mode mode;
	const char *config;     /* -C, or NULL */
	const char *argument;   /* of -qI, -qR, -qS */
	const char *alias_file; /* -oA */
	const char *full_name;  /* -F, or NULL */
	const char *sender;     /* -f, -r, or NULL: the caller */
	const char *envid;      /* -V */
	const char *verp;       /* -XV: "", or two delimiters; NULL: no */
	const char *ret;        /* -R: "FULL" or "HDRS" */
	const char *notify;     /* -N, as the NOTIFY parameter wants it */
	const char *body;       /* -B: "7BIT" or "8BITMIME" */
	bool ignore_dots;       /* -i, -oi */
	bool from_header;       /* -t */
	bool verbose;           /* -v */
	char **recipients;      /* the rest of the command line */
	int nrecipients;
};

/* EX_OK, or EX_USAGE after a message. */
int options_parse(int argc, char **argv, struct options *o);

struct recipients {
	struct span *items; /* internal form */
	size_t count, room;
};
void recipients_add(struct arena *a, struct recipients *r, struct span address); /* past RECIPIENTS_MAX: fatal */

struct letter {
	struct span sender; /* internal form; empty: <> */
	struct recipients to;
	struct buf header; /* completed, with its empty line; LF */
	FILE *body;        /* the rest, LF; NULL: empty */
	bool has_8bit;
};

/* Read the letter from standard input. EX_OK, or what to exit with after a message. */
int letter_read(struct arena *a, const struct options *o, struct letter *l);
/* The sender by -f or by who we are. EX_OK, or EX_USAGE, EX_OSERR after a message. */
int letter_sender(struct arena *a, const struct options *o, struct span *sender_r);

/* Hand it over. */
int submit_letter(struct arena *a, const struct options *o, struct letter *l);
/* -bv: what the mail system says to each recipient. */
int submit_verify(struct arena *a, const struct options *o, const struct letter *l);
/* -bs */
int relay_smtp(void);
/* A connection to public/submit, or -1 after a message. */
int submit_connect(void);
