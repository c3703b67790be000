/* SPDX-License-Identifier: ISC */
/*
 * relayctl rights: what a client may do by the configuration on disk, whatever it will try,
 * and the proof that nobody may relay who should not.
 */
#include "ctl/command.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "ctl/columns.h"
#include "policy/rights.h"

#include <stdlib.h>

#define TEXT_OCTETS_MAX (16U << 20)
#define ITEMS_SHOWN	4

struct arguments {
	const char *client, *connector, *user, *at;
	struct option_list certificates, inside;
	bool is_tls, is_proof;
};

/* What is asked, of one connector after the other. */
struct question {
	const struct settings *settings;
	struct facts facts;
	bool has_client;
	struct span *certificates;
};

static const char *const right_meanings[RIGHT_COUNT] = {
	[RIGHT_SUBMIT] = "begin a message",
	[RIGHT_ANY_RECIPIENT] = "to recipients outside the accepted domains: relay",
	[RIGHT_ANY_SENDER] = "from senders outside the accepted domains",
	[RIGHT_AUTHORITATIVE_SENDER] = "from senders in authoritative domains",
	[RIGHT_HEADERS_ROUTING] = "Received and Resent-* fields are kept",
	[RIGHT_BYPASS_ANTI_SPAM] = "no SPF, DKIM, DMARC, block list or PTR asked for",
	[RIGHT_BYPASS_SIZE] = "no limit of size (max-message-size always holds)",
};

static int
question_read(const struct relayctl *ctl, const struct arguments *a, struct question *q)
{
	struct facts *facts = &q->facts;

	q->has_client = a->client != NULL;
	if (a->client != NULL && ip_parse(span_of(a->client), &facts->client) != PARSE_OK)
		return usage_complain(ctl, "--client %s is not an address", a->client);
	facts->now_wall_ms = clock_wall_ms();
	if (a->at != NULL &&
	    time_option_parse(a->at, facts->now_wall_ms, &facts->now_wall_ms) != PARSE_OK)
		return usage_complain(ctl, "--time %s is no time; write 2026-12-31 or "
					   "2026-12-31T08:30", a->at);
	facts->user = span_of(a->user);
	facts->is_tls = a->is_tls || a->certificates.count > 0;
	for (size_t i = 0; i < a->certificates.count; i++)
		q->certificates[i] = span_of(a->certificates.items[i]);
	facts->certificates = q->certificates;
	facts->certificate_count = a->certificates.count;
	return GO_ON;
}

/* Would this connector take the client somewhere where it listens? */
static bool
connector_takes(const struct question *q, size_t index)
{
	const struct policy *policy = q->settings->policy;
	const struct connector_source *connector = policy_connector(policy, index);

	for (size_t b = 0; q->has_client && b < connector->binding_count; b++) {
		if (policy_connector_find(policy, &connector->bindings[b], &q->facts.client) ==
		    index)
			return true;
	}
	return !q->has_client;
}

/* ---- What a grant says ---- */

static void
place_append(struct buffer *out, const char *file, unsigned line)
{
	const char *slash = file == NULL ? NULL : strrchr(file, '/');

	if (file != NULL)
		buffer_printf(out, "%s:%u", slash == NULL ? file : slash + 1, line);
}

static void
texts_append(struct buffer *out, const struct text_list *list, const char *none)
{
	if (list->count == 0)
		buffer_append_text(out, none);
	for (size_t i = 0; i < list->count && i < ITEMS_SHOWN; i++) {
		buffer_append_text(out, i == 0 ? "" : ", ");
		buffer_append(out, list->items[i]);
	}
	if (list->count > ITEMS_SHOWN)
		buffer_printf(out, " and %zu more", list->count - ITEMS_SHOWN);
}

static void
cell_list(struct columns *c, const struct text_list *list, const struct text_list *except,
	  const char *none)
{
	struct buffer text;

	buffer_init(&text, TEXT_OCTETS_MAX);
	texts_append(&text, list, none);
	if (except->count > 0) {
		buffer_append_text(&text, " except ");
		texts_append(&text, except, "");
	}
	columns_cell(c, buffer_span(&text));
	buffer_reset(&text);
}

/* Does the grant hold on the connector that is asked about? */
static bool
grant_is_here(const struct question *q, const struct grant_source *g)
{
	struct span name = policy_connector(q->settings->policy, q->facts.connector)->name;

	for (size_t i = 0; i < g->connectors.count; i++) {
		if (span_equal(g->connectors.items[i], name))
			return true;
	}
	return g->connectors.count == 0;
}

