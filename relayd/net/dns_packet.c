/* SPDX-License-Identifier: ISC */
/* Answers in wire format, and names of addresses; see dns_packet.h and dns.h. */
#include "net/dns_packet.h"

#include <stdio.h>

#define LABEL_POINTER 0xc0U
#define LABEL_MAX     63U
#define CLASS_IN      1
#define TYPE_SOA      6
#define WIRE_NAME_MAX 255 /* octets of a name, its last zero included */
#define TTL_MAX	      INT32_MAX /* RFC 2181 s.8: anything above counts as 0 */

/* A place in the packet. */
struct cursor {
	struct span packet;
	size_t at;
};

static size_t
octets_left(const struct cursor *c)
{
	return c->packet.len - c->at;
}

static unsigned
octet_at(struct span packet, size_t at)
{
	return (unsigned char)packet.ptr[at];
}

static bool
u16_take(struct cursor *c, unsigned *value)
{
	if (octets_left(c) < 2)
		return false;
	*value = octet_at(c->packet, c->at) << 8 | octet_at(c->packet, c->at + 1);
	c->at += 2;
	return true;
}

static bool
u32_take(struct cursor *c, uint32_t *value)
{
	unsigned high, low;

	if (octets_left(c) < 4 || !u16_take(c, &high) || !u16_take(c, &low))
		return false;
	*value = (uint32_t)high << 16 | low;
	return true;
}

/* --- names ------------------------------------------------------------------------- */

struct name {
	char text[WIRE_NAME_MAX + 1];
	size_t len;
	bool is_printable; /* every label is one that a host name could show in text */
};

static bool
label_is_printable(struct span label)
{
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];

		if (c <= ' ' || c > '~' || c == '.' || c == '\\')
			return false;
	}
	return true;
}

static void
name_add_label(struct name *name, struct span label)
{
	if (name->len > 0)
		name->text[name->len++] = '.';
	memcpy(name->text + name->len, label.ptr, label.len);
	name->len += label.len;
	name->is_printable = name->is_printable && label_is_printable(label);
}

/*
 * Take a name, RFC 1035 s.4.1.4. A pointer must lead to before the part of the name that it
 * ends, so that following them comes to an end; name may be NULL to skip it.
 */
static bool
name_take(struct cursor *c, struct name *name)
{
	struct span packet = c->packet;
	size_t at = c->at, part = at, wire_octets = 0;
	bool has_jumped = false;

	if (name != NULL)
		*name = (struct name){ .is_printable = true };
	for (;;) {
		if (at >= packet.len)
			return false;
		unsigned octet = octet_at(packet, at);

		if ((octet & LABEL_POINTER) == LABEL_POINTER) {
			if (packet.len - at < 2)
				return false;
			size_t to = (octet & ~LABEL_POINTER) << 8 | octet_at(packet, at + 1);

			if (!has_jumped)
				c->at = at + 2;
			has_jumped = true;
			if (to >= part)
				return false;
			at = part = to;
			continue;
		}
		if (octet > LABEL_MAX || packet.len - at - 1 < octet)
			return false;
		wire_octets += octet + 1;
		if (wire_octets > WIRE_NAME_MAX)
			return false;
		at += 1;
		if (octet == 0)
			break;
		if (name != NULL)
			name_add_label(name, (struct span){ packet.ptr + at, octet });
		at += octet;
	}
	if (!has_jumped)
		c->at = at;
	return true;
}

/* --- records ----------------------------------------------------------------------- */

struct resource {
	unsigned type;
	unsigned class;
	uint32_t ttl_s;
	struct cursor data; /* over the packet up to the end of the record's data */
};

static bool
resource_take(struct cursor *c, struct resource *r)
{
	unsigned octets;

	if (!name_take(c, NULL) || !u16_take(c, &r->type) || !u16_take(c, &r->class) ||
	    !u32_take(c, &r->ttl_s) || !u16_take(c, &octets) || octets_left(c) < octets)
		return false;
	if (r->ttl_s > TTL_MAX)
		r->ttl_s = 0;
	r->data = (struct cursor){ span_first(c->packet, c->at + octets), c->at };
	c->at += octets;
	return true;
}

/* Copy bytes to where the records' spans point. */
static bool
text_keep(struct dns_packet *out, struct span bytes, struct span *kept)
{
	if (bytes.len > sizeof(out->text) - out->text_len)
		return false;
	*kept = (struct span){ out->text + out->text_len, bytes.len };
	if (bytes.len > 0)
		memcpy(out->text + out->text_len, bytes.ptr, bytes.len);
	out->text_len += bytes.len;
	return true;
}

/* An address record holds the address and nothing else. */
static bool
address_read(struct cursor data, size_t octets, struct dns_record *record, bool *is_usable)
{
	unsigned char *bytes = record->ip.bytes;

	if (octets_left(&data) != octets)
		return false;
	if (octets == 4)
		bytes[10] = bytes[11] = 0xff; /* IPv4-mapped, see base/ip.h */
	memcpy(bytes + 16 - octets, data.packet.ptr + data.at, octets);
	/* an IPv4 address in disguise is nobody's IPv6 address */
	*is_usable = ip_is_v4(&record->ip) == (octets == 4);
	return true;
}

