/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/rights.h"

#include <stdio.h>

#define NOW_MS INT64_C(1800000000000)

/* ---- Effective rights ---- */

static const struct accepted_domain_source domains[] = {
	{ .name = S("example.com"), .type = DOMAIN_AUTHORITATIVE, .line = 1 },
	{ .name = S("*.example.com"), .type = DOMAIN_INTERNAL_RELAY, .line = 2 },
	{ .name = S("lab.example.com"), .type = DOMAIN_AUTHORITATIVE, .line = 3 },
};
static const struct span everybody[] = { S("0.0.0.0/0"), S("::/0") };
static const struct ip_endpoint port = { .port = 25 };
static const struct connector_source one_connector[] = {
	{ .name = S("apps"), .bindings = &port, .binding_count = 1,
	  .remote_ranges = { everybody, 2 }, .can_authenticate = true, .tls = TLS_OFFERED,
	  .file = "t", .line = 1 },
};

static struct policy *
policy_of(const struct connector_source *connectors, size_t connector_count,
	  const struct grant_source *grants, size_t count)
{
	const struct policy_source source = {
		.connectors = connectors,
		.connector_count = connector_count,
		.grants = grants,
		.grant_count = count,
		.domains = domains,
		.domain_count = ARRAY_LEN(domains),
		.realm = S("example.com"),
	};

	return policy_make(&source);
}

static const struct {
	struct text_list senders, except_senders, recipients, except_recipients;
	unsigned evidence;
	enum right_extent any_recipient, any_sender, authoritative, anti_spam;
} extents[] = {
	{ .senders = { (const struct span[]){ S("*") }, 1 },
	  .recipients = { (const struct span[]){ S("*") }, 1 },
	  .any_recipient = RIGHT_ALL, .any_sender = RIGHT_ALL, .authoritative = RIGHT_ALL,
	  .anti_spam = RIGHT_ALL },
	{ .senders = { (const struct span[]){ S("@example.com") }, 1 },
	  .recipients = { (const struct span[]){ S("accepted-domains") }, 1 },
	  .any_recipient = RIGHT_NONE, .any_sender = RIGHT_NONE, .authoritative = RIGHT_SOME,
	  .anti_spam = RIGHT_ALL },
	{ .senders = { (const struct span[]){ S("accepted-domains") }, 1 },
	  .recipients = { (const struct span[]){ S("@*.net") }, 1 },
	  .evidence = EVIDENCE_SPF,
	  .any_recipient = RIGHT_SOME, .any_sender = RIGHT_NONE, .authoritative = RIGHT_ALL,
	  .anti_spam = RIGHT_NONE },
	{ .senders = { (const struct span[]){ S("@*.example.com") }, 1 },
	  .recipients = { (const struct span[]){ S("a@deep.example.com") }, 1 },
	  .any_recipient = RIGHT_NONE, .any_sender = RIGHT_NONE, .authoritative = RIGHT_SOME,
	  .anti_spam = RIGHT_ALL },
	{ .senders = { (const struct span[]){ S("<>"), S("bob@example.net") }, 2 },
	  .recipients = { (const struct span[]){ S("*") }, 1 },
	  .except_recipients = { (const struct span[]){ S("@example.net") }, 1 },
	  .any_recipient = RIGHT_SOME, .any_sender = RIGHT_SOME, .authoritative = RIGHT_NONE,
	  .anti_spam = RIGHT_ALL },
	{ .senders = { (const struct span[]){ S("*") }, 1 },
	  .except_senders = { (const struct span[]){ S("@example.com"), S("@*.example.com") }, 2 },
	  .recipients = { (const struct span[]){ S("x@[192.0.2.1]") }, 1 },
	  .any_recipient = RIGHT_SOME, .any_sender = RIGHT_SOME, .authoritative = RIGHT_NONE,
	  .anti_spam = RIGHT_ALL },
	{ .senders = { (const struct span[]){ S("a+*@example.com") }, 1 },
	  .recipients = { (const struct span[]){ S("postmaster") }, 1 },
	  .any_recipient = RIGHT_NONE, .any_sender = RIGHT_NONE, .authoritative = RIGHT_SOME,
	  .anti_spam = RIGHT_ALL },
};

