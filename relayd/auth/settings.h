/* SPDX-License-Identifier: ISC */
/* sasl { }: where logins come from; immutable, of one configuration generation. */
#ifndef RELAYD_AUTH_SETTINGS_H
#define RELAYD_AUTH_SETTINGS_H

#include "auth/mechanism.h"
#include "base/fault.h"

#define AUTH_SECRET_OCTETS 32

/* An option handed to Cyrus SASL as it stands (sql_select, ldapdb_uri, ...). */
struct auth_option {
	const char *name;
	const char *value;
};

struct auth_settings {
	enum auth_method method;
	const char *hostname;	    /* the server's name, for Kerberos; never NULL */
	const char *realm;	    /* of names without one; the policy's realm; may be "" */
	const char *users_file;	    /* path; users-file */
	const char *sasldb_path;    /* NULL: Cyrus's own */
	const char *saslauthd_path; /* of its socket, ".../mux"; NULL: Cyrus's own */
	const char *auxprop_plugin; /* "sql" or "ldapdb"; auxprop */
	const struct auth_option *options;
	size_t option_count;
	const char *keytab;    /* Kerberos keys of smtp/hostname; NULL: no GSSAPI */
	bool scram_from_clear; /* offer SCRAM over a store of clear-text passwords */
	unsigned char secret[AUTH_SECRET_OCTETS]; /* auth_secret_load: see there */
};

/* The mechanisms that these settings can serve, if every plug-in is installed. */
unsigned auth_settings_mechanisms(const struct auth_settings *settings);

/*
 * The secret from which challenges for logins that do not exist are made. All helpers need the
 * same one, and the same after a restart, or else asking twice would tell such logins from
 * real ones. Read from the file, which is made (mode 0600) when it is missing. For the
 * supervisor, before it forks.
 */
bool auth_secret_load(const char *path, unsigned char secret[AUTH_SECRET_OCTETS],
		      struct fault *fault) MUST_CHECK;

#endif
