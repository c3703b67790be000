/* SPDX-License-Identifier: ISC */
/* What workers share of a route; see share.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "delivery/share.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MILLI	      1000U
#define WINDOW_FIRST  5U /* connections before anything is known of the next hops */
#define HALVE_ONCE_MS 1000 /* connections that fail together are one trouble */
#define MINUTE_US     INT64_C(60000000)

/* ---- Connections ---- */

static uint32_t
window_milli(const struct route_share *share, uint32_t max)
{
	uint32_t window = atomic_load(&share->window_milli);

	if (window == 0)
		window = WINDOW_FIRST * MILLI;
	return window < max * MILLI ? window : max * MILLI;
}

uint32_t
share_window(const struct route_share *share, uint32_t max)
{
	return window_milli(share, max) / MILLI;
}

uint32_t
share_held(const struct route_share *share)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < SHARE_WORKERS_MAX; i++)
		sum += atomic_load(&share->held[i]);
	return sum;
}

/*
 * Everybody adds before counting, so of two who ask for the last one at least one sees the
 * other, and never are there too many.
 */
bool
share_take(struct route_share *share, unsigned worker, uint32_t max)
{
	assert(worker < SHARE_WORKERS_MAX);
	(void)atomic_fetch_add(&share->held[worker], 1);
	if (share_held(share) <= share_window(share, max))
		return true;
	(void)atomic_fetch_sub(&share->held[worker], 1);
	return false;
}

void
share_give_back(struct route_share *share, unsigned worker)
{
	(void)atomic_fetch_sub(&share->held[worker], 1);
}

void
share_want(struct route_share *share, unsigned worker, bool wants)
{
	if (atomic_load_explicit(&share->wants[worker], memory_order_relaxed) != wants)
		atomic_store(&share->wants[worker], wants);
}

bool
share_is_wanted(const struct route_share *share, unsigned worker)
{
	for (size_t i = 0; i < SHARE_WORKERS_MAX; i++) {
		if (i != worker &&
		    atomic_load_explicit(&share->wants[i], memory_order_relaxed))
			return true;
	}
	return false;
}

void
share_open(struct route_share *share, uint32_t max)
{
	atomic_store(&share->window_milli, max * MILLI);
}

/* By one for each message up to the threshold, beyond by one for each windowful of them. */
void
share_grow(struct route_share *share, uint32_t max)
{
	uint32_t window = window_milli(share, max);
	uint32_t threshold = atomic_load(&share->threshold_milli);

	if (window >= max * MILLI)
		return;
	if (threshold == 0 || window < threshold)
		window += MILLI;
	else
		window += MILLI * MILLI / window;
	atomic_store(&share->window_milli, window);
}

void
share_halve(struct route_share *share, uint32_t max, int64_t now_ms)
{
	int64_t halved_at_ms = atomic_load(&share->halved_at_ms);
	uint32_t window;

	if (halved_at_ms != 0 && now_ms - halved_at_ms < HALVE_ONCE_MS)
		return;
	if (!atomic_compare_exchange_strong(&share->halved_at_ms, &halved_at_ms, now_ms))
		return; /* another worker just did */
	window = window_milli(share, max) / 2;
	if (window < MILLI)
		window = MILLI;
	atomic_store(&share->window_milli, window);
	atomic_store(&share->threshold_milli, window);
}

/* ---- Messages a minute ---- */

int64_t
share_next_send_ms(const struct route_share *share)
{
	return (atomic_load(&share->next_send_us) + 999) / 1000;
}

bool
share_message_take(struct route_share *share, uint32_t messages_per_minute, int64_t now_ms)
{
	int64_t now_us = now_ms * 1000;
	int64_t next_us = atomic_load(&share->next_send_us);
	int64_t apart_us;

	if (messages_per_minute == 0)
		return true;
	apart_us = (MINUTE_US + messages_per_minute - 1) / messages_per_minute;
	do {
		if (now_us < next_us)
			return false;
	} while (!atomic_compare_exchange_weak(&share->next_send_us, &next_us,
					       now_us + apart_us));
	return true;
}

/* ---- For the supervisor ---- */

struct share_entry {
	struct list link;
	char *name;
	unsigned users;
	struct route_share *share;
};

void
share_set_init(struct share_set *set)
{
	list_init(&set->entries);
}

static void
entry_free(struct share_entry *entry)
{
	list_remove(&entry->link);
	(void)munmap(entry->share, sizeof(*entry->share));
	free(entry->name);
	free(entry);
}

void
share_set_reset(struct share_set *set)
{
	while (!list_is_empty(&set->entries))
		entry_free(LIST_OWNER(set->entries.next, struct share_entry, link));
}

struct route_share *
share_set_take(struct share_set *set, struct span name, struct fault *fault)
{
	struct share_entry *entry;

	for (struct list *l = set->entries.next; l != &set->entries; l = l->next) {
		entry = LIST_OWNER(l, struct share_entry, link);
		if (span_equal(span_of(entry->name), name)) {
			entry->users++;
			return entry->share;
		}
	}

	void *share = mmap(NULL, sizeof(*entry->share), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (share == MAP_FAILED) {
		(void)fault_set(fault, "mmap what workers share of a route");
		return NULL;
	}
	entry = memory_new(sizeof(*entry));
	entry->name = memory_copy_text(name);
	entry->users = 1;
	entry->share = share;
	list_append(&set->entries, &entry->link);
	return entry->share;
}

void
share_set_give_back(struct share_set *set, struct route_share *share)
{
	for (struct list *l = set->entries.next; l != &set->entries; l = l->next) {
		struct share_entry *entry = LIST_OWNER(l, struct share_entry, link);

		if (entry->share == share) {
			if (--entry->users == 0)
				entry_free(entry);
			return;
		}
	}
}

void
share_set_clear(struct share_set *set, unsigned worker)
{
	for (struct list *l = set->entries.next; l != &set->entries; l = l->next) {
		struct route_share *share = LIST_OWNER(l, struct share_entry, link)->share;

		atomic_store(&share->held[worker], 0);
		atomic_store(&share->wants[worker], false);
	}
}
