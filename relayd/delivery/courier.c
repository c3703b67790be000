/* SPDX-License-Identifier: ISC */
/* Connections of a route; see courier.h. */
#include "delivery/courier.h"

#include "base/memory.h"
#include "delivery/destination.h"
#include "delivery/passage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A job had better wait for a connection that will be free in so many milliseconds than take
 * one of its own.
 */
#define WAIT_MS	  10
#define DEPTH_MAX 16

/* Behind the dot goes the next message only where messages are taken quickly. */
#define QUICK_MS 500

#define SMTPS_PORT 465 /* TLS from the first octet on; RFC 8314 s.3.3 */

/* With other addresses left to try, an address that does not answer gets less time. */
#define IMPATIENCE 3

static struct courier *
courier_of(struct smtp_client *client)
{
	return LIST_OWNER(client, struct courier, client);
}

void
courier_depth_set(struct courier *courier, size_t depth)
{
	courier->dispatch->depth += depth - courier->depth;
	courier->depth = depth;
}

/* It is busy now; by how long it was so with the last message. */
static void
courier_depth_reckon(struct courier *courier)
{
	int64_t service_ms = smtp_client_service_ms(&courier->client);

	if (service_ms < 0)
		courier_depth_set(courier, 0);
	else
		courier_depth_set(courier, service_ms == 0 ? DEPTH_MAX
							   : (size_t)(WAIT_MS / service_ms));
}

static void
probe_end(struct courier *courier)
{
	if (courier->is_probe)
		destination_probe_count(courier->dispatch, -1);
	courier->is_probe = false;
}

/* It is gone: out of all lists but the one of those to be freed. */
static void
courier_retire(struct courier *courier)
{
	struct dispatch *dispatch = courier->dispatch;

	address_waiter_cancel(&courier->waiter);
	list_remove(&courier->idle);
	list_remove(&courier->link);
	list_append(&dispatch->closed, &courier->link);
	loop_timer_set(dispatch->delivery->environment.loop, &dispatch->sweep, 1);
	dispatch->courier_count--;
	share_give_back(dispatch->share, dispatch->delivery->environment.worker);
	courier_depth_set(courier, 0);
	probe_end(courier);
	if (courier->is_opening) {
		dispatch->opening_count--;
		courier->hop->connecting--;
		courier->is_opening = false;
	} else {
		courier->hop->connected--;
	}
}

static size_t
courier_hop_index(const struct courier *courier)
{
	return (size_t)(courier->hop - courier->dispatch->hops);
}

/* What stands in the way of the route, for those who wait. */
static void
courier_complain(const struct courier *courier, struct span why)
{
	struct dispatch *dispatch = courier->dispatch;

	(void)snprintf(dispatch->why, sizeof(dispatch->why), "%s: " SPAN_FMT,
		       courier->hop->text, SPAN_ARG(why));
	dispatch->failed_hop = courier_hop_index(courier);
}

static void
courier_fail(struct courier *courier, struct span why, enum hop_trouble trouble)
{
	struct dispatch *dispatch = courier->dispatch;
	struct next_hop *hop = courier->hop;
	int64_t now_ms = loop_now_ms(hop->loop);

	courier_complain(courier, why);
	log_write(dispatch->delivery->environment.log,
		  hop->failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		  "route " SPAN_FMT ": %s", SPAN_ARG(dispatch->settings->name), dispatch->why);
	courier_retire(courier);
	if (hop->connected > 0) /* there are too many, or it would be gone for all of them */
		share_halve(dispatch->pace, dispatch->connections_max, now_ms);
	next_hop_failed(hop, now_ms, trouble);
}

/* ---- Setting off ---- */

static size_t
dispatch_index(const struct dispatch *dispatch)
{
	return (size_t)(dispatch->settings - dispatch->delivery->environment.routes);
}

static bool
courier_is_implicit(const struct courier *courier)
{
	return courier->dispatch->settings->is_tls_implicit ||
	       courier->hop->settings->port == SMTPS_PORT;
}

/*
 * What TLS the next hop gets. DANE where its records can be used, and only else what MTA-STS
 * asks for (RFC 8461 s.2), and never less than the route. False and *why: no mail goes there.
 */
