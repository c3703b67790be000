/* SPDX-License-Identifier: ISC */
/*
 * The safety property, against an independent slow reference written from docs/architecture.md
 * grant by grant: "relayed" implies that every condition of the named grant holds; "refused"
 * that no grant passes; and stage, reason and grant are the reference's. Exhaustively over a
 * small universe, and at random over generated policies.
 */
#include "policy_fixture.h"

#include <stdlib.h>

#define NOW_MS	     INT64_C(1800000000000)
#define GRANTS_RANDOM 200

/* ---- The universe ---- */

#define NONE { NULL, 0 }
#define ITEMS(...)                                                                            \
	{                                                                                     \
		(const struct span[]){ __VA_ARGS__ },                                         \
		    sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span)        \
	}

static const struct text_list networks[] = {
	NONE,
	ITEMS(S("10.0.0.0/8")),
	ITEMS(S("10.1.0.0/16"), S("2001:db8::/32")),
	ITEMS(S("10.1.2.3")),
	ITEMS(S("10.1.2.0-10.1.2.3"), S("table:nets")),
	ITEMS(S("table:nets")),
	ITEMS(S("::ffff:10.1.2.3")),
	ITEMS(S("::/0")),
};
static const struct text_list except_networks[] = {
	NONE,
	ITEMS(S("10.1.2.3")),
	ITEMS(S("table:nets")),
	ITEMS(S("2001:db8::/33"), S("10.1.0.0/16")),
};
static const struct text_list users[] = {
	NONE,
	ITEMS(S("billing")),
	ITEMS(S("billing@example.com"), S("shop@other.org")),
	ITEMS(S("*@other.org")),
	ITEMS(S("table:logins")),
	ITEMS(S("*")),
	ITEMS(S("*@example.com")),
};
static const struct text_list certificates[] = {
	NONE,
	ITEMS(S("dns:a.example.com")),
	ITEMS(S("dns:B.example.com"), S("cn:app")),
};
static const struct text_list connectors[] = {
	NONE,
	ITEMS(S("inside")),
	ITEMS(S("outside")),
	ITEMS(S("inside"), S("clear")),
};
static const struct text_list senders[] = {
	ITEMS(S("*")),
	ITEMS(S("@example.com")),
	ITEMS(S("a@example.com"), S("<>")),
	ITEMS(S("@*.example.com"), S("b+*@example.com")),
	ITEMS(S("table:senders")),
	ITEMS(S("accepted-domains")),
};
static const struct text_list except_senders[] = {
	NONE,
	ITEMS(S("a@example.com")),
	ITEMS(S("@*.example.com"), S("<>")),
	ITEMS(S("table:senders")),
};
static const struct text_list recipients[] = {
	ITEMS(S("*")),
	ITEMS(S("accepted-domains")),
	ITEMS(S("@partner.net"), S("x@example.com")),
	ITEMS(S("table:partners")),
	ITEMS(S("@*.net")),
	ITEMS(S("who%evil.com@partner.net"), S("@example.com")),
};
static const struct text_list except_recipients[] = {
	NONE,
	ITEMS(S("x@example.com")),
	ITEMS(S("table:partners")),
};
static const struct {
	int64_t starts_ms;
	int64_t expires_ms;
} validities[] = {
	{ 0, 0 },
	{ NOW_MS - 1000, 0 },
	{ NOW_MS, NOW_MS + 1 },
	{ 0, NOW_MS },
	{ NOW_MS + 1, 0 },
	{ NOW_MS - 5000, NOW_MS - 4000 },
	{ NOW_MS + 4000, NOW_MS + 5000 },
};
static const unsigned evidences[] = {
	0,
	EVIDENCE_SPF,
	EVIDENCE_DKIM | EVIDENCE_DMARC,
	EVIDENCE_DNSBL | EVIDENCE_PTR,
	EVIDENCE_SPF | EVIDENCE_DKIM | EVIDENCE_DMARC | EVIDENCE_DNSBL | EVIDENCE_PTR,
};

