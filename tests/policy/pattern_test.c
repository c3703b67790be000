/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/pattern_table.h"

static unsigned
match(const char *pattern, const char *address)
{
	struct span item = span_of(pattern);
	struct text_list list = { &item, 1 };
	struct fault fault = { .error = 0 };
	struct address parsed = address_of(address);
	struct pattern_set *set = pattern_set_new(&list, NULL, &fault);

	ck_assert_msg(set != NULL, "%s: %s", pattern, fault.text);
	unsigned specificity = pattern_set_match(set, &parsed);

	pattern_set_free(&set);
	ck_assert_ptr_null(set);
	return specificity;
}

static const struct {
	const char *pattern;
	const char *address;
} held[] = {
	{ "*", "a@d.org" },
	{ "*", "" },
	{ "*", "user@[10.0.0.1]" },
	{ "*", "postmaster" },
	{ "*", "\"odd one\"@d.org" },
	{ "<>", "" },
	{ "a@d.org", "a@d.org" },
	{ "a@d.org", "A@D.ORG" },
	{ "A@D.org", "a@d.org" },
	{ "\"a\"@d.org", "a@d.org" },
	{ "a@d.org", "\"a\"@d.org" },
	{ "a@d.org", "\"\\a\"@d.org" },
	{ "\"a b\"@d.org", "\"A\\ b\"@d.org" },
	{ "\"x@y\"@d.org", "\"x@y\"@d.org" },
	{ "a%b@d.org", "a%b@d.org" },
	{ "a+*@d.org", "a+tag@d.org" },
	{ "a+*@d.org", "A+Tag+more@D.org" },
	{ "a+b+*@d.org", "a+b+c@d.org" },
	{ "a+*@d.org", "a+@d.org" },
	{ "@d.org", "anyone@d.org" },
	{ "@D.ORG", "anyone@d.org" },
	{ "@d.org", "a%b.net@d.org" },
	{ "@d.org", "net!b!a@d.org" },
	{ "@d.org", "\"a@other.net\"@d.org" },
	{ "@localhost", "root@localhost" },
	{ "@*.d.org", "a@x.d.org" },
	{ "@*.d.org", "a@very.deep.x.d.org" },
	{ "@*.org", "a@d.org" },
	{ "user@[10.0.0.1]", "user@[10.0.0.1]" },
	{ "user@[IPv6:2001:db8::1]", "user@[ipv6:2001:DB8::1]" },
	{ "postmaster", "postmaster" },
	{ "Postmaster", "POSTMASTER" },
	/* names in either form are the same */
	{ "@bücher.example", "a@xn--bcher-kva.example" },
	{ "@xn--bcher-kva.example", "a@bücher.example" },
	{ "@BÜCHER.example", "a@bücher.example" },
	{ "@XN--BCHER-KVA.example", "a@Bücher.EXAMPLE" },
	{ "@*.bücher.example", "a@www.xn--bcher-kva.example" },
	{ "@straße.example", "a@xn--strae-oqa.example" },
	{ "dörte@d.org", "dörte@d.org" },
	{ "dörte@Sörensen.example", "dörte@xn--srensen-90a.example" },
};

START_TEST(a_pattern_holds_what_it_says)
{
	ck_assert_msg(match(held[_i].pattern, held[_i].address) > 0, "%s %s", held[_i].pattern,
		      held[_i].address);
}
END_TEST

static const struct {
	const char *pattern;
	const char *address;
} not_held[] = {
	{ "<>", "a@d.org" },
	{ "<>", "postmaster" },
	{ "@d.org", "" },
	{ "a@d.org", "" },
	{ "@*.d.org", "" },
	{ "a@d.org", "b@d.org" },
	{ "a@d.org", "aa@d.org" },
	{ "a@d.org", "a@dd.org" },
	{ "a@d.org", "a@x.d.org" },
	{ "a@d.org", "a+tag@d.org" },
	{ "a+*@d.org", "a@d.org" },
	{ "a+*@d.org", "b+tag@d.org" },
	{ "a+*@d.org", "aa+tag@d.org" },
	{ "a+*@d.org", "a+tag@x.d.org" },
	{ "@d.org", "a@x.d.org" },
	{ "@d.org", "a@xd.org" },
	{ "@d.org", "a@d.org.evil.net" },
	{ "@d.org", "a@org" },
	{ "@*.d.org", "a@d.org" },
	{ "@*.d.org", "a@xd.org" },
	{ "@*.d.org", "a@x.d.org.evil.net" },
	{ "@*.org", "a@org" },
	/* the classic tricks: nothing in the local part is a domain */
	{ "@d.org", "a%d.org@evil.net" },
	{ "@d.org", "a@d.org@evil.net" },
	{ "@d.org", "\"a@d.org\"@evil.net" },
	{ "a@d.org", "\"a@d.org\"@evil.net" },
	{ "@d.org", "d.org!a@evil.net" },
	{ "@d.org", "a%b@evil.net" },
	{ "@*.d.org", "\"a@x.d.org\"@evil.net" },
	/* literals are nobody's domain */
	{ "@d.org", "user@[10.0.0.1]" },
	{ "user@[10.0.0.1]", "user@[10.0.0.2]" },
	{ "user@[10.0.0.1]", "other@[10.0.0.1]" },
	{ "@*.1", "user@[10.0.0.1]" },
	/* beyond ASCII local parts are exact */
	{ "dörte@d.org", "Dörte@d.org" },
	{ "dörte@d.org", "dÖrte@d.org" },
	{ "DÖRTE@d.org", "dÖrte@d.org" },
	{ "@bücher.example", "a@bucher.example" },
	{ "postmaster", "postmaster@d.org" },
	{ "@d.org", "postmaster" },
};

