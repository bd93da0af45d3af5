/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variable envelope return paths: each recipient's copy has a sender address of its own, so that a notice says by where it
 * comes back to whom it was about. list@example.org, "+=", user@example.com -> list+user=example.com@example.org.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

/* Two characters, both in allowed (verp_delimiter_filter)? */
bool verp_delimiters_valid(struct span delimiters, const char *allowed);

/* delimiters: valid ones. sender, not empty, and recipient in internal form. Made in a. */
struct span verp_sender(struct arena *a, struct span delimiters, struct span sender, struct span recipient);
