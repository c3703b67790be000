/* SPDX-License-Identifier: ISC */
/*
 * A disk that writes down all that is done to it, so that a test can make up what a power
 * cut at any moment may leave: what was synced is there; of what was written since, any
 * part may be or not, sector by sector; directory entries that were not synced come in
 * order, or not.
 */
#ifndef RELAYD_TESTS_SPOOL_RECORDING_DISK_H
#define RELAYD_TESTS_SPOOL_RECORDING_DISK_H

#include "spool/disk.h"

struct recording;

struct recording *recording_new(const char *directory);
void recording_free(struct recording **recording);
const struct spool_disk *recording_disk(struct recording *recording);

/* How many things were done so far: a moment that a power cut may come after. */
size_t recording_now(struct recording *recording);

/* Make, in an empty directory, what a power cut at that moment may have left. */
void recording_cut(struct recording *recording, size_t moment, uint64_t random,
		   const char *directory);

#endif
