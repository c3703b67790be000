/* SPDX-License-Identifier: ISC */
/*
 * Verdicts in words: what a grant demands, what it got, and what would have to be written for
 * it to pass. Client bytes are cut and stripped of control characters.
 */
#include "policy/policy_private.h"

#include "base/clock.h"

#include <assert.h>

#define ITEMS_SHOWN 5
#define TEXT_SHOWN  254

static void
say(struct buffer *out, const char *text)
{
	(void)buffer_append_text(out, text);
}

static void
say_bytes(struct buffer *out, struct span bytes)
{
	struct span shown = span_first(bytes, TEXT_SHOWN);

	for (size_t i = 0; i < shown.len; i++)
		(void)buffer_append_byte(
		    out, ascii_is_control(shown.ptr[i]) ? '?' : shown.ptr[i]);
	if (shown.len < bytes.len)
		say(out, "...");
}

static void
say_ip(struct buffer *out, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	ip_text(ip, text);
	say(out, text);
}

static void
say_address(struct buffer *out, const struct address *address)
{
	if (address_is_null(address))
		say(out, "<>");
	else
		say_bytes(out, address->text);
}

static void
say_date(struct buffer *out, int64_t at_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(at_ms, text);
	say_bytes(out, (struct span){ text, sizeof("2026-12-31T23:59:59") - 1 });
	say(out, "Z");
}

/* "a, b, c and 7 more" */
static void
say_list(struct buffer *out, const struct text_list *list)
{
	for (size_t i = 0; i < list->count && i < ITEMS_SHOWN; i++) {
		say(out, i == 0 ? "" : ", ");
		say_bytes(out, list->items[i]);
	}
	if (list->count > ITEMS_SHOWN)
		(void)buffer_printf(out, " and %zu more", list->count - ITEMS_SHOWN);
}

/* "allows senders a, b except c" */
static void
say_allows(struct buffer *out, const char *what, const struct text_list *list,
	   const struct text_list *except)
{
	(void)buffer_printf(out, "allows %s ", what);
	if (list->count == 0)
		say(out, "any");
	say_list(out, list);
	if (except->count > 0) {
		say(out, " except ");
		say_list(out, except);
	}
}

static void
say_user(struct buffer *out, const struct facts *facts)
{
	if (facts->user.len == 0)
		say(out, "no login");
	else
		say_bytes(out, facts->user);
}

static void
say_certificates(struct buffer *out, const struct facts *facts)
{
	const struct text_list list = { facts->certificates, facts->certificate_count };

	if (list.count == 0)
		say(out, "no certificate");
	say_list(out, &list);
}

/* ---- What the grant demands and what it got ---- */

/* Which parts of "who" the grant does not find as it wants them. */
struct who_parts {
	bool connector;
	bool network;
	bool user;
	bool certificate;
};

static struct who_parts
who_parts_failed(const struct policy *p, const struct facts *facts, size_t grant)
{
	uint64_t networks[GRANT_WORDS_MAX], users[GRANT_WORDS_MAX];
	uint64_t certificates[GRANT_WORDS_MAX];
	const uint64_t *here = facts->connector == NO_CONNECTOR ?
				   p->unbound :
				   p->connector_grants[facts->connector];

	networks_ask(p, &facts->client, networks);
	identities_ask(p, facts, users, certificates);
	return (struct who_parts){
		.connector = !bitmap_has(here, grant),
		.network = !bitmap_has(networks, grant),
		.user = !bitmap_has(users, grant),
		.certificate = !bitmap_has(certificates, grant),
	};
}

static void
describe_who(const struct policy *p, const struct facts *facts, size_t grant,
	     struct buffer *out)
{
	const struct grant_source *g = &p->grants[grant];
	struct who_parts failed = who_parts_failed(p, facts, grant);
	const char *between = "";

	if (failed.connector) {
		say(out, "holds on connectors ");
		say_list(out, &g->connectors);
		say(out, "; got ");
		say_bytes(out, facts->connector == NO_CONNECTOR ?
				   span_of("none") :
				   p->connectors[facts->connector].name);
		between = ", and ";
	}
	if (failed.network) {
		say(out, between);
		say_allows(out, "networks", &g->networks, &g->except_networks);
		say(out, "; got ");
		say_ip(out, &facts->client);
		between = ", and ";
	}
	if (failed.user) {
		say(out, between);
		say(out, "allows users ");
		say_list(out, &g->users);
		say(out, "; got ");
		say_user(out, facts);
		between = ", and ";
	}
	if (failed.certificate) {
		say(out, between);
		say(out, "allows certificates ");
		say_list(out, &g->certificates);
		say(out, "; got ");
		say_certificates(out, facts);
	}
}

static const char *const evidence_names[EVIDENCE_COUNT] = {
	"SPF", "DKIM", "DMARC", "block lists", "reverse name",
};

