/* SPDX-License-Identifier: ISC */
/* net/: the timer wheel and the event loop. */
#include "base/clock.h"
#include "base/memory.h"
#include "net/loop_private.h"

#include "suite.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *
loop_make(void)
{
	struct fault fault;
	struct loop *loop = loop_new(&fault);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

/* --- the wheel, with time as we say ------------------------------------------------- */

#define DAY_MS (INT64_C(24) * 3600 * 1000)

START_TEST(timer_is_never_early_and_at_most_two_ticks_late)
{
	static const int64_t delays[] = { 0, 1, 7, 8, 9, 63, 64, 511, 512, 513, 30000, 300000,
		3600000, DAY_MS, 7 * DAY_MS, 98 * DAY_MS, 100 * DAY_MS, 400 * DAY_MS, -5 };
	static const int64_t starts[] = { 0, 1, 7, 8, 511, 512 * 64 - 1, 123456789,
		(INT64_C(1) << 33) - 3 };

	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		for (size_t d = 0; d < ARRAY_LEN(delays); d++) {
			struct loop_timer timer = { .is_set = false };
			int64_t now = starts[s], delay = delays[d] > 0 ? delays[d] : 0;
			struct wheel w;

			wheel_init(&w, now);
			wheel_set(&w, &timer, now, delays[d]);
			ck_assert_ptr_null(wheel_take(&w, now));
			ck_assert_ptr_null(wheel_take(&w, starts[s] + delay));
			while (timer.is_set) { /* as a loop sleeps */
				int64_t next = wheel_next_ms(&w);

				ck_assert_int_gt(next, now);
				now = next;
				(void)wheel_take(&w, now);
			}
			ck_assert_int_gt(now, starts[s] + delay);
			ck_assert_int_le(now, starts[s] + delay + 2 * WHEEL_TICK_MS);
			ck_assert(wheel_next_ms(&w) == WHEEL_NEVER);
		}
	}
}
END_TEST

START_TEST(sleeping_towards_a_far_timer_wakes_up_a_few_times_only)
{
	struct loop_timer timer = { .is_set = false };
	int wakes = 0;
	struct wheel w;

	wheel_init(&w, 12345678);
	wheel_set(&w, &timer, 12345678, 21 * DAY_MS);
	for (; timer.is_set; wakes++)
		(void)wheel_take(&w, wheel_next_ms(&w));
	ck_assert_int_le(wakes, WHEEL_LEVELS);
}
END_TEST

#define MANY 2000

/* Like random(), but the same everywhere. */
static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

START_TEST(many_timers_set_moved_and_cancelled_at_random_fire_when_they_should)
{
	static struct loop_timer timers[MANY];
	static int64_t due[MANY]; /* what a timer ought to do; -1: nothing */
	uint32_t random = 7;
	int64_t now = 987654321, last_due_tick = 0;
	struct wheel w;
	int fired = 0;

	wheel_init(&w, now);
	for (int i = 0; i < MANY; i++)
		due[i] = -1;
	for (int step = 0; step < 20000; step++) {
		int i = (int)(next_random(&random) % MANY);
		uint32_t range = 1U << next_random(&random) % 22;
		int64_t delay = next_random(&random) % range;

		if (next_random(&random) % 4 == 0) {
			wheel_cancel(&timers[i]);
			due[i] = -1;
		} else {
			wheel_set(&w, &timers[i], now, delay);
			due[i] = now + delay;
		}
		if (next_random(&random) % 8 != 0)
			continue;
		now += next_random(&random) % (1U << next_random(&random) % 16);
		last_due_tick = 0;
		for (struct loop_timer *t; (t = wheel_take(&w, now)) != NULL; fired++) {
			ptrdiff_t n = t - timers;

			ck_assert_int_ge(due[n], 0);
			ck_assert_int_lt(due[n], now);
			ck_assert_int_ge((due[n] + 8) / 8, last_due_tick);
			last_due_tick = (due[n] + 8) / 8;
			due[n] = -1;
		}
		for (int n = 0; n < MANY; n++) {
			if (timers[n].is_set != (due[n] >= 0) ||
			    (due[n] != -1 && due[n] + 2 * WHEEL_TICK_MS <= now))
				ck_abort_msg("timer %d of step %d is wrong", n, step);
		}
	}
	ck_assert_int_gt(fired, 1000);
}
END_TEST

