/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/discard.h"

#include <stdio.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"

static const struct {
	const char *word;
	unsigned bit;
} words[] = {
	{ "8BITMIME", DISCARD_8BITMIME },
	{ "AUTH", DISCARD_AUTH },
	{ "ETRN", DISCARD_ETRN },
	{ "PIPELINING", DISCARD_PIPELINING },
	{ "SIZE", DISCARD_SIZE },
	{ "VRFY", DISCARD_VRFY },
	{ "XCLIENT", DISCARD_XCLIENT },
	{ "XFORWARD", DISCARD_XFORWARD },
	{ "STARTTLS", DISCARD_STARTTLS },
	{ "ENHANCEDSTATUSCODES", DISCARD_ENHANCEDSTATUSCODES },
	{ "DSN", DISCARD_DSN },
	{ "SMTPUTF8", DISCARD_SMTPUTF8 },
	{ "CHUNKING", DISCARD_CHUNKING },
	{ "LIMITS", DISCARD_LIMITS },
	{ "silent-discard", DISCARD_SILENTLY },
};

enum { WORDS = sizeof words / sizeof *words };

/* Words that are not known may be those of another version: they are passed over, as in Postfix. */
static unsigned read_words(struct span text)
{
	struct span word;
	unsigned bits = 0;

	while (span_word(&text, ", \t\r\n", &word))
		for (size_t i = 0; i < WORDS; i++)
			if (span_iis(word, words[i].word))
				bits |= words[i].bit;
	return bits;
}

void discard_decide(struct smtpd_session *s)
{
	struct map_list *maps;
	struct span value;

	if (s->is_sendmail)
		return;
	if (*conf->smtpd_discard_ehlo_keyword_address_maps) {
		maps = map_list_open(conf->smtpd_discard_ehlo_keyword_address_maps);
		switch (map_list_get(maps, &s->cmd, span_cstr(s->peer_text), &value)) {
		case MAP_OK:
			s->discard = read_words(value);
			return;
		case MAP_TEMP:
			s->discard = DISCARD_UNKNOWN;
			return;
		case MAP_NOTFOUND:
			break;
		}
	}
	s->discard = read_words(span_cstr(conf->smtpd_discard_ehlo_keywords));
}

bool discard_known(struct smtpd_session *s)
{
	char list[256] = "";
	size_t n = 0;

	if (s->discard & DISCARD_UNKNOWN) {
		log_warn("don't know what EHLO features to announce to %s", s->client);
		reply(s, "421 4.3.0 %s Server local data error", conf->myhostname);
		return false;
	}
	if (s->discard == 0 || s->discard & DISCARD_SILENTLY)
		return true;
	for (size_t i = 0; i < WORDS; i++)
		if (s->discard & words[i].bit)
			n += (size_t)snprintf(list + n, sizeof list - n, " %s", words[i].word);
	log_info("discarding EHLO keywords:%s", list);
	return true;
}
