/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a POP3 command line, a SASL response, a login name, a password field and a message. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/auth_name.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/pop3_cmd.h"
#include "lib/proto/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = span_of((const char *)data, size), rest;
	struct arena a = ARENA_INIT;
	struct sasl_plain plain;
	struct pop3_cmd cmd;
	uint32_t numbers[2];

	if (pop3_cmd_parse(line, &cmd) == POP3_CMD_OK) {
		must(cmd.word.len > 0 && cmd.word.len + cmd.args.len <= size);
		must(pop3_numbers(cmd.args, numbers, 2) <= 2);
		must(pop3_lang_answer(cmd.args) != NULL);
	}
	must(pop3_top_length(line, size ? data[0] : 0) <= size);
	if (sasl_plain_parse(line, &plain))
		must(plain.authzid.len + plain.authcid.len + plain.password.len + 2 == size);
	if (auth_name_valid(line))
		must(auth_name_format(&a, "%Lu", line).len == size);
	(void)auth_name_for_log(&a, line);
	(void)auth_scheme_parse(line, &rest);
	must(rest.len <= size && auth_secret_eq(line, line));
	arena_free(&a);
	return 0;
}
