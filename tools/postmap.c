/* SPDX-License-Identifier: BSD-2-Clause */
/* postmap: make and look at lookup tables. */
#include "lib/map/maptool.h"

int main(int argc, char **argv)
{
	return maptool_main(argc, argv, "postmap", MAP_BUILD_POSTMAP);
}
