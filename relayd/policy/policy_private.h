/* SPDX-License-Identifier: ISC */
/* What a compiled policy is made of; for the files of this folder. */
#ifndef RELAYD_POLICY_POLICY_PRIVATE_H
#define RELAYD_POLICY_POLICY_PRIVATE_H

#include "policy/grant_set.h"
#include "policy/key_table.h"
#include "policy/network_table.h"
#include "policy/pattern_table.h"
#include "policy/policy.h"

#define EVIDENCE_COUNT 5
#define LOGIN_MAX      POLICY_LOGIN_MAX /* octets of a login with its realm */
#define IDENTITY_MAX   512 /* octets of a certificate's name */

/* Kinds of keys of logins and certificates. */
enum login_key {
	LOGIN_EXACT = 1,
	LOGIN_REALM, /* *@realm */
	LOGIN_ANY,
};

/* Where clients connect, and who then takes them. */
struct binding {
	struct ip_endpoint local;
	const struct network_table *clients; /* value: connector + 1 */
};

/*
 * Which grants are valid when: `starts` and `expires` in the order of time, and the set of
 * valid grants before every VALIDITY_STEP-th of them. A moment's set is a copy and at most
 * VALIDITY_STEP changes.
 */
#define VALIDITY_STEP 64

struct validity_change {
	int64_t at_ms;
	uint32_t grant;
	bool becomes_valid;
};

struct validity {
	struct validity_change *changes;
	size_t count;
	uint64_t *sets; /* count / VALIDITY_STEP + 1 bitmaps */
};

struct table_seen {
	struct span name;
	struct span file;
	unsigned line;
	bool is_used;
};

struct policy {
	struct arena arena;
	size_t words; /* of a bitmap of all grants */
	struct grant_source *grants;
	size_t grant_count;
	struct connector_source *connectors;
	size_t connector_count;
	struct table grant_names;     /* name -> struct grant_source */
	struct table connector_names; /* name -> struct connector_source */
	struct span realm;
	const uint64_t *all; /* every grant */

	/* connectors */
	struct binding *bindings; /* specific addresses first */
	size_t binding_count;
	struct network_table *client_tables;
	size_t client_table_count;
	uint64_t **connector_grants;  /* by connector: the grants that hold there */
	const uint64_t *unbound;      /* grants that hold on every connector */
	bool *connector_wants_login;  /* every grant there needs a login or certificate */
	bool *connector_is_all_v4;    /* its ranges hold every IPv4 address */
	bool *connector_is_all_v6;
	struct network_table *go_betweens[GO_BETWEEN_COUNT]; /* by connector; value 1 */
	bool has_go_betweens[GO_BETWEEN_COUNT];

	/* who */
	struct condition networks;
	struct network_table network_table;
	struct condition users;
	struct key_table user_keys;
	struct condition certificates;
	struct key_table certificate_keys;
	const uint64_t *identified; /* grants with users or certificates */
	const uint64_t *anonymous;  /* the others */

	struct validity validity;
	const uint64_t *needs_tls;
	bool asks_header_from; /* some grant does */
	bool asks_evidence;

	/* sender, recipient, header From */
	struct condition senders;
	struct pattern_table sender_table;
	struct condition recipients;
	struct pattern_table recipient_table;
	const uint64_t *takes_routed;
	const uint64_t *header_from[HEADER_FROM_AUTHORIZED + 1]; /* grants by demand */
	const uint64_t *needs_evidence[EVIDENCE_COUNT];

	struct accepted_domain_source *domains;
	size_t domain_count;
	struct pattern_table accepted; /* value: domain + 1 */
	struct table_seen *tables;
	size_t table_count;
	char hash[17];
};

/*
 * A login in the form in which logins are compared, into out[LOGIN_MAX]: "name@realm" with the
 * realm in lower case, where a name alone is in the policy's realm (and stays alone when that
 * has none). *realm_at: where the realm starts, or the length. 0: too long to be known.
 */
size_t login_key_make(struct span realm, struct span login, char out[LOGIN_MAX],
		      size_t *realm_at);

/* The same for "dns:...", "sha256:..." and so on, into out[IDENTITY_MAX]; 0: not of that form. */
size_t identity_key_make(struct span identity, char out[IDENTITY_MAX]);

/*
 * The grants whose recipients hold the address. In "user%host@d", "host!user@d" and
 * "user@host"@d the local part names another host, and a next hop may send it there: such an
 * address has to be named itself or by "*"; "@d" holds it only where the grant says so.
 */
void recipients_ask(const struct policy *p, const struct address *recipient, struct window w,
		    uint64_t *pass);

/* Does the local part name another host? */
bool address_key_is_routed(const struct address_key *key);

/* Does a socket that is bound there take clients that connect to local? (look.c) */
bool binding_takes(const struct ip_endpoint *bound, const struct ip_endpoint *local);

/* Go-betweens that cannot connect, or that are everybody (go_between.c). */
void go_betweens_lint(const struct policy *policy, policy_complain *complain, void *context);
void go_betweens_reset(struct policy *policy);

/* "table:NAME" -> NAME. */
bool table_reference_take(struct span text, struct span *name);

bool is_accepted_domains(struct span text); /* "accepted-domains" */

/* "example.com" or "*.example.com", as accepted domains are written; NULL, or the cure. */
const char *accepted_pattern_make(struct span name, struct pattern *pattern);

/* Write the hash of what a source means. */
void policy_source_hash(const struct policy_source *source, char out[17]);

/* ---- Open relays (open_relay.c) ---- */

/* Grants under which no login or certificate is asked for and any recipient may be reached. */
void anonymous_grants_find(const struct policy *p, uint64_t *map);

/* Those of them that hold for clients from anywhere, into map; ranges are each connector's. */
void open_relays_find(const struct policy *p, const struct range_list *ranges, uint64_t *map);

/* ---- What decide.c asks, and describe.c tells ---- */

/* The grants whose senders (or recipients, networks ...) hold this, into pass. */
void addresses_ask(const struct policy *p, const struct condition *condition,
		   const struct pattern_table *table, const struct address *address,
		   struct window w, uint64_t *pass);
void keys_ask(const struct condition *condition, const struct pattern_table *table,
	      const struct address_key *key, struct window w, uint64_t *pass);
void networks_ask(const struct policy *p, const struct ip *client, uint64_t *pass);
void identities_ask(const struct policy *p, const struct facts *facts, uint64_t *users,
		    uint64_t *certificates);

static inline struct window
window_all(const struct policy *p)
{
	return (struct window){ 0, p->words };
}

/* The domain of a mailbox, equal to the other's? */
bool address_is_same_domain(const struct address *a, const struct address *b);

#endif
