/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of postqueue(1).
 *
 *	main.c      options; requests to qmgr; the queue read directly when there is no qmgr
 *	listing.c   the two forms of a listing
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/queue/job.h"

enum listing_form { LISTING_TEXT, LISTING_JSON };

struct listing {
	enum listing_form form;
	uint64_t bytes, messages;
};

void listing_message(struct listing *l, enum job_list_state state, const struct queue_envelope *env);
void listing_end(const struct listing *l);
