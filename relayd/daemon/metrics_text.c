/* SPDX-License-Identifier: ISC */
/* Figures in Prometheus' words; see metrics_text.h. */
#include "daemon/metrics_text.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/table.h"

#include <inttypes.h>
#include <jansson.h>

/* A family being written: no two of its samples may have the same labels. */
struct family {
	struct buffer *out;
	struct arena *arena;
	struct table seen; /* labels */
	const char *name;
};

struct label {
	const char *name;
	const char *value; /* NULL: left out */
};

static struct family
family_begin(struct buffer *out, struct arena *arena, const char *name, const char *type,
	     const char *help)
{
	struct family family = { .out = out, .arena = arena, .name = name };

	table_init(&family.seen, 0);
	(void)buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
	return family;
}

static void
family_end(struct family *family)
{
	table_reset(&family->seen);
}

static void
label_value_append(const char *value, struct buffer *out)
{
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			(void)buffer_append_text(out, "\\n");
			continue;
		}
		if (*value == '\\' || *value == '"')
			(void)buffer_append_byte(out, '\\');
		(void)buffer_append_byte(out, *value);
	}
}

/* {a="b",c="d"}; nothing where there is none. */
static void
labels_append(const struct label *labels, size_t count, struct buffer *out)
{
	char before = '{';

	for (size_t i = 0; i < count; i++) {
		if (labels[i].value == NULL)
			continue;
		(void)buffer_append_byte(out, before);
		(void)buffer_append_text(out, labels[i].name);
		(void)buffer_append_text(out, "=\"");
		label_value_append(labels[i].value, out);
		(void)buffer_append_byte(out, '"');
		before = ',';
	}
	if (before == ',')
		(void)buffer_append_byte(out, '}');
}

static void
sample(struct family *family, const struct label *labels, size_t count, int64_t value)
{
	struct buffer text;

	buffer_init(&text, METRICS_OCTETS_MAX);
	labels_append(labels, count, &text);
	if (table_find(&family->seen, buffer_span(&text)) == NULL) {
		struct span key = arena_copy(family->arena, buffer_span(&text));

		(void)table_put(&family->seen, key, family);
		(void)buffer_append_text(family->out, family->name);
		(void)buffer_append(family->out, buffer_span(&text));
		(void)buffer_printf(family->out, " %" PRId64 "\n", value);
	}
	buffer_reset(&text);
}

static void
single(struct buffer *out, struct arena *arena, const char *name, const char *type,
       const char *help, int64_t value)
{
	struct family family = family_begin(out, arena, name, type, help);

	sample(&family, NULL, 0, value);
	family_end(&family);
}

/* ---- Reading the status ---- */

static const char *
text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int64_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool
is_text(const json_t *object, const char *key, const char *text)
{
	const char *value = text_of(object, key);

	return value != NULL && strcmp(value, text) == 0;
}

/* A time in seconds; 0: it is not there. */
static int64_t
seconds_of(const json_t *object, const char *key)
{
	const char *text = text_of(object, key);
	int64_t wall_ms;

	if (text == NULL || clock_parse(span_of(text), &wall_ms) != PARSE_OK)
		return 0;
	return wall_ms / 1000;
}

/* ---- Families: one figure of each object of an array ---- */

struct figure {
	const char *key; /* in the status */
	const char *name;
	const char *type;
	const char *help;
};

static const struct figure connector_figures[] = {
	{ "sessions_open", "relayd_sessions_open", "gauge", "Sessions that are open now." },
	{ "sessions", "relayd_sessions_total", "counter", "Sessions that began." },
	{ "connections_refused", "relayd_connections_refused_total", "counter",
	  "Connections that were refused before a command." },
	{ "messages", "relayd_messages_accepted_total", "counter", "Messages that were accepted." },
	{ "octets", "relayd_accepted_bytes_total", "counter", "Size of the accepted messages." },
	{ "logins", "relayd_logins_total", "counter", "Logins that succeeded." },
	{ "logins_failed", "relayd_logins_failed_total", "counter",
	  "Logins with a wrong name or password." },
	{ "tls_handshakes", "relayd_tls_handshakes_total", "counter",
	  "TLS handshakes with clients that succeeded." },
	{ "tls_resumed", "relayd_tls_resumed_total", "counter",
	  "Of these, resumptions of an earlier TLS session." },
	{ "tls_failures", "relayd_tls_failures_total", "counter",
	  "TLS handshakes with clients that failed." },
};

