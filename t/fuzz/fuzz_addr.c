/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an envelope path, an internal address, an address list, a host name and a next hop. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/proto/addr.h"
#include "lib/proto/addrlist.h"
#include "lib/proto/mailhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_path(struct arena *a, struct span in, unsigned flags)
{
	struct span rest = in;
	struct addr addr, back;
	enum addr_err err = addr_path_parse(a, &rest, flags, &addr);

	if (err != ADDR_OK) {
		must(rest.ptr == in.ptr && rest.len == in.len);
		return;
	}
	must(rest.len < in.len && (rest.len == 0 || rest.ptr[0] == ' ' || rest.ptr[0] == '\t'));
	must((flags & ADDR_NULL_OK) || addr.local.len > 0);
	/* A strict address written out is a strict address again, and the same. */
	if (addr_is_null(addr) || addr.local.len > ADDR_BYTES_MAX / 4)
		return;
	must(addr_mailbox_parse(a, addr_external(a, addr), flags & ADDR_STRICT, &back) == ADDR_OK);
	must(addr_eq(addr, back));
}

static void try_internal(struct arena *a, struct span in)
{
	struct addr addr = addr_split(in);
	struct span user, ext;

	must(span_eq(addr_internal(a, addr), in) || (in.len && in.ptr[in.len - 1] == '@'));
	addr_quote(a, in);
	if (addr_split_ext(addr.local, SPAN("+-"), &user, &ext))
		must(user.len > 0 && user.len + 1 + ext.len == addr.local.len);
}

static void try_list(struct arena *a, struct span in)
{
	struct rfc5322_list list = { 0 };
	size_t n = 0;
	int depth = 0;

	rfc5322_list_parse(a, in, 1000, &list);
	for (struct rfc5322_addr *at = list.first; at; at = at->next) {
		n++;
		depth += (at->kind == RFC5322_GROUP_START) - (at->kind == RFC5322_GROUP_END);
		must(depth == 0 || depth == 1);
		must(span_chr(at->host, '\n') < 0 && span_chr(at->mailbox, '\n') < 0 && span_chr(at->name, '\n') < 0);
	}
	must(n == list.count && n <= 1000 && (depth == 0 || list.truncated));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = ARENA_INIT;
	struct span in = span_of((const char *)data, size);
	struct mailhost_hop hop;

	for (unsigned flags = 0; flags < 4; flags++)
		try_path(&a, in, flags);
	try_internal(&a, in);
	try_list(&a, in);
	mailhost_helo_kind(in);
	if (mailhost_hop_parse(in, &hop))
		must(hop.host.len > 0);
	arena_free(&a);
	return 0;
}
