/* SPDX-License-Identifier: ISC */
/* Internet addresses; see ip.h. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const unsigned char v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

int
ip_compare(const struct ip *a, const struct ip *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool
ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
ip_is_loopback(const struct ip *ip)
{
	static const struct ip v6_loopback = { { [15] = 1 } };

	return ip_compare(ip, &v6_loopback) == 0 || (ip_is_v4(ip) && ip->bytes[12] == 127);
}

bool
ip_range_has(const struct ip_range *range, const struct ip *ip)
{
	return ip_compare(&range->first, ip) <= 0 && ip_compare(ip, &range->last) <= 0;
}

enum parse_status
ip_parse(struct span text, struct ip *ip)
{
	char copy[IP_TEXT_SIZE];
	struct ip parsed;

	if (text.len == 0 || text.len >= sizeof(copy) || span_find(text, '\0') != text.len)
		return PARSE_BAD;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, parsed.bytes + sizeof(v4_prefix)) == 1)
		memcpy(parsed.bytes, v4_prefix, sizeof(v4_prefix));
	else if (inet_pton(AF_INET6, copy, parsed.bytes) != 1)
		return PARSE_BAD;
	*ip = parsed;
	return PARSE_OK;
}

/* The first and the last address of the prefix of bits (of 128) that holds ip. */
static struct ip_range
prefix_range(const struct ip *ip, unsigned bits)
{
	struct ip_range range = { *ip, *ip };

	for (unsigned i = 0; i < sizeof(ip->bytes); i++) {
		unsigned kept = bits >= (i + 1) * 8 ? 8 : bits <= i * 8 ? 0 : bits - i * 8;
		unsigned host = 0xffU >> kept;

		range.first.bytes[i] = (unsigned char)(range.first.bytes[i] & ~host);
		range.last.bytes[i] = (unsigned char)(range.last.bytes[i] | host);
	}
	return range;
}

enum parse_status
ip_range_parse(struct span text, struct ip_range *range)
{
	size_t slash = span_find(text, '/');
	size_t dash = span_find(text, '-');
	struct ip first, last;

	if (slash < text.len) {
		uint64_t bits;

		if (ip_parse(span_first(text, slash), &first) != PARSE_OK)
			return PARSE_BAD;
		bool is_v4 = ip_is_v4(&first) &&
			     span_find(span_first(text, slash), ':') == slash;

		if (number_parse(span_skip(text, slash + 1), is_v4 ? 32 : 128, &bits) !=
		    PARSE_OK)
			return PARSE_BAD;
		*range = prefix_range(&first, (unsigned)bits + (is_v4 ? 96 : 0));
		return PARSE_OK;
	}
	if (ip_parse(span_first(text, dash), &first) != PARSE_OK)
		return PARSE_BAD;
	last = first;
	if (dash < text.len && ip_parse(span_skip(text, dash + 1), &last) != PARSE_OK)
		return PARSE_BAD;
	if (ip_is_v4(&first) != ip_is_v4(&last) || ip_compare(&first, &last) > 0)
		return PARSE_BAD;
	*range = (struct ip_range){ first, last };
	return PARSE_OK;
}

enum parse_status
ip_endpoint_parse(struct span text, struct ip_endpoint *endpoint)
{
	struct ip_endpoint parsed;
	struct span host = text;
	uint64_t port;
	size_t colon = text.len;

	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return PARSE_BAD;
	host.len = colon - 1;
	bool is_bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';

	if (is_bracketed)
		host = (struct span){ .ptr = host.ptr + 1, .len = host.len - 2 };
	if ((span_find(host, ':') < host.len) != is_bracketed)
		return PARSE_BAD;
	if (number_parse(span_skip(text, colon), UINT16_MAX, &port) != PARSE_OK || port == 0 ||
	    ip_parse(host, &parsed.ip) != PARSE_OK)
		return PARSE_BAD;
	parsed.port = (uint16_t)port;
	*endpoint = parsed;
	return PARSE_OK;
}