static const struct figure route_figures[] = {
	{ "waiting", "relayd_queue_waiting", "gauge", "Messages that wait for the route." },
	{ "held", "relayd_queue_held", "gauge", "Messages that an operator holds." },
	{ "in_flight", "relayd_queue_in_flight", "gauge", "Messages that are being delivered." },
	{ "dead", "relayd_queue_dead", "gauge",
	  "Messages that failed and of which nobody could be told." },
	{ "delivered", "relayd_recipients_delivered_total", "counter",
	  "Recipients that the route delivered." },
	{ "deferred", "relayd_recipients_deferred_total", "counter",
	  "Recipients that were put off, once for each try." },
	{ "failed", "relayd_recipients_failed_total", "counter",
	  "Recipients that failed for good." },
	{ "connections_open", "relayd_route_connections_open", "gauge",
	  "Connections to next hops that are open now." },
	{ "tls_failures", "relayd_route_tls_failures_total", "counter",
	  "Connections to next hops that ended for TLS." },
	{ "login_failures", "relayd_route_login_failures_total", "counter",
	  "Logins that next hops refused." },
};

static const struct figure certificate_figures[] = {
	{ "days_left", "relayd_certificate_days_left", "gauge",
	  "Days until the certificate ends; below 0 when it did." },
};

static const struct figure spool_figures[] = {
	{ "messages", "relayd_spool_messages", "gauge", "Messages in the spool." },
	{ "body_octets", "relayd_spool_body_bytes", "gauge", "Size of their bodies on disk." },
	{ "memory_octets", "relayd_spool_memory_bytes", "gauge",
	  "Memory that the spool needs for them." },
	{ "segments", "relayd_spool_segments", "gauge", "Segment files." },
	{ "syncs", "relayd_spool_syncs_total", "counter", "Times that the disk was waited for." },
	{ "commits", "relayd_spool_commits_total", "counter", "Messages that were made durable." },
};

static void
figure_write(const struct figure *figure, json_t *object, struct label label,
	     struct family *family)
{
	if (json_is_integer(json_object_get(object, figure->key)))
		sample(family, &label, 1, number_of(object, figure->key));
}

/* Label each object by its name. */
static void
figures_write(const struct figure *figures, size_t count, json_t *array, const char *label,
	      struct buffer *out, struct arena *arena)
{
	for (size_t i = 0; i < count; i++) {
		const struct figure *f = &figures[i];
		struct family family = family_begin(out, arena, f->name, f->type, f->help);
		json_t *object;
		size_t at;

		json_array_foreach(array, at, object) {
			struct label named = { label, text_of(object, "name") };

			figure_write(f, object, named, &family);
		}
		family_end(&family);
	}
}

/* ---- Families of their own ---- */

static void
attempts_write(json_t *connectors, struct buffer *out, struct arena *arena)
{
	struct family family = family_begin(
	    out, arena, "relayd_attempts_total", "counter",
	    "Attempts to relay to a recipient, by verdict and reason (relayctl reason).");
	json_t *connector, *attempt;
	size_t at, i;

	json_array_foreach(connectors, at, connector) {
		json_array_foreach(json_object_get(connector, "attempts"), i, attempt) {
			const struct label labels[] = {
				{ "connector", text_of(connector, "name") },
				{ "verdict", text_of(attempt, "verdict") },
				{ "reason", text_of(attempt, "reason") },
			};

			sample(&family, labels, ARRAY_LEN(labels), number_of(attempt, "count"));
		}
	}
	family_end(&family);
}

static void
monitoring_write(json_t *connectors, struct buffer *out, struct arena *arena)
{
	struct family family =
	    family_begin(out, arena, "relayd_connector_monitoring", "gauge",
			 "1: the connector is in monitor mode and refuses nothing.");
	json_t *connector;
	size_t at;

	json_array_foreach(connectors, at, connector) {
		const struct label label = { "connector", text_of(connector, "name") };

		sample(&family, &label, 1, is_text(connector, "mode", "monitor"));
	}
	family_end(&family);
}

static void
oldest_write(json_t *routes, struct buffer *out, struct arena *arena)
{
	struct family family =
	    family_begin(out, arena, "relayd_queue_oldest_timestamp_seconds", "gauge",
			 "When the oldest message that waits was accepted; absent when none does.");
	json_t *route;
	size_t at;

	json_array_foreach(routes, at, route) {
		const struct label label = { "route", text_of(route, "name") };
		int64_t oldest = seconds_of(route, "oldest");

		if (oldest != 0)
			sample(&family, &label, 1, oldest);
	}
	family_end(&family);
}

static int64_t
hop_is_up(json_t *hop)
{
	return is_text(hop, "state", "up");
}

static int64_t
hop_connections(json_t *hop)
{
	return number_of(hop, "connections");
}

