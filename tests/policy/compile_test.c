/* SPDX-License-Identifier: ISC */
/* What a policy is refused for, what it is warned of, and its hash. */
#include "policy_fixture.h"

#define NOW INT64_C(1800000000000)

/* A source that compiles without a word, to be spoiled by one test each. */
struct draft {
	struct ip_endpoint at[2];
	struct connector_source connectors[3];
	struct grant_source grants[3];
	struct table_source tables[3];
	struct accepted_domain_source domains[2];
	struct policy_source source;
};

static const struct span ten[] = { S("10.0.0.0/8") };
static const struct span one_table[] = { S("table:nets") };
static const struct span net_lines[] = { S("10.1.0.0/16"), S("10.2.0.0/16") };
static const struct span app_senders[] = { S("@example.com") };
static const struct span star[] = { S("*") };

static void
draft_init(struct draft *d)
{
	*d = (struct draft){
		.at = { endpoint_of("0.0.0.0:25"), endpoint_of("10.0.0.2:25") },
		.connectors = {
			{ .name = S("inside"), .binding_count = 1, .remote_ranges = { ten, 1 },
			  .can_authenticate = true, .tls = TLS_OFFERED, .file = "c", .line = 10 },
			{ .name = S("outside"), .file = "c", .line = 20 },
			{ .name = S("third"), .file = "c", .line = 30 },
		},
		.grants = {
			{ .name = S("first"), .networks = { one_table, 1 },
			  .senders = { app_senders, 1 }, .recipients = { star, 1 }, .file = "c",
			  .line = 40 },
			{ .name = S("second"), .networks = { ten, 1 }, .senders = { app_senders, 1 },
			  .recipients = { star, 1 }, .file = "c", .line = 50 },
			{ .name = S("last"), .networks = { ten, 1 }, .senders = { app_senders, 1 },
			  .recipients = { star, 1 }, .file = "c", .line = 60 },
		},
		.tables = {
			{ .name = S("nets"), .type = TABLE_NETWORK, .file = S("nets.txt"),
			  .entries = { net_lines, 2 }, .line = 70 },
			{ .name = S("people"), .type = TABLE_SENDER, .file = S("people.txt"),
			  .line = 71 },
			{ .name = S("logins"), .type = TABLE_USER, .file = S("logins.txt"),
			  .line = 72 },
		},
		.domains = { { S("example.com"), DOMAIN_AUTHORITATIVE, 80 },
			     { S("*.example.org"), DOMAIN_AUTHORITATIVE, 81 } },
	};
	for (size_t i = 0; i < ARRAY_LEN(d->connectors); i++)
		d->connectors[i].bindings = d->at;
	d->source = (struct policy_source){
		.connectors = d->connectors, .connector_count = 1,
		.grants = d->grants, .grant_count = 1,
		.tables = d->tables, .table_count = 1,
		.domains = d->domains, .domain_count = 1,
	};
}

/* It does not compile, and among what it says is this. */
static void
refused(const struct draft *d, const char *want)
{
	struct complaints all;

	complaints_init(&all);
	struct policy *policy = policy_new(&d->source, complaint_note, &all);

	ck_assert_msg(policy == NULL && all.errors > 0, "no error, but wanted %s", want);
	ck_assert_msg(strstr(buffer_text(&all.text), want) != NULL, "wanted %s\ngot %s", want,
		      buffer_text(&all.text));
	ck_assert_ptr_null(policy_new(&d->source, NULL, NULL)); /* nor when nobody listens */
	buffer_reset(&all.text);
}

/* It compiles; the warnings of compiling and of lint are these words, or none. */
static void
warned(const struct draft *d, const char *want)
{
	struct complaints all;

	complaints_init(&all);
	struct policy *policy = policy_new(&d->source, complaint_note, &all);

	ck_assert_msg(policy != NULL, "%s", buffer_text(&all.text));
	policy_lint(policy, NOW, complaint_note, &all);
	ck_assert_uint_eq(all.errors, 0);
	if (want == NULL)
		ck_assert_msg(all.warnings == 0, "%s", buffer_text(&all.text));
	else
		ck_assert_msg(strstr(buffer_text(&all.text), want) != NULL, "wanted %s\ngot %s",
			      want, buffer_text(&all.text));
	buffer_reset(&all.text);
	policy_free(&policy);
}

