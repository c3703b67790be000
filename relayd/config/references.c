/* SPDX-License-Identifier: ISC */
/* Checks of values that name or describe something else; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

static const char table_prefix[] = "table:";

static struct span
name_at(const struct span *first_name, size_t stride, size_t index)
{
	struct span name;

	memcpy(&name, (const char *)first_name + stride * index, sizeof(name));
	return name;
}

const char *
name_guess(const struct value *value, const struct span *first_name, size_t count,
	   size_t stride)
{
	unsigned best_distance = value->text.len < 5 ? 2 : 3; /* not as far as this */
	struct span best = { .ptr = NULL };
	struct buffer words;

	for (size_t i = 0; i < count; i++) {
		struct span name = name_at(first_name, stride, i);
		unsigned distance = text_distance(name, value->text);

		if (distance < best_distance) {
			best = name;
			best_distance = distance;
		}
	}
	if (span_is_empty(best))
		return "";
	buffer_init(&words, 200);
	(void)buffer_printf(&words, "; did you mean \"" SPAN_FMT "\"?", SPAN_ARG(best));

	const char *kept =
	    arena_copy_text(value->section->reader->arena, buffer_span(&words));

	buffer_reset(&words);
	return kept;
}

static bool
is_table_reference(const struct value *value)
{
	return span_starts_fold(value->text, span_of(table_prefix));
}

/* Is there such a table, and does it hold what is wanted here? */
static bool
table_reference_check(const struct value *value, enum table_type type)
{
	static const char *const contents[] = {
		[TABLE_NETWORK] = "networks",
		[TABLE_SENDER] = "senders",
		[TABLE_RECIPIENT] = "recipients",
		[TABLE_USER] = "users",
	};
	const struct policy_source *source = &value->section->reader->settings->source;
	struct value named = *value;

	named.text = span_skip(value->text, strlen(table_prefix));
	for (size_t i = 0; i < source->table_count; i++) {
		if (!span_equal(source->tables[i].name, named.text))
			continue;
		if (source->tables[i].type != type)
			value_complain(value, "holds %s, but %s belong here",
				       contents[source->tables[i].type], contents[type]);
		return source->tables[i].type == type;
	}

	const char *guess =
	    source->table_count == 0
		? ""
		: name_guess(&named, &source->tables[0].name, source->table_count,
			     sizeof(source->tables[0]));

	value_complain(value, "names a table that does not exist%s",
		       guess[0] != '\0' ? guess
					: "; add table \"NAME\" { type = ... file = ... "
					  "}");
	return false;
}

/* Files of the pickup directory have no address; grants call their client "pickup". */
static bool
pickup_reference_check(const struct value *value)
{
	if (value->section->reader->settings->pickup.directory != NULL)
		return true;
	value_complain(value, "is the client of the pickup directory, and there is none; write "
			      "pickup { directory = \"...\" }, or remove this");
	return false;
}

bool
network_check(const struct value *value)
{
	struct ip_range range;

	if (span_equal(value->text, span_of("pickup")) &&
	    strcmp(value->option, "remote-ip-ranges") != 0)
		return pickup_reference_check(value);
	if (is_table_reference(value))
		return table_reference_check(value, TABLE_NETWORK);
	if (ip_range_parse(value->text, &range) == PARSE_OK)
		return true;
	value_complain(value, "is not an address, prefix or range; write for example "
			      "\"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or "
			      "\"table:NAME\"");
	return false;
}

/* "example.com" or "*@example.com", as other systems write a domain. */
static bool
is_domain_alone(struct span text, struct span *domain)
{
	*domain = span_starts_fold(text, span_of("*@")) ? span_skip(text, 2) : text;
	return span_find(*domain, '.') < domain->len && domain_is_valid(*domain);
}

