/* SPDX-License-Identifier: BSD-2-Clause */
/* smtpd_reject_footer and smtpd_reject_footer_maps: what is added to each refusal, for people who read notices. */
#pragma once
#include "smtpd/session.h"

/* The template for this reply, one line without CRLF, or NULL: it is no refusal, or there is none. In s->cmd, or of conf. */
const char *footer_for(struct smtpd_session *s, const char *reply);

/*
 * reply with the template's lines, in s->cmd; CRLF between lines, none at the end. reply as it is where the template makes no
 * sense.
 */
const char *footer_add(struct smtpd_session *s, const char *template, const char *reply);
