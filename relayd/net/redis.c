/* SPDX-License-Identifier: ISC */
/* A connection to a Redis server; see redis.h. */
#include "net/redis.h"

#include "base/memory.h"
#include "net/stream.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_OCTETS_MAX 65536		  /* that are received and not understood */
#define OUTPUT_OCTETS_MAX (1024 * 1024) /* questions that Redis does not take */
#define RETRY_MS	  100		  /* after a failure; doubled each time */
#define RETRY_MAX_MS	  5000
#define CONNECT_MS	  2000 /* for name, connection and scripts */
#define SHA_SIZE	  41
#define WORDS_MAX	  128
#define WHY_SIZE	  256

enum state {
	STATE_AWAY, /* the retry timer runs */
	STATE_LOOKING_UP,
	STATE_CONNECTING,
	STATE_GREETING, /* connected; password, database and scripts are on their way */
	STATE_THERE,
};

struct call {
	struct list link;
	redis_done *done; /* NULL: the answer is not for anybody */
	void *context;
	size_t script;	    /* whose name the answer is, if is_greeting */
	bool is_greeting;
	bool names_script;
	int64_t due_ms;
	char *command; /* not sent yet, since there is no connection; hiredis's */
	size_t command_len;
};

struct redis {
	struct loop *loop;
	struct dns *dns;
	const struct redis_settings *settings;
	redis_news *news;
	void *context;
	struct dns_query *query;
	struct stream stream;
	struct loop_timer timer;
	redisReader *reader;
	redisReplyObjectFunctions functions; /* hiredis's, with short arrays */
	const redisReplyObjectFunctions *originals;
	size_t unread; /* octets fed since the last whole answer */
	struct list calls; /* unanswered, in the order of their questions */
	struct list early; /* questions that wait for the first connection */
	char sha[REDIS_SCRIPTS_MAX][SHA_SIZE];
	enum state state;
	int64_t since_ms; /* when it began to connect */
	int64_t retry_ms;
	bool is_away; /* as was told */
	bool was_there; /* or has failed: questions no longer wait for the first connection */
};

static void redis_connect(struct redis *redis);

/* --- calls --- */

static void
call_free(struct call *call)
{
	list_remove(&call->link);
	if (call->command != NULL)
		redisFreeCommand(call->command);
	free(call);
}

static void
calls_drop(struct list *calls, bool tells)
{
	struct list *link;

	while ((link = list_take_first(calls)) != NULL) {
		struct call *call = LIST_OWNER(link, struct call, link);
		redis_done *done = call->done;
		void *context = call->context;

		call_free(call);
		if (tells && done != NULL)
			done(context, NULL, 0);
	}
}

/* Away, or there again: said when it changes. */
static void
redis_tell(struct redis *redis, bool is_away, const char *why)
{
	if (is_away == redis->is_away)
		return;
	redis->is_away = is_away;
	redis->news(redis->context, is_away, why);
}

/* Everything under way fails, and it is tried again after a while. */
static void
redis_fail(struct redis *redis, const char *why)
{
	struct list failed;

	dns_cancel(&redis->query);
	stream_close(&redis->stream);
	if (redis->reader != NULL)
		redisReaderFree(redis->reader);
	redis->reader = NULL;
	redis->state = STATE_AWAY;
	redis->was_there = true;
	redis_tell(redis, true, why);
	loop_timer_set(redis->loop, &redis->timer, redis->retry_ms);
	redis->retry_ms = redis->retry_ms * 2 < RETRY_MAX_MS ? redis->retry_ms * 2 : RETRY_MAX_MS;

	/* whoever is told may ask anew: that is refused, since it is away */
	list_init(&failed);
	for (struct list *l; (l = list_take_first(&redis->calls)) != NULL;)
		list_append(&failed, l);
	for (struct list *l; (l = list_take_first(&redis->early)) != NULL;)
		list_append(&failed, l);
	calls_drop(&failed, true);
}

