/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client's half of a very small SMTP: smtpd listens on public/submit, knows our user id from the socket and lets
 * us relay. A refused recipient does not keep the letter from the others; the exit status tells of it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/stream.h"
#include "lib/proto/addr.h"
#include "lib/proto/smtp_cmd.h"
#include "lib/proto/smtp_data.h"
#include "lib/proto/smtp_reply.h"
#include "tools/sendmail/sendmail.h"

#define SUBMIT_PATH "public/submit"

enum { REPLY_TIMEOUT_MS = 600 * 1000 };

int submit_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = SUBMIT_PATH };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		log_error("the mail system is not running; the message was not accepted, try again later");
	else
		log_error("%s/%s: %m", conf->queue_directory, SUBMIT_PATH);
	if (fd >= 0)
		close(fd);
	return -1;
}

struct dialogue {
	struct stream *s;
	struct smtp_reply_parser reply;
	bool verbose;
	bool broken; /* no reply: EX_TEMPFAIL */
};

/* Wait for a reply: its code, or 0 when the conversation is over. */
static int wait_reply(struct dialogue *d)
{
	enum smtp_reply_status status;
	struct span line;

	smtp_reply_reset(&d->reply);
	do {
		enum io_status io = stream_line(d->s, SMTP_REPLY_LINE_MAX, &line, NULL);

		if (io != IO_OK) {
			log_error("lost the connection to the mail system: %s", io_status_str(io));
			d->broken = true;
			return 0;
		}
		status = smtp_reply_line(&d->reply, line);
	} while (status == SMTP_REPLY_MORE);
	if (status != SMTP_REPLY_DONE) {
		log_error("the mail system answers nonsense: %s", smtp_reply_status_str(status));
		d->broken = true;
		return 0;
	}
	if (d->verbose)
		fprintf(stderr, "<<< " SPAN_FMT "\n", SPAN_ARG(d->reply.reply.text));
	return d->reply.reply.code;
}

static int command(struct dialogue *d, const char *text)
{
	if (d->verbose)
		fprintf(stderr, ">>> %s\n", text);
	stream_puts(d->s, text);
	stream_puts(d->s, "\r\n");
	return wait_reply(d);
}

/* What a refusal means to the caller. */
static int exit_status(const struct dialogue *d, int code)
{
	if (d->broken || code / 100 == 4)
		return EX_TEMPFAIL;
	return EX_UNAVAILABLE;
}

static int refused(struct dialogue *d, const char *what, int code)
{
	if (!d->broken)
		log_error("%s" SPAN_FMT, what, SPAN_ARG(d->reply.reply.text));
	return exit_status(d, code);
}

static struct span xtext(struct arena *a, const char *text)
{
	struct buf b;
	struct span out;

	buf_init(&b, 1000);
	if (!xtext_encode(&b, span_cstr(text)))
		buf_reset(&b);
	out = arena_span(a, buf_span(&b));
	buf_free(&b);
	return out;
}

static bool needs_smtputf8(const struct letter *l)
{
	bool ascii = addr_is_ascii(addr_split(l->sender));

	for (size_t i = 0; i < l->to.count; i++)
		ascii &= addr_is_ascii(addr_split(l->to.items[i]));
	return !ascii;
}

static const char *mail_command(struct arena *a, const struct options *o, const struct letter *l)
{
	const char *body = o->body && strcmp(o->body, "7BIT") != 0 ? o->body : l->has_8bit ? "8BITMIME" : NULL;
	const char *text = arena_printf(a, "MAIL FROM:<" SPAN_FMT ">", SPAN_ARG(addr_quote(a, l->sender)));

	if (body)
		text = arena_printf(a, "%s BODY=%s", text, body);
	if (o->ret)
		text = arena_printf(a, "%s RET=%s", text, o->ret);
	if (o->envid)
		text = arena_printf(a, "%s ENVID=" SPAN_FMT, text, SPAN_ARG(xtext(a, o->envid)));
	if (o->verp)
		text = arena_printf(a, *o->verp ? "%s XVERP=%s" : "%s XVERP", text, o->verp);
	return needs_smtputf8(l) ? arena_printf(a, "%s SMTPUTF8", text) : text;
}

