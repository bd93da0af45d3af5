/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/sort.h"
#include "lib/proto/imap_thread.h"

enum { NEEDS = 1 << SORT_DATE | 1 << SORT_SUBJECT };

static bool scan_algorithm(struct imap_scan *a, enum thread_algorithm *how_r)
{
	static const char *const names[] = { "ORDEREDSUBJECT", "REFERENCES", "REFS" };
	struct span word;

	if (!imap_scan_atom(a, &word))
		return false;
	for (int i = 0; i < 3; i++) {
		if (span_iis(word, names[i])) {
			*how_r = (enum thread_algorithm)i;
			return true;
		}
	}
	return imap_scan_fail(a, "Unknown thread algorithm");
}

static void answer(struct session *s, enum thread_algorithm how, const struct sort_msg *m, uint32_t n)
{
	struct thread_msg *t = arena_array(&s->arena, (size_t)n + 1, sizeof(*t));

	for (uint32_t i = 0; i < n; i++)
		t[i] = (struct thread_msg){ .number = s->by_uid ? s->view.msg[m[i].at].uid : m[i].at + 1,
					    .date = m[i].date,
					    .arrival = m[i].arrival,
					    .subject = m[i].text[SORT_SUBJECT],
					    .reply = m[i].reply,
					    .id = m[i].id,
					    .refs = m[i].refs,
					    .nrefs = m[i].nrefs };
	buf_adds(&s->out, n > 0 ? "* THREAD " : "* THREAD");
	imap_thread(&s->arena, how, t, n, &s->out); /* reply_flush sees an overflow */
	buf_adds(&s->out, "\r\n");
	reply_flush(s);
}

void cmd_thread(struct session *s, struct imap_scan *a)
{
	enum thread_algorithm how = THREAD_REFERENCES;
	struct search_node *program;
	struct sort_msg *msg;
	struct span charset;
	uint32_t *at, n;

	if (!scan_algorithm(a, &how) || !imap_scan_sp(a) || !imap_scan_astring(a, &charset) || !imap_scan_sp(a)) {
		reply_bad(s, a->error);
		return;
	}
	view_refresh(s);
	program = search_parse_charset(s, a, charset);
	if (program == NULL)
		return;
	at = search_run(s, program, &n);
	msg = sort_load(s, at, n, how == THREAD_ORDEREDSUBJECT ? NEEDS : NEEDS | 1 << SORT_IDS, &n);
	answer(s, how, msg, n);
	reply(s, "OK Thread completed.");
}
