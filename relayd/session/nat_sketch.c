/* SPDX-License-Identifier: ISC */
/* Names of client addresses; see nat_sketch.h. */
#include "session/nat_sketch.h"

#define LOAD(from)	    atomic_load_explicit(&(from), memory_order_relaxed)
#define STORE(to, value)    atomic_store_explicit(&(to), (value), memory_order_relaxed)

/* A host, as one reader saw it. */
struct host {
	uint64_t ip[2];
	uint64_t hellos;
	uint64_t inherited;
	uint64_t names[NAT_NAME_WORDS];
};

/* The same in every process, so that sketches can be added: FNV-1a, then mixed. */
static unsigned
name_bit(struct span name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < name.len; i++) {
		hash ^= (unsigned char)ascii_lower(name.ptr[i]);
		hash *= UINT64_C(0x100000001b3);
	}
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(hash >> 56) % (NAT_NAME_WORDS * 64);
}

static bool
host_is(const struct nat_host *host, const uint64_t ip[2])
{
	return LOAD(host->hellos) != 0 && LOAD(host->ip[0]) == ip[0] &&
	       LOAD(host->ip[1]) == ip[1];
}

/* Give the place to another address. Readers that look meanwhile see the odd version. */
static void
host_replace(struct nat_host *host, const uint64_t ip[2])
{
	uint32_t version = LOAD(host->version);
	uint64_t before = LOAD(host->hellos);

	STORE(host->version, version + 1);
	atomic_thread_fence(memory_order_release);
	STORE(host->ip[0], ip[0]);
	STORE(host->ip[1], ip[1]);
	STORE(host->inherited, before);
	for (size_t i = 0; i < NAT_NAME_WORDS; i++)
		STORE(host->names[i], 0);
	atomic_store_explicit(&host->version, version + 2, memory_order_release);
}

/* The place of the address: its own, or that of whom we heard least. */
static struct nat_host *
host_find(struct nat_sketch *sketch, const uint64_t ip[2])
{
	struct nat_host *least = &sketch->hosts[0];

	for (size_t i = 0; i < NAT_HOSTS; i++) {
		struct nat_host *host = &sketch->hosts[i];

		if (host_is(host, ip))
			return host;
		if (LOAD(host->hellos) < LOAD(least->hellos))
			least = host;
	}
	host_replace(least, ip);
	return least;
}

void
nat_sketch_note(struct nat_sketch *sketch, const struct ip *client, struct span name)
{
	uint64_t ip[2];
	unsigned bit = name_bit(name);

	memcpy(ip, client->bytes, sizeof(ip));
	struct nat_host *host = host_find(sketch, ip);

	STORE(host->names[bit / 64], LOAD(host->names[bit / 64]) | UINT64_C(1) << bit % 64);
	STORE(host->hellos, LOAD(host->hellos) + 1);
}

/* A whole view of a host that somebody else may be writing to. */
static bool
host_read(struct nat_host *from, struct host *to)
{
	uint32_t version = atomic_load_explicit(&from->version, memory_order_acquire);

	to->ip[0] = LOAD(from->ip[0]);
	to->ip[1] = LOAD(from->ip[1]);
	to->hellos = LOAD(from->hellos);
	to->inherited = LOAD(from->inherited);
	for (size_t i = 0; i < NAT_NAME_WORDS; i++)
		to->names[i] = LOAD(from->names[i]);
	atomic_thread_fence(memory_order_acquire);
	return version % 2 == 0 && LOAD(from->version) == version &&
	       to->hellos > to->inherited;
}

void
nat_sketch_add(struct nat_sketch *to, struct nat_sketch *from)
{
	for (size_t i = 0; i < NAT_HOSTS; i++) {
		struct host seen;

		if (!host_read(&from->hosts[i], &seen))
			continue;
		struct nat_host *host = host_find(to, seen.ip);

		STORE(host->hellos, LOAD(host->hellos) + seen.hellos - seen.inherited);
		for (size_t w = 0; w < NAT_NAME_WORDS; w++)
			STORE(host->names[w], LOAD(host->names[w]) | seen.names[w]);
	}
}

bool
nat_sketch_look(struct nat_sketch *sketch, size_t host, struct nat_seen *seen)
{
	struct host read;

	if (!host_read(&sketch->hosts[host], &read))
		return false;
	memcpy(seen->client.bytes, read.ip, sizeof(read.ip));
	seen->hellos = read.hellos - read.inherited;
	seen->names = 0;
	for (size_t w = 0; w < NAT_NAME_WORDS; w++) {
		for (uint64_t bits = read.names[w]; bits != 0; bits &= bits - 1)
			seen->names++;
	}
	return true;
}
