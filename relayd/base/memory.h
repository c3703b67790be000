/* SPDX-License-Identifier: ISC */
/*
 * Heap memory. Running out of it ends the process: every size that a client feeds has a cap,
 * so no client can cause it, and accepted mail is on disk.
 */
#ifndef RELAYD_BASE_MEMORY_H
#define RELAYD_BASE_MEMORY_H

#include "base/span.h"

/* Zeroed memory for one object, or for count of them. Never NULL. End it with free(). */
void *memory_new(size_t octets) __attribute__((malloc, returns_nonnull));
void *memory_new_array(size_t count, size_t octets_each)
    __attribute__((malloc, returns_nonnull));

/* realloc for an array; the new part is not zeroed. Never NULL for count > 0. */
void *memory_resize(void *old, size_t count, size_t octets_each) MUST_CHECK;

/* A terminated copy; the bytes may hold NUL. End it with free(). */
char *memory_copy_text(struct span text) __attribute__((returns_nonnull));

/* Overwrite a secret; the compiler cannot leave this out. */
void memory_wipe(void *secret, size_t octets);

#endif
