/* SPDX-License-Identifier: ISC */
/* delivery/sts_policy.h: a policy that is taken holds only names that a host may have. */
#include "delivery/sts_policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
policy_check(const struct sts_policy *policy)
{
	if (policy->mx_octets > STS_MX_OCTETS || policy->max_age_s > STS_AGE_MAX_S)
		abort();
	for (size_t i = 0; i < policy->mx_octets; i++) {
		char c = policy->mx[i];

		if (c != '\n' && c != '.' && c != '-' && c != '_' && c != '*' &&
		    !(ascii_is_alnum(c) && ascii_lower(c) == c))
			abort();
	}
	if (policy->mx_octets > 0 && policy->mx[policy->mx_octets - 1] != '\n')
		abort();
	if (sts_policy_allows(policy, (struct span){ "", 0 }))
		abort();
	(void)sts_policy_allows(policy, span_of("mail.example.com"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sts_policy policy;
	struct span text = { (const char *)data, size };
	char id[STS_ID_MAX + 1] = "";
	int64_t expires_wall_ms = -1;

	if (sts_record_parse(text, id) == PARSE_OK && id[0] == '\0')
		abort();
	if (sts_policy_parse(text, &policy) == PARSE_OK)
		policy_check(&policy);
	if (sts_file_parse(text, &expires_wall_ms, &policy) == PARSE_OK) {
		if (expires_wall_ms < 0 || policy.id[0] == '\0')
			abort();
		policy_check(&policy);
	}
	return 0;
}
