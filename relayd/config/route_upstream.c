/* SPDX-License-Identifier: ISC */
/* How a route meets its next hops: TLS, login, the order of them; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

#include "auth/login_client.h"

#define USER_MAX 255

/* Complain of an option that has no effect without another. */
static void
needless_complain(const struct section *section, const char *option, const char *cure)
{
	struct value value;

	if (section_value(section, option, &value))
		value_complain(&value, "has no effect %s, or remove it", cure);
}

static const char *
path_read(const struct section *section, const char *option)
{
	struct span path = section_path(section, option);

	return path.len == 0 ? NULL : arena_copy_text(section->reader->arena, path);
}

/* ---- TLS ---- */

static struct span
tls_name_read(const struct section *section)
{
	struct value value;
	struct ip ip;

	if (!section_value(section, "tls-name", &value))
		return (struct span){ .ptr = NULL };
	if (!domain_is_valid(value.text) && ip_parse(value.text, &ip) != PARSE_OK)
		value_complain(&value, "is not a host name; write the name that the next "
				       "hop's certificate has, for example "
				       "\"smtp.example.com\"");
	return section_text(section, "tls-name");
}

static void
route_tls_read(const struct section *section, struct route_settings *route)
{
	static const struct choice tls[] = {
		{ "none", ROUTE_TLS_NONE, IN_THIS_RELEASE },
		{ "opportunistic", ROUTE_TLS_OPPORTUNISTIC, IN_THIS_RELEASE },
		{ "required", ROUTE_TLS_REQUIRED, IN_THIS_RELEASE },
		{ "verify", ROUTE_TLS_VERIFY, IN_THIS_RELEASE },
		{ "dane", ROUTE_TLS_DANE, IN_THIS_RELEASE },
	};
	static const char *const needing[] = { "tls-implicit", "tls-ca", "tls-name",
					       "certificate", "key" };

	route->tls = (enum route_tls)section_choice(section, "tls", tls, ARRAY_LEN(tls),
						    ROUTE_TLS_OPPORTUNISTIC);
	route->is_tls_implicit = section_bool(section, "tls-implicit", false);
	route->tls_ca = path_read(section, "tls-ca");
	route->tls_name = tls_name_read(section);
	route->certificate = path_read(section, "certificate");
	route->key = path_read(section, "key");
	for (size_t i = 0; route->tls == ROUTE_TLS_NONE && i < ARRAY_LEN(needing); i++)
		needless_complain(section, needing[i],
				  "without TLS; write tls = \"verify\"");
	if (route->tls != ROUTE_TLS_NONE && route->certificate == NULL &&
	    !section_has_refused(section, "certificate"))
		needless_complain(section, "key",
				  "without a certificate; write certificate = "
				  "\"/etc/relayd/tls/client.pem\"");
}

/* ---- Login ---- */

#define WITH_TOKEN(mechanism) (0x10000 + (int)(mechanism)) /* beside the sets of mechanisms */

/* A set of AUTH_BIT, or WITH_TOKEN. */
static int
route_mechanisms_read(const struct section *section)
{
	static const struct choice mechanisms[] = {
		{ "SCRAM-SHA-256", AUTH_BIT(AUTH_SCRAM_SHA_256), IN_THIS_RELEASE },
		{ "SCRAM-SHA-1", AUTH_BIT(AUTH_SCRAM_SHA_1), IN_THIS_RELEASE },
		{ "CRAM-MD5", AUTH_BIT(AUTH_CRAM_MD5), IN_THIS_RELEASE },
		{ "PLAIN", AUTH_BIT(AUTH_PLAIN), IN_THIS_RELEASE },
		{ "LOGIN", AUTH_BIT(AUTH_LOGIN), IN_THIS_RELEASE },
		{ "XOAUTH2", WITH_TOKEN(TOKEN_XOAUTH2), IN_THIS_RELEASE },
		{ "OAUTHBEARER", WITH_TOKEN(TOKEN_OAUTHBEARER), IN_THIS_RELEASE },
	};

	return section_choice(section, "mechanism", mechanisms, ARRAY_LEN(mechanisms),
			      LOGIN_MECHANISMS);
}

static struct span
user_read(const struct section *section)
{
	struct value value;

	if (!section_value(section, "user", &value)) {
		section_complain_missing(section, "user", "\"relay@example.com\"");
		return (struct span){ .ptr = NULL };
	}

	bool is_good = value.text.len <= USER_MAX; /* of an empty one others complain */

	for (size_t i = 0; i < value.text.len; i++)
		is_good = is_good && !ascii_is_control(value.text.ptr[i]);
	if (!is_good)
		value_complain(&value, "is not a user's name; write for example "
				       "\"relay@example.com\"");
	return section_text(section, "user");
}

static bool
is_plain_text_only(unsigned mechanisms)
{
	return (mechanisms & ~(AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN))) == 0;
}

static bool
next_hops_are_loopback(const struct route_settings *route)
{
	struct ip ip;

	for (size_t i = 0; i < route->next_hop_count; i++)
		if (ip_parse(route->next_hops[i].host, &ip) != PARSE_OK ||
		    !ip_is_loopback(&ip))
			return false;
	return true;
}

