/* SPDX-License-Identifier: ISC */
/* TLSA records; see dane.h. */
#include "delivery/dane.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define TLSA_HEAD	  3 /* usage, selector, matching type; RFC 6698 s.2.1 */
#define SHA_256_OCTETS	  32
#define SHA_512_OCTETS	  64
#define TLSA_OCTETS_MAX	  8192 /* of a record: a whole certificate */

/*
 * RFC 7672 s.3.1: usages 0 and 1 mean the CAs of the web, which say nothing about SMTP, so
 * such records are as unusable as those of a kind that nobody knows yet.
 */
static bool
record_read(struct span bytes, struct tls_tlsa *tlsa)
{
	if (bytes.len <= TLSA_HEAD || bytes.len > TLSA_OCTETS_MAX)
		return false;
	*tlsa = (struct tls_tlsa){
		.usage = (uint8_t)bytes.ptr[0],
		.selector = (uint8_t)bytes.ptr[1],
		.matching = (uint8_t)bytes.ptr[2],
		.data = span_skip(bytes, TLSA_HEAD),
	};
	if ((tlsa->usage != TLSA_USAGE_TA && tlsa->usage != TLSA_USAGE_EE) || tlsa->selector > 1)
		return false;
	switch (tlsa->matching) {
	case 0:
		return true;
	case 1:
		return tlsa->data.len == SHA_256_OCTETS;
	case 2:
		return tlsa->data.len == SHA_512_OCTETS;
	default:
		return false;
	}
}

static void
records_keep(struct dane *dane, const struct dns_answer *answer)
{
	size_t octets = 0, at = 0;

	for (size_t i = 0; i < answer->count; i++)
		octets += answer->records[i].data.len;
	dane->octets = memory_resize(NULL, octets + 1, 1);
	for (size_t i = 0; i < answer->count && dane->set.count < TLS_TLSA_MAX; i++) {
		struct span data = answer->records[i].data;
		struct tls_tlsa *tlsa = &dane->set.records[dane->set.count];

		if (!record_read(data, tlsa))
			continue;
		memcpy(dane->octets + at, tlsa->data.ptr, tlsa->data.len);
		tlsa->data.ptr = dane->octets + at;
		at += tlsa->data.len;
		dane->set.count++;
	}
}

void
dane_take(struct dane *dane, const struct dns_answer *answer)
{
	dane_reset(dane);
	if (answer->status == DNS_TROUBLE) {
		dane->state = DANE_TROUBLE;
	} else if (answer->status == DNS_FOUND && answer->is_secure) {
		records_keep(dane, answer);
		dane->state = dane->set.count > 0 ? DANE_USABLE : DANE_UNUSABLE;
	}
}

void
dane_reset(struct dane *dane)
{
	free(dane->octets);
	*dane = (struct dane){ .state = DANE_NONE };
}

bool
dane_name_make(struct span host, uint16_t port, char out[DNS_NAME_MAX + 1])
{
	int len = snprintf(out, DNS_NAME_MAX + 1, "_%u._tcp.%.*s", (unsigned)port,
			   SPAN_ARG(host));

	return len > 0 && len <= DNS_NAME_MAX;
}
