/* SPDX-License-Identifier: ISC */
/*
 * A slow or failing disk for tests and benchmarks, described by a text: words separated
 * by commas, where CALL is open, write, read, sync (fdatasync and fsync), rename, unlink,
 * link, mkdir or space:
 *
 *   sync-delay=5ms        every sync takes so much longer (us, ms or s)
 *   fail-CALL=N           the Nth call of its kind, from 1, fails with EIO
 *   fail-CALL=N:ENOSPC    ... with ENOSPC, EDQUOT, EIO, EACCES, EMFILE or EROFS
 *   fail-CALL=N+          so do all that follow
 *   short-write=N         the Nth write takes only half of the bytes
 *   kill-CALL=N           SIGKILL to the process at the Nth call; a write is half done
 */
#ifndef RELAYD_SPOOL_DISK_FAULTY_H
#define RELAYD_SPOOL_DISK_FAULTY_H

#include "base/fault.h"
#include "spool/disk.h"

struct disk_faulty;

/* Put such a disk above another (NULL: the real one). NULL and *fault for a bad text. */
struct disk_faulty *disk_faulty_new(const char *text, const struct spool_disk *below,
				    struct fault *fault);
void disk_faulty_free(struct disk_faulty **faulty);

/* The disk to hand to a spool; lives as long as its owner. */
const struct spool_disk *disk_faulty_disk(const struct disk_faulty *faulty);

/* How many calls there were of "write", "sync", ...; and in all with NULL. */
uint64_t disk_faulty_calls(const struct disk_faulty *faulty, const char *call);

#endif
