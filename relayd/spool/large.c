/* SPDX-License-Identifier: ISC */
/*
 * Bodies that are too long for a segment: written to a file of their own while they
 * arrive, made durable before the record that refers to them.
 */
#include "spool/spool_private.h"

#include "base/memory.h"
#include "spool/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGE_RUNS	    64
#define STEP_OCTETS	    (256u << 10) /* handed over at once while a body arrives */
#define INLINE_PRESSED	    (256u << 10) /* stored inline while memory is short */
#define WAITING_MAX	    (1u << 20)	 /* of one draft, before its reader is to pause */
#define WAITING_MAX_PRESSED (256u << 10) /* the same while memory is short */

/* The files thread. */

static void
large_fail(struct large *large, const char *step)
{
	struct fault fault;

	large->status = spool_status_of(errno);
	if (large->status == SPOOL_FULL)
		large->spool->room->was_refused = true;
	(void)fault_setf(&fault, "%s large file %llu", step,
			 (unsigned long long)large->file);
	spool_complain(large->spool, &fault);
}

static bool
large_is_open(struct large *large)
{
	const struct spool_disk *disk = large->spool->disk;
	char name[SHARD_NAME_SIZE];

	if (large->fd != -1)
		return true;
	large_name(name, large->file);
	large->fd = disk->open(disk->context, large->spool->own->large_fd, name,
			       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (large->fd == -1)
		large_fail(large, "make");
	return large->fd != -1;
}

static void
large_write(struct large *large, const struct spool_chunk *chunk, size_t count)
{
	while (count > 0 && large->status == SPOOL_OK && large_is_open(large)) {
		struct iovec runs[LARGE_RUNS];
		uint64_t offset = large->octets;
		int n = 0;

		for (; count > 0 && n < LARGE_RUNS; n++) {
			union {
				const char *from;
				void *base;
			} p = { .from = chunk->bytes };

			runs[n] =
			    (struct iovec){ .iov_base = p.base, .iov_len = chunk->used };
			large->octets += chunk->used;
			large->sum = crc32c(large->sum,
					    (struct span){ chunk->bytes, chunk->used });
			if (--count > 0)
				chunk = chunk->next;
		}
		room_use(large->spool->room, large->octets - offset);
		if (!disk_write(large->spool->disk, large->fd, runs, n, &offset))
			large_fail(large, "write to");
	}
}

static void
large_unlink(struct large *large)
{
	const struct spool_disk *disk = large->spool->disk;
	char name[SHARD_NAME_SIZE];

	if (large->fd == -1)
		return;
	(void)close(large->fd);
	large->fd = -1;
	large_name(name, large->file);
	(void)disk->unlink(disk->context, large->spool->own->large_fd, name, 0);
}

/* All of the file is written: make it durable. */
static void
large_sync(struct large *large)
{
	struct spool *spool = large->spool;

	if (large->status != SPOOL_OK)
		return;
	spool->syncs++;
	if (spool->disk->sync_data(spool->disk->context, large->fd) == -1) {
		large_fail(large, "fdatasync");
		return;
	}
	int fd = large->fd;

	large->fd = -1;
	if (close(fd) == -1)
		large_fail(large, "close");
}

/* Files that are complete; their directory is synced once for all of them. */
static void
files_commit(struct spool *spool, struct spool_jobs *complete,
	     struct spool_jobs *finished)
{
	struct spool_jobs stores;
	struct spool_job *job;
	bool is_synced = true;

	if (complete->first == NULL)
		return;
	spool_jobs_init(&stores);
	for (job = complete->first; job != NULL; job = job->next)
		large_sync(((struct large_job *)(void *)job)->large);
	if (!directory_sync(spool->disk, spool->own->large_fd)) {
		log_error(spool->log, "spool: cannot sync the directory of large files");
		is_synced = false;
	}
	while ((job = spool_jobs_take(complete)) != NULL) {
		struct large_job *last = (struct large_job *)(void *)job;
		struct store *store = last->store;
		struct large *large = last->large;

		if (large->status == SPOOL_OK && !is_synced)
			large->status = SPOOL_BROKEN;
		store->record.body_sum = large->sum;
		store->status = large->status;
		free(last);
		if (store->status == SPOOL_OK) {
			spool_jobs_add(&stores, &store->commit.job);
		} else {
			large_unlink(large);
			spool_jobs_add(finished, &store->commit.job);
		}
	}
	spool_thread_hand(&spool->commit, &stores);
}

int64_t
files_turn(void *context, struct spool_jobs *jobs)
{
	struct spool *spool = context;
	struct spool_jobs complete, finished;
	struct spool_job *job;

	spool_jobs_init(&complete);
	spool_jobs_init(&finished);
	while ((job = spool_jobs_take(jobs)) != NULL) {
		struct large_job *part = (struct large_job *)(void *)job;

		if (part->is_drop)
			large_unlink(part->large);
		else
			large_write(part->large, part->first, part->count);
		spool_jobs_add(part->store == NULL ? &finished : &complete, job);
	}
	spool_mailbox_send(spool->mailbox, &finished);
	files_commit(spool, &complete, &finished);
	spool_mailbox_send(spool->mailbox, &finished);
	return 0;
}

/* The loop's side. */

/*
 * A body in a segment costs a third of what one in a file of its own costs, but stays in
 * memory as a whole until it is stored.
 */
static uint64_t
inline_max(const struct spool *spool)
{
	bool is_short = spool->chunks.octets > spool->memory_octets_max / 2;

	return is_short && spool->inline_octets_max > INLINE_PRESSED
		   ? INLINE_PRESSED
		   : spool->inline_octets_max;
}

static uint64_t
waiting_max(const struct spool *spool)
{
	return spool->chunks.octets > spool->memory_octets_max ? WAITING_MAX_PRESSED
							       : WAITING_MAX;
}

static void
draft_resume(struct spool_draft *draft)
{
	void (*resume)(void *context) = draft->resume;

	if (resume == NULL)
		return;
	draft->resume = NULL;
	draft->spool->waiting--;
	resume(draft->resume_context);
}

/* Chunks were written. Those of a file that is not kept in memory go at once. */
static void
part_done(struct spool_job *job)
{
	struct large_job *part = (struct large_job *)(void *)job;
	struct large *large = part->large;
	struct spool *spool = large->spool;
	struct spool_draft *draft = large->draft;

	large->waiting -= part->octets;
	if (part->is_drop) {
		spool_chunks_free(&spool->chunks, &part->orphans);
		free(large);
	} else if (draft != NULL) {
		large->kept_chunks += part->count;
		if (spool->chunks.octets > spool->memory_octets_max)
			large->is_kept = false;
		if (!large->is_kept) {
			spool_chunks_free_first(&spool->chunks, &draft->body,
						large->kept_chunks);
			large->kept_chunks = 0;
		}
		if (large->waiting <= waiting_max(spool) / 2 && !spool->is_closing)
			draft_resume(draft);
	}
	free(part);
}

static struct large_job *
part_new(struct large *large)
{
	struct large_job *part = memory_new(sizeof(*part));

	part->job.done = part_done;
	part->large = large;
	return part;
}

/* The draft outgrew what is stored in a segment. */
static void
large_begin(struct spool_draft *draft)
{
	struct large *large = memory_new(sizeof(*large));

	large->spool = draft->spool;
	large->file = spool_uid_draw(draft->spool);
	large->draft = draft;
	large->is_kept = true;
	large->fd = -1;
	draft->large = large;
	draft->pending_first = draft->body.first;
	draft->pending_octets = draft->octets;
}

/* Hand over the chunks that are full, or with the last part all that is left. */
static struct large_job *
part_hand(struct spool_draft *draft, bool is_last)
{
	struct large_job *part = part_new(draft->large);
	struct spool_chunk *chunk = draft->pending_first;

	part->first = chunk;
	for (; chunk != NULL && (is_last || chunk->used == chunk->room);
	     chunk = chunk->next) {
		part->count++;
		part->octets += chunk->used;
	}
	draft->pending_first = chunk;
	draft->pending_octets -= part->octets;
	draft->large->waiting += part->octets;
	spool_jobs_add(&draft->spool->writes, &part->job);
	return part;
}

bool
large_append(struct spool_draft *draft, struct span bytes)
{
	struct spool *spool = draft->spool;
	struct spool_chunk *last = draft->body.last;

	spool_chunks_append(&spool->chunks, &draft->body, bytes);
	draft->octets += bytes.len;
	draft->pending_octets += bytes.len;
	if (draft->large == NULL) {
		if (draft->octets <= inline_max(spool))
			return true;
		large_begin(draft);
	}
	if (draft->pending_first == NULL) /* all was handed over; these chunks are new */
		draft->pending_first = last == NULL ? draft->body.first : last->next;
	if (draft->pending_octets >= STEP_OCTETS) {
		(void)part_hand(draft, false);
		spool_stir(spool);
	}
	return draft->large->waiting < waiting_max(spool);
}

void
large_commit(struct spool_draft *draft, struct store *store)
{
	struct large *large = draft->large;

	store->large = large;
	store->record.flags |= RECORD_IS_EXTERNAL;
	store->record.file = large->file;
	part_hand(draft, true)->store = store;
	large->draft = NULL;
}

void
large_drop(struct spool_draft *draft)
{
	struct large *large = draft->large;
	struct large_job *part = part_new(large);

	part->is_drop = true;
	part->orphans = draft->body;
	draft->body = (struct spool_chunks){ NULL, NULL };
	large->draft = NULL;
	spool_jobs_add(&draft->spool->writes, &part->job);
	spool_stir(draft->spool);
}
