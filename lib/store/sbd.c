/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the children of an mbox live: in a directory of its name, or in NAME.sbd when NAME is a file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/store/folders.h"
#include "lib/store/fs.h"

bool sbd_is_directory(struct store *s, const char *rel)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(struct store *s, const char *rel)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *sbd_of(struct arena *a, const char *rel)
{
	return arena_printf(a, "%s" SBD, rel);
}

/* One level: "done/part" is there as a directory, or its .sbd is what has the children. */
static char *level(struct store *s, struct arena *a, const char *rel)
{
	char *other = sbd_of(a, rel);

	if (sbd_is_directory(s, rel))
		return arena_strdup(a, rel);
	return is_file(s, rel) || sbd_is_directory(s, other) ? other : arena_strdup(a, rel);
}

char *folder_path(struct store *s, struct arena *a, struct span name)
{
	char *rel = names_to_path(a, s->kind, name), *done = NULL;
	struct span rest, part;

	if (rel == NULL || s->kind != STORE_MBOX || strchr(rel, '/') == NULL)
		return rel;
	for (rest = span_cstr(rel); rest.len > 0;) {
		part = span_cut(&rest, '/');
		done = arena_printf(a, "%s%s" SPAN_FMT, done ? done : "", done ? "/" : "", SPAN_ARG(part));
		if (rest.len > 0)
			done = level(s, a, done);
	}
	return done;
}
