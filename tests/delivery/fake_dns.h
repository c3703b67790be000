/* SPDX-License-Identifier: ISC */
/*
 * A resolver of the tests' own: it stands in for net/dns.c by having its functions. Answers
 * come from a later turn of the loop, as dns.h promises.
 */
#ifndef RELAYD_TESTS_DELIVERY_FAKE_DNS_H
#define RELAYD_TESTS_DELIVERY_FAKE_DNS_H

#include "net/dns.h"

struct fake_answer {
	const char *name;
	enum dns_type type;
	enum dns_status status;
	const char *addresses[4]; /* texts, NULL at the end */
	uint32_t ttl_s;
};

/* What is in no answer is DNS_ABSENT. Both borrowed. */
struct dns *fake_dns_new(struct loop *loop, const struct fake_answer *answers, size_t count);
void fake_dns_free(struct dns **dns);

/* Questions asked so far. */
unsigned fake_dns_count(const struct dns *dns);

#endif