START_TEST(tells_how_far_each_right_goes)
{
	struct grant_source g = grant_any("app", 1);
	struct grant_outcome outcome;
	struct rights rights;
	struct facts facts = { .connector = 0, .client = ip_of("10.0.0.1"), .now_wall_ms = NOW_MS };

	g.senders = extents[_i].senders;
	g.except_senders = extents[_i].except_senders;
	g.recipients = extents[_i].recipients;
	g.except_recipients = extents[_i].except_recipients;
	g.requires_evidence = extents[_i].evidence;
	struct policy *policy = policy_of(one_connector, 1, &g, 1);

	for (int has_client = 0; has_client < 2; has_client++) {
		policy_rights(policy, &facts, has_client == 1, &outcome, &rights);
		ck_assert_int_eq(outcome.stage, STAGE_PERMITTED);
		ck_assert_int_eq(rights.extents[RIGHT_SUBMIT], RIGHT_ALL);
		ck_assert_int_eq(rights.extents[RIGHT_HEADERS_ROUTING], RIGHT_ALL);
		ck_assert_int_eq(rights.extents[RIGHT_BYPASS_SIZE], RIGHT_NONE);
		ck_assert_int_eq(rights.extents[RIGHT_ANY_RECIPIENT], extents[_i].any_recipient);
		ck_assert_int_eq(rights.extents[RIGHT_ANY_SENDER], extents[_i].any_sender);
		ck_assert_int_eq(rights.extents[RIGHT_AUTHORITATIVE_SENDER],
				 extents[_i].authoritative);
		ck_assert_int_eq(rights.extents[RIGHT_BYPASS_ANTI_SPAM], extents[_i].anti_spam);
		ck_assert(!rights.is_monitored);
	}
	policy_free(&policy);
}
END_TEST

START_TEST(a_client_that_no_grant_knows_has_no_right)
{
	struct grant_source g[] = { grant_any("net", 1), grant_any("login", 2),
				    grant_any("old", 3), grant_any("tls", 4) };
	struct grant_outcome out[4];
	struct rights rights;
	struct facts facts = { .connector = 0, .client = ip_of("10.9.9.9"), .now_wall_ms = NOW_MS };

	g[0].networks = LIST(S("10.1.0.0/16"));
	g[1].users = LIST(S("billing"));
	g[2].networks = LIST(S("10.9.0.0/16"));
	g[2].expires_ms = NOW_MS;
	g[3].networks = LIST(S("10.9.0.0/16"));
	g[3].requires_tls = true;
	struct policy *policy = policy_of(one_connector, 1, g, 4);

	policy_rights(policy, &facts, true, out, &rights);
	for (size_t i = 0; i < RIGHT_COUNT; i++)
		ck_assert_int_eq(rights.extents[i], RIGHT_NONE);
	ck_assert_int_eq(out[0].reason, REASON_RELAY_NO_GRANT);
	ck_assert_int_eq(out[1].reason, REASON_AUTH_REQUIRED);
	ck_assert_int_eq(out[2].reason, REASON_RELAY_EXPIRED);
	ck_assert_int_eq(out[3].reason, REASON_TLS_REQUIRED);

	/* from somewhere, the first of them holds */
	policy_rights(policy, &facts, false, out, &rights);
	ck_assert_int_eq(out[0].stage, STAGE_PERMITTED);
	ck_assert_int_eq(out[1].reason, REASON_AUTH_REQUIRED);
	ck_assert_int_eq(out[2].reason, REASON_RELAY_EXPIRED);
	ck_assert_int_eq(out[3].reason, REASON_TLS_REQUIRED);
	ck_assert_int_eq(rights.extents[RIGHT_SUBMIT], RIGHT_ALL);

	/* and logged in, over TLS, two more */
	facts.user = span_of("billing@EXAMPLE.com");
	facts.is_tls = true;
	policy_rights(policy, &facts, false, out, &rights);
	ck_assert_int_eq(out[1].stage, STAGE_PERMITTED);
	ck_assert_int_eq(out[3].stage, STAGE_PERMITTED);
	policy_free(&policy);
}
END_TEST

