/* SPDX-License-Identifier: ISC */
/* auth/sasl.h: the real Cyrus SASL over a users file. */
#include "auth_fixture.h"

#include "base/clock.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct log quiet;
static struct auth_settings settings;
static struct sasl_engine *engine;
static const struct auth_facts in_tls = { .is_tls = true };

static void
set_up(void)
{
	struct fault fault;

	settings = users_file_settings(folder_make());
	user_put(settings.users_file, "billing", "correct horse", true);
	user_put(settings.users_file, "printer@example.com", "p", false);
	user_put(settings.users_file, "gone", "away", true);
	ck_assert_int_eq(users_file_change(settings.users_file, span_of(REALM), USER_DISABLE,
					   span_of("gone@example.com"), NULL, 0, &fault),
			 USER_CHANGED);
	engine = sasl_engine_new(&settings, &quiet, &fault);
	ck_assert_msg(engine != NULL, "%s", engine == NULL ? fault_text(&fault) : "");
}

static void
tear_down(void)
{
	sasl_engine_free(&engine);
}

static struct scram_client
scram_of(enum digest_kind kind, const char *user, const char *password)
{
	return (struct scram_client){
		.kind = kind, .user = user, .password = password, .gs2 = "n,,"
	};
}

START_TEST(offers_what_the_store_can_do_and_no_more)
{
	unsigned expected = AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN) |
			    AUTH_BIT(AUTH_SCRAM_SHA_1) | AUTH_BIT(AUTH_SCRAM_SHA_1_PLUS) |
			    AUTH_BIT(AUTH_SCRAM_SHA_256) | AUTH_BIT(AUTH_SCRAM_SHA_256_PLUS) |
			    AUTH_BIT(AUTH_EXTERNAL);

	ck_assert_uint_eq(sasl_engine_mechanisms(engine), expected);
}
END_TEST

static const struct { const char *user, *password; enum auth_code code; } passwords[] = {
	{ "billing", "correct horse", AUTH_OK },
	{ "billing@example.com", "correct horse", AUTH_OK },
	{ "billing@EXAMPLE.com", "correct horse", AUTH_OK },
	{ "printer", "p", AUTH_OK },
	{ "billing", "correct hors", AUTH_FAILED },
	{ "billing", "correct horse ", AUTH_FAILED },
	{ "billing", "", AUTH_FAILED },
	{ "Billing", "correct horse", AUTH_FAILED },
	{ "billing@other.example", "correct horse", AUTH_FAILED },
	{ "billing@", "correct horse", AUTH_FAILED },
	{ "@example.com", "correct horse", AUTH_FAILED },
	{ "", "correct horse", AUTH_FAILED },
	{ " billing", "correct horse", AUTH_FAILED },
	{ "billing ", "correct horse", AUTH_FAILED },
	{ "bill\ning", "correct horse", AUTH_FAILED },
	{ "nobody", "correct horse", AUTH_FAILED },
	{ "gone", "away", AUTH_FAILED },
	{ "*", "*", AUTH_FAILED },
	{ "%n%n%s", "x", AUTH_FAILED },
};

START_TEST(plain_takes_the_right_password_and_no_other)
{
	ck_assert_int_eq(plain_try(engine, passwords[_i].user, passwords[_i].password),
			 passwords[_i].code);
	/* and again: what was right is remembered, what was wrong is not */
	ck_assert_int_eq(plain_try(engine, passwords[_i].user, passwords[_i].password),
			 passwords[_i].code);
	ck_assert_int_eq(plain_try(engine, passwords[_i].user, "something else"), AUTH_FAILED);
}
END_TEST

START_TEST(plain_names_the_login_in_full)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, plain_message("billing@example.com", "billing",
						     "correct horse"), &answer);
	ck_assert_int_eq(answer.code, AUTH_OK);
	ck_assert(span_equal(answer.user, span_of("billing@example.com")));
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(failure_names_who_it_claimed_to_be)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, plain_message("", "nobody", "x"), &answer);
	ck_assert_int_eq(answer.code, AUTH_FAILED);
	ck_assert(span_equal(answer.user, span_of("nobody@example.com")));
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(nobody_acts_as_somebody_else)
{
	static const char *const others[] = { "printer", "root", "billing@other.example", "x" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
		struct auth_answer answer;

		sasl_dialog_step(dialog, true,
				 plain_message(others[i], "billing", "correct horse"), &answer);
		ck_assert_int_eq(answer.code, AUTH_FAILED);
		sasl_dialog_free(&dialog);
	}
}
END_TEST

