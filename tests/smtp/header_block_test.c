/* SPDX-License-Identifier: ISC */
/* smtp/header_block.h */
#include "smtp/header_block.h"

#include "base/clock.h"

#include "smtp_test.h"

/* Read a message in pieces of that size. */
static void
block_read(struct header_block *block, struct span message, size_t piece)
{
	header_block_init(block, span_of("by relay.example.com (relayd)"));
	while (message.len > 0 && header_block_add(block, span_first(message, piece)))
		message = span_skip(message, span_first(message, piece).len);
	header_block_end(block);
}

START_TEST(fields_are_found_and_unfolded_in_any_pieces)
{
	struct span message = span_of(
	    "Received: from a by b;\r\n date\r\n"
	    "received: from x\r\n\tby Relay.Example.COM\r\n\t (relayd) with ESMTP\r\n"
	    "FROM : \"A\"\r\n\t<a@b.c>  \r\n"
	    "Subject: From: x@y\r\n From: y@z\r\n"
	    "Message-Id:<1@x>\r\nDate: Sat, 21 Nov 2026 19:20:03 +0000\r\n"
	    "X-Received: no\r\nFromage: brie\r\n"
	    "\r\nFrom: body@example.com\r\nReceived: x\r\n");

	for (size_t piece = 1; piece < 400; piece++) {
		struct header_block block;

		block_read(&block, message, piece);
		ck_assert_uint_eq(block.counts[HEADER_RECEIVED], 2);
		ck_assert_uint_eq(block.own_hops, 1);
		ck_assert_uint_eq(block.counts[HEADER_FROM], 1);
		ck_assert_uint_eq(block.counts[HEADER_SENDER], 0);
		ck_assert_uint_eq(block.counts[HEADER_DATE], 1);
		ck_assert_uint_eq(block.counts[HEADER_MESSAGE_ID], 1);
		ck_assert_span_eq(header_block_value(&block, HEADER_FROM), "\"A\" <a@b.c>");
		ck_assert_span_eq(header_block_value(&block, HEADER_MESSAGE_ID), "<1@x>");
		ck_assert_uint_eq(header_block_value(&block, HEADER_SENDER).len, 0);
		ck_assert(!block.is_malformed && !block.is_too_big && block.has_ended);
		ck_assert_uint_eq(block.octets, message.len - strlen("From: body@example.com\r\n"
								     "Received: x\r\n"));
		header_block_reset(&block);
	}
}
END_TEST

static const struct { const char *message; bool is_malformed; unsigned from; } blocks[] = {
	{ "From: a@b\r\n\r\n", false, 1 }, { "From: a@b\n\nFrom: c@d\n", false, 1 }, { "", false, 0 }, { "\r\n", false, 0 },
	{ "From: a@b", false, 1 }, { "From: a@b\r\n", false, 1 },
	{ "From: a@b\r\nFrom: c@d\r\n\r\n", false, 2 }, { "From:\r\n\r\n", false, 1 },
	{ "Subject: x\r\n\r\nFrom: a@b\r\n", false, 0 },
	{ "hello\r\n\r\n", true, 0 }, { "hello\r\nFrom: a@b\r\n\r\n", true, 1 },
	{ "From a@b Sat Nov 21\r\nFrom: a@b\r\n\r\n", true, 1 }, { " From: a@b\r\n\r\n", true, 0 },
	{ "Fr om: a@b\r\n\r\n", true, 0 }, { ": a@b\r\n\r\n", true, 0 }, { "From\r\n\r\n", true, 0 },
	{ "Fr\x01om: a@b\r\n\r\n", true, 0 }, { "Fr\xc3\xa9: a@b\r\n\r\n", true, 0 },
	{ "\rFrom: a@b\r\n\r\n", true, 0 }, { "Fro", true, 0 },
	/* what becomes two lines where bare CRs are made into line ends */
	{ "Subject: x\rFrom: c@d\r\n\r\n", true, 0 }, { "From: a@b\r\r\n\r\n", true, 1 },
	{ "From: a@b\rFrom: c@d\r\n\r\n", true, 1 }, { "X: \r\r\n\r\n", true, 0 },
	{ "X: a\r\n b\r c\r\nFrom: a@b\r\n\r\n", true, 1 }, { "From: a@b\r", true, 1 },
	{ "X: \r\nFrom: a@b\r\n\r\n", false, 1 }, { "X:\r\nFrom: a@b\n\r\n", false, 1 },
	{ "X:\r\n \r\nFrom: a@b\r\n\r\n", false, 1 },
	{ "From\t : a@b\r\n\r\n", false, 1 }, { "fROM:a@b\r\nFrom :c@d\r\n\r\n", false, 2 },
	{ "\xef\xbb\xbf" "From: a@b\r\n\r\n", true, 0 }, { "From\r: a@b\r\n\r\n", true, 0 },
	{ "From: a@b\r\n\tFrom: c@d\r\n\r\n", false, 1 },
	{ "X-From: a@b\r\nFromage: c@d\r\nFro: e@f\r\n\r\n", false, 0 },
};

