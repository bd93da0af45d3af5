/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

enum { MESSAGES_MAX = 1 << 20 };

const struct conf *_Atomic conf;

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool read_maincf(struct conf_raw *raw, struct buf *messages)
{
	struct buf text;
	bool ok;

	buf_init(&text, LINES_FILE_MAX);
	ok = lines_read_file(raw->file, &text) == 0;
	if (!ok)
		buf_addf(messages, "error: %s: %s\n", raw->file, strerror(errno));
	else
		ok = raw_parse_text(raw, buf_span(&text), messages);
	buf_free(&text);
	return ok;
}

/* Length of "$name", "${name}" or "$(name)" at the start of s, 0: something else. */
static size_t own_name(struct span s, struct span name)
{
	bool braces = s.len > 1 && (s.ptr[1] == '{' || s.ptr[1] == '(');
	size_t from = braces ? 2 : 1, end = from + name.len;
	char next = s.len > end ? s.ptr[end] : '\0';

	if (s.len < end || s.ptr[0] != '$' || !span_eq(span_of(s.ptr + from, name.len), name))
		return 0;
	if (braces)
		return next == (s.ptr[1] == '{' ? '}' : ')') ? end + 1 : 0;
	return ascii_isalnum(next) || next == '_' ? 0 : end;
}

/* An override may name the parameter that it overrides: "-o syslog_name=$syslog_name/submission". */
static struct span with_own_value(struct conf_raw *raw, struct span name, struct span value)
{
	const struct conf_entry *e = raw_get(raw, name);
	struct span result;
	struct buf b;

	if (e == NULL || span_chr(value, '$') < 0)
		return value;
	buf_init(&b, LINES_LINE_MAX);
	for (size_t i = 0, n; i < value.len; i += n) {
		n = own_name(span_skip(value, i), name);
		if (n)
			buf_adds(&b, e->value);
		else
			buf_addc(&b, value.ptr[i]);
		n += n == 0;
	}
	result = arena_span(&raw->arena, buf_span(&b));
	buf_free(&b);
	return result;
}

static bool apply_overrides(struct conf_raw *raw, const char *const *overrides, size_t n, struct buf *messages)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		struct span name, value;
		const char *wrong = raw_parse_assignment(span_trim(span_cstr(overrides[i])), &name, &value);
		const char *where = arena_printf(&raw->arena, "-o %s", overrides[i]);

		if (wrong)
			buf_addf(messages, "error: %s: %s\n", where, wrong);
		else
			raw_set(raw, name, with_own_value(raw, name, value), where);
		ok = ok && wrong == NULL;
	}
	return ok;
}

/* --- from text to fields ------------------------------------------------------------------------------------------ */

static const char *set_number(const struct conf_param *p, int64_t *field, const char *text, struct arena *a)
{
	bool is_time = p->kind == 't';
	const char *unit = is_time ? " ms" : "";

	if (is_time ? !conf_parse_time_ms(span_cstr(text), p->unit, field) : !conf_parse_int(span_cstr(text), field))
		return is_time ? "a time is expected, a number with s, m, h, d or w" : "a number is expected";
	if (*field < p->min)
		return arena_printf(a, "must not be less than %lld%s", (long long)p->min, unit);
	if (*field > p->max)
		return arena_printf(a, "must not be more than %lld%s", (long long)p->max, unit);
	return NULL;
}

static const char *set_field(struct conf *c, const struct conf_param *p, const char *text)
{
	void *field = (char *)c + p->offset;

	switch (p->kind) {
	case 'b':
		return conf_parse_bool(span_cstr(text), field) ? NULL : "yes or no is expected";
	case 'i':
	case 't':
		return set_number(p, field, text, &c->raw->arena);
	default:
		*(const char **)field = text;
		return NULL;
	}
}

static bool fill_entry(struct conf *c, const struct conf_entry *e, struct buf *messages)
{
	struct span undefined;
	const char *error, *text = raw_value(c->raw, &c->raw->arena, span_cstr(e->name), &error, &undefined);
	const char *where = e->where ? e->where : "default value";

	if (text == NULL && e->where == NULL)
		return false; /* the default is right: it uses a name whose value is wrong, which is reported there */
	if (text == NULL) {
		buf_addf(messages, "error: %s: %s = %s: %s\n", where, e->name, e->value, error);
		return false;
	}
	if (undefined.len > 0 && e->where)
		buf_addf(messages, "warning: %s: $" SPAN_FMT " is not set anywhere\n", where, SPAN_ARG(undefined));
	error = set_field(c, e->param, text);
	if (error)
		buf_addf(messages, "error: %s: %s = %s: %s\n", where, e->name, text, error);
	return error == NULL;
}

/* smtp_destination_rate_delay and the like have no field; they are looked at so that a wrong one does not wait for its
 * use. */