static void
describe_evidence(const struct policy *p, const struct facts *facts, size_t grant,
		  struct buffer *out)
{
	const char *between = "";

	say(out, "requires ");
	for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
		if (!bitmap_has(p->needs_evidence[i], grant))
			continue;
		(void)buffer_printf(out, "%s%s", between, evidence_names[i]);
		between = ", ";
	}
	between = "; got ";
	for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
		enum evidence_result result = facts->evidence[i];

		if (!bitmap_has(p->needs_evidence[i], grant) || result == EVIDENCE_PASSES)
			continue;
		(void)buffer_printf(out, "%s%s %s", between, evidence_names[i],
				    result == EVIDENCE_FAILS   ? "failed" :
				    result == EVIDENCE_TROUBLE ? "could not be looked "
								 "up" :
								 "not looked up");
		between = ", ";
	}
}

static void
describe_header_from(const struct facts *facts, const struct grant_source *g,
		     struct buffer *out)
{
	if (g->header_from == HEADER_FROM_SAME_DOMAIN) {
		say(out, "wants header From in the domain of the envelope sender ");
		say_address(out, facts->sender);
	} else {
		say_allows(out, "header From by senders", &g->senders,
			   &g->except_senders);
	}
	switch (facts->header_from_result) {
	case HEADER_FROM_READ:
		break;
	case HEADER_FROM_MISSING:
		say(out, "; got no From field");
		return;
	case HEADER_FROM_SEVERAL_FIELDS:
		say(out, "; got several From fields");
		return;
	case HEADER_FROM_UNREADABLE:
		say(out, "; got a From field that cannot be read");
		return;
	}
	say(out, facts->header_from_count == 0 ? "; got no address" : "; got ");
	for (size_t i = 0; i < facts->header_from_count && i < ITEMS_SHOWN; i++) {
		say(out, i == 0 ? "" : ", ");
		say_address(out, &facts->header_from[i]);
	}
	if (facts->header_from_count > ITEMS_SHOWN)
		(void)buffer_printf(out, " and %zu more",
				    facts->header_from_count - ITEMS_SHOWN);
}

static void
describe_limits(const struct grant_source *g, enum reason reason, struct buffer *out)
{
	const char *between = "allows ";

	if (g->limit_count == 0)
		say(out, "cannot take more now");
	for (size_t i = 0; i < g->limit_count; i++) {
		say(out, between);
		limit_append(&g->limits[i], out);
		between = ", ";
	}
	(void)buffer_printf(out, "; used up: %s", reason_token(reason));
}

static void
describe_validity(const struct facts *facts, const struct grant_source *g,
		  struct buffer *out)
{
	bool is_early = g->starts_ms != 0 && facts->now_wall_ms < g->starts_ms;

	say(out, is_early ? "starts " : "expired ");
	say_date(out, is_early ? g->starts_ms : g->expires_ms);
	say(out, "; got ");
	say_date(out, facts->now_wall_ms);
}

static void
describe_tls(const struct policy *p, const struct facts *facts,
	     const struct grant_source *g, struct buffer *out)
{
	if (g->requires_tls || facts->connector == NO_CONNECTOR) {
		say(out, "requires TLS; got a session in clear");
		return;
	}
	say(out, "is on connector ");
	say_bytes(out, p->connectors[facts->connector].name);
	say(out, ", which requires TLS; got a session in clear");
}

/* No grant is near. */
static void
describe_stranger(const struct policy *p, const struct facts *facts, enum reason reason,
		  struct buffer *out)
{
	if (reason == REASON_TLS_REQUIRED) {
		say(out, "connector ");
		say_bytes(out, p->connectors[facts->connector].name);
		say(out, " requires TLS; got a session in clear");
		return;
	}
	say(out, reason == REASON_AUTH_REQUIRED ? "every grant" : "no grant");
	if (facts->connector != NO_CONNECTOR) {
		say(out, " of connector ");
		say_bytes(out, p->connectors[facts->connector].name);
	}
	say(out, reason == REASON_AUTH_REQUIRED ? " needs a login or certificate; got "
						  "client " :
						  " knows this client; got client ");
	say_ip(out, &facts->client);
	say(out, ", ");
	say_user(out, facts);
	if (facts->certificate_count > 0) {
		say(out, ", certificate ");
		say_certificates(out, facts);
	}
}

/* Is the address in the grant's list, so that only an exception stopped it? */
static bool
is_in_list(const struct policy *p, const struct condition *condition,
	   const struct pattern_table *table, const struct address *address, size_t grant)
{
	struct condition plain = *condition;
	uint64_t pass[GRANT_WORDS_MAX];

	plain.has_excepts = false;
	addresses_ask(p, &plain, table, address, window_all(p), pass);
	return bitmap_has(pass, grant);
}

