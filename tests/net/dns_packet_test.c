/* SPDX-License-Identifier: ISC */
/* net/: DNS answers in wire format, honest and hostile. */
#include "net/dns_packet.h"

#include "base/memory.h"

#include "suite.h"

#include <stdlib.h>

/* id, flags "answer", 1 question, answers, authorities, additions; "a.example." IN */
#define HEAD(rcode, answers, authorities) \
	"\x12\x34\x81" rcode "\0\x01\0" answers "\0" authorities "\0\0"
#define QUESTION(type) "\x01" "a\x07" "example\0\0" type "\0\x01"
#define OWNER "\xc0\x0c" /* a pointer to the question's name, at 12 */
#define EXAMPLE "\xc0\x0e"
#define FIXED(type, ttl) "\0" type "\0\x01\0\0\0" ttl

static struct dns_packet *
packet_new(void)
{
	return memory_new(sizeof(struct dns_packet));
}

static enum parse_status
parse(struct span wire, enum dns_type type, struct dns_packet *out)
{
	/* a copy of its own, so that the sanitizer sees every octet too many */
	char *copy = memory_resize(NULL, wire.len == 0 ? 1 : wire.len, 1);

	memcpy(copy, wire.ptr, wire.len);
	enum parse_status status =
	    dns_packet_parse((struct span){ copy, wire.len }, type, out);

	free(copy);
	return status;
}

static void
ip_is(const struct ip *ip, const char *expected)
{
	char text[IP_TEXT_SIZE];

	ip_text(ip, text);
	ck_assert_str_eq(text, expected);
}

START_TEST(addresses_of_the_asked_family_are_read_behind_a_cname)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x80", "\x03", "\0") QUESTION("\x01")
	    OWNER FIXED("\x05", "\x3c") "\0\x04\x01" "b" EXAMPLE
	    "\x01" "b" EXAMPLE FIXED("\x01", "\x1e") "\0\x04\xc0\0\x02\x01"
	    "\x01" "b" EXAMPLE FIXED("\x01", "\x50") "\0\x04\xc0\0\x02\x02");
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_A, p), PARSE_OK);
	ck_assert_uint_eq(p->rcode, 0);
	ck_assert_uint_eq(p->count, 2);
	ip_is(&p->records[0].ip, "192.0.2.1");
	ip_is(&p->records[1].ip, "192.0.2.2");
	ck_assert_uint_eq(p->ttl_s, 30);
	ck_assert_int_eq(parse(wire, DNS_AAAA, p), PARSE_OK);
	ck_assert_uint_eq(p->count, 0);
	free(p);
}
END_TEST

START_TEST(ipv4_address_in_disguise_is_no_aaaa_record)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x80", "\x02", "\0") QUESTION("\x1c")
	    OWNER FIXED("\x1c", "\x3c") "\0\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01"
	    OWNER FIXED("\x1c", "\x3c") "\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_AAAA, p), PARSE_OK);
	ck_assert_uint_eq(p->count, 1);
	ip_is(&p->records[0].ip, "2001:db8::1");
	free(p);
}
END_TEST

START_TEST(mail_exchangers_have_preference_and_name_the_root_included)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x80", "\x03", "\0") QUESTION("\x0f")
	    OWNER FIXED("\x0f", "\x3c") "\0\x07\0\x0a\x02" "mx" EXAMPLE
	    OWNER FIXED("\x0f", "\x3c") "\0\x03\0\0\0"
	    OWNER FIXED("\x0f", "\x3c") "\0\x07\x01\x02\x02" "m\x01" EXAMPLE); /* no host */
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_MX, p), PARSE_OK);
	ck_assert_uint_eq(p->count, 2);
	ck_assert(span_equal(p->records[0].name, span_of("mx.example")));
	ck_assert_uint_eq(p->records[0].preference, 10);
	ck_assert_uint_eq(p->records[1].name.len, 0);
	ck_assert_uint_eq(p->records[1].preference, 0);
	free(p);
}
END_TEST

