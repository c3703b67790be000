/* SPDX-License-Identifier: ISC */
/*
 * Where logins may come from besides the users file, with the real things: a sasldb made by
 * saslpasswd2, a saslauthd that asks a real slapd, Kerberos tickets of a real KDC. A part whose
 * programs are not installed is left out, and says so.
 */
#include "auth_fixture.h"

#include "auth/client.h"
#include "auth/helper.h"
#include "base/clock.h"
#include "base/log.h"
#include "suite.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sasl/sasl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000

/* The client side of Cyrus SASL's GSSAPI leaks; it is no part of relayd. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define CLIENT(call) (__lsan_disable(), client_result = (call), __lsan_enable(), client_result)
#else
#define CLIENT(call) (client_result = (call))
#endif
static int client_result;

static const struct log quiet;
static const struct auth_facts in_tls = { .is_tls = true };
static struct auth_settings settings;
static struct sasl_engine *engine;
static const char *folder;

static bool
has_programs(const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (program_find(names[i]) == NULL) {
			(void)fprintf(stderr, "left out: %s is not installed\n", names[i]);
			return false;
		}
	}
	return true;
}

static void
settings_begin(enum auth_method method)
{
	folder = folder_make();
	settings = users_file_settings(folder);
	settings.method = method;
	settings.users_file = NULL;
}

static void
engine_start(void)
{
	struct fault fault;

	engine = sasl_engine_new(&settings, &quiet, &fault);
	ck_assert_msg(engine != NULL, "%s", engine == NULL ? fault_text(&fault) : "");
}

static void
run(const char *const argv[], const char *input)
{
	int status = program_run(folder, argv, input);

	ck_assert_msg(status == 0, "%s: exit %d; see %s/run.log", argv[0], status, folder);
}

/* ---- sasldb ---- */

static const char *const sasldb_programs[] = { "saslpasswd2" };

/* saslpasswd2 -n keeps keys only if its own configuration says so, and those of one hash. */
static void
sasldb_configure(void)
{
	file_write(path_in(folder, "saslpasswd.conf"), "scram_secret_generate: yes\n");
	ck_assert_int_eq(setenv("SASL_CONF_PATH", folder, 1), 0);
}

static void
sasldb_put(const char *user, const char *password, bool is_clear)
{
	const char *const clear[] = { program_find("saslpasswd2"), "-p", "-c", "-u", REALM, "-f",
				      settings.sasldb_path, user, NULL };
	const char *const keys[] = { program_find("saslpasswd2"), "-p", "-c", "-n", "-u", REALM,
				     "-f", settings.sasldb_path, user, NULL };

	run(is_clear ? clear : keys, password);
}

static bool
sasldb_begin(bool scram_from_clear)
{
	if (!has_programs(sasldb_programs, ARRAY_LEN(sasldb_programs)))
		return false;
	settings_begin(AUTH_METHOD_SASLDB);
	settings.sasldb_path = path_in(folder, "sasldb2");
	settings.scram_from_clear = scram_from_clear;
	sasldb_configure();
	sasldb_put("billing", "correct horse", true);
	sasldb_put("keyed", "staple", false);
	engine_start();
	return true;
}

static const struct { const char *user, *password; enum auth_code code; } sasldb_logins[] = {
	{ "billing", "correct horse", AUTH_OK },
	{ "billing@example.com", "correct horse", AUTH_OK },
	{ "keyed", "staple", AUTH_OK },
	{ "billing", "wrong", AUTH_FAILED },
	{ "keyed", "wrong", AUTH_FAILED },
	{ "nobody", "correct horse", AUTH_FAILED },
	{ "billing@other.example", "correct horse", AUTH_FAILED },
	{ "billing", "", AUTH_FAILED },
};

START_TEST(sasldb_checks_passwords)
{
	if (!sasldb_begin(false))
		return;
	for (size_t i = 0; i < ARRAY_LEN(sasldb_logins); i++)
		ck_assert_msg(plain_try(engine, sasldb_logins[i].user,
					sasldb_logins[i].password) == sasldb_logins[i].code,
			      "%s %s", sasldb_logins[i].user, sasldb_logins[i].password);
	ck_assert_uint_eq(sasl_engine_mechanisms(engine) & AUTH_BIT(AUTH_SCRAM_SHA_256), 0);
	ck_assert_uint_ne(sasl_engine_mechanisms(engine) & AUTH_BIT(AUTH_CRAM_MD5), 0);
	sasl_engine_free(&engine);
}
END_TEST

