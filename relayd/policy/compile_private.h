/* SPDX-License-Identifier: ISC */
/* What the files that compile a policy share while they do so. */
#ifndef RELAYD_POLICY_COMPILE_PRIVATE_H
#define RELAYD_POLICY_COMPILE_PRIVATE_H

#include "policy/policy_private.h"

#define NO_GROUP UINT32_MAX

/* A table while it is compiled: its group in the conditions where it is used. */
struct table_state {
	const struct table_source *source;
	struct table_seen *seen;
	uint32_t group;		  /* in its condition, or NO_GROUP */
	struct ip_range *ranges; /* TABLE_NETWORK, once read */
	size_t range_count;
	bool is_read;
};

/* A condition whose entries are keys: each key has a list of groups until the end. */
struct keyed_builder {
	struct condition_builder condition;
	struct key_link {
		uint32_t group;
		uint32_t next;
	} *links; /* link 0 is none */
	size_t link_count;
	size_t link_room;
};

struct compiler {
	const struct policy_source *source;
	struct policy *policy;
	policy_complain *complain;
	void *context;
	unsigned error_count;
	struct table_state *tables;
	struct table table_names; /* -> struct table_state */
	struct condition_builder networks;
	struct range_list ranges;   /* owner: group of networks */
	struct range_list *clients; /* of each connector */
	struct keyed_builder users;
	struct keyed_builder certificates;
	struct keyed_builder senders;
	struct keyed_builder recipients;
	uint32_t accepted_group[2]; /* "accepted-domains" in senders and recipients */
};

/* Where a complaint belongs. */
struct place {
	const char *file;
	unsigned line;
	const char *kind; /* "grant" */
	struct span name;
};

/* ---- Complaining (complain.c) ---- */

void complain_text(struct compiler *c, bool is_error, const char *file, unsigned line,
		   const char *text);

/* The same after 'grant "name": '. */
void complain_at(struct compiler *c, bool is_error, const struct place *place,
		 const char *format, ...) PRINTF_LIKE(4, 5);

/* There is no table, connector ... of this name; with the nearest one there is. */
void complain_unknown(struct compiler *c, const struct place *place, const char *option,
		      const char *what, const struct table *names, struct span name);
struct place grant_place(const struct grant_source *grant);
struct place connector_place(const struct connector_source *connector);

/* ---- Tables (compile_tables.c) ---- */

/* The table that a list names, when it is one of this type; otherwise complain and NULL. */
struct table_state *table_of(struct compiler *c, const struct place *place,
			     const char *option, struct span name, enum table_type type);

/* What adding one entry to a condition says: NULL, or the cure. In NO_GROUP: only look at it. */
typedef const char *entry_add(struct compiler *c, struct span text, uint32_t group);

/* Read a table of keys into its group, once; of networks into its ranges, once. */
void table_keys_read(struct compiler *c, struct table_state *table, entry_add *add);
void table_ranges_read(struct compiler *c, struct table_state *table);

/* One item of a list of networks: every range of it goes to out, with this owner. */
void network_item_read(struct compiler *c, const struct place *place, const char *option,
		       struct span item, struct range_list *out, uint32_t owner);

/* ---- Connectors (compile_connectors.c), grants (compile_grants.c) ---- */

void connectors_compile(struct compiler *c);
void go_betweens_compile(struct compiler *c);
void grants_compile(struct compiler *c);

#endif