START_TEST(strings_of_a_text_record_are_joined)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x80", "\x02", "\0") QUESTION("\x10")
	    OWNER FIXED("\x10", "\x3c") "\0\x0e\x07v=spf1 \0\x04-all"
	    OWNER FIXED("\x10", "\x3c") "\0\x01\0");
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_TXT, p), PARSE_OK);
	ck_assert_uint_eq(p->count, 2);
	ck_assert(span_equal(p->records[0].data, span_of("v=spf1 -all")));
	ck_assert_uint_eq(p->records[1].data.len, 0);
	free(p);
}
END_TEST

START_TEST(raw_data_of_a_certificate_association_is_kept)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x80", "\x01", "\0") QUESTION("\x34")
	    OWNER FIXED("\x34", "\x3c") "\0\x05\x03\x01\x01\xab\xcd");
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_TLSA, p), PARSE_OK);
	ck_assert(span_equal(p->records[0].data, span_of("\x03\x01\x01\xab\xcd")));
	free(p);
}
END_TEST

START_TEST(absence_lasts_as_long_as_the_zone_says)
{
	static const struct span wire = SPAN_LITERAL(
	    HEAD("\x83", "\0", "\x01") QUESTION("\x01")
	    EXAMPLE FIXED("\x06", "\x2a") "\0\x02\0\0");
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(wire, DNS_A, p), PARSE_OK);
	ck_assert_uint_eq(p->rcode, DNS_RCODE_ABSENT);
	ck_assert_uint_eq(p->count, 0);
	ck_assert_uint_eq(p->ttl_s, 42);
	free(p);
}
END_TEST

START_TEST(records_beyond_the_limit_are_left_out)
{
	static const struct span head = SPAN_LITERAL(HEAD("\x80", "\x50", "\0") QUESTION("\x01"));
	static const struct span record =
	    SPAN_LITERAL(OWNER FIXED("\x01", "\x3c") "\0\x04\xc0\0\x02\x01");
	struct dns_packet *p = packet_new();
	struct buffer wire;

	buffer_init(&wire, 65535);
	(void)buffer_append(&wire, head);
	for (int i = 0; i < 0x50; i++)
		(void)buffer_append(&wire, record);
	ck_assert_int_eq(parse(buffer_span(&wire), DNS_A, p), PARSE_OK);
	ck_assert_uint_eq(p->count, DNS_RECORDS_MAX);
	buffer_reset(&wire);
	free(p);
}
END_TEST

static const struct {
	struct span wire;
	enum dns_type type;
} malformed[] = {
	{ SPAN_LITERAL(""), DNS_A },
	{ SPAN_LITERAL("\x12\x34\x81\x80\0\x01\0\0\0\0\0"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0")), DNS_A }, /* where is the question? */
	/* a name that points at itself, at its own end, ahead, and at one another */
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\xc0\x0c\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\x01" "a\xc0\x0c\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\xc0\x12\0\x01\0\x01\0"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\xc0\x0e\xc0\x0c\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\xff\xff\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\xc0"), DNS_A },
	/* reserved kinds of label, a label that is cut off */
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\x40" "a\0\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\x80" "a\0\0\x01\0\x01"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\0", "\0") "\x05" "abc"), DNS_A },
	/* a record that is cut off, or longer than the packet */
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x01") OWNER), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x01")
		       OWNER FIXED("\x01", "\x3c") "\0\x04\xc0\0\x02"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\x02", "\0") QUESTION("\x01")
		       OWNER FIXED("\x01", "\x3c") "\0\x04\xc0\0\x02\x01"), DNS_A },
	/* data of the wrong length for its type */
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x01")
		       OWNER FIXED("\x01", "\x3c") "\0\x03\xc0\0\x02"), DNS_A },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x1c")
		       OWNER FIXED("\x1c", "\x3c") "\0\x04\xc0\0\x02\x01"), DNS_AAAA },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x0f")
		       OWNER FIXED("\x0f", "\x3c") "\0\x01\0"), DNS_MX },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x0f")
		       OWNER FIXED("\x0f", "\x3c") "\0\x02\0\x0a" "\x02mx\0"), DNS_MX },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x0f")
		       OWNER FIXED("\x0f", "\x3c") "\0\x08\0\x0a\x02mx\0zz"), DNS_MX },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x0c")
		       OWNER FIXED("\x0c", "\x3c") "\0\0"), DNS_PTR },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x10")
		       OWNER FIXED("\x10", "\x3c") "\0\x03\x07v="), DNS_TXT },
	{ SPAN_LITERAL(HEAD("\x80", "\x01", "\0") QUESTION("\x10")
		       OWNER FIXED("\x10", "\x3c") "\0\0"), DNS_TXT },
	/* an authority section that promises more than there is */
	{ SPAN_LITERAL(HEAD("\x83", "\0", "\x01") QUESTION("\x01") EXAMPLE), DNS_A },
};

