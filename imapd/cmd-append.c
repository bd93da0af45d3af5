/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * APPEND, with several messages in one command (RFC 3502) and APPENDUID. The message never is in memory as a whole:
 * what comes goes to the store piece by piece. An error found before a message is answered at once when the client
 * waits for "+ OK"; after LITERAL+ what is on its way is dropped first.
 */
#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/conf/conf.h"
#include "lib/proto/date.h"

struct append {
	struct span name;
	struct store_append *ap;
	enum store_status st;
	bool answered;  /* s->final has the error */
	size_t scanned; /* octets of the command text that have been taken */
	unsigned messages;
	bool utf8; /* "UTF8 (" came: ")" has to follow the literal */
};

bool append_wants(struct session *s)
{
	struct imap_command cmd;

	return imap_command_split(imap_reader_text(&s->reader), &cmd) && span_iis(cmd.verb, "APPEND") &&
	       span_trim(cmd.args).len > 0;
}

static void fail(struct append *ap, enum store_status st)
{
	if (ap->st == STORE_OK)
		ap->st = st;
}

static void bad(struct session *s, struct append *ap, const char *error)
{
	if (!ap->answered)
		reply_bad(s, error);
	ap->answered = true;
}

static bool failed(const struct append *ap)
{
	return ap->answered || ap->st != STORE_OK;
}

/* "(\Seen $x) " and "\" 2-Jan-2006 ...\" ", each may be missing; nothing else stands before the literal. */
static bool scan_message(struct session *s, struct imap_scan *a, struct append *ap, struct flag_list *f, struct date *date)
{
	struct span text;
	struct imap_scan try;

	*f = (struct flag_list){ 0 };
	*date = (struct date){ 0 };
	if (imap_scan_peek(a, '(') && (!scan_flags(s, a, f) || !imap_scan_sp(a)))
		return false;
	if (imap_scan_peek(a, '"')) {
		if (!imap_scan_string(a, &text) || !imap_scan_sp(a))
			return false;
		if (!date_imap_parse(text, date))
			return imap_scan_fail(a, "Invalid internal date.");
	}
	try = *a;
	ap->utf8 = imap_scan_atom(&try, &text) && span_iis(text, "UTF8"); /* RFC 6855 4 */
	if (ap->utf8) {
		*a = try;
		if (!s->utf8_accept)
			return imap_scan_fail(a, "UTF8 has not been enabled");
		if (!imap_scan_sp(a) || !imap_scan_open(a) || !imap_scan_peek(a, '~'))
			return imap_scan_fail(a, "Expected a literal8");
	}
	imap_scan_skip(a, '~'); /* literal8, RFC 3516 */
	return imap_scan_end(a);
}

static void begin(struct session *s, struct append *ap, struct imap_scan *a)
{
	if (ap->messages > 0)
		return;
	if (!scan_mailbox(s, a, &ap->name)) {
		ap->answered = true;
		return;
	}
	if (!imap_scan_sp(a)) {
		bad(s, ap, a->error);
		return;
	}
	ap->st = store_append_begin(store_lock(), ap->name, &ap->ap);
	store_unlock();
}

/* What stands before the literal that has been announced. */
static void begin_message(struct session *s, struct append *ap)
{
	struct imap_command cmd;
	struct imap_scan a;
	struct flag_list f;
	struct date date;
	struct span text = arena_span(&s->arena, imap_reader_text(&s->reader));

	if (!imap_command_split(text, &cmd)) /* append_wants has seen to that */
		cmd.args = SPAN_NONE;
	a = imap_scan_init(&s->arena, ap->messages == 0 ? cmd.args : span_skip(text, ap->scanned));
	if (ap->utf8 && !imap_scan_skip(&a, ')'))
		bad(s, ap, "Missing ')'");
	while (imap_scan_peek(&a, ' '))
		a.in = span_skip(a.in, 1);
	begin(s, ap, &a);
	ap->messages++;
	if (failed(ap))
		return;
	if (!scan_message(s, &a, ap, &f, &date)) {
		bad(s, ap, a.error);
		return;
	}
	if (conf->message_size_limit > 0 && s->reader.literal > (uint64_t)conf->message_size_limit) {
		fail(ap, STORE_TOOBIG);
		return;
	}
	store_lock();
	fail(ap, store_append_message(ap->ap, f.flags, f.keywords, f.nkeywords, date.at, date.zone_minutes));
	store_unlock();
}

