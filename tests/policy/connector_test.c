/* SPDX-License-Identifier: ISC */
/* Which connector takes a client, in every way of writing its ranges, and whose word it takes. */
#include "policy_fixture.h"

#include <stdio.h>

#define CONNECTORS_MAX 5

static const struct span nets_lines[] = { S("192.0.2.0/25"), S("192.0.2.200-192.0.2.210"),
					  S("2001:db8:5::/48"), S("::ffff:198.51.100.0/120") };
static const struct table_source nets = {
	.name = S("nets"), .type = TABLE_NETWORK, .file = S("nets.txt"),
	.entries = { nets_lines, ARRAY_LEN(nets_lines) }, .line = 1,
};

/* A policy of these connectors, all at one endpoint unless it says otherwise. */
struct draft {
	struct ip_endpoint at[2];
	struct connector_source connectors[CONNECTORS_MAX];
	struct grant_source grant;
	struct policy_source source;
};

static void
draft_init(struct draft *d, const struct text_list *ranges, size_t count)
{
	static const struct span names[CONNECTORS_MAX] = { S("a"), S("b"), S("c"), S("d"), S("e") };

	*d = (struct draft){ .at = { endpoint_of("[::]:25"), endpoint_of("10.0.0.2:25") } };
	for (size_t i = 0; i < count; i++)
		d->connectors[i] = (struct connector_source){
			.name = names[i], .bindings = d->at, .binding_count = 1,
			.remote_ranges = ranges[i], .file = "c", .line = 10 * (unsigned)(i + 1),
		};
	d->grant = grant_any("g", 1);
	d->source = (struct policy_source){
		.connectors = d->connectors, .connector_count = count, .grants = &d->grant,
		.grant_count = 1, .tables = &nets, .table_count = 1,
	};
}

/* The name of the connector, "-" for none. */
static const char *
taker(const struct policy *policy, const char *local, const char *client, char out[8])
{
	struct ip_endpoint at = endpoint_of(local);
	struct ip ip = ip_of(client);
	size_t connector = policy_connector_find(policy, &at, &ip);

	if (connector == NO_CONNECTOR)
		return "-";
	(void)snprintf(out, 8, SPAN_FMT, SPAN_ARG(policy_connector(policy, connector)->name));
	return out;
}

