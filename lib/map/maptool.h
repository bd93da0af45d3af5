/* SPDX-License-Identifier: BSD-2-Clause */
/* What postmap(1) and postalias(1) do; they differ in the form of the source text. */
#pragma once
#include "lib/map/map.h"

/* The whole program: options, work, messages on standard error. Returns the exit status. */
int maptool_main(int argc, char **argv, const char *name, enum map_build how);