/* Does "@domain" hold it, so that only its local part stopped it? */
static bool
is_just_routed(const struct policy *p, const struct address *recipient, size_t grant)
{
	uint64_t pass[GRANT_WORDS_MAX];
	struct address_key key;

	address_key_make(&key, recipient);
	if (!address_key_is_routed(&key))
		return false;
	addresses_ask(p, &p->recipients, &p->recipient_table, recipient, window_all(p), pass);
	return bitmap_has(pass, grant);
}

void
policy_describe(const struct policy *p, const struct facts *facts, enum stage stage,
		enum reason reason, size_t grant, struct buffer *out)
{
	if (grant == NO_GRANT) {
		describe_stranger(p, facts, reason, out);
		return;
	}
	assert(grant < p->grant_count);
	const struct grant_source *g = &p->grants[grant];

	say(out, "grant ");
	say_bytes(out, g->name);
	say(out, " ");
	switch (stage) {
	case STAGE_CONNECTION:
		say(out, reason_meaning(reason));
		return;
	case STAGE_WHO:
		describe_who(p, facts, grant, out);
		return;
	case STAGE_VALIDITY:
		describe_validity(facts, g, out);
		return;
	case STAGE_TLS:
		describe_tls(p, facts, g, out);
		return;
	case STAGE_SENDER:
		say_allows(out, "senders", &g->senders, &g->except_senders);
		say(out, "; got ");
		say_address(out, facts->sender);
		return;
	case STAGE_RECIPIENT:
		say_allows(out, "recipients", &g->recipients, &g->except_recipients);
		say(out, "; got ");
		say_address(out, facts->recipient);
		if (is_just_routed(p, facts->recipient, grant))
			say(out, ", whose local part names another host for the next hop "
				 "to send it to");
		return;
	case STAGE_HEADER_FROM:
		describe_header_from(facts, g, out);
		return;
	case STAGE_EVIDENCE:
		describe_evidence(p, facts, grant, out);
		return;
	case STAGE_QUOTA:
		describe_limits(g, reason, out);
		return;
	case STAGE_PERMITTED:
		say(out, "permits this");
		return;
	}
}

/* ---- What would have to be written ---- */

/* ' of grant "billing" (relayd.conf:41)' */
static void
say_grant(struct buffer *out, const char *before, const struct grant_source *g)
{
	say(out, before);
	say(out, "grant \"");
	say_bytes(out, g->name);
	say(out, "\"");
	if (g->file != NULL)
		(void)buffer_printf(out, " (%s:%u)", g->file, g->line);
}

/* 'add "x" to networks of grant "billing" (relayd.conf:41)', or 'take it out of except-...' */
static void
say_add(struct buffer *out, struct span item, const char *option,
	const char *except_option, bool is_listed, const struct grant_source *g)
{
	say(out, is_listed ? "take what holds \"" : "add \"");
	say_bytes(out, item);
	say(out, is_listed ? "\" out of " : "\" to ");
	say_grant(out, "", g);
	(void)buffer_printf(out, ", option %s", is_listed ? except_option : option);
}

static bool
is_in_networks(const struct policy *p, const struct ip *client, size_t grant)
{
	const struct grant_rule *rule =
	    &p->networks.rules[network_table_find(&p->network_table, client)];
	uint64_t pass[GRANT_WORDS_MAX];

	bitmap_copy(pass, p->networks.unstated, p->words);
	bitmap_or_set(pass, &rule->permits, window_all(p));
	return bitmap_has(pass, grant);
}

static void
remedy_network(const struct policy *p, const struct facts *facts, size_t grant,
	       struct buffer *out)
{
	char text[IP_TEXT_SIZE];

	ip_text(&facts->client, text);
	say_add(out, span_of(text), "networks", "except-networks",
		is_in_networks(p, &facts->client, grant), &p->grants[grant]);
}

/* A grant in configuration syntax that would admit this and no more. */
static void
remedy_new_grant(const struct policy *p, const struct facts *facts, struct buffer *out)
{
	say(out, "write a grant for this application: grant \"NAME\" { ");
	if (facts->connector != NO_CONNECTOR) {
		say(out, "connectors = { \"");
		say_bytes(out, p->connectors[facts->connector].name);
		say(out, "\" } ");
	}
	if (facts->user.len > 0) {
		say(out, "users = { \"");
		say_bytes(out, facts->user);
		say(out, "\" } ");
	}
	say(out, "networks = { \"");
	say_ip(out, &facts->client);
	say(out, "\" } senders = { \"");
	if (facts->sender == NULL)
		say(out, "...");
	else
		say_address(out, facts->sender);
	say(out, "\" } recipients = { \"");
	if (facts->recipient == NULL)
		say(out, "...");
	else
		say_address(out, facts->recipient);
	say(out, "\" } }");
}

