/* SPDX-License-Identifier: ISC */
/*
 * How many connections are open, over all workers: for each connector and for each (connector,
 * source address). The counts live in memory that the supervisor makes before it forks.
 *
 * Each worker has a slot, and only that worker writes to it; a total is the sum over the slots.
 * So there is no lock that a killed worker could leave behind: whatever instruction it died at,
 * the supervisor clears its slot and the totals are exact again.
 */
#ifndef RELAYD_SESSION_CONNECTION_LIMITS_H
#define RELAYD_SESSION_CONNECTION_LIMITS_H

#include "base/ip.h"

struct connection_limits;

enum connection_room {
	CONNECTION_TAKEN,
	CONNECTION_LIMIT,	 /* the connector is full */
	CONNECTION_SOURCE_LIMIT, /* this source has enough of them */
};

/*
 * Room for so many workers (running and draining ones together) and for so many sources with
 * a connection to one worker at the same time. NULL, with errno, when there is no memory.
 */
struct connection_limits *connection_limits_new(unsigned slots, unsigned sources);
void connection_limits_free(struct connection_limits **limits);

unsigned connection_limits_slots(const struct connection_limits *limits);

/*
 * Count one more connection of this source to the connector of that name (names, because
 * indices change with a reload), unless that would exceed max or per_source_max (0: no limit).
 * When several workers compete for the last place, it may happen that none of them gets it;
 * never that two do. A source that the worker's table has no room for is refused.
 */
enum connection_room connection_limits_take(struct connection_limits *limits, unsigned slot,
					    struct span connector, const struct ip *source,
					    uint32_t max, uint32_t per_source_max);

/* The connection has ended. Only for one that was taken. */
void connection_limits_release(struct connection_limits *limits, unsigned slot,
			       struct span connector, const struct ip *source);

/* The worker of this slot is dead: its connections are no more. */
void connection_limits_slot_clear(struct connection_limits *limits, unsigned slot);

/* The total now, of a connector (source NULL) or of one source there. */
uint64_t connection_limits_count(const struct connection_limits *limits,
				 struct span connector, const struct ip *source);

#endif
