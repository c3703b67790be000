/* SPDX-License-Identifier: ISC */
/*
 * DANE for SMTP (RFC 7672): what the TLSA records of a host ask of the connection to it. Only
 * answers that DNSSEC vouches for count, and those about the host and its addresses must be
 * vouched for, too; who asks sees to that.
 */
#ifndef RELAYD_DELIVERY_DANE_H
#define RELAYD_DELIVERY_DANE_H

#include "net/dns.h"
#include "net/tls.h"

enum dane_state {
	DANE_NONE,	/* nothing that counts: TLS is opportunistic */
	DANE_UNUSABLE,	/* records, but none that we can use: TLS with any certificate */
	DANE_USABLE,	/* one of the records must vouch for the server */
	DANE_TROUBLE,	/* could not look, or what came is forged: no mail goes there */
};

/* Embedded by value; all zero is DANE_NONE. */
struct dane {
	enum dane_state state;
	struct tls_tlsa_set set; /* the usable ones */
	char *octets;		 /* what they point into */
};

/* What the answer to the question for the TLSA records means. Replaces what was there. */
void dane_take(struct dane *dane, const struct dns_answer *answer);
void dane_reset(struct dane *dane);

/* "_25._tcp." and the host, which is in DNS; terminated. False when it gets too long. */
bool dane_name_make(struct span host, uint16_t port, char out[DNS_NAME_MAX + 1]);

#endif
