/* SPDX-License-Identifier: BSD-2-Clause */
/* First octet: which type was asked for; the rest: the answer, to a question for example.com. */
#include "lib/base/must.h"
#include "lib/io/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_MX, DNS_PTR, DNS_CNAME };
	struct arena a = ARENA_INIT;
	struct dns_answer answer;
	enum dns_status status;

	if (size == 0)
		return 0;
	status =
	    dns_read(&a, span_of((const char *)data + 1, size - 1), SPAN("example.com"), types[data[0] % 5], &answer);
	must(answer.nrecords <= DNS_RECORDS_MAX);
	must((status == DNS_OK) == (answer.nrecords > 0));
	for (size_t i = 0; i < answer.nrecords; i++)
		must(answer.records[i].name.len <= DNS_NAME_MAX);
	arena_free(&a);
	return 0;
}
