/* SPDX-License-Identifier: ISC */
/*
 * Counts of limits in shared memory; see quota.h.
 *
 * A table of buckets, each with a lock and CELLS cells of two cache lines; a key may stand in
 * one bucket only. A cell's tag says whose it is; its word holds the window's beginning (24
 * bits, in ticks) over the count (40 bits).
 *
 * Counting never locks: find the tag, then swap the word. Whoever gives a cell another key holds
 * the bucket's lock, first swaps the word of an ended window for LEAVING, then writes the tag,
 * then the word. Whoever counts looks at the tag after it has read the word: so either the word
 * is its key's, or the swap fails. A key is put in only under the lock and after another look,
 * so it never stands twice.
 */
#include "policy/quota.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS	     16384
#define CELLS	     16 /* of a bucket */
#define TEXT_WORDS   (QUOTA_TEXT_MAX / 8)
#define SESSION_KEYS 8192 /* in one slot */
#define LOCK_TRIES   1000 /* with a yield each: a holder that lives is done long before */
#define TAKE_TRIES   100  /* each is spoilt by somebody else's success */

#define COUNT_BITS 40
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define START_MASK ((UINT32_C(1) << 24) - 1)
#define LEAVING	   UINT64_MAX /* its count is above QUOTA_COUNT_MAX */
#define TICKS	   256	      /* of a window, about */

typedef _Atomic uint64_t word;

struct cell {
	word tag;	/* 0: free */
	word count;	/* start and count */
	word family;
	word window;	/* seconds, over the octets of text */
	word text[TEXT_WORDS];
};

struct quota {
	struct slot_counts sessions;
	uint64_t seed;
	atomic_bool is_away;
	_Atomic uint32_t locks[BUCKETS]; /* 0, or the slot that holds it and 1 */
	atomic_bool is_used[BUCKETS];	 /* so that looking touches no memory that nobody used */
	struct cell cells[BUCKETS][CELLS];
};

/* A moment in the ticks of a window. */
struct moment {
	int64_t now_ms;
	int64_t tick_ms;
	uint32_t span; /* ticks of the window */
	uint32_t now;
	uint32_t start; /* of a window that begins now: rounded up, so that none is too short */
};

_Static_assert(sizeof(struct cell) == 128, "a cell is two cache lines");

static size_t
cells_octets(void)
{
	return (sizeof(struct quota) + 4095) & ~(size_t)4095;
}

size_t
quota_octets(unsigned slots)
{
	return cells_octets() + slot_counts_octets(slots, SESSION_KEYS);
}

struct quota *
quota_init(void *memory, unsigned slots, uint64_t seed)
{
	struct quota *q = memory;

	q->seed = seed;
	slot_counts_init(&q->sessions, (char *)memory + cells_octets(), slots, SESSION_KEYS);
	return q;
}

/* --- keys --- */

struct hashed {
	XXH3_state_t state;
};

static void
text_hash(struct hashed *h, struct span text)
{
	uint64_t len = text.len;

	(void)XXH3_128bits_update(&h->state, &len, sizeof(len));
	if (text.len > 0)
		(void)XXH3_128bits_update(&h->state, text.ptr, text.len);
}

/* Not the maximum: what was used stays used when it is changed. */
static void
limit_hash(struct hashed *h, uint64_t seed, struct span owner, const struct limit_source *limit)
{
	const uint32_t what[] = { (uint32_t)limit->unit, (uint32_t)limit->key,
				  limit->window_s };

	(void)XXH3_128bits_reset_withSeed(&h->state, seed);
	(void)XXH3_128bits_update(&h->state, what, sizeof(what));
	text_hash(h, owner);
}

uint64_t
quota_family(const struct quota *q, struct span owner, const struct limit_source *limit)
{
	struct hashed h;

	limit_hash(&h, q->seed, owner, limit);
	return XXH3_128bits_digest(&h.state).low64;
}

struct slot_key
quota_key(const struct quota *q, const struct quota_subject *subject)
{
	struct hashed h;

	limit_hash(&h, q->seed, subject->owner, subject->limit);
	text_hash(&h, subject->key);
	XXH128_hash_t hash = XXH3_128bits_digest(&h.state);

	return (struct slot_key){ .low = hash.low64, .high = hash.high64 | 1 };
}

