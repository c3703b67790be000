/* SPDX-License-Identifier: ISC */
/* Decisions, connectors and explanations on a policy as a site would write it. */
#include "policy_fixture.h"

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

static const struct span apps_ranges[] = { S("10.0.0.0/8"), S("table:printers") };
static const struct span lab_ranges[] = { S("10.9.0.0/16") };
static const struct span billing_users[] = { S("billing") };
static const struct span billing_networks[] = { S("10.20.1.0/24") };
static const struct span billing_not_networks[] = { S("10.20.1.13") };
static const struct span billing_senders[] = { S("@billing.example.com"), S("invoices@example.com") };
static const struct span billing_not_senders[] = { S("ceo@billing.example.com") };
static const struct span any[] = { S("*") };
static const struct span apps[] = { S("apps") };
static const struct span printers[] = { S("table:printers") };
static const struct span printer_senders[] = { S("@printers.example.com") };
static const struct span home[] = { S("accepted-domains") };
static const struct span shop_certificates[] = { S("dns:shop.example.com") };
static const struct span shop_connectors[] = { S("wide") };
static const struct span watch_networks[] = { S("10.30.0.0/16") };
static const struct span printer_lines[] = { S("10.40.0.7"), S("172.16.0.0/24") };
static const struct limit_source billing_limits[] = { { 600, LIMIT_MESSAGES,
							      LIMIT_PER_GRANT, 3600 } };

enum { APPS, LAB, WIDE, LOCAL };

/* The policy of these tests; every test has its own. */
static struct policy *
site(void)
{
	const struct ip_endpoint apps_at[] = { endpoint_of("0.0.0.0:25"), endpoint_of("[::]:25") };
	const struct ip_endpoint wide_at[] = { endpoint_of("0.0.0.0:587") };
	const struct ip_endpoint local_at[] = { endpoint_of("10.0.0.2:25") };
	const struct text_list wide_ranges = LIST(S("0.0.0.0/0"), S("::/0"));
	const struct connector_source connectors[] = {
		{ .name = S("apps"), .bindings = apps_at, .binding_count = 2,
		  .remote_ranges = { apps_ranges, 2 }, .can_authenticate = true, .tls = TLS_OFFERED,
		  .file = "relayd.conf", .line = 10 },
		{ .name = S("lab"), .bindings = apps_at, .binding_count = 2,
		  .remote_ranges = { lab_ranges, 1 }, .mode = MODE_MONITOR,
		  .monitor_until_ms = NOW + 1, .file = "relayd.conf", .line = 20 },
		{ .name = S("wide"), .bindings = wide_at, .binding_count = 1,
		  .remote_ranges = wide_ranges, .can_authenticate = true, .tls = TLS_REQUIRED,
		  .file = "relayd.conf", .line = 30 },
		{ .name = S("local"), .bindings = local_at, .binding_count = 1,
		  .remote_ranges = LIST(S("10.0.0.0/24")), .file = "relayd.conf", .line = 35 },
	};
	const struct grant_source grants[] = {
		{ .name = S("billing"), .users = { billing_users, 1 },
		  .networks = { billing_networks, 1 },
		  .except_networks = { billing_not_networks, 1 }, .connectors = { apps, 1 },
		  .senders = { billing_senders, 2 }, .except_senders = { billing_not_senders, 1 },
		  .recipients = { any, 1 }, .limits = billing_limits, .limit_count = 1,
		  .expires_ms = NOW + 1000, .header_from = HEADER_FROM_AUTHORIZED,
		  .requires_evidence = EVIDENCE_DKIM | EVIDENCE_DNSBL, .file = "relayd.conf",
		  .line = 41 },
		{ .name = S("printers"), .networks = { printers, 1 },
		  .senders = { printer_senders, 1 }, .recipients = { home, 1 },
		  .file = "relayd.conf", .line = 60 },
		{ .name = S("shop"), .certificates = { shop_certificates, 1 },
		  .connectors = { shop_connectors, 1 }, .senders = { any, 1 },
		  .recipients = { any, 1 }, .requires_tls = true, .file = "relayd.conf",
		  .line = 70 },
		{ .name = S("watched"), .networks = { watch_networks, 1 },
		  .senders = { printer_senders, 1 }, .recipients = { any, 1 },
		  .mode = MODE_MONITOR, .monitor_until_ms = NOW + 5000, .file = "relayd.conf",
		  .line = 80 },
	};
	const struct table_source tables[] = {
		{ .name = S("printers"), .type = TABLE_NETWORK, .entries = { printer_lines, 2 } },
	};
	const struct accepted_domain_source domains[] = { { .name = S("example.com") } };
	const struct policy_source source = {
		.connectors = connectors, .connector_count = ARRAY_LEN(connectors),
		.grants = grants, .grant_count = ARRAY_LEN(grants),
		.tables = tables, .table_count = 1, .domains = domains, .domain_count = 1,
		.realm = S("example.com"),
	};

	return policy_make(&source);
}

