/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting to a program that main.cf names: "unix:path", "inet:host:port" ("inet:[::1]:port"), or a path alone. */
#pragma once
#include <stdint.h>

#include "lib/base/span.h"

/* A non-blocking, close-on-exec stream socket, or -1 and errno. The system looks host names up, which may take its time. */
int dial(struct span endpoint, int64_t deadline_ms);
