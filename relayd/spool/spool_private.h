/* SPDX-License-Identifier: ISC */
/*
 * The inside of the spool. Three threads share it, and every member says who may touch
 * it:
 *
 *   loop     the caller's thread: drafts, bodies in memory, users' pointers
 *   commit   appends records, overwrites marks and states, syncs: it alone writes to
 *            segments, and it alone knows which messages live where
 *   helper   everything else that waits for the disk: reads, new segments, recovery,
 *            recycling, late syncs, free space
 *   files    bodies that have a file of their own, on their way to the disk
 */
#ifndef RELAYD_SPOOL_SPOOL_PRIVATE_H
#define RELAYD_SPOOL_SPOOL_PRIVATE_H

#include "spool/chunk.h"
#include "spool/disk.h"
#include "spool/record.h"
#include "spool/shard.h"
#include "spool/spool.h"
#include "spool/thread.h"

#include <stdatomic.h>
#include <sys/uio.h>

#define SPARES_MAX    4
#define COMMIT_RUNS   1024 /* IOV_MAX of Linux */
#define LAZY_SYNC_MS  1000
#define FOUND_AT_ONCE 256

/* What the commit thread can be asked. */
enum commit_kind {
	COMMIT_STORE,	  /* struct store */
	COMMIT_MOVE,	  /* struct store */
	COMMIT_STATE,	  /* struct state_write */
	COMMIT_REMOVE,	  /* the message's own job */
	COMMIT_LEAVE,	  /* the message's own job */
	COMMIT_SHARD,	  /* struct load */
	COMMIT_MOVES_END, /* struct compaction */
};

struct commit_job {
	struct spool_job job; /* first */
	enum commit_kind kind;
};

struct spool_message {
	struct spool *spool;
	struct spool_info info;
	void *user;		  /* loop */
	struct spool_chunks body; /* loop, once committed; empty: not in memory */
	struct segment
	    *segment; /* where the record is: written by commit under spool->lock */
	uint64_t offset;
	uint64_t file;		  /* of an external body; 0: inline */
	uint32_t flags;		  /* of enum record_flags, as the record says */
	struct list link;	  /* commit: in segment->live */
	struct commit_job ending; /* loop, then commit: remove or leave */
};

/* A record on its way into a segment: a draft's, or one that compaction moves. */
struct store {
	struct commit_job commit; /* first */
	struct spool *spool;
	struct spool_record record;
	char *prefix; /* header, state, extension, envelope */
	struct spool_message *message;
	struct spool_chunks body; /* inline, or external and still in memory */
	struct large *large;	  /* NULL: inline */
	uint64_t offset;	  /* commit: where it was put */
	enum spool_status status;
	spool_committed *done;
	void *context;
	/* when moving: */
	struct segment *from;
	uint64_t from_offset;
	char *from_body;
};

struct state_write {
	struct commit_job commit; /* first */
	struct spool_message *message;
	uint32_t offset;
	uint32_t octets;
	char bytes[];
};

/* An external body while it is being written; made by the loop, written by files. */
struct large {
	struct spool *spool;
	uint64_t file;
	uint64_t waiting;   /* loop: octets handed over and not written yet */
	size_t kept_chunks; /* loop: that are written, at the front of the draft's body */
	bool is_kept;	    /* loop: they stay in memory */
	struct spool_draft *draft; /* loop: NULL once it was dropped or committed */
	int fd;			   /* files */
	uint64_t octets;	   /* files */
	uint32_t sum;		   /* files */
	enum spool_status status;  /* files */
};

/* Chunks for a large file; the last job of a file carries its store, or drops it. */
struct large_job {
	struct spool_job job; /* first */
	struct large *large;
	struct spool_chunk *first;
	size_t count;
	uint64_t octets;
	struct store *store; /* or NULL */
	bool is_drop;
	struct spool_chunks orphans; /* of a dropped draft; given back in the loop */
};

struct spool_draft {
	struct spool *spool;
	struct spool_chunks body;
	uint64_t octets;
	struct large *large; /* NULL: inline so far */
	struct spool_chunk
	    *pending_first; /* of those for the file that were not handed over */
	uint64_t pending_octets;
	void (*resume)(void *context);
	void *resume_context;
	struct list link; /* in spool->drafts */
};

/* A small thing for the helper to do. */
struct task {
	struct spool_job job; /* first */
	struct spool *spool;
	struct segment *segment;
	struct shard *shard;
	uint64_t number;
};

/* The recovery of one shard. */
struct load {
	struct commit_job commit; /* first */
	struct spool *spool;
	struct shard *shard;
	struct number_list numbers; /* of its segments */
	size_t at;
	struct list segments;
	uint64_t segment_count;
	struct spool_message **messages;
	size_t message_count;
	bool is_joined; /* the segments have the messages now */
	size_t found;	/* of the messages, how many their user has */
	size_t batch;	/* how many of them are in bytes now */
	char *bytes;
	struct {
		size_t at, len;
		bool is_good;
	} parts[FOUND_AT_ONCE];
	uint64_t file_limit; /* files from this number on are not left over from before */
};

/* The emptying of a sparse segment. */
struct compaction {
	struct commit_job commit; /* first */
	struct spool *spool;
	struct segment *segment;
	uint64_t *offsets; /* of records, each followed by its octets */
	size_t count;
};

