/* SPDX-License-Identifier: ISC */
/* Domains of a route to mail exchangers; see destination.h. */
#define _DEFAULT_SOURCE /* arc4random */
#include "delivery/destination.h"

#include "base/memory.h"
#include "base/table.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"
#include "delivery/detour.h"
#include "delivery/mx.h"
#include "delivery/sts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_MAX_MS   300000 /* how long a domain without mail is kept */
#define SWEEP_MS      30000
#define FIGURES_MS    1000
#define PAUSES	      10 /* a dead domain is left alone so many times longer than a next hop */
#define STS_POLL_MS   10
#define STS_WITHIN_MS 30000
#define STS_PREFIX    "_mta-sts." /* RFC 8461 s.3.1 */
#define STS_NAME_SIZE (sizeof(STS_PREFIX) + DOMAIN_MAX)

enum phase {
	PHASE_UNKNOWN,
	PHASE_ASKING,
	PHASE_READY,   /* there are next hops */
	PHASE_REFUSED, /* the domain takes no mail */
	PHASE_TROUBLE, /* could not look */
};

/* What its MTA-STS policy is, while that is being found out. */
struct sts_search {
	struct destination *owner;
	char id[STS_ID_MAX + 1]; /* of the TXT record; empty: there is none */
	struct dns_query *query;
	char host[STS_NAME_SIZE];
	struct next_hop_settings host_settings;
	struct next_hop hop; /* the host that has the policy, for its addresses */
	struct address_waiter waiter;
	struct loop_timer timer;
	struct sts_wish wish;
	bool is_asked;
	uint32_t number; /* of what was known before */
	int64_t until_ms;
};

struct destination {
	struct dispatch dispatch;
	struct list link; /* in the destinations' list, the least recently used first */
	struct mx_domain domain;
	char name[DOMAIN_MAX + 300]; /* "ROUTE to DOMAIN" */
	struct route_share pace;
	struct next_hop_tuning tuning;

	enum phase phase;
	int64_t until_ms; /* how long the phase holds; of a pause, when it is over */
	int64_t pause_ms;
	enum mx_verdict verdict;

	struct dns_query *mx_query;
	struct sts_search *search; /* while that is under way, or NULL */
	struct mx_list *found;	   /* the same */
	bool is_secure;		   /* DNSSEC vouches for what was found */
	uint32_t ttl_s;

	struct next_hop *hops; /* as made; the dispatch may use fewer */
	struct next_hop_settings *hop_settings;
	char (*hop_names)[DNS_NAME_MAX + 1];
	bool *hop_is_allowed;  /* by the policy */
	size_t hops_made;
	enum sts_mode sts_mode;
	bool wants; /* a connection that others have */
	int64_t used_ms;
};

struct destinations {
	struct dispatch *route;
	struct table by_name; /* of struct destination */
	struct list all;
	size_t count;
	size_t loading;	 /* jobs whose envelopes are read for their domain */
	size_t wanting;	 /* domains that want a connection */
	size_t probing;	 /* connections to domains that failed before */
	bool is_full;
	int64_t told_ms; /* when the figures were last made */
	struct loop_timer sweep;
};

static struct destination *
destination_of(const struct dispatch *dispatch)
{
	return dispatch->destination;
}

static struct loop *
loop_of(const struct dispatch *dispatch)
{
	return dispatch->delivery->environment.loop;
}

static struct destinations *
siblings_of(const struct dispatch *dispatch)
{
	return dispatch->parent->destinations;
}

/* ---- Next hops ---- */

static void
search_free(struct destination *d)
{
	struct sts_search *search = d->search;

	if (search == NULL)
		return;
	dns_cancel(&search->query);
	address_waiter_cancel(&search->waiter);
	if (search->hop.loop != NULL)
		next_hop_reset(&search->hop);
	loop_timer_cancel(loop_of(&d->dispatch), &search->timer);
	free(search);
	d->search = NULL;
}

