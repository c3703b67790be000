/* SPDX-License-Identifier: ISC */
/* XCLIENT's attributes; see xclient.h. */
#include "smtp/xclient.h"

#include "base/utf8.h"

static const struct {
	struct span keyword;
	enum xclient_attribute attribute;
} attributes[] = {
	{ SPAN_LITERAL("NAME"), XCLIENT_NAME },
	{ SPAN_LITERAL("ADDR"), XCLIENT_ADDR },
	{ SPAN_LITERAL("PORT"), XCLIENT_PORT },
	{ SPAN_LITERAL("PROTO"), XCLIENT_PROTO },
	{ SPAN_LITERAL("HELO"), XCLIENT_HELO },
	{ SPAN_LITERAL("LOGIN"), XCLIENT_LOGIN },
	{ SPAN_LITERAL("DESTADDR"), XCLIENT_DESTADDR },
	{ SPAN_LITERAL("DESTPORT"), XCLIENT_DESTPORT },
};

static bool
attribute_find(struct span keyword, enum xclient_attribute *attribute)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		*attribute = attributes[i].attribute;
		if (span_equal_fold(keyword, attributes[i].keyword))
			return true;
	}
	return false;
}

static bool
is_unavailable(struct span value)
{
	return span_equal_fold(value, span_of("[UNAVAILABLE]")) ||
	       span_equal_fold(value, span_of("[TEMPUNAVAIL]"));
}

/* "10.0.0.1" or "IPV6:2001:db8::1"; IPv4 in its IPv6 form is IPv4. */
static bool
address_parse(struct span value, struct ip *ip)
{
	static const struct span prefix = SPAN_LITERAL("IPV6:");
	bool is_v6 = span_starts_fold(value, prefix);

	if (is_v6)
		value = span_skip(value, prefix.len);
	return (span_find(value, ':') < value.len) == is_v6 && ip_parse(value, ip) == PARSE_OK;
}

static bool
port_parse(struct span value, uint16_t *port)
{
	uint64_t number;

	if (number_parse(value, UINT16_MAX, &number) != PARSE_OK)
		return false;
	*port = (uint16_t)number;
	return true;
}

static bool
text_keep(struct span value, struct xclient_text *out)
{
	out->len = value.len;
	if (value.len == 0 || value.len > sizeof(out->text))
		return false;
	memcpy(out->text, value.ptr, value.len);
	return true;
}

/* Names stand in our Received field and in the record: they are held to what EHLO may say. */
static bool
name_keep(struct span value, struct xclient_text *out)
{
	struct hello hello;

	return hello_parse(value, &hello) == PARSE_OK && text_keep(value, out);
}

static bool
login_keep(struct span value, struct xclient_text *out)
{
	for (struct span rest = value; rest.len > 0;) {
		uint32_t code;
		size_t octets = utf8_decode(rest, &code);

		if (octets == 0 || utf8_is_active(code))
			return false;
		rest = span_skip(rest, octets);
	}
	return text_keep(value, out);
}

static bool
attribute_set(struct xclient_argument *x, enum xclient_attribute attribute, struct span value)
{
	switch (attribute) {
	case XCLIENT_NAME: return name_keep(value, &x->name);
	case XCLIENT_ADDR: return address_parse(value, &x->client.ip);
	case XCLIENT_PORT: return port_parse(value, &x->client.port);
	case XCLIENT_PROTO:
		return span_equal_fold(value, span_of("SMTP")) ||
		       span_equal_fold(value, span_of("ESMTP"));
	case XCLIENT_HELO: return name_keep(value, &x->helo);
	case XCLIENT_LOGIN: return login_keep(value, &x->login);
	case XCLIENT_DESTADDR: return address_parse(value, &x->destination.ip);
	case XCLIENT_DESTPORT: return port_parse(value, &x->destination.port);
	}
	return false;
}

enum parse_status
xclient_argument_parse(struct span argument, struct xclient_argument *out)
{
	struct xclient_argument x = { .given = 0 };
	char decoded[XCLIENT_TEXT_MAX];
	struct span keyword, value;

	do {
		enum xclient_attribute attribute;

		if (parameter_take(&argument, &keyword, &value) != PARSE_OK ||
		    !attribute_find(keyword, &attribute) || (x.given & attribute) != 0)
			return PARSE_BAD;
		x.given |= attribute;
		if (is_unavailable(value))
			continue;
		if (xtext_decode(value, decoded, sizeof(decoded), &value) != PARSE_OK ||
		    !attribute_set(&x, attribute, value))
			return PARSE_BAD;
		x.known |= attribute;
	} while (argument.len > 0);
	*out = x;
	return PARSE_OK;
}
