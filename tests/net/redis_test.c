/* SPDX-License-Identifier: ISC */
/* net/redis: whatever a server says or does not say, everybody gets one answer. */
#include "net/redis.h"

#include "net/stream.h"
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHA "0123456789012345678901234567890123456789"

/* A server that says its lines when it is connected to, whatever it is asked. */
struct world {
	struct loop *loop;
	struct redis *redis;
	struct redis_settings settings;
	int listening;
	int peer;
	int news;	/* changes that were told */
	bool is_away;
	char why[256];
	int answers;
	int troubles;
	int64_t number;
};

static void
news_take(void *context, bool is_away, const char *why)
{
	struct world *w = context;

	w->news++;
	w->is_away = is_away;
	ck_assert_uint_lt(strlen(why), sizeof(w->why));
	memcpy(w->why, why, strlen(why) + 1);
}

static void
answer_take(void *context, const struct redis_value *values, size_t count)
{
	struct world *w = context;

	if (values == NULL) {
		w->troubles++;
		return;
	}
	ck_assert_uint_ge(count, 1);
	w->answers++;
	w->number = values[count - 1].number;
}

static void
world_begin(struct world *w)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct fault fault;

	*w = (struct world){ .peer = -1 };
	w->listening = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(w->listening, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(w->listening, 8), 0);
	ck_assert_int_eq(getsockname(w->listening, (struct sockaddr *)&at, &len), 0);
	w->settings = (struct redis_settings){
		.host = SPAN_LITERAL("127.0.0.1"),
		.port = ntohs(at.sin_port),
		.scripts = { "return 1" },
		.deadline_ms = 200,
	};
	w->loop = loop_new(&fault);
	ck_assert_ptr_nonnull(w->loop);
	w->redis = redis_new(w->loop, NULL, &w->settings, news_take, w);
}

static void
world_end(struct world *w)
{
	redis_free(&w->redis);
	loop_free(&w->loop);
	if (w->peer != -1)
		(void)close(w->peer);
	(void)close(w->listening);
}

static void
world_turn(struct world *w, int times)
{
	for (int i = 0; i < times; i++)
		loop_turn(w->loop, 5);
}

static void
server_accept(struct world *w)
{
	world_turn(w, 3);
	w->peer = accept(w->listening, NULL, NULL);
	ck_assert_int_ge(w->peer, 0);
	ck_assert_int_eq(setsockopt(w->peer, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)),
			 0);
}