/* An attempt in words. */
struct attempt {
	size_t connector;
	const char *client;
	const char *user;
	const char *certificate;
	bool is_tls;
	const char *from;
	const char *to;
	const char *header_from;
	int64_t after_ms;
	enum evidence_result dkim;
	bool is_over_quota;
	enum verdict_kind kind;
	enum stage stage;
	enum reason reason;
	const char *grant;
	const char *description;
	const char *remedy;
};

#define GOOD .from = "a@billing.example.com", .to = "x@partner.net"
#define LATE GOOD, .header_from = "a@billing.example.com", .client = "10.20.1.7", .user = "billing"

static const struct attempt attempts[] = {
	{ .client = "10.20.1.7", .user = "billing", GOOD, .header_from = "invoices@example.com",
	  .dkim = EVIDENCE_PASSES, .kind = VERDICT_RELAYED, .stage = STAGE_PERMITTED,
	  .grant = "billing", .description = "grant billing permits this", .remedy = "" },
	{ .client = "10.20.9.7", .user = "billing@example.com", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NETWORK, .grant = "billing",
	  .description = "grant billing allows networks 10.20.1.0/24 except 10.20.1.13; got 10.20.9.7",
	  .remedy = "add \"10.20.9.7\" to grant \"billing\" (relayd.conf:41), option networks" },
	{ .client = "10.20.1.13", .user = "billing", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NETWORK, .grant = "billing",
	  .remedy = "take what holds \"10.20.1.13\" out of grant \"billing\" (relayd.conf:41), option "
		    "except-networks" },
	{ .client = "10.20.1.7", GOOD, .kind = VERDICT_REFUSED, .stage = STAGE_WHO,
	  .reason = REASON_RELAY_NO_GRANT, .grant = "billing",
	  .description = "grant billing allows users billing; got no login" },
	{ .client = "10.20.1.7", .user = "alice", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NO_GRANT, .grant = "billing",
	  .description = "grant billing allows users billing; got alice",
	  .remedy = "let the application log in as billing, or add \"alice\" to grant \"billing\" "
		    "(relayd.conf:41), option users" },
	{ .client = "10.99.0.1", GOOD, .kind = VERDICT_REFUSED, .stage = STAGE_WHO,
	  .reason = REASON_RELAY_NO_GRANT,
	  .description = "no grant of connector apps knows this client; got client 10.99.0.1, no login",
	  .remedy = "write a grant for this application: grant \"NAME\" { connectors = { \"apps\" } "
		    "networks = { \"10.99.0.1\" } senders = { \"a@billing.example.com\" } "
		    "recipients = { \"x@partner.net\" } }" },
	{ .client = "10.20.1.7", .user = "billing", .after_ms = 1000, GOOD,
	  .kind = VERDICT_REFUSED, .stage = STAGE_VALIDITY, .reason = REASON_RELAY_EXPIRED,
	  .grant = "billing",
	  .description = "grant billing expired 2027-01-15T08:00:01Z; got 2027-01-15T08:00:01Z",
	  .remedy = "set expires to a later date in grant \"billing\" (relayd.conf:41)" },
	{ .client = "10.20.1.7", .user = "billing", .from = "x@evil.net", .to = "x@partner.net",
	  .kind = VERDICT_REFUSED, .stage = STAGE_SENDER, .reason = REASON_SENDER_NOT_AUTHORIZED,
	  .grant = "billing",
	  .description = "grant billing allows senders @billing.example.com, invoices@example.com "
			 "except ceo@billing.example.com; got x@evil.net",
	  .remedy = "add \"x@evil.net\" to grant \"billing\" (relayd.conf:41), option senders" },
	{ .client = "10.20.1.7", .user = "billing", .from = "CEO@billing.example.com",
	  .to = "x@partner.net", .kind = VERDICT_REFUSED, .stage = STAGE_SENDER,
	  .reason = REASON_SENDER_NOT_AUTHORIZED, .grant = "billing",
	  .remedy = "take what holds \"CEO@billing.example.com\" out of grant \"billing\" "
		    "(relayd.conf:41), option except-senders" },
	{ .client = "10.20.1.7", .user = "billing", .from = "", .to = "x@partner.net",
	  .kind = VERDICT_REFUSED, .stage = STAGE_SENDER, .reason = REASON_SENDER_NOT_AUTHORIZED,
	  .grant = "billing" },
	{ .client = "10.20.1.7", .user = "billing", GOOD, .header_from = "x@evil.net",
	  .kind = VERDICT_REFUSED, .stage = STAGE_HEADER_FROM, .reason = REASON_SENDER_HEADER_FROM,
	  .grant = "billing",
	  .description = "grant billing allows header From by senders @billing.example.com, "
			 "invoices@example.com except ceo@billing.example.com; got x@evil.net" },
	{ .client = "10.20.1.7", .user = "billing", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_HEADER_FROM, .reason = REASON_SENDER_HEADER_FROM, .grant = "billing" },
	{ LATE, .dkim = EVIDENCE_FAILS, .kind = VERDICT_REFUSED, .stage = STAGE_EVIDENCE,
	  .reason = REASON_EVIDENCE_DKIM, .grant = "billing",
	  .description = "grant billing requires DKIM, block lists; got DKIM failed" },
	{ LATE, .dkim = EVIDENCE_TROUBLE, .kind = VERDICT_DEFERRED, .stage = STAGE_EVIDENCE,
	  .reason = REASON_EVIDENCE_UNKNOWN, .grant = "billing",
	  .description = "grant billing requires DKIM, block lists; got DKIM could not be looked up" },
	{ LATE, .dkim = EVIDENCE_NOT_LOOKED, .kind = VERDICT_DEFERRED, .stage = STAGE_EVIDENCE,
	  .reason = REASON_EVIDENCE_UNKNOWN, .grant = "billing" },
	{ LATE, .dkim = EVIDENCE_PASSES, .is_over_quota = true, .kind = VERDICT_DEFERRED,
	  .stage = STAGE_QUOTA, .reason = REASON_QUOTA_MESSAGES, .grant = "billing",
	  .description = "grant billing allows 600 messages/hour; used up: quota.messages",
	  .remedy = "send again later, or raise limits of grant \"billing\" (relayd.conf:41)" },
	{ .client = "10.40.0.7", .from = "p@printers.example.com", .to = "x@EXAMPLE.com",
	  .kind = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .grant = "printers" },
	{ .client = "::ffff:10.40.0.7", .from = "p@printers.example.com", .to = "x@example.com",
	  .kind = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .grant = "printers" },
	{ .client = "172.16.0.9", .from = "p@printers.example.com", .to = "x@partner.net",
	  .kind = VERDICT_REFUSED, .stage = STAGE_RECIPIENT, .reason = REASON_RELAY_RECIPIENT,
	  .grant = "printers",
	  .description = "grant printers allows recipients accepted-domains; got x@partner.net",
	  .remedy = "add \"x@partner.net\" to grant \"printers\" (relayd.conf:60), option recipients" },
	{ .connector = WIDE, .client = "192.0.2.1", .is_tls = true, GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NO_GRANT, .grant = "shop" },
	/* whoever has a certificate can show it under TLS only: that is asked for first */
	{ .connector = WIDE, .client = "192.0.2.1", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_TLS, .reason = REASON_TLS_REQUIRED,
	  .description = "connector wide requires TLS; got a session in clear" },
	{ .connector = WIDE, .client = "192.0.2.1", .certificate = "dns:SHOP.example.com", GOOD,
	  .kind = VERDICT_REFUSED, .stage = STAGE_TLS, .reason = REASON_TLS_REQUIRED,
	  .grant = "shop",
	  .description = "grant shop requires TLS; got a session in clear" },
	{ .connector = WIDE, .client = "192.0.2.1", .certificate = "dns:SHOP.example.com",
	  .is_tls = true, GOOD, .kind = VERDICT_RELAYED, .stage = STAGE_PERMITTED,
	  .grant = "shop" },
	{ .connector = WIDE, .client = "10.40.0.7", .from = "p@printers.example.com",
	  .to = "x@example.com", .kind = VERDICT_REFUSED, .stage = STAGE_TLS,
	  .reason = REASON_TLS_REQUIRED, .grant = "printers",
	  .description = "grant printers is on connector wide, which requires TLS; got a session in "
			 "clear" },
	/* monitor mode of a grant: beyond who, and until its end */
	{ .client = "10.30.0.1", GOOD, .kind = VERDICT_WOULD_REFUSE, .stage = STAGE_SENDER,
	  .reason = REASON_SENDER_NOT_AUTHORIZED, .grant = "watched" },
	{ .client = "10.30.0.1", GOOD, .after_ms = 5000, .kind = VERDICT_REFUSED,
	  .stage = STAGE_SENDER, .reason = REASON_SENDER_NOT_AUTHORIZED, .grant = "watched" },
	{ .client = "10.30.0.1", .from = "p@printers.example.com", .to = "x@partner.net",
	  .kind = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .grant = "watched" },
	{ .client = "10.31.0.1", GOOD, .kind = VERDICT_REFUSED, .stage = STAGE_WHO,
	  .reason = REASON_RELAY_NO_GRANT },
	/* monitor mode of a connector: everything that is not trouble */
	{ .connector = LAB, .client = "10.9.1.1", GOOD, .kind = VERDICT_WOULD_REFUSE,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NO_GRANT },
	{ .connector = LAB, .client = "10.9.1.1", GOOD, .after_ms = 1, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NO_GRANT },
	{ .connector = NO_CONNECTOR, .client = "10.99.0.1", GOOD, .kind = VERDICT_REFUSED,
	  .stage = STAGE_WHO, .reason = REASON_RELAY_NO_GRANT,
	  .description = "no grant knows this client; got client 10.99.0.1, no login" },
};

