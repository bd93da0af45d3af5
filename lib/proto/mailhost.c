/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/mailhost.h"

#include "lib/base/utf8.h"
#include "lib/proto/addr.h"

static bool label_valid(struct span label)
{
	if (label.len == 0 || label.len > MAILHOST_LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];

		if (!ascii_isalnum(c) && c != '-' && c != '_' && (unsigned char)c < 0x80)
			return false;
	}
	return true;
}

static bool all_numeric(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_isdigit(name.ptr[i]) && name.ptr[i] != '.')
			return false;
	return true;
}

bool mailhost_name_valid(struct span name)
{
	if (name.len && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > MAILHOST_NAME_MAX || name.ptr[name.len - 1] == '.' || all_numeric(name) ||
	    !utf8_valid(name))
		return false;
	while (name.len)
		if (!label_valid(span_cut(&name, '.')))
			return false;
	return true;
}

bool mailhost_fqdn_valid(struct span name)
{
	ptrdiff_t dot = span_chr(name, '.');

	return mailhost_name_valid(name) && dot >= 0 && (size_t)dot + 1 < name.len;
}

bool mailhost_literal_valid(struct span text)
{
	struct addr_ip ip;

	return addr_literal_parse(text, &ip);
}

bool mailhost_ip_valid(struct span text)
{
	struct addr_ip ip;

	return addr_ip_parse(text, &ip);
}

enum mailhost_helo mailhost_helo_kind(struct span helo)
{
	if (helo.len && helo.ptr[0] == '[')
		return mailhost_literal_valid(helo) ? MAILHOST_HELO_LITERAL : MAILHOST_HELO_INVALID;
	if (mailhost_ip_valid(helo))
		return MAILHOST_HELO_BARE_IP;
	if (mailhost_fqdn_valid(helo))
		return MAILHOST_HELO_FQDN;
	return mailhost_name_valid(helo) ? MAILHOST_HELO_SHORT : MAILHOST_HELO_INVALID;
}

static bool service_valid(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_isalnum(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	return s.len > 0;
}

/* What follows the host: nothing, or ":service". */
static bool take_service(struct span rest, struct span *service_r)
{
	*service_r = span_skip(rest, 1);
	return rest.len == 0 || (rest.ptr[0] == ':' && service_valid(*service_r));
}

static bool hop_in_brackets(struct span text, struct mailhost_hop *hop_r)
{
	ptrdiff_t close = span_chr(text, ']');

	if (close < 0)
		return false;
	hop_r->no_mx = true;
	hop_r->host = span_of(text.ptr + 1, (size_t)close - 1);
	if (span_istarts(hop_r->host, "ipv6:"))
		hop_r->host = span_skip(hop_r->host, 5);
	if (!mailhost_ip_valid(hop_r->host) && !mailhost_name_valid(hop_r->host))
		return false;
	return take_service(span_skip(text, (size_t)close + 1), &hop_r->service);
}

bool mailhost_hop_parse(struct span text, struct mailhost_hop *hop_r)
{
	ptrdiff_t colon = span_chr(text, ':');

	*hop_r = (struct mailhost_hop){ 0 };
	if (text.len && text.ptr[0] == '[')
		return hop_in_brackets(text, hop_r);
	hop_r->host = span_head(text, colon < 0 ? text.len : (size_t)colon);
	return mailhost_name_valid(hop_r->host) && take_service(span_skip(text, hop_r->host.len), &hop_r->service);
}
