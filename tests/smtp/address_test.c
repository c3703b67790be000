/* SPDX-License-Identifier: ISC */
/* smtp/address.h */
#include "smtp/address.h"

#include "smtp_test.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define LABEL63 X60 "xxx"

static const char *const mailboxes[] = {
	"a@b", "user@example.com", "first.last@example.com", "a+tag@x-y.example",
	"!#$%&'*+-/=?^_`{|}~@example.com", "\"\"@example.com", "\"a b\"@example.com",
	"\"a@b\"@example.com", "\"a\\\"b\\\\\"@example.com", "\"<x>\"@example.com",
	"u@[10.0.0.1]", "u@[IPv6:2001:db8::1]", "u@[ipv6:::1]", "u@[IPv6:::ffff:10.0.0.1]",
	"1@2.3", "a@1--2.x", "\xc3\xa9@example.com", "a@\xc3\xa9xample.com",
	"\"\xc3\xa9 \"@example.com", "\xf0\x9f\x98\x80@\xe4\xbe\x8b.jp",
	X60 "xxxx@example.com", "a@" LABEL63 ".com", "user%other@example.com", "a!b@example.com",
};

START_TEST(mailbox_is_taken_apart)
{
	struct address address;
	struct span text = span_of(mailboxes[_i]);

	ck_assert_msg(mailbox_parse(text, &address) == PARSE_OK, "%s", mailboxes[_i]);
	ck_assert(span_equal(address.text, text));
	ck_assert_ptr_eq(address.local.ptr, text.ptr);
	ck_assert_uint_eq(address.local.len + 1 + address.domain.len, text.len);
	ck_assert_int_eq(address.domain.ptr[-1], '@');
	ck_assert_int_eq(address.is_literal, address.domain.ptr[0] == '[');

	bool has_8bit = false;

	for (size_t i = 0; i < text.len; i++)
		has_8bit |= (text.ptr[i] & 0x80) != 0;
	ck_assert_int_eq(address.is_utf8, has_8bit);
}
END_TEST

static const char *const not_mailboxes[] = {
	"", "@", "a", "a@", "@b", "a@@b", "a@b@c", "a b@c", "a@b ", " a@b", ".a@b", "a.@b",
	"a..b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-", "a@b_c", "a@b/c", "a@[", "a@[]",
	"a@[10.0.0.1", "a@10.0.0.1]", "a@[10.0.0.256]", "a@[10.0.0]", "a@[::1]", "a@[IPv6:10.0.0.1]",
	"a@[IPv6:]", "a@[tag:x]", "a@[10.0.0.1].com", "\"@b", "\"a\"b@c", "a\"b\"@c", "\"a\nb\"@c",
	"\"a\\\n\"@c", "\"a\\", "a\\@b@c", "a@b\r\nRCPT TO:<c@d>", "a\r@b", "a\t@b", "a\x7f@b",
	"@x:a@b", "@x,@y:a@b", "<a@b>", "a@b>", "a,b@c", "a:b@c", "a;b@c", "(x)a@b", "a@(x)b",
	"\xc3@b", "\xff@b", "\"\xff\"@b", "\"\xc2\x80\"@b", "a@\xc3", "\xc0\x80@b", "\xed\xa0\x80@b", "\xc2\x85@b", "a@\xe2\x80",
	"\xf4\x90\x80\x80@b", "a@b\xe3\x80\x82" "c", "a@b\xef\xbc\x8e" "c", "a@b\xef\xbd\xa1" "c",
	X60 "xxxxx@example.com", "a@" LABEL63 "x.com",
	"a@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ".com",
};

START_TEST(what_is_no_mailbox_is_refused_and_changes_nothing)
{
	struct address address = { .text = span_of("before") };

	ck_assert_msg(mailbox_parse(span_of(not_mailboxes[_i]), &address) == PARSE_BAD, "%s",
		      not_mailboxes[_i]);
	ck_assert_span_eq(address.text, "before");
}
END_TEST

START_TEST(nul_is_refused_wherever_it_stands)
{
	char text[] = "user@example.com";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char whole[sizeof(text)];
		struct address address;

		memcpy(whole, text, sizeof(text));
		whole[i] = '\0';
		ck_assert(mailbox_parse((struct span){ whole, sizeof(text) - 1 }, &address) ==
			  PARSE_BAD);
	}
}
END_TEST

START_TEST(path_has_256_octets_at_most)
{
	char text[400] = "<aaaaa@";
	size_t len = strlen(text);
	struct address address;

	while (len < 254) {
		memset(text + len, 'b', 40);
		text[len + 39] = '.';
		len += 40;
	}
	for (size_t octets = 250; octets < 260; octets++) {
		char path[400];
		struct span in = { path, octets };

		memcpy(path, text, octets);
		path[octets - 2] = 'c';
		path[octets - 1] = '>';
		ck_assert_int_eq(reverse_path_take(&in, &address) == PARSE_OK, octets <= 256);
		in = (struct span){ path, octets };
		ck_assert_int_eq(forward_path_take(&in, &address) == PARSE_OK, octets <= 256);
	}
}
END_TEST