static enum auth_code
cram_try(const char *user, const char *password)
{
	const struct auth_facts clear = { .is_tls = false };
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_CRAM_MD5, &clear);
	struct auth_answer answer;
	unsigned char mac[EVP_MAX_MD_SIZE];
	char response[512];
	int len;

	sasl_dialog_step(dialog, false, span_of(""), &answer);
	ck_assert_int_eq(answer.code, AUTH_CONTINUE);
	ck_assert_ptr_nonnull(HMAC(EVP_md5(), password, (int)strlen(password),
				   (const unsigned char *)answer.data.ptr, answer.data.len, mac,
				   NULL));
	len = snprintf(response, sizeof(response), "%s ", user);
	for (size_t i = 0; i < 16; i++)
		len += snprintf(response + len, sizeof(response) - (size_t)len, "%02x", mac[i]);
	sasl_dialog_step(dialog, true, span_of(response), &answer);
	enum auth_code code = answer.code;

	sasl_dialog_free(&dialog);
	return code;
}

START_TEST(sasldb_serves_cram_md5)
{
	if (!sasldb_begin(false))
		return;
	ck_assert_int_eq(cram_try("billing", "correct horse"), AUTH_OK);
	ck_assert_int_eq(cram_try("billing@example.com", "correct horse"), AUTH_OK);
	ck_assert_int_eq(cram_try("billing", "wrong"), AUTH_FAILED);
	ck_assert_int_eq(cram_try("nobody", "correct horse"), AUTH_FAILED);
	ck_assert_int_eq(cram_try("keyed", "staple"), AUTH_FAILED); /* no clear text there */
	sasl_engine_free(&engine);
}
END_TEST

START_TEST(sasldb_serves_scram_where_that_is_wanted)
{
	static const struct { const char *user, *password; enum auth_code code; } cases[] = {
		{ "billing", "correct horse", AUTH_OK },
		{ "billing", "wrong", AUTH_FAILED },
		{ "nobody", "wrong", AUTH_FAILED },
		/* its keys are of another hash */
		{ "keyed", "wrong", AUTH_FAILED },
	};

	if (!sasldb_begin(true))
		return;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scram_client client = { .kind = DIGEST_SHA_256, .user = cases[i].user,
					       .password = cases[i].password, .gs2 = "n,," };

		ck_assert_msg(scram_try(engine, AUTH_SCRAM_SHA_256, &in_tls, &client, NULL) ==
				  cases[i].code, "%s", cases[i].user);
		ck_assert_msg(client.server_first[0] == 'r', "%s was betrayed", cases[i].user);
	}
	sasl_engine_free(&engine);
}
END_TEST