static const struct table_source tables[] = {
	{ .name = S("nets"), .type = TABLE_NETWORK,
	  .entries = ITEMS(S("10.1.2.3/32"), S("192.168.0.0/16"), S("2001:db8:1::/48")) },
	{ .name = S("logins"), .type = TABLE_USER, .entries = ITEMS(S("billing"), S("carol@other.org")) },
	{ .name = S("senders"), .type = TABLE_SENDER,
	  .entries = ITEMS(S("@shop.example.com"), S("a@example.com")) },
	{ .name = S("partners"), .type = TABLE_RECIPIENT,
	  .entries = ITEMS(S("@partner.net"), S("y@example.com")) },
};
static const struct accepted_domain_source domains[] = {
	{ .name = S("example.com") },
	{ .name = S("*.example.org") },
};

/* Every connector has a port of its own, so their ranges do not matter here. */
static const struct ip_endpoint ports[] = {
	{ .port = 25 }, { .port = 26 }, { .port = 27 }, { .port = 28 }, { .port = 29 }, { .port = 30 },
};
static const struct connector_source all_connectors[] = {
	{ .name = S("inside"), .bindings = &ports[0], .binding_count = 1, .can_authenticate = true,
	  .tls = TLS_OFFERED, .file = "t", .line = 1 },
	{ .name = S("outside"), .bindings = &ports[1], .binding_count = 1, .tls = TLS_REQUIRED,
	  .can_authenticate = true, .file = "t", .line = 2 },
	{ .name = S("clear"), .bindings = &ports[2], .binding_count = 1, .file = "t", .line = 3 },
	{ .name = S("watched"), .bindings = &ports[3], .binding_count = 1, .can_authenticate = true,
	  .tls = TLS_OFFERED, .mode = MODE_MONITOR, .file = "t", .line = 4 },
	{ .name = S("watched-still"), .bindings = &ports[4], .binding_count = 1,
	  .can_authenticate = true, .tls = TLS_IMPLICIT, .mode = MODE_MONITOR,
	  .monitor_until_ms = NOW_MS + 1, .file = "t", .line = 5 },
	{ .name = S("watched-before"), .bindings = &ports[5], .binding_count = 1,
	  .can_authenticate = true, .tls = TLS_OFFERED, .mode = MODE_MONITOR,
	  .monitor_until_ms = NOW_MS, .file = "t", .line = 6 },
};

static const char *const clients[] = { "10.1.2.3", "10.1.9.9", "10.9.9.9", "192.168.1.1",
				       "2001:db8:1::1", "2001:db9::1", "::ffff:10.1.2.2" };
static const char *const logins[] = { "", "billing", "billing@EXAMPLE.com", "shop@other.org",
				      "Billing", "carol@other.org" };
static const struct span shown[] = { S("sha256:00"), S("dns:A.EXAMPLE.COM"), S("cn:app") };
static const char *const from[] = { "a@example.com", "", "A@shop.example.com", "b+x@example.com",
				    "b@example.com", "z@example.org", "z@deep.example.org",
				    "a@evil.net", "\"a\"@EXAMPLE.com" };
static const char *const to[] = { "x@example.com", "y@example.com", "who@partner.net",
				  "who@sub.partner.net", "q@deep.example.org", "w@evil.com",
				  "who%evil.com@partner.net", "evil.com!w@example.com",
				  "\"w@evil.com\"@deep.example.org" };

/* ---- Choosing: a grant and facts by numbers ---- */

struct choice {
	uint64_t state;
};

static size_t
choose(struct choice *c, size_t count)
{
	c->state = c->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(c->state >> 33) % count;
}

#define CHOOSE(c, array) ((array)[choose(c, ARRAY_LEN(array))])

/* Mostly the first, so that grants get far enough to be told apart. */
#define CHOOSE_RARELY(c, array) ((array)[choose(c, 3) == 0 ? choose(c, ARRAY_LEN(array)) : 0])

