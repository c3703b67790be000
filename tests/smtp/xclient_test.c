/* SPDX-License-Identifier: ISC */
/* smtp/: XCLIENT's attributes. */
#include "smtp/xclient.h"

#include "smtp_test.h"

static const struct {
	const char *argument;
	unsigned given;
	unsigned known;
	const char *client; /* endpoints as text */
	const char *destination;
	const char *name;
	const char *helo;
	const char *login;
} accepted[] = {
	{ "ADDR=10.0.0.1", XCLIENT_ADDR, XCLIENT_ADDR, "10.0.0.1:0", "[::]:0", "", "", "" },
	{ "addr=IPV6:2001:db8::1 port=25", XCLIENT_ADDR | XCLIENT_PORT, XCLIENT_ADDR | XCLIENT_PORT,
	  "[2001:db8::1]:25", "[::]:0", "", "", "" },
	{ "ADDR=ipv6:::ffff:10.0.0.1", XCLIENT_ADDR, XCLIENT_ADDR, "10.0.0.1:0", "[::]:0", "", "",
	  "" },
	{ "NAME=[UNAVAILABLE] LOGIN=[TEMPUNAVAIL] ADDR=[tempunavail] PORT=[UNAVAILABLE]",
	  XCLIENT_NAME | XCLIENT_LOGIN | XCLIENT_ADDR | XCLIENT_PORT, 0, "[::]:0", "[::]:0", "", "",
	  "" },
	{ "NAME=app.example.com HELO=[10.0.0.1] PROTO=esmtp  LOGIN=a+40b.example",
	  XCLIENT_NAME | XCLIENT_HELO | XCLIENT_PROTO | XCLIENT_LOGIN,
	  XCLIENT_NAME | XCLIENT_HELO | XCLIENT_PROTO | XCLIENT_LOGIN, "[::]:0", "[::]:0",
	  "app.example.com", "[10.0.0.1]", "a@b.example" },
	{ "LOGIN=a+20b+3D+C3+A9", XCLIENT_LOGIN, XCLIENT_LOGIN, "[::]:0", "[::]:0", "", "",
	  "a b=\xc3\xa9" },
	{ "DESTADDR=198.51.100.1 DESTPORT=587", XCLIENT_DESTADDR | XCLIENT_DESTPORT,
	  XCLIENT_DESTADDR | XCLIENT_DESTPORT, "[::]:0", "198.51.100.1:587", "", "", "" },
};

START_TEST(attributes_are_taken_and_decoded)
{
	struct xclient_argument x;
	char text[IP_ENDPOINT_SIZE];

	ck_assert_int_eq(xclient_argument_parse(span_of(accepted[_i].argument), &x), PARSE_OK);
	ck_assert_uint_eq(x.given, accepted[_i].given);
	ck_assert_uint_eq(x.known, accepted[_i].known);
	ip_endpoint_text(&x.client, text);
	ck_assert_str_eq(text, accepted[_i].client);
	ip_endpoint_text(&x.destination, text);
	ck_assert_str_eq(text, accepted[_i].destination);
	ck_assert(span_equal(xclient_span(&x.name), span_of(accepted[_i].name)));
	ck_assert(span_equal(xclient_span(&x.helo), span_of(accepted[_i].helo)));
	ck_assert(span_equal(xclient_span(&x.login), span_of(accepted[_i].login)));
}
END_TEST

static const char *const refused[] = {
	"", " ", "ADDR", "ADDR=", "=10.0.0.1", "ADDRESS=10.0.0.1", "ADDR=10.0.0.1,PORT=1",
	"ADDR=10.0.0.1 ADDR=10.0.0.1", "ADDR=10.0.0.256", "ADDR=010.0.0.1", "ADDR=10.0.0.0/8",
	"ADDR=2001:db8::1", "ADDR=IPV6:10.0.0.1", "ADDR=IPV6:", "ADDR=IPV6:fe80::1%lo",
	"ADDR=[10.0.0.1]", "ADDR=UNAVAILABLE", "ADDR=[UNAVAILABLE", "PORT=", "PORT=65536", "PORT=-1",
	"PORT=0x19", "PROTO=LMTP", "PROTO=", "NAME=a+20b", "NAME=a+0Db", "NAME=+00", "NAME=a+2",
	"NAME=a+2g", "NAME=...", "HELO=a(b)", "HELO=[10.0.0.999]", "LOGIN=", "LOGIN=a+0Ab",
	"LOGIN=a+00", "LOGIN=a+7F", "LOGIN=+C3", "LOGIN=+ED+A0+80", "LOGIN=+E2+80+AE", "LOGIN=a=b",
	"DESTADDR=here", "DESTPORT=http", "ADDR=10.0.0.1 X=1", "ADDR=10.0.0.1 NAME=a+20b",
};

START_TEST(what_is_malformed_is_refused_whole)
{
	struct xclient_argument x = { .given = 77 };

	ck_assert_msg(xclient_argument_parse(span_of(refused[_i]), &x) == PARSE_BAD, "%s",
		      refused[_i]);
	ck_assert_uint_eq(x.given, 77);
}
END_TEST

START_TEST(texts_have_a_largest_length)
{
	char argument[6 + XCLIENT_TEXT_MAX + 1];
	struct xclient_argument x;

	memset(argument, 'a', sizeof(argument));
	memcpy(argument, "LOGIN=", 6);
	ck_assert_int_eq(xclient_argument_parse((struct span){ argument, 6 + XCLIENT_TEXT_MAX }, &x),
			 PARSE_OK);
	ck_assert_uint_eq(x.login.len, XCLIENT_TEXT_MAX);
	ck_assert_int_eq(xclient_argument_parse((struct span){ argument, sizeof(argument) }, &x),
			 PARSE_BAD);
}
END_TEST

TCase *
xclient_tcase(void)
{
	TCase *tc = tcase_create("xclient");

	tcase_add_loop_test(tc, attributes_are_taken_and_decoded, 0, ARRAY_LEN(accepted));
	tcase_add_loop_test(tc, what_is_malformed_is_refused_whole, 0, ARRAY_LEN(refused));
	tcase_add_test(tc, texts_have_a_largest_length);
	return tc;
}
