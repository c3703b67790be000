/* SPDX-License-Identifier: ISC */
/*
 * relayctl user: the logins of the users file. Passwords come from the terminal or standard
 * input, never from the arguments, where anybody on the machine could read them.
 */
#include "ctl/command.h"

#include "auth/users_file.h"
#include "base/json.h"
#include "base/memory.h"
#include "ctl/columns.h"
#include "ctl/password.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSWORD_SHORT 12 /* characters; below it is worth a word */
#define LIST_OCTETS_MAX (64U << 20)

/* What every one of the commands needs. */
struct target {
	const char *path;
	struct span realm;
	char name[AUTH_LOGIN_MAX]; /* canonical */
	struct span login;	   /* in name; empty for list */
};

struct arguments {
	const char *file, *realm, *iterations;
	bool generates, has_sha_1;
};

#define STORE_OPTIONS(a)                                                                 \
	{ "--file", OPTION_TEXT, &(a)->file },                                               \
	{                                                                                    \
		"--realm", OPTION_TEXT, &(a)->realm                                          \
	}

/* The users file and the realm: as given, else as configured. */
static int
store_need(struct relayctl *ctl, const struct arguments *a, struct target *t)
{
	if (a->file == NULL || a->realm == NULL) {
		int status = settings_need(ctl);

		if (status != GO_ON)
			return status;
	}
	const struct auth_settings *auth = ctl->settings == NULL ? NULL : &ctl->settings->auth;

	t->path = a->file != NULL ? a->file : auth->users_file;
	t->realm = span_of(a->realm != NULL ? a->realm : auth->realm);
	if (t->path == NULL)
		return trouble_say(ctl, "logins are not in a users file here (sasl { method }); "
					"--file names one");
	return GO_ON;
}

/* The one argument, a name in either form. */
static int
login_need(const struct relayctl *ctl, int argc, char **argv, struct target *t)
{
	if (argc != 1)
		return usage_complain(ctl, argc == 0 ? "which login?" :
						       "one login at a time, please");
	if (login_canonical(t->realm, span_of(argv[0]), t->name, &t->login.len) != PARSE_OK ||
	    strpbrk(argv[0], " #") != NULL)
		return usage_complain(ctl, "%s is no name of a login; write billing or "
					   "billing@example.com", argv[0]);
	t->login.ptr = t->name;
	return GO_ON;
}

static int
target_need(struct relayctl *ctl, const struct arguments *a, int argc, char **argv,
	    struct target *t)
{
	int status = store_need(ctl, a, t);

	return status == GO_ON ? login_need(ctl, argc, argv, t) : status;
}

/* Say how it went. */
static int
result_tell(const struct relayctl *ctl, const struct target *t, enum user_result result,
	    const char *done, struct fault *fault)
{
	switch (result) {
	case USER_CHANGED:
	case USER_UNCHANGED:
		(void)fprintf(stderr, SPAN_FMT " %s\n", SPAN_ARG(t->login),
			      result == USER_CHANGED ? done : "was so already");
		return EXIT_YES;
	case USER_MISSING:
		(void)fprintf(stderr, "there is no login " SPAN_FMT " in %s\n",
			      SPAN_ARG(t->login), t->path);
		return EXIT_NO;
	case USER_EXISTS:
		(void)fprintf(stderr,
			      "there is a login " SPAN_FMT " already; relayctl user passwd gives "
			      "it another password\n", SPAN_ARG(t->login));
		return EXIT_NO;
	case USER_TROUBLE:
		break;
	}
	return trouble_say(ctl, "%s", fault_text(fault));
}

/* ---- With a password ---- */

static int
password_need(const struct relayctl *ctl, const struct arguments *a, const struct target *t,
	      struct password *password)
{
	char *login = memory_copy_text(t->login);
	const char *problem = NULL;

	if (a->generates)
		password_generate(password);
	else
		problem = password_read(login, password);
	free(login);
	if (problem != NULL)
		return trouble_say(ctl, "%s", problem);
	if (password->len < PASSWORD_SHORT)
		(void)fprintf(stderr, "warning: a password this short can be guessed\n");
	for (size_t i = 0; i < password->len; i++) {
		if ((unsigned char)password->text[i] < 0x80)
			continue;
		(void)fprintf(stderr, "warning: not every client sends letters beyond ASCII "
				      "alike\n");
		break;
	}
	return GO_ON;
}

static int
iterations_need(const struct relayctl *ctl, const char *text, uint32_t *iterations)
{
	uint64_t count = VERIFIER_ITERATIONS_DEFAULT;

	if (text != NULL &&
	    (number_parse(span_of(text), VERIFIER_ITERATIONS_MAX, &count) != PARSE_OK ||
	     count < VERIFIER_ITERATIONS_DEFAULT))
		return usage_complain(ctl, "--iterations %s: a number from %d to %d is expected",
				      text, VERIFIER_ITERATIONS_DEFAULT, VERIFIER_ITERATIONS_MAX);
	*iterations = (uint32_t)count;
	return GO_ON;
}

