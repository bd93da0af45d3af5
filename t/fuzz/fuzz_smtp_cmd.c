/* SPDX-License-Identifier: BSD-2-Clause */
/* One command line: what is accepted holds no control bytes and can be said again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/proto/smtp_cmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_controls(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		must(!ascii_iscntrl(s.ptr[i]));
}

static void check_reply(struct arena *a, enum smtp_cmd_err err, struct span detail)
{
	struct span reply = smtp_cmd_reply(a, err, detail);

	must(reply.len > 4 && reply.len < 510 && span_chr(reply, '\n') < 0 && span_chr(reply, '\r') < 0);
}

static void same_again(struct arena *a, struct addr addr)
{
	struct addr back;

	no_controls(addr.local);
	no_controls(addr.domain);
	if (addr_is_null(addr))
		return;
	must(addr_mailbox_parse(a, addr_external(a, addr), 0, &back) == ADDR_OK);
	must(span_eq(back.local, addr.local) && span_eq(back.domain, addr.domain));
}

static void try_mail(struct arena *a, struct span args, unsigned flags)
{
	struct smtp_mail m;
	struct span detail;
	enum smtp_cmd_err err = smtp_mail_parse(a, args, flags, &m, &detail);

	if (err != SMTP_CMD_OK) {
		check_reply(a, err, detail);
		return;
	}
	same_again(a, m.from);
	no_controls(m.envid);
	no_controls(m.auth);
	must(m.nothers <= SMTP_PARAMS_MAX);
}

static void try_rcpt(struct arena *a, struct span args, unsigned flags)
{
	struct smtp_rcpt r;
	struct span detail;
	enum smtp_cmd_err err = smtp_rcpt_parse(a, args, flags, true, &r, &detail);

	if (err != SMTP_CMD_OK) {
		check_reply(a, err, detail);
		return;
	}
	must(r.to.local.len > 0);
	same_again(a, r.to);
	no_controls(r.orcpt_addr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = ARENA_INIT;
	struct smtp_cmd cmd;
	uint64_t n;
	bool last;

	if (smtp_cmd_parse(span_of((const char *)data, size), &cmd) == SMTP_CMD_OK) {
		for (unsigned flags = 0; flags < 8; flags++) {
			try_mail(&a, cmd.args, flags);
			try_rcpt(&a, cmd.args, flags);
		}
		if (smtp_bdat_parse(cmd.args, &n, &last) == SMTP_CMD_OK)
			must(n <= INT64_MAX);
	}
	arena_free(&a);
	return 0;
}