static void
hops_free(struct next_hop *hops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		next_hop_reset(&hops[i]);
	free(hops);
}

/* What is known of a host's health stays known when the domain still has it. */
static void
health_keep(struct next_hop *hop, const struct next_hop *old, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(hop->text, old[i].text) != 0)
			continue;
		hop->failures = old[i].failures;
		hop->pause_ms = old[i].pause_ms;
		hop->paused_until_ms = old[i].paused_until_ms;
		hop->trouble = old[i].trouble;
		hop->throttle_ms = old[i].throttle_ms;
		hop->throttled_until_ms = old[i].throttled_until_ms;
	}
}

static bool
wants_dane(const struct destination *d)
{
	return d->dispatch.settings->tls == ROUTE_TLS_DANE;
}

static void
hop_make(struct destination *d, size_t i, const struct next_hop_settings *settings)
{
	struct delivery *delivery = d->dispatch.delivery;

	next_hop_init(&d->hops[i], settings, &d->tuning, delivery->environment.loop,
		      delivery->environment.dns);
}

/* The domain's hosts, and behind them those of the route that stand in for them. */
static void
hops_make(struct destination *d, const struct sts_policy *policy)
{
	const struct route_settings *route = d->dispatch.settings;
	struct next_hop *old = d->hops;
	size_t old_count = d->hops_made, own = d->found->count;

	d->hops_made = own + route->next_hop_count - 1;
	if (d->hops_made > NEXT_HOPS_MAX) {
		own -= d->hops_made - NEXT_HOPS_MAX;
		d->hops_made = NEXT_HOPS_MAX;
	}
	free(d->hop_names); /* of the old ones, which need their texts alone from here on */
	free(d->hop_settings);
	free(d->hop_is_allowed);
	d->hops = memory_new_array(d->hops_made, sizeof(*d->hops));
	d->hop_settings = memory_new_array(d->hops_made, sizeof(*d->hop_settings));
	d->hop_names = memory_new_array(own + 1, sizeof(*d->hop_names));
	d->hop_is_allowed = memory_new_array(d->hops_made, sizeof(*d->hop_is_allowed));
	for (size_t i = 0; i < d->hops_made; i++) {
		bool is_own = i < own;

		if (is_own) {
			memcpy(d->hop_names[i], d->found->hosts[i].name, DNS_NAME_MAX + 1);
			d->hop_settings[i] = (struct next_hop_settings){
				.host = span_of(d->hop_names[i]),
				.port = route->mx_port,
			};
		}
		hop_make(d, i, is_own ? &d->hop_settings[i] : &route->next_hops[i - own + 1]);
		d->hops[i].is_fallback = !is_own;
		d->hops[i].preference = is_own ? d->found->hosts[i].preference : 0;
		if (wants_dane(d) && (d->is_secure || !is_own) && !d->domain.is_literal)
			next_hop_want_dane(&d->hops[i]);
		d->hop_is_allowed[i] =
		    !is_own || policy == NULL ||
		    sts_policy_allows(policy, d->hop_settings[i].host);
		health_keep(&d->hops[i], old, old_count);
	}
	hops_free(old, old_count);
	d->dispatch.hops = d->hops;
	d->dispatch.hop_count = d->hops_made;
	d->dispatch.failed_hop = 0;
}

/* Jobs that were on their way from one of the old next hops to another begin anew. */
static void
rounds_forget(struct dispatch *dispatch)
{
	const struct heap *ready = &dispatch->schedule.ready;

	detours_return(dispatch);
	for (size_t i = 0; i < ready->count; i++)
		ready->entries[i].job->hops_tried = 0;
}

/* ---- Looking ---- */

static int64_t
ttl_ms(const struct destination *d)
{
	const struct next_hop_tuning *tuning = &d->tuning;
	int64_t ms = (int64_t)d->ttl_s * 1000;

	if (ms < tuning->ttl_min_ms)
		return tuning->ttl_min_ms;
	return ms > tuning->ttl_max_ms ? tuning->ttl_max_ms : ms;
}

