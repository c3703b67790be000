/* SPDX-License-Identifier: ISC */
/* auth/users_file.h, auth/verifier.h, auth/login.h: the store of logins. */
#include "auth_fixture.h"

#include "base/buffer.h"
#include "suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Names ---- */

static const struct { const char *name, *canonical; } names[] = {
	{ "billing", "billing@example.com" },
	{ "billing@example.com", "billing@example.com" },
	{ "billing@EXAMPLE.Com", "billing@example.com" },
	{ "Billing", "Billing@example.com" },
	{ "a@b@C", "a@b@c" },
	{ "DOMAIN\\John Doe", "DOMAIN\\John Doe@example.com" },
	{ "m\xc3\xbcller", "m\xc3\xbcller@example.com" },
	{ "", NULL },
	{ "@", NULL },
	{ "@example.com", NULL },
	{ "billing@", NULL },
	{ " billing", NULL },
	{ "billing ", NULL },
	{ "bill\ting", NULL },
	{ "bill\x7fing", NULL },
	{ "bill\xc2\x85ing", NULL }, /* a C1 control */
	{ "bill\xffing", NULL },
};

START_TEST(name_has_one_canonical_form)
{
	char out[AUTH_LOGIN_MAX], again[AUTH_LOGIN_MAX];
	size_t len = 77, len_again;
	enum parse_status status =
	    login_canonical(span_of(REALM), span_of(names[_i].name), out, &len);

	ck_assert_int_eq(status, names[_i].canonical != NULL ? PARSE_OK : PARSE_BAD);
	if (names[_i].canonical == NULL) {
		ck_assert_uint_eq(len, 77);
		return;
	}
	ck_assert(span_equal((struct span){ out, len }, span_of(names[_i].canonical)));
	ck_assert_int_eq(login_canonical(span_of("other.example"), (struct span){ out, len },
					 again, &len_again), PARSE_OK);
	ck_assert(span_equal((struct span){ out, len }, (struct span){ again, len_again }));
}
END_TEST

START_TEST(name_without_any_realm_stays_bare)
{
	char out[AUTH_LOGIN_MAX];
	size_t len;

	ck_assert_int_eq(login_canonical(span_of(""), span_of("billing"), out, &len), PARSE_OK);
	ck_assert(span_equal((struct span){ out, len }, span_of("billing")));
}
END_TEST

START_TEST(name_that_is_too_long_is_refused)
{
	char name[AUTH_LOGIN_MAX + 1], out[AUTH_LOGIN_MAX];
	size_t len, most = AUTH_LOGIN_MAX - strlen(REALM) - 1;

	memset(name, 'a', sizeof(name));
	ck_assert_int_eq(login_canonical(span_of(REALM), (struct span){ name, most }, out, &len),
			 PARSE_OK);
	ck_assert_uint_eq(len, AUTH_LOGIN_MAX);
	ck_assert_int_eq(
	    login_canonical(span_of(REALM), (struct span){ name, most + 1 }, out, &len),
	    PARSE_BAD);
	ck_assert_int_eq(
	    login_canonical(span_of(REALM), (struct span){ name, sizeof(name) }, out, &len),
	    PARSE_BAD);
}
END_TEST

/* ---- Verifiers ---- */

