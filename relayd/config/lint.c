/* SPDX-License-Identifier: ISC */
/*
 * What loads, but deserves a look, told by `relayd -t`; see settings.h. What grants and
 * connectors mean together is the policy's to judge (policy_lint); here is what it does not
 * know: dates that come near, limits that clients trip over, names.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "config/complaint.h"
#include "config/reader.h"
#include "config/value.h"

#include <stdlib.h>
#include <unistd.h>

#define EXPIRES_SOON_DAYS   30
#define RECIPIENTS_RFC	    100 /* RFC 5321 s.4.5.3.1.8 */
#define INACTIVITY_SHORT_MS MINUTE_MS

struct lint {
	const struct settings *settings;
	struct complaints *complaints;
	const char *main; /* the main file's name */
	int64_t now_ms;
};

static void
policy_complaint(void *context, bool is_error, const char *file, unsigned line,
		 const char *text)
{
	const struct lint *lint = context;

	(is_error ? complaint_error : complaint_warn)(
	    lint->complaints, file == NULL ? lint->main : file, line, "%s", text);
}

/* The first ten characters of an RFC 3339 time: its date. */
static const char *
date_text(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
	clock_rfc3339(wall_ms, out);
	out[10] = '\0';
	return out;
}

static void
monitor_lint(const struct lint *lint, const char *file, unsigned line, const char *kind,
	     struct span name, enum policy_mode mode, int64_t until_ms)
{
	char date[CLOCK_RFC3339_SIZE];

	if (mode == MODE_MONITOR && until_ms != 0 && until_ms <= lint->now_ms)
		complaint_warn(lint->complaints, file, line,
			       "%s \"" SPAN_FMT "\": its monitor mode ended on %s and it "
			       "enforces now; remove mode and "
			       "monitor-until",
			       kind, SPAN_ARG(name), date_text(until_ms, date));
}

/* Names in a certificate count when a CA vouches for them; a fingerprint stands for itself. */
static void
certificates_lint(const struct lint *lint, const struct grant_source *grant)
{
	size_t names = 0;

	for (size_t i = 0; i < grant->certificates.count; i++)
		names += !span_starts_fold(grant->certificates.items[i], span_of("sha256:"));
	if (names > 0 && !settings_grant_has_client_ca(lint->settings, grant))
		complaint_warn(lint->complaints, grant->file, grant->line,
			       "grant \"" SPAN_FMT "\" names certificates that nobody vouches "
			       "for; write client-ca = \"/etc/relayd/tls/clients.pem\" into the "
			       "tls section of its connectors, or name them by \"sha256:...\"",
			       SPAN_ARG(grant->name));
}

/* Certificates that no client will ever see. */
static void
tls_lint(const struct lint *lint)
{
	const struct settings *settings = lint->settings;

	for (size_t i = 0; i < settings->source.connector_count; i++) {
		if (settings->source.connectors[i].tls != TLS_NONE)
			return;
	}
	if (settings->tls_count > 0)
		complaint_warn(lint->complaints, lint->main, 0,
			       "tls \"%s\" is of no use: no connector has TLS; write tls = "
			       "\"offered\" into one",
			       settings->tls[0].name);
}

static void
grant_lint(const struct lint *lint, const struct grant_source *grant)
{
	char date[CLOCK_RFC3339_SIZE];
	int64_t left_ms = grant->expires_ms - lint->now_ms;

	certificates_lint(lint, grant);
	monitor_lint(lint, grant->file, grant->line, "grant", grant->name, grant->mode,
		     grant->monitor_until_ms);
	if (left_ms > 0 && left_ms <= EXPIRES_SOON_DAYS * DAY_MS)
		complaint_warn(lint->complaints, grant->file, grant->line,
			       "grant \"" SPAN_FMT "\" expires on %s; ask its owner "
			       "(" SPAN_FMT ") whether it is still "
			       "needed",
			       SPAN_ARG(grant->name), date_text(grant->expires_ms, date),
			       SPAN_ARG(span_is_empty(grant->owner) ? span_of("none "
									      "named")
								    : grant->owner));
}

static bool
connector_is_local(const struct connector_source *connector)
{
	bool is_local = true;

	for (size_t i = 0; i < connector->binding_count; i++)
		is_local &= ip_is_loopback(&connector->bindings[i].ip);
	return is_local;
}