static void
pause_begin(struct destination *d, int64_t now_ms)
{
	const struct next_hop_tuning *tuning = &d->tuning;

	d->phase = PHASE_TROUBLE;
	d->pause_ms = d->pause_ms == 0 ? tuning->pause_first_ms : 2 * d->pause_ms;
	if (d->pause_ms > tuning->pause_max_ms)
		d->pause_ms = tuning->pause_max_ms;
	d->until_ms = now_ms + d->pause_ms;
	d->dispatch.failed_hop = SIZE_MAX;
	(void)snprintf(d->dispatch.why, sizeof(d->dispatch.why), "%s: %s", d->domain.text,
		       mx_verdict_text(MX_UNKNOWN));
}

/* All that had to be found out is. policy NULL: the domain has none. */
static void
search_conclude(struct destination *d, const struct sts_policy *policy)
{
	int64_t now_ms = loop_now_ms(loop_of(&d->dispatch));

	d->verdict = d->found->verdict;
	d->until_ms = now_ms + ttl_ms(d);
	d->sts_mode = policy == NULL ? STS_MODE_NONE : policy->mode;
	if (d->verdict == MX_UNKNOWN) {
		pause_begin(d, now_ms);
	} else if (d->verdict == MX_HOSTS) {
		d->phase = PHASE_READY;
		d->pause_ms = 0;
		rounds_forget(&d->dispatch);
		hops_make(d, policy);
	} else {
		d->phase = PHASE_REFUSED;
		d->pause_ms = 0;
	}
	search_free(d);
	free(d->found);
	d->found = NULL;
	dispatch_work(&d->dispatch);
}

/* ---- MTA-STS ---- */

static bool
policy_holds(const struct sts_finding *finding, int64_t now_wall_ms)
{
	return finding->state == STS_KNOWN && finding->expires_wall_ms > now_wall_ms;
}

static void
policy_conclude(struct destination *d, const struct sts_finding *finding)
{
	bool holds = policy_holds(finding, loop_wall_ms(loop_of(&d->dispatch)));

	search_conclude(d, holds ? &finding->policy : NULL);
}

/* Is what is known all that need be known? */
static bool
policy_is_known(const struct sts_search *search, const struct sts_finding *finding,
		int64_t now_wall_ms)
{
	bool is_recent = finding->again_wall_ms > now_wall_ms;
	bool is_same = search->id[0] == '\0' || strcmp(search->id, finding->policy.id) == 0;
	int64_t left_ms = finding->expires_wall_ms - now_wall_ms;

	if (finding->state == STS_UNKNOWN)
		return false;
	if (finding->state == STS_ABSENT)
		return is_recent && is_same;
	if (left_ms <= 0)
		return false;
	return is_recent || search->id[0] == '\0' ||
	       (is_same && left_ms > (int64_t)finding->policy.max_age_s * 1000 / 2);
}

/* Look whether the process that fetches has said something, now and then. */
static void
policy_wait(struct sts_search *search)
{
	struct destination *d = search->owner;
	struct loop *loop = loop_of(&d->dispatch);
	struct sts_board *board = d->dispatch.delivery->environment.sts;
	struct sts_finding finding;

	if (!search->is_asked)
		search->is_asked = sts_ask(board, &search->wish);
	sts_find(board, (struct span){ d->domain.text, d->domain.len }, &finding);
	if ((finding.number != 0 && finding.number != search->number) ||
	    loop_now_ms(loop) >= search->until_ms)
		policy_conclude(d, &finding);
	else
		loop_timer_set(loop, &search->timer, STS_POLL_MS);
}

static void
policy_timer_expired(struct loop_timer *timer)
{
	policy_wait(LIST_OWNER(timer, struct sts_search, timer));
}

