/* SPDX-License-Identifier: ISC */
/* A spool for tests; see box.h. */
#define _XOPEN_SOURCE 700 /* mkdtemp, nftw */
#include "spool/box.h"

#include "base/clock.h"
#include "base/memory.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Not Check's assertions: they write to a file that parent and child share, and a child that is
 * killed in the middle leaves half a record there.
 */
#define must(condition)                                                                     \
	do {                                                                                \
		if (!(condition)) {                                                         \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,    \
				      #condition);                                          \
			abort();                                                            \
		}                                                                           \
	} while (0)

#define PATIENCE_MS 60000

char
body_octet(uint32_t seed, uint64_t offset)
{
	uint64_t v = (seed * 0x9e3779b97f4a7c15u) ^ (offset >> 3) * 0xc2b2ae3d27d4eb4fu;

	return (char)(v >> ((offset & 7) * 8));
}

static int
sync_nothing(void *context, int fd)
{
	(void)context;
	(void)fd;
	return 0;
}

const struct spool_disk *
box_disk(struct box *box)
{
	box->disk = spool_disk_real;
	box->disk.sync = sync_nothing;
	box->disk.sync_data = sync_nothing;
	return &box->disk;
}

static void
body_fill(char *bytes, uint32_t seed, uint64_t offset, size_t octets)
{
	for (size_t i = 0; i < octets; i++)
		bytes[i] = body_octet(seed, offset + i);
}

void
box_begin(struct box *box)
{
	const char *parent = getenv("TMPDIR");

	memset(box, 0, sizeof(*box));
	(void)snprintf(box->directory, sizeof(box->directory), "%s/spool_test.XXXXXX",
		       parent == NULL ? "/tmp" : parent);
	must(mkdtemp(box->directory) != NULL);
	box->settings.directory = box->directory;
	box->settings.disk = box_disk(box);
	box->settings.segment_octets = 1u << 20;
}

void
box_share(struct box *box, const struct box *other)
{
	memset(box, 0, sizeof(*box));
	memcpy(box->directory, other->directory, sizeof(box->directory));
	box->settings = other->settings;
	box->settings.directory = box->directory;
}

