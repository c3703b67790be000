/* SPDX-License-Identifier: ISC */
/* Names of logins; see login.h. */
#include "auth/login.h"

#include "base/utf8.h"

/* UTF-8 without control characters, C1 included. */
static bool
text_is_clean(struct span text)
{
	while (text.len > 0) {
		uint32_t code;
		size_t octets = utf8_decode(text, &code);

		if (octets == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
		text = span_skip(text, octets);
	}
	return true;
}

enum parse_status
login_canonical(struct span realm, struct span name, char out[AUTH_LOGIN_MAX], size_t *len)
{
	size_t at = name.len;

	while (at > 0 && name.ptr[at - 1] != '@')
		at--;
	bool has_realm = at > 0;
	struct span local = has_realm ? span_first(name, at - 1) : name;
	struct span where = has_realm ? span_skip(name, at) : realm;

	if (local.len == 0 || (has_realm && where.len == 0))
		return PARSE_BAD;
	if (local.len > AUTH_LOGIN_MAX || where.len > AUTH_LOGIN_MAX ||
	    local.len + where.len + 1 > AUTH_LOGIN_MAX)
		return PARSE_BAD;
	if (name.ptr[0] == ' ' || name.ptr[name.len - 1] == ' ' || !text_is_clean(name))
		return PARSE_BAD;
	memmove(out, local.ptr, local.len);
	*len = local.len;
	if (where.len > 0) {
		out[local.len] = '@';
		for (size_t i = 0; i < where.len; i++)
			out[local.len + 1 + i] = ascii_lower(where.ptr[i]);
		*len += 1 + where.len;
	}
	return PARSE_OK;
}
