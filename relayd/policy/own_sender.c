/* SPDX-License-Identifier: ISC */
/*
 * Senders and their grant: how closely it names one (whether a report may go to it, see
 * docs/delivery.md), and its map of senders.
 */
#include "policy/policy_private.h"

struct hold_search {
	const struct policy *policy;
	size_t grant;
	enum sender_hold hold;
};

static bool
set_has(const struct grant_set *set, size_t grant)
{
	size_t word = grant / 64;

	return word >= set->first && word - set->first < set->count &&
	       (set->words[word - set->first] >> (grant % 64) & 1) != 0;
}

static void
hold_note(void *context, uint32_t value, unsigned specificity)
{
	struct hold_search *search = context;
	const struct grant_rule *rule = &search->policy->senders.rules[value];
	enum sender_hold hold = specificity == SPECIFIC_ANY	  ? SENDER_HELD_BY_ANY
				: specificity <= SPECIFIC_DOMAIN ? SENDER_HELD_BY_DOMAIN
								  : SENDER_HELD_BY_NAME;

	if (hold > search->hold && set_has(&rule->permits, search->grant))
		search->hold = hold;
}

enum sender_hold
policy_sender_hold(const struct policy *policy, size_t grant, const struct address *sender)
{
	struct hold_search search = { .policy = policy, .grant = grant };
	struct address_key key;

	address_key_make(&key, sender);
	pattern_table_match(&policy->sender_table, &key, hold_note, &search);
	return search.hold;
}

bool
policy_has_accepted_domains(const struct policy *policy)
{
	return policy->domain_count > 0;
}

enum parse_status
sender_map_parse(struct span text, struct span *from, struct span *to)
{
	static const struct span sign = SPAN_LITERAL(" = ");

	for (size_t i = 0; i + sign.len <= text.len; i++) {
		if (!span_starts_fold(span_skip(text, i), sign))
			continue;
		*from = span_trim(span_first(text, i));
		*to = span_trim(span_skip(text, i + sign.len));
		return from->len > 0 && to->len > 0 ? PARSE_OK : PARSE_BAD;
	}
	return PARSE_BAD;
}