static int
path_remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void
box_end(struct box *box)
{
	if (box->spool != NULL)
		box_close(box);
	(void)nftw(box->directory, path_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static struct letter *
letter_add(struct letter ***letters, size_t *count)
{
	struct letter *letter = memory_new(sizeof(*letter));

	*letters = memory_resize(*letters, *count + 1, sizeof(**letters));
	(*letters)[(*count)++] = letter;
	return letter;
}

static void
letter_found(void *context, struct spool_message *message, struct span envelope,
	     struct span state)
{
	struct box *box = context;
	struct letter *letter = letter_add(&box->found, &box->found_count);
	uint64_t seed = 0, octets = 0;

	must(number_take(&envelope, UINT32_MAX, &seed) == PARSE_OK);
	must(byte_take(&envelope, ' '));
	must(number_take(&envelope, UINT32_MAX, &octets) == PARSE_OK);
	must(state.len == BOX_STATE_OCTETS);
	must(octets == spool_message_info(message)->body_octets);
	memcpy(letter->state, state.ptr, state.len);
	letter->seed = (uint32_t)seed;
	letter->octets = (uint32_t)octets;
	letter->uid = spool_message_info(message)->uid;
	letter->message = message;
	letter->is_over = true;
	letter->box = box;
	spool_message_set_user(message, letter);
}

static const struct spool_events events = { .found = letter_found };

bool
box_try_open(struct box *box, struct fault *fault)
{
	box->loop = loop_new(fault);
	must(box->loop != NULL);
	box->spool =
	    spool_open(&box->settings, box->loop, &events, box, &box->log, fault);
	if (box->spool == NULL)
		loop_free(&box->loop);
	return box->spool != NULL;
}

void
box_open(struct box *box)
{
	struct fault fault;
	bool is_open = box_try_open(box, &fault);

	must(is_open);
	box_wait(box);
}

static void
letters_free(struct letter ***letters, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		free((*letters)[i]);
	free(*letters);
	*letters = NULL;
	*count = 0;
}

void
box_close(struct box *box)
{
	spool_close(&box->spool);
	loop_free(&box->loop);
	letters_free(&box->found, &box->found_count);
	letters_free(&box->sent, &box->sent_count);
}

void
box_wait(struct box *box)
{
	int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	loop_turn(box->loop, 0);
	while (!spool_is_idle(box->spool)) {
		must(clock_monotonic_ms() < until_ms); /* or the spool never answers */
		loop_turn(box->loop, 100);
	}
}

static void
letter_committed(void *context, enum spool_status status, struct spool_message *message)
{
	struct letter *letter = context;

	must(!letter->is_over);
	must((message != NULL) == (status == SPOOL_OK));
	letter->is_over = true;
	letter->status = status;
	letter->message = message;
	if (message != NULL)
		letter->uid = spool_message_info(message)->uid;
	if (letter->box->answered != NULL)
		letter->box->answered(letter);
}

static void
resumed(void *context)
{
	bool *must_wait = context;

	*must_wait = false;
}

struct letter *
box_send(struct box *box, uint32_t seed, uint32_t octets)
{
	struct letter *letter = letter_add(&box->sent, &box->sent_count);
	struct spool_draft *draft = spool_draft_new(box->spool);
	char envelope[64], state[BOX_STATE_OCTETS] = "fresh", part[30011];
	int used = snprintf(envelope, sizeof(envelope), "%u %u", seed, octets);

	letter->box = box;
	letter->seed = seed;
	letter->octets = octets;
	for (uint32_t at = 0; at < octets;) {
		uint32_t n =
		    octets - at < sizeof(part) ? octets - at : (uint32_t)sizeof(part);
		bool must_wait = true;

		body_fill(part, seed, at, n);
		must_wait = !spool_draft_append(draft, (struct span){ part, n }, resumed,
						&must_wait);
		while (must_wait)
			loop_turn(box->loop, 100);
		at += n;
	}
	must(spool_draft_octets(draft) == octets);
	spool_draft_commit(&draft, (struct span){ envelope, (size_t)used },
			   (struct span){ state, sizeof(state) }, letter_committed,
			   letter);
	must(draft == NULL);
	return letter;
}

struct letter *
box_store(struct box *box, uint32_t seed, uint32_t octets)
{
	struct letter *letter = box_send(box, seed, octets);

	box_wait(box);
	must(letter->is_over);
	return letter;
}

struct letter *
box_find(struct box *box, uint32_t seed)
{
	for (size_t i = 0; i < box->found_count; i++) {
		if (box->found[i]->seed == seed && box->found[i]->message != NULL)
			return box->found[i];
	}
	return NULL;
}

struct reading {
	struct letter *letter;
	uint64_t offset;
	bool is_right;
	bool is_over;
};

static void
part_read(void *context, struct span bytes, struct fault *fault)
{
	struct reading *reading = context;

	reading->is_over = true;
	reading->is_right = fault == NULL && bytes.len > 0;
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.ptr[i] !=
		    body_octet(reading->letter->seed, reading->offset + i))
			reading->is_right = false;
	}
	reading->offset += bytes.len;
}

bool
letter_is_whole(struct box *box, struct letter *letter)
{
	struct reading reading = { .letter = letter, .is_right = true };

	while (reading.is_right && reading.offset < letter->octets) {
		reading.is_over = false;
		(void)spool_read_body(letter->message, reading.offset, 100003, part_read,
				      &reading);
		while (!reading.is_over)
			loop_turn(box->loop, 100);
	}
	return reading.is_right && reading.offset == letter->octets;
}

void
box_path(struct box *box, const char *name, char path[256])
{
	(void)snprintf(path, 256, "%s/%s", box->directory, name);
}

size_t
box_count_files(struct box *box, const char *directory, const char *prefix)
{
	char path[256];
	size_t count = 0;
	const struct dirent *entry;

	box_path(box, directory, path);
	DIR *dir = opendir(path);

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			count++;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return count;
}

void
box_hush(void)
{
	int fd = getenv("SPOOL_TEST_LOUD") == NULL ? open("/dev/null", O_WRONLY) : -1;

	if (fd != -1) {
		(void)dup2(fd, STDERR_FILENO);
		(void)close(fd);
	}
}
