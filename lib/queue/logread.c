/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding messages in the log: by place, and all of them. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>

#include "lib/base/log.h"
#include "lib/queue/format.h"
#include "lib/queue/segment.h"

static bool find_in(struct segment *s, const struct queue_place *place, const char *id, struct record *r)
{
	return s && segment_record(s, segment_generation(s), place->offset, r) && r->live &&
	       span_is(segment_record_id(r->message), id);
}

static bool find(const struct queue_place *place, const char *id, struct segment **s_r, struct record *r)
{
	*s_r = place->segment ? segment_get(place->segment) : NULL;
	if (*s_r == NULL)
		return false;
	if (find_in(*s_r, place, id, r))
		return true;
	*s_r = segment_get_fresh(place->segment);
	return find_in(*s_r, place, id, r);
}

bool log_view(const struct queue_place *place, const char *id, struct span *message_r)
{
	struct segment *s;
	struct record r;

	if (!find(place, id, &s, &r))
		return false;
	*message_r = r.message;
	return true;
}

bool log_done(const struct queue_place *place, const char *id)
{
	struct segment *s;
	struct record r;

	return find(place, id, &s, &r) && segment_mark_done(s, r.generation, r.offset) == 0;
}

static bool is_whole(struct span message)
{
	struct format_header h;
	struct span envelope, content;

	if (!format_get_header(message, &h) || message.len != FORMAT_HEADER_BYTES + h.envelope_len + h.content_len)
		return false;
	envelope = span_head(span_skip(message, FORMAT_HEADER_BYTES), h.envelope_len);
	content = span_skip(message, FORMAT_HEADER_BYTES + (size_t)h.envelope_len);
	return format_crc(0, envelope) == h.envelope_crc && format_crc(0, content) == h.content_crc;
}

/* The offset behind the last whole record: what is LIVE from there on was never completed. */
static uint64_t end_of_whole(const struct segment *s, uint64_t generation)
{
	uint64_t end = SEGMENT_HEADER;
	struct record r;

	for (uint64_t at = SEGMENT_HEADER; segment_find(s, generation, at, &r); at = segment_next(&r))
		if (!r.live || is_whole(r.message))
			end = segment_next(&r);
	return end;
}

/*
 * A record that was not complete: its writer is at it right now, or died. Only the dead one's lock can be had; and with the lock
 * one looks again, for it may have completed the record, been told so, and gone since. False: it is whole.
 */
static bool drop_torn(const struct segment *s, uint64_t generation, uint64_t offset)
{
	bool torn;

	if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		return true;
	torn = segment_generation(s) != generation || offset >= end_of_whole(s, generation);
	if (torn && segment_generation(s) == generation && segment_mark_done(s, generation, offset) < 0)
		log_warn("queue log segment %03x: %m", s->number);
	flock(s->fd, LOCK_UN);
	return torn;
}

static bool scan_segment(const struct segment *s, bool (*each)(const char *, const struct queue_place *, void *), void *arg)
{
	uint64_t generation = segment_generation(s);
	uint64_t end = generation ? end_of_whole(s, generation) : 0;
	struct record r;

	for (uint64_t at = SEGMENT_HEADER; generation && segment_find(s, generation, at, &r); at = segment_next(&r)) {
		struct queue_place place = { s->number, r.offset, (uint32_t)r.message.len };
		struct span name = segment_record_id(r.message);
		char id[QUEUE_ID_MAX] = "";

		if (r.offset != at)
			log_error("queue log segment %03x: damaged at %llu", s->number, (unsigned long long)at);
		if (!r.live || (r.offset >= end && drop_torn(s, generation, r.offset)))
			continue;
		if (name.len)
			memcpy(id, name.ptr, name.len);
		if (!each(id, &place, arg))
			return false;
	}
	return true;
}

int log_scan(bool (*each)(const char *id, const struct queue_place *place, void *arg), void *arg)
{
	DIR *d = opendir("log");
	struct dirent *entry;

	if (d == NULL)
		return errno == ENOENT ? 0 : -1;
	while ((entry = readdir(d)) != NULL) {
		uint32_t number = segment_number(entry->d_name);
		struct segment *s = number ? segment_get_fresh(number) : NULL;

		if (s && !scan_segment(s, each, arg))
			break;
	}
	closedir(d);
	return 0;
}