static bool
quota_is_used_up(void *context, size_t grant, enum reason *which)
{
	(void)context;
	(void)grant;
	*which = REASON_QUOTA_MESSAGES;
	return false;
}

START_TEST(decides_and_explains)
{
	const struct attempt *a = &attempts[_i];
	struct policy *policy = site();
	struct address sender = address_of(a->from), recipient = address_of(a->to);
	struct address header = address_of(a->header_from == NULL ? "" : a->header_from);
	struct span certificate = span_of(a->certificate);
	const struct facts facts = {
		.connector = a->connector,
		.client = ip_of(a->client),
		.user = span_of(a->user),
		.certificates = &certificate,
		.certificate_count = a->certificate == NULL ? 0 : 1,
		.is_tls = a->is_tls,
		.now_wall_ms = NOW + a->after_ms,
		.sender = &sender,
		.recipient = &recipient,
		.header_from_result = a->header_from == NULL ? HEADER_FROM_MISSING :
							       HEADER_FROM_READ,
		.header_from = &header,
		.header_from_count = 1,
		.evidence = { EVIDENCE_PASSES, a->dkim, EVIDENCE_PASSES, EVIDENCE_PASSES,
			      EVIDENCE_PASSES },
		.has_quota = a->is_over_quota ? quota_is_used_up : NULL,
	};
	struct verdict v = policy_decide(policy, &facts, STAGE_QUOTA);
	struct buffer text;

	ck_assert_str_eq(reason_token(v.reason), reason_token(a->reason));
	ck_assert_uint_eq(v.kind, a->kind);
	ck_assert_str_eq(stage_name(v.stage), stage_name(a->stage));
	ck_assert_uint_eq(v.grant, a->grant == NULL ?
					   NO_GRANT :
					   policy_grant_find(policy, span_of(a->grant)));
	buffer_init(&text, 4096);
	policy_describe(policy, &facts, v.stage, v.reason, v.grant, &text);
	if (a->description != NULL)
		ck_assert_str_eq(buffer_text(&text), a->description);
	ck_assert_uint_gt(text.len, 0);
	buffer_clear(&text);
	policy_remedy(policy, &facts, &v, &text);
	if (a->remedy != NULL)
		ck_assert_str_eq(buffer_text(&text), a->remedy);
	ck_assert_int_eq(text.len == 0, v.kind == VERDICT_RELAYED);
	buffer_reset(&text);
	policy_free(&policy);
	ck_assert_ptr_null(policy);
}
END_TEST

