/* SPDX-License-Identifier: ISC */
/*
 * What the helper does beside reading and recovery: new segments, recycling, late syncs,
 * the reading half of compaction, and a look at free space.
 */
#include "spool/spool_private.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define UIDS_AHEAD	 (1u << 20) /* more than two segments can hold */
#define PREPARE_AGAIN_MS 1000
#define RESERVE_SHARE	 20 /* at most 1/20 of the disk is held in reserve */
#define INODES_MIN	 16
#define MOVES_AT_ONCE	 512

int64_t
helper_turn(void *context, struct spool_jobs *jobs)
{
	struct spool_job *job;

	(void)context;
	while ((job = spool_jobs_take(jobs)) != NULL)
		job->work(job);
	return 0;
}

static struct task *
task_new(struct spool *spool, void (*work)(struct spool_job *job))
{
	struct task *task = memory_new(sizeof(*task));

	task->job.work = work;
	task->spool = spool;
	return task;
}

/* At the very end the helper is gone: then whoever asks does it. */
static void
task_hand(struct task *task)
{
	if (task->spool->is_stopping)
		task->job.work(&task->job);
	else
		spool_thread_hand_one(&task->spool->helper, &task->job);
}

/* A number that nobody can foresee: bytes of mail may not pass for records. */
static bool
generation_draw(uint64_t *generation, struct fault *fault)
{
	do {
		if (getrandom(generation, sizeof(*generation), 0) !=
		    (ssize_t)sizeof(*generation))
			return fault_set(fault, "getrandom");
	} while (*generation == 0);
	return true;
}

static uint64_t
spare_take(struct spool *spool)
{
	uint64_t number = 0;

	(void)pthread_mutex_lock(&spool->lock);
	if (spool->spare_count > 0)
		number = spool->spares[--spool->spare_count];
	(void)pthread_mutex_unlock(&spool->lock);
	return number;
}

struct segment *
spool_segment_new(struct spool *spool, struct fault *fault)
{
	struct segment_header header = {
		.shard = spool->own->number,
		.number = ++spool->segment_number,
		.octets = spool->segment_octets,
		.uid_limit = (spool->counter_seen + UIDS_AHEAD) << UID_SHARD_BITS,
	};

	if (!generation_draw(&header.generation, fault))
		return NULL;
	for (uint64_t spare = spare_take(spool); spare != 0; spare = spare_take(spool)) {
		struct segment *segment =
		    segment_new(spool->disk, spool->own, &header, spare, fault);

		if (segment != NULL)
			return segment;
		log_warn(spool->log, "spool: spare segment not used: %s",
			 fault_text(fault));
	}
	struct segment *segment = segment_new(spool->disk, spool->own, &header, 0, fault);

	if (segment != NULL)
		room_use(spool->room, segment->prewritten);
	return segment;
}

static void
prepare_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	struct spool *spool = task->spool;
	struct fault fault;
	struct segment *segment = spool_segment_new(spool, &fault);

	if (segment == NULL) { /* whoever needs it will see and say why */
		log_debug(spool->log, "spool: no segment ahead: %s", fault_text(&fault));
		spool->prepare_after_ms = clock_monotonic_ms() + PREPARE_AGAIN_MS;
		spool->is_preparing = false;
	} else {
		(void)pthread_mutex_lock(&spool->lock);
		spool->ready = segment;
		(void)pthread_mutex_unlock(&spool->lock);
	}
	free(task);
}

void
upkeep_prepare(struct spool *spool)
{
	if (spool->is_preparing || clock_monotonic_ms() < spool->prepare_after_ms)
		return;
	spool->is_preparing = true;
	task_hand(task_new(spool, prepare_work));
}

static bool
room_is_low(const struct spool *spool)
{
	return spool->room->free_octets <
	       spool->room->reserve_octets + 2 * spool->segment_octets;
}

static void
extend_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	struct spool *spool = task->spool;
	struct fault fault;

	if (segment_extend(spool->disk, task->segment, &fault))
		room_use(spool->room, PREWRITE_OCTETS);
	else
		log_debug(spool->log, "spool: %s", fault_text(&fault));
	task->segment->is_extending = false;
	task->segment->readers--;
	free(task);
}

void
upkeep_extend(struct spool *spool, struct segment *segment)
{
	if (segment->is_extending || room_is_low(spool))
		return;

	struct task *task = task_new(spool, extend_work);

	segment->is_extending = true;
	segment->readers++;
	task->segment = segment;
	task_hand(task);
}

/* Keep an emptied segment as a spare? Its file must be whole, ours and not needed as
 * space. */
