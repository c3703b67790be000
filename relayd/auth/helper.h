/* SPDX-License-Identifier: ISC */
/*
 * An auth helper: a process that holds Cyrus SASL and the credentials, takes one step of an
 * exchange at a time from its channels, and may wait while it does. There are several of them,
 * in two pools, so that one that waits (saslauthd, LDAP, Kerberos) is not in the way of those
 * that need not.
 *
 * A channel is a SOCK_SEQPACKET pair between one worker's slot and one helper's. The supervisor
 * makes all of them before it forks and keeps both ends: a worker or helper that is replaced
 * gets the old one's ends, and whoever is new on a channel says so (auth/wire.h: hello, reset).
 */
#ifndef RELAYD_AUTH_HELPER_H
#define RELAYD_AUTH_HELPER_H

#include "auth/settings.h"
#include "base/log.h"

#define AUTH_CHANNEL_DIALOGS_MAX 256	 /* exchanges of one channel; the idlest makes room */
#define AUTH_DIALOG_IDLE_MS	 300000 /* then it is forgotten: a client that went silent */

/* Make a channel: ends[0] for the worker (does not block), ends[1] for the helper. */
bool auth_channel_open(int ends[2], struct fault *fault) MUST_CHECK;

struct auth_helper_environment {
	const struct auth_settings *settings;
	const struct log *log;
	const int *channels; /* the helper's ends, one for each worker's slot */
	size_t channel_count;
};

/*
 * Be a helper, until SIGTERM or until nobody is left at any channel; then 0, or 1 when it could
 * not begin (logged). For a process of its own: makes it undumpable and without core dumps,
 * ignores SIGINT and SIGHUP. Privileges and sandbox are the caller's matter, before or after
 * nothing: all files are opened as the process is now, whenever they are needed.
 */
int auth_helper_run(const struct auth_helper_environment *environment);

#endif
