/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct lines lines_begin(struct span text)
{
	return (struct lines){ text, 0 };
}

static struct span without_line_end(struct span s)
{
	return s.len > 0 && s.ptr[s.len - 1] == '\r' ? span_head(s, s.len - 1) : s;
}

static bool is_left_out(struct span s)
{
	struct span text = span_trim(s);

	return text.len == 0 || text.ptr[0] == '#';
}

bool lines_next(struct lines *l, struct buf *line_r, int *first_r)
{
	bool found = false;

	buf_reset(line_r);
	while (l->rest.len > 0) {
		struct span rest = l->rest;
		struct span s = without_line_end(span_cut(&rest, '\n'));

		if (found && !is_left_out(s) && s.ptr[0] != ' ' && s.ptr[0] != '\t')
			break;
		l->rest = rest;
		l->line++;
		if (is_left_out(s))
			continue;
		if (!found)
			*first_r = l->line;
		found = true;
		buf_add_span(line_r, s);
	}
	return found;
}

static int read_all(int fd, struct buf *out)
{
	struct stat st;
	size_t step = 65536;

	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISREG(st.st_mode) && st.st_size > 0 && (uintmax_t)st.st_size < out->max)
		step = (size_t)st.st_size + 1;
	for (;;) {
		size_t room = out->max - out->len;
		char *to = room ? buf_reserve(out, room < step ? room : step) : NULL;
		ssize_t n;

		if (to == NULL) {
			errno = EFBIG;
			return -1;
		}
		n = read(fd, to, room < step ? room : step);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		buf_commit(out, (size_t)n);
	}
}

int lines_read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc, saved;

	if (fd < 0)
		return -1;
	rc = read_all(fd, out);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}
