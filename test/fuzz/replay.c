/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds files to a fuzz target, in place of libFuzzer: with any compiler, as a unit test.
 *
 *   fuzz_packet corpus/packet       every file of a folder
 *   fuzz_packet crash-0123abcd      one file
 */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_MAX (1u << 20)

static int
replay_file(const char *path)
{
	static uint8_t buffer[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	if (file == NULL) {
		perror(path);
		return -1;
	}
	size = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	/* exactly as long, so that a sanitizer sees a step over its end */
	data = malloc(size > 0 ? size : 1);
	CHECK(data != NULL);
	memcpy(data, buffer, size);
	fprintf(stderr, "%s\n", path); /* the last one named is the one that broke it */
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int
replay_folder(const char *path, unsigned int *n)
{
	struct dirent **names;
	int n_names = scandir(path, &names, NULL, alphasort);
	int rc = n_names < 0 ? -1 : 0;

	for (int i = 0; i < n_names; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			rc |= replay_file(file);
			(*n)++;
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

int
main(int argc, char **argv)
{
	unsigned int n = 0;
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			rc |= replay_folder(argv[i], &n);
		} else {
			rc |= replay_file(argv[i]);
			n++;
		}
	}
	printf("%u inputs replayed\n", n);
	return rc != 0 || n == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
