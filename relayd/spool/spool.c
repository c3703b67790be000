/* SPDX-License-Identifier: ISC */
/* The spool as its user sees it: the loop's side; see spool.h. */
#include "spool/spool_private.h"

#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SEGMENT_OCTETS	     (16u << 20)
#define SEGMENT_OCTETS_MIN   (64u << 10)
#define INLINE_OCTETS_MAX    (2u << 20)
#define MEMORY_OCTETS_MAX    (64u << 20)
#define RESERVE_OCTETS	     (64u << 20)
#define SEGMENTS_PER_DISK    32 /* at least: on small disks segments are smaller */
#define SMALL_SEGMENT_OCTETS (1u << 20)
#define LATE_MS		     8
#define ROOM_LOOK_MS	     1000
#define UID_COUNTER_PER_MS   4096u

uint64_t
spool_uid_draw(struct spool *spool)
{
	uint64_t counter = ++spool->counter;

	spool->counter_seen = counter;
	return counter << UID_SHARD_BITS | spool->own->number;
}

/* The end of a turn: hand over all that it brought, so that it shares one sync. */
static void
turn_flush(struct spool *spool)
{
	if (!spool->is_stirred)
		return;
	spool->is_stirred = false;
	loop_timer_cancel(spool->loop, &spool->late);
	spool_thread_hand(&spool->files, &spool->writes);
	spool_thread_hand(&spool->commit, &spool->commits);
}

static void
turn_ended(struct loop_hook *hook)
{
	turn_flush(LIST_OWNER(hook, struct spool, hook));
}

static void
turn_missed(struct loop_timer *timer)
{
	turn_flush(LIST_OWNER(timer, struct spool, late));
}

/* What is asked for after the hook ran must not wait for an event that may never come. */
void
spool_stir(struct spool *spool)
{
	if (spool->is_stirred)
		return;
	spool->is_stirred = true;
	loop_timer_set(spool->loop, &spool->late, LATE_MS);
}

static void
commit_ask(struct spool *spool, struct commit_job *job, enum commit_kind kind)
{
	job->kind = kind;
	spool_jobs_add(&spool->commits, &job->job);
	spool_stir(spool);
}

/* Opening. */

struct opening {
	struct spool *spool;
	struct number_list segments; /* in the own shard */
	uint64_t uid_limit;
	uint64_t highest; /* number of a file */
};

/* The first shard that nobody holds, or a new one. */
static bool
own_shard_take(struct spool *spool, struct fault *fault)
{
	struct number_list shards;
	enum shard_status status = SHARD_HELD;
	uint64_t next = 0;

	if (!directory_numbers(spool->fd, FILE_OTHER, &shards, fault))
		return false;
	for (size_t i = 0; i < shards.count && status == SHARD_HELD; i++) {
		next = shards.numbers[i] + 1;
		status = shard_take(spool->disk, spool->fd, shards.numbers[i], false,
				    &spool->own, fault);
	}
	for (; status == SHARD_HELD && next <= SHARD_NUMBER_MAX; next++)
		status =
		    shard_take(spool->disk, spool->fd, next, true, &spool->own, fault);
	free(shards.numbers);
	if (status == SHARD_HELD)
		return fault_say(fault, "the spool has too many shards");
	if (status == SHARD_TAKEN)
		spool->own->is_own = true;
	return status == SHARD_TAKEN;
}

static void
segment_header_look(struct opening *opening, const char *name)
{
	const struct spool_disk *disk = opening->spool->disk;
	char block[SEGMENT_HEADER_OCTETS];
	struct segment_header header;
	int fd = disk->open(disk->context, opening->spool->own->fd, name,
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd == -1)
		return;
	ssize_t n = disk_read(disk, fd, block, sizeof(block), 0);

	if (n > 0 &&
	    segment_header_parse((struct span){ block, (size_t)n }, &header) ==
		PARSE_OK &&
	    header.uid_limit > opening->uid_limit)
		opening->uid_limit = header.uid_limit;
	(void)close(fd);
}