START_TEST(sasldb_that_is_not_there_lets_nobody_in)
{
	if (!sasldb_begin(false))
		return;
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	ck_assert_int_eq(unlink(settings.sasldb_path), 0);
	ck_assert_int_ne(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	sasl_engine_free(&engine);
}
END_TEST

/* ---- saslauthd, which asks slapd ---- */

static const char *const ldap_programs[] = { "saslauthd", "slapd", "slapadd" };
static pid_t slapd_pid, saslauthd_pid;
static uint16_t slapd_port;

static const char directory[] =
    "dn: dc=example,dc=com\n"
    "objectClass: dcObject\n"
    "objectClass: organization\n"
    "o: example\n"
    "dc: example\n"
    "\n"
    "dn: uid=billing,dc=example,dc=com\n"
    "objectClass: account\n"
    "objectClass: simpleSecurityObject\n"
    "uid: billing\n"
    "userPassword: correct horse\n";

static void
slapd_start(void)
{
	const char *conf = path_in(folder, "slapd.conf"), *db = path_in(folder, "ldap");
	const char *ldif = path_in(folder, "directory.ldif");
	char text[2048], url[64];

	ck_assert_int_eq(mkdir(db, 0700), 0);
	(void)snprintf(text, sizeof(text),
		       "include /etc/ldap/schema/core.schema\n"
		       "include /etc/ldap/schema/cosine.schema\n"
		       "modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
		       "pidfile %s/slapd.pid\n"
		       "database mdb\nsuffix \"dc=example,dc=com\"\ndirectory %s\n"
		       "access to attrs=userPassword by anonymous auth\n"
		       "access to * by * read\n", folder, db);
	file_write(conf, text);
	file_write(ldif, directory);
	const char *const add[] = { program_find("slapadd"), "-f", conf, "-l", ldif, NULL };

	run(add, NULL);
	slapd_port = port_free();
	(void)snprintf(url, sizeof(url), "ldap://127.0.0.1:%u/", slapd_port);
	const char *const start[] = { program_find("slapd"), "-f", conf, "-h", url, "-d", "0",
				      NULL };

	slapd_pid = program_start(folder, start);
	ck_assert(port_await(slapd_port));
}

static void
saslauthd_start(void)
{
	const char *conf = path_in(folder, "saslauthd.conf"), *at = path_in(folder, "auth");
	char text[512];

	(void)mkdir(at, 0700);
	(void)snprintf(text, sizeof(text),
		       "ldap_servers: ldap://127.0.0.1:%u/\n"
		       "ldap_search_base: dc=example,dc=com\n"
		       "ldap_filter: (uid=%%U)\n"
		       "ldap_timeout: 5\n", slapd_port);
	file_write(conf, text);
	const char *const start[] = { program_find("saslauthd"), "-d", "-a", "ldap", "-O", conf,
				      "-m", at, "-n", "1", NULL };

	saslauthd_pid = program_start(folder, start);
	settings.saslauthd_path = path_in(at, "mux");
	ck_assert(socket_await(settings.saslauthd_path));
}

static bool
ldap_begin(void)
{
	if (!has_programs(ldap_programs, ARRAY_LEN(ldap_programs)))
		return false;
	settings_begin(AUTH_METHOD_SASLAUTHD);
	slapd_start();
	saslauthd_start();
	return true;
}

static void
ldap_end(void)
{
	sasl_engine_free(&engine);
	program_stop(saslauthd_pid);
	program_stop(slapd_pid);
	saslauthd_pid = slapd_pid = 0;
}

START_TEST(saslauthd_asks_ldap)
{
	static const struct { const char *user, *password; enum auth_code code; } cases[] = {
		{ "billing", "correct horse", AUTH_OK },
		{ "billing@example.com", "correct horse", AUTH_OK },
		{ "billing", "wrong", AUTH_FAILED },
		{ "nobody", "correct horse", AUTH_FAILED },
		{ "billing", "", AUTH_FAILED },
		{ "*", "correct horse", AUTH_FAILED },
		{ "billing)(uid=*", "correct horse", AUTH_FAILED },
	};

	if (!ldap_begin())
		return;
	engine_start();
	ck_assert_uint_eq(sasl_engine_mechanisms(engine),
			  AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN) | AUTH_BIT(AUTH_EXTERNAL));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(plain_try(engine, cases[i].user, cases[i].password) ==
				  cases[i].code, "%s %s", cases[i].user, cases[i].password);
	ldap_end();
}
END_TEST

START_TEST(saslauthd_that_is_away_is_trouble_and_not_a_refusal)
{
	if (!ldap_begin())
		return;
	engine_start();
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	program_stop(saslauthd_pid);
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_TROUBLE);
	ck_assert_int_eq(plain_try(engine, "billing", "wrong"), AUTH_TROUBLE);
	saslauthd_start();
	ck_assert_int_eq(plain_try(engine, "billing", "correct horse"), AUTH_OK);
	ldap_end();
}
END_TEST

/* ---- A saslauthd that hangs, seen from the worker ---- */

static enum auth_code last_code;
static bool is_answered;
static pid_t hung_pid;

static void
note_answer(struct auth_ticket *ticket, const struct auth_answer *answer)
{
	(void)ticket;
	last_code = answer->code;
	is_answered = true;
}

static void
note_hung(void *context, size_t helper, pid_t pid)
{
	(void)context;
	(void)helper;
	hung_pid = pid;
}

static pid_t
helper_fork(const int ends[2])
{
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid != 0)
		return pid;
	const struct auth_helper_environment environment = {
		.settings = &settings, .log = &quiet, .channels = &ends[1], .channel_count = 1,
	};

	(void)close(ends[0]);
	_exit(auth_helper_run(&environment));
}

static enum auth_code
plain_through(struct loop *loop, struct auth_pool *pool, const char *password)
{
	struct auth_ticket ticket = { .answered = note_answer };
	int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	is_answered = false;
	auth_start(pool, &ticket, AUTH_PLAIN, &in_tls, true,
		   plain_message("", "billing", password));
	while (!is_answered && clock_monotonic_ms() < until_ms)
		loop_turn(loop, 50);
	ck_assert(is_answered);
	return last_code;
}