static struct grant_source
grant_choose(struct choice *c, unsigned line)
{
	static const struct limit_source limit = { 1, LIMIT_MESSAGES, LIMIT_PER_GRANT, 60 };
	static const char *const names[] = {
		"g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9",
	};
	struct grant_source g = {
		.name = span_of(names[line % ARRAY_LEN(names)]),
		.networks = CHOOSE(c, networks),
		.except_networks = CHOOSE_RARELY(c, except_networks),
		.users = CHOOSE_RARELY(c, users),
		.certificates = CHOOSE_RARELY(c, certificates),
		.connectors = CHOOSE_RARELY(c, connectors),
		.senders = CHOOSE(c, senders),
		.except_senders = CHOOSE_RARELY(c, except_senders),
		.recipients = CHOOSE(c, recipients),
		.takes_routed = choose(c, 4) == 0,
		.except_recipients = CHOOSE_RARELY(c, except_recipients),
		.requires_tls = choose(c, 5) == 0,
		.header_from = (enum header_from_demand)choose(c, 3),
		.requires_evidence = CHOOSE_RARELY(c, evidences),
		.limits = &limit,
		.limit_count = choose(c, 2),
		.is_open_relay_accepted = true,
		.mode = choose(c, 6) == 0 ? MODE_MONITOR : MODE_ENFORCE,
		.file = "t",
		.line = line,
	};
	size_t validity = choose(c, 3) == 0 ? choose(c, ARRAY_LEN(validities)) : 0;

	g.starts_ms = validities[validity].starts_ms;
	g.expires_ms = validities[validity].expires_ms;
	if (g.mode == MODE_MONITOR && choose(c, 2) == 0)
		g.monitor_until_ms = NOW_MS + (int64_t)choose(c, 2);
	return g;
}

/* Facts and what they borrow. */
struct scene {
	struct facts facts;
	struct address sender, recipient, header_from[2];
	uint64_t quota; /* bit n: grants whose number is n modulo 64 have some left */
};

static bool
quota_has(void *context, size_t grant, enum reason *which)
{
	const struct scene *scene = context;

	*which = grant % 2 == 0 ? REASON_QUOTA_RECIPIENTS : REASON_QUOTA_OCTETS;
	return (scene->quota >> (grant % 64) & 1) != 0;
}

static void
scene_choose(struct choice *c, struct scene *s)
{
	size_t certificate = choose(c, ARRAY_LEN(shown) + 1);

	s->sender = address_of(CHOOSE(c, from));
	s->recipient = address_of(CHOOSE(c, to));
	s->header_from[0] = choose(c, 2) == 0 ? s->sender : address_of(CHOOSE(c, from));
	s->header_from[1] = address_of(CHOOSE(c, from));
	s->quota = choose(c, 2) == 0 ? UINT64_MAX : (uint64_t)choose(c, SIZE_MAX);
	s->facts = (struct facts){
		.connector = choose(c, 20) == 0 ? NO_CONNECTOR : choose(c, ARRAY_LEN(all_connectors)),
		.client = ip_of(CHOOSE(c, clients)),
		.user = span_of(choose(c, 2) == 0 ? "" : CHOOSE(c, logins)),
		.certificates = shown,
		.certificate_count = certificate,
		.is_tls = choose(c, 3) != 0,
		.now_wall_ms = NOW_MS,
		.sender = &s->sender,
		.recipient = &s->recipient,
		.header_from_result = choose(c, 4) == 0 ? (enum header_from_result)choose(c, 4) :
							  HEADER_FROM_READ,
		.header_from = s->header_from,
		.header_from_count = choose(c, 8) == 0 ? choose(c, 3) : 1,
		.has_quota = choose(c, 2) == 0 ? NULL : quota_has,
		.quota_context = s,
	};
	for (size_t i = 0; i < ARRAY_LEN(s->facts.evidence); i++)
		s->facts.evidence[i] = choose(c, 3) == 0 ? (enum evidence_result)choose(c, 4) :
							   EVIDENCE_PASSES;
}

/* ---- The reference: texts as written, one grant after the other ---- */

static bool
is_text(struct span a, const char *b)
{
	return span_equal(a, span_of(b));
}

static const struct table_source *
ref_table(struct span item)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (span_starts_fold(item, span_of("table:")) &&
		    span_equal(span_skip(item, 6), tables[i].name))
			return &tables[i];
	}
	return NULL;
}

static bool
ref_network_holds(const struct text_list *list, const struct ip *ip)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct table_source *table = ref_table(list->items[i]);
		struct ip_range range;

		if (table != NULL ? ref_network_holds(&table->entries, ip) :
				    ip_range_parse(list->items[i], &range) == PARSE_OK &&
					ip_range_has(&range, ip))
			return true;
	}
	return false;
}

/* "name@realm" split; the realm of a bare name is example.com. */
static void
ref_login_split(struct span login, struct span *name, struct span *realm)
{
	size_t at = span_find(login, '@');

	*name = span_first(login, at);
	*realm = at < login.len ? span_skip(login, at + 1) : span_of("example.com");
}

