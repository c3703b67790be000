/* SPDX-License-Identifier: ISC */
/* Grants: who may send what to whom; see reader.h. */
#include "config/reader.h"
#include "config/value.h"
#include "smtp/address.h"

#define OPEN_RELAY_WORDS "I know"

static unsigned
evidence_read(const struct section *section)
{
	static const struct choice evidence[] = {
		{ "spf", EVIDENCE_SPF, NOT_YET },
		{ "dkim", EVIDENCE_DKIM, NOT_YET },
		{ "dmarc", EVIDENCE_DMARC, NOT_YET },
		{ "dnsbl", EVIDENCE_DNSBL, NOT_YET },
		{ "ptr", EVIDENCE_PTR, NOT_YET },
	};
	struct value value;
	unsigned wanted = 0;

	for (size_t i = 0; section_value_at(section, "require", i, &value); i++) {
		int bit = choice_find(&value, evidence, ARRAY_LEN(evidence));

		if (bit != -1)
			wanted |= (unsigned)bit;
	}
	return wanted;
}

/* Is there a limit of the same already, whatever its count? Both would count as one. */
static bool
limit_is_double(const struct limit_source *limits, size_t count)
{
	const struct limit_source *last = &limits[count];

	for (size_t i = 0; i < count; i++) {
		if (limits[i].unit == last->unit && limits[i].key == last->key &&
		    limits[i].window_s == last->window_s)
			return true;
	}
	return false;
}

static void
limits_read(const struct section *section, struct grant_source *grant)
{
	struct text_list list = section_list(section, "limits", NULL);
	struct limit_source *limits =
	    arena_new_array(section->reader->arena, list.count, sizeof(*limits));
	struct value value;

	for (size_t i = 0; section_value_at(section, "limits", i, &value); i++) {
		if (limit_parse(value.text, &limits[grant->limit_count]) != PARSE_OK)
			value_complain(&value, "is not a limit; write for example \"600 "
					       "messages/hour\", \"5000 recipients/day per "
					       "sender\", \"2GB bytes/day\" or "
					       "\"20 sessions per address\"");
		else if (limit_is_double(limits, grant->limit_count))
			value_complain(&value, "limits the same as one before it; remove one");
		else
			grant->limit_count++;
	}
	grant->limits = limits;
}

static void
validity_read(const struct section *section, struct grant_source *grant)
{
	struct value value;

	grant->starts_ms = section_date(section, "starts");
	grant->expires_ms = section_date(section, "expires");
	if (grant->starts_ms > 0 && grant->expires_ms > 0 &&
	    grant->expires_ms <= grant->starts_ms &&
	    section_value(section, "expires", &value))
		value_complain(&value, "is not after 'starts', so the grant would never "
				       "be valid; write a later date");
	grant->mode = section_mode(section, &grant->monitor_until_ms);
}

static void
texts_read(const struct section *section, struct grant_source *grant)
{
	struct address address;
	struct value value;

	grant->owner = section_text(section, "owner");
	grant->ticket = section_text(section, "ticket");
	grant->rewrite_sender = section_text(section, "rewrite-sender");
	if (!span_is_empty(grant->rewrite_sender) &&
	    mailbox_parse(grant->rewrite_sender, &address) != PARSE_OK &&
	    section_value(section, "rewrite-sender", &value))
		value_complain(&value, "is not an address; write for example "
				       "\"noreply@example.com\"");
	grant->bounce_to = section_text(section, "bounce-to");
	if (!span_is_empty(grant->bounce_to) &&
	    mailbox_parse(grant->bounce_to, &address) != PARSE_OK &&
	    section_value(section, "bounce-to", &value))
		value_complain(&value, "is not an address; write for example "
				       "\"ops@example.com\"");
	if (section_value(section, "route", &value) && route_name_check(&value))
		grant->route = value.text;
	if (!section_value(section, "open-relay", &value))
		return;
	grant->is_open_relay_accepted = span_equal(value.text, span_of(OPEN_RELAY_WORDS));
	if (!grant->is_open_relay_accepted)
		value_complain(&value, "is not what it takes; write open-relay = "
				       "\"" OPEN_RELAY_WORDS "\" if anybody shall send "
				       "to anybody, or remove it");
}

static void
grant_read(const struct section *section, struct grant_source *grant)
{
	static const struct choice header_from[] = {
		{ "any", HEADER_FROM_ANY, IN_THIS_RELEASE },
		{ "same-domain", HEADER_FROM_SAME_DOMAIN, IN_THIS_RELEASE },
		{ "authorized", HEADER_FROM_AUTHORIZED, IN_THIS_RELEASE },
	};
	static const struct choice routed[] = {
		{ "refuse", 0, IN_THIS_RELEASE },
		{ "allow", 1, IN_THIS_RELEASE },
	};

	*grant = (struct grant_source){
		.name = arena_copy(section->reader->arena, section->item->title),
		.file = section->item->file->name,
		.line = section->item->line,
		.connectors = section_list(section, "connectors", connector_name_check),
		.users = section_list(section, "users", user_check),
		.networks = section_list(section, "networks", network_check),
		.certificates = section_list(section, "certificates", certificate_check),
		.senders = section_list_required(section, "senders", sender_check,
						 "{ \"@example.com\" }"),
		.recipients =
		    section_list_required(section, "recipients", recipient_check,
					  "{ \"*\" }, or { \"accepted-domains\" }"),
		.except_networks =
		    section_list(section, "except-networks", network_check),
		.except_senders = section_list(section, "except-senders", sender_check),
		.except_recipients =
		    section_list(section, "except-recipients", recipient_check),
		.sender_map = section_list(section, "sender-map", sender_map_check),
		.takes_routed = section_choice(section, "routed-local-parts", routed,
					       ARRAY_LEN(routed), 0) == 1,
		.requires_tls = section_bool(section, "require-tls", false),
		.requires_evidence = evidence_read(section),
		.header_from = (enum header_from_demand)section_choice(
		    section, "header-from", header_from, ARRAY_LEN(header_from),
		    HEADER_FROM_ANY),
	};
	limits_read(section, grant);
	validity_read(section, grant);
	texts_read(section, grant);

	/* An empty list is no condition to the policy; whoever writes one means nobody. */
	static const char *const conditions[] = { "connectors", "users", "networks",
						  "certificates" };

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
		section_complain_empty(section, conditions[i],
				       "it would hold for everybody; write what belongs "
				       "there, or remove the option");
}

void
grants_read(struct reader *reader)
{
	struct settings *settings = reader->settings;
	size_t count;
	struct section *sections = sections_open(reader, "grant", &count);
	struct grant_source *grants =
	    arena_new_array(reader->arena, count, sizeof(*grants));

	for (size_t i = 0; i < count; i++)
		grant_read(&sections[i], &grants[i]);
	reader->grant_sections = sections;
	settings->source.grants = grants;
	settings->source.grant_count = count;
}
