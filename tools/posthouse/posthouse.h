/* SPDX-License-Identifier: BSD-2-Clause */
/* The command of the administrator: posthouse [-c DIR] VERB [ARGUMENT]. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/conf/mastercf.h"
#include "lib/service/control.h"

extern const char *config_dir; /* as given, or the default */

/* Process id of the running master, or 0. Asks the kernel's lock, not a pid file: never stale. */
pid_t running_master(void);
/* Wait until master and all that is below it are gone; false: not within this time. */
bool wait_for_end(int64_t timeout_ms);

/*
 * One request to master. each (may be NULL) is called for every SERVICE answer. Messages go to standard error.
 * Returns the exit status.
 */
int ask_master(enum control_verb verb, const char *argument, void (*each)(const struct control_service *s));

int show_status(bool json);
int show_who(void);
int kick(const char *whom); /* a user, or an address; NULL is wrong usage */
int check_everything(void);
int user_command(int argc, char **argv); /* argv[0] is "user" */
void check_tls(const struct conf *c, const struct mastercf *services, struct buf *messages);

/* argv[0] is the verb. */
int selfsign(int argc, char **argv);
