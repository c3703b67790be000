/* SPDX-License-Identifier: ISC */
/* What a client says who logs in with a token; see token_login.h. */
#include "delivery/token_login.h"

const char *
token_mechanism_name(enum token_mechanism mechanism)
{
	return mechanism == TOKEN_OAUTHBEARER ? "OAUTHBEARER" : "XOAUTH2";
}

/* saslname of RFC 5801 s.4: "," and "=" stand for the grammar. */
static bool
name_append(struct buffer *out, struct span name)
{
	bool ok = true;

	for (size_t i = 0; ok && i < name.len; i++) {
		if (name.ptr[i] == ',')
			ok = buffer_append_text(out, "=2C");
		else if (name.ptr[i] == '=')
			ok = buffer_append_text(out, "=3D");
		else
			ok = buffer_append_byte(out, name.ptr[i]);
	}
	return ok;
}

bool
token_response_append(enum token_mechanism mechanism, const struct token_login *login,
		      struct span token, struct buffer *out)
{
	bool ok;

	if (mechanism == TOKEN_XOAUTH2)
		ok = buffer_append_text(out, "user=") && buffer_append(out, login->user) &&
		     buffer_append_byte(out, '\1');
	else
		ok = buffer_append_text(out, "n,a=") && name_append(out, login->user) &&
		     buffer_append_text(out, ",\1host=") && buffer_append(out, login->host) &&
		     buffer_printf(out, "\1port=%u\1", login->port);
	return ok && buffer_append_text(out, "auth=Bearer ") && buffer_append(out, token) &&
	       buffer_append_text(out, "\1\1");
}

const char *
token_last_word(enum token_mechanism mechanism)
{
	return mechanism == TOKEN_OAUTHBEARER ? "AQ==" : "";
}
