/* SPDX-License-Identifier: BSD-2-Clause */
/* ETRN, RFC 1985: a customer that is online asks for the mail that waits for its domain. */
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/map/match.h"
#include "lib/proto/mailhost.h"
#include "lib/queue/job.h"
#include "lib/service/service.h"
#include "smtpd/access.h"

enum { QMGR_TIMEOUT_MS = 10000 };

static bool flush_site(struct span domain)
{
	struct job_control request = { .verb = JOB_VERB_FLUSH_SITE, .argument = domain };
	int fd = service_connect("public/qmgr", clock_deadline(QMGR_TIMEOUT_MS));
	struct buf frame;
	bool ok;

	if (fd < 0)
		return false;
	buf_init(&frame, FRAME_MAX);
	ok = job_put_control(&frame, &request) &&
	     frame_send(fd, buf_span(&frame), -1, clock_deadline(QMGR_TIMEOUT_MS)) == IO_OK &&
	     frame_recv(fd, &frame, NULL, clock_deadline(QMGR_TIMEOUT_MS)) == IO_OK;
	buf_free(&frame);
	close(fd);
	return ok;
}

static bool is_flushable(struct span domain)
{
	static const char list[] = "fast_flush_domains";
	bool parents = span_find(span_cstr(conf->parent_domain_matches_subdomains), span_cstr(list)) >= 0;

	return match_name(match_open(conf->fast_flush_domains, parents ? MATCH_PARENT : MATCH_DOMAIN), domain) == MAP_OK;
}

void cmd_etrn(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct span domain = cmd->args;
	const char *why;

	if (conf->smtpd_helo_required && s->helo.len == 0) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->txn.have_sender) {
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
		return;
	}
	if (domain.len == 0 || span_chr(domain, ' ') >= 0) {
		reply(s, "500 Syntax: ETRN domain");
		return;
	}
	if (domain.ptr[0] == '@' || domain.ptr[0] == '#')
		domain = span_skip(domain, 1);
	if (!mailhost_name_valid(domain) && !mailhost_literal_valid(domain)) {
		reply(s, "501 Error: invalid parameter syntax");
		return;
	}
	if (!access_etrn(s, domain, &why))
		reply(s, "%s", why);
	else if (!is_flushable(domain))
		reply(s, "459 <" SPAN_FMT ">: service unavailable", SPAN_ARG(domain));
	else
		reply(s, flush_site(domain) ? "250 Queuing started" : "458 Unable to queue messages");
}
