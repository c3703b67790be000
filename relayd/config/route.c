/* SPDX-License-Identifier: ISC */
/* Routes: where accepted mail goes, and that everything has one; see reader.h. */
#include "config/reader.h"
#include "config/value.h"
#include "policy/network_table.h"

#define CONNECTIONS_DEFAULT 20 /* to one route, as Exchange has it for one domain */
#define CONNECTIONS_MAX	    1000

/* How long a client waits at most; few give up that soon. */
#define CUT_THROUGH_WAIT_MS	(10 * SECOND_MS)
#define CUT_THROUGH_WAIT_MAX_MS (5 * MINUTE_MS)

static bool
next_hop_check(const struct value *value)
{
	struct next_hop_settings next_hop;

	if (next_hop_parse(value->text, &next_hop) != PARSE_OK) {
		value_complain(value, "is not a next hop; write for example "
				      "\"smtp.example.com:587\", \"192.0.2.1:25\" or "
				      "\"[2001:db8::1]:25\"");
		return false;
	}
	return true;
}

/* Would a message sent there come straight back to one of our own listeners? */
static bool
is_own_binding(const struct settings *settings, const struct next_hop_settings *next_hop)
{
	static const struct ip any_v6 = { { 0 } };
	struct ip any_v4, ip;

	if (ip_parse(next_hop->host, &ip) != PARSE_OK ||
	    ip_parse(span_of("0.0.0.0"), &any_v4) != PARSE_OK)
		return false;
	for (size_t i = 0; i < settings->source.connector_count; i++) {
		const struct connector_source *connector =
		    &settings->source.connectors[i];

		for (size_t j = 0; j < connector->binding_count; j++) {
			const struct ip_endpoint *binding = &connector->bindings[j];
			bool is_any = ip_compare(&binding->ip, &any_v4) == 0 ||
				      ip_compare(&binding->ip, &any_v6) == 0;

			if (binding->port == next_hop->port &&
			    (ip_compare(&binding->ip, &ip) == 0 ||
			     (is_any && ip_is_loopback(&ip))))
				return true;
		}
	}
	return false;
}

static void
next_hops_read(const struct section *section, struct route_settings *route)
{
	struct text_list list = section_list(section, "next-hops", next_hop_check);
	struct next_hop_settings *next_hops =
	    arena_new_array(section->reader->arena, list.count, sizeof(*next_hops));
	struct value value;

	for (size_t i = 0; i < list.count; i++)
		if (next_hop_parse(list.items[i], &next_hops[route->next_hop_count]) ==
		    PARSE_OK)
			route->next_hop_count++;
	route->next_hops = next_hops;
	for (size_t i = 0; section_value_at(section, "next-hops", i, &value); i++) {
		struct next_hop_settings next_hop;

		if (next_hop_parse(value.text, &next_hop) == PARSE_OK &&
		    is_own_binding(section->reader->settings, &next_hop))
			value_complain(&value, "is where relayd itself listens, so mail "
					       "would go round in circles; name another "
					       "server");
	}
}

/* Only where a next hop answers is there anything to wait for. */
static void
cut_through_check(const struct section *section, const struct route_settings *route,
		  bool has_maildir)
{
	if (route->is_cut_through && has_maildir)
		section_complain(section, "has cut-through = true and a maildir, which no "
					  "client needs to wait for; remove cut-through");
	else if (section_has(section, "cut-through-wait") &&
		 !section_has(section, "cut-through"))
		section_complain(section, "has a cut-through-wait but no cut-through = true; "
					  "add that, or remove cut-through-wait");
}

