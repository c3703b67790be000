/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client against a server that says anything at any moment. The network, the clock
 * and the spool are this file's: the input is what the server sends, where
 *
 *	0x01	ends what arrives in one turn: what the client wrote leaves then
 *	0x02	lets the client's timer run out
 *	0x03	closes the connection
 *	0x04	completes a TLS handshake that is under way
 *	0x05	makes it fail
 *
 * and a first octet from 0x10 to 0x1f says what the client wants: TLS that may fail (0x01)
 * or that it needs (0x02), TLS from the start (0x04), a login (0x08).
 *
 * Whatever happens: every transaction ends once, and none counts as delivered whose last
 * octet had not left when the reply came. Where TLS is needed no envelope leaves without it,
 * a password never leaves in clear, and where a login is wanted nothing goes before it.
 */
#include "delivery/smtp_client.h"

#include "base/memory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRANSACTIONS_MAX 5
#define RECIPIENTS	 3

struct spool_message {
	struct spool_info info;
};

struct game {
	struct smtp_client client; /* first */
	struct buffer unsent;
	unsigned given;
	unsigned finished;
	unsigned delivered;
	unsigned dots_left; /* ends of messages that left */
	bool has_ended;
	bool is_secure;
	tls_done *handshake; /* NULL: none is under way */
	struct envelope envelope;
	struct envelope_recipient recipients[RECIPIENTS];
	struct spool_message message;
	struct queued *queued;
};

static const char body[] = "Subject: fuzz\r\n\r\nline\r\n";

/* ---- The spool ---- */

const struct spool_info *
spool_message_info(const struct spool_message *message)
{
	return &message->info;
}

size_t
spool_body_peek(const struct spool_message *message, uint64_t offset, struct span *run)
{
	(void)message;
	*run = (struct span){ body + offset, sizeof(body) - 1 - (size_t)offset };
	return run->len;
}

uint64_t
spool_draft_octets(const struct spool_draft *draft)
{
	(void)draft;
	abort();
}

size_t
spool_draft_peek(const struct spool_draft *draft, uint64_t offset, struct span *run)
{
	(void)draft;
	(void)offset;
	(void)run;
	abort();
}

struct spool_read *
spool_read_body(struct spool_message *message, uint64_t offset, size_t octets,
		spool_read_done *done, void *context)
{
	(void)message;
	(void)offset;
	(void)octets;
	(void)done;
	(void)context;
	abort();
}

void
spool_read_cancel(struct spool_read **read)
{
	*read = NULL;
}

/* ---- The loop and the stream ---- */

static struct game *
game_of(struct stream *stream)
{
	return (struct game *)(void *)LIST_OWNER(stream, struct smtp_client, stream);
}

void
loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	(void)loop;
	(void)delay_ms;
	timer->is_set = true;
}

int64_t
loop_wall_ms(const struct loop *loop)
{
	(void)loop;
	return 0;
}

int64_t
loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return 0;
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	timer->is_set = false;
}

bool
stream_connect(struct stream *stream, struct loop *loop, const struct ip_endpoint *to,
	       const struct ip *source, const struct stream_events *events, size_t input_max,
	       size_t output_max, struct fault *fault)
{
	(void)loop;
	(void)to;
	(void)source;
	(void)input_max;
	(void)output_max;
	(void)fault;
	stream->events = events;
	stream->state = 1;
	return true;
}

bool
stream_write(struct stream *stream, struct span bytes)
{
	if (stream->state == 0)
		return false;
	return buffer_append(&game_of(stream)->unsent, bytes);
}

size_t
stream_unsent(const struct stream *stream)
{
	return ((const struct game *)(const void *)stream)->unsent.len;
}

bool
tls_connect(struct stream *stream, const struct tls_request *request, tls_done *done,
	    struct fault *fault)
{
	struct game *game = game_of(stream);

	(void)request;
	if (game->is_secure || game->handshake != NULL)
		abort();
	if (game->unsent.len > 0)
		return fault_say(fault, "what was said in clear has not left yet");
	game->handshake = done;
	return true;
}