static void
policy_host_resolved(struct address_waiter *waiter, struct span why)
{
	struct sts_search *search = LIST_OWNER(waiter, struct sts_search, waiter);
	const struct next_hop *hop = &search->hop;

	for (size_t i = 0; why.len == 0 && i < hop->address_count; i++) {
		if (search->wish.address_count < STS_ADDRESSES_MAX)
			search->wish.addresses[search->wish.address_count++] = hop->addresses[i];
	}
	loop_timer_set(hop->loop, &search->timer, 0);
}

/* Where the policy is, by our own resolver. */
static void
policy_host_ask(struct sts_search *search)
{
	struct delivery *delivery = search->owner->dispatch.delivery;

	(void)snprintf(search->host, sizeof(search->host), STS_HOST_PREFIX "%s",
		       search->owner->domain.text);
	search->host_settings = (struct next_hop_settings){
		.host = span_of(search->host),
		.port = delivery->environment.sts_port,
	};
	next_hop_init(&search->hop, &search->host_settings, &search->owner->tuning,
		      delivery->environment.loop, delivery->environment.dns);
	search->waiter.done = policy_host_resolved;
	if (next_hop_resolve(&search->hop, &search->waiter) == ADDRESSES_KNOWN)
		policy_host_resolved(&search->waiter, (struct span){ NULL, 0 });
}

static void
policy_search(struct destination *d)
{
	struct sts_search *search = d->search;
	const struct delivery_environment *environment = &d->dispatch.delivery->environment;
	struct span domain = { d->domain.text, d->domain.len };
	struct sts_finding finding;

	if (environment->sts == NULL || !d->dispatch.settings->wants_sts ||
	    d->domain.is_literal || d->found->verdict != MX_HOSTS) {
		search_conclude(d, NULL);
		return;
	}
	sts_find(environment->sts, domain, &finding);
	if (policy_is_known(search, &finding, loop_wall_ms(environment->loop))) {
		policy_conclude(d, &finding);
		return;
	}
	search->number = finding.number;
	search->until_ms = loop_now_ms(environment->loop) + STS_WITHIN_MS;
	search->wish.domain_len = domain.len;
	memcpy(search->wish.domain, domain.ptr, domain.len);
	memcpy(search->wish.id, search->id, sizeof(search->wish.id));
	if (search->id[0] == '\0')
		policy_wait(search); /* one may be on disk */
	else
		policy_host_ask(search);
}

/* RFC 8461 s.3.1: more than one such record is none. */
static void
policy_id_answered(void *context, const struct dns_answer *answer)
{
	struct destination *d = context;
	struct sts_search *search = d->search;
	size_t count = 0;

	search->query = NULL;
	for (size_t i = 0; i < answer->count; i++)
		count += sts_record_parse(answer->records[i].data, search->id) == PARSE_OK;
	if (count != 1)
		search->id[0] = '\0';
	if (d->mx_query == NULL)
		policy_search(d);
}

static void
policy_id_ask(struct destination *d)
{
	char name[STS_NAME_SIZE];

	(void)snprintf(name, sizeof(name), STS_PREFIX "%s", d->domain.text);
	d->search->query = dns_ask(d->dispatch.delivery->environment.dns, span_of(name), DNS_TXT,
				   policy_id_answered, d);
}

/* ---- Mail exchangers ---- */

static void
mx_answered(void *context, const struct dns_answer *answer)
{
	struct destination *d = context;
	uint64_t seed = (uint64_t)arc4random() << 32 | arc4random();

	d->mx_query = NULL;
	d->is_secure = answer->is_secure;
	d->ttl_s = answer->ttl_s;
	mx_list_make(&d->domain, answer, d->dispatch.delivery->environment.hostname, seed,
		     d->found);
	if (d->search->query == NULL)
		policy_search(d);
}