START_TEST(a_good_policy_compiles_without_a_word)
{
	struct draft d;

	draft_init(&d);
	warned(&d, NULL);
}
END_TEST

START_TEST(bad_items_are_told_with_place_and_cure)
{
	struct draft d;

	draft_init(&d);
	d.grants[0].networks = LIST(S("10.0.0.300/8"));
	refused(&d, "error c:40 grant \"first\": option 'networks': \"10.0.0.300/8\" is not an IP "
		    "address, prefix or range; write an address (10.20.1.7)");
	draft_init(&d);
	d.grants[0].except_networks = LIST(S("10.0.0.9-10.0.0.1"));
	refused(&d, "option 'except-networks': \"10.0.0.9-10.0.0.1\" is not an IP address");
	draft_init(&d);
	d.connectors[0].remote_ranges = LIST(S("inside"));
	refused(&d, "error c:10 connector \"inside\": option 'remote-ip-ranges': \"inside\" is not");
	draft_init(&d);
	d.grants[0].senders = LIST(S("example.com"));
	refused(&d, "option 'senders': \"example.com\" is not a sender; write \"@\" before a domain");
	draft_init(&d);
	d.grants[0].except_senders = LIST(S("*@example.com"));
	refused(&d, "option 'except-senders': \"*@example.com\" is not a sender; for every address of "
		    "a domain write \"@domain\"");
	draft_init(&d);
	d.grants[0].recipients = LIST(S("<>"));
	refused(&d, "option 'recipients': \"<>\" is not a recipient");
	draft_init(&d);
	d.grants[0].users = LIST(S("bill*"));
	refused(&d, "option 'users': \"bill*\" is not a login");
	draft_init(&d);
	d.grants[0].users = LIST(S("*@"));
	refused(&d, "option 'users': \"*@\" is not a login");
	draft_init(&d);
	d.grants[0].certificates = LIST(S("billing.example.com"));
	refused(&d, "option 'certificates': \"billing.example.com\" is not a certificate; write "
		    "\"sha256:\"");
	draft_init(&d);
	d.grants[0].certificates = LIST(S("sha256:12:34"));
	refused(&d, "option 'certificates'");
	draft_init(&d);
	d.grants[0].rewrite_sender = span_of("noreply");
	refused(&d, "option 'rewrite-sender': \"noreply\" is not an address");
}
END_TEST