void
stream_close(struct stream *stream)
{
	stream->state = 0;
}

/* ---- The client's owner ---- */

static void
handover_offer(struct game *game)
{
	static const uint32_t indexes[RECIPIENTS] = { 0, 1, 2 };

	if (game->given == TRANSACTIONS_MAX || !smtp_client_has_room(&game->client))
		return;
	game->given++;
	smtp_client_give(&game->client,
			 handover_new(&game->queued->first, indexes, RECIPIENTS));
}

static void
client_is_ready(struct smtp_client *client)
{
	const struct game *game = (struct game *)(void *)client;

	if (client->plan.tls == ROUTE_TLS_REQUIRED && !game->is_secure)
		abort();
	handover_offer((struct game *)(void *)client);
}

static void
client_finished(struct smtp_client *client, struct handover *handover)
{
	struct game *game = (struct game *)(void *)client;
	bool is_delivered = false;

	game->finished++;
	if (game->finished > game->given)
		abort();
	for (size_t i = 0; i < handover->recipient_count; i++) {
		const struct handover_recipient *recipient = &handover->recipients[i];

		if (recipient->result == RESULT_NONE)
			abort();
		if (recipient->result != RESULT_DELIVERED)
			continue;
		is_delivered = true;
		if (!recipient->is_accepted)
			abort();
	}
	game->delivered += is_delivered;
	if (game->delivered > game->dots_left)
		abort();
	handover_free(&handover);
	if (smtp_client_is_idle(client))
		handover_offer(game);
}

static void
client_has_ended(struct smtp_client *client, bool was_greeted, struct span why)
{
	struct game *game = (struct game *)(void *)client;

	(void)was_greeted;
	if (game->has_ended || game->finished != game->given || why.len > 2000)
		abort();
	game->has_ended = true;
}

static const struct smtp_client_events events = {
	.ready = client_is_ready,
	.has_room = client_is_ready,
	.finished = client_finished,
	.ended = client_has_ended,
};

/* ---- The game ---- */

static bool
holds(struct span bytes, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i + len <= bytes.len; i++) {
		if (memcmp(bytes.ptr + i, text, len) == 0)
			return true;
	}
	return false;
}

/* May this leave in clear? The password is "secret", by PLAIN and by LOGIN. */
static void
clear_check(const struct game *game, struct span unsent)
{
	if (game->is_secure)
		return;
	if (game->client.plan.tls == ROUTE_TLS_REQUIRED && holds(unsent, "MAIL FROM"))
		abort();
	if (holds(unsent, "c2VjcmV0") || holds(unsent, "AHJlbGF5AHNlY3JldA"))
		abort();
}

/* The handshake is over, one way or the other. */
static void
handshake_end(struct game *game, bool is_good)
{
	static const struct tls_facts facts = { .version = "TLSv1.3", .cipher = "x" };
	tls_done *done = game->handshake;
	struct fault fault;

	if (done == NULL)
		return;
	game->handshake = NULL;
	game->is_secure = is_good;
	if (!is_good) {
		(void)fault_say(&fault, "TLS handshake: no");
		stream_close(&game->client.stream);
	}
	done(&game->client.stream, is_good ? &facts : NULL, is_good ? NULL : &fault);
}

/* The end of a turn: what was written leaves. */
static void
turn_end(struct game *game)
{
	static const char end[] = "\r\n.\r\n";
	struct span unsent = buffer_span(&game->unsent);
	bool had_any = unsent.len > 0;

	clear_check(game, unsent);
	for (size_t i = 0; i + sizeof(end) - 1 <= unsent.len; i++)
		game->dots_left += memcmp(unsent.ptr + i, end, sizeof(end) - 1) == 0;
	buffer_clear(&game->unsent);
	if (had_any && game->client.state != CLIENT_CLOSED)
		game->client.stream.events->drained(&game->client.stream);
}

static void
server_says(struct game *game, struct span bytes)
{
	if (bytes.len > 0 && game->client.state != CLIENT_CLOSED && game->handshake == NULL)
		(void)game->client.stream.events->received(&game->client.stream, bytes);
}