static bool
ref_user_holds(const struct text_list *list, struct span user)
{
	struct span name, realm, want_name, want_realm;

	if (user.len == 0)
		return false;
	ref_login_split(user, &name, &realm);
	for (size_t i = 0; i < list->count; i++) {
		const struct table_source *table = ref_table(list->items[i]);

		ref_login_split(list->items[i], &want_name, &want_realm);
		if (table != NULL && ref_user_holds(&table->entries, user))
			return true;
		if (is_text(list->items[i], "*") ||
		    ((is_text(want_name, "*") || span_equal(want_name, name)) &&
		     span_equal_fold(want_realm, realm)))
			return true;
	}
	return false;
}

static bool
ref_certificate_holds(const struct text_list *list, const struct facts *f)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < f->certificate_count; j++) {
			if (span_equal_fold(list->items[i], f->certificates[j]))
				return true;
		}
	}
	return false;
}

/* The universe has quoted "a" only. */
static struct span
ref_local(const struct address *a)
{
	return is_text(a->local, "\"a\"") ? span_of("a") : a->local;
}

static bool
ref_pattern_holds(struct span pattern, const struct address *a)
{
	size_t at = span_find(pattern, '@');

	if (is_text(pattern, "*"))
		return true;
	if (is_text(pattern, "<>") || address_is_null(a))
		return is_text(pattern, "<>") && address_is_null(a);
	struct span local = span_first(pattern, at), domain = span_skip(pattern, at + 1);

	if (domain.ptr[0] == '*') {
		struct span tail = span_skip(domain, 1); /* ".example.com" */

		return a->domain.len > tail.len && span_ends_fold(a->domain, tail);
	}
	if (!span_equal_fold(domain, a->domain))
		return false;
	if (local.len > 2 && local.ptr[local.len - 1] == '*')
		return span_starts_fold(ref_local(a), span_first(local, local.len - 1));
	return local.len == 0 || span_equal_fold(local, ref_local(a));
}

static bool
ref_address_holds(const struct text_list *list, const struct address *a)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct table_source *table = ref_table(list->items[i]);

		if (table != NULL && ref_address_holds(&table->entries, a))
			return true;
		if (is_text(list->items[i], "accepted-domains") &&
		    (span_equal_fold(a->domain, span_of("example.com")) ||
		     (a->domain.len > 12 && span_ends_fold(a->domain, span_of(".example.org")))))
			return true;
		if (table == NULL && !is_text(list->items[i], "accepted-domains") &&
		    ref_pattern_holds(list->items[i], a))
			return true;
	}
	return false;
}

struct ref_outcome {
	enum stage stage;
	enum reason reason;
	bool is_trouble;
	bool is_near; /* at STAGE_WHO: all but login and certificate is right */
};

static bool
ref_is_here(const struct grant_source *g, size_t connector)
{
	if (g->connectors.count == 0)
		return true;
	for (size_t i = 0; connector != NO_CONNECTOR && i < g->connectors.count; i++) {
		if (span_equal(g->connectors.items[i], all_connectors[connector].name))
			return true;
	}
	return false;
}

static bool
ref_sender_is_allowed(const struct grant_source *g, const struct address *a)
{
	return ref_address_holds(&g->senders, a) && !ref_address_holds(&g->except_senders, a);
}

/* Does an item that is more than a domain hold it? */
static bool
ref_is_named(const struct text_list *list, const struct address *a)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct table_source *table = ref_table(list->items[i]);

		if (table != NULL && ref_is_named(&table->entries, a))
			return true;
		if (table == NULL && list->items[i].ptr[0] != '@' &&
		    !is_text(list->items[i], "accepted-domains") &&
		    ref_pattern_holds(list->items[i], a))
			return true;
	}
	return false;
}

static bool
ref_recipient_is_allowed(const struct grant_source *g, const struct address *a)
{
	struct span local = ref_local(a);
	bool is_routed = span_find(local, '%') < local.len || span_find(local, '!') < local.len ||
			 span_find(local, '@') < local.len;

	if (is_routed && !g->takes_routed && !ref_is_named(&g->recipients, a))
		return false;
	return ref_address_holds(&g->recipients, a) &&
	       !ref_address_holds(&g->except_recipients, a);
}

