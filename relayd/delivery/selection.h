/* SPDX-License-Identifier: ISC */
/*
 * Which messages of the queue an operator means: by id, by sender, recipient and route, by
 * age, by how their recipients stand. All that is given must hold; route, recipient and state
 * of one and the same recipient. The listing and the actions choose by the same rules.
 */
#ifndef RELAYD_DELIVERY_SELECTION_H
#define RELAYD_DELIVERY_SELECTION_H

#include "delivery/delivery.h"

/* How a recipient of a queued message stands, as operators see it. */
enum queue_state {
	QUEUE_ANY, /* in a selection: however it stands */
	QUEUE_WAITING,
	QUEUE_HELD,
	QUEUE_DELIVERED,
	QUEUE_DEAD,
	QUEUE_FAILED, /* whoever is to know was told */
};

/* The recipient's, of a message that is held or not. */
enum queue_state queue_state_of(enum recipient_state recipient, bool is_held);

/* "waiting", "held", "delivered", "dead", "failed"; "" for QUEUE_ANY. */
const char *queue_state_name(enum queue_state state);

/* The state of that name; QUEUE_ANY when there is none. */
enum queue_state queue_state_find(struct span name);

/* What can be done with the messages that are meant. */
enum queue_action {
	QUEUE_COUNT,
	QUEUE_RETRY,   /* due now; the dead too, when the selection is of the dead */
	QUEUE_HOLD,    /* not tried and not expired until released, also after a restart */
	QUEUE_RELEASE, /* goes at once */
	QUEUE_REMOVE,
};

/* "count", "retry", "hold", "release", "remove". */
const char *queue_action_name(enum queue_action action);

/* False: there is none of that name. */
bool queue_action_find(struct span name, enum queue_action *action);

/* As it was asked for; all zero means every message. */
struct selection_source {
	struct text_list ids;  /* of transactions, as they are recorded; any of them */
	struct text_list from; /* patterns, as grants have them (pattern_set_new); any of them */
	struct text_list to;
	struct span route;
	enum queue_state state;
	int64_t before_wall_ms; /* accepted earlier than that; 0: whenever */
	int64_t after_wall_ms;	/* accepted then or later */
};

struct selection;

/* Everything is copied. NULL and *fault when a pattern is none. */
struct selection *selection_new(const struct selection_source *source, struct fault *fault);
void selection_free(struct selection **selection);

bool selection_has_id(const struct selection *selection, struct span id);
bool selection_has_packed_id(const struct selection *selection, uint64_t id); /* id_pack */
bool selection_has_age(const struct selection *selection, int64_t stored_wall_ms);
bool selection_has_route(const struct selection *selection, struct span route);
bool selection_has_state(const struct selection *selection, enum queue_state state);
bool selection_has_sender(const struct selection *selection, struct span sender);
bool selection_has_recipient(const struct selection *selection, struct span recipient);

/* Are addresses part of it? Then a message's envelope is needed to tell. */
bool selection_asks_addresses(const struct selection *selection);

/* Does it mean the dead above all? */
bool selection_is_of_dead(const struct selection *selection);

#endif