START_TEST(saslauthd_that_hangs_is_trouble_after_the_deadline)
{
	struct fault fault;
	int ends[2];

	if (!ldap_begin())
		return;
	struct loop *loop = loop_new(&fault);

	ck_assert(auth_channel_open(ends, &fault));
	pid_t pid = helper_fork(ends);
	const struct auth_pool_helper helper = { .fd = dup(ends[0]), .is_slow = true };
	const struct auth_pool_settings ps = {
		.helpers = &helper, .helper_count = 1, .method = settings.method,
		.mechanisms = auth_settings_mechanisms(&settings), .deadline_ms = 2000,
		.hung = note_hung,
	};
	struct auth_pool *pool = auth_pool_new(loop, &quiet, &ps, &fault);

	ck_assert_ptr_nonnull(pool);
	ck_assert_int_eq(plain_through(loop, pool, "correct horse"), AUTH_OK);
	(void)kill(saslauthd_pid, SIGSTOP);
	ck_assert_int_eq(plain_through(loop, pool, "correct horse"), AUTH_TROUBLE);
	ck_assert_int_eq(hung_pid, pid);
	(void)kill(pid, SIGKILL); /* SIGTERM would have to wait for saslauthd */
	(void)waitpid(pid, NULL, 0);
	(void)kill(saslauthd_pid, SIGCONT);
	pid = helper_fork(ends);
	ck_assert_int_eq(plain_through(loop, pool, "correct horse"), AUTH_OK);
	ck_assert_int_eq(plain_through(loop, pool, "wrong"), AUTH_FAILED);
	auth_pool_free(&pool);
	loop_free(&loop);
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	ldap_end();
}
END_TEST

/* ---- Kerberos ---- */

static const char *const kerberos_programs[] = { "krb5kdc", "kdb5_util", "kadmin.local", "kinit" };
static pid_t kdc_pid;

static void
kerberos_configure(void)
{
	char text[2048];
	uint16_t port = port_free();

	(void)snprintf(text, sizeof(text),
		       "[libdefaults]\n default_realm = EXAMPLE.COM\n dns_lookup_kdc = false\n"
		       " dns_canonicalize_hostname = false\n rdns = false\n"
		       " udp_preference_limit = 1\n"
		       "[realms]\n EXAMPLE.COM = {\n  kdc = 127.0.0.1:%u\n }\n", port);
	file_write(path_in(folder, "krb5.conf"), text);
	(void)snprintf(text, sizeof(text),
		       "[kdcdefaults]\n kdc_ports = \"\"\n"
		       "[realms]\n EXAMPLE.COM = {\n  database_name = %s/principal\n"
		       "  key_stash_file = %s/stash\n  acl_file = %s/acl\n"
		       "  kdc_listen = 127.0.0.1:%u\n  kdc_tcp_listen = 127.0.0.1:%u\n }\n",
		       folder, folder, folder, port, port);
	file_write(path_in(folder, "kdc.conf"), text);
	ck_assert_int_eq(setenv("KRB5_CONFIG", path_in(folder, "krb5.conf"), 1), 0);
	ck_assert_int_eq(setenv("KRB5_KDC_PROFILE", path_in(folder, "kdc.conf"), 1), 0);
	ck_assert_int_eq(setenv("KRB5CCNAME", path_in(folder, "tickets"), 1), 0);
	const char *const create[] = { program_find("kdb5_util"), "create", "-s", "-P", "master",
				       NULL };

	run(create, NULL);
	const char *const start[] = { program_find("krb5kdc"), "-n", NULL };

	kdc_pid = program_start(folder, start);
	ck_assert(port_await(port));
}

static void
kadmin(const char *query)
{
	const char *const argv[] = { program_find("kadmin.local"), "-q", query, NULL };

	run(argv, NULL);
}