START_TEST(malformed_packet_is_refused)
{
	struct dns_packet *p = packet_new();

	ck_assert_int_eq(parse(malformed[_i].wire, malformed[_i].type, p), PARSE_BAD);
	free(p);
}
END_TEST

START_TEST(name_longer_than_255_octets_is_refused)
{
	static const struct span head = SPAN_LITERAL(HEAD("\x80", "\0", "\0"));
	struct dns_packet *p = packet_new();

	for (int labels = 126; labels <= 128; labels++) {
		struct buffer wire;

		buffer_init(&wire, 65535);
		(void)buffer_append(&wire, head);
		for (int i = 0; i < labels; i++)
			(void)buffer_append(&wire, span_of("\x01" "a"));
		(void)buffer_append(&wire, (struct span){ "\0\0\x01\0\x01", 5 });
		ck_assert_int_eq(parse(buffer_span(&wire), DNS_A, p),
				 labels <= 127 ? PARSE_OK : PARSE_BAD);
		buffer_reset(&wire);
	}
	free(p);
}
END_TEST

START_TEST(addresses_reverse_to_names)
{
	static const struct { const char *ip; const char *name; } cases[] = {
		{ "10.20.1.7", "7.1.20.10.in-addr.arpa" },
		{ "255.255.255.255", "255.255.255.255.in-addr.arpa" },
		{ "2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
					"8.b.d.0.1.0.0.2.ip6.arpa" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[DNS_REVERSE_SIZE];
		struct ip ip;

		ck_assert_int_eq(ip_parse(span_of(cases[i].ip), &ip), PARSE_OK);
		dns_reverse_name(&ip, name);
		ck_assert_str_eq(name, cases[i].name);
	}
}
END_TEST

static Suite *
dns_packet_suite(void)
{
	Suite *suite = suite_create("dns_packet");
	TCase *tc = tcase_create("dns_packet");

	tcase_add_test(tc, addresses_of_the_asked_family_are_read_behind_a_cname);
	tcase_add_test(tc, ipv4_address_in_disguise_is_no_aaaa_record);
	tcase_add_test(tc, mail_exchangers_have_preference_and_name_the_root_included);
	tcase_add_test(tc, strings_of_a_text_record_are_joined);
	tcase_add_test(tc, raw_data_of_a_certificate_association_is_kept);
	tcase_add_test(tc, absence_lasts_as_long_as_the_zone_says);
	tcase_add_test(tc, records_beyond_the_limit_are_left_out);
	tcase_add_loop_test(tc, malformed_packet_is_refused, 0, (int)ARRAY_LEN(malformed));
	tcase_add_test(tc, name_longer_than_255_octets_is_refused);
	tcase_add_test(tc, addresses_reverse_to_names);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(dns_packet_suite());
}
