/* SPDX-License-Identifier: ISC */
/*
 * What `relayctl status` shows: the figures of all workers, and of those that ended, summed
 * by the names of the configuration in force.
 */
#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/certificates.h"
#include "daemon/supervisor_private.h"

#include <unistd.h>

struct figures_of {
	const struct settings *settings;
	struct worker_figures *figures;
};

#define ADD(to, from, member) \
	((to)->member += atomic_load_explicit(&(from)->member, memory_order_relaxed))

static void
connector_add(struct session_figures *to, struct session_figures *from, bool is_past)
{
	if (!is_past)
		ADD(to, from, sessions_open);
	ADD(to, from, sessions);
	ADD(to, from, connections_refused);
	ADD(to, from, relayed);
	ADD(to, from, refused);
	ADD(to, from, deferred);
	ADD(to, from, would_refuse);
	ADD(to, from, messages);
	ADD(to, from, octets);
	ADD(to, from, logins);
	ADD(to, from, logins_failed);
	ADD(to, from, tls_handshakes);
	ADD(to, from, tls_resumed);
	ADD(to, from, tls_failures);
}

/* The worst of what the workers see. */
static void
hop_add(struct hop_figures *to, struct hop_figures *from)
{
	ADD(to, from, connections);
	if (from->paused_until_wall_ms > to->paused_until_wall_ms) {
		to->paused_until_wall_ms = from->paused_until_wall_ms;
		to->trouble = from->trouble;
	}
}

static void
route_add(struct route_figures *to, struct route_figures *from, bool is_past)
{
	ADD(to, from, tls_failures);
	ADD(to, from, login_failures);
	ADD(to, from, delivered);
	ADD(to, from, deferred);
	ADD(to, from, failed);
	if (is_past)
		return;
	ADD(to, from, waiting);
	ADD(to, from, held);
	ADD(to, from, in_flight);
	ADD(to, from, dead);
	ADD(to, from, connections_open);
	ADD(to, from, domains);
	ADD(to, from, domains_down);
	for (size_t i = 0; i < NEXT_HOPS_MAX; i++)
		hop_add(&to->hops[i], &from->hops[i]);
	if (from->oldest_wall_ms != 0 &&
	    (to->oldest_wall_ms == 0 || from->oldest_wall_ms < to->oldest_wall_ms))
		to->oldest_wall_ms = from->oldest_wall_ms;
}

static void
spool_add(struct worker_figures *to, struct worker_figures *from, bool is_past)
{
	ADD(to, from, spool_syncs);
	ADD(to, from, spool_commits);
	if (is_past)
		return;
	ADD(to, from, spool_messages);
	ADD(to, from, spool_body_octets);
	ADD(to, from, spool_memory_octets);
	ADD(to, from, spool_segments);
}

/* Add by name; is_past: only what goes on counting after the process is gone. */
static void
figures_add(const struct figures_of *to, const struct figures_of *from, bool is_past)
{
	for (size_t t = 0; t < to->figures->connector_count; t++) {
		for (size_t f = 0; f < from->figures->connector_count; f++) {
			if (span_equal(to->settings->source.connectors[t].name,
				       from->settings->source.connectors[f].name))
				connector_add(&to->figures->connectors[t],
					      &from->figures->connectors[f], is_past);
		}
	}
	for (size_t t = 0; t < to->figures->route_count; t++) {
		for (size_t f = 0; f < from->figures->route_count; f++) {
			if (span_equal(to->settings->routes[t].name,
				       from->settings->routes[f].name))
				route_add(&to->figures->routes[t], &from->figures->routes[f],
					  is_past);
		}
	}
	rates_merge(to->settings, to->figures->rates, from->settings, from->figures->rates);
	spool_add(to->figures, from->figures, is_past);
	nat_sketch_add(&to->figures->nat, &from->figures->nat);
}

static struct worker_figures *
figures_for(const struct settings *settings, struct fault *fault)
{
	return worker_figures_new(settings->source.connector_count, settings->route_count,
				  settings->source.grant_count, fault);
}

void
past_add(struct supervisor *supervisor, const struct child *child)
{
	if (supervisor->past == NULL)
		return;
	const struct figures_of to = { supervisor->current->settings, supervisor->past };
	const struct figures_of from = { child->generation->settings, child->figures };

	figures_add(&to, &from, true);
}