START_TEST(malformed_header_is_noticed)
{
	for (size_t piece = 1; piece < 30; piece++) {
		struct header_block block;

		block_read(&block, span_of(blocks[_i].message), piece);
		ck_assert_msg(block.is_malformed == blocks[_i].is_malformed, "%s", blocks[_i].message);
		ck_assert_uint_eq(block.counts[HEADER_FROM], blocks[_i].from);
		header_block_reset(&block);
	}
}
END_TEST

START_TEST(header_without_end_is_given_up_at_its_limit)
{
	struct header_block block;
	static char line[1000];
	size_t offered = 0;

	memset(line, 'x', sizeof(line));
	memcpy(line, "From: ", 6);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	header_block_init(&block, span_of(""));
	while (header_block_add(&block, (struct span){ line, sizeof(line) }))
		offered += sizeof(line);
	ck_assert(block.is_too_big && block.has_ended);
	ck_assert_uint_eq(offered, HEADER_BLOCK_MAX / sizeof(line) * sizeof(line));
	ck_assert_uint_eq(block.octets, HEADER_BLOCK_MAX);
	ck_assert(!header_block_add(&block, span_of("From: x\r\n")));
	ck_assert_uint_le(block.text.len, 16U << 10);
	header_block_reset(&block);
}
END_TEST

START_TEST(overlong_value_is_cut_and_not_believed)
{
	struct header_block block;
	struct address_list list;
	struct arena arena;
	char line[6000];

	memset(line, ' ', sizeof(line));
	memcpy(line, "From: a@b.c", 11);
	memcpy(line + sizeof(line) - 12, ",d@e.f\r\n\r\n", 10);
	block_read(&block, (struct span){ line, sizeof(line) - 2 }, sizeof(line));
	ck_assert(block.values[HEADER_FROM].is_cut);
	arena_init(&arena, 0);
	ck_assert(header_addresses_read(&block, HEADER_FROM, &arena, &list) == ADDRESSES_UNPARSABLE);
	arena_reset(&arena);
	header_block_reset(&block);
}
END_TEST

static const struct { const char *value; const char *addresses; } lists[] = {
	{ "a@b.c", "a@b.c" }, { "<a@b.c>", "a@b.c" }, { "A <a@b.c>", "a@b.c" },
	{ "\"x@y\" <a@b.c>", "a@b.c" }, { "\"<x@y>\" <a@b.c>", "a@b.c" },
	{ "J. R. \"Bob\" Doe <a@b.c> (x@y)", "a@b.c" }, { "a@b.c (x@y)", "a@b.c" },
	{ "(x@y) a@b.c", "a@b.c" }, { "(a (nested \\) one) <x@y>) a (1) @ (2) b.c (3)", "a@b.c" },
	{ "=?utf-8?Q?x=40y?= <a@b.c>", "a@b.c" }, { "a@b.c,d@e.f", "a@b.c d@e.f" },
	{ "A <a@b.c> , \"D, E\" <d@e.f>", "a@b.c d@e.f" }, { "\"a b\"@c.d", "\"a b\"@c.d" },
	{ "\"a@x\"@c.d", "\"a@x\"@c.d" }, { "Jos\xc3\xa9 <a@b.c>", "a@b.c" },
	{ "\xc3\xa9@b.c", "\xc3\xa9@b.c" }, { "a@[10.0.0.1]", "a@[10.0.0.1]" },
	{ "\"\" <a@b.c>", "a@b.c" }, { "\"\"@b.c", "\"\"@b.c" },
};