/* An address literal: there is nothing to look up. */
static void
literal_take(struct destination *d)
{
	d->is_secure = false;
	d->ttl_s = UINT32_MAX;
	d->found->verdict = MX_HOSTS;
	d->found->count = 1;
	d->found->hosts[0] = (struct mx_host){ .len = d->domain.len };
	memcpy(d->found->hosts[0].name, d->domain.text, d->domain.len);
	policy_search(d);
}

static void
search_begin(struct destination *d)
{
	const struct delivery_environment *environment = &d->dispatch.delivery->environment;

	d->phase = PHASE_ASKING;
	d->found = memory_new(sizeof(*d->found));
	d->search = memory_new(sizeof(*d->search));
	d->search->owner = d;
	d->search->timer.expired = policy_timer_expired;
	list_init(&d->search->waiter.link);
	if (d->domain.is_literal) {
		literal_take(d);
		return;
	}
	d->mx_query = dns_ask(environment->dns, (struct span){ d->domain.text, d->domain.len },
			      DNS_MX, mx_answered, d);
	if (environment->sts != NULL && d->dispatch.settings->wants_sts)
		policy_id_ask(d);
}

/* ---- What a domain's dispatch asks ---- */

bool
destination_is_stale(const struct dispatch *dispatch, int64_t now_ms)
{
	if (dispatch->parent == NULL)
		return false;

	const struct destination *d = destination_of(dispatch);

	return d->phase != PHASE_READY || now_ms >= d->until_ms;
}

int64_t
destination_next_ms(const struct dispatch *dispatch)
{
	if (dispatch->parent == NULL || dispatch->schedule.ready.count == 0)
		return INT64_MAX;

	const struct destination *d = destination_of(dispatch);

	return d->phase == PHASE_TROUBLE ? d->until_ms : INT64_MAX;
}

void
destination_forgive(struct dispatch *dispatch)
{
	if (dispatch->parent != NULL && destination_of(dispatch)->phase == PHASE_TROUBLE)
		destination_of(dispatch)->until_ms = 0;
}

/* Mail to a domain that takes none. */
static void
refused_conclude(struct dispatch *dispatch, struct job *job)
{
	struct delivery *delivery = dispatch->delivery;
	struct handover_place how = { .next_hop = destination_domain(dispatch), .hop = NO_HOP };
	struct handover *handover =
	    delivery_handover_new(delivery, job, job->queued->recipient_count);

	dispatch->expiring_count--;
	handover_settle(handover, RESULT_FAILED,
			span_of(mx_verdict_text(destination_of(dispatch)->verdict)));
	delivery_conclude(delivery, &handover, &how);
}

static void
refuse(struct dispatch *dispatch)
{
	struct schedule *schedule = &dispatch->schedule;

	while (schedule->ready.count > 0 && dispatch->expiring_count < DISPATCH_ERRANDS_MAX &&
	       !bounces_are_full(dispatch->delivery))
		dispatch_errand(dispatch, schedule_take(schedule), refused_conclude,
				&dispatch->expiring_count);
}

/* Connections without work keep what is stale from being looked for again. */
static void
idle_dismiss(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->idle))
		courier_dismiss(LIST_OWNER(dispatch->idle.next, struct courier, idle));
}

bool
destination_prepare(struct dispatch *dispatch, int64_t now_ms)
{
	struct destination *d = destination_of(dispatch);
	bool has_work = dispatch->schedule.ready.count + dispatch->detour_count > 0;

	d->used_ms = now_ms;
	if (d->phase != PHASE_ASKING && (d->phase == PHASE_UNKNOWN || now_ms >= d->until_ms)) {
		idle_dismiss(dispatch);
		if (has_work && dispatch->courier_count == 0 && dispatch->expiring_count == 0)
			search_begin(d);
	}
	if (d->phase == PHASE_READY)
		return now_ms < d->until_ms;
	if (d->phase == PHASE_REFUSED && now_ms < d->until_ms) {
		refuse(dispatch);
	} else if (d->phase == PHASE_TROUBLE && has_work) {
		dispatch_defer(dispatch);
	}
	return false;
}

