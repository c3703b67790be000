/* SPDX-License-Identifier: ISC */
/* Memory of Cyrus SASL; see sasl_memory.h. */
#define _DEFAULT_SOURCE /* malloc_usable_size */
#include "auth/sasl_memory.h"

#include "base/memory.h"

#include <malloc.h>
#include <stdlib.h>

#define STACK_WIPE_OCTETS 24576 /* more than any frame of the library that sees a password */

void
sasl_memory_free(void *memory)
{
	if (memory == NULL)
		return;
	memory_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

void *
sasl_memory_resize(void *memory, size_t octets)
{
	void *new = malloc(octets);

	if (new != NULL && memory != NULL) {
		size_t had = malloc_usable_size(memory);

		memcpy(new, memory, had < octets ? had : octets);
		sasl_memory_free(memory);
	}
	return new;
}

void __attribute__((noinline))
sasl_stack_wipe(void)
{
	char frames[STACK_WIPE_OCTETS];

	memory_wipe(frames, sizeof(frames));
}