/* RFC 7677 s.3 and RFC 5802 s.5: user "user", password "pencil". */
static const struct { const char *salt; enum digest_kind kind; const char *text; } known[] = {
	{ "W22ZaJ0SNY7soEsUEjb6gQ==", DIGEST_SHA_256,
	  "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
	  ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" },
	{ "QSXCR+Q6sek8bf92", DIGEST_SHA_1,
	  "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y="
	  ":D+CSWLOshSulAsxiupA+qs2/fTE=" },
};

START_TEST(verifier_of_the_rfcs_example_knows_its_password)
{
	struct verifier v;
	struct buffer text;

	ck_assert_int_eq(verifier_parse(span_of(known[_i].text), &v), PARSE_OK);
	ck_assert_int_eq(v.kind, known[_i].kind);
	ck_assert(verifier_check(&v, span_of("pencil")));
	ck_assert(!verifier_check(&v, span_of("pencils")));
	ck_assert(!verifier_check(&v, span_of("")));
	buffer_init(&text, VERIFIER_TEXT_MAX);
	ck_assert(verifier_append(&v, &text));
	ck_assert_str_eq(buffer_text(&text), known[_i].text);
	buffer_reset(&text);
}
END_TEST

static const char *const bad_verifiers[] = {
	"",
	"SCRAM-SHA-256",
	"SCRAM-SHA-256$",
	"SCRAM-SHA-512$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
	":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	/* no iterations; too few; not a number */
	"SCRAM-SHA-1$:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	"SCRAM-SHA-1$1:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	"SCRAM-SHA-1$99999999:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y="
	":D+CSWLOshSulAsxiupA+qs2/fTE=",
	"SCRAM-SHA-1$0x99:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	/* no salt; salt not base64 */
	"SCRAM-SHA-1$4096:$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	"SCRAM-SHA-1$4096:QSXCR+Q6sek8bf9$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	/* keys of the wrong length, missing, or with something behind */
	"SCRAM-SHA-256$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y="
	":D+CSWLOshSulAsxiupA+qs2/fTE=",
	"SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
	"SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=:",
};

START_TEST(verifier_that_is_not_whole_is_refused)
{
	struct verifier v = { .iterations = 77 };

	ck_assert_int_eq(verifier_parse(span_of(bad_verifiers[_i]), &v), PARSE_BAD);
	ck_assert_uint_eq(v.iterations, 77);
}
END_TEST

START_TEST(two_verifiers_of_one_password_differ)
{
	struct verifier a, b;

	verifier_make(&a, DIGEST_SHA_256, span_of("x"), 4096);
	verifier_make(&b, DIGEST_SHA_256, span_of("x"), 4096);
	ck_assert(verifier_check(&a, span_of("x")) && verifier_check(&b, span_of("x")));
	ck_assert(memcmp(a.salt, b.salt, a.salt_octets) != 0);
	ck_assert(memcmp(a.stored_key, b.stored_key, sizeof(a.stored_key)) != 0);
}
END_TEST

/* ---- The text ---- */

#define GOOD                                                                             \
	"SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y="                     \
	":D+CSWLOshSulAsxiupA+qs2/fTE="

struct complaints {
	unsigned lines[16];
	size_t count;
};

static void
complaint_note(void *context, unsigned line, const char *text)
{
	struct complaints *c = context;

	ck_assert_ptr_nonnull(text);
	c->lines[c->count++] = line;
}

START_TEST(broken_line_takes_out_its_own_login_and_no_other)
{
	static const char text[] = "# logins\n"
				   "\n"
				   "first " GOOD "\n"
				   "broken " GOOD "x\n"
				   "  second@example.com\t" GOOD "  disabled \r\n"
				   "twice " GOOD "\n"
				   "no\x01name " GOOD "\n"
				   "twice@EXAMPLE.COM " GOOD "\n"
				   "bare\n"
				   "odd " GOOD " enabled\n"
				   "both " GOOD " " GOOD "\n"
				   "last " GOOD;
	struct complaints c = { .count = 0 };
	struct user_set *set =
	    user_set_parse(span_of(text), span_of(REALM), complaint_note, &c);
	static const struct { const char *login; bool can; } expected[] = {
		{ "first@example.com", true },	 { "broken@example.com", false },
		{ "second@example.com", false }, { "twice@example.com", false },
		{ "odd@example.com", false },	 { "both@example.com", false },
		{ "last@example.com", true },
	};
	static const unsigned lines[] = { 4, 7, 8, 10, 11 };

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const struct user *user = user_set_find(set, span_of(expected[i].login));

		ck_assert_msg(user != NULL, "%s", expected[i].login);
		ck_assert_msg((!user->is_disabled && user->has_verifier[DIGEST_SHA_1]) ==
				  expected[i].can, "%s", expected[i].login);
	}
	ck_assert_ptr_null(user_set_find(set, span_of("first")));
	ck_assert_uint_eq(user_set_count(set), 8);
	ck_assert_uint_eq(c.count, ARRAY_LEN(lines));
	for (size_t i = 0; i < c.count; i++)
		ck_assert_uint_eq(c.lines[i], lines[i]);
	user_set_free(&set);
}
END_TEST

