/* SPDX-License-Identifier: ISC */
/*
 * Client addresses behind which others seem to be hidden: those that call themselves by many
 * names, and those that container engines and default gateways have. Where that is so, networks
 * in grants permit everybody or nobody, and the administrator should know.
 */
#ifndef RELAYD_DAEMON_NAT_HINT_H
#define RELAYD_DAEMON_NAT_HINT_H

#include "base/buffer.h"
#include "net/gateway.h"
#include "session/nat_sketch.h"

#define GATEWAYS_MAX   8
#define NAT_NAMES_MANY 10 /* names of one address that make it suspicious */
#define NAT_EVERY_MS   5000
#define NAT_TEXT_MAX   1024

enum nat_kind {
	NAT_MANY_NAMES,
	NAT_GATEWAY, /* of a default route of this host */
	NAT_BRIDGE,  /* where container engines put their own side */
};

struct nat_hint {
	struct nat_seen seen;
	enum nat_kind kind;
};

/* The suspicious hosts of a sketch; how many. */
size_t nat_hints_find(struct nat_sketch *sketch, const struct ip *gateways,
		      size_t gateway_count, struct nat_hint out[NAT_HOSTS]);

/* What was seen and what to do, in words. */
void nat_hint_text(const struct nat_hint *hint, struct buffer *out);

#endif
