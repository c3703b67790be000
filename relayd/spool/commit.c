/* SPDX-License-Identifier: ISC */
/*
 * The commit thread: makes everything that waits durable with one fdatasync, and is the
 * only one that writes to segments. What queues up during a sync is the next group.
 */
#include "spool/spool_private.h"

#include "base/clock.h"
#include "spool/crc32c.h"

#include <errno.h>
#include <stdlib.h>

#define COMPACTION_PAUSE_MS   100
#define COMPACTION_BACKOFF_MS 10000
#define OLD_SEGMENTS_FEW      4
#define RETRY_EMPTY_MS	      50
#define COMPLAINT_PAUSE_MS    1000

static const char padding[RECORD_ALIGN];

enum spool_status
spool_status_of(int error)
{
	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return SPOOL_FULL;
	return SPOOL_BROKEN;
}

void
spool_complain(struct spool *spool, struct fault *fault)
{
	int64_t now_ms = clock_monotonic_ms();
	int64_t before_ms = spool->complained_ms;

	if (now_ms < before_ms + COMPLAINT_PAUSE_MS)
		return;
	if (atomic_compare_exchange_strong(&spool->complained_ms, &before_ms, now_ms))
		log_error(spool->log, "spool: %s", fault_text(fault));
}

void
store_free(struct store *store)
{
	free(store->from_body);
	free(store);
}

/* Marks and states in old segments are synced late, those in the current one with it. */
static void
segment_soil(struct spool *spool, struct segment *segment)
{
	segment->is_dirty = true;
	if (spool->dirty_due_ms == 0)
		spool->dirty_due_ms = clock_monotonic_ms() + LAZY_SYNC_MS;
}

static void
segment_condemn(struct spool *spool, struct segment *segment)
{
	segment->is_condemned = true;
	segment->is_sealed = true;
	if (spool->current == segment)
		spool->current = NULL;
	spool->has_empty = true;
}

static void
message_attach(struct spool_message *message)
{
	struct spool_record record;

	spool_message_record(message, &record);
	list_append(&message->segment->live, &message->link);
	message->segment->live_octets += record_octets(&record);
}

static void
message_detach(struct spool *spool, struct spool_message *message)
{
	struct spool_record record;

	spool_message_record(message, &record);
	list_remove(&message->link);
	message->segment->live_octets -= record_octets(&record);
	if (message->segment->is_sealed && segment_is_empty(message->segment))
		spool->has_empty = true;
}

static void
state_apply(struct spool *spool, struct state_write *write)
{
	struct spool_message *message = write->message;
	struct span bytes = { .ptr = write->bytes, .len = write->octets };
	uint64_t at = message->offset + record_state_at() + write->offset;

	if (!disk_write_span(spool->disk, message->segment->fd, bytes, at))
		log_error(spool->log, "spool: cannot note the state of message %llu",
			  (unsigned long long)message->info.uid);
	segment_soil(spool, message->segment);
	free(write);
}

static void
message_end(struct spool *spool, struct spool_message *message, bool is_removed)
{
	struct segment *segment = message->segment;

	message_detach(spool, message);
	if (!is_removed) {
		segment->left++;
	} else {
		if (!segment_mark(spool->disk, segment, message->offset, RECORD_REMOVED))
			log_error(spool->log, "spool: cannot mark message %llu as done",
				  (unsigned long long)message->info.uid);
		segment_soil(spool, segment);
		if (message->file != 0)
			upkeep_unlink_large(spool, segment->shard, message->file);
	}
	free(message);
}

static void
shard_join(struct spool *spool, struct load *load)
{
	struct list *link;

	for (size_t i = 0; i < load->message_count; i++)
		message_attach(load->messages[i]);
	while ((link = list_take_first(&load->segments)) != NULL)
		list_append(&spool->segments, link);
	load->is_joined = true;
	load->shard->segments += load->segment_count;
	atomic_fetch_add(&spool->segment_count, load->segment_count);
	spool->has_empty = true;
	if (load->shard != spool->own && load->shard->segments == 0 &&
	    !spool->is_stopping)
		upkeep_retire_shard(spool, load->shard);
}

static void
moves_end(struct spool *spool)
{
	struct compaction *c = spool->moved;
	struct segment *segment = c->segment;

	spool->moved = NULL;
	segment->readers--;
	spool->is_compacting = false;
	spool->has_empty = true;
	if (!list_is_empty(&segment->live) &&
	    LIST_OWNER(segment->live.next, struct spool_message, link)->offset ==
		c->offsets[0])
		spool->compaction_looked_ms += COMPACTION_BACKOFF_MS; /* got nowhere */
	compaction_free(c);
}

