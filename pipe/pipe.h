/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of pipe(8).
 *
 *	attributes.c  what master.cf says: user=, argv=, flags= ...
 *	macros.c      ${recipient} and the others in argv=
 *	content.c     the letter as the command reads it
 *	job.c         a JOB of qmgr: a command for each message, its results
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/queue/job.h"
#include "lib/service/letter.h"
#include "lib/service/rights.h"

enum pipe_flag {
	PIPE_BLANK_LINE = 1,     /* B */
	PIPE_DELIVERED_TO = 2,   /* D */
	PIPE_FROM_LINE = 4,      /* F */
	PIPE_ORIGINAL_TO = 8,    /* O */
	PIPE_RETURN_PATH = 16,   /* R */
	PIPE_FINAL = 32,         /* X */
	PIPE_FOLD_DOMAIN = 64,   /* h */
	PIPE_FOLD_LOCAL = 128,   /* u */
	PIPE_QUOTE = 256,        /* q */
	PIPE_DOTS = 512,         /* . */
	PIPE_QUOTE_FROM = 1024,  /* > */
};

struct attributes {
	unsigned flags;
	struct rights rights;
	const char *directory, *root; /* NULL: none */
	struct span eol;
	struct span null_sender;
	uint64_t size; /* 0: no limit */
	char *const *argv;
	size_t argc;
};
extern struct attributes pipe_attributes;

/* --- attributes.c --- */
/* Read the words of master.cf; what is wrong is fatal. Everything lives as long as the process. */
void attributes_read(char *const *words, size_t n);

/* --- macros.c --- */
struct delivery {
	struct arena *a;
	const struct letter *letter;
	const struct job_rcpt *rcpts;
	size_t nrcpts;
	struct span nexthop;
};
/* argv= with its macros replaced, NULL-terminated. NULL: *why_r says why this letter cannot be given to a command. */
char **macros_argv(const struct delivery *d, struct verdict *why_r);
/* Is text free of unknown macros and bad syntax? */
bool macros_valid(struct arena *a, const char *text, const char **error_r);
struct span macros_sender(const struct delivery *d);

/* --- content.c --- */
struct content {
	struct letter *letter;
	struct span head;   /* what goes before it; then the content */
	struct buf changed; /* a piece in another form */
	struct span rest;   /* of the piece at hand */
	size_t matched;     /* bytes of "From " at the start of the line, not put out yet */
	bool line_start, ended;
};
void content_init(struct content *c, const struct delivery *d, struct letter *l);
bool content_next(void *content, struct span *chunk_r); /* for struct command */
void content_free(struct content *c);

/* --- job.c --- */
/* Do everything a JOB frame asks for and answer on fd. False: the connection is of no more use. */
bool job_run(int fd, struct span frame);
