/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/dsn.h"

#include <string.h>
#include <sysexits.h>

#include "lib/base/utf8.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/proto/smtp_cmd.h"

static const struct dsn_exit exits[] = {
	{ EX_OK, VERDICT_OK, "2.0.0", "success" },
	{ EX_USAGE, VERDICT_PERM, "5.3.0", "command line usage error" },
	{ EX_DATAERR, VERDICT_PERM, "5.6.0", "data format error" },
	{ EX_NOINPUT, VERDICT_PERM, "5.3.0", "cannot open input" },
	{ EX_NOUSER, VERDICT_PERM, "5.1.1", "user unknown" },
	{ EX_NOHOST, VERDICT_PERM, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, VERDICT_PERM, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, VERDICT_PERM, "5.3.0", "internal software error" },
	{ EX_OSERR, VERDICT_TEMP, "4.3.0", "system resource problem" },
	{ EX_OSFILE, VERDICT_PERM, "5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT, VERDICT_PERM, "5.2.0", "can't create user output file" },
	{ EX_IOERR, VERDICT_PERM, "5.3.0", "input/output error" },
	{ EX_TEMPFAIL, VERDICT_TEMP, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, VERDICT_PERM, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, VERDICT_PERM, "5.7.0", "permission denied" },
	{ EX_CONFIG, VERDICT_PERM, "5.3.5", "local configuration error" },
};

const struct dsn_exit *dsn_from_exit(int status)
{
	static const struct dsn_exit unknown = { -1, VERDICT_PERM, "5.3.0", "unknown mail system error" };

	for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
		if (exits[i].status == status)
			return &exits[i];
	return &unknown;
}

const char *dsn_action_str(enum dsn_action action)
{
	static const char *const names[] = { "failed", "delayed", "delivered", "relayed", "expanded" };

	return names[action];
}

/* --- text from outside -------------------------------------------------------------------------------------------- */

enum { FOLD_AT = 78 };

/* Append s with control bytes as spaces and broken UTF-8 (all of it, unless utf8) as question marks. */
static void put_clean(struct buf *out, struct span s, bool utf8)
{
	while (s.len) {
		size_t n = utf8_char(s.ptr, s.len);

		if (n == 1 && !ascii_iscntrl(s.ptr[0]))
			buf_addc(out, s.ptr[0]);
		else if (n > 1 && utf8)
			buf_add(out, s.ptr, n);
		else
			buf_addc(out, n == 1 ? ' ' : '?');
		s = span_skip(s, n ? n : 1);
	}
}

/* Words of text, lines broken before FOLD_AT columns and continued after four spaces. column: where we are. */
static void put_folded(struct buf *out, struct span text, size_t column, bool utf8)
{
	struct span word;
	bool first = true;

	while (span_word(&text, " \t\r\n", &word)) {
		if (!first && column + 1 + word.len > FOLD_AT) {
			buf_adds(out, "\n    ");
			column = 4;
		} else if (!first) {
			buf_addc(out, ' ');
			column++;
		}
		/* A word nobody could break is broken all the same: lines have a limit of 998. */
		for (; word.len > 900; word = span_skip(word, 900)) {
			put_clean(out, span_head(word, 900), utf8);
			buf_adds(out, "\n    ");
			column = 4;
		}
		put_clean(out, word, utf8);
		column += word.len;
		first = false;
	}
	buf_addc(out, '\n');
}

static void put_field(struct buf *out, const char *name, struct span value, bool utf8)
{
	buf_adds(out, name);
	buf_adds(out, ": ");
	put_folded(out, value, strlen(name) + 2, utf8);
}

/* An address in external form; a blank or control in a quoted local part stays one word. */
static void put_addr(struct buf *out, struct span internal, bool utf8)
{
	struct arena a = ARENA_INIT;

	put_clean(out, addr_quote(&a, internal), utf8);
	arena_free(&a);
}

static void put_date(struct buf *out, const char *name, time_t at)
{
	char text[DATE_TEXT_MAX];

	buf_addf(out, "%s: %s\n", name, date_rfc5322(at, text));
}

/* --- the header --------------------------------------------------------------------------------------------------- */

static const char *subject(enum dsn_kind kind)
{
	switch (kind) {
	case DSN_FAILURE:
		return "Undelivered Mail Returned to Sender";
	case DSN_DELAY:
		return "Delayed Mail (still being retried)";
	case DSN_SUCCESS:
		return "Successful Mail Delivery Report";
	case DSN_VERIFY:
		return "Mail Delivery Status Report";
	}
	return "Mail Delivery Report";
}

static void put_from(struct buf *out, const struct dsn_report *r)
{
	struct span from = r->template && r->template->from.len ? r->template->from : SPAN("MAILER-DAEMON (Mail Delivery System)");
	bool whole = span_chr(from, '@') >= 0 || span_chr(from, '<') >= 0;
	struct span first = whole ? from : span_cut(&from, ' ');

	put_clean(out, first, true);
	if (whole)
		return;
	buf_addc(out, '@');
	put_clean(out, r->origin, r->utf8);
	buf_adds(out, from.len ? " " : "");
	put_clean(out, from, true);
}

static void put_subject(struct buf *out, const struct dsn_report *r)
{
	const struct dsn_template *t = r->template;

	if (t && r->for_postmaster && t->postmaster_subject.len)
		put_clean(out, t->postmaster_subject, true);
	else if (t && t->subject.len)
		put_clean(out, t->subject, true);
	else
		buf_adds(out, subject(r->kind));
}

static void put_header(struct buf *out, const struct dsn_report *r)
{
	put_date(out, "Date", r->now);
	buf_adds(out, "From: ");
	put_from(out, r);
	buf_adds(out, "\nSubject: ");
	put_subject(out, r);
	buf_adds(out, "\nTo: ");
	put_addr(out, r->to, r->utf8);
	buf_adds(out, "\nAuto-Submitted: auto-replied\n");
	if (r->message_id.len) {
		put_field(out, "References", r->message_id, r->utf8);
		put_field(out, "In-Reply-To", r->message_id, r->utf8);
	}
	buf_adds(out, "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=");
	buf_adds(out, r->utf8 ? "global-delivery-status;\n\tboundary=\"" : "delivery-status;\n\tboundary=\"");
	buf_add_span(out, r->boundary);
	buf_adds(out, "\"\nContent-Transfer-Encoding: 8bit\n\nThis is a message in several parts, in MIME format.\n");
}

static void put_boundary(struct buf *out, const struct dsn_report *r, const char *end)
{
	buf_adds(out, "\n--");
	buf_add_span(out, r->boundary);
	buf_adds(out, end);
}

/* --- part one: for people ----------------------------------------------------------------------------------------- */

static const char *explanation(enum dsn_kind kind)
{
	switch (kind) {
	case DSN_FAILURE:
		return "Your letter did not reach the recipients named below, and no further\n"
		       "attempt will be made. Behind each address stands the reason that was\n"
		       "given. Your letter comes back to you at the end of this notice.\n";
	case DSN_DELAY:
		return "Nothing is lost, and there is nothing you need to do: your letter is\n"
		       "still waiting here because the recipients named below could not be\n"
		       "reached so far. Delivery goes on being tried without you.\n";
	case DSN_SUCCESS:
		return "Your letter arrived, or was passed on to the next mail system, for the\n"
		       "recipients named below. You receive this because it was asked for when\n"
		       "the letter was sent. A system further on may not send such notices.\n";
	case DSN_VERIFY:
		return "This is what would have become of a letter to the recipients named\n"
		       "below. Nothing was delivered.\n";
	}
	return "";
}

static void put_reason(struct buf *out, const struct dsn_report *r, const struct dsn_recipient *rcpt)
{
	size_t before = out->len;

	buf_adds(out, "\n<");
	put_addr(out, rcpt->final, r->utf8);
	buf_addc(out, '>');
	if (rcpt->original.len && !span_ieq(rcpt->original, rcpt->final)) {
		buf_adds(out, " (expanded from <");
		put_addr(out, rcpt->original, r->utf8);
		buf_adds(out, ">)");
	}
	buf_adds(out, ": ");
	put_folded(out, rcpt->reason, out->len - before, r->utf8);
}

static void put_template(struct buf *out, const struct dsn_report *r)
{
	const struct dsn_template *t = r->template;

	put_boundary(out, r, "\nContent-Description: Notification\nContent-Type: text/plain; charset=");
	put_clean(out, r->utf8 ? SPAN("utf-8") : t->charset.len ? t->charset : SPAN("us-ascii"), false);
	buf_adds(out, "\nContent-Transfer-Encoding: 8bit\n\n");
	buf_add_span(out, t->body);
}

static void put_own_text(struct buf *out, const struct dsn_report *r)
{
	put_boundary(out, r, "\nContent-Description: Notification\nContent-Type: text/plain; charset=");
	buf_adds(out, r->utf8 ? "utf-8\nContent-Transfer-Encoding: 8bit" : "us-ascii");
	buf_adds(out, "\n\nThis is the mail system at ");
	put_clean(out, r->hostname, r->utf8);
	buf_adds(out, ".\n\n");
	buf_adds(out, explanation(r->kind));
	if (r->kind == DSN_FAILURE) {
		buf_adds(out, "\nFor help write to postmaster and enclose this notice; the part that\n"
			      "holds your own letter may be left out.\n");
	}
	buf_adds(out, "\n                   The mail system\n");
}

static void put_notification(struct buf *out, const struct dsn_report *r)
{
	if (r->template)
		put_template(out, r);
	else
		put_own_text(out, r);
	for (size_t i = 0; i < r->nrecipients && !out->overflow; i++)
		put_reason(out, r, &r->recipients[i]);
}

/* --- part two: for programs --------------------------------------------------------------------------------------- */

static const char *addr_type(const struct dsn_report *r, struct span addr)
{
	return r->utf8 && !addr_is_ascii(addr_split(addr)) ? "utf-8" : "rfc822";
}

static void put_original_recipient(struct buf *out, const struct dsn_report *r, const struct dsn_recipient *rcpt)
{
	struct span addr = rcpt->original.len ? rcpt->original : rcpt->final;

	buf_adds(out, "Original-Recipient: ");
	if (rcpt->orcpt_type.len) {
		put_clean(out, rcpt->orcpt_type, false);
		buf_addc(out, ';');
		put_clean(out, rcpt->orcpt_addr, r->utf8);
	} else {
		buf_addf(out, "%s;", addr_type(r, addr));
		put_addr(out, addr, r->utf8);
	}
	buf_addc(out, '\n');
}

static void put_diagnostic(struct buf *out, const struct dsn_report *r, const struct dsn_recipient *rcpt)
{
	size_t before = out->len;

	buf_adds(out, "Diagnostic-Code: ");
	put_clean(out, rcpt->diagnostic_type.len ? rcpt->diagnostic_type : SPAN("X-Postfix"), false);
	buf_adds(out, "; ");
	put_folded(out, rcpt->diagnostic_type.len ? rcpt->diagnostic : rcpt->reason, out->len - before, r->utf8);
}

static void put_recipient(struct buf *out, const struct dsn_report *r, const struct dsn_recipient *rcpt)
{
	buf_addf(out, "\nFinal-Recipient: %s; ", addr_type(r, rcpt->final));
	put_addr(out, rcpt->final, r->utf8);
	buf_addc(out, '\n');
	put_original_recipient(out, r, rcpt);
	buf_addf(out, "Action: %s\n", dsn_action_str(rcpt->action));
	put_field(out, "Status", rcpt->status, false);
	if (rcpt->remote_mta.len) {
		buf_adds(out, "Remote-MTA: dns; ");
		put_clean(out, rcpt->remote_mta, r->utf8);
		buf_addc(out, '\n');
	}
	put_diagnostic(out, r, rcpt);
	if (rcpt->action == DSN_DELAYED && rcpt->will_retry_until)
		put_date(out, "Will-Retry-Until", rcpt->will_retry_until);
}

static void put_status(struct buf *out, const struct dsn_report *r)
{
	put_boundary(out, r, "\nContent-Description: Delivery report\nContent-Type: message/");
	buf_adds(out, r->utf8 ? "global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n" : "delivery-status\n\n");
	buf_adds(out, "Reporting-MTA: dns; ");
	put_clean(out, r->hostname, r->utf8);
	buf_addc(out, '\n');
	if (r->envid.len) {
		buf_adds(out, "Original-Envelope-Id: ");
		if (xtext_encode(out, r->envid))
			buf_addc(out, '\n');
	}
	put_field(out, "X-Postfix-Queue-ID", r->queue_id, false);
	if (r->sender.len) {
		buf_addf(out, "X-Postfix-Sender: %s; ", addr_type(r, r->sender));
		put_addr(out, r->sender, r->utf8);
		buf_addc(out, '\n');
	}
	put_date(out, "Arrival-Date", r->arrived);
	for (size_t i = 0; i < r->nrecipients && !out->overflow; i++)
		put_recipient(out, r, &r->recipients[i]);
}

/* --- part three: the original ------------------------------------------------------------------------------------- */

static void put_original_head(struct buf *out, const struct dsn_report *r)
{
	const char *what = r->kind == DSN_FAILURE ? "Undelivered Message"
			   : r->kind == DSN_DELAY ? "Delayed Message"
						  : "Message";

	put_boundary(out, r, "\nContent-Description: ");
	buf_adds(out, what);
	buf_adds(out, r->headers_only ? " Headers\nContent-Type: " : "\nContent-Type: ");
	if (r->headers_only)
		buf_adds(out, r->utf8 ? "message/global-headers" : "text/rfc822-headers");
	else
		buf_adds(out, r->utf8 ? "message/global" : "message/rfc822");
	buf_adds(out, "\nContent-Transfer-Encoding: 8bit\n\n");
}

bool dsn_compose(struct buf *out, const struct dsn_report *r)
{
	put_header(out, r);
	put_notification(out, r);
	put_status(out, r);
	put_original_head(out, r);
	return !out->overflow;
}

bool dsn_compose_end(struct buf *out, const struct dsn_report *r, bool newline)
{
	if (newline)
		buf_addc(out, '\n');
	put_boundary(out, r, "--\n");
	return !out->overflow;
}
