/* SPDX-License-Identifier: ISC */
/* Connectors: listening roles, their demands and limits; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

#define MESSAGE_MAX_OCTETS (2047 * MB) /* as Exchange has it */
#define SESSION_TIME_MAX   (24 * HOUR_MS)

static bool
binding_check(const struct value *value)
{
	struct ip_endpoint endpoint;

	if (ip_endpoint_parse(value->text, &endpoint) == PARSE_OK)
		return true;
	value_complain(value, "is not an address and a port; write for example "
			      "\"0.0.0.0:25\" or \"[::]:25\"");
	return false;
}

static void
bindings_read(const struct section *section, struct connector_source *connector)
{
	struct text_list list = section_list_required(section, "bindings", binding_check,
						      "{ \"0.0.0.0:25\", \"[::]:25\" }");
	struct ip_endpoint *bindings =
	    arena_new_array(section->reader->arena, list.count, sizeof(*bindings));
	size_t count = 0;

	for (size_t i = 0; i < list.count; i++) {
		struct ip_endpoint *binding = &bindings[count];
		bool is_new = ip_endpoint_parse(list.items[i], binding) == PARSE_OK;

		for (size_t j = 0; j < count; j++)
			if (bindings[j].port == binding->port &&
			    ip_compare(&bindings[j].ip, &binding->ip) == 0)
				is_new = false;
		if (is_new)
			count++;
		else
			section_complain(section,
					 "lists the binding \"" SPAN_FMT "\" twice; "
					 "remove one",
					 SPAN_ARG(list.items[i]));
	}
	connector->bindings = bindings;
	connector->binding_count = count;
}

static void
connector_read(const struct section *section, struct connector_source *connector)
{
	static const struct choice tls_demands[] = {
		{ "none", TLS_NONE, IN_THIS_RELEASE },
		{ "offered", TLS_OFFERED, IN_THIS_RELEASE },
		{ "required", TLS_REQUIRED, IN_THIS_RELEASE },
		{ "implicit", TLS_IMPLICIT, IN_THIS_RELEASE },
	};

	connector->name = arena_copy(section->reader->arena, section->item->title);
	connector->file = section->item->file->name;
	connector->line = section->item->line;
	bindings_read(section, connector);
	connector->remote_ranges =
	    section_list(section, "remote-ip-ranges", network_check);
	section_complain_empty(section, "remote-ip-ranges",
			       "no client could connect; write for example { "
			       "\"10.0.0.0/8\" }, or remove the option for any client");
	connector->go_betweens[GO_BETWEEN_PROXY] =
	    section_list(section, "proxy-protocol", network_check);
	connector->go_betweens[GO_BETWEEN_XCLIENT] =
	    section_list(section, "xclient", network_check);
	connector->tls = (enum tls_demand)section_choice(
	    section, "tls", tls_demands, ARRAY_LEN(tls_demands), TLS_NONE);
	connector->mode = section_mode(section, &connector->monitor_until_ms);
}

/* The limits and time-outs: Exchange's names and, where they are sound, its defaults. */
static struct session_settings
session_read(const struct section *section, const struct connector_source *connector)
{
	static const struct choice newlines[] = {
		{ "refuse", BARE_NEWLINE_REFUSE, IN_THIS_RELEASE },
		{ "normalise", BARE_NEWLINE_NORMALISE, IN_THIS_RELEASE },
	};
	struct session_settings session = {
		.name = connector->name,
		.hostname = span_of(section->reader->settings->hostname),
		.tls = connector->tls,
		.tls_section = connector_tls_section(section, connector->tls),
		.bare_newline = (enum bare_newline)section_choice(
		    section, "bare-newlines", newlines, ARRAY_LEN(newlines),
		    BARE_NEWLINE_REFUSE),
		.message_octets_max = section_size(section, "max-message-size", 36 * MB,
						   KB, MESSAGE_MAX_OCTETS),
		.header_octets_max =
		    section_size(section, "max-header-size", 256 * KB, KB, 16 * MB),
		.recipients_max = section_number(section, "max-recipients-per-message",
						 200, 1, 5000, false),
		.connections_max =
		    section_number(section, "max-connections", 5000, 1, 1000000, true),
		.connections_per_source_max = section_number(
		    section, "max-connections-per-source", 20, 1, 1000000, true),
		.message_rate_max =
		    section_number(section, "message-rate-limit", 0, 1, 1000000, true),
		.protocol_errors_max =
		    section_number(section, "max-protocol-errors", 5, 1, 1000000, true),
		.hops_max = section_number(section, "max-hop-count", 60, 1, 500, false),
		.tarpit_ms = section_duration(section, "tarpit-interval", 5 * SECOND_MS,
					      0, 10 * MINUTE_MS),
		.inactivity_ms = section_duration(section, "inactivity-timeout",
						  5 * MINUTE_MS, 1, SESSION_TIME_MAX),
		.connection_ms = section_duration(section, "connection-timeout",
						  10 * MINUTE_MS, 1, SESSION_TIME_MAX),
		.hides_client = section_bool(section, "hide-client", false),
		.auth_without_tls = section_bool(section, "auth-without-tls", false),
		.logon_failures_max =
		    section_number(section, "max-logon-failures", 3, 1, 1000000, true),
	};
	struct value value;

	mechanisms_read(section, &session);

	if (session.inactivity_ms > session.connection_ms &&
	    (section_value(section, "inactivity-timeout", &value) ||
	     section_value(section, "connection-timeout", &value))) {
		char inactivity[VALUE_TEXT_SIZE], connection[VALUE_TEXT_SIZE];

		duration_text(session.inactivity_ms, inactivity);
		duration_text(session.connection_ms, connection);
		value_complain(&value,
			       "cannot be: inactivity-timeout (%s) would never be "
			       "reached before connection-timeout (%s); write a shorter "
			       "inactivity-timeout, or a longer connection-timeout",
			       inactivity, connection);
	}
	return session;
}

void
connectors_read(struct reader *reader)
{
	struct settings *settings = reader->settings;
	size_t count;
	struct section *sections = sections_open(reader, "connector", &count);
	struct connector_source *connectors =
	    arena_new_array(reader->arena, count + 1, sizeof(*connectors)); /* and pickup's */
	struct session_settings *sessions =
	    arena_new_array(reader->arena, count + 1, sizeof(*sessions));

	for (size_t i = 0; i < count; i++) {
		connector_read(&sections[i], &connectors[i]);
		sessions[i] = session_read(&sections[i], &connectors[i]);
		connectors[i].can_authenticate = sessions[i].auth_count > 0;
	}
	if (count == 0 && !section_has_refused(&reader->root, "connector"))
		section_complain(&reader->root, "there is no connector, so nobody could "
						"connect; write connector \"NAME\" { "
						"bindings = { \"0.0.0.0:25\" } }");
	reader->connector_sections = sections;
	reader->connector_section_count = count;
	reader->connectors = connectors;
	reader->sessions = sessions;
	settings->source.connectors = connectors;
	settings->source.connector_count = count;
	settings->connectors = sessions;
}
