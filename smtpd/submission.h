/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a mail server does for its own users and not for others (RFC 6409): header fields that their programs left out, and a limit
 * of what one account can send, so that a stolen password does not make a spammer of this machine.
 */
#pragma once
#include "smtpd/intake.h"

void submission_open(void); /* in queue_directory, before the jail */
/* Does the message of this session get missing fields? */
bool submission_completes(const struct smtpd_session *s);
/* The missing ones of Date, From, Message-ID for this header; empty when all are there. Lives as long as the transaction. */
struct span submission_fields(struct smtpd_session *s, struct span header);
/* Count the message for its account; past a limit it is put on hold. Before it is stored. */
void submission_count(struct smtpd_session *s);
