/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the header of a load balancer, given piece by piece as it asks for them. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h;
	enum proxy_status status;
	size_t have = 0, want;

	while ((status = proxy_header_read(span_of((const char *)data, have), &h, &want)) == PROXY_MORE) {
		must(want > 0 && have + want <= PROXY_HEADER_MAX);
		if (have + want > size)
			return 0;
		have += want;
	}
	must(status != PROXY_OK || h.local || h.client.family == h.server.family);
	return 0;
}
