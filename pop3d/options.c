/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/pop3_uidl.h"
#include "pop3d/pop3d.h"

struct options options;

static void read_workarounds(const char *list)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, " \t,", &word)) {
		if (span_is(word, "outlook-no-nuls"))
			options.no_nuls = true;
		else if (span_is(word, "oe-ns-eoh"))
			options.end_of_header = true;
		else
			log_fatal("pop3_client_workarounds: %.*s: outlook-no-nuls and oe-ns-eoh are expected", SPAN_ARG(word));
	}
}

static void read_delete_type(const char *type)
{
	bool flag = conf->pop3_deleted_flag[0] != '\0';

	if (strcmp(type, "default") == 0)
		options.delete_by_flag = flag;
	else if (strcmp(type, "flag") == 0)
		options.delete_by_flag = true;
	else if (strcmp(type, "expunge") != 0)
		log_fatal("pop3_delete_type = %s: expunge, flag or default is expected", type);
	if (options.delete_by_flag && !flag)
		log_fatal("pop3_delete_type = flag needs a pop3_deleted_flag");
}

void options_read(void)
{
	if (!pop3_uidl_format_valid(conf->pop3_uidl_format))
		log_fatal("pop3_uidl_format = %s: %%u (or %%f, %%g), %%v and at most 70 visible characters are expected",
			  conf->pop3_uidl_format);
	if (strcmp(conf->pop3_uidl_duplicates, "rename") == 0)
		options.rename_duplicates = true;
	else if (strcmp(conf->pop3_uidl_duplicates, "allow") != 0)
		log_fatal("pop3_uidl_duplicates = %s: allow or rename is expected", conf->pop3_uidl_duplicates);
	read_workarounds(conf->pop3_client_workarounds);
	read_delete_type(conf->pop3_delete_type);
}

/* Dovecot 2.3's letters, without those of fields that are not known here: they stay as they are. */
void options_logout_text(struct buf *out, const struct figures *f)
{
	for (const char *p = conf->pop3_logout_format; *p; p++) {
		uint64_t n;

		if (p[0] != '%' || p[1] == '\0') {
			buf_addc(out, *p);
			continue;
		}
		switch (*++p) {
		case 't': n = f->tops; break;
		case 'p': n = f->top_octets; break;
		case 'r': n = f->retrs; break;
		case 'b': n = f->retr_octets; break;
		case 'd': n = f->deleted; break;
		case 'm': n = f->messages; break;
		case 's': n = f->size; break;
		case 'i': n = f->in; break;
		case 'o': n = f->out; break;
		default:
			if (*p != '%')
				buf_addc(out, '%');
			buf_addc(out, *p);
			continue;
		}
		buf_addf(out, "%llu", (unsigned long long)n);
	}
}
