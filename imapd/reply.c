/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <string.h>

#include "imapd/imapd.h"
#include "lib/base/utf8.h"
#include "lib/proto/imap_quote.h"
#include "lib/proto/imap_utf7.h"

void reply(struct session *s, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&s->final);
	buf_add_span(&s->final, s->tag);
	buf_addc(&s->final, ' ');
	va_start(ap, fmt);
	buf_addv(&s->final, fmt, ap);
	va_end(ap);
	buf_adds(&s->final, "\r\n");
}

void reply_bad(struct session *s, const char *error)
{
	reply(s, "BAD Error in IMAP command %s: %s", s->verb, error != NULL ? error : "Invalid arguments");
	s->bad++;
}

static const char *no_text(enum store_status st)
{
	switch (st) {
	case STORE_OK:
		break;
	case STORE_NOTFOUND:
		return "[NONEXISTENT] Mailbox doesn't exist";
	case STORE_EXISTS:
		return "[ALREADYEXISTS] Mailbox already exists";
	case STORE_BADNAME:
		return "[CANNOT] Invalid mailbox name";
	case STORE_REFUSED:
		return "[CANNOT] Not allowed for this mailbox";
	case STORE_EXPUNGED:
		return "[EXPUNGEISSUED] Some of the requested messages no longer exist.";
	case STORE_NOSPACE:
		return "[OVERQUOTA] No space left for this message";
	case STORE_LOCKED:
		return "[INUSE] Mailbox is locked, try again later";
	case STORE_TOOBIG:
		return "[TOOBIG] Message is too large";
	case STORE_ERROR:
		break;
	}
	return "[SERVERBUG] Internal error occurred. Refer to server log for more information.";
}

void reply_status(struct session *s, enum store_status st, const char *done)
{
	if (st == STORE_OK)
		reply(s, "OK %s", done);
	else
		reply(s, "NO %s", no_text(st));
}

void reply_flush(struct session *s)
{
	if (s->out.overflow) /* half a response would be taken for something else */
		session_end(s, "Disconnected: Response too large");
	else if (!s->over)
		stream_write(s->io, buf_span(&s->out));
	buf_reset(&s->out);
}

void put_flags(struct session *s, uint32_t flags, uint64_t keywords)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ STORE_ANSWERED, "\\Answered" }, { STORE_FLAGGED, "\\Flagged" }, { STORE_DELETED, "\\Deleted" },
		{ STORE_SEEN, "\\Seen" },         { STORE_DRAFT, "\\Draft" },     { STORE_RECENT, "\\Recent" },
	};
	const char *gap = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((flags & names[i].flag) == 0 || (s->rev2 && names[i].flag == STORE_RECENT))
			continue;
		buf_adds(&s->out, gap);
		buf_adds(&s->out, names[i].name);
		gap = " ";
	}
	for (unsigned i = 0; keywords != 0 && i < s->view.nkeywords; i++) {
		if ((keywords >> i & 1) == 0)
			continue;
		buf_adds(&s->out, gap);
		buf_adds(&s->out, s->view.keyword[i]);
		gap = " ";
	}
}

void put_mailbox(struct session *s, struct span name)
{
	if (s->utf8)
		imap_put_utf8(&s->out, name);
	else
		imap_put_mailbox(&s->out, name);
}

bool scan_mailbox(struct session *s, struct imap_scan *a, struct span *name_r)
{
	struct span wire = SPAN_NONE;
	struct buf utf8;
	bool ok;

	if (!imap_scan_astring(a, &wire)) {
		reply_bad(s, a->error);
		return false;
	}
	buf_init(&utf8, STORE_NAME_MAX);
	ok = s->utf8 ? utf8_valid(wire) && buf_add_span(&utf8, wire) : imap_utf7_decode(&utf8, wire);
	*name_r = arena_span(&s->arena, buf_span(&utf8));
	buf_free(&utf8);
	if (!ok) {
		reply(s, "NO [CANNOT] Mailbox name is not valid %s or too long", s->utf8 ? "UTF-8" : "mUTF-7");
		return false;
	}
	if (span_iis(*name_r, "INBOX"))
		*name_r = SPAN("INBOX");
	return true;
}

static bool add_flag(struct session *s, struct imap_scan *a, struct span name, struct flag_list *f)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} system[] = {
		{ "\\Seen", STORE_SEEN },       { "\\Answered", STORE_ANSWERED }, { "\\Flagged", STORE_FLAGGED },
		{ "\\Deleted", STORE_DELETED }, { "\\Draft", STORE_DRAFT },
	};
	enum { FLAGS_MAX = 256 };

	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
		if (span_iis(name, system[i].name)) {
			f->flags |= system[i].flag;
			return true;
		}
	}
	if (name.ptr[0] == '\\')
		return imap_scan_fail(a, span_iis(name, "\\Recent") ? "Flags can't be set to \\Recent"
								    : "Invalid system flag");
	if (f->nkeywords == FLAGS_MAX || name.len > 255)
		return imap_scan_fail(a, "Too many or too long keywords");
	if (f->keywords == NULL)
		f->keywords = arena_array(&s->arena, FLAGS_MAX, sizeof(struct span));
	f->keywords[f->nkeywords++] = name;
	return true;
}

bool scan_flags(struct session *s, struct imap_scan *a, struct flag_list *f_r)
{
	bool list = imap_scan_peek(a, '(');
	struct span name;

	*f_r = (struct flag_list){ 0 };
	if (list && !imap_scan_open(a))
		return false;
	if (list && imap_scan_peek(a, ')'))
		return imap_scan_close(a);
	do {
		if (!imap_scan_flag(a, &name) || !add_flag(s, a, name, f_r))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a) && !(list && imap_scan_peek(a, ')')));
	return !list || imap_scan_close(a);
}