static bool
courier_tls_choose(struct courier *courier, struct span *why)
{
	const struct dispatch *dispatch = courier->dispatch;
	enum sts_mode mode = courier->hop->is_fallback ? STS_MODE_NONE
						       : destination_sts_mode(dispatch);

	courier->tls = dispatch->settings->tls;
	courier->policy = NULL;
	if (courier->tls == ROUTE_TLS_DANE && courier->hop->dane.state == DANE_USABLE) {
		courier->policy = "dane";
		return true;
	}
	if (courier->tls == ROUTE_TLS_DANE)
		courier->tls = courier->hop->dane.state == DANE_UNUSABLE
				   ? ROUTE_TLS_REQUIRED
				   : ROUTE_TLS_OPPORTUNISTIC;
	if (mode == STS_MODE_TESTING)
		courier->policy = "mta-sts-testing";
	if (mode != STS_MODE_ENFORCE)
		return true;
	courier->policy = "mta-sts";
	courier->tls = ROUTE_TLS_VERIFY;
	if (destination_sts_allows(dispatch, courier->hop))
		return true;
	*why = span_of("4.7.5 the domain's MTA-STS policy does not allow this mail exchanger");
	return false;
}

/* Did the connection keep to the policy? What enforces one is no connection otherwise. */
static bool
courier_meets_policy(const struct courier *courier)
{
	return courier->policy != NULL && courier->client.tls.is_verified &&
	       destination_sts_allows(courier->dispatch, courier->hop);
}

/* ---- Is it ourselves? ---- */

static bool
is_own_endpoint(const struct ip_endpoint *own, const struct ip_endpoint *to)
{
	static const struct ip any_v6 = { { 0 } };
	struct ip any_v4;
	bool is_any = ip_compare(&own->ip, &any_v6) == 0 ||
		      (ip_parse(span_of("0.0.0.0"), &any_v4) == PARSE_OK &&
		       ip_compare(&own->ip, &any_v4) == 0);

	return own->port == to->port &&
	       (ip_compare(&own->ip, &to->ip) == 0 || (is_any && ip_is_loopback(&to->ip)));
}

static bool
is_ourselves(const struct courier *courier, const struct ip *ip)
{
	const struct delivery_environment *environment =
	    &courier->dispatch->delivery->environment;
	const struct ip_endpoint to = { .ip = *ip, .port = courier->hop->settings->port };

	for (size_t i = 0; i < environment->own_endpoint_count; i++) {
		if (is_own_endpoint(&environment->own_endpoints[i], &to))
			return true;
	}
	return false;
}

/* Mail exchangers come from DNS, where anything may stand: without our own addresses. */
static void
own_addresses_remove(struct courier *courier)
{
	size_t kept = 0;

	for (size_t i = 0; i < courier->address_count; i++) {
		if (!is_ourselves(courier, &courier->addresses[i]))
			courier->addresses[kept++] = courier->addresses[i];
	}
	courier->address_count = kept;
}

/* What the connection is to be. Spans borrow from settings. */
static struct smtp_client_plan
courier_plan(const struct courier *courier)
{
	const struct delivery_environment *environment =
	    &courier->dispatch->delivery->environment;
	const struct route_settings *route = courier->dispatch->settings;
	size_t index = dispatch_index(courier->dispatch);
	struct span host = courier->hop->settings->host;
	struct smtp_client_plan plan = { .tls = ROUTE_TLS_NONE };

	if (environment->upstream == NULL)
		return plan;
	if (!courier->is_clear && courier->tls != ROUTE_TLS_NONE) {
		plan.tls = courier->tls;
		plan.is_tls_implicit = courier_is_implicit(courier);
		plan.request = (struct tls_request){
			.client = upstream_tls(environment->upstream),
			.route = index,
			.name = route->tls_name.len > 0 ? route->tls_name : host,
			.check = courier->tls == ROUTE_TLS_VERIFY ? TLS_CHECK_NAME
								  : TLS_CHECK_NOTHING,
		};
		if (courier->tls == ROUTE_TLS_DANE) {
			plan.request.name = host;
			plan.request.check = TLS_CHECK_DANE;
			plan.request.tlsa = &courier->hop->dane.set;
			plan.request.other_name = destination_domain(courier->dispatch);
		}
	}
	if (route->auth.token.endpoint != NULL) {
		plan.tokens = environment->tokens;
		plan.route = index;
		plan.token_mechanism = route->auth.token_mechanism;
		plan.login = (struct login_credential){ .host = host, .user = route->auth.user };
	}
	if (route->auth.mechanisms != 0) {
		plan.sasl = environment->login;
		plan.mechanisms = route->auth.mechanisms;
		plan.login = (struct login_credential){
			.host = host,
			.user = route->auth.user,
			.password = upstream_password(environment->upstream, index),
		};
	}
	return plan;
}

