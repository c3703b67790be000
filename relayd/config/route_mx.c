/* SPDX-License-Identifier: ISC */
/* Routes to the recipients' mail exchangers, and MTA-STS; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

#include <unistd.h>

#define SMTP_PORT  25
#define HTTPS_PORT 443

/* Complain of an option that is written although something speaks against it. */
static void
option_complain(const struct section *section, const char *option, const char *why)
{
	struct value value;

	if (section_value(section, option, &value))
		value_complain(&value, "%s", why);
}

/* Mail exchangers are strangers: no login, and names as DNS has them. */
static void
strangers_check(const struct section *section, const struct route_settings *route)
{
	struct section auth;
	struct value value;

	for (size_t i = 1; section_value_at(section, "next-hops", i, &value); i++) {
		struct next_hop_settings next_hop;

		if (next_hop_parse(value.text, &next_hop) == PARSE_OK && next_hop.is_mx)
			value_complain(&value, "has to come first, and once; next hops behind it "
					       "stand in for mail exchangers that cannot be "
					       "reached");
	}
	if (!route->has_mx)
		return;
	option_complain(section, "balance",
			"has no meaning for mail exchangers, whose order their domain decides; "
			"remove it");
	option_complain(section, "tls-name",
			"has no meaning for mail exchangers, each of which has its own name; "
			"remove it");
	if (route->is_cut_through)
		option_complain(section, "cut-through",
				"is for named next hops only: a client cannot wait for the mail "
				"exchangers of every domain; remove it");
	if (section_inner(section, "auth", &auth))
		section_complain(&auth, "would tell the login to the mail exchangers of every "
					"domain; remove it, or name the next hop");
}

void
route_mx_read(const struct section *section, struct route_settings *route)
{
	bool has_tls = route->tls != ROUTE_TLS_NONE;

	route->has_mx = route->next_hop_count > 0 && route->next_hops[0].is_mx;
	route->mx_port = (uint16_t)section_number(section, "port", SMTP_PORT, 1, UINT16_MAX, false);
	route->wants_sts = section_bool(section, "mta-sts", has_tls) && route->has_mx && has_tls;
	strangers_check(section, route);
	if (!route->has_mx) {
		option_complain(section, "port",
				"is for mail exchangers; write the port behind the next hop, as in "
				"\"smtp.example.com:587\"");
		option_complain(section, "mta-sts",
				"has no effect without mail exchangers; write next-hops = { \"mx\" "
				"}, or remove it");
	} else if (!has_tls && section_bool(section, "mta-sts", false)) {
		option_complain(section, "mta-sts",
				"has no effect without TLS; write tls = \"opportunistic\"");
	}
	if (route->tls == ROUTE_TLS_DANE &&
	    section->reader->settings->dns.trust_anchor_file == NULL)
		option_complain(section, "tls",
				"needs answers that DNSSEC vouches for; write dns { "
				"trust-anchor-file = \"/usr/share/dns/root.key\" }");
}

void
sts_read(struct reader *reader)
{
	struct sts_settings *sts = &reader->settings->sts;
	struct section section;
	struct value value;
	struct span ca;

	sts->port = HTTPS_PORT;
	if (!section_open(reader, "mta-sts", &section))
		return;
	sts->port = (uint16_t)section_number(&section, "port", HTTPS_PORT, 1, UINT16_MAX, false);
	ca = section_path(&section, "ca");
	sts->ca_file = ca.len == 0 ? NULL : arena_copy_text(reader->arena, ca);
	if (ca.len > 0 && reader->outline->opens_files && access(sts->ca_file, R_OK) == -1 &&
	    section_value(&section, "ca", &value))
		value_complain(&value, "cannot be read; name a file of CAs (PEM), or remove the "
				       "option");
}
