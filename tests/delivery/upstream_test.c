/* SPDX-License-Identifier: ISC */
/* TLS and logins towards next hops that have them, lack them, or make a mess of them. */
#include "bed.h"

#include "base/clock.h"
#include "net/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EHLO_CLEAR "250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n"
#define EHLO_TLS   "250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n"
#define NAME	   "mail.example.org"

static struct bed bed;
static struct smtp_server *server;
static struct tls_ticket_keys *keys;
static struct tls_server *tls;
static char ca_path[128], password_path[128];
static struct fault fault;

static const char *
path_of(char out[128], const char *name)
{
	(void)snprintf(out, 128, "%s/%s", bed.directory, name);
	return out;
}

/* The server shows a certificate with this name, signed by a CA of ours, until then. */
static void
tls_start(const char *name, long until_s)
{
	static char certificate[128], key[128], ca_certificate[128];
	struct identity ca = identity_make((struct wish){ .common_name = "CA", .is_ca = true });
	char alternatives[128];
	struct identity own;

	(void)snprintf(alternatives, sizeof(alternatives), "DNS:%s", name);
	own = identity_make((struct wish){ .common_name = name,
					   .alternatives = alternatives,
					   .by = &ca,
					   .from_s = -2 * DAY_S,
					   .until_s = until_s });
	identity_write(bed.directory, "ca", &ca, NULL);
	identity_write(bed.directory, "own", &own, NULL);
	identity_free(&own);
	identity_free(&ca);

	const struct tls_pair pair = { .certificate = path_of(certificate, "own.crt"),
				       .key = path_of(key, "own.key") };
	const struct tls_settings settings = { .name = "test",
					       .pairs = &pair,
					       .pair_count = 1,
					       .profile = TLS_INTERMEDIATE };
	int64_t at_ms = clock_wall_ms() - (until_s < 0 ? 36 * 3600 * 1000 : 0);

	(void)memcpy(ca_path, path_of(ca_certificate, "ca.crt"), sizeof(ca_path));
	keys = tls_ticket_keys_new(&fault);
	tls = tls_server_new(&settings, 1, keys, at_ms, &fault);
	ck_assert_msg(tls != NULL, "%s", fault_text(&fault));
	server->tls = tls;
	server->ehlo = EHLO_CLEAR;
	server->ehlo_tls = EHLO_TLS;
}

static void
setup(void)
{
	bed_init(&bed);
	server = smtp_server_new(bed.loop, 0);
	bed_route(&bed, "*");
	bed_server(&bed, 0, server);
	bed.routes[0].tls_name = span_of(NAME);
	bed.routes[0].tls_ca = ca_path;
}

static void
teardown(void)
{
	smtp_server_free(&server);
	bed_reset(&bed);
	tls_server_free(&tls);
	tls_ticket_keys_free(&keys);
}

static bool
was_said(const char *text)
{
	return strstr(buffer_text(&server->transcript), text) != NULL;
}

/* ---- TLS that works ---- */

static const enum route_tls levels[] = { ROUTE_TLS_OPPORTUNISTIC, ROUTE_TLS_REQUIRED,
					 ROUTE_TLS_VERIFY };

START_TEST(sends_under_tls_and_says_hello_again)
{
	tls_start(NAME, 0);
	bed.routes[0].tls = levels[_i];
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	ck_assert_uint_eq(server->handshakes, 1);
	ck_assert(was_said("EHLO relay.example.com\nSTARTTLS\nEHLO relay.example.com\nMAIL"));
	ck_assert(was_said("SIZE=")); /* only offered under TLS */
	bed_until(&bed, bed_recorded(&bed, "\"tls\":{\"version\":\"TLSv1.3\"",
				     "\"cipher\":\"TLS_AES", "\"verified\":true") == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].tls_failures), 0);
}
END_TEST

START_TEST(begins_with_tls_where_told_to)
{
	tls_start(NAME, 0);
	server->is_tls_implicit = true;
	bed.routes[0].is_tls_implicit = true;
	bed.routes[0].tls = levels[_i];
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	ck_assert_uint_eq(server->handshakes, 1);
	ck_assert(!was_said("STARTTLS"));
}
END_TEST

