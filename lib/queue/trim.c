/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Space that a rush of mail took for the log is given back. Segments that no process has locked, and whose records are all DONE,
 * keep their names and get a hole for contents, but for a few, which the next workers take over as they are.
 *
 *	killed                           what is there
 *	before or within the hole        records that are DONE, or zeros
 *	in the filling (segment_take_space), before the new generation is written
 *	                                 zeros
 */
#include <dirent.h>
#include <errno.h>
#include <sys/file.h>

#include "lib/queue/segment.h"

enum { WALKS = 4 }; /* segments whose records are looked at in one call */

struct trim {
	unsigned keep, walks;
	uint32_t after; /* numbers up to here were looked at by the call before */
	uint32_t last;
};

/* We have its lock. */
static int trim_one(struct trim *t, struct segment *s)
{
	if (segment_is_blank(s))
		return 0;
	if (t->keep > 0) {
		t->keep--;
		return 0;
	}
	if (s->number <= t->after || t->walks == 0)
		return 0;
	t->walks--;
	t->last = s->number;
	return segment_all_done(s) ? segment_release_space(s) : 0;
}

static bool list_numbers(bool there[LOG_SEGMENTS_MAX])
{
	DIR *d = opendir("log");
	struct dirent *entry;

	if (d == NULL)
		return false;
	while ((entry = readdir(d)) != NULL)
		there[segment_number(entry->d_name)] = true;
	closedir(d);
	return true;
}

int queue_log_trim(unsigned keep)
{
	static uint32_t last;
	bool there[LOG_SEGMENTS_MAX] = { false };
	struct trim t = { keep, WALKS, last, 0 };
	int err = list_numbers(there) || errno == ENOENT ? 0 : errno;

	for (uint32_t number = 1; number < LOG_SEGMENTS_MAX; number++) {
		struct segment *s = there[number] ? segment_get_fresh(number) : NULL;

		if (s == NULL || flock(s->fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		if (trim_one(&t, s) < 0)
			err = errno;
		flock(s->fd, LOCK_UN);
	}
	last = t.last; /* 0: from the beginning again */
	errno = err;
	return err ? -1 : 0;
}