START_TEST(rounds_for_strangers_are_those_of_most_logins)
{
	struct user_set *none = user_set_parse(span_of(""), span_of(REALM), NULL, NULL);
	struct buffer text;

	buffer_init(&text, 4096);
	for (unsigned i = 0; i < 5; i++) {
		struct verifier v;

		verifier_make(&v, DIGEST_SHA_256, span_of("x"), i == 2 ? 4096 : 10000);
		ck_assert(buffer_printf(&text, "u%u ", i));
		ck_assert(verifier_append(&v, &text) && buffer_append_byte(&text, '\n'));
	}
	struct user_set *some = user_set_parse(buffer_span(&text), span_of(REALM), NULL, NULL);

	ck_assert_uint_eq(user_set_iterations(none), VERIFIER_ITERATIONS_DEFAULT);
	ck_assert_uint_eq(user_set_iterations(some), 10000);
	user_set_free(&none);
	user_set_free(&some);
	buffer_reset(&text);
}
END_TEST

/* ---- The file ---- */

static const char *path;

static void
set_up(void)
{
	path = path_in(folder_make(), "users");
}

static enum user_result
change(enum user_change kind, const char *login, const char *password)
{
	struct verifier verifier;
	struct fault fault = { .text = "" };

	if (password != NULL)
		verifier_make(&verifier, DIGEST_SHA_256, span_of(password), 1000);
	enum user_result result = users_file_change(path, span_of(REALM), kind, span_of(login),
						    &verifier, password != NULL, &fault);

	ck_assert_msg((result == USER_TROUBLE) == (fault.text[0] != '\0'), "%s",
		      fault_text(&fault));
	return result;
}

static void
file_is(const char *expected)
{
	char text[8192];
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	size_t len = fread(text, 1, sizeof(text) - 1, file);

	text[len] = '\0';
	(void)fclose(file);
	ck_assert_str_eq(text, expected);
}

START_TEST(changes_of_one_login_leave_everything_else_alone)
{
	file_write(path, "# who\n  odd@example.com   " GOOD "\n\nx " GOOD " disabled");
	ck_assert_int_eq(change(USER_DISABLE, "odd@example.com", NULL), USER_CHANGED);
	file_is("# who\nodd@example.com " GOOD " disabled\n\nx " GOOD " disabled\n");
	ck_assert_int_eq(change(USER_DISABLE, "odd@example.com", NULL), USER_UNCHANGED);
	ck_assert_int_eq(change(USER_ENABLE, "x@example.com", NULL), USER_CHANGED);
	file_is("# who\nodd@example.com " GOOD " disabled\n\nx@example.com " GOOD "\n");
	ck_assert_int_eq(change(USER_REMOVE, "odd@example.com", NULL), USER_CHANGED);
	file_is("# who\n\nx@example.com " GOOD "\n");
	ck_assert_int_eq(change(USER_ADD, "x@example.com", "p"), USER_EXISTS);
	ck_assert_int_eq(change(USER_REMOVE, "y@example.com", NULL), USER_MISSING);
	ck_assert_int_eq(change(USER_SET_PASSWORD, "y@example.com", "p"), USER_MISSING);
	file_is("# who\n\nx@example.com " GOOD "\n");
}
END_TEST

static struct user *
user_of(struct users_file *file, const char *login)
{
	struct fault fault;
	struct user_set *set = users_file_read(file, NULL, NULL, &fault);

	return set == NULL ? NULL : user_set_find(set, span_of(login));
}