void
destination_found_self(struct dispatch *dispatch, const struct next_hop *hop)
{
	struct destination *d = destination_of(dispatch);
	size_t count = 0;

	while (count < dispatch->hop_count && !dispatch->hops[count].is_fallback &&
	       dispatch->hops[count].preference < hop->preference)
		count++;
	dispatch->hop_count = count;
	if (count > 0)
		return;
	d->verdict = MX_OURSELVES;
	d->phase = PHASE_REFUSED;
}

struct span
destination_domain(const struct dispatch *dispatch)
{
	if (dispatch->parent == NULL)
		return (struct span){ NULL, 0 };

	const struct destination *d = destination_of(dispatch);

	return (struct span){ d->domain.text, d->domain.len };
}

enum sts_mode
destination_sts_mode(const struct dispatch *dispatch)
{
	return dispatch->parent == NULL ? STS_MODE_NONE : destination_of(dispatch)->sts_mode;
}

bool
destination_sts_allows(const struct dispatch *dispatch, const struct next_hop *hop)
{
	return dispatch->parent == NULL ||
	       destination_of(dispatch)->hop_is_allowed[hop - dispatch->hops];
}

/* ---- Connections that several want ---- */

bool
destination_may_probe(const struct dispatch *dispatch, const struct next_hop *hop)
{
	return dispatch->parent == NULL || hop->failures == 0 ||
	       siblings_of(dispatch)->probing * 2 < dispatch->settings->connections_max;
}

void
destination_probe_count(struct dispatch *dispatch, int change)
{
	if (dispatch->parent != NULL)
		siblings_of(dispatch)->probing += (size_t)change;
}

void
destination_want(struct dispatch *dispatch, bool wants)
{
	if (dispatch->parent == NULL)
		return;

	struct destination *d = destination_of(dispatch);
	struct destinations *all = siblings_of(dispatch);

	if (d->wants == wants)
		return;
	d->wants = wants;
	all->wanting += wants ? 1 : SIZE_MAX;
	share_want(dispatch->share, dispatch->delivery->environment.worker, all->wanting > 0);
}

bool
destination_others_want(const struct dispatch *dispatch)
{
	return dispatch->parent != NULL &&
	       siblings_of(dispatch)->wanting > (destination_of(dispatch)->wants ? 1 : 0);
}

/* ---- Domains in memory ---- */

static struct destination *
destination_new(struct destinations *all, const struct mx_domain *domain)
{
	struct destination *d = memory_new(sizeof(*d));
	const struct next_hop_tuning *tuning = &all->route->delivery->tuning.hops;

	d->domain = *domain;
	d->tuning = *tuning;
	d->tuning.pause_max_ms *= PAUSES;
	d->phase = PHASE_UNKNOWN;
	(void)snprintf(d->name, sizeof(d->name), SPAN_FMT " to %s",
		       SPAN_ARG(span_first(all->route->name, 256)), domain->text);
	dispatch_init_below(&d->dispatch, all->route, span_of(d->name), &d->pace);
	d->dispatch.destination = d;
	list_init(&d->link);
	list_append(&all->all, &d->link);
	(void)table_put(&all->by_name, (struct span){ d->domain.text, d->domain.len }, d);
	all->count++;
	return d;
}

/* Its jobs, if there are any, are the route's again. */
static void
jobs_return(struct destination *d, const struct heap *heap)
{
	while (heap->count > 0) {
		struct job *job = heap->entries[heap->count - 1].job;

		schedule_ready(job_home(d->dispatch.delivery, job), job);
	}
}