START_TEST(a_pattern_holds_nothing_else)
{
	/* "a@d.org@evil.net" is no address at all; all the others are */
	struct address ignored;

	if (not_held[_i].address[0] != '\0' && strchr(not_held[_i].address, '@') != NULL &&
	    mailbox_parse(span_of(not_held[_i].address), &ignored) != PARSE_OK)
		return;
	ck_assert_msg(match(not_held[_i].pattern, not_held[_i].address) == 0, "%s %s",
		      not_held[_i].pattern, not_held[_i].address);
}
END_TEST

static const char *const bad[] = {
	"", "@", "@.", "@.d.org", "@d..org", "@d.org.", "@-d.org", "@*", "@*.", "@*.*.org",
	"@a.*.org", "*@d.org", "a*@d.org", "a*b@d.org", "+*@d.org", "d.org", "*.d.org", "a@",
	"a@d.org.", "<a@d.org>", "<", "a b@d.org", "a@@d.org", "@[10.0.0.1]", "a+*@[10.0.0.1]",
	"table:x", "accepted-domains", "a@d.org,b@d.org", "a@d.org\r\n", "@d_\x01.org",
	"@aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg.org", "\xff@d.org",
	"@\xff\xfe.org", "@a..", "**", " *",
};

START_TEST(a_bad_pattern_is_refused_with_a_cure)
{
	struct span item = span_of(bad[_i]);
	struct text_list list = { &item, 1 };
	struct fault fault = { .error = 0 };

	ck_assert_msg(pattern_set_new(&list, NULL, &fault) == NULL, "%s", bad[_i]);
	ck_assert_msg(strchr(fault.text, ';') != NULL, "%s", fault.text);
}
END_TEST

START_TEST(the_most_specific_pattern_counts)
{
	static const char *const order[] = { "*", "@*.org", "@*.shop.org", "@eu.shop.org",
					     "a+*@eu.shop.org", "a+b@eu.shop.org" };
	struct address address = address_of("a+b@eu.shop.org");
	unsigned last = 0;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		unsigned specificity = match(order[i], "a+b@eu.shop.org");

		ck_assert_uint_gt(specificity, last);
		last = specificity;
	}
	struct text_list all = LIST(S("*"), S("@*.org"), S("@*.shop.org"), S("@other.org"));
	struct fault fault;
	struct pattern_set *set = pattern_set_new(&all, NULL, &fault);

	ck_assert_uint_eq(pattern_set_match(set, &address), match("@*.shop.org", "x@eu.shop.org"));
	pattern_set_free(&set);
	ck_assert_uint_eq(match("*", "a@b"), 1);
	/* any "@*.domain" is less than any "@domain" */
	ck_assert_uint_lt(match("@*.a-rather-long-domain.example.org",
				"x@y.a-rather-long-domain.example.org"),
			  match("@d.org", "a@d.org"));
}
END_TEST

