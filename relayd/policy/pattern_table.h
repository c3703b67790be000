/* SPDX-License-Identifier: ISC */
/*
 * Patterns of senders and recipients, and how addresses are compared.
 *
 *	*		any address; as a sender also the null reverse-path
 *	<>		the null reverse-path alone
 *	a@d		that address
 *	a+*@d		a+anything@d (not a@d itself); a@d does not hold a+tag@d
 *	@d		every address of that very domain
 *	@*.d		every address of a domain below d, however deep, not of d
 *	postmaster	the mailbox without a domain, as RCPT TO:<postmaster> says it
 *
 * Domains are compared as lower-case A-labels (IDNA 2008, UTS 46 mapping, non-transitional), so
 * U-labels and A-labels are the same name; a name that cannot be converted matches only "*".
 *
 * Local parts: a quoted string means its content ("a"@d is a@d). Local parts of ASCII are
 * compared without case, as Exchange does; with anything else in them (SMTPUTF8) byte by byte,
 * case too. Percent signs and exclamation marks are letters like others: no other host's
 * routing tricks are interpreted here (recipients_ask in policy_private.h looks for them).
 *
 * An address literal, user@[10.0.0.1], matches "*" and the very same address only.
 */
#ifndef RELAYD_POLICY_PATTERN_TABLE_H
#define RELAYD_POLICY_PATTERN_TABLE_H

#include "policy/key_table.h"
#include "smtp/address.h"

#define KEY_LOCAL_MAX 256 /* octets; RFC 5321 has 64, header fields may say more */
#define ADDRESS_KEY_MAX (KEY_LOCAL_MAX + 1 + DOMAIN_MAX)
#define LABELS_MAX 128

enum address_kind {
	ADDRESS_NULL,	 /* <> */
	ADDRESS_BARE,	 /* postmaster */
	ADDRESS_LITERAL, /* user@[10.0.0.1] */
	ADDRESS_DOMAIN,	 /* user@example.com */
	ADDRESS_STRANGE, /* cannot be compared: "*" alone holds it */
};

/* An address in the form in which addresses are compared. */
struct address_key {
	enum address_kind kind;
	size_t local_len; /* then "@", then the domain */
	size_t len;
	char text[ADDRESS_KEY_MAX];
};

/* Fill in *key. Does not allocate unless the domain has U-labels. */
void address_key_make(struct address_key *key, const struct address *address);

static inline struct span
address_key_domain(const struct address_key *key)
{
	return (struct span){ key->text + key->local_len + 1, key->len - key->local_len - 1 };
}

/*
 * A domain as a lower-case A-label name, into out[DOMAIN_MAX]; its length, or 0 when it is
 * none. ASCII is only put into lower case.
 */
size_t domain_key_make(struct span domain, char out[DOMAIN_MAX]);

/* How specific a pattern is (pattern_set_match in policy.h). */
#define SPECIFIC_ANY	 1U
#define SPECIFIC_BELOW	 2U /* and the octets of the domain */
#define SPECIFIC_DOMAIN	 1000U
#define SPECIFIC_TAGGED	 1001U
#define SPECIFIC_ADDRESS 1002U

enum pattern_kind {
	PATTERN_NONE,
	PATTERN_ANY,
	PATTERN_NULL,
	PATTERN_ADDRESS,
	PATTERN_TAGGED, /* a+*@d */
	PATTERN_DOMAIN,
	PATTERN_BELOW, /* @*.d */
};

/* A pattern as it is compared: the key is an address (without the tag) or a domain. */
struct pattern {
	enum pattern_kind kind;
	struct address_key key; /* for a domain: local_len 0, the text is "@domain" */
};

/* Read one pattern. NULL, or what to write instead (a constant). */
const char *pattern_parse(struct span text, struct pattern *pattern);

/* The part of a pattern that is its name in a table. */
struct span pattern_key(const struct pattern *pattern);

/* Does everything that `inner` holds also match `outer`? */
bool pattern_covers(const struct pattern *outer, const struct pattern *inner);

/* Embedded by value; all zero is an empty table. */
struct pattern_table {
	struct key_table keys;
	uint64_t below_depths[LABELS_MAX / 64]; /* bit n - 1: a "@*.d" whose d has n labels */
	unsigned kinds; /* 1 << kind: there is such a pattern */
};

void pattern_table_reset(struct pattern_table *t);

/* The value of a pattern, 0 when it is new; good until the next put. */
uint32_t *pattern_table_put(struct pattern_table *t, const struct pattern *pattern);

/*
 * Tell of every pattern in the table that holds the address: its value, and how specific it
 * is (pattern_set_match in policy.h).
 */
typedef void pattern_hit(void *context, uint32_t value, unsigned specificity);
void pattern_table_match(const struct pattern_table *t, const struct address_key *key,
			 pattern_hit *hit, void *context);

/* The same for a domain alone (as domain_key_make gives it): "@d", "@*.d" and "*". */
void pattern_table_match_domain(const struct pattern_table *t, struct span domain,
				pattern_hit *hit, void *context);

#endif