static void
remedy_who(const struct policy *p, const struct facts *facts, size_t grant,
	   struct buffer *out)
{
	const struct grant_source *g = &p->grants[grant];
	struct who_parts failed = who_parts_failed(p, facts, grant);

	if (failed.network) {
		remedy_network(p, facts, grant, out);
		return;
	}
	if (failed.user) {
		say(out, "let the application log in as ");
		say_list(out, &g->users);
		if (facts->user.len > 0) {
			say(out, ", or ");
			say_add(out, facts->user, "users", "", false, g);
			return;
		}
	} else if (failed.certificate) {
		say(out, "let the application show the certificate ");
		say_list(out, &g->certificates);
		if (facts->certificate_count > 0) {
			say(out, ", or ");
			say_add(out, facts->certificates[0], "certificates", "", false,
				g);
			return;
		}
	}
	say_grant(out, ", which ", g);
	say(out, " knows; or ");
	remedy_new_grant(p, facts, out);
}

static void
remedy_header_from(const struct policy *p, const struct facts *facts, size_t grant,
		   struct buffer *out)
{
	const struct grant_source *g = &p->grants[grant];

	if (facts->header_from_result != HEADER_FROM_READ ||
	    facts->header_from_count == 0) {
		say(out, "let the application write one From field with one address");
		say_grant(out, ", or set header-from = \"any\" in ", g);
		return;
	}
	if (g->header_from == HEADER_FROM_SAME_DOMAIN) {
		say(out, "let the application use the domain of its envelope sender in "
			 "From");
		say_grant(out, ", or set header-from = \"authorized\" in ", g);
		return;
	}
	for (size_t i = 0; i < facts->header_from_count; i++) {
		const struct address *address = &facts->header_from[i];
		uint64_t pass[GRANT_WORDS_MAX];

		addresses_ask(p, &p->senders, &p->sender_table, address, window_all(p),
			      pass);
		if (bitmap_has(pass, grant))
			continue;
		say_add(out, address->text, "senders", "except-senders",
			is_in_list(p, &p->senders, &p->sender_table, address, grant), g);
		return;
	}
}

static void
remedy_grant(const struct policy *p, const struct facts *facts,
	     const struct verdict *verdict, struct buffer *out)
{
	const struct grant_source *g = &p->grants[verdict->grant];
	bool is_early = g->starts_ms != 0 && facts->now_wall_ms < g->starts_ms;
	bool is_routed;

	switch (verdict->stage) {
	case STAGE_WHO:
		remedy_who(p, facts, verdict->grant, out);
		return;
	case STAGE_VALIDITY:
		say(out, is_early ? "set starts to an earlier date in " :
				    "set expires to a later date in ");
		say_grant(out, "", g);
		return;
	case STAGE_TLS:
		say(out, "let the application use STARTTLS");
		if (g->requires_tls)
			say_grant(out, ", or take require-tls from ", g);
		return;
	case STAGE_SENDER:
		say_add(out,
			address_is_null(facts->sender) ? span_of("<>") :
							 facts->sender->text,
			"senders", "except-senders",
			is_in_list(p, &p->senders, &p->sender_table, facts->sender,
				   verdict->grant),
			g);
		return;
	case STAGE_RECIPIENT:
		is_routed = is_just_routed(p, facts->recipient, verdict->grant);
		say_add(out, facts->recipient->text, "recipients", "except-recipients",
			!is_routed && is_in_list(p, &p->recipients, &p->recipient_table,
						 facts->recipient, verdict->grant),
			g);
		if (is_routed)
			say(out, ", or write routed-local-parts = \"allow\" there if the next "
				 "hop does not take such addresses apart");
		return;
	case STAGE_HEADER_FROM:
		remedy_header_from(p, facts, verdict->grant, out);
		return;
	case STAGE_EVIDENCE:
		say(out, reason_remedy(verdict->cause != REASON_NONE ?
					   REASON_EVIDENCE_UNKNOWN :
					   verdict->reason));
		say_grant(out, " Option require of ", g);
		say(out, " asks for it.");
		return;
	case STAGE_QUOTA:
		say(out, "send again later");
		say_grant(out, ", or raise limits of ", g);
		return;
	case STAGE_CONNECTION:
	case STAGE_PERMITTED:
		break;
	}
	say(out, reason_remedy(verdict->reason));
}

void
policy_remedy(const struct policy *p, const struct facts *facts,
	      const struct verdict *verdict, struct buffer *out)
{
	if (verdict->kind == VERDICT_RELAYED)
		return;
	if (verdict->grant != NO_GRANT)
		remedy_grant(p, facts, verdict, out);
	else if (verdict->stage == STAGE_WHO)
		remedy_new_grant(p, facts, out);
	else
		say(out, reason_remedy(verdict->reason));
}
