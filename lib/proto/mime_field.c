/* SPDX-License-Identifier: BSD-2-Clause */
/* Content-Type, Content-Disposition and the envelope fields; declared in mime.h. */
#include <string.h>

#include "lib/proto/header.h"
#include "lib/proto/mime.h"

/* --- lexing, RFC 2045 5.1 ----------------------------------------------------------------------------------------- */

static void skip_comment(struct span *s)
{
	size_t i = 1, depth = 1;

	for (; i < s->len && depth; i++) {
		if (s->ptr[i] == '\\')
			i++;
		else if (s->ptr[i] == '(')
			depth++;
		else if (s->ptr[i] == ')')
			depth--;
	}
	*s = span_skip(*s, i);
}

static void skip_cfws(struct span *s)
{
	while (s->len) {
		if (s->ptr[0] == '(')
			skip_comment(s);
		else if (ascii_isspace(s->ptr[0]))
			*s = span_skip(*s, 1);
		else
			return;
	}
}

static bool skip_char(struct span *s, char c)
{
	skip_cfws(s);
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = span_skip(*s, 1);
	return true;
}

/* A token, or what passes for one: all but blanks, controls and the bytes of stop. */
static struct span take_token(struct span *s, const char *stop)
{
	struct span token;
	size_t n = 0;

	skip_cfws(s);
	while (n < s->len && s->ptr[n] != ' ' && !ascii_iscntrl(s->ptr[n]) && !strchr(stop, s->ptr[n]))
		n++;
	token = span_head(*s, n);
	*s = span_skip(*s, n);
	return token;
}

/* At the opening quote. Backslashes and line ends go; a missing end quote is the end. */
static struct span take_quoted(struct arena *a, struct span *s)
{
	size_t end = 1, len = 0;
	char *to;

	while (end < s->len && s->ptr[end] != '"')
		end += s->ptr[end] == '\\' ? 2 : 1;
	if (end > s->len)
		end = s->len;
	to = arena_alloc(a, end);
	for (size_t i = 1; i < end && len < MIME_VALUE_MAX; i++) {
		if (s->ptr[i] == '\\' && i + 1 < end)
			i++;
		if (s->ptr[i] != '\r' && s->ptr[i] != '\n')
			to[len++] = s->ptr[i];
	}
	*s = span_skip(*s, end + 1);
	return span_of(to, len);
}

static struct span take_value(struct arena *a, struct span *s)
{
	skip_cfws(s);
	if (s->len && s->ptr[0] == '"')
		return take_quoted(a, s);
	return arena_span(a, span_head(take_token(s, ";\"("), MIME_VALUE_MAX));
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

static void skip_to_semicolon(struct arena *a, struct span *s)
{
	skip_cfws(s);
	while (s->len && s->ptr[0] != ';') {
		if (s->ptr[0] == '"')
			take_quoted(a, s);
		else
			*s = span_skip(*s, 1);
		skip_cfws(s);
	}
}

/* One "name=value". What cannot be read is left for skip_to_semicolon. */
static bool take_param(struct arena *a, struct span *s, struct mime_param *param_r)
{
	struct span name = take_token(s, ";=\"(");

	if (name.len == 0 || !skip_char(s, '='))
		return false;
	param_r->name = arena_span(a, span_head(name, MIME_VALUE_MAX));
	param_r->value = take_value(a, s);
	return true;
}

static void take_params(struct arena *a, struct span s, struct mime_params *params_r)
{
	struct mime_param found[MIME_PARAMS_MAX];
	size_t n = 0;

	*params_r = (struct mime_params){ 0 };
	skip_to_semicolon(a, &s);
	while (n < MIME_PARAMS_MAX && skip_char(&s, ';')) {
		n += take_param(a, &s, &found[n]);
		skip_to_semicolon(a, &s);
	}
	if (n == 0)
		return;
	params_r->list = arena_array(a, n, sizeof *found);
	params_r->count = n;
	memcpy(params_r->list, found, n * sizeof *found);
}

bool mime_content_type_parse(struct arena *a, struct span body, struct span *type_r, struct span *subtype_r,
			     struct mime_params *params_r)
{
	struct span type = take_token(&body, "/;\"("), subtype;

	if (type.len == 0 || !skip_char(&body, '/'))
		return false;
	subtype = take_token(&body, "/;\"(=");
	if (subtype.len == 0)
		return false;
	*type_r = arena_span(a, span_head(type, MIME_VALUE_MAX));
	*subtype_r = arena_span(a, span_head(subtype, MIME_VALUE_MAX));
	take_params(a, body, params_r);
	return true;
}

bool mime_disposition_parse(struct arena *a, struct span body, struct span *value_r, struct mime_params *params_r)
{
	struct span value = take_token(&body, ";\"(=");

	if (value.len == 0)
		return false;
	*value_r = arena_span(a, span_head(value, MIME_VALUE_MAX));
	take_params(a, body, params_r);
	return true;
}

/* --- envelope ----------------------------------------------------------------------------------------------------- */

void mime_envelope_parse(struct arena *a, struct span header, struct mime_envelope *env_r)
{
	const struct {
		const char *name;
		struct span *text;
		struct rfc5322_list *list;
	} fields[] = {
		{ "Date", &env_r->date, NULL },
		{ "Subject", &env_r->subject, NULL },
		{ "From", NULL, &env_r->from },
		{ "Sender", NULL, &env_r->sender },
		{ "Reply-To", NULL, &env_r->reply_to },
		{ "To", NULL, &env_r->to },
		{ "Cc", NULL, &env_r->cc },
		{ "Bcc", NULL, &env_r->bcc },
		{ "In-Reply-To", &env_r->in_reply_to, NULL },
		{ "Message-ID", &env_r->message_id, NULL },
	};
	struct header_field f;

	*env_r = (struct mime_envelope){ 0 };
	while (header_next(&header, &f)) {
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
			if (!span_iis(f.name, fields[i].name))
				continue;
			if (fields[i].list && !fields[i].list->truncated)
				rfc5322_list_parse(a, f.body, MIME_ENVELOPE_ADDRS_MAX, fields[i].list);
			else if (fields[i].text && fields[i].text->ptr == NULL)
				*fields[i].text = header_unfold(a, f.body, MIME_ENVELOPE_TEXT_MAX);
			break;
		}
	}
}
