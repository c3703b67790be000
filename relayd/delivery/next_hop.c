/* SPDX-License-Identifier: ISC */
/* Next hops; see next_hop.h. */
#include "delivery/next_hop.h"

#include <assert.h>
#include <stdio.h>

static void
text_set(struct next_hop *hop)
{
	struct span host = hop->settings->host;
	bool is_v6 = span_find(host, ':') < host.len;

	(void)snprintf(hop->text, sizeof(hop->text), "%s%.*s%s:%u", is_v6 ? "[" : "",
		       SPAN_ARG(host), is_v6 ? "]" : "", (unsigned)hop->settings->port);
}

void
next_hop_init(struct next_hop *hop, const struct next_hop_settings *settings,
	      const struct next_hop_tuning *tuning, struct loop *loop, struct dns *dns)
{
	*hop = (struct next_hop){
		.settings = settings,
		.tuning = tuning,
		.loop = loop,
		.dns = dns,
	};
	list_init(&hop->waiters);
	hop->questions[0].hop = hop;
	hop->questions[1].hop = hop;
	text_set(hop);
	if (ip_parse(settings->host, &hop->addresses[0]) == PARSE_OK) {
		hop->address_count = 1;
		hop->addresses_until_ms = INT64_MAX;
	}
}

void
next_hop_want_dane(struct next_hop *hop)
{
	hop->wants_dane = true;
}

void
next_hop_reset(struct next_hop *hop)
{
	if (hop->dane_query != NULL)
		dns_cancel(&hop->dane_query);
	dane_reset(&hop->dane);
	for (size_t i = 0; i < ARRAY_LEN(hop->questions); i++) {
		if (hop->questions[i].query != NULL)
			dns_cancel(&hop->questions[i].query);
	}
	while (list_take_first(&hop->waiters) != NULL)
		;
}

/* ---- Health ---- */

bool
next_hop_may_connect(const struct next_hop *hop, int64_t now_ms)
{
	if (next_hop_is_throttled(hop, now_ms))
		return false;
	if (hop->failures == 0)
		return true;
	return hop->connecting == 0 && now_ms >= hop->paused_until_ms;
}

int64_t
next_hop_next_ms(const struct next_hop *hop)
{
	int64_t paused_ms =
	    hop->failures == 0 || hop->connecting > 0 ? 0 : hop->paused_until_ms;
	int64_t until_ms = paused_ms;

	if (next_hop_is_throttled(hop, loop_now_ms(hop->loop)) &&
	    hop->throttled_until_ms > until_ms)
		until_ms = hop->throttled_until_ms;
	return until_ms == 0 ? INT64_MAX : until_ms;
}

void
next_hop_succeeded(struct next_hop *hop)
{
	hop->failures = 0;
	hop->pause_ms = 0;
	hop->trouble = HOP_IS_WELL;
}

static int64_t
pause_next(int64_t last_ms, int64_t first_ms, int64_t max_ms)
{
	int64_t next_ms = last_ms == 0 ? first_ms : 2 * last_ms;

	if (next_ms < first_ms)
		next_ms = first_ms;
	return next_ms > max_ms ? max_ms : next_ms;
}

/* Several connections that fail together are one failure. */
void
next_hop_failed(struct next_hop *hop, int64_t now_ms, enum hop_trouble trouble)
{
	const struct next_hop_tuning *tuning = hop->tuning;
	bool is_login = trouble == HOP_REFUSES_LOGIN;

	if (hop->failures > 0 && now_ms < hop->paused_until_ms)
		return;
	hop->failures++;
	hop->trouble = trouble;
	hop->pause_ms = pause_next(hop->pause_ms,
				   is_login ? tuning->login_pause_first_ms
					    : tuning->pause_first_ms,
				   is_login ? tuning->login_pause_max_ms
					    : tuning->pause_max_ms);
	hop->paused_until_ms = now_ms + hop->pause_ms;
}

/* Many replies to one burst are one. */
void
next_hop_throttle(struct next_hop *hop, int64_t now_ms)
{
	if (next_hop_is_throttled(hop, now_ms))
		return;
	hop->throttle_ms = pause_next(hop->throttle_ms, hop->tuning->pause_first_ms,
				      hop->tuning->pause_max_ms);
	hop->throttled_until_ms = now_ms + hop->throttle_ms;
}

void
next_hop_took(struct next_hop *hop)
{
	hop->throttle_ms /= 2;
	if (hop->throttle_ms < hop->tuning->pause_first_ms)
		hop->throttle_ms = 0;
}

void
next_hop_unpause(struct next_hop *hop)
{
	hop->paused_until_ms = 0;
	hop->throttled_until_ms = 0;
}

/* ---- Addresses ---- */

static int64_t
ttl_bounded(const struct next_hop *hop, uint32_t ttl_s)
{
	int64_t ttl_ms = (int64_t)ttl_s * 1000;

	if (ttl_ms < hop->tuning->ttl_min_ms)
		return hop->tuning->ttl_min_ms;
	return ttl_ms > hop->tuning->ttl_max_ms ? hop->tuning->ttl_max_ms : ttl_ms;
}

