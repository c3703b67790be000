/* SPDX-License-Identifier: ISC */
/* Tables of mechanisms and methods; see mechanism.h. */
#include "auth/mechanism.h"

#define SCRAM_BITS                                                                       \
	(AUTH_BIT(AUTH_SCRAM_SHA_1) | AUTH_BIT(AUTH_SCRAM_SHA_1_PLUS) |                      \
	 AUTH_BIT(AUTH_SCRAM_SHA_256) | AUTH_BIT(AUTH_SCRAM_SHA_256_PLUS))
#define PASSWORD_BITS (AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN))
#define OTHER_BITS    (AUTH_BIT(AUTH_EXTERNAL) | AUTH_BIT(AUTH_GSSAPI))

struct mechanism_row {
	struct span name;
	bool is_plain_text;
	bool is_bound;
	bool is_server_first;
};

/* clang-format off */
static const struct mechanism_row mechanisms[AUTH_MECHANISM_COUNT] = {
	/*                            name                                 clear  bound  server first */
	[AUTH_PLAIN] =              { SPAN_LITERAL("PLAIN"),               true,  false, false },
	[AUTH_LOGIN] =              { SPAN_LITERAL("LOGIN"),               true,  false, false },
	[AUTH_CRAM_MD5] =           { SPAN_LITERAL("CRAM-MD5"),            false, false, true },
	[AUTH_SCRAM_SHA_1] =        { SPAN_LITERAL("SCRAM-SHA-1"),         false, false, false },
	[AUTH_SCRAM_SHA_1_PLUS] =   { SPAN_LITERAL("SCRAM-SHA-1-PLUS"),    false, true,  false },
	[AUTH_SCRAM_SHA_256] =      { SPAN_LITERAL("SCRAM-SHA-256"),       false, false, false },
	[AUTH_SCRAM_SHA_256_PLUS] = { SPAN_LITERAL("SCRAM-SHA-256-PLUS"),  false, true,  false },
	[AUTH_EXTERNAL] =           { SPAN_LITERAL("EXTERNAL"),            false, false, false },
	[AUTH_GSSAPI] =             { SPAN_LITERAL("GSSAPI"),              false, false, false },
};
/* clang-format on */

static const struct span methods[AUTH_METHOD_COUNT] = {
	[AUTH_METHOD_USERS_FILE] = SPAN_LITERAL("users-file"),
	[AUTH_METHOD_SASLDB] = SPAN_LITERAL("sasldb"),
	[AUTH_METHOD_SASLAUTHD] = SPAN_LITERAL("saslauthd"),
	[AUTH_METHOD_AUXPROP] = SPAN_LITERAL("auxprop"),
};

const char *
auth_mechanism_name(enum auth_mechanism mechanism)
{
	return mechanisms[mechanism].name.ptr;
}

enum parse_status
auth_mechanism_parse(struct span name, enum auth_mechanism *mechanism)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (span_equal_fold(mechanisms[i].name, name)) {
			*mechanism = (enum auth_mechanism)i;
			return PARSE_OK;
		}
	}
	return PARSE_BAD;
}

const char *
auth_method_name(enum auth_method method)
{
	return methods[method].ptr;
}

enum parse_status
auth_method_parse(struct span name, enum auth_method *method)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (span_equal(methods[i], name)) {
			*method = (enum auth_method)i;
			return PARSE_OK;
		}
	}
	return PARSE_BAD;
}

bool
auth_mechanism_is_plain_text(enum auth_mechanism mechanism)
{
	return mechanisms[mechanism].is_plain_text;
}

bool
auth_mechanism_is_bound(enum auth_mechanism mechanism)
{
	return mechanisms[mechanism].is_bound;
}

bool
auth_mechanism_is_server_first(enum auth_mechanism mechanism)
{
	return mechanisms[mechanism].is_server_first;
}

unsigned
auth_mechanisms_of(enum auth_method method, bool scram_from_clear)
{
	unsigned clear = PASSWORD_BITS | OTHER_BITS | AUTH_BIT(AUTH_CRAM_MD5);

	switch (method) {
	case AUTH_METHOD_USERS_FILE:
		return PASSWORD_BITS | OTHER_BITS | SCRAM_BITS;
	case AUTH_METHOD_SASLDB:
	case AUTH_METHOD_AUXPROP:
		return clear | (scram_from_clear ? SCRAM_BITS : 0);
	case AUTH_METHOD_SASLAUTHD:
	case AUTH_METHOD_COUNT:
		break;
	}
	return PASSWORD_BITS | OTHER_BITS;
}

unsigned
auth_mechanisms_default(enum auth_method method)
{
	unsigned scram = AUTH_BIT(AUTH_SCRAM_SHA_256) | AUTH_BIT(AUTH_SCRAM_SHA_256_PLUS);

	return PASSWORD_BITS | (scram & auth_mechanisms_of(method, false));
}

bool
auth_mechanism_is_slow(enum auth_method method, enum auth_mechanism mechanism)
{
	if (mechanism == AUTH_GSSAPI)
		return true;
	if (mechanism == AUTH_EXTERNAL)
		return false;
	return method == AUTH_METHOD_SASLAUTHD || method == AUTH_METHOD_AUXPROP;
}
