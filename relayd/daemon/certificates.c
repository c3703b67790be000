/* SPDX-License-Identifier: ISC */
/* See certificates.h. */
#include "daemon/certificates.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <errno.h>
#include <unistd.h>

#define WARN_DAYS	21
#define TEXT_OCTETS_MAX 8192

bool
certificates_open(const struct settings *settings, const struct tls_ticket_keys *keys,
		  int64_t now_wall_ms, struct tls_server **server, struct fault *fault)
{
	*server = NULL;
	if (settings->tls_count == 0)
		return true;
	*server = tls_server_new(settings->tls, settings->tls_count, keys, now_wall_ms, fault);
	if (*server != NULL)
		return true;
	if (fault->error == EACCES) {
		struct fault denied = *fault;

		fault_say(fault,
			  "%s; relayd gives up root after its start, so for a reload make it "
			  "readable for the account %s (chgrp it to the account's group, chmod "
			  "640), or restart relayd",
			  fault_text(&denied), settings->user);
	}
	return false;
}

/* ---- Their end ---- */

static void
end_complain(const struct tls_certificate *certificate, const char *what, int64_t ends_at_ms,
	     int64_t days, settings_complain *complain, void *context)
{
	char when[CLOCK_RFC3339_SIZE];
	struct buffer text;

	clock_rfc3339(ends_at_ms, when);
	buffer_init(&text, TEXT_OCTETS_MAX);
	if (days < 0)
		(void)buffer_printf(&text, "tls \"%s\": %s in %s (%s) expired on %.10s; ",
				    certificate->section, what, certificate->file,
				    certificate->kind, when);
	else
		(void)buffer_printf(&text,
				    "tls \"%s\": %s in %s (%s) expires in %lld days, on %.10s; ",
				    certificate->section, what, certificate->file,
				    certificate->kind, (long long)days, when);
	(void)buffer_append_text(&text, "put a new one there and reload");
	complain(context, false, NULL, 0, buffer_text(&text));
	buffer_reset(&text);
}

void
certificates_lint(const struct tls_server *server, int64_t now_wall_ms,
		  settings_complain *complain, void *context)
{
	size_t count = 0;
	const struct tls_certificate *all =
	    server == NULL ? NULL : tls_server_certificates(server, &count);

	for (size_t i = 0; i < count; i++) {
		int64_t days = tls_certificate_days_left(&all[i], now_wall_ms);
		int64_t staple_ms = all[i].staple_expires_at_ms;

		if (days <= WARN_DAYS)
			end_complain(&all[i], "the certificate", all[i].expires_at_ms, days,
				     complain, context);
		/* responders sign for a few days only: what counts is that it is over */
		if (staple_ms != 0 && staple_ms <= now_wall_ms)
			end_complain(&all[i], "the OCSP staple of the certificate", staple_ms, -1,
				     complain, context);
	}
}

/* ---- Files ---- */

static void
access_check(const struct settings *settings, const char *section, const char *path,
	     const struct log *log)
{
	if (path == NULL || access(path, R_OK) == 0)
		return;
	log_warn(log,
		 "tls \"%s\": a reload will not be able to read %s, because relayd gives up root: "
		 "make it readable for the account %s (chgrp it to the account's group, chmod 640)",
		 section, path, settings->user);
}

void
certificates_check_access(const struct settings *settings, const struct log *log)
{
	for (size_t i = 0; i < settings->tls_count; i++) {
		const struct tls_settings *tls = &settings->tls[i];

		for (size_t p = 0; p < tls->pair_count; p++) {
			access_check(settings, tls->name, tls->pairs[p].certificate, log);
			access_check(settings, tls->name, tls->pairs[p].key, log);
			access_check(settings, tls->name, tls->pairs[p].ocsp_staple, log);
		}
		access_check(settings, tls->name, tls->client_ca, log);
	}
}

/* ---- Status ---- */

void
certificates_write(const struct tls_server *server, int64_t now_wall_ms, struct json *j)
{
	size_t count = 0;
	const struct tls_certificate *all =
	    server == NULL ? NULL : tls_server_certificates(server, &count);
	char when[CLOCK_RFC3339_SIZE];

	json_array_begin(j, "certificates");
	for (size_t i = 0; i < count; i++) {
		json_object_begin(j, NULL);
		json_cstring(j, "section", all[i].section);
		json_cstring(j, "file", all[i].file);
		json_cstring(j, "kind", all[i].kind);
		clock_rfc3339(all[i].expires_at_ms, when);
		json_cstring(j, "expires", when);
		json_number(j, "days_left", tls_certificate_days_left(&all[i], now_wall_ms));
		if (all[i].staple_expires_at_ms != 0) {
			clock_rfc3339(all[i].staple_expires_at_ms, when);
			json_cstring(j, "staple_expires", when);
		}
		json_object_end(j);
	}
	json_array_end(j);
}