START_TEST(unknown_names_are_told_with_the_nearest_one)
{
	struct draft d;

	draft_init(&d);
	d.grants[0].connectors = LIST(S("insid"));
	refused(&d, "option 'connectors': there is no connector \"insid\"; did you mean \"inside\"?");
	draft_init(&d);
	d.grants[0].connectors = LIST(S("elsewhere"));
	refused(&d, "there is no connector \"elsewhere\"; write a section connector \"elsewhere\"");
	draft_init(&d);
	d.grants[0].networks = LIST(S("table:net"));
	refused(&d, "option 'networks': there is no table \"net\"; did you mean \"nets\"?");
	draft_init(&d);
	d.grants[0].senders = LIST(S("table:nets"));
	refused(&d, "option 'senders': table \"nets\" is of type \"network\"; here one of type "
		    "\"sender\" is needed");
	draft_init(&d);
	d.source.table_count = 2;
	d.grants[0].recipients = LIST(S("table:people"));
	refused(&d, "table \"people\" is of type \"sender\"; here one of type \"recipient\"");
	draft_init(&d);
	d.source.table_count = 2;
	d.connectors[0].remote_ranges = LIST(S("table:people"));
	refused(&d, "connector \"inside\": option 'remote-ip-ranges': table \"people\"");
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	struct draft d;
	const struct limit_source nothing = { 0, LIMIT_MESSAGES, LIMIT_PER_GRANT, 60 };

	draft_init(&d);
	d.grants[0].senders.count = 0;
	refused(&d, "option 'senders' is missing");
	draft_init(&d);
	d.grants[0].recipients.count = 0;
	refused(&d, "option 'recipients' is missing");
	draft_init(&d);
	d.grants[0].starts_ms = NOW;
	d.grants[0].expires_ms = NOW;
	refused(&d, "option 'expires' is not after 'starts'");
	draft_init(&d);
	d.grants[0].monitor_until_ms = NOW;
	refused(&d, "option 'monitor-until' has no meaning");
	draft_init(&d);
	d.connectors[0].monitor_until_ms = NOW;
	refused(&d, "connector \"inside\": option 'monitor-until' has no meaning");
	draft_init(&d);
	d.grants[0].limits = &nothing;
	d.grants[0].limit_count = 1;
	refused(&d, "a limit of nothing");
	draft_init(&d);
	d.source.grant_count = 2;
	d.grants[1].name = d.grants[0].name;
	refused(&d, "error c:50 grant \"first\": there is another grant of this name");
	draft_init(&d);
	d.grants[0].name = span_of("");
	refused(&d, "a grant needs a name");
	draft_init(&d);
	d.source.connector_count = 2;
	d.connectors[1].name = d.connectors[0].name;
	refused(&d, "there is another connector of this name");
	draft_init(&d);
	d.source.table_count = 2;
	d.tables[1].name = d.tables[0].name;
	refused(&d, "there is another table of this name");
	draft_init(&d);
	d.source.domain_count = 2;
	d.domains[1].name = span_of("EXAMPLE.com");
	refused(&d, "accepted-domain \"EXAMPLE.com\": the domain is written twice");
	draft_init(&d);
	d.domains[0].name = span_of("@example.com");
	refused(&d, "this is not a domain");
}
END_TEST

START_TEST(bad_lines_of_tables_are_told_with_file_and_line)
{
	struct draft d;
	const unsigned lines[] = { 3, 7 };
	static struct span many[60];

	draft_init(&d);
	d.tables[0].lines = lines;
	d.tables[0].entries = LIST(S("10.1.0.0/16"), S("ten"));
	refused(&d, "error nets.txt:7 table \"nets\": \"ten\" is not a network; write");
	draft_init(&d); /* unused ones too */
	d.source.table_count = 3;
	d.tables[1].entries = LIST(S("@example.com"), S("table:nets"));
	d.tables[1].lines = lines;
	refused(&d, "error people.txt:7 table \"people\": \"table:nets\" is not a sender; write");
	draft_init(&d);
	d.source.table_count = 3;
	d.tables[2].entries = LIST(S("b*d"));
	refused(&d, "error logins.txt:0 table \"logins\": \"b*d\" is not a user; ");
	draft_init(&d);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = span_of("bad");
	d.tables[0].entries = (struct text_list){ many, ARRAY_LEN(many) };
	refused(&d, "table \"nets\": and 40 bad lines more");
}
END_TEST

/* Ranges of the connectors "inside" and "outside", and whether they may stand together. */
static const struct {
	const char *a;
	const char *b;
	const char *complaint;
} overlaps[] = {
	{ "10.0.0.0/8", "10.1.0.0/16", NULL },
	{ "10.1.0.0/16", "10.0.0.0/8", NULL },
	{ "10.0.0.0/8", "11.0.0.0/8", NULL },
	{ "0.0.0.0/0", "::/0", NULL },
	{ "10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.5", NULL },
	{ "10.0.0.0/8", "10.0.0.0/8",
	  "error c:20 connector \"outside\": option 'remote-ip-ranges': 10.0.0.0/8 is also a range of "
	  "connector \"inside\" (c:10) at 0.0.0.0:25" },
	{ "10.0.0.1-10.0.0.9", "10.0.0.5-10.0.0.15",
	  "error c:20 connector \"outside\": option 'remote-ip-ranges': 10.0.0.5-10.0.0.15 overlaps "
	  "with 10.0.0.1-10.0.0.9 a range of connector \"inside\" (c:10) at 0.0.0.0:25" },
	{ "10.0.0.5-10.0.0.15", "10.0.0.1-10.0.0.9", "overlaps with" },
};

