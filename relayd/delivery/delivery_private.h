/* SPDX-License-Identifier: ISC */
/* What the parts of delivery share; delivery.c and dispatch.c say who does what. */
#ifndef RELAYD_DELIVERY_DELIVERY_PRIVATE_H
#define RELAYD_DELIVERY_DELIVERY_PRIVATE_H

#include "delivery/bounce.h"
#include "delivery/dispatch.h"
#include "delivery/maildir.h"
#include "delivery/next_hop.h"
#include "delivery/route.h"
#include "delivery/share.h"
#include "delivery/smtp_client.h"
#include "delivery/upstream.h"

/* Times that are no settings; tests choose others. */
struct delivery_tuning {
	struct smtp_client_timeouts timeouts;
	struct next_hop_tuning hops;
	size_t envelope_octets_max; /* of envelopes kept in memory */
};

struct delivery {
	struct delivery_environment environment;
	struct delivery_tuning tuning;
	struct route_table *table;
	struct rewrite_table *rewrites; /* NULL: no grant rewrites */
	struct bounces bounces;
	struct dispatch *dispatches; /* one for each route */
	struct maildir_writer *maildir_writer; /* NULL: no route needs it */
	struct smtp_client_environment clients;
	struct buffer scratch;
	struct list messages;	/* struct queued, all of them, as they came */
	struct list operations; /* of operators; the first is under way (operation.h) */
	size_t envelope_octets; /* of envelopes in memory */
	int64_t wall_offset_ms; /* wall clock less monotonic clock, when we started */
	struct loop_timer wake; /* dispatches wait for a turn of their own */
	struct loop_timer token_timer; /* looks for new tokens, where routes log in with them */
	uint64_t *token_numbers;       /* of each route: the last one seen */
	bool is_draining;
};

/* Before the first message. */
void delivery_tune(struct delivery *delivery, const struct delivery_tuning *tuning);

/* ---- Messages (message.c) ---- */

/* The route of a recipient: the one that policy chose, or as good a one if it is no more. */
size_t recipient_route(const struct delivery *delivery,
		       const struct envelope_recipient *recipient);

/* What the grant of the envelope's i-th recipient makes of the sender. */
struct rewriting recipient_rewriting(const struct delivery *delivery,
				     const struct envelope *envelope, size_t i);

struct dispatch *job_dispatch(const struct delivery *delivery, const struct job *job);

/* The job that the envelope's recipient belongs to, made if need be. */
struct job *recipient_job(const struct delivery *delivery, struct queued *queued,
			  const struct envelope *envelope, uint32_t recipient);

/*
 * The route's own schedule, which the job must go back to from that of its destination (where
 * it is in no place then) before it waits, is buried or ends.
 */
struct schedule *job_home(const struct delivery *delivery, struct job *job);

/*
 * How many of the job's recipients stand so? The envelope must be in memory when the message
 * has several jobs.
 */
size_t job_count(const struct delivery *delivery, const struct job *job, unsigned char state);

/* The id as audit takes it. Ids are short; one from a damaged disk is cut. */
const char *id_text(const struct envelope *envelope, char out[ID_SIZE]);

/* Copy the envelope into memory, and forget it. */
void envelope_keep(struct delivery *delivery, struct queued *queued,
		   const struct envelope *envelope);
void envelope_forget(struct delivery *delivery, struct queued *queued);

/* Unless some job of it goes on now, the message needs no memory. */
void message_rest(struct delivery *delivery, struct queued *queued);

/* Delivered to all: remove it. Its jobs must be over. */
void message_end(struct delivery *delivery, struct queued *queued);

#define NO_HOP SIZE_MAX
/* Write down the message's flags alone. */
void message_flags_write(const struct queued *queued);

/* Where and how a handover was carried out. */
struct handover_place {
	struct span next_hop;
	struct ip_endpoint peer;	   /* port 0: none */
	const struct smtp_client_tls *tls; /* NULL: none */
	size_t hop;			   /* which of the route's next hops, or NO_HOP */
	const char *policy; /* that TLS had to satisfy: "dane", "mta-sts", or NULL */
	bool is_policy_met;
};

/*
 * Draw the conclusions from a handover (frees it): records, the message's state, where its
 * job goes. The job and the message may be gone afterwards.
 */
void delivery_conclude(struct delivery *delivery, struct handover **handover,
		       const struct handover_place *how);

/* Record what a handover of a draft meant; no message in the spool changes by it. */
void delivery_record(struct delivery *delivery, const struct handover *handover,
		     const struct handover_place *how);

/* The message of one that had none is stored now. */
void delivery_message_adopt(struct delivery *delivery, struct queued *queued,
			    struct spool_message *message,
			    const struct envelope *envelope);

/* A next hop that does not relay for us says so in many ways; we say it in one. */
void relay_refusals_name(struct handover *handover);

/*
 * A handover to up to max of the job's recipients that were not tried yet. The envelope
 * must be in memory.
 */
struct handover *delivery_handover_new(const struct delivery *delivery, struct job *job,
					     size_t max);

/* The job is ready but its route is down: record that. The envelope must be in memory. */
void delivery_park(struct delivery *delivery, struct job *job);

/* No other next hop takes the job in this round: it waits. why says what stood in the way. */
void delivery_put_off(struct delivery *delivery, struct job *job, struct span why);

/* Is the job's message too old to be kept? */
bool delivery_is_expired(const struct delivery *delivery, const struct job *job);

/* ---- Envelopes that have to be read ---- */

/* Reads the envelope of an active job; embedded by its owner, who zeroes it. */
struct job_load {
	struct delivery *delivery;
	struct job *job; /* NULL: nothing is being loaded */
	struct spool_read *read;
	/*
	 * is_there false: the envelope is unreadable; the job was put off already. The load
	 * may be used again.
	 */
	void (*done)(struct job_load *load, struct job *job, bool is_there);
};

void job_load_start(struct job_load *load, struct delivery *delivery, struct job *job,
		    void (*done)(struct job_load *load, struct job *job, bool is_there));

/* Returns the job that was being loaded, or NULL; it is the caller's again. */
struct job *job_load_cancel(struct job_load *load);

#endif