/* What keeps a grant from holding, in words. */
static void
lack_append(const struct question *q, const struct grant_outcome *outcome, struct buffer *out)
{
	const struct grant_source *g = policy_grant(q->settings->policy, outcome->grant);

	if (outcome->stage == STAGE_PERMITTED)
		return;
	if (q->has_client || outcome->stage > STAGE_WHO) {
		policy_describe(q->settings->policy, &q->facts, outcome->stage, outcome->reason,
				outcome->grant, out);
		return;
	}
	if (!grant_is_here(q, g)) {
		buffer_append_text(out, "holds on connectors ");
		texts_append(out, &g->connectors, "");
		return;
	}
	buffer_append_text(out, "is for ");
	if (g->users.count > 0) {
		buffer_append_text(out, "users ");
		texts_append(out, &g->users, "");
	}
	if (g->certificates.count > 0) {
		buffer_append_text(out, g->users.count > 0 ? " with certificates " :
							     "certificates ");
		texts_append(out, &g->certificates, "");
	}
}

static void
grants_print(const struct question *q, const struct grant_outcome *outcomes, bool permits)
{
	static const char *const titles[] = { "MAY SEND BY", "LINE", "NETWORKS", "SENDERS",
					      "RECIPIENTS" };
	static const char *const others[] = { "NOT BY", "LINE", "REASON", "WHY" };
	const struct policy *policy = q->settings->policy;
	struct buffer text;
	struct columns c;

	columns_init(&c, permits ? titles : others,
		     permits ? ARRAY_LEN(titles) : ARRAY_LEN(others));
	buffer_init(&text, TEXT_OCTETS_MAX);
	for (size_t i = 0; i < policy_grant_count(policy); i++) {
		const struct grant_source *g = policy_grant(policy, i);

		if ((outcomes[i].stage == STAGE_PERMITTED) != permits)
			continue;
		columns_cell(&c, g->name);
		place_append(&text, g->file, g->line);
		columns_cell(&c, buffer_span(&text));
		buffer_clear(&text);
		if (permits) {
			cell_list(&c, &g->networks, &g->except_networks, "any");
			cell_list(&c, &g->senders, &g->except_senders, "any");
			cell_list(&c, &g->recipients, &g->except_recipients, "any");
			continue;
		}
		columns_cell(&c, span_of(reason_token(outcomes[i].reason)));
		lack_append(q, &outcomes[i], &text);
		columns_cell(&c, buffer_span(&text));
		buffer_clear(&text);
	}
	columns_end(&c);
	buffer_reset(&text);
}

static void
rights_print(const struct question *q, const struct grant_outcome *outcomes,
	     const struct rights *rights, bool is_first)
{
	static const char *const titles[] = { "EXCHANGE RIGHT", "HELD", "MEANING" };
	const struct connector_source *connector =
	    policy_connector(q->settings->policy, q->facts.connector);
	struct columns c;
	struct buffer out;

	buffer_init(&out, TEXT_OCTETS_MAX);
	buffer_printf(&out, "%sconnector " SPAN_FMT " (", is_first ? "" : "\n",
		      SPAN_ARG(connector->name));
	place_append(&out, connector->file, connector->line);
	buffer_append_text(&out, ")\n");
	if (rights->is_monitored)
		buffer_append_text(&out, "monitor mode: whatever would be refused is accepted\n");
	output_put(&out);
	grants_print(q, outcomes, true);
	grants_print(q, outcomes, false);
	(void)putchar('\n');
	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < RIGHT_COUNT; i++) {
		columns_cell(&c, span_of(right_name((enum exchange_right)i)));
		columns_cell(&c, span_of(right_extent_name(rights->extents[i])));
		columns_cell(&c, span_of(right_meanings[i]));
	}
	columns_end(&c);
	buffer_reset(&out);
}

static void
list_write_json(struct json *j, const char *key, const struct text_list *list)
{
	if (list->count == 0)
		return;
	json_array_begin(j, key);
	for (size_t i = 0; i < list->count; i++)
		json_text(j, NULL, list->items[i]);
	json_array_end(j);
}

