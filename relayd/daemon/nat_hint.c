/* SPDX-License-Identifier: ISC */
/* Hidden clients; see nat_hint.h. */
#include "daemon/nat_hint.h"

#include <inttypes.h>

/* Docker's first bridge, Podman's, and the gateway of slirp (rootless containers, QEMU). */
static const char *const bridges[] = { "172.17.0.1", "10.88.0.1", "10.0.2.2" };

static bool
is_bridge(const struct ip *client)
{
	struct ip bridge;

	for (size_t i = 0; i < ARRAY_LEN(bridges); i++) {
		if (ip_parse(span_of(bridges[i]), &bridge) == PARSE_OK &&
		    ip_compare(&bridge, client) == 0)
			return true;
	}
	return false;
}

static bool
kind_find(const struct nat_seen *seen, const struct ip *gateways, size_t gateway_count,
	  enum nat_kind *kind)
{
	for (size_t i = 0; i < gateway_count; i++) {
		if (ip_compare(&gateways[i], &seen->client) == 0) {
			*kind = NAT_GATEWAY;
			return true;
		}
	}
	*kind = is_bridge(&seen->client) ? NAT_BRIDGE : NAT_MANY_NAMES;
	return *kind == NAT_BRIDGE || seen->names >= NAT_NAMES_MANY;
}

size_t
nat_hints_find(struct nat_sketch *sketch, const struct ip *gateways, size_t gateway_count,
	       struct nat_hint out[NAT_HOSTS])
{
	size_t count = 0;

	for (size_t i = 0; i < NAT_HOSTS; i++) {
		struct nat_hint *hint = &out[count];

		if (nat_sketch_look(sketch, i, &hint->seen) &&
		    kind_find(&hint->seen, gateways, gateway_count, &hint->kind))
			count++;
	}
	return count;
}

void
nat_hint_text(const struct nat_hint *hint, struct buffer *out)
{
	static const char *const kinds[] = {
		[NAT_MANY_NAMES] = "",
		[NAT_GATEWAY] = " (this host's default gateway)",
		[NAT_BRIDGE] = " (a container engine's own address)",
	};
	char ip[IP_TEXT_SIZE];

	ip_text(&hint->seen.client, ip);
	buffer_printf(out,
		      "clients look hidden by NAT behind %s%s: %" PRIu64
		      " hellos, %s%u names; grants and connectors cannot tell such clients apart "
		      "by address. Let relayd see client addresses (host "
		      "networking for its container), or put a proxy in front that sends PROXY "
		      "headers and name it in proxy-protocol",
		      ip, kinds[hint->kind], hint->seen.hellos,
		      hint->seen.names >= NAT_NAMES_MANY ? "at least " : "", hint->seen.names);
}
