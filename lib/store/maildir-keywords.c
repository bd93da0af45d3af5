/* SPDX-License-Identifier: BSD-2-Clause */
/* dovecot-keywords: lines "NUMBER NAME"; number 0 is the letter a in file names. Keyword bit i is letter i. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/dotlock.h"
#include "lib/store/maildir-int.h"

enum { FILE_MAX = 64 * 1024, LOCK_MS = 5000 };

static void set_keyword(struct folder *f, unsigned i, struct span name)
{
	while (f->nkeywords <= i) { /* numbers nobody has a name for */
		char filler[] = "keyword-a";

		filler[sizeof filler - 2] = (char)('a' + f->nkeywords);
		f->keywords[f->nkeywords++] = mem_strdup(filler);
	}
	if (span_is(name, f->keywords[i]))
		return;
	f->retired = mem_realloc_array(f->retired, f->nretired + 1, sizeof *f->retired);
	f->retired[f->nretired++] = f->keywords[i];
	f->keywords[i] = mem_strndup(name.ptr, name.len);
	f->generation++;
}

/* What the file says wins; names not saved yet come behind. */
static void take_file(struct folder *f, struct span text)
{
	char *unsaved[STORE_KEYWORDS_MAX];
	unsigned n = 0;

	while (f->nkeywords > f->maildir->saved_keywords)
		unsaved[n++] = f->keywords[--f->nkeywords];
	while (text.len > 0) {
		struct span line = span_cut(&text, '\n'), number = span_cut(&line, ' ');
		uint64_t i;

		if (span_u64(number, MAILDIR_KEYWORDS_MAX - 1, &i) && line.len > 0 && span_chr(line, ' ') < 0)
			set_keyword(f, (unsigned)i, line);
	}
	f->maildir->saved_keywords = f->nkeywords;
	while (n > 0) {
		folder_keyword(f, span_cstr(unsaved[--n]), true);
		free(unsaved[n]);
	}
}

void maildir_load_keywords(struct folder *f)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-keywords", NULL);
	struct stat st;
	struct ident now = { 0 };
	struct buf b;

	if (stat(path, &st) == 0)
		now = ident_of(&st);
	if (ident_same(&now, &f->maildir->keywords_ident))
		return;
	f->maildir->keywords_ident = now;
	buf_init(&b, FILE_MAX);
	if (fs_read_file(AT_FDCWD, path, &b) == 0)
		take_file(f, buf_span(&b));
	buf_free(&b);
}

int maildir_save_keywords(struct folder *f)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-keywords", NULL);
	AUTO_FREE char *lock = dotlock_name(path);
	struct buf b;
	int rc;

	if (f->nkeywords == f->maildir->saved_keywords)
		return 0;
	if (dotlock_take(lock, clock_deadline(LOCK_MS)) < 0)
		return -1;
	maildir_load_keywords(f);
	buf_init(&b, FILE_MAX);
	for (unsigned i = 0; i < f->nkeywords; i++)
		buf_addf(&b, "%u %s\n", i, f->keywords[i]);
	rc = fs_replace_file(AT_FDCWD, path, buf_span(&b), 0600, false);
	buf_free(&b);
	if (rc == 0)
		f->maildir->saved_keywords = f->nkeywords;
	dotlock_release(lock);
	return rc;
}
