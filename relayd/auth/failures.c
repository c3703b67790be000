/* SPDX-License-Identifier: ISC */
/*
 * Counts of failed logins; see failures.h.
 *
 * The table is made of buckets of four entries, one cache line each. A key may stand in one
 * bucket. An entry is two words: the key's tag, and a state of
 *
 *   16 bits of the tag | 16 bits of count | 32 bits of time, in units of 64 ms
 *
 * The time is that of the first failure of the window, or, when the top bit of the count is
 * set, of the ban. To take an entry over for another key its tag is swapped first; until its
 * state is, the piece of tag in the state does not match, and the state counts for nothing:
 * so a worker may be killed between any two instructions. The entry that is taken over is a
 * free one, else the one with the oldest time: a flood of addresses pushes old counts out, at
 * the price of as many addresses as there are keys.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "auth/failures.h"

#include "auth/digest.h"
#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKET_ENTRIES 4
#define TIME_UNIT_MS   64
#define BANNED	       0x8000U /* in the count */
#define COUNT_MAX      0x7fffU
#define KEY_LOGIN_MAX  512 /* octets of a login that are looked at */
#define DELAY_FIRST_MS 500
/* So many failures of one login are taken for its owner's before they are held back. */
#define LOGIN_PATIENCE 3

struct entry {
	_Atomic uint64_t tag; /* 0: free */
	_Atomic uint64_t state;
};

struct bucket {
	struct entry entries[BUCKET_ENTRIES];
};

struct auth_failures {
	struct bucket *buckets; /* shared */
	size_t count;		/* a power of two */
	uint64_t seed;
};

enum key_kind {
	KEY_ADDRESS = 'a',
	KEY_LOGIN = 'l',
	KEY_PAIR = 'p',
};

/* A state, taken apart. */
struct tally {
	uint32_t count;
	bool is_banned;
	uint32_t since; /* TIME_UNIT_MS */
};

struct auth_failures *
auth_failures_new(unsigned keys)
{
	struct auth_failures *f = memory_new(sizeof(*f));

	f->count = 64;
	while (f->count * BUCKET_ENTRIES < keys)
		f->count *= 2;
	digest_random(&f->seed, sizeof(f->seed));
	f->buckets = mmap(NULL, f->count * sizeof(struct bucket), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->buckets == MAP_FAILED) {
		free(f);
		return NULL;
	}
	return f;
}

void
auth_failures_free(struct auth_failures **failures)
{
	if (*failures == NULL)
		return;
	(void)munmap((*failures)->buckets, (*failures)->count * sizeof(struct bucket));
	free(*failures);
	*failures = NULL;
}

/* ---- Keys and entries ---- */

/* IPv6 clients have a /64 to themselves and move in it as they like. */
static struct ip
address_of(const struct ip *client)
{
	struct ip ip = *client;

	if (!ip_is_v4(&ip))
		memset(ip.bytes + 8, 0, 8);
	return ip;
}

static uint64_t
key_hash(const struct auth_failures *f, enum key_kind kind, const struct ip *client,
	 struct span login, size_t *bucket)
{
	char key[1 + sizeof(client->bytes) + KEY_LOGIN_MAX] = { (char)kind };
	size_t len = login.len < KEY_LOGIN_MAX ? login.len : KEY_LOGIN_MAX;
	size_t fixed = 1 + sizeof(client->bytes);

	if (kind != KEY_LOGIN) {
		struct ip address = address_of(client);

		memcpy(key + 1, address.bytes, sizeof(address.bytes));
	}
	if (kind == KEY_ADDRESS)
		len = 0;
	if (len > 0)
		memcpy(key + fixed, login.ptr, len);
	XXH128_hash_t hash = XXH3_128bits_withSeed(key, fixed + len, f->seed);

	*bucket = hash.high64 & (f->count - 1);
	return hash.low64 | 1; /* 0 is a free entry */
}

static uint64_t
state_pack(uint64_t tag, struct tally tally)
{
	uint32_t count = tally.count > COUNT_MAX ? COUNT_MAX : tally.count;

	return tag >> 48 << 48 | (uint64_t)(count | (tally.is_banned ? BANNED : 0)) << 32 |
	       tally.since;
}

