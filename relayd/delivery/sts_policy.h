/* SPDX-License-Identifier: ISC */
/*
 * The texts of MTA-STS (RFC 8461): the TXT record that says which policy a domain has, the
 * policy, and which mail exchangers it allows. Pure; the texts are as hostile as any.
 */
#ifndef RELAYD_DELIVERY_STS_POLICY_H
#define RELAYD_DELIVERY_STS_POLICY_H

#include "base/span.h"

#define STS_ID_MAX	32	 /* RFC 8461 s.3.1 */
#define STS_AGE_MAX_S	31557600 /* a year, s.3.2 */
#define STS_MX_OCTETS	4096	 /* of all patterns of a policy together */

enum sts_mode {
	STS_MODE_NONE,
	STS_MODE_TESTING,
	STS_MODE_ENFORCE,
};

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age_s;
	char id[STS_ID_MAX + 1]; /* of the record that it was fetched for; terminated */
	size_t mx_octets;
	char mx[STS_MX_OCTETS]; /* patterns in lower case, each with a newline behind it */
};

/*
 * sts-text-record of s.3.1, the strings of the TXT record joined. PARSE_BAD, and *id
 * unchanged, when it is none.
 */
enum parse_status sts_record_parse(struct span text, char id[STS_ID_MAX + 1]);

/* sts-policy-record of s.3.2; the id is left alone. PARSE_BAD: *policy holds nothing of use. */
enum parse_status sts_policy_parse(struct span text, struct sts_policy *policy);

/* Does the policy allow this mail exchanger (lower case)? s.4.1 */
bool sts_policy_allows(const struct sts_policy *policy, struct span host);

/*
 * What we keep on disk: "EXPIRES ID", a line of when it ends (ms since 1970) and for which
 * record it was fetched, and the policy behind it.
 */
enum parse_status sts_file_parse(struct span text, int64_t *expires_wall_ms,
				 struct sts_policy *policy);

#endif
