/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The letter as users write it: LF or CRLF, perhaps a From_ line in front, perhaps no header at all. It leaves here
 * complete: Date, From and Message-Id are there, Bcc is not. It is read to its end before the mail system hears
 * of it, so a slow or dying producer cannot leave half a letter behind.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/addrlist.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "tools/sendmail/sendmail.h"

void recipients_add(struct arena *a, struct recipients *r, struct span address)
{
	if (r->count >= RECIPIENTS_MAX)
		log_fatal("too many recipients");
	if (r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 16;
		struct span *grown = arena_array(a, room, sizeof *grown);

		if (r->count > 0)
			memcpy(grown, r->items, r->count * sizeof *grown);
		r->items = grown;
		r->room = room;
	}
	r->items[r->count++] = address;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct reader {
	bool ignore_dots;
	bool done;  /* end of input, or the line with the dot */
	char *line; /* of getline */
	size_t room;
	uint64_t bytes;
};

/* Next line, ending in LF (added to the last); false at the end. */
static bool next_line(struct reader *r, struct span *line_r)
{
	ssize_t n = r->done ? -1 : getline(&r->line, &r->room, stdin);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (n < 0) {
		r->done = true;
		return false;
	}
	if (len >= 2 && r->line[len - 1] == '\n' && r->line[len - 2] == '\r')
		r->line[--len - 1] = '\n';
	if (!r->ignore_dots && len <= 2 && r->line[0] == '.' && (len == 1 || r->line[1] == '\n')) {
		r->done = true;
		return false;
	}
	*line_r = span_of(r->line, len);
	r->bytes += len;
	return true;
}

static bool is_field_start(struct span line)
{
	ptrdiff_t colon = span_chr(line, ':');
	struct span name = span_head(line, colon < 0 ? 0 : (size_t)colon);

	while (name.len > 0 && (name.ptr[name.len - 1] == ' ' || name.ptr[name.len - 1] == '\t'))
		name.len--;
	return header_name_valid(name);
}

static bool has_high_bytes(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 128)
			return true;
	return false;
}

static bool body_write(struct letter *l, struct span line)
{
	if (!l->body)
		l->body = tmpfile();
	if (!l->body)
		return false;
	l->has_8bit |= has_high_bytes(line);
	if (fwrite(line.ptr, 1, line.len, l->body) != line.len)
		return false;
	return span_ends(line, "\n") || putc('\n', l->body) != EOF;
}

/* The header as it came, without the empty line; *first_r: the first line of the body, if it has been read already. */
static bool read_header(struct reader *r, struct buf *raw, struct span *first_r)
{
	struct span line;
	bool any = false;

	*first_r = SPAN_NONE;
	while (next_line(r, &line)) {
		/* A mailbox line in front is no part of the letter. */
		if (!any && (span_starts(line, "From ") || span_starts(line, ">From ")))
			continue;
		if (line.len == 1 && line.ptr[0] == '\n')
			return true;
		if (!is_field_start(line) && !(any && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))) {
			*first_r = line;
			return true;
		}
		any = true;
		buf_add_span(raw, line);
		if (!span_ends(line, "\n"))
			buf_addc(raw, '\n');
		if (raw->overflow)
			return false;
	}
	return true;
}

static int read_body(struct reader *r, struct letter *l, struct span first)
{
	uint64_t limit = conf->message_size_limit > 0 ? (uint64_t)conf->message_size_limit : UINT64_MAX;
	struct span line = first;
	bool ok = true;

	if (first.len > 0)
		ok = body_write(l, first);
	while (ok && r->bytes <= limit && next_line(r, &line))
		ok = body_write(l, line);
	if (ferror(stdin)) {
		log_error("standard input cannot be read: %m");
		return EX_DATAERR;
	}
	if (r->bytes > limit) {
		log_error("the message is larger than message_size_limit (%lld bytes)",
			  (long long)conf->message_size_limit);
		return EX_DATAERR;
	}
	if (!ok || (l->body && fflush(l->body) != 0)) {
		log_error("a temporary file cannot be written: %m");
		return EX_TEMPFAIL;
	}
	return EX_OK;
}

/* --- completing the header ---------------------------------------------------------------------------------------- */

