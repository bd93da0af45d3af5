/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5161. UTF8=ACCEPT (RFC 6855), IMAP4rev2 (RFC 9051), CONDSTORE and QRESYNC (RFC 7162) are off until asked for. */
#include "imapd/imapd.h"

void cmd_enable(struct session *s, struct imap_scan *a)
{
	bool utf8 = false, rev2 = false, condstore = false, qresync = false;
	struct span atom;

	do {
		if (!imap_scan_atom(a, &atom)) {
			reply_bad(s, a->error);
			return;
		}
		utf8 |= span_iis(atom, "UTF8=ACCEPT");
		rev2 |= span_iis(atom, "IMAP4rev2");
		condstore |= span_iis(atom, "CONDSTORE");
		qresync |= span_iis(atom, "QRESYNC");
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	s->utf8_accept |= utf8;
	s->rev2 |= rev2;
	s->utf8 = s->utf8_accept || s->rev2;
	s->qresync |= qresync;
	stream_printf(s->io, "* ENABLED%s%s%s%s\r\n", utf8 ? " UTF8=ACCEPT" : "", rev2 ? " IMAP4rev2" : "",
		      condstore ? " CONDSTORE" : "", qresync ? " QRESYNC" : "");
	if (condstore || qresync)
		condstore_enable(s);
	reply(s, "OK Enabled.");
}
