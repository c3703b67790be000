/* SPDX-License-Identifier: ISC */
/*
 * Logins: where they come from (sasl), what becomes of those who guess (auth-ban), which
 * mechanisms connectors offer; see reader.h and docs/logins.md.
 */
#include "config/reader.h"
#include "config/value.h"

#include <sys/stat.h>

#define USERS_FILE_DEFAULT "/etc/relayd/users"
#define MECHANISMS_EXAMPLE "\"PLAIN\", \"LOGIN\", \"SCRAM-SHA-256\""

/* Options that mean something with one method only. */
static const struct {
	const char *option;
	enum auth_method method;
} of_method[] = {
	{ "users-file", AUTH_METHOD_USERS_FILE },
	{ "sasldb-path", AUTH_METHOD_SASLDB },
	{ "saslauthd-path", AUTH_METHOD_SASLAUTHD },
	{ "plugin", AUTH_METHOD_AUXPROP },
	{ "options", AUTH_METHOD_AUXPROP },
};

static void
foreign_options_complain(const struct section *section, enum auth_method method)
{
	struct value value;

	for (size_t i = 0; i < ARRAY_LEN(of_method); i++) {
		if (of_method[i].method == method ||
		    !section_value_at(section, of_method[i].option, 0, &value))
			continue;
		value_complain(&value, "belongs to method = \"%s\", but the method is \"%s\"; "
				       "change the method, or remove it",
			       auth_method_name(of_method[i].method), auth_method_name(method));
	}
	if (section_value(section, "scram-from-clear", &value) &&
	    method != AUTH_METHOD_SASLDB && method != AUTH_METHOD_AUXPROP)
		value_complain(&value, "is about passwords in clear text, which method \"%s\" "
				       "does not know; remove it", auth_method_name(method));
}

static enum auth_method
method_read(const struct section *section)
{
	enum auth_method method = AUTH_METHOD_USERS_FILE;
	struct value value;

	if (section_value(section, "method", &value) &&
	    auth_method_parse(value.text, &method) != PARSE_OK)
		value_complain(&value, "is unknown; write \"users-file\", \"sasldb\", "
				       "\"saslauthd\" or \"auxprop\"");
	return method;
}

static const char *
path_read(const struct section *section, const char *option, const char *fallback)
{
	struct span path = section_path(section, option);

	return span_is_empty(path) ? fallback :
				     arena_copy_text(section->reader->arena, path);
}

/* saslauthd's own documentation speaks of the folder; Cyrus wants the socket in it. */
static void
saslauthd_path_check(const struct section *section, const char *path)
{
	struct stat status;
	struct value value;

	if (path != NULL && section->reader->outline->opens_files &&
	    stat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
	    section_value(section, "saslauthd-path", &value))
		value_complain(&value, "is a directory; write the name of the socket in it, "
				       "\"%s/mux\"", path);
}

/* "name: value" */
static bool
sasl_option_take(const struct value *value, struct auth_option *option)
{
	struct arena *arena = value->section->reader->arena;
	size_t colon = span_find(value->text, ':');
	struct span name = span_trim(span_first(value->text, colon));

	if (colon == value->text.len || span_is_empty(name)) {
		value_complain(value, "is not an option of Cyrus SASL's; write for example "
				      "\"sql_engine: pgsql\"");
		return false;
	}
	option->name = arena_copy_text(arena, name);
	option->value = arena_copy_text(arena, span_trim(span_skip(value->text, colon + 1)));
	return true;
}

static void
auxprop_read(const struct section *section, struct auth_settings *auth)
{
	struct text_list list = section_list(section, "options", NULL);
	struct auth_option *options =
	    arena_new_array(section->reader->arena, list.count, sizeof(*options));
	struct value value;

	auth->options = options;
	for (size_t i = 0; section_value_at(section, "options", i, &value); i++)
		auth->option_count += sasl_option_take(&value, &options[auth->option_count]);
	if (auth->method != AUTH_METHOD_AUXPROP)
		return;
	if (!section_value(section, "plugin", &value))
		section_complain_missing(section, "plugin", "\"sql\"");
	else if (!span_equal(value.text, span_of("sql")) &&
		 !span_equal(value.text, span_of("ldapdb")))
		value_complain(&value, "is not a plug-in that relayd knows; write \"sql\" or "
				       "\"ldapdb\"");
	else
		auth->auxprop_plugin = arena_copy_text(section->reader->arena, value.text);
}

