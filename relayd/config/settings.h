/* SPDX-License-Identifier: ISC */
/*
 * Settings: one generation of the configuration, read, checked and compiled. Immutable from
 * then on. A configuration with any error yields no settings at all.
 */
#ifndef RELAYD_CONFIG_SETTINGS_H
#define RELAYD_CONFIG_SETTINGS_H

#include "auth/failures.h"
#include "auth/settings.h"
#include "delivery/delivery.h"
#include "net/redis.h"
#include "policy/policy.h"
#include "session/session.h"

#define CONFIG_PATH_DEFAULT "/etc/relayd/relayd.conf"
#define WORKERS_MAX	    128

/* shared { }: where limits are counted for several gateways. */
struct shared_settings {
	bool is_wanted;
	bool is_closed_when_away; /* limits then defer; else they count here alone */
	struct redis_settings redis;
};

/* pickup { } */
struct pickup_settings {
	const char *directory; /* NULL: none */
	uint64_t message_octets_max;
};

/* mta-sts { } */
struct sts_settings {
	const char *ca_file; /* of the hosts that have policies; NULL: the system's */
	uint16_t port;	     /* of these hosts */
};

struct settings {
	struct arena arena; /* owns everything below but the policy */
	const char *path;   /* of the main file */
	const char *hostname;
	const char *state_directory;
	unsigned workers;     /* resolved: at least 1 */
	const char *user;     /* account to run as when started as root */
	struct reply_wording wording;
	struct policy_source source; /* what the policy was compiled from */
	struct policy *policy;
	struct session_settings *connectors; /* source.connector_count */
	const struct tls_settings *tls; /* sections; their files are not read yet */
	size_t tls_count;
	struct route_settings *routes;
	size_t route_count;
	struct queue_settings queue;
	struct dns_settings dns;
	struct sts_settings sts;
	struct auth_settings auth; /* sasl { }; without one no users file, and "" for a realm */
	struct auth_ban_settings auth_ban;
	unsigned auth_mechanisms; /* AUTH_BITs that some connector offers; 0: no AUTH */
	struct shared_settings shared;
	struct pickup_settings pickup;
	int64_t audit_keep_ms; /* 0: for ever */
};

/*
 * Told of each error and warning: "relayd.conf:3: option 'networks': ... is not ...; write
 * ..." already composed, file and line also apart (line 0: the file as a whole).
 */
typedef void settings_complain(void *context, bool is_error, const char *file, unsigned line,
			       const char *text);

/*
 * Read and check a configuration file with what it includes. NULL when there was an error;
 * all that can be told at once were told. End it with settings_free.
 */
struct settings *settings_load(const char *path, settings_complain *complain, void *context);
void settings_free(struct settings **settings);

/*
 * Where a configuration that is not usable keeps its state, as far as that can be read: so
 * that a daemon which runs under an earlier version of the file can still be asked. NULL when
 * it does not say. End it with free().
 */
char *settings_state_directory_find(const char *path);

/* Warnings worth a look (`relayd -t`): policy_lint and the like. */
void settings_lint(const struct settings *settings, int64_t now_wall_ms,
		   settings_complain *complain, void *context);

#endif
