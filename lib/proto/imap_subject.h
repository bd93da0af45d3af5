/* SPDX-License-Identifier: BSD-2-Clause */
/* What a subject is about, RFC 5256 2.1: without "Re:", "Fwd:", "[list]" and "(fwd)". */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { IMAP_SUBJECT_MAX = 1000 }; /* octets of a subject that are looked at */

/* text: UTF-8, encoded words decoded. The base subject, in a; *reply_r: something said that it is a reply or forward. */
struct span imap_base_subject(struct arena *a, struct span text, bool *reply_r);
