/* SPDX-License-Identifier: ISC */
/* Where mail for a domain goes: MX records, TLSA records, the texts of MTA-STS. */
#include "suite.h"

#include "delivery/dane.h"
#include "delivery/mx.h"
#include "delivery/queued.h"
#include "delivery/sts.h"

#include <stdio.h>

#define OWN "relay.example.com"

/* ---- Domains of recipients ---- */

static const struct {
	const char *address;
	const char *text; /* NULL: nobody could deliver to it */
	bool is_literal;
} domains[] = {
	{ "a@example.com", "example.com", false },
	{ "a@EXAMPLE.Com", "example.com", false },
	{ "\"a@b\"@example.com", "example.com", false },
	{ "a@m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", false },
	{ "a@[192.0.2.1]", "192.0.2.1", true },
	{ "a@[IPv6:2001:db8::1]", "2001:db8::1", true },
	{ "postmaster", NULL, false },
	{ "a@", NULL, false },
	{ "a@192.0.2.1", NULL, false },
	{ "a@[", NULL, false },
	{ "a@[192.0.2.300]", NULL, false },
	{ "a@[x-tag:1]", NULL, false },
	{ "a@a b.example", NULL, false },
	{ "", NULL, false },
};

START_TEST(reads_the_domain_of_a_recipient)
{
	struct mx_domain domain;
	bool is_good = mx_domain_read(span_of(domains[_i].address), &domain);

	ck_assert_int_eq(is_good, domains[_i].text != NULL);
	if (is_good) {
		ck_assert_str_eq(domain.text, domains[_i].text);
		ck_assert_int_eq(domain.is_literal, domains[_i].is_literal);
		ck_assert_uint_eq(domain.len, strlen(domain.text));
	}
}
END_TEST

START_TEST(groups_recipients_by_domain_without_regard_to_case)
{
	ck_assert(mx_domain_is_same(span_of("a@example.com"), span_of("b@EXAMPLE.com")));
	ck_assert(!mx_domain_is_same(span_of("a@example.com"), span_of("a@example.org")));
	ck_assert(!mx_domain_is_same(span_of("a@example.com"), span_of("a@sub.example.com")));
	ck_assert(mx_domain_is_same(span_of("postmaster"), span_of("postmaster")));
}
END_TEST

/* ---- MX records ---- */

static const struct {
	const char *what;
	enum dns_status status;
	bool has_no_name;
	struct {
		const char *name;
		uint16_t preference;
	} records[5];
	size_t count;
	enum mx_verdict verdict;
	const char *hosts; /* in order, each with a blank behind it */
} answers[] = {
	{ "one", DNS_FOUND, false, { { "mx.example", 10 } }, 1, MX_HOSTS, "mx.example " },
	{ "order", DNS_FOUND, false, { { "c.example", 30 }, { "A.example", 0 }, { "b.example", 5 } },
	  3, MX_HOSTS, "a.example b.example c.example " },
	{ "twice", DNS_FOUND, false, { { "a.example", 10 }, { "A.EXAMPLE", 20 } }, 2, MX_HOSTS,
	  "a.example " },
	{ "null", DNS_FOUND, false, { { "", 0 } }, 1, MX_NULL, "" },
	{ "null beside another", DNS_FOUND, false, { { "", 0 }, { "a.example", 10 } }, 2, MX_HOSTS,
	  "a.example " },
	{ "addresses", DNS_FOUND, false, { { "192.0.2.1", 0 }, { "::1", 5 } }, 2, MX_NONSENSE, "" },
	{ "an address beside a name", DNS_FOUND, false, { { "192.0.2.1", 0 }, { "a.example", 10 } },
	  2, MX_HOSTS, "a.example " },
	{ "ourselves", DNS_FOUND, false, { { OWN, 10 } }, 1, MX_OURSELVES, "" },
	{ "ourselves first", DNS_FOUND, false, { { "Relay.Example.COM", 10 }, { "b.example", 20 } },
	  2, MX_OURSELVES, "" },
	{ "ourselves among equals", DNS_FOUND, false, { { OWN, 10 }, { "b.example", 10 } }, 2,
	  MX_OURSELVES, "" },
	{ "ourselves in the middle", DNS_FOUND, false,
	  { { "a.example", 5 }, { OWN, 10 }, { "b.example", 10 }, { "c.example", 20 } }, 4, MX_HOSTS,
	  "a.example " },
	{ "none", DNS_ABSENT, false, { { NULL, 0 } }, 0, MX_HOSTS, "example.com " },
	{ "no name", DNS_ABSENT, true, { { NULL, 0 } }, 0, MX_NO_DOMAIN, "" },
	{ "trouble", DNS_TROUBLE, false, { { NULL, 0 } }, 0, MX_UNKNOWN, "" },
};