/* Try the addresses from address_at on; it failed when none is left. */
static void
courier_connect(struct courier *courier, struct span why, enum hop_trouble trouble)
{
	int64_t within_ms = courier->dispatch->delivery->tuning.timeouts.connect_ms;
	struct smtp_client_plan plan = courier_plan(courier);
	struct fault fault;

	for (; courier->address_at < courier->address_count; courier->address_at++) {
		struct ip_endpoint to = {
			.ip = courier->addresses[courier->address_at],
			.port = courier->hop->settings->port,
		};
		bool is_last = courier->address_at + 1 == courier->address_count;

		if (smtp_client_connect(&courier->client, &to, &plan,
					is_last ? within_ms : within_ms / IMPATIENCE, &fault))
			return;
		why = span_of(fault_text(&fault));
		trouble = HOP_HAS_NO_CONNECTION;
	}
	courier_fail(courier, why, trouble);
}

static void
courier_set_off(struct courier *courier)
{
	const struct next_hop *hop = courier->hop;
	struct dispatch *dispatch = courier->dispatch;
	struct span why;

	courier->address_count = hop->address_count;
	memcpy(courier->addresses, hop->addresses, sizeof(courier->addresses));
	if (courier->dispatch->parent != NULL && !hop->is_fallback)
		own_addresses_remove(courier);
	if (courier->address_count == 0 && hop->address_count > 0) {
		destination_found_self(courier->dispatch, hop);
		courier_fail(courier, span_of("4.4.6 it is this host: mail would go in circles"),
			     HOP_HAS_NO_CONNECTION);
		dispatch_work(dispatch);
		return;
	}
	if (!courier_tls_choose(courier, &why)) {
		courier_fail(courier, why, HOP_HAS_NO_TLS);
		return;
	}
	courier_connect(courier, span_of("4.4.4 no address"), HOP_HAS_NO_CONNECTION);
}

static void
courier_resolved(struct address_waiter *waiter, struct span why)
{
	struct courier *courier = LIST_OWNER(waiter, struct courier, waiter);
	struct dispatch *dispatch = courier->dispatch;

	if (why.len > 0)
		courier_fail(courier, why, HOP_HAS_NO_CONNECTION);
	else
		courier_set_off(courier);
	dispatch_work(dispatch);
}

void
courier_open(struct dispatch *dispatch, struct next_hop *hop)
{
	struct courier *courier = memory_new(sizeof(*courier));

	courier->dispatch = dispatch;
	courier->hop = hop;
	courier->is_opening = true;
	courier->waiter.done = courier_resolved;
	list_init(&courier->waiter.link);
	list_init(&courier->idle);
	list_init(&courier->link);
	list_append(&dispatch->couriers, &courier->link);
	smtp_client_init(&courier->client, &dispatch->delivery->clients);
	dispatch->courier_count++;
	dispatch->opening_count++;
	courier->is_probe = dispatch->parent != NULL && hop->failures > 0;
	if (courier->is_probe)
		destination_probe_count(dispatch, 1);
	hop->connecting++;
	if (next_hop_resolve(hop, &courier->waiter) == ADDRESSES_KNOWN)
		courier_set_off(courier);
}

/* ---- Carrying ---- */

