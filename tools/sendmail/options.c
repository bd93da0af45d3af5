/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/proto/smtp_cmd.h"
#include "tools/sendmail/sendmail.h"

/* Everything sendmail programs have ever been called with; what has no meaning here is taken and ignored. */
#define LETTERS "A:B:C:F:GIL:N:O:R:TUV:X:b:cd:e:f:h:imno:p:q::r:stvx"

static int bad(const char *what, const char *value)
{
	log_error("-%s %s is not understood", what, value);
	return EX_USAGE;
}

static int set_mode(struct options *o, const char *value)
{
	static const struct {
		char letter;
		enum mode mode;
	} table[] = {
		{ 'm', MODE_SEND },   { 'p', MODE_LIST },   { 'i', MODE_ALIASES }, { 's', MODE_SMTP },
		{ 'v', MODE_VERIFY }, { 'd', MODE_DAEMON }, { 'l', MODE_DAEMON },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (value[0] != table[i].letter || value[1] != '\0')
			continue;
		o->mode = table[i].mode;
		return EX_OK;
	}
	return bad("b", value);
}

/* -oi and friends: the old way to set what has letters of its own. */
static int set_old_option(struct options *o, const char *value)
{
	if (strcmp(value, "i") == 0)
		o->ignore_dots = true;
	else if (strcmp(value, "7") == 0)
		o->body = "7BIT";
	else if (strcmp(value, "8") == 0)
		o->body = "8BITMIME";
	else if (value[0] == 'A' && value[1] != '\0')
		o->alias_file = value + 1;
	return EX_OK;
}

static int set_flush(struct options *o, const char *value)
{
	if (!value || *value == '\0') {
		o->mode = MODE_FLUSH;
	} else if (*value == 'I') {
		o->mode = MODE_FLUSH_ID;
	} else if (*value == 'R' || *value == 'S') {
		o->mode = MODE_FLUSH_SITE;
	} else if (*value < '0' || *value > '9') {
		return bad("q", value);
	}
	/* -q30m with -bd: how often to run the queue; the queue manager knows that itself. */
	if (o->mode == MODE_FLUSH_ID || o->mode == MODE_FLUSH_SITE) {
		o->argument = value + 1;
		return *o->argument ? EX_OK : bad("q", value);
	}
	return EX_OK;
}

static int set_notify(struct options *o, const char *value)
{
	unsigned notify;

	if (!smtp_notify_parse(span_cstr(value), &notify))
		return bad("N", value);
	o->notify = value;
	return EX_OK;
}

static int set_ret(struct options *o, const char *value)
{
	if (strcasecmp(value, "full") == 0)
		o->ret = "FULL";
	else if (strcasecmp(value, "hdrs") == 0)
		o->ret = "HDRS";
	else
		return bad("R", value);
	return EX_OK;
}

static int set_body(struct options *o, const char *value)
{
	if (strcasecmp(value, "7bit") == 0)
		o->body = "7BIT";
	else if (strcasecmp(value, "8bitmime") == 0)
		o->body = "8BITMIME";
	else
		return bad("B", value);
	return EX_OK;
}

static int set_option(struct options *o, int letter, const char *value)
{
	switch (letter) {
	case 'b':
		return set_mode(o, value);
	case 'o':
		return set_old_option(o, value);
	case 'q':
		return set_flush(o, value);
	case 'N':
		return set_notify(o, value);
	case 'R':
		return set_ret(o, value);
	case 'B':
		return set_body(o, value);
	case 'I':
		o->mode = MODE_ALIASES;
		return EX_OK;
	case 'C':
		o->config = value;
		return EX_OK;
	case 'F':
		o->full_name = value;
		return EX_OK;
	case 'f':
	case 'r':
		o->sender = value;
		return EX_OK;
	case 'V':
		o->envid = value;
		return EX_OK;
	case 'X': /* of any other kind it was a log file once */
		if (value[0] == 'V')
			o->verp = value + 1;
		return EX_OK;
	case 'i':
		o->ignore_dots = true;
		return EX_OK;
	case 't':
		o->from_header = true;
		return EX_OK;
	case 'v':
		o->verbose = true;
		return EX_OK;
	case '?':
		log_error("usage: sendmail [-bm | -bp | -bi | -bs | -bv | -q] [-t] [-i] [-f sender] [-F name] "
			  "[recipient ...]");
		return EX_USAGE;
	default:
		return EX_OK;
	}
}

int options_parse(int argc, char **argv, struct options *o)
{
	int letter, status;

	opterr = 0;
	while ((letter = getopt(argc, argv, "+" LETTERS)) != -1) {
		status = set_option(o, letter, optarg);
		if (status != EX_OK)
			return status;
	}
	o->recipients = argv + optind;
	o->nrecipients = argc - optind;
	return EX_OK;
}