static void
list_make(const char *domain_text, const struct dns_answer *answer, uint64_t seed,
	  struct mx_list *list)
{
	struct mx_domain domain;
	char address[128];

	(void)snprintf(address, sizeof(address), "a@%s", domain_text);
	ck_assert(mx_domain_read(span_of(address), &domain));
	mx_list_make(&domain, answer, span_of(OWN), seed, list);
}

static void
hosts_write(const struct mx_list *list, char out[512])
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < list->count; i++)
		at += (size_t)snprintf(out + at, 512 - at, "%s ", list->hosts[i].name);
}

START_TEST(knows_what_mx_records_mean)
{
	struct dns_record records[5] = { { .preference = 0 } };
	struct dns_answer answer = { .status = answers[_i].status, .records = records,
				     .has_no_name = answers[_i].has_no_name,
				     .count = answers[_i].count };
	struct mx_list list;
	char hosts[512];

	for (size_t i = 0; i < answers[_i].count; i++)
		records[i] = (struct dns_record){ .name = span_of(answers[_i].records[i].name),
						  .preference = answers[_i].records[i].preference };
	for (uint64_t seed = 0; seed < 50; seed++) {
		list_make("example.com", &answer, seed, &list);
		hosts_write(&list, hosts);
		ck_assert_msg(list.verdict == answers[_i].verdict, "%s", answers[_i].what);
		ck_assert_str_eq(hosts, answers[_i].hosts);
	}
	if (list.verdict != MX_HOSTS)
		ck_assert_int_eq(mx_verdict_text(list.verdict)[0],
				 list.verdict == MX_UNKNOWN ? '4' : '5');
}
END_TEST

START_TEST(our_own_domain_without_mx_is_ourselves)
{
	struct dns_answer answer = { .status = DNS_ABSENT };
	struct mx_list list;

	list_make(OWN, &answer, 1, &list);
	ck_assert_int_eq(list.verdict, MX_OURSELVES);
}
END_TEST

START_TEST(shuffles_hosts_of_the_same_preference_only)
{
	struct dns_record records[] = {
		{ .name = SPAN_LITERAL("last.example"), .preference = 30 },
		{ .name = SPAN_LITERAL("a.example"), .preference = 10 },
		{ .name = SPAN_LITERAL("b.example"), .preference = 10 },
		{ .name = SPAN_LITERAL("c.example"), .preference = 10 },
		{ .name = SPAN_LITERAL("first.example"), .preference = 5 },
	};
	struct dns_answer answer = { .status = DNS_FOUND, .records = records, .count = 5 };
	unsigned times[3][3] = { { 0 } };
	struct mx_list list;

	for (uint64_t seed = 0; seed < 3000; seed++) {
		list_make("example.com", &answer, seed, &list);
		ck_assert_uint_eq(list.count, 5);
		ck_assert_str_eq(list.hosts[0].name, "first.example");
		ck_assert_str_eq(list.hosts[4].name, "last.example");
		for (size_t i = 0; i < 3; i++)
			times[i][list.hosts[1 + i].name[0] - 'a']++;
	}
	for (size_t i = 0; i < 9; i++) {
		ck_assert_uint_gt(times[i / 3][i % 3], 900);
		ck_assert_uint_lt(times[i / 3][i % 3], 1100);
	}
}
END_TEST

