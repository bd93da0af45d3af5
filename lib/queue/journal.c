/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to a message after it was accepted: journal records, removal, the scan. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/queue/format.h"
#include "lib/queue/log.h"
#include "lib/queue/place.h"

enum { JOURNAL_WRITE_MAX = 16 * 1024 * 1024, LEFTOVER_AGE_S = 3600 };

static int close_keeping_errno(int fd, int result)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return result;
}

/* A full disk cut the write short: a torn record would hide all that follow, so remove it, unless somebody was behind us. */
static void take_back(int fd, ssize_t done)
{
	off_t end = lseek(fd, 0, SEEK_CUR);
	struct stat st;

	if (end >= done && fstat(fd, &st) == 0 && st.st_size == end && ftruncate(fd, end - done) < 0)
		return; /* qmgr repairs the journal when it starts */
}

int queue_journal(const char *id, const struct queue_place *place, const struct queue_journal_entry *entries, size_t n,
		  bool durable)
{
	int dir = place_dir(id);
	struct buf b;
	ssize_t done;
	int fd;

	if (dir < 0 || queue_settle(id, place) < 0) /* the log has no journals */
		return -1;
	fd = openat(dir, id, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	buf_init(&b, JOURNAL_WRITE_MAX);
	for (size_t i = 0; i < n; i++)
		format_put_record(&b, &entries[i], clock_wall_us());
	if (b.overflow) {
		buf_free(&b);
		errno = EMSGSIZE;
		return close_keeping_errno(fd, -1);
	}
	/* One write: O_APPEND keeps the records of several writers whole. */
	done = write(fd, b.ptr, b.len);
	if (done >= 0 && (size_t)done < b.len) {
		take_back(fd, done);
		errno = ENOSPC;
		done = -1;
	}
	buf_free(&b);
	if (done >= 0 && durable && fdatasync(fd) < 0)
		done = -1;
	return close_keeping_errno(fd, done < 0 ? -1 : 0);
}

int queue_remove(const char *id, const struct queue_place *place)
{
	int dir = place_dir(id);

	if (dir < 0)
		return -1;
	if (place->segment && log_done(place, id))
		return 0;
	return unlinkat(dir, id, 0) < 0 && errno != ENOENT ? -1 : 0;
}

int queue_move_corrupt(const char *id, const struct queue_place *place)
{
	char path[PLACE_PATH_MAX];
	int dir = place_dir(id);

	if (dir < 0 || queue_settle(id, place) < 0)
		return -1;
	snprintf(path, sizeof path, "corrupt/%s", id);
	return renameat(dir, id, AT_FDCWD, path);
}

/* A temporary file that nobody has touched for long belongs to a writer that is gone. */
static void drop_leftover(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < clock_wall() - LEFTOVER_AGE_S)
		unlinkat(dir, name, 0);
}

static int scan_dir(int n, bool (*each)(const char *, const struct queue_place *, void *), void *arg, bool *go_on)
{
	const struct queue_place place = { 0 };
	char path[PLACE_PATH_MAX];
	struct dirent *entry = NULL;
	DIR *d;

	snprintf(path, sizeof path, "mail/%c", place_dir_letter(n));
	d = opendir(path);
	if (d == NULL)
		return -1;
	while (*go_on && (errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.') {
			struct span rest = span_cstr(entry->d_name + 1);

			if (queue_id_valid(span_cut(&rest, '~')))
				drop_leftover(dirfd(d), entry->d_name);
		} else if (queue_id_valid(span_cstr(entry->d_name))) {
			*go_on = each(entry->d_name, &place, arg);
		}
	}
	if (entry == NULL && errno) {
		int saved = errno;

		closedir(d);
		errno = saved;
		return -1;
	}
	closedir(d);
	return 0;
}

struct scan {
	bool (*each)(const char *id, const struct queue_place *place, void *arg);
	void *arg;
};

static bool has_file(const char *id)
{
	int dir = place_dir(id);

	return dir >= 0 && faccessat(dir, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A crash between settling a message and marking it leaves it in both places: the file has the journal. */
static bool scan_logged(const char *id, const struct queue_place *place, void *arg)
{
	const struct scan *s = arg;

	if (!has_file(id))
		return s->each(id, place, s->arg);
	log_done(place, id);
	return true;
}

int queue_scan(bool (*each)(const char *id, const struct queue_place *place, void *arg), void *arg)
{
	struct scan s = { each, arg };
	bool go_on = true;

	for (int n = 0; n < PLACE_DIRS && go_on; n++)
		if (scan_dir(n, each, arg, &go_on) < 0)
			return -1;
	return go_on ? log_scan(scan_logged, &s) : 0;
}

struct search {
	const char *id;
	struct queue_place place;
	bool found;
};

static bool is_it(const char *id, const struct queue_place *place, void *arg)
{
	struct search *s = arg;

	s->found = strcmp(id, s->id) == 0;
	if (s->found)
		s->place = *place;
	return !s->found;
}

bool queue_find(const char *id, struct queue_place *place_r)
{
	struct search s = { .id = id };

	*place_r = (struct queue_place){ 0 };
	if (has_file(id))
		return true;
	if (log_scan(is_it, &s) < 0 || !s.found)
		return false;
	*place_r = s.place;
	return true;
}