static void
route_read(const struct section *section, struct route_settings *route)
{
	bool has_next_hops = section_has(section, "next-hops");
	bool has_maildir = section_has(section, "maildir");

	*route = (struct route_settings){
		.name = arena_copy(section->reader->arena, section->item->title),
		.file = section->item->file->name,
		.line = section->item->line,
		.recipients = section_list(section, "recipients", recipient_check),
		.maildir = section_path(section, "maildir"),
		.connections_max =
		    section_number(section, "connections", CONNECTIONS_DEFAULT, 1,
				   CONNECTIONS_MAX, false),
		.messages_per_minute =
		    section_number(section, "messages-per-minute", 0, 1, 1000000, true),
		.is_cut_through = section_bool(section, "cut-through", false),
		.cut_through_wait_ms = section_duration(section, "cut-through-wait",
							CUT_THROUGH_WAIT_MS, SECOND_MS,
							CUT_THROUGH_WAIT_MAX_MS),
	};
	next_hops_read(section, route);
	route_upstream_read(section, route);
	if (!has_maildir)
		route_mx_read(section, route);
	section_complain_empty(section, "recipients",
			       "no message would ever take this route; write { \"*\" } "
			       "or the domains that it serves, or remove the option and "
			       "name the route in a grant");
	section_complain_empty(section, "next-hops", "name at least one server");
	if (route->next_hop_count > NEXT_HOPS_MAX)
		section_complain(section, "has %zu next hops; write %d at most",
				 route->next_hop_count, NEXT_HOPS_MAX);
	cut_through_check(section, route, has_maildir);
	if (has_next_hops && has_maildir)
		section_complain(section, "has both next-hops and a maildir; remove one "
					  "of them");
	else if (!has_next_hops && !has_maildir &&
		 !section_has_refused(section, "maildir"))
		section_complain_missing(section, "next-hops",
					 "{ \"smtp.example.com:25\" }");
}

void
routes_read(struct reader *reader)
{
	struct settings *settings = reader->settings;
	size_t count;
	struct section *sections = sections_open(reader, "route", &count);
	struct route_settings *routes =
	    arena_new_array(reader->arena, count, sizeof(*routes));

	for (size_t i = 0; i < count; i++)
		route_read(&sections[i], &routes[i]);
	reader->route_sections = sections;
	settings->routes = routes;
	settings->route_count = count;
}

/* ---- Does everything that is accepted have a route? ---- */

static struct span
pattern_domain(struct span pattern)
{
	size_t at = pattern.len;

	while (at > 0 && pattern.ptr[at - 1] != '@')
		at--;
	return span_skip(pattern, at);
}

/* Is each address that one pattern holds also held by the other? */
static bool
pattern_covers(struct span outer, struct span inner)
{
	struct span outer_domain = pattern_domain(outer),
		    inner_domain = pattern_domain(inner);

	if (span_equal(outer, span_of("*")) || span_equal_fold(outer, inner))
		return true;
	if (outer.len == 0 || outer.ptr[0] != '@' || inner_domain.len == inner.len)
		return false;
	if (!span_starts_fold(outer_domain, span_of("*.")))
		return span_equal_fold(outer_domain, inner_domain);

	/* "@*.example.com" holds "a.example.com" and "*.a.example.com" */
	return span_ends_fold(inner_domain, span_skip(outer_domain, 1));
}

static bool
pattern_is_routed(const struct settings *settings, struct span pattern)
{
	for (size_t i = 0; i < settings->route_count; i++) {
		const struct text_list *recipients = &settings->routes[i].recipients;

		for (size_t j = 0; j < recipients->count; j++)
			if (pattern_covers(recipients->items[j], pattern))
				return true;
	}
	return false;
}

/* The first recipient of the grant without a route; empty when all have one. */
static struct span
unrouted_find(const struct settings *settings, const struct grant_source *grant)
{
	for (size_t i = 0; i < grant->recipients.count; i++)
		if (!pattern_is_routed(settings, grant->recipients.items[i]))
			return grant->recipients.items[i];
	return (struct span){ .ptr = NULL };
}

static void
route_use_check(const struct settings *settings, const struct section *section,
		const struct route_settings *route)
{
	bool is_used = route->recipients.count > 0 || section_has(section, "recipients");

	for (size_t i = 0; i < settings->source.grant_count; i++)
		is_used |= span_equal(settings->source.grants[i].route, route->name);
	if (!is_used)
		complaint_warn(section->reader->complaints, route->file, route->line,
			       "route \"" SPAN_FMT "\" is never used: it has no "
			       "recipients, and no grant names it",
			       SPAN_ARG(route->name));
}

