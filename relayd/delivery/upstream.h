/* SPDX-License-Identifier: ISC */
/*
 * What routes need of files: certificates, CAs, passwords. Read once for a configuration, by
 * the process that may; workers inherit it and touch no file. A reload makes a new one.
 */
#ifndef RELAYD_DELIVERY_UPSTREAM_H
#define RELAYD_DELIVERY_UPSTREAM_H

#include "base/log.h"
#include "delivery/delivery.h"
#include "net/tls.h"

struct upstream;

/*
 * Read the files that the routes name. The settings are borrowed for the call. Warns of a
 * password that everybody may read. NULL and *fault, which names the route and the file, when
 * one cannot be used.
 */
struct upstream *upstream_new(const struct route_settings *routes, size_t count,
			      int64_t now_wall_ms, const struct log *log,
			      struct fault *fault);

/* Wipes the passwords. */
void upstream_free(struct upstream **upstream);

/* NULL: no route uses TLS. It has a route of the same index for each of the settings. */
struct tls_client *upstream_tls(const struct upstream *upstream);

/* Empty: the route has no login. */
struct span upstream_password(const struct upstream *upstream, size_t route);

/* The login mechanisms that some route names or allows, of AUTH_BIT; 0: none logs in. */
unsigned upstream_mechanisms(const struct upstream *upstream);

#endif
