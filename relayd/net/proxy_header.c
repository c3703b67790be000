/* SPDX-License-Identifier: ISC */
/* The PROXY protocol; see proxy_header.h. */
#include "net/proxy_header.h"

#define V2_HEAD_OCTETS 16
#define V2_SIGNATURE   "\r\n\r\n\0\r\nQUIT\n"
#define V1_SIGNATURE   "PROXY "

enum v2_command { V2_LOCAL = 0x20, V2_PROXY = 0x21 }; /* with the version above */

enum v2_transport { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

#define V2_UNIX_OCTETS 216 /* two socket paths */

static const struct span v1_signature = SPAN_LITERAL(V1_SIGNATURE);
static const struct span v2_signature = SPAN_LITERAL(V2_SIGNATURE);

/* Does in begin with the signature, as far as it goes? */
static bool
may_begin_with(struct span in, struct span signature)
{
	size_t n = in.len < signature.len ? in.len : signature.len;

	return n == 0 || memcmp(in.ptr, signature.ptr, n) == 0;
}

/* --- version 1 --------------------------------------------------------------------- */

/* A word up to, and with, the byte that ends it. */
static bool
word_take(struct span *in, char end, struct span *word)
{
	size_t len = span_find(*in, end);

	if (len == in->len || len == 0)
		return false;
	*word = span_first(*in, len);
	*in = span_skip(*in, len + 1);
	return true;
}

/* Decimal without leading zeroes, 0 to 65535. */
static bool
port_parse(struct span text, uint16_t *port)
{
	uint64_t value;

	if ((text.len > 1 && text.ptr[0] == '0') ||
	    number_parse(text, UINT16_MAX, &value) != PARSE_OK)
		return false;
	*port = (uint16_t)value;
	return true;
}

/* The text decides the family, so that "::ffff:1.2.3.4" is no TCP4 address. */
static bool
address_parse(struct span text, bool is_v6, struct ip *ip)
{
	return (span_find(text, ':') < text.len) == is_v6 && ip_parse(text, ip) == PARSE_OK;
}

/* "TCP4" SP source SP destination SP port SP port, or "TCP6", or "UNKNOWN" and anything */
static bool
v1_line_parse(struct span line, struct proxy_header *header)
{
	struct span family, from, to, from_port;

	if (span_equal(span_first(line, 7), span_of("UNKNOWN")))
		return line.len == 7 || line.ptr[7] == ' ';
	if (!word_take(&line, ' ', &family))
		return false;
	bool is_v6 = span_equal(family, span_of("TCP6"));

	if (!is_v6 && !span_equal(family, span_of("TCP4")))
		return false;
	header->has_endpoints = true;
	return word_take(&line, ' ', &from) && word_take(&line, ' ', &to) &&
	       word_take(&line, ' ', &from_port) &&
	       address_parse(from, is_v6, &header->source.ip) &&
	       address_parse(to, is_v6, &header->destination.ip) &&
	       port_parse(from_port, &header->source.port) &&
	       port_parse(line, &header->destination.port);
}

static enum proxy_status
v1_take(struct span *in, struct proxy_header *header)
{
	struct span head = span_first(*in, PROXY_V1_MAX);
	size_t line_feed = span_find(head, '\n');
	struct proxy_header parsed = { .has_endpoints = false };

	if (line_feed == head.len)
		return in->len >= PROXY_V1_MAX ? PROXY_BAD : PROXY_MORE;
	if (line_feed <= v1_signature.len || head.ptr[line_feed - 1] != '\r')
		return PROXY_BAD;
	struct span line = span_skip(span_first(head, line_feed - 1), v1_signature.len);

	if (!v1_line_parse(line, &parsed))
		return PROXY_BAD;
	*header = parsed;
	*in = span_skip(*in, line_feed + 1);
	return PROXY_OK;
}

/* --- version 2 --------------------------------------------------------------------- */

static unsigned
octet_at(struct span s, size_t at)
{
	return (unsigned char)s.ptr[at];
}

static uint16_t
u16_at(struct span s, size_t at)
{
	return (uint16_t)(octet_at(s, at) << 8 | octet_at(s, at + 1));
}

/* Source address, destination address, source port, destination port. */
static void
v2_endpoints(struct span body, size_t address_octets, struct proxy_header *header)
{
	struct ip_endpoint *const ends[] = { &header->source, &header->destination };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		unsigned char *bytes = ends[i]->ip.bytes;

		if (address_octets == 4)
			bytes[10] = bytes[11] = 0xff; /* IPv4-mapped, see base/ip.h */
		memcpy(bytes + 16 - address_octets, body.ptr + i * address_octets,
		       address_octets);
		ends[i]->port = u16_at(body, 2 * address_octets + 2 * i);
	}
	header->has_endpoints = true;
}

/* The extensions (type, length, value) behind the addresses must fill the rest exactly. */
static bool
v2_extensions_are_whole(struct span rest)
{
	while (rest.len > 0) {
		if (rest.len < 3)
			return false;
		size_t octets = 3 + (size_t)u16_at(rest, 1);

		if (octets > rest.len)
			return false;
		rest = span_skip(rest, octets);
	}
	return true;
}

static bool
v2_body_parse(unsigned transport, struct span body, struct proxy_header *header)
{
	size_t address_octets = transport == V2_TCP4 ? 4 : 16;
	size_t used = 2 * address_octets + 4;

	if (transport == V2_UNSPEC)
		return true; /* the rest is to be ignored */
	if (transport == V2_UNIX) /* a client of the proxy's own host */
		return body.len >= V2_UNIX_OCTETS &&
		       v2_extensions_are_whole(span_skip(body, V2_UNIX_OCTETS));
	if ((transport != V2_TCP4 && transport != V2_TCP6) || body.len < used)
		return false;
	v2_endpoints(body, address_octets, header);
	return v2_extensions_are_whole(span_skip(body, used));
}

static enum proxy_status
v2_take(struct span *in, struct proxy_header *header)
{
	struct proxy_header parsed = { .has_endpoints = false };

	if (in->len < V2_HEAD_OCTETS)
		return PROXY_MORE;
	unsigned command = octet_at(*in, 12), transport = octet_at(*in, 13);
	size_t octets = V2_HEAD_OCTETS + (size_t)u16_at(*in, 14);

	if ((command != V2_LOCAL && command != V2_PROXY) || octets > PROXY_V2_MAX)
		return PROXY_BAD;
	if (in->len < octets)
		return PROXY_MORE;
	struct span body = span_skip(span_first(*in, octets), V2_HEAD_OCTETS);

	if (command == V2_PROXY && !v2_body_parse(transport, body, &parsed))
		return PROXY_BAD;
	*header = parsed;
	*in = span_skip(*in, octets);
	return PROXY_OK;
}

enum proxy_status
proxy_header_take(struct span *in, struct proxy_header *header)
{
	if (in->len == 0)
		return PROXY_MORE;
	if (may_begin_with(*in, v2_signature))
		return v2_take(in, header);
	if (may_begin_with(*in, v1_signature))
		return v1_take(in, header);
	return PROXY_BAD;
}