static void
hops_write(json_t *routes, const char *name, const char *help, int64_t (*value)(json_t *hop),
	   struct buffer *out, struct arena *arena)
{
	struct family family = family_begin(out, arena, name, "gauge", help);
	json_t *route, *hop;
	size_t at, i;

	json_array_foreach(routes, at, route) {
		json_array_foreach(json_object_get(route, "next_hops"), i, hop) {
			const struct label labels[] = {
				{ "route", text_of(route, "name") },
				{ "next_hop", text_of(hop, "name") },
			};

			sample(&family, labels, ARRAY_LEN(labels), value(hop));
		}
	}
	family_end(&family);
}

/* One sample for each state that a token may be in; that of its own is 1. */
static void
tokens_write(json_t *routes, struct buffer *out, struct arena *arena)
{
	static const char *const states[] = { "none yet", "valid", "trouble", "refused" };
	struct family family = family_begin(out, arena, "relayd_token_state", "gauge",
					    "1: the route's access token is in this state.");
	json_t *route;
	size_t at;

	json_array_foreach(routes, at, route) {
		const json_t *token = json_object_get(route, "token");

		for (size_t i = 0; token != NULL && i < ARRAY_LEN(states); i++) {
			const struct label labels[] = { { "route", text_of(route, "name") },
							{ "state", states[i] } };

			sample(&family, labels, ARRAY_LEN(labels),
			       is_text(token, "state", states[i]));
		}
	}
	family_end(&family);
	family = family_begin(out, arena, "relayd_token_expires_timestamp_seconds", "gauge",
			      "When the route's access token ends.");
	json_array_foreach(routes, at, route) {
		const struct label label = { "route", text_of(route, "name") };
		int64_t expires = seconds_of(json_object_get(route, "token"), "expires");

		if (expires != 0)
			sample(&family, &label, 1, expires);
	}
	family_end(&family);
}

/* Of grants, and of the domains of senders. */
static void
rates_write(json_t *rates, const char *name, const char *label, const char *help,
	    struct buffer *out, struct arena *arena)
{
	static const char *const events[] = { "delivered", "deferred", "failed", "reported" };
	struct family family = family_begin(out, arena, name, "counter", help);
	json_t *rate;
	size_t at;

	json_array_foreach(rates, at, rate) {
		for (size_t i = 0; i < ARRAY_LEN(events); i++) {
			const struct label labels[] = { { label, text_of(rate, "name") },
							{ "event", events[i] } };

			sample(&family, labels, ARRAY_LEN(labels), number_of(rate, events[i]));
		}
	}
	family_end(&family);
}

static void
limits_write(json_t *limits, const char *key, const char *name, const char *help,
	     struct buffer *out, struct arena *arena)
{
	struct family family = family_begin(out, arena, name, "gauge", help);
	json_t *limit;
	size_t at;

	json_array_foreach(limits, at, limit) {
		const struct label labels[] = { { "grant", text_of(limit, "grant") },
						{ "limit", text_of(limit, "limit") } };

		if (json_object_get(limit, "used") != NULL)
			sample(&family, labels, ARRAY_LEN(labels), number_of(limit, key));
	}
	family_end(&family);
}

static void
certificates_write(json_t *certificates, struct buffer *out, struct arena *arena)
{
	const struct figure *f = &certificate_figures[0];
	struct family family = family_begin(out, arena, f->name, f->type, f->help);
	json_t *certificate;
	size_t at;

	json_array_foreach(certificates, at, certificate) {
		const struct label labels[] = {
			{ "section", text_of(certificate, "section") },
			{ "file", text_of(certificate, "file") },
			{ "kind", text_of(certificate, "kind") },
		};

		sample(&family, labels, ARRAY_LEN(labels), number_of(certificate, f->key));
	}
	family_end(&family);
}

/* How many processes there are in each state, and how often they were started again. */
static void
processes_write(json_t *processes, const char *kind, const char *const *states, size_t count,
		struct buffer *out, struct arena *arena)
{
	char name[64], help[128];
	json_t *process;
	size_t at;

	(void)snprintf(name, sizeof(name), "relayd_%ss", kind);
	(void)snprintf(help, sizeof(help), "Processes of kind %s in each state.", kind);

	struct family family = family_begin(out, arena, name, "gauge", help);

