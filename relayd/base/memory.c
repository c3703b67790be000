/* SPDX-License-Identifier: ISC */
/* Heap memory; see memory.h. */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void
memory_is_out(void)
{
	static const char text[] = "relayd: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) == -1)
		_exit(3);
	abort();
}

void *
memory_new(size_t octets)
{
	return memory_new_array(1, octets);
}

void *
memory_new_array(size_t count, size_t octets_each)
{
	void *p = calloc(count == 0 ? 1 : count, octets_each == 0 ? 1 : octets_each);

	if (p == NULL)
		memory_is_out();
	return p;
}

void *
memory_resize(void *old, size_t count, size_t octets_each)
{
	if (octets_each != 0 && count > SIZE_MAX / octets_each)
		memory_is_out();

	void *p = realloc(old, count * octets_each);

	if (p == NULL && count * octets_each != 0)
		memory_is_out();
	return p;
}

char *
memory_copy_text(struct span text)
{
	char *copy = memory_new(text.len + 1);

	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	return copy;
}

void
memory_wipe(void *secret, size_t octets)
{
	if (octets > 0)
		explicit_bzero(secret, octets);
}
