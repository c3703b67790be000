/* SPDX-License-Identifier: ISC */
/*
 * Fill a state directory as relayd would leave it: state_fill DIRECTORY POLICY-HASH. For the
 * tests of relayctl, which then need no daemon.
 */
#include "audit/audit.h"
#include "base/clock.h"
#include "delivery/state.h"
#include "net/loop.h"
#include "smtp/envelope.h"
#include "spool/spool.h"

#include <stdio.h>
#include <stdlib.h>

#define T0 INT64_C(1795375203123) /* 2026-11-22T19:20:03.123Z */

static const struct log quiet = { .who = "state_fill" };

static void
give_up(struct fault *fault)
{
	(void)fprintf(stderr, "state_fill: %s\n", fault_text(fault));
	exit(1);
}

/* ---- The trail ---- */

static void
trail_fill(const char *state_directory, const char *hash)
{
	struct fault fault;
	struct audit *audit = audit_open(state_directory, hash, &quiet, &fault);
	struct audit_session session = { .id = "7F3K2M9", .connector = span_of("apps"),
					 .helo = span_of("evil\x1b[2J") };
	struct audit_attempt attempt = {
		.id = "7F3K2M91", .wall_ms = T0, .from = span_of("ceo@example.com"),
		.has_from = true, .to = span_of("user@partner.example"),
		.verdict = VERDICT_REFUSED, .stage = STAGE_SENDER,
		.reason = REASON_SENDER_NOT_AUTHORIZED, .grant = span_of("billing"),
		.file = "/etc/relayd/relayd.conf", .line = 12,
		.reply = span_of("550 5.7.367 Sender not authorized for relay [7F3K2M91]"),
		.detail = span_of("grant billing allows senders @billing.example.com; got "
				  "ceo@example.com"),
	};
	struct audit_delivery delivery = {
		.id = "7F3K2M92", .wall_ms = T0 + 2000, .route = span_of("next"),
		.next_hop = span_of("mx.example.com:25"), .from = span_of("a@billing.example.com"),
		.to = span_of("user@partner.example"), .result = "deferred",
		.reply = span_of("450 4.2.1 busy"), .queued_ms = 1000, .tries = 1,
		.next_wall_ms = T0 + 60000,
	};

	if (audit == NULL)
		give_up(&fault);
	if (ip_endpoint_parse(span_of("10.20.1.7:51612"), &session.client) != PARSE_OK ||
	    ip_endpoint_parse(span_of("10.0.0.2:25"), &session.local) != PARSE_OK)
		exit(1);
	audit_daemon(audit, "start", T0 - 1000, true, span_of(""));
	audit_attempt(audit, &session, &attempt);
	attempt = (struct audit_attempt){
		.id = "7F3K2M92", .wall_ms = T0 + 1000, .has_from = true,
		.from = span_of("a@billing.example.com"), .to = span_of("user@partner.example"),
		.verdict = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .reason = REASON_NONE,
		.grant = span_of("billing"), .file = "relayd.conf", .line = 12,
	};
	audit_attempt(audit, &session, &attempt);
	audit_delivery(audit, &delivery);
	if (!audit_flush(audit))
		exit(1);
	audit_close(&audit);
}

/* ---- The spool ---- */

static void
nothing_found(void *context, struct spool_message *message, struct span envelope,
	      struct span state)
{
	(void)context;
	(void)message;
	(void)envelope;
	(void)state;
}

static void
stored(void *context, enum spool_status status, struct spool_message *message)
{
	size_t *waiting = context;

	if (status != SPOOL_OK)
		exit(1);
	spool_leave(&message);
	(*waiting)--;
}

/* One message; what became of each recipient stands in states. */
struct sample {
	const char *id, *sender, *route, *reply;
	const char *recipients[3];
	enum recipient_state states[3];
	size_t recipient_count;
	uint32_t tries;
	int64_t next_in_ms; /* from now; 0: at once */
};