START_TEST(ranges_of_two_connectors_nest_or_stay_apart)
{
	struct span a = span_of(overlaps[_i].a), b = span_of(overlaps[_i].b);
	struct draft d;

	draft_init(&d);
	d.source.connector_count = 2;
	d.connectors[1].binding_count = 1;
	d.connectors[0].remote_ranges = (struct text_list){ &a, 1 };
	d.connectors[1].remote_ranges = (struct text_list){ &b, 1 };
	if (overlaps[_i].complaint != NULL)
		refused(&d, overlaps[_i].complaint);
	struct complaints all;

	/* on another binding they may do as they like */
	complaints_init(&all);
	d.connectors[1].bindings = &d.at[1];
	struct policy *policy = policy_new(&d.source, complaint_note, &all);

	ck_assert_msg(policy != NULL, "%s", buffer_text(&all.text));
	policy_free(&policy);
	buffer_reset(&all.text);
}
END_TEST

/* ---- Open relays ---- */

struct open_case {
	struct text_list networks;
	struct text_list ranges; /* of the connector */
	struct text_list recipients;
	struct text_list users;
	struct text_list certificates;
	struct text_list except_networks;
	bool is_open;
};

#define NONE { NULL, 0 }
#define ITEMS(...)                                                                            \
	{                                                                                     \
		(const struct span[]){ __VA_ARGS__ },                                         \
		    sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span)        \
	}
#define WORLD ITEMS(S("0.0.0.0/0"), S("::/0"))

static const struct open_case open_cases[] = {
	{ NONE, WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ NONE, NONE, ITEMS(S("*")), NONE, NONE, NONE, true }, /* no ranges: all clients */
	{ ITEMS(S("0.0.0.0/0")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("::/0")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("0.0.0.0/1"), S("128.0.0.0/1")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("0.0.0.0-255.255.255.255")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), S("8000::/1")), WORLD,
	  ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("table:world")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, true },
	{ ITEMS(S("10.0.0.0/8"), S("table:world")), WORLD, ITEMS(S("table:anyone")), NONE, NONE, NONE,
	  true },
	{ NONE, WORLD, ITEMS(S("@example.com"), S("*")), NONE, NONE, NONE, true },
	/* leaving one address out does not close it */
	{ NONE, WORLD, ITEMS(S("*")), NONE, NONE, ITEMS(S("127.0.0.1")), true },
	{ ITEMS(S("0.0.0.0/0")), ITEMS(S("0.0.0.0/1"), S("128.0.0.0/1")), ITEMS(S("*")), NONE, NONE,
	  NONE, true },
	{ ITEMS(S("10.0.0.0/8")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, false },
	{ ITEMS(S("0.0.0.0/1")), WORLD, ITEMS(S("*")), NONE, NONE, NONE, false },
	{ NONE, ITEMS(S("10.0.0.0/8")), ITEMS(S("*")), NONE, NONE, NONE, false },
	{ ITEMS(S("0.0.0.0/0")), ITEMS(S("10.0.0.0/8")), ITEMS(S("*")), NONE, NONE, NONE, false },
	{ NONE, WORLD, ITEMS(S("accepted-domains")), NONE, NONE, NONE, false },
	{ NONE, WORLD, ITEMS(S("@example.com")), NONE, NONE, NONE, false },
	{ NONE, WORLD, ITEMS(S("*")), ITEMS(S("billing")), NONE, NONE, false },
	{ NONE, WORLD, ITEMS(S("*")), ITEMS(S("*")), NONE, NONE, false },
	{ NONE, WORLD, ITEMS(S("*")), NONE, ITEMS(S("dns:a.example.com")), NONE, false },
};