static bool
pattern_check(const struct value *value, enum table_type type, const char *what)
{
	const struct reader *reader = value->section->reader;
	struct text_list one = { .items = &value->text, .count = 1 };
	struct span domain;
	struct fault fault;

	if (is_table_reference(value))
		return table_reference_check(value, type);
	if (span_equal_fold(value->text, span_of("accepted-domains"))) {
		if (reader->settings->source.domain_count > 0)
			return true;
		value_complain(value, "stands for the accepted domains, but there are "
				      "none; add accepted-domain \"example.com\" { }");
		return false;
	}
	if (type == TABLE_RECIPIENT && span_equal(value->text, span_of("<>"))) {
		value_complain(value, "is the empty sender and cannot be a recipient; "
				      "remove it");
		return false;
	}

	if (is_domain_alone(value->text, &domain)) {
		value_complain(value,
			       "is not a %s pattern; write \"@" SPAN_FMT "\" for all "
			       "addresses of "
			       "this domain",
			       what, SPAN_ARG(domain));
		return false;
	}
	struct pattern_set *set = pattern_set_new(&one, NULL, &fault);

	if (set == NULL) {
		value_complain(value,
			       "is not a %s pattern; write an address, \"@example.com\", "
			       "\"@*.example.com\" for all domains below it, or \"*\"",
			       what);
		return false;
	}
	pattern_set_free(&set);
	return true;
}

bool
sender_check(const struct value *value)
{
	return pattern_check(value, TABLE_SENDER, "sender");
}

bool
recipient_check(const struct value *value)
{
	return pattern_check(value, TABLE_RECIPIENT, "recipient");
}

bool
sender_map_check(const struct value *value)
{
	struct text_list pattern = { .count = 1 };
	struct pattern_set *set = NULL;
	struct address address;
	struct span from, to;
	struct fault fault;

	if (sender_map_parse(value->text, &from, &to) == PARSE_OK &&
	    mailbox_parse(to, &address) == PARSE_OK) {
		pattern.items = &from;
		set = pattern_set_new(&pattern, NULL, &fault);
	}
	if (set == NULL)
		value_complain(value, "is not an entry of a map; write for example "
				      "\"root@localhost = ops@example.com\" or "
				      "\"@localhost = noreply@example.com\"");
	bool is_good = set != NULL;

	pattern_set_free(&set);
	return is_good;
}

bool
user_check(const struct value *value)
{
	struct span text = value->text;

	if (is_table_reference(value))
		return table_reference_check(value, TABLE_USER);
	if (span_starts_fold(text, span_of("*@"))) {
		if (domain_is_valid(span_skip(text, 2)))
			return true;
	} else if (!span_is_empty(text) && span_find(text, '*') == text.len &&
		   span_find(text, ' ') == text.len) {
		return true;
	}
	value_complain(value, "is not a login; write for example \"billing\", "
			      "\"*@example.com\" or \"table:NAME\"");
	return false;
}

bool
certificate_check(const struct value *value)
{
	if (certificate_name_is_valid(value->text))
		return true;
	value_complain(value, "is not a certificate's name; write \"sha256:\" and 64 "
			      "hexadecimal digits, \"dns:NAME\", \"email:ADDRESS\" or "
			      "\"cn:TEXT\"");
	return false;
}

bool
connector_name_check(const struct value *value)
{
	const struct policy_source *source = &value->section->reader->settings->source;

	for (size_t i = 0; i < source->connector_count; i++)
		if (span_equal(source->connectors[i].name, value->text))
			return true;
	value_complain(value, "is not the name of a connector%s",
		       source->connector_count == 0
			   ? ""
			   : name_guess(value, &source->connectors[0].name,
					source->connector_count,
					sizeof(source->connectors[0])));
	return false;
}

bool
route_name_check(const struct value *value)
{
	const struct settings *settings = value->section->reader->settings;

	for (size_t i = 0; i < settings->route_count; i++)
		if (span_equal(settings->routes[i].name, value->text))
			return true;
	value_complain(value, "is not the name of a route%s",
		       settings->route_count == 0
			   ? "; add route \"NAME\" { next-hops = ... }"
			   : name_guess(value, &settings->routes[0].name,
					settings->route_count,
					sizeof(settings->routes[0])));
	return false;
}
