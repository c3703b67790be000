/* SPDX-License-Identifier: ISC */
/*
 * Which hosts take the mail for a domain: what its MX records mean (RFC 5321 s.5.1, RFC 7505).
 * Pure: answers in, an ordered list out.
 */
#ifndef RELAYD_DELIVERY_MX_H
#define RELAYD_DELIVERY_MX_H

#include "net/dns.h"
#include "smtp/address.h"

#define MX_HOSTS_MAX 12 /* the best of them; more is no help to anybody */

/* What stands behind the @ of a recipient. */
struct mx_domain {
	bool is_literal;	   /* an address: text is it, without brackets */
	size_t len;
	char text[DOMAIN_MAX + 1]; /* else a name: lower-case A-labels; terminated */
};

/*
 * From the address as the envelope has it. False when nobody could deliver to it: no domain,
 * a name that cannot be in DNS, a literal that is no address.
 */
bool mx_domain_read(struct span address, struct mx_domain *domain);

/* Are the two addresses' domains the same, but for case? What is no address has no domain. */
bool mx_domain_is_same(struct span a, struct span b);

enum mx_verdict {
	MX_HOSTS,	 /* deliver to these */
	MX_NULL,	 /* "MX 0 .": the domain takes no mail (RFC 7505) */
	MX_NO_DOMAIN,	 /* the name does not exist */
	MX_OURSELVES,	 /* the best of them is this host */
	MX_NONSENSE,	 /* there are records, but none of them names a host */
	MX_UNKNOWN,	 /* could not look */
};

struct mx_host {
	size_t len;
	char name[DNS_NAME_MAX + 1];
	uint16_t preference;
};

struct mx_list {
	enum mx_verdict verdict;
	bool is_implicit; /* no MX record: the domain itself, RFC 5321 s.5.1 */
	size_t count;
	struct mx_host hosts[MX_HOSTS_MAX]; /* the preferred first */
};

/*
 * What the answer to the question for the domain's MX records means. Hosts of the same
 * preference are in an order that the seed decides. When own_name is among them it is left
 * out, and so is all that is not preferred to it (RFC 5321 s.5.1): mail would go in circles.
 */
void mx_list_make(const struct mx_domain *domain, const struct dns_answer *answer,
		  struct span own_name, uint64_t seed, struct mx_list *list);

/* What to tell those whose mail cannot go for one of the lasting reasons; "5.1.2 ...". */
const char *mx_verdict_text(enum mx_verdict verdict);

#endif