static bool
ref_header_from_is_right(const struct grant_source *g, const struct facts *f)
{
	if (g->header_from == HEADER_FROM_ANY)
		return true;
	if (f->header_from_result != HEADER_FROM_READ || f->header_from_count == 0)
		return false;
	for (size_t i = 0; i < f->header_from_count; i++) {
		const struct address *a = &f->header_from[i];

		if (address_is_null(a))
			return false;
		if (g->header_from == HEADER_FROM_AUTHORIZED && !ref_sender_is_allowed(g, a))
			return false;
		if (g->header_from == HEADER_FROM_SAME_DOMAIN &&
		    (address_is_null(f->sender) || !span_equal_fold(a->domain, f->sender->domain)))
			return false;
	}
	return true;
}

static struct ref_outcome
ref_evidence(const struct grant_source *g, const struct facts *f)
{
	struct ref_outcome out = { STAGE_PERMITTED, REASON_NONE, false, false };

	for (unsigned i = 5; i-- > 0;) {
		if ((g->requires_evidence >> i & 1) == 0 || f->evidence[i] == EVIDENCE_PASSES)
			continue;
		out.stage = STAGE_EVIDENCE;
		out.is_trouble |= f->evidence[i] != EVIDENCE_FAILS;
		out.reason = (enum reason)(REASON_EVIDENCE_SPF + i);
	}
	if (out.is_trouble)
		out.reason = REASON_EVIDENCE_UNKNOWN;
	return out;
}

static struct ref_outcome
ref_grant(const struct grant_source *g, size_t number, const struct facts *f, enum stage upto)
{
	struct ref_outcome out = { STAGE_PERMITTED, REASON_NONE, false, false };
	bool is_here = ref_is_here(g, f->connector);
	bool network = (g->networks.count == 0 || ref_network_holds(&g->networks, &f->client)) &&
		       !ref_network_holds(&g->except_networks, &f->client);
	bool login = (g->users.count == 0 || ref_user_holds(&g->users, f->user)) &&
		     (g->certificates.count == 0 || ref_certificate_holds(&g->certificates, f));

#define STOP(at, why) return (struct ref_outcome) { at, why, false, false }
	if (upto >= STAGE_WHO && !(is_here && network && login)) {
		bool knows = g->users.count + g->certificates.count > 0;

		out.stage = STAGE_WHO;
		out.reason = is_here && login && knows ? REASON_RELAY_NETWORK : REASON_RELAY_NO_GRANT;
		out.is_near = is_here && network;
		return out;
	}
	if (upto >= STAGE_VALIDITY && ((g->starts_ms != 0 && f->now_wall_ms < g->starts_ms) ||
				       (g->expires_ms != 0 && f->now_wall_ms >= g->expires_ms)))
		STOP(STAGE_VALIDITY, REASON_RELAY_EXPIRED);
	bool needs_tls = g->requires_tls || (f->connector != NO_CONNECTOR &&
					     all_connectors[f->connector].tls >= TLS_REQUIRED);

	if (upto >= STAGE_TLS && needs_tls && !f->is_tls)
		STOP(STAGE_TLS, REASON_TLS_REQUIRED);
	if (upto >= STAGE_SENDER && !ref_sender_is_allowed(g, f->sender))
		STOP(STAGE_SENDER, REASON_SENDER_NOT_AUTHORIZED);
	if (upto >= STAGE_RECIPIENT && !ref_recipient_is_allowed(g, f->recipient))
		STOP(STAGE_RECIPIENT, REASON_RELAY_RECIPIENT);
	if (upto >= STAGE_HEADER_FROM && !ref_header_from_is_right(g, f))
		STOP(STAGE_HEADER_FROM, REASON_SENDER_HEADER_FROM);
	if (upto >= STAGE_EVIDENCE) {
		out = ref_evidence(g, f);
		if (out.stage != STAGE_PERMITTED)
			return out;
	}
	enum reason which = REASON_NONE;

	if (upto >= STAGE_QUOTA && f->has_quota != NULL &&
	    !f->has_quota(f->quota_context, number, &which))
		STOP(STAGE_QUOTA, which);
#undef STOP
	return out;
}

static bool
ref_is_monitoring(enum policy_mode mode, int64_t until_ms)
{
	return mode == MODE_MONITOR && (until_ms == 0 || NOW_MS < until_ms);
}

