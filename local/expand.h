/* SPDX-License-Identifier: BSD-2-Clause */
/* Between expand.c and the sources it reads: alias tables, .forward and :include: files. */
#pragma once
#include "local/local.h"

/* alias_maps; owner_r: whose the table is that answered (0: root's). */
enum map_status table_lookup(struct arena *a, struct span key, struct span *value_r, uid_t *owner_r);

enum { FORWARD_FILE_MAX = 64 * 1024, INCLUDE_FILE_MAX = 16 * 1024 * 1024 };

enum source_status {
	SOURCE_OK = 0,
	SOURCE_NONE, /* there is no such file, or it may not be used (logged) */
	SOURCE_TEMP, /* cannot be read now: verdict */
};

/* Read path with r's rights. It must be a regular file of owner r->uid or root that not everybody can write to. */
enum source_status source_forward(struct arena *a, const char *path, const struct rights *r, struct span *text_r,
				  struct verdict *v_r);
/* An :include: file. r: whose rights to read with, NULL: root's. Not there: temporary. owner_r: whose it is. */
enum source_status source_include(struct arena *a, const char *path, const struct rights *r, struct span *text_r,
				  uid_t *owner_r, struct verdict *v_r);
