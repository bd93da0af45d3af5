/* SPDX-License-Identifier: BSD-2-Clause */
/* Passwords of a passwd-file. The lookup itself is lib/map's, which reads the same file as a user database. */
#include <stdio.h>
#include <string.h>

#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { LINE_BYTES = 4096 };

static struct hash_model model;

/* Looked for each time that nothing is known yet: the file may get its first user later. */
static void find_model(const char *path)
{
	char line[LINE_BYTES];
	FILE *f;

	if (model.field[0] || (f = fopen(path, "re")) == NULL)
		return;
	while (model.field[0] == '\0' && fgets(line, sizeof line, f)) {
		struct span rest = span_trim(span_cstr(line)), name = span_cut(&rest, ':');

		if (name.len > 0 && name.ptr[0] != '#')
			hash_model_set(&model, span_cut(&rest, ':'));
	}
	fclose(f);
	mem_wipe(line, sizeof line);
}

/* Once: what is told of unknown users should not change while the others' fields stay. */
static void find_secret_model(const char *path)
{
	static bool looked;
	char line[LINE_BYTES];
	bool found = false;
	FILE *f;

	if (looked || (f = fopen(path, "re")) == NULL)
		return;
	looked = true;
	while (!found && fgets(line, sizeof line, f)) {
		struct span rest = span_trim(span_cstr(line)), name = span_cut(&rest, ':');

		found = name.len > 0 && name.ptr[0] != '#' && secret_model(span_cut(&rest, ':'));
	}
	fclose(f);
	mem_wipe(line, sizeof line);
}

void passdb_file_waste(const struct attempt *at, const char *arg)
{
	if (!attempt_by_password(at))
		return;
	find_model(arg);
	hash_waste(&model, at->password);
}

enum passdb_status passdb_file(struct attempt *at, const char *arg)
{
	struct span field = SPAN_NONE;
	enum passdb_status status;
	bool no_login = false;
	const char *why;

	if (!attempt_by_password(at))
		find_secret_model(arg);
	switch (userdb_password(arg, &at->arena, span_cstr(at->name), &field, &no_login)) {
	case MAP_OK:
		break;
	case MAP_NOTFOUND:
		passdb_file_waste(at, arg);
		secret_waste(at);
		return PASSDB_UNKNOWN;
	default:
		return PASSDB_TEMP;
	}
	status = secret_verify(at, field, &why);
	if (status == PASSDB_TEMP)
		log_error("%s: entry of %s: %s", arg, at->name, why);
	else if (status == PASSDB_MISMATCH && !hash_is_model(field))
		passdb_file_waste(at, arg);
	if (status == PASSDB_OK && no_login) {
		passdb_log(at, "passwd-file", "account is disabled");
		status = PASSDB_DISABLED;
	}
	mem_wipe((char *)field.ptr, field.len);
	return status;
}
