/* SPDX-License-Identifier: ISC */
/* smtp/command_line.h */
#include "smtp/command_line.h"

#include "smtp_test.h"

START_TEST(verb_is_found_in_any_case_and_the_argument_trimmed)
{
	static const struct { const char *line; enum verb verb; const char *argument; } cases[] = {
		{ "EHLO relay.example.com", VERB_EHLO, "relay.example.com" },
		{ "ehlo [10.0.0.1]", VERB_EHLO, "[10.0.0.1]" }, { "hElO x", VERB_HELO, "x" },
		{ "MAIL FROM:<a@b> SIZE=1  ", VERB_MAIL, "FROM:<a@b> SIZE=1" },
		{ "rcpt   TO:<a@b>", VERB_RCPT, "TO:<a@b>" }, { "DATA", VERB_DATA, "" },
		{ "DATA   ", VERB_DATA, "" }, { "data\t", VERB_DATA, "" },
		{ "BDAT 86 LAST", VERB_BDAT, "86 LAST" }, { "RSET", VERB_RSET, "" },
		{ "NOOP", VERB_NOOP, "" }, { "QUIT", VERB_QUIT, "" }, { "VRFY x", VERB_VRFY, "x" },
		{ "EXPN x", VERB_EXPN, "x" }, { "HELP", VERB_HELP, "" },
		{ "StartTLS", VERB_STARTTLS, "" }, { "AUTH PLAIN AGE=", VERB_AUTH, "PLAIN AGE=" },
		{ "XCLIENT ADDR=1.2.3.4", VERB_XCLIENT, "ADDR=1.2.3.4" },
		{ "XFORWARD X=1", VERB_XFORWARD, "X=1" }, { "ETRN x", VERB_ETRN, "x" },
		{ "BURL x", VERB_BURL, "x" }, { "TURN", VERB_TURN, "" }, { "LHLO x", VERB_LHLO, "x" },
		{ "SEND x", VERB_SEND, "x" }, { "SOML x", VERB_SEND, "x" },
		{ "SAML x", VERB_SEND, "x" }, { "GET / HTTP/1.1", VERB_FOREIGN, "/ HTTP/1.1" },
		{ "POST / HTTP/1.1", VERB_FOREIGN, "/ HTTP/1.1" }, { "Host: x", VERB_FOREIGN, "x" },
		{ "", VERB_UNKNOWN, "" }, { " DATA", VERB_UNKNOWN, "DATA" },
		{ "MAILFROM:<a@b>", VERB_UNKNOWN, "" }, { "DAT", VERB_UNKNOWN, "" },
		{ "DATAX", VERB_UNKNOWN, "" }, { "MAIL:FROM", VERB_UNKNOWN, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_line command;

		ck_assert(command_line_parse(span_of(cases[i].line), &command) == COMMAND_OK);
		ck_assert_msg(command.verb == cases[i].verb, "%s", cases[i].line);
		ck_assert_span_eq(command.argument, cases[i].argument);
	}
}
END_TEST

START_TEST(control_bytes_and_stray_8bit_are_refused)
{
	static const struct { struct span line; bool ok; } cases[] = {
		{ SPAN_LITERAL("DATA\0"), false }, { SPAN_LITERAL("MAIL FROM:<a\0@b>"), false },
		{ SPAN_LITERAL("RCPT TO:<a@b>\r"), false }, { SPAN_LITERAL("NOOP \x1b[2J"), false },
		{ SPAN_LITERAL("NOOP a\nb"), false }, { SPAN_LITERAL("NOOP\tx"), false },
		{ SPAN_LITERAL("NOOP \x7f"), false }, { SPAN_LITERAL("EHLO \xc3\xa9"), false },
		{ SPAN_LITERAL("NOOP \xc3\xa9"), false }, { SPAN_LITERAL("\xc3\xa9"), false },
		{ SPAN_LITERAL("MAIL\xc3\xa9 x"), false },
		{ SPAN_LITERAL("MAIL FROM:<\xc3\xa9@b> SMTPUTF8"), true },
		{ SPAN_LITERAL("RCPT TO:<\xc3\xa9@b>"), true }, { SPAN_LITERAL("VRFY \xc3\xa9"), true },
		{ SPAN_LITERAL("MAIL FROM:<\xe9@b>"), false },
		{ SPAN_LITERAL("MAIL FROM:<\xc2\x85@b>"), false },
		{ SPAN_LITERAL("AUTH PLAIN \xc3\xa9"), false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_line command;

		ck_assert_msg((command_line_parse(cases[i].line, &command) == COMMAND_OK) ==
				      cases[i].ok, "%zu", i);
	}
}
END_TEST

START_TEST(every_verb_has_a_name_that_leads_back_to_it)
{
	for (unsigned verb = VERB_UNKNOWN + 1; verb < VERB_FOREIGN; verb++) {
		struct command_line command;
		const char *name = verb_name((enum verb)verb);

		ck_assert(command_line_parse(span_of(name), &command) == COMMAND_OK);
		ck_assert_uint_eq(command.verb, verb);
	}
	ck_assert_str_eq(verb_name(VERB_FOREIGN), "?");
	ck_assert_str_eq(verb_name(VERB_UNKNOWN), "?");
}
END_TEST

START_TEST(hello_takes_what_devices_call_themselves)
{
	static const char *const good[] = { "relay.example.com", "PRINTER_7", "localhost", "a",
		"host.", "_x", "10.0.0.1", "[10.0.0.1]", "[IPv6:::1]", "my--host", "a..b" };
	static const char *const bad[] = { "", "a b", "a@b", "[10.0.0.1", "10.0.0.1]", "[]", "[::1]",
		"<a>", "a\"b", "...", "-", "a/b", "a:b", "h\xc3\xa9", "[10.0.0.1] x", "a,b", "$x" };
	struct hello hello;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(hello_parse(span_of(good[i]), &hello) == PARSE_OK, "%s", good[i]);
		ck_assert_span_eq(hello.name, good[i]);
		ck_assert_int_eq(hello.is_literal, good[i][0] == '[');
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(hello_parse(span_of(bad[i]), &hello) == PARSE_BAD, "%s", bad[i]);

	char longest[DOMAIN_MAX + 1];

	memset(longest, 'a', sizeof(longest));
	ck_assert(hello_parse((struct span){ longest, DOMAIN_MAX }, &hello) == PARSE_OK);
	ck_assert(hello_parse((struct span){ longest, DOMAIN_MAX + 1 }, &hello) == PARSE_BAD);
}
END_TEST

#define ENVID100 "12345678901234567890123456789012345678901234567890" \
		 "12345678901234567890123456789012345678901234567890"

static const struct { const char *text; enum argument_status status; } mail_cases[] = {
	{ "FROM:<a@b>", ARGUMENT_OK }, { "from:<>", ARGUMENT_OK }, { "FROM: <a@b>", ARGUMENT_OK },
	{ "FROM:   <a@b>   SIZE=1", ARGUMENT_OK }, { "FROM:<\"\"@b>", ARGUMENT_OK },
	{ "FROM:<a@b> SIZE=0 BODY=8bitmime RET=HDRS ENVID=x+2By AUTH=<> SMTPUTF8 REQUIRETLS",
	  ARGUMENT_OK },
	{ "FROM:<a@b> AUTH=c@d", ARGUMENT_OK }, { "FROM:<a@b> AUTH=c+2Bd@e", ARGUMENT_OK },
	{ "FROM:<a@b> AUTH=<c@d>", ARGUMENT_OK }, { "FROM:<a@b> ENVID=" ENVID100, ARGUMENT_OK },
	{ "FROM:<\xc3\xa9@b> SMTPUTF8", ARGUMENT_OK },
	{ "FROM:<a@b> SIZE=18446744073709551615", ARGUMENT_OK },

	{ "", ARGUMENT_BAD_SYNTAX }, { "FROM", ARGUMENT_BAD_SYNTAX }, { "TO:<a@b>", ARGUMENT_BAD_SYNTAX },
	{ "<a@b>", ARGUMENT_BAD_SYNTAX }, { "FROM :<a@b>", ARGUMENT_BAD_SYNTAX },
	{ "FROM<a@b>", ARGUMENT_BAD_SYNTAX }, { "FROM:<a@b>SIZE=1", ARGUMENT_BAD_SYNTAX },
	{ "FROM:<a@b>>", ARGUMENT_BAD_SYNTAX }, { "FROM:<a@b> =1", ARGUMENT_BAD_SYNTAX },
	{ "FROM:<a@b> SIZE=", ARGUMENT_BAD_SYNTAX }, { "FROM:<a@b> SIZE=1=2", ARGUMENT_BAD_SYNTAX },
	{ "FROM:<a@b> <c@d>", ARGUMENT_BAD_SYNTAX }, { "FROM:<a@b> -x", ARGUMENT_BAD_SYNTAX },

	{ "FROM:", ARGUMENT_BAD_ADDRESS }, { "FROM:a@b", ARGUMENT_BAD_ADDRESS },
	{ "FROM:<a>", ARGUMENT_BAD_ADDRESS }, { "FROM:<@x:a@b>", ARGUMENT_BAD_ADDRESS },
	{ "FROM:<a@b.>", ARGUMENT_BAD_ADDRESS }, { "FROM:<a@b", ARGUMENT_BAD_ADDRESS },
	{ "FROM:<postmaster>", ARGUMENT_BAD_ADDRESS }, { "FROM:< >", ARGUMENT_BAD_ADDRESS },
	{ "FROM:<a b@c>", ARGUMENT_BAD_ADDRESS }, { "FROM:Bob <a@b>", ARGUMENT_BAD_ADDRESS },

	{ "FROM:<\xc3\xa9@b>", ARGUMENT_NEEDS_SMTPUTF8 },
	{ "FROM:<a@\xc3\xa9.example> SIZE=1", ARGUMENT_NEEDS_SMTPUTF8 },

	{ "FROM:<a@b> FOO", ARGUMENT_UNKNOWN_PARAMETER }, { "FROM:<a@b> FOO=1", ARGUMENT_UNKNOWN_PARAMETER },
	{ "FROM:<a@b> NOTIFY=NEVER", ARGUMENT_UNKNOWN_PARAMETER },
	{ "FROM:<a@b> SIZE=1 X-Y=2", ARGUMENT_UNKNOWN_PARAMETER },

	{ "FROM:<a@b> SIZE=1 SIZE=1", ARGUMENT_DUPLICATE_PARAMETER },
	{ "FROM:<a@b> SMTPUTF8 smtputf8", ARGUMENT_DUPLICATE_PARAMETER },

	{ "FROM:<a@b> SIZE=x", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> SIZE", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> SIZE=-1", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> SIZE=1x", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> SIZE=18446744073709551616", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> BODY=BINARYMIME", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> BODY=9BIT", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> RET=ALL", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> SMTPUTF8=1", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> REQUIRETLS=YES", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=" ENVID100 "1", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=x+0Ay", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> ENVID=+0D", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=+00", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> ENVID=+7F", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=+", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> ENVID=+2", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=+2g", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> ENVID=+E9", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> ENVID=\xc3\xa9", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> AUTH=x", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> AUTH=+x", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> AUTH=a@b+0D+0A", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> AUTH=<>x", ARGUMENT_BAD_PARAMETER }, { "FROM:<a@b> AUTH=a+20b@c", ARGUMENT_BAD_PARAMETER },
	{ "FROM:<a@b> AUTH=+C3+A9@c", ARGUMENT_BAD_PARAMETER },
};

START_TEST(mail_argument_fares_as_it_deserves)
{
	struct mail_argument mail = { .size_octets = 77 };

	ck_assert_msg(mail_argument_parse(span_of(mail_cases[_i].text), &mail) ==
			      mail_cases[_i].status, "%s", mail_cases[_i].text);
	if (mail_cases[_i].status != ARGUMENT_OK)
		ck_assert_uint_eq(mail.size_octets, 77);
}
END_TEST

START_TEST(mail_parameters_become_values)
{
	struct mail_argument mail;

	ck_assert(mail_argument_parse(span_of("FROM:<a@b> SIZE=4096 BODY=8BITMIME RET=HDRS "
					      "ENVID=x+2By AUTH=c@d SMTPUTF8 REQUIRETLS"),
				      &mail) == ARGUMENT_OK);
	ck_assert_uint_eq(mail.size_octets, 4096);
	ck_assert_int_eq(mail.body, BODY_8BITMIME);
	ck_assert_int_eq(mail.ret, RET_HDRS);
	ck_assert_span_eq(mail.envid, "x+2By");
	ck_assert_span_eq(mail.auth, "c@d");
	ck_assert(mail.is_smtputf8 && mail.needs_tls);
	ck_assert_uint_eq(mail.given, 0x7f);
	ck_assert(mail_argument_parse(span_of("FROM:<>"), &mail) == ARGUMENT_OK);
	ck_assert(address_is_null(&mail.reverse_path));
	ck_assert_uint_eq(mail.given, 0);
	ck_assert_int_eq(mail.ret, RET_NONE);
	ck_assert(mail_argument_parse(span_of("FROM:<> RET=FULL BODY=7BIT"), &mail) == ARGUMENT_OK);
	ck_assert_int_eq(mail.ret, RET_FULL);
	ck_assert_int_eq(mail.body, BODY_7BIT);
}
END_TEST

static const struct { const char *text; bool utf8; enum argument_status status; } rcpt_cases[] = {
	{ "TO:<a@b>", false, ARGUMENT_OK }, { "to: <a@b>", false, ARGUMENT_OK },
	{ "TO:<Postmaster>", false, ARGUMENT_OK }, { "TO:<postmaster> NOTIFY=NEVER", false, ARGUMENT_OK },
	{ "TO:<a@b> NOTIFY=SUCCESS,failure,DELAY ORCPT=rfc822;c+2Bd@e", false, ARGUMENT_OK },
	{ "TO:<\xc3\xa9@b>", true, ARGUMENT_OK }, { "TO:<a@b> ORCPT=utf-8;\\x{E9}@b", false, ARGUMENT_OK },
	{ "TO:<a@b> ORCPT=UTF-8;\xc3\xa9@b", true, ARGUMENT_OK },
	{ "TO:<a@[10.0.0.1]>", false, ARGUMENT_OK },

	{ "TO:<\xc3\xa9@b>", false, ARGUMENT_NEEDS_SMTPUTF8 },
	{ "TO:<>", false, ARGUMENT_BAD_ADDRESS }, { "TO:a@b", false, ARGUMENT_BAD_ADDRESS },
	{ "TO:<a>", false, ARGUMENT_BAD_ADDRESS }, { "TO:", false, ARGUMENT_BAD_ADDRESS },
	{ "TO:<@x,@y:a@b>", false, ARGUMENT_BAD_ADDRESS },
	{ "FROM:<a@b>", false, ARGUMENT_BAD_SYNTAX }, { "TO<a@b>", false, ARGUMENT_BAD_SYNTAX },
	{ "TO:<a@b>,<c@d>", false, ARGUMENT_BAD_SYNTAX }, { "TO:<a@b> ORCPT=", false, ARGUMENT_BAD_SYNTAX },
	{ "TO:<a@b> SIZE=1", false, ARGUMENT_UNKNOWN_PARAMETER },
	{ "TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", false, ARGUMENT_DUPLICATE_PARAMETER },
	{ "TO:<a@b> NOTIFY", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> NOTIFY=NEVER,SUCCESS", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> NOTIFY=SUCCESS,", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> NOTIFY=,", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> NOTIFY=ALWAYS", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=c@d", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=;c@d", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rfc822;", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rfc822;a+0D+0ADATA", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rfc822;a+00", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rf(c822;a", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rfc822;a+", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-+;a", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=rfc822;\xc3\xa9@b", true, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;\xc3\xa9@b", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;\\x{0A}@b", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;\\x{110000}", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;\\x{D800}", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;a\\b", false, ARGUMENT_BAD_PARAMETER },
	{ "TO:<a@b> ORCPT=utf-8;\\x{E9", false, ARGUMENT_BAD_PARAMETER },
};

START_TEST(rcpt_argument_fares_as_it_deserves)
{
	struct rcpt_argument rcpt;

	ck_assert_msg(rcpt_argument_parse(span_of(rcpt_cases[_i].text), rcpt_cases[_i].utf8,
					  &rcpt) == rcpt_cases[_i].status,
		      "%s", rcpt_cases[_i].text);
}
END_TEST

START_TEST(rcpt_parameters_become_values)
{
	struct rcpt_argument rcpt;

	ck_assert(rcpt_argument_parse(span_of("TO:<a@b> NOTIFY=DELAY,SUCCESS ORCPT=rfc822;x"),
				      false, &rcpt) == ARGUMENT_OK);
	ck_assert_uint_eq(rcpt.notify, NOTIFY_DELAY | NOTIFY_SUCCESS);
	ck_assert_span_eq(rcpt.orcpt, "rfc822;x");
	ck_assert_span_eq(rcpt.forward_path.text, "a@b");
	ck_assert_uint_eq(rcpt.given, PARAMETER_NOTIFY | PARAMETER_ORCPT);
}
END_TEST

START_TEST(bdat_size_is_bounded)
{
	static const struct { const char *text; bool ok; uint64_t octets; bool is_last; } cases[] = {
		{ "0", true, 0, false }, { "86", true, 86, false }, { "86 LAST", true, 86, true },
		{ "0 last", true, 0, true }, { "1   LAST", true, 1, true },
		{ "9223372036854775807", true, INT64_MAX, false },
		{ "9223372036854775808", false, 0, false }, { "18446744073709551617", false, 0, false },
		{ "", false, 0, false }, { "LAST", false, 0, false }, { "-1", false, 0, false },
		{ "1 FIRST", false, 0, false }, { "1 LAST x", false, 0, false },
		{ "1LAST", false, 0, false }, { "0x10", false, 0, false }, { "1,5", false, 0, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bdat_argument bdat = { 77, false };
		bool ok = bdat_argument_parse(span_of(cases[i].text), &bdat) == PARSE_OK;

		ck_assert_msg(ok == cases[i].ok, "%s", cases[i].text);
		ck_assert_uint_eq(bdat.octets, ok ? cases[i].octets : 77);
		ck_assert_int_eq(bdat.is_last, cases[i].is_last);
	}
}
END_TEST

START_TEST(auth_argument_is_split)
{
	struct auth_argument auth;
	static const char *const bad[] = { "", "PL(AIN", "PLAIN a b", "ABCDEFGHIJKLMNOPQRSTU" };

	ck_assert(auth_argument_parse(span_of("PLAIN"), &auth) == PARSE_OK);
	ck_assert(!auth.has_initial);
	ck_assert(auth_argument_parse(span_of("SCRAM-SHA-256 biws"), &auth) == PARSE_OK);
	ck_assert_span_eq(auth.mechanism, "SCRAM-SHA-256");
	ck_assert_span_eq(auth.initial, "biws");
	ck_assert(auth_argument_parse(span_of("EXTERNAL ="), &auth) == PARSE_OK);
	ck_assert(auth.has_initial && auth.initial.len == 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(auth_argument_parse(span_of(bad[i]), &auth) == PARSE_BAD, "%s", bad[i]);
}
END_TEST

START_TEST(xtext_is_written_and_read_alike)
{
	char all[256], decoded[256];
	struct buffer out;
	struct span text;

	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (char)(unsigned char)i;
	buffer_init(&out, 1000);
	ck_assert(xtext_encode((struct span){ all, sizeof(all) }, &out));
	ck_assert(xtext_decode(buffer_span(&out), decoded, sizeof(decoded), &text) == PARSE_OK);
	ck_assert(span_equal(text, (struct span){ all, sizeof(all) }));
	ck_assert(xtext_decode(buffer_span(&out), decoded, sizeof(decoded) - 1, &text) == PARSE_BAD);
	buffer_reset(&out);
	buffer_init(&out, 10);
	ck_assert(!xtext_encode(span_of("four"), &out));
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

TCase *
command_line_tcase(void)
{
	TCase *tc = tcase_create("command_line");

	tcase_add_test(tc, verb_is_found_in_any_case_and_the_argument_trimmed);
	tcase_add_test(tc, control_bytes_and_stray_8bit_are_refused);
	tcase_add_test(tc, every_verb_has_a_name_that_leads_back_to_it);
	tcase_add_test(tc, hello_takes_what_devices_call_themselves);
	tcase_add_loop_test(tc, mail_argument_fares_as_it_deserves, 0, ARRAY_LEN(mail_cases));
	tcase_add_test(tc, mail_parameters_become_values);
	tcase_add_loop_test(tc, rcpt_argument_fares_as_it_deserves, 0, ARRAY_LEN(rcpt_cases));
	tcase_add_test(tc, rcpt_parameters_become_values);
	tcase_add_test(tc, bdat_size_is_bounded);
	tcase_add_test(tc, auth_argument_is_split);
	tcase_add_test(tc, xtext_is_written_and_read_alike);
	return tc;
}
