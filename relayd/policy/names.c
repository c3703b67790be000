/* SPDX-License-Identifier: ISC */
/* How logins and certificates are compared, and the words that lists may hold. */
#include "policy/policy_private.h"

#define FINGERPRINT_DIGITS 64 /* of SHA-256 */

bool
table_reference_take(struct span text, struct span *name)
{
	static const struct span prefix = SPAN_LITERAL("table:");

	if (!span_starts_fold(text, prefix))
		return false;
	*name = span_skip(text, prefix.len);
	return true;
}

bool
is_accepted_domains(struct span text)
{
	static const struct span word = SPAN_LITERAL("accepted-domains");

	return span_equal_fold(text, word);
}

/*
 * Names of logins are compared byte by byte: "Billing" and "billing" may be two people in the
 * store of passwords, and this is no place to make them one. Realms are domains: without case.
 */
size_t
login_key_make(struct span realm, struct span login, char out[LOGIN_MAX],
	       size_t *realm_at)
{
	size_t at = login.len;

	while (at > 0 && login.ptr[at - 1] != '@')
		at--;
	bool has_realm = at > 0;
	struct span name = has_realm ? span_first(login, at - 1) : login;
	struct span where = has_realm ? span_skip(login, at) : realm;
	size_t len = name.len + (where.len == 0 && !has_realm ? 0 : 1 + where.len);

	*realm_at = len;
	if (login.len == 0 || len > LOGIN_MAX)
		return 0;
	if (name.len > 0)
		memcpy(out, name.ptr, name.len);
	if (len > name.len) {
		out[name.len] = '@';
		*realm_at = name.len + 1;
		for (size_t i = 0; i < where.len; i++)
			out[name.len + 1 + i] = ascii_lower(where.ptr[i]);
	}
	return len;
}

/* 64 hexadecimal digits, colons between them left out, in lower case. */
static size_t
fingerprint_make(struct span digits, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < digits.len; i++) {
		char c = ascii_lower(digits.ptr[i]);

		if (c == ':')
			continue;
		if (!(ascii_is_digit(c) || (c >= 'a' && c <= 'f')) ||
		    len == FINGERPRINT_DIGITS)
			return 0;
		out[len++] = c;
	}
	return len == FINGERPRINT_DIGITS ? len : 0;
}

size_t
identity_key_make(struct span identity, char out[IDENTITY_MAX])
{
	static const struct span prefixes[] = {
		SPAN_LITERAL("sha256:"),
		SPAN_LITERAL("dns:"),
		SPAN_LITERAL("email:"),
		SPAN_LITERAL("cn:"),
	};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t skip = prefixes[i].len;

		if (!span_starts_fold(identity, prefixes[i]))
			continue;
		struct span value = span_skip(identity, skip);

		if (value.len == 0 || skip + value.len > IDENTITY_MAX)
			return 0;
		memcpy(out, prefixes[i].ptr, skip);
		if (i == 0) {
			size_t digits = fingerprint_make(value, out + skip);

			return digits == 0 ? 0 : skip + digits;
		}
		size_t domain_at = i == 1 ? 0 :
					    value.len; /* from there on without case */

		for (size_t at = 0; i == 2 && at < value.len; at++) {
			if (value.ptr[at] == '@')
				domain_at = at;
		}
		for (size_t at = 0; at < value.len; at++)
			out[skip + at] = at >= domain_at ? ascii_lower(value.ptr[at]) :
							   value.ptr[at];
		return skip + value.len;
	}
	return 0;
}

size_t
policy_login_key(const struct policy *policy, struct span login, char out[POLICY_LOGIN_MAX])
{
	size_t realm_at;

	return login_key_make(policy->realm, login, out, &realm_at);
}