/* A file of the own shard: where numbers and uids may go on. */
static bool
own_file_seen(void *context, const char *name)
{
	struct opening *opening = context;
	struct spool *spool = opening->spool;
	uint64_t number;
	enum file_kind kind = file_kind_of(name, &number);

	if (kind == FILE_OTHER)
		return true;
	if (number > opening->highest)
		opening->highest = number;
	if (kind == FILE_SEGMENT) {
		segment_header_look(opening, name);
		number_list_add(&opening->segments, number);
	} else if (kind == FILE_SPARE && spool->spare_count < SPARES_MAX && number != 0) {
		spool->spares[spool->spare_count++] = number;
	} else {
		(void)spool->disk->unlink(spool->disk->context, spool->own->fd, name, 0);
	}
	return true;
}

/* Take stock of the own shard, and make the first segment if there is space. */
static bool
own_shard_begin(struct spool *spool, struct opening *opening, struct fault *fault)
{
	if (!directory_walk(spool->own->fd, own_file_seen, opening, fault))
		return false;
	number_list_sort(&opening->segments);
	spool->segment_number = opening->highest;

	uint64_t clock = (uint64_t)loop_wall_ms(spool->loop) * UID_COUNTER_PER_MS;
	uint64_t after = opening->uid_limit >> UID_SHARD_BITS;

	spool->counter = clock > after ? clock : after;
	spool->counter_seen = spool->counter;
	spool->ready = spool_segment_new(spool, fault);
	spool->is_preparing = spool->ready != NULL;
	spool->room->slack = spool->ready == NULL ? 0 : spool->segment_octets;
	if (spool->ready == NULL && spool_status_of(fault->error) == SPOOL_FULL) {
		log_error(spool->log, "spool: nothing can be stored: %s",
			  fault_text(fault));
		spool->room->was_refused = true;
		return true; /* what waits can still be delivered, which makes space */
	}
	return spool->ready != NULL;
}

static uint64_t
setting(uint64_t value, uint64_t usual)
{
	return value == 0 ? usual : value;
}

/* Sizes that fit together, and the disk. */
static void
sizes_choose(struct spool *spool, const struct spool_settings *settings)
{
	struct statvfs space;

	spool->segment_octets = setting(settings->segment_octets, SEGMENT_OCTETS);
	spool->inline_octets_max =
	    setting(settings->inline_octets_max, INLINE_OCTETS_MAX);
	spool->memory_octets_max =
	    setting(settings->memory_octets_max, MEMORY_OCTETS_MAX);
	spool->reserve_octets = setting(settings->reserve_octets, RESERVE_OCTETS);
	if (spool->segment_octets > SMALL_SEGMENT_OCTETS &&
	    spool->disk->space(spool->disk->context, spool->fd, &space) == 0) {
		uint64_t all = (uint64_t)space.f_blocks * space.f_frsize;

		if (spool->segment_octets > all / SEGMENTS_PER_DISK)
			spool->segment_octets = all / SEGMENTS_PER_DISK;
		if (spool->segment_octets < SMALL_SEGMENT_OCTETS)
			spool->segment_octets = SMALL_SEGMENT_OCTETS;
	}
	if (spool->segment_octets < SEGMENT_OCTETS_MIN)
		spool->segment_octets = SEGMENT_OCTETS_MIN;
	spool->segment_octets -= spool->segment_octets % SEGMENT_HEADER_OCTETS;
	if (spool->inline_octets_max > spool->segment_octets / 4)
		spool->inline_octets_max = spool->segment_octets / 4;
}

