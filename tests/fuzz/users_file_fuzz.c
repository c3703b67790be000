/* SPDX-License-Identifier: ISC */
/* The users file: whatever its text, logins are canonical, and no line counts for two. */
#include "auth/users_file.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
complaint_see(void *context, unsigned line, const char *text)
{
	assert(line > 0 && text != NULL);
	(void)context;
}

/* What was read is written and read again, and is the same. */
static void
verifier_see(const struct verifier *verifier)
{
	struct verifier again;
	struct buffer text;

	buffer_init(&text, VERIFIER_TEXT_MAX);
	assert(verifier_append(verifier, &text));
	assert(verifier_parse(buffer_span(&text), &again) == PARSE_OK);
	assert(again.iterations == verifier->iterations && again.kind == verifier->kind);
	assert(again.salt_octets == verifier->salt_octets && again.salt_octets > 0);
	buffer_reset(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span realm = span_of("example.com");
	struct user_set *set = user_set_parse((struct span){ (const char *)data, size }, realm,
					      complaint_see, NULL);
	unsigned line = 0;

	for (size_t i = 0; i < user_set_count(set); i++) {
		const struct user *user = user_set_at(set, i);
		char login[AUTH_LOGIN_MAX];
		size_t len;

		assert(user->line > line);
		line = user->line;
		assert(user_set_find(set, user->login) == user);
		assert(login_canonical(realm, user->login, login, &len) == PARSE_OK);
		assert(span_equal((struct span){ login, len }, user->login));
		for (int kind = 0; kind < DIGEST_KINDS; kind++) {
			if (user->has_verifier[kind])
				verifier_see(&user->verifiers[kind]);
		}
	}
	assert(user_set_iterations(set) >= VERIFIER_ITERATIONS_MIN);
	user_set_free(&set);
	return 0;
}