START_TEST(postponed_timer_stays_in_its_place_until_time_reaches_it)
{
	struct loop_timer timer = { .is_set = false };
	struct wheel w;

	wheel_init(&w, 0);
	wheel_set(&w, &timer, 0, 100);
	const struct list *neighbour = timer.link.next;

	for (int64_t now = 1; now < 100; now++) {
		wheel_set(&w, &timer, now, 300);
		ck_assert_ptr_eq(timer.link.next, neighbour);
		ck_assert_ptr_null(wheel_take(&w, now));
	}
	ck_assert_ptr_null(wheel_take(&w, 399));
	wheel_set(&w, &timer, 399, 50); /* later than 400 */
	ck_assert_ptr_null(wheel_take(&w, 449));
	wheel_set(&w, &timer, 449, 20);
	wheel_set(&w, &timer, 449, 3); /* sooner again */
	ck_assert_ptr_eq(wheel_take(&w, 464), &timer);
	ck_assert(!timer.is_set);
}
END_TEST

/* --- timers in the loop ------------------------------------------------------------- */

struct timed {
	struct loop_timer timer;
	struct loop *loop;
	struct timed *victim;
	int fired;
	int again;
};

static void
timed_expired(struct loop_timer *timer)
{
	struct timed *t = LIST_OWNER(timer, struct timed, timer);

	ck_assert(!loop_timer_is_set(timer));
	t->fired++;
	if (t->victim != NULL)
		loop_timer_cancel(t->loop, &t->victim->timer);
	if (t->again-- > 0)
		loop_timer_set(t->loop, timer, 0);
	else
		loop_stop(t->loop);
}

START_TEST(timer_may_cancel_another_that_is_due_with_it_and_set_itself_again)
{
	struct loop *loop = loop_make();
	struct timed a = { .timer.expired = timed_expired, .loop = loop, .again = 2 };
	struct timed b = { .timer.expired = timed_expired, .loop = loop };

	a.victim = &b;
	loop_timer_set(loop, &a.timer, 5);
	loop_timer_set(loop, &b.timer, 5);
	loop_run(loop);
	ck_assert_int_eq(a.fired, 3);
	ck_assert_int_eq(b.fired, 0);
	ck_assert(!loop_timer_is_set(&b.timer));
	loop_free(&loop);
}
END_TEST

START_TEST(loop_sleeps_until_the_timer_and_no_longer)
{
	struct loop *loop = loop_make();
	struct timed t = { .timer.expired = timed_expired, .loop = loop };
	int64_t before = clock_monotonic_ms();

	loop_timer_set(loop, &t.timer, 40);
	loop_run(loop);
	ck_assert_int_eq(t.fired, 1);
	ck_assert_int_ge(clock_monotonic_ms() - before, 40);
	loop_free(&loop);
}
END_TEST

START_TEST(timer_counts_from_when_it_is_set_however_long_ago_the_turn_began)
{
	struct loop *loop = loop_make();
	struct timed t = { .timer.expired = timed_expired, .loop = loop };
	int64_t started = loop_now_ms(loop);

	while (clock_monotonic_ms() - started < 30)
		; /* busy, as a slow handler is */
	loop_timer_set(loop, &t.timer, 25);
	loop_run(loop);
	ck_assert_int_ge(loop_now_ms(loop) - started, 55);
	loop_free(&loop);
}
END_TEST

START_TEST(cancelling_a_timer_that_was_never_set_does_nothing)
{
	struct loop *loop = loop_make();
	struct loop_timer timer = { .is_set = false };

	loop_timer_cancel(loop, &timer);
	ck_assert(!loop_timer_is_set(&timer));
	loop_free(&loop);
}
END_TEST

/* --- watches ------------------------------------------------------------------------ */

struct watched {
	struct loop_watch watch;
	struct loop *loop;
	struct watched *victim; /* removed, and scribbled over, in ready */
	int calls;
	unsigned events;
	int other; /* the far end of the pair */
};

static void
watched_ready(struct loop_watch *watch, unsigned events)
{
	struct watched *w = LIST_OWNER(watch, struct watched, watch);

	w->calls++;
	w->events = events;
	if (w->victim != NULL && w->victim->watch.is_watched) {
		loop_watch_remove(w->loop, &w->victim->watch);
		w->victim->watch.ready = NULL; /* whoever calls it now crashes */
	}
}

static void
watched_open(struct watched *w, struct loop *loop, unsigned wanted)
{
	struct fault fault;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*w = (struct watched){
		.watch = { .ready = watched_ready, .fd = pair[0], .wanted = wanted },
		.loop = loop,
		.other = pair[1],
	};
	ck_assert(loop_watch_add(loop, &w->watch, &fault));
}