START_TEST(monitor_mode_gives_every_right_until_it_ends)
{
	struct connector_source k = one_connector[0];
	struct grant_source g = grant_any("app", 1);
	struct grant_outcome out;
	struct rights rights;
	struct facts facts = { .connector = 0, .client = ip_of("10.9.9.9"), .now_wall_ms = NOW_MS };

	k.mode = MODE_MONITOR;
	k.monitor_until_ms = NOW_MS + 1;
	g.networks = LIST(S("10.1.0.0/16"));
	struct policy *policy = policy_of(&k, 1, &g, 1);

	policy_rights(policy, &facts, true, &out, &rights);
	ck_assert(rights.is_monitored);
	ck_assert_int_eq(rights.extents[RIGHT_ANY_RECIPIENT], RIGHT_ALL);
	ck_assert_int_eq(rights.extents[RIGHT_BYPASS_SIZE], RIGHT_NONE);
	facts.now_wall_ms++;
	policy_rights(policy, &facts, true, &out, &rights);
	ck_assert(!rights.is_monitored);
	ck_assert_int_eq(rights.extents[RIGHT_SUBMIT], RIGHT_NONE);
	policy_free(&policy);
}
END_TEST

/* ---- The proof ---- */

struct proof {
	bool is_open;
	bool is_too_many;
	char client[IP_TEXT_SIZE];
	struct buffer words; /* sender recipient */
	struct buffer ways;  /* "a-b by grant; ..." */
};

static void
proof_make(const struct connector_source *connectors, size_t connector_count,
	   const struct grant_source *grants, size_t count, struct proof *proof)
{
	const struct policy_source source = { .connectors = connectors,
					      .connector_count = connector_count,
					      .grants = grants,
					      .grant_count = count };
	struct policy *policy = policy_of(connectors, connector_count, grants, count);
	struct range_list named;
	struct relay_ways ways;
	struct relay_witness witness;

	*proof = (struct proof){ .is_open = false };
	buffer_init(&proof->words, 4096);
	buffer_init(&proof->ways, 65536);
	policy_networks_named(&source, &named);
	policy_relay_ways(policy, NOW_MS, &ways);
	for (size_t i = 0; i < ways.count; i++) {
		const struct relay_way *way = &ways.items[i];

		(void)buffer_append_text(&proof->ways, i == 0 ? "" : "; ");
		(void)ip_range_text(&way->range, &proof->ways);
		(void)buffer_printf(&proof->ways, " by %s",
				    way->grant == NO_GRANT ?
					"monitor" :
					policy_grant(policy, way->grant)->name.ptr);
	}
	proof->is_open = policy_open_relay_find(policy, &ways, &named, &witness);
	proof->is_too_many = witness.is_too_many;
	if (proof->is_open) {
		ip_text(&witness.client, proof->client);
		(void)buffer_printf(&proof->words, "<%s> <%s>", buffer_text(&witness.sender),
				    buffer_text(&witness.recipient));
		relay_witness_reset(&witness);
	}
	relay_ways_reset(&ways);
	range_list_reset(&named);
	policy_free(&policy);
}

static void
proof_end(struct proof *proof)
{
	buffer_reset(&proof->words);
	buffer_reset(&proof->ways);
}

