/* SPDX-License-Identifier: BSD-2-Clause */
/* smtpd_command_filter, smtpd_noop_commands, smtpd_forbidden_commands: commands by their text. */
#pragma once
#include "smtpd/session.h"

/* Another line in place of *line, in s->cmd, where the table has one. False: it cannot be asked. */
bool command_filter(struct smtpd_session *s, struct span *line);
/* Is this verb answered with 250 and nothing else? */
bool command_is_noop(struct span verb);
/* Does this verb, one that we do not have, belong to another protocol? A header field's name, or a word of the list. */
bool command_is_forbidden(struct span verb);