static void
grant_write_json(const struct question *q, const struct grant_outcome *outcome, struct json *j)
{
	const struct grant_source *g = policy_grant(q->settings->policy, outcome->grant);
	struct buffer text;

	buffer_init(&text, TEXT_OCTETS_MAX);
	json_object_begin(j, NULL);
	json_text(j, "grant", g->name);
	place_append(&text, g->file, g->line);
	json_text_if(j, "line", buffer_span(&text));
	buffer_clear(&text);
	json_bool(j, "permits", outcome->stage == STAGE_PERMITTED);
	if (outcome->stage != STAGE_PERMITTED) {
		json_cstring(j, "stage", stage_name(outcome->stage));
		json_cstring(j, "reason", reason_token(outcome->reason));
	}
	lack_append(q, outcome, &text);
	json_text_if(j, "detail", buffer_span(&text));
	list_write_json(j, "networks", &g->networks);
	list_write_json(j, "except_networks", &g->except_networks);
	list_write_json(j, "users", &g->users);
	list_write_json(j, "certificates", &g->certificates);
	list_write_json(j, "senders", &g->senders);
	list_write_json(j, "except_senders", &g->except_senders);
	list_write_json(j, "recipients", &g->recipients);
	list_write_json(j, "except_recipients", &g->except_recipients);
	json_object_end(j);
	buffer_reset(&text);
}

static void
rights_write_json(const struct question *q, const struct grant_outcome *outcomes,
		  const struct rights *rights, struct json *j)
{
	json_object_begin(j, NULL);
	json_text(j, "connector",
		  policy_connector(q->settings->policy, q->facts.connector)->name);
	json_bool(j, "may_send", rights->extents[RIGHT_SUBMIT] != RIGHT_NONE);
	json_bool(j, "monitored", rights->is_monitored);
	json_object_begin(j, "rights");
	for (size_t i = 0; i < RIGHT_COUNT; i++)
		json_cstring(j, right_name((enum exchange_right)i),
			     right_extent_name(rights->extents[i]));
	json_object_end(j);
	json_array_begin(j, "grants");
	for (size_t i = 0; i < policy_grant_count(q->settings->policy); i++)
		grant_write_json(q, &outcomes[i], j);
	json_array_end(j);
	json_object_end(j);
}

static int
rights_tell(struct relayctl *ctl, const struct arguments *a, struct question *q)
{
	const struct policy *policy = q->settings->policy;
	size_t only = NO_CONNECTOR, taken = 0;
	struct grant_outcome *outcomes =
	    memory_new_array(policy_grant_count(policy) + 1, sizeof(*outcomes));
	bool may_send = false;
	struct buffer out;
	struct json j = json_on(&out);

	if (a->connector != NULL)
		only = policy_connector_find_name(policy, span_of(a->connector));
	buffer_init(&out, TEXT_OCTETS_MAX);
	if (ctl->is_json)
		json_array_begin(&j, NULL);
	for (size_t i = 0; i < policy_connector_count(policy); i++) {
		struct rights rights;

		if (only == NO_CONNECTOR ? !connector_takes(q, i) : only != i)
			continue;
		q->facts.connector = i;
		policy_rights(policy, &q->facts, q->has_client, outcomes, &rights);
		may_send |= rights.extents[RIGHT_SUBMIT] != RIGHT_NONE;
		if (ctl->is_json)
			rights_write_json(q, outcomes, &rights, &j);
		else
			rights_print(q, outcomes, &rights, taken == 0);
		taken++;
	}
	if (ctl->is_json) {
		json_array_end(&j);
		buffer_append_byte(&out, '\n');
		output_put(&out);
	} else if (taken == 0) {
		(void)puts("no connector takes this client: it is turned away with 421 4.3.2");
	}
	buffer_reset(&out);
	free(outcomes);
	return may_send ? EXIT_YES : EXIT_NO;
}

/* ---- The proof ---- */

static struct span
way_grant(const struct policy *policy, const struct relay_way *way)
{
	return way->grant == NO_GRANT ? span_of("(monitor mode)") :
					policy_grant(policy, way->grant)->name;
}

static void
ways_print(const struct policy *policy, const struct relay_ways *ways)
{
	static const char *const titles[] = { "NETWORK", "CONNECTOR", "FIRST GRANT" };
	struct columns c;
	struct buffer text;

	columns_init(&c, titles, ARRAY_LEN(titles));
	buffer_init(&text, 1000);
	for (size_t i = 0; i < ways->count; i++) {
		const struct relay_way *way = &ways->items[i];

		(void)ip_range_text(&way->range, &text);
		columns_cell(&c, buffer_span(&text));
		buffer_clear(&text);
		columns_cell(&c, policy_connector(policy, way->connector)->name);
		columns_cell(&c, way_grant(policy, way));
	}
	columns_end(&c);
	buffer_reset(&text);
}

