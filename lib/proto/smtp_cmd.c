/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/smtp_cmd.h"

#include <string.h>

#include "lib/base/utf8.h"

static const char *const verb_names[SMTP_VERBS] = {
	[SMTP_VERB_UNKNOWN] = "UNKNOWN",   [SMTP_VERB_EHLO] = "EHLO", [SMTP_VERB_HELO] = "HELO",
	[SMTP_VERB_LHLO] = "LHLO",         [SMTP_VERB_MAIL] = "MAIL", [SMTP_VERB_RCPT] = "RCPT",
	[SMTP_VERB_DATA] = "DATA",         [SMTP_VERB_BDAT] = "BDAT", [SMTP_VERB_RSET] = "RSET",
	[SMTP_VERB_NOOP] = "NOOP",         [SMTP_VERB_VRFY] = "VRFY", [SMTP_VERB_EXPN] = "EXPN",
	[SMTP_VERB_HELP] = "HELP",         [SMTP_VERB_QUIT] = "QUIT", [SMTP_VERB_STARTTLS] = "STARTTLS",
	[SMTP_VERB_AUTH] = "AUTH",         [SMTP_VERB_ETRN] = "ETRN", [SMTP_VERB_XCLIENT] = "XCLIENT",
	[SMTP_VERB_XFORWARD] = "XFORWARD",
};

/* %s: the detail. */
static const char *const replies[] = {
	[SMTP_CMD_OK] = "250 2.0.0 Ok",
	[SMTP_CMD_BAD_SYNTAX] = "500 5.5.2 Error: bad syntax",
	[SMTP_CMD_BAD_UTF8] = "500 5.5.2 Error: bad UTF-8 syntax",
	[SMTP_CMD_MAIL_SYNTAX] = "501 5.5.4 Syntax: MAIL FROM:<address>",
	[SMTP_CMD_RCPT_SYNTAX] = "501 5.5.4 Syntax: RCPT TO:<address>",
	[SMTP_CMD_BAD_SENDER] = "501 5.1.7 Bad sender address syntax",
	[SMTP_CMD_BAD_RECIPIENT] = "501 5.1.3 Bad recipient address syntax",
	[SMTP_CMD_OPTION] = "555 5.5.4 Unsupported option: ",
	[SMTP_CMD_BAD_SIZE] = "501 5.5.4 Bad message size syntax",
	[SMTP_CMD_SIZE_TOO_BIG] = "552 5.3.4 Message size exceeds file system imposed limit",
	[SMTP_CMD_AUTH_TWICE] = "503 5.5.4 Error: multiple AUTH= options",
	[SMTP_CMD_BAD_AUTH] = "501 5.5.4 Bad AUTH parameter syntax",
	[SMTP_CMD_BAD_RET] = "501 5.5.4 Bad RET parameter syntax",
	[SMTP_CMD_BAD_ENVID] = "501 5.5.4 Bad ENVID parameter syntax",
	[SMTP_CMD_BAD_NOTIFY] = "501 5.5.4 Error: Bad NOTIFY parameter syntax",
	[SMTP_CMD_BAD_ORCPT] = "501 5.5.4 Error: Bad ORCPT parameter syntax",
	[SMTP_CMD_BAD_BDAT] = "521 5.5.4 Syntax: BDAT count [LAST]",
	[SMTP_CMD_NEED_UTF8] = "553 5.6.7 Must declare SMTPUTF8 to send unicode address",
};

struct span smtp_cmd_reply(struct arena *a, enum smtp_cmd_err err, struct span detail)
{
	const char *text = replies[err];
	size_t len = strlen(text);
	char *to;

	if (err != SMTP_CMD_OPTION)
		return span_of(text, len);
	detail = span_head(detail, 200); /* a reply line has 512 octets */
	to = arena_alloc(a, len + detail.len + 1);
	memcpy(to, text, len);
	if (detail.len)
		memcpy(to + len, detail.ptr, detail.len);
	return span_of(to, len + detail.len);
}