START_TEST(tables_and_accepted_domains_come_from_the_source)
{
	const struct table_source tables[] = {
		{ .name = S("partners"), .type = TABLE_RECIPIENT,
		  .entries = LIST(S("@one.net"), S(" two@two.net ")) },
		{ .name = S("nets"), .type = TABLE_NETWORK, .entries = LIST(S("10.0.0.0/8")) },
	};
	const struct accepted_domain_source domains[] = { { .name = S("d.org") },
							  { .name = S("*.sub.org") } };
	const struct policy_source source = {
		.tables = tables, .table_count = 2, .domains = domains, .domain_count = 2,
	};
	const struct text_list list = LIST(S("table:partners"), S("accepted-domains"));
	const struct text_list wrong = LIST(S("table:nets")), unknown = LIST(S("table:none"));
	struct fault fault;
	struct pattern_set *set = pattern_set_new(&list, &source, &fault);
	const char *const in[] = { "x@one.net", "two@two.net", "a@d.org", "a@b.sub.org" };
	const char *const out[] = { "x@two.net", "a@sub.org", "a@x.d.org" };

	ck_assert_ptr_nonnull(set);
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		struct address address = address_of(in[i]);

		ck_assert_msg(pattern_set_match(set, &address) > 0, "%s", in[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		struct address address = address_of(out[i]);

		ck_assert_msg(pattern_set_match(set, &address) == 0, "%s", out[i]);
	}
	pattern_set_free(&set);
	ck_assert_ptr_null(pattern_set_new(&wrong, &source, &fault));
	ck_assert_ptr_null(pattern_set_new(&unknown, &source, &fault));
	ck_assert_ptr_null(pattern_set_new(&list, NULL, &fault));
	pattern_set_free(&set);
}
END_TEST

START_TEST(a_domain_that_cannot_be_converted_matches_the_star_only)
{
	struct address address = address_of("a@\xcc\x81x.org"); /* begins with an accent */
	char key[DOMAIN_MAX];
	const struct text_list domain = LIST(S("@*.org"), S("@org")), any = LIST(S("*"));
	struct fault fault;
	struct pattern_set *set = pattern_set_new(&domain, NULL, &fault);

	ck_assert_uint_eq(domain_key_make(address.domain, key), 0);
	ck_assert_uint_eq(pattern_set_match(set, &address), 0);
	pattern_set_free(&set);
	set = pattern_set_new(&any, NULL, &fault);
	ck_assert_uint_eq(pattern_set_match(set, &address), 1);
	pattern_set_free(&set);
}
END_TEST

START_TEST(overlong_parts_match_the_star_only)
{
	char local[KEY_LOCAL_MAX + 50], domain[DOMAIN_MAX + 50];

	memset(local, 'a', sizeof(local));
	memset(domain, 'd', sizeof(domain));
	struct address address = {
		.text = S("x"),
		.local = { local, sizeof(local) },
		.domain = S("d.org"),
	};
	struct address_key key;

	address_key_make(&key, &address);
	ck_assert_int_eq(key.kind, ADDRESS_STRANGE);
	address.local = span_of("a");
	address.domain = (struct span){ domain, sizeof(domain) };
	address_key_make(&key, &address);
	ck_assert_int_eq(key.kind, ADDRESS_STRANGE);
}
END_TEST

START_TEST(the_deepest_domain_is_looked_up_to_its_end)
{
	char text[PATH_MAX_OCTETS - 6] = "a@";
	size_t len = 2;

	for (; len < sizeof(text) - 6; len += 2)
		memcpy(text + len, "x.", 2);
	memcpy(text + len, "org", 4);
	ck_assert_uint_gt(match("@*.org", text), 0);
	ck_assert_uint_gt(match("@*.x.org", text), 0);
	ck_assert_uint_eq(match("@*.y.org", text), 0);
}
END_TEST

static const struct {
	const char *outer;
	const char *inner;
	bool covers;
} covered[] = {
	{ "*", "a@d.org", true },	     { "*", "<>", true },
	{ "*", "@*.d.org", true },	     { "a@d.org", "A@D.org", true },
	{ "a@d.org", "@d.org", false },	     { "@d.org", "a@d.org", true },
	{ "@d.org", "a+*@d.org", true },     { "@d.org", "@d.org", true },
	{ "@d.org", "@*.d.org", false },     { "@*.d.org", "@x.d.org", true },
	{ "@*.d.org", "a@x.y.d.org", true }, { "@*.d.org", "@d.org", false },
	{ "@*.d.org", "@*.x.d.org", true },  { "@*.d.org", "@*.d.org", true },
	{ "@*.x.d.org", "@*.d.org", false }, { "<>", "<>", true },
	{ "<>", "*", false },		     { "@d.org", "<>", false },
	{ "a+*@d.org", "a+b@d.org", true },  { "a+*@d.org", "a+b+*@d.org", true },
	{ "a+*@d.org", "a+*@d.org", true },  { "a+*@d.org", "a@d.org", false },
	{ "a+b+*@d.org", "a+*@d.org", false }, { "@*.xd.org", "@d.org", false },
};

START_TEST(covering_is_told_right)
{
	struct pattern outer, inner;

	ck_assert_ptr_null(pattern_parse(span_of(covered[_i].outer), &outer));
	ck_assert_ptr_null(pattern_parse(span_of(covered[_i].inner), &inner));
	ck_assert_msg(pattern_covers(&outer, &inner) == covered[_i].covers, "%s %s",
		      covered[_i].outer, covered[_i].inner);
}
END_TEST

static Suite *
pattern_suite(void)
{
	Suite *suite = suite_create("pattern");
	TCase *tc = tcase_create("patterns");

	tcase_add_loop_test(tc, a_pattern_holds_what_it_says, 0, ARRAY_LEN(held));
	tcase_add_loop_test(tc, a_pattern_holds_nothing_else, 0, ARRAY_LEN(not_held));
	tcase_add_loop_test(tc, a_bad_pattern_is_refused_with_a_cure, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, the_most_specific_pattern_counts);
	tcase_add_test(tc, tables_and_accepted_domains_come_from_the_source);
	tcase_add_test(tc, a_domain_that_cannot_be_converted_matches_the_star_only);
	tcase_add_test(tc, overlong_parts_match_the_star_only);
	tcase_add_test(tc, the_deepest_domain_is_looked_up_to_its_end);
	tcase_add_loop_test(tc, covering_is_told_right, 0, ARRAY_LEN(covered));
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(pattern_suite());
}
