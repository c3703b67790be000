/* SPDX-License-Identifier: ISC */
/*
 * A spool in a directory of its own, for tests. Messages are made from a number and a
 * size, which their envelope tells, so that any message can be checked wherever it is
 * found.
 */
#ifndef RELAYD_TESTS_SPOOL_BOX_H
#define RELAYD_TESTS_SPOOL_BOX_H

#include "net/loop.h"
#include "spool/disk.h"
#include "spool/spool.h"

#define BOX_STATE_OCTETS 16

struct box;

/* One message that was handed over or found. */
struct letter {
	struct box *box;
	uint32_t seed;
	uint32_t octets;
	bool is_over; /* the spool has answered */
	enum spool_status status;
	struct spool_message *message;
	char state[BOX_STATE_OCTETS];
	uint64_t uid;
};

struct box {
	char directory[128];
	struct spool_settings settings;
	struct spool_disk disk;
	struct loop *loop;
	struct spool *spool;
	struct log log;
	struct letter **found; /* in the order of found */
	size_t found_count;
	struct letter **sent;
	size_t sent_count;
	void (*answered)(struct letter *letter); /* when the spool answers; or NULL */
};

/*
 * The real disk, but that syncs do nothing: killed processes and made-up power cuts do
 * not need them, and tests that others can run at the same time do not wait for each
 * other.
 */
const struct spool_disk *box_disk(struct box *box);

/* An empty directory on that disk; box_end removes it. */
void box_begin(struct box *box);
void box_end(struct box *box);

/* Another process's view of the same directory. */
void box_share(struct box *box, const struct box *other);

/* Open the spool, turn until what is there was found; close it and forget all letters. */
void box_open(struct box *box);
bool box_try_open(struct box *box, struct fault *fault);
void box_close(struct box *box);

/* Turn the loop until the spool owes nothing any more. */
void box_wait(struct box *box);

/* Hand a message over, or do so and wait for the answer. */
struct letter *box_send(struct box *box, uint32_t seed, uint32_t octets);
struct letter *box_store(struct box *box, uint32_t seed, uint32_t octets);

/* The letter that was found with this seed, or NULL. */
struct letter *box_find(struct box *box, uint32_t seed);

/* Read the whole body back (from disk unless it is in memory) and compare. */
bool letter_is_whole(struct box *box, struct letter *letter);

/* The octet of a body at an offset. */
char body_octet(uint32_t seed, uint64_t offset);

/* Files in a directory of the spool ("0", "0/large") whose names begin so. */
size_t box_count_files(struct box *box, const char *directory, const char *prefix);
void box_path(struct box *box, const char *name, char path[256]);

/* Keep expected complaints out of the test's output. */
void box_hush(void);

#endif
