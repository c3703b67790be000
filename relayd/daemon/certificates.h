/* SPDX-License-Identifier: ISC */
/*
 * The certificates that the daemon serves: read by the supervisor, once for each configuration
 * generation, watched for their end, and shown.
 */
#ifndef RELAYD_DAEMON_CERTIFICATES_H
#define RELAYD_DAEMON_CERTIFICATES_H

#include "base/json.h"
#include "base/log.h"
#include "config/settings.h"
#include "net/tls.h"

/*
 * Read what the tls sections name, into *server; NULL when there are none. keys (may be NULL
 * for a check) are borrowed for the server's life. False and *fault, with section and file and
 * what to do, when anything is wrong; *server is NULL then.
 */
bool certificates_open(const struct settings *settings, const struct tls_ticket_keys *keys,
		       int64_t now_wall_ms, struct tls_server **server, struct fault *fault);

/* Warn of every certificate, or staple, that ends within three weeks. server may be NULL. */
void certificates_lint(const struct tls_server *server, int64_t now_wall_ms,
		       settings_complain *complain, void *context);

/* Warn of files that this process, having given up root, could not read at a reload. */
void certificates_check_access(const struct settings *settings, const struct log *log);

/* "certificates": [...] of the status. */
void certificates_write(const struct tls_server *server, int64_t now_wall_ms, struct json *j);

#endif
