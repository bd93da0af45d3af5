/* SPDX-License-Identifier: BSD-2-Clause */
/* main() of a fuzz target outside MODE=fuzz: every file named on the command line goes through it once. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

int main(int argc, char **argv)
{
	uint8_t *input = malloc(INPUT_MAX);

	if (input == NULL)
		return 1;
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t len;

		if (f == NULL) {
			perror(argv[i]);
			return 1;
		}
		len = fread(input, 1, INPUT_MAX, f);
		fclose(f);
		LLVMFuzzerTestOneInput(input, len);
	}
	free(input);
	return 0;
}
