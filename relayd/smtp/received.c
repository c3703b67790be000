/* SPDX-License-Identifier: ISC */
/* Our Received field; see header_block.h. */
#include "base/clock.h"
#include "smtp/header_block.h"

/* The bytes that a name, a cipher or an id may bring into the field. */
static bool
byte_is_plain(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' ||
	       c == ']';
}

static bool
name_append(struct buffer *out, struct span name)
{
	name = span_first(name, DOMAIN_MAX);

	char *place = buffer_reserve(out, name.len);

	if (place == NULL)
		return false;
	for (size_t i = 0; i < name.len; i++)
		place[i] = byte_is_plain(name.ptr[i]) ? name.ptr[i] : '?';
	buffer_claim(out, name.len);
	return true;
}

/* "[10.0.0.1]", "[IPv6:::1]": address-literal, RFC 5321 s.4.1.3 */
static bool
literal_append(struct buffer *out, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	ip_text(ip, text);
	return buffer_append_text(out, ip_is_v4(ip) ? "[" : "[IPv6:") &&
	       buffer_append_text(out, text) && buffer_append_byte(out, ']');
}

/* From-domain: what the client said, then what we know of it. RFC 5321 s.4.4 */
static bool
from_append(struct buffer *out, const struct received *r)
{
	if (!buffer_append_text(out, "from "))
		return false;
	if (r->helo.len > 0 ? !name_append(out, r->helo) : !literal_append(out, r->ip))
		return false;
	if (!buffer_append_text(out, " ("))
		return false;
	if (r->ptr.len > 0 && (!name_append(out, r->ptr) || !buffer_append_byte(out, ' ')))
		return false;
	return literal_append(out, r->ip) && buffer_append_text(out, ")\r\n\t");
}

/* "ESMTP", "ESMTPSA", "UTF8SMTP" ...: RFC 5321 s.4.4, RFC 3848, RFC 6531 s.4.3 */
static bool
protocol_append(struct buffer *out, const struct received *r)
{
	const char *base = r->is_smtputf8 ? "UTF8SMTP" : r->is_esmtp ? "ESMTP" : "SMTP";

	if (!buffer_append_text(out, " with ") || !buffer_append_text(out, base))
		return false;
	if (!r->is_smtputf8 && !r->is_esmtp)
		return true;
	return (!r->is_tls || buffer_append_byte(out, 'S')) &&
	       (!r->is_authenticated || buffer_append_byte(out, 'A'));
}

static bool
clause_append(struct buffer *out, const char *word, struct span name)
{
	return name.len == 0 || (buffer_append_text(out, word) && name_append(out, name));
}

/* "tls TLS_AES_256_GCM_SHA384 (TLSv1.3)": RFC 8314 s.7.4 and s.4.3 */
static bool
tls_append(struct buffer *out, const struct received *r)
{
	if (r->cipher.len == 0)
		return true;
	return clause_append(out, "\r\n\ttls ", r->cipher) &&
	       (r->tls_version.len == 0 || (clause_append(out, " (", r->tls_version) &&
					    buffer_append_byte(out, ')')));
}

/* A mailbox that the parser took; any other is left out rather than shown. */
static bool
recipient_append(struct buffer *out, const struct received *r)
{
	struct address address;

	if (mailbox_parse(r->recipient, &address) != PARSE_OK ||
	    (address.is_utf8 && !r->is_smtputf8))
		return true;
	return buffer_append_text(out, "\r\n\tfor <") && buffer_append(out, r->recipient) &&
	       buffer_append_byte(out, '>');
}

bool
received_by_append(struct buffer *out, struct span host)
{
	return buffer_append_text(out, "by ") && name_append(out, host) &&
	       buffer_append_text(out, " (relayd)");
}

bool
received_append(struct buffer *out, const struct received *received)
{
	size_t before = out->len;

	if (buffer_append_text(out, "Received: ") &&
	    (received->ip == NULL || from_append(out, received)) &&
	    received_by_append(out, received->host) && protocol_append(out, received) &&
	    clause_append(out, "\r\n\tid ", received->id) && recipient_append(out, received) &&
	    tls_append(out, received) &&
	    buffer_append_text(out, ";\r\n\t") && clock_rfc5322(received->wall_ms, out) &&
	    buffer_append_text(out, "\r\n"))
		return true;
	out->len = before;
	return false;
}