static bool
spare_is_wanted(struct spool *spool, const struct segment *segment)
{
	(void)pthread_mutex_lock(&spool->lock);
	bool has_place = spool->spare_count < SPARES_MAX;

	(void)pthread_mutex_unlock(&spool->lock);
	return has_place && segment->shard == spool->own && !segment->is_condemned &&
	       segment->header.octets == spool->segment_octets &&
	       segment->prewritten == segment->header.octets && !room_is_low(spool);
}

/*
 * All messages of the segment are marked as removed or moved. That must be durable before
 * the file goes: otherwise a power cut could bring the file back without the marks.
 */
static void
retire_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	struct spool *spool = task->spool;
	const struct spool_disk *disk = spool->disk;
	struct segment *segment = task->segment;
	char name[SHARD_NAME_SIZE], to[SHARD_NAME_SIZE + 8];
	bool is_synced =
	    segment->is_condemned || disk->sync_data(disk->context, segment->fd) == 0;

	file_name(name, FILE_SEGMENT, segment->header.number);
	spool->syncs++;
	if (segment->is_damaged) {
		(void)snprintf(to, sizeof(to), "%s.damaged", name);
		(void)disk->rename(disk->context, segment->shard->fd, name, to);
		log_warn(spool->log, "spool: set aside %s/%s", segment->shard->name, to);
	} else if (is_synced && spare_is_wanted(spool, segment)) {
		file_name(to, FILE_SPARE, segment->header.number);
		if (disk->rename(disk->context, segment->shard->fd, name, to) == 0) {
			(void)pthread_mutex_lock(&spool->lock);
			spool->spares[spool->spare_count++] = segment->header.number;
			(void)pthread_mutex_unlock(&spool->lock);
		}
	} else {
		(void)disk->unlink(disk->context, segment->shard->fd, name, 0);
	}
	segment_free(&segment);
	free(task);
}

void
upkeep_retire(struct spool *spool, struct segment *segment)
{
	struct task *task = task_new(spool, retire_work);

	task->segment = segment;
	task_hand(task);
}

static void
retire_shard_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	struct spool *spool = task->spool;

	(void)pthread_mutex_lock(&spool->lock);
	list_remove(&task->shard->link);
	(void)pthread_mutex_unlock(&spool->lock);
	log_info(spool->log, "spool: shard %s is empty", task->shard->name);
	shard_retire(spool->disk, spool->fd, &task->shard);
	free(task);
}

void
upkeep_retire_shard(struct spool *spool, struct shard *shard)
{
	struct task *task = task_new(spool, retire_shard_work);

	task->shard = shard;
	task_hand(task);
}

static void
sync_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	struct spool *spool = task->spool;

	spool->syncs++;
	if (spool->disk->sync_data(spool->disk->context, task->segment->fd) == -1)
		log_error(spool->log,
			  "spool: cannot sync what was delivered from shard %s",
			  task->segment->shard->name);
	task->segment->readers--;
	free(task);
}

void
upkeep_sync(struct spool *spool, struct segment *segment)
{
	struct task *task = task_new(spool, sync_work);

	segment->readers++;
	task->segment = segment;
	task_hand(task);
}

static void
unlink_work(struct spool_job *job)
{
	struct task *task = (struct task *)(void *)job;
	const struct spool_disk *disk = task->spool->disk;
	char name[SHARD_NAME_SIZE];

	large_name(name, task->number);
	(void)disk->unlink(disk->context, task->shard->large_fd, name, 0);
	free(task);
}

void
upkeep_unlink_large(struct spool *spool, struct shard *shard, uint64_t file)
{
	struct task *task = task_new(spool, unlink_work);

	task->shard = shard;
	task->number = file;
	task_hand(task);
}

void
compaction_free(struct compaction *compaction)
{
	free(compaction->offsets);
	free(compaction);
}

/* The whole record at offset, checked; to be freed. NULL when it cannot be read. */
static char *
record_read(struct spool *spool, struct segment *segment, uint64_t offset, size_t octets,
	    struct spool_record *record)
{
	char *bytes = memory_resize(NULL, octets, 1);

	if (disk_read(spool->disk, segment->fd, bytes, octets, offset) ==
		(ssize_t)octets &&
	    record_parse((struct span){ bytes, octets }, record) == PARSE_OK)
		return bytes;
	free(bytes);
	return NULL;
}