/* Everybody failed at who: the reason and the nearest, docs/architecture.md. */
static struct verdict
ref_who(const struct grant_source *grants, size_t count, const struct ref_outcome *outcomes,
	const struct facts *f)
{
	struct verdict v = { VERDICT_REFUSED, REASON_RELAY_NO_GRANT, STAGE_WHO, NO_GRANT,
			     REASON_NONE };
	size_t here = 0, with_login = 0;

	for (size_t i = count; i-- > 0;) {
		if (outcomes[i].is_near)
			v.grant = i;
		if (!ref_is_here(&grants[i], f->connector))
			continue;
		here++;
		with_login += grants[i].users.count > 0 || grants[i].certificates.count > 0;
	}
	if (f->user.len == 0 && here > 0 && here == with_login && f->connector != NO_CONNECTOR &&
	    all_connectors[f->connector].can_authenticate)
		v.reason = REASON_AUTH_REQUIRED;
	for (size_t i = count; i-- > 0;) {
		if (outcomes[i].reason == REASON_RELAY_NETWORK) {
			v.reason = REASON_RELAY_NETWORK;
			v.grant = i;
		}
	}
	return v;
}

static struct verdict
ref_decide(const struct grant_source *grants, size_t count, const struct ref_outcome *outcomes,
	   const struct facts *f, enum stage upto)
{
	struct verdict v = { VERDICT_REFUSED, REASON_RELAY_NO_GRANT, STAGE_WHO, NO_GRANT,
			     REASON_NONE };

	for (size_t i = 0; i < count; i++) {
		const struct ref_outcome *o = &outcomes[i];
		bool is_further = v.grant == NO_GRANT || o->stage > v.stage;
		bool could_pass = v.grant != NO_GRANT && o->stage == STAGE_EVIDENCE &&
				  v.stage == STAGE_EVIDENCE && o->is_trouble &&
				  !outcomes[v.grant].is_trouble;

		if (is_further || could_pass)
			v = (struct verdict){ VERDICT_REFUSED, o->reason, o->stage, i, REASON_NONE };
	}
	if (v.stage == STAGE_PERMITTED) {
		v.kind = VERDICT_RELAYED;
		return v;
	}
	if (v.stage == STAGE_WHO)
		v = ref_who(grants, count, outcomes, f);
	if (v.stage == STAGE_WHO && upto >= STAGE_TLS && !f->is_tls &&
	    f->connector != NO_CONNECTOR && all_connectors[f->connector].tls >= TLS_REQUIRED)
		v = (struct verdict){ VERDICT_REFUSED, REASON_TLS_REQUIRED, STAGE_TLS, NO_GRANT,
				      REASON_NONE };
	if (v.stage == STAGE_EVIDENCE && outcomes[v.grant].is_trouble) {
		v.kind = VERDICT_DEFERRED;
		return v;
	}
	bool is_watched = f->connector != NO_CONNECTOR &&
			  ref_is_monitoring(all_connectors[f->connector].mode,
					    all_connectors[f->connector].monitor_until_ms);

	if (v.grant != NO_GRANT && v.stage > STAGE_WHO)
		is_watched |=
		    ref_is_monitoring(grants[v.grant].mode, grants[v.grant].monitor_until_ms);
	v.kind = is_watched ? VERDICT_WOULD_REFUSE :
		 v.stage == STAGE_QUOTA ? VERDICT_DEFERRED :
					  VERDICT_REFUSED;
	return v;
}

/* ---- Comparing ---- */

static struct policy *
universe_compile(const struct grant_source *grants, size_t count)
{
	const struct policy_source source = {
		.connectors = all_connectors,
		.connector_count = ARRAY_LEN(all_connectors),
		.grants = grants,
		.grant_count = count,
		.tables = tables,
		.table_count = ARRAY_LEN(tables),
		.domains = domains,
		.domain_count = ARRAY_LEN(domains),
		.realm = S("example.com"),
	};

	return policy_make(&source);
}

