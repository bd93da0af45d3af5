/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/search.h"

enum { DECODED_MAX = 64 * 1024 * 1024 };

void cmd_search(struct session *s, struct imap_scan *a)
{
	struct search_node *program;
	struct buf text;

	view_refresh(s);
	program = search_parse(s, a);
	if (program == NULL)
		return;
	buf_init(&text, DECODED_MAX);
	stream_puts(s->io, "* SEARCH");
	for (uint32_t i = 0; i < s->view.n; i++) {
		struct search_msg m = { .s = s, .at = i, .text = &text };

		if ((s->view.msg[i].flags & VIEW_GONE) != 0)
			continue;
		if (search_matches(&m, program))
			stream_printf(s->io, " %u", s->by_uid ? s->view.msg[i].uid : i + 1);
		search_unload(&m);
	}
	stream_puts(s->io, "\r\n");
	buf_free(&text);
	reply(s, "OK Search completed.");
}