static void
witness_print(const struct policy *policy, struct relay_witness *w)
{
	const struct grant_source *g =
	    w->way.grant == NO_GRANT ? NULL : policy_grant(policy, w->way.grant);
	const struct connector_source *k = policy_connector(policy, w->way.connector);
	char client[IP_TEXT_SIZE];
	struct buffer out;

	buffer_init(&out, TEXT_OCTETS_MAX);
	ip_text(&w->client, client);
	buffer_append_text(&out, w->is_too_many ?
		"OPEN RELAY: the networks below hold more than half of all IPv4 addresses\n" :
		"OPEN RELAY: a client without a login, in no network that the configuration "
		"names, may relay\n");
	buffer_printf(&out, "client     %s\nconnector  " SPAN_FMT " (", client,
		      SPAN_ARG(k->name));
	place_append(&out, k->file, k->line);
	buffer_append_text(&out, ")\ngrant      ");
	buffer_append(&out, way_grant(policy, &w->way));
	if (g != NULL) {
		buffer_append_text(&out, " (");
		place_append(&out, g->file, g->line);
		buffer_append_text(&out, w->way.is_monitored ? "), in monitor mode" : ")");
	}
	buffer_printf(&out, "\nfrom       <%s>\nto         <%s>\n", buffer_text(&w->sender),
		      buffer_text(&w->recipient));
	buffer_printf(&out, "see        relayctl explain --client %s --connector " SPAN_FMT
			    "%s --from '%s' --to '%s'\n\n", client, SPAN_ARG(k->name),
		      g != NULL && g->requires_tls ? " --tls" : "",
		      w->sender.len == 0 ? "<>" : buffer_text(&w->sender),
		      buffer_text(&w->recipient));
	output_put(&out);
	buffer_reset(&out);
}

static void
proof_write_json(const struct policy *policy, const struct relay_ways *ways, bool is_open,
		 struct relay_witness *w)
{
	struct buffer out, text;
	struct json j = json_on(&out);
	char client[IP_TEXT_SIZE];

	buffer_init(&out, 64U << 20);
	buffer_init(&text, 1000);
	json_object_begin(&j, NULL);
	json_bool(&j, "open_relay", is_open);
	if (is_open) {
		ip_text(&w->client, client);
		json_object_begin(&j, "witness");
		json_cstring(&j, "client", client);
		json_text(&j, "connector", policy_connector(policy, w->way.connector)->name);
		if (w->way.grant != NO_GRANT)
			json_text(&j, "grant", policy_grant(policy, w->way.grant)->name);
		json_bool(&j, "monitored", w->way.is_monitored);
		json_text(&j, "from", buffer_span(&w->sender));
		json_text(&j, "to", buffer_span(&w->recipient));
		json_object_end(&j);
	}
	json_array_begin(&j, "networks");
	for (size_t i = 0; i < ways->count; i++) {
		(void)ip_range_text(&ways->items[i].range, &text);
		json_object_begin(&j, NULL);
		json_text(&j, "network", buffer_span(&text));
		buffer_clear(&text);
		json_text(&j, "connector",
			  policy_connector(policy, ways->items[i].connector)->name);
		if (ways->items[i].grant != NO_GRANT)
			json_text(&j, "grant",
				  policy_grant(policy, ways->items[i].grant)->name);
		json_bool(&j, "monitored", ways->items[i].is_monitored);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&text);
	buffer_reset(&out);
}

/* What --inside names instead of the configuration. */
static int
inside_read(const struct relayctl *ctl, const struct arguments *a, struct range_list *named)
{
	struct ip_range range;

	if (a->inside.count == 0) {
		policy_networks_named(&ctl->settings->source, named);
		return GO_ON;
	}
	for (size_t i = 0; i < a->inside.count; i++) {
		if (ip_range_parse(span_of(a->inside.items[i]), &range) != PARSE_OK)
			return usage_complain(ctl, "--inside %s is no network; write "
						   "10.0.0.0/8, 10.0.0.1-10.0.0.9 or an address",
					      a->inside.items[i]);
		range_list_add(named, &range, 0);
	}
	range_list_join(named);
	return GO_ON;
}

static int
proof_tell(struct relayctl *ctl, const struct arguments *a, const struct question *q)
{
	const struct policy *policy = ctl->settings->policy;
	struct range_list named = { .items = NULL };
	struct relay_witness witness;
	struct relay_ways ways;
	int status = inside_read(ctl, a, &named);

	if (status != GO_ON) {
		range_list_reset(&named);
		return status;
	}
	policy_relay_ways(policy, q->facts.now_wall_ms, &ways);
	bool is_open = policy_open_relay_find(policy, &ways, &named, &witness);

	if (ctl->is_json) {
		proof_write_json(policy, &ways, is_open, &witness);
	} else {
		if (is_open)
			witness_print(policy, &witness);
		else
			(void)printf("no open relay: of all addresses, only clients in %zu "
				     "named network%s may relay without a login%s\n",
				     ways.count, ways.count == 1 ? "" : "s",
				     ways.count == 0 ? "" : "\n");
		ways_print(policy, &ways);
	}
	if (is_open)
		relay_witness_reset(&witness);
	relay_ways_reset(&ways);
	range_list_reset(&named);
	return is_open ? EXIT_NO : EXIT_YES;
}

