/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/search.h"

void cmd_search(struct session *s, struct imap_scan *a)
{
	struct search_return r;
	struct search_node *program;
	unsigned bad = s->bad;
	uint32_t *at, n;

	if (!search_return_scan(a, &r)) {
		reply_bad(s, a->error);
		return;
	}
	if (s->rev2 && !r.extended)
		r = (struct search_return){ .extended = true, .what = RETURN_ALL };
	view_refresh(s);
	program = search_parse(s, a);
	if (program == NULL) {
		if ((r.what & RETURN_SAVE) != 0 && s->bad == bad) /* answered with NO: RFC 5182 2.1 */
			saved_clear(s);
		return;
	}
	r.modseq = search_has_modseq(program);
	at = search_run(s, program, &n);
	search_answer(s, &r, "SEARCH", at, n);
	reply(s, "OK Search completed.");
}