	for (size_t i = 0; i < count; i++) {
		const struct label label = { "state", states[i] };
		int64_t in_state = 0;

		json_array_foreach(processes, at, process)
			in_state += is_text(process, "state", states[i]);
		sample(&family, &label, 1, in_state);
	}
	family_end(&family);
	(void)snprintf(name, sizeof(name), "relayd_%s_restarts_total", kind);
	(void)snprintf(help, sizeof(help), "Times that a %s ended by itself and was started again.",
		       kind);
	family = family_begin(out, arena, name, "counter", help);
	json_array_foreach(processes, at, process) {
		char slot[24];
		const struct label label = { "slot", slot };

		/* while a reload changes over, a slot has two processes */
		(void)snprintf(slot, sizeof(slot), "%" PRId64, number_of(process, "slot"));
		if (!is_text(process, "state", "draining") && !is_text(process, "state", "ending"))
			sample(&family, &label, 1, number_of(process, "restarts"));
	}
	family_end(&family);
}

static void
head_write(const json_t *status, struct buffer *out, struct arena *arena)
{
	const struct label version = { "version", text_of(status, "version") };
	const struct label policy = { "policy", text_of(status, "policy") };
	struct family family = family_begin(out, arena, "relayd_build_info", "gauge",
					    "The version that runs; always 1.");

	sample(&family, &version, 1, 1);
	family_end(&family);
	family = family_begin(out, arena, "relayd_policy_info", "gauge",
			      "The hash of the policy in force; always 1.");
	sample(&family, &policy, 1, 1);
	family_end(&family);
	single(out, arena, "relayd_start_time_seconds", "gauge", "When relayd was started.",
	       seconds_of(status, "started"));
	single(out, arena, "relayd_warnings", "gauge",
	       "Warnings about the configuration and its certificates (relayctl status).",
	       (int64_t)json_array_size(json_object_get(status, "warnings")));
	single(out, arena, "relayd_hidden_clients", "gauge",
	       "Addresses behind which a NAT seems to hide clients.",
	       (int64_t)json_array_size(json_object_get(status, "hidden_clients")));
}

static void
spool_write(json_t *spool, struct buffer *out, struct arena *arena)
{
	for (size_t i = 0; i < ARRAY_LEN(spool_figures); i++) {
		const struct figure *f = &spool_figures[i];

		single(out, arena, f->name, f->type, f->help, number_of(spool, f->key));
	}
}

static void
status_write(const json_t *status, struct buffer *out, struct arena *arena)
{
	static const char *const worker_states[] = { "starting", "running", "draining" };
	static const char *const helper_states[] = { "running", "restarting", "ending" };
	json_t *connectors = json_object_get(status, "connectors");
	json_t *routes = json_object_get(status, "routes");
	json_t *limits = json_object_get(status, "limits");

	head_write(status, out, arena);
	processes_write(json_object_get(status, "workers"), "worker", worker_states,
			ARRAY_LEN(worker_states), out, arena);
	processes_write(json_object_get(status, "helpers"), "helper", helper_states,
			ARRAY_LEN(helper_states), out, arena);
	figures_write(connector_figures, ARRAY_LEN(connector_figures), connectors, "connector", out,
		      arena);
	attempts_write(connectors, out, arena);
	monitoring_write(connectors, out, arena);
	figures_write(route_figures, ARRAY_LEN(route_figures), routes, "route", out, arena);
	oldest_write(routes, out, arena);
	hops_write(routes, "relayd_next_hop_up", "0: the next hop is left alone for a while.",
		   hop_is_up, out, arena);
	hops_write(routes, "relayd_next_hop_connections", "Connections that it greeted.",
		   hop_connections, out, arena);
	tokens_write(routes, out, arena);
	rates_write(json_object_get(status, "grants"), "relayd_grant_recipients_total", "grant",
		    "What became of recipients, by grant; reported: reports that were sent.", out,
		    arena);
	rates_write(json_object_get(status, "sender_domains"),
		    "relayd_sender_domain_recipients_total", "domain",
		    "The same by the sender's domain; the later ones count as (others).", out,
		    arena);
	limits_write(limits, "used", "relayd_limit_used", "What is used of a grant's limit.", out,
		     arena);
	limits_write(limits, "max", "relayd_limit_max", "What the limit allows.", out, arena);
	certificates_write(json_object_get(status, "certificates"), out, arena);
	spool_write(json_object_get(status, "spool"), out, arena);
}

bool
metrics_text(struct span status, struct buffer *out, struct fault *fault)
{
	json_t *object = json_loadb(status.ptr, status.len, JSON_REJECT_DUPLICATES, NULL);
	struct arena arena;

	if (json_object_get(object, "spool") == NULL) {
		json_decref(object);
		return fault_say(fault, "relayd said no status");
	}
	arena_init(&arena, 65536);
	status_write(object, out, &arena);
	arena_reset(&arena);
	json_decref(object);
	return !out->is_over || fault_say(fault, "the figures are too many");
}
