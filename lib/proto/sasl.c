/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/sasl.h"

#include <string.h>

bool sasl_plain_parse(struct span decoded, struct sasl_plain *out)
{
	ptrdiff_t first = span_chr(decoded, '\0'), second;

	if (first < 0)
		return false;
	out->authzid = span_head(decoded, (size_t)first);
	decoded = span_skip(decoded, (size_t)first + 1);
	second = span_chr(decoded, '\0');
	if (second < 0)
		return false;
	out->authcid = span_head(decoded, (size_t)second);
	out->password = span_skip(decoded, (size_t)second + 1);
	return out->authcid.len > 0 && out->password.len > 0 && span_chr(out->password, '\0') < 0;
}