static int
rights_run(struct relayctl *ctl, const struct arguments *a, struct question *q)
{
	bool names_client = a->client != NULL || a->user != NULL || a->connector != NULL ||
			    a->certificates.count > 0 || a->is_tls;
	int status;

	if (a->is_proof && names_client)
		return usage_complain(ctl, "--open-relay is about every client; leave the "
					   "other options out");
	if (!a->is_proof && a->inside.count > 0)
		return usage_complain(ctl, "--inside goes with --open-relay");
	status = question_read(ctl, a, q);
	if (status == GO_ON)
		status = settings_need(ctl);
	if (status != GO_ON)
		return status;
	q->settings = ctl->settings;
	if (a->connector != NULL &&
	    policy_connector_find_name(q->settings->policy, span_of(a->connector)) ==
		NO_CONNECTOR)
		return usage_complain(ctl, "the configuration has no connector %s",
				      a->connector);
	return a->is_proof ? proof_tell(ctl, a, q) : rights_tell(ctl, a, q);
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct arguments a = { .client = NULL };
	struct question q = { .has_client = false };
	const struct option options[] = {
		{ "--client", OPTION_TEXT, &a.client },
		{ "--connector", OPTION_TEXT, &a.connector },
		{ "--user", OPTION_TEXT, &a.user },
		{ "--tls", OPTION_FLAG, &a.is_tls },
		{ "--cert", OPTION_LIST, &a.certificates },
		{ "--time", OPTION_TEXT, &a.at },
		{ "--open-relay", OPTION_FLAG, &a.is_proof },
		{ "--inside", OPTION_LIST, &a.inside },
	};
	size_t room = (size_t)argc + 1;

	a.certificates.items = memory_new_array(room, sizeof(*a.certificates.items));
	a.inside.items = memory_new_array(room, sizeof(*a.inside.items));
	q.certificates = memory_new_array(room, sizeof(*q.certificates));
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON && argc > 0)
		status = usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	if (status == GO_ON)
		status = rights_run(ctl, &a, &q);
	free(q.certificates);
	free(a.inside.items);
	free(a.certificates.items);
	return status;
}

const struct command command_rights = {
	.name = "rights",
	.summary = "what a client may do, and whether anybody may relay",
	.help =
	    "usage: relayctl rights [--client IP] [--user U] [--cert NAME] [--tls]\n"
	    "                       [--connector C] [--time TIME] [--json]\n"
	    "       relayctl rights --open-relay [--inside NETWORK] [--time TIME] [--json]\n"
	    "\n"
	    "What may this client do here, by the configuration on disk? Shows for each\n"
	    "connector that takes it which grants hold, which do not and why, and the rights of\n"
	    "Exchange that this amounts to: all, some (as far as the grants say) or none.\n"
	    "  --client IP        the client's address; without it: from wherever\n"
	    "  --user U           logged in as U; without it: nobody\n"
	    "  --cert NAME        with this verified certificate; may be given again\n"
	    "  --tls              the session is encrypted\n"
	    "  --connector C      on this connector only\n"
	    "  --time TIME        at this time instead of now\n"
	    "  --open-relay       prove that no client without a login, outside the networks that\n"
	    "                     the configuration names, may relay to a foreign recipient; or\n"
	    "                     show one that may\n"
	    "  --inside NETWORK   the networks that may, instead of those that are named\n"
	    "\n"
	    "The proof cuts the address space wherever a network of the policy begins or ends and\n"
	    "judges every piece. Networks count as named when a grant or connector, or a table,\n"
	    "writes a range of at most 2^24 IPv4 addresses (a /8) or a /16 of IPv6; private,\n"
	    "link-local and loopback ones always do. Together they may hold no more than half of\n"
	    "all IPv4 addresses.\n"
	    "\n"
	    "examples:\n"
	    "  relayctl rights                     anyone at all\n"
	    "  relayctl rights --client 10.20.1.7\n"
	    "  relayctl rights --user billing --tls --json\n"
	    "  relayctl -c new.conf rights --open-relay || exit 1\n"
	    "\n"
	    "exit: 0 it may send, or no open relay; 1 it may not, or an open relay; 2 usage,\n"
	    "      3 the configuration has errors\n",
	.run = run,
};