static void
destination_free(struct destinations *all, struct destination *d)
{
	destination_want(&d->dispatch, false);
	dispatch_halt(&d->dispatch);
	search_free(d);
	dns_cancel(&d->mx_query);
	free(d->found);
	jobs_return(d, &d->dispatch.schedule.age);
	jobs_return(d, &d->dispatch.schedule.held);
	dispatch_figures_update(&d->dispatch);
	for (size_t i = 0; i < d->hops_made; i++)
		next_hop_reset(&d->hops[i]);
	free(d->hop_settings);
	free(d->hop_names);
	free(d->hop_is_allowed);
	dispatch_reset(&d->dispatch); /* frees the hops */
	list_remove(&d->link);
	(void)table_remove(&all->by_name, (struct span){ d->domain.text, d->domain.len });
	all->count--;
	free(d);
}

static bool
is_idle(const struct destination *d)
{
	return d->dispatch.schedule.age.count == 0 && d->dispatch.schedule.held.count == 0 &&
	       d->dispatch.courier_count == 0 &&
	       d->phase != PHASE_ASKING;
}

static bool
place_make(struct destinations *all)
{
	for (struct list *l = all->all.next; l != &all->all; l = l->next) {
		struct destination *d = LIST_OWNER(l, struct destination, link);

		if (is_idle(d)) {
			destination_free(all, d);
			return true;
		}
	}
	return false;
}

/* NULL: there are too many. */
static struct destination *
destination_take(struct destinations *all, const struct mx_domain *domain)
{
	struct destination *d =
	    table_find(&all->by_name, (struct span){ domain->text, domain->len });

	if (d == NULL) {
		if (all->count >= DESTINATIONS_MAX && !place_make(all))
			return NULL;
		d = destination_new(all, domain);
	}
	list_remove(&d->link);
	list_append(&all->all, &d->link);
	return d;
}

static void
sweep(struct loop_timer *timer)
{
	struct destinations *all = LIST_OWNER(timer, struct destinations, sweep);
	struct loop *loop = loop_of(all->route);
	int64_t now_ms = loop_now_ms(loop);
	struct list *next;

	for (struct list *l = all->all.next; l != &all->all; l = next) {
		struct destination *d = LIST_OWNER(l, struct destination, link);

		next = l->next;
		if (is_idle(d) && now_ms - d->used_ms >= IDLE_MAX_MS)
			destination_free(all, d);
	}
	dispatch_poke(all->route);
	loop_timer_set(loop, timer, SWEEP_MS);
}

/* ---- The route ---- */

/* Nobody can deliver to what stands behind the @. */
static void
unusable_conclude(struct dispatch *route, struct job *job, struct span address)
{
	struct delivery *delivery = route->delivery;
	struct handover_place how = { .next_hop = address, .hop = NO_HOP };
	struct handover *handover =
	    delivery_handover_new(delivery, job, job->queued->recipient_count);

	handover_settle(handover, RESULT_FAILED,
			span_of("5.1.2 the address has no domain that mail could go to"));
	delivery_conclude(delivery, &handover, &how);
}

/* An active job of the route, to its domain. */
static void
job_assign(struct dispatch *route, struct job *job)
{
	struct destinations *all = route->destinations;
	struct delivery *delivery = route->delivery;
	struct queued *queued = job->queued;
	struct span address = queued->envelope->recipients[job->first].address;
	struct destination *d;
	struct mx_domain domain;

	all->loading--;
	if (!mx_domain_read(address, &domain)) {
		unusable_conclude(route, job, address);
		return;
	}
	d = destination_take(all, &domain);
	if (d == NULL) {
		all->is_full = true;
		schedule_ready(&route->schedule, job);
		return;
	}
	schedule_end(&route->schedule, job);
	job->destination = &d->dispatch;
	job->hops_tried = 0;
	schedule_ready(&d->dispatch.schedule, job);
	if (delivery->envelope_octets > delivery->tuning.envelope_octets_max &&
	    !queued_is_active(queued))
		envelope_forget(delivery, queued);
	dispatch_work(&d->dispatch); /* the job may be gone */
}

