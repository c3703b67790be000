/* SPDX-License-Identifier: ISC */
/* The work of one route; see dispatch.h. */
#include "delivery/dispatch.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"

#include <assert.h>
#include <stdlib.h>

#define PATIENCE_MS 20 /* no job was taken for so long: use more connections */
#define EXPIRING_MAX 16 /* envelopes that are read at once to say goodbye to their messages */

/* ---- Which next hop ---- */

/*
 * Where one more connection may go now; NULL: nowhere. A next hop that serves us on other
 * connections but takes no more is not passed over: it is busy, not gone.
 */
static struct next_hop *
hop_choose(struct dispatch *dispatch, int64_t now_ms)
{
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		if (next_hop_may_connect(&dispatch->hops[i], now_ms))
			return &dispatch->hops[i];
		if (dispatch->hops[i].connected > 0)
			return NULL;
	}
	return NULL;
}

/* Is a next hop before this one in good health again? */
static bool
has_better_hop(const struct dispatch *dispatch, const struct next_hop *hop)
{
	for (const struct next_hop *better = dispatch->hops; better < hop; better++) {
		if (better->failures == 0)
			return true;
	}
	return false;
}

/* While a later next hop serves us, see now and then whether an earlier one does again. */
static void
better_hops_probe(struct dispatch *dispatch, int64_t now_ms)
{
	size_t serving = 0;

	while (serving < dispatch->hop_count && dispatch->hops[serving].connected == 0)
		serving++;
	if (serving == dispatch->hop_count)
		return;
	for (size_t i = 0; i < serving; i++) {
		struct next_hop *hop = &dispatch->hops[i];

		if (hop->failures > 0 && next_hop_may_connect(hop, now_ms))
			courier_open(dispatch, hop);
	}
}

int64_t
dispatch_next_try_ms(const struct dispatch *dispatch)
{
	int64_t next_ms = INT64_MAX;

	for (size_t i = 0; i < dispatch->hop_count; i++) {
		int64_t hop_ms = next_hop_next_ms(&dispatch->hops[i]);

		if (hop_ms < next_ms)
			next_ms = hop_ms;
	}
	return next_ms;
}

/* ---- Down and up ---- */

/* Let go of what its jobs hold in memory; those whose envelope is at hand get a record. */
static void
dispatch_went_down(struct dispatch *dispatch)
{
	const struct heap *ready = &dispatch->schedule.ready;

	dispatch->is_down = true;
	log_warn(dispatch->delivery->environment.log,
		 "route " SPAN_FMT " is down: %s; %zu messages wait",
		 SPAN_ARG(dispatch->settings->name), dispatch->why,
		 schedule_waiting_count(&dispatch->schedule));
	for (size_t i = 0; i < ready->count; i++) {
		struct job *job = ready->entries[i].job;

		if (job->queued->envelope != NULL)
			delivery_park(dispatch->delivery, job);
		bounce_settle(dispatch->delivery, job->queued);
		message_rest(dispatch->delivery, job->queued);
	}
}

void
dispatch_came_up(struct dispatch *dispatch)
{
	if (!dispatch->is_down)
		return;
	dispatch->is_down = false;
	schedule_wake_all(&dispatch->schedule, true);
	log_info(dispatch->delivery->environment.log,
		 "route " SPAN_FMT " is up; %zu messages wait",
		 SPAN_ARG(dispatch->settings->name),
		 schedule_waiting_count(&dispatch->schedule));
}

/* ---- Errands: jobs whose envelope has to be read, and that need no connection ---- */

struct errand {
	struct job_load load;
	struct dispatch *dispatch;
	struct list link; /* in the dispatch's errands */
	void (*carry)(struct dispatch *dispatch, struct job *job);
	size_t *count; /* one less when it is over */
};

static void
errand_free(struct errand *errand)
{
	list_remove(&errand->link);
	free(errand);
}

static void
errand_loaded(struct job_load *load, struct job *job, bool is_there)
{
	struct errand *errand = LIST_OWNER(load, struct errand, load);
	struct dispatch *dispatch = errand->dispatch;

	if (is_there)
		errand->carry(dispatch, job);
	else
		(*errand->count)--;
	errand_free(errand);
	dispatch_work(dispatch);
}

