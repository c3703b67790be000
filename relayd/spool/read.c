/* SPDX-License-Identifier: ISC */
/* Reading messages back: by the helper, or from memory where they still are. */
#include "spool/spool_private.h"

#include "base/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct spool_read {
	struct spool_job job; /* first */
	struct spool *spool;
	struct segment *segment; /* NULL: the bytes are there already */
	uint64_t file;		 /* 0: in the segment */
	uint64_t offset;
	size_t octets;
	spool_read_done *done; /* NULL: cancelled; loop */
	void *context;
	bool is_good;
	struct fault fault;
	char bytes[];
};

static int
read_open(struct spool_read *read)
{
	const struct spool_disk *disk = read->spool->disk;
	char name[SHARD_NAME_SIZE];

	if (read->file == 0)
		return read->segment->fd;
	large_name(name, read->file);
	return disk->open(disk->context, read->segment->shard->large_fd, name,
			  O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
}

static void
read_work(struct spool_job *job)
{
	struct spool_read *read = (struct spool_read *)(void *)job;
	int fd = read_open(read);

	if (fd == -1) {
		(void)fault_set(&read->fault, "open a message");
	} else {
		ssize_t n = disk_read(read->spool->disk, fd, read->bytes, read->octets,
				      read->offset);

		read->is_good = n == (ssize_t)read->octets;
		if (n == -1)
			(void)fault_set(&read->fault, "read a message");
		else if (!read->is_good)
			(void)fault_say(&read->fault, "a message ends too soon");
	}
	if (fd != -1 && read->file != 0)
		(void)close(fd);
	read->segment->readers--;
	spool_mailbox_send_one(read->spool->mailbox, job);
}

static void
read_end(struct spool_job *job)
{
	struct spool_read *read = (struct spool_read *)(void *)job;
	struct span bytes = { read->bytes, read->octets };

	if (read->done != NULL) {
		read->spool->waiting--;
		if (!read->is_good)
			bytes = (struct span){ NULL, 0 };
		if (!read->spool->is_closing)
			read->done(read->context, bytes,
				   read->is_good ? NULL : &read->fault);
	}
	free(read);
}

static struct spool_read *
read_new(struct spool_message *message, size_t octets, spool_read_done *done,
	 void *context)
{
	struct spool_read *read = memory_resize(NULL, sizeof(*read) + octets, 1);

	memset(read, 0, sizeof(*read));
	read->job.work = read_work;
	read->job.done = read_end;
	read->spool = message->spool;
	read->octets = octets;
	read->done = done;
	read->context = context;
	read->spool->waiting++;
	return read;
}

/* Where the message is now; compaction may move it, but what is being read stays. */
static void
read_begin(struct spool_read *read, struct spool_message *message, bool is_body)
{
	struct spool *spool = read->spool;
	struct spool_record record;

	(void)pthread_mutex_lock(&spool->lock);
	read->segment = message->segment;
	read->segment->readers++;
	spool_message_record(message, &record);
	if (!is_body)
		read->offset = message->offset + record_envelope_at(&record);
	else if (message->file == 0)
		read->offset += message->offset + record_body_at(&record);
	(void)pthread_mutex_unlock(&spool->lock);
	spool_thread_hand_one(&spool->helper, &read->job);
}

static void
read_from_memory(struct spool_read *read, const struct spool_message *message,
		 uint64_t offset)
{
	struct span run;

	for (size_t have = 0; have < read->octets; have += run.len) {
		(void)spool_body_peek(message, offset + have, &run);
		run = span_first(run, read->octets - have);
		memcpy(read->bytes + have, run.ptr, run.len);
	}
	read->is_good = true;
	spool_mailbox_send_one(read->spool->mailbox, &read->job);
}

struct spool_read *
spool_read_body(struct spool_message *message, uint64_t offset, size_t octets,
		spool_read_done *done, void *context)
{
	uint64_t all = message->info.body_octets;

	if (offset > all)
		offset = all;
	if (octets > all - offset)
		octets = (size_t)(all - offset);

	struct spool_read *read = read_new(message, octets, done, context);

	if (octets == 0 || message->body.first != NULL) {
		read_from_memory(read, message, offset);
	} else {
		read->file = message->file;
		read->offset = offset;
		read_begin(read, message, true);
	}
	return read;
}

struct spool_read *
spool_read_envelope(struct spool_message *message, spool_read_done *done, void *context)
{
	struct spool_read *read =
	    read_new(message, message->info.envelope_octets, done, context);

	read_begin(read, message, false);
	return read;
}

void
spool_read_cancel(struct spool_read **read)
{
	struct spool_read *r = *read;

	if (r == NULL)
		return;
	*read = NULL;
	r->done = NULL;
	r->spool->waiting--;
}