/*
 * A new file that root makes must be readable by the auth helpers, which run as the configured
 * account.
 */
static bool
file_need(const struct relayctl *ctl, const struct target *t, struct fault *fault)
{
	const struct passwd *account = NULL;

	if (geteuid() == 0 && ctl->settings != NULL)
		account = getpwnam(ctl->settings->user);
	return users_file_make(t->path, account == NULL ? (gid_t)-1 : account->pw_gid, fault);
}

static int
password_set(const struct relayctl *ctl, const struct arguments *a, const struct target *t,
	     enum user_change change, uint32_t iterations)
{
	struct verifier verifiers[DIGEST_KINDS];
	struct password password;
	struct fault fault;
	int status = password_need(ctl, a, t, &password);

	if (status == GO_ON) {
		verifier_make(&verifiers[0], DIGEST_SHA_256, password_span(&password),
			      iterations);
		verifier_make(&verifiers[1], DIGEST_SHA_1, password_span(&password), iterations);
		enum user_result result = USER_TROUBLE;

		if (change != USER_ADD || file_need(ctl, t, &fault))
			result = users_file_change(t->path, t->realm, change, t->login, verifiers,
						   a->has_sha_1 ? 2 : 1, &fault);

		status = result_tell(ctl, t, result,
				     change == USER_ADD ? "may log in now" :
							  "has another password now",
				     &fault);
		if (result == USER_CHANGED && a->generates)
			(void)puts(password.text);
	}
	password_wipe(&password);
	memory_wipe(verifiers, sizeof(verifiers));
	return status;
}

static int
run_with_password(struct relayctl *ctl, int argc, char **argv, enum user_change change)
{
	struct arguments a = { .file = NULL };
	struct target t = { .path = NULL };
	uint32_t iterations = 0;
	const struct option options[] = {
		STORE_OPTIONS(&a),
		{ "--generate", OPTION_FLAG, &a.generates },
		{ "--sha1", OPTION_FLAG, &a.has_sha_1 },
		{ "--iterations", OPTION_TEXT, &a.iterations },
	};
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON)
		status = iterations_need(ctl, a.iterations, &iterations);
	if (status == GO_ON)
		status = target_need(ctl, &a, argc, argv, &t);
	return status == GO_ON ? password_set(ctl, &a, &t, change, iterations) : status;
}

static int
run_add(struct relayctl *ctl, int argc, char **argv)
{
	return run_with_password(ctl, argc, argv, USER_ADD);
}

static int
run_passwd(struct relayctl *ctl, int argc, char **argv)
{
	return run_with_password(ctl, argc, argv, USER_SET_PASSWORD);
}

/* ---- Without one ---- */

static int
run_plain(struct relayctl *ctl, int argc, char **argv, enum user_change change,
	  const char *done)
{
	struct arguments a = { .file = NULL };
	struct target t = { .path = NULL };
	struct fault fault;
	const struct option options[] = { STORE_OPTIONS(&a) };
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON)
		status = target_need(ctl, &a, argc, argv, &t);
	if (status != GO_ON)
		return status;
	return result_tell(ctl, &t,
			   users_file_change(t.path, t.realm, change, t.login, NULL, 0, &fault),
			   done, &fault);
}

static int
run_disable(struct relayctl *ctl, int argc, char **argv)
{
	return run_plain(ctl, argc, argv, USER_DISABLE, "may not log in any more");
}

static int
run_enable(struct relayctl *ctl, int argc, char **argv)
{
	return run_plain(ctl, argc, argv, USER_ENABLE, "may log in again");
}

static int
run_remove(struct relayctl *ctl, int argc, char **argv)
{
	return run_plain(ctl, argc, argv, USER_REMOVE, "is no login any more");
}

/* ---- The list ---- */

static void
user_write_json(const struct user *user, struct json *j)
{
	json_object_begin(j, NULL);
	json_text(j, "login", user->login);
	json_bool(j, "enabled", !user->is_disabled);
	json_array_begin(j, "verifiers");
	for (size_t kind = DIGEST_KINDS; kind-- > 0;) {
		if (!user->has_verifier[kind])
			continue;
		json_object_begin(j, NULL);
		json_cstring(j, "mechanism", verifier_kind_name((enum digest_kind)kind));
		json_number(j, "iterations", user->verifiers[kind].iterations);
		json_object_end(j);
	}
	json_array_end(j);
	json_object_end(j);
}

static void
list_print_json(const struct user_set *set)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, LIST_OCTETS_MAX);
	json_array_begin(&j, NULL);
	for (size_t i = 0; i < user_set_count(set); i++)
		user_write_json(user_set_at(set, i), &j);
	json_array_end(&j);
	(void)buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

