/* SPDX-License-Identifier: ISC */
/* Sets of patterns, for routes; see policy.h. */
#include "policy/policy_private.h"

#include "base/memory.h"

#include <stdlib.h>

struct pattern_set {
	struct pattern_table table;
};

static bool
set_add(struct pattern_set *set, struct span text, struct fault *fault)
{
	struct pattern pattern;
	const char *cure = pattern_parse(text, &pattern);

	if (cure != NULL)
		return fault_say(fault, "\"" SPAN_FMT "\" is not a pattern; %s",
				 SPAN_ARG(span_first(text, 100)), cure);
	*pattern_table_put(&set->table, &pattern) = 1;
	return true;
}

static bool
set_add_table(struct pattern_set *set, struct span name,
	      const struct policy_source *source, struct fault *fault)
{
	for (size_t i = 0; source != NULL && i < source->table_count; i++) {
		const struct table_source *table = &source->tables[i];

		if (!span_equal(table->name, name))
			continue;
		if (table->type != TABLE_SENDER && table->type != TABLE_RECIPIENT)
			return fault_say(fault,
					 "table \"" SPAN_FMT "\" holds no addresses; "
							     "here one of type "
					 "\"recipient\" is needed",
					 SPAN_ARG(name));
		for (size_t j = 0; j < table->entries.count; j++) {
			if (!set_add(set, span_trim(table->entries.items[j]), fault))
				return false;
		}
		return true;
	}
	return fault_say(fault,
			 "there is no table \"" SPAN_FMT "\"; write a section table "
							 "\"" SPAN_FMT "\" { ... } or "
								       "correct the name",
			 SPAN_ARG(name), SPAN_ARG(name));
}

static bool
set_add_domains(struct pattern_set *set, const struct policy_source *source,
		struct fault *fault)
{
	struct pattern pattern;

	if (source == NULL)
		return fault_say(fault, "\"accepted-domains\" has no meaning here; write "
					"patterns");
	for (size_t i = 0; i < source->domain_count; i++) {
		if (accepted_pattern_make(source->domains[i].name, &pattern) != NULL)
			return fault_say(fault,
					 "accepted-domain \"" SPAN_FMT "\" is not a "
								       "domain",
					 SPAN_ARG(source->domains[i].name));
		*pattern_table_put(&set->table, &pattern) = 1;
	}
	return true;
}

struct pattern_set *
pattern_set_new(const struct text_list *patterns, const struct policy_source *source,
		struct fault *fault)
{
	struct pattern_set *set = memory_new(sizeof(*set));

	for (size_t i = 0; i < patterns->count; i++) {
		struct span item = patterns->items[i], name;
		bool is_added = table_reference_take(item, &name) ?
				    set_add_table(set, name, source, fault) :
				is_accepted_domains(item) ?
				    set_add_domains(set, source, fault) :
				    set_add(set, item, fault);

		if (!is_added) {
			pattern_set_free(&set);
			return NULL;
		}
	}
	return set;
}

void
pattern_set_free(struct pattern_set **set)
{
	if (*set == NULL)
		return;
	pattern_table_reset(&(*set)->table);
	free(*set);
	*set = NULL;
}

static void
best_note(void *context, uint32_t value, unsigned specificity)
{
	unsigned *best = context;

	(void)value;
	*best = specificity > *best ? specificity : *best;
}

unsigned
pattern_set_match(const struct pattern_set *set, const struct address *address)
{
	struct address_key key;
	unsigned best = 0;

	address_key_make(&key, address);
	pattern_table_match(&set->table, &key, best_note, &best);
	return best;
}