static void
compare(const struct policy *policy, const struct grant_source *grants, size_t count,
	const struct facts *facts, enum stage upto)
{
	static const struct reply_wording wording = { .style = REPLY_STYLE_RELAYD };
	static struct ref_outcome outcomes[GRANTS_RANDOM];
	static struct grant_outcome trace[GRANTS_RANDOM];
	bool has_passed = false, has_trouble = false;

	policy_trace(policy, facts, upto, trace);
	for (size_t i = 0; i < count; i++) {
		outcomes[i] = ref_grant(&grants[i], i, facts, upto);
		REQUIRE(trace[i].grant == i);
		REQUIRE(trace[i].stage == outcomes[i].stage);
		if (outcomes[i].stage != STAGE_WHO)
			REQUIRE(trace[i].reason == outcomes[i].reason);
		has_passed |= outcomes[i].stage == STAGE_PERMITTED;
		has_trouble |= outcomes[i].is_trouble;
	}
	struct verdict want = ref_decide(grants, count, outcomes, facts, upto);
	struct verdict got = policy_decide(policy, facts, upto);

	/* the property itself, whatever the reference's verdict */
	REQUIRE((got.kind == VERDICT_RELAYED) == has_passed);
	if (got.kind == VERDICT_RELAYED)
		REQUIRE(outcomes[got.grant].stage == STAGE_PERMITTED);
	if (got.kind != VERDICT_RELAYED) {
		for (size_t i = 0; i < count; i++) /* no grant's conditions all hold */
			REQUIRE(outcomes[i].stage != STAGE_PERMITTED);
	}
	if (got.reason == REASON_EVIDENCE_UNKNOWN) {
		REQUIRE(got.kind == VERDICT_DEFERRED);
		REQUIRE(has_trouble);
		REQUIRE(verdict_reply(&got, &wording)->code == 451);
		REQUIRE(got.cause >= REASON_EVIDENCE_SPF && got.cause <= REASON_EVIDENCE_PTR);
	}
	REQUIRE(got.kind == want.kind);
	REQUIRE(got.reason == want.reason);
	REQUIRE(got.stage == want.stage);
	REQUIRE(got.grant == want.grant);
}

/* Names are told apart by line only; the texts are not looked at here. */
static void
grants_name(struct grant_source *grants, size_t count, char (*names)[8])
{
	for (size_t i = 0; i < count; i++) {
		names[i][0] = 'g';
		names[i][1] = (char)('a' + i / 26 % 26);
		names[i][2] = (char)('a' + i % 26);
		names[i][3] = '\0';
		grants[i].name = span_of(names[i]);
	}
}

START_TEST(random_policies_decide_as_the_reference_does)
{
	static struct grant_source grants[GRANTS_RANDOM];
	static char names[GRANTS_RANDOM][8];
	struct choice c = { .state = (uint64_t)_i * 7919 + 1 };

	for (int round = 0; round < 120; round++) {
		size_t count = round % 20 == 19 ? GRANTS_RANDOM : choose(&c, 6);

		for (size_t i = 0; i < count; i++)
			grants[i] = grant_choose(&c, (unsigned)i);
		grants_name(grants, count, names);
		struct policy *policy = universe_compile(grants, count);

		for (int attempt = 0; attempt < 300; attempt++) {
			struct scene scene;

			scene_choose(&c, &scene);
			compare(policy, grants, count, &scene.facts,
				attempt % 4 == 0 ? (enum stage)choose(&c, STAGE_PERMITTED) :
						   STAGE_QUOTA);
		}
		policy_free(&policy);
	}
}
END_TEST

/* ---- Every combination of a bounded universe ---- */

/* Counts through numbers below the given bounds; false after the last. */
static bool
count_on(size_t *digits, const size_t *bounds, size_t places)
{
	for (size_t i = 0; i < places; i++) {
		if (++digits[i] < bounds[i])
			return true;
		digits[i] = 0;
	}
	return false;
}

/* All attempts that differ in who, when, TLS and sender, on one policy. */
static void
who_attempts_compare(const struct policy *policy, const struct grant_source *grants,
		     size_t count)
{
	static const size_t bounds[] = { ARRAY_LEN(all_connectors), 6, 3, 3, 2, 3 };
	size_t n[ARRAY_LEN(bounds)] = { 0 };
	struct scene s;

	do {
		s.sender = address_of(from[n[5]]);
		s.recipient = address_of(to[0]);
		s.facts = (struct facts){
			.connector = n[0],
			.client = ip_of(clients[n[1]]),
			.user = span_of(logins[n[2]]),
			.certificates = shown,
			.certificate_count = n[3],
			.is_tls = n[4] == 1,
			.now_wall_ms = NOW_MS,
			.sender = &s.sender,
			.recipient = &s.recipient,
			.header_from = &s.sender,
			.header_from_count = 1,
		};
		compare(policy, grants, count, &s.facts, STAGE_RECIPIENT);
	} while (count_on(n, bounds, ARRAY_LEN(bounds)));
}

