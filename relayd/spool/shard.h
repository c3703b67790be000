/* SPDX-License-Identifier: ISC */
/*
 * Shards and segments as files. A shard is a directory that its holder has locked:
 *
 *   lock            held with flock as long as its holder lives
 *   segment-N       records; N rises
 *   spare-N         a segment that was emptied and waits to be used again
 *   new-N           a segment in the making; never holds a message
 *   large/UID       bodies that are too long for a segment
 *   *.damaged       what recovery could not read; for people to look at
 */
#ifndef RELAYD_SPOOL_SHARD_H
#define RELAYD_SPOOL_SHARD_H

#include "base/fault.h"
#include "base/list.h"
#include "spool/disk.h"
#include "spool/record.h"

#include <stdatomic.h>

#include <pthread.h>

#define SHARD_NUMBER_MAX 1023u /* a message's uid has ten bits for it */
#define SHARD_NAME_SIZE	 48
#define PREWRITE_OCTETS	 (1024u * 1024u)

struct shard {
	struct list link;
	uint64_t number;
	char name[SHARD_NAME_SIZE];
	int fd;
	int large_fd;
	int lock_fd;
	uint64_t segments; /* that are open; commit thread */
	bool is_own;	   /* new messages go here */
};

struct segment {
	struct list link; /* commit thread, as all up to fd */
	struct list live; /* of struct spool_message, in no order */
	uint64_t live_octets;
	uint64_t left;	   /* messages that were let go of; they keep it alive */
	uint64_t written;  /* where the next record goes */
	bool is_dirty;	   /* marks or states were written and not synced */
	bool is_sealed;	   /* no record will be added */
	bool is_condemned; /* a write or sync failed: no more records, and never used
			      again */
	bool is_damaged;   /* to be set aside once it is empty */
	bool is_compacting;
	_Atomic bool is_extending;
	int fd;
	struct shard *shard;
	struct segment_header header;
	_Atomic uint64_t prewritten; /* octets that exist; grows under the lock */
	pthread_mutex_t lock;
	_Atomic uint32_t readers; /* jobs that use fd; it stays open for them */
};

enum file_kind {
	FILE_OTHER,
	FILE_SEGMENT,
	FILE_SPARE,
	FILE_NEW,
};

/* What kind of file of a shard has this name, and its number. */
enum file_kind file_kind_of(const char *name, uint64_t *number);
void file_name(char name[SHARD_NAME_SIZE], enum file_kind kind, uint64_t number);
void large_name(char name[SHARD_NAME_SIZE], uint64_t file);

/*
 * Call seen for each name in the directory ("." and ".." left out) until it returns
 * false. False and *fault when it cannot be read.
 */
bool directory_walk(int directory, bool (*seen)(void *context, const char *name),
		    void *context, struct fault *fault);

/* Numbers of shards or files. All zero: none; free(list.numbers) ends it. */
struct number_list {
	uint64_t *numbers;
	size_t count;
	size_t room;
};

void number_list_add(struct number_list *list, uint64_t number);
void number_list_sort(struct number_list *list);

/* Is it in the list, which is sorted? */
bool number_list_has(const struct number_list *list, uint64_t number);

/*
 * The numbers of the files of one kind in a shard's directory, or with FILE_OTHER of the
 * shards in the spool's, sorted. False, *fault and an empty list when it cannot be read.
 */
bool directory_numbers(int directory, enum file_kind kind, struct number_list *list,
		       struct fault *fault);

enum shard_status {
	SHARD_TAKEN, /* by us, now */
	SHARD_HELD,  /* by somebody else, or it went away */
	SHARD_FAILED,
};

/* Lock the shard of this number, making its directory first when must_make is set. */
enum shard_status shard_take(const struct spool_disk *disk, int spool_fd, uint64_t number,
			     bool must_make, struct shard **shard, struct fault *fault);

/* Close the files, which unlocks it. */
void shard_free(struct shard **shard);

/* Remove a shard in which no segment is left, as far as it is empty; unlocks it. */
void shard_retire(const struct spool_disk *disk, int spool_fd, struct shard **shard);

/*
 * Make segment-<number> with a header and its first octets written and durable, from the
 * spare file of that number if spare is not 0. NULL and *fault on failure.
 */
struct segment *segment_new(const struct spool_disk *disk, struct shard *shard,
			    const struct segment_header *header, uint64_t spare,
			    struct fault *fault);

/* Open one that another process wrote. Only marks and state areas of it may be written.
 */
struct segment *segment_open(const struct spool_disk *disk, struct shard *shard,
			     uint64_t number, struct fault *fault);

void segment_free(struct segment **segment);

/*
 * Write the next octets of it ahead of use and sync them, on a descriptor of its own: an
 * error must stay to be seen by the sync of the commit thread.
 */
bool segment_extend(const struct spool_disk *disk, struct segment *segment,
		    struct fault *fault);

/* Overwrite the mark of the record at offset. */
bool segment_mark(const struct spool_disk *disk, struct segment *segment, uint64_t offset,
		  enum record_mark mark);

/* fsync of a directory; those that cannot be synced count as synced. */
bool directory_sync(const struct spool_disk *disk, int fd);

#endif