static const struct { const char *bytes; size_t len; } malformed[] = {
#define BYTES(text) { text, sizeof(text) - 1 }
	BYTES(""), BYTES("billing"), BYTES("\0billing"), BYTES("\0billing\0correct horse\0"),
	BYTES("\0billing\0correct horse\0x"), BYTES("\0\0"), BYTES("\0\0\0"),
	BYTES("\0billing\0correct\0horse"), BYTES("billing\0correct horse"),
};

START_TEST(plain_counts_its_nuls)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, (struct span){ malformed[_i].bytes, malformed[_i].len },
			 &answer);
	ck_assert_int_eq(answer.code, AUTH_FAILED);
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(plain_without_initial_response_asks_for_it)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, false, span_of(""), &answer);
	ck_assert_int_eq(answer.code, AUTH_CONTINUE);
	ck_assert_uint_eq(answer.data.len, 0);
	sasl_dialog_step(dialog, true, plain_message("", "billing", "correct horse"), &answer);
	ck_assert_int_eq(answer.code, AUTH_OK);
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(password_in_clear_needs_tls_or_leave)
{
	static const struct { struct auth_facts facts; enum auth_code code; } cases[] = {
		{ { .is_tls = false }, AUTH_FAILED },
		{ { .allows_plain_text = true }, AUTH_OK },
		{ { .is_tls = true }, AUTH_OK },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &cases[i].facts);
		struct auth_answer answer;

		sasl_dialog_step(dialog, true, plain_message("", "billing", "correct horse"),
				 &answer);
		ck_assert_int_eq(answer.code, cases[i].code);
		sasl_dialog_free(&dialog);
	}
	const struct auth_facts clear = { .is_tls = false };
	struct scram_client client = scram_of(DIGEST_SHA_256, "billing", "correct horse");

	ck_assert_int_eq(scram_try(engine, AUTH_SCRAM_SHA_256, &clear, &client, NULL), AUTH_OK);
}
END_TEST

static const struct {
	const char *initial, *name, *password; /* NULL: not sent */
	enum auth_code code;
} logins[] = {
	{ NULL, "billing", "correct horse", AUTH_OK },
	{ "billing", NULL, "correct horse", AUTH_OK },
	{ NULL, "billing", "wrong", AUTH_FAILED },
	{ NULL, "nobody", "correct horse", AUTH_FAILED },
	{ NULL, "gone", "away", AUTH_FAILED },
	{ NULL, "billing", "", AUTH_FAILED },
};

START_TEST(login_asks_for_name_and_password)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_LOGIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, logins[_i].initial != NULL, span_of(logins[_i].initial), &answer);
	ck_assert_int_eq(answer.code, AUTH_CONTINUE);
	if (logins[_i].name != NULL) {
		ck_assert(span_equal(answer.data, span_of("Username:")));
		sasl_dialog_step(dialog, true, span_of(logins[_i].name), &answer);
		ck_assert_int_eq(answer.code, AUTH_CONTINUE);
	}
	ck_assert(span_equal(answer.data, span_of("Password:")));
	sasl_dialog_step(dialog, true, span_of(logins[_i].password), &answer);
	ck_assert_int_eq(answer.code, logins[_i].code);
	if (answer.code == AUTH_OK)
		ck_assert(span_equal(answer.user, span_of("billing@example.com")));
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(login_with_a_nul_is_refused)
{
	struct auth_answer answer;
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_LOGIN, &in_tls);

	sasl_dialog_step(dialog, true, (struct span){ "billing\0correct horse", 21 }, &answer);
	ck_assert_int_eq(answer.code, AUTH_FAILED);
	sasl_dialog_free(&dialog);
	dialog = sasl_dialog_new(engine, AUTH_LOGIN, &in_tls);
	sasl_dialog_step(dialog, true, span_of("nobody"), &answer);
	sasl_dialog_step(dialog, true, (struct span){ "x\0billing\0correct horse", 23 }, &answer);
	ck_assert_int_eq(answer.code, AUTH_FAILED);
	sasl_dialog_free(&dialog);
}
END_TEST