/* IPv6 first, both in the order of the answers, and no more than there is room for. */
static void
addresses_take(struct next_hop *hop)
{
	uint32_t ttl_s = UINT32_MAX;

	hop->address_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(hop->questions); i++) {
		const struct address_question *question = &hop->questions[i];

		for (size_t j = 0; j < question->count; j++) {
			if (hop->address_count < NEXT_HOP_ADDRESSES_MAX)
				hop->addresses[hop->address_count++] = question->found[j];
		}
		if (question->count > 0 && question->ttl_s < ttl_s)
			ttl_s = question->ttl_s;
	}
	hop->addresses_until_ms = loop_now_ms(hop->loop) + ttl_bounded(hop, ttl_s);
}

static void
waiters_call(struct next_hop *hop, struct span why)
{
	struct list waiters;

	list_init(&waiters);
	while (!list_is_empty(&hop->waiters))
		list_append(&waiters, list_take_first(&hop->waiters));

	struct list *link;

	while ((link = list_take_first(&waiters)) != NULL) {
		struct address_waiter *waiter = LIST_OWNER(link, struct address_waiter, link);

		waiter->done(waiter, why);
	}
}

/* DNSSEC vouches for all addresses: RFC 7672 s.2.2.2. */
static bool
addresses_are_secure(const struct next_hop *hop)
{
	for (size_t i = 0; i < ARRAY_LEN(hop->questions); i++) {
		if (hop->questions[i].status == DNS_FOUND && !hop->questions[i].is_secure)
			return false;
	}
	return true;
}

static void
dane_answered(void *context, const struct dns_answer *answer)
{
	struct next_hop *hop = context;
	char why[NEXT_HOP_TEXT_MAX + 64] = "";

	hop->dane_query = NULL;
	dane_take(&hop->dane, answer);
	if (hop->dane.state == DANE_TROUBLE) {
		hop->addresses_until_ms = 0;
		(void)snprintf(why, sizeof(why), "4.7.5 could not look up the TLSA records of %.*s",
			       SPAN_ARG(hop->settings->host));
	}
	waiters_call(hop, span_of(why));
}

/* False: there is no such name to ask for. */
static bool
dane_ask(struct next_hop *hop)
{
	char name[DNS_NAME_MAX + 1];

	if (!dane_name_make(hop->settings->host, hop->settings->port, name))
		return false;
	hop->dane_query = dns_ask(hop->dns, span_of(name), DNS_TLSA, dane_answered, hop);
	return true;
}

/* Both questions are answered. Old addresses are better than none while DNS is in trouble. */
static void
resolve_finish(struct next_hop *hop)
{
	bool is_trouble = false;
	size_t count = 0;
	char why[NEXT_HOP_TEXT_MAX + 64] = "";

	for (size_t i = 0; i < ARRAY_LEN(hop->questions); i++) {
		count += hop->questions[i].count;
		is_trouble = is_trouble || hop->questions[i].status == DNS_TROUBLE;
	}
	if (count > 0) {
		addresses_take(hop);
		if (hop->wants_dane && addresses_are_secure(hop) && dane_ask(hop))
			return;
		dane_reset(&hop->dane);
	} else if (is_trouble && hop->address_count > 0) {
		hop->addresses_until_ms = loop_now_ms(hop->loop) + hop->tuning->ttl_min_ms;
	} else if (is_trouble) {
		(void)snprintf(why, sizeof(why), "4.4.3 could not look up the address of %.*s",
			       SPAN_ARG(hop->settings->host));
	} else {
		hop->address_count = 0;
		(void)snprintf(why, sizeof(why), "4.4.4 %.*s has no address",
			       SPAN_ARG(hop->settings->host));
	}
	waiters_call(hop, span_of(why));
}

static bool
is_asking(const struct next_hop *hop)
{
	return hop->questions[0].query != NULL || hop->questions[1].query != NULL ||
	       hop->dane_query != NULL;
}

static void
question_answered(void *context, const struct dns_answer *answer)
{
	struct address_question *question = context;
	struct next_hop *hop = question->hop;

	question->query = NULL;
	question->status = answer->status;
	question->is_secure = answer->is_secure;
	question->ttl_s = answer->ttl_s;
	question->count = 0;
	if (answer->status == DNS_FOUND) {
		for (size_t i = 0; i < answer->count; i++) {
			if (question->count < NEXT_HOP_ADDRESSES_MAX / 2)
				question->found[question->count++] = answer->records[i].ip;
		}
	}
	if (!is_asking(hop))
		resolve_finish(hop);
}

enum addresses_status
next_hop_resolve(struct next_hop *hop, struct address_waiter *waiter)
{
	if (hop->address_count > 0 && loop_now_ms(hop->loop) < hop->addresses_until_ms &&
	    hop->dane_query == NULL)
		return ADDRESSES_KNOWN;
	if (!is_asking(hop)) {
		hop->questions[0].query = dns_ask(hop->dns, hop->settings->host, DNS_AAAA,
						  question_answered, &hop->questions[0]);
		hop->questions[1].query = dns_ask(hop->dns, hop->settings->host, DNS_A,
						  question_answered, &hop->questions[1]);
	}
	list_append(&hop->waiters, &waiter->link);
	return ADDRESSES_ASKED;
}

void
address_waiter_cancel(struct address_waiter *waiter)
{
	if (waiter->link.next != NULL)
		list_remove(&waiter->link);
}

void
next_hop_prefer(struct next_hop *hop, const struct ip *address)
{
	for (size_t i = 1; i < hop->address_count; i++) {
		if (ip_compare(&hop->addresses[i], address) != 0)
			continue;

		struct ip swapped = hop->addresses[0];

		hop->addresses[0] = hop->addresses[i];
		hop->addresses[i] = swapped;
		return;
	}
}