static const struct {
	const char *client;
	const char *connector;
} clients[] = {
	{ "10.0.0.1", "a" },
	{ "10.20.0.0", "b" }, /* host bits of the range do not count */
	{ "10.20.255.255", "b" },
	{ "10.21.0.0", "a" },
	{ "10.20.1.6", "b" },
	{ "10.20.1.7", "c" }, /* one address, inside a prefix, inside a prefix */
	{ "10.20.1.8", "b" },
	{ "10.20.3.99", "b" }, /* both ends of a-b belong to it */
	{ "10.20.3.100", "d" },
	{ "10.20.3.107", "d" },
	{ "10.20.4.1", "d" },
	{ "10.20.4.2", "b" },
	{ "11.0.0.0", "e" },
	{ "9.255.255.255", "e" },
	{ "0.0.0.0", "e" },
	{ "255.255.255.255", "e" },
	{ "192.0.2.127", "c" }, /* of a table */
	{ "192.0.2.128", "e" },
	{ "192.0.2.200", "c" },
	{ "192.0.2.210", "c" },
	{ "192.0.2.211", "e" },
	{ "198.51.100.255", "c" }, /* IPv4, written as IPv6 */
	{ "198.51.101.0", "e" },
	/* IPv4-mapped clients are IPv4 clients */
	{ "::ffff:10.20.1.7", "c" },
	{ "::ffff:10.20.1.8", "b" },
	{ "::ffff:a14:363", "b" },
	{ "::ffff:a14:364", "d" },
	/* and nothing else is */
	{ "::10.20.1.7", "-" },
	{ "::fffe:10.20.1.7", "-" },
	{ "::ffff:0:10.20.1.7", "-" },
	{ "64:ff9b::10.20.1.7", "-" },
	{ "::", "-" },
	{ "::1", "-" },
	{ "2001:db8::1", "a" },
	{ "2001:db8:1::", "b" },
	{ "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "b" },
	{ "2001:db8:2::", "a" },
	{ "2001:db8:1::7", "d" },
	{ "2001:db8:1::9", "d" },
	{ "2001:db8:1::a", "b" },
	{ "2001:db8:5::1", "c" },
	{ "2001:db9::", "-" },
	{ "2001:db7:ffff::", "-" },
};

START_TEST(the_most_specific_range_takes_the_client)
{
	const struct text_list ranges[] = {
		LIST(S("10.255.0.1/8"), S("2001:db8::ffff/32")),
		LIST(S("10.20.99.99/16"), S("2001:db8:1::7/48")),
		LIST(S("10.20.1.7"), S("table:nets")),
		LIST(S("10.20.3.100-10.20.4.1"), S("2001:db8:1::7-2001:db8:1::9")),
		LIST(S("0.0.0.0/0")),
	};
	struct draft d;
	char name[8];

	/* in any order of the file */
	for (size_t turn = 0; turn < ARRAY_LEN(ranges); turn++) {
		struct text_list turned[ARRAY_LEN(ranges)];

		for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
			turned[i] = ranges[(i + turn) % ARRAY_LEN(ranges)];
		draft_init(&d, turned, ARRAY_LEN(ranges));
		for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
			d.connectors[i].name = (struct span){
				&"abcde"[(i + turn) % ARRAY_LEN(ranges)], 1 };
		struct policy *policy = policy_make(&d.source);
		const char *got = taker(policy, "10.0.0.2:25", clients[_i].client, name);

		ck_assert_msg(strcmp(got, clients[_i].connector) == 0, "%s: %s, not %s",
			      clients[_i].client, got, clients[_i].connector);
		policy_free(&policy);
	}
}
END_TEST

START_TEST(a_specific_binding_comes_before_any_address)
{
	const struct text_list ranges[] = { LIST(S("10.0.0.0/8")), LIST(S("10.0.0.0/8")) };
	struct draft d;
	char name[8];

	draft_init(&d, ranges, 2);
	d.at[0] = endpoint_of("0.0.0.0:25");
	d.connectors[1].bindings = &d.at[1];
	struct policy *policy = policy_make(&d.source);

	ck_assert_str_eq(taker(policy, "10.0.0.2:25", "10.1.1.1", name), "b");
	ck_assert_str_eq(taker(policy, "10.0.0.3:25", "10.1.1.1", name), "a");
	ck_assert_str_eq(taker(policy, "10.0.0.2:26", "10.1.1.1", name), "-");
	ck_assert_str_eq(taker(policy, "[2001:db8::2]:25", "10.1.1.1", name), "-");
	policy_free(&policy);
}
END_TEST

/* Pairs of ranges that neither hold each other nor stand apart, or are the same. */
static const struct {
	const char *a;
	const char *b;
	const char *complaint; /* NULL: they may */
} pairs[] = {
	{ "10.0.0.0/8", "10.20.0.0/16", NULL },
	{ "10.0.0.0/8", "10.20.0.1", NULL },
	{ "10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.8", NULL },
	{ "10.0.0.0-10.0.0.9", "10.0.0.1-10.0.0.9", NULL },
	{ "10.0.0.0-10.0.0.9", "10.0.0.10-10.0.0.19", NULL },
	{ "10.0.0.0/24", "10.0.1.0/24", NULL },
	{ "::/0", "0.0.0.0/0", NULL },
	{ "::/0", "::ffff:0.0.0.0/96", NULL },
	{ "2001:db8::/32", "2001:db8:1::/48", NULL },
	{ "10.0.0.0-10.0.0.9", "10.0.0.9-10.0.0.19", "10.0.0.9-10.0.0.19 overlaps with "
	  "10.0.0.0-10.0.0.9 a range of connector \"a\" (c:10) at [::]:25" },
	{ "10.0.0.9-10.0.0.19", "10.0.0.0-10.0.0.9", "overlaps with" },
	{ "10.0.0.128-10.0.1.127", "10.0.0.0/24", "overlaps with" },
	{ "10.0.0.0/24", "10.0.0.77/24", "10.0.0.0/24 is also a range of connector \"a\" (c:10)" },
	{ "10.0.0.0/24", "10.0.0.0-10.0.0.255", "is also a range" },
	{ "10.0.0.1", "10.0.0.1/32", "is also a range" },
	{ "10.0.0.1", "::ffff:10.0.0.1", "is also a range" },
	{ "0.0.0.0/0", "::ffff:0:0/96", "is also a range" },
	{ "2001:db8::1-2001:db8::9", "2001:db8::5-2001:db8::f", "overlaps with" },
	{ "192.0.2.0/24", "table:nets", NULL },
	{ "192.0.2.100-192.0.2.220", "table:nets", "192.0.2.0/25" },
	{ "192.0.2.0-192.0.2.127", "table:nets", "192.0.2.0/25 is also a range" },
	{ "198.51.100.0/24", "table:nets", "198.51.100.0/24 is also a range" },
};

START_TEST(ranges_of_two_connectors_nest_or_stand_apart)
{
	for (size_t turn = 0; turn < 2; turn++) {
		struct span a = span_of(turn == 0 ? pairs[_i].a : pairs[_i].b);
		struct span b = span_of(turn == 0 ? pairs[_i].b : pairs[_i].a);
		const struct text_list ranges[] = { { &a, 1 }, { &b, 1 } };
		struct complaints all;
		struct draft d;

		draft_init(&d, ranges, 2);
		complaints_init(&all);
		struct policy *policy = policy_new(&d.source, complaint_note, &all);
		const char *said = buffer_text(&all.text), *want = pairs[_i].complaint;

		ck_assert_msg((policy == NULL) == (want != NULL), "%s", said);
		if (want != NULL)
			ck_assert_msg(strstr(said, "connector \"a\"") != NULL &&
				      strstr(said, "connector \"b\"") != NULL &&
				      (turn == 1 || strstr(said, want) != NULL),
				      "wanted %s\ngot %s", want, said);
		policy_free(&policy);
		buffer_reset(&all.text);
	}
}
END_TEST

/* ---- go-betweens ---- */

static bool
is_go_between(const struct policy *policy, enum go_between kind, const char *local,
	      const char *host)
{
	struct ip_endpoint at = endpoint_of(local);
	struct ip ip = ip_of(host);

	return policy_is_go_between(policy, kind, &at, &ip);
}

static bool
believes(const struct policy *policy, size_t connector, enum go_between kind, const char *host)
{
	struct ip ip = ip_of(host);

	return policy_connector_believes(policy, connector, kind, &ip);
}

START_TEST(go_betweens_are_those_of_the_binding_and_believed_by_those_that_name_them)
{
	const struct text_list ranges[] = { LIST(S("10.0.0.0/8")), LIST(S("11.0.0.0/8")) };
	struct draft d;

	draft_init(&d, ranges, 2);
	d.at[0] = endpoint_of("0.0.0.0:25");
	d.connectors[1].bindings = &d.at[1];
	d.connectors[0].go_betweens[GO_BETWEEN_PROXY] =
	    LIST(S("10.0.0.5"), S("10.0.1.0/30"), S("2001:db8::5"));
	d.connectors[1].go_betweens[GO_BETWEEN_PROXY] = LIST(S("10.0.0.6-10.0.0.7"), S("10.0.0.7"));
	d.connectors[1].go_betweens[GO_BETWEEN_XCLIENT] = LIST(S("table:nets"));
	struct policy *policy = policy_make(&d.source);

	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "10.0.0.5"));
	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "::ffff:10.0.0.5"));
	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "10.0.0.6"));
	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "10.0.1.3"));
	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "2001:db8::5"));
	ck_assert(is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.9:25", "10.0.0.5"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.9:25", "10.0.0.6"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:26", "10.0.0.5"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "10.0.0.8"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "10.0.1.4"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_PROXY, "10.0.0.2:25", "192.0.2.1"));
	ck_assert(is_go_between(policy, GO_BETWEEN_XCLIENT, "10.0.0.2:25", "192.0.2.1"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_XCLIENT, "10.0.0.3:25", "192.0.2.1"));
	ck_assert(!is_go_between(policy, GO_BETWEEN_XCLIENT, "10.0.0.2:25", "10.0.0.5"));
	ck_assert(believes(policy, 0, GO_BETWEEN_PROXY, "10.0.0.5"));
	ck_assert(!believes(policy, 1, GO_BETWEEN_PROXY, "10.0.0.5"));
	ck_assert(believes(policy, 1, GO_BETWEEN_PROXY, "10.0.0.7"));
	ck_assert(!believes(policy, 0, GO_BETWEEN_PROXY, "10.0.0.7"));
	ck_assert(!believes(policy, 0, GO_BETWEEN_XCLIENT, "192.0.2.1"));
	ck_assert(believes(policy, 1, GO_BETWEEN_XCLIENT, "198.51.100.9"));
	policy_free(&policy);
}
END_TEST

