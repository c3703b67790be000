/* SPDX-License-Identifier: ISC */
/*
 * The board; see sts.h. A domain may stand in one of four places, chosen by its name; a number
 * that is odd while a place is written tells readers to look again. What loses its place is
 * still on disk.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "delivery/sts.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define GROUPS	    1024
#define WAYS	    4
#define WISHES	    256
#define LOOKS_MAX   100 /* at a place that is being written, before we say that it is unknown */

enum wish_state { WISH_FREE, WISH_FILLED, WISH_READY };

struct wish_slot {
	_Atomic uint32_t state; /* enum wish_state */
	struct sts_wish wish;
};

struct place {
	_Atomic uint32_t number; /* odd: being written; 0: empty */
	uint32_t domain_len;
	char domain[STS_DOMAIN_MAX + 1];
	struct sts_finding finding;
};

struct sts_board {
	sem_t wished;
	struct wish_slot wishes[WISHES];
	uint32_t victim; /* the fetching process's own */
	struct place places[GROUPS][WAYS];
};

struct sts_board *
sts_board_new(struct fault *fault)
{
	struct sts_board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (board == MAP_FAILED) {
		(void)fault_set(fault, "memory for MTA-STS policies");
		return NULL;
	}
	if (sem_init(&board->wished, 1, 0) == -1) {
		(void)fault_set(fault, "sem_init");
		(void)munmap(board, sizeof(*board));
		return NULL;
	}
	return board;
}

void
sts_board_free(struct sts_board **board)
{
	if (*board == NULL)
		return;
	(void)munmap(*board, sizeof(**board));
	*board = NULL;
}

/* FNV-1a: who chooses names so that they collide only makes his own policies forgotten. */
static size_t
group_of(struct span domain)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < domain.len; i++)
		hash = (hash ^ (unsigned char)domain.ptr[i]) * 16777619U;
	return hash % GROUPS;
}

static bool
place_read(const struct place *place, struct span domain, struct sts_finding *finding)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		uint32_t number = atomic_load(&place->number);

		if (number == 0)
			return false;
		if (number % 2 == 1)
			continue;

		bool is_it = place->domain_len == domain.len &&
			     memcmp(place->domain, domain.ptr, domain.len) == 0;

		if (is_it)
			*finding = place->finding;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&place->number) != number)
			continue;
		finding->number = number;
		return is_it;
	}
	return false;
}

void
sts_find(const struct sts_board *board, struct span domain, struct sts_finding *finding)
{
	const struct place *group = board->places[group_of(domain)];

	if (domain.len <= STS_DOMAIN_MAX) {
		for (size_t i = 0; i < WAYS; i++) {
			if (place_read(&group[i], domain, finding))
				return;
		}
	}
	*finding = (struct sts_finding){ .state = STS_UNKNOWN };
}

/* A worker that dies between the two states leaves one slot out of use. */
bool
sts_ask(struct sts_board *board, const struct sts_wish *wish)
{
	for (size_t i = 0; i < WISHES; i++) {
		struct wish_slot *slot = &board->wishes[i];
		uint32_t state = WISH_FREE;

		if (!atomic_compare_exchange_strong(&slot->state, &state, WISH_FILLED))
			continue;
		slot->wish = *wish;
		atomic_store(&slot->state, WISH_READY);
		(void)sem_post(&board->wished);
		return true;
	}
	return false;
}

static bool
wish_find(struct sts_board *board, struct sts_wish *wish)
{
	for (size_t i = 0; i < WISHES; i++) {
		struct wish_slot *slot = &board->wishes[i];
		uint32_t state = WISH_READY;

		if (!atomic_compare_exchange_strong(&slot->state, &state, WISH_FILLED))
			continue;
		*wish = slot->wish;
		atomic_store(&slot->state, WISH_FREE);
		return true;
	}
	return false;
}

void
sts_wish_take(struct sts_board *board, struct sts_wish *wish)
{
	do {
		while (sem_wait(&board->wished) == -1 && errno == EINTR)
			;
	} while (!wish_find(board, wish));
	if (wish->domain_len > STS_DOMAIN_MAX)
		wish->domain_len = 0;
	wish->domain[wish->domain_len] = '\0';
	wish->id[STS_ID_MAX] = '\0';
	if (wish->address_count > STS_ADDRESSES_MAX)
		wish->address_count = 0;
}

void
sts_publish(struct sts_board *board, struct span domain, const struct sts_finding *finding)
{
	struct place *group = board->places[group_of(domain)];
	struct place *place = NULL;

	assert(domain.len <= STS_DOMAIN_MAX);
	for (size_t i = 0; i < WAYS && place == NULL; i++) {
		if (group[i].domain_len == domain.len &&
		    memcmp(group[i].domain, domain.ptr, domain.len) == 0)
			place = &group[i];
	}
	for (size_t i = 0; i < WAYS && place == NULL; i++) {
		if (group[i].number == 0 || group[i].finding.state == STS_ABSENT)
			place = &group[i];
	}
	if (place == NULL)
		place = &group[board->victim++ % WAYS];

	uint32_t number = atomic_load(&place->number) | 1U; /* one was left by one who died */

	atomic_store(&place->number, number);
	atomic_thread_fence(memory_order_release);
	place->domain_len = (uint32_t)domain.len;
	memcpy(place->domain, domain.ptr, domain.len);
	place->finding = *finding;
	atomic_store(&place->number, number + 1 == 0 ? 2 : number + 1);
}