static void
list_print(const struct user_set *set)
{
	static const char *const titles[] = { "LOGIN", "STATE", "KEYS" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < user_set_count(set); i++) {
		const struct user *user = user_set_at(set, i);
		struct buffer keys;

		buffer_init(&keys, 100);
		for (size_t kind = DIGEST_KINDS; kind-- > 0;) {
			if (user->has_verifier[kind])
				(void)buffer_printf(&keys, "%s%s", keys.len > 0 ? " " : "",
						    verifier_kind_name((enum digest_kind)kind));
		}
		columns_cell(&c, user->login);
		columns_cell(&c, span_of(user->is_disabled ? "disabled" : "enabled"));
		columns_cell(&c, buffer_span(&keys));
		buffer_reset(&keys);
	}
	columns_end(&c);
}

static void
line_complain(void *context, unsigned line, const char *text)
{
	const char *path = context;

	(void)fprintf(stderr, "%s:%u: %s; nobody can log in by this line\n", path, line, text);
}

static int
run_list(struct relayctl *ctl, int argc, char **argv)
{
	struct arguments a = { .file = NULL };
	struct target t = { .path = NULL };
	struct fault fault;
	const struct option options[] = { STORE_OPTIONS(&a) };
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON && argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	if (status == GO_ON)
		status = store_need(ctl, &a, &t);
	if (status != GO_ON)
		return status;
	struct users_file *file = users_file_new(t.path, t.realm);
	const struct user_set *set = users_file_read(
	    file, line_complain, (void *)(uintptr_t)t.path, &fault);

	if (set == NULL)
		status = trouble_say(ctl, "%s", fault_text(&fault));
	else if (ctl->is_json)
		list_print_json(set);
	else
		list_print(set);
	users_file_free(&file);
	return set == NULL ? status : EXIT_YES;
}

#define STORE_HELP                                                                       \
	"  --file FILE    the users file, instead of the one that is configured\n"           \
	"  --realm REALM  of names without one, instead of the configured one\n"

#define PASSWORD_HELP                                                                    \
	"The password is asked for on the terminal, without echo, or is the first line of\n" \
	"standard input when that is no terminal.\n"                                         \
	"  --generate      make one up and print it, once\n"                                 \
	"  --sha1          keep a verifier for SCRAM-SHA-1, too, for old clients\n"          \
	"  --iterations N  how often it is stretched (default 4096)\n" STORE_HELP

#define STATUS_HELP "\nexit: 0 done, 1 no such login (add: there is one), 2 usage, 3 trouble\n"

const struct command command_user_add = {
	.name = "user add",
	.summary = "a new login, with a password",
	.help = "usage: relayctl user add NAME [--generate] [--sha1] [--iterations N]\n"
		"\n"
		"Adds a login to the users file; it counts at once, without a reload. NAME and\n"
		"NAME@realm are the same login. " PASSWORD_HELP
		"\n"
		"examples:\n"
		"  relayctl user add billing\n"
		"  relayctl user add scanner --generate --sha1\n" STATUS_HELP,
	.run = run_add,
};

const struct command command_user_passwd = {
	.name = "user passwd",
	.summary = "another password for a login",
	.help = "usage: relayctl user passwd NAME [--generate] [--sha1] [--iterations N]\n"
		"\n"
		"Gives the login another password; a disabled one stays disabled. " PASSWORD_HELP
		"\n"
		"examples:\n"
		"  relayctl user passwd billing\n"
		"  pass show relay/billing | relayctl user passwd billing\n" STATUS_HELP,
	.run = run_passwd,
};

const struct command command_user_disable = {
	.name = "user disable",
	.summary = "shut a login out, and keep it",
	.help = "usage: relayctl user disable NAME\n"
		"\n"
		"Nobody can log in as NAME from now on, neither by password nor by certificate or\n"
		"Kerberos ticket. Sessions that are logged in go on until they end.\n" STORE_HELP
		STATUS_HELP,
	.run = run_disable,
};

const struct command command_user_enable = {
	.name = "user enable",
	.summary = "let a disabled login in again",
	.help = "usage: relayctl user enable NAME\n"
		"\n"
		"Takes back relayctl user disable.\n" STORE_HELP STATUS_HELP,
	.run = run_enable,
};

const struct command command_user_remove = {
	.name = "user remove",
	.summary = "take a login out of the users file",
	.help = "usage: relayctl user remove NAME\n"
		"\n"
		"Forgets the login. One that logs in by certificate or Kerberos ticket is shut out by\n"
		"relayctl user disable only.\n" STORE_HELP STATUS_HELP,
	.run = run_remove,
};

const struct command command_user_list = {
	.name = "user list",
	.summary = "the logins of the users file",
	.help = "usage: relayctl user list [--json]\n"
		"\n"
		"Lists the logins, whether they are enabled, and for which SCRAM they have keys;\n"
		"PLAIN and LOGIN work with either. There are no passwords to show.\n"
		"--json prints one array of objects.\n" STORE_HELP
		"\nexit: 0 done, 2 usage, 3 the file cannot be read\n",
	.run = run_list,
};