START_TEST(reverse_path_is_taken_and_the_rest_is_left)
{
	struct span in = span_of("<\"a>b\"@c.d> SIZE=1");
	struct address address;

	ck_assert(reverse_path_take(&in, &address) == PARSE_OK);
	ck_assert_span_eq(address.text, "\"a>b\"@c.d");
	ck_assert_span_eq(address.local, "\"a>b\"");
	ck_assert_span_eq(address.domain, "c.d");
	ck_assert_span_eq(in, " SIZE=1");
	in = span_of("<>");
	ck_assert(reverse_path_take(&in, &address) == PARSE_OK);
	ck_assert(address_is_null(&address));
	ck_assert_uint_eq(in.len, 0);
}
END_TEST

static const char *const not_paths[] = {
	"", "<", ">", "a@b", "<a@b", "a@b>", "< a@b>", "<a@b >", "<<a@b>>", "<@a,@b:u@c>",
	"<@a:u@c>", "<a>", "<@>", "<\"\">", "<postmaster", "<postmaster@>", "<a@b\r\n>",
};

START_TEST(what_is_no_path_is_refused_and_consumes_nothing)
{
	struct span in = span_of(not_paths[_i]), before = in;
	struct address address = { .is_literal = true };

	ck_assert_msg(reverse_path_take(&in, &address) == PARSE_BAD, "%s", not_paths[_i]);
	ck_assert_msg(forward_path_take(&in, &address) == PARSE_BAD, "%s", not_paths[_i]);
	ck_assert_ptr_eq(in.ptr, before.ptr);
	ck_assert_uint_eq(in.len, before.len);
	ck_assert(address.is_literal);
}
END_TEST

START_TEST(postmaster_needs_no_domain_but_only_as_a_recipient)
{
	struct span in = span_of("<PostMaster> NOTIFY=NEVER");
	struct address address;

	ck_assert(reverse_path_take(&in, &address) == PARSE_BAD);
	ck_assert(forward_path_take(&in, &address) == PARSE_OK);
	ck_assert_span_eq(address.text, "PostMaster");
	ck_assert_span_eq(address.local, "PostMaster");
	ck_assert_uint_eq(address.domain.len, 0);
	ck_assert_span_eq(in, " NOTIFY=NEVER");
	in = span_of("<>");
	ck_assert(forward_path_take(&in, &address) == PARSE_BAD);
}
END_TEST

START_TEST(quoted_string_is_taken_up_to_its_second_quote)
{
	struct span in = span_of("\"a\\\"\" rest"), quoted;

	ck_assert(quoted_string_take(&in, &quoted) == PARSE_OK);
	ck_assert_span_eq(quoted, "\"a\\\"\"");
	ck_assert_span_eq(in, " rest");
	ck_assert(quoted_string_take(&in, &quoted) == PARSE_BAD);
	ck_assert_span_eq(in, " rest");
}
END_TEST

START_TEST(domain_is_taken_up_to_what_is_none)
{
	static const struct { const char *text; const char *domain; } cases[] = {
		{ "example.com>", "example.com" }, { "a b", "a" }, { "a_b", "a" },
		{ "x.y@z", "x.y" }, { "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "b\xc3\xbc" "cher.example", "b\xc3\xbc" "cher.example" },
	};
	static const char *const bad[] = { "", ".", ".a", "a.", "a..b", "-a", "a-", "a.-b", "a-.b",
		"_a", "\xc3.a", "a.\xc2\x9f" };
	struct span domain;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span in = span_of(cases[i].text);

		ck_assert_msg(domain_take(&in, &domain) == PARSE_OK, "%s", cases[i].text);
		ck_assert_span_eq(domain, cases[i].domain);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct span in = span_of(bad[i]);

		ck_assert_msg(domain_take(&in, &domain) == PARSE_BAD, "%s", bad[i]);
		ck_assert_uint_eq(in.len, strlen(bad[i]));
	}
}
END_TEST

START_TEST(literal_gives_its_address)
{
	struct ip literal, plain;

	ck_assert(address_literal_parse(span_of("[10.0.0.1]"), &literal) == PARSE_OK);
	ck_assert(ip_parse(span_of("10.0.0.1"), &plain) == PARSE_OK);
	ck_assert_int_eq(ip_compare(&literal, &plain), 0);
	ck_assert(address_literal_parse(span_of("[IPv6:2001:db8::7]"), &literal) == PARSE_OK);
	ck_assert(ip_parse(span_of("2001:db8::7"), &plain) == PARSE_OK);
	ck_assert_int_eq(ip_compare(&literal, &plain), 0);
}
END_TEST

TCase *
address_tcase(void)
{
	TCase *tc = tcase_create("address");

	tcase_add_loop_test(tc, mailbox_is_taken_apart, 0, ARRAY_LEN(mailboxes));
	tcase_add_loop_test(tc, what_is_no_mailbox_is_refused_and_changes_nothing, 0,
			    ARRAY_LEN(not_mailboxes));
	tcase_add_test(tc, nul_is_refused_wherever_it_stands);
	tcase_add_test(tc, path_has_256_octets_at_most);
	tcase_add_test(tc, reverse_path_is_taken_and_the_rest_is_left);
	tcase_add_loop_test(tc, what_is_no_path_is_refused_and_consumes_nothing, 0,
			    ARRAY_LEN(not_paths));
	tcase_add_test(tc, postmaster_needs_no_domain_but_only_as_a_recipient);
	tcase_add_test(tc, quoted_string_is_taken_up_to_its_second_quote);
	tcase_add_test(tc, domain_is_taken_up_to_what_is_none);
	tcase_add_test(tc, literal_gives_its_address);
	return tc;
}