START_TEST(resumes_a_session)
{
	tls_start(NAME, 0);
	bed.routes[0].tls = ROUTE_TLS_VERIFY;
	bed.tuning.timeouts.idle_ms = 10;
	bed_start(&bed);
	for (unsigned i = 0; i < 3; i++) {
		bed_send(&bed, "one@example.org");
		bed_until(&bed, server->message_count == i + 1);
		bed_until(&bed, server->open == 0);
	}
	ck_assert_uint_eq(server->handshakes, 3);
	ck_assert_uint_eq(server->resumed, 2);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", "\"verified\":true", NULL), 3);
}
END_TEST

/* ---- TLS that does not ---- */

static const struct misery {
	const char *name;	/* of the certificate; NULL: there is none */
	long until_s;
	bool has_other_ca;
	const char *ehlo;
	struct smtp_rule rule;
	const char *why;
	bool required_too; /* not only `verify` fails */
	bool has_clear_too; /* on the same connection */
} miseries[] = {
	{ "other.example.org", 0, false, EHLO_CLEAR, { NULL, NULL, RULE_SAY, 0 },
	  "ostname mismatch", false, false },
	{ NAME, -DAY_S, false, EHLO_CLEAR, { NULL, NULL, RULE_SAY, 0 }, "expired", false, false },
	{ NAME, 0, true, EHLO_CLEAR, { NULL, NULL, RULE_SAY, 0 }, "4.7.5", false, false },
	{ NAME, 0, false, "250 test\r\n", { NULL, NULL, RULE_SAY, 0 },
	  "STARTTLS is not offered", true, true },
	{ NAME, 0, false, EHLO_CLEAR, { "STARTTLS", "454 4.7.0 not now\r\n", RULE_SAY, 0 },
	  "STARTTLS was refused: 454", true, true },
	{ NAME, 0, false, EHLO_CLEAR, { "STARTTLS", "502 5.5.1 what?\r\n", RULE_SAY, 0 },
	  "STARTTLS was refused: 502", true, true },
	{ NAME, 0, false, EHLO_CLEAR,
	  { "STARTTLS", "220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n", RULE_SAY, 0 },
	  "behind the reply", true, false },
	{ NAME, 0, false, EHLO_CLEAR, { "STARTTLS", "220 go ahead\r\n", RULE_SAY, 0 },
	  "4.7.5", true, false },
	{ NAME, 0, false, EHLO_CLEAR, { "STARTTLS", "220 go ahead\r\n", RULE_CLOSE, 0 },
	  "4.7.5", true, false },
	{ NAME, 0, false, EHLO_CLEAR, { "STARTTLS", "", RULE_RESET, 0 }, "STARTTLS", true, false },
};

static void
misery_start(const struct misery *misery, struct smtp_rule *rule)
{
	tls_start(misery->name, misery->until_s);
	if (misery->has_other_ca)
		bed.routes[0].tls_ca = TLS_CA_FILE;
	server->ehlo = misery->ehlo;
	*rule = misery->rule;
	smtp_server_rules(server, rule, 1);
}

START_TEST(sends_nothing_without_the_tls_that_is_wanted)
{
	const struct misery *misery = &miseries[_i];
	struct smtp_rule rule;

	misery_start(misery, &rule);
	bed.routes[0].tls = misery->required_too ? ROUTE_TLS_REQUIRED : ROUTE_TLS_VERIFY;
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].tls_failures) >= 2);
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", misery->why, NULL) >= 1);
	ck_assert(!was_said("MAIL"));
	ck_assert(!was_said("AUTH"));
	ck_assert_uint_eq(server->message_count, 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	ck_assert_uint_eq(atomic_load(&bed.figures[0].hops[0].trouble), HOP_HAS_NO_TLS);
	ck_assert_int_gt(atomic_load(&bed.figures[0].hops[0].paused_until_wall_ms), 0);
}
END_TEST

