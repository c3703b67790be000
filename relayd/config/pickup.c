/* SPDX-License-Identifier: ISC */
/*
 * pickup { }: the directory, and the connector that stands for it. Its client is "pickup",
 * which is the unspecified address ("::"): no client of a network can have it, so a grant's
 * networks = { "pickup" } holds for files dropped there and for nobody else.
 */
#include "config/reader.h"
#include "config/value.h"

#define MESSAGE_MAX_OCTETS (2047 * MB)
#define RECIPIENTS_MAX	   5000
#define HOPS_MAX	   60

static const struct span pickup_name = SPAN_LITERAL("pickup");
static const struct ip_endpoint pickup_binding; /* [::]:0, where nobody else can listen */
static const struct span pickup_client = SPAN_LITERAL("::");

static bool
name_is_free(const struct section *section)
{
	const struct policy_source *source = &section->reader->settings->source;

	for (size_t i = 0; i < source->connector_count; i++) {
		if (!span_equal(source->connectors[i].name, pickup_name))
			continue;
		section_complain(section, "is a connector named \"pickup\" itself; give the "
					  "other connector of that name (%s:%u) a new one",
				 source->connectors[i].file, source->connectors[i].line);
		return false;
	}
	return true;
}

static void
connector_add(const struct section *section, uint64_t message_octets_max)
{
	struct reader *reader = section->reader;
	struct settings *settings = reader->settings;
	size_t at = settings->source.connector_count++;
	struct connector_source *connectors = reader->connectors;

	connectors[at] = (struct connector_source){
		.name = pickup_name,
		.bindings = &pickup_binding,
		.binding_count = 1,
		.remote_ranges = { .items = &pickup_client, .count = 1 },
		.file = section->item->file->name,
		.line = section->item->line,
	};
	reader->sessions[at] = (struct session_settings){
		.name = pickup_name,
		.hostname = span_of(settings->hostname),
		.bare_newline = BARE_NEWLINE_NORMALISE,
		.message_octets_max = message_octets_max,
		.header_octets_max = 256 * KB,
		.recipients_max = RECIPIENTS_MAX,
		.hops_max = HOPS_MAX,
		.inactivity_ms = 5 * MINUTE_MS,
		.connection_ms = 10 * MINUTE_MS,
		.hides_client = true,
	};
}

void
pickup_read(struct reader *reader)
{
	struct pickup_settings *pickup = &reader->settings->pickup;
	struct section section;
	struct span directory;

	if (!section_open(reader, "pickup", &section))
		return;
	directory = section_path(&section, "directory");
	if (!section_has(&section, "directory"))
		section_complain_missing(&section, "directory", "\"/var/lib/relayd/pickup\"");
	if (span_is_empty(directory) || !name_is_free(&section))
		return;
	pickup->directory = arena_copy_text(reader->arena, directory);
	pickup->message_octets_max =
	    section_size(&section, "max-message-size", 36 * MB, KB, MESSAGE_MAX_OCTETS);
	connector_add(&section, pickup->message_octets_max);
}