const char *smtp_verb_str(enum smtp_verb verb)
{
	return verb_names[verb];
}

static enum smtp_verb verb_of(struct span word)
{
	for (int v = SMTP_VERB_UNKNOWN + 1; v < SMTP_VERBS; v++)
		if (span_iis(word, verb_names[v]))
			return (enum smtp_verb)v;
	return SMTP_VERB_UNKNOWN;
}

enum smtp_cmd_err smtp_cmd_parse(struct span line, struct smtp_cmd *cmd_r)
{
	*cmd_r = (struct smtp_cmd){ 0 };
	for (size_t i = 0; i < line.len; i++)
		if (ascii_iscntrl(line.ptr[i]) && line.ptr[i] != '\t')
			return SMTP_CMD_BAD_SYNTAX;
	if (!utf8_valid(line))
		return SMTP_CMD_BAD_UTF8;
	if (!span_word(&line, " \t", &cmd_r->word))
		return SMTP_CMD_BAD_SYNTAX;
	cmd_r->args = span_trim(line);
	cmd_r->verb = verb_of(cmd_r->word);
	return SMTP_CMD_OK;
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

/* One command's parameters while they are read. */
struct parse {
	struct arena *arena;
	unsigned flags;
	struct smtp_param others[SMTP_PARAMS_MAX];
	size_t nothers;
	void *into; /* struct smtp_mail or struct smtp_rcpt */
	bool notify_seen;
};

typedef enum smtp_cmd_err param_fn(struct parse *p, struct span value);

struct param_kind {
	const char *name;
	param_fn *fn;
};

static bool printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] > '~')
			return false;
	return true;
}

/* Decoded xtext that may go on: +00 or half a UTF-8 character would be news to everything behind. */
static bool is_text(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_iscntrl(s.ptr[i]))
			return false;
	return utf8_valid(s);
}

