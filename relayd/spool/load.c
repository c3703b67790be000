/* SPDX-License-Identifier: ISC */
/*
 * Recovery: the messages that another process left in a shard. The helper scans segment
 * after segment, the commit thread takes over what was found, and the loop shows it to
 * its user, some hundred messages a turn.
 */
#include "spool/spool_private.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_OCTETS_MAX  (1u << 30) /* of a segment file; ours are far smaller */
#define READ_STEP_OCTETS  (1u << 20)
#define READ_PIECE_OCTETS 4096u
#define BATCH_OCTETS_MAX  (4u << 20)

static void load_step(struct spool_job *job);
static void load_read(struct spool_job *job);
static void load_show(struct spool_job *job);

void
load_free(struct load *load)
{
	struct list *link;

	for (size_t i = 0; i < load->message_count && !load->is_joined; i++)
		free(load->messages[i]);
	while ((link = list_take_first(&load->segments)) != NULL) {
		struct segment *segment = LIST_OWNER(link, struct segment, link);

		segment_free(&segment);
	}
	free(load->messages);
	free(load->numbers.numbers);
	free(load->bytes);
	free(load);
}

void
load_begin(struct spool *spool, struct shard *shard, struct number_list *segments,
	   uint64_t file_limit)
{
	struct load *load = memory_new(sizeof(*load));

	load->commit.kind = COMMIT_SHARD;
	load->commit.job.work = load_step;
	load->commit.job.done = load_found;
	load->spool = spool;
	load->shard = shard;
	load->numbers = *segments;
	load->file_limit = file_limit;
	list_init(&load->segments);
	spool->loads++;
	spool_thread_hand_one(&spool->helper, &load->commit.job);
}

/* Read a part that failed as a whole piece by piece; what cannot be read is left zero. */
static void
image_read_pieces(const struct spool_disk *disk, int fd, char *image, size_t from,
		  size_t to)
{
	for (size_t at = from; at < to; at += READ_PIECE_OCTETS) {
		size_t octets = to - at < READ_PIECE_OCTETS ? to - at : READ_PIECE_OCTETS;

		if (disk_read(disk, fd, image + at, octets, at) == -1)
			memset(image + at, 0, octets);
	}
}

/* The whole file in memory, to be freed; NULL and *fault when that cannot be. */
static char *
image_read(const struct spool_disk *disk, int fd, size_t *octets, struct fault *fault)
{
	struct stat status;

	if (fstat(fd, &status) == -1) {
		(void)fault_set(fault, "fstat a segment");
		return NULL;
	}
	if (!S_ISREG(status.st_mode) || status.st_size > (off_t)IMAGE_OCTETS_MAX) {
		(void)fault_say(fault, "not a segment");
		return NULL;
	}
	*octets = (size_t)status.st_size;

	char *image = memory_resize(NULL, *octets + 1, 1);

	for (size_t at = 0; at < *octets; at += READ_STEP_OCTETS) {
		size_t step =
		    *octets - at < READ_STEP_OCTETS ? *octets - at : READ_STEP_OCTETS;
		ssize_t n = disk_read(disk, fd, image + at, step, at);

		if (n == -1) {
			image_read_pieces(disk, fd, image, at, at + step);
		} else if ((size_t)n < step) {
			*octets = at + (size_t)n;
			break;
		}
	}
	return image;
}

/* A file that is no segment any more stops nobody: others are still delivered. */
static void
segment_set_aside(struct load *load, uint64_t number, const char *reason)
{
	const struct spool_disk *disk = load->spool->disk;
	char name[SHARD_NAME_SIZE], to[SHARD_NAME_SIZE + 8];

	file_name(name, FILE_SEGMENT, number);
	(void)snprintf(to, sizeof(to), "%s.damaged", name);
	log_error(load->spool->log, "spool: %s/%s is damaged and set aside: %s",
		  load->shard->name, name, reason);
	(void)disk->rename(disk->context, load->shard->fd, name, to);
}