static const struct {
	enum auth_mechanism mechanism;
	enum digest_kind kind;
	const char *user, *password;
	enum auth_code code;
} scrams[] = {
	{ AUTH_SCRAM_SHA_256, DIGEST_SHA_256, "billing", "correct horse", AUTH_OK },
	{ AUTH_SCRAM_SHA_256, DIGEST_SHA_256, "billing@example.com", "correct horse", AUTH_OK },
	{ AUTH_SCRAM_SHA_1, DIGEST_SHA_1, "billing", "correct horse", AUTH_OK },
	{ AUTH_SCRAM_SHA_256, DIGEST_SHA_256, "billing", "wrong", AUTH_FAILED },
	{ AUTH_SCRAM_SHA_1, DIGEST_SHA_1, "billing", "wrong", AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256, DIGEST_SHA_256, "nobody", "correct horse", AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256, DIGEST_SHA_256, "gone", "away", AUTH_FAILED },
	/* it has no verifier of that kind */
	{ AUTH_SCRAM_SHA_1, DIGEST_SHA_1, "printer", "p", AUTH_FAILED },
};

START_TEST(scram_proves_the_password_without_sending_it)
{
	struct scram_client client =
	    scram_of(scrams[_i].kind, scrams[_i].user, scrams[_i].password);
	char user[AUTH_LOGIN_MAX + 1];

	ck_assert_int_eq(scram_try(engine, scrams[_i].mechanism, &in_tls, &client, user),
			 scrams[_i].code);
	ck_assert_msg(client.server_first[0] == 'r', "no first answer: the login was betrayed");
	if (scrams[_i].code == AUTH_OK)
		ck_assert_str_eq(user, "billing@example.com");
}
END_TEST

/* What of a first answer may not differ between two exchanges. */
static const char *
salt_and_count(const struct scram_client *client)
{
	return strstr(client->server_first, ",s=");
}

START_TEST(login_that_does_not_exist_looks_like_one_that_does)
{
	static const char *const users[] = { "nobody", "gone", "billing" };

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		struct scram_client a = scram_of(DIGEST_SHA_256, users[i], "x");
		struct scram_client b = scram_of(DIGEST_SHA_256, users[i], "y");

		ck_assert_int_eq(scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &a, NULL),
				 AUTH_FAILED);
		tear_down(); /* a restart changes nothing, either */
		struct fault fault;

		engine = sasl_engine_new(&settings, &quiet, &fault);
		ck_assert_int_eq(scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &b, NULL),
				 AUTH_FAILED);
		ck_assert_str_eq(salt_and_count(&a), salt_and_count(&b));
		ck_assert_ptr_nonnull(strstr(a.server_first, ",i=4096"));
		ck_assert_uint_eq(strlen(a.server_first) - strlen(a.first_bare),
				  strlen(b.server_first) - strlen(b.first_bare));
	}
	struct scram_client a = scram_of(DIGEST_SHA_256, "nobody", "x");
	struct scram_client b = scram_of(DIGEST_SHA_256, "nobody2", "x");

	(void)scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &a, NULL);
	(void)scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &b, NULL);
	ck_assert_str_ne(salt_and_count(&a), salt_and_count(&b));
}
END_TEST

static const char right_binding[] = "0123456789abcdef0123456789abcdef";
static const char wrong_binding[] = "0123456789abcdef0123456789abcdeF";

