/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a message: a small one costs open, one read and close; of a large one only what is asked for is in memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/queue/format.h"
#include "lib/queue/log.h"
#include "lib/queue/place.h"

enum { BLOCK_BYTES = 64 * 1024, JOURNAL_MAX = 256 * 1024 * 1024 };

struct queue_message {
	struct queue_envelope env;
	struct format_header header;
	struct arena arena;
	struct buf start;      /* header, envelope and as much as one block gave behind them */
	struct buf journal;    /* when it is not within start */
	struct buf block;      /* the piece of content read last */
	uint64_t whole;        /* bytes of the file up to the last whole journal record */
	int fd;                /* -1 when everything is in start */
	bool unchecked;        /* content: it is not asked for */
};

static ssize_t pread_all(int fd, char *to, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, to + done, len - done, (off_t)(at + done));

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Append up to len bytes from offset at to b; QUEUE_OK also when the file ends before. */
static enum queue_status append_from(struct queue_message *m, struct buf *b, size_t len, uint64_t at)
{
	char *to = buf_reserve(b, len);
	ssize_t n;

	if (to == NULL)
		return QUEUE_CORRUPT;
	n = pread_all(m->fd, to, len, at);
	if (n < 0)
		return QUEUE_ERROR;
	buf_commit(b, (size_t)n);
	return QUEUE_OK;
}

static uint64_t content_at(const struct queue_message *m)
{
	return FORMAT_HEADER_BYTES + (uint64_t)m->header.envelope_len;
}

static enum queue_status read_start(struct queue_message *m)
{
	enum queue_status status;

	buf_init(&m->start, FORMAT_HEADER_BYTES + (size_t)FORMAT_ENVELOPE_MAX + BLOCK_BYTES);
	status = append_from(m, &m->start, BLOCK_BYTES, 0);
	if (status != QUEUE_OK)
		return status;
	if (!format_get_header(buf_span(&m->start), &m->header))
		return QUEUE_CORRUPT;
	if (m->start.len < content_at(m))
		status = append_from(m, &m->start, content_at(m) - m->start.len, m->start.len);
	if (status == QUEUE_OK && m->start.len < content_at(m))
		status = QUEUE_CORRUPT;
	return status;
}

static enum queue_status read_envelope(struct queue_message *m, const char *id)
{
	struct span bytes = span_of(m->start.ptr + FORMAT_HEADER_BYTES, m->header.envelope_len);

	if (format_crc(0, bytes) != m->header.envelope_crc || !format_get_envelope(bytes, &m->arena, &m->env) ||
	    strcmp(m->env.id, id) != 0 || m->env.size != m->header.content_len)
		return QUEUE_CORRUPT;
	return QUEUE_OK;
}

/* All of it is in start: content and journal. */
static enum queue_status read_content(struct queue_message *m)
{
	uint64_t end = content_at(m) + m->header.content_len;

	if (m->start.len < end)
		return QUEUE_CORRUPT;
	if (!m->unchecked && format_crc(0, span_of(m->start.ptr + content_at(m), m->header.content_len)) != m->header.content_crc)
		return QUEUE_CORRUPT;
	m->whole = end + format_replay(span_skip(buf_span(&m->start), end), &m->env);
	return QUEUE_OK;
}

/* When the first block was not full, the file ends in it. */
static enum queue_status read_rest(struct queue_message *m)
{
	uint64_t end = content_at(m) + m->header.content_len;
	struct stat st;

	if (m->start.len < BLOCK_BYTES)
		return read_content(m);
	if (fstat(m->fd, &st) < 0)
		return QUEUE_ERROR;
	if ((uint64_t)st.st_size < end || (uint64_t)st.st_size - end > JOURNAL_MAX)
		return QUEUE_CORRUPT;
	buf_init(&m->journal, JOURNAL_MAX);
	if ((uint64_t)st.st_size > end) {
		enum queue_status status = append_from(m, &m->journal, (size_t)((uint64_t)st.st_size - end), end);

		if (status != QUEUE_OK)
			return status;
	}
	m->whole = end + format_replay(buf_span(&m->journal), &m->env);
	return QUEUE_OK;
}

/* The log is shared memory that others write: what is there is copied, and then judged. */
static bool copy_from_log(const char *id, const struct queue_place *place, struct queue_message *m)
{
	struct span bytes;

	if (!log_view(place, id, &bytes))
		return false;
	buf_init(&m->start, BLOCK_BYTES + (size_t)FORMAT_ENVELOPE_MAX);
	return buf_add_span(&m->start, bytes);
}

static enum queue_status open_in_log(const char *id, const struct queue_place *place, bool unchecked, struct queue_message **m_r)
{
	struct queue_message *m = mem_zalloc(sizeof *m);
	enum queue_status status = QUEUE_GONE;
	struct span view;

	m->fd = -1;
	m->unchecked = unchecked;
	if (copy_from_log(id, place, m)) {
		status = QUEUE_CORRUPT;
		if (format_get_header(buf_span(&m->start), &m->header) && m->start.len >= content_at(m))
			status = read_envelope(m, id);
		if (status == QUEUE_OK)
			status = read_content(m);
	}
	if (status == QUEUE_CORRUPT && !log_view(place, id, &view)) /* it left while it was copied */
		status = QUEUE_GONE;
	if (status == QUEUE_OK) {
		*m_r = m;
		return QUEUE_OK;
	}
	queue_close(m);
	return status;
}