static void
watched_close(struct watched *w)
{
	loop_watch_remove(w->loop, &w->watch);
	(void)close(w->watch.fd);
	(void)close(w->other);
}

START_TEST(removed_watch_gets_no_event_of_the_same_turn)
{
	struct loop *loop = loop_make();
	struct watched a, b;

	watched_open(&a, loop, LOOP_WRITE);
	watched_open(&b, loop, LOOP_WRITE);
	a.victim = &b;
	b.victim = &a;
	loop_turn(loop, 0);
	ck_assert_int_eq(a.calls + b.calls, 1);
	watched_close(&a);
	watched_close(&b);
	loop_free(&loop);
}
END_TEST

START_TEST(watch_hears_what_it_wants_and_nothing_while_it_wants_nothing)
{
	struct loop *loop = loop_make();
	struct watched w;

	watched_open(&w, loop, LOOP_READ);
	loop_turn(loop, 0);
	ck_assert_int_eq(w.calls, 0);
	ck_assert_int_eq(write(w.other, "x", 1), 1);
	loop_turn(loop, 0);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_uint_eq(w.events, LOOP_READ);
	loop_watch_set(loop, &w.watch, LOOP_WRITE);
	loop_turn(loop, 0);
	ck_assert_uint_eq(w.events, LOOP_WRITE);
	loop_watch_set(loop, &w.watch, 0);
	ck_assert_int_eq(shutdown(w.other, SHUT_RDWR), 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(w.calls, 2); /* silent even about a hang-up */
	loop_watch_set(loop, &w.watch, LOOP_READ);
	loop_turn(loop, 0);
	ck_assert_int_eq(w.calls, 3);
	ck_assert_uint_eq(w.events, LOOP_READ | LOOP_HANGUP);
	watched_close(&w);
	loop_free(&loop);
}
END_TEST

START_TEST(watching_what_cannot_be_watched_is_a_fault)
{
	struct loop *loop = loop_make();
	struct fault fault;
	struct loop_watch watch = { .ready = watched_ready, .wanted = LOOP_READ };

	watch.fd = open("/dev/null", O_RDONLY);
	ck_assert_int_ge(watch.fd, 0);
	(void)close(watch.fd);
	ck_assert(!loop_watch_add(loop, &watch, &fault));
	ck_assert(!watch.is_watched);
	loop_watch_remove(loop, &watch);
	loop_free(&loop);
}
END_TEST

/* --- posted calls ------------------------------------------------------------------- */

struct counter {
	struct loop *loop;
	int runs;
	int expected;
};

struct counted {
	struct loop_call call;
	struct counter *counter;
	int order;
};

static void
counted_run(struct loop_call *call)
{
	struct counted *c = LIST_OWNER(call, struct counted, call);

	c->order = c->counter->runs++;
	if (c->counter->runs == c->counter->expected)
		loop_stop(c->counter->loop);
}

#define THREADS 4
#define POSTS	5000

struct poster {
	pthread_t thread;
	struct counter *counter;
	struct counted calls[POSTS];
};

static void *
poster_main(void *argument)
{
	struct poster *p = argument;

	for (int i = 0; i < POSTS; i++) {
		p->calls[i] = (struct counted){ .call.run = counted_run, .counter = p->counter };
		loop_post(p->counter->loop, &p->calls[i].call);
	}
	return NULL;
}

START_TEST(calls_posted_from_threads_all_run_and_each_threads_in_order)
{
	struct counter counter = { .loop = loop_make(), .expected = THREADS * POSTS };
	struct poster *posters = memory_new_array(THREADS, sizeof(*posters));

	for (int t = 0; t < THREADS; t++) {
		posters[t].counter = &counter;
		ck_assert_int_eq(
		    pthread_create(&posters[t].thread, NULL, poster_main, &posters[t]), 0);
	}
	loop_run(counter.loop); /* sleeps whenever nothing is posted */
	for (int t = 0; t < THREADS; t++) {
		ck_assert_int_eq(pthread_join(posters[t].thread, NULL), 0);
		for (int i = 1; i < POSTS; i++)
			ck_assert_int_gt(posters[t].calls[i].order, posters[t].calls[i - 1].order);
	}
	free(posters);
	loop_free(&counter.loop);
}
END_TEST

static void
poster_again(struct loop_call *call)
{
	struct counted *c = LIST_OWNER(call, struct counted, call);

	c->counter->runs++;
	loop_post(c->counter->loop, call);
}

START_TEST(call_that_posts_itself_runs_once_a_turn)
{
	struct counter counter = { .loop = loop_make() };
	struct counted c = { .call.run = poster_again, .counter = &counter };

	loop_post(counter.loop, &c.call);
	for (int i = 1; i <= 5; i++) {
		loop_turn(counter.loop, -1); /* does not wait: something is posted */
		ck_assert_int_eq(counter.runs, i);
	}
	ck_assert(loop_call_cancel(counter.loop, &c.call));
	loop_free(&counter.loop);
}
END_TEST

static void
cancels_next(struct loop_call *call)
{
	struct counted *c = LIST_OWNER(call, struct counted, call);

	c->counter->runs++;
	ck_assert(loop_call_cancel(c->counter->loop, &c[1].call));
}

START_TEST(cancelled_call_does_not_run_and_the_others_keep_their_order)
{
	struct counter counter = { .loop = loop_make() };
	struct counted calls[6];

	for (int i = 0; i < 6; i++) {
		calls[i] = (struct counted){ .call.run = counted_run, .counter = &counter,
					     .order = -1 };
		loop_post(counter.loop, &calls[i].call);
	}
	calls[3].call.run = cancels_next;
	ck_assert(loop_call_cancel(counter.loop, &calls[1].call));
	ck_assert(!loop_call_cancel(counter.loop, &calls[1].call));
	loop_post(counter.loop, &calls[1].call);
	loop_turn(counter.loop, -1);
	ck_assert_int_eq(calls[0].order, 0);
	ck_assert_int_eq(calls[2].order, 1);
	ck_assert_int_eq(calls[4].order, -1);
	ck_assert_int_eq(calls[5].order, 3);
	ck_assert_int_eq(calls[1].order, 4);
	loop_turn(counter.loop, 0);
	ck_assert_int_eq(counter.runs, 5);
	loop_free(&counter.loop);
}
END_TEST

/* --- hooks -------------------------------------------------------------------------- */

struct hooked {
	struct loop_hook hook;
	struct loop *loop;
	struct hooked *victim;
	int *clock;
	int ran_at;
	int runs;
};

static void
hooked_run(struct loop_hook *hook)
{
	struct hooked *h = LIST_OWNER(hook, struct hooked, hook);

	h->runs++;
	h->ran_at = ++*h->clock;
	if (h->victim != NULL)
		loop_hook_remove(h->loop, &h->victim->hook);
}

START_TEST(hooks_run_every_turn_in_order_and_may_remove_one_another)
{
	struct loop *loop = loop_make();
	struct hooked h[4];
	int clock = 0;

	for (int i = 0; i < 4; i++) {
		h[i] = (struct hooked){ .hook.run = hooked_run, .loop = loop, .clock = &clock };
		loop_hook_add(loop, &h[i].hook);
	}
	loop_turn(loop, 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(h[i].ran_at, i + 1);
	h[0].victim = &h[0]; /* itself */
	h[1].victim = &h[2]; /* the next one */
	loop_turn(loop, 0);
	ck_assert_int_eq(h[1].ran_at, 6);
	ck_assert_int_eq(h[2].runs, 1);
	ck_assert_int_eq(h[3].ran_at, 7);
	h[1].victim = NULL;
	loop_turn(loop, 0);
	ck_assert_int_eq(h[0].runs, 2);
	ck_assert_int_eq(h[1].runs, 3);
	ck_assert_int_eq(h[3].runs, 3);
	loop_free(&loop);
}
END_TEST

/* --- work --------------------------------------------------------------------------- */

struct worked {
	struct loop_work work;
	struct loop *loop;
	int64_t takes_ns; /* of the processor */
	int *turns_order; /* counts the pieces that have run */
	int order;	  /* this one's place among them */
	bool goes_on;	  /* queue itself again */
};

static void
worked_run(struct loop_work *work)
{
	struct worked *w = LIST_OWNER(work, struct worked, work);
	int64_t until = clock_monotonic_ns() + w->takes_ns;

	w->order = ++*w->turns_order;
	while (clock_monotonic_ns() < until)
		;
	if (w->goes_on)
		loop_work_add(w->loop, work, false);
}

START_TEST(turn_does_one_piece_of_work_or_more_until_its_time_is_up)
{
	struct loop *loop = loop_make();
	int done = 0;
	struct worked small[20], large[5];

	for (size_t i = 0; i < ARRAY_LEN(large); i++) {
		large[i] = (struct worked){ .work.run = worked_run, .loop = loop,
			.takes_ns = 1500000, .turns_order = &done };
		loop_work_add(loop, &large[i].work, false);
		loop_work_add(loop, &large[i].work, false); /* once is enough */
	}
	for (int i = 1; i <= (int)ARRAY_LEN(large); i++) {
		loop_turn(loop, -1); /* does not sleep while work is left */
		ck_assert_int_eq(done, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(small); i++) {
		small[i] = (struct worked){ .work.run = worked_run, .loop = loop,
			.turns_order = &done };
		loop_work_add(loop, &small[i].work, false);
	}
	int turns = 0;

	while (done < 25) {
		loop_turn(loop, 0);
		turns++;
	}
	ck_assert_int_lt(turns, 20); /* one, on a machine with nothing else to do */
	ck_assert_int_eq(small[0].order, 6);
	ck_assert_int_eq(small[19].order, 25);
	loop_free(&loop);
}
END_TEST

START_TEST(urgent_work_goes_first_and_cancelled_work_not_at_all)
{
	struct loop *loop = loop_make();
	int done = 0;
	struct worked w[3];

	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		w[i] = (struct worked){ .work.run = worked_run, .loop = loop,
			.turns_order = &done };
	loop_work_cancel(&w[0].work);
	loop_work_add(loop, &w[0].work, false);
	loop_work_add(loop, &w[1].work, false);
	loop_work_add(loop, &w[2].work, true);
	loop_work_cancel(&w[0].work);
	while (done < 2)
		loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(w[2].order, 1);
	ck_assert_int_eq(w[1].order, 2);
	ck_assert_int_eq(w[0].order, 0);
	loop_free(&loop);
}
END_TEST

START_TEST(work_without_end_leaves_events_and_timers_their_turn)
{
	struct loop *loop = loop_make();
	int done = 0;
	struct worked endless = { .work.run = worked_run, .loop = loop, .takes_ns = 100000,
		.turns_order = &done, .goes_on = true };
	struct watched w;

	watched_open(&w, loop, LOOP_READ);
	loop_work_add(loop, &endless.work, false);
	ck_assert_int_eq(write(w.other, "x", 1), 1);
	for (int i = 1; i <= 5; i++) {
		loop_turn(loop, -1);
		ck_assert_int_eq(w.calls, i);
	}
	loop_work_cancel(&endless.work);
	watched_close(&w);
	loop_free(&loop);
}
END_TEST

static Suite *
loop_suite(void)
{
	Suite *suite = suite_create("loop");
	TCase *wheel = tcase_create("wheel");
	TCase *loop = tcase_create("loop");

	tcase_add_test(wheel, timer_is_never_early_and_at_most_two_ticks_late);
	tcase_add_test(wheel, sleeping_towards_a_far_timer_wakes_up_a_few_times_only);
	tcase_add_test(wheel,
		       many_timers_set_moved_and_cancelled_at_random_fire_when_they_should);
	tcase_add_test(wheel, postponed_timer_stays_in_its_place_until_time_reaches_it);
	suite_add_tcase(suite, wheel);
	tcase_add_test(loop, timer_may_cancel_another_that_is_due_with_it_and_set_itself_again);
	tcase_add_test(loop, loop_sleeps_until_the_timer_and_no_longer);
	tcase_add_test(loop, timer_counts_from_when_it_is_set_however_long_ago_the_turn_began);
	tcase_add_test(loop, cancelling_a_timer_that_was_never_set_does_nothing);
	tcase_add_test(loop, removed_watch_gets_no_event_of_the_same_turn);
	tcase_add_test(loop, watch_hears_what_it_wants_and_nothing_while_it_wants_nothing);
	tcase_add_test(loop, watching_what_cannot_be_watched_is_a_fault);
	tcase_add_test(loop, calls_posted_from_threads_all_run_and_each_threads_in_order);
	tcase_add_test(loop, call_that_posts_itself_runs_once_a_turn);
	tcase_add_test(loop, cancelled_call_does_not_run_and_the_others_keep_their_order);
	tcase_add_test(loop, turn_does_one_piece_of_work_or_more_until_its_time_is_up);
	tcase_add_test(loop, urgent_work_goes_first_and_cancelled_work_not_at_all);
	tcase_add_test(loop, work_without_end_leaves_events_and_timers_their_turn);
	tcase_add_test(loop, hooks_run_every_turn_in_order_and_may_remove_one_another);
	suite_add_tcase(suite, loop);
	return suite;
}

int
main(void)
{
	return suite_main(loop_suite());
}
