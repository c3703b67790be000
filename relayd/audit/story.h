/* SPDX-License-Identifier: ISC */
/*
 * The story of an attempt: what the audit trail knows of it, told in plain words to whoever
 * holds the id of a reply, with what became of the message and, where the configuration can
 * be read, what would have to be granted and what today's policy would say.
 */
#ifndef RELAYD_AUDIT_STORY_H
#define RELAYD_AUDIT_STORY_H

#include "audit/query.h"
#include "base/json.h"
#include "policy/policy.h"

/* One decision and the deliveries that followed from it. */
struct story {
	const struct audit_record *decision; /* NULL: no longer in the trail */
	const struct audit_record **deliveries; /* in order of time */
	size_t delivery_count;
};

/* Every story that an id stands for, newest first; all in the arena. */
struct story_list {
	struct story *stories;
	size_t count;
};

/* What today's configuration says about it; policy NULL: it could not be read. */
struct story_context {
	const struct policy *policy;
	int64_t now_wall_ms;
};

/*
 * Collect the stories of an id (as given by people). False and *fault when the trail cannot
 * be read; *tally is filled in either way.
 */
bool story_find(const char *state_directory, struct span id, struct arena *arena,
		struct story_list *list, struct audit_tally *tally, struct fault *fault);

#define STORY_GRANTS_MAX 10 /* that are told of */

/* How far the attempt would come with one grant. */
struct story_grant {
	struct span name;
	enum stage stage; /* where it stops, or STAGE_PERMITTED */
	enum reason reason;
	struct span description; /* of the condition that fails, or empty */
};

/* What today's policy makes of a recorded attempt. */
struct story_today {
	bool is_known; /* false: there is nothing to decide, or nothing to decide by */
	bool is_same_policy;
	bool has_connector; /* false: today's configuration has no connector of that name */
	struct verdict verdict;
	struct span description; /* of the condition that fails, or empty */
	struct span remedy;	 /* what would have to be granted, or empty */
	struct story_grant grants[STORY_GRANTS_MAX]; /* the nearest first */
	size_t grant_count;
	size_t grants_more; /* that are not told of */
};
void story_decide_again(const struct story *story, const struct story_context *context,
			struct arena *arena, struct story_today *today);

/* Tell one story; lines of text, ready for a terminal. */
void story_tell(const struct story *story, const struct story_context *context,
		struct buffer *out);

/* The same as one JSON object: decision, deliveries, today. */
void story_write_json(const struct story *story, const struct story_context *context,
		      struct json *j);

#endif