static const struct {
	enum auth_mechanism mechanism;
	const char *gs2, *binding;
	bool has_binding;
	enum auth_code code;
} bindings[] = {
	{ AUTH_SCRAM_SHA_256_PLUS, "p=tls-exporter,,", right_binding, true, AUTH_OK },
	{ AUTH_SCRAM_SHA_256_PLUS, "p=tls-exporter,,", wrong_binding, true, AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256_PLUS, "p=tls-unique,,", right_binding, true, AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256_PLUS, "p=tls-exporter,,", right_binding, false, AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256_PLUS, "n,,", "", true, AUTH_FAILED }, /* bound by name only */
	{ AUTH_SCRAM_SHA_256_PLUS, "y,,", "", true, AUTH_FAILED },
	{ AUTH_SCRAM_SHA_256, "n,,", "", true, AUTH_OK },
	{ AUTH_SCRAM_SHA_256, "y,,", "", true, AUTH_FAILED }, /* somebody hid -PLUS from it */
	{ AUTH_SCRAM_SHA_256, "y,,", "", false, AUTH_OK },
	{ AUTH_SCRAM_SHA_256, "p=tls-exporter,,", right_binding, false, AUTH_FAILED },
};

START_TEST(channel_binding_is_checked)
{
	struct auth_facts facts = { .is_tls = true, .has_binding = bindings[_i].has_binding };
	struct scram_client client = scram_of(DIGEST_SHA_256, "billing", "correct horse");

	memcpy(facts.binding, right_binding, sizeof(facts.binding));
	client.gs2 = bindings[_i].gs2;
	client.binding = span_of(bindings[_i].binding);
	ck_assert_int_eq(scram_try(engine, bindings[_i].mechanism, &facts, &client, NULL),
			 bindings[_i].code);
}
END_TEST

static const struct {
	const char *external, *authorize_as;
	enum auth_code code;
	const char *user;
} externals[] = {
	{ "billing", "", AUTH_OK, "billing@example.com" },
	{ "app7@apps.example.com", "", AUTH_OK, "app7@apps.example.com" },
	{ "billing", "billing@example.com", AUTH_OK, "billing@example.com" },
	{ "billing", "printer", AUTH_FAILED, "" },
	{ "gone", "", AUTH_FAILED, "" },
	{ "", "", AUTH_FAILED, "" },
	{ "", "billing", AUTH_FAILED, "" },
};

START_TEST(external_takes_the_certificates_login)
{
	const struct auth_facts facts = { .is_tls = true,
					  .external = span_of(externals[_i].external) };
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_EXTERNAL, &facts);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, span_of(externals[_i].authorize_as), &answer);
	ck_assert_int_eq(answer.code, externals[_i].code);
	if (answer.code == AUTH_OK)
		ck_assert(span_equal(answer.user, span_of(externals[_i].user)));
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(external_without_initial_response_asks_for_it)
{
	const struct auth_facts facts = { .is_tls = true, .external = span_of("billing") };
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_EXTERNAL, &facts);
	struct auth_answer answer;

	sasl_dialog_step(dialog, false, span_of(""), &answer);
	ck_assert_int_eq(answer.code, AUTH_CONTINUE);
	sasl_dialog_step(dialog, true, span_of(""), &answer);
	ck_assert_int_eq(answer.code, AUTH_OK);
	sasl_dialog_free(&dialog);
}
END_TEST

START_TEST(mechanism_that_is_not_served_fails)
{
	static const enum auth_mechanism others[] = { AUTH_CRAM_MD5, AUTH_GSSAPI };

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct sasl_dialog *dialog = sasl_dialog_new(engine, others[i], &in_tls);
		struct auth_answer answer;

		sasl_dialog_step(dialog, false, span_of(""), &answer);
		ck_assert_int_eq(answer.code, AUTH_FAILED);
		sasl_dialog_free(&dialog);
	}
}
END_TEST

START_TEST(change_of_the_file_is_noticed_at_once)
{
	struct fault fault;
	struct verifier verifier;

	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	verifier_make(&verifier, DIGEST_SHA_256, span_of("new"), 4096);
	ck_assert_int_eq(users_file_change(settings.users_file, span_of(REALM),
					   USER_SET_PASSWORD, span_of("billing@example.com"),
					   &verifier, 1, &fault),
			 USER_CHANGED);
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_FAILED);
	ck_assert_int_eq(plain_try(engine, "billing", "new"), AUTH_OK);
	ck_assert_int_eq(users_file_change(settings.users_file, span_of(REALM), USER_DISABLE,
					   span_of("billing@example.com"), NULL, 0, &fault),
			 USER_CHANGED);
	ck_assert_int_eq(plain_try(engine, "billing", "new"), AUTH_FAILED);
}
END_TEST

