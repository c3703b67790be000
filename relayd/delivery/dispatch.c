/* SPDX-License-Identifier: ISC */
/* The work of one route; see dispatch.h. */
#include "delivery/dispatch.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"
#include "delivery/destination.h"
#include "delivery/detour.h"
#include "delivery/passage.h"

#include <assert.h>
#include <stdlib.h>

#define PATIENCE_MS 20 /* no job was taken for so long: use more connections */
#define POLL_MS	    50 /* how often to see whether other workers make room */
#define TURN_MAX    20 /* messages of a connection that another worker waits for */

/* ---- Which next hop ---- */

/* Balanced: where there are the fewest connections and the fewest messages went. */
static struct next_hop *
hop_choose_balanced(const struct dispatch *dispatch, int64_t now_ms)
{
	struct next_hop *best = NULL;

	for (size_t i = 0; i < dispatch->hop_count; i++) {
		struct next_hop *hop = &dispatch->hops[i];
		unsigned count = hop->connected + hop->connecting;

		if (!next_hop_may_connect(hop, now_ms))
			continue;
		if (best == NULL || count < best->connected + best->connecting ||
		    (count == best->connected + best->connecting &&
		     hop->carried < best->carried))
			best = hop;
	}
	return best;
}

struct next_hop *
dispatch_hop_choose(const struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->settings->is_balanced)
		return hop_choose_balanced(dispatch, now_ms);
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		struct next_hop *hop = &dispatch->hops[i];

		if (next_hop_may_connect(hop, now_ms))
			return hop;
		if (hop->connected > 0 && !next_hop_is_throttled(hop, now_ms))
			return NULL;
	}
	return NULL;
}

/* In order: is a next hop before this one in good health again? */
static bool
has_better_hop(const struct dispatch *dispatch, const struct next_hop *hop, int64_t now_ms)
{
	if (dispatch->settings->is_balanced)
		return false;
	for (const struct next_hop *better = dispatch->hops; better < hop; better++) {
		if (better->failures == 0 && !next_hop_is_throttled(better, now_ms))
			return true;
	}
	return false;
}

/* Balanced: one that no message goes to is seen to as soon as there is one. */
static void
unused_hops_open(struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->schedule.ready.count == 0)
		return;
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		struct next_hop *hop = &dispatch->hops[i];

		if (hop->connected + hop->connecting == 0 &&
		    next_hop_may_connect(hop, now_ms))
			(void)dispatch_courier_open(dispatch, hop);
	}
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

		if (hop->failures > 0 && next_hop_may_connect(hop, now_ms) &&
		    !dispatch_courier_open(dispatch, hop))
			dispatch->needs_place = true;
	}
}

