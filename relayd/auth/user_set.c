/* SPDX-License-Identifier: ISC */
/* The text of the users file; see users_file.h. */
#include "auth/users_file.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/table.h"

#include <stdlib.h>

struct user_set {
	struct arena arena;
	struct table by_login;
	struct user **users; /* in the order of the lines */
	size_t count;
	size_t room;
	uint32_t iterations;
};

struct parser {
	struct user_set *set;
	struct span realm;
	user_complain *complain;
	void *context;
	unsigned line;
};

static void
complain(const struct parser *p, const char *text)
{
	if (p->complain != NULL)
		p->complain(p->context, p->line, text);
}

static bool
word_take(struct span *line, struct span *word)
{
	size_t len = 0;

	*line = span_trim(*line);
	while (len < line->len && line->ptr[len] != ' ' && line->ptr[len] != '\t')
		len++;
	*word = span_first(*line, len);
	*line = span_skip(*line, len);
	return len > 0;
}

/* What stands behind the login. NULL, or what is wrong with it. */
static const char *
words_read(struct span rest, struct user *user)
{
	struct span word;

	while (word_take(&rest, &word)) {
		struct verifier verifier;

		if (span_equal(word, span_of("disabled"))) {
			user->is_disabled = true;
			continue;
		}
		if (verifier_parse(word, &verifier) != PARSE_OK)
			return "expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey or "
			       "\"disabled\" behind the login";
		if (user->has_verifier[verifier.kind])
			return "two verifiers of one kind";
		user->has_verifier[verifier.kind] = true;
		user->verifiers[verifier.kind] = verifier;
	}
	return NULL;
}

static void
user_add(struct user_set *set, const struct user *user)
{
	struct user *kept = arena_new(&set->arena, sizeof(*kept));

	*kept = *user;
	kept->login = arena_copy(&set->arena, user->login);
	if (set->count == set->room) {
		set->room = set->room == 0 ? 16 : set->room * 2;
		set->users = memory_resize(set->users, set->room, sizeof(struct user *));
	}
	set->users[set->count++] = kept;
	(void)table_put(&set->by_login, kept->login, kept);
}

/* Nobody logs in by a line that says something we do not understand. */
static void
user_shut_out(struct user *user)
{
	user->is_disabled = true;
	memset(user->has_verifier, 0, sizeof(user->has_verifier));
}

static void
line_read(struct parser *p, struct span line)
{
	char login[AUTH_LOGIN_MAX];
	struct user user = { .line = p->line };
	struct span word;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (!word_take(&line, &word) || word.ptr[0] == '#')
		return;
	if (login_canonical(p->realm, word, login, &user.login.len) != PARSE_OK) {
		complain(p, "this is no name of a login");
		return;
	}
	user.login.ptr = login;
	const char *problem = line.len > USERS_LINE_MAX ? "line too long" :
							  words_read(line, &user);
	struct user *other = table_find(&p->set->by_login, user.login);

	if (other != NULL) {
		complain(p, "this login has a line already; neither is used");
		user_shut_out(other);
		return;
	}
	if (problem != NULL) {
		complain(p, problem);
		user_shut_out(&user);
	}
	user_add(p->set, &user);
}

/* The count that most logins have: so many are the rounds for a login that does not exist. */
static uint32_t
iterations_of_most(const struct user_set *set)
{
	uint32_t best = VERIFIER_ITERATIONS_DEFAULT;
	long lead = 0;

	for (size_t i = 0; i < set->count; i++) { /* Boyer and Moore's vote */
		const struct user *user = set->users[i];
		enum digest_kind kind =
		    user->has_verifier[DIGEST_SHA_256] ? DIGEST_SHA_256 : DIGEST_SHA_1;

		if (!user->has_verifier[kind])
			continue;
		if (lead == 0)
			best = user->verifiers[kind].iterations;
		lead += user->verifiers[kind].iterations == best ? 1 : -1;
	}
	return best;
}

struct user_set *
user_set_parse(struct span text, struct span realm, user_complain *complain_to, void *context)
{
	struct user_set *set = memory_new(sizeof(*set));
	struct parser p = {
		.set = set, .realm = realm, .complain = complain_to, .context = context
	};

	arena_init(&set->arena, 16384);
	table_init(&set->by_login, 0);
	while (text.len > 0) {
		struct span line = span_first(text, span_find(text, '\n'));

		p.line++;
		line_read(&p, line);
		text = span_skip(text, line.len);
		(void)byte_take(&text, '\n');
	}
	set->iterations = iterations_of_most(set);
	return set;
}

void
user_set_free(struct user_set **set)
{
	if (*set == NULL)
		return;
	for (size_t i = 0; i < (*set)->count; i++)
		memory_wipe((*set)->users[i], sizeof(*(*set)->users[i]));
	free((*set)->users);
	table_reset(&(*set)->by_login);
	arena_reset(&(*set)->arena);
	free(*set);
	*set = NULL;
}

struct user *
user_set_find(const struct user_set *set, struct span login)
{
	return table_find(&set->by_login, login);
}

size_t
user_set_count(const struct user_set *set)
{
	return set->count;
}

const struct user *
user_set_at(const struct user_set *set, size_t i)
{
	return set->users[i];
}

uint32_t
user_set_iterations(const struct user_set *set)
{
	return set->iterations;
}