static bool take_literal(struct session *s, struct append *ap)
{
	uint64_t left = s->reader.literal;

	while (left > 0) {
		struct span in = stream_buffered(s->io);

		if (in.len == 0) {
			if (stream_fill(s->io) != IO_OK)
				return false;
			continue;
		}
		in = span_head(in, left < in.len ? (size_t)left : in.len);
		if (!failed(ap)) {
			store_lock();
			fail(ap, store_append_write(ap->ap, in));
			store_unlock();
		}
		left -= in.len;
		stream_consume(s->io, in.len);
	}
	return true;
}

/* One literal. False: the connection failed. *over_r: the client has been refused and sends no more. */
static bool take_message(struct session *s, struct append *ap, bool *over_r)
{
	bool plus = s->reader.plus;

	begin_message(s, ap);
	*over_r = failed(ap) && !plus;
	if (*over_r)
		return true;
	if (!plus)
		stream_puts(s->io, "+ OK\r\n");
	imap_reader_own(&s->reader);
	ap->scanned = imap_reader_text(&s->reader).len;
	return take_literal(s, ap);
}

static void commit(struct session *s, struct append *ap)
{
	struct box *b = box_get(ap->name);
	uint32_t uidvalidity = 0, *uids = NULL;
	struct buf set;
	size_t n = 0;

	box_lock(b);
	store_lock();
	ap->st = store_append_commit(ap->ap, &s->arena, &uidvalidity, &uids, &n);
	store_unlock();
	ap->ap = NULL;
	if (ap->st == STORE_OK)
		box_changed(b, s);
	box_unlock(b);
	box_put(b);
	if (ap->st != STORE_OK)
		return;
	buf_init(&set, OUT_MAX);
	imap_seqset_write(&set, uids, n);
	if (n > 0)
		reply(s, "OK [APPENDUID %u %s] Append completed.", uidvalidity, buf_cstr(&set));
	else
		reply(s, "OK Append completed.");
	buf_free(&set);
}

static void answer(struct session *s, struct append *ap)
{
	if (!failed(ap))
		commit(s, ap);
	if (ap->ap != NULL) {
		store_lock();
		store_append_abort(ap->ap);
		store_unlock();
	}
	if (ap->answered || ap->st == STORE_OK)
		return;
	if (ap->st == STORE_NOTFOUND)
		reply(s, "NO [TRYCREATE] Mailbox doesn't exist: " SPAN_FMT, SPAN_ARG(ap->name));
	else
		reply_status(s, ap->st, NULL);
}

bool append_run(struct session *s)
{
	struct append ap = { 0 };
	enum imap_read_status st = IMAP_READ_LITERAL;
	bool over = false, alive = true;

	s->tag = arena_span(&s->arena, imap_reader_tag(&s->reader));
	s->verb = "APPEND";
	s->by_uid = s->no_sync = false;
	while (alive && st == IMAP_READ_LITERAL && !over) {
		alive = take_message(s, &ap, &over);
		if (alive && !over)
			alive = session_read_command(s, &st) == IO_OK;
	}
	if (!alive) {
		fail(&ap, STORE_ERROR);
		ap.answered = true;
	} else if (!over && st != IMAP_READ_DONE) {
		bad(s, &ap, imap_read_status_str(st));
	} else if (!over && !span_is(span_trim(span_skip(imap_reader_text(&s->reader), ap.scanned)), ap.utf8 ? ")" : "")) {
		bad(s, &ap, "Invalid arguments");
	}
	answer(s, &ap);
	if (alive)
		command_finish(s, CMD_SYNC);
	else
		buf_reset(&s->final);
	return alive;
}

/* It came without a literal. */
void cmd_append(struct session *s, struct imap_scan *a)
{
	struct span name;

	if (scan_mailbox(s, a, &name))
		reply_bad(s, "Missing message literal");
}
