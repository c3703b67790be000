/* SPDX-License-Identifier: ISC */
/*
 * Answers in wire format (RFC 1035 s.4), as hostile as the network makes them. Pure: bytes in,
 * records out.
 */
#ifndef RELAYD_NET_DNS_PACKET_H
#define RELAYD_NET_DNS_PACKET_H

#include "net/dns.h"

/* TXT records cannot be longer than a packet; names have their own share. */
#define DNS_PACKET_TEXT (65536 + DNS_RECORDS_MAX * (DNS_NAME_MAX + 1))

enum dns_rcode { DNS_RCODE_OK = 0, DNS_RCODE_ABSENT = 3 };

/* What a packet says about one type of record. */
struct dns_packet {
	unsigned rcode;
	uint32_t ttl_s; /* the shortest; without records, that of the zone's SOA, or 0 */
	size_t count;
	struct dns_record records[DNS_RECORDS_MAX];
	size_t text_len;
	char text[DNS_PACKET_TEXT]; /* what the records' spans point into */
};

/*
 * The records of the type in the answer section, whoever owns them (libunbound followed the
 * CNAMEs), the first DNS_RECORDS_MAX of them. PARSE_BAD when anything on the way to them is
 * malformed; *out holds nothing of use then.
 */
enum parse_status dns_packet_parse(struct span packet, enum dns_type type,
				   struct dns_packet *out);

#endif
