/* SPDX-License-Identifier: ISC */
/* net/: the PROXY protocol's headers, both versions. */
#include "net/proxy_header.h"

#include "suite.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define PATH	  "/run/a\0\0\0\0\0\0\0\0\0\0\0\0" "123456789012345678901234567890"
#define PATH_108  PATH PATH "abcdefghijkl"
#define UNIX_PATHS PATH_108 PATH_108
#define V2(text) SPAN_LITERAL(SIGNATURE text)

static const struct {
	struct span header;
	const char *source; /* NULL: no endpoints */
	const char *destination;
} accepted[] = {
	{ SPAN_LITERAL("PROXY TCP4 192.0.2.1 198.51.100.2 51612 25\r\n"), "192.0.2.1:51612",
	  "198.51.100.2:25" },
	{ SPAN_LITERAL("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	  "255.255.255.255:65535", "255.255.255.255:65535" },
	{ SPAN_LITERAL("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0" },
	{ SPAN_LITERAL("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "[2001:db8::1]:1", "[::1]:2" },
	/* one client, however the proxy writes it */
	{ SPAN_LITERAL("PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n"), "10.0.0.1:1", "[::1]:2" },
	{ SPAN_LITERAL("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ SPAN_LITERAL("PROXY UNKNOWN ffff:f...f:ffff what ever\r\n"), NULL, NULL },
	{ V2("\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"), "192.0.2.1:51612",
	  "198.51.100.2:25" },
	{ V2("\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
	     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x02"), "[2001:db8::1]:1", "[::1]:2" },
	/* extensions: an empty one, one of three octets */
	{ V2("\x21\x11\0\x15\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19\x04\0\0\xea\0\x03"
	     "abc"), "192.0.2.1:51612", "198.51.100.2:25" },
	{ V2("\x20\0\0\0"), NULL, NULL },	       /* LOCAL: a health check */
	{ V2("\x20\x11\0\x02zz"), NULL, NULL },	       /* whatever else it says */
	{ V2("\x21\x31\0\xd8" UNIX_PATHS), NULL, NULL }, /* Unix sockets */
	{ V2("\x21\x31\0\xdc" UNIX_PATHS "\x04\0\x01z"), NULL, NULL },
	{ V2("\x21\0\0\x03" "abc"), NULL, NULL },      /* PROXY of an unspecified family */
};

static const struct span refused[] = {
	SPAN_LITERAL("EHLO client\r\n"),
	SPAN_LITERAL("P "),
	SPAN_LITERAL("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY\r\n"),
	SPAN_LITERAL("PROXY \r\n"),
	SPAN_LITERAL("PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY UNKNOWNX\r\n"),
	SPAN_LITERAL("PROXY TCP4\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 ::1 ::1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 ::ffff:1.1.1.1 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP6 1.1.1.1 ::1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"),
	SPAN_LITERAL("PROXY TCP4 1.1.1.1\0 1.1.1.1 1 1\r\n"),
	SPAN_LITERAL("PROXY UNKNOWN 12345678901234567890123456789012345678901234567890"
		     "123456789012345678901234567890123456789012345\r\n"),
	V2("\x11\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"), /* version 1 */
	V2("\x22\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"), /* command */
	V2("\x21\x12\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"), /* datagrams */
	V2("\x21\x31\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"), /* no paths */
	V2("\x21\x32\0\xd8" UNIX_PATHS), /* datagrams */
	V2("\x21\x31\0\xda" UNIX_PATHS "\x04\0"),
	V2("\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0"),	  /* too short */
	V2("\x21\x21\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19"),
	V2("\x21\x11\0\x0d\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19\x04"),
	V2("\x21\x11\0\x10\xc0\0\x02\x01\xc6\x33\x64\x02\xc9\x9c\0\x19\x04\0\x02z"),
	V2("\x21\x11\x07\xf1"), /* more than we take, said before it comes */
	V2("\x21\x11\xff\xff"),
};

static const char *
text_of(const struct ip_endpoint *endpoint, char out[IP_ENDPOINT_SIZE])
{
	ip_endpoint_text(endpoint, out);
	return out;
}

START_TEST(header_is_taken_whole_and_nothing_behind_it)
{
	char text[IP_ENDPOINT_SIZE], bytes[512];
	struct span header = accepted[_i].header;
	struct proxy_header parsed;
	struct span in = { bytes, header.len + 5 };

	memcpy(bytes, header.ptr, header.len);
	memcpy(bytes + header.len, "EHLO ", 5);
	ck_assert_int_eq(proxy_header_take(&in, &parsed), PROXY_OK);
	ck_assert(span_equal(in, span_of("EHLO ")));
	ck_assert(parsed.has_endpoints == (accepted[_i].source != NULL));
	if (parsed.has_endpoints) {
		ck_assert_str_eq(text_of(&parsed.source, text), accepted[_i].source);
		ck_assert_str_eq(text_of(&parsed.destination, text), accepted[_i].destination);
	}
}
END_TEST

START_TEST(every_beginning_of_a_header_asks_for_more_and_takes_nothing)
{
	struct span header = accepted[_i].header;

	for (size_t len = 0; len < header.len; len++) {
		struct proxy_header parsed = { .source.port = 77 };
		struct span in = span_first(header, len), before = in;

		ck_assert_msg(proxy_header_take(&in, &parsed) == PROXY_MORE, "%zu octets", len);
		ck_assert(span_equal(in, before));
		ck_assert_int_eq(parsed.source.port, 77);
	}
}
END_TEST

START_TEST(malformed_header_is_refused_and_not_consumed)
{
	struct proxy_header parsed = { .source.port = 77 };
	struct span in = refused[_i], before = in;

	ck_assert_int_eq(proxy_header_take(&in, &parsed), PROXY_BAD);
	ck_assert(span_equal(in, before));
	ck_assert_int_eq(parsed.source.port, 77);
}
END_TEST

START_TEST(line_that_never_ends_is_refused_at_its_limit)
{
	char bytes[PROXY_V1_MAX];
	struct proxy_header parsed;

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "PROXY UNKNOWN ", 14);
	struct span in = { bytes, sizeof(bytes) - 1 };

	ck_assert_int_eq(proxy_header_take(&in, &parsed), PROXY_MORE);
	in.len++;
	ck_assert_int_eq(proxy_header_take(&in, &parsed), PROXY_BAD);
}
END_TEST

static Suite *
proxy_header_suite(void)
{
	Suite *suite = suite_create("proxy_header");
	TCase *tc = tcase_create("proxy_header");

	tcase_add_loop_test(tc, header_is_taken_whole_and_nothing_behind_it, 0,
			    (int)ARRAY_LEN(accepted));
	tcase_add_loop_test(tc, every_beginning_of_a_header_asks_for_more_and_takes_nothing, 0,
			    (int)ARRAY_LEN(accepted));
	tcase_add_loop_test(tc, malformed_header_is_refused_and_not_consumed, 0,
			    (int)ARRAY_LEN(refused));
	tcase_add_test(tc, line_that_never_ends_is_refused_at_its_limit);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(proxy_header_suite());
}