static bool
directory_take(struct spool *spool, const char *directory, struct fault *fault)
{
	const struct spool_disk *disk = spool->disk;

	if (disk->mkdir(disk->context, AT_FDCWD, directory, 0700) == -1 &&
	    errno != EEXIST)
		return fault_setf(fault, "mkdir %s", directory);
	spool->fd = disk->open(disk->context, AT_FDCWD, directory,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return spool->fd != -1 || fault_setf(fault, "open %s", directory);
}

static struct spool *
spool_alloc(const struct spool_settings *settings, struct loop *loop,
	    const struct spool_events *events, void *context, const struct log *log)
{
	struct spool *spool = memory_new(sizeof(*spool));

	spool->disk = settings->disk == NULL ? &spool_disk_real : settings->disk;
	spool->loop = loop;
	spool->events = events;
	spool->context = context;
	spool->log = log;
	spool->fd = -1;
	spool->mailbox = spool_mailbox_new(loop);
	spool->room = memory_new(sizeof(*spool->room));
	spool->room->spool = spool;
	(void)pthread_mutex_init(&spool->lock, NULL);
	list_init(&spool->drafts);
	list_init(&spool->shards);
	list_init(&spool->segments);
	spool_jobs_init(&spool->commits);
	spool_jobs_init(&spool->writes);
	spool->hook.run = turn_ended;
	spool->late.expired = turn_missed;
	loop_hook_add(loop, &spool->hook);
	return spool;
}

struct spool *
spool_open(const struct spool_settings *settings, struct loop *loop,
	   const struct spool_events *events, void *context, const struct log *log,
	   struct fault *fault)
{
	struct spool *spool = spool_alloc(settings, loop, events, context, log);
	struct opening opening = { .spool = spool };

	if (!directory_take(spool, settings->directory, fault))
		goto failed;
	sizes_choose(spool, settings);
	room_look(spool->room);
	if (!own_shard_take(spool, fault) || !own_shard_begin(spool, &opening, fault) ||
	    !spool_thread_start(&spool->commit, commit_turn, spool, fault) ||
	    !spool_thread_start(&spool->helper, helper_turn, spool, fault) ||
	    !spool_thread_start(&spool->files, files_turn, spool, fault))
		goto failed;
	load_begin(spool, spool->own, &opening.segments,
		   spool->counter << UID_SHARD_BITS);
	return spool;
failed:
	free(opening.segments.numbers);
	spool_close(&spool);
	return NULL;
}

/* Closing. */

static void
segments_free(struct spool *spool)
{
	struct list *link;

	while ((link = list_take_first(&spool->segments)) != NULL) {
		struct segment *segment = LIST_OWNER(link, struct segment, link);

		while ((link = list_take_first(&segment->live)) != NULL) {
			struct spool_message *message =
			    LIST_OWNER(link, struct spool_message, link);

			spool_chunks_free(&spool->chunks, &message->body);
			free(message);
		}
		segment_free(&segment);
	}
	segment_free(&spool->ready);
}

static void
drafts_drop(struct spool *spool)
{
	struct list *link;

	while ((link = list_take_first(&spool->drafts)) != NULL) {
		struct spool_draft *draft = LIST_OWNER(link, struct spool_draft, link);

		spool_draft_drop(&draft);
	}
}

static void
shards_free(struct spool *spool)
{
	struct list *link;

	while ((link = list_take_first(&spool->shards)) != NULL) {
		struct shard *shard = LIST_OWNER(link, struct shard, link);

		shard_free(&shard);
	}
	shard_free(&spool->own);
}

/* They hand work to each other, so some of it may be left when the last has ended. */
static void
threads_stop(struct spool *spool)
{
	spool_thread_stop(&spool->files);
	spool->is_stopping = true;
	spool_thread_stop(&spool->helper);
	spool_thread_stop(&spool->commit);
	while (spool_thread_finish(&spool->helper) || spool_thread_finish(&spool->commit))
		;
	spool_thread_reset(&spool->files);
	spool_thread_reset(&spool->helper);
	spool_thread_reset(&spool->commit);
}

void
spool_close(struct spool **spool)
{
	struct spool *s = *spool;

	if (s == NULL)
		return;
	*spool = NULL;
	drafts_drop(s);
	turn_flush(s);
	s->is_closing = true;
	threads_stop(s);
	spool_mailbox_empty(s->mailbox);
	spool_mailbox_free(&s->mailbox);
	loop_hook_remove(s->loop, &s->hook);
	loop_timer_cancel(s->loop, &s->late);
	segments_free(s);
	shards_free(s);
	spool_chunk_pool_reset(&s->chunks);
	if (s->fd != -1)
		(void)close(s->fd);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->room);
	free(s);
}

void
spool_adopt(struct spool *spool)
{
	load_adopt(spool);
}

bool
spool_is_idle(const struct spool *spool)
{
	return spool->waiting == 0 && spool->loads == 0 && !spool->is_adopting;
}

bool
spool_is_loading(const struct spool *spool)
{
	return spool->loads > 0;
}

/* Space. */

