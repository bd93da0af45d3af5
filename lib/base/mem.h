/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocation that never fails: out of memory logs and aborts, so no caller checks for it. Free with free(3). */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
/* Room for n elements of size bytes; the product is checked for overflow. */
void *mem_realloc_array(void *old, size_t n, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *mem_strndup(const char *s, size_t len) __attribute__((malloc, warn_unused_result));
char *mem_printf(const char *format, ...) __attribute__((malloc, warn_unused_result, format(printf, 1, 2)));
/* Overwrite a secret so that the compiler cannot leave the store out. */
void mem_wipe(void *p, size_t len);

/* cleanup attribute: free the pointer when it leaves scope. */
void mem_auto_free(void *pp);
#define AUTO_FREE __attribute__((cleanup(mem_auto_free)))