START_TEST(goes_without_tls_where_it_may_fail)
{
	const struct misery *misery = &miseries[_i];
	struct smtp_rule rule;

	misery_start(misery, &rule);
	bed.routes[0].tls = ROUTE_TLS_OPPORTUNISTIC;
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	bed_until(&bed, bed_spooled(&bed) == 0);
	if (!misery->required_too) /* a bad certificate is better than none */
		ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", "\"verified\":false",
					       "\"unverified\":"), 1);
	else
		ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", "\"tls\"", NULL), 0);
	ck_assert_uint_eq(server->connections,
			  misery->required_too && !misery->has_clear_too ? 2 : 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
}
END_TEST

START_TEST(fails_over_when_tls_fails)
{
	struct smtp_server *clear = smtp_server_new(bed.loop, 0);

	tls_start(NAME, 0);
	bed.routes[0].tls = ROUTE_TLS_VERIFY;
	bed.routes[0].next_hop_count = 0;
	bed_server(&bed, 0, clear);
	bed_server(&bed, 0, server);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
	ck_assert_uint_eq(clear->message_count, 0);
	smtp_server_free(&clear);
}
END_TEST

/* ---- REQUIRETLS ---- */

static const struct requiretls {
	enum route_tls level;
	const char *name;
	const char *ehlo;
	bool is_sent;
} requiretls[] = {
	{ ROUTE_TLS_VERIFY, NAME, "250-test\r\n250 REQUIRETLS\r\n", true },
	{ ROUTE_TLS_OPPORTUNISTIC, NAME, "250-test\r\n250 REQUIRETLS\r\n", true },
	{ ROUTE_TLS_VERIFY, NAME, "250 test\r\n", false },
	{ ROUTE_TLS_REQUIRED, "other.example.org", "250-test\r\n250 REQUIRETLS\r\n", false },
	{ ROUTE_TLS_NONE, NAME, "250-test\r\n250 REQUIRETLS\r\n", false },
};

START_TEST(honours_requiretls)
{
	const struct requiretls *row = &requiretls[_i];
	const char *to = "one@example.org";

	tls_start(row->name, 0);
	server->ehlo_tls = row->ehlo;
	if (row->level == ROUTE_TLS_NONE)
		server->ehlo = row->ehlo;
	bed.routes[0].tls = row->level;
	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){
			     .sender = "sender@example.com",
			     .recipients = &to,
			     .recipient_count = 1,
			     .body = SPAN_LITERAL("A: b\r\n\r\nc\r\n"),
			     .needs_tls = true,
			 });
	if (row->is_sent) {
		bed_until(&bed, server->message_count == 1);
		ck_assert_str_eq(buffer_text(&smtp_server_last(server)->sender),
				 "MAIL FROM:<sender@example.com> REQUIRETLS");
	} else {
		bed_until(&bed, bed_recorded(&bed, "\"failed\"", "5.7.30", NULL) == 1);
		ck_assert_uint_eq(server->message_count, 0);
	}
}
END_TEST

/* ---- Logins ---- */

static void
login_use(unsigned mechanisms)
{
	FILE *file = fopen(path_of(password_path, "password"), "w");

	ck_assert_ptr_nonnull(file);
	(void)fputs("secret\n", file);
	(void)fclose(file);
	bed.routes[0].auth = (struct route_auth){
		.mechanisms = mechanisms,
		.user = SPAN_LITERAL("relay"),
		.password_file = password_path,
	};
}

static const struct login {
	const char *offer;
	unsigned allowed;
	struct smtp_rule rules[3];
	const char *said;
} logins[] = {
	{ "250-test\r\n250 AUTH LOGIN PLAIN\r\n", LOGIN_MECHANISMS,
	  { { "AUTH PLAIN", "235 2.7.0 welcome\r\n", RULE_SAY, 0 } },
	  "AUTH PLAIN AHJlbGF5AHNlY3JldA==\n" },
	{ "250-test\r\n250 AUTH LOGIN PLAIN\r\n", AUTH_BIT(AUTH_LOGIN),
	  { { "AUTH LOGIN", "334 VXNlcm5hbWU6\r\n", RULE_SAY, 0 },
	    { "cmVsYXk=", "334 UGFzc3dvcmQ6\r\n", RULE_SAY, 0 },
	    { "c2VjcmV0", "235 2.7.0 welcome\r\n", RULE_SAY, 0 } },
	  "AUTH LOGIN\ncmVsYXk=\nc2VjcmV0\n" },
	{ "250-test\r\n250 AUTH CRAM-MD5 PLAIN\r\n", LOGIN_MECHANISMS,
	  { { "AUTH CRAM-MD5", "334 PDFAdGVzdD4=\r\n", RULE_SAY, 0 },
	    { "cmVsYXkg", "235 2.7.0 welcome\r\n", RULE_SAY, 0 } },
	  "AUTH CRAM-MD5\ncmVsYXkg" },
};