START_TEST(an_open_relay_does_not_load)
{
	const struct open_case *o = &open_cases[_i];
	struct draft d;

	draft_init(&d);
	d.source.table_count = 2;
	d.tables[0].name = span_of("world");
	d.tables[0].entries = LIST(S("0.0.0.0/2"), S("64.0.0.0/2"), S("128.0.0.0/1"));
	d.tables[1].name = span_of("anyone");
	d.tables[1].type = TABLE_RECIPIENT;
	d.tables[1].entries = LIST(S("@one.net"), S("*"));
	d.connectors[0].remote_ranges = o->ranges;
	d.grants[0].networks = o->networks;
	d.grants[0].recipients = o->recipients;
	d.grants[0].users = o->users;
	d.grants[0].certificates = o->certificates;
	d.grants[0].except_networks = o->except_networks;
	if (o->is_open) {
		refused(&d, "error c:40 grant \"first\": this is an open relay");
		d.grants[0].is_open_relay_accepted = true;
		warned(&d, "warning c:40 grant \"first\": this is an open relay");
	} else {
		struct policy *policy = policy_make(&d.source);

		policy_free(&policy);
	}
}
END_TEST

/* ---- Lint ---- */

START_TEST(grants_that_together_make_an_open_relay_are_told)
{
	struct draft d;

	draft_init(&d);
	d.connectors[0].remote_ranges = LIST(S("0.0.0.0/0"));
	d.source.grant_count = 2;
	d.grants[0].networks = LIST(S("0.0.0.0/1"));
	d.grants[1].networks = LIST(S("128.0.0.0/1"));
	warned(&d, "connector \"inside\" is an open relay: its grants together");
	d.grants[1].networks = LIST(S("128.0.0.0/2"));
	warned(&d, "connector \"inside\" is nearly an open relay");
	d.grants[1].recipients = LIST(S("@example.com"));
	warned(&d, "table \"nets\" is never used");
}
END_TEST

START_TEST(lint_tells_what_is_probably_not_meant)
{
	struct draft d;

	draft_init(&d);
	d.grants[0].expires_ms = NOW;
	d.grants[0].owner = span_of("finance-it@example.com");
	warned(&d, "warning c:40 grant \"first\" has expired and permits nothing; remove it, or ask "
		   "its owner (finance-it@example.com)");
	d.grants[0].expires_ms = NOW + 1;
	warned(&d, NULL);
	draft_init(&d);
	d.grants[0].mode = MODE_MONITOR;
	warned(&d, "grant \"first\" is in monitor mode without an end");
	d.grants[0].monitor_until_ms = NOW;
	warned(&d, NULL);
	draft_init(&d);
	d.connectors[0].mode = MODE_MONITOR;
	d.connectors[0].monitor_until_ms = NOW + 1;
	warned(&d, "connector \"inside\" is in monitor mode: everybody may relay through it");
	draft_init(&d);
	d.source.connector_count = 2;
	d.connectors[1].bindings = &d.at[1];
	d.connectors[1].binding_count = 1;
	d.grants[0].connectors = LIST(S("inside"));
	warned(&d, "connector \"outside\" has no grants");
	draft_init(&d);
	d.grants[0].networks = LIST(S("192.168.0.0/16"));
	warned(&d, "grant \"first\" is unreachable: none of its connectors takes clients from its "
		   "networks");
	draft_init(&d);
	d.grants[0].except_networks = LIST(S("table:nets"));
	warned(&d, "grant \"first\" is unreachable");
	draft_init(&d);
	d.grants[0].users = LIST(S("billing"));
	d.connectors[0].can_authenticate = false;
	warned(&d, "grant \"first\" is unreachable: it demands a login");
	draft_init(&d);
	d.grants[0].requires_tls = true;
	d.connectors[0].tls = TLS_NONE;
	warned(&d, "grant \"first\" is unreachable: it demands a login, a certificate or TLS");
	draft_init(&d);
	d.grants[0].except_senders = LIST(S("*"));
	warned(&d, "grant \"first\" is unreachable: its exceptions leave nothing");
	draft_init(&d);
	d.source.table_count = 2;
	warned(&d, "warning -:71 table \"people\" is never used; write \"table:people\"");
	draft_init(&d);
	d.grants[0].senders = LIST(S("*"), S("@example.com"), S("a@gmail.com"), S("@partner.net"));
	warned(&d, "grant \"first\" has senders outside every accepted domain (2, as "
		   "\"a@gmail.com\")");
	draft_init(&d);
	d.source.domain_count = 2;
	d.grants[0].senders = LIST(S("*"), S("<>"), S("@x.example.org"), S("@*.example.org"),
				   S("a@example.com"));
	warned(&d, NULL);
	draft_init(&d);
	d.source.domain_count = 0;
	d.grants[0].recipients = LIST(S("accepted-domains"));
	warned(&d, "there are no accepted domains");
}
END_TEST