static const struct {
	const char *what;
	struct text_list networks, except_networks, users, senders, recipients, except_recipients;
	bool needs_tls;
	enum header_from_demand header_from;
	const char *client; /* of the witness; NULL: closed */
	const char *words;
	const char *ways;
} proofs[] = {
	{ "a named network", .networks = { (const struct span[]){ S("203.0.113.0/24") }, 1 },
	  .ways = "203.0.113.0/24 by app" },
	{ "all of IPv4", .networks = { (const struct span[]){ S("0.0.0.0/0") }, 1 },
	  .client = "0.0.0.0", .words = "<someone@example.net> <someone@example.net>",
	  .ways = "0.0.0.0/0 by app" },
	{ "two halves", .networks = { (const struct span[]){ S("0.0.0.0/1"), S("128.0.0.0/1") }, 2 },
	  .client = "0.0.0.0", .words = "<someone@example.net> <someone@example.net>",
	  .ways = "0.0.0.0/0 by app" },
	{ "no networks at all", .client = "::",
	  .words = "<someone@example.net> <someone@example.net>",
	  .ways = "::-::fffe:ffff:ffff by app; 0.0.0.0/0 by app; "
		  "::1:0:0:0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff by app" },
	{ "a private network that is wider than a /24",
	  .networks = { (const struct span[]){ S("10.0.0.0/7") }, 1 }, .client = "11.0.0.0",
	  .words = "<someone@example.net> <someone@example.net>", .ways = "10.0.0.0/7 by app" },
	{ "an exception", .networks = { (const struct span[]){ S("10.0.0.0/7") }, 1 },
	  .except_networks = { (const struct span[]){ S("11.0.0.0-11.255.255.254") }, 1 },
	  .client = "11.255.255.255", .words = "<someone@example.net> <someone@example.net>",
	  .ways = "10.0.0.0/8 by app; 11.255.255.255 by app" },
	{ "an exception that closes it", .networks = { (const struct span[]){ S("10.0.0.0/7") }, 1 },
	  .except_networks = { (const struct span[]){ S("11.0.0.0/8") }, 1 },
	  .ways = "10.0.0.0/8 by app" },
	{ "a login", .users = { (const struct span[]){ S("*") }, 1 }, .ways = "" },
	{ "mail for ourselves",
	  .recipients = { (const struct span[]){ S("accepted-domains"), S("a@example.com"),
						 S("@x.example.com"), S("postmaster") }, 4 },
	  .ways = "" },
	{ "one foreign recipient",
	  .recipients = { (const struct span[]){ S("accepted-domains"), S("ap@partner.example") }, 2 },
	  .client = "::", .words = "<someone@example.net> <ap@partner.example>",
	  .ways = "::-::fffe:ffff:ffff by app; 0.0.0.0/0 by app; "
		  "::1:0:0:0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff by app" },
	{ "a foreign recipient that is excepted",
	  .recipients = { (const struct span[]){ S("@partner.example") }, 1 },
	  .except_recipients = { (const struct span[]){ S("@partner.example") }, 1 }, .ways = "" },
	{ "an excepted person of a domain", .networks = { (const struct span[]){ S("8.0.0.0/6") }, 1 },
	  .recipients = { (const struct span[]){ S("@partner.example") }, 1 },
	  .except_recipients = { (const struct span[]){ S("someone@partner.example") }, 1 },
	  .client = "8.0.0.0", .words = "<someone@example.net> <someone1@partner.example>",
	  .ways = "8.0.0.0/6 by app" },
	{ "domains below one that is partly ours",
	  .networks = { (const struct span[]){ S("8.0.0.0/6") }, 1 },
	  .recipients = { (const struct span[]){ S("@*.com") }, 1 },
	  .except_recipients = { (const struct span[]){ S("@host.com") }, 1 },
	  .client = "8.0.0.0", .words = "<someone@example.net> <someone@host1.com>",
	  .ways = "8.0.0.0/6 by app" },
	{ "the null sender alone", .networks = { (const struct span[]){ S("8.0.0.0/6") }, 1 },
	  .senders = { (const struct span[]){ S("<>") }, 1 }, .client = "8.0.0.0",
	  .words = "<> <someone@example.net>", .ways = "8.0.0.0/6 by app" },
	{ "the null sender, with nobody allowed in From",
	  .networks = { (const struct span[]){ S("8.0.0.0/6") }, 1 },
	  .senders = { (const struct span[]){ S("<>") }, 1 },
	  .header_from = HEADER_FROM_AUTHORIZED, .ways = "" },
};

START_TEST(proves_an_open_relay_or_that_there_is_none)
{
	static const struct span star[] = { S("*") };
	struct grant_source g = grant_any("app", 1);
	struct proof proof;

	g.networks = proofs[_i].networks;
	g.except_networks = proofs[_i].except_networks;
	g.users = proofs[_i].users;
	g.recipients = proofs[_i].recipients.count > 0 ? proofs[_i].recipients :
							 (struct text_list){ star, 1 };
	g.senders = proofs[_i].senders.count > 0 ? proofs[_i].senders :
						   (struct text_list){ star, 1 };
	g.except_recipients = proofs[_i].except_recipients;
	g.header_from = proofs[_i].header_from;
	g.requires_tls = proofs[_i].needs_tls;
	proof_make(one_connector, 1, &g, 1, &proof);
	ck_assert_msg(proof.is_open == (proofs[_i].client != NULL), "%s", proofs[_i].what);
	ck_assert_str_eq(buffer_text(&proof.ways), proofs[_i].ways);
	ck_assert_str_eq(proof.client, proofs[_i].client == NULL ? "" : proofs[_i].client);
	ck_assert_str_eq(buffer_text(&proof.words),
			 proofs[_i].words == NULL ? "" : proofs[_i].words);
	proof_end(&proof);
}
END_TEST

