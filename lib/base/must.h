/* SPDX-License-Identifier: BSD-2-Clause */
/* must(cond): an assertion that is always compiled in. A failed one is a bug: it is logged and the process aborts. */
#pragma once

void must_fail(const char *cond, const char *file, int line) __attribute__((noreturn, cold));

#define must(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))
