/* SPDX-License-Identifier: BSD-2-Clause */
/* VECTORIZED: a function whose loop over bytes is simple enough for the compiler to take many of them at once, and should be. */
#pragma once

#ifdef __clang__
#define VECTORIZED
#else
#define VECTORIZED __attribute__((optimize("O3")))
#endif
