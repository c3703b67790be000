/* SPDX-License-Identifier: ISC */
/*
 * Time. Time-outs and retries use the monotonic clock; records and header fields the wall
 * clock. Whoever needs "now" is handed it (a loop caches it once a turn), so tests choose it.
 */
#ifndef RELAYD_BASE_CLOCK_H
#define RELAYD_BASE_CLOCK_H

#include "base/buffer.h"

#define CLOCK_RFC3339_SIZE 25 /* "2026-11-21T19:20:03.123Z" and a NUL */

int64_t clock_monotonic_ns(void);
int64_t clock_monotonic_ms(void);

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_ms(void);

/* RFC 3339 in UTC with milliseconds, terminated, into out. */
void clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);

/* "Sat, 21 Nov 2026 19:20:03 +0000", RFC 5322 s.3.3; false when it does not fit. */
bool clock_rfc5322(int64_t wall_ms, struct buffer *out);

/*
 * Read "2026-12-31" (its first millisecond), "2026-12-31T10:00", "...:00", "...:00.123",
 * with nothing or "Z" behind it: UTC, in milliseconds since 1970.
 */
enum parse_status clock_parse(struct span text, int64_t *wall_ms);

/* A length of time for people, at most two units: "0.4s", "12s", "5m 3s", "2h 5m", "3d 4h". */
bool clock_duration(int64_t ms, struct buffer *out);

#endif