enum origin_fate
origin_look(const struct spool_disk *disk, int spool_fd,
	    const struct spool_record *record)
{
	const struct record_origin *origin = &record->origin;
	char name[SHARD_NAME_SIZE], path[2 * SHARD_NAME_SIZE];
	char bytes[RECORD_HEADER_OCTETS + SPOOL_STATE_MAX + RECORD_PREFIX_EXTRA +
		   SEGMENT_HEADER_OCTETS];
	struct spool_record original;
	enum origin_fate fate = ORIGIN_GONE;

	file_name(name, FILE_SEGMENT, origin->number);
	(void)snprintf(path, sizeof(path), "%" PRIu64 "/%s", origin->shard, name);

	int fd = disk->open(disk->context, spool_fd, path,
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd == -1)
		return ORIGIN_GONE;
	/* The envelope need not be there in full: only the mark is wanted. */
	size_t octets = record_body_at(record) < sizeof(bytes) ? record_body_at(record)
							       : sizeof(bytes);
	char *whole = octets < record_body_at(record)
			  ? memory_resize(NULL, record_body_at(record), 1)
			  : bytes;
	ssize_t n = disk_read(disk, fd, whole, record_body_at(record), origin->offset);

	if (n > 0 &&
	    record_glance((struct span){ whole, (size_t)n }, &original) == PARSE_OK &&
	    original.generation == origin->generation && original.uid == record->uid)
		fate = original.mark == RECORD_REMOVED ? ORIGIN_REMOVED
		       : original.mark == RECORD_MOVED ? ORIGIN_MOVED
						       : ORIGIN_LIVE;
	if (whole != bytes)
		free(whole);
	(void)close(fd);
	return fate;
}

/* While one segment is scanned. */
struct scanning {
	struct load *load;
	struct segment *segment;
	size_t room; /* of load->messages */
	bool is_marked;
};

/*
 * The copy that a move made counts only once its original is marked as moved, or gone. If
 * it does not, it must be marked before the original can go: later it would look valid.
 */
static bool
copy_counts(struct scanning *scanning, uint64_t offset, const struct spool_record *record)
{
	struct spool *spool = scanning->load->spool;
	enum origin_fate fate = origin_look(spool->disk, spool->fd, record);

	if (fate == ORIGIN_MOVED || fate == ORIGIN_GONE)
		return true;
	if (!segment_mark(spool->disk, scanning->segment, offset, RECORD_REMOVED))
		log_error(spool->log, "spool: cannot mark a copy in shard %s",
			  scanning->load->shard->name);
	scanning->is_marked = true;
	return false;
}