START_TEST(a_stage_that_is_not_asked_for_needs_no_facts)
{
	struct policy *policy = site();
	struct address sender = address_of("a@billing.example.com");
	struct facts facts = {
		.connector = APPS,
		.client = ip_of("10.20.1.7"),
		.user = span_of("billing"),
		.now_wall_ms = NOW,
	};

	ck_assert_uint_eq(policy_decide(policy, &facts, STAGE_CONNECTION).kind, VERDICT_RELAYED);
	ck_assert_uint_eq(policy_decide(policy, &facts, STAGE_TLS).kind, VERDICT_RELAYED);
	facts.sender = &sender;
	struct verdict v = policy_decide(policy, &facts, STAGE_SENDER);

	ck_assert_uint_eq(v.kind, VERDICT_RELAYED);
	ck_assert_uint_eq(v.stage, STAGE_PERMITTED);
	ck_assert_uint_eq(v.grant, 0);
	policy_free(&policy);
}
END_TEST

START_TEST(several_evidences_wait_before_they_refuse)
{
	/* SPF failed for the first grant; the second might pass once the DNS answers */
	struct grant_source grants[] = { grant_any("a", 1), grant_any("b", 2) };
	const struct policy_source source = { .grants = grants, .grant_count = 2 };
	struct address address = address_of("a@b.org");
	struct facts facts = {
		.connector = NO_CONNECTOR,
		.sender = &address,
		.recipient = &address,
		.evidence = { EVIDENCE_FAILS, EVIDENCE_TROUBLE, EVIDENCE_PASSES },
	};

	grants[0].requires_evidence = EVIDENCE_SPF;
	grants[1].requires_evidence = EVIDENCE_DKIM;
	struct policy *policy = policy_make(&source);
	struct verdict v = policy_decide(policy, &facts, STAGE_QUOTA);
	static const struct reply_wording standard = { .style = REPLY_STYLE_STANDARD };
	const struct reason_reply *reply = verdict_reply(&v, &standard);

	ck_assert_uint_eq(v.kind, VERDICT_DEFERRED);
	ck_assert_uint_eq(v.grant, 1);
	ck_assert_uint_eq(v.cause, REASON_EVIDENCE_DKIM);
	ck_assert_uint_eq(reply->code, 451);
	ck_assert_uint_eq(reply->enhanced[2], 5);
	facts.evidence[1] = EVIDENCE_FAILS;
	v = policy_decide(policy, &facts, STAGE_QUOTA);
	ck_assert_uint_eq(v.kind, VERDICT_REFUSED);
	ck_assert_uint_eq(v.grant, 0);
	ck_assert_uint_eq(v.reason, REASON_EVIDENCE_SPF);
	ck_assert_uint_eq(verdict_reply(&v, &standard)->code, 550);
	facts.evidence[1] = EVIDENCE_PASSES;
	v = policy_decide(policy, &facts, STAGE_QUOTA);
	ck_assert_uint_eq(v.kind, VERDICT_RELAYED);
	ck_assert_ptr_null(verdict_reply(&v, &standard));
	policy_free(&policy);
}
END_TEST