static uint32_t
key_bucket(struct slot_key key)
{
	return (uint32_t)(key.low % BUCKETS);
}

/* --- windows --- */

static struct moment
moment_of(int64_t now_ms, uint32_t window_s)
{
	int64_t window_ms = (int64_t)window_s * 1000;
	struct moment m = { .now_ms = now_ms, .tick_ms = (window_ms + TICKS - 1) / TICKS };

	if (m.tick_ms == 0)
		m.tick_ms = 1;
	m.span = (uint32_t)((window_ms + m.tick_ms - 1) / m.tick_ms);
	m.now = (uint32_t)(now_ms / m.tick_ms) & START_MASK;
	m.start = (uint32_t)((now_ms + m.tick_ms - 1) / m.tick_ms) & START_MASK;
	return m;
}

/*
 * Ticks since the window began; negative when it begins a little later, since clocks are read
 * at different moments. Beginnings come round after 65,000 windows: one that has been idle for
 * just that long counts once more, to its end.
 */
static int64_t
window_age(uint64_t count, const struct moment *m)
{
	uint32_t age = (m->now - (uint32_t)(count >> COUNT_BITS)) & START_MASK;

	return age > START_MASK - m->span ? (int64_t)age - START_MASK - 1 : (int64_t)age;
}

static uint64_t
window_used(uint64_t count, const struct moment *m)
{
	return window_age(count, m) < (int64_t)m->span ? count & COUNT_MASK : 0;
}

static int64_t
window_frees_ms(uint64_t count, const struct moment *m)
{
	int64_t left = ((int64_t)m->span - window_age(count, m)) * m->tick_ms -
		       m->now_ms % m->tick_ms;

	return left > 0 ? left : 0;
}

/* --- cells --- */

static struct cell *
cell_find(struct cell *bucket, uint64_t tag)
{
	for (int i = 0; i < CELLS; i++) {
		if (atomic_load(&bucket[i].tag) == tag &&
		    atomic_load(&bucket[i].count) != LEAVING)
			return &bucket[i];
	}
	return NULL;
}

static bool
bucket_lock(struct quota *q, uint32_t bucket, unsigned slot)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		uint32_t nobody = 0;

		if (atomic_compare_exchange_strong(&q->locks[bucket], &nobody, slot + 1))
			return true;
		(void)sched_yield();
	}
	return false;
}

/*
 * A cell that is free, or whose window has ended: LEAVING, so that nobody counts there. *before
 * is what its word was.
 */
static struct cell *
cell_empty(struct cell *bucket, int64_t now_ms, uint64_t *before)
{
	for (int i = 0; i < CELLS; i++) {
		struct cell *cell = &bucket[i];
		uint64_t count = atomic_load(&cell->count);

		if (atomic_load(&cell->tag) != 0) {
			uint32_t window_s = (uint32_t)(atomic_load(&cell->window) >> 32);
			struct moment m = moment_of(now_ms, window_s);

			if (count != LEAVING && window_used(count, &m) > 0)
				continue;
		}
		*before = count;
		if (atomic_compare_exchange_strong(&cell->count, &count, LEAVING))
			return cell;
	}
	return NULL;
}

/*
 * The word begins with a count of 0 and another start than it had: who read the old one, of 0
 * maybe, and is about to swap it must fail.
 */
static void
cell_fill(struct quota *q, struct cell *cell, uint64_t before, uint64_t tag,
	  const struct quota_subject *subject)
{
	uint64_t other_start = ((before >> COUNT_BITS) + 1) & START_MASK;
	struct span key = span_first(subject->key, QUOTA_TEXT_MAX);
	uint64_t text[TEXT_WORDS] = { 0 };

	if (key.len > 0)
		memcpy(text, key.ptr, key.len);
	for (size_t i = 0; i < TEXT_WORDS; i++)
		atomic_store(&cell->text[i], text[i]);
	atomic_store(&cell->family, quota_family(q, subject->owner, subject->limit));
	atomic_store(&cell->window, (uint64_t)subject->limit->window_s << 32 | key.len);
	atomic_store(&cell->tag, tag);
	atomic_store(&cell->count, other_start << COUNT_BITS);
}