static const char *
text_read(const struct section *section, const char *option)
{
	struct span text = section_text(section, option);

	return text.len == 0 ? NULL : arena_copy_text(section->reader->arena, text);
}

static bool
is_https(struct span url)
{
	static const struct span scheme = SPAN_LITERAL("https://");
	bool ok = span_starts_fold(url, scheme) && url.len > scheme.len;

	for (size_t i = 0; ok && i < url.len; i++)
		ok = url.ptr[i] > ' ' && url.ptr[i] < 0x7f;
	return ok;
}

/* How an access token is asked for: RFC 6749, RFC 7523. */
static void
token_read_settings(const struct section *section, struct token_settings *token)
{
	struct value value;

	*token = (struct token_settings){
		.endpoint = text_read(section, "token-endpoint"),
		.client_id = text_read(section, "client-id"),
		.scope = text_read(section, "scope"),
		.client_secret_file = path_read(section, "client-secret-file"),
		.certificate = path_read(section, "certificate"),
		.key = path_read(section, "key"),
		.refresh_token_file = path_read(section, "refresh-token-file"),
		.ca_file = path_read(section, "token-ca"),
	};
	if (!section_value(section, "token-endpoint", &value))
		section_complain_missing(section, "token-endpoint",
					 "\"https://login.example.com/oauth2/token\"");
	else if (!is_https(value.text))
		value_complain(&value, "is not an address that begins with https://; tokens are "
				       "fetched no other way");
	if (!section_has(section, "client-id"))
		section_complain_missing(section, "client-id", "\"relayd\"");
	if ((token->certificate == NULL) != (token->key == NULL))
		section_complain(section, "needs both certificate and key to sign with, or neither");
	if (token->client_secret_file != NULL && token->certificate != NULL)
		section_complain(section, "has a client-secret-file and a certificate; one of them "
					  "proves who relayd is, remove the other");
	if (token->client_secret_file == NULL && token->certificate == NULL &&
	    token->refresh_token_file == NULL)
		section_complain(section, "does not say how relayd proves who it is; write "
					  "client-secret-file = \"/etc/relayd/secret\", or "
					  "certificate and key, or refresh-token-file");
	if (section_value(section, "password-file", &value))
		value_complain(&value, "has no effect with a token; remove it");
}

static void
token_auth_read(const struct section *section, struct route_settings *route)
{
	token_read_settings(section, &route->auth.token);
	if ((route->tls == ROUTE_TLS_NONE || route->tls == ROUTE_TLS_OPPORTUNISTIC) &&
	    !next_hops_are_loopback(route))
		section_complain(section, "would hand its token to whoever answers, or send it in "
					  "clear; write tls = \"verify\" in the route");
}

static void
password_auth_read(const struct section *section, struct route_settings *route)
{
	static const char *const needing[] = { "token-endpoint", "client-id",
					       "client-secret-file", "certificate", "key",
					       "refresh-token-file", "scope", "token-ca" };

	route->auth.password_file = path_read(section, "password-file");
	if (!section_has(section, "password-file"))
		section_complain_missing(section, "password-file",
					 "\"/etc/relayd/password\"");
	for (size_t i = 0; i < ARRAY_LEN(needing); i++)
		needless_complain(section, needing[i],
				  "without a token; write mechanism = \"XOAUTH2\"");
}

static void
auth_read(const struct section *route_section, struct route_settings *route)
{
	struct section section;
	int mechanisms;

	if (!section_inner(route_section, "auth", &section))
		return;
	mechanisms = route_mechanisms_read(&section);
	route->auth.user = user_read(&section);
	if (mechanisms >= WITH_TOKEN(0)) {
		route->auth.token_mechanism =
		    (enum token_mechanism)(mechanisms - WITH_TOKEN(0));
		token_auth_read(&section, route);
		return;
	}
	route->auth.mechanisms = (unsigned)mechanisms;
	password_auth_read(&section, route);
	if (route->tls == ROUTE_TLS_NONE && is_plain_text_only(route->auth.mechanisms) &&
	    !next_hops_are_loopback(route))
		section_complain(&section, "would send the password in clear, which relayd "
					   "does on loopback only; write tls = \"verify\" in "
					   "the route");
}

/* ---- All of it ---- */

/* What only next hops have, in a route into a Maildir. */
static void
maildir_complain(const struct section *section)
{
	static const char *const options[] = { "balance", "tls", "tls-implicit", "tls-ca",
					       "tls-name", "certificate", "key", "port",
					       "mta-sts" };
	struct section auth;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct value value;

		if (section_value(section, options[i], &value))
			value_complain(&value, "has no meaning for a Maildir; remove it");
	}
	if (section_inner(section, "auth", &auth))
		section_complain(&auth, "has no meaning for a Maildir; remove it");
}

void
route_upstream_read(const struct section *section, struct route_settings *route)
{
	if (route->maildir.len > 0 && route->next_hop_count == 0) {
		maildir_complain(section);
		return;
	}
	route->is_balanced = section_bool(section, "balance", false);
	route_tls_read(section, route);
	auth_read(section, route);
}