int64_t
dispatch_next_try_ms(const struct dispatch *dispatch)
{
	int64_t next_ms = destination_next_ms(dispatch);

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
		 SPAN_ARG(dispatch->name), dispatch->why,
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
		 SPAN_ARG(dispatch->name),
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

void
dispatch_errand(struct dispatch *dispatch, struct job *job,
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
		.next_hop = dispatch_failed_name(dispatch),
		.hop = NO_HOP,
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

	while (schedule->ready.count > 0 && dispatch->expiring_count < DISPATCH_ERRANDS_MAX &&
	       !bounces_are_full(dispatch->delivery) &&
	       !bounces_are_stuck(dispatch->delivery) &&
	       delivery_is_expired(dispatch->delivery, schedule->ready.entries[0].job))
		dispatch_errand(dispatch, schedule_take(schedule), expired_conclude,
				&dispatch->expiring_count);
}

void
dispatch_defer(struct dispatch *dispatch)
{
	struct schedule *schedule = &dispatch->schedule;

	if (!dispatch->is_down)
		log_info(dispatch->delivery->environment.log, "route " SPAN_FMT " is down: %s",
			 SPAN_ARG(dispatch->name), dispatch->why);
	dispatch->is_down = true;
	while (schedule->ready.count > 0 && dispatch->expiring_count < DISPATCH_ERRANDS_MAX &&
	       !bounces_are_full(dispatch->delivery))
		dispatch_errand(dispatch, schedule_take(schedule), expired_conclude,
				&dispatch->expiring_count);
}

/* ---- Work by connections ---- */

bool
dispatch_message_allow(struct dispatch *dispatch)
{
	return share_message_take(dispatch->share, dispatch->settings->messages_per_minute,
				  loop_now_ms(dispatch->delivery->environment.loop));
}

struct job *
dispatch_job_take(struct dispatch *dispatch)
{
	if (dispatch->delivery->is_draining || dispatch->schedule.ready.count == 0 ||
	    bounces_are_full(dispatch->delivery) || !dispatch_message_allow(dispatch))
		return NULL;
	dispatch->patience_until_ms = 0;
	return schedule_take(&dispatch->schedule);
}

bool
dispatch_courier_open(struct dispatch *dispatch, struct next_hop *hop)
{
	if (!destination_may_probe(dispatch, hop) ||
	    !share_take(dispatch->share, dispatch->delivery->environment.worker,
			dispatch->settings->connections_max)) {
		dispatch->is_starved = true;
		return false;
	}
	courier_open(dispatch, hop);
	return true;
}

/* Another worker has mail and no connection: it has its turn now. */
static bool
is_others_turn(const struct dispatch *dispatch, const struct courier *courier)
{
	if (!share_is_wanted(dispatch->share, dispatch->delivery->environment.worker) &&
	    !destination_others_want(dispatch))
		return false;
	return dispatch->schedule.ready.count == 0 ||
	       courier->client.transactions >= TURN_MAX;
}

bool
dispatch_courier_may_go_on(struct dispatch *dispatch, const struct courier *courier)
{
	int64_t now_ms = loop_now_ms(dispatch->delivery->environment.loop);

	return !dispatch->needs_place && !destination_is_stale(dispatch, now_ms) &&
	       !is_others_turn(dispatch, courier) &&
	       !next_hop_is_throttled(courier->hop, now_ms);
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
	       dispatch->courier_count <
		   share_window(dispatch->pace, dispatch->connections_max);
}

struct courier *
dispatch_courier_choose(struct dispatch *dispatch, int64_t now_ms)
{
	struct courier *best = NULL;
	struct list *next;

	for (struct list *l = dispatch->idle.next; l != &dispatch->idle; l = next) {
		struct courier *courier = LIST_OWNER(l, struct courier, idle);

		next = l->next;
		if (!smtp_client_is_idle(&courier->client)) { /* it left of its own accord */
			list_remove(&courier->idle);
		} else if (dispatch->needs_place || is_others_turn(dispatch, courier) ||
			   has_better_hop(dispatch, courier->hop, now_ms)) {
			courier_dismiss(courier);
			dispatch->needs_place = false;
		} else if (!next_hop_is_throttled(courier->hop, now_ms) &&
			   (best == NULL ||
			    (dispatch->settings->is_balanced &&
			     courier->hop->carried < best->hop->carried))) {
			best = courier;
		}
	}
	return best;
}

static void
couriers_load(struct dispatch *dispatch, int64_t now_ms)
{
	struct courier *courier;

	while ((courier = dispatch_courier_choose(dispatch, now_ms)) != NULL) {
		struct job *job = jobs_overflow(dispatch) ? dispatch_job_take(dispatch) : NULL;

		if (job == NULL)
			return;
		(void)courier_take(courier, job);
	}
}

static void
couriers_send(struct dispatch *dispatch, int64_t now_ms)
{
	while (couriers_are_wanted(dispatch) && now_ms >= share_next_send_ms(dispatch->share)) {
		struct next_hop *hop = dispatch_hop_choose(dispatch, now_ms);

		if (hop == NULL || !dispatch_courier_open(dispatch, hop))
			return;
	}
}

static void
connections_work(struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->destinations != NULL) {
		destinations_work(dispatch);
		return;
	}
	if (dispatch->parent != NULL && !destination_prepare(dispatch, now_ms))
		return;
	passages_work(dispatch, now_ms);
	detours_work(dispatch, now_ms);
	if (dispatch->settings->is_balanced)
		unused_hops_open(dispatch, now_ms);
	couriers_load(dispatch, now_ms);
	better_hops_probe(dispatch, now_ms);
	couriers_send(dispatch, now_ms);
	if (dispatch->courier_count > 0 || dispatch->schedule.ready.count == 0)
		return;
	if (dispatch->parent != NULL) {
		if (dispatch_hop_choose(dispatch, now_ms) == NULL)
			dispatch_defer(dispatch);
		return;
	}
	if (!dispatch->is_down && dispatch_hop_choose(dispatch, now_ms) == NULL)
		dispatch_went_down(dispatch);
	if (dispatch->is_down)
		expired_bury(dispatch);
}

/* ---- Work by Maildir ---- */

static void
maildir_done(void *context, struct handover *handover)
{
	struct dispatch *dispatch = context;
	struct handover_place how = { .next_hop = dispatch->settings->maildir,
				      .hop = NO_HOP };

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
		dispatch_errand(dispatch, job, maildir_carry, &dispatch->maildir_count);
}

/* ---- All of it ---- */

