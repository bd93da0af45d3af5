/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as each of the date forms: what is read is written and read again as the same moment. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/proto/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of((const char *)data, size);
	char out[DATE_TEXT_MAX];
	struct date d, back;
	time_t at, again;
	long day;

	if (date_rfc5322_parse(s, &d)) {
		date_rfc5322(d.at, out);
		must(strlen(out) >= strlen("Mon, 02 Jan 2006 15:04:05 -0700 (U)"));
		date_day(d);
		/* Where the zone carries the calendar out of the years 0 to 9999, nothing can be written. */
		if (d.at > -62000000000 && d.at < 253000000000) {
			must(date_imap_parse(span_cstr(date_imap(d, out)), &back));
			must(back.at == d.at && back.zone_minutes == d.zone_minutes);
		}
	}
	if (date_imap_parse(s, &d))
		date_imap(d, out);
	if (date_mbox_parse(s, &at) && at > -62000000000 && at < 253000000000)
		must(date_mbox_parse(span_cstr(date_mbox(at, out)), &again) && again == at);
	if (date_imap_day_parse(s, &day))
		must(day > -800000 && day < 3000000);
	return 0;
}