static const char *
realm_read(const struct section *section)
{
	struct value value;

	if (!section_value(section, "realm", &value))
		return section->reader->settings->hostname;
	if (!domain_is_valid(value.text))
		value_complain(&value, "is not a domain; write for example \"example.com\"");
	return arena_copy_text(section->reader->arena, value.text);
}

void
sasl_read(struct reader *reader)
{
	struct settings *settings = reader->settings;
	struct auth_settings *auth = &settings->auth;
	struct section section;

	*auth = (struct auth_settings){ .hostname = settings->hostname, .realm = "" };
	if (!section_open(reader, "sasl", &section))
		return;
	auth->method = method_read(&section);
	auth->realm = realm_read(&section);
	settings->source.realm = span_of(auth->realm);
	auth->users_file = path_read(
	    &section, "users-file",
	    auth->method == AUTH_METHOD_USERS_FILE ? USERS_FILE_DEFAULT : NULL);
	auth->sasldb_path = path_read(&section, "sasldb-path", NULL);
	auth->saslauthd_path = path_read(&section, "saslauthd-path", NULL);
	auth->keytab = path_read(&section, "keytab", NULL);
	auth->scram_from_clear = section_bool(&section, "scram-from-clear", false);
	auxprop_read(&section, auth);
	saslauthd_path_check(&section, auth->saslauthd_path);
	foreign_options_complain(&section, auth->method);
}

/* ---- auth-ban ---- */

static bool
exempt_check(const struct value *value)
{
	struct ip_range range;

	if (ip_range_parse(value->text, &range) == PARSE_OK)
		return true;
	value_complain(value, "is not an address, prefix or range; write for example "
			      "\"10.20.0.0/16\"");
	return false;
}

void
auth_ban_read(struct reader *reader)
{
	struct auth_ban_settings *ban = &reader->settings->auth_ban;
	struct section section;

	*ban = (struct auth_ban_settings){
		.failures = 10,
		.window_ms = 10 * MINUTE_MS,
		.duration_ms = HOUR_MS,
	};
	if (!section_open(reader, "auth-ban", &section))
		return;
	ban->failures = section_number(&section, "failures", ban->failures, 1, 30000, true);
	ban->window_ms =
	    section_duration(&section, "window", ban->window_ms, SECOND_MS, 30 * DAY_MS);
	ban->duration_ms =
	    section_duration(&section, "duration", ban->duration_ms, SECOND_MS, 30 * DAY_MS);

	struct text_list list = section_list(&section, "exempt", exempt_check);
	struct ip_range *exempt = arena_new_array(reader->arena, list.count, sizeof(*exempt));

	for (size_t i = 0; i < list.count; i++)
		ban->exempt_count +=
		    ip_range_parse(list.items[i], &exempt[ban->exempt_count]) == PARSE_OK;
	ban->exempt = exempt;
}

/* ---- Mechanisms ---- */

/* Those that are known and shall not be. */
static bool
mechanism_is_never(struct span name)
{
	static const char *const never[] = { "DIGEST-MD5", "NTLM", "ANONYMOUS" };

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (span_equal_fold(name, span_of(never[i])))
			return true;
	return false;
}

static bool
mechanism_is_listed(const struct session_settings *session, enum auth_mechanism mechanism)
{
	for (size_t i = 0; i < session->auth_count; i++)
		if (session->auth[i] == mechanism)
			return true;
	return false;
}

