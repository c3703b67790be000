/* SPDX-License-Identifier: ISC */
/* Looking things up in a policy: connectors, grants, accepted domains. */
#include "policy/policy_private.h"

#include <assert.h>

/* Does the address stand for "any address of this host" (0.0.0.0, ::)? */
static bool
ip_is_any(const struct ip *ip)
{
	static const struct ip none = { { 0 } };

	return ip_compare(ip, &none) == 0 ||
	       (ip_is_v4(ip) && memcmp(ip->bytes + 12, none.bytes, 4) == 0);
}

/* 0.0.0.0 takes IPv4; :: takes what is left, IPv4 too where the socket does. */
bool
binding_takes(const struct ip_endpoint *bound, const struct ip_endpoint *local)
{
	const struct ip *ip = &bound->ip;

	return bound->port == local->port &&
	       (ip_compare(ip, &local->ip) == 0 ||
		(ip_is_any(ip) && (!ip_is_v4(ip) || ip_is_v4(&local->ip))));
}

size_t
policy_connector_find(const struct policy *p, const struct ip_endpoint *local,
		      const struct ip *client)
{
	for (size_t i = 0; i < p->binding_count; i++) {
		const struct binding *binding = &p->bindings[i];

		if (!binding_takes(&binding->local, local))
			continue;
		uint32_t connector = network_table_find(binding->clients, client);

		if (connector != 0)
			return connector - 1;
	}
	return NO_CONNECTOR;
}

size_t
policy_grant_count(const struct policy *p)
{
	return p->grant_count;
}

size_t
policy_connector_count(const struct policy *p)
{
	return p->connector_count;
}

const struct grant_source *
policy_grant(const struct policy *p, size_t grant)
{
	assert(grant < p->grant_count);
	return &p->grants[grant];
}

const struct connector_source *
policy_connector(const struct policy *p, size_t connector)
{
	assert(connector < p->connector_count);
	return &p->connectors[connector];
}

size_t
policy_grant_find(const struct policy *p, struct span name)
{
	const struct grant_source *grant = table_find(&p->grant_names, name);

	return grant == NULL ? NO_GRANT : (size_t)(grant - p->grants);
}

size_t
policy_connector_find_name(const struct policy *p, struct span name)
{
	const struct connector_source *connector = table_find(&p->connector_names, name);

	return connector == NULL ? NO_CONNECTOR : (size_t)(connector - p->connectors);
}

void
policy_hash(const struct policy *p, char out[17])
{
	memcpy(out, p->hash, sizeof(p->hash));
}

static void
hit_note(void *context, uint32_t value, unsigned specificity)
{
	unsigned *best = context;

	(void)value;
	*best = specificity > *best ? specificity : *best;
}

bool
policy_is_accepted_domain(const struct policy *p, struct span domain)
{
	char key[DOMAIN_MAX];
	unsigned best = 0;
	size_t len = domain_key_make(domain, key);

	if (len > 0)
		pattern_table_match_domain(&p->accepted, (struct span){ key, len },
					   hit_note, &best);
	return best > 0;
}