static char *
octet_put(char *at, unsigned value)
{
	if (value >= 100)
		*at++ = (char)('0' + value / 100);
	if (value >= 10)
		*at++ = (char)('0' + value / 10 % 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

void
ip_text(const struct ip *ip, char out[IP_TEXT_SIZE])
{
	if (ip_is_v4(ip)) {
		char *at = octet_put(out, ip->bytes[12]);

		for (size_t i = 13; i < sizeof(ip->bytes); i++) {
			*at++ = '.';
			at = octet_put(at, ip->bytes[i]);
		}
		*at = '\0';
	} else if (inet_ntop(AF_INET6, ip->bytes, out, IP_TEXT_SIZE) == NULL) {
		out[0] = '\0';
	}
}

void
ip_endpoint_text(const struct ip_endpoint *endpoint, char out[IP_ENDPOINT_SIZE])
{
	char digits[5];
	size_t count = 0;
	char *at = out;
	bool is_v4 = ip_is_v4(&endpoint->ip);

	if (!is_v4)
		*at++ = '[';
	ip_text(&endpoint->ip, at);
	at += strlen(at);
	if (!is_v4)
		*at++ = ']';
	*at++ = ':';
	unsigned port = endpoint->port;

	do {
		digits[count++] = (char)('0' + port % 10);
		port /= 10;
	} while (port != 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
}

/* The prefix length of the range, or -1. */
static int
range_prefix_bits(const struct ip_range *range)
{
	for (int bits = 128; bits >= 0; bits--) {
		struct ip_range prefix = prefix_range(&range->first, (unsigned)bits);

		if (ip_compare(&prefix.first, &range->first) == 0 &&
		    ip_compare(&prefix.last, &range->last) == 0)
			return bits;
	}
	return -1;
}

bool
ip_range_text(const struct ip_range *range, struct buffer *out)
{
	char first[IP_TEXT_SIZE], last[IP_TEXT_SIZE];
	int bits = range_prefix_bits(range);
	bool is_v4 = ip_is_v4(&range->first) && bits >= 96;

	ip_text(&range->first, first);
	ip_text(&range->last, last);
	if (bits == 128)
		return buffer_append_text(out, first);
	if (bits >= 0 && (is_v4 || !ip_is_v4(&range->first)))
		return buffer_printf(out, "%s/%d", first, is_v4 ? bits - 96 : bits);
	return buffer_printf(out, "%s-%s", first, last);
}

struct ip_endpoint
ip_of_sockaddr(const struct sockaddr_storage *address)
{
	struct ip_endpoint endpoint = { .port = 0 };

	if (address->ss_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, address, sizeof(v4));
		memcpy(endpoint.ip.bytes, v4_prefix, sizeof(v4_prefix));
		memcpy(endpoint.ip.bytes + sizeof(v4_prefix), &v4.sin_addr, 4);
		endpoint.port = ntohs(v4.sin_port);
	} else if (address->ss_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, address, sizeof(v6));
		memcpy(endpoint.ip.bytes, &v6.sin6_addr, sizeof(endpoint.ip.bytes));
		endpoint.port = ntohs(v6.sin6_port);
	}
	return endpoint;
}

socklen_t
ip_to_sockaddr(const struct ip_endpoint *endpoint, struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	if (ip_is_v4(&endpoint->ip)) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };

		v4.sin_port = htons(endpoint->port);
		memcpy(&v4.sin_addr, endpoint->ip.bytes + sizeof(v4_prefix), 4);
		memcpy(address, &v4, sizeof(v4));
		return sizeof(v4);
	}
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	v6.sin6_port = htons(endpoint->port);
	memcpy(&v6.sin6_addr, endpoint->ip.bytes, sizeof(endpoint->ip.bytes));
	memcpy(address, &v6, sizeof(v6));
	return sizeof(v6);
}