/* It says this and nothing else. */
static void
warned_exactly(const struct draft *d, const char *want)
{
	struct complaints all;

	complaints_init(&all);
	struct policy *policy = policy_new(&d->source, complaint_note, &all);

	ck_assert_msg(policy != NULL, "%s", buffer_text(&all.text));
	policy_lint(policy, NOW, complaint_note, &all);
	ck_assert_str_eq(buffer_text(&all.text), want);
	buffer_reset(&all.text);
	policy_free(&policy);
}

START_TEST(lint_says_where_what_and_what_to_do)
{
	struct draft d;

	draft_init(&d);
	d.grants[0].expires_ms = NOW;
	warned_exactly(&d, "warning c:40 grant \"first\" has expired and permits nothing; remove "
			   "it, or ask its owner (none named) for a new date\n");
	draft_init(&d);
	d.grants[0].mode = MODE_MONITOR;
	d.grants[0].monitor_until_ms = NOW + 1;
	warned_exactly(&d, "warning c:40 grant \"first\" is in monitor mode: what it would refuse "
			   "is relayed; set mode = \"enforce\" when you have seen enough\n");
	draft_init(&d);
	d.connectors[0].mode = MODE_MONITOR;
	warned_exactly(&d, "warning c:10 connector \"inside\" is in monitor mode without an end: "
			   "everybody may relay through it; set mode = \"enforce\" when you have "
			   "seen enough\n");
	draft_init(&d);
	d.source.connector_count = 2;
	d.connectors[1].bindings = &d.at[1];
	d.connectors[1].binding_count = 1;
	d.grants[0].connectors = LIST(S("inside"));
	warned_exactly(&d, "warning c:20 connector \"outside\" has no grants, so it refuses "
			   "everything; name it in connectors of a grant, or remove it\n");
	draft_init(&d);
	d.grants[0].networks = LIST(S("192.168.0.0/16"));
	d.source.table_count = 0;
	warned_exactly(&d, "warning c:40 grant \"first\" is unreachable: none of its connectors "
			   "takes clients from its networks; correct networks or connectors\n");
	draft_init(&d);
	d.grants[0].users = LIST(S("billing"));
	d.connectors[0].can_authenticate = false;
	warned_exactly(&d, "warning c:40 grant \"first\" is unreachable: it demands a login, a "
			   "certificate or TLS, and none of its connectors offers that; see "
			   "auth-mechanisms and tls of the connectors\n");
	draft_init(&d);
	d.grants[0].except_recipients = LIST(S("*"));
	warned_exactly(&d, "warning c:40 grant \"first\" is unreachable: its exceptions leave "
			   "nothing; take \"*\" out of them\n");
	draft_init(&d);
	d.source.table_count = 2;
	warned_exactly(&d, "warning -:71 table \"people\" is never used; write \"table:people\" "
			   "where it belongs, or remove it\n");
	draft_init(&d);
	d.grants[0].senders = LIST(S("@partner.net"));
	warned_exactly(&d, "warning c:40 grant \"first\" has senders outside every accepted domain "
			   "(1, as \"@partner.net\"): answers and bounces to them do not come here; "
			   "add an accepted-domain if it is yours\n");
	draft_init(&d);
	d.source.grant_count = 2;
	d.grants[0].networks = LIST(S("10.0.0.0/8"), S("table:nets"));
	warned_exactly(&d, "warning c:50 grant \"second\" is shadowed: grant \"first\" (line 40) "
			   "comes first and permits all that it permits; move it before that, "
			   "narrow that, or remove it\n");
	draft_init(&d);
	d.connectors[0].remote_ranges = LIST(S("0.0.0.0/0"));
	d.source.grant_count = 2;
	d.source.table_count = 0;
	d.grants[0].networks = LIST(S("0.0.0.0/1"));
	d.grants[1].networks = LIST(S("128.0.0.0/1"));
	warned_exactly(&d, "warning c:10 connector \"inside\" is an open relay: its grants together "
			   "let any network send to any recipient without a login or certificate; "
			   "narrow their networks or recipients\n");
	d.grants[1].networks = LIST(S("128.0.0.0/2"));
	warned_exactly(&d, "warning c:10 connector \"inside\" is nearly an open relay: its grants "
			   "together let more than half of all IPv4 addresses send to any recipient "
			   "without a login or certificate; narrow their networks or recipients\n");
}
END_TEST

