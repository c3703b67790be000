/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): what a proxy says
 * about the client before the first octet of the client's own. Grammar only; whether to
 * believe it is for the caller, who asks it of listed proxies alone, and then requires it.
 */
#ifndef RELAYD_NET_PROXY_HEADER_H
#define RELAYD_NET_PROXY_HEADER_H

#include "base/ip.h"

#define PROXY_V1_MAX 107  /* octets of a header of version 1, with CRLF */
#define PROXY_V2_MAX 2048 /* and of version 2, all extensions included: ours */

enum proxy_status {
	PROXY_MORE, /* the bytes so far may become a header */
	PROXY_OK,
	PROXY_BAD,
};

struct proxy_header {
	bool has_endpoints; /* false: LOCAL, UNKNOWN, Unix: the proxy speaks for itself */
	struct ip_endpoint source; /* the client */
	struct ip_endpoint destination; /* where the client connected */
};

/*
 * Take a header off the front of *in. On PROXY_OK *in starts at the client's first octet; on
 * anything else neither argument changes.
 */
enum proxy_status proxy_header_take(struct span *in, struct proxy_header *header);

#endif