START_TEST(takes_no_more_hosts_than_there_is_room_for)
{
	char names[DNS_RECORDS_MAX][32];
	struct dns_record records[DNS_RECORDS_MAX];
	struct dns_answer answer = { .status = DNS_FOUND, .records = records,
				     .count = DNS_RECORDS_MAX };
	struct mx_list list;

	for (size_t i = 0; i < DNS_RECORDS_MAX; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "mx%02zu.example", i);
		records[i] = (struct dns_record){ .name = span_of(names[i]),
						  .preference = (uint16_t)(DNS_RECORDS_MAX - i) };
	}
	list_make("example.com", &answer, 7, &list);
	ck_assert_uint_eq(list.count, MX_HOSTS_MAX);
	ck_assert_str_eq(list.hosts[0].name, "mx63.example");
}
END_TEST

/* ---- Jobs ---- */

START_TEST(a_message_has_a_job_for_each_domain_of_a_route)
{
	struct queued *queued = queued_new(NULL, 4);
	struct job *first = queued_job_add(queued, 2, 0), *second = queued_job_add(queued, 2, 3);

	ck_assert_ptr_eq(first, &queued->first);
	ck_assert_ptr_eq(first->next, second);
	ck_assert_uint_eq(second->first, 3);
	ck_assert_ptr_eq(second->queued, queued);
	ck_assert_ptr_eq(queued_job(queued, 2), first);
	ck_assert_ptr_eq(queued_job(queued, 1), second->next);
	queued_free(&queued);
}
END_TEST

/* ---- TLSA records ---- */

#define HASH_32 "0123456789abcdef0123456789abcdef"
#define HASH_64 HASH_32 HASH_32

static const struct {
	struct span data;
	bool is_usable;
} tlsas[] = {
	{ SPAN_LITERAL("\x03\x01\x01" HASH_32), true },
	{ SPAN_LITERAL("\x03\x00\x02" HASH_64), true },
	{ SPAN_LITERAL("\x02\x00\x01" HASH_32), true },
	{ SPAN_LITERAL("\x02\x01\x00" "a key"), true },
	{ SPAN_LITERAL("\x00\x01\x01" HASH_32), false },
	{ SPAN_LITERAL("\x01\x01\x01" HASH_32), false },
	{ SPAN_LITERAL("\x04\x01\x01" HASH_32), false },
	{ SPAN_LITERAL("\xff\x01\x01" HASH_32), false },
	{ SPAN_LITERAL("\x03\x02\x01" HASH_32), false },
	{ SPAN_LITERAL("\x03\x01\x03" HASH_32), false },
	{ SPAN_LITERAL("\x03\x01\x01" HASH_32 "x"), false },
	{ SPAN_LITERAL("\x03\x01\x02" HASH_32), false },
	{ SPAN_LITERAL("\x03\x01\x01"), false },
	{ SPAN_LITERAL("\x03\x01"), false },
	{ SPAN_LITERAL(""), false },
};

START_TEST(uses_only_tlsa_records_that_mean_something_for_smtp)
{
	struct dns_record record = { .data = tlsas[_i].data };
	struct dns_answer answer = { .status = DNS_FOUND, .is_secure = true, .records = &record,
				     .count = 1 };
	struct dane dane = { .state = DANE_NONE };

	dane_take(&dane, &answer);
	ck_assert_int_eq(dane.state, tlsas[_i].is_usable ? DANE_USABLE : DANE_UNUSABLE);
	ck_assert_uint_eq(dane.set.count, tlsas[_i].is_usable);
	if (tlsas[_i].is_usable)
		ck_assert(span_equal(dane.set.records[0].data, span_skip(tlsas[_i].data, 3)));
	dane_reset(&dane);
}
END_TEST

START_TEST(tlsa_records_count_only_when_dnssec_vouches_for_them)
{
	struct dns_record record = { .data = tlsas[0].data };
	struct dns_answer answer = { .status = DNS_FOUND, .records = &record, .count = 1 };
	struct dane dane = { .state = DANE_NONE };

	dane_take(&dane, &answer);
	ck_assert_int_eq(dane.state, DANE_NONE);
	answer = (struct dns_answer){ .status = DNS_ABSENT, .is_secure = true };
	dane_take(&dane, &answer);
	ck_assert_int_eq(dane.state, DANE_NONE);
	answer = (struct dns_answer){ .status = DNS_TROUBLE };
	dane_take(&dane, &answer);
	ck_assert_int_eq(dane.state, DANE_TROUBLE);
	dane_reset(&dane);
}
END_TEST

