/* SPDX-License-Identifier: ISC */
/* Limits counted for several gateways; see shared_quota.h. */
#include "session/shared_quota.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NUMBER_SIZE 24
#define KEY_PREFIX  "relayd:quota:"

enum script {
	SCRIPT_TAKE,
	SCRIPT_GIVE_BACK,
};

/*
 * KEYS: the counts. ARGV: a name for new windows, then for each count amount, maximum and
 * window in ms. Answers "taken" and the windows' names; or "full", the number of the count that
 * is used up and the ms until it frees. A count without an end (somebody meddled) begins anew.
 */
static const char take_script[] =
    "for i, key in ipairs(KEYS) do\n"
    "  local used = tonumber(redis.call('HGET', key, 'used') or '0')\n"
    "  local ttl = redis.call('PTTL', key)\n"
    "  if ttl < 0 then used = 0 end\n"
    "  if used + tonumber(ARGV[i * 3 - 1]) > tonumber(ARGV[i * 3]) then\n"
    "    return {'full', i, ttl}\n"
    "  end\n"
    "end\n"
    "local answer = {'taken'}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  if redis.call('PTTL', key) < 0 then\n"
    "    redis.call('DEL', key)\n"
    "    redis.call('HSET', key, 'window', ARGV[1])\n"
    "    redis.call('PEXPIRE', key, ARGV[i * 3 + 1])\n"
    "  end\n"
    "  redis.call('HINCRBY', key, 'used', ARGV[i * 3 - 1])\n"
    "  answer[i + 1] = redis.call('HGET', key, 'window')\n"
    "end\n"
    "return answer\n";

/* KEYS: one count. ARGV: its window's name, amount. Of another window nothing is given back. */
static const char give_back_script[] =
    "if redis.call('HGET', KEYS[1], 'window') == ARGV[1] then\n"
    "  redis.call('HINCRBY', KEYS[1], 'used', -tonumber(ARGV[2]))\n"
    "end\n"
    "return 1\n";

struct question {
	struct list link;
	struct shared_part *parts;
	size_t count;
	shared_done *done;
	void *context;
};

struct shared_quota {
	struct redis *redis;
	struct redis_settings settings;
	struct list questions; /* unanswered */
	uint64_t window;       /* the next new window's name */
};

struct shared_quota *
shared_quota_new(struct loop *loop, struct dns *dns, const struct redis_settings *settings,
		 redis_news *news, void *news_context)
{
	struct shared_quota *s = memory_new(sizeof(*s));

	s->settings = *settings;
	s->settings.scripts[SCRIPT_TAKE] = take_script;
	s->settings.scripts[SCRIPT_GIVE_BACK] = give_back_script;
	s->settings.deadline_ms = SHARED_DEADLINE_MS;
	list_init(&s->questions);
	if (getrandom(&s->window, sizeof(s->window), 0) != (ssize_t)sizeof(s->window))
		s->window = (uint64_t)(uintptr_t)s;
	s->redis = redis_new(loop, dns, &s->settings, news, news_context);
	return s;
}

static void
text_hash(XXH3_state_t *state, struct span text)
{
	uint64_t len = text.len;

	(void)XXH3_128bits_update(state, &len, sizeof(len));
	if (text.len > 0)
		(void)XXH3_128bits_update(state, text.ptr, text.len);
}

/* Without a seed: every gateway must find the same. */
void
shared_key_make(const struct quota_subject *subject, char out[SHARED_KEY_SIZE])
{
	const uint32_t what[] = { (uint32_t)subject->limit->unit, (uint32_t)subject->limit->key,
				  subject->limit->window_s };
	XXH3_state_t state;

	(void)XXH3_128bits_reset(&state);
	(void)XXH3_128bits_update(&state, what, sizeof(what));
	text_hash(&state, subject->owner);
	text_hash(&state, subject->key);
	XXH128_hash_t hash = XXH3_128bits_digest(&state);

	(void)snprintf(out, SHARED_KEY_SIZE, KEY_PREFIX "%016" PRIx64 "%016" PRIx64,
		       hash.high64, hash.low64);
}