static bool check_transport_entry(struct conf *c, const struct conf_entry *e, struct buf *messages)
{
	const char *suffix = conf_transport_suffix(span_cstr(e->name)), *error, *text;
	bool is_time;
	int64_t n;

	if (suffix == NULL || strstr(suffix, "feedback") || conf_is_foreign(span_cstr(e->name)))
		return true;
	is_time = span_ends(span_cstr(suffix), "_delay") || span_ends(span_cstr(suffix), "_time_limit");
	text = raw_value(c->raw, &c->raw->arena, span_cstr(e->name), &error, NULL);
	if (text && (is_time ? conf_parse_time_ms(span_cstr(text), 's', &n) : conf_parse_int(span_cstr(text), &n)))
		return true;
	if (text)
		error = is_time ? "a time is expected, a number with s, m, h, d or w" : "a number is expected";
	buf_addf(messages, "error: %s: %s = %s: %s\n", e->where, e->name, e->value, error);
	return false;
}

static bool fill(struct conf *c, struct buf *messages)
{
	bool ok = true;

	for (size_t i = 0; i < c->raw->count; i++) {
		const struct conf_entry *e = c->raw->entries[i];

		ok = (e->param ? fill_entry(c, e, messages) : check_transport_entry(c, e, messages)) && ok;
	}
	return ok;
}

/* Values that depend on $stress, as they are under stress. What is wrong with them in any case was said before. */
static bool fill_stressed(struct conf *c, struct buf *messages)
{
	struct conf_entry *stress = raw_get(c->raw, SPAN("stress"));
	struct conf *s = arena_alloc(&c->raw->arena, sizeof *s);
	const char *calm = stress->value;
	struct buf found;
	struct span rest, line;
	bool ok = true;

	buf_init(&found, MESSAGES_MAX);
	memcpy(s, c, sizeof *s);
	stress->value = "yes";
	for (size_t i = 0; i < c->raw->count; i++) {
		const struct conf_entry *e = c->raw->entries[i];

		if (e->param && (e == stress || strchr(e->value, '$')))
			ok = fill_entry(s, e, &found) && ok;
	}
	stress->value = calm;
	rest = buf_span(&found);
	while (!ok && span_word(&rest, "\n", &line))
		if (span_starts(line, "error: "))
			buf_addf(messages, SPAN_FMT " (under stress)\n", SPAN_ARG(line));
	buf_free(&found);
	s->stressed = c->stressed = s;
	return ok;
}

enum conf_status conf_load(const char *dir, const char *const *overrides, size_t noverrides, struct conf **out,
			   struct buf *messages)
{
	struct conf *c = mem_zalloc(sizeof *c);
	size_t before = messages->len;
	bool ok;

	c->raw = raw_new(dir);
	ok = read_maincf(c->raw, messages);
	ok = apply_overrides(c->raw, overrides, noverrides, messages) && ok;
	ok = raw_derive(c->raw, messages) && ok;
	ok = raw_check_names(c->raw, messages) && ok;
	ok = fill(c, messages) && ok;
	ok = ok && fill_stressed(c, messages);
	if (!ok) {
		conf_free(c);
		return CONF_ERROR;
	}
	*out = c;
	return messages->len > before ? CONF_WARN : CONF_OK;
}

void conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	raw_free(c->raw);
	free(c);
}

/* --- for programs ------------------------------------------------------------------------------------------------- */

const char *conf_dir(const char *option)
{
	const char *env = getauxval(AT_SECURE) ? NULL : getenv("MAIL_CONFIG");

	return option ? option : env && *env ? env : CONFIG_DIR;
}

void conf_load_or_die(const char *dir)
{
	struct conf *c;
	struct buf messages;
	struct span rest, line;

	buf_init(&messages, MESSAGES_MAX);
	if (conf_load(dir, NULL, 0, &c, &messages) != CONF_ERROR) {
		buf_free(&messages);
		conf = c;
		return;
	}
	rest = buf_span(&messages);
	while (span_word(&rest, "\n", &line))
		if (span_starts(line, "error: "))
			log_error(SPAN_FMT, SPAN_ARG(span_skip(line, strlen("error: "))));
	log_fatal("the configuration in %s cannot be used", dir);
}

bool conf_unprivileged(const struct conf *c)
{
	return strcmp(c->unprivileged_mode, "yes") == 0;
}

/* --- transports --------------------------------------------------------------------------------------------------- */

static const char *transport_value(const struct conf *c, struct arena *a, const char *transport, const char *suffix)
{
	return conf_value(c, a, arena_printf(a, "%s%s", transport, suffix));
}

int64_t conf_transport_int(const struct conf *c, const char *transport, const char *suffix, int64_t fallback)
{
	struct arena a = ARENA_INIT;
	const char *text = transport_value(c, &a, transport, suffix);
	int64_t n = fallback;

	if (text && !conf_parse_int(span_cstr(text), &n)) {
		log_warn("%s%s = %s: a number is expected", transport, suffix, text);
		n = fallback;
	}
	arena_free(&a);
	return n;
}

int64_t conf_transport_time_ms(const struct conf *c, const char *transport, const char *suffix, int64_t fallback_ms)
{
	struct arena a = ARENA_INIT;
	const char *text = transport_value(c, &a, transport, suffix);
	int64_t ms = fallback_ms;

	if (text && !conf_parse_time_ms(span_cstr(text), 's', &ms)) {
		log_warn("%s%s = %s: a time is expected, a number with s, m, h, d or w", transport, suffix, text);
		ms = fallback_ms;
	}
	arena_free(&a);
	return ms;
}