/* When the oldest unanswered question, or the connecting itself, is overdue. */
static void
timer_arm(struct redis *redis)
{
	int64_t now_ms = loop_now_ms(redis->loop);
	int64_t due_ms = redis->state == STATE_THERE ? INT64_MAX : redis->since_ms + CONNECT_MS;
	struct list *const lists[] = { &redis->calls, &redis->early };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (!list_is_empty(lists[i])) {
			struct call *first = LIST_OWNER(lists[i]->next, struct call, link);

			due_ms = first->due_ms < due_ms ? first->due_ms : due_ms;
		}
	}
	if (due_ms == INT64_MAX)
		loop_timer_cancel(redis->loop, &redis->timer);
	else
		loop_timer_set(redis->loop, &redis->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void
timer_expired(struct loop_timer *timer)
{
	struct redis *redis = LIST_OWNER(timer, struct redis, timer);

	if (redis->state == STATE_AWAY)
		redis_connect(redis);
	else if (redis->state == STATE_THERE || redis->state == STATE_GREETING)
		redis_fail(redis, "no answer in time");
	else
		redis_fail(redis, "no connection in time");
}

/* --- questions --- */

static struct call *
call_new(struct redis *redis, redis_done *done, void *context)
{
	struct call *call = memory_new(sizeof(*call));

	call->done = done;
	call->context = context;
	call->due_ms = loop_now_ms(redis->loop) + redis->settings->deadline_ms;
	list_init(&call->link);
	return call;
}

/* Written, unless the stream has just broken: then its end is told of. */
static void
call_send(struct redis *redis, struct call *call)
{
	list_append(&redis->calls, &call->link);
	(void)stream_write(&redis->stream,
			   (struct span){ call->command, call->command_len });
	redisFreeCommand(call->command);
	call->command = NULL;
}

static void
call_word_up(struct call *call, const struct span *words, size_t count)
{
	const char *texts[WORDS_MAX];
	size_t lengths[WORDS_MAX];

	assert(count <= WORDS_MAX);
	for (size_t i = 0; i < count; i++) {
		texts[i] = words[i].ptr == NULL ? "" : words[i].ptr;
		lengths[i] = words[i].len;
	}
	int len = redisFormatCommandArgv(&call->command, (int)count, texts, lengths);

	if (len < 0)
		abort(); /* out of memory */
	call->command_len = (size_t)len;
}

static void
greeting_ask(struct redis *redis, const struct span *words, size_t count, bool names_script,
	     size_t script)
{
	struct call *call = call_new(redis, NULL, NULL);

	call->is_greeting = true;
	call->names_script = names_script;
	call->script = script;
	call->due_ms = redis->since_ms + CONNECT_MS;
	call_word_up(call, words, count);
	call_send(redis, call);
}

static size_t
script_count(const struct redis *redis)
{
	size_t count = 0;

	while (count < REDIS_SCRIPTS_MAX && redis->settings->scripts[count] != NULL)
		count++;
	return count;
}

/* Password, database, scripts; all in one go. */
static void
redis_greet(struct redis *redis)
{
	const struct redis_settings *s = redis->settings;
	char number[16];

	redis->state = STATE_GREETING;
	if (s->password.len > 0) {
		const struct span words[] = { SPAN_LITERAL("AUTH"), s->user, s->password };
		const struct span plain[] = { SPAN_LITERAL("AUTH"), s->password };

		greeting_ask(redis, s->user.len > 0 ? words : plain, s->user.len > 0 ? 3 : 2,
			     false, 0);
	}
	if (s->database > 0) {
		(void)snprintf(number, sizeof(number), "%u", (unsigned)s->database);
		const struct span words[] = { SPAN_LITERAL("SELECT"), span_of(number) };

		greeting_ask(redis, words, ARRAY_LEN(words), false, 0);
	}
	for (size_t i = 0; i < script_count(redis); i++) {
		const struct span words[] = { SPAN_LITERAL("SCRIPT"), SPAN_LITERAL("LOAD"),
					      span_of(s->scripts[i]) };

		greeting_ask(redis, words, ARRAY_LEN(words), true, i);
	}
	timer_arm(redis);
}

static void
script_words(const struct redis *redis, size_t script, const struct span *words,
	     size_t word_count, size_t key_count, struct call *call)
{
	struct span all[WORDS_MAX];
	char number[16];

	assert(word_count + 3 <= WORDS_MAX);
	(void)snprintf(number, sizeof(number), "%zu", key_count);
	if (redis->state == STATE_THERE) {
		all[0] = span_of("EVALSHA");
		all[1] = span_of(redis->sha[script]);
	} else { /* its name is not known yet */
		all[0] = span_of("EVAL");
		all[1] = span_of(redis->settings->scripts[script]);
	}
	all[2] = span_of(number);
	memcpy(all + 3, words, word_count * sizeof(*words));
	call_word_up(call, all, word_count + 3);
}

bool
redis_run(struct redis *redis, size_t script, const struct span *words, size_t word_count,
	  size_t key_count, redis_done *done, void *context)
{
	assert(script < script_count(redis));
	if (redis->state != STATE_THERE && redis->was_there)
		return false;
	struct call *call = call_new(redis, done, context);

	script_words(redis, script, words, word_count, key_count, call);
	if (redis->state == STATE_THERE)
		call_send(redis, call);
	else
		list_append(&redis->early, &call->link);
	if (redis->state != STATE_AWAY &&
	    (redis->state != STATE_THERE || !loop_timer_is_set(&redis->timer)))
		timer_arm(redis);
	return true;
}

/* --- answers --- */

/* All of the greeting was answered well. */
static void
redis_is_there(struct redis *redis)
{
	struct list *link;

	redis->state = STATE_THERE;
	redis->was_there = true;
	redis->retry_ms = RETRY_MS;
	redis_tell(redis, false, "");
	while ((link = list_take_first(&redis->early)) != NULL)
		call_send(redis, LIST_OWNER(link, struct call, link));
}

/* False: it will not do. */
static bool
greeting_take(struct redis *redis, const struct call *call, const redisReply *reply)
{
	if (!call->names_script)
		return reply->type == REDIS_REPLY_STATUS;
	if (reply->type != REDIS_REPLY_STRING || reply->len != SHA_SIZE - 1)
		return false;
	memcpy(redis->sha[call->script], reply->str, SHA_SIZE - 1);
	redis->sha[call->script][SHA_SIZE - 1] = '\0';
	return true;
}

static bool
value_take(const redisReply *reply, struct redis_value *value)
{
	*value = (struct redis_value){ .is_number = reply->type == REDIS_REPLY_INTEGER };
	if (value->is_number)
		value->number = reply->integer;
	else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
		value->text = (struct span){ reply->str, (size_t)reply->len };
	else
		return false;
	return true;
}

/* False: what a script of ours never answers. */
static bool
values_take(const redisReply *reply, struct redis_value values[REDIS_ITEMS_MAX], size_t *count)
{
	if (reply->type != REDIS_REPLY_ARRAY) {
		*count = 1;
		return value_take(reply, &values[0]);
	}
	*count = reply->elements;
	if (*count == 0 || *count > REDIS_ITEMS_MAX)
		return false;
	for (size_t i = 0; i < *count; i++) {
		if (!value_take(reply->element[i], &values[i]))
			return false;
	}
	return true;
}

/* "NOSCRIPT No matching script ...": printable, as it came from the server. */
static void
error_text(const redisReply *reply, char why[WHY_SIZE])
{
	size_t len = reply->type == REDIS_REPLY_ERROR ? (size_t)reply->len : 0;

	(void)snprintf(why, WHY_SIZE, "it answered: ");
	size_t at = strlen(why);

	for (size_t i = 0; i < len && at + 1 < WHY_SIZE; i++)
		why[at++] = ascii_is_control(reply->str[i]) || (reply->str[i] & 0x80) != 0 ?
				'?' :
				reply->str[i];
	why[at] = '\0';
	if (len == 0)
		(void)snprintf(why, WHY_SIZE, "it answered what makes no sense");
}

static bool
reply_take(struct redis *redis, const redisReply *reply, char why[WHY_SIZE])
{
	struct redis_value values[REDIS_ITEMS_MAX];
	size_t count;

	if (list_is_empty(&redis->calls)) {
		(void)snprintf(why, WHY_SIZE, "it answered without being asked");
		return false;
	}
	struct call *call = LIST_OWNER(redis->calls.next, struct call, link);

	if (call->is_greeting) {
		if (!greeting_take(redis, call, reply)) {
			error_text(reply, why);
			return false;
		}
		call_free(call);
		if (list_is_empty(&redis->calls))
			redis_is_there(redis);
		return true;
	}
	if (!values_take(reply, values, &count)) {
		error_text(reply, why);
		return false;
	}
	redis_done *done = call->done;
	void *context = call->context;

	call_free(call);
	if (done != NULL)
		done(context, values, count);
	return true;
}

static size_t
redis_received(struct stream *stream, struct span bytes)
{
	struct redis *redis = LIST_OWNER(stream, struct redis, stream);
	char why[WHY_SIZE] = "its answer cannot be read";
	void *reply = NULL;
	bool ok = redisReaderFeed(redis->reader, bytes.ptr, bytes.len) == REDIS_OK;

	redis->unread += bytes.len;
	while (ok && redisReaderGetReply(redis->reader, &reply) == REDIS_OK && reply != NULL) {
		redis->unread = 0;
		ok = reply_take(redis, reply, why);
		freeReplyObject(reply);
		reply = NULL;
	}
	if (!ok || redis->reader->err != 0 || redis->unread > ANSWER_OCTETS_MAX)
		redis_fail(redis, why);
	else
		timer_arm(redis);
	return bytes.len;
}

static void
redis_ended(struct stream *stream, enum stream_end how)
{
	struct redis *redis = LIST_OWNER(stream, struct redis, stream);
	char why[WHY_SIZE] = "it closed the connection";

	if (how == STREAM_BROKEN)
		(void)snprintf(why, sizeof(why), "%s", strerror(stream->error));
	redis_fail(redis, why);
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* hiredis makes room for as many as are announced, and looks at each when it frees them. */
static void *
short_array_make(const redisReadTask *task, array_size elements)
{
	const struct redis *redis = task->privdata;

	return elements > REDIS_ITEMS_MAX ? NULL :
					    redis->originals->createArray(task, elements);
}

static void
reader_make(struct redis *redis)
{
	redis->reader = redisReaderCreate();
	if (redis->reader == NULL)
		abort(); /* out of memory */
	redis->originals = redis->reader->fn;
	redis->functions = *redis->originals;
	redis->functions.createArray = short_array_make;
	redis->reader->fn = &redis->functions;
	redis->reader->privdata = redis;
	redis->unread = 0;
}

static void
redis_connected(struct stream *stream, int error)
{
	struct redis *redis = LIST_OWNER(stream, struct redis, stream);

	if (error != 0) {
		redis_fail(redis, strerror(error));
		return;
	}
	reader_make(redis);
	redis_greet(redis);
}

static const struct stream_events redis_events = {
	.received = redis_received,
	.ended = redis_ended,
	.connected = redis_connected,
};

/* --- connecting --- */

static void
redis_connect_to(struct redis *redis, const struct ip *ip)
{
	const struct ip_endpoint to = { .ip = *ip, .port = redis->settings->port };
	struct fault fault = { .error = 0 };

	redis->state = STATE_CONNECTING;
	redis->stream = (struct stream){ .loop = NULL };
	if (!stream_connect(&redis->stream, redis->loop, &to, NULL, &redis_events,
			    ANSWER_OCTETS_MAX, OUTPUT_OCTETS_MAX, &fault))
		redis_fail(redis, fault_text(&fault));
}

static void
name_found_6(void *context, const struct dns_answer *answer)
{
	struct redis *redis = context;

	redis->query = NULL;
	if (answer->status == DNS_FOUND)
		redis_connect_to(redis, &answer->records[0].ip);
	else
		redis_fail(redis, "its name has no address");
}

static void
name_found_4(void *context, const struct dns_answer *answer)
{
	struct redis *redis = context;

	redis->query = NULL;
	if (answer->status == DNS_FOUND)
		redis_connect_to(redis, &answer->records[0].ip);
	else
		redis->query = dns_ask(redis->dns, redis->settings->host, DNS_AAAA,
				       name_found_6, redis);
}

static void
redis_connect(struct redis *redis)
{
	struct ip ip;

	redis->since_ms = loop_now_ms(redis->loop);
	redis->state = STATE_LOOKING_UP;
	timer_arm(redis);
	if (ip_parse(redis->settings->host, &ip) == PARSE_OK)
		redis_connect_to(redis, &ip);
	else
		redis->query =
		    dns_ask(redis->dns, redis->settings->host, DNS_A, name_found_4, redis);
}

struct redis *
redis_new(struct loop *loop, struct dns *dns, const struct redis_settings *settings,
	  redis_news *news, void *context)
{
	struct redis *redis = memory_new(sizeof(*redis));

	redis->loop = loop;
	redis->dns = dns;
	redis->settings = settings;
	redis->news = news;
	redis->context = context;
	redis->retry_ms = RETRY_MS;
	redis->timer.expired = timer_expired;
	list_init(&redis->calls);
	list_init(&redis->early);
	loop_timer_set(loop, &redis->timer, 0); /* begins in the first turn: nobody is called yet */
	return redis;
}

void
redis_free(struct redis **redis)
{
	struct redis *r = *redis;

	if (r == NULL)
		return;
	dns_cancel(&r->query);
	stream_close(&r->stream);
	loop_timer_cancel(r->loop, &r->timer);
	calls_drop(&r->calls, false);
	calls_drop(&r->early, false);
	if (r->reader != NULL)
		redisReaderFree(r->reader);
	free(r);
	*redis = NULL;
}