START_TEST(no_grants_permit_nothing)
{
	const struct policy_source source = { .grants = NULL };
	struct policy *policy = policy_make(&source);
	struct facts facts = { .connector = NO_CONNECTOR };

	for (enum stage upto = STAGE_CONNECTION; upto <= STAGE_QUOTA; upto++) {
		struct verdict v = policy_decide(policy, &facts, upto);

		ck_assert_uint_eq(v.kind, VERDICT_REFUSED);
		ck_assert_uint_eq(v.reason, REASON_RELAY_NO_GRANT);
		ck_assert_uint_eq(v.grant, NO_GRANT);
	}
	policy_trace(policy, &facts, STAGE_QUOTA, NULL);
	policy_free(&policy);
}
END_TEST

static const struct {
	const char *local;
	const char *client;
	size_t connector;
} landings[] = {
	{ "10.0.0.1:25", "10.20.1.7", APPS },
	{ "10.0.0.1:25", "10.9.1.7", LAB },	/* the smaller range */
	{ "10.0.0.1:25", "172.16.0.1", APPS },	/* out of a table */
	{ "10.0.0.1:25", "172.16.1.1", NO_CONNECTOR },
	{ "10.0.0.1:25", "2001:db8::1", NO_CONNECTOR },
	{ "10.0.0.1:26", "10.20.1.7", NO_CONNECTOR },
	{ "10.0.0.2:25", "10.0.0.9", LOCAL },	/* bound where it connected */
	{ "10.0.0.2:25", "10.9.1.7", LAB },	/* whose range does not hold it */
	{ "10.0.0.2:25", "10.20.1.7", APPS },
	{ "[2001:db8::5]:25", "10.20.1.7", APPS },
	{ "10.0.0.1:587", "198.51.100.4", WIDE },
	{ "10.0.0.1:587", "2001:db8::1", WIDE },
	{ "[2001:db8::5]:587", "2001:db8::1", NO_CONNECTOR }, /* nothing listens there */
};

