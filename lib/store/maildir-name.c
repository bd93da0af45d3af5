/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/maildir-name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/store/store.h"

static size_t add_safe(char *to, size_t room, struct span s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < s.len && n + 3 < room; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (ascii_isalnum(s.ptr[i]) || c == '-' || c == '_' || (c == '.' && i > 0)) {
			to[n++] = (char)c;
		} else {
			to[n++] = '=';
			to[n++] = hex[c >> 4];
			to[n++] = hex[c & 15];
		}
	}
	to[n] = '\0';
	return n;
}

void maildir_make_base(char base[MAILDIR_BASE_MAX], struct span key)
{
	static _Atomic unsigned counter;
	char host[65];
	size_t n;

	if (gethostname(host, sizeof host) < 0)
		snprintf(host, sizeof host, "localhost");
	host[sizeof host - 1] = '\0';
	if (key.len > 0) {
		n = add_safe(base, MAILDIR_BASE_MAX - sizeof host, key);
	} else {
		int64_t us = clock_wall_us();

		n = (size_t)snprintf(base, MAILDIR_BASE_MAX, "%lld.M%06lldP%ldQ%u", (long long)(us / 1000000),
				     (long long)(us % 1000000), (long)getpid(), counter++);
	}
	base[n++] = '.';
	add_safe(base + n, MAILDIR_BASE_MAX - n < sizeof host ? MAILDIR_BASE_MAX - n : sizeof host, span_cstr(host));
}

int maildir_move(int from_dir, const char *from, int to_dir, const char *to)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(from_dir, from, to_dir, to, 0) < 0)
		return -1;
	unlinkat(from_dir, from, 0);
	return 0;
}

static const struct {
	char letter;
	uint32_t flag;
} letters[] = { /* in the order of the letters */
	{ 'D', STORE_DRAFT }, { 'F', STORE_FLAGGED }, { 'R', STORE_ANSWERED }, { 'S', STORE_SEEN }, { 'T', STORE_DELETED },
};
enum { NLETTERS = sizeof letters / sizeof *letters };

static uint64_t size_field(struct span base, const char *name)
{
	ptrdiff_t at = span_find(base, span_cstr(name));
	struct span v;
	uint64_t n;

	if (at < 0)
		return 0;
	v = span_skip(base, (size_t)at + strlen(name));
	v = span_cut(&v, ',');
	return span_u64(v, UINT64_MAX / 4, &n) ? n : 0;
}

void maildir_name_parse(struct span file, struct maildir_name *n)
{
	ptrdiff_t colon = span_rchr(file, ':');
	struct span info = SPAN_NONE;

	*n = (struct maildir_name){ .base = file };
	if (colon >= 0) {
		n->base = span_head(file, (size_t)colon);
		info = span_skip(file, (size_t)colon + 1);
	}
	if (span_starts(info, "2,"))
		n->other = span_skip(info, 2);
	for (size_t i = 0; i < n->other.len; i++) {
		char c = n->other.ptr[i];

		if (c >= 'a' && c <= 'z')
			n->letters |= 1u << (c - 'a');
		for (int j = 0; j < NLETTERS; j++)
			if (letters[j].letter == c)
				n->flags |= letters[j].flag;
	}
	n->size = size_field(n->base, ",S=");
	n->vsize = size_field(n->base, ",W=");
}

bool maildir_name_make(char name[MAILDIR_NAME_MAX], struct span base, uint32_t flags, uint32_t keywords, bool passed)
{
	size_t n = base.len;

	if (n + 4 + 6 + 26 > MAILDIR_NAME_MAX)
		return false;
	memcpy(name, base.ptr, n);
	memcpy(name + n, ":2,", 3);
	n += 3;
	for (int j = 0; j < NLETTERS; j++) {
		if (passed && letters[j].letter > 'P') {
			name[n++] = 'P';
			passed = false;
		}
		if (flags & letters[j].flag)
			name[n++] = letters[j].letter;
	}
	for (int i = 0; i < 26; i++)
		if (keywords & 1u << i)
			name[n++] = (char)('a' + i);
	name[n] = '\0';
	return true;
}
