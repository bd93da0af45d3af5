/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between userproc.c (the parent, root) and userproc_child.c (the user's process): the frames on their socket pair and the
 * child's entry.
 *
 *	parent -> child   S session (as auth sent it, with the client's descriptor)   D drain: leave when the sessions are over
 *	                  Q stop: sessions say goodbye                                L leave: the answer to B
 *	                  O the log goes to the descriptor that comes along
 *	child -> parent   E n: the n-th session is over                               B n: idle, having had n sessions
 *
 * Sessions are numbered by the order in which they went through the socket, from 1. The parent answers B with L only when n is
 * the number of sessions that it has sent; otherwise one is on its way, and the child will find it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/base/span.h"
#include "lib/map/userdb.h"
#include "lib/service/handover.h"

enum userproc_word {
	USERPROC_SESSION = 'S',
	USERPROC_DRAIN = 'D',
	USERPROC_QUIT = 'Q',
	USERPROC_LEAVE = 'L',
	USERPROC_LOG = 'O',
	USERPROC_ENDED = 'E',
	USERPROC_BYE = 'B',
};

/* A frame of one word and its number (0 where the word has none); false: not such a frame. */
void userproc_put(struct buf *b, enum userproc_word word, uint32_t n);
bool userproc_get(struct span frame, enum userproc_word *word_r, uint32_t *n_r);

/* In the parent, once: what every child would else do for itself, such as loading the modules of nsswitch.conf. */
void userproc_warm(void);

/* In the child, right after fork, still as root: becomes u, serves what comes through pair, ends the process. */
void userproc_child(const struct userproc *up, const struct user *u, int pair) __attribute__((noreturn));