/* Do what is asked, or sort it into the records that wait for the sync. */
static void
job_take(struct spool *spool, struct spool_job *job, struct spool_jobs *records,
	 struct spool_jobs *finished)
{
	struct commit_job *commit = (struct commit_job *)(void *)job;

	switch (commit->kind) {
	case COMMIT_STORE:
	case COMMIT_MOVE:
		spool_jobs_add(records, job);
		return;
	case COMMIT_STATE:
		state_apply(spool, (struct state_write *)(void *)job);
		return;
	case COMMIT_REMOVE:
	case COMMIT_LEAVE:
		message_end(spool, LIST_OWNER(commit, struct spool_message, ending),
			    commit->kind == COMMIT_REMOVE);
		return;
	case COMMIT_SHARD:
		shard_join(spool, (struct load *)(void *)job);
		spool_jobs_add(finished, job);
		return;
	case COMMIT_MOVES_END:
		spool->moved =
		    (struct compaction *)(void *)job; /* once the moves are made */
		return;
	}
}

/* A record that cannot be stored goes back to its owner; a move is given up. */
static void
store_fail(struct spool *spool, struct store *store, enum spool_status status,
	   struct spool_jobs *finished)
{
	if (status == SPOOL_FULL)
		spool->room->was_refused = true;
	if (store->commit.kind == COMMIT_MOVE) {
		store_free(store);
		return;
	}
	store->status = status;
	spool_jobs_add(finished, &store->commit.job);
}

static void
stores_fail(struct spool *spool, struct spool_jobs *stores, enum spool_status status,
	    struct spool_jobs *finished)
{
	struct spool_job *job;

	while ((job = spool_jobs_take(stores)) != NULL)
		store_fail(spool, (struct store *)(void *)job, status, finished);
}

static bool
segment_takes(const struct segment *segment, const struct store *store)
{
	bool is_new = store->commit.kind == COMMIT_STORE;

	return record_octets(&store->record) <=
		   segment->header.octets - segment->written &&
	       (!is_new || store->record.uid < segment->header.uid_limit);
}

/* The next segment: the one that the helper has ready, or one made now. */
static bool
segment_begin(struct spool *spool, struct fault *fault)
{
	(void)pthread_mutex_lock(&spool->lock);
	struct segment *segment = spool->ready;

	spool->ready = NULL;
	if (segment != NULL)
		spool->is_preparing = false;
	(void)pthread_mutex_unlock(&spool->lock);
	if (segment == NULL)
		segment = spool_segment_new(spool, fault);
	if (segment == NULL)
		return false;
	spool->current = segment;
	spool->own->segments++;
	spool->segment_count++;
	list_append(&spool->segments, &segment->link);
	return true;
}

/* The segment that takes this record; NULL and *status when there is none. */
static struct segment *
segment_for(struct spool *spool, const struct store *store, enum spool_status *status)
{
	struct fault fault;

	*status = SPOOL_FULL;
	if (record_octets(&store->record) > spool->segment_octets - SEGMENT_HEADER_OCTETS)
		return NULL;
	for (int tries = 0; tries < 3; tries++) {
		if (spool->current != NULL && segment_takes(spool->current, store))
			return spool->current;
		if (spool->current != NULL) {
			spool->current->is_sealed = true;
			spool->has_empty = true;
			spool->current = NULL;
		}
		if (!segment_begin(spool, &fault)) {
			*status = spool_status_of(fault.error);
			spool_complain(spool, &fault);
			return NULL;
		}
	}
	*status = SPOOL_BROKEN;
	return NULL;
}

/*
 * A message that moves takes its state along as it is now: all that was handed over
 * before is in it. False when it went away meanwhile.
 */
static bool
move_is_due(struct spool *spool, struct store *store)
{
	struct segment *from = store->from;
	size_t octets = store->record.state_octets;

	for (struct list *l = from->live.next; l != &from->live; l = l->next) {
		struct spool_message *message = LIST_OWNER(l, struct spool_message, link);

		if (message->offset != store->from_offset)
			continue;
		store->message = message;
		return disk_read(spool->disk, from->fd, store->prefix + record_state_at(),
				 octets, store->from_offset + record_state_at()) ==
		       (ssize_t)octets;
	}
	return false;
}

/* Records for one segment, written at once and synced at once. */
struct portion {
	struct spool *spool;
	struct segment *segment;
	struct spool_jobs stores;
	uint64_t begin;
	uint64_t end;
	uint64_t reached; /* of what was written */
	int count;	  /* of spool->runs */
	bool has_moves;
};