bool
past_renew(struct supervisor *supervisor, const struct settings *before,
	   const struct settings *after, struct fault *fault)
{
	struct worker_figures *renewed = figures_for(after, fault);

	if (renewed != NULL && supervisor->past != NULL) {
		const struct figures_of to = { after, renewed };
		const struct figures_of from = { before, supervisor->past };

		figures_add(&to, &from, true);
	}
	worker_figures_free(&supervisor->past);
	supervisor->past = renewed;
	return renewed != NULL;
}

static void
workers_write(const struct supervisor *supervisor, struct json *j)
{
	static const char *const states[] = { "starting", "running", "draining" };

	json_array_begin(j, "workers");
	for (struct list *l = supervisor->children.next; l != &supervisor->children;
	     l = l->next) {
		const struct child *child = LIST_OWNER(l, struct child, link);

		json_object_begin(j, NULL);
		json_number(j, "slot", child->index);
		json_number(j, "pid", child->pid);
		json_number(j, "generation", child->generation->number);
		json_cstring(j, "state", states[child->state]);
		json_number(j, "restarts", supervisor->seats[child->index].restarts);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
helpers_write(const struct supervisor *supervisor, struct json *j)
{
	json_array_begin(j, "helpers");
	for (struct list *l = supervisor->generations.next; l != &supervisor->generations;
	     l = l->next) {
		const struct generation *generation = LIST_OWNER(l, struct generation, link);

		for (unsigned i = 0; i < generation->helper_count; i++) {
			const struct auth_seat *seat = &generation->helpers[i];

			json_object_begin(j, NULL);
			json_number(j, "slot", seat->number);
			json_cstring(j, "pool", seat->is_slow ? "slow" : "fast");
			json_number(j, "pid", seat->pid);
			json_number(j, "generation", generation->number);
			json_cstring(j, "state", generation->is_ending ? "ending" :
						 seat->pid != 0	       ? "running" :
									 "restarting");
			json_number(j, "restarts", seat->restarts);
			json_object_end(j);
		}
	}
	json_array_end(j);
}

static void
bindings_write(const struct connector_source *connector, struct json *j)
{
	json_array_begin(j, "bindings");
	for (size_t i = 0; i < connector->binding_count; i++) {
		char text[IP_ENDPOINT_SIZE];

		ip_endpoint_text(&connector->bindings[i], text);
		json_cstring(j, NULL, text);
	}
	json_array_end(j);
}

#define NUMBER(j, from, member) json_number((j), #member, (int64_t)(from)->member)

static void
mode_write(bool is_monitoring, int64_t until_ms, struct json *j)
{
	char until[CLOCK_RFC3339_SIZE];

	json_cstring(j, "mode", is_monitoring ? "monitor" : "enforce");
	if (!is_monitoring || until_ms == 0)
		return;
	clock_rfc3339(until_ms, until);
	json_cstring(j, "monitor_until", until);
}

/* Grants that let through what they would refuse. */
static void
monitors_write(const struct settings *settings, struct json *j)
{
	json_array_begin(j, "monitoring_grants");
	for (size_t i = 0; i < settings->source.grant_count; i++) {
		const struct grant_source *grant = &settings->source.grants[i];

		if (!grant_is_monitoring(grant, clock_wall_ms()))
			continue;
		json_object_begin(j, NULL);
		json_text(j, "name", grant->name);
		mode_write(true, grant->monitor_until_ms, j);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
connectors_write(const struct settings *settings, struct worker_figures *total, struct json *j)
{
	json_array_begin(j, "connectors");
	for (size_t i = 0; i < total->connector_count; i++) {
		const struct connector_source *connector = &settings->source.connectors[i];
		struct session_figures *figures = &total->connectors[i];

		json_object_begin(j, NULL);
		json_text(j, "name", connector->name);
		bindings_write(connector, j);
		mode_write(connector_is_monitoring(connector, clock_wall_ms()),
			   connector->monitor_until_ms, j);
		NUMBER(j, figures, sessions_open);
		NUMBER(j, figures, sessions);
		NUMBER(j, figures, connections_refused);
		NUMBER(j, figures, relayed);
		NUMBER(j, figures, refused);
		NUMBER(j, figures, deferred);
		NUMBER(j, figures, would_refuse);
		NUMBER(j, figures, messages);
		NUMBER(j, figures, octets);
		NUMBER(j, figures, logins);
		NUMBER(j, figures, logins_failed);
		NUMBER(j, figures, tls_handshakes);
		NUMBER(j, figures, tls_resumed);
		NUMBER(j, figures, tls_failures);
		json_object_end(j);
	}
	json_array_end(j);
}

static const char *
hop_trouble_text(uint32_t trouble)
{
	static const char *const texts[] = {
		[HOP_IS_WELL] = "well",
		[HOP_HAS_NO_CONNECTION] = "no connection",
		[HOP_HAS_NO_TLS] = "TLS failed",
		[HOP_REFUSES_LOGIN] = "login refused",
		[HOP_THROTTLES] = "asks for patience",
	};

	return trouble < ARRAY_LEN(texts) ? texts[trouble] : "";
}

/* "up", or "paused" with why and until when. */
static void
next_hop_write(const struct next_hop_settings *next_hop, struct hop_figures *figures,
	       struct json *j)
{
	char text[CLOCK_RFC3339_SIZE];
	struct buffer name;
	bool is_v6 = span_find(next_hop->host, ':') < next_hop->host.len;

	buffer_init(&name, 600);
	buffer_printf(&name, "%s" SPAN_FMT "%s:%u", is_v6 ? "[" : "",
		      SPAN_ARG(next_hop->host), is_v6 ? "]" : "", (unsigned)next_hop->port);
	if (next_hop->is_mx) {
		buffer_clear(&name);
		buffer_append_text(&name, "mx");
	}
	json_object_begin(j, NULL);
	json_text(j, "name", buffer_span(&name));
	json_cstring(j, "state", figures->paused_until_wall_ms == 0 ? "up" : "paused");
	NUMBER(j, figures, connections);
	if (figures->paused_until_wall_ms != 0) {
		clock_rfc3339(figures->paused_until_wall_ms, text);
		json_cstring(j, "trouble", hop_trouble_text(figures->trouble));
		json_cstring(j, "until", text);
	}
	json_object_end(j);
	buffer_reset(&name);
}

static void
token_write(const struct token_board *tokens, size_t route, struct json *j)
{
	static const char *const states[] = {
		[TOKEN_NONE] = "none yet",
		[TOKEN_VALID] = "valid",
		[TOKEN_TROUBLE] = "trouble",
		[TOKEN_REFUSED] = "refused",
	};
	struct token_status status;
	char text[CLOCK_RFC3339_SIZE];

	token_status_read(tokens, route, &status);
	json_object_begin(j, "token");
	json_cstring(j, "state", states[status.state]);
	if (status.expires_wall_ms != 0) {
		clock_rfc3339(status.expires_wall_ms, text);
		json_cstring(j, "expires", text);
	}
	json_text_if(j, "trouble", span_of(status.trouble));
	json_object_end(j);
}

static void
next_hops_write(const struct route_settings *route, struct route_figures *figures,
		struct json *j)
{
	json_array_begin(j, "next_hops");
	for (size_t i = 0; i < route->next_hop_count && i < NEXT_HOPS_MAX; i++)
		next_hop_write(&route->next_hops[i], &figures->hops[i], j);
	json_array_end(j);
}

static void
routes_write(const struct settings *settings, const struct token_board *tokens,
	     struct worker_figures *total, struct json *j)
{
	json_array_begin(j, "routes");
	for (size_t i = 0; i < total->route_count; i++) {
		struct route_figures *figures = &total->routes[i];
		char oldest[CLOCK_RFC3339_SIZE];

		json_object_begin(j, NULL);
		json_text(j, "name", settings->routes[i].name);
		NUMBER(j, figures, waiting);
		NUMBER(j, figures, held);
		NUMBER(j, figures, in_flight);
		NUMBER(j, figures, dead);
		NUMBER(j, figures, delivered);
		NUMBER(j, figures, deferred);
		NUMBER(j, figures, failed);
		NUMBER(j, figures, connections_open);
		NUMBER(j, figures, tls_failures);
		NUMBER(j, figures, login_failures);
		if (settings->routes[i].has_mx) {
			NUMBER(j, figures, domains);
			NUMBER(j, figures, domains_down);
		}
		if (settings->routes[i].next_hop_count > 0)
			next_hops_write(&settings->routes[i], figures, j);
		if (settings->routes[i].auth.token.endpoint != NULL)
			token_write(tokens, i, j);
		if (figures->oldest_wall_ms != 0) {
			clock_rfc3339(figures->oldest_wall_ms, oldest);
			json_cstring(j, "oldest", oldest);
		}
		json_object_end(j);
	}
	json_array_end(j);
}

static void
spool_write(struct worker_figures *total, struct json *j)
{
	json_object_begin(j, "spool");
	json_number(j, "messages", (int64_t)total->spool_messages);
	json_number(j, "body_octets", (int64_t)total->spool_body_octets);
	json_number(j, "memory_octets", (int64_t)total->spool_memory_octets);
	json_number(j, "segments", (int64_t)total->spool_segments);
	json_number(j, "syncs", (int64_t)total->spool_syncs);
	json_number(j, "commits", (int64_t)total->spool_commits);
	json_object_end(j);
}

static void
warning_write(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	(void)is_error;
	(void)file;
	(void)line;
	json_cstring(context, NULL, text);
}

static void
nat_write(const struct supervisor *supervisor, struct json *j)
{
	struct nat_hint hints[NAT_HOSTS];
	struct buffer text;
	size_t count = nat_hints_collect(supervisor, hints);

	buffer_init(&text, NAT_TEXT_MAX);
	json_array_begin(j, "hidden_clients");
	for (size_t i = 0; i < count; i++) {
		char ip[IP_TEXT_SIZE];

		ip_text(&hints[i].seen.client, ip);
		buffer_clear(&text);
		nat_hint_text(&hints[i], &text);
		json_object_begin(j, NULL);
		json_cstring(j, "ip", ip);
		json_number(j, "names", hints[i].seen.names);
		json_number(j, "hellos", (int64_t)hints[i].seen.hellos);
		json_text(j, "hint", buffer_span(&text));
		json_object_end(j);
	}
	json_array_end(j);
	buffer_reset(&text);
}

size_t
nat_hints_collect(const struct supervisor *supervisor, struct nat_hint out[NAT_HOSTS])
{
	struct nat_sketch total = { .hosts[0].version = 0 };

	for (struct list *l = supervisor->children.next; l != &supervisor->children; l = l->next)
		nat_sketch_add(&total, &LIST_OWNER(l, struct child, link)->figures->nat);
	if (supervisor->past != NULL)
		nat_sketch_add(&total, &supervisor->past->nat);
	return nat_hints_find(&total, supervisor->gateways, supervisor->gateway_count, out);
}

static void
head_write(const struct supervisor *supervisor, struct json *j)
{
	const struct settings *settings = supervisor->current->settings;
	char started[CLOCK_RFC3339_SIZE];
	char hash[17];

	clock_rfc3339(supervisor->started_wall_ms, started);
	policy_hash(settings->policy, hash);
	json_cstring(j, "version", PACKAGE_VERSION);
	json_number(j, "pid", getpid());
	json_cstring(j, "started", started);
	json_number(j, "uptime_s", (clock_monotonic_ms() - supervisor->started_ms) / 1000);
	json_cstring(j, "hostname", settings->hostname);
	json_cstring(j, "config", settings->path);
	json_cstring(j, "policy", hash);
	json_cstring(j, "state", supervisor->is_stopping ? "stopping" :
				supervisor->candidate != NULL ? "reloading" : "running");
}

void
status_write(const struct supervisor *supervisor, struct buffer *out)
{
	const struct settings *settings = supervisor->current->settings;
	struct fault fault = { .error = 0 };
	const struct figures_of total = { settings, figures_for(settings, &fault) };
	struct json j = json_on(out);

	json_object_begin(&j, NULL);
	head_write(supervisor, &j);
	workers_write(supervisor, &j);
	helpers_write(supervisor, &j);
	if (total.figures != NULL) {
		struct worker_figures *sum = total.figures;

		for (struct list *l = supervisor->children.next; l != &supervisor->children;
		     l = l->next) {
			struct child *child = LIST_OWNER(l, struct child, link);
			const struct figures_of from = { child->generation->settings,
							 child->figures };

			figures_add(&total, &from, false);
		}
		if (supervisor->past != NULL) {
			const struct figures_of past = { settings, supervisor->past };

			figures_add(&total, &past, true);
		}
		connectors_write(settings, sum, &j);
		routes_write(settings, supervisor->current->tokens, sum, &j);
		monitors_write(settings, &j);
		rates_write(settings, sum->rates, &j);
		spool_write(sum, &j);
		worker_figures_free(&sum);
	}
	status_limits_write(supervisor, &j);
	certificates_write(supervisor->current->tls, clock_wall_ms(), &j);
	nat_write(supervisor, &j);
	json_array_begin(&j, "warnings");
	settings_lint(settings, clock_wall_ms(), warning_write, &j);
	certificates_lint(supervisor->current->tls, clock_wall_ms(), warning_write, &j);
	json_array_end(&j);
	json_object_end(&j);
}