START_TEST(logs_in_by_the_strongest_that_is_offered)
{
	const struct login *row = &logins[_i];
	struct smtp_rule rules[3];

	memcpy(rules, row->rules, sizeof(rules));
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	server->ehlo = row->offer;
	login_use(row->allowed);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	ck_assert(was_said(row->said));
	ck_assert_uint_eq(bed_recorded(&bed, "secret", NULL, NULL), 0);
	ck_assert_uint_eq(bed_recorded(&bed, "c2VjcmV0", NULL, NULL), 0);
}
END_TEST

static const struct refused_login {
	const char *offer;
	struct smtp_rule rules[2];
	const char *why;
} refused_logins[] = {
	{ "250-test\r\n250 AUTH PLAIN\r\n",
	  { { "AUTH", "535 5.7.8 no\r\n", RULE_SAY, 0 } }, "4.7.8 login refused: 535" },
	{ "250-test\r\n250 AUTH PLAIN\r\n",
	  { { "AUTH", "454 4.7.0 later\r\n", RULE_SAY, 0 } }, "4.7.8 login refused: 454" },
	{ "250-test\r\n250 AUTH PLAIN\r\n",
	  { { "AUTH", "", RULE_RESET, 0 } }, "while logging in" },
	{ "250-test\r\n250 AUTH GSSAPI NTLM\r\n", { { NULL, NULL, RULE_SAY, 0 } },
	  "4.7.4 no login" },
	{ "250 test\r\n", { { NULL, NULL, RULE_SAY, 0 } }, "4.7.4 no login" },
	{ "250-test\r\n250 AUTH CRAM-MD5\r\n",
	  { { "AUTH", "334 ***\r\n", RULE_SAY, 0 }, { "*", "501 5.7.0 gone\r\n", RULE_SAY, 0 } },
	  "makes no sense" },
	{ "250-test\r\n250 AUTH PLAIN\r\n",
	  { { "AUTH", "334 AAAA\r\n", RULE_SAY, 0 }, { "*", "235 2.7.0 ha\r\n", RULE_SAY, 0 } },
	  "makes no sense" },
	{ "250-test\r\n250 AUTH SCRAM-SHA-256\r\n",
	  { { "AUTH", "235 2.7.0 just come in\r\n", RULE_SAY, 0 } }, "did not prove" },
	{ "250-test\r\n250 AUTH SCRAM-SHA-1\r\n",
	  { { "AUTH", "334 cj14LHM9eCxpPTE=\r\n", RULE_SAY, 0 },
	    { "*", "501 5.7.0 gone\r\n", RULE_SAY, 0 } }, "makes no sense" },
};

START_TEST(waits_and_goes_elsewhere_when_the_login_is_refused)
{
	const struct refused_login *row = &refused_logins[_i];
	struct smtp_server *other = smtp_server_new(bed.loop, 0);
	struct smtp_rule rules[2];
	struct smtp_rule good[] = { { "AUTH PLAIN", "235 2.7.0 welcome\r\n", RULE_SAY, 0 } };

	memcpy(rules, row->rules, sizeof(rules));
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	smtp_server_rules(other, good, ARRAY_LEN(good));
	server->ehlo = row->offer;
	other->ehlo = "250-test\r\n250 AUTH PLAIN\r\n";
	login_use(LOGIN_MECHANISMS);
	bed_server(&bed, 0, other);
	smtp_server_down(other);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].login_failures) >= 2);
	bed_until(&bed, atomic_load(&bed.figures[0].hops[0].trouble) == HOP_REFUSES_LOGIN);
	ck_assert(!was_said("MAIL"));
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	smtp_server_up(other);
	bed_until(&bed, other->message_count == 1);
	bed_until(&bed, bed_spooled(&bed) == 0);
	smtp_server_free(&other);
}
END_TEST