static void
portion_take(struct portion *portion, struct spool_jobs *records)
{
	struct segment *segment = portion->segment;

	while (records->first != NULL) {
		struct store *store = (struct store *)(void *)records->first;

		if (!segment_takes(segment, store))
			break;
		(void)spool_jobs_take(records);
		if (store->commit.kind == COMMIT_MOVE) {
			if (!move_is_due(portion->spool, store)) {
				store_free(store);
				continue;
			}
			portion->has_moves = true;
		}
		store->offset = segment->written;
		segment->written += record_octets(&store->record);
		spool_jobs_add(&portion->stores, &store->commit.job);
	}
	portion->end = segment->written;
}

static bool
runs_flush(struct portion *portion)
{
	struct spool *spool = portion->spool;
	int count = portion->count;

	portion->count = 0;
	return disk_write(spool->disk, portion->segment->fd, spool->runs, count,
			  &portion->reached);
}

static bool
run_add(struct portion *portion, const char *bytes, size_t octets)
{
	union {
		const char *from;
		void *base;
	} p = { .from = bytes };

	if (octets == 0)
		return true;
	if (portion->count == COMMIT_RUNS && !runs_flush(portion))
		return false;
	portion->spool->runs[portion->count++] =
	    (struct iovec){ .iov_base = p.base, .iov_len = octets };
	return true;
}

/* The checksum of an inline body, and its place among what is written. */
static bool
store_gather(struct portion *portion, struct store *store)
{
	struct spool_record *record = &store->record;

	record->generation = portion->segment->header.generation;
	if ((record->flags & RECORD_IS_EXTERNAL) == 0 && store->from_body == NULL) {
		record->body_sum = 0;
		for (const struct spool_chunk *c = store->body.first; c != NULL;
		     c = c->next)
			record->body_sum =
			    crc32c(record->body_sum, (struct span){ c->bytes, c->used });
	}
	record_encode(record, store->prefix);
	if (!run_add(portion, store->prefix, record_body_at(record)))
		return false;
	if (record->flags & RECORD_IS_EXTERNAL)
		return run_add(portion, padding,
			       record_octets(record) - record_end(record));
	if (store->from_body != NULL &&
	    !run_add(portion, store->from_body, record->body_octets))
		return false;
	for (const struct spool_chunk *c = store->body.first; c != NULL; c = c->next) {
		if (!run_add(portion, c->bytes, c->used))
			return false;
	}
	return run_add(portion, padding, record_octets(record) - record_end(record));
}

/*
 * Write the records. Behind the octets that exist already the helper must not write its
 * zeros at the same time.
 */
static bool
portion_write(struct portion *portion)
{
	struct segment *segment = portion->segment;
	bool is_beyond = portion->end > segment->prewritten;
	bool is_good = true;

	if (is_beyond)
		(void)pthread_mutex_lock(&segment->lock);
	for (struct spool_job *job = portion->stores.first; job != NULL && is_good;
	     job = job->next)
		is_good = store_gather(portion, (struct store *)(void *)job);
	is_good = is_good && runs_flush(portion);
	if (is_beyond) {
		int error = errno;

		if (is_good && portion->end > segment->prewritten) {
			room_use(portion->spool->room,
				 portion->end - segment->prewritten);
			segment->prewritten = portion->end;
		}
		(void)pthread_mutex_unlock(&segment->lock);
		errno = error;
	}
	return is_good;
}

/*
 * The records were refused: none of them may be found again. The next ones take their
 * place, but may be shorter, so each is marked. When that fails too, nothing more is
 * written here.
 */
static bool
portion_neutralise(struct portion *portion)
{
	bool is_good = true;

	for (struct spool_job *job = portion->stores.first; job != NULL;
	     job = job->next) {
		const struct store *store = (struct store *)(void *)job;

		if (store->offset + RECORD_HEADER_OCTETS <= portion->reached &&
		    !segment_mark(portion->spool->disk, portion->segment, store->offset,
				  RECORD_REMOVED))
			is_good = false;
	}
	return is_good;
}

static void
portion_fail(struct portion *portion, const char *step, int error,
	     struct spool_jobs *finished)
{
	struct spool *spool = portion->spool;
	struct fault fault;

	errno = error;
	(void)fault_setf(&fault, "%s a segment of shard %s", step,
			 portion->segment->shard->name);
	spool_complain(spool, &fault);
	stores_fail(spool, &portion->stores, spool_status_of(error), finished);
}