START_TEST(reader_sees_each_change_at_once)
{
	struct users_file *file = users_file_new(path, span_of(REALM));
	const char *login = "billing@example.com";

	ck_assert_ptr_null(user_of(file, login));
	ck_assert_int_eq(change(USER_ADD, login, "one"), USER_CHANGED);
	ck_assert(verifier_check(&user_of(file, login)->verifiers[DIGEST_SHA_256],
				 span_of("one")));
	for (int i = 0; i < 50; i++) {
		char password[16];

		(void)snprintf(password, sizeof(password), "p%d", i);
		ck_assert_int_eq(change(USER_SET_PASSWORD, login, password), USER_CHANGED);
		ck_assert(verifier_check(&user_of(file, login)->verifiers[DIGEST_SHA_256],
					 span_of(password)));
	}
	ck_assert_int_eq(change(USER_DISABLE, login, NULL), USER_CHANGED);
	ck_assert(user_of(file, login)->is_disabled);
	ck_assert_int_eq(change(USER_SET_PASSWORD, login, "two"), USER_CHANGED);
	ck_assert(user_of(file, login)->is_disabled);
	ck_assert_int_eq(change(USER_REMOVE, login, NULL), USER_CHANGED);
	ck_assert_ptr_null(user_of(file, login));
	users_file_free(&file);
}
END_TEST

START_TEST(edit_in_place_of_the_same_length_is_seen)
{
	struct users_file *file = users_file_new(path, span_of(REALM));

	file_write(path, "aaa " GOOD "\n");
	ck_assert_ptr_nonnull(user_of(file, "aaa@example.com"));
	file_write(path, "bbb " GOOD "\n");
	ck_assert_ptr_null(user_of(file, "aaa@example.com"));
	ck_assert_ptr_nonnull(user_of(file, "bbb@example.com"));
	users_file_free(&file);
}
END_TEST

START_TEST(what_was_proved_is_kept_while_the_text_is_the_same)
{
	struct users_file *file = users_file_new(path, span_of(REALM));

	file_write(path, "a " GOOD "\n");
	user_of(file, "a@example.com")->proof.until_ms = 77;
	file_write(path, "a " GOOD "\n");
	ck_assert_int_eq(user_of(file, "a@example.com")->proof.until_ms, 77);
	file_write(path, "a " GOOD "\n#\n");
	ck_assert_int_eq(user_of(file, "a@example.com")->proof.until_ms, 0);
	users_file_free(&file);
}
END_TEST

START_TEST(file_that_goes_away_is_told_and_comes_back)
{
	struct users_file *file = users_file_new(path, span_of(REALM));
	struct fault fault;

	file_write(path, "a " GOOD "\n");
	ck_assert_ptr_nonnull(user_of(file, "a@example.com"));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_ptr_null(users_file_read(file, NULL, NULL, &fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), path));
	file_write(path, "a " GOOD "\n");
	ck_assert_ptr_nonnull(user_of(file, "a@example.com"));
	users_file_free(&file);
}
END_TEST

START_TEST(change_keeps_mode_and_owner_and_leaves_nothing_behind)
{
	struct stat st;
	DIR *folder;
	int entries = 0;

	file_write(path, "");
	ck_assert_int_eq(chmod(path, 0604), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, 7, 8), 0);
	ck_assert_int_eq(change(USER_ADD, "a@example.com", "x"), USER_CHANGED);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0604);
	if (geteuid() == 0) {
		ck_assert_uint_eq(st.st_uid, 7);
		ck_assert_uint_eq(st.st_gid, 8);
	}
	char *parent = strdup(path);

	strrchr(parent, '/')[0] = '\0';
	folder = opendir(parent);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		entries += entry->d_name[0] != '.';
	(void)closedir(folder);
	free(parent);
	ck_assert_int_eq(entries, 1);
}
END_TEST

START_TEST(new_file_is_not_for_everybody)
{
	struct stat st;

	(void)umask(0);
	ck_assert_int_eq(change(USER_ADD, "a@example.com", "x"), USER_CHANGED);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(symbolic_link_stays_one)
{
	const char *real = path;
	struct stat st;
	char link[512];

	(void)snprintf(link, sizeof(link), "%s.link", real);
	file_write(real, "");
	ck_assert_int_eq(symlink(real, link), 0);
	path = link;
	ck_assert_int_eq(change(USER_ADD, "a@example.com", "x"), USER_CHANGED);
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	path = real;
	ck_assert_int_eq(change(USER_REMOVE, "a@example.com", NULL), USER_CHANGED);
}
END_TEST

START_TEST(file_with_a_broken_line_is_not_touched)
{
	struct fault fault;

	file_write(path, "a " GOOD "\nb nonsense\n");
	ck_assert_int_eq(change(USER_REMOVE, "a@example.com", NULL), USER_TROUBLE);
	file_is("a " GOOD "\nb nonsense\n");
	(void)users_file_change(path, span_of(REALM), USER_REMOVE, span_of("a@example.com"), NULL,
				0, &fault);
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), "users:2: "));
}
END_TEST

