/* SPDX-License-Identifier: ISC */
/*
 * A connection to a Redis server: scripts are run there, answers come as calls from the loop.
 * One connection, pipelined; hiredis writes and reads the protocol, the octets go through a
 * stream, so nothing blocks. What is not answered in time is trouble: the connection is cut,
 * everything under way fails, and Redis is away until a new one stands.
 */
#ifndef RELAYD_NET_REDIS_H
#define RELAYD_NET_REDIS_H

#include "base/ip.h"
#include "net/dns.h"
#include "net/loop.h"

#define REDIS_PORT	  6379
#define REDIS_SCRIPTS_MAX 4
#define REDIS_ITEMS_MAX	  64 /* of an answer */

struct redis;

struct redis_settings {
	struct span host; /* a name, or an address */
	uint16_t port;
	uint32_t database;
	struct span user;     /* empty: the default one */
	struct span password; /* empty: none is asked for */
	const char *scripts[REDIS_SCRIPTS_MAX]; /* loaded when it connects; NULL: no more */
	int64_t deadline_ms; /* for an answer */
};

/* One value of an answer. */
struct redis_value {
	bool is_number;
	int64_t number;
	struct span text;
};

/*
 * values NULL: no answer, and nobody knows whether the script ran. An answer that is one value
 * has a count of 1. Everything lives for the call.
 */
typedef void redis_done(void *context, const struct redis_value *values, size_t count);

/* It is there or away now, and why; told of each change. */
typedef void redis_news(void *context, bool is_away, const char *why);

/* Was relayd built with Redis at all? Without, nothing below may be called. */
bool redis_is_built_in(void);

/* Begins to connect. All is borrowed for its life. */
struct redis *redis_new(struct loop *loop, struct dns *dns, const struct redis_settings *settings,
			redis_news *news, void *context);

/* What is under way gets no answer any more. */
void redis_free(struct redis **redis);

/*
 * Run a script (its number in the settings) with so many words, of which the first key_count
 * are keys. done is called from a later turn, exactly once; NULL: nobody cares. False: Redis is
 * away, and nothing will come. While the first connection is being made questions wait for it, and
 * the deadline counts.
 */
bool redis_run(struct redis *redis, size_t script, const struct span *words, size_t word_count,
	       size_t key_count, redis_done *done, void *context);

#endif