void
mechanisms_read(const struct section *section, struct session_settings *session)
{
	enum auth_mechanism mechanism;
	struct value value;

	for (size_t i = 0; section_value_at(section, "auth-mechanisms", i, &value); i++) {
		if (auth_mechanism_parse(value.text, &mechanism) != PARSE_OK)
			value_complain(&value,
				       mechanism_is_never(value.text) ?
					       "is never offered, because it protects nobody; "
					       "write for example " MECHANISMS_EXAMPLE :
					       "is not a mechanism that relayd knows; write for "
					       "example " MECHANISMS_EXAMPLE);
		else if (mechanism_is_listed(session, mechanism))
			value_complain(&value, "stands twice; remove one");
		else
			session->auth[session->auth_count++] = mechanism;
	}
}

/* Why the source of logins cannot serve the mechanism, and what to do; NULL when it can. */
static const char *
mechanism_problem(const struct auth_settings *auth, enum auth_mechanism mechanism)
{
	if ((auth_settings_mechanisms(auth) & AUTH_BIT(mechanism)) != 0)
		return NULL;
	if (mechanism == AUTH_GSSAPI)
		return "needs a key of Kerberos; name its file with keytab in section sasl";
	if (mechanism == AUTH_CRAM_MD5)
		return "needs passwords in clear text, which this source of logins does not "
		       "have (see method in section sasl); remove it";
	if (auth->method == AUTH_METHOD_SASLAUTHD)
		return "cannot work with saslauthd, which is told passwords and knows none; "
		       "write \"PLAIN\", \"LOGIN\"";
	return "makes keys from clear text with every try here, at 7 ms of CPU each; write "
	       "scram-from-clear = true in section sasl if that is meant, or remove it";
}

static void
connector_auth_check(struct reader *reader, size_t i, bool has_sasl)
{
	struct settings *settings = reader->settings;
	const struct section *section = &reader->connector_sections[i];
	struct value value;

	for (size_t at = 0; section_value_at(section, "auth-mechanisms", at, &value); at++) {
		enum auth_mechanism mechanism;

		if (auth_mechanism_parse(value.text, &mechanism) != PARSE_OK)
			continue;
		const char *problem = mechanism_problem(&settings->auth, mechanism);

		if (!has_sasl) {
			value_complain(&value, "needs to know where logins come from; add for "
					       "example sasl { users-file = "
					       "\"" USERS_FILE_DEFAULT "\" realm = "
					       "\"example.com\" }");
			return;
		}
		if (problem != NULL)
			value_complain(&value, "%s", problem);
		settings->auth_mechanisms |= AUTH_BIT(mechanism);
	}
	if (settings->connectors[i].auth_count == 0 &&
	    section_value(section, "auth-without-tls", &value) &&
	    settings->connectors[i].auth_without_tls)
		value_complain(&value, "says how clients may log in, but the connector has no "
				       "auth-mechanisms; write for example auth-mechanisms = "
				       "{ " MECHANISMS_EXAMPLE " }, or remove it");
}


/* XCLIENT names logins as well. */
static bool
some_host_tells_logins(const struct reader *reader)
{
	const struct policy_source *source = &reader->settings->source;

	for (size_t i = 0; i < source->connector_count; i++) {
		if (source->connectors[i].go_betweens[GO_BETWEEN_XCLIENT].count > 0)
			return true;
	}
	return false;
}

void
auth_check(struct reader *reader)
{
	const struct policy_source *source = &reader->settings->source;
	struct section section;
	bool has_sasl = section_open(reader, "sasl", &section);

	for (size_t i = 0; i < reader->connector_section_count; i++)
		connector_auth_check(reader, i, has_sasl);
	for (size_t i = 0; i < source->grant_count; i++) {
		struct value value;

		if (reader->settings->auth_mechanisms == 0 && !some_host_tells_logins(reader) &&
		    section_value_at(&reader->grant_sections[i], "users", 0, &value))
			value_complain(&value, "could never log in: no connector offers AUTH; "
					       "write for example auth-mechanisms = { "
					       MECHANISMS_EXAMPLE " } in a connector");
	}
}
