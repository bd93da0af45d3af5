/* SPDX-License-Identifier: BSD-2-Clause */
/* $user and friends in forward_path and luser_relay: expanded per delivery, from values that came from outside. */
#include "local/local.h"

#include <string.h>

#include "lib/conf/conf.h"
#include "lib/conf/expand.h"
#include "lib/conf/raw.h"
#include "lib/proto/addr.h"

bool expand_char_safe(char c)
{
	return ascii_isalnum(c) || (c != '\0' && strchr("!@%-_=+:,./^#~", c) != NULL);
}

static bool all_safe(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!expand_char_safe(s.ptr[i]))
			return false;
	return span_find(s, SPAN("../")) < 0;
}

static bool lookup(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	const struct expand_names *n = e->ctx;
	struct span delimiter = span_head(span_cstr(conf->recipient_delimiter), 1);
	struct addr rcpt = addr_split(n->recipient);
	const struct {
		const char *name;
		struct span value;
	} table[] = {
		{ "user", n->user },
		{ "home", span_cstr(n->home) },
		{ "shell", span_cstr(n->shell) },
		{ "extension", n->ext },
		{ "recipient", n->recipient },
		{ "domain", n->domain },
		{ "local", rcpt.local },
		{ "recipient_delimiter", n->ext.len > 0 ? delimiter : SPAN_NONE },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (!span_is(name, table[i].name))
			continue;
		*value_r = table[i].value;
		if (!all_safe(*value_r))
			e->error = "unsafe characters";
		return value_r->len > 0;
	}
	*value_r = span_cstr(conf_value(conf, a, arena_cstr(a, name)));
	return value_r->len > 0;
}

const char *expand_parameter(struct arena *a, const char *parameter, const struct expand_names *n)
{
	struct conf_entry *entry = raw_get(conf->raw, span_cstr(parameter));
	struct expand e = { .lookup = lookup, .ctx = (void *)(uintptr_t)n, .a = a };
	const char *text;

	if (!entry)
		return "";
	text = expand_text(&e, span_cstr(entry->value));
	return e.error ? NULL : text;
}