static struct span at_origin(struct arena *a, const char *local)
{
	return span_cstr(arena_printf(a, "%s@%s", local, conf->myorigin));
}

int letter_sender(struct arena *a, const struct options *o, struct span *sender_r)
{
	struct addr addr;
	struct passwd *pw;

	if (o->sender) {
		struct span in = span_trim(span_cstr(o->sender));

		if (in.len == 0 || span_is(in, "<>")) {
			*sender_r = SPAN_NONE;
			return EX_OK;
		}
		if (span_starts(in, "<") ? addr_path_parse(a, &in, ADDR_LENIENT, &addr) != ADDR_OK
					 : addr_mailbox_parse(a, in, ADDR_LENIENT, &addr) != ADDR_OK) {
			log_error("-f %s is not an address", o->sender);
			return EX_USAGE;
		}
		*sender_r = addr_internal(a, addr);
		return EX_OK;
	}
	pw = getpwuid(getuid());
	if (!pw && getenv("LOGNAME") == NULL) {
		log_error("user id %u has no name: give a sender with -f", getuid());
		return EX_OSERR;
	}
	*sender_r = at_origin(a, pw ? pw->pw_name : getenv("LOGNAME"));
	return EX_OK;
}

/* -F, else the account's full name (& stands for the login name) when the sender is the caller. */
static const char *full_name(struct arena *a, const struct options *o)
{
	struct passwd *pw = getpwuid(getuid());
	struct span gecos;
	ptrdiff_t amp;

	if (o->full_name)
		return o->full_name;
	if (o->sender || !pw || !pw->pw_gecos)
		return "";
	gecos = span_cstr(pw->pw_gecos);
	gecos = span_cut(&gecos, ',');
	amp = span_chr(gecos, '&');
	if (amp < 0)
		return arena_cstr(a, gecos);
	return arena_printf(a, SPAN_FMT "%c%s" SPAN_FMT, SPAN_ARG(span_head(gecos, (size_t)amp)),
			    ascii_upper(pw->pw_name[0]), pw->pw_name + 1, SPAN_ARG(span_skip(gecos, (size_t)amp + 1)));
}

/* A display name as phrase: atoms as they are, anything else quoted; control bytes do not get in. */
static void put_phrase(struct buf *out, const char *name)
{
	bool quote = false;

	for (const char *p = name; *p; p++)
		quote |= !ascii_isalnum(*p) && !strchr(" !#$%&'*+-/=?^_`{|}~", *p) && (unsigned char)*p < 128;
	buf_adds(out, quote ? "\"" : "");
	for (const char *p = name; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_addc(out, '\\');
		buf_addc(out, ascii_iscntrl(*p) ? ' ' : *p);
	}
	buf_adds(out, quote ? "\"" : "");
}

static void put_from(struct arena *a, const struct options *o, struct letter *l, const char *prefix)
{
	const char *name = full_name(a, o);
	struct span address = l->sender;

	if (address.len > 0 && span_chr(address, '@') < 0)
		address = at_origin(a, arena_cstr(a, address));
	buf_addf(&l->header, "%sFrom: ", prefix);
	if (address.len == 0) {
		buf_addf(&l->header, "MAILER-DAEMON@%s (Mail Delivery System)\n", conf->myorigin);
		return;
	}
	if (*name)
		put_phrase(&l->header, name);
	buf_adds(&l->header, *name ? " <" : "");
	buf_add_span(&l->header, addr_quote(a, address));
	buf_adds(&l->header, *name ? ">\n" : "\n");
}

static void put_message_id(struct letter *l, const char *prefix)
{
	uint64_t random[2] = { (uint64_t)clock_wall_us(), (uint64_t)getpid() };

	if (getrandom(random, sizeof random, 0) < 0)
		random[1] ^= (uint64_t)clock_mono_ms() << 20;
	buf_addf(&l->header, "%sMessage-Id: <%llx.%llx@%s>\n", prefix, (unsigned long long)clock_wall_us(),
		 (unsigned long long)random[1], conf->myhostname);
}

static bool has_field(struct span raw, const char *prefix, const char *name)
{
	char full[64];
	struct header_field f;

	snprintf(full, sizeof full, "%s%s", prefix, name);
	return header_find(raw, full, &f);
}

