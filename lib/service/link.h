/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ties a worker to master: a SOCK_SEQPACKET pair (SERVICE_FD_MASTER in the worker) and one page of shared memory,
 * the worker's line on the score board (SERVICE_FD_BOARD).
 *
 * The page belongs to one worker only and is sealed against resizing: a worker that was taken over can lie about its
 * own numbers and nothing else. Counting a session is an atomic add on that page and no system call; a note is sent up
 * only when the answer to "has this worker room for one more?" changes.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* worker -> master, one byte per packet */
enum link_note {
	LINK_READY = 'R',   /* start-up is over, it accepts */
	LINK_FULL = 'F',    /* no room for another session */
	LINK_FREE = 'f',    /* room again */
	LINK_LEAVING = 'L', /* takes no more sessions (max_use), ends when the running ones are over */
};

/* master -> worker, one byte per packet */
enum link_order {
	LINK_DRAIN = 'd',  /* take no new sessions, finish the running ones, exit */
	LINK_STOP = 's',   /* say goodbye to the sessions and exit */
	LINK_WAKEUP = 'w', /* the wakeup column of master.cf */
	LINK_STRESS = 'S', /* the service has all its workers and all their places are taken: conf->stressed holds */
	LINK_CALM = 'c',   /* no longer */
	LINK_LOG = 'l',    /* a new log descriptor comes along: put it in place of SERVICE_FD_LOG */
};

struct board {
	_Atomic uint32_t busy;   /* sessions running now */
	_Atomic uint32_t limit;  /* sessions it takes at a time; 0: does not count them */
	_Atomic uint64_t total;  /* sessions begun */
	_Atomic int64_t last_ms; /* monotonic: when a session last began or ended */
};

/* Make a page: descriptor to pass on (close-on-exec), page mapped here. -1 and errno. */
int board_create(struct board **page_r);
/* Map the page behind fd, or NULL and errno. */
struct board *board_attach(int fd);
void board_detach(struct board *page);

/*
 * Sessions of a worker. board_begin counts one and says whether the worker is full now; board_end says whether it was
 * full before, i.e. whether somebody may have to be told that there is room again.
 */
bool board_begin(struct board *b);
bool board_end(struct board *b);
