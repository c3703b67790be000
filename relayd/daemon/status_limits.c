/* SPDX-License-Identifier: ISC */
/* What is used of the grants' limits, for `relayctl status` and `relayctl limits`. */
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "daemon/supervisor_private.h"
#include "policy/quota.h"

#include <stdlib.h>

#define TOP_MAX 10 /* keys of a limit that are told */

struct top {
	uint64_t used;
	int64_t frees_ms;
	size_t key_len;
	char key[QUOTA_TEXT_MAX];
};

/* One limit of one grant. */
struct tally {
	uint64_t family;
	const struct grant_source *grant;
	const struct limit_source *limit;
	uint64_t keys;
	size_t count;
	struct top top[TOP_MAX]; /* the most used first */
};

/* The tallies by their families, to be found. */
struct tallies {
	struct tally *all;
	struct tally **sorted;
	size_t count;
};

static int
family_compare(const void *a, const void *b)
{
	const struct tally *const *x = a, *const *y = b;

	return ((*x)->family > (*y)->family) - ((*x)->family < (*y)->family);
}

static struct tallies
tallies_new(const struct settings *settings, const struct quota *quota)
{
	struct tallies t = { .count = 0 };

	for (size_t i = 0; i < settings->source.grant_count; i++)
		t.count += settings->source.grants[i].limit_count;
	t.all = memory_new_array(t.count, sizeof(*t.all));
	t.sorted = memory_new_array(t.count, sizeof(struct tally *));
	struct tally *next = t.all;

	for (size_t i = 0; i < settings->source.grant_count; i++) {
		const struct grant_source *grant = &settings->source.grants[i];

		for (size_t j = 0; j < grant->limit_count; j++, next++) {
			next->grant = grant;
			next->limit = &grant->limits[j];
			next->family = quota_family(quota, grant->name, next->limit);
			t.sorted[next - t.all] = next;
		}
	}
	qsort(t.sorted, t.count, sizeof(struct tally *), family_compare);
	return t;
}

static void
top_add(struct tally *tally, const struct quota_use *use)
{
	size_t at = tally->count;

	while (at > 0 && tally->top[at - 1].used < use->used)
		at--;
	if (at == TOP_MAX)
		return;
	if (tally->count < TOP_MAX)
		tally->count++;
	memmove(&tally->top[at + 1], &tally->top[at],
		(tally->count - 1 - at) * sizeof(tally->top[0]));
	struct top *top = &tally->top[at];

	*top = (struct top){ .used = use->used, .frees_ms = use->frees_ms,
			     .key_len = use->key.len };
	if (use->key.len > 0)
		memcpy(top->key, use->key.ptr, use->key.len);
}

static void
use_take(void *context, const struct quota_use *use)
{
	const struct tallies *t = context;
	struct tally wanted = { .family = use->family };
	const struct tally *key = &wanted;
	struct tally **found =
	    bsearch(&key, t->sorted, t->count, sizeof(struct tally *), family_compare);

	if (found == NULL)
		return; /* of a grant that is no more, or a connector's */
	(*found)->keys++;
	top_add(*found, use);
}

static void
frees_write(struct json *j, int64_t frees_ms)
{
	if (frees_ms > 0)
		json_number(j, "frees_s", (frees_ms + 999) / 1000);
}

static void
tally_write(const struct supervisor *supervisor, const struct tally *tally, int64_t now_ms,
	    struct json *j)
{
	struct buffer text;
	int64_t frees_ms;

	buffer_init(&text, 200);
	limit_append(tally->limit, &text);
	json_object_begin(j, NULL);
	json_text(j, "grant", tally->grant->name);
	json_text(j, "limit", buffer_span(&text));
	json_cstring(j, "per", limit_key_name(tally->limit->key));
	json_number(j, "max", (int64_t)tally->limit->count);
	buffer_reset(&text);
	if (tally->limit->key == LIMIT_PER_GRANT) {
		const struct quota_subject subject = { .owner = tally->grant->name,
						       .limit = tally->limit };
		uint64_t used = quota_used(supervisor->quota, &subject, now_ms, &frees_ms);

		json_number(j, "used", (int64_t)used);
		frees_write(j, frees_ms);
	} else if (tally->limit->unit != LIMIT_SESSIONS) {
		json_number(j, "keys", (int64_t)tally->keys);
		json_array_begin(j, "top");
		for (size_t i = 0; i < tally->count; i++) {
			const struct top *top = &tally->top[i];

			json_object_begin(j, NULL);
			json_text(j, "key", (struct span){ top->key, top->key_len });
			json_number(j, "used", (int64_t)top->used);
			frees_write(j, top->frees_ms);
			json_object_end(j);
		}
		json_array_end(j);
	}
	json_object_end(j);
}

void
status_limits_write(const struct supervisor *supervisor, struct json *j)
{
	struct tallies t = tallies_new(supervisor->current->settings, supervisor->quota);
	int64_t now_ms = clock_monotonic_ms();

	if (t.count > 0)
		quota_visit(supervisor->quota, now_ms, use_take, &t);
	json_array_begin(j, "limits");
	for (size_t i = 0; i < t.count; i++)
		tally_write(supervisor, &t.all[i], now_ms, j);
	json_array_end(j);
	free(t.all);
	free(t.sorted);
}
