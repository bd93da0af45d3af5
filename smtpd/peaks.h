/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The most that one client did, over all processes of all smtpd services: what Postfix's anvil(8) logs every
 * anvil_status_update_time and when nobody is left to be counted. The numbers lie in a file that all processes map, and begin
 * anew with each report.
 */
#pragma once
#include "lib/io/netaddr.h"

enum peak {
	PEAK_CONNECTION_RATE, PEAK_CONNECTION_COUNT, PEAK_MESSAGE_RATE, PEAK_RECIPIENT_RATE, PEAK_TLS_RATE, PEAK_AUTH_RATE, PEAKS
};

/* As root, in queue_directory, before the jail. Logs and reports nothing when the file cannot be had. */
void peaks_open(void);

/* Is this more than was seen since the last report? Cheap: for whoever has to ask more before it counts. */
bool peaks_is_higher(enum peak what, uint32_t value);
void peaks_note(enum peak what, uint32_t value, const struct netaddr *client);
/* One more client in this anvil_rate_time_unit: the "cache size". */
void peaks_note_client(void);

/* Log when it is time. When to be called next (clock_mono_ms). */
int64_t peaks_tick(void);
/* This process leaves: log when it is the last one. */
void peaks_leave(void);