/* A client's whole exchange by Cyrus SASL's own client; the code of the server's last answer. */
static enum auth_code
gssapi_try(char user[AUTH_LOGIN_MAX + 1])
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_GSSAPI, &in_tls);
	const sasl_security_properties_t none = { .security_flags = 0 };
	struct auth_answer answer = { .code = AUTH_CONTINUE };
	sasl_conn_t *client = NULL;
	const char *out = NULL, *mechanism = NULL;
	unsigned len = 0;

	ck_assert_int_eq(sasl_client_new("smtp", settings.hostname, NULL, NULL, NULL, 0, &client),
			 SASL_OK);
	ck_assert_int_eq(sasl_setprop(client, SASL_SEC_PROPS, &none), SASL_OK);
	int result =
	    CLIENT(sasl_client_start(client, "GSSAPI", NULL, &out, &len, &mechanism));

	for (int i = 0; i < 10 && answer.code == AUTH_CONTINUE; i++) {
		ck_assert_msg(result == SASL_OK || result == SASL_CONTINUE, "client: %s",
			      sasl_errdetail(client));
		sasl_dialog_step(dialog, true, (struct span){ out == NULL ? "" : out, len },
				 &answer);
		if (answer.code == AUTH_CONTINUE)
			result = CLIENT(sasl_client_step(client, answer.data.ptr,
							 (unsigned)answer.data.len, NULL, &out,
							 &len));
	}
	(void)snprintf(user, AUTH_LOGIN_MAX + 1, SPAN_FMT, SPAN_ARG(answer.user));
	sasl_dispose(&client);
	sasl_dialog_free(&dialog);
	return answer.code;
}

START_TEST(kerberos_ticket_logs_in)
{
	char user[AUTH_LOGIN_MAX + 1];
	struct fault fault;
	char query[512];

	if (!has_programs(kerberos_programs, ARRAY_LEN(kerberos_programs)))
		return;
	settings_begin(AUTH_METHOD_USERS_FILE);
	settings.users_file = path_in(folder, "users");
	settings.keytab = path_in(folder, "keytab");
	user_put(settings.users_file, "printer", "p", false);
	user_put(settings.users_file, "gone", "p", false);
	ck_assert_int_eq(users_file_change(settings.users_file, span_of(REALM), USER_DISABLE,
					   span_of("gone@" REALM), NULL, 0, &fault),
			 USER_CHANGED);
	kerberos_configure();
	kadmin("addprinc -pw secret billing@EXAMPLE.COM");
	kadmin("addprinc -pw secret gone@EXAMPLE.COM");
	kadmin("addprinc -randkey smtp/relay.example.com@EXAMPLE.COM");
	(void)snprintf(query, sizeof(query), "ktadd -k %s smtp/relay.example.com@EXAMPLE.COM",
		       settings.keytab);
	kadmin(query);
	engine_start();
	if ((sasl_engine_mechanisms(engine) & AUTH_BIT(AUTH_GSSAPI)) == 0) {
		(void)fprintf(stderr, "left out: Cyrus SASL's GSSAPI is not installed\n");
		goto out;
	}
	ck_assert_int_eq(sasl_client_init(NULL), SASL_OK);
	const char *const kinit[] = { program_find("kinit"), "billing@EXAMPLE.COM", NULL };

	run(kinit, "secret\n");
	ck_assert_int_eq(gssapi_try(user), AUTH_OK);
	ck_assert_str_eq(user, "billing@example.com");
	/* a ticket does not open what the users file has shut */
	const char *const kinit_gone[] = { program_find("kinit"), "gone@EXAMPLE.COM", NULL };

	run(kinit_gone, "secret\n");
	ck_assert_int_eq(gssapi_try(user), AUTH_FAILED);
	/* and what is no ticket is no login */
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_GSSAPI, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, span_of("this is no ticket"), &answer);
	ck_assert_int_eq(answer.code, AUTH_FAILED);
	sasl_dialog_free(&dialog);
out:
	/* the engine stays: unloaded, the Kerberos libraries' caches would look like leaks */
	program_stop(kdc_pid);
}
END_TEST

static void
programs_stop(void)
{
	if (saslauthd_pid > 0)
		(void)kill(saslauthd_pid, SIGCONT);
	program_stop(saslauthd_pid);
	program_stop(slapd_pid);
}

int
main(void)
{
	Suite *suite = suite_create("sources of logins");
	TCase *tc = tcase_create("sources");

	tcase_add_checked_fixture(tc, NULL, programs_stop);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, sasldb_checks_passwords);
	tcase_add_test(tc, sasldb_serves_cram_md5);
	tcase_add_test(tc, sasldb_serves_scram_where_that_is_wanted);
	tcase_add_test(tc, sasldb_that_is_not_there_lets_nobody_in);
	tcase_add_test(tc, saslauthd_asks_ldap);
	tcase_add_test(tc, saslauthd_that_is_away_is_trouble_and_not_a_refusal);
	tcase_add_test(tc, saslauthd_that_hangs_is_trouble_after_the_deadline);
	tcase_add_test(tc, kerberos_ticket_logs_in);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