/* What the script said; SHARED_AWAY when it is none of what it says. */
static enum shared_result
answer_read(struct question *q, const struct redis_value *values, size_t count, size_t *part,
	    int64_t *frees_ms)
{
	if (values == NULL || values[0].is_number)
		return SHARED_AWAY;
	if (count == 3 && span_equal(values[0].text, span_of("full")) && values[1].is_number &&
	    values[2].is_number && values[1].number >= 1 &&
	    (uint64_t)values[1].number <= q->count) {
		*part = (size_t)values[1].number - 1;
		*frees_ms = values[2].number > 0 ? values[2].number : 0;
		return SHARED_USED_UP;
	}
	if (count != q->count + 1 || !span_equal(values[0].text, span_of("taken")))
		return SHARED_AWAY;
	for (size_t i = 0; i < q->count; i++) {
		struct span window = values[i + 1].text;

		if (values[i + 1].is_number || window.len >= SHARED_WINDOW_SIZE)
			return SHARED_AWAY;
		memcpy(q->parts[i].window, window.ptr, window.len);
		q->parts[i].window[window.len] = '\0';
	}
	return SHARED_TAKEN;
}

static void
question_answered(void *context, const struct redis_value *values, size_t count)
{
	struct question *q = context;
	shared_done *done = q->done;
	void *done_context = q->context;
	size_t part = 0;
	int64_t frees_ms = 0;
	enum shared_result result = answer_read(q, values, count, &part, &frees_ms);

	list_remove(&q->link);
	free(q);
	done(done_context, result, part, frees_ms);
}

void
shared_quota_free(struct shared_quota **shared)
{
	struct shared_quota *s = *shared;
	struct list *link;

	if (s == NULL)
		return;
	redis_free(&s->redis);
	while ((link = list_take_first(&s->questions)) != NULL)
		question_answered(LIST_OWNER(link, struct question, link), NULL, 0);
	free(s);
	*shared = NULL;
}

static struct span
number_text(uint64_t number, char out[NUMBER_SIZE])
{
	int len = snprintf(out, NUMBER_SIZE, "%" PRIu64, number);

	return (struct span){ out, (size_t)len };
}

bool
shared_quota_take(struct shared_quota *s, struct shared_part *parts, size_t count,
		  shared_done *done, void *context)
{
	struct span words[LIMITS_MAX * 4 + 1];
	char numbers[LIMITS_MAX * 3][NUMBER_SIZE], window[SHARED_WINDOW_SIZE];
	struct question *q = memory_new(sizeof(*q));
	size_t n = 0;

	assert(count > 0 && count <= LIMITS_MAX);
	for (size_t i = 0; i < count; i++)
		words[n++] = span_of(parts[i].key);
	(void)snprintf(window, sizeof(window), "%016" PRIx64, s->window++);
	words[n++] = span_of(window);
	for (size_t i = 0; i < count; i++) {
		words[n++] = number_text(parts[i].amount, numbers[i * 3]);
		words[n++] = number_text(parts[i].max, numbers[i * 3 + 1]);
		words[n++] = number_text((uint64_t)parts[i].window_s * 1000,
					 numbers[i * 3 + 2]);
	}
	*q = (struct question){ .parts = parts, .count = count, .done = done,
				.context = context };
	if (!redis_run(s->redis, SCRIPT_TAKE, words, n, count, question_answered, q)) {
		free(q);
		return false;
	}
	list_append(&s->questions, &q->link);
	return true;
}

void
shared_quota_give_back(struct shared_quota *s, const struct shared_part *part, uint64_t amount)
{
	char number[NUMBER_SIZE];
	const struct span words[] = { span_of(part->key), span_of(part->window),
				      number_text(amount, number) };

	(void)redis_run(s->redis, SCRIPT_GIVE_BACK, words, ARRAY_LEN(words), 1, NULL, NULL);
}
