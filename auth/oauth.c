/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OAUTHBEARER and XOAUTH2: a program on this machine says whether a token is good and whose it is. One connection, one line each
 * way; TAB between fields, which hold no control bytes:
 *
 *	C: VERIFY TAB service TAB mechanism TAB user TAB address TAB token LF
 *	S: OK TAB user LF, or NO LF; anything else: try again later
 */
#include <errno.h>
#include <string.h>

#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/dial.h"
#include "lib/io/stream.h"

enum { HOOK_MS = 10000, LINE_BYTES = 1024 };

static struct stream *open_hook(void)
{
	const char *path = conf->oauth2_introspection;
	struct stream *s;
	int fd;

	if (strncmp(path, "unix:", 5) != 0) {
		log_error("oauth2_introspection: unix:PATH is expected");
		return NULL;
	}
	fd = dial(span_cstr(path), clock_deadline(HOOK_MS));
	if (fd < 0) {
		log_error("connect to %s: %s", path, strerror(errno));
		return NULL;
	}
	s = stream_open(fd);
	stream_set_deadline(s, clock_deadline(HOOK_MS));
	return s;
}

static bool clean(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_iscntrl(s.ptr[i]))
			return false;
	return s.len > 0;
}

enum passdb_status oauth_verify(struct attempt *at)
{
	enum passdb_status status = PASSDB_TEMP;
	struct span line, word;
	struct stream *s;

	if (conf->oauth2_introspection[0] == '\0' || !clean(at->login.password))
		return PASSDB_MISMATCH;
	s = open_hook();
	if (s == NULL)
		return PASSDB_TEMP;
	stream_printf(s, "VERIFY\t" SPAN_FMT "\t%s\t%s\t%s\t", SPAN_ARG(at->login.service), sasl_mech_str(at->mech),
		      at->name, at->ip);
	stream_write(s, at->login.password);
	stream_puts(s, "\n");
	if (stream_line(s, LINE_BYTES, &line, NULL) == IO_OK) {
		word = span_cut(&line, '\t');
		if (span_is(word, "OK"))
			status = span_is(line, at->name) ? PASSDB_OK : PASSDB_MISMATCH;
		else if (span_is(word, "NO"))
			status = PASSDB_MISMATCH;
	}
	if (status == PASSDB_TEMP)
		log_error("%s: no answer", conf->oauth2_introspection);
	else if (status == PASSDB_MISMATCH)
		passdb_log(at, "oauth2", "invalid credentials");
	stream_close(s);
	return status;
}