START_TEST(the_client_lands_on_the_most_specific_connector)
{
	struct policy *policy = site();
	struct ip_endpoint local = endpoint_of(landings[_i].local);
	struct ip client = ip_of(landings[_i].client);

	ck_assert_uint_eq(policy_connector_find(policy, &local, &client), landings[_i].connector);
	policy_free(&policy);
}
END_TEST

/* A connector whose grants all need a login. */
static enum reason
stranger_reason(bool can_authenticate, bool has_open_grant, bool has_grant, const char *user)
{
	const struct ip_endpoint at = endpoint_of("0.0.0.0:25");
	const struct connector_source connectors[] = {
		{ .name = S("c"), .bindings = &at, .binding_count = 1,
		  .can_authenticate = can_authenticate },
		{ .name = S("d"), .can_authenticate = true },
	};
	const struct text_list d = LIST(S("d"));
	struct grant_source grants[] = { grant_any("a", 1), grant_any("b", 2) };
	const struct policy_source source = {
		.connectors = connectors, .connector_count = 2, .grants = grants, .grant_count = 2,
	};
	struct facts facts = { .connector = 0, .client = ip_of("10.0.0.1"), .user = span_of(user) };

	grants[0].users = LIST(S("billing"));
	grants[1].networks = LIST(S("192.0.2.0/24"));
	if (!has_open_grant)
		grants[1].connectors = d;
	if (!has_grant)
		grants[0].connectors = d;
	struct policy *policy = policy_make(&source);
	struct verdict v = policy_decide(policy, &facts, STAGE_WHO);

	policy_free(&policy);
	ck_assert_uint_eq(v.kind, VERDICT_REFUSED);
	return v.reason;
}

START_TEST(a_login_is_asked_for_where_only_that_would_help)
{
	ck_assert_uint_eq(stranger_reason(true, false, true, ""), REASON_AUTH_REQUIRED);
	ck_assert_uint_eq(stranger_reason(false, false, true, ""), REASON_RELAY_NO_GRANT);
	ck_assert_uint_eq(stranger_reason(true, true, true, ""), REASON_RELAY_NO_GRANT);
	ck_assert_uint_eq(stranger_reason(true, false, false, ""), REASON_RELAY_NO_GRANT);
	ck_assert_uint_eq(stranger_reason(true, false, true, "alice"), REASON_RELAY_NO_GRANT);
}
END_TEST