START_TEST(says_why_a_refused_login_keeps_mail_waiting)
{
	const struct refused_login *row = &refused_logins[_i];
	struct smtp_rule rules[2];

	memcpy(rules, row->rules, sizeof(rules));
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	server->ehlo = row->offer;
	login_use(LOGIN_MECHANISMS);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", row->why, NULL) == 1);
	ck_assert_uint_eq(bed_recorded(&bed, "secret", NULL, NULL), 0);
}
END_TEST

START_TEST(logs_in_under_tls_only_after_the_second_hello)
{
	struct smtp_rule rules[] = { { "AUTH PLAIN", "235 2.7.0 welcome\r\n", RULE_SAY, 0 } };

	tls_start(NAME, 0);
	server->ehlo = "250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n";
	server->ehlo_tls = "250-test\r\n250 AUTH PLAIN\r\n";
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	bed.routes[0].tls = ROUTE_TLS_VERIFY;
	login_use(LOGIN_MECHANISMS);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	ck_assert(was_said("STARTTLS\nEHLO relay.example.com\nAUTH PLAIN "));
}
END_TEST

/* ---- Files ---- */

static const struct bad_password {
	const char *text;
	const char *why;
} bad_passwords[] = {
	{ NULL, "No such file" },
	{ "", "does not hold one line" },
	{ "\n", "does not hold one line" },
	{ "one\ntwo\n", "does not hold one line" },
};

START_TEST(refuses_a_password_file_without_a_password)
{
	FILE *file;

	login_use(LOGIN_MECHANISMS);
	(void)unlink(password_path);
	if (bad_passwords[_i].text != NULL) {
		file = fopen(password_path, "w");
		ck_assert_ptr_nonnull(file);
		(void)fputs(bad_passwords[_i].text, file);
		(void)fclose(file);
	}
	ck_assert_ptr_null(upstream_new(bed.routes, 1, clock_wall_ms(), NULL, &fault));
	ck_assert_msg(strstr(fault_text(&fault), bad_passwords[_i].why) != NULL &&
			  strstr(fault_text(&fault), "route \"r0\"") != NULL,
		      "%s", fault_text(&fault));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("upstream");
	TCase *good = tcase_create("TLS");
	TCase *bad = tcase_create("bad TLS");
	TCase *login = tcase_create("login");
	TCase *const cases[] = { good, bad, login };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		tcase_add_checked_fixture(cases[i], setup, teardown);
		tcase_set_timeout(cases[i], 60);
		suite_add_tcase(suite, cases[i]);
	}
	tcase_add_loop_test(good, sends_under_tls_and_says_hello_again, 0, ARRAY_LEN(levels));
	tcase_add_loop_test(good, begins_with_tls_where_told_to, 0, ARRAY_LEN(levels));
	tcase_add_test(good, resumes_a_session);
	tcase_add_loop_test(good, honours_requiretls, 0, ARRAY_LEN(requiretls));
	tcase_add_loop_test(bad, sends_nothing_without_the_tls_that_is_wanted, 0,
			    ARRAY_LEN(miseries));
	tcase_add_loop_test(bad, goes_without_tls_where_it_may_fail, 0, ARRAY_LEN(miseries));
	tcase_add_test(bad, fails_over_when_tls_fails);
	tcase_add_loop_test(login, logs_in_by_the_strongest_that_is_offered, 0,
			    ARRAY_LEN(logins));
	tcase_add_loop_test(login, waits_and_goes_elsewhere_when_the_login_is_refused, 0,
			    ARRAY_LEN(refused_logins));
	tcase_add_loop_test(login, says_why_a_refused_login_keeps_mail_waiting, 0,
			    ARRAY_LEN(refused_logins));
	tcase_add_test(login, logs_in_under_tls_only_after_the_second_hello);
	tcase_add_loop_test(login, refuses_a_password_file_without_a_password, 0,
			    ARRAY_LEN(bad_passwords));
	return suite_main(suite);
}
