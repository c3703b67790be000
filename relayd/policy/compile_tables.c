/* SPDX-License-Identifier: ISC */
/* The tables of a source: read once, checked line by line. */
#include "policy/compile_private.h"

#include "base/memory.h"

#include <stdio.h>

#define COMPLAINT_MAX	 512
#define TABLE_ERRORS_MAX 20 /* told of one table; then only counted */

static const char *
table_type_name(enum table_type type)
{
	static const char *const names[] = {
		[TABLE_NETWORK] = "network",
		[TABLE_SENDER] = "sender",
		[TABLE_RECIPIENT] = "recipient",
		[TABLE_USER] = "user",
	};

	return names[type];
}

/* A bad line of a table; only the first few are told. */
static void
complain_entry(struct compiler *c, const struct table_state *table, size_t entry,
	       unsigned *count, const char *cure)
{
	const struct table_source *source = table->source;
	char file[COMPLAINT_MAX], text[COMPLAINT_MAX];

	if (++*count > TABLE_ERRORS_MAX) {
		c->error_count++;
		return;
	}
	(void)snprintf(file, sizeof(file), SPAN_FMT, SPAN_ARG(source->file));
	(void)snprintf(text, sizeof(text),
		       "table \"" SPAN_FMT "\": \"" SPAN_FMT "\" is not a %s; %s",
		       SPAN_ARG(source->name),
		       SPAN_ARG(span_first(source->entries.items[entry], 100)),
		       table_type_name(source->type), cure);
	complain_text(c, true, file, source->lines == NULL ? 0 : source->lines[entry],
		      text);
}

static void
complain_entries_left(struct compiler *c, const struct table_state *table, unsigned count)
{
	struct place place = { NULL, table->source->line, "table", table->source->name };

	if (count > TABLE_ERRORS_MAX)
		complain_at(c, true, &place, "and %u bad lines more",
			    count - TABLE_ERRORS_MAX);
}

struct table_state *
table_of(struct compiler *c, const struct place *place, const char *option,
	 struct span name, enum table_type type)
{
	struct table_state *table = table_find(&c->table_names, name);

	if (table == NULL) {
		complain_unknown(c, place, option, "table", &c->table_names, name);
		return NULL;
	}
	if (table->source->type != type) {
		complain_at(c, true, place,
			    "option '%s': table \"" SPAN_FMT "\" is of type \"%s\"; here "
							     "one of type \"%s\" is "
							     "needed",
			    option, SPAN_ARG(name), table_type_name(table->source->type),
			    table_type_name(type));
		return NULL;
	}
	table->seen->is_used = true;
	return table;
}

#define RANGE_CURE                                                                       \
	"write an address (10.20.1.7), a prefix (10.20.0.0/16, 2001:db8::/32) or a "     \
	"range "                                                                         \
	"(10.20.1.1-10.20.1.40)"

void
table_ranges_read(struct compiler *c, struct table_state *table)
{
	const struct text_list *entries = &table->source->entries;
	unsigned bad = 0;

	if (table->is_read)
		return;
	table->is_read = true;
	table->ranges = memory_new_array(entries->count + 1, sizeof(*table->ranges));
	for (size_t i = 0; i < entries->count; i++) {
		if (ip_range_parse(span_trim(entries->items[i]),
				   &table->ranges[table->range_count]) == PARSE_OK)
			table->range_count++;
		else
			complain_entry(c, table, i, &bad, RANGE_CURE);
	}
	complain_entries_left(c, table, bad);
}

void
network_item_read(struct compiler *c, const struct place *place, const char *option,
		  struct span item, struct range_list *out, uint32_t owner)
{
	/* the client of the pickup directory has the address that no other can have, "::" */
	static const struct span pickup_client = SPAN_LITERAL("pickup");
	static const struct ip_range unspecified;
	struct span name;
	struct ip_range range;

	if (table_reference_take(item, &name)) {
		struct table_state *table =
		    table_of(c, place, option, name, TABLE_NETWORK);

		if (table == NULL)
			return;
		table_ranges_read(c, table);
		for (size_t i = 0; i < table->range_count; i++)
			range_list_add(out, &table->ranges[i], owner);
		return;
	}
	if (span_equal(item, pickup_client)) {
		range_list_add(out, &unspecified, owner);
		return;
	}
	if (ip_range_parse(item, &range) == PARSE_OK)
		range_list_add(out, &range, owner);
	else
		complain_at(c, true, place,
			    "option '%s': \"" SPAN_FMT "\" is not an IP address, prefix "
						       "or range; " RANGE_CURE,
			    option, SPAN_ARG(item));
}

void
table_keys_read(struct compiler *c, struct table_state *table, entry_add *add)
{
	const struct text_list *entries = &table->source->entries;
	unsigned bad = 0;

	if (table->is_read)
		return;
	table->is_read = true;
	for (size_t i = 0; i < entries->count; i++) {
		const char *cure = add(c, span_trim(entries->items[i]), table->group);

		if (cure != NULL)
			complain_entry(c, table, i, &bad, cure);
	}
	complain_entries_left(c, table, bad);
}