/* The job is active. count goes up now; carry makes it go down, now or later. */
static void
errand_start(struct dispatch *dispatch, struct job *job,
	     void (*carry)(struct dispatch *dispatch, struct job *job), size_t *count)
{
	(*count)++;
	if (job->queued->envelope != NULL) {
		carry(dispatch, job);
		return;
	}

	struct errand *errand = memory_new(sizeof(*errand));

	errand->dispatch = dispatch;
	errand->carry = carry;
	errand->count = count;
	list_init(&errand->link);
	list_append(&dispatch->errands, &errand->link);
	job_load_start(&errand->load, dispatch->delivery, job, errand_loaded);
}

static void
errands_drop(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->errands)) {
		struct errand *errand =
		    LIST_OWNER(dispatch->errands.next, struct errand, link);

		(void)job_load_cancel(&errand->load);
		errand_free(errand);
	}
}

/* ---- Messages that grew too old while their route was down ---- */

static void
expired_conclude(struct dispatch *dispatch, struct job *job)
{
	struct delivery *delivery = dispatch->delivery;
	struct handover_place how = {
		.next_hop = span_of(dispatch->hops[dispatch->failed_hop].text),
	};
	struct handover *handover =
	    delivery_handover_new(delivery, job, job->queued->recipient_count);

	dispatch->expiring_count--;
	handover_settle(handover, RESULT_DEFERRED, span_of(dispatch->why));
	delivery_conclude(delivery, &handover, &how);
}

static void
expired_bury(struct dispatch *dispatch)
{
	struct schedule *schedule = &dispatch->schedule;

	while (schedule->ready.count > 0 && dispatch->expiring_count < EXPIRING_MAX &&
	       !bounces_are_full(dispatch->delivery) &&
	       !bounces_are_stuck(dispatch->delivery) &&
	       delivery_is_expired(dispatch->delivery, schedule->ready.entries[0].job))
		errand_start(dispatch, schedule_take(schedule), expired_conclude,
			     &dispatch->expiring_count);
}

/* ---- Work by connections ---- */

struct job *
dispatch_job_take(struct dispatch *dispatch)
{
	struct delivery *delivery = dispatch->delivery;
	int64_t now_ms = loop_now_ms(delivery->environment.loop);

	if (delivery->is_draining || now_ms < dispatch->next_send_ms ||
	    bounces_are_full(delivery))
		return NULL;

	struct job *job = schedule_take(&dispatch->schedule);

	dispatch->patience_until_ms = 0;
	if (job != NULL && dispatch->settings->messages_per_minute > 0)
		dispatch->next_send_ms =
		    now_ms + 60000 / (int64_t)dispatch->settings->messages_per_minute;
	return job;
}

/*
 * Are more jobs ready than the connections in use will soon be free for? Over few
 * connections a message goes behind the dot of another, which is cheaper for both sides.
 */
static bool
jobs_overflow(const struct dispatch *dispatch)
{
	return dispatch->schedule.ready.count > dispatch->depth;
}

/*
 * Should one more connection be opened? Not for jobs that those being opened are for, and
 * not more at once than were greeted before: a next hop shows first that it takes them.
 */
static bool
couriers_are_wanted(const struct dispatch *dispatch)
{
	size_t opening = dispatch->opening_count;
	size_t greeted = dispatch->courier_count - opening;

	return jobs_overflow(dispatch) && opening <= greeted &&
	       dispatch->schedule.ready.count > opening &&
	       dispatch->courier_count < dispatch->settings->connections_max;
}

static void
couriers_load(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->idle)) {
		struct courier *courier =
		    LIST_OWNER(dispatch->idle.next, struct courier, idle);

		if (!smtp_client_is_idle(&courier->client)) { /* it left of its own accord */
			list_remove(&courier->idle);
			continue;
		}
		if (has_better_hop(dispatch, courier->hop)) {
			courier_dismiss(courier);
			continue;
		}

		struct job *job = jobs_overflow(dispatch) ? dispatch_job_take(dispatch) : NULL;

		if (job == NULL)
			return;
		(void)courier_take(courier, job);
	}
}

static void
couriers_send(struct dispatch *dispatch, int64_t now_ms)
{
	while (couriers_are_wanted(dispatch) && now_ms >= dispatch->next_send_ms) {
		struct next_hop *hop = hop_choose(dispatch, now_ms);

		if (hop == NULL)
			return;
		courier_open(dispatch, hop);
	}
}

static void
connections_work(struct dispatch *dispatch, int64_t now_ms)
{
	couriers_load(dispatch);
	better_hops_probe(dispatch, now_ms);
	couriers_send(dispatch, now_ms);
	if (dispatch->courier_count > 0 || dispatch->schedule.ready.count == 0)
		return;
	if (!dispatch->is_down && hop_choose(dispatch, now_ms) == NULL)
		dispatch_went_down(dispatch);
	if (dispatch->is_down)
		expired_bury(dispatch);
}