/*
 * The copies are durable: mark the originals as moved, sync that, and only then work on
 * the copies. Until the mark is durable the original is the message.
 */
static bool
moves_mark(struct portion *portion)
{
	struct segment *from = NULL;
	bool is_good = true;

	for (struct spool_job *job = portion->stores.first; job != NULL;
	     job = job->next) {
		const struct store *store = (struct store *)(void *)job;

		if (store->commit.kind != COMMIT_MOVE)
			continue;
		from = store->from; /* of all: one compaction is under way at a time */
		if (!segment_mark(portion->spool->disk, from, store->from_offset,
				  RECORD_MOVED))
			is_good = false;
	}
	portion->spool->syncs++;
	return is_good && from != NULL &&
	       portion->spool->disk->sync_data(portion->spool->disk->context, from->fd) ==
		   0;
}

static void
move_finish(struct portion *portion, struct store *store, bool is_marked)
{
	struct spool *spool = portion->spool;
	struct spool_message *message = store->message;

	if (!is_marked) { /* the original stays what counts */
		(void)segment_mark(spool->disk, store->from, store->from_offset,
				   RECORD_LIVE);
		(void)segment_mark(spool->disk, portion->segment, store->offset,
				   RECORD_REMOVED);
		segment_soil(spool, store->from);
		segment_soil(spool, portion->segment);
		store_free(store);
		return;
	}
	message_detach(spool, message);
	if (message->file != 0 && store->from->shard != spool->own)
		upkeep_unlink_large(spool, store->from->shard, message->file);
	(void)pthread_mutex_lock(&spool->lock);
	message->segment = portion->segment;
	message->offset = store->offset;
	message->flags = store->record.flags;
	(void)pthread_mutex_unlock(&spool->lock);
	message_attach(message);
	store_free(store);
}

static void
portion_finish(struct portion *portion, struct spool_jobs *finished)
{
	struct spool *spool = portion->spool;
	bool is_marked = portion->has_moves && moves_mark(portion);
	struct spool_job *job;

	while ((job = spool_jobs_take(&portion->stores)) != NULL) {
		struct store *store = (struct store *)(void *)job;
		struct spool_message *message = store->message;

		if (store->commit.kind == COMMIT_MOVE) {
			move_finish(portion, store, is_marked);
			continue;
		}
		message->segment = portion->segment;
		message->offset = store->offset;
		message->flags = store->record.flags;
		message_attach(message);
		store->status = SPOOL_OK;
		spool->stored++;
		spool_jobs_add(finished, job);
	}
}

/* Write, sync, and say so; or see to it that nothing of it remains. */
static void
portion_store(struct portion *portion, struct spool_jobs *finished)
{
	struct spool *spool = portion->spool;
	struct segment *segment = portion->segment;

	portion->reached = portion->begin;
	if (!portion_write(portion)) {
		int error = errno;

		segment->written = portion->begin;
		if (!portion_neutralise(portion) || spool_status_of(error) != SPOOL_FULL)
			segment_condemn(spool, segment);
		portion_fail(portion, "write to", error, finished);
		return;
	}
	spool->syncs++;
	if (spool->disk->sync_data(spool->disk->context, segment->fd) == -1) {
		int error = errno;

		/* The page cache proves nothing any more: this segment gets no second
		 * sync. */
		(void)portion_neutralise(portion);
		segment_condemn(spool, segment);
		portion_fail(portion, "fdatasync", error, finished);
		return;
	}
	segment->is_dirty = false;
	portion_finish(portion, finished);
}

static void
records_store(struct spool *spool, struct spool_jobs *records,
	      struct spool_jobs *finished)
{
	while (records->first != NULL) {
		enum spool_status status;
		struct store *first = (struct store *)(void *)records->first;
		struct portion portion = { .spool = spool };

		portion.segment = segment_for(spool, first, &status);
		if (portion.segment == NULL) {
			(void)spool_jobs_take(records);
			store_fail(spool, first, status, finished);
			continue;
		}
		spool_jobs_init(&portion.stores);
		portion.begin = portion.segment->written;
		portion_take(&portion, records);
		if (portion.stores.first != NULL)
			portion_store(&portion, finished);
	}
	const struct segment *current = spool->current;

	spool->room->slack =
	    current == NULL ? 0 : current->header.octets - current->written;
}