/* A body in its own file must be there: it was durable before its record was written. */
static bool
large_is_whole(struct scanning *scanning, uint64_t offset,
	       const struct spool_record *record)
{
	struct load *load = scanning->load;
	const struct spool_disk *disk = load->spool->disk;
	char name[SHARD_NAME_SIZE], to[SHARD_NAME_SIZE + 8];
	struct stat status;

	large_name(name, record->file);
	bool is_there =
	    fstatat(load->shard->large_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;

	if (is_there && S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size == record->body_octets)
		return true;
	if (!is_there && errno != ENOENT)
		return true; /* reading it will tell */
	if (is_there) {
		(void)snprintf(to, sizeof(to), "%s.damaged", name);
		(void)disk->rename(disk->context, load->shard->large_fd, name, to);
		log_error(load->spool->log, "spool: %s/large/%s is damaged and set aside",
			  load->shard->name, name);
	} else {
		log_warn(load->spool->log,
			 "spool: %s/large/%s is gone: removed before a power cut",
			 load->shard->name, name);
	}
	(void)segment_mark(disk, scanning->segment, offset, RECORD_REMOVED);
	scanning->is_marked = true;
	return false;
}

static bool
record_found(void *context, uint64_t offset, const struct spool_record *record)
{
	struct scanning *scanning = context;
	struct load *load = scanning->load;

	if (record->mark == RECORD_REMOVED || record->mark == RECORD_MOVED)
		return true;
	if (record->state_octets > SPOOL_STATE_MAX)
		return true; /* not ours */
	if ((record->flags & RECORD_IS_MOVED) && !copy_counts(scanning, offset, record))
		return true;
	if ((record->flags & RECORD_IS_EXTERNAL) &&
	    !large_is_whole(scanning, offset, record))
		return true;
	if (load->message_count == scanning->room) {
		scanning->room = scanning->room == 0 ? 64 : 2 * scanning->room;
		load->messages = memory_resize(load->messages, scanning->room,
					       sizeof(*load->messages));
	}
	struct spool_message *message = memory_new(sizeof(*message));

	message->spool = load->spool;
	message->info = (struct spool_info){
		.uid = record->uid,
		.stored_wall_ms = record->stored_wall_ms,
		.body_octets = record->body_octets,
		.envelope_octets = record->envelope_octets,
		.state_octets = record->state_octets,
	};
	message->segment = scanning->segment;
	message->offset = offset;
	message->file = record->flags & RECORD_IS_EXTERNAL ? record->file : 0;
	message->flags = record->flags;
	list_init(&message->link);
	load->messages[load->message_count++] = message;
	return true;
}

static void
scan_report(struct load *load, struct segment *segment, const struct segment_scan *scan)
{
	char name[SHARD_NAME_SIZE];

	file_name(name, FILE_SEGMENT, segment->header.number);
	if (!scan->has_header)
		log_error(
		    load->spool->log,
		    "spool: the header of %s/%s is damaged; its %llu records are not",
		    load->shard->name, name, (unsigned long long)scan->records);
	if (scan->lost_at != 0)
		log_error(
		    load->spool->log,
		    "spool: %s/%s is damaged at octet %llu; the records behind are not",
		    load->shard->name, name, (unsigned long long)scan->lost_at);
}

static void
segment_load(struct load *load, uint64_t number)
{
	struct spool *spool = load->spool;
	struct fault fault;
	struct segment_scan scan;
	struct span image = { NULL, 0 };
	struct segment *segment = segment_open(spool->disk, load->shard, number, &fault);

	if (segment == NULL) {
		log_error(spool->log, "spool: %s", fault_text(&fault));
		return;
	}
	char *bytes = image_read(spool->disk, segment->fd, &image.len, &fault);

	if (bytes == NULL) {
		segment_free(&segment);
		segment_set_aside(load, number, fault_text(&fault));
		return;
	}
	struct scanning scanning = { .load = load, .segment = segment };

	scanning.room = load->message_count;
	image.ptr = bytes;
	segment_scan(image, &scan, record_found, &scanning);
	free(bytes);
	if (!scan.has_header && scan.records == 0) {
		segment_free(&segment);
		segment_set_aside(load, number, "no header");
		return;
	}
	scan_report(load, segment, &scan);
	segment->is_damaged = !scan.has_header || scan.lost_at != 0;
	segment->header = scan.header;
	segment->header.number = number; /* what the file is called is what counts */
	if (!scan.has_header)
		segment->header.octets = image.len;
	segment->prewritten = image.len;
	segment->written = scan.end;
	if (scanning.is_marked) {
		spool->syncs++;
		if (spool->disk->sync_data(spool->disk->context, segment->fd) == -1)
			log_error(spool->log, "spool: cannot sync marks in shard %s",
				  load->shard->name);
	}
	list_append(&load->segments, &segment->link);
	load->segment_count++;
}

static int
message_compare(const void *a, const void *b)
{
	const struct spool_message *const *x = a, *const *y = b;

	if ((*x)->info.uid != (*y)->info.uid)
		return (*x)->info.uid < (*y)->info.uid ? -1 : 1;
	return 0;
}

/* Files of bodies that no record needs. */
struct orphans {
	struct load *load;
	struct number_list needed; /* sorted */
};

static bool
orphan_remove(void *context, const char *name)
{
	struct orphans *orphans = context;
	const struct spool_disk *disk = orphans->load->spool->disk;
	uint64_t file;

	if (number_parse(span_of(name), UINT64_MAX, &file) != PARSE_OK ||
	    file >= orphans->load->file_limit)
		return true;
	if (!number_list_has(&orphans->needed, file))
		(void)disk->unlink(disk->context, orphans->load->shard->large_fd, name,
				   0);
	return true;
}

static void
orphans_remove(struct load *load)
{
	struct orphans orphans = { .load = load };
	struct fault fault;

	for (size_t i = 0; i < load->message_count; i++) {
		if (load->messages[i]->file != 0)
			number_list_add(&orphans.needed, load->messages[i]->file);
	}
	number_list_sort(&orphans.needed);
	if (!directory_walk(load->shard->large_fd, orphan_remove, &orphans, &fault))
		log_warn(load->spool->log, "spool: %s", fault_text(&fault));
	free(orphans.needed.numbers);
}

/* One segment, then let other work of the helper have its turn. */
static void
load_step(struct spool_job *job)
{
	struct load *load = (struct load *)(void *)job;
	struct spool *spool = load->spool;

	if (load->at < load->numbers.count && !spool->is_stopping) {
		segment_load(load, load->numbers.numbers[load->at++]);
		spool_thread_hand_one(&spool->helper, job);
		return;
	}
	if (load->message_count > 1)
		qsort(load->messages, load->message_count, sizeof(struct spool_message *),
		      message_compare);
	if (load->at == load->numbers.count)
		orphans_remove(load);
	if (load->message_count > 0)
		log_info(spool->log, "spool: %zu messages were waiting in shard %s",
			 load->message_count, load->shard->name);
	spool_thread_hand_one(&spool->commit, job);
}

/* Envelopes and states of the next messages, for the loop to show. */
static void
load_read(struct spool_job *job)
{
	struct load *load = (struct load *)(void *)job;
	size_t room = 0, used = 0, last = load->found;

	while (last < load->message_count && last - load->found < FOUND_AT_ONCE &&
	       room < BATCH_OCTETS_MAX) {
		struct spool_record record;

		spool_message_record(load->messages[last++], &record);
		room += record_body_at(&record) - record_state_at();
	}
	load->batch = last - load->found;
	load->bytes = memory_resize(load->bytes, room + 1, 1);
	for (size_t i = 0; i < load->batch; i++) {
		const struct spool_message *message = load->messages[load->found + i];
		struct spool_record record;

		spool_message_record(message, &record);
		load->parts[i].at = used;
		load->parts[i].len = record_body_at(&record) - record_state_at();
		load->parts[i].is_good =
		    disk_read(load->spool->disk, message->segment->fd, load->bytes + used,
			      load->parts[i].len, message->offset + record_state_at()) ==
		    (ssize_t)load->parts[i].len;
		used += load->parts[i].len;
	}
	spool_mailbox_send_one(load->spool->mailbox, job);
}

static void
load_end(struct load *load)
{
	struct spool *spool = load->spool;

	spool->loads--;
	load_free(load);
}

void
load_found(struct spool_job *job)
{
	struct load *load = (struct load *)(void *)job;

	if (load->found == load->message_count || load->spool->is_closing) {
		load_end(load);
		return;
	}
	job->work = load_read;
	job->done = load_show;
	spool_thread_hand_one(&load->spool->helper, job);
}

static void
message_show(struct load *load, struct spool_message *message, struct span bytes)
{
	struct spool *spool = load->spool;
	struct spool_record record;

	spool_message_record(message, &record);

	struct span state = span_first(bytes, message->info.state_octets);
	struct span envelope =
	    span_skip(bytes, record_envelope_at(&record) - record_state_at());

	spool->messages++;
	spool->body_octets += message->info.body_octets;
	spool->events->found(spool->context, message, envelope, state);
}

static void
load_show(struct spool_job *job)
{
	struct load *load = (struct load *)(void *)job;
	size_t batch = load->batch;

	for (size_t i = 0; i < batch && !load->spool->is_closing; i++) {
		struct spool_message *message = load->messages[load->found];
		struct span bytes = { load->bytes + load->parts[i].at,
				      load->parts[i].len };

		load->found++; /* the message stays in its segment in any case */
		if (load->parts[i].is_good)
			message_show(load, message, bytes);
		else
			log_error(load->spool->log, "spool: cannot read message %llu",
				  (unsigned long long)message->info.uid);
	}
	load_found(job);
}

/* Adoption: shards that nobody holds. */

/* Recover a shard that was just locked; without segments it is soon removed again. */
static void
shard_adopt(struct spool *spool, struct shard *shard, struct number_list *segments)
{
	(void)pthread_mutex_lock(&spool->lock);
	list_append(&spool->shards, &shard->link);
	(void)pthread_mutex_unlock(&spool->lock);
	if (segments->count > 0)
		log_info(spool->log, "spool: shard %s adopted", shard->name);
	load_begin(spool, shard, segments, UINT64_MAX);
}

static void
shard_try(struct spool *spool, uint64_t number)
{
	struct number_list segments;
	struct fault fault;
	struct shard *shard;
	enum shard_status status =
	    shard_take(spool->disk, spool->fd, number, false, &shard, &fault);

	if (status == SHARD_FAILED)
		log_warn(spool->log, "spool: %s", fault_text(&fault));
	if (status != SHARD_TAKEN)
		return;
	if (!directory_numbers(shard->fd, FILE_SEGMENT, &segments, &fault)) {
		log_warn(spool->log, "spool: %s", fault_text(&fault));
		shard_free(&shard);
		return;
	}
	shard_adopt(spool, shard, &segments);
}

static void
adopt_work(struct spool_job *job)
{
	struct spool *spool = LIST_OWNER(job, struct spool, adoption);
	struct number_list shards;
	struct fault fault;

	if (!directory_numbers(spool->fd, FILE_OTHER, &shards, &fault))
		log_warn(spool->log, "spool: %s", fault_text(&fault));
	for (size_t i = 0; i < shards.count && !spool->is_stopping; i++) {
		if (shards.numbers[i] != spool->own->number)
			shard_try(spool, shards.numbers[i]);
	}
	free(shards.numbers);
	spool_mailbox_send_one(spool->mailbox, job);
}

static void
adopt_done(struct spool_job *job)
{
	struct spool *spool = LIST_OWNER(job, struct spool, adoption);

	spool->is_adopting = false;
	if (spool->must_adopt_again && !spool->is_closing)
		load_adopt(spool);
}

void
load_adopt(struct spool *spool)
{
	spool->must_adopt_again = spool->is_adopting;
	if (spool->is_adopting)
		return;
	spool->is_adopting = true;
	spool->adoption.work = adopt_work;
	spool->adoption.done = adopt_done;
	spool_thread_hand_one(&spool->helper, &spool->adoption);
}
