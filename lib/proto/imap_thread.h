/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages arranged as conversations, RFC 5256: by subject (ORDEREDSUBJECT), or by what they answer and then by subject
 * (REFERENCES). REFS is REFERENCES without the subjects, and the thread that heard something last is last. Time is
 * n log n, memory linear, nothing recurses; a thread deeper than THREAD_DEPTH_MAX may be cut in two.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };
enum { THREAD_DEPTH_MAX = 5000 };

struct thread_msg {
	uint32_t number;     /* how the answer calls it; decides between equal dates */
	int64_t date;        /* of the message */
	int64_t arrival;     /* REFS: of its threads */
	struct span subject; /* base subject, folded */
	bool reply;          /* the subject said so */
	struct span id;      /* of the message; empty: none. One that another message has is none */
	const struct span *refs;
	size_t nrefs; /* ids it refers to, the nearest last */
};

/* Append "(2)(3 6 (4 23)(44 7 96))". Scratch memory comes from a. out->overflow past its maximum. */
void imap_thread(struct arena *a, enum thread_algorithm how, const struct thread_msg *msg, size_t n, struct buf *out);

/* Message ids of a References, In-Reply-To or Message-ID field, without <>, at most max of them: the last ones. In a. */
size_t imap_thread_ids(struct arena *a, struct span field, size_t max, struct span **ids_r);
