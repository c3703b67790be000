/* SPDX-License-Identifier: ISC */
/* smtp/reply.h */
#include "smtp/reply.h"

#include "smtp_test.h"

static const struct span no_id = { NULL, 0 };

START_TEST(every_reply_of_the_table_is_whole)
{
	for (unsigned i = 0; i < REPLY_COUNT; i++) {
		const struct reply *reply = reply_of((enum reply_id)i);
		unsigned class = reply->code / 100;
		bool has_none = i == REPLY_BANNER || i == REPLY_HELLO || class == 3;

		ck_assert_msg(class >= 2 && class <= 5, "%u", i);
		ck_assert_ptr_nonnull(reply->text);
		ck_assert_msg(reply->text[0] != '\0' || i == REPLY_HELLO || i == REPLY_AUTH_CONTINUE,
			      "%u", i);
		ck_assert_msg(has_none ? reply->enhanced.class == 0 : reply->enhanced.class == class,
			      "%u: %u", i, (unsigned)reply->code);
		for (const char *c = reply->text; *c != '\0'; c++)
			ck_assert(*c >= ' ' && *c <= '~');
		ck_assert_uint_lt(strlen(reply->text), 100);
	}
}
END_TEST

START_TEST(reply_is_written_as_the_client_reads_it)
{
	static const struct reply relay = { 550, { 5, 7, 1 }, "Unable to relay" };
	struct buffer out;

	buffer_init(&out, 1000);
	ck_assert(reply_append(&out, &relay, span_of("7F3K2M9Q")));
	ck_assert(reply_append(&out, reply_of(REPLY_START_DATA), no_id));
	ck_assert(reply_append_host(&out, REPLY_BANNER, span_of("relay.example.com"), no_id));
	ck_assert(reply_append_host(&out, REPLY_CLOSING, span_of("relay.example.com"), no_id));
	ck_assert(reply_append_host(&out, REPLY_SENDER_OK, span_of("relay.example.com"), no_id));
	ck_assert(reply_append_host(&out, REPLY_HELLO, span_of("relay.example.com"), no_id));
	ck_assert(reply_append_line(&out, 250, span_of("SIZE 1000"), false));
	ck_assert(reply_append_line(&out, 250, span_of("HELP"), true));
	ck_assert_str_eq(buffer_text(&out),
			 "550 5.7.1 Unable to relay [7F3K2M9Q]\r\n"
			 "354 Start mail input; end with <CRLF>.<CRLF>\r\n"
			 "220 relay.example.com ESMTP relayd\r\n"
			 "221 2.0.0 relay.example.com Closing connection\r\n"
			 "250 2.1.0 Sender OK\r\n"
			 "250 relay.example.com\r\n"
			 "250-SIZE 1000\r\n"
			 "250 HELP\r\n");
	buffer_reset(&out);
}
END_TEST

START_TEST(nothing_in_a_text_can_end_a_reply)
{
	static const struct reply forged = { 550, { 5, 7, 367 }, "no\r\n250 yes\n\t\x1b[2J\xc3\xa9" };
	struct buffer out;

	buffer_init(&out, 1000);
	ck_assert(reply_append(&out, &forged, span_of("A\r\nB")));
	ck_assert_str_eq(buffer_text(&out), "550-5.7.367 no?\r\n550-5.7.367 250 yes\r\n"
					    "550 5.7.367  ?[2J?? [A??B]\r\n");
	buffer_clear(&out);
	ck_assert(reply_append_line(&out, 250, span_of("a\r\nb\nc"), true));
	ck_assert_str_eq(buffer_text(&out), "250 a??b?c\r\n");
	buffer_reset(&out);
}
END_TEST

