/* SPDX-License-Identifier: ISC */
/*
 * The durable store of accepted messages: one worker's view of it. It owns every durable
 * message byte and knows nothing of mail: an envelope and a state area are bytes to it.
 *
 * A message is first a draft (session receives it), then, once committed, a message that
 * lives until spool_remove. Committing is asynchronous: a commit thread makes everything
 * that waits durable with one fdatasync and then calls back in the loop's thread. All
 * functions belong to the loop's thread; none of them waits for the disk.
 *
 * Beside envelope and body each message has a state area of fixed size, which its user may
 * overwrite in place (which recipients are done, when to try next). A state write that was
 * handed over survives a killed process once the next turn of the commit thread has run, and
 * a power cut once that was synced; until then the earlier bytes stand, each octet for
 * itself.
 */
#ifndef RELAYD_SPOOL_SPOOL_H
#define RELAYD_SPOOL_SPOOL_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/loop.h"

#define SPOOL_STATE_MAX	   8192		 /* octets of a state area */
#define SPOOL_ENVELOPE_MAX (512u * 1024) /* longer ones are refused as SPOOL_FULL */

struct spool;
struct spool_disk; /* see spool/disk.h */
struct spool_draft;
struct spool_message;

/* The part of a message that its user may look at. */
struct spool_info {
	uint64_t uid;	       /* unique in the state directory, rising in order of arrival */
	int64_t stored_wall_ms;
	uint64_t body_octets;
	uint32_t envelope_octets;
	uint32_t state_octets;
};

struct spool_settings {
	const char *directory;	      /* state-dir/spool; made if missing */
	uint64_t segment_octets;      /* 0: 16 MiB */
	/*
	 * Larger bodies have a file of their own; 0: 2 MiB, at most a quarter of a segment.
	 * While bodies fill half of memory_octets_max it is 256 KiB.
	 */
	uint64_t inline_octets_max;
	uint64_t memory_octets_max;   /* bodies kept in memory for delivery; 0: 64 MiB */
	/*
	 * Refuse drafts when the disk has less; 0: 64 MiB. Never more than a twentieth of the
	 * disk. On small disks segments are smaller, too.
	 */
	uint64_t reserve_octets;
	const struct spool_disk *disk; /* NULL: the real one; others are for tests */
};

struct spool_events {
	/*
	 * A message that another process left behind: found at the start or when a shard that
	 * nobody holds was adopted. In order of arrival within a shard. envelope and state are
	 * borrowed for the call. The callee keeps the message (it is its user now).
	 */
	void (*found)(void *context, struct spool_message *message, struct span envelope,
		      struct span state);
};

/*
 * Open the spool for one worker: take a shard that nobody holds, or make one; recover what
 * is in it (found is called from later turns, not from here). NULL and *fault when there is
 * no way to store anything. settings, events and log are borrowed for the spool's life.
 */
struct spool *spool_open(const struct spool_settings *settings, struct loop *loop,
			 const struct spool_events *events, void *context,
			 const struct log *log, struct fault *fault);

/*
 * Finish what was handed over (waits for the disk: call it at the end of a process only),
 * release the shards, free everything. Messages and drafts may not be used after it, and no
 * callback comes any more. Not from a callback of the spool. The loop should have one more
 * turn before it is freed.
 */
void spool_close(struct spool **spool);

/*
 * Look for shards that nobody holds and adopt them. Called at the start, every minute, and
 * when the supervisor says that a worker ended.
 */
void spool_adopt(struct spool *spool);

/* Does nobody wait for a callback from the spool (or for messages of an adopted shard)? */
bool spool_is_idle(const struct spool *spool);

/* Are shards still being read: has found not been called for all that is there yet? */
bool spool_is_loading(const struct spool *spool);

/* Would a draft of so many octets be taken now? False: answer 452 4.3.1. */
bool spool_has_room(const struct spool *spool, uint64_t octets);

enum spool_status {
	SPOOL_OK,
	SPOOL_FULL,    /* no space or no inodes: 452 4.3.1 */
	SPOOL_BROKEN,  /* the disk failed: 451 4.3.0 */
};

/* A new message. Never NULL. */
struct spool_draft *spool_draft_new(struct spool *spool);