START_TEST(writers_at_the_same_time_lose_nothing)
{
	enum { WRITERS = 6, LOGINS = 12 };
	struct users_file *file = users_file_new(path, span_of(REALM));
	struct fault fault;
	pid_t pids[WRITERS];

	for (int w = 0; w < WRITERS; w++) {
		pids[w] = fork();
		if (pids[w] != 0)
			continue;
		for (int i = 0; i < LOGINS; i++) {
			struct verifier v;
			char login[64];

			verifier_make(&v, DIGEST_SHA_256, span_of("x"), 1000);
			(void)snprintf(login, sizeof(login), "w%dn%d@example.com", w, i);
			if (users_file_change(path, span_of(REALM), USER_ADD, span_of(login), &v,
					      1, &fault) != USER_CHANGED)
				_exit(1);
		}
		_exit(0);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;

		ck_assert_int_eq(waitpid(pids[w], &status, 0), pids[w]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(user_set_count(users_file_read(file, NULL, NULL, &fault)),
			  WRITERS * LOGINS);
	users_file_free(&file);
}
END_TEST

START_TEST(secret_is_made_once_and_then_stays)
{
	unsigned char first[AUTH_SECRET_OCTETS], second[AUTH_SECRET_OCTETS];
	struct fault fault;
	struct stat st;

	ck_assert(auth_secret_load(path, first, &fault));
	ck_assert(auth_secret_load(path, second, &fault));
	ck_assert_int_eq(memcmp(first, second, sizeof(first)), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	file_write(path, "short");
	ck_assert(!auth_secret_load(path, first, &fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), "32 octets"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("users file");
	TCase *text = tcase_create("text");
	TCase *file = tcase_create("file");

	tcase_add_loop_test(text, name_has_one_canonical_form, 0, ARRAY_LEN(names));
	tcase_add_test(text, name_without_any_realm_stays_bare);
	tcase_add_test(text, name_that_is_too_long_is_refused);
	tcase_add_loop_test(text, verifier_of_the_rfcs_example_knows_its_password, 0,
			    ARRAY_LEN(known));
	tcase_add_loop_test(text, verifier_that_is_not_whole_is_refused, 0,
			    ARRAY_LEN(bad_verifiers));
	tcase_add_test(text, two_verifiers_of_one_password_differ);
	tcase_add_test(text, broken_line_takes_out_its_own_login_and_no_other);
	tcase_add_test(text, rounds_for_strangers_are_those_of_most_logins);
	suite_add_tcase(suite, text);

	tcase_add_checked_fixture(file, set_up, NULL);
	tcase_set_timeout(file, 60);
	tcase_add_test(file, changes_of_one_login_leave_everything_else_alone);
	tcase_add_test(file, reader_sees_each_change_at_once);
	tcase_add_test(file, edit_in_place_of_the_same_length_is_seen);
	tcase_add_test(file, what_was_proved_is_kept_while_the_text_is_the_same);
	tcase_add_test(file, file_that_goes_away_is_told_and_comes_back);
	tcase_add_test(file, change_keeps_mode_and_owner_and_leaves_nothing_behind);
	tcase_add_test(file, new_file_is_not_for_everybody);
	tcase_add_test(file, symbolic_link_stays_one);
	tcase_add_test(file, file_with_a_broken_line_is_not_touched);
	tcase_add_test(file, writers_at_the_same_time_lose_nothing);
	tcase_add_test(file, secret_is_made_once_and_then_stays);
	suite_add_tcase(suite, file);
	return suite_main(suite);
}
