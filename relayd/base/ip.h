/* SPDX-License-Identifier: ISC */
/*
 * Internet addresses. IPv4 is kept as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that a client is
 * the same client however the socket names it, for permitting and for refusing alike.
 */
#ifndef RELAYD_BASE_IP_H
#define RELAYD_BASE_IP_H

#include "base/buffer.h"

#include <sys/socket.h>

#define IP_TEXT_SIZE	   46 /* INET6_ADDRSTRLEN */
#define IP_ENDPOINT_SIZE   54 /* "[...]:65535" and a NUL */

struct ip {
	unsigned char bytes[16]; /* network order */
};

/* All addresses from first to last, both included. first <= last. */
struct ip_range {
	struct ip first;
	struct ip last;
};

struct ip_endpoint {
	struct ip ip;
	uint16_t port; /* host order */
};

/* Three-way, by value. */
int ip_compare(const struct ip *a, const struct ip *b);
bool ip_is_v4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_range_has(const struct ip_range *range, const struct ip *ip);

/* "10.0.0.1", "2001:db8::1"; no brackets, no zone, no port. */
enum parse_status ip_parse(struct span text, struct ip *ip);

/* An address, "a/bits" (host bits may be set) or "a-b". IPv4 bits count from 0 to 32. */
enum parse_status ip_range_parse(struct span text, struct ip_range *range);

/* "10.0.0.1:25", "[::1]:25". */
enum parse_status ip_endpoint_parse(struct span text, struct ip_endpoint *endpoint);

/* Canonical text (RFC 5952), IPv4 dotted; terminated. */
void ip_text(const struct ip *ip, char out[IP_TEXT_SIZE]);
void ip_endpoint_text(const struct ip_endpoint *endpoint, char out[IP_ENDPOINT_SIZE]);

/* "10.0.0.0/8" where the range is a prefix, else "a-b", or one address. */
bool ip_range_text(const struct ip_range *range, struct buffer *out);

/* To and from what the socket calls use; other families give ::. */
struct ip_endpoint ip_of_sockaddr(const struct sockaddr_storage *address);
socklen_t ip_to_sockaddr(const struct ip_endpoint *endpoint, struct sockaddr_storage *address);

#endif