START_TEST(counts_what_a_connector_takes_and_what_it_offers)
{
	static const struct span inside[] = { S("10.0.0.0/8") }, half[] = { S("0.0.0.0/1") };
	struct connector_source k = one_connector[0];
	struct grant_source g = grant_any("app", 1);
	struct proof proof;

	/* the grant is for everybody, the connector is not */
	k.remote_ranges = (struct text_list){ inside, 1 };
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(!proof.is_open);
	ck_assert_str_eq(buffer_text(&proof.ways), "10.0.0.0/8 by app");
	proof_end(&proof);

	/* TLS that cannot be had keeps everybody out */
	k.remote_ranges = (struct text_list){ half, 1 };
	k.tls = TLS_NONE;
	g.requires_tls = true;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(!proof.is_open);
	ck_assert_str_eq(buffer_text(&proof.ways), "");
	proof_end(&proof);
	k.tls = TLS_OFFERED;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(proof.is_open);
	proof_end(&proof);

	/* a grant that starts later opens it later; an expired one never */
	g.starts_ms = NOW_MS + 1000;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(proof.is_open);
	proof_end(&proof);
	g.starts_ms = 0;
	g.expires_ms = NOW_MS;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(!proof.is_open);
	proof_end(&proof);

	/* in monitor mode an expired one still lets through */
	g.mode = MODE_MONITOR;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(proof.is_open);
	proof_end(&proof);
	g.mode = MODE_ENFORCE;
	k.mode = MODE_MONITOR;
	proof_make(&k, 1, &g, 1, &proof);
	ck_assert(proof.is_open);
	ck_assert_str_eq(buffer_text(&proof.ways), "0.0.0.0/1 by monitor");
	ck_assert_str_eq(buffer_text(&proof.words), "<someone@example.net> <someone@example.org>");
	proof_end(&proof);
}
END_TEST

START_TEST(many_small_networks_that_hold_most_of_the_internet_are_an_open_relay)
{
	static char texts[200][16];
	static struct span items[200];
	struct grant_source g = grant_any("app", 1);
	struct proof proof;

	for (unsigned i = 0; i < ARRAY_LEN(items); i++) {
		int len = snprintf(texts[i], sizeof(texts[i]), "%u.0.0.0/8", i + 1);

		items[i] = (struct span){ texts[i], (size_t)len };
	}
	g.networks = (struct text_list){ items, 128 };
	proof_make(one_connector, 1, &g, 1, &proof);
	ck_assert(!proof.is_open);
	proof_end(&proof);
	g.networks.count = 129;
	proof_make(one_connector, 1, &g, 1, &proof);
	ck_assert(proof.is_open && proof.is_too_many);
	ck_assert_str_eq(proof.client, "1.0.0.0");
	proof_end(&proof);
}
END_TEST

/* ---- Against the decision itself, address by address ---- */

static const struct text_list some_networks[] = {
	{ NULL, 0 },
	{ (const struct span[]){ S("10.0.0.0/30") }, 1 },
	{ (const struct span[]){ S("10.0.0.2-10.0.0.5"), S("2001:db8::/126") }, 2 },
	{ (const struct span[]){ S("::/0") }, 1 },
	{ (const struct span[]){ S("10.0.0.4"), S("10.0.0.7") }, 2 },
};
static const struct text_list some_recipients[] = {
	{ (const struct span[]){ S("accepted-domains") }, 1 },
	{ (const struct span[]){ S("*") }, 1 },
	{ (const struct span[]){ S("@example.com"), S("bob@example.net") }, 2 },
	{ (const struct span[]){ S("@*.example.com") }, 1 },
	{ (const struct span[]){ S("@*.net") }, 1 },
};
static const struct text_list some_exceptions[] = {
	{ NULL, 0 },
	{ (const struct span[]){ S("@example.net") }, 1 },
	{ (const struct span[]){ S("*") }, 1 },
};
static const char *const foreign[] = { "bob@example.net", "someone@host.net", "z@example.org",
				       "a@example.test" };

