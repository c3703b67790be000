/* SPDX-License-Identifier: ISC */
/*
 * Delivery into Maildirs (https://cr.yp.to/proto/maildir.html): written below tmp/, made
 * durable, renamed into new/, the folder made durable. A thread does what touches the disk;
 * the loop gives it the message piece by piece and hears when it is done.
 *
 * A message's file has the same name however often it is delivered, so that a delivery that
 * was cut off is finished by its repetition instead of leaving two.
 */
#ifndef RELAYD_DELIVERY_MAILDIR_H
#define RELAYD_DELIVERY_MAILDIR_H

#include "delivery/handover.h"

#define MAILDIR_HANDOVERS_MAX 64 /* at once, of one route */

/* The thread. */
struct maildir_writer;

/* NULL and *fault on failure. hostname goes into file names. All borrowed for its life. */
struct maildir_writer *maildir_writer_new(struct loop *loop, struct span hostname,
					  struct fault *fault);

/*
 * Break off: waits for the one system call that may be under way. done is not called;
 * handovers that were taken are freed.
 */
void maildir_writer_free(struct maildir_writer **writer);

/* A Maildir, one of a route's. */
struct maildir;

/*
 * Make what is missing of the Maildir (its parent must exist) and open it. NULL and *fault
 * when it cannot be written to.
 */
struct maildir *maildir_open(struct span path, struct fault *fault);
void maildir_close(struct maildir **maildir);

/*
 * Deliver (takes the handover until done): one file for each recipient. done comes from a
 * later turn, with every result set.
 */
void maildir_deliver(struct maildir_writer *writer, struct maildir *maildir,
		     struct handover *handover,
		     void (*done)(void *context, struct handover *handover),
		     void *context);

#endif
