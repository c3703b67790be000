/* SPDX-License-Identifier: ISC */
/*
 * Limits counted for several gateways, in Redis. A count is a hash with the fields "used" and
 * "window" (who began it), which expires when its window ends; its name is a hash of what is
 * counted, so that no address stands in Redis. All limits of a question are taken, or none: a
 * script does it in one step. docs/limits.md has the whole of it.
 */
#ifndef RELAYD_SESSION_SHARED_QUOTA_H
#define RELAYD_SESSION_SHARED_QUOTA_H

#include "net/redis.h"
#include "policy/quota.h"

#define SHARED_KEY_SIZE	    48
#define SHARED_WINDOW_SIZE  20
#define SHARED_DEADLINE_MS  200 /* for an answer; then Redis counts as away */

struct shared_quota;

/* One limit to take from. */
struct shared_part {
	char key[SHARED_KEY_SIZE]; /* shared_key_make */
	uint64_t amount;
	uint64_t max;
	uint32_t window_s;
	char window[SHARED_WINDOW_SIZE]; /* once taken: which window it was */
};

enum shared_result {
	SHARED_TAKEN,	/* of all parts, whose windows are filled in */
	SHARED_USED_UP, /* nothing was taken */
	SHARED_AWAY,	/* nobody knows */
};

/* part: the first one that is used up, which frees in frees_ms. */
typedef void shared_done(void *context, enum shared_result result, size_t part,
			 int64_t frees_ms);

/* The texts of the settings are borrowed for its life; news is told of each change. */
struct shared_quota *shared_quota_new(struct loop *loop, struct dns *dns,
				      const struct redis_settings *settings,
				      redis_news *news, void *news_context);

/* Questions under way are answered SHARED_AWAY. */
void shared_quota_free(struct shared_quota **shared);

/* What a count is called in Redis: the same on every gateway. */
void shared_key_make(const struct quota_subject *subject, char out[SHARED_KEY_SIZE]);

/*
 * Take from all parts, or from none. done comes from a later turn of the loop; the parts must
 * stay until then. False: Redis is away, and done will not be called.
 */
bool shared_quota_take(struct shared_quota *shared, struct shared_part *parts, size_t count,
		       shared_done *done, void *context);

/* Give some of it back. Nobody waits for that: what is lost is free when its window ends. */
void shared_quota_give_back(struct shared_quota *shared, const struct shared_part *part,
			    uint64_t amount);

#endif
