/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ids of messages, RFC 8474. They are made of the message alone, so they are the same whenever they are worked out, and a copy
 * has those of what it was copied from.
 */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/span.h"

/* "E..." of what may never change of a message: its octets with CRLF line ends, and its internal date. In a. */
struct span objectid_email(struct arena *a, struct span raw, int64_t internal_date);
/*
 * "T..." of the message that began the conversation: the first one in References, else the one in In-Reply-To, else this. "NIL"
 * when the header names none. In a.
 */
struct span objectid_thread(struct arena *a, struct span header);