START_TEST(file_that_is_gone_is_trouble_and_not_a_refusal)
{
	struct scram_client client = scram_of(DIGEST_SHA_256, "billing", "correct horse");

	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	ck_assert_int_eq(unlink(settings.users_file), 0);
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_TROUBLE);
	ck_assert_int_eq(scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &client, NULL),
			 AUTH_TROUBLE);
	user_put(settings.users_file, "billing", "correct horse", false);
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
}
END_TEST

START_TEST(engine_that_lacks_its_plug_in_says_so)
{
	struct auth_settings other = settings;
	struct fault fault;

	tear_down();
	other.method = AUTH_METHOD_AUXPROP;
	other.auxprop_plugin = "no-such-store";
	ck_assert_ptr_null(sasl_engine_new(&other, &quiet, &fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), "no-such-store"));
}
END_TEST

START_TEST(random_tokens_never_log_in)
{
	static const enum auth_mechanism all[] = { AUTH_PLAIN, AUTH_LOGIN, AUTH_SCRAM_SHA_256,
						   AUTH_SCRAM_SHA_1, AUTH_SCRAM_SHA_256_PLUS };
	static const char letters[] = "npyc=,a=billing@example.com,r=v\0\0\0abc=0123";
	const struct auth_facts facts = { .is_tls = true, .has_binding = true };

	for (int i = 0; i < 20000; i++) {
		struct sasl_dialog *dialog =
		    sasl_dialog_new(engine, all[rand() % (int)ARRAY_LEN(all)], &facts);
		struct auth_answer answer = { .code = AUTH_CONTINUE };

		for (int step = 0; step < 4 && answer.code == AUTH_CONTINUE; step++) {
			char token[64];
			size_t len = (size_t)rand() % sizeof(token);

			for (size_t n = 0; n < len; n++)
				token[n] = rand() % 4 == 0 ?
					       (char)rand() :
					       letters[(size_t)rand() % (sizeof(letters) - 1)];
			if (rand() % 2 == 0 && len > 9)
				memcpy(token, "n,,n=x,r=", 9);
			sasl_dialog_step(dialog, step > 0 || rand() % 2 == 0,
					 (struct span){ token, len }, &answer);
		}
		ck_assert_int_ne(answer.code, AUTH_OK);
		ck_assert_int_ne(answer.code, AUTH_TROUBLE);
		sasl_dialog_free(&dialog);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sasl");
	TCase *tc = tcase_create("users file");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, offers_what_the_store_can_do_and_no_more);
	tcase_add_loop_test(tc, plain_takes_the_right_password_and_no_other, 0,
			    ARRAY_LEN(passwords));
	tcase_add_test(tc, plain_names_the_login_in_full);
	tcase_add_test(tc, failure_names_who_it_claimed_to_be);
	tcase_add_test(tc, nobody_acts_as_somebody_else);
	tcase_add_loop_test(tc, plain_counts_its_nuls, 0, ARRAY_LEN(malformed));
	tcase_add_test(tc, plain_without_initial_response_asks_for_it);
	tcase_add_test(tc, password_in_clear_needs_tls_or_leave);
	tcase_add_loop_test(tc, login_asks_for_name_and_password, 0, ARRAY_LEN(logins));
	tcase_add_test(tc, login_with_a_nul_is_refused);
	tcase_add_loop_test(tc, scram_proves_the_password_without_sending_it, 0,
			    ARRAY_LEN(scrams));
	tcase_add_test(tc, login_that_does_not_exist_looks_like_one_that_does);
	tcase_add_loop_test(tc, channel_binding_is_checked, 0, ARRAY_LEN(bindings));
	tcase_add_loop_test(tc, external_takes_the_certificates_login, 0, ARRAY_LEN(externals));
	tcase_add_test(tc, external_without_initial_response_asks_for_it);
	tcase_add_test(tc, mechanism_that_is_not_served_fails);
	tcase_add_test(tc, change_of_the_file_is_noticed_at_once);
	tcase_add_test(tc, file_that_is_gone_is_trouble_and_not_a_refusal);
	tcase_add_test(tc, engine_that_lacks_its_plug_in_says_so);
	tcase_add_test(tc, random_tokens_never_log_in);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