/* Mechanisms that are listed and will be offered to nobody, or to this machine alone. */
static void
mechanisms_lint(const struct lint *lint, const struct connector_source *connector,
		const struct session_settings *session)
{
	bool needs_tls = !session->auth_without_tls && !connector_is_local(connector);

	if (connector->tls != TLS_NONE)
		return;
	for (size_t i = 0; i < session->auth_count; i++) {
		enum auth_mechanism mechanism = session->auth[i];
		const char *name = auth_mechanism_name(mechanism);

		if (mechanism == AUTH_EXTERNAL || auth_mechanism_is_bound(mechanism))
			complaint_warn(lint->complaints, connector->file, connector->line,
				       "connector \"" SPAN_FMT "\" offers %s to nobody: it "
				       "works under TLS only; see tls",
				       SPAN_ARG(connector->name), name);
		else if (needs_tls && auth_mechanism_is_plain_text(mechanism))
			complaint_warn(lint->complaints, connector->file, connector->line,
				       "connector \"" SPAN_FMT "\" offers %s to clients of "
				       "this very machine only: others would send their "
				       "passwords in clear; see tls and auth-without-tls",
				       SPAN_ARG(connector->name), name);
	}
}

static void
logins_lint(const struct lint *lint)
{
	const struct settings *settings = lint->settings;
	const struct auth_settings *auth = &settings->auth;

	if (auth->realm[0] != '\0' && settings->auth_mechanisms == 0)
		complaint_warn(lint->complaints, lint->main, 0,
			       "section sasl is of no use: no connector has auth-mechanisms");
	else if (auth->users_file != NULL && access(auth->users_file, F_OK) == -1)
		complaint_warn(lint->complaints, lint->main, 0,
			       "there is no users file %s yet, so nobody can log in; "
			       "\"relayctl user add NAME\" makes it",
			       auth->users_file);
}

static void
connector_lint(const struct lint *lint, const struct connector_source *connector,
	       const struct session_settings *session)
{
	monitor_lint(lint, connector->file, connector->line, "connector", connector->name,
		     connector->mode, connector->monitor_until_ms);
	mechanisms_lint(lint, connector, session);
	if (session->recipients_max < RECIPIENTS_RFC)
		complaint_warn(lint->complaints, connector->file, connector->line,
			       "connector \"" SPAN_FMT "\" takes %u recipients a "
			       "message; RFC 5321 asks for at "
			       "least %d, and some clients rely "
			       "on it",
			       SPAN_ARG(connector->name), session->recipients_max,
			       RECIPIENTS_RFC);
	if (session->inactivity_ms < INACTIVITY_SHORT_MS)
		complaint_warn(lint->complaints, connector->file, connector->line,
			       "connector \"" SPAN_FMT "\" closes sessions that are "
			       "quiet for less than a minute; "
			       "RFC 5321 asks for five minutes",
			       SPAN_ARG(connector->name));
}

void
settings_lint(const struct settings *settings, int64_t now_wall_ms,
	      settings_complain *complain, void *context)
{
	const struct policy_source *source = &settings->source;
	const char *slash = strrchr(settings->path, '/');
	struct lint lint = {
		.settings = settings,
		.complaints = memory_new(sizeof(*lint.complaints)),
		.main = slash == NULL ? settings->path : slash + 1,
		.now_ms = now_wall_ms,
	};

	if (strchr(settings->hostname, '.') == NULL)
		complaint_warn(lint.complaints, lint.main, 0,
			       "hostname \"%s\" is not fully qualified; next hops may "
			       "refuse it",
			       settings->hostname);
	if (source->grant_count == 0)
		complaint_warn(lint.complaints, lint.main, 0,
			       "there is no grant: every message is refused, but on "
			       "connectors in monitor mode");
	for (size_t i = 0; i < source->table_count; i++)
		if (source->tables[i].entries.count == 0)
			complaint_warn(lint.complaints, source->tables[i].file.ptr, 0,
				       "table \"" SPAN_FMT "\" is empty",
				       SPAN_ARG(source->tables[i].name));
	for (size_t i = 0; i < source->connector_count; i++)
		connector_lint(&lint, &source->connectors[i], &settings->connectors[i]);
	for (size_t i = 0; i < source->grant_count; i++)
		grant_lint(&lint, &source->grants[i]);
	logins_lint(&lint);
	tls_lint(&lint);
	policy_lint(settings->policy, now_wall_ms, policy_complaint, &lint);
	complaints_tell(lint.complaints, complain, context);
	free(lint.complaints);
}