/* Greeting, EHLO, MAIL. EX_OK or what to exit with. */
static int begin(struct dialogue *d, struct arena *a, const struct options *o, const struct letter *l)
{
	int fd = submit_connect();
	int code;

	if (fd < 0)
		return EX_TEMPFAIL;
	d->s = stream_open(fd);
	d->verbose = o->verbose;
	smtp_reply_init(&d->reply);
	stream_set_timeout(d->s, REPLY_TIMEOUT_MS);
	if ((code = wait_reply(d)) / 100 != 2)
		return refused(d, "", code);
	if ((code = command(d, arena_printf(a, "EHLO %s", conf->myhostname))) / 100 != 2)
		return refused(d, "", code);
	if ((code = command(d, mail_command(a, o, l))) / 100 != 2)
		return refused(d, arena_printf(a, "sender " SPAN_FMT ": ", SPAN_ARG(l->sender)), code);
	return EX_OK;
}

static void finish(struct dialogue *d)
{
	if (!d->s)
		return;
	stream_close(d->s);
	smtp_reply_free(&d->reply);
}

/* *accepted_r of the recipients were taken; the worst refusal of the others is returned. */
static int send_recipients(struct dialogue *d, struct arena *a, const struct options *o, const struct letter *l,
			   size_t *accepted_r)
{
	int worst = EX_OK;

	*accepted_r = 0;
	for (size_t i = 0; i < l->to.count && !d->broken; i++) {
		struct span address = addr_quote(a, l->to.items[i]);
		const char *text = arena_printf(a, "RCPT TO:<" SPAN_FMT ">", SPAN_ARG(address));
		int code = command(d, o->notify ? arena_printf(a, "%s NOTIFY=%s", text, o->notify) : text);
		int status;

		if (code / 100 == 2) {
			++*accepted_r;
			continue;
		}
		status = refused(d, arena_printf(a, "recipient " SPAN_FMT ": ", SPAN_ARG(address)), code);
		if (worst == EX_OK || status == EX_TEMPFAIL)
			worst = status;
	}
	return d->broken ? EX_TEMPFAIL : worst;
}

static void send_span(struct dialogue *d, struct smtp_data_encoder *e, struct span bytes)
{
	char out[16384];

	while (bytes.len > 0) {
		size_t n = smtp_data_encode(e, &bytes, out, sizeof out);

		stream_write(d->s, span_of(out, n));
	}
}

/* False: our own copy cannot be read; then the connection is dropped before the final dot. */
static bool send_content(struct dialogue *d, struct letter *l)
{
	struct smtp_data_encoder e;
	char piece[8192], end[SMTP_ENCODE_END_MAX];
	size_t n;

	smtp_data_encoder_init(&e, SMTP_ENCODE_DOTS, 0);
	send_span(d, &e, buf_span(&l->header));
	if (l->body) {
		rewind(l->body);
		while ((n = fread(piece, 1, sizeof piece, l->body)) > 0)
			send_span(d, &e, span_of(piece, n));
		if (ferror(l->body))
			return false;
	}
	n = smtp_data_encode_end(&e, end);
	stream_write(d->s, span_of(end, n));
	return true;
}

static int send_data(struct dialogue *d, struct letter *l)
{
	int code = command(d, "DATA");

	if (code != 354)
		return refused(d, "", code);
	if (!send_content(d, l)) {
		log_error("the temporary file cannot be read: %m");
		return EX_TEMPFAIL;
	}
	code = wait_reply(d);
	return code / 100 == 2 ? EX_OK : refused(d, "", code);
}

int submit_letter(struct arena *a, const struct options *o, struct letter *l)
{
	struct dialogue d = { .s = NULL };
	size_t accepted = 0;
	int status = begin(&d, a, o, l), rejected = EX_OK;

	if (status == EX_OK)
		rejected = send_recipients(&d, a, o, l, &accepted);
	if (status == EX_OK && !d.broken && accepted > 0)
		status = send_data(&d, l);
	if (status == EX_OK && !d.broken)
		(void)command(&d, "QUIT");
	finish(&d);
	return status != EX_OK ? status : rejected;
}

int submit_verify(struct arena *a, const struct options *o, const struct letter *l)
{
	struct dialogue d = { .s = NULL };
	int status = begin(&d, a, o, l);

	for (size_t i = 0; status != EX_TEMPFAIL && i < l->to.count && !d.broken; i++) {
		struct span address = addr_quote(a, l->to.items[i]);
		int code = command(&d, arena_printf(a, "RCPT TO:<" SPAN_FMT ">", SPAN_ARG(address)));

		printf(SPAN_FMT "... %s\n", SPAN_ARG(address),
		       code / 100 == 2 ? "deliverable" : arena_cstr(a, d.reply.reply.text));
		if (code / 100 != 2)
			status = exit_status(&d, code);
	}
	finish(&d);
	return status;
}