bool
spool_has_room(const struct spool *spool, uint64_t octets)
{
	const struct room *room = spool->room;
	uint64_t now_ms = (uint64_t)loop_now_ms(spool->loop);
	uint64_t free_octets = room->free_octets, wanted = octets + spool->storing_octets;

	if (now_ms >= (uint64_t)room->looked_ms + ROOM_LOOK_MS)
		room_look_soon(spool->room);
	if (octets <= spool->inline_octets_max)
		free_octets += room->slack;
	return !room->was_refused && room->has_inodes &&
	       free_octets >= room->reserve_octets &&
	       free_octets - room->reserve_octets >= wanted;
}

/* Drafts. */

struct spool_draft *
spool_draft_new(struct spool *spool)
{
	struct spool_draft *draft = memory_new(sizeof(*draft));

	draft->spool = spool;
	list_append(&spool->drafts, &draft->link);
	return draft;
}

bool
spool_draft_append(struct spool_draft *draft, struct span bytes,
		   void (*resume)(void *context), void *context)
{
	if (large_append(draft, bytes))
		return true;
	if (draft->resume == NULL)
		draft->spool->waiting++;
	draft->resume = resume;
	draft->resume_context = context;
	return false;
}

uint64_t
spool_draft_octets(const struct spool_draft *draft)
{
	return draft->octets;
}

bool
spool_draft_is_in_memory(const struct spool_draft *draft)
{
	return draft->large == NULL;
}

static size_t
chunks_peek(const struct spool_chunks *chunks, uint64_t offset, struct span *run)
{
	const struct spool_chunk *chunk = chunks->first;

	for (; chunk != NULL && offset >= chunk->used; chunk = chunk->next)
		offset -= chunk->used;
	*run = (struct span){ NULL, 0 };
	if (chunk != NULL)
		*run =
		    (struct span){ chunk->bytes + offset, chunk->used - (size_t)offset };
	return run->len;
}

size_t
spool_draft_peek(const struct spool_draft *draft, uint64_t offset, struct span *run)
{
	return chunks_peek(&draft->body, offset, run);
}

static void
draft_free(struct spool_draft **draft)
{
	struct spool_draft *d = *draft;

	*draft = NULL;
	if (d->resume != NULL)
		d->spool->waiting--;
	list_remove(&d->link);
	free(d);
}

void
spool_draft_drop(struct spool_draft **draft)
{
	struct spool_draft *d = *draft;

	if (d == NULL)
		return;
	if (d->large != NULL)
		large_drop(d);
	spool_chunks_free(&d->spool->chunks, &d->body);
	draft_free(draft);
}

/* In the loop: the record is durable, or it could not be stored. */
static void
store_done(struct spool_job *job)
{
	struct store *store = (struct store *)(void *)job;
	struct spool *spool = store->spool;
	struct spool_message *message = store->message;
	bool is_in_memory = store->large == NULL || store->large->is_kept;

	spool->waiting--;
	spool->storing_octets -= store->record.body_octets;
	if (store->status == SPOOL_OK) {
		spool->messages++;
		spool->body_octets += message->info.body_octets;
		if (is_in_memory && spool->chunks.octets <= spool->memory_octets_max) {
			message->body = store->body;
			store->body = (struct spool_chunks){ NULL, NULL };
		}
	} else {
		if (store->large != NULL && !spool->is_closing)
			upkeep_unlink_large(spool, spool->own, store->large->file);
		free(message);
		message = NULL;
	}
	spool_chunks_free(&spool->chunks, &store->body);
	if (!spool->is_closing)
		store->done(store->context, store->status, message);
	free(store->large);
	store_free(store);
}

static struct spool_message *
message_new(struct spool *spool, const struct spool_record *record)
{
	struct spool_message *message = memory_new(sizeof(*message));

	message->spool = spool;
	message->info = (struct spool_info){
		.uid = record->uid,
		.stored_wall_ms = record->stored_wall_ms,
		.body_octets = record->body_octets,
		.envelope_octets = record->envelope_octets,
		.state_octets = record->state_octets,
	};
	message->file = record->file;
	message->flags = record->flags;
	list_init(&message->link);
	return message;
}