START_TEST(addresses_of_a_field_are_found)
{
	struct arena arena;
	struct address_list list;
	char found[200];
	size_t len = 0;

	arena_init(&arena, 0);
	ck_assert_msg(address_list_parse(span_of(lists[_i].value), &arena, &list) == PARSE_OK, "%s",
		      lists[_i].value);
	for (size_t i = 0; i < list.count; i++) {
		if (i > 0)
			found[len++] = ' ';
		memcpy(found + len, list.items[i].text.ptr, list.items[i].text.len);
		len += list.items[i].text.len;
	}
	found[len] = '\0';
	ck_assert_str_eq(found, lists[_i].addresses);
	arena_reset(&arena);
}
END_TEST

static const char *const not_lists[] = {
	"", " ", "(comment)", ",", "a@b.c,", ",a@b.c", "a@b.c,,d@e.f", "root", "<root>", "<>", "A <>",
	"a@b.c d@e.f", "<a@b.c> <d@e.f>", "<a@b.c><d@e.f>", "a@b.c <d@e.f>", "a@b.c;d@e.f",
	"<a@b.c> x", "<a@b.c", "a@b.c>", "\"a <a@b.c>", "(a <a@b.c>", "a@b.c (", "(\\", "a@b.c \\",
	"a@b.c)", "G: a@b.c;", "undisclosed-recipients:;", "G: a@b.c, d@e.f;, g@h.i",
	"<@x.y:a@b.c>", "<@x.y,@z:a@b.c>", "a@b.c(x).evil.com", "a@good.com\x01@b.c", "a@@b.c",
	"a@b@c.d", "a@b..c", "a@.b", "a@b.", ".a@b.c", "a..b@c.d", "a. b@c.d", "a@b .c",
	"=?utf-8?Q?a=40good.com?=@evil.com", "=?utf-8?Q?a?= @b.c", "x=?y@b.c", "Jos\xe9 <a@b.c>",
	"\xff <a@b.c>", "a\rb@c.d", "a\nb@c.d", "\"a\nb\" <a@b.c>", "\x1b <a@b.c>", "a@[10.0.0.1",
	"a@[evil]", "a@b_c.d", "Doe, J. <a@b.c>", "A: B <a@b.c>", "[x] <a@b.c>", "<<a@b.c>>",
	"< <a@b.c> >", "a@b.c\xe2\x80\xae" "moc", "a@b\xe3\x80\x82" "c", "\"a\\\"@b.c", "mailto:a@b.c",
};

START_TEST(field_that_parsers_disagree_on_is_refused)
{
	struct arena arena;
	struct address_list list = { .count = 77 };

	arena_init(&arena, 0);
	ck_assert_msg(address_list_parse(span_of(not_lists[_i]), &arena, &list) == PARSE_BAD, "%s",
		      not_lists[_i]);
	ck_assert_uint_eq(list.count, 77);
	arena_reset(&arena);
}
END_TEST

START_TEST(list_has_no_more_addresses_than_allowed)
{
	char value[4 * (ADDRESSES_MAX + 1)];
	struct arena arena;
	struct address_list list;

	for (size_t i = 0; i <= ADDRESSES_MAX; i++)
		memcpy(value + 4 * i, "a@b,", 4);
	arena_init(&arena, 0);
	ck_assert(address_list_parse((struct span){ value, 4 * ADDRESSES_MAX - 1 }, &arena, &list) ==
		  PARSE_OK);
	ck_assert_uint_eq(list.count, ADDRESSES_MAX);
	ck_assert(address_list_parse((struct span){ value, sizeof(value) - 1 }, &arena, &list) ==
		  PARSE_BAD);
	arena_reset(&arena);
}
END_TEST