/* The copy to be stored: same message, same state, and where it came from. */
static struct store *
move_new(struct spool *spool, struct segment *segment, uint64_t offset, const char *bytes,
	 const struct spool_record *old)
{
	struct store *store =
	    memory_new(sizeof(*store) + record_body_at(old) + RECORD_PREFIX_EXTRA);
	struct spool_record *record = &store->record;

	store->commit.kind = COMMIT_MOVE;
	store->spool = spool;
	store->prefix = (char *)(store + 1);
	store->from = segment;
	store->from_offset = offset;
	*record = *old;
	record->flags |= RECORD_IS_MOVED;
	record->mark = RECORD_LIVE;
	record->origin = (struct record_origin){
		.shard = segment->shard->number,
		.number = segment->header.number,
		.generation = segment->header.generation,
		.offset = offset,
	};
	memcpy(store->prefix + record_envelope_at(record),
	       bytes + record_envelope_at(old), old->envelope_octets);
	if ((old->flags & RECORD_IS_EXTERNAL) == 0) {
		store->from_body = memory_resize(NULL, old->body_octets + 1, 1);
		memcpy(store->from_body, bytes + record_body_at(old), old->body_octets);
	}
	return store;
}

/* A body in a file of its own gets a second name in our shard, durable before the record.
 */
static bool
large_follow(struct spool *spool, const struct segment *segment, uint64_t file)
{
	const struct spool_disk *disk = spool->disk;
	char name[SHARD_NAME_SIZE];

	if (segment->shard == spool->own)
		return true;
	large_name(name, file);
	return (disk->link(disk->context, segment->shard->large_fd, name,
			   spool->own->large_fd, name) == 0 ||
		errno == EEXIST) &&
	       directory_sync(disk, spool->own->large_fd);
}

/* Read the live records of a segment and hand them to the commit thread to be moved. */
static void
compact_work(struct spool_job *job)
{
	struct compaction *c = (struct compaction *)(void *)job;
	struct spool *spool = c->spool;
	struct spool_jobs moves;

	spool_jobs_init(&moves);
	for (size_t i = 0; i + 1 < c->count && !spool->is_stopping; i += 2) {
		struct spool_record record;
		char *bytes = record_read(spool, c->segment, c->offsets[i],
					  c->offsets[i + 1], &record);

		if (bytes == NULL) {
			log_error(spool->log, "spool: cannot move a message of shard %s",
				  c->segment->shard->name);
			continue;
		}
		if ((record.flags & RECORD_IS_EXTERNAL) == 0 ||
		    large_follow(spool, c->segment, record.file)) {
			struct store *store =
			    move_new(spool, c->segment, c->offsets[i], bytes, &record);

			spool_jobs_add(&moves, &store->commit.job);
		}
		free(bytes);
	}
	c->commit.kind = COMMIT_MOVES_END;
	spool_jobs_add(&moves, &c->commit.job);
	spool_thread_hand(&spool->commit, &moves);
}

void
upkeep_compact(struct spool *spool, struct segment *segment)
{
	struct compaction *c = memory_new(sizeof(*c));

	c->commit.job.work = compact_work;
	c->spool = spool;
	c->segment = segment;
	segment->readers++;
	c->offsets = memory_new_array(2 * (size_t)MOVES_AT_ONCE, sizeof(*c->offsets));
	for (struct list *l = segment->live.next;
	     l != &segment->live && c->count < 2 * (size_t)MOVES_AT_ONCE; l = l->next) {
		const struct spool_message *message =
		    LIST_OWNER(l, struct spool_message, link);
		struct spool_record record;

		spool_message_record(message, &record);
		c->offsets[c->count++] = message->offset;
		c->offsets[c->count++] = record_end(&record);
	}
	spool_thread_hand_one(&spool->helper, &c->commit.job);
}

/* Between two looks our own use is counted. */
void
room_use(struct room *room, uint64_t octets)
{
	uint64_t before = room->free_octets;

	while (!atomic_compare_exchange_weak(&room->free_octets, &before,
					     before > octets ? before - octets : 0))
		;
}

/* How much space there is, and how much of it is to be left alone. */
void
room_look(struct room *room)
{
	struct spool *spool = room->spool;
	struct statvfs space;

	room->looked_ms = clock_monotonic_ms();
	if (spool->disk->space(spool->disk->context, spool->fd, &space) == -1)
		return; /* what was known stays */

	uint64_t share = (uint64_t)space.f_blocks * space.f_frsize / RESERVE_SHARE;

	room->reserve_octets =
	    spool->reserve_octets < share ? spool->reserve_octets : share;
	room->free_octets = (uint64_t)space.f_bavail * space.f_frsize;
	room->has_inodes = space.f_files == 0 || space.f_favail >= INODES_MIN;
	room->was_refused = false;
}

static void
room_work(struct spool_job *job)
{
	struct room *room = LIST_OWNER(job, struct room, job);

	room_look(room);
	room->is_looking = false;
}

void
room_look_soon(struct room *room)
{
	if (room->is_looking)
		return;
	room->is_looking = true;
	room->job.work = room_work;
	spool_thread_hand_one(&room->spool->helper, &room->job);
}
