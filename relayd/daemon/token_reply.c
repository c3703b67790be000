/* SPDX-License-Identifier: ISC */
/* Reading token answers and files; see token_reply.h. */
#include "daemon/token_reply.h"

#include <jansson.h>

#define LIFETIME_DEFAULT_S 3600 /* where the answer does not say; RFC 6749 s.5.1 lets it */
#define LIFETIME_MAX_S	   (7 * 24 * 3600)

/* A text of visible ASCII that fits, as tokens are (RFC 6749 s.A.12). */
static bool
token_copy(const json_t *object, const char *name, char *out, size_t room)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	size_t len = value == NULL ? 0 : json_string_length(value);

	out[0] = '\0';
	if (text == NULL || len == 0 || len >= room)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
	}
	memcpy(out, text, len + 1);
	return true;
}

/* The first line of a text, without what could do harm to a log or terminal. */
static void
words_copy(const json_t *object, const char *name, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(object, name));
	size_t len = 0;

	for (; text != NULL && text[len] != '\0' && len + 1 < room; len++) {
		if (text[len] == '\r' || text[len] == '\n')
			break;
		out[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
	}
	out[len] = '\0';
}

/* Some endpoints write the number as a text. */
static int64_t
lifetime_of(const json_t *object)
{
	const json_t *value = json_object_get(object, "expires_in");
	const char *text = json_string_value(value);
	uint64_t seconds = LIFETIME_DEFAULT_S;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		seconds = (uint64_t)json_integer_value(value);
	else if (text != NULL)
		(void)number_parse(span_of(text), LIFETIME_MAX_S, &seconds);
	return (int64_t)(seconds > LIFETIME_MAX_S ? LIFETIME_MAX_S : seconds);
}

enum parse_status
token_reply_parse(struct span json, struct token_reply *reply)
{
	json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
	bool ok;

	*reply = (struct token_reply){ .lifetime_s = lifetime_of(object) };
	ok = token_copy(object, "access_token", reply->token, sizeof(reply->token));
	(void)token_copy(object, "refresh_token", reply->refresh_token,
			 sizeof(reply->refresh_token));
	words_copy(object, "error", reply->error, sizeof(reply->error));
	words_copy(object, "error_description", reply->description, sizeof(reply->description));
	json_decref(object);
	return ok || reply->error[0] != '\0' ? PARSE_OK : PARSE_BAD;
}

bool
token_error_is_final(const char *error)
{
	static const char *const final[] = {
		"invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope",
		"unsupported_grant_type", "access_denied", "consent_required",
		"interaction_required", "login_required",
	};

	for (size_t i = 0; i < ARRAY_LEN(final); i++) {
		if (strcmp(error, final[i]) == 0)
			return true;
	}
	return false;
}

enum parse_status
token_file_parse(struct span json, struct token_file *file)
{
	json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *expires = json_object_get(object, "expires");
	bool ok;

	*file = (struct token_file){ .expires_wall_ms = json_integer_value(expires) };
	ok = token_copy(object, "key", file->key, sizeof(file->key)) && json_is_integer(expires);
	(void)token_copy(object, "token", file->token, sizeof(file->token));
	(void)token_copy(object, "refresh-token", file->refresh_token,
			 sizeof(file->refresh_token));
	json_decref(object);
	return ok ? PARSE_OK : PARSE_BAD;
}