static bool
host_read(struct dns_packet *out, struct cursor data, bool has_preference,
	  struct dns_record *record, bool *is_usable)
{
	unsigned preference = 0;
	struct name name;

	if ((has_preference && !u16_take(&data, &preference)) || !name_take(&data, &name) ||
	    octets_left(&data) != 0)
		return false;
	record->preference = (uint16_t)preference;
	*is_usable = name.is_printable;
	return text_keep(out, (struct span){ name.text, name.len }, &record->name);
}

/* One or more strings of a length octet and as many octets, RFC 1035 s.3.3.14. */
static bool
strings_read(struct dns_packet *out, struct cursor data, struct dns_record *record)
{
	struct span part;

	if (octets_left(&data) == 0 ||
	    !text_keep(out, (struct span){ NULL, 0 }, &record->data))
		return false;
	while (octets_left(&data) > 0) {
		size_t octets = octet_at(data.packet, data.at++);

		if (octets_left(&data) < octets ||
		    !text_keep(out, (struct span){ data.packet.ptr + data.at, octets }, &part))
			return false;
		data.at += octets;
		record->data.len += octets;
	}
	return true;
}

static bool
record_read(struct dns_packet *out, enum dns_type type, struct cursor data,
	    struct dns_record *record, bool *is_usable)
{
	switch (type) {
	case DNS_A:
		return address_read(data, 4, record, is_usable);
	case DNS_AAAA:
		return address_read(data, 16, record, is_usable);
	case DNS_PTR:
		return host_read(out, data, false, record, is_usable);
	case DNS_MX:
		return host_read(out, data, true, record, is_usable);
	case DNS_TXT:
		return strings_read(out, data, record);
	case DNS_TLSA:
		return text_keep(out, span_skip(data.packet, data.at), &record->data);
	}
	return false;
}

static bool
answers_take(struct cursor *c, unsigned count, enum dns_type type, struct dns_packet *out)
{
	uint32_t ttl_s = TTL_MAX;

	for (unsigned i = 0; i < count; i++) {
		struct dns_record record = { .preference = 0 };
		struct resource r;
		bool is_usable = true;

		if (!resource_take(c, &r))
			return false;
		if (r.class != CLASS_IN || r.type != (unsigned)type ||
		    out->count == DNS_RECORDS_MAX)
			continue;
		if (!record_read(out, type, r.data, &record, &is_usable))
			return false;
		if (!is_usable)
			continue;
		out->records[out->count++] = record;
		if (r.ttl_s < ttl_s)
			ttl_s = r.ttl_s;
	}
	out->ttl_s = out->count > 0 ? ttl_s : 0;
	return true;
}

/* How long an absence holds: the SOA in the authority section has it, RFC 2308 s.5. */
static bool
authority_take(struct cursor *c, unsigned count, struct dns_packet *out)
{
	for (unsigned i = 0; i < count; i++) {
		struct resource r;

		if (!resource_take(c, &r))
			return false;
		if (r.type == TYPE_SOA && r.class == CLASS_IN)
			out->ttl_s = r.ttl_s;
	}
	return true;
}

enum parse_status
dns_packet_parse(struct span packet, enum dns_type type, struct dns_packet *out)
{
	struct cursor c = { packet, 0 };
	unsigned id, flags, questions, answers, authorities, additions;

	out->count = 0;
	out->text_len = 0;
	out->ttl_s = 0;
	if (!u16_take(&c, &id) || !u16_take(&c, &flags) || !u16_take(&c, &questions) ||
	    !u16_take(&c, &answers) || !u16_take(&c, &authorities) ||
	    !u16_take(&c, &additions))
		return PARSE_BAD;
	out->rcode = flags & 0xf;
	for (unsigned i = 0; i < questions; i++) {
		unsigned asked_type, asked_class;

		if (!name_take(&c, NULL) || !u16_take(&c, &asked_type) ||
		    !u16_take(&c, &asked_class))
			return PARSE_BAD;
	}
	if (!answers_take(&c, answers, type, out))
		return PARSE_BAD;
	if (out->count == 0 && !authority_take(&c, authorities, out))
		return PARSE_BAD;
	return PARSE_OK;
}

void
dns_reverse_name(const struct ip *ip, char out[DNS_REVERSE_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	if (ip_is_v4(ip)) {
		(void)snprintf(out, DNS_REVERSE_SIZE, "%u.%u.%u.%u.in-addr.arpa",
			       (unsigned)ip->bytes[15], (unsigned)ip->bytes[14],
			       (unsigned)ip->bytes[13], (unsigned)ip->bytes[12]);
		return;
	}
	for (size_t i = sizeof(ip->bytes); i-- > 0;) {
		out[at++] = digits[ip->bytes[i] & 0xf];
		out[at++] = '.';
		out[at++] = digits[ip->bytes[i] >> 4];
		out[at++] = '.';
	}
	memcpy(out + at, "ip6.arpa", sizeof("ip6.arpa"));
}