START_TEST(lint_tells_shadowed_grants)
{
	static const struct limit_source limit = { 5, LIMIT_MESSAGES, LIMIT_PER_GRANT, 60 };
	struct draft d;

	draft_init(&d);
	d.source.grant_count = 2;
	d.grants[0].networks = LIST(S("10.0.0.0/8"));
	d.grants[1].networks = LIST(S("10.7.0.0/16"), S("10.9.9.9"));
	d.grants[0].senders = LIST(S("@example.com"), S("@*.example.com"));
	d.grants[1].senders = LIST(S("a@Example.com"), S("@shop.example.com"));
	d.tables[0].name = span_of("unused");
	warned(&d, "warning c:50 grant \"second\" is shadowed: grant \"first\" (line 40) comes first");
	d.source.domain_count = 0;
	struct draft good = d;

	good.source.grants = good.grants;
	good.source.connectors = good.connectors;
	/* each of these makes the second one useful */
	good.grants[0].limits = &limit;
	good.grants[0].limit_count = 1;
	good.source.table_count = 0;
	warned(&good, NULL);
	good.grants[0].limit_count = 0;
	good.grants[0].requires_tls = true;
	warned(&good, NULL);
	good.grants[0].requires_tls = false;
	good.grants[0].users = LIST(S("billing"));
	warned(&good, NULL);
	good.grants[0].users.count = 0;
	good.grants[0].expires_ms = NOW + 1;
	warned(&good, NULL);
	good.grants[0].expires_ms = 0;
	good.grants[1].networks = LIST(S("10.7.0.0/16"), S("10.0.0.0/7"));
	good.connectors[0].remote_ranges.count = 0;
	warned(&good, NULL);
	good.grants[1].networks = LIST(S("10.7.0.0/16"));
	good.grants[0].except_senders = LIST(S("a@example.com"));
	warned(&good, NULL);
	good.grants[0].except_senders.count = 0;
	good.grants[0].header_from = HEADER_FROM_AUTHORIZED;
	warned(&good, NULL);
	good.grants[0].header_from = HEADER_FROM_ANY;
	good.grants[0].requires_evidence = EVIDENCE_SPF;
	warned(&good, NULL);
	good.grants[0].requires_evidence = 0;
	good.grants[1].recipients = LIST(S("@one.net"));
	warned(&good, "is shadowed");
	good.grants[0].recipients = LIST(S("@two.net"));
	warned(&good, NULL);
}
END_TEST

/* ---- The hash ---- */

static void
hash_of(const struct draft *d, char out[17])
{
	struct policy *policy = policy_make(&d->source);

	policy_hash(policy, out);
	policy_free(&policy);
}

