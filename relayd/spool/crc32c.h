/* SPDX-License-Identifier: ISC */
/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), the checksum of what the spool stores. */
#ifndef RELAYD_SPOOL_CRC32C_H
#define RELAYD_SPOOL_CRC32C_H

#include "base/span.h"

/*
 * The checksum of what came before (0 at the start) followed by the bytes: pieces may be
 * summed one after another. Uses the processor's instruction where it has one.
 */
uint32_t crc32c(uint32_t before, struct span bytes);

/* The same without the instruction; for machines that lack it, and for tests. */
uint32_t crc32c_plain(uint32_t before, struct span bytes);

#endif
