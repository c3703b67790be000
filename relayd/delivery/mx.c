/* SPDX-License-Identifier: ISC */
/* Mail exchangers; see mx.h. */
#include "delivery/mx.h"

#include "policy/pattern_table.h"

#include <assert.h>

/* ---- Domains ---- */

/* Behind the last @, which no domain can hold. */
static struct span
domain_of(struct span address)
{
	size_t at = address.len;

	while (at > 0 && address.ptr[at - 1] != '@')
		at--;
	return at == 0 ? (struct span){ NULL, 0 } : span_skip(address, at);
}

static bool
literal_read(struct span text, struct mx_domain *domain)
{
	struct span inner = { text.ptr + 1, text.len - 2 };
	struct ip ip;

	if (address_literal_parse(text, &ip) != PARSE_OK)
		return false;
	if (span_starts_fold(inner, span_of("IPv6:")))
		inner = span_skip(inner, 5);
	domain->is_literal = true;
	domain->len = inner.len;
	memcpy(domain->text, inner.ptr, inner.len);
	return true;
}

bool
mx_domain_read(struct span address, struct mx_domain *domain)
{
	struct span text = domain_of(address);
	struct ip ip;
	bool is_good;

	*domain = (struct mx_domain){ .is_literal = false };
	if (text.len == 0 || text.len > DOMAIN_MAX)
		return false;
	if (text.ptr[0] == '[') {
		is_good = literal_read(text, domain);
	} else {
		domain->len = domain_key_make(text, domain->text);
		is_good = domain->len > 0 && domain->len <= DNS_NAME_MAX &&
			  ip_parse((struct span){ domain->text, domain->len }, &ip) != PARSE_OK;
	}
	domain->text[domain->len] = '\0';
	return is_good;
}

bool
mx_domain_is_same(struct span a, struct span b)
{
	return span_equal_fold(domain_of(a), domain_of(b));
}

/* ---- Hosts ---- */

static uint64_t
seed_next(uint64_t *seed)
{
	uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* A name in DNS that a host may have. An address is none, however often people write one. */
static bool
is_host_name(struct span name)
{
	struct ip ip;

	return name.len > 0 && name.len <= DNS_NAME_MAX && ip_parse(name, &ip) != PARSE_OK;
}

static bool
is_listed(const struct mx_list *list, struct span name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (span_equal_fold((struct span){ list->hosts[i].name, list->hosts[i].len },
				    name))
			return true;
	}
	return false;
}

static void
host_add(struct mx_list *list, struct span name, uint16_t preference)
{
	struct mx_host *host = &list->hosts[list->count++];

	host->preference = preference;
	host->len = name.len;
	for (size_t i = 0; i < name.len; i++)
		host->name[i] = ascii_lower(name.ptr[i]);
	host->name[name.len] = '\0';
}

/*
 * Indexes of the records that name hosts, the preferred first and equals in any order: they
 * are shuffled, and then sorted by insertion, which leaves equals as they are.
 */
static size_t
records_order(const struct dns_answer *answer, uint64_t seed, size_t order[DNS_RECORDS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < answer->count && i < DNS_RECORDS_MAX; i++) {
		if (is_host_name(answer->records[i].name))
			order[count++] = i;
	}
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)(seed_next(&seed) % i), swapped = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swapped;
	}
	for (size_t i = 1; i < count; i++) {
		size_t moved = order[i], at = i;

		while (at > 0 && answer->records[order[at - 1]].preference >
				     answer->records[moved].preference) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = moved;
	}
	return count;
}

/* The lowest preference that our own name has, or one beyond all. */
static uint32_t
own_preference(const struct dns_answer *answer, struct span own_name)
{
	uint32_t lowest = UINT16_MAX + 1U;

	for (size_t i = 0; i < answer->count; i++) {
		if (span_equal_fold(answer->records[i].name, own_name) &&
		    answer->records[i].preference < lowest)
			lowest = answer->records[i].preference;
	}
	return lowest;
}

static void
records_take(const struct dns_answer *answer, struct span own_name, uint64_t seed,
	     struct mx_list *list)
{
	uint32_t limit = own_preference(answer, own_name);
	size_t order[DNS_RECORDS_MAX];
	size_t count = records_order(answer, seed, order);

	for (size_t i = 0; i < count && list->count < MX_HOSTS_MAX; i++) {
		const struct dns_record *record = &answer->records[order[i]];

		if (record->preference < limit && !is_listed(list, record->name))
			host_add(list, record->name, record->preference);
	}
	if (list->count > 0)
		list->verdict = MX_HOSTS;
	else
		list->verdict = limit <= UINT16_MAX ? MX_OURSELVES : MX_NONSENSE;
}

void
mx_list_make(const struct mx_domain *domain, const struct dns_answer *answer,
	     struct span own_name, uint64_t seed, struct mx_list *list)
{
	struct span name = { domain->text, domain->len };

	list->count = 0;
	list->is_implicit = false;
	switch (answer->status) {
	case DNS_TROUBLE:
		list->verdict = MX_UNKNOWN;
		return;
	case DNS_ABSENT:
		list->is_implicit = true;
		list->verdict = MX_HOSTS;
		if (answer->has_no_name)
			list->verdict = MX_NO_DOMAIN;
		else if (span_equal_fold(name, own_name))
			list->verdict = MX_OURSELVES;
		else
			host_add(list, name, 0);
		return;
	case DNS_FOUND:
		break;
	}
	assert(answer->count > 0);
	if (answer->count == 1 && answer->records[0].name.len == 0)
		list->verdict = MX_NULL;
	else
		records_take(answer, own_name, seed, list);
}

const char *
mx_verdict_text(enum mx_verdict verdict)
{
	switch (verdict) {
	case MX_NULL:
		return "5.1.10 the domain says that it takes no mail (null MX)";
	case MX_NO_DOMAIN:
		return "5.1.2 the domain does not exist";
	case MX_OURSELVES:
		return "5.4.6 this host is itself the domain's best mail exchanger: mail "
		       "would go in circles";
	case MX_NONSENSE:
		return "5.4.4 the domain's MX records name no host";
	case MX_UNKNOWN:
		return "4.4.3 could not look up the domain's MX records";
	case MX_HOSTS:
		break;
	}
	return "";
}