START_TEST(the_hash_changes_with_the_meaning_and_not_with_the_place)
{
	struct draft d;
	char first[17], other[17];

	draft_init(&d);
	hash_of(&d, first);
	ck_assert_uint_eq(strlen(first), 16);
	d.grants[0].line = 400;
	d.grants[0].file = "elsewhere.conf";
	hash_of(&d, other);
	ck_assert_str_eq(first, other);
	d.grants[0].requires_tls = true;
	hash_of(&d, other);
	ck_assert_str_ne(first, other);
	draft_init(&d);
	d.tables[0].entries = LIST(S("10.1.0.0/16"), S("10.3.0.0/16"));
	hash_of(&d, other);
	ck_assert_str_ne(first, other);
	draft_init(&d);
	d.tables[0].entries = LIST(S("10.1.0.0/16"), S("10.2.0.0/1"), S("6")); /* not joined texts */
	ck_assert_ptr_null(policy_new(&d.source, NULL, NULL));
	draft_init(&d);
	d.connectors[0].can_authenticate = false;
	hash_of(&d, other);
	ck_assert_str_ne(first, other);
	draft_init(&d);
	d.domains[0].type = DOMAIN_EXTERNAL_RELAY;
	hash_of(&d, other);
	ck_assert_str_ne(first, other);
}
END_TEST

START_TEST(the_policy_keeps_nothing_of_its_source)
{
	char name[] = "first", sender[] = "@example.com", file[] = "relayd.conf";
	struct span list = { sender, sizeof(sender) - 1 };
	struct draft d;
	struct address address = address_of("a@example.com");

	draft_init(&d);
	d.grants[0].name = (struct span){ name, sizeof(name) - 1 };
	d.grants[0].senders = (struct text_list){ &list, 1 };
	d.grants[0].file = file;
	struct policy *policy = policy_make(&d.source);

	memset(name, 'x', sizeof(name) - 1);
	memset(sender, 'x', sizeof(sender) - 1);
	memset(file, 'x', sizeof(file) - 1);
	list = span_of("");
	memset(&d, 0xa5, sizeof(d));
	struct facts facts = {
		.connector = 0,
		.client = ip_of("10.1.0.1"),
		.sender = &address,
		.recipient = &address,
	};

	ck_assert_uint_eq(policy_decide(policy, &facts, STAGE_QUOTA).kind, VERDICT_RELAYED);
	ck_assert_uint_eq(policy_grant_find(policy, span_of("first")), 0);
	ck_assert_str_eq(policy_grant(policy, 0)->file, "relayd.conf");
	ck_assert(span_equal(policy_grant(policy, 0)->senders.items[0], span_of("@example.com")));
	policy_free(&policy);
}
END_TEST

static Suite *
compile_suite(void)
{
	Suite *suite = suite_create("compile");
	TCase *tc = tcase_create("sources");

	tcase_add_test(tc, a_good_policy_compiles_without_a_word);
	tcase_add_test(tc, bad_items_are_told_with_place_and_cure);
	tcase_add_test(tc, unknown_names_are_told_with_the_nearest_one);
	tcase_add_test(tc, what_makes_no_sense_is_refused);
	tcase_add_test(tc, bad_lines_of_tables_are_told_with_file_and_line);
	tcase_add_loop_test(tc, ranges_of_two_connectors_nest_or_stay_apart, 0,
			    ARRAY_LEN(overlaps));
	tcase_add_loop_test(tc, an_open_relay_does_not_load, 0, ARRAY_LEN(open_cases));
	tcase_add_test(tc, grants_that_together_make_an_open_relay_are_told);
	tcase_add_test(tc, lint_tells_what_is_probably_not_meant);
	tcase_add_test(tc, lint_tells_shadowed_grants);
	tcase_add_test(tc, lint_says_where_what_and_what_to_do);
	tcase_add_test(tc, the_hash_changes_with_the_meaning_and_not_with_the_place);
	tcase_add_test(tc, the_policy_keeps_nothing_of_its_source);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(compile_suite());
}
