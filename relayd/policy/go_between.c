/* SPDX-License-Identifier: ISC */
/*
 * Go-betweens: hosts that may say who their clients are. Which hosts these are is asked of all
 * connectors that are bound where the host connected; whether its word counts is for the
 * connector on which the client then lands, which must name the host itself.
 */
#include "policy/compile_private.h"

#include <stdio.h>

#define WARNING_MAX 512

static const char *const options[GO_BETWEEN_COUNT] = {
	[GO_BETWEEN_PROXY] = "proxy-protocol",
	[GO_BETWEEN_XCLIENT] = "xclient",
};

static void
hosts_compile(struct compiler *c, size_t connector, enum go_between kind)
{
	struct policy *p = c->policy;
	const struct connector_source *source = &p->connectors[connector];
	const struct text_list *hosts = &source->go_betweens[kind];
	struct place place = connector_place(source);
	struct range_list ranges = { .items = NULL };
	struct owned_range a, b;

	for (size_t i = 0; i < hosts->count; i++)
		network_item_read(c, &place, options[kind], hosts->items[i], &ranges, 0);
	if (ranges.count > 0) {
		/* ranges of one owner may overlap */
		(void)network_table_build_nested(&p->go_betweens[kind][connector], &ranges,
						 &a, &b);
		p->has_go_betweens[kind] = true;
	}
	range_list_reset(&ranges);
}

void
go_betweens_compile(struct compiler *c)
{
	struct policy *p = c->policy;

	for (enum go_between kind = 0; kind < GO_BETWEEN_COUNT; kind++) {
		p->go_betweens[kind] = arena_new_array(&p->arena, p->connector_count,
						       sizeof(*p->go_betweens[kind]));
		for (size_t i = 0; i < p->connector_count; i++)
			hosts_compile(c, i, kind);
	}
}

void
go_betweens_reset(struct policy *p)
{
	for (enum go_between kind = 0; kind < GO_BETWEEN_COUNT; kind++) {
		for (size_t i = 0; p->go_betweens[kind] != NULL && i < p->connector_count; i++)
			network_table_reset(&p->go_betweens[kind][i]);
	}
}

bool
policy_connector_believes(const struct policy *p, size_t connector, enum go_between kind,
			  const struct ip *host)
{
	return p->has_go_betweens[kind] &&
	       network_table_find(&p->go_betweens[kind][connector], host) != 0;
}

bool
policy_is_go_between(const struct policy *p, enum go_between kind,
		     const struct ip_endpoint *local, const struct ip *host)
{
	for (size_t i = 0; p->has_go_betweens[kind] && i < p->connector_count; i++) {
		const struct connector_source *connector = &p->connectors[i];

		if (!policy_connector_believes(p, i, kind, host))
			continue;
		for (size_t j = 0; j < connector->binding_count; j++) {
			if (binding_takes(&connector->bindings[j], local))
				return true;
		}
	}
	return false;
}

/* ---- Warnings ---- */

/* A host that says XCLIENT has to be somebody's client first. */
static bool
host_can_connect(const struct policy *p, const struct connector_source *connector,
		 const struct ip *host)
{
	for (size_t i = 0; i < connector->binding_count; i++) {
		if (policy_connector_find(p, &connector->bindings[i], host) != NO_CONNECTOR)
			return true;
	}
	return false;
}

static void
xclients_lint(const struct policy *p, const struct connector_source *connector,
	      policy_complain *complain, void *context)
{
	const struct text_list *hosts = &connector->go_betweens[GO_BETWEEN_XCLIENT];
	char text[WARNING_MAX];
	struct ip host;

	for (size_t i = 0; i < hosts->count; i++) {
		if (ip_parse(hosts->items[i], &host) != PARSE_OK ||
		    host_can_connect(p, connector, &host))
			continue;
		(void)snprintf(text, sizeof(text),
			       "connector \"" SPAN_FMT "\": option 'xclient' names " SPAN_FMT
			       ", which no connector there serves, so it cannot connect; add it "
			       "to the remote-ip-ranges of one",
			       SPAN_ARG(connector->name), SPAN_ARG(hosts->items[i]));
		complain(context, false, connector->file, connector->line, text);
	}
}

void
go_betweens_lint(const struct policy *p, policy_complain *complain, void *context)
{
	char text[WARNING_MAX];

	for (size_t i = 0; i < p->connector_count; i++) {
		const struct connector_source *connector = &p->connectors[i];

		xclients_lint(p, connector, complain, context);
		for (enum go_between kind = 0; kind < GO_BETWEEN_COUNT; kind++) {
			const struct network_table *hosts = &p->go_betweens[kind][i];

			if (hosts->v4_count != 1 || hosts->v4[0].value == 0)
				continue;
			(void)snprintf(text, sizeof(text),
				       "connector \"" SPAN_FMT "\": option '%s' holds every "
				       "IPv4 address, so anybody may pass for any client; name "
				       "the proxies alone",
				       SPAN_ARG(connector->name), options[kind]);
			complain(context, false, connector->file, connector->line, text);
		}
	}
}