static struct tally
state_unpack(uint64_t tag, uint64_t state)
{
	if (state >> 48 != tag >> 48)
		return (struct tally){ .count = 0 };
	return (struct tally){
		.count = (uint32_t)(state >> 32) & COUNT_MAX,
		.is_banned = ((state >> 32) & BANNED) != 0,
		.since = (uint32_t)state,
	};
}

static struct entry *
entry_find(const struct auth_failures *f, size_t bucket, uint64_t tag)
{
	for (int i = 0; i < BUCKET_ENTRIES; i++) {
		struct entry *entry = &f->buckets[bucket].entries[i];

		if (atomic_load(&entry->tag) == tag)
			return entry;
	}
	return NULL;
}

/* The entry of the key, taken over from another key if need be. */
static struct entry *
entry_take(struct auth_failures *f, size_t bucket, uint64_t tag, uint32_t now)
{
	for (;;) {
		struct entry *best = entry_find(f, bucket, tag);
		uint64_t best_tag = 0;
		uint32_t best_age = 0;

		if (best != NULL)
			return best;
		for (int i = 0; i < BUCKET_ENTRIES; i++) {
			struct entry *entry = &f->buckets[bucket].entries[i];
			uint64_t its_tag = atomic_load(&entry->tag);
			uint32_t age = now - (uint32_t)atomic_load(&entry->state);

			if (its_tag == 0)
				age = UINT32_MAX;
			if (best == NULL || age > best_age) {
				best = entry;
				best_tag = its_tag;
				best_age = age;
			}
		}
		if (atomic_compare_exchange_strong(&best->tag, &best_tag, tag))
			return best;
	}
}

static uint32_t
units_of(int64_t ms)
{
	return (uint32_t)(ms / TIME_UNIT_MS);
}

/* What a tally comes to now: nothing, once its window or its ban is over. */
static struct tally
tally_now(struct tally tally, const struct auth_ban_settings *settings, uint32_t now)
{
	int64_t life_ms = tally.is_banned ? settings->duration_ms : settings->window_ms;

	if (tally.count == 0 || now - tally.since > units_of(life_ms))
		return (struct tally){ .since = now };
	return tally;
}

static struct tally
key_read(const struct auth_failures *f, const struct auth_ban_settings *settings,
	 enum key_kind kind, const struct ip *client, struct span login, uint32_t now)
{
	size_t bucket;
	uint64_t tag = key_hash(f, kind, client, login, &bucket);
	const struct entry *entry = entry_find(f, bucket, tag);

	if (entry == NULL)
		return (struct tally){ .count = 0 };
	return tally_now(state_unpack(tag, atomic_load(&entry->state)), settings, now);
}

/*
 * Add to the key's count, or take away; ban_at 0 never bans. Returns the tally after it.
 */
static struct tally
key_count(struct auth_failures *f, const struct auth_ban_settings *settings,
	  enum key_kind kind, const struct ip *client, struct span login, uint32_t now,
	  int64_t change, uint32_t ban_at)
{
	size_t bucket;
	uint64_t tag = key_hash(f, kind, client, login, &bucket);
	struct entry *entry = change > 0 ? entry_take(f, bucket, tag, now) :
					   entry_find(f, bucket, tag);

	if (entry == NULL)
		return (struct tally){ .count = 0 };
	uint64_t state = atomic_load(&entry->state);
	struct tally tally;

	do {
		tally = tally_now(state_unpack(tag, state), settings, now);
		int64_t count = (int64_t)tally.count + change;

		tally.count = count < 0 ? 0 : count > COUNT_MAX ? COUNT_MAX : (uint32_t)count;
		if (ban_at != 0 && tally.count >= ban_at && !tally.is_banned) {
			tally.is_banned = true;
			tally.since = now;
		}
	} while (!atomic_compare_exchange_weak(&entry->state, &state, state_pack(tag, tally)));
	return tally;
}

/* ---- The rules ---- */

static bool
is_exempt(const struct auth_ban_settings *settings, const struct ip *client)
{
	for (size_t i = 0; i < settings->exempt_count; i++) {
		if (ip_range_has(&settings->exempt[i], client))
			return true;
	}
	return false;
}