static void
envelope_append(const struct sample *sample, struct buffer *out)
{
	struct envelope_recipient recipients[3] = { { .notify = 0 } };
	struct envelope envelope = {
		.id = span_of(sample->id), .sender = span_of(sample->sender),
		.client = span_of("10.20.1.7"), .connector = span_of("apps"),
		.arrived_wall_ms = T0, .size_octets = 5, .recipients = recipients,
		.recipient_count = sample->recipient_count,
	};

	for (size_t i = 0; i < sample->recipient_count; i++)
		recipients[i] = (struct envelope_recipient){
			.address = span_of(sample->recipients[i]),
			.route = span_of(sample->route),
			.grant = span_of("billing"),
		};
	if (!envelope_encode(&envelope, out))
		exit(1);
}

static void
state_append(const struct sample *sample, struct buffer *out)
{
	struct state_head head;
	int64_t next = sample->next_in_ms == 0 ? 0 : clock_wall_ms() + sample->next_in_ms;

	if (!state_initial_append(out, sample->recipient_count))
		exit(1);
	state_head_set(&head, 0, sample->tries, next, sample->recipient_count,
		       span_of(sample->reply));
	memcpy(out->ptr, head.bytes, head.len);
	for (size_t i = 0; i < sample->recipient_count; i++)
		out->ptr[STATE_HEAD_OCTETS + i] = (char)sample->states[i];
}

static void
message_store(struct spool *spool, const struct sample *sample, size_t *waiting)
{
	struct spool_draft *draft = spool_draft_new(spool);
	struct buffer envelope, state;

	buffer_init(&envelope, ENVELOPE_OCTETS_MAX);
	buffer_init(&state, SPOOL_STATE_MAX);
	(void)spool_draft_append(draft, span_of("hello"), NULL, NULL);
	if (sample->recipient_count > 0) {
		envelope_append(sample, &envelope);
		state_append(sample, &state);
	} else { /* not ours to understand */
		buffer_append_text(&envelope, "an envelope of a later release");
	}
	(*waiting)++;
	spool_draft_commit(&draft, buffer_span(&envelope), buffer_span(&state), stored, waiting);
	buffer_reset(&state);
	buffer_reset(&envelope);
}

static void
spool_fill(const char *directory)
{
	static const struct sample samples[] = {
		{ .id = "AAAAAAA1", .sender = "a@billing.example.com", .route = "next",
		  .reply = "450 4.2.1 busy\x1b[2J", .recipient_count = 2, .tries = 3,
		  .recipients = { "done@partner.example", "later@partner.example" },
		  .states = { RECIPIENT_DELIVERED, RECIPIENT_WAITING }, .next_in_ms = 3630000 },
		{ .id = "AAAAAAA2", .sender = "", .route = "other",
		  .reply = "550 5.1.1 no such user", .recipient_count = 1, .tries = 1,
		  .recipients = { "gone@else.example" }, .states = { RECIPIENT_DEAD } },
		{ .recipient_count = 0 },
	};
	const struct spool_settings settings = { .directory = directory, .reserve_octets = 1 };
	const struct spool_events events = { .found = nothing_found };
	struct fault fault;
	struct loop *loop = loop_new(&fault);
	size_t waiting = 0;

	if (loop == NULL)
		give_up(&fault);
	struct spool *spool = spool_open(&settings, loop, &events, NULL, &quiet, &fault);

	if (spool == NULL)
		give_up(&fault);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		message_store(spool, &samples[i], &waiting);
		while (waiting > 0)
			loop_turn(loop, 100);
	}
	spool_close(&spool);
	loop_free(&loop);
}

int
main(int argc, char **argv)
{
	char directory[4096];

	if (argc != 3)
		return 2;
	(void)snprintf(directory, sizeof(directory), "%s/spool", argv[1]);
	trail_fill(argv[1], argv[2]);
	spool_fill(directory);
	return 0;
}
