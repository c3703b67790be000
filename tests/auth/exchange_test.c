/* SPDX-License-Identifier: ISC */
/* auth/exchange.h, auth/wire.h, auth/mechanism.h: lines of AUTH, and datagrams. */
#include "auth/exchange.h"
#include "auth/settings.h"

#include "suite.h"

#include <stdlib.h>

#define ALL_OFFERED                                                                      \
	(AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN) | AUTH_BIT(AUTH_CRAM_MD5) |             \
	 AUTH_BIT(AUTH_EXTERNAL))

static struct auth_exchange x;

static void
set_up(void)
{
	auth_exchange_init(&x);
}

static void
tear_down(void)
{
	auth_exchange_reset(&x);
}

static enum auth_step
begin(unsigned offered, unsigned needs_tls, const char *argument)
{
	struct auth_argument parsed;

	ck_assert_int_eq(auth_argument_parse(span_of(argument), &parsed), PARSE_OK);
	return auth_exchange_begin(&x, offered, needs_tls, &parsed);
}

static const struct {
	const char *argument;
	unsigned offered, needs_tls;
	enum auth_step step;
	const char *data; /* NULL: none */
} beginnings[] = {
	{ "PLAIN", ALL_OFFERED, 0, AUTH_STEP_ASK, NULL },
	{ "plain", ALL_OFFERED, 0, AUTH_STEP_ASK, NULL },
	{ "PLAIN Zm9v", ALL_OFFERED, 0, AUTH_STEP_ASK, "foo" },
	{ "PLAIN =", ALL_OFFERED, 0, AUTH_STEP_ASK, "" },
	{ "EXTERNAL =", ALL_OFFERED, 0, AUTH_STEP_ASK, "" },
	{ "LOGIN Zm9v", ALL_OFFERED, 0, AUTH_STEP_ASK, "foo" },
	{ "CRAM-MD5", ALL_OFFERED, 0, AUTH_STEP_ASK, NULL },
	{ "CRAM-MD5 Zm9v", ALL_OFFERED, 0, AUTH_STEP_NO_INITIAL, NULL },
	{ "CRAM-MD5 =", ALL_OFFERED, 0, AUTH_STEP_NO_INITIAL, NULL },
	{ "PLAIN Zm9", ALL_OFFERED, 0, AUTH_STEP_BASE64, NULL },
	{ "PLAIN Zm9v=", ALL_OFFERED, 0, AUTH_STEP_BASE64, NULL },
	{ "PLAIN ==", ALL_OFFERED, 0, AUTH_STEP_BASE64, NULL },
	{ "PLAIN *", ALL_OFFERED, 0, AUTH_STEP_BASE64, NULL },
	{ "GSSAPI", ALL_OFFERED, 0, AUTH_STEP_MECHANISM, NULL },
	{ "DIGEST-MD5", ALL_OFFERED, 0, AUTH_STEP_MECHANISM, NULL },
	{ "ANONYMOUS", ALL_OFFERED, 0, AUTH_STEP_MECHANISM, NULL },
	{ "PLAINX", ALL_OFFERED, 0, AUTH_STEP_MECHANISM, NULL },
	{ "PLAIN Zm9v", AUTH_BIT(AUTH_SCRAM_SHA_256), AUTH_BIT(AUTH_PLAIN), AUTH_STEP_NEEDS_TLS,
	  NULL },
	{ "LOGIN", AUTH_BIT(AUTH_SCRAM_SHA_256), AUTH_BIT(AUTH_PLAIN), AUTH_STEP_MECHANISM,
	  NULL },
	{ "PLAIN", 0, 0, AUTH_STEP_MECHANISM, NULL },
};

START_TEST(command_begins_an_exchange_or_is_refused)
{
	ck_assert_int_eq(begin(beginnings[_i].offered, beginnings[_i].needs_tls,
			       beginnings[_i].argument), beginnings[_i].step);
	ck_assert(x.has_data == (beginnings[_i].data != NULL));
	if (beginnings[_i].data != NULL)
		ck_assert(span_equal(buffer_span(&x.data), span_of(beginnings[_i].data)));
}
END_TEST

static const struct { const char *line; enum auth_step step; const char *data; } lines[] = {
	{ "Zm9vYmFy", AUTH_STEP_ASK, "foobar" },
	{ "", AUTH_STEP_ASK, "" },
	{ "*", AUTH_STEP_CANCELLED, NULL },
	{ "**", AUTH_STEP_BASE64, NULL },
	{ "=", AUTH_STEP_BASE64, NULL },
	{ " Zm9v", AUTH_STEP_BASE64, NULL },
	{ "Zm9v ", AUTH_STEP_BASE64, NULL },
	{ "Zm9vZ", AUTH_STEP_BASE64, NULL },
	{ "QUIT", AUTH_STEP_ASK, "\x41\x42\x13" }, /* a pipelined command is an answer */
	{ "RSET\r", AUTH_STEP_BASE64, NULL },
};

