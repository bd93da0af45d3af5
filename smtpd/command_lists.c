/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/command_lists.h"

#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"
#include "lib/map/match.h"

static bool is_text(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (ascii_iscntrl(line.ptr[i]) && line.ptr[i] != '\t')
			return false;
	return utf8_valid(line);
}

/* What is no text is refused as it is: a table has no part in that. */
bool command_filter(struct smtpd_session *s, struct span *line)
{
	struct span key = *line, value;

	if (*conf->smtpd_command_filter == '\0' || !is_text(*line))
		return true;
	while (key.len && (key.ptr[0] == ' ' || key.ptr[0] == '\t'))
		key = span_skip(key, 1);
	switch (map_get(map_open(conf->smtpd_command_filter), &s->cmd, key, &value)) {
	case MAP_OK:
		log_info("%s: replacing command \"" SPAN_FMT "\" with \"" SPAN_FMT "\"", s->client,
			 SPAN_ARG(span_head(*line, 100)), SPAN_ARG(span_head(value, 100)));
		*line = value;
		return true;
	case MAP_NOTFOUND:
		return true;
	case MAP_TEMP:
		break;
	}
	log_warn("%s lookup error for \"" SPAN_FMT "\"", conf->smtpd_command_filter, SPAN_ARG(span_head(*line, 100)));
	return false;
}

/* A table that cannot be asked: nothing hangs on these lists. */
static bool in_list(const char *list, struct span verb)
{
	return *list && match_name(match_open(list, MATCH_STRING), verb) == MAP_OK;
}

bool command_is_noop(struct span verb)
{
	return in_list(conf->smtpd_noop_commands, verb);
}

static bool is_header_name(struct span verb)
{
	ptrdiff_t colon = span_chr(verb, ':');

	for (ptrdiff_t i = 0; i < colon; i++)
		if ((unsigned char)verb.ptr[i] > 126)
			return false;
	return colon > 0;
}

bool command_is_forbidden(struct span verb)
{
	return is_header_name(verb) || in_list(conf->smtpd_forbidden_commands, verb);
}
