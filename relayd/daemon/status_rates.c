/* SPDX-License-Identifier: ISC */
/* How much comes through, by grant and sender's domain, for `relayctl status`. */
#include "base/json.h"
#include "base/table.h"
#include "daemon/supervisor_private.h"

/* Grants of the one configuration by name: there may be thousands in each. */
static void
grants_merge(const struct policy_source *to_source, struct rate_figures *to,
	     const struct policy_source *from_source, struct rate_figures *from)
{
	struct table by_name;

	table_init(&by_name, to_source->grant_count);
	for (size_t i = 0; i < to_source->grant_count; i++)
		(void)table_put(&by_name, to_source->grants[i].name, &to->grants[i]);
	for (size_t i = 0; i < from_source->grant_count; i++) {
		struct rate *rate = table_find(&by_name, from_source->grants[i].name);

		if (rate != NULL)
			rate_add(rate, &from->grants[i]);
	}
	table_reset(&by_name);
}

void
rates_merge(const struct settings *to_settings, struct rate_figures *to,
	    const struct settings *from_settings, struct rate_figures *from)
{
	size_t domains = atomic_load_explicit(&from->domain_count, memory_order_acquire);

	grants_merge(&to_settings->source, to, &from_settings->source, from);
	for (size_t i = 0; i < domains; i++) {
		const struct rate_domain *domain = &from->domains[i];
		struct span name = { domain->name, domain->len };

		rate_add(rates_domain(to, name), &domain->rate);
	}
	rate_add(&to->other_domains, &from->other_domains);
	rate_add(&to->no_sender, &from->no_sender);
}

static bool
rate_is_zero(const struct rate *rate)
{
	for (unsigned i = 0; i < RATE_EVENTS; i++) {
		if (rate->counts[i] != 0)
			return false;
	}
	return true;
}

static void
rate_write(struct json *j, struct span name, const struct rate *rate)
{
	static const char *const keys[] = {
		[RATE_DELIVERED] = "delivered",
		[RATE_DEFERRED] = "deferred",
		[RATE_FAILED] = "failed",
		[RATE_REPORTED] = "reported",
	};

	if (rate_is_zero(rate))
		return;
	json_object_begin(j, NULL);
	json_text(j, "name", name);
	for (unsigned i = 0; i < RATE_EVENTS; i++)
		json_number(j, keys[i], (int64_t)rate->counts[i]);
	json_object_end(j);
}

void
rates_write(const struct settings *settings, struct rate_figures *rates, struct json *j)
{
	size_t domains = atomic_load_explicit(&rates->domain_count, memory_order_acquire);

	json_array_begin(j, "grants");
	for (size_t i = 0; i < rates->grant_count; i++)
		rate_write(j, settings->source.grants[i].name, &rates->grants[i]);
	json_array_end(j);
	json_array_begin(j, "sender_domains");
	for (size_t i = 0; i < domains; i++)
		rate_write(j,
			   (struct span){ rates->domains[i].name, rates->domains[i].len },
			   &rates->domains[i].rate);
	rate_write(j, span_of("(others)"), &rates->other_domains);
	rate_write(j, span_of("<>"), &rates->no_sender);
	json_array_end(j);
}