static enum smtp_cmd_err mail_size(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (value.len == 0)
		return SMTP_CMD_BAD_SIZE;
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_isdigit(value.ptr[i]))
			return SMTP_CMD_BAD_SIZE;
	if (!span_u64(value, INT64_MAX, &m->size))
		return SMTP_CMD_SIZE_TOO_BIG;
	m->has_size = true;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_body(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (span_iis(value, "7BIT"))
		m->body = SMTP_BODY_7BIT;
	else if (span_iis(value, "8BITMIME"))
		m->body = SMTP_BODY_8BITMIME;
	else if (span_iis(value, "BINARYMIME") && (p->flags & SMTP_PARSE_OTHERS))
		m->body = SMTP_BODY_BINARYMIME;
	else
		return SMTP_CMD_OPTION;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_utf8(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (value.ptr)
		return SMTP_CMD_OPTION;
	m->smtputf8 = true;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_auth(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (m->has_auth)
		return SMTP_CMD_AUTH_TWICE;
	if (value.len == 0 || !xtext_decode(p->arena, value, &m->auth) || !is_text(m->auth))
		return SMTP_CMD_BAD_AUTH;
	m->has_auth = true;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_ret(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (m->ret == SMTP_RET_NONE && span_iis(value, "FULL"))
		m->ret = SMTP_RET_FULL;
	else if (m->ret == SMTP_RET_NONE && span_iis(value, "HDRS"))
		m->ret = SMTP_RET_HDRS;
	else
		return SMTP_CMD_BAD_RET;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_envid(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	if (m->envid.len || value.len == 0 || !xtext_decode(p->arena, value, &m->envid) || !printable(m->envid))
		return SMTP_CMD_BAD_ENVID;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err mail_verp(struct parse *p, struct span value)
{
	struct smtp_mail *m = p->into;

	m->has_verp = true;
	m->verp = value;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err rcpt_notify(struct parse *p, struct span value)
{
	struct smtp_rcpt *r = p->into;

	if (p->notify_seen || !smtp_notify_parse(value, &r->notify))
		return SMTP_CMD_BAD_NOTIFY;
	p->notify_seen = true;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err rcpt_orcpt(struct parse *p, struct span value)
{
	struct smtp_rcpt *r = p->into;

	if (r->orcpt_type.len || !smtp_orcpt_parse(p->arena, value, &r->orcpt_type, &r->orcpt_addr))
		return SMTP_CMD_BAD_ORCPT;
	return SMTP_CMD_OK;
}

static const struct param_kind mail_params[] = {
	{ "SIZE", mail_size }, { "BODY", mail_body }, { "SMTPUTF8", mail_utf8 },
	{ "AUTH", mail_auth }, { "RET", mail_ret },   { "ENVID", mail_envid },
	{ "XVERP", mail_verp },
	{ NULL, NULL },
};

static const struct param_kind rcpt_params[] = {
	{ "NOTIFY", rcpt_notify },
	{ "ORCPT", rcpt_orcpt },
	{ NULL, NULL },
};

static enum smtp_cmd_err parse_other(struct parse *p, struct smtp_param param)
{
	if (!(p->flags & SMTP_PARSE_OTHERS) || p->nothers == SMTP_PARAMS_MAX)
		return SMTP_CMD_OPTION;
	p->others[p->nothers++] = param;
	return SMTP_CMD_OK;
}

static enum smtp_cmd_err parse_param(struct parse *p, const struct param_kind *kinds, struct span word)
{
	ptrdiff_t eq = span_chr(word, '=');
	struct smtp_param param = { word, SPAN_NONE };

	if (eq >= 0) {
		param.name = span_head(word, (size_t)eq);
		param.value = span_of(word.ptr + eq + 1, word.len - (size_t)eq - 1);
	}
	for (; kinds->name; kinds++)
		if (span_iis(param.name, kinds->name))
			return kinds->fn(p, param.value);
	return parse_other(p, param);
}

static enum smtp_cmd_err parse_params(struct parse *p, const struct param_kind *kinds, struct span rest,
				      struct span *detail_r)
{
	struct span word;

	while (span_word(&rest, " \t", &word)) {
		enum smtp_cmd_err err = parse_param(p, kinds, word);

		if (err != SMTP_CMD_OK) {
			*detail_r = word;
			return err;
		}
	}
	return SMTP_CMD_OK;
}

static struct smtp_param *keep_others(struct parse *p)
{
	struct smtp_param *copy = p->nothers ? arena_array(p->arena, p->nothers, sizeof *copy) : NULL;

	if (copy)
		memcpy(copy, p->others, p->nothers * sizeof *copy);
	return copy;
}

/* Step over "FROM:" or "TO:"; without strictness also "FROM :". */
static bool take_keyword(struct span *args, const char *keyword, unsigned flags)
{
	size_t len = strlen(keyword);

	if (!span_istarts(*args, keyword))
		return false;
	*args = span_skip(*args, len);
	while (!(flags & SMTP_PARSE_STRICT) && args->len && (args->ptr[0] == ' ' || args->ptr[0] == '\t'))
		*args = span_skip(*args, 1);
	if (args->len == 0 || args->ptr[0] != ':')
		return false;
	*args = span_skip(*args, 1);
	return span_trim(*args).len > 0;
}

enum smtp_cmd_err smtp_mail_parse(struct arena *a, struct span args, unsigned flags, struct smtp_mail *mail_r,
				  struct span *detail_r)
{
	struct parse p = { .arena = a, .flags = flags, .into = mail_r };
	unsigned how = ADDR_NULL_OK | (flags & SMTP_PARSE_STRICT ? ADDR_STRICT : ADDR_LENIENT);
	enum smtp_cmd_err err;

	*mail_r = (struct smtp_mail){ 0 };
	*detail_r = args;
	if (!take_keyword(&args, "FROM", flags))
		return SMTP_CMD_MAIL_SYNTAX;
	if (addr_path_parse(a, &args, how, &mail_r->from) != ADDR_OK)
		return SMTP_CMD_BAD_SENDER;
	err = parse_params(&p, mail_params, args, detail_r);
	if (err != SMTP_CMD_OK)
		return err;
	mail_r->others = keep_others(&p);
	mail_r->nothers = p.nothers;
	if (!mail_r->smtputf8 && !(flags & SMTP_PARSE_8BIT_OK) && !addr_is_ascii(mail_r->from))
		return SMTP_CMD_NEED_UTF8;
	return SMTP_CMD_OK;
}

enum smtp_cmd_err smtp_rcpt_parse(struct arena *a, struct span args, unsigned flags, bool utf8,
				  struct smtp_rcpt *rcpt_r, struct span *detail_r)
{
	struct parse p = { .arena = a, .flags = flags, .into = rcpt_r };
	unsigned how = flags & SMTP_PARSE_STRICT ? ADDR_STRICT : ADDR_LENIENT;
	enum smtp_cmd_err err;

	*rcpt_r = (struct smtp_rcpt){ 0 };
	*detail_r = args;
	if (!take_keyword(&args, "TO", flags))
		return SMTP_CMD_RCPT_SYNTAX;
	if (addr_path_parse(a, &args, how, &rcpt_r->to) != ADDR_OK)
		return SMTP_CMD_BAD_RECIPIENT;
	err = parse_params(&p, rcpt_params, args, detail_r);
	if (err != SMTP_CMD_OK)
		return err;
	rcpt_r->others = keep_others(&p);
	rcpt_r->nothers = p.nothers;
	if (!utf8 && !(flags & SMTP_PARSE_8BIT_OK) && !addr_is_ascii(rcpt_r->to))
		return SMTP_CMD_NEED_UTF8;
	return SMTP_CMD_OK;
}

enum smtp_cmd_err smtp_bdat_parse(struct span args, uint64_t *size_r, bool *last_r)
{
	struct span size, last;

	*last_r = false;
	if (!span_word(&args, " \t", &size) || !span_u64(size, INT64_MAX, size_r))
		return SMTP_CMD_BAD_BDAT;
	if (!span_word(&args, " \t", &last))
		return SMTP_CMD_OK;
	*last_r = span_iis(last, "LAST");
	return *last_r && span_trim(args).len == 0 ? SMTP_CMD_OK : SMTP_CMD_BAD_BDAT;
}

bool smtp_notify_parse(struct span s, unsigned *notify_r)
{
	unsigned bits = 0;
	bool more = true;

	while (more) {
		struct span word;

		more = span_chr(s, ',') >= 0;
		word = span_cut(&s, ',');
		if (span_iis(word, "NEVER"))
			bits |= SMTP_NOTIFY_NEVER;
		else if (span_iis(word, "SUCCESS"))
			bits |= SMTP_NOTIFY_SUCCESS;
		else if (span_iis(word, "FAILURE"))
			bits |= SMTP_NOTIFY_FAILURE;
		else if (span_iis(word, "DELAY"))
			bits |= SMTP_NOTIFY_DELAY;
		else
			return false;
	}
	*notify_r = bits;
	return !(bits & SMTP_NOTIFY_NEVER) || bits == SMTP_NOTIFY_NEVER;
}

bool smtp_orcpt_parse(struct arena *a, struct span s, struct span *type_r, struct span *addr_r)
{
	ptrdiff_t semi = span_chr(s, ';');
	struct span type, addr;

	if (semi <= 0 || !utf8_valid(s))
		return false;
	type = span_head(s, (size_t)semi);
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_isalnum(type.ptr[i]) && type.ptr[i] != '-')
			return false;
	if (!xtext_decode(a, span_skip(s, (size_t)semi + 1), &addr) || addr.len == 0 || !is_text(addr))
		return false;
	*type_r = type;
	*addr_r = addr;
	return true;
}
