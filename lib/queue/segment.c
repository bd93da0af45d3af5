/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/segment.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/queue/format.h"

static const char segment_magic[8] = { 'P', 'H', 'Q', 'L', 'O', 'G', '0', '1' };
static const char record_magic[4] = { 'P', 'H', 'L', 'R' };

enum { STATE_LIVE = 0x4556494c, ZEROS = 256 * 1024, SPARE = 4, HEADER_CRC_AT = 20, RECORD_CRC_AT = 16 };

static struct segment *_Atomic open_segments[LOG_SEGMENTS_MAX];
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static uint32_t get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static uint64_t get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return le64toh(v);
}

static void put32(char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static void put64(char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

/* --- files that somebody cuts ------------------------------------------------------------------------------------- */

/* In a signal handler: atomic loads and mmap only. Puts a page of zeros where the file ends before its map does. */
static void file_was_cut(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);
	int saved = errno;

	(void)context;
	for (uint32_t i = 1; i < LOG_SEGMENTS_MAX; i++) {
		struct segment *s = atomic_load(&open_segments[i]);

		for (; s && (at < (uintptr_t)s->map || at >= (uintptr_t)s->map + s->size); s = s->older)
			;
		if (s == NULL)
			continue;
		atomic_store(&s->cut, true);
		/* cppcheck-suppress [invalidFunctionArg, leakReturnValNotUsed] : anonymous memory in place of a page of the map */
		if (mmap((void *)(at - at % page), page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
			errno = saved;
			return;
		}
	}
	signal(signo, SIG_DFL); /* not ours: it comes again at once */
}

static void expect_cuts(void)
{
	struct sigaction act = { .sa_sigaction = file_was_cut, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(SIGBUS, &act, NULL);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static struct segment *segment_open(uint32_t number, int fd)
{
	struct segment *s;
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size < SEGMENT_HEADER) {
		errno = EBADMSG;
		return NULL;
	}
	expect_cuts();
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return NULL;
	s = mem_zalloc(sizeof *s);
	*s = (struct segment){ number, fd, (uint64_t)st.st_size, map, false, false, NULL };
	return s;
}

/* Older ones stay as they are: other threads may be reading there. */
static struct segment *open_instead(uint32_t number, struct segment *old)
{
	struct segment *s;
	char path[32];
	int fd;

	pthread_mutex_lock(&opening);
	s = atomic_load(&open_segments[number]);
	snprintf(path, sizeof path, "log/%03x", number);
	fd = s != old ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		s = segment_open(number, fd);
		if (s)
			s->older = old;
		else
			close(fd);
		if (s)
			atomic_store(&open_segments[number], s);
	}
	if (s && s != old && old && s->size < old->size)
		log_error("queue log segment %03x: somebody cut it off at %llu", number, (unsigned long long)s->size);
	pthread_mutex_unlock(&opening);
	return s;
}

struct segment *segment_get(uint32_t number)
{
	struct segment *s;

	if (number == 0 || number >= LOG_SEGMENTS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	s = atomic_load(&open_segments[number]);
	return s && !atomic_load(&s->cut) ? s : open_instead(number, s);
}

struct segment *segment_get_fresh(uint32_t number)
{
	struct segment *s = segment_get(number);
	struct stat st;

	if (s && fstat(s->fd, &st) == 0 && ((uint64_t)st.st_size != s->size || st.st_nlink == 0))
		s = open_instead(number, s);
	return s;
}

uint32_t segment_number(const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 16);

	return *end == '\0' && end != name && number < LOG_SEGMENTS_MAX ? (uint32_t)number : 0;
}

static int write_zeros(int fd, uint64_t size)
{
	static const char zeros[ZEROS];

	for (uint64_t at = 0; at < size;) {
		size_t len = size - at < ZEROS ? (size_t)(size - at) : ZEROS;
		ssize_t n = pwrite(fd, zeros, len, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			at += (uint64_t)n;
	}
	return fsync(fd);
}

static int sync_directory(void)
{
	int dir = open("log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = dir < 0 ? -1 : fsync(dir);

	if (dir >= 0)
		close(dir);
	return result;
}

/* Not the last space there is: mail in files of its own needs it more. */
static bool room_for(uint64_t size)
{
	struct statvfs fs;

	return statvfs("log", &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize / SPARE >= size;
}

bool segment_is_blank(const struct segment *s)
{
	static const char zeros[SEGMENT_HEADER];

	return memcmp(s->map, zeros, sizeof zeros) == 0;
}

/* The file and its size stay: those who have mapped it see zeros. Names come and go with nothing that a crash could tear. */
int segment_release_space(const struct segment *s)
{
	return fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)s->size);
}

int segment_take_space(const struct segment *s)
{
	if (room_for(s->size))
		return write_zeros(s->fd, s->size);
	errno = ENOSPC;
	return -1;
}

/* Blocks are written now, not only reserved: a later fdatasync then has no metadata to write. */
struct segment *segment_create(uint64_t size)
{
	char path[32];

	for (uint32_t number = 1; room_for(size) && number < LOG_SEGMENTS_MAX; number++) {
		struct segment *s;
		int fd;

		snprintf(path, sizeof path, "log/%03x", number);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return NULL;
		s = flock(fd, LOCK_EX | LOCK_NB) < 0 || write_zeros(fd, size) < 0 || sync_directory() < 0
			? NULL
			: segment_open(number, fd);
		if (s) {
			atomic_store(&open_segments[number], s);
		} else {
			int saved = errno;

			unlink(path);
			close(fd);
			errno = saved;
		}
		return s;
	}
	errno = ENOSPC;
	return NULL;
}

/* --- the header --------------------------------------------------------------------------------------------------- */

int segment_set_generation(const struct segment *s, uint64_t generation)
{
	char h[SEGMENT_HEADER] = { 0 };

	memcpy(h, segment_magic, sizeof segment_magic);
	put32(h + 8, s->number);
	put64(h + 12, generation);
	put32(h + HEADER_CRC_AT, format_crc(0, span_of(h, HEADER_CRC_AT)));
	return pwrite(s->fd, h, sizeof h, 0) == (ssize_t)sizeof h ? 0 : -1;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static uint32_t record_crc(const char h[RECORD_HEADER], struct span message_header)
{
	return format_crc(format_crc(0, span_of(h, RECORD_CRC_AT)), message_header);
}

void segment_put_record_header(char to[RECORD_HEADER], uint64_t generation, size_t len, struct span message_header)
{
	memset(to, 0, RECORD_HEADER);
	memcpy(to, record_magic, sizeof record_magic);
	put32(to + 4, (uint32_t)len);
	put64(to + 8, generation);
	put32(to + RECORD_CRC_AT, record_crc(to, message_header));
	put32(to + STATE_AT, STATE_LIVE);
}

/*
 * DONE is another word in each generation. Two processes may find the same record LIVE; when the one has marked it, the segment may
 * be used again before the other's mark arrives, which must not say that the letter that is there now was delivered.
 */
static uint32_t state_done(uint64_t generation)
{
	uint32_t word = (uint32_t)(generation >> 32) ^ (uint32_t)generation;

	return word == STATE_LIVE ? ~word : word;
}

bool segment_record(const struct segment *s, uint64_t generation, uint64_t offset, struct record *r)
{
	char h[RECORD_HEADER];
	uint32_t len;

	if (offset < SEGMENT_HEADER || offset % SEGMENT_ALIGN || offset + RECORD_HEADER + FORMAT_HEADER_BYTES > s->size)
		return false;
	memcpy(h, s->map + offset, sizeof h);
	len = get32(h + 4);
	if (memcmp(h, record_magic, sizeof record_magic) != 0 || get64(h + 8) != generation || len < FORMAT_HEADER_BYTES ||
	    len > s->size - offset - RECORD_HEADER)
		return false;
	r->offset = offset;
	r->generation = generation;
	r->message = span_of(s->map + offset + RECORD_HEADER, len);
	r->live = get32(h + STATE_AT) != state_done(generation);
	return get32(h + RECORD_CRC_AT) == record_crc(h, span_head(r->message, FORMAT_HEADER_BYTES));
}

static uint64_t header_generation(const struct segment *s)
{
	char h[SEGMENT_HEADER];

	memcpy(h, s->map, sizeof h);
	if (memcmp(h, segment_magic, sizeof segment_magic) != 0 || get32(h + 8) != s->number ||
	    get32(h + HEADER_CRC_AT) != format_crc(0, span_of(h, HEADER_CRC_AT)))
		return 0;
	return get64(h + 12);
}

/* A damaged header hides no letters: the first record, which begins where every use of the segment begins, has the number, too. */
uint64_t segment_generation(const struct segment *s)
{
	uint64_t generation = header_generation(s);
	struct record r;

	if (generation || s->size < SEGMENT_HEADER + RECORD_HEADER)
		return generation;
	generation = get64(s->map + SEGMENT_HEADER + 8);
	return segment_record(s, generation, SEGMENT_HEADER, &r) ? generation : 0;
}

bool segment_find(const struct segment *s, uint64_t generation, uint64_t from, struct record *r)
{
	for (uint64_t at = from; at < s->size; at += SEGMENT_ALIGN)
		if (segment_record(s, generation, at, r))
			return true;
	return false;
}

bool segment_all_done(const struct segment *s)
{
	uint64_t generation = segment_generation(s);
	struct record r;

	for (uint64_t at = SEGMENT_HEADER; segment_find(s, generation, at, &r); at = segment_next(&r))
		if (r.live)
			return false;
	return true;
}

int segment_mark_done(const struct segment *s, uint64_t generation, uint64_t offset)
{
	char state[4];

	put32(state, state_done(generation));
	return pwrite(s->fd, state, sizeof state, (off_t)(offset + STATE_AT)) == (ssize_t)sizeof state ? 0 : -1;
}

struct span segment_record_id(struct span message)
{
	struct unpack u = { span_skip(message, FORMAT_HEADER_BYTES), false };
	struct span id = unpack_span(&u);

	return queue_id_valid(id) ? id : SPAN_NONE;
}
