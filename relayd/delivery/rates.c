/* SPDX-License-Identifier: ISC */
/* Rates by grant and domain; see rates.h. */
#include "delivery/rates.h"

size_t
rates_octets(size_t grants)
{
	return sizeof(struct rate_figures) + grants * sizeof(struct rate);
}

static void
rate_count(struct rate *rate, enum rate_event event, uint64_t n)
{
	uint64_t now = atomic_load_explicit(&rate->counts[event], memory_order_relaxed);

	atomic_store_explicit(&rate->counts[event], now + n, memory_order_relaxed);
}

void
rate_add(struct rate *to, const struct rate *from)
{
	for (unsigned i = 0; i < RATE_EVENTS; i++)
		rate_count(to, (enum rate_event)i,
			   atomic_load_explicit(&from->counts[i], memory_order_relaxed));
}

struct rate *
rates_domain(struct rate_figures *rates, struct span domain)
{
	size_t count = atomic_load_explicit(&rates->domain_count, memory_order_relaxed);

	if (domain.len == 0)
		return &rates->no_sender;
	for (size_t i = 0; i < count; i++) {
		struct rate_domain *known = &rates->domains[i];

		if (span_equal_fold((struct span){ known->name, known->len }, domain))
			return &known->rate;
	}
	if (count == RATE_DOMAINS_MAX || domain.len > RATE_NAME_MAX)
		return &rates->other_domains;

	struct rate_domain *added = &rates->domains[count];

	for (size_t i = 0; i < domain.len; i++)
		added->name[i] = ascii_lower(domain.ptr[i]);
	added->len = domain.len;
	/* readers see the name before the count that includes it */
	atomic_store_explicit(&rates->domain_count, count + 1, memory_order_release);
	return &added->rate;
}

void
rates_count(struct rate_figures *rates, const struct policy *policy, struct span grant,
	    struct span sender, enum rate_event event)
{
	size_t index = policy == NULL ? NO_GRANT : policy_grant_find(policy, grant);
	struct address address = { .domain = { NULL, 0 } };

	if (index != NO_GRANT && index < rates->grant_count)
		rate_count(&rates->grants[index], event, 1);
	if (mailbox_parse(sender, &address) != PARSE_OK)
		address.domain.len = 0;
	rate_count(rates_domain(rates, address.domain), event, 1);
}