START_TEST(says_which_part_of_who_failed)
{
	struct policy *policy = site();
	const struct span certificate = S("dns:other.example.com");
	struct facts facts = {
		.connector = APPS,
		.client = ip_of("192.0.2.1"),
		.user = span_of("al\rice"),
		.certificates = &certificate,
		.certificate_count = 1,
	};
	struct buffer text;

	buffer_init(&text, 4096);
	policy_describe(policy, &facts, STAGE_WHO, REASON_RELAY_NO_GRANT, 0, &text);
	ck_assert_str_eq(buffer_text(&text), "grant billing allows networks 10.20.1.0/24 except "
					     "10.20.1.13; got 192.0.2.1, and allows users billing; "
					     "got al?ice");
	buffer_clear(&text);
	policy_describe(policy, &facts, STAGE_WHO, REASON_RELAY_NO_GRANT, 2, &text);
	ck_assert_str_eq(buffer_text(&text), "grant shop holds on connectors wide; got apps, and "
					     "allows certificates dns:shop.example.com; got "
					     "dns:other.example.com");
	buffer_reset(&text);
	policy_free(&policy);
}
END_TEST

START_TEST(traces_every_grant)
{
	struct policy *policy = site();
	struct address sender = address_of("x@evil.net"), recipient = address_of("x@partner.net");
	const struct facts facts = {
		.connector = APPS,
		.client = ip_of("10.30.0.1"),
		.user = span_of("billing"),
		.now_wall_ms = NOW,
		.sender = &sender,
		.recipient = &recipient,
	};
	struct grant_outcome out[4];

	ck_assert_uint_eq(policy_grant_count(policy), 4);
	policy_trace(policy, &facts, STAGE_QUOTA, out);
	ck_assert_uint_eq(out[0].stage, STAGE_WHO);
	ck_assert_uint_eq(out[0].reason, REASON_RELAY_NETWORK);
	ck_assert_uint_eq(out[1].stage, STAGE_WHO);
	ck_assert_uint_eq(out[1].reason, REASON_RELAY_NO_GRANT);
	ck_assert_uint_eq(out[2].stage, STAGE_WHO);
	ck_assert_uint_eq(out[3].stage, STAGE_SENDER);
	ck_assert_uint_eq(out[3].reason, REASON_SENDER_NOT_AUTHORIZED);
	policy_free(&policy);
}
END_TEST

START_TEST(can_be_looked_at)
{
	struct policy *policy = site();

	ck_assert_uint_eq(policy_connector_count(policy), 4);
	ck_assert_uint_eq(policy_connector_find_name(policy, span_of("lab")), LAB);
	ck_assert_uint_eq(policy_connector_find_name(policy, span_of("Lab")), NO_CONNECTOR);
	ck_assert_uint_eq(policy_grant_find(policy, span_of("shop")), 2);
	ck_assert_uint_eq(policy_grant_find(policy, span_of("")), NO_GRANT);
	ck_assert(span_equal(policy_grant(policy, 1)->name, span_of("printers")));
	ck_assert(span_equal(policy_connector(policy, 2)->name, span_of("wide")));
	ck_assert(policy_is_accepted_domain(policy, span_of("EXAMPLE.com")));
	ck_assert(!policy_is_accepted_domain(policy, span_of("a.example.com")));
	ck_assert(!policy_is_accepted_domain(policy, span_of("")));
	policy_free(&policy);
	policy_free(&policy);
}
END_TEST

static Suite *
decide_suite(void)
{
	Suite *suite = suite_create("decide");
	TCase *tc = tcase_create("decisions");

	tcase_add_loop_test(tc, decides_and_explains, 0, ARRAY_LEN(attempts));
	tcase_add_test(tc, a_stage_that_is_not_asked_for_needs_no_facts);
	tcase_add_test(tc, several_evidences_wait_before_they_refuse);
	tcase_add_test(tc, no_grants_permit_nothing);
	tcase_add_loop_test(tc, the_client_lands_on_the_most_specific_connector, 0,
			    ARRAY_LEN(landings));
	tcase_add_test(tc, a_login_is_asked_for_where_only_that_would_help);
	tcase_add_test(tc, says_which_part_of_who_failed);
	tcase_add_test(tc, traces_every_grant);
	tcase_add_test(tc, can_be_looked_at);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(decide_suite());
}