START_TEST(line_is_an_answer_or_ends_the_exchange)
{
	ck_assert_int_eq(begin(ALL_OFFERED, 0, "LOGIN"), AUTH_STEP_ASK);
	auth_exchange_sent(&x);
	ck_assert_int_eq(auth_exchange_line(&x, span_of(lines[_i].line)), lines[_i].step);
	ck_assert(x.has_data == (lines[_i].data != NULL));
	if (lines[_i].data != NULL)
		ck_assert(span_equal(buffer_span(&x.data), span_of(lines[_i].data)));
}
END_TEST

START_TEST(line_may_have_12288_octets_and_no_more)
{
	char *line = malloc(AUTH_LINE_MAX);
	size_t most = AUTH_LINE_MAX - 2;

	memset(line, 'A', AUTH_LINE_MAX);
	ck_assert_int_eq(begin(ALL_OFFERED, 0, "LOGIN"), AUTH_STEP_ASK);
	ck_assert_int_eq(auth_exchange_line(&x, (struct span){ line, most - most % 4 }),
			 AUTH_STEP_ASK);
	ck_assert_uint_eq(x.data.len, (most - most % 4) / 4 * 3);
	ck_assert_int_eq(auth_exchange_line(&x, (struct span){ line, AUTH_LINE_MAX - 1 }),
			 AUTH_STEP_TOO_LONG);
	free(line);
}
END_TEST

START_TEST(exchange_without_end_is_ended)
{
	enum auth_step step = begin(ALL_OFFERED, 0, "LOGIN");
	int answers = 0;

	while (step == AUTH_STEP_ASK && answers < 1000) {
		answers++;
		step = auth_exchange_line(&x, span_of("Zm9v"));
	}
	ck_assert_int_eq(step, AUTH_STEP_TOO_MANY);
	ck_assert_int_eq(answers, AUTH_STEPS_MAX + 1);
	ck_assert_int_eq(begin(ALL_OFFERED, 0, "LOGIN"), AUTH_STEP_ASK);
	ck_assert_int_eq(auth_exchange_line(&x, span_of("Zm9v")), AUTH_STEP_ASK);
}
END_TEST

START_TEST(secret_is_wiped_once_it_was_sent)
{
	ck_assert_int_eq(begin(ALL_OFFERED, 0, "PLAIN c2VjcmV0"), AUTH_STEP_ASK);
	const char *place = x.data.ptr;

	ck_assert_int_eq(memcmp(place, "secret", 6), 0);
	auth_exchange_sent(&x);
	ck_assert_int_eq(memcmp(place, "\0\0\0\0\0\0", 6), 0);
	ck_assert_uint_eq(x.data.len, 0);
	/* and when it is not base64 at its very end */
	ck_assert_int_eq(auth_exchange_line(&x, span_of("c2VjcmV0!")), AUTH_STEP_BASE64);
	ck_assert_int_eq(auth_exchange_line(&x, span_of("c2VjcmV0c2V!")), AUTH_STEP_BASE64);
	ck_assert_int_eq(memcmp(x.data.ptr, "\0\0\0\0\0\0", 6), 0);
}
END_TEST

START_TEST(challenge_is_a_line_of_base64)
{
	struct buffer out;
	char *large = calloc(1, AUTH_LINE_MAX);

	buffer_init(&out, AUTH_LINE_MAX);
	ck_assert(auth_exchange_challenge(&x, span_of("Username:"), &out));
	ck_assert_str_eq(buffer_text(&out), "334 VXNlcm5hbWU6\r\n");
	buffer_clear(&out);
	ck_assert(auth_exchange_challenge(&x, span_of(""), &out));
	ck_assert_str_eq(buffer_text(&out), "334 \r\n");
	buffer_clear(&out);
	ck_assert(!auth_exchange_challenge(&x, (struct span){ large, AUTH_DATA_MAX }, &out));
	ck_assert(auth_exchange_challenge(&x, (struct span){ large, AUTH_DATA_MAX - 12 }, &out));
	buffer_reset(&out);
	free(large);
}
END_TEST

/* ---- Datagrams ---- */