bool
auth_failures_is_banned(const struct auth_failures *failures,
			const struct auth_ban_settings *settings, const struct ip *client,
			int64_t now_ms, int64_t *remaining_ms)
{
	uint32_t now = units_of(now_ms);

	if (settings->failures == 0 || is_exempt(settings, client))
		return false;
	struct tally tally =
	    key_read(failures, settings, KEY_ADDRESS, client, (struct span){ "", 0 }, now);

	if (tally.is_banned && remaining_ms != NULL)
		*remaining_ms =
		    settings->duration_ms - (int64_t)(now - tally.since) * TIME_UNIT_MS;
	return tally.is_banned;
}

/* 0.5 s for the first, doubled for each further one. */
static int64_t
delay_after(uint32_t failures)
{
	int64_t delay_ms = DELAY_FIRST_MS;

	if (failures == 0)
		return 0;
	while (--failures > 0 && delay_ms < AUTH_DELAY_MAX_MS)
		delay_ms *= 2;
	return delay_ms < AUTH_DELAY_MAX_MS ? delay_ms : AUTH_DELAY_MAX_MS;
}

struct auth_failure
auth_failures_add(struct auth_failures *failures, const struct auth_ban_settings *settings,
		  const struct ip *client, struct span login, int64_t now_ms)
{
	uint32_t now = units_of(now_ms);
	uint32_t ban_at = is_exempt(settings, client) ? 0 :
			  settings->failures > COUNT_MAX ? COUNT_MAX :
							   settings->failures;
	struct tally address = key_count(failures, settings, KEY_ADDRESS, client,
					 (struct span){ "", 0 }, now, 1, ban_at);
	struct tally name = { .count = 0 };

	if (login.len > 0) {
		name = key_count(failures, settings, KEY_LOGIN, client, login, now, 1, 0);
		(void)key_count(failures, settings, KEY_PAIR, client, login, now, 1, 0);
	}
	int64_t by_address = delay_after(address.count);
	int64_t by_login =
	    delay_after(name.count > LOGIN_PATIENCE ? name.count - LOGIN_PATIENCE : 0);

	return (struct auth_failure){
		.delay_ms = by_address > by_login ? by_address : by_login,
		.from_address = address.count,
		.of_login = name.count,
		.is_banned = address.is_banned && ban_at != 0,
	};
}

void
auth_failures_forgive(struct auth_failures *failures, const struct auth_ban_settings *settings,
		      const struct ip *client, struct span login, int64_t now_ms)
{
	uint32_t now = units_of(now_ms);
	struct tally pair = key_read(failures, settings, KEY_PAIR, client, login, now);

	if (login.len == 0 || pair.count == 0)
		return;
	int64_t change = -(int64_t)pair.count;

	(void)key_count(failures, settings, KEY_PAIR, client, login, now, change, 0);
	(void)key_count(failures, settings, KEY_LOGIN, client, login, now, change, 0);
	(void)key_count(failures, settings, KEY_ADDRESS, client, (struct span){ "", 0 }, now,
			change, 0);
}

void
auth_failures_unban(struct auth_failures *failures, const struct ip *client)
{
	size_t bucket;
	uint64_t tag =
	    key_hash(failures, KEY_ADDRESS, client, (struct span){ "", 0 }, &bucket);
	struct entry *entry = entry_find(failures, bucket, tag);

	if (entry != NULL)
		atomic_store(&entry->state, 0);
}

/* ---- The line ---- */

static bool
octet_is_plain(char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '=' && c != '\\';
}

static bool
name_append(struct buffer *out, struct span login)
{
	if (login.len == 0)
		return buffer_append_byte(out, '-');
	for (size_t i = 0; i < login.len; i++) {
		bool fits = octet_is_plain(login.ptr[i]) ?
				buffer_append_byte(out, login.ptr[i]) :
				buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)login.ptr[i]);

		if (!fits)
			return false;
	}
	return true;
}

bool
auth_failure_text(struct buffer *out, const struct ip *client, struct span login,
		  const char *mechanism, const char *reason, const char *session)
{
	char address[IP_TEXT_SIZE];

	ip_text(client, address);
	return buffer_printf(out, "auth failed: client=%s user=", address) &&
	       name_append(out, login) &&
	       buffer_printf(out, " mechanism=%s reason=%s session=%s", mechanism, reason,
			     session);
}
