/* SPDX-License-Identifier: BSD-2-Clause */
/* Are we a backup of this domain's best exchangers, and are those in permit_mx_backup_networks where that is set? What cannot be
 * found out is remembered by put_off_if_reject. */
#pragma once
#include "smtpd/restrict.h"

bool mx_backup(struct check *c, struct span domain);
