/* SPDX-License-Identifier: BSD-2-Clause */
/* dovecot-uidlist, the state file, file names of a Maildir and names of folders: what lies in a user's files. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/store/maildir-int.h"
#include "lib/store/mbox-int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names(struct arena *a, enum store_kind kind, struct span s)
{
	struct span name = names_from_disk(a, kind, s);
	char *path = names_to_path(a, kind, s);

	if (name.len > 0)
		must(names_to_path(a, kind, name) != NULL);
	if (path == NULL)
		return;
	must(*path != '/');
	for (struct span rest = span_cstr(path); rest.len > 0;)
		must(!span_is(span_cut(&rest, '/'), ".."));
	if (kind == STORE_MAILDIR)
		must(strchr(path, '/') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, size + 1);
	struct span text = span_of(copy, size);
	struct arena a = ARENA_INIT;
	struct uidlist l;
	struct mbox_state state;
	struct maildir_name n;
	char name[MAILDIR_NAME_MAX];

	if (size > 0)
		memcpy(copy, data, size);
	uidlist_parse(&a, text, &l);
	for (size_t i = 0; i < l.n; i++)
		must(l.v[i].uid > 0 && l.v[i].uid < l.uidnext && (i == 0 || l.v[i].uid > l.v[i - 1].uid) && l.v[i].base.len > 0);
	if (mbox_state_parse(text, &state))
		must(state.nruns <= MBOX_RUNS_MAX);
	maildir_name_parse(text, &n);
	if (maildir_name_make(name, n.base, n.flags, n.letters, false)) {
		struct maildir_name again;

		maildir_name_parse(span_cstr(name), &again);
		must(memchr(n.base.ptr, 0, n.base.len) != NULL || (again.flags == n.flags && again.letters == n.letters));
	}
	names(&a, STORE_MBOX, text);
	names(&a, STORE_MAILDIR, text);
	arena_free(&a);
	free(copy);
	return 0;
}