void
routes_check(struct reader *reader)
{
	const struct settings *settings = reader->settings;
	const struct policy_source *source = &settings->source;
	bool has_route_for_all = pattern_is_routed(settings, span_of("*"));

	for (size_t i = 0; i < settings->route_count; i++)
		route_use_check(settings, &reader->route_sections[i],
				&settings->routes[i]);
	for (size_t i = 0; i < source->grant_count; i++) {
		struct span unrouted = unrouted_find(settings, &source->grants[i]);
		bool is_monitored = source->grants[i].mode == MODE_MONITOR;

		if (section_has(&reader->grant_sections[i], "route") || has_route_for_all)
			continue;
		if (!span_is_empty(unrouted))
			section_complain(&reader->grant_sections[i],
					 "allows recipients \"" SPAN_FMT
					 "\", but no route takes them; write route = "
					 "\"NAME\" here, or recipients = { \"" SPAN_FMT
					 "\" } in a route",
					 SPAN_ARG(unrouted), SPAN_ARG(unrouted));
		else if (is_monitored)
			section_complain(&reader->grant_sections[i],
					 "is in monitor mode, which accepts mail for any "
					 "recipient, but no route takes all of it; write "
					 "route = \"NAME\" here, or recipients = { \"*\" "
					 "} in a route");
	}
	for (size_t i = 0; i < source->connector_count; i++)
		if (source->connectors[i].mode == MODE_MONITOR && !has_route_for_all)
			section_complain(&reader->connector_sections[i],
					 "is in monitor mode, which accepts mail for any "
					 "recipient, but no route takes all of it; write "
					 "recipients = { \"*\" } in a route");
}

/* ---- Monitor mode must not make an open relay ---- */

/* Add what a list of networks says; an empty list says every address. */
static void
networks_add(const struct policy_source *source, const struct text_list *networks,
	     struct range_list *out)
{
	static const struct ip lowest = { { 0 } };
	struct ip_range range = { lowest, lowest };

	if (networks->count == 0) {
		memset(range.last.bytes, 0xff, sizeof(range.last.bytes));
		range_list_add(out, &range, 0);
	}
	for (size_t i = 0; i < networks->count; i++) {
		struct span table = networks->items[i];

		if (ip_range_parse(table, &range) == PARSE_OK) {
			range_list_add(out, &range, 0);
			continue;
		}
		table = span_skip(table, span_find(table, ':') + 1);
		for (size_t j = 0; j < source->table_count; j++) {
			const struct text_list *entries = &source->tables[j].entries;

			for (size_t k = 0; span_equal(source->tables[j].name, table) &&
					   k < entries->count;
			     k++)
				if (ip_range_parse(entries->items[k], &range) == PARSE_OK)
					range_list_add(out, &range, 0);
		}
	}
}

static bool
networks_are_everything(const struct policy_source *source,
			const struct text_list *networks)
{
	struct range_list ranges = { .items = NULL };

	networks_add(source, networks, &ranges);

	bool is_everything =
	    range_list_is_all_v4(&ranges) || range_list_is_all_v6(&ranges);

	range_list_reset(&ranges);
	return is_everything;
}

/* Can any client of any network reach the connector? */
static bool
connector_is_everywhere(const struct policy_source *source,
			const struct connector_source *connector)
{
	bool is_reachable = false;

	for (size_t i = 0; i < connector->binding_count; i++)
		is_reachable |= !ip_is_loopback(&connector->bindings[i].ip);
	return is_reachable && networks_are_everything(source, &connector->remote_ranges);
}

static bool
grant_has_connector(const struct grant_source *grant,
		    const struct connector_source *connector)
{
	for (size_t i = 0; i < grant->connectors.count; i++)
		if (span_equal(grant->connectors.items[i], connector->name))
			return true;
	return grant->connectors.count == 0;
}

void
monitor_check(struct reader *reader)
{
	const struct policy_source *source = &reader->settings->source;

	for (size_t i = 0; i < source->connector_count; i++) {
		const struct connector_source *connector = &source->connectors[i];

		if (!connector_is_everywhere(source, connector))
			continue;
		if (connector->mode == MODE_MONITOR)
			section_complain(&reader->connector_sections[i],
					 "would be an open relay: in monitor mode "
					 "everything is accepted, and it takes clients "
					 "of any network; write for example "
					 "remote-ip-ranges = { \"10.0.0.0/8\" }");
		for (size_t j = 0; j < source->grant_count; j++) {
			const struct grant_source *grant = &source->grants[j];

			if (grant->mode == MODE_MONITOR && grant->users.count == 0 &&
			    grant->certificates.count == 0 &&
			    !grant->is_open_relay_accepted &&
			    grant_has_connector(grant, connector) &&
			    networks_are_everything(source, &grant->networks))
				section_complain(&reader->grant_sections[j],
						 "would be an open relay: in monitor "
						 "mode it accepts any sender and "
						 "recipient, and it holds for any "
						 "network on connector \"" SPAN_FMT
						 "\"; write for example networks = { "
						 "\"10.0.0.0/8\" }",
						 SPAN_ARG(connector->name));
		}
	}
}
