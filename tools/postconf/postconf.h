/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of postconf(1) share. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/conf/edit.h"
#include "lib/conf/raw.h"

enum mode { MODE_PARAMETERS, MODE_ENTRIES, MODE_FIELDS, MODE_OVERRIDES, MODE_TYPES };

enum { OVERRIDES_MAX = 100 };

struct options {
	const char *dir;
	enum mode mode; /* main.cf; -M, -F, -P: master.cf; -m: table types */
	bool defaults;  /* -d */
	bool set_only;  /* -n */
	bool expand;    /* -x */
	bool json;      /* -j */
	bool no_names;  /* -h */
	bool no_values; /* -H */
	bool edit;      /* -e, -X, -# */
	enum edit_how how;
	const char *overrides[OVERRIDES_MAX]; /* -o */
	size_t noverrides;
};

/* "name = value", or what -h, -H and -j make of it, on standard output. */
void print_setting(const struct options *o, const char *name, struct span value);
/* The text of dir/file in text; ends the program when it cannot be read. */
void read_or_die(const char *path, struct buf *text);
void write_or_die(const char *path, struct span text);

/* Each returns the exit status. */
int list_parameters(const struct options *o, char **names, size_t n);
int edit_parameters(const struct options *o, char **args, size_t n);
int list_services(const struct options *o, char **patterns, size_t n);
int edit_services(const struct options *o, char **args, size_t n);