static struct store *
store_new(struct spool_draft *draft, struct span envelope, struct span state,
	  spool_committed *done, void *context)
{
	struct spool *spool = draft->spool;
	struct spool_record record = {
		.uid = spool_uid_draw(spool),
		.stored_wall_ms = loop_wall_ms(spool->loop),
		.body_octets = draft->octets,
		.envelope_octets = (uint32_t)envelope.len,
		.state_octets = (uint32_t)state.len,
		.flags = draft->large == NULL ? 0 : RECORD_IS_EXTERNAL,
		.file = draft->large == NULL ? 0 : draft->large->file,
	};
	struct store *store = memory_new(sizeof(*store) + record_body_at(&record));

	store->commit.job.done = store_done;
	store->commit.kind = COMMIT_STORE;
	store->spool = spool;
	store->record = record;
	store->prefix = (char *)(store + 1);
	store->message = message_new(spool, &record);
	store->done = done;
	store->context = context;
	if (state.len > 0)
		memcpy(store->prefix + record_state_at(), state.ptr, state.len);
	if (envelope.len > 0)
		memcpy(store->prefix + record_envelope_at(&record), envelope.ptr,
		       envelope.len);
	return store;
}

void
spool_draft_commit(struct spool_draft **draft, struct span envelope, struct span state,
		   spool_committed *done, void *context)
{
	struct spool_draft *d = *draft;
	struct spool *spool = d->spool;
	bool is_too_long =
	    envelope.len > SPOOL_ENVELOPE_MAX || envelope.len > spool->segment_octets / 4;

	assert(state.len <= SPOOL_STATE_MAX);
	if (is_too_long)
		envelope.len = 0;

	struct store *store = store_new(d, envelope, state, done, context);

	spool->waiting++;
	spool->storing_octets += d->octets;
	if (is_too_long) {
		store->record.body_octets = d->octets;
		store->status = SPOOL_FULL;
		store->record.flags = 0;
		spool_mailbox_send_one(spool->mailbox, &store->commit.job);
		spool_draft_drop(draft);
		return;
	}
	if (d->large != NULL)
		large_commit(d, store);
	else
		spool_jobs_add(&spool->commits, &store->commit.job);
	spool_stir(spool);
	store->body = d->body;
	draft_free(draft);
}

/* Messages. */

const struct spool_info *
spool_message_info(const struct spool_message *message)
{
	return &message->info;
}

void
spool_message_set_user(struct spool_message *message, void *user)
{
	message->user = user;
}

void *
spool_message_user(const struct spool_message *message)
{
	return message->user;
}

void
spool_state_write(struct spool_message *message, uint32_t offset, struct span bytes)
{
	assert(bytes.len <= message->info.state_octets &&
	       offset <= message->info.state_octets - bytes.len);
	if (bytes.len == 0)
		return;

	struct state_write *write = memory_new(sizeof(*write) + bytes.len);

	write->message = message;
	write->offset = offset;
	write->octets = (uint32_t)bytes.len;
	memcpy(write->bytes, bytes.ptr, bytes.len);
	commit_ask(message->spool, &write->commit, COMMIT_STATE);
}

static void
message_give_up(struct spool_message **message, enum commit_kind kind)
{
	struct spool_message *m = *message;

	*message = NULL;
	spool_body_forget(m);
	m->spool->messages--;
	m->spool->body_octets -= m->info.body_octets;
	commit_ask(m->spool, &m->ending, kind);
}

void
spool_remove(struct spool_message **message)
{
	message_give_up(message, COMMIT_REMOVE);
}

void
spool_leave(struct spool_message **message)
{
	message_give_up(message, COMMIT_LEAVE);
}

size_t
spool_body_peek(const struct spool_message *message, uint64_t offset, struct span *run)
{
	return chunks_peek(&message->body, offset, run);
}

void
spool_body_forget(struct spool_message *message)
{
	spool_chunks_free(&message->spool->chunks, &message->body);
}

void
spool_figures_get(const struct spool *spool, struct spool_figures *figures)
{
	*figures = (struct spool_figures){
		.messages = spool->messages,
		.body_octets = spool->body_octets,
		.memory_octets = spool->chunks.octets,
		.segments = spool->segment_count,
		.syncs = spool->syncs,
		.commits = spool->stored,
	};
}