static void
server_plays(struct game *game, struct span in)
{
	size_t begin = 0;

	for (size_t at = 0; at < in.len && game->client.state != CLIENT_CLOSED; at++) {
		unsigned char c = (unsigned char)in.ptr[at];

		if (c == 0 || c > 5)
			continue;
		server_says(game, (struct span){ in.ptr + begin, at - begin });
		begin = at + 1;
		turn_end(game);
		if (game->client.state == CLIENT_CLOSED)
			return;
		if (c == 2)
			game->client.timer.expired(&game->client.timer);
		if (c == 4 || c == 5)
			handshake_end(game, c == 4);
		if (c == 3) {
			stream_close(&game->client.stream);
			game->client.stream.events->ended(&game->client.stream,
							  STREAM_CLOSED_BY_PEER);
		}
	}
	if (begin < in.len)
		server_says(game, span_skip(in, begin));
	turn_end(game);
}

/* What the first octet asks for, if it does. */
static struct smtp_client_plan
plan_take(struct span *in)
{
	static struct login_client *login; /* the library has one for the process anyway */
	struct smtp_client_plan plan = { .tls = ROUTE_TLS_NONE };
	struct fault fault;
	unsigned wish;

	if (in->len == 0 || (in->ptr[0] & 0xf0) != 0x10)
		return plan;
	wish = (unsigned)in->ptr[0] & 0x0f;
	*in = span_skip(*in, 1);
	if (wish & 3)
		plan.tls = wish & 2 ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
	plan.is_tls_implicit = (wish & 4) != 0;
	if (wish & 8) {
		if (login == NULL)
			login = login_client_new(LOGIN_MECHANISMS, &fault);
		if (login == NULL)
			return plan; /* no plug-ins here */
		plan.sasl = login;
		plan.mechanisms = LOGIN_MECHANISMS;
		plan.login = (struct login_credential){
			.host = SPAN_LITERAL("mail.example.org"),
			.user = SPAN_LITERAL("relay"),
			.password = SPAN_LITERAL("secret"),
		};
	}
	return plan;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = { (const char *)data, size };
	struct smtp_client_plan plan = plan_take(&input);
	static const struct smtp_client_timeouts timeouts = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	struct ip_endpoint to = { .port = 25 };
	struct buffer scratch;
	struct fault fault;
	struct game *game = memory_new(sizeof(*game));
	struct smtp_client_environment environment = {
		.hostname = SPAN_LITERAL("relay.example.com"),
		.timeouts = &timeouts,
		.events = &events,
		.scratch = &scratch,
	};

	(void)ip_parse(span_of("192.0.2.1"), &to.ip);
	buffer_init(&scratch, SMTP_CLIENT_SCRATCH_MAX);
	buffer_init(&game->unsent, 1U << 20);
	for (size_t i = 0; i < RECIPIENTS; i++)
		game->recipients[i].address = span_of("user@example.org");
	game->envelope = (struct envelope){
		.sender = SPAN_LITERAL("sender@example.com"),
		.recipients = game->recipients,
		.recipient_count = RECIPIENTS,
	};
	game->message.info.body_octets = sizeof(body) - 1;
	game->queued = queued_new(&game->message, RECIPIENTS);
	(void)queued_job(game->queued, 0);
	game->queued->envelope = &game->envelope;

	smtp_client_init(&game->client, &environment);
	if (smtp_client_connect(&game->client, &to, &plan, 1, &fault)) {
		game->client.stream.events->connected(&game->client.stream, 0);
		server_plays(game, input);
	}
	if (game->client.state != CLIENT_CLOSED) {
		stream_close(&game->client.stream);
		game->client.stream.events->ended(&game->client.stream, STREAM_BROKEN);
	}
	if (!game->has_ended)
		abort();
	game->queued->envelope = NULL;
	queued_free(&game->queued);
	buffer_reset(&game->unsent);
	buffer_reset(&scratch);
	free(game);
	return 0;
}