static void
hop_figures_update(struct hop_figures *figures, const struct next_hop *hop)
{
	int64_t now_ms = loop_now_ms(hop->loop);
	enum hop_trouble trouble = hop->trouble;
	int64_t until_ms = hop->failures == 0 ? 0 : hop->paused_until_ms;

	if (next_hop_is_throttled(hop, now_ms) && hop->throttled_until_ms > until_ms) {
		trouble = HOP_THROTTLES;
		until_ms = hop->throttled_until_ms;
	}
	if (until_ms != 0)
		until_ms += loop_wall_ms(hop->loop) - now_ms;
	atomic_store_explicit(&figures->trouble, (uint32_t)trouble, memory_order_relaxed);
	atomic_store_explicit(&figures->paused_until_wall_ms, until_ms, memory_order_relaxed);
	atomic_store_explicit(&figures->connections, hop->connected, memory_order_relaxed);
}

/* Several dispatches count in one place: each adds what has changed. */
static void
figures_add(struct dispatch *dispatch)
{
	struct route_figures *figures = dispatch->figures;
	uint64_t waiting = schedule_waiting_count(&dispatch->schedule);

	figure_add(&figures->waiting, waiting - dispatch->told.waiting);
	figure_add(&figures->in_flight, dispatch->schedule.active - dispatch->told.in_flight);
	if (dispatch->destinations != NULL)
		atomic_store_explicit(&figures->held, dispatch->schedule.held.count,
				      memory_order_relaxed);
	figure_add(&figures->connections_open,
		   dispatch->courier_count - dispatch->told.connections);
	dispatch->told.waiting = waiting;
	dispatch->told.in_flight = dispatch->schedule.active;
	dispatch->told.connections = dispatch->courier_count;
	destinations_figures_update(dispatch);
}