/*
 * Append to the body. False: enough waits to be written for now; the bytes were taken all
 * the same, but stop reading until resume is called (once, from a later turn).
 */
bool spool_draft_append(struct spool_draft *draft, struct span bytes,
			void (*resume)(void *context), void *context);
uint64_t spool_draft_octets(const struct spool_draft *draft);

/* Is all of its body in memory, as it is until it grows large? */
bool spool_draft_is_in_memory(const struct spool_draft *draft);

/*
 * As spool_body_peek, for a draft that is in memory; borrowed until the draft grows or goes.
 */
size_t spool_draft_peek(const struct spool_draft *draft, uint64_t offset, struct span *run);

/* Give it up; NULL is harmless. */
void spool_draft_drop(struct spool_draft **draft);

/*
 * The message is durable (SPOOL_OK: message is the caller's to deliver and to remove), or
 * could not be stored (message is NULL and nothing of it will reappear).
 */
typedef void spool_committed(void *context, enum spool_status status,
			     struct spool_message *message);

/*
 * Make the draft durable with this envelope and initial state (both copied; state may be
 * empty). Takes the draft. done comes from a later turn, exactly once.
 */
void spool_draft_commit(struct spool_draft **draft, struct span envelope, struct span state,
			spool_committed *done, void *context);

const struct spool_info *spool_message_info(const struct spool_message *message);

/* A pointer of the user's own, kept with the message; NULL at first. */
void spool_message_set_user(struct spool_message *message, void *user);
void *spool_message_user(const struct spool_message *message);

/* Overwrite part of the state area; offset + bytes.len <= state_octets. */
void spool_state_write(struct spool_message *message, uint32_t offset, struct span bytes);

/* The message is done with: it will not be found again. Takes the message. */
void spool_remove(struct spool_message **message);

/*
 * Let go of a message without removing it: it stays in the spool for whoever opens the shard
 * next. For draining. Takes the message.
 */
void spool_leave(struct spool_message **message);

/*
 * The longest run of body octets that lie together in memory from this offset on; returns
 * its length. 0, and ptr NULL, when the body is not in memory or ends there: a body is in
 * memory as a whole or not at all. Borrowed until the next call of spool_body_forget,
 * spool_remove or spool_leave for this message.
 */
size_t spool_body_peek(const struct spool_message *message, uint64_t offset,
		       struct span *run);

/* The message has to wait: its body need not stay in memory. */
void spool_body_forget(struct spool_message *message);

/* A part of body, envelope or state read from disk; PTR NULL and *fault on failure. */
typedef void spool_read_done(void *context, struct span bytes, struct fault *fault);

struct spool_read;

/*
 * Read up to octets of the body from offset (fewer only at its end). done comes from a later
 * turn, once, unless spool_read_cancel comes first; the bytes are borrowed for the call.
 */
struct spool_read *spool_read_body(struct spool_message *message, uint64_t offset,
				   size_t octets, spool_read_done *done, void *context);
struct spool_read *spool_read_envelope(struct spool_message *message,
				       spool_read_done *done, void *context);
void spool_read_cancel(struct spool_read **read);

struct spool_figures {
	uint64_t messages;	/* live */
	uint64_t body_octets;	/* of live messages */
	uint64_t memory_octets; /* of bodies in memory */
	uint64_t segments;
	uint64_t syncs;		/* fdatasync calls so far */
	uint64_t commits;	/* messages made durable so far */
};
void spool_figures_get(const struct spool *spool, struct spool_figures *figures);

/*
 * For tools: walk every live message of every shard in the directory, held or not, without
 * taking part. What changes meanwhile may or may not be seen. seen returns false to stop.
 */
struct spool_glance {
	const struct spool_info *info;
	struct span envelope;
	struct span state;
	const char *shard;
	struct span body; /* of it, what lies beside the envelope: all, or nothing */
	uint64_t file;	  /* that has the body instead; private */
	int shard_fd;	  /* private */
};

/* While it is seen: append up to so many octets of its body; false and *fault on failure. */
bool spool_glance_body(const struct spool_glance *glance, size_t octets, struct buffer *out,
		       struct fault *fault);
bool spool_walk(const char *directory, bool (*seen)(void *context, const struct spool_glance *),
		void *context, struct fault *fault);

#endif
