/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/must.h"

bool verdict_dsn_valid(struct span dsn)
{
	struct span class = span_cut(&dsn, '.');
	struct span subject = span_cut(&dsn, '.');
	uint64_t n;

	if (class.len != 1 || (class.ptr[0] != '2' && class.ptr[0] != '4' && class.ptr[0] != '5'))
		return false;
	return subject.len <= 3 && dsn.len <= 3 && span_u64(subject, 999, &n) && span_u64(dsn, 999, &n);
}

struct verdict verdict_make(struct arena *a, const char *dsn, const char *fmt, ...)
{
	struct verdict v = { .class = dsn[0] == '2' ? VERDICT_OK : dsn[0] == '5' ? VERDICT_PERM : VERDICT_TEMP };
	char text[1024];
	va_list ap;

	must(verdict_dsn_valid(span_cstr(dsn)));
	snprintf(v.dsn, sizeof v.dsn, "%s", dsn);
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (ascii_iscntrl(*p))
			*p = ' ';
	v.text = arena_span(a, span_cstr(text));
	return v;
}

struct verdict verdict_errno(struct arena *a, const char *what, int err)
{
	const char *dsn = err == ENOSPC || err == EDQUOT || err == EFBIG ? "4.2.2" : "4.3.0";

	return verdict_make(a, dsn, "%s: %s", what, strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
}