START_TEST(long_text_becomes_lines_of_512_octets_at_most)
{
	char text[5000], id[100];
	struct buffer out;

	memset(id, 'I', sizeof(id));
	for (size_t len = 400; len < sizeof(text); len += 7) {
		const struct reply reply = { 451, { 4, 7, 1 }, text };
		size_t begin = 0, lines = 0;

		for (size_t i = 0; i < len; i++)
			text[i] = (i * i + len) % 11 == 0 && len % 2 == 0 ? ' ' : 'x';
		text[len] = '\0';
		buffer_init(&out, 10000);
		ck_assert(reply_append(&out, &reply, span_first((struct span){ id, 100 }, len % 50)));
		for (size_t i = 1; i < out.len; i++) {
			if (out.ptr[i] != '\n')
				continue;
			ck_assert_int_eq(out.ptr[i - 1], '\r');
			ck_assert_uint_le(i + 1 - begin, REPLY_LINE_MAX);
			ck_assert_int_eq(out.ptr[begin + 3], i + 1 == out.len ? ' ' : '-');
			ck_assert(memcmp(out.ptr + begin + 4, "4.7.1 ", 6) == 0);
			begin = i + 1;
			lines++;
		}
		ck_assert_uint_eq(begin, out.len);
		ck_assert_uint_ge(lines, (len < 1500 ? len : 1500) / 512);
		ck_assert_int_eq(out.ptr[out.len - 3], len % 50 == 0 ? out.ptr[out.len - 3] : ']');
		buffer_reset(&out);
	}
	memset(text, 'y', sizeof(text));
	buffer_init(&out, 1000);
	ck_assert(reply_append_line(&out, 250, (struct span){ text, sizeof(text) }, true));
	ck_assert_uint_eq(out.len, REPLY_LINE_MAX);
	buffer_reset(&out);
}
END_TEST

START_TEST(reply_that_does_not_fit_leaves_nothing_behind)
{
	struct buffer out;

	buffer_init(&out, 20);
	ck_assert(buffer_append_text(&out, "kept"));
	ck_assert(!reply_append(&out, reply_of(REPLY_BARE_CR_OR_LF), no_id));
	ck_assert_str_eq(buffer_text(&out), "kept");
	buffer_reset(&out);
}
END_TEST