/* ---- Work by Maildir ---- */

static void
maildir_done(void *context, struct handover *handover)
{
	struct dispatch *dispatch = context;
	struct handover_place how = { .next_hop = dispatch->settings->maildir };

	dispatch->maildir_count--;
	delivery_conclude(dispatch->delivery, &handover, &how);
	dispatch_work(dispatch);
}

static void
maildir_carry(struct dispatch *dispatch, struct job *job)
{
	maildir_deliver(dispatch->delivery->maildir_writer, dispatch->maildir,
			delivery_handover_new(dispatch->delivery, job,
						 job->queued->recipient_count),
			maildir_done, dispatch);
}

static void
maildir_work(struct dispatch *dispatch)
{
	struct job *job;

	while (dispatch->maildir_count < MAILDIR_HANDOVERS_MAX &&
	       (job = dispatch_job_take(dispatch)) != NULL)
		errand_start(dispatch, job, maildir_carry, &dispatch->maildir_count);
}

/* ---- All of it ---- */

void
dispatch_figures_update(const struct dispatch *dispatch)
{
	struct route_figures *figures = dispatch->figures;
	const struct schedule *schedule = &dispatch->schedule;
	size_t waiting = schedule_waiting_count(schedule);
	const struct job *first = schedule_oldest(schedule);
	int64_t oldest = 0;

	if (waiting > 0 && first != NULL)
		oldest = spool_message_info(first->queued->message)->stored_wall_ms;
	atomic_store_explicit(&figures->waiting, waiting, memory_order_relaxed);
	atomic_store_explicit(&figures->in_flight, schedule->active, memory_order_relaxed);
	atomic_store_explicit(&figures->connections_open, dispatch->courier_count,
			      memory_order_relaxed);
	atomic_store_explicit(&figures->oldest_wall_ms, oldest, memory_order_relaxed);
}

/* Jobs are left to connections in use, but not for long. */
static void
patience_begin(struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->schedule.ready.count == 0)
		dispatch->patience_until_ms = 0;
	else if (dispatch->patience_until_ms == 0)
		dispatch->patience_until_ms = now_ms + PATIENCE_MS;
}

/* No job was taken for a while: the connections in use are no comfort after all. */
static void
patience_end(struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->patience_until_ms == 0 || now_ms < dispatch->patience_until_ms)
		return;
	dispatch->patience_until_ms = 0;
	for (struct list *link = dispatch->couriers.next; link != &dispatch->couriers;
	     link = link->next)
		courier_depth_set(LIST_OWNER(link, struct courier, link), 0);
}

/* When a next hop may be tried that there is a reason to try. */
static int64_t
hops_next_ms(const struct dispatch *dispatch)
{
	bool wants_more = couriers_are_wanted(dispatch);
	bool is_served = false;
	int64_t next_ms = INT64_MAX;

	for (size_t i = dispatch->hop_count; i-- > 0;) {
		const struct next_hop *hop = &dispatch->hops[i];
		int64_t hop_ms = next_hop_next_ms(hop);

		if (hop->connected > 0) { /* those behind it do not matter */
			is_served = true;
			next_ms = wants_more ? hop_ms : INT64_MAX;
		} else if ((wants_more || is_served) && hop_ms < next_ms) {
			next_ms = hop_ms;
		}
	}
	return next_ms;
}

/* Come back when something waits for its time alone. */
static void
timer_arm(struct dispatch *dispatch, int64_t now_ms)
{
	struct loop *loop = dispatch->delivery->environment.loop;
	int64_t next_ms = schedule_next_ms(&dispatch->schedule);
	int64_t hop_ms = hops_next_ms(dispatch);

	if (hop_ms < next_ms)
		next_ms = hop_ms;
	if (dispatch->depth > 0 && dispatch->patience_until_ms > now_ms &&
	    dispatch->patience_until_ms < next_ms)
		next_ms = dispatch->patience_until_ms;
	if (dispatch->schedule.ready.count > 0 && dispatch->next_send_ms > now_ms &&
	    dispatch->next_send_ms < next_ms)
		next_ms = dispatch->next_send_ms;
	if (next_ms == INT64_MAX || dispatch->delivery->is_draining)
		loop_timer_cancel(loop, &dispatch->timer);
	else
		loop_timer_set(loop, &dispatch->timer,
			       next_ms > now_ms ? next_ms - now_ms : 1);
}

