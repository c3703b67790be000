/* SPDX-License-Identifier: ISC */
/* DNS answers: the first octet chooses the type asked for, the rest is the packet. */
#include "net/dns_packet.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern unsigned sink;

unsigned sink; /* keeps the compiler from leaving the reading out */

/* Read every octet that a caller may read, and see that names are fit to be logged. */
static unsigned
records_read(const struct dns_packet *packet)
{
	unsigned sum = 0;

	for (size_t i = 0; i < packet->count; i++) {
		const struct dns_record *r = &packet->records[i];

		assert(r->name.len <= DNS_NAME_MAX);
		for (size_t n = 0; n < r->name.len; n++)
			assert(r->name.ptr[n] > ' ' && r->name.ptr[n] <= '~');
		for (size_t n = 0; n < r->data.len; n++)
			sum += (unsigned char)r->data.ptr[n];
	}
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA,
					       DNS_TLSA };
	static struct dns_packet packet;

	if (size == 0 || size > 65536)
		return 0;
	struct span wire = { (const char *)data + 1, size - 1 };

	enum dns_type type = types[data[0] % ARRAY_LEN(types)];

	if (dns_packet_parse(wire, type, &packet) == PARSE_OK) {
		assert(packet.count <= DNS_RECORDS_MAX);
		sink = records_read(&packet);
	}
	return 0;
}