START_TEST(keeps_no_more_tlsa_records_than_there_is_room_for)
{
	struct dns_record records[TLS_TLSA_MAX + 4];
	struct dns_answer answer = { .status = DNS_FOUND, .is_secure = true, .records = records,
				     .count = ARRAY_LEN(records) };
	struct dane dane = { .state = DANE_NONE };

	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		records[i] = (struct dns_record){ .data = tlsas[i % 6].data };
	dane_take(&dane, &answer);
	ck_assert_uint_le(dane.set.count, TLS_TLSA_MAX);
	ck_assert_uint_gt(dane.set.count, 8);
	dane_reset(&dane);
}
END_TEST

START_TEST(names_of_tlsa_records_fit_or_are_none)
{
	char name[DNS_NAME_MAX + 1], host[DNS_NAME_MAX + 1];

	ck_assert(dane_name_make(span_of("mx.example"), 25, name));
	ck_assert_str_eq(name, "_25._tcp.mx.example");
	memset(host, 'a', DNS_NAME_MAX);
	ck_assert(!dane_name_make((struct span){ host, DNS_NAME_MAX }, 25, name));
}
END_TEST

/* ---- MTA-STS ---- */

static const struct {
	const char *text;
	const char *id; /* NULL: no such record */
} records[] = {
	{ "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
	{ "v=STSv1;id=1", "1" },
	{ "v=STSv1 ; id=abc ; more=x", "abc" },
	{ "v=STSv1; more=x; id=abc", "abc" },
	{ "v=STSv1; id=12345678901234567890123456789012", "12345678901234567890123456789012" },
	{ "v=STSv1; id=123456789012345678901234567890123", NULL },
	{ "v=STSv1; id=", NULL },
	{ "v=STSv1; id=a-b", NULL },
	{ "v=STSv1;", NULL },
	{ "v=STSv1", NULL },
	{ "v=STSv2; id=1", NULL },
	{ "id=1; v=STSv1", NULL },
	{ "v=spf1 -all", NULL },
	{ "", NULL },
};

START_TEST(reads_the_record_that_names_a_policy)
{
	char id[STS_ID_MAX + 1] = "before";
	enum parse_status status = sts_record_parse(span_of(records[_i].text), id);

	ck_assert_int_eq(status, records[_i].id == NULL ? PARSE_BAD : PARSE_OK);
	ck_assert_str_eq(id, records[_i].id == NULL ? "before" : records[_i].id);
}
END_TEST

static const struct {
	const char *text;
	enum sts_mode mode;
	uint32_t max_age_s;
	const char *mx; /* NULL: no policy */
} policies[] = {
	{ "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
	  "max_age: 604800\n",
	  STS_MODE_ENFORCE, 604800, "mail.example.com\n*.example.net\n" },
	{ "version: STSv1\r\nmode: testing\r\nmx: Mail.Example.com\r\nmax_age: 1\r\n",
	  STS_MODE_TESTING, 1, "mail.example.com\n" },
	{ "version: STSv1\nmode: none\nmax_age: 0", STS_MODE_NONE, 0, "" },
	{ "version:STSv1\nmode:  none \nmax_age:86400\n\n", STS_MODE_NONE, 86400, "" },
	{ "version: STSv1\nmode: none\nmode: enforce\nmax_age: 5\nmax_age: 6\n", STS_MODE_NONE, 5,
	  "" },
	{ "version: STSv1\nmode: none\nmax_age: 5\nlater: x\n", STS_MODE_NONE, 5, "" },
	{ "version: STSv1\nmode: none\nmax_age: 9999999999\n", STS_MODE_NONE, STS_AGE_MAX_S, "" },
	{ "version: STSv1\nmode: none\nmax_age: 99999999999\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: none\nmax_age: -1\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: none\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "mode: none\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv2\nmode: none\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: ENFORCE\nmx: a.example\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: testing\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmx: *\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmx: a..example\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmx: .example\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: enforce\nmx:\nmax_age: 5\n", STS_MODE_NONE, 0, NULL },
	{ "version: STSv1\nmode: none\nmax_age: 5\n<html>\n", STS_MODE_NONE, 0, NULL },
	{ "", STS_MODE_NONE, 0, NULL },
};

START_TEST(reads_a_policy)
{
	static struct sts_policy policy;
	enum parse_status status = sts_policy_parse(span_of(policies[_i].text), &policy);

	ck_assert_int_eq(status, policies[_i].mx == NULL ? PARSE_BAD : PARSE_OK);
	if (status != PARSE_OK)
		return;
	ck_assert_int_eq(policy.mode, policies[_i].mode);
	ck_assert_uint_eq(policy.max_age_s, policies[_i].max_age_s);
	ck_assert(span_equal((struct span){ policy.mx, policy.mx_octets },
			     span_of(policies[_i].mx)));
}
END_TEST

static const struct {
	const char *host;
	bool is_allowed;
} exchangers[] = {
	{ "mail.example.com", true },	{ "mx1.example.net", true },
	{ "example.net", false },	{ "a.mx1.example.net", false },
	{ ".example.net", false },	{ "mail.example.com.evil", false },
	{ "xmail.example.com", false }, { "mail.example.co", false },
	{ "mx1.xexample.net", false },	{ "", false },
};

START_TEST(allows_the_mail_exchangers_of_the_policy)
{
	static struct sts_policy policy;

	ck_assert_int_eq(sts_policy_parse(span_of(policies[0].text), &policy), PARSE_OK);
	ck_assert_int_eq(sts_policy_allows(&policy, span_of(exchangers[_i].host)),
			 exchangers[_i].is_allowed);
}
END_TEST

START_TEST(a_policy_with_too_many_names_is_none)
{
	static struct sts_policy policy;
	struct buffer text;

	buffer_init(&text, 65536);
	buffer_append_text(&text, "version: STSv1\nmode: enforce\nmax_age: 5\n");
	for (int i = 0; i < 1000; i++)
		buffer_append_text(&text, "mx: mail.example.com\n");
	ck_assert_int_eq(sts_policy_parse(buffer_span(&text), &policy), PARSE_BAD);
	buffer_reset(&text);
}
END_TEST

static const struct {
	const char *text;
	bool is_good;
} files[] = {
	{ "1790000000000 abc\nversion: STSv1\nmode: none\nmax_age: 5\n", true },
	{ "1790000000000 \nversion: STSv1\nmode: none\nmax_age: 5\n", false },
	{ "abc\nversion: STSv1\nmode: none\nmax_age: 5\n", false },
	{ "99999999999999999999 abc\nversion: STSv1\nmode: none\nmax_age: 5\n", false },
	{ "1790000000000 abc\n", false },
	{ "", false },
};

START_TEST(reads_what_it_kept_on_disk)
{
	static struct sts_policy policy;
	int64_t expires_ms = 0;

	ck_assert_int_eq(sts_file_parse(span_of(files[_i].text), &expires_ms, &policy),
			 files[_i].is_good ? PARSE_OK : PARSE_BAD);
	if (files[_i].is_good) {
		ck_assert_int_eq(expires_ms, 1790000000000);
		ck_assert_str_eq(policy.id, "abc");
	}
}
END_TEST

/* ---- The board ---- */

START_TEST(what_is_published_is_found)
{
	static struct sts_finding finding, found;
	struct fault fault;
	struct sts_board *board = sts_board_new(&fault);
	uint32_t number;

	ck_assert_ptr_nonnull(board);
	sts_find(board, span_of("example.com"), &found);
	ck_assert_int_eq(found.state, STS_UNKNOWN);
	ck_assert_uint_eq(found.number, 0);
	finding = (struct sts_finding){ .state = STS_KNOWN, .expires_wall_ms = 7 };
	sts_publish(board, span_of("example.com"), &finding);
	sts_find(board, span_of("example.com"), &found);
	ck_assert_int_eq(found.state, STS_KNOWN);
	ck_assert_int_eq(found.expires_wall_ms, 7);
	number = found.number;
	sts_find(board, span_of("example.org"), &found);
	ck_assert_int_eq(found.state, STS_UNKNOWN);
	sts_publish(board, span_of("example.com"), &finding);
	sts_find(board, span_of("example.com"), &found);
	ck_assert_uint_ne(found.number, number);
	sts_board_free(&board);
	ck_assert_ptr_null(board);
}
END_TEST

START_TEST(thousands_of_domains_push_each_other_out_and_no_more)
{
	static struct sts_finding finding, found;
	struct fault fault;
	struct sts_board *board = sts_board_new(&fault);
	char name[32];
	unsigned known = 0;

	ck_assert_ptr_nonnull(board);
	finding.state = STS_KNOWN;
	for (int i = 0; i < 6000; i++) {
		(void)snprintf(name, sizeof(name), "d%d.example", i);
		finding.expires_wall_ms = i;
		sts_publish(board, span_of(name), &finding);
		sts_find(board, span_of(name), &found);
		ck_assert_int_eq(found.expires_wall_ms, i);
	}
	for (int i = 0; i < 6000; i++) {
		(void)snprintf(name, sizeof(name), "d%d.example", i);
		sts_find(board, span_of(name), &found);
		if (found.state == STS_KNOWN) {
			ck_assert_int_eq(found.expires_wall_ms, i);
			known++;
		}
	}
	ck_assert_uint_gt(known, 2000);
	sts_board_free(&board);
}
END_TEST

START_TEST(wishes_are_bounded_and_come_out_as_they_went_in)
{
	static struct sts_wish wish, taken;
	struct fault fault;
	struct sts_board *board = sts_board_new(&fault);
	unsigned count = 0;

	ck_assert_ptr_nonnull(board);
	wish = (struct sts_wish){ .domain_len = 11, .domain = "example.com", .id = "1",
				  .address_count = 1 };
	while (sts_ask(board, &wish))
		count++;
	ck_assert_uint_eq(count, 256);
	for (; count > 0; count--) {
		sts_wish_take(board, &taken);
		ck_assert_str_eq(taken.domain, "example.com");
		ck_assert_str_eq(taken.id, "1");
		ck_assert_uint_eq(taken.address_count, 1);
	}
	ck_assert(sts_ask(board, &wish));
	sts_board_free(&board);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("mx");
	TCase *tc = tcase_create("mail exchangers");

	tcase_add_loop_test(tc, reads_the_domain_of_a_recipient, 0, ARRAY_LEN(domains));
	tcase_add_test(tc, groups_recipients_by_domain_without_regard_to_case);
	tcase_add_loop_test(tc, knows_what_mx_records_mean, 0, ARRAY_LEN(answers));
	tcase_add_test(tc, our_own_domain_without_mx_is_ourselves);
	tcase_add_test(tc, shuffles_hosts_of_the_same_preference_only);
	tcase_add_test(tc, takes_no_more_hosts_than_there_is_room_for);
	tcase_add_test(tc, a_message_has_a_job_for_each_domain_of_a_route);
	suite_add_tcase(suite, tc);
	tc = tcase_create("dane");
	tcase_add_loop_test(tc, uses_only_tlsa_records_that_mean_something_for_smtp, 0,
			    ARRAY_LEN(tlsas));
	tcase_add_test(tc, tlsa_records_count_only_when_dnssec_vouches_for_them);
	tcase_add_test(tc, keeps_no_more_tlsa_records_than_there_is_room_for);
	tcase_add_test(tc, names_of_tlsa_records_fit_or_are_none);
	suite_add_tcase(suite, tc);
	tc = tcase_create("mta-sts");
	tcase_add_loop_test(tc, reads_the_record_that_names_a_policy, 0, ARRAY_LEN(records));
	tcase_add_loop_test(tc, reads_a_policy, 0, ARRAY_LEN(policies));
	tcase_add_loop_test(tc, allows_the_mail_exchangers_of_the_policy, 0,
			    ARRAY_LEN(exchangers));
	tcase_add_test(tc, a_policy_with_too_many_names_is_none);
	tcase_add_loop_test(tc, reads_what_it_kept_on_disk, 0, ARRAY_LEN(files));
	tcase_add_test(tc, what_is_published_is_found);
	tcase_add_test(tc, thousands_of_domains_push_each_other_out_and_no_more);
	tcase_add_test(tc, wishes_are_bounded_and_come_out_as_they_went_in);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