static bool
way_holds(const struct relay_ways *ways, const struct ip *ip, size_t connector)
{
	for (size_t i = 0; i < ways->count; i++) {
		if (ways->items[i].connector == connector && ip_range_has(&ways->items[i].range, ip))
			return true;
	}
	return false;
}

static bool
can_relay(const struct policy *policy, const struct ip *ip, size_t connector)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		struct address sender = address_of("a@example.net"),
			       recipient = address_of(foreign[i]);
		struct facts facts = { .connector = connector, .client = *ip, .is_tls = true,
				       .now_wall_ms = NOW_MS, .sender = &sender,
				       .recipient = &recipient };
		enum verdict_kind kind = policy_decide(policy, &facts, STAGE_RECIPIENT).kind;

		if (kind == VERDICT_RELAYED || kind == VERDICT_WOULD_REFUSE)
			return true;
	}
	return false;
}

START_TEST(the_ways_are_those_by_which_the_decision_lets_mail_through)
{
	static const char *const clients[] = {
		"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
		"10.0.0.6", "10.0.0.7", "10.0.0.8", "9.255.255.255", "0.0.0.0", "255.255.255.255",
		"::", "::1", "::fffe:ffff:ffff", "::1:0:0:0", "2001:db8::", "2001:db8::3",
		"2001:db8::4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	static const struct span low[] = { S("10.0.0.0-10.0.0.4") };
	struct connector_source k[2] = { one_connector[0], one_connector[0] };
	size_t found = 0;

	k[1].name = span_of("low");
	k[1].remote_ranges = (struct text_list){ low, 1 };
	for (size_t n = 0; n < 5 * 5 * 5 * 3 * 3 * 2; n++) {
		struct grant_source g[2] = { grant_any("a", 1), grant_any("b", 2) };

		g[0].networks = some_networks[n % 5];
		g[0].except_networks = some_networks[n / 5 % 5];
		g[0].recipients = some_recipients[n / 25 % 5];
		g[0].except_recipients = some_exceptions[n / 125 % 3];
		g[1].networks = some_networks[(n + 2) % 5];
		g[1].recipients = some_recipients[n / 375 % 3 * 2];
		g[1].users = LIST(S("billing"));
		g[1].connectors = LIST(S("low"));
		if (n / 1125 == 1)
			g[1].users.count = 0;
		else
			g[1].connectors.count = 0;
		struct policy *policy = policy_of(k, 2, g, 2);
		struct relay_ways ways;

		policy_relay_ways(policy, NOW_MS, &ways);
		for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
			struct ip ip = ip_of(clients[i]);
			size_t connector =
			    policy_connector_find(policy, &port, &ip);

			REQUIRE(connector != NO_CONNECTOR);
			REQUIRE(way_holds(&ways, &ip, connector) ==
				can_relay(policy, &ip, connector));
			found += way_holds(&ways, &ip, connector);
		}
		relay_ways_reset(&ways);
		policy_free(&policy);
	}
	ck_assert_uint_gt(found, 1000);
}
END_TEST

static Suite *
rights_suite(void)
{
	Suite *suite = suite_create("rights");
	TCase *tc = tcase_create("effective");

	tcase_add_loop_test(tc, tells_how_far_each_right_goes, 0, ARRAY_LEN(extents));
	tcase_add_test(tc, a_client_that_no_grant_knows_has_no_right);
	tcase_add_test(tc, monitor_mode_gives_every_right_until_it_ends);
	suite_add_tcase(suite, tc);
	tc = tcase_create("open relay");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, proves_an_open_relay_or_that_there_is_none, 0, ARRAY_LEN(proofs));
	tcase_add_test(tc, counts_what_a_connector_takes_and_what_it_offers);
	tcase_add_test(tc, many_small_networks_that_hold_most_of_the_internet_are_an_open_relay);
	tcase_add_test(tc, the_ways_are_those_by_which_the_decision_lets_mail_through);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(rights_suite());
}
