/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an address whose domain may be past ASCII. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/idna.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = ARENA_INIT;
	struct span once = idna_address(&a, span_of((const char *)data, size));

	must(span_eq(idna_address(&a, once), once));
	arena_free(&a);
	return 0;
}