START_TEST(every_grant_of_who_when_and_tls_decides_as_the_reference_does)
{
	static const size_t bounds[] = { 5, 2, 4, 2, 5, 2 };
	size_t n[ARRAY_LEN(bounds)] = { 0 };

	do {
		struct grant_source g = grant_any("g", 1);

		g.connectors = connectors[_i];
		g.networks = networks[n[0]];
		g.except_networks = except_networks[n[1]];
		g.users = users[n[2]];
		g.certificates = certificates[n[3]];
		g.starts_ms = validities[n[4]].starts_ms;
		g.expires_ms = validities[n[4]].expires_ms;
		g.requires_tls = n[5] == 1;
		g.senders = senders[1];
		struct policy *policy = universe_compile(&g, 1);

		who_attempts_compare(policy, &g, 1);
		policy_free(&policy);
	} while (count_on(n, bounds, ARRAY_LEN(bounds)));
}
END_TEST

/* All attempts that differ in sender, recipient, header, evidence and quota. */
static void
mail_attempts_compare(const struct policy *policy, const struct grant_source *grants,
		      size_t count)
{
	static const size_t bounds[] = { ARRAY_LEN(from), ARRAY_LEN(to), ARRAY_LEN(from) + 4,
					 4, 4, 2 };
	size_t n[ARRAY_LEN(bounds)] = { 0 };
	struct scene s;

	do {
		bool is_read = n[2] < ARRAY_LEN(from);

		s.sender = address_of(from[n[0]]);
		s.recipient = address_of(to[n[1]]);
		s.header_from[0] = address_of(is_read ? from[n[2]] : from[0]);
		s.header_from[1] = s.sender;
		s.quota = n[5] == 0 ? 0 : UINT64_C(0xaaaaaaaaaaaaaaaa);
		s.facts = (struct facts){
			.connector = 0,
			.client = ip_of(clients[0]),
			.now_wall_ms = NOW_MS,
			.sender = &s.sender,
			.recipient = &s.recipient,
			.header_from = s.header_from,
			.header_from_result =
			    is_read ? HEADER_FROM_READ :
				      (enum header_from_result)(n[2] - ARRAY_LEN(from)),
			.header_from_count = is_read ? 1 : 2,
			.evidence = { (enum evidence_result)n[3], (enum evidence_result)n[4],
				      EVIDENCE_PASSES, EVIDENCE_PASSES, EVIDENCE_PASSES },
			.has_quota = quota_has,
			.quota_context = &s,
		};
		compare(policy, grants, count, &s.facts, STAGE_QUOTA);
	} while (count_on(n, bounds, ARRAY_LEN(bounds)));
}

START_TEST(every_pair_of_grants_of_sender_recipient_and_evidence_decides_as_the_reference_does)
{
	/* the second grant is always one that stops late; the first goes through all */
	static const size_t bounds[] = { ARRAY_LEN(except_senders), 3, 3 };
	static const unsigned needs[] = { 0, EVIDENCE_SPF, EVIDENCE_SPF | EVIDENCE_DKIM };
	size_t n[ARRAY_LEN(bounds)] = { 0 };

	do {
		struct grant_source g[2] = { grant_any("g", 1), grant_any("h", 2) };

		g[0].senders = senders[_i];
		g[0].except_senders = except_senders[n[0]];
		g[0].recipients = recipients[n[0] + 1];
		g[0].except_recipients = except_recipients[n[1]];
		g[0].header_from = (enum header_from_demand)n[1];
		g[0].requires_evidence = needs[n[2]];
		g[1].senders = senders[(_i + 1) % (int)ARRAY_LEN(senders)];
		g[1].requires_evidence = needs[(n[2] + 1) % 3];
		g[1].mode = n[1] == 2 ? MODE_MONITOR : MODE_ENFORCE;
		struct policy *policy = universe_compile(g, 2);

		mail_attempts_compare(policy, g, 2);
		policy_free(&policy);
	} while (count_on(n, bounds, ARRAY_LEN(bounds)));
}
END_TEST

static Suite *
safety_suite(void)
{
	Suite *suite = suite_create("safety");
	TCase *tc = tcase_create("decisions");


	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, random_policies_decide_as_the_reference_does, 0, 40);
	tcase_add_loop_test(tc, every_grant_of_who_when_and_tls_decides_as_the_reference_does, 0,
			    ARRAY_LEN(connectors));
	tcase_add_loop_test(
	    tc, every_pair_of_grants_of_sender_recipient_and_evidence_decides_as_the_reference_does,
	    0, ARRAY_LEN(senders));
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(safety_suite());
}
