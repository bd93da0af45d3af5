/* SPDX-License-Identifier: BSD-2-Clause */
/* postalias: make and look at alias tables. */
#include "lib/map/maptool.h"

int main(int argc, char **argv)
{
	return maptool_main(argc, argv, "postalias", MAP_BUILD_POSTALIAS);
}