/* Recycle what holds no message any more. */
static int64_t
empties_retire(struct spool *spool, int64_t now_ms)
{
	struct list *next;
	bool is_left = false;

	for (struct list *l = spool->segments.next; l != &spool->segments; l = next) {
		struct segment *segment = LIST_OWNER(l, struct segment, link);
		struct shard *shard = segment->shard;

		next = l->next;
		if (!segment->is_sealed || !segment_is_empty(segment))
			continue;
		if (segment->readers != 0) {
			is_left = true;
			continue;
		}
		list_remove(l);
		shard->segments--;
		spool->segment_count--;
		upkeep_retire(spool, segment);
		if (shard != spool->own && shard->segments == 0)
			upkeep_retire_shard(spool, shard);
	}
	spool->has_empty = is_left;
	return is_left ? now_ms + RETRY_EMPTY_MS : 0;
}

/* Sync what was only marked, all at once. */
static void
dirty_sync(struct spool *spool, bool is_last)
{
	spool->dirty_due_ms = 0;
	for (struct list *l = spool->segments.next; l != &spool->segments; l = l->next) {
		struct segment *segment = LIST_OWNER(l, struct segment, link);

		if (!segment->is_dirty)
			continue;
		segment->is_dirty = false;
		if (segment->is_condemned)
			continue;
		if (segment->is_sealed && !is_last) {
			upkeep_sync(spool, segment);
			continue;
		}
		spool->syncs++;
		if (spool->disk->sync_data(spool->disk->context, segment->fd) == -1)
			segment_condemn(spool,
					segment); /* its messages were synced before */
	}
}

/* The sparsest of the segments that are worth emptying; NULL when there is none. */
static struct segment *
compaction_choose(struct spool *spool)
{
	struct segment *best = NULL;
	size_t old = 0;

	for (struct list *l = spool->segments.next; l != &spool->segments; l = l->next) {
		const struct segment *segment = LIST_OWNER(l, struct segment, link);

		if (segment->is_sealed && segment->shard == spool->own)
			old++;
	}
	for (struct list *l = spool->segments.next; l != &spool->segments; l = l->next) {
		struct segment *segment = LIST_OWNER(l, struct segment, link);
		bool is_own = segment->shard == spool->own;

		if (!segment->is_sealed || segment->is_compacting || segment->left > 0 ||
		    list_is_empty(&segment->live) ||
		    (is_own && old <= OLD_SEGMENTS_FEW) ||
		    segment->live_octets > segment->header.octets / 4)
			continue;
		if (best == NULL || segment->live_octets < best->live_octets)
			best = segment;
	}
	return best;
}

static void
compaction_consider(struct spool *spool, int64_t now_ms)
{
	if (spool->is_compacting || spool->loads != 0 ||
	    now_ms < spool->compaction_looked_ms + COMPACTION_PAUSE_MS)
		return;
	spool->compaction_looked_ms = now_ms;

	struct segment *segment = compaction_choose(spool);

	if (segment == NULL)
		return;
	spool->is_compacting = true;
	upkeep_compact(spool, segment);
}

/* Have the next octets and the next segment ready before they are needed. */
static void
space_prepare(struct spool *spool)
{
	struct segment *segment = spool->current;

	if (segment == NULL)
		return;
	uint64_t octets = segment->header.octets, prewritten = segment->prewritten;

	if (prewritten < octets && segment->written > PREWRITE_OCTETS / 4 &&
	    prewritten < segment->written + 4 * (uint64_t)PREWRITE_OCTETS)
		upkeep_extend(spool, segment);
	if (octets - segment->written < octets / 2)
		upkeep_prepare(spool);
}

static int64_t
earlier(int64_t a_ms, int64_t b_ms)
{
	if (a_ms == 0 || b_ms == 0)
		return a_ms + b_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

int64_t
commit_turn(void *context, struct spool_jobs *jobs)
{
	struct spool *spool = context;
	struct spool_jobs records, finished;
	struct spool_job *job;
	int64_t due_ms = 0;

	spool_jobs_init(&records);
	spool_jobs_init(&finished);
	while ((job = spool_jobs_take(jobs)) != NULL)
		job_take(spool, job, &records, &finished);
	records_store(spool, &records, &finished);
	if (spool->moved != NULL)
		moves_end(spool);
	spool_mailbox_send(spool->mailbox, &finished);

	int64_t now_ms = clock_monotonic_ms();
	bool is_last = spool->is_stopping;

	if (spool->has_empty && !is_last)
		due_ms = empties_retire(spool, now_ms);
	if (spool->dirty_due_ms != 0 && (is_last || now_ms >= spool->dirty_due_ms))
		dirty_sync(spool, is_last);
	if (!is_last) {
		compaction_consider(spool, now_ms);
		space_prepare(spool);
	}
	return earlier(due_ms, spool->dirty_due_ms);
}
