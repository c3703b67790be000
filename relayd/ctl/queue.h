/* SPDX-License-Identifier: ISC */
/* What the commands of relayctl queue share: which messages are meant, and what is there. */
#ifndef RELAYD_CTL_QUEUE_H
#define RELAYD_CTL_QUEUE_H

#include "base/arena.h"
#include "base/json.h"
#include "ctl/command.h"
#include "delivery/selection.h"
#include "smtp/envelope.h"
#include "spool/spool.h"

/* The filters that all of them take, with their explanation. */
#define QUEUE_FILTERS_HELP \
	"  --from A, --to A    an address, @domain, @*.domain, name+*@domain or <>; may be\n" \
	"                      given again: any of them\n" \
	"  --route R           of this route\n" \
	"  --state S           waiting, held, delivered or dead\n" \
	"  --older-than T, --newer-than T   how long ago it was accepted (90s 15m 2h 7d 4w), or\n" \
	"                      since when (2026-12-31T08:30)\n"

/* The command line; zeroed. */
struct queue_arguments {
	struct option_list from, to;
	const char *route, *state, *older_than, *newer_than;
	bool is_all, is_sure;
	bool may_be_all, may_be_sure; /* set by the caller: --all, --yes are options */
};

/*
 * Take the options; ids are what is left. Everything in *source is the arena's or argv's.
 * GO_ON, or the exit code after a complaint.
 */
int queue_arguments_take(struct relayctl *ctl, int argc, char **argv, struct arena *arena,
			 struct queue_arguments *arguments, struct selection_source *source);

/* Compile what was taken; NULL: complained, and *status is the exit code. */
struct selection *queue_selection_new(struct relayctl *ctl,
				      const struct selection_source *source, int *status);

/* One message; the spans are the arena's. */
struct queue_message {
	uint64_t uid;
	struct span shard;
	int64_t stored_wall_ms;
	uint64_t body_octets;
	bool is_readable; /* false: only the above is known */
	struct envelope envelope;
	struct delivery_state state;
};

/* What the walk found out about one message. */
void queue_message_read(struct queue_message *message, const struct spool_glance *glance,
			struct arena *arena);

/* How one of its recipients stands, as a word. */
const char *queue_recipient_state(const struct queue_message *message, size_t recipient);

/* Walk the spool below the state directory (spool_walk). */
bool queue_walk(const char *state_directory,
		bool (*seen)(void *context, const struct spool_glance *), void *context,
		struct fault *fault);

/* Is the recipient meant, when its message's id, age and sender are? */
bool queue_recipient_matches(const struct selection *selection,
			     const struct queue_message *message, size_t recipient);

/* Is the message meant? One that is not readable is when there is no selection to speak of. */
bool queue_message_matches(const struct selection *selection, bool is_narrow,
			   const struct queue_message *message);

/* Its members, inside an object that is begun. */
void queue_message_write_json(struct json *j, const struct queue_message *message);

#endif
