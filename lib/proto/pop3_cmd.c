/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/pop3_cmd.h"

#include <string.h>

static const char *const verbs[POP3_VERBS] = {
	[POP3_UNKNOWN] = "UNKNOWN", [POP3_USER] = "USER", [POP3_PASS] = "PASS", [POP3_AUTH] = "AUTH",
	[POP3_CAPA] = "CAPA",       [POP3_STLS] = "STLS", [POP3_QUIT] = "QUIT", [POP3_STAT] = "STAT",
	[POP3_LIST] = "LIST",       [POP3_RETR] = "RETR", [POP3_DELE] = "DELE", [POP3_RSET] = "RSET",
	[POP3_NOOP] = "NOOP",       [POP3_TOP] = "TOP",   [POP3_UIDL] = "UIDL", [POP3_LAST] = "LAST",
	[POP3_APOP] = "APOP",       [POP3_UTF8] = "UTF8", [POP3_LANG] = "LANG",
};

const char *pop3_verb_str(enum pop3_verb verb)
{
	return verbs[verb];
}

static bool has_control(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (ascii_iscntrl(line.ptr[i]) && line.ptr[i] != '\t')
			return true;
	return false;
}

enum pop3_cmd_err pop3_cmd_parse(struct span line, struct pop3_cmd *cmd_r)
{
	*cmd_r = (struct pop3_cmd){ .verb = POP3_UNKNOWN };
	if (has_control(line))
		return POP3_CMD_CONTROL;
	cmd_r->args = line;
	cmd_r->word = span_cut(&cmd_r->args, ' ');
	if (cmd_r->word.len == 0)
		return POP3_CMD_EMPTY;
	for (enum pop3_verb v = POP3_UNKNOWN + 1; v < POP3_VERBS; v++)
		if (span_iis(cmd_r->word, verbs[v]))
			cmd_r->verb = v;
	return POP3_CMD_OK;
}

int pop3_numbers(struct span args, uint32_t *numbers_r, int want)
{
	struct span word;
	int n = 0;

	while (span_word(&args, " \t", &word)) {
		uint64_t value;

		if (n == want)
			return -1;
		for (size_t i = 0; i < word.len; i++)
			if (!ascii_isdigit(word.ptr[i]))
				return -1;
		if (!span_u64(word, UINT32_MAX, &value))
			value = UINT32_MAX;
		numbers_r[n++] = (uint32_t)value;
	}
	return n;
}

/* Offset behind the line that starts at `at'. */
static size_t after_line(struct span raw, size_t at)
{
	const char *lf = memchr(raw.ptr + at, '\n', raw.len - at);

	return lf ? (size_t)(lf - raw.ptr) + 1 : raw.len;
}

size_t pop3_top_length(struct span raw, uint32_t lines)
{
	size_t at = 0;

	while (at < raw.len) {
		size_t next = after_line(raw, at), len = next - at;
		bool blank = raw.ptr[at] == '\n' || (len == 2 && raw.ptr[at] == '\r' && raw.ptr[at + 1] == '\n');

		at = next;
		if (blank)
			break;
	}
	for (; lines > 0 && at < raw.len; lines--)
		at = after_line(raw, at);
	return at;
}

void pop3_put_capabilities(struct buf *out, uint64_t login_delay_s, uint64_t expire_days)
{
	buf_adds(out, "CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nUTF8\r\nLANG\r\n");
	if (expire_days > 0)
		buf_addf(out, "EXPIRE %llu\r\n", (unsigned long long)expire_days);
	else
		buf_adds(out, "EXPIRE NEVER\r\n");
	if (login_delay_s > 0)
		buf_addf(out, "LOGIN-DELAY %llu\r\n", (unsigned long long)login_delay_s);
}

const char *pop3_lang_answer(struct span args)
{
	struct span range = span_trim(args);

	if (range.len == 0)
		return "+OK The languages are:\r\nen English\r\ni-default Default language\r\n.\r\n";
	if (span_iis(range, "i-default"))
		return "+OK i-default That is English.\r\n";
	if (span_iis(range, "en") || span_istarts(range, "en-") || span_is(range, "*"))
		return "+OK en English it is.\r\n";
	return "-ERR There is only English here.\r\n";
}
