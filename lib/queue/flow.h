/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flow control of the intake. One bit from qmgr to all who bring new mail: is there new mail that qmgr has no place for? It is a
 * byte of a shared page (mail/flow), so that looking at it costs no system call per letter. Both are mail_owner.
 */
#pragma once
#include <stdbool.h>

#define FLOW_PAGE "mail/flow"
int queue_flow_prepare(void); /* make it; 0, or -1 and errno */

void queue_flow_show(bool behind); /* qmgr, one thread; a system call when it changes */
bool queue_flow_behind(void);      /* any thread; false as well when it cannot be read */