static void
server_say(struct world *w, const char *text)
{
	ck_assert_int_eq(send(w->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static bool
ask(struct world *w)
{
	const struct span words[] = { SPAN_LITERAL("key") };

	return redis_run(w->redis, 0, words, 1, 1, answer_take, w);
}

START_TEST(question_before_the_connection_stands_is_answered_after)
{
	struct world w;

	world_begin(&w);
	ck_assert(ask(&w));
	server_accept(&w);
	server_say(&w, "$40\r\n" SHA "\r\n");
	world_turn(&w, 3);
	server_say(&w, ":7\r\n");
	world_turn(&w, 3);
	ck_assert_int_eq(w.answers, 1);
	ck_assert_int_eq(w.number, 7);
	ck_assert_int_eq(w.news, 0);

	/* and later ones by the script's name, pipelined, in order */
	ck_assert(ask(&w) && ask(&w));
	world_turn(&w, 2);
	server_say(&w, "*2\r\n$4\r\nfull\r\n:1\r\n:9\r");
	world_turn(&w, 2);
	ck_assert_int_eq(w.answers, 2);
	server_say(&w, "\n");
	world_turn(&w, 2);
	ck_assert_str_eq(w.why, "");
	ck_assert_int_eq(w.answers, 3);
	ck_assert_int_eq(w.number, 9);
	world_end(&w);
}
END_TEST

/* After a good greeting, in answer to one question. */
static const char *const bad_answers[] = {
	"-ERR something\r\n",
	"-NOSCRIPT No matching script\r\n",
	"-\x01\xff\r\n",
	"garbage\r\n",
	"$-1\r\n",
	"*0\r\n",
	"*-1\r\n",
	"*1\r\n*1\r\n:1\r\n",
	"*2\r\n:1\r\n$-1\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
	"$99999999999999999999\r\n",
	"*99999999999999999999\r\n",
	"*2147483647\r\n",
	":\r\n",
	":12x\r\n",
	"*100\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
	"$5\r\nab",
};

START_TEST(bad_answer_is_trouble_and_the_connection_is_cut)
{
	struct world w;

	world_begin(&w);
	server_accept(&w);
	server_say(&w, "$40\r\n" SHA "\r\n");
	world_turn(&w, 3);
	ck_assert(ask(&w));
	world_turn(&w, 2);
	server_say(&w, bad_answers[_i]);
	for (int i = 0; i < 200 && w.troubles == 0; i++)
		world_turn(&w, 1);
	ck_assert_int_eq(w.troubles, 1);
	ck_assert_int_eq(w.answers, 0);
	ck_assert_int_eq(w.news, 1);
	ck_assert(w.is_away);
	for (const char *c = w.why; *c != '\0'; c++)
		ck_assert(*c >= ' ' && *c < 0x7f);
	ck_assert(!ask(&w));

	/* it comes back by itself, and is there again once it greets well */
	(void)close(w.peer);
	for (int i = 0; i < 100; i++)
		world_turn(&w, 1);
	server_accept(&w);
	server_say(&w, "$40\r\n" SHA "\r\n");
	world_turn(&w, 3);
	ck_assert(!w.is_away);
	ck_assert(ask(&w));
	world_turn(&w, 2);
	server_say(&w, ":1\r\n");
	world_turn(&w, 2);
	ck_assert_int_eq(w.answers, 1);
	world_end(&w);
}
END_TEST

static const char *const bad_greetings[] = {
	"-WRONGPASS invalid username-password pair\r\n",
	"-NOAUTH Authentication required.\r\n",
	"+OK\r\n",
	"$3\r\nabc\r\n",
	":1\r\n",
	"220 mail.example.com ESMTP\r\n",
	"$40\r\n" SHA "\r\n:1\r\n",
	"",
};

START_TEST(server_that_greets_badly_is_away)
{
	struct world w;

	world_begin(&w);
	server_accept(&w);
	if (bad_greetings[_i][0] != '\0')
		server_say(&w, bad_greetings[_i]);
	else
		(void)shutdown(w.peer, SHUT_RDWR);
	for (int i = 0; i < 20 && !w.is_away; i++)
		world_turn(&w, 1);
	ck_assert(w.is_away);
	ck_assert(!ask(&w));
	world_end(&w);
}
END_TEST

START_TEST(flood_without_an_end_is_cut)
{
	struct world w;
	char flood[4096];

	memset(flood, '1', sizeof(flood));
	world_begin(&w);
	server_accept(&w);
	server_say(&w, "$1000000\r\n");
	for (int i = 0; i < 100 && !w.is_away; i++) {
		if (send(w.peer, flood, sizeof(flood), MSG_NOSIGNAL) == -1)
			break;
		world_turn(&w, 1);
	}
	ck_assert(w.is_away);
	world_end(&w);
}
END_TEST

START_TEST(silence_is_trouble_after_the_deadline)
{
	struct world w;
	int turns = 0;

	world_begin(&w);
	server_accept(&w);
	server_say(&w, "$40\r\n" SHA "\r\n");
	world_turn(&w, 3);
	ck_assert(ask(&w));
	int64_t begun_ms = loop_now_ms(w.loop);

	while (w.troubles == 0 && turns++ < 1000)
		world_turn(&w, 1);
	ck_assert_int_eq(w.troubles, 1);
	ck_assert_int_ge(loop_now_ms(w.loop) - begun_ms, 200);
	ck_assert_str_eq(w.why, "no answer in time");
	world_end(&w);
}
END_TEST

START_TEST(server_that_is_not_there_is_away_at_once)
{
	struct world w;

	world_begin(&w);
	(void)close(w.listening);
	ck_assert(ask(&w)); /* nobody knows yet */
	for (int i = 0; i < 50 && w.troubles == 0; i++)
		world_turn(&w, 1);
	ck_assert_int_eq(w.troubles, 1);
	ck_assert(w.is_away);
	ck_assert(!ask(&w));
	world_turn(&w, 60); /* tried again, and told once */
	ck_assert_int_eq(w.news, 1);
	w.listening = -1;
	world_end(&w);
}
END_TEST

START_TEST(nobody_is_called_after_the_end)
{
	struct world w;

	world_begin(&w);
	ck_assert(ask(&w));
	server_accept(&w);
	server_say(&w, "$40\r\n" SHA "\r\n");
	world_turn(&w, 3);
	ck_assert(ask(&w));
	world_end(&w);
	ck_assert_int_eq(w.answers + w.troubles, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("net/redis");
	TCase *tc = tcase_create("server");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, question_before_the_connection_stands_is_answered_after);
	tcase_add_loop_test(tc, bad_answer_is_trouble_and_the_connection_is_cut, 0,
			    ARRAY_LEN(bad_answers));
	tcase_add_loop_test(tc, server_that_greets_badly_is_away, 0, ARRAY_LEN(bad_greetings));
	tcase_add_test(tc, flood_without_an_end_is_cut);
	tcase_add_test(tc, silence_is_trouble_after_the_deadline);
	tcase_add_test(tc, server_that_is_not_there_is_away_at_once);
	tcase_add_test(tc, nobody_is_called_after_the_end);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