void
destinations_work(struct dispatch *route)
{
	struct destinations *all = route->destinations;
	struct schedule *schedule = &route->schedule;

	all->is_full = false;
	while (schedule->ready.count > 0 && all->loading < DISPATCH_ERRANDS_MAX && !all->is_full)
		dispatch_errand(route, schedule_take(schedule), job_assign, &all->loading);
}

void
destinations_each(struct dispatch *route, void (*run)(struct dispatch *dispatch))
{
	struct list *next;

	if (route->destinations == NULL)
		return;
	for (struct list *l = route->destinations->all.next; l != &route->destinations->all;
	     l = next) {
		next = l->next;
		run(&LIST_OWNER(l, struct destination, link)->dispatch);
	}
}

size_t
destinations_active_count(const struct dispatch *route)
{
	size_t count = 0;

	if (route->destinations == NULL)
		return 0;
	for (struct list *l = route->destinations->all.next;
	     l != &route->destinations->all; l = l->next)
		count += LIST_OWNER(l, struct destination, link)->dispatch.schedule.active;
	return count;
}

static int64_t
oldest_of(const struct dispatch *dispatch, int64_t oldest_ms)
{
	const struct job *job = schedule_oldest(&dispatch->schedule);
	int64_t ms;

	if (job == NULL)
		return oldest_ms;
	ms = spool_message_info(job->queued->message)->stored_wall_ms;
	return oldest_ms == 0 || ms < oldest_ms ? ms : oldest_ms;
}

void
destinations_figures_update(struct dispatch *dispatch)
{
	struct dispatch *route = dispatch->parent == NULL ? dispatch : dispatch->parent;
	struct destinations *all = route->destinations;
	struct route_figures *figures = route->figures;
	int64_t now_ms = loop_now_ms(loop_of(route));
	int64_t oldest_ms = 0;
	uint64_t down = 0;

	if (all == NULL)
		return;
	atomic_store_explicit(&figures->hops[0].connections,
			      (uint32_t)atomic_load_explicit(&figures->connections_open,
							     memory_order_relaxed),
			      memory_order_relaxed);
	if (atomic_load_explicit(&figures->waiting, memory_order_relaxed) != 0 &&
	    now_ms - all->told_ms < FIGURES_MS)
		return;
	all->told_ms = now_ms;
	oldest_ms = oldest_of(route, 0);
	for (struct list *l = all->all.next; l != &all->all; l = l->next) {
		const struct destination *d = LIST_OWNER(l, struct destination, link);

		oldest_ms = oldest_of(&d->dispatch, oldest_ms);
		down += d->dispatch.is_down;
	}
	atomic_store_explicit(&figures->oldest_wall_ms, oldest_ms, memory_order_relaxed);
	atomic_store_explicit(&figures->domains, all->count, memory_order_relaxed);
	atomic_store_explicit(&figures->domains_down, down, memory_order_relaxed);
}

struct destinations *
destinations_new(struct dispatch *route)
{
	struct destinations *all = memory_new(sizeof(*all));

	all->route = route;
	all->sweep.expired = sweep;
	list_init(&all->all);
	table_init(&all->by_name, 0);
	atomic_store_explicit(&route->figures->waiting, 0, memory_order_relaxed);
	atomic_store_explicit(&route->figures->in_flight, 0, memory_order_relaxed);
	atomic_store_explicit(&route->figures->connections_open, 0, memory_order_relaxed);
	share_open(route->share, route->settings->connections_max);
	loop_timer_set(loop_of(route), &all->sweep, SWEEP_MS);
	return all;
}

void
destinations_free(struct destinations **destinations)
{
	struct destinations *all = *destinations;

	if (all == NULL)
		return;
	while (!list_is_empty(&all->all))
		destination_free(all, LIST_OWNER(all->all.next, struct destination, link));
	loop_timer_cancel(loop_of(all->route), &all->sweep);
	table_reset(&all->by_name);
	free(all);
	*destinations = NULL;
}
