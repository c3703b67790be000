/* SPDX-License-Identifier: ISC */
/* metrics { }: where Prometheus may fetch the figures; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

/* Is it where a connector listens already? */
static bool
is_bound(const struct settings *settings, const struct ip_endpoint *endpoint)
{
	static const struct ip any_v6 = { { 0 } };
	struct ip any_v4;

	if (ip_parse(span_of("0.0.0.0"), &any_v4) != PARSE_OK)
		return false;

	const struct ip *any = ip_is_v4(&endpoint->ip) ? &any_v4 : &any_v6;

	for (size_t i = 0; i < settings->source.connector_count; i++) {
		const struct connector_source *connector = &settings->source.connectors[i];

		for (size_t j = 0; j < connector->binding_count; j++) {
			const struct ip_endpoint *binding = &connector->bindings[j];

			if (binding->port == endpoint->port &&
			    (ip_compare(&binding->ip, &endpoint->ip) == 0 ||
			     ip_compare(&binding->ip, any) == 0))
				return true;
		}
	}
	return false;
}

/* The figures name grants and domains, and nobody is asked for a password. */
void
metrics_read(struct reader *reader)
{
	struct metrics_settings *metrics = &reader->settings->metrics;
	struct section section;
	struct value value;

	if (!section_open(reader, "metrics", &section))
		return;
	if (!section_value(&section, "listen", &value)) {
		section_complain_missing(&section, "listen", "\"127.0.0.1:9925\"");
		return;
	}
	if (ip_endpoint_parse(value.text, &metrics->listen) != PARSE_OK)
		value_complain(&value, "is not an address and a port; write for example "
				       "\"127.0.0.1:9925\" or \"[::1]:9925\"");
	else if (!ip_is_loopback(&metrics->listen.ip))
		value_complain(&value, "is no address of this machine alone, and the figures are "
				       "given to whoever asks; write \"127.0.0.1:%u\", and let a "
				       "web server that checks who asks pass them on",
			       (unsigned)metrics->listen.port);
	else if (is_bound(reader->settings, &metrics->listen))
		value_complain(&value, "is where a connector listens; write another port");
	else
		metrics->is_wanted = true;
}