START_TEST(request_arrives_as_it_was_sent)
{
	struct buffer out;
	struct auth_request back, request = {
		.id = 0x1234567890abcdef,
		.op = AUTH_OP_START,
		.mechanism = AUTH_SCRAM_SHA_256_PLUS,
		.facts = { .is_tls = true, .has_binding = true,
			   .external = span_of("billing@example.com") },
		.has_data = true,
		.data = span_of("data"),
	};

	memset(request.facts.binding, 5, sizeof(request.facts.binding));
	buffer_init(&out, AUTH_MESSAGE_MAX);
	auth_request_write(&request, &out);
	ck_assert_int_eq(auth_request_read(buffer_span(&out), &back), PARSE_OK);
	ck_assert(back.id == request.id && back.op == request.op);
	ck_assert(back.mechanism == request.mechanism && back.has_data);
	ck_assert(back.facts.is_tls && back.facts.has_binding && !back.facts.allows_plain_text);
	ck_assert_int_eq(memcmp(back.facts.binding, request.facts.binding, AUTH_BINDING_LEN), 0);
	ck_assert(span_equal(back.facts.external, request.facts.external));
	ck_assert(span_equal(back.data, request.data));
	for (size_t len = 0; len < out.len; len++)
		ck_assert_int_eq(auth_request_read(span_first(buffer_span(&out), len), &back),
				 PARSE_BAD);
	ck_assert(buffer_append_byte(&out, 'x'));
	ck_assert_int_eq(auth_request_read(buffer_span(&out), &back), PARSE_BAD);
	buffer_reset(&out);
}
END_TEST

START_TEST(answer_arrives_as_it_was_sent)
{
	struct buffer out;
	struct auth_answer back;
	const struct auth_answer answer = {
		.id = 99, .code = AUTH_HELLO, .user = span_of("u"), .data = span_of("dd"),
		.mechanisms = 5, .pid = 4711,
	};

	buffer_init(&out, AUTH_MESSAGE_MAX);
	auth_answer_write(&answer, &out);
	ck_assert_int_eq(auth_answer_read(buffer_span(&out), &back), PARSE_OK);
	ck_assert(back.id == 99 && back.code == AUTH_HELLO && back.mechanisms == 5);
	ck_assert(back.pid == 4711 && span_equal(back.user, answer.user));
	ck_assert(span_equal(back.data, answer.data));
	for (size_t len = 0; len < out.len; len++)
		ck_assert_int_eq(auth_answer_read(span_first(buffer_span(&out), len), &back),
				 PARSE_BAD);
	buffer_reset(&out);
}
END_TEST

/* ---- Mechanisms ---- */

START_TEST(mechanism_has_one_name)
{
	for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++) {
		enum auth_mechanism m;

		ck_assert_int_eq(
		    auth_mechanism_parse(span_of(auth_mechanism_name((enum auth_mechanism)i)), &m),
		    PARSE_OK);
		ck_assert_uint_eq(m, i);
	}
	for (unsigned i = 0; i < AUTH_METHOD_COUNT; i++) {
		enum auth_method m;

		ck_assert_int_eq(
		    auth_method_parse(span_of(auth_method_name((enum auth_method)i)), &m), PARSE_OK);
		ck_assert_uint_eq(m, i);
	}
}
END_TEST

START_TEST(store_offers_only_what_it_can_check)
{
	unsigned cram = AUTH_BIT(AUTH_CRAM_MD5), scram = AUTH_BIT(AUTH_SCRAM_SHA_256);
	unsigned plain = AUTH_BIT(AUTH_PLAIN);

	ck_assert_uint_eq(auth_mechanisms_of(AUTH_METHOD_USERS_FILE, true) & cram, 0);
	ck_assert_uint_ne(auth_mechanisms_of(AUTH_METHOD_USERS_FILE, false) & scram, 0);
	ck_assert_uint_ne(auth_mechanisms_of(AUTH_METHOD_SASLDB, false) & cram, 0);
	ck_assert_uint_eq(auth_mechanisms_of(AUTH_METHOD_SASLDB, false) & scram, 0);
	ck_assert_uint_ne(auth_mechanisms_of(AUTH_METHOD_SASLDB, true) & scram, 0);
	ck_assert_uint_eq(auth_mechanisms_of(AUTH_METHOD_SASLAUTHD, true) & (cram | scram), 0);
	for (unsigned i = 0; i < AUTH_METHOD_COUNT; i++) {
		enum auth_method m = (enum auth_method)i;

		ck_assert_uint_ne(auth_mechanisms_default(m) & plain, 0);
		ck_assert_uint_eq(auth_mechanisms_default(m) & ~auth_mechanisms_of(m, false), 0);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("exchange");
	TCase *tc = tcase_create("exchange");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, command_begins_an_exchange_or_is_refused, 0,
			    ARRAY_LEN(beginnings));
	tcase_add_loop_test(tc, line_is_an_answer_or_ends_the_exchange, 0, ARRAY_LEN(lines));
	tcase_add_test(tc, line_may_have_12288_octets_and_no_more);
	tcase_add_test(tc, exchange_without_end_is_ended);
	tcase_add_test(tc, secret_is_wiped_once_it_was_sent);
	tcase_add_test(tc, challenge_is_a_line_of_base64);
	tcase_add_test(tc, request_arrives_as_it_was_sent);
	tcase_add_test(tc, answer_arrives_as_it_was_sent);
	tcase_add_test(tc, mechanism_has_one_name);
	tcase_add_test(tc, store_offers_only_what_it_can_check);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
