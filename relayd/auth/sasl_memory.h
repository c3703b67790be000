/* SPDX-License-Identifier: ISC */
/* What both users of Cyrus SASL need: memory that may have held a password is wiped. */
#ifndef RELAYD_AUTH_SASL_MEMORY_H
#define RELAYD_AUTH_SASL_MEMORY_H

#include <stddef.h>

/* For sasl_set_alloc, beside malloc and calloc. */
void *sasl_memory_resize(void *memory, size_t octets);
void sasl_memory_free(void *memory);

/* Overwrite the stack below the caller, where the library's frames were. */
void sasl_stack_wipe(void);

#endif
