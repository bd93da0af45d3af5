/* SPDX-License-Identifier: BSD-2-Clause */
/* DATA, RFC 5321 4.1.1.4. Whatever goes wrong, the data is read to its real end before the reply. */
#include "lib/conf/conf.h"
#include "smtpd/access.h"
#include "smtpd/intake.h"

static enum io_status read_content(struct smtpd_session *s, struct intake *in)
{
	while (in->decoder.state != SMTP_DATA_END) {
		struct span have = stream_buffered(s->stream);
		struct span rest = have;
		size_t n;

		if (have.len == 0) {
			enum io_status status = stream_fill(s->stream);

			if (status != IO_OK)
				return status;
			continue;
		}
		n = smtp_data_decode(&in->decoder, &rest, in->out, INTAKE_OUT_BYTES);
		stream_consume(s->stream, have.len - rest.len);
		intake_piece(s, in, span_of(in->out, n));
	}
	return IO_OK;
}

static bool may_come_now(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	const char *why;

	if (within_chunks(s))
		reply(s, "503 5.5.1 Error: DATA after BDAT");
	else if (!s->txn.accepted)
		reply(s, s->txn.have_sender && !smtpd_lmtp ? "554 5.5.1 Error: no valid recipients"
							   : "503 5.5.1 Error: need RCPT command");
	else if (cmd->args.len)
		reply(s, "501 5.5.4 Syntax: DATA");
	else if (!access_data(s, &why))
		reply(s, "%s", why);
	else
		return true;
	return false;
}

void cmd_data(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct intake *in;
	enum io_status status;

	if (!may_come_now(s, cmd))
		return;
	in = intake_begin(s);
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	status = read_content(s, in);
	if (status == IO_OK) {
		intake_finish(s, in);
	} else {
		intake_lost(s, status, "DATA", in->decoder.bytes);
		intake_abort(in);
	}
	transaction_reset(s);
}