static void
couriers_bury(struct loop_timer *timer)
{
	struct dispatch *dispatch = LIST_OWNER(timer, struct dispatch, sweep);
	struct list *link;

	while ((link = list_take_first(&dispatch->closed)) != NULL)
		free(LIST_OWNER(link, struct courier, link));
}

void
dispatch_work(struct dispatch *dispatch)
{
	int64_t now_ms = loop_now_ms(dispatch->delivery->environment.loop);

	dispatch->works_again = true;
	if (dispatch->is_working)
		return;
	dispatch->is_working = true;
	patience_end(dispatch, now_ms);
	while (dispatch->works_again) {
		dispatch->works_again = false;
		schedule_wake(&dispatch->schedule, now_ms);
		if (dispatch->delivery->is_draining)
			break;
		if (dispatch->maildir != NULL)
			maildir_work(dispatch);
		else
			connections_work(dispatch, now_ms);
	}
	dispatch->is_working = false;
	patience_begin(dispatch, now_ms);
	timer_arm(dispatch, now_ms);
	dispatch_figures_update(dispatch);
}

static void
dispatch_timer_expired(struct loop_timer *timer)
{
	struct dispatch *dispatch = LIST_OWNER(timer, struct dispatch, timer);

	dispatch_work(dispatch);
}

void
dispatch_drain(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->idle))
		courier_dismiss(LIST_OWNER(dispatch->idle.next, struct courier, idle));
	for (struct list *link = dispatch->couriers.next; link != &dispatch->couriers;) {
		struct courier *courier = LIST_OWNER(link, struct courier, link);

		link = link->next;
		if (courier->is_opening)
			courier_drop(courier);
	}
	dispatch_work(dispatch);
}

void
dispatch_retry_now(struct dispatch *dispatch)
{
	schedule_wake_all(&dispatch->schedule, false);
	for (size_t i = 0; i < dispatch->hop_count; i++)
		next_hop_unpause(&dispatch->hops[i]);
	dispatch_work(dispatch);
}

static void
hops_init(struct dispatch *dispatch)
{
	const struct route_settings *settings = dispatch->settings;
	struct delivery *delivery = dispatch->delivery;

	dispatch->hops = memory_new_array(settings->next_hop_count, sizeof(*dispatch->hops));
	dispatch->hop_count = settings->next_hop_count;
	for (size_t i = 0; i < dispatch->hop_count; i++)
		next_hop_init(&dispatch->hops[i], &settings->next_hops[i],
			      &delivery->tuning.hops, delivery->environment.loop, delivery->environment.dns);
}

bool
dispatch_init(struct dispatch *dispatch, struct delivery *delivery,
	      const struct route_settings *settings, struct route_figures *figures,
	      struct fault *fault)
{
	*dispatch = (struct dispatch){
		.delivery = delivery,
		.settings = settings,
		.figures = figures,
		.timer = { .expired = dispatch_timer_expired },
		.sweep = { .expired = couriers_bury },
	};
	atomic_store_explicit(&figures->dead, 0, memory_order_relaxed); /* counted anew */
	schedule_init(&dispatch->schedule);
	list_init(&dispatch->couriers);
	list_init(&dispatch->idle);
	list_init(&dispatch->closed);
	list_init(&dispatch->errands);
	if (settings->maildir.len == 0) {
		hops_init(dispatch);
		return true;
	}
	dispatch->maildir = maildir_open(settings->maildir, fault);
	return dispatch->maildir != NULL;
}

void
dispatch_halt(struct dispatch *dispatch)
{
	if (dispatch->delivery == NULL)
		return;
	while (!list_is_empty(&dispatch->couriers))
		courier_drop(LIST_OWNER(dispatch->couriers.next, struct courier, link));
	couriers_bury(&dispatch->sweep);
	errands_drop(dispatch);
	loop_timer_cancel(dispatch->delivery->environment.loop, &dispatch->timer);
	loop_timer_cancel(dispatch->delivery->environment.loop, &dispatch->sweep);
	for (size_t i = 0; i < dispatch->hop_count; i++)
		next_hop_reset(&dispatch->hops[i]);
}

void
dispatch_reset(struct dispatch *dispatch)
{
	if (dispatch->delivery == NULL)
		return;
	free(dispatch->hops);
	dispatch->hops = NULL;
	dispatch->hop_count = 0;
	maildir_close(&dispatch->maildir);
	schedule_reset(&dispatch->schedule);
}