static const struct {
	const char *wire;
	enum reply_progress progress;
	uint16_t code;
	struct enhanced_code enhanced;
	const char *text;
} replies[] = {
	{ "250 2.1.0 Ok\r\n", REPLY_READY, 250, { 2, 1, 0 }, "Ok" },
	{ "250 Ok\r\n", REPLY_READY, 250, { 0, 0, 0 }, "Ok" },
	{ "250\r\n", REPLY_READY, 250, { 0, 0, 0 }, "" },
	{ "250 \r\n", REPLY_READY, 250, { 0, 0, 0 }, "" },
	{ "250\n", REPLY_READY, 250, { 0, 0, 0 }, "" },
	{ "250 Ok\n", REPLY_READY, 250, { 0, 0, 0 }, "Ok" },
	{ "354 go\r\n", REPLY_READY, 354, { 0, 0, 0 }, "go" },
	{ "354 3.1.0 go\r\n", REPLY_READY, 354, { 0, 0, 0 }, "3.1.0 go" },
	{ "550-5.7.1 first\r\n550 5.7.1 second\r\n", REPLY_READY, 550, { 5, 7, 1 }, "first second" },
	{ "550-5.7.1 first\r\n550 5.7.2 second\r\n", REPLY_READY, 550, { 5, 7, 1 },
	  "first 5.7.2 second" },
	{ "550-first\r\n550 5.7.1 second\r\n", REPLY_READY, 550, { 0, 0, 0 }, "first 5.7.1 second" },
	{ "550 4.7.1 no\r\n", REPLY_READY, 550, { 0, 0, 0 }, "4.7.1 no" },
	{ "550 5.7.1\r\n", REPLY_READY, 550, { 5, 7, 1 }, "" },
	{ "550 5.7.1000 x\r\n", REPLY_READY, 550, { 0, 0, 0 }, "5.7.1000 x" },
	{ "550 5.7.1x\r\n", REPLY_READY, 550, { 0, 0, 0 }, "5.7.1x" },
	{ "550 5.7.367 no\r\n", REPLY_READY, 550, { 5, 7, 367 }, "no" },
	{ "571 no\r\n", REPLY_READY, 571, { 0, 0, 0 }, "no" },
	{ "550-\r\n550\r\n", REPLY_READY, 550, { 0, 0, 0 }, "" },
	{ "550 a\x1b[2J\rb\xc3\xa9\t.\r\n", REPLY_READY, 550, { 0, 0, 0 }, "a?[2J?b?? ." },
	{ "550 a\r\r\n", REPLY_READY, 550, { 0, 0, 0 }, "a?" },

	{ "250-a\r\n", REPLY_MORE, 250, { 0, 0, 0 }, "a" },
	{ "25", REPLY_MORE, 0, { 0, 0, 0 }, "" }, { "", REPLY_MORE, 0, { 0, 0, 0 }, "" },
	{ "250 Ok\r", REPLY_MORE, 0, { 0, 0, 0 }, "" },

	{ "250-a\r\n251 b\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "250-a\r\n550 b\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "250-a\r\nb\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "250-a\r\n\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL }, { "25 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "2500 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "150 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL }, { "650 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "099 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL }, { "-50 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ " 250 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL }, { "2a0 x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "250+x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "HTTP/1.1 400\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
	{ "SSH-2.0-x\r\n", REPLY_MALFORMED, 0, { 0, 0, 0 }, NULL },
};

static enum reply_progress
feed(struct reply_parser *parser, struct span wire, size_t piece)
{
	enum reply_progress progress = REPLY_MORE;

	while (wire.len > 0 && progress == REPLY_MORE) {
		struct span in = span_first(wire, piece);
		size_t offered = in.len;

		progress = reply_parser_feed(parser, &in);
		wire = span_skip(wire, offered - in.len);
	}
	return progress;
}

START_TEST(reply_of_a_next_hop_is_read_in_any_pieces)
{
	for (size_t piece = 1; piece < 50; piece++) {
		struct reply_parser parser;

		reply_parser_init(&parser);
		ck_assert_msg(feed(&parser, span_of(replies[_i].wire), piece) == replies[_i].progress,
			      "%s", replies[_i].wire);
		if (replies[_i].progress != REPLY_READY)
			continue;
		ck_assert_uint_eq(parser.code, replies[_i].code);
		ck_assert_uint_eq(parser.enhanced.class, replies[_i].enhanced.class);
		ck_assert_uint_eq(parser.enhanced.subject, replies[_i].enhanced.subject);
		ck_assert_uint_eq(parser.enhanced.detail, replies[_i].enhanced.detail);
		ck_assert_span_eq(reply_parser_text(&parser), replies[_i].text);
	}
}
END_TEST

START_TEST(pipelined_replies_come_one_at_a_time)
{
	struct span in = span_of("250 2.1.0 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n354 d\r\n25");
	struct reply_parser parser;

	reply_parser_init(&parser);
	ck_assert(reply_parser_feed(&parser, &in) == REPLY_READY);
	ck_assert_uint_eq(parser.code, 250);
	ck_assert(reply_parser_feed(&parser, &in) == REPLY_READY);
	ck_assert_uint_eq(parser.code, 550);
	ck_assert_span_eq(reply_parser_text(&parser), "b c");
	ck_assert(reply_parser_feed(&parser, &in) == REPLY_READY);
	ck_assert_uint_eq(parser.code, 354);
	ck_assert_uint_eq(parser.enhanced.class, 0);
	ck_assert(reply_parser_feed(&parser, &in) == REPLY_MORE);
	ck_assert_uint_eq(in.len, 0);
}
END_TEST

START_TEST(endless_reply_is_given_up)
{
	struct reply_parser parser;
	char line[2000];
	unsigned lines = 0;
	enum reply_progress progress = REPLY_MORE;

	reply_parser_init(&parser);
	while (progress == REPLY_MORE) {
		struct span in = span_of("250-x\r\n");

		progress = reply_parser_feed(&parser, &in);
		lines += progress == REPLY_MORE;
	}
	ck_assert(progress == REPLY_MALFORMED);
	ck_assert_uint_eq(lines, REPLY_LINES_MAX);

	struct span more = span_of("250 ok\r\n");

	ck_assert_msg(reply_parser_feed(&parser, &more) == REPLY_MALFORMED, "it must stay broken");

	size_t octets = 4;

	reply_parser_init(&parser);
	memset(line, 'x', sizeof(line));
	struct span in = span_of("250 ");

	ck_assert(reply_parser_feed(&parser, &in) == REPLY_MORE);
	do {
		in = (struct span){ line, sizeof(line) };
		progress = reply_parser_feed(&parser, &in);
		octets += sizeof(line) - in.len;
	} while (progress == REPLY_MORE);
	ck_assert(progress == REPLY_MALFORMED);
	ck_assert_uint_le(octets, REPLY_TOTAL_MAX + 1);
	ck_assert_uint_le(parser.text_len, REPLY_TEXT_MAX);
}
END_TEST

START_TEST(text_is_kept_up_to_its_limit)
{
	struct reply_parser parser;
	char line[1500];

	reply_parser_init(&parser);
	memset(line, 'x', sizeof(line));
	for (unsigned i = 0; i < 50; i++) {
		struct span in = span_of(i == 49 ? "451 4.3.0 " : "451-4.3.0 ");

		ck_assert(reply_parser_feed(&parser, &in) == REPLY_MORE);
		in = (struct span){ line, 30U * i };
		ck_assert(reply_parser_feed(&parser, &in) == REPLY_MORE);
		in = span_of("\r\n");
		ck_assert(reply_parser_feed(&parser, &in) == (i == 49 ? REPLY_READY : REPLY_MORE));
	}
	ck_assert_uint_eq(parser.text_len, REPLY_TEXT_MAX);
	ck_assert_uint_eq(parser.enhanced.subject, 3);
}
END_TEST

START_TEST(what_a_server_offers_is_understood)
{
	struct span in = span_of("250-mx.example.com PIPELINING\r\n250-size 36700160\r\n250-8BITMIME\r\n"
				 "250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n250-STARTTLS\r\n"
				 "250-AUTH PLAIN login xoauth2 bad!name\r\n250-AUTH=LOGIN NTLM\r\n"
				 "250-REQUIRETLS\r\n250-ENHANCEDSTATUSCODES\r\n250-X-ANONYMOUSTLS\r\n"
				 "250 LIMITS RCPTMAX=20 MAILMAX=5 FOO=1\r\n");
	struct reply_parser parser;
	struct ehlo ehlo = { .offers = 0 };

	reply_parser_init(&parser);
	parser.ehlo = &ehlo;
	ck_assert(reply_parser_feed(&parser, &in) == REPLY_READY);
	ck_assert_msg((ehlo.offers & EHLO_PIPELINING) == 0, "the first line is a greeting");
	ck_assert_uint_eq(ehlo.offers, EHLO_SIZE | EHLO_8BITMIME | EHLO_SMTPUTF8 | EHLO_CHUNKING |
				       EHLO_DSN | EHLO_STARTTLS | EHLO_AUTH | EHLO_REQUIRETLS |
				       EHLO_ENHANCEDSTATUSCODES | EHLO_LIMITS);
	ck_assert_uint_eq(ehlo.size_max, 36700160);
	ck_assert_uint_eq(ehlo.mail_max, 5);
	ck_assert_uint_eq(ehlo.rcpt_max, 20);
	ck_assert_span_eq(((struct span){ ehlo.mechanisms, ehlo.mechanisms_len }),
			  "PLAIN LOGIN XOAUTH2 NTLM");
	ck_assert(ehlo_has_mechanism(&ehlo, span_of("Plain")));
	ck_assert(!ehlo_has_mechanism(&ehlo, span_of("PLAI")));
}
END_TEST

START_TEST(mad_offers_do_no_harm)
{
	struct ehlo ehlo = { .offers = 0 };
	char line[1000] = "AUTH ";

	ehlo_line_add(&ehlo, span_of(""));
	ehlo_line_add(&ehlo, span_of("   "));
	ehlo_line_add(&ehlo, span_of("SIZE 99999999999999999999999"));
	ck_assert_uint_eq(ehlo.size_max, 0);
	for (unsigned i = 0; i < 200; i++) {
		for (size_t j = 0; j < 40; j++)
			line[5 + j] = j % 9 == 8 ? ' ' : (char)('A' + (i + j) % 26);
		ehlo_line_add(&ehlo, (struct span){ line, 45 });
	}
	ck_assert_uint_le(ehlo.mechanisms_len, EHLO_MECHANISMS_MAX);
}
END_TEST

TCase *
reply_tcase(void)
{
	TCase *tc = tcase_create("reply");

	tcase_add_test(tc, every_reply_of_the_table_is_whole);
	tcase_add_test(tc, reply_is_written_as_the_client_reads_it);
	tcase_add_test(tc, nothing_in_a_text_can_end_a_reply);
	tcase_add_test(tc, long_text_becomes_lines_of_512_octets_at_most);
	tcase_add_test(tc, reply_that_does_not_fit_leaves_nothing_behind);
	tcase_add_loop_test(tc, reply_of_a_next_hop_is_read_in_any_pieces, 0, ARRAY_LEN(replies));
	tcase_add_test(tc, pipelined_replies_come_one_at_a_time);
	tcase_add_test(tc, endless_reply_is_given_up);
	tcase_add_test(tc, text_is_kept_up_to_its_limit);
	tcase_add_test(tc, what_a_server_offers_is_understood);
	tcase_add_test(tc, mad_offers_do_no_harm);
	return tc;
}
