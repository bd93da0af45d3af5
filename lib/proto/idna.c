/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/idna.h"

#include <idn2.h>
#include <stdlib.h>

#include "lib/proto/addr.h"
#include "lib/proto/mailhost.h"

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

bool idna_to_ascii(struct arena *a, struct span name, struct span *out_r)
{
	char *ascii = NULL;
	bool ok;

	*out_r = name;
	if (is_ascii(name))
		return true;
	if (name.len > 4 * MAILHOST_NAME_MAX)
		return false;
	ok = idn2_to_ascii_8z(arena_cstr(a, name), &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
	     mailhost_name_valid(span_cstr(ascii));
	if (ok)
		*out_r = arena_span(a, span_cstr(ascii));
	idn2_free(ascii);
	return ok;
}

struct span idna_address(struct arena *a, struct span address)
{
	struct addr parts = addr_split(address);
	struct span ascii;

	if (parts.domain.len == 0 || !idna_to_ascii(a, parts.domain, &ascii) || span_eq(ascii, parts.domain))
		return address;
	return addr_internal(a, (struct addr){ parts.local, ascii });
}