START_TEST(the_hash_tells_who_is_believed)
{
	const struct text_list ranges[] = { LIST(S("10.0.0.0/8")) };
	const struct text_list proxies = LIST(S("10.0.0.5"));
	char hashes[3][17];
	struct draft d;

	for (size_t i = 0; i < 3; i++) {
		draft_init(&d, ranges, 1);
		if (i > 0)
			d.connectors[0].go_betweens[i - 1] = proxies;
		struct policy *policy = policy_make(&d.source);

		policy_hash(policy, hashes[i]);
		policy_free(&policy);
	}
	ck_assert_str_ne(hashes[0], hashes[1]);
	ck_assert_str_ne(hashes[0], hashes[2]);
	ck_assert_str_ne(hashes[1], hashes[2]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("connectors");
	TCase *tc = tcase_create("connectors");

	tcase_add_loop_test(tc, the_most_specific_range_takes_the_client, 0, ARRAY_LEN(clients));
	tcase_add_test(tc, a_specific_binding_comes_before_any_address);
	tcase_add_loop_test(tc, ranges_of_two_connectors_nest_or_stand_apart, 0,
			    ARRAY_LEN(pairs));
	tcase_add_test(tc, go_betweens_are_those_of_the_binding_and_believed_by_those_that_name_them);
	tcase_add_test(tc, the_hash_tells_who_is_believed);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
