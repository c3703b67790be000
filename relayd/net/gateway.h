/* SPDX-License-Identifier: ISC */
/* The gateways of this host's default routes, as Linux tells them in /proc/net/route (IPv4). */
#ifndef RELAYD_NET_GATEWAY_H
#define RELAYD_NET_GATEWAY_H

#include "base/ip.h"

/* Into out, at most room of them; how many there are. What is malformed is passed over. */
size_t gateways_parse(struct span routes, struct ip *out, size_t room);

/* The same of the running system; 0 when it does not tell. */
size_t gateways_read(struct ip *out, size_t room);

#endif
