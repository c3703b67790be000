/* SPDX-License-Identifier: ISC */
/* What rights.c asks of address_class.c. */
#ifndef RELAYD_POLICY_RIGHTS_PRIVATE_H
#define RELAYD_POLICY_RIGHTS_PRIVATE_H

#include "policy/policy_private.h"
#include "policy/rights.h"

enum address_side {
	SIDE_SENDER,
	SIDE_RECIPIENT,
};

enum address_class {
	CLASS_ANY,	     /* but the null sender */
	CLASS_OUTSIDE,	     /* of no accepted domain */
	CLASS_AUTHORITATIVE, /* of an authoritative accepted domain */
};

/*
 * Which of the wanted grants hold some address of the class as a sender or recipient? They go
 * over from wanted into found. example: the address that showed the first of them is appended
 * to it when it is empty; or NULL.
 */
void address_class_find(const struct policy *p, enum address_side side,
			enum address_class class, uint64_t *wanted, uint64_t *found,
			struct buffer *example);

#endif