static struct handover_place
courier_place(const struct courier *courier)
{
	return (struct handover_place){
		.next_hop = span_of(courier->hop->text),
		.peer = courier->client.peer,
		.tls = courier->client.tls.version == NULL ? NULL : &courier->client.tls,
		.hop = courier_hop_index(courier),
		.policy = courier->policy,
		.is_policy_met = courier_meets_policy(courier),
	};
}

/* The envelope is there: pass the job on. False: nothing was passed on. */
static bool
courier_carry(struct courier *courier, struct job *job)
{
	struct delivery *delivery = courier->dispatch->delivery;
	struct smtp_client *client = &courier->client;
	struct handover *handover =
	    delivery_handover_new(delivery, job, smtp_client_recipients_max(client));
	struct span refusal;

	if (!smtp_client_must_refuse(client, handover->envelope, &refusal)) {
		courier->hop->carried++;
		smtp_client_give(client, handover);
		return true;
	}
	handover_settle(handover, RESULT_FAILED, refusal);

	struct handover_place how = courier_place(courier);

	delivery_conclude(delivery, &handover, &how);
	return false;
}

static void
courier_rest(struct courier *courier)
{
	struct dispatch *dispatch = courier->dispatch;

	if (!smtp_client_is_idle(&courier->client) || courier->load.job != NULL)
		return;
	courier_depth_set(courier, 0);
	if (smtp_client_is_worn(&courier->client) || dispatch->delivery->is_draining)
		courier_dismiss(courier);
	else if (!list_is_linked(&courier->idle))
		list_prepend(&dispatch->idle, &courier->idle);
}

static void
courier_loaded(struct job_load *load, struct job *job, bool is_there)
{
	struct courier *courier = LIST_OWNER(load, struct courier, load);
	struct dispatch *dispatch = courier->dispatch;

	if (is_there && !smtp_client_has_room(&courier->client))
		schedule_ready(&dispatch->schedule, job);
	else if (is_there)
		(void)courier_carry(courier, job);
	courier_rest(courier);
	dispatch_work(dispatch);
}

bool
courier_take(struct courier *courier, struct job *job)
{
	assert(courier->load.job == NULL && smtp_client_has_room(&courier->client));
	list_remove(&courier->idle);
	courier_depth_reckon(courier);
	if (job->queued->envelope != NULL) {
		if (courier_carry(courier, job))
			return true;
		courier_rest(courier);
		return false;
	}
	job_load_start(&courier->load, courier->dispatch->delivery, job, courier_loaded);
	return true;
}

void
courier_pass(struct courier *courier, struct passage *passage)
{
	struct handover *handover = passage_board(passage, courier);
	struct span refusal;

	if (handover == NULL)
		return;
	if (smtp_client_must_refuse(&courier->client, handover->envelope, &refusal)) {
		struct handover_place how = courier_place(courier);

		handover_settle(handover, RESULT_FAILED, refusal);
		passage_arrive(passage, handover, &how);
		return;
	}
	list_remove(&courier->idle);
	courier_depth_reckon(courier);
	courier->hop->carried++;
	smtp_client_give(&courier->client, handover);
}

void
courier_dismiss(struct courier *courier)
{
	list_remove(&courier->idle);
	smtp_client_quit(&courier->client);
}

void
courier_drop(struct courier *courier)
{
	(void)job_load_cancel(&courier->load);
	handover_free(&courier->client.now.handover);
	handover_free(&courier->client.next.handover);
	smtp_client_close(&courier->client);
	courier_retire(courier);
}

/* ---- Events of the client ---- */

static void
courier_is_ready(struct smtp_client *client)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;

	courier->is_opening = false;
	probe_end(courier);
	dispatch->opening_count--;
	courier->hop->connecting--;
	courier->hop->connected++;
	if (courier->hop->failures > 0)
		log_info(dispatch->delivery->environment.log,
			 "route " SPAN_FMT ": %s answers again",
			 SPAN_ARG(dispatch->settings->name), courier->hop->text);
	next_hop_succeeded(courier->hop);
	next_hop_prefer(courier->hop, &client->peer.ip);
	dispatch_came_up(dispatch);
	courier_rest(courier);
	dispatch_work(dispatch);
}

