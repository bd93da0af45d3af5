/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/proxy_header.h"

#include <string.h>
#include <sys/socket.h>

enum { V1_MAX = 107, V1_MIN = 15, V2_FIXED = 16 }; /* "PROXY UNKNOWN" CRLF */

static const char v2_signature[12] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

static bool v1_port(struct span *rest, uint16_t *port_r)
{
	uint64_t port;
	struct span word = span_cut(rest, ' ');

	if (!span_u64(word, 65535, &port) || (word.len > 1 && word.ptr[0] == '0'))
		return false;
	*port_r = (uint16_t)port;
	return true;
}

/* "PROXY TCP4 1.2.3.4 5.6.7.8 1234 25" */
static enum proxy_status v1_line(struct span line, struct proxy_header *h)
{
	int family;

	if (!span_is(span_cut(&line, ' '), "PROXY"))
		return PROXY_BAD;
	if (span_is(line, "UNKNOWN") || span_starts(line, "UNKNOWN ")) {
		h->local = true;
		return PROXY_OK;
	}
	if (span_starts(line, "TCP4 "))
		family = AF_INET;
	else if (span_starts(line, "TCP6 "))
		family = AF_INET6;
	else
		return PROXY_BAD;
	line = span_skip(line, 5);
	if (!addr_ip_parse(span_cut(&line, ' '), &h->client) || !addr_ip_parse(span_cut(&line, ' '), &h->server) ||
	    h->client.family != family || h->server.family != family)
		return PROXY_BAD;
	return v1_port(&line, &h->client_port) && v1_port(&line, &h->server_port) && line.len == 0 ? PROXY_OK : PROXY_BAD;
}

static enum proxy_status read_v1(struct span bytes, struct proxy_header *h, size_t *want)
{
	static const char start[] = "PROXY ";
	size_t n = bytes.len < sizeof start - 1 ? bytes.len : sizeof start - 1;

	if (memcmp(bytes.ptr, start, n) != 0)
		return PROXY_BAD;
	if (bytes.len < V1_MIN) {
		*want = V1_MIN - bytes.len;
		return span_chr(bytes, '\n') < 0 ? PROXY_MORE : PROXY_BAD;
	}
	if (bytes.ptr[bytes.len - 1] != '\n') {
		*want = 1;
		return bytes.len < V1_MAX && span_chr(bytes, '\n') < 0 ? PROXY_MORE : PROXY_BAD;
	}
	if (bytes.ptr[bytes.len - 2] != '\r')
		return PROXY_BAD;
	return v1_line(span_head(bytes, bytes.len - 2), h);
}

static uint16_t port_at(const char *p)
{
	return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static enum proxy_status v2_addresses(struct span data, size_t bytes, int family, struct proxy_header *h)
{
	if (data.len < 2 * bytes + 4)
		return PROXY_BAD;
	h->client.family = h->server.family = family;
	memcpy(h->client.bytes, data.ptr, bytes);
	memcpy(h->server.bytes, data.ptr + bytes, bytes);
	h->client_port = port_at(data.ptr + 2 * bytes);
	h->server_port = port_at(data.ptr + 2 * bytes + 2);
	return PROXY_OK;
}

static enum proxy_status read_v2(struct span bytes, struct proxy_header *h, size_t *want)
{
	size_t n = bytes.len < sizeof v2_signature ? bytes.len : sizeof v2_signature;
	unsigned version, command, family;
	size_t length;

	if (memcmp(bytes.ptr, v2_signature, n) != 0)
		return PROXY_BAD;
	if (bytes.len < V2_FIXED) {
		*want = V2_FIXED - bytes.len;
		return PROXY_MORE;
	}
	version = (unsigned char)bytes.ptr[12] >> 4;
	command = (unsigned char)bytes.ptr[12] & 15;
	family = (unsigned char)bytes.ptr[13];
	length = port_at(bytes.ptr + 14);
	if (version != 2 || command > 1 || length > PROXY_HEADER_MAX - V2_FIXED || bytes.len > V2_FIXED + length)
		return PROXY_BAD;
	if (bytes.len < V2_FIXED + length) {
		*want = V2_FIXED + length - bytes.len;
		return PROXY_MORE;
	}
	h->local = command == 0 || (family != 0x11 && family != 0x21);
	if (h->local)
		return PROXY_OK;
	return v2_addresses(span_skip(bytes, V2_FIXED), family == 0x11 ? 4 : 16, family == 0x11 ? AF_INET : AF_INET6, h);
}

enum proxy_status proxy_header_read(struct span bytes, struct proxy_header *h, size_t *want)
{
	*h = (struct proxy_header){ .local = false };
	*want = 1;
	if (bytes.len == 0)
		return PROXY_MORE;
	return bytes.ptr[0] == '\r' ? read_v2(bytes, h, want) : read_v1(bytes, h, want);
}