static const struct { const char *message; enum header_addresses status; } froms[] = {
	{ "From: a@b.c\r\n\r\n", ADDRESSES_OK }, { "From: A\r\n <a@b.c>\r\n\r\n", ADDRESSES_OK },
	{ "To: a@b.c\r\n\r\n", ADDRESSES_MISSING }, { "\r\n", ADDRESSES_MISSING },
	{ "From: a@b.c\r\nFrom: a@b.c\r\n\r\n", ADDRESSES_REPEATED },
	{ "From: a@b.c\r\nFROM : x@y.z\r\n\r\n", ADDRESSES_REPEATED },
	{ "From: \r\n\r\n", ADDRESSES_UNPARSABLE }, { "From: root\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c\r\njunk\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "junk\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: good@b.c\r\n,\r\n evil@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From : a@b.c\r\n\r\n", ADDRESSES_OK }, { "FROM:\r\n\ta@b.c\r\n\r\n", ADDRESSES_OK },
	{ "From: a@b.c\r\nSubject: x\rFrom: ceo@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "Subject: x\r\r\nFrom: a@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c\r\n,evil@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c\r\n.\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c\r\nFrom\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "\xef\xbb\xbf" "From: evil@b.c\r\nFrom: a@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "Fr\xd0\xbem: evil@b.c\r\nFrom: a@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: A <a@b.c>\r\n <evil@b.c>\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: \"evil@b.c\" <a@b.c>\r\n\r\n", ADDRESSES_OK },
	{ "From: (<evil@b.c>) a@b.c\r\n\r\n", ADDRESSES_OK },
	{ "From: a@b.c (unending\r\nX: )\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: undisclosed:;\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: Sales: a@b.c;\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: =?utf-8?B?ZXZpbEBiLmM=?=\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: =?utf-8?Q?a?=@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c;evil@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
	{ "From: a@b.c evil@b.c\r\n\r\n", ADDRESSES_UNPARSABLE },
};

START_TEST(header_from_is_judged)
{
	struct header_block block;
	struct address_list list;
	struct arena arena;

	arena_init(&arena, 0);
	block_read(&block, span_of(froms[_i].message), 1000);
	ck_assert_msg(header_addresses_read(&block, HEADER_FROM, &arena, &list) == froms[_i].status,
		      "%s", froms[_i].message);
	if (froms[_i].status == ADDRESSES_OK)
		ck_assert_span_eq(list.items[0].text, "a@b.c");
	header_block_reset(&block);
	arena_reset(&arena);
}
END_TEST

START_TEST(received_names_client_and_attempt)
{
	struct ip ip;
	struct received r = {
		.helo = SPAN_LITERAL("app7"), .ptr = SPAN_LITERAL("app7.example.com"), .ip = &ip,
		.host = SPAN_LITERAL("relay.example.com"), .is_esmtp = true,
		.id = SPAN_LITERAL("7F3K2M9Q"), .recipient = SPAN_LITERAL("ap@partner.example"),
	};
	struct buffer out;

	ck_assert(ip_parse(span_of("10.20.1.7"), &ip) == PARSE_OK);
	ck_assert(clock_parse(span_of("2026-11-21T19:20:03"), &r.wall_ms) == PARSE_OK);
	buffer_init(&out, 1000);
	ck_assert(received_append(&out, &r));
	ck_assert_str_eq(buffer_text(&out),
			 "Received: from app7 (app7.example.com [10.20.1.7])\r\n"
			 "\tby relay.example.com (relayd) with ESMTP\r\n"
			 "\tid 7F3K2M9Q\r\n"
			 "\tfor <ap@partner.example>;\r\n"
			 "\tSat, 21 Nov 2026 19:20:03 +0000\r\n");

	struct header_block block;

	block_read(&block, buffer_span(&out), 7);
	ck_assert_uint_eq(block.own_hops, 1);
	ck_assert(!block.is_malformed);
	header_block_reset(&block);

	buffer_clear(&out);
	ck_assert(ip_parse(span_of("2001:db8::7"), &ip) == PARSE_OK);
	r = (struct received){ .ip = &ip, .host = r.host, .id = r.id, .wall_ms = r.wall_ms,
		.is_smtputf8 = true, .is_esmtp = true, .is_tls = true, .is_authenticated = true,
		.cipher = SPAN_LITERAL("TLS_AES_256_GCM_SHA384"),
		.tls_version = SPAN_LITERAL("TLSv1.3") };
	ck_assert(received_append(&out, &r));
	ck_assert_str_eq(buffer_text(&out),
			 "Received: from [IPv6:2001:db8::7] ([IPv6:2001:db8::7])\r\n"
			 "\tby relay.example.com (relayd) with UTF8SMTPSA\r\n"
			 "\tid 7F3K2M9Q\r\n\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"
			 "\tSat, 21 Nov 2026 19:20:03 +0000\r\n");
	buffer_reset(&out);
}
END_TEST

START_TEST(received_takes_no_structure_from_the_client)
{
	struct ip ip;
	struct received r = {
		.helo = SPAN_LITERAL("x\r\nBcc: a@b\r\n\r\n(\\"), .ip = &ip,
		.ptr = SPAN_LITERAL("evil) by relay;\n"), .host = SPAN_LITERAL("h"),
		.id = SPAN_LITERAL("I"), .recipient = SPAN_LITERAL("a@b>\r\nX: y"),
	};
	struct buffer out;

	ck_assert(ip_parse(span_of("10.20.1.7"), &ip) == PARSE_OK);
	buffer_init(&out, 1000);
	ck_assert(received_append(&out, &r));
	ck_assert_str_eq(buffer_text(&out),
			 "Received: from x??Bcc:?a?b?????? (evil??by?relay?? [10.20.1.7])\r\n"
			 "\tby h (relayd) with SMTP\r\n\tid I;\r\n"
			 "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
	buffer_clear(&out);
	r.ip = NULL;
	ck_assert(received_append(&out, &r));
	ck_assert_str_eq(buffer_text(&out), "Received: by h (relayd) with SMTP\r\n\tid I;\r\n"
					    "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
	buffer_reset(&out);
}
END_TEST

START_TEST(received_is_written_whole_or_not_at_all)
{
	static const struct ip ip = { { [15] = 1 } };
	struct received r = {
		.helo = SPAN_LITERAL("app7"), .ptr = SPAN_LITERAL("app7.example.com"), .ip = &ip,
		.host = SPAN_LITERAL("relay.example.com"), .is_esmtp = true, .is_tls = true,
		.is_authenticated = true, .cipher = SPAN_LITERAL("TLS_AES_128_GCM_SHA256"),
		.id = SPAN_LITERAL("7F3K2M9Q"), .recipient = SPAN_LITERAL("ap@partner.example"),
	};
	bool fits = false;

	for (size_t max = 4; !fits; max++) {
		struct buffer out;

		buffer_init(&out, max);
		ck_assert(buffer_append_text(&out, "kept"));
		fits = received_append(&out, &r);
		if (!fits)
			ck_assert_str_eq(buffer_text(&out), "kept");
		buffer_reset(&out);
	}
}
END_TEST

TCase *
header_block_tcase(void)
{
	TCase *tc = tcase_create("header_block");

	tcase_add_test(tc, fields_are_found_and_unfolded_in_any_pieces);
	tcase_add_loop_test(tc, malformed_header_is_noticed, 0, ARRAY_LEN(blocks));
	tcase_add_test(tc, header_without_end_is_given_up_at_its_limit);
	tcase_add_test(tc, overlong_value_is_cut_and_not_believed);
	tcase_add_loop_test(tc, addresses_of_a_field_are_found, 0, ARRAY_LEN(lists));
	tcase_add_loop_test(tc, field_that_parsers_disagree_on_is_refused, 0, ARRAY_LEN(not_lists));
	tcase_add_test(tc, list_has_no_more_addresses_than_allowed);
	tcase_add_loop_test(tc, header_from_is_judged, 0, ARRAY_LEN(froms));
	tcase_add_test(tc, received_names_client_and_attempt);
	tcase_add_test(tc, received_is_written_whole_or_not_at_all);
	tcase_add_test(tc, received_takes_no_structure_from_the_client);
	return tc;
}
