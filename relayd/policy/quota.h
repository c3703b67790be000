/* SPDX-License-Identifier: ISC */
/*
 * How much of each limit is used: counts in a block of memory that all workers share. The
 * supervisor makes the block before it forks and keeps it over reloads; this module does no
 * I/O and has no clock. docs/limits.md tells the same in an administrator's words.
 *
 * A window begins with the first thing that is counted in it and lasts as long as the limit
 * says; then all of it is free at once. Within it no more than the maximum is ever taken,
 * however many processes take: taking is one compare-and-swap of a word that holds the
 * window's beginning and the count together. What was taken for nothing is given back, unless its
 * window has ended meanwhile. Sessions have no window: they are counted in the slot of the
 * worker that has them (base/slot_counts.h).
 *
 * Whenever a process is killed, what it had counted in windows stays counted until they end,
 * and what its slot held is dropped by quota_slot_clear. A key that is new needs a place, and
 * only that takes a lock, of one bucket, with the slot's name in it; quota_slot_clear breaks
 * those of the dead.
 */
#ifndef RELAYD_POLICY_QUOTA_H
#define RELAYD_POLICY_QUOTA_H

#include "base/slot_counts.h"
#include "policy/policy.h"

#define QUOTA_COUNT_MAX ((UINT64_C(1) << 40) - 2) /* what one window can count */
#define QUOTA_TEXT_MAX	96 /* octets of a key that are kept to show; it is told apart by all */
#define QUOTA_WINDOW_MAX_S (31U * 86400)
#define QUOTA_NO_MAX	UINT64_MAX

struct quota; /* the block itself: the same address in every process */

/* How large a block must be for so many workers, running and draining ones together. */
size_t quota_octets(unsigned slots);

/* Make a block of that size, all zero and aligned as mmap does, a quota. seed: random. */
struct quota *quota_init(void *memory, unsigned slots, uint64_t seed);

/* What is counted: one limit of one owner (a grant's name), for one key. */
struct quota_subject {
	struct span owner;
	const struct limit_source *limit;
	struct span key; /* login, address or sender; empty for the grant as a whole */
};

/* What was taken, to give it back; all zero: nothing. */
struct quota_ticket {
	struct slot_key key;
	uint64_t amount;
	uint32_t cell;
	uint32_t start;
	bool is_session;
};

enum quota_result {
	QUOTA_TAKEN,
	QUOTA_USED_UP,
	QUOTA_NO_ROOM, /* no place to count one more key: treat as used up */
};

/*
 * Take `amount` (at least 1; sessions: 1) of at most `max` (QUOTA_NO_MAX: count only, never
 * say no) at a time of the monotonic clock. QUOTA_TAKEN: *ticket is what to give back.
 * QUOTA_USED_UP: *frees_ms is how long until the window ends; 0 of sessions, which end when
 * they do. When two workers compete for the last session it may happen that neither gets it.
 */
enum quota_result quota_take(struct quota *quota, unsigned slot,
			     const struct quota_subject *subject, uint64_t amount, uint64_t max,
			     int64_t now_ms, struct quota_ticket *ticket, int64_t *frees_ms);

/* Give back some of it, or all; the ticket then holds the rest. Harmless when it holds none. */
void quota_give_back(struct quota *quota, unsigned slot, struct quota_ticket *ticket,
		     uint64_t amount);

/* What the subject is known by; the same of equal subjects, whatever the limit's maximum. */
struct slot_key quota_key(const struct quota *quota, const struct quota_subject *subject);

/* Used now. */
uint64_t quota_used(const struct quota *quota, const struct quota_subject *subject,
		    int64_t now_ms, int64_t *frees_ms);

/* The process of this slot is dead. By the supervisor, before another gets the slot. */
void quota_slot_clear(struct quota *quota, unsigned slot);

/* One key of a limit that is in use. */
struct quota_use {
	uint64_t family; /* quota_family of its limit */
	uint64_t used;
	int64_t frees_ms;
	struct span key; /* at most QUOTA_TEXT_MAX octets of it; lives for the call */
};

/* What all keys of one limit of one owner have in common. */
uint64_t quota_family(const struct quota *quota, struct span owner,
		      const struct limit_source *limit);

/* Tell of every key in use, in no order; not of sessions. Any process may, at any time. */
typedef void quota_tell(void *context, const struct quota_use *use);
void quota_visit(const struct quota *quota, int64_t now_ms, quota_tell *tell, void *context);

/* How many counters there is room for, and how many are in use or were and are not replaced. */
size_t quota_cells(const struct quota *quota, size_t *used);

/*
 * Shared by all workers: is the store that several gateways count in away? True when that is
 * news, so that one of them says it.
 */
bool quota_note_away(struct quota *quota, bool is_away);

#endif
