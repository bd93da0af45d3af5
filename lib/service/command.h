/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run a delivery command: a process group of its own, no descriptor but a letter on standard input and its output back,
 * the rights of somebody, an environment made from scratch. Whatever still runs when the time is over is killed.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/service/rights.h"

enum { COMMAND_OUTPUT_MAX = 700 };

struct command {
	char *const *argv; /* argv[0]: the path */
	char *const *environment;
	const char *directory; /* NULL: stay */
	const char *root;      /* chroot(2) to it first; NULL: none */
	const struct rights *rights;
	/* What it reads: the next piece, empty at the end; false: cannot be read, and the command is killed. */
	bool (*next)(void *arg, struct span *chunk_r);
	void *arg;
	int64_t deadline_ms;
};

enum command_end {
	COMMAND_ENDED = 0,
	COMMAND_NOT_STARTED, /* errno */
	COMMAND_TIMED_OUT,   /* and killed */
	COMMAND_NOT_FED,     /* next failed; killed */
};

/*
 * status_r: of waitpid, when it ENDED. output: the first COMMAND_OUTPUT_MAX bytes of what it said are added. A command that
 * cannot be executed says why and ends with EX_TEMPFAIL. It may stop reading early.
 */
enum command_end command_run(const struct command *c, int *status_r, struct buf *output);

/* What a command said, on one line, without control characters. */
struct span command_said(struct arena *a, const struct buf *output);
