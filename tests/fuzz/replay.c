/* SPDX-License-Identifier: ISC */
/*
 * A main for fuzz targets that are built without libFuzzer: feeds each file of the corpus
 * folders named on the command line to the target, so that `make check` covers them, and what
 * a fuzzer once found stays found.
 */
#include "base/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_OCTETS_MAX (64U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
file_replay(const char *path)
{
	struct stat info;
	FILE *file = fopen(path, "rb");

	if (file == NULL || fstat(fileno(file), &info) == -1 || info.st_size < 0 ||
	    info.st_size > FILE_OCTETS_MAX) {
		perror(path);
		return 1;
	}
	size_t size = (size_t)info.st_size;
	uint8_t *data = memory_new(size);
	size_t got = fread(data, 1, size, file);

	(void)fclose(file);
	if (got == size)
		(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return got == size ? 0 : 1;
}

static int
folder_replay(const char *path, unsigned *count)
{
	DIR *folder = opendir(path);
	int failed = 0;

	if (folder == NULL) {
		perror(path);
		return 1;
	}
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		failed |= file_replay(name);
		(*count)++;
	}
	(void)closedir(folder);
	return failed;
}

int
main(int argc, char **argv)
{
	unsigned count = 0;
	int failed = 0;

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		failed |= folder_replay(argv[i], &count);
	(void)printf("%u files\n", count);
	return failed != 0 || (argc > 1 && count == 0);
}