static enum queue_status open_file(int fd, const char *id, bool unchecked, struct queue_message **m_r)
{
	struct queue_message *m = mem_zalloc(sizeof *m);
	enum queue_status status;

	m->fd = fd;
	m->unchecked = unchecked;
	status = read_start(m);
	if (status == QUEUE_OK)
		status = read_envelope(m, id);
	if (status == QUEUE_OK)
		status = read_rest(m);
	if (status != QUEUE_OK) {
		int saved = errno;

		queue_close(m);
		errno = saved;
		return status;
	}
	if (m->start.len < BLOCK_BYTES) {
		close(m->fd);
		m->fd = -1;
	}
	*m_r = m;
	return QUEUE_OK;
}

/* A qmgr that starts reads the whole queue: an access time for each file would be as many writes. Only its owner may leave it. */
static int open_for_reading(int dir, const char *id)
{
	int fd = openat(dir, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(dir, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd;
}

static enum queue_status open_anywhere(const char *id, const struct queue_place *place, bool unchecked, struct queue_message **m_r)
{
	enum queue_status status = place->segment ? open_in_log(id, place, unchecked, m_r) : QUEUE_GONE;
	int dir, fd;

	if (status != QUEUE_GONE)
		return status;
	dir = place_dir(id);
	fd = dir < 0 ? -1 : open_for_reading(dir, id);
	if (fd < 0)
		return errno == ENOENT ? QUEUE_GONE : QUEUE_ERROR;
	return open_file(fd, id, unchecked, m_r);
}

enum queue_status queue_open(const char *id, const struct queue_place *place, struct queue_message **m_r)
{
	return open_anywhere(id, place, false, m_r);
}

enum queue_status queue_open_envelope(const char *id, const struct queue_place *place, struct queue_message **m_r)
{
	return open_anywhere(id, place, true, m_r);
}

enum queue_status queue_open_fd(int fd, const char *id, struct queue_message **m_r)
{
	return open_file(fd, id, false, m_r);
}

const struct queue_envelope *queue_envelope(const struct queue_message *m)
{
	return &m->env;
}

bool queue_content(struct queue_message *m, uint64_t offset, struct span *chunk_r)
{
	uint64_t left = offset < m->header.content_len ? m->header.content_len - offset : 0;
	uint64_t at = content_at(m) + offset;
	size_t len;

	*chunk_r = SPAN_NONE;
	if (left == 0)
		return true;
	if (at < m->start.len) {
		*chunk_r = span_head(span_skip(buf_span(&m->start), (size_t)at), left);
		return true;
	}
	len = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
	if (m->block.max == 0)
		buf_init(&m->block, BLOCK_BYTES);
	buf_reset(&m->block);
	if (append_from(m, &m->block, len, at) != QUEUE_OK)
		return false;
	if (m->block.len == 0) {
		errno = EIO; /* shorter than its own header says: somebody cut it */
		return false;
	}
	*chunk_r = buf_span(&m->block);
	return true;
}

void queue_history(const struct queue_message *m,
		   void (*each)(const struct queue_journal_entry *entry, int64_t at_us, void *arg), void *arg)
{
	uint64_t end = content_at(m) + m->header.content_len;

	format_each_record(m->journal.max ? buf_span(&m->journal) : span_skip(buf_span(&m->start), end), each, arg);
}

void queue_close(struct queue_message *m)
{
	if (m->fd >= 0)
		close(m->fd);
	buf_free(&m->start);
	buf_free(&m->journal);
	buf_free(&m->block);
	arena_free(&m->arena);
	free(m);
}

int queue_repair(const char *id, const struct queue_place *place)
{
	struct queue_message *m;
	enum queue_status status = queue_open(id, place, &m);
	int fd, result;

	if (status != QUEUE_OK) {
		errno = status == QUEUE_GONE ? ENOENT : status == QUEUE_CORRUPT ? EBADMSG : errno;
		return -1;
	}
	fd = openat(place_dir(id), id, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	result = fd < 0 ? -1 : ftruncate(fd, (off_t)m->whole);
	if (result == 0)
		result = fsync(fd);
	if (fd >= 0)
		close(fd);
	queue_close(m);
	return result;
}

enum queue_status queue_verify(const char *id, const struct queue_place *place)
{
	struct queue_message *m;
	enum queue_status status = queue_open(id, place, &m);
	uint32_t crc = 0;
	struct span chunk;

	if (status != QUEUE_OK)
		return status;
	for (uint64_t at = 0; status == QUEUE_OK; at += chunk.len) {
		if (!queue_content(m, at, &chunk))
			status = QUEUE_ERROR;
		else if (chunk.len == 0)
			break;
		crc = format_crc(crc, chunk);
	}
	if (status == QUEUE_OK && crc != m->header.content_crc)
		status = QUEUE_CORRUPT;
	queue_close(m);
	return status;
}
