/* SPDX-License-Identifier: ISC */
/*
 * Who is told what became of a message, and when: reports (report.h) are made of the outcomes
 * of its recipients when nobody is at work on it, so that one report tells of all that
 * happened. A report is a message like any other: it is made durable in the spool, and only
 * then is the recipient that it tells of final. docs/delivery.md has the rules.
 */
#ifndef RELAYD_DELIVERY_BOUNCE_H
#define RELAYD_DELIVERY_BOUNCE_H

#include "delivery/report.h"

#include "base/list.h"
#include "delivery/queued.h"
#include "net/loop.h"

struct handover;
struct handover_place;

/* Reports on their way; embedded by value in the delivery. */
struct bounces {
	struct list waiting; /* of struct bounce */
	struct list active;
	size_t waiting_count;
	size_t active_count;
	bool is_paused; /* the spool could not store one */
	struct loop_timer pause;
	struct loop_timer sweep; /* for messages that wait for longer than warn_after */
	size_t sweep_route;
	size_t sweep_at;
};

void bounces_init(struct delivery *delivery);

/* Break off all of them: what they tell of happens again. Before the messages are left. */
void bounces_reset(struct delivery *delivery);

/* So many reports wait that nothing should be tried that may lead to more. */
bool bounces_are_full(const struct delivery *delivery);

/* No room for more, because the spool takes none: what failed is put off. */
bool bounces_are_stuck(const struct delivery *delivery);

/* Is no report on its way that could still arrive? */
bool bounces_are_idle(const struct delivery *delivery);

/*
 * The state that a recipient has after it failed: RECIPIENT_UNTOLD if there is someone to be
 * told (noted), else RECIPIENT_FAILED when nobody wants to know, or RECIPIENT_DEAD. at: of the
 * handover's recipients.
 */
unsigned char bounce_note_failure(struct delivery *delivery, const struct handover *handover,
				  size_t at, const struct handover_place *how,
				  bool is_expired);

/* The same after a success: RECIPIENT_DELIVERED, or RECIPIENT_OWED if a report is wanted. */
unsigned char bounce_note_success(struct delivery *delivery, const struct handover *handover,
				  size_t at, const struct handover_place *how);

/* It waits. If it did so for long, its sender is warned, once for the message. */
void bounce_note_delay(struct delivery *delivery, const struct handover *handover, size_t at,
		       const struct handover_place *how);

/* Found in the spool: a recipient was delivered to, and the report of it was not made. */
void bounce_note_owed(struct delivery *delivery, struct queued *queued, size_t recipient);

/* Something about the message changed: begin the report if nobody is at work on it. */
void bounce_settle(struct delivery *delivery, struct queued *queued);

/* Forget what was noted; for messages that are left. */
void bounce_drop(struct queued *queued);

#endif