/* The key's cell, made if need be. NULL: every cell counts in a window that goes on. */
static struct cell *
cell_get(struct quota *q, unsigned slot, struct slot_key key,
	 const struct quota_subject *subject, int64_t now_ms)
{
	uint32_t bucket = key_bucket(key);
	struct cell *cells = q->cells[bucket];
	struct cell *cell = cell_find(cells, key.high);
	uint64_t before;

	if (cell != NULL || !bucket_lock(q, bucket, slot))
		return cell;
	atomic_store(&q->is_used[bucket], true);
	cell = cell_find(cells, key.high);
	if (cell == NULL) {
		cell = cell_empty(cells, now_ms, &before);
		if (cell != NULL)
			cell_fill(q, cell, before, key.high, subject);
	}
	atomic_store(&q->locks[bucket], 0);
	return cell;
}

/* --- taking and giving back --- */

/* False: the cell is somebody else's now. */
static bool
cell_take(struct cell *cell, struct slot_key key, uint64_t amount, uint64_t max,
	  const struct moment *m, enum quota_result *result, struct quota_ticket *ticket,
	  int64_t *frees_ms)
{
	uint64_t count = atomic_load(&cell->count);

	for (;;) {
		if (count == LEAVING || atomic_load(&cell->tag) != key.high)
			return false;
		uint64_t used = window_used(count, m);
		uint32_t start = used == 0 ? m->start : (uint32_t)(count >> COUNT_BITS);
		uint64_t most = max < QUOTA_COUNT_MAX ? max : QUOTA_COUNT_MAX;
		uint64_t added = amount;

		if (max == QUOTA_NO_MAX && added > most - used)
			added = most - used;
		if (used > most || added > most - used) {
			*result = QUOTA_USED_UP;
			*frees_ms = used == 0 ? 0 : window_frees_ms(count, m);
			return true;
		}
		if (atomic_compare_exchange_weak(&cell->count, &count,
						 (uint64_t)start << COUNT_BITS |
						     (used + added))) {
			*result = QUOTA_TAKEN;
			ticket->start = start;
			ticket->amount = added;
			return true;
		}
	}
}

static enum quota_result
session_take(struct quota *q, unsigned slot, struct slot_key key, uint64_t max,
	     struct quota_ticket *ticket)
{
	if (!slot_counts_take(&q->sessions, slot, key))
		return QUOTA_NO_ROOM;
	if (slot_counts_total(&q->sessions, key) > max) {
		slot_counts_release(&q->sessions, slot, key);
		return QUOTA_USED_UP;
	}
	*ticket = (struct quota_ticket){ .key = key, .amount = 1, .is_session = true };
	return QUOTA_TAKEN;
}

enum quota_result
quota_take(struct quota *q, unsigned slot, const struct quota_subject *subject, uint64_t amount,
	   uint64_t max, int64_t now_ms, struct quota_ticket *ticket, int64_t *frees_ms)
{
	struct slot_key key = quota_key(q, subject);
	struct moment m = moment_of(now_ms, subject->limit->window_s);
	enum quota_result result;

	assert(amount > 0);
	*frees_ms = 0;
	if (subject->limit->unit == LIMIT_SESSIONS)
		return session_take(q, slot, key, max, ticket);
	*ticket = (struct quota_ticket){ .key = key };
	for (int i = 0; i < TAKE_TRIES; i++) {
		struct cell *cell = cell_get(q, slot, key, subject, now_ms);

		if (cell == NULL)
			return QUOTA_NO_ROOM;
		ticket->cell = (uint32_t)(cell - q->cells[0]);
		if (cell_take(cell, key, amount, max, &m, &result, ticket, frees_ms))
			return result;
	}
	return QUOTA_NO_ROOM;
}

