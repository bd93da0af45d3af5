/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside lib/store: a view. */
#pragma once
#include "lib/store/store-int.h"

struct vmsg {
	struct store_msg m;
	bool gone;            /* not in the files any more, and not told yet */
};

struct mailbox {
	struct folder *f;
	bool read_only;
	struct vmsg *v;
	size_t n, cap;
	uint32_t uidvalidity, uidnext, last_uid;
	uint64_t modseq;
	bool told_recent;     /* by the merge in progress */
	uint64_t generation;  /* of the folder's table that this shows */
	int watch_fd;
};