static bool is_resent(struct span raw)
{
	struct header_field f;

	while (header_next(&raw, &f))
		if (span_istarts(f.name, "Resent-"))
			return true;
	return false;
}

/* All fields but those that are for the envelope or for us; then what is missing. */
static void complete_header(struct arena *a, const struct options *o, struct span raw, struct letter *l)
{
	static const char *const dropped[] = { "Bcc", "Resent-Bcc", "Return-Path", "Content-Length" };
	const char *prefix = is_resent(raw) ? "Resent-" : "";
	struct span rest = raw;
	struct header_field f;
	char date[DATE_TEXT_MAX];

	while (header_next(&rest, &f)) {
		bool keep = true;

		for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
			keep &= !span_iis(f.name, dropped[i]);
		if (keep)
			buf_add_span(&l->header, f.raw);
	}
	if (!has_field(raw, prefix, "Message-Id"))
		put_message_id(l, prefix);
	if (!has_field(raw, prefix, "Date"))
		buf_addf(&l->header, "%sDate: %s\n", prefix, date_rfc5322(clock_wall(), date));
	if (!has_field(raw, prefix, "From"))
		put_from(a, o, l, prefix);
	buf_addc(&l->header, '\n');
	l->has_8bit |= has_high_bytes(buf_span(&l->header));
}

/* --- recipients --------------------------------------------------------------------------------------------------- */

static bool add_mailboxes(struct arena *a, struct letter *l, struct span body)
{
	struct rfc5322_list list = { NULL, NULL, 0, false, false };

	rfc5322_list_parse(a, body, RFC5322_ADDRS_MAX, &list);
	if (list.truncated) {
		log_error("too many addresses in one header field");
		return false;
	}
	for (struct rfc5322_addr *addr = list.first; addr; addr = addr->next)
		if (addr->kind == RFC5322_MAILBOX && addr->mailbox.len > 0)
			recipients_add(a, &l->to, addr_internal(a, rfc5322_to_addr(addr)));
	return true;
}

/* -t: To, Cc and Bcc, or only their Resent- forms when there are any. */
static bool recipients_from_header(struct arena *a, struct span raw, struct letter *l)
{
	static const char *const names[] = { "To", "Cc", "Bcc" };
	const char *prefix = is_resent(raw) ? "Resent-" : "";
	struct header_field f;

	while (header_next(&raw, &f))
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			if (span_iis(f.name, arena_printf(a, "%s%s", prefix, names[i])) && !add_mailboxes(a, l, f.body))
				return false;
	return true;
}

static int recipients_from_arguments(struct arena *a, const struct options *o, struct letter *l)
{
	for (int i = 0; i < o->nrecipients; i++) {
		size_t before = l->to.count;

		if (!add_mailboxes(a, l, span_cstr(o->recipients[i])))
			return EX_USAGE;
		if (l->to.count == before) {
			log_error("\"%s\" is not an address", o->recipients[i]);
			return EX_USAGE;
		}
	}
	return EX_OK;
}

int letter_read(struct arena *a, const struct options *o, struct letter *l)
{
	struct reader r = { .ignore_dots = o->ignore_dots };
	struct span first;
	struct buf raw;
	int status = letter_sender(a, o, &l->sender);

	buf_init(&raw, HEADER_BYTES_MAX);
	buf_init(&l->header, 2 * HEADER_BYTES_MAX);
	if (status == EX_OK)
		status = recipients_from_arguments(a, o, l);
	if (status == EX_OK && o->mode == MODE_SEND && l->to.count == 0 && !o->from_header) {
		log_error("no recipients: name them on the command line, or use -t to take them from the header");
		status = EX_USAGE;
	}
	if (status == EX_OK && o->mode == MODE_SEND) {
		if (!read_header(&r, &raw, &first)) {
			log_error("the header is too large");
			status = EX_DATAERR;
		} else {
			status = read_body(&r, l, first);
		}
	}
	if (status == EX_OK && o->from_header && !recipients_from_header(a, buf_span(&raw), l))
		status = EX_DATAERR;
	if (status == EX_OK && o->mode == MODE_SEND && l->to.count == 0) {
		log_error("no recipients in the header");
		status = EX_USAGE;
	}
	if (status == EX_OK)
		complete_header(a, o, buf_span(&raw), l);
	buf_free(&raw);
	free(r.line);
	return status;
}