void
quota_give_back(struct quota *q, unsigned slot, struct quota_ticket *ticket, uint64_t amount)
{
	if (amount > ticket->amount)
		amount = ticket->amount;
	ticket->amount -= amount;
	if (amount == 0)
		return;
	if (ticket->is_session) {
		slot_counts_release(&q->sessions, slot, ticket->key);
		return;
	}
	assert(ticket->cell < BUCKETS * CELLS);
	struct cell *cell = &q->cells[ticket->cell / CELLS][ticket->cell % CELLS];
	uint64_t count = atomic_load(&cell->count);

	do {
		/* of a window that has ended there is nothing to give back */
		if (count == LEAVING || atomic_load(&cell->tag) != ticket->key.high ||
		    count >> COUNT_BITS != ticket->start || (count & COUNT_MASK) < amount)
			return;
	} while (!atomic_compare_exchange_weak(&cell->count, &count, count - amount));
}

/* --- looking --- */

uint64_t
quota_used(const struct quota *q, const struct quota_subject *subject, int64_t now_ms,
	   int64_t *frees_ms)
{
	struct slot_key key = quota_key(q, subject);
	struct moment m = moment_of(now_ms, subject->limit->window_s);
	const struct cell *cells = q->cells[key_bucket(key)];

	*frees_ms = 0;
	if (subject->limit->unit == LIMIT_SESSIONS)
		return slot_counts_total(&q->sessions, key);
	for (int i = 0; i < CELLS; i++) {
		uint64_t count = atomic_load(&cells[i].count);

		if (count == LEAVING || atomic_load(&cells[i].tag) != key.high)
			continue;
		uint64_t used = window_used(count, &m);

		*frees_ms = used == 0 ? 0 : window_frees_ms(count, &m);
		return used;
	}
	return 0;
}

static void
cell_tell(const struct cell *cell, int64_t now_ms, quota_tell *tell, void *context)
{
	uint64_t text[TEXT_WORDS];
	uint64_t tag = atomic_load(&cell->tag);
	uint64_t window = atomic_load(&cell->window);
	uint64_t count = atomic_load(&cell->count);
	struct moment m = moment_of(now_ms, (uint32_t)(window >> 32));
	struct quota_use use = { .family = atomic_load(&cell->family) };

	for (size_t i = 0; i < TEXT_WORDS; i++)
		text[i] = atomic_load(&cell->text[i]);
	if (tag == 0 || count == LEAVING || atomic_load(&cell->tag) != tag)
		return; /* nobody's, or changing hands just now */
	use.used = window_used(count, &m);
	if (use.used == 0)
		return;
	use.frees_ms = window_frees_ms(count, &m);
	use.key = (struct span){ (const char *)text, window & 0x7f };
	if (use.key.len <= QUOTA_TEXT_MAX)
		tell(context, &use);
}

void
quota_visit(const struct quota *q, int64_t now_ms, quota_tell *tell, void *context)
{
	for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
		for (int i = 0; i < CELLS && atomic_load(&q->is_used[bucket]); i++)
			cell_tell(&q->cells[bucket][i], now_ms, tell, context);
	}
}

size_t
quota_cells(const struct quota *q, size_t *used)
{
	*used = 0;
	for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
		for (int i = 0; i < CELLS && atomic_load(&q->is_used[bucket]); i++)
			*used += atomic_load(&q->cells[bucket][i].tag) != 0;
	}
	return (size_t)BUCKETS * CELLS;
}

/* --- the supervisor's part --- */

/* Whoever held the lock may have died between any two of its stores. */
static void
bucket_mend(struct cell *bucket)
{
	for (int i = 0; i < CELLS; i++) {
		if (atomic_load(&bucket[i].count) == LEAVING) {
			atomic_store(&bucket[i].tag, 0);
			atomic_store(&bucket[i].count, 0);
		}
	}
}

void
quota_slot_clear(struct quota *q, unsigned slot)
{
	for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
		if (atomic_load(&q->locks[bucket]) != slot + 1)
			continue;
		bucket_mend(q->cells[bucket]);
		atomic_store(&q->locks[bucket], 0);
	}
	slot_counts_clear(&q->sessions, slot);
}

bool
quota_note_away(struct quota *q, bool is_away)
{
	return atomic_exchange(&q->is_away, is_away) != is_away;
}