/* All connections are busy, or none would be ready: one more job may go behind the dot. */
static void
courier_has_room(struct smtp_client *client)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;
	struct job *job;

	if (smtp_client_service_ms(client) < 0 || smtp_client_service_ms(client) > QUICK_MS ||
	    !dispatch_courier_may_go_on(dispatch, courier))
		return;
	while (courier->load.job == NULL && smtp_client_has_room(client) &&
	       (job = dispatch_job_take(dispatch)) != NULL) {
		if (courier_take(courier, job))
			break;
	}
}

/* What the handover tells of the pace that the next hop bears. */
static void
courier_learn(struct courier *courier, const struct handover *handover)
{
	struct dispatch *dispatch = courier->dispatch;
	uint32_t max = dispatch->connections_max;
	int64_t now_ms = loop_now_ms(courier->hop->loop);

	if (handover->is_throttled) {
		courier_complain(courier, handover_trouble(handover));
		next_hop_throttle(courier->hop, now_ms);
	}
	if (handover->is_throttled || handover->was_cut) {
		share_halve(dispatch->pace, max, now_ms);
	} else if (handover_delivered_any(handover)) {
		share_grow(dispatch->pace, max);
		next_hop_took(courier->hop);
	}
}

static void
courier_finished(struct smtp_client *client, struct handover *handover)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;
	struct handover_place how = courier_place(courier);

	courier_learn(courier, handover);
	if (handover->passage != NULL)
		passage_arrive(handover->passage, handover, &how);
	else
		delivery_conclude(dispatch->delivery, &handover, &how);
	if (client->state != CLIENT_CLOSED)
		courier_depth_reckon(courier); /* unless it rests now */
	courier_rest(courier);
	dispatch_work(dispatch);
}

/*
 * The server never greeted us. TLS that may fail is left out at the second try, another
 * address may answer; but a login that was refused is refused everywhere.
 */
static void
courier_try_on(struct courier *courier, struct span why)
{
	static const enum hop_trouble troubles[] = {
		[TROUBLE_NONE] = HOP_HAS_NO_CONNECTION,
		[TROUBLE_CONNECT] = HOP_HAS_NO_CONNECTION,
		[TROUBLE_TLS] = HOP_HAS_NO_TLS,
		[TROUBLE_LOGIN] = HOP_REFUSES_LOGIN,
	};
	struct dispatch *dispatch = courier->dispatch;
	enum hop_trouble trouble = troubles[smtp_client_trouble(&courier->client)];

	if (trouble == HOP_HAS_NO_TLS)
		figure_add(&dispatch->figures->tls_failures, 1);
	if (trouble == HOP_REFUSES_LOGIN) {
		figure_add(&dispatch->figures->login_failures, 1);
		courier_fail(courier, why, trouble);
		return;
	}
	if (trouble == HOP_HAS_NO_TLS && !courier->is_clear &&
	    courier->tls == ROUTE_TLS_OPPORTUNISTIC &&
	    !courier_is_implicit(courier)) {
		log_info(dispatch->delivery->environment.log,
			 "route " SPAN_FMT ": %s: " SPAN_FMT "; going on without TLS",
			 SPAN_ARG(dispatch->settings->name), courier->hop->text,
			 SPAN_ARG(why));
		courier->is_clear = true;
	} else {
		courier->is_clear = false;
		courier->address_at++;
	}
	courier_connect(courier, why, trouble);
}

static void
courier_ended(struct smtp_client *client, bool was_greeted, struct span why)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;

	if (was_greeted) {
		struct job *job = job_load_cancel(&courier->load);

		if (job != NULL)
			schedule_ready(&dispatch->schedule, job);
		if (why.len > 0)
			log_info(dispatch->delivery->environment.log,
				 "route " SPAN_FMT ": %s: " SPAN_FMT,
				 SPAN_ARG(dispatch->settings->name), courier->hop->text,
				 SPAN_ARG(why));
		courier_retire(courier);
	} else {
		courier_try_on(courier, why);
	}
	dispatch_work(dispatch);
}

const struct smtp_client_events courier_events = {
	.ready = courier_is_ready,
	.has_room = courier_has_room,
	.finished = courier_finished,
	.ended = courier_ended,
};