/* What is known about free space; written by the helper. Not part of what is const. */
struct room {
	struct spool *spool;
	_Atomic uint64_t free_octets; /* at the last look, less what we used since */
	_Atomic uint64_t reserve_octets;
	_Atomic bool has_inodes;
	_Atomic bool was_refused; /* a write said that there is no space */
	_Atomic int64_t looked_ms;
	_Atomic bool is_looking;
	_Atomic uint64_t slack; /* octets of the current segment that are left */
	struct spool_job job;
};

struct spool {
	/* fixed */
	const struct spool_disk *disk;
	uint64_t segment_octets;
	uint64_t inline_octets_max;
	uint64_t memory_octets_max;
	uint64_t reserve_octets;
	struct loop *loop;
	const struct spool_events *events;
	void *context;
	const struct log *log;
	int fd; /* of the directory */
	struct shard *own;
	uint64_t first_counter; /* of uids of this process */

	/* loop */
	struct loop_hook hook;
	struct loop_timer late;	   /* for what is asked after the hook ran */
	struct spool_jobs commits; /* of this turn */
	struct spool_jobs writes;  /* of this turn */
	struct list drafts;
	bool is_stirred; /* something waits for the end of the turn */
	struct spool_chunk_pool chunks;
	uint64_t counter; /* of uids */
	struct spool_job adoption;
	uint64_t waiting;	 /* callbacks owed */
	uint64_t storing_octets; /* of drafts handed over and not stored */
	uint64_t messages;
	uint64_t body_octets;
	bool is_adopting;
	bool must_adopt_again;
	_Atomic bool is_closing; /* set by the loop */

	/* every thread */
	struct spool_thread commit;
	struct spool_thread helper;
	struct spool_thread files;
	struct spool_mailbox *mailbox;
	pthread_mutex_t lock; /* for ready, spares, shards and places of messages */
	struct segment *ready;
	uint64_t spares[SPARES_MAX];
	size_t spare_count;
	struct list shards;
	struct room *room;
	_Atomic uint64_t counter_seen;	  /* a recent value of counter */
	_Atomic uint64_t segment_number;  /* the highest in the own shard */
	_Atomic bool is_preparing;	  /* the next segment is asked for, or ready */
	_Atomic int64_t prepare_after_ms; /* it failed: not before */
	_Atomic bool is_stopping;	  /* background work should end soon */
	_Atomic uint32_t loads;		  /* recoveries that are not done */
	_Atomic uint64_t segment_count;
	_Atomic uint64_t syncs;
	_Atomic uint64_t stored;
	_Atomic int64_t complained_ms; /* when a failing disk was last written about */

	/* commit */
	struct list segments;
	struct segment *current;
	bool has_empty;	      /* look for segments to recycle */
	int64_t dirty_due_ms; /* when to sync what was only marked; 0: nothing was */
	bool is_compacting;
	struct compaction *moved; /* its moves are in this turn's jobs */
	int64_t compaction_looked_ms;
	struct iovec runs[COMMIT_RUNS];
};

/* A uid holds a counter that began with the clock, and the number of the shard. */
#define UID_SHARD_BITS 10

/* Full: the errno says that there is no space. */
enum spool_status spool_status_of(int error);

/* Log what failed, but not for every message: at most once a second. Uses the fault up.
 */
void spool_complain(struct spool *spool, struct fault *fault);

static inline bool
segment_is_empty(const struct segment *segment)
{
	return list_is_empty(&segment->live) && segment->left == 0;
}

static inline void
spool_message_record(const struct spool_message *message, struct spool_record *record)
{
	*record = (struct spool_record){
		.flags = message->flags,
		.body_octets = message->info.body_octets,
		.envelope_octets = message->info.envelope_octets,
		.state_octets = message->info.state_octets,
	};
}

/* spool.c, for the loop */
uint64_t spool_uid_draw(struct spool *spool);
void
spool_stir(struct spool *spool); /* something is to be handed over at the turn's end */

/* commit.c */
int64_t commit_turn(void *context, struct spool_jobs *jobs);
void store_free(struct store *store);

/* large.c: the files thread, and its side of the loop */
int64_t files_turn(void *context, struct spool_jobs *jobs);
bool large_append(struct spool_draft *draft, struct span bytes);
void large_commit(struct spool_draft *draft, struct store *store);
void large_drop(struct spool_draft *draft);

/* upkeep.c: for the helper */
int64_t helper_turn(void *context, struct spool_jobs *jobs);
struct segment *spool_segment_new(struct spool *spool, struct fault *fault);
void upkeep_prepare(struct spool *spool);
void upkeep_extend(struct spool *spool, struct segment *segment);
void upkeep_retire(struct spool *spool, struct segment *segment);
void upkeep_retire_shard(struct spool *spool, struct shard *shard);
void upkeep_sync(struct spool *spool, struct segment *segment);
void upkeep_unlink_large(struct spool *spool, struct shard *shard, uint64_t file);
void upkeep_compact(struct spool *spool, struct segment *segment);
void compaction_free(struct compaction *compaction);
void room_look(struct room *room);
void room_look_soon(struct room *room);
void room_use(struct room *room, uint64_t octets);

/* load.c: recovery */
void load_begin(struct spool *spool, struct shard *shard, struct number_list *segments,
		uint64_t file_limit);	/* keeps the numbers */
void load_found(struct spool_job *job); /* loop: the commit thread knows them */
void load_adopt(struct spool *spool);
void load_free(struct load *load);

/* What became of the original of a moved record. */
enum origin_fate {
	ORIGIN_LIVE,
	ORIGIN_REMOVED,
	ORIGIN_MOVED,
	ORIGIN_GONE,
};
enum origin_fate origin_look(const struct spool_disk *disk, int spool_fd,
			     const struct spool_record *record);

#endif