void
dispatch_figures_update(struct dispatch *dispatch)
{
	if (dispatch->parent != NULL || dispatch->destinations != NULL) {
		figures_add(dispatch);
		return;
	}

	struct route_figures *figures = dispatch->figures;
	const struct schedule *schedule = &dispatch->schedule;
	size_t waiting = schedule_waiting_count(schedule);
	const struct job *first = schedule_oldest(schedule);
	int64_t oldest = 0;

	if (waiting > 0 && first != NULL)
		oldest = spool_message_info(first->queued->message)->stored_wall_ms;
	atomic_store_explicit(&figures->waiting, waiting, memory_order_relaxed);
	atomic_store_explicit(&figures->held, schedule->held.count, memory_order_relaxed);
	atomic_store_explicit(&figures->in_flight, schedule->active, memory_order_relaxed);
	atomic_store_explicit(&figures->connections_open, dispatch->courier_count,
			      memory_order_relaxed);
	atomic_store_explicit(&figures->oldest_wall_ms, oldest, memory_order_relaxed);
	for (size_t i = 0; i < dispatch->hop_count; i++)
		hop_figures_update(&figures->hops[i], &dispatch->hops[i]);
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

static int64_t
earlier_of(int64_t a_ms, int64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* When there may be more messages, connections or places for what is ready. */
static int64_t
leave_next_ms(const struct dispatch *dispatch, int64_t now_ms)
{
	bool has_work = dispatch->schedule.ready.count + dispatch->detour_count > 0;
	bool is_idle = !list_is_empty(&dispatch->idle);
	int64_t send_ms = share_next_send_ms(dispatch->share);
	int64_t next_ms = INT64_MAX;

	if (has_work && send_ms > now_ms)
		next_ms = send_ms;
	if ((has_work && (dispatch->is_starved || dispatch->needs_place)) ||
	    (is_idle && share_held(dispatch->share) >=
			    share_window(dispatch->share,
					 dispatch->settings->connections_max)))
		next_ms = earlier_of(next_ms, now_ms + POLL_MS);
	for (size_t i = 0; has_work && i < dispatch->hop_count; i++) {
		if (next_hop_is_throttled(&dispatch->hops[i], now_ms))
			next_ms = earlier_of(next_ms, dispatch->hops[i].throttled_until_ms);
	}
	return next_ms;
}

/* Come back when something waits for its time alone. */
static void
timer_arm(struct dispatch *dispatch, int64_t now_ms)
{
	struct loop *loop = dispatch->delivery->environment.loop;
	int64_t next_ms = schedule_next_ms(&dispatch->schedule);
	int64_t hop_ms = earlier_of(hops_next_ms(dispatch), destination_next_ms(dispatch));

	if (hop_ms < next_ms)
		next_ms = hop_ms;
	if (dispatch->depth > 0 && dispatch->patience_until_ms > now_ms &&
	    dispatch->patience_until_ms < next_ms)
		next_ms = dispatch->patience_until_ms;
	next_ms = earlier_of(next_ms, leave_next_ms(dispatch, now_ms));
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
	dispatch->is_starved = false;
	dispatch->needs_place = false;
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
	if (dispatch->parent == NULL && dispatch->destinations == NULL)
		share_want(dispatch->share, dispatch->delivery->environment.worker,
			   dispatch->is_starved && dispatch->courier_count == 0);
	else
		destination_want(dispatch, dispatch->is_starved && dispatch->courier_count == 0);
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
dispatch_poke(struct dispatch *dispatch)
{
	if (!dispatch->delivery->is_draining)
		loop_timer_set(dispatch->delivery->environment.loop, &dispatch->timer, 0);
}

struct span
dispatch_failed_name(const struct dispatch *dispatch)
{
	if (dispatch->failed_hop < dispatch->hop_count)
		return span_of(dispatch->hops[dispatch->failed_hop].text);
	return destination_domain(dispatch);
}

size_t
dispatch_active_count(const struct dispatch *dispatch)
{
	return dispatch->schedule.active + destinations_active_count(dispatch);
}

void
dispatch_drain(struct dispatch *dispatch)
{
	destinations_each(dispatch, dispatch_drain);
	passages_return(dispatch);
	detours_return(dispatch);
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
dispatch_hops_unpause(struct dispatch *dispatch)
{
	destination_forgive(dispatch);
	destinations_each(dispatch, dispatch_retry_now);
	for (size_t i = 0; i < dispatch->hop_count; i++)
		next_hop_unpause(&dispatch->hops[i]);
}

void
dispatch_retry_now(struct dispatch *dispatch)
{
	schedule_wake_all(&dispatch->schedule, false);
	dispatch_hops_unpause(dispatch);
	dispatch_work(dispatch);
}

static void
hops_init(struct dispatch *dispatch)
{
	const struct route_settings *settings = dispatch->settings;
	struct delivery *delivery = dispatch->delivery;

	dispatch->hops = memory_new_array(settings->next_hop_count, sizeof(*dispatch->hops));
	dispatch->hop_count = settings->next_hop_count;
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		next_hop_init(&dispatch->hops[i], &settings->next_hops[i],
			      &delivery->tuning.hops, delivery->environment.loop, delivery->environment.dns);
		if (settings->tls == ROUTE_TLS_DANE)
			next_hop_want_dane(&dispatch->hops[i]);
	}
}

static void
lists_init(struct dispatch *dispatch)
{
	schedule_init(&dispatch->schedule);
	list_init(&dispatch->couriers);
	list_init(&dispatch->idle);
	list_init(&dispatch->closed);
	list_init(&dispatch->errands);
	list_init(&dispatch->detours);
	list_init(&dispatch->passages);
}

void
dispatch_init_below(struct dispatch *dispatch, struct dispatch *parent, struct span name,
		    struct route_share *pace)
{
	uint32_t max = parent->settings->connections_max;

	*dispatch = (struct dispatch){
		.delivery = parent->delivery,
		.settings = parent->settings,
		.name = name,
		.figures = parent->figures,
		.parent = parent,
		.share = parent->share,
		.pace = pace,
		.connections_max = max - max / 2,
		.timer = { .expired = dispatch_timer_expired },
		.sweep = { .expired = couriers_bury },
	};
	lists_init(dispatch);
}

bool
dispatch_init(struct dispatch *dispatch, struct delivery *delivery,
	      const struct route_settings *settings, struct route_figures *figures,
	      struct route_share *share, struct fault *fault)
{
	*dispatch = (struct dispatch){
		.delivery = delivery,
		.settings = settings,
		.name = settings->name,
		.figures = figures,
		.share = share,
		.pace = share,
		.connections_max = settings->connections_max,
		.timer = { .expired = dispatch_timer_expired },
		.sweep = { .expired = couriers_bury },
	};
	atomic_store_explicit(&figures->dead, 0, memory_order_relaxed); /* counted anew */
	lists_init(dispatch);
	if (settings->has_mx) {
		dispatch->destinations = destinations_new(dispatch);
		return true;
	}
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
	destinations_free(&dispatch->destinations);
	assert(list_is_empty(&dispatch->passages)); /* their owners dropped them */
	while (!list_is_empty(&dispatch->couriers))
		courier_drop(LIST_OWNER(dispatch->couriers.next, struct courier, link));
	couriers_bury(&dispatch->sweep);
	errands_drop(dispatch);
	detours_drop(dispatch);
	if (dispatch->parent == NULL)
		share_want(dispatch->share, dispatch->delivery->environment.worker, false);
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
