/* SPDX-License-Identifier: ISC */
/* The client's side of SMTP; see smtp_client.h. */
#include "delivery/smtp_client.h"

#include "base/base64.h"
#include "base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define INPUT_MAX  (64U << 10)
#define OUTPUT_MAX (4U << 20)
#define UNSENT_MAX (256U << 10) /* of a message, before the next piece is taken */
#define WHY_MAX	   (REPLY_TEXT_MAX + 64)
#define TOKEN_RESPONSE_MAX (TOKEN_OCTETS_MAX + 1024)

static const struct stream_events client_stream_events;

static struct smtp_client *
client_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct smtp_client, stream);
}

static void
client_wait(struct smtp_client *client, int64_t delay_ms)
{
	loop_timer_set(client->environment->loop, &client->timer, delay_ms);
}

/* ---- The end of a connection ---- */

/*
 * The connection goes, and with it what was under way. A transaction that had no answer yet
 * on a connection that served others before met an old connection's end, not a judgement: it
 * is untried. So is the one behind the dot: not an octet of its message was sent.
 */
static void
handovers_cut(struct smtp_client *client, struct envelope_progress now,
		 struct handover *next, bool was_untouched, struct span why)
{
	const struct smtp_client_events *events = client->environment->events;

	if (now.handover != NULL) {
		now.handover->was_cut = !was_untouched;
		handover_settle(now.handover,
				   was_untouched ? RESULT_UNTRIED : RESULT_DEFERRED, why);
		events->finished(client, now.handover);
	}
	if (next != NULL) {
		handover_settle(next, RESULT_UNTRIED, why);
		events->finished(client, next);
	}
}

static void
client_end(struct smtp_client *client, struct span why)
{
	bool was_greeted = client->state >= CLIENT_IDLE;
	bool was_untouched = client->state == CLIENT_ENVELOPE && client->now.answered == 0 &&
			     client->transactions > 1;
	bool is_orderly = client->state == CLIENT_IDLE || client->state == CLIENT_QUIT;
	bool is_ambiguous = client->state == CLIENT_DOT && !client->is_answered;
	struct envelope_progress now = client->now;
	struct handover *next = client->next.handover;

	smtp_client_close(client);
	if (now.handover != NULL && is_ambiguous)
		now.handover->is_ambiguous = true;
	handovers_cut(client, now, next, was_untouched, why);
	client->environment->events->ended(client, was_greeted,
					   is_orderly ? (struct span){ NULL, 0 } : why);
}

/* What we were doing, for the reason that people read. */
static const char *
client_occupation(const struct smtp_client *client)
{
	switch (client->state) {
	case CLIENT_CONNECTING:
		return "while connecting";
	case CLIENT_BANNER:
		return "while waiting for the greeting";
	case CLIENT_EHLO:
		return "while waiting for the reply to EHLO";
	case CLIENT_HELO:
		return "while waiting for the reply to HELO";
	case CLIENT_STARTTLS:
		return "while waiting for the reply to STARTTLS";
	case CLIENT_HANDSHAKE:
		return "in the TLS handshake";
	case CLIENT_AUTH:
	case CLIENT_AUTH_ENDS:
		return "while logging in";
	case CLIENT_ENVELOPE:
		if (client->now.is_reset_due)
			return "while waiting for the reply to RSET";
		if (client->now.answered == 0)
			return "while waiting for the reply to MAIL";
		if (client->now.answered <= client->now.handover->recipient_count)
			return "while waiting for the reply to RCPT";
		return "while waiting for the reply to DATA";
	case CLIENT_BODY_DUE:
	case CLIENT_BODY:
		return "while sending the message";
	case CLIENT_DOT:
		return "while waiting for the reply to the message";
	case CLIENT_CLOSED:
	case CLIENT_IDLE:
	case CLIENT_QUIT:
		break;
	}
	return "between messages";
}

/* "4.4.2 timed out while waiting for the greeting" */
static void
client_end_at(struct smtp_client *client, const char *what)
{
	char why[WHY_MAX];
	int len = snprintf(why, sizeof(why), "%s %s", what, client_occupation(client));

	client_end(client, (struct span){ why, (size_t)len });
}

/*
 * Does the server say that we are too fast for it? 421 and 432 do, and 4.7.x; but 4.7.1 to a
 * recipient is mostly greylisting, which has nothing to do with pace.
 */
static bool
is_throttling(const struct smtp_client *client)
{
	const struct reply_parser *reply = &client->parser;

	if (reply->code == 421 || reply->code == 432)
		return true;
	return reply_code_is_temporary(reply->code) && reply->enhanced.class == 4 &&
	       reply->enhanced.subject == 7 && reply->enhanced.detail != 1;
}

/* The reply as it goes into records: "550 5.1.1 No such user". */
static struct span
reply_words(const struct smtp_client *client, char out[WHY_MAX])
{
	const struct reply_parser *reply = &client->parser;
	const struct enhanced_code *enhanced = &reply->enhanced;
	struct span text = reply_parser_text(reply);
	int len;

	if (enhanced->class == 0)
		len = snprintf(out, WHY_MAX, "%u %.*s", (unsigned)reply->code, SPAN_ARG(text));
	else
		len = snprintf(out, WHY_MAX, "%u %u.%u.%u %.*s", (unsigned)reply->code,
			       (unsigned)enhanced->class, (unsigned)enhanced->subject,
			       (unsigned)enhanced->detail, SPAN_ARG(text));
	return (struct span){ out, (size_t)len < WHY_MAX ? (size_t)len : WHY_MAX - 1 };
}

static void
client_end_reply(struct smtp_client *client)
{
	char words[WHY_MAX];

	client->is_answered = true;
	if (client->now.handover != NULL && is_throttling(client))
		client->now.handover->is_throttled = true;
	client_end(client, reply_words(client, words));
}

/* ---- Commands ---- */

static void
sender_compose(const struct smtp_client *client, const struct handover *handover)
{
	const struct envelope *envelope = handover->envelope;
	unsigned offers = client->ehlo.offers;
	struct buffer *out = client->environment->scratch;

	buffer_append_text(out, "MAIL FROM:<");
	buffer_append(out, handover->sender);
	buffer_append_text(out, ">");
	if (offers & EHLO_SIZE)
		buffer_printf(out, " SIZE=%llu",
			      (unsigned long long)handover_octets(handover));
	if ((offers & EHLO_8BITMIME) && envelope->body == BODY_8BITMIME)
		buffer_append_text(out, " BODY=8BITMIME");
	if ((offers & EHLO_SMTPUTF8) && envelope->is_smtputf8)
		buffer_append_text(out, " SMTPUTF8");
	if (envelope->needs_tls) /* else smtp_client_must_refuse kept it from us */
		buffer_append_text(out, " REQUIRETLS");
	if ((offers & EHLO_DSN) && envelope->ret != RET_NONE)
		buffer_append_text(out, envelope->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
	if ((offers & EHLO_DSN) && envelope->envid.len > 0) {
		buffer_append_text(out, " ENVID=");
		buffer_append(out, envelope->envid);
	}
	buffer_append_text(out, "\r\n");
}

static void
notify_compose(struct buffer *out, uint32_t notify)
{
	static const struct {
		enum envelope_notify flag;
		const char *word;
	} words[] = {
		{ NOTIFY_NEVER, "NEVER" },
		{ NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((notify & (uint32_t)words[i].flag) == 0)
			continue;
		buffer_append_text(out, before);
		buffer_append_text(out, words[i].word);
		before = ",";
	}
}

static void
recipient_compose(const struct smtp_client *client,
		  const struct envelope_recipient *recipient)
{
	struct buffer *out = client->environment->scratch;

	buffer_append_text(out, "RCPT TO:<");
	buffer_append(out, recipient->address);
	buffer_append_text(out, ">");
	if (client->ehlo.offers & EHLO_DSN) {
		notify_compose(out, recipient->notify);
		if (recipient->orcpt.len > 0) {
			buffer_append_text(out, " ORCPT=");
			buffer_append(out, recipient->orcpt);
		}
	}
	buffer_append_text(out, "\r\n");
}

static void
command_compose(const struct smtp_client *client, struct envelope_progress *progress)
{
	const struct handover *handover = progress->handover;
	size_t command = progress->written++;

	if (command == 0)
		sender_compose(client, handover);
	else if (command <= handover->recipient_count)
		recipient_compose(client, handover_recipient_get(handover, command - 1));
	else
		buffer_append_text(client->environment->scratch, "DATA\r\n");
}

/* Write the envelope whole, DATA last (RFC 2920 s.3.1), or only its next command. */
static void
commands_write(struct smtp_client *client, struct envelope_progress *progress)
{
	struct buffer *out = client->environment->scratch;
	bool is_pipelined = client->ehlo.offers & EHLO_PIPELINING;
	size_t commands =
	    progress->handover->recipient_count + (progress->is_chunked ? 1 : 2);

	buffer_clear(out);
	if (progress->is_reset_due && progress->written == 0)
		buffer_append_text(out, "RSET\r\n");
	if (is_pipelined) {
		while (progress->written < commands)
			command_compose(client, progress);
	} else if (!progress->is_reset_due) {
		command_compose(client, progress);
	}
	if (out->len == 0)
		return;
	if (progress == &client->next)
		client->after_dot_octets += out->len;
	(void)stream_write(&client->stream, buffer_span(out)); /* else ended comes */
}

static void
hello_write(struct smtp_client *client, const char *verb)
{
	struct buffer *out = client->environment->scratch;

	buffer_clear(out);
	buffer_append_text(out, verb);
	buffer_append(out, client->environment->hostname);
	buffer_append_text(out, "\r\n");
	(void)stream_write(&client->stream, buffer_span(out));
	client_wait(client, client->environment->timeouts->hello_ms);
}

/* The replies to the envelope in client->now come next. */
static void
envelope_begin(struct smtp_client *client)
{
	client->state = CLIENT_ENVELOPE;
	client->turn_at_ms = loop_now_ms(client->environment->loop);
	client_wait(client, client->environment->timeouts->mail_ms);
}

/* ---- The end of a transaction ---- */

static void
client_rest(struct smtp_client *client)
{
	client->state = CLIENT_IDLE;
	client_wait(client, client->environment->timeouts->idle_ms);
}

/*
 * All is said about the present transaction; the one written behind its dot comes next. If
 * there is none and the server said more all the same, it is no longer to be trusted with
 * the order of its replies; often it is 421 and the connection's end.
 */
static void
handover_finish(struct smtp_client *client)
{
	struct handover *handover = client->now.handover;

	client->now = client->next;
	client->next = (struct envelope_progress){ .handover = NULL };
	if (client->now.handover != NULL) {
		envelope_begin(client);
	} else {
		client_rest(client);
	}
	if (client->state == CLIENT_IDLE && client->unread_octets > 0) {
		smtp_client_close(client);
		client->environment->events->finished(client, handover);
		client->environment->events->ended(client, true, (struct span){ NULL, 0 });
		return;
	}
	client->environment->events->finished(client, handover);
}

/* ---- Before any transaction: greeting, TLS, login ---- */

static void
ehlo_begin(struct smtp_client *client)
{
	client->state = CLIENT_EHLO;
	client->ehlo = (struct ehlo){ .offers = 0 };
	client->parser.ehlo = &client->ehlo;
	hello_write(client, "EHLO ");
}

static void
banner_replied(struct smtp_client *client)
{
	client->trouble = TROUBLE_CONNECT;
	if (client->parser.code != 220)
		client_end_reply(client);
	else
		ehlo_begin(client);
}

static void
client_greeted(struct smtp_client *client)
{
	client->trouble = TROUBLE_NONE;
	client_rest(client);
	client->environment->events->ready(client);
}

static void login_or_go(struct smtp_client *client);

/* The connection is of no use because of this. */
static void
client_fail(struct smtp_client *client, enum smtp_client_trouble trouble, const char *format,
	    ...) PRINTF_LIKE(3, 4);

static void
client_fail(struct smtp_client *client, enum smtp_client_trouble trouble, const char *format,
	    ...)
{
	char why[WHY_MAX];
	va_list arguments;
	int len;

	client->trouble = trouble;
	va_start(arguments, format);
	len = vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	client_end(client, (struct span){ why, (size_t)len < sizeof(why) ? (size_t)len
									 : sizeof(why) - 1 });
}

/* ---- TLS ---- */

static void
handshake_done(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	struct smtp_client *client = client_of(stream);

	if (facts == NULL) {
		client_fail(client, TROUBLE_TLS, "4.7.5 %s", fault_text(fault));
		return;
	}
	client->tls = (struct smtp_client_tls){
		.version = facts->version,
		.cipher = facts->cipher,
		.unverified = facts->is_verified ? NULL : facts->unverified,
		.is_verified = facts->is_verified,
		.is_resumed = facts->is_resumed,
	};
	reply_parser_init(&client->parser); /* forget all that was said in clear */
	if (client->plan.is_tls_implicit) {
		client->state = CLIENT_BANNER;
		client_wait(client, client->environment->timeouts->banner_ms);
	} else {
		ehlo_begin(client);
	}
}

static void
handshake_begin(struct smtp_client *client)
{
	struct fault fault;

	client->state = CLIENT_HANDSHAKE;
	client->trouble = TROUBLE_TLS;
	client_wait(client, client->environment->timeouts->hello_ms);
	if (!tls_connect(&client->stream, &client->plan.request, handshake_done, &fault))
		client_fail(client, TROUBLE_TLS, "4.7.5 %s", fault_text(&fault));
}

/* Octets behind the 220 would be taken for something said under TLS (CVE-2011-0411). */
static void
starttls_replied(struct smtp_client *client)
{
	if (client->parser.code == 220 && client->unread_octets > 0) {
		client_fail(client, TROUBLE_TLS, "4.7.5 octets in clear behind the reply to "
						 "STARTTLS");
	} else if (client->parser.code == 220) {
		handshake_begin(client);
	} else if (client->plan.tls != ROUTE_TLS_OPPORTUNISTIC || client->parser.code == 421) {
		char words[WHY_MAX];
		struct span reply = reply_words(client, words);

		client_fail(client, TROUBLE_TLS, "4.7.4 STARTTLS was refused: " SPAN_FMT,
			    SPAN_ARG(reply));
	} else {
		login_or_go(client);
	}
}

/* ---- Login ---- */

/*
 * The strongest that both sides have. A password crosses the wire as it is only under TLS, or
 * where there is no wire.
 */
static bool
mechanism_choose(const struct smtp_client *client, enum auth_mechanism *mechanism)
{
	static const enum auth_mechanism strongest_first[] = {
		AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1, AUTH_CRAM_MD5, AUTH_PLAIN, AUTH_LOGIN,
	};
	bool may_be_plain =
	    client->tls.version != NULL || ip_is_loopback(&client->peer.ip);

	for (size_t i = 0; i < ARRAY_LEN(strongest_first); i++) {
		*mechanism = strongest_first[i];
		if ((client->plan.mechanisms & AUTH_BIT(*mechanism)) != 0 &&
		    (may_be_plain || !auth_mechanism_is_plain_text(*mechanism)) &&
		    ehlo_has_mechanism(&client->ehlo,
				       span_of(auth_mechanism_name(*mechanism))))
			return true;
	}
	return false;
}

/* A line of base64, behind some words; then the secret it may hold is wiped. */
static void
response_write(struct smtp_client *client, const char *words, struct span response)
{
	struct buffer *out = client->environment->scratch;

	buffer_clear(out);
	buffer_append_text(out, words);
	(void)base64_encode(out, response);
	buffer_append_text(out, "\r\n");
	(void)stream_write(&client->stream, buffer_span(out));
	memory_wipe(out->ptr, out->len);
	client_wait(client, client->environment->timeouts->hello_ms);
}

static void
login_begin(struct smtp_client *client)
{
	enum auth_mechanism mechanism;
	struct span initial;
	struct fault fault;
	char words[64];
	bool has_initial;

	client->trouble = TROUBLE_LOGIN;
	if (!mechanism_choose(client, &mechanism)) {
		client_fail(client, TROUBLE_LOGIN,
			    "4.7.4 no login that the route allows%s is offered (%.*s)",
			    client->tls.version == NULL ? " without TLS" : "",
			    (int)client->ehlo.mechanisms_len, client->ehlo.mechanisms);
		return;
	}
	client->state = CLIENT_AUTH;
	client->dialog = login_dialog_new(client->plan.sasl, mechanism,
						&client->plan.login);
	if (!login_dialog_begin(client->dialog, &has_initial, &initial, &fault)) {
		client_fail(client, TROUBLE_LOGIN, "4.3.5 %s", fault_text(&fault));
		return;
	}
	(void)snprintf(words, sizeof(words), "AUTH %s%s", auth_mechanism_name(mechanism),
		       !has_initial ? "" : initial.len == 0 ? " =" : " ");
	response_write(client, words, initial);
}

/* A token crosses the wire as it is, so never in clear. The response, or why there is none. */
static bool
token_response_make(struct smtp_client *client, struct buffer *response, struct fault *fault)
{
	const struct token_login login = {
		.user = client->plan.login.user,
		.host = client->plan.login.host,
		.port = client->peer.port,
	};
	struct token_status status;
	struct access_token token;
	bool ok = token_read(client->plan.tokens, client->plan.route,
			     loop_wall_ms(client->environment->loop), &token);

	if (!ok) {
		token_status_read(client->plan.tokens, client->plan.route, &status);
		return fault_say(fault, "4.7.0 there is no access token%s%s",
				 status.trouble[0] == '\0' ? " yet" : ": ", status.trouble);
	}
	client->token_number = token.number;
	ok = token_response_append(client->plan.token_mechanism, &login,
				   (struct span){ token.text, token.len }, response);
	token_wipe(&token);
	return ok || fault_say(fault, "4.3.5 the access token is too long");
}

static void
token_login_begin(struct smtp_client *client)
{
	const char *name = token_mechanism_name(client->plan.token_mechanism);
	struct fault fault = { .error = 0 };
	struct buffer response;
	char words[64];

	client->trouble = TROUBLE_LOGIN;
	if (client->tls.version == NULL && !ip_is_loopback(&client->peer.ip)) {
		client_fail(client, TROUBLE_LOGIN, "4.7.4 no access token without TLS");
		return;
	}
	if (!ehlo_has_mechanism(&client->ehlo, span_of(name))) {
		client_fail(client, TROUBLE_LOGIN, "4.7.4 %s is not offered (%.*s)", name,
			    (int)client->ehlo.mechanisms_len, client->ehlo.mechanisms);
		return;
	}
	buffer_init(&response, TOKEN_RESPONSE_MAX);
	(void)buffer_reserve(&response, TOKEN_RESPONSE_MAX - 1); /* one place, to be wiped */
	client->state = CLIENT_AUTH;
	(void)snprintf(words, sizeof(words), "AUTH %s ", name);
	if (token_response_make(client, &response, &fault))
		response_write(client, words, buffer_span(&response));
	else
		client_fail(client, TROUBLE_LOGIN, "%s", fault_text(&fault));
	memory_wipe(response.ptr, response.room);
	buffer_reset(&response);
}

/* What was said to a token. After a 334, which explains, the refusal is still to come. */
static void
token_login_replied(struct smtp_client *client)
{
	char words[WHY_MAX];
	struct span reply = reply_words(client, words);

	if (client->parser.code == 235) {
		client->token_number = 0;
		client_greeted(client);
	} else if (client->parser.code == 334 && client->state == CLIENT_AUTH) {
		client->state = CLIENT_AUTH_ENDS;
		(void)stream_write(&client->stream,
				   span_of(token_last_word(client->plan.token_mechanism)));
		(void)stream_write(&client->stream, span_of("\r\n"));
		client_wait(client, client->environment->timeouts->hello_ms);
	} else {
		if (reply_code_is_permanent(client->parser.code))
			token_reject(client->plan.tokens, client->plan.route,
				     client->token_number);
		client_fail(client, TROUBLE_LOGIN, "4.7.8 login refused: " SPAN_FMT,
			    SPAN_ARG(reply));
	}
}

static void
login_or_go(struct smtp_client *client)
{
	if (client->plan.tokens != NULL)
		token_login_begin(client);
	else if (client->plan.mechanisms != 0)
		login_begin(client);
	else
		client_greeted(client);
}

/* What is no answer to give to a challenge ends the exchange in order (RFC 4954 s.4). */
static void
challenge_replied(struct smtp_client *client)
{
	static const struct span none = { NULL, 0 };
	struct span text = reply_parser_text(&client->parser);
	char challenge[BASE64_DECODED_SIZE(REPLY_TEXT_MAX)];
	struct span response;
	struct fault fault;
	size_t len;

	if (base64_decode(text, challenge, &len) == PARSE_OK &&
	    login_dialog_answer(client->dialog, (struct span){ challenge, len }, &response,
			       &fault)) {
		response_write(client, "", response);
		return;
	}
	client->state = CLIENT_AUTH_ENDS;
	response_write(client, "*", none);
}

static void
login_replied(struct smtp_client *client)
{
	if (client->plan.tokens != NULL) {
		token_login_replied(client);
		return;
	}
	char words[WHY_MAX];
	struct span reply = reply_words(client, words);
	bool is_proved = login_dialog_is_over(client->dialog);

	if (client->state == CLIENT_AUTH_ENDS) {
		client_fail(client, TROUBLE_LOGIN,
			    "4.7.8 login: the next hop's challenge makes no sense");
		return;
	}
	if (client->parser.code == 334) {
		challenge_replied(client);
		return;
	}
	login_dialog_free(&client->dialog);
	if (client->parser.code == 235 && is_proved)
		client_greeted(client);
	else if (reply_code_is_positive(client->parser.code))
		client_fail(client, TROUBLE_LOGIN,
			    "4.7.8 login: the next hop did not prove that it knows us: " SPAN_FMT,
			    SPAN_ARG(reply));
	else
		client_fail(client, TROUBLE_LOGIN, "4.7.8 login refused: " SPAN_FMT,
			    SPAN_ARG(reply));
}

/* ---- Which of them comes next ---- */

static void
tls_or_login(struct smtp_client *client)
{
	bool is_clear = client->tls.version == NULL && client->plan.tls != ROUTE_TLS_NONE;

	if (is_clear && (client->ehlo.offers & EHLO_STARTTLS) != 0) {
		client->state = CLIENT_STARTTLS;
		client->trouble = TROUBLE_TLS;
		(void)stream_write(&client->stream, span_of("STARTTLS\r\n"));
		client_wait(client, client->environment->timeouts->hello_ms);
	} else if (is_clear && client->plan.tls != ROUTE_TLS_OPPORTUNISTIC) {
		client_fail(client, TROUBLE_TLS, "4.7.4 STARTTLS is not offered");
	} else {
		login_or_go(client);
	}
}

static void
ehlo_replied(struct smtp_client *client)
{
	client->parser.ehlo = NULL;
	client->trouble = TROUBLE_CONNECT; /* a TLS 1.3 server may fail the handshake till now */
	if (reply_code_is_positive(client->parser.code)) {
		tls_or_login(client);
	} else if (reply_code_is_permanent(client->parser.code)) {
		client->ehlo = (struct ehlo){ .offers = 0 };
		client->state = CLIENT_HELO;
		hello_write(client, "HELO ");
	} else {
		client_end_reply(client);
	}
}

static void
helo_replied(struct smtp_client *client)
{
	if (reply_code_is_positive(client->parser.code))
		tls_or_login(client);
	else
		client_end_reply(client);
}

/* ---- Replies to an envelope ---- */

static enum recipient_result
result_of_code(unsigned code)
{
	if (reply_code_is_positive(code))
		return RESULT_DELIVERED;
	return reply_code_is_permanent(code) ? RESULT_FAILED : RESULT_DEFERRED;
}

/* What the present reply means for all who have no result yet. */
static void
reply_settle(struct smtp_client *client)
{
	char words[WHY_MAX];

	if (is_throttling(client))
		client->now.handover->is_throttled = true;
	handover_settle(client->now.handover, result_of_code(client->parser.code),
			   reply_words(client, words));
}

/*
 * Is this "too many recipients in one transaction" (RFC 5321 s.4.5.3.1.10), which is no
 * word about the recipient? Those who follow go in a transaction of their own.
 */
static bool
is_too_many(const struct smtp_client *client)
{
	const struct reply_parser *reply = &client->parser;

	if (reply->code != 452 && reply->code != 552)
		return false;
	if (reply->enhanced.class != 0 &&
	    !(reply->enhanced.subject == 5 && reply->enhanced.detail == 3))
		return false;
	return handover_accepted_count(client->now.handover) > 0;
}

static void
recipient_replied(struct smtp_client *client, size_t at)
{
	struct handover *handover = client->now.handover;
	unsigned code = client->parser.code;
	char words[WHY_MAX];

	if (!client->now.is_sender_accepted)
		return; /* everyone has MAIL's reply already */
	if (is_throttling(client))
		handover->is_throttled = true;
	if (reply_code_is_positive(code))
		handover->recipients[at].is_accepted = true;
	else if (is_too_many(client))
		handover->recipients[at].result = RESULT_UNTRIED;
	else
		handover_settle_one(handover, at, result_of_code(code),
				       reply_words(client, words));
}

static void
sender_replied(struct smtp_client *client)
{
	if (reply_code_is_positive(client->parser.code))
		client->now.is_sender_accepted = true;
	else
		reply_settle(client);
}

/* 354 though it took nobody: RFC 2920 s.3.1 has us send a message of no octets. */
static void
nothing_send(struct smtp_client *client)
{
	(void)stream_write(&client->stream, span_of(".\r\n"));
	client->after_dot_octets = 0;
	client->state = CLIENT_DOT;
	client_wait(client, client->environment->timeouts->dot_ms);
}

static void
data_replied(struct smtp_client *client)
{
	if (client->parser.code == 354) {
		if (!client->now.is_sender_accepted)
			client_end_at(client, "4.5.0 protocol error: 354 without a sender");
		else if (handover_accepted_count(client->now.handover) == 0)
			nothing_send(client);
		else
			client->state = CLIENT_BODY_DUE;
		return;
	}
	if (reply_code_is_positive(client->parser.code)) {
		client_end_at(client, "4.5.0 protocol error: a 2xx reply");
		return;
	}
	reply_settle(client);
	client->needs_reset = client->now.is_sender_accepted;
	handover_finish(client);
}

/* One command at a time: is there any point in the next? */
static void
envelope_continue(struct smtp_client *client)
{
	struct envelope_progress *now = &client->now;
	const struct handover *handover = now->handover;

	if (!now->is_sender_accepted) {
		handover_finish(client);
	} else if (now->answered == handover->recipient_count + 1 &&
		   handover_accepted_count(handover) == 0) {
		client->needs_reset = true;
		handover_finish(client);
	} else {
		commands_write(client, now);
	}
}

/* With BDAT nothing comes between the last recipient's reply and the message. */
static void
recipients_replied(struct smtp_client *client)
{
	if (handover_accepted_count(client->now.handover) > 0) {
		client->state = CLIENT_BODY_DUE;
		return;
	}
	client->needs_reset = client->now.is_sender_accepted;
	handover_finish(client);
}

static void
envelope_wait(struct smtp_client *client)
{
	const struct smtp_client_timeouts *timeouts = client->environment->timeouts;
	size_t recipients = client->now.handover->recipient_count;

	if (client->now.answered == 0)
		client_wait(client, timeouts->mail_ms);
	else if (client->now.answered <= recipients)
		client_wait(client, timeouts->rcpt_ms);
	else
		client_wait(client, timeouts->data_ms);
}

static void
reset_replied(struct smtp_client *client)
{
	if (!reply_code_is_positive(client->parser.code)) {
		client_end_reply(client);
		return;
	}
	client->now.is_reset_due = false;
	if (client->now.written == 0)
		commands_write(client, &client->now);
}

static void
envelope_replied(struct smtp_client *client)
{
	struct envelope_progress *now = &client->now;

	if (client->parser.code == 421) {
		client_end_reply(client);
		return;
	}
	if (now->is_reset_due) {
		reset_replied(client);
		return;
	}

	size_t command = now->answered;
	size_t recipients = now->handover->recipient_count;

	if (command <= recipients && client->parser.code < 400 && client->parser.code >= 300) {
		client_end_at(client, "4.5.0 protocol error: a 3xx reply");
		return;
	}
	now->answered++;
	if (command > recipients) {
		data_replied(client);
		return;
	}
	if (command == 0)
		sender_replied(client);
	else
		recipient_replied(client, command - 1);
	envelope_wait(client);
	if (now->is_chunked && now->answered == recipients + 1)
		recipients_replied(client);
	else if (!(client->ehlo.offers & EHLO_PIPELINING))
		envelope_continue(client);
}

/* ---- The message ---- */

static void
body_write(struct smtp_client *client, struct span bytes)
{
	struct span run;

	if (client->now.is_chunked) {
		(void)stream_write(&client->stream, bytes);
		return;
	}
	while (dot_stuff_take(&client->stuff, &bytes, &run))
		(void)stream_write(&client->stream, run);
}

static void
block_wait(struct smtp_client *client)
{
	client->unsent_before = stream_unsent(&client->stream);
	client_wait(client, client->environment->timeouts->block_ms);
}

/* A reply that has begun already cannot be the one to what we are about to say. */
static void
body_finish(struct smtp_client *client)
{
	if (client->is_reply_partial) {
		client_end_at(client, "4.5.0 protocol error: a reply out of turn");
		return;
	}
	body_source_stop(&client->body);
	if (!client->now.is_chunked)
		(void)stream_write(&client->stream, dot_stuff_end(&client->stuff));
	client->after_dot_octets = 0;
	client->state = CLIENT_DOT;
	block_wait(client);
	if (smtp_client_has_room(client))
		client->environment->events->has_room(client);
}

static void
body_continue(struct smtp_client *client)
{
	struct span run;

	while (stream_unsent(&client->stream) < UNSENT_MAX) {
		switch (body_source_next(&client->body, &run)) {
		case BODY_RUN:
			body_write(client, run);
			break;
		case BODY_LATER:
			return;
		case BODY_END:
			body_finish(client);
			return;
		}
	}
}

/* Without its last octets the message must not be ended: break the connection. */
static void
body_arrived(struct body_source *body, struct span run, struct fault *fault)
{
	struct smtp_client *client = LIST_OWNER(body, struct smtp_client, body);

	if (run.ptr == NULL) {
		char why[WHY_MAX];
		int len = snprintf(why, sizeof(why), "4.3.0 could not read the message: %s",
				   fault_text(fault));
		client_end(client, (struct span){ why, (size_t)len });
		return;
	}
	body_write(client, run);
	body_continue(client);
}

/* RFC 3030 s.2: the message is all that follows, dots included. */
static void
chunk_announce(struct smtp_client *client)
{
	struct buffer *out = client->environment->scratch;

	buffer_clear(out);
	buffer_printf(out, "BDAT %llu LAST\r\n",
		      (unsigned long long)handover_octets(client->now.handover));
	(void)stream_write(&client->stream, buffer_span(out));
}

static void
body_start(struct smtp_client *client)
{
	const struct handover *handover = client->now.handover;

	if (handover->draft != NULL)
		body_source_start_draft(&client->body, handover->draft);
	else
		body_source_start(&client->body, handover->message, body_arrived);
	body_source_rewrite(&client->body, &handover->rewriting);
}

static void
body_begin(struct smtp_client *client)
{
	if (client->is_reply_partial) {
		client_end_at(client, "4.5.0 protocol error: a reply out of turn");
		return;
	}
	client->state = CLIENT_BODY;
	if (client->now.is_chunked)
		chunk_announce(client);
	dot_stuff_init(&client->stuff);
	body_start(client);
	block_wait(client);
	body_continue(client);
}

/*
 * A reply while the message is on its way. A refusal counts, though the connection cannot be
 * used any more; a success cannot be meant for a message whose end has not left.
 */
static void
message_interrupted(struct smtp_client *client)
{
	if (client->parser.code < 400) {
		client_end_at(client, "4.5.0 protocol error: a reply out of turn");
		return;
	}
	if (client->parser.code != 421)
		reply_settle(client);
	client_end_reply(client);
}

static void
message_replied(struct smtp_client *client)
{
	unsigned code = client->parser.code;

	if (stream_unsent(&client->stream) > client->after_dot_octets) {
		message_interrupted(client);
	} else if (code == 421) {
		client_end_reply(client);
	} else if (code >= 300 && code < 400) {
		client_end_at(client, "4.5.0 protocol error: a 3xx reply");
	} else {
		client->service_ms =
		    loop_now_ms(client->environment->loop) - client->turn_at_ms;
		reply_settle(client);
		handover_finish(client);
	}
}

/* ---- Events of the stream ---- */

static void
client_replied(struct smtp_client *client)
{
	switch (client->state) {
	case CLIENT_BANNER:
		banner_replied(client);
		break;
	case CLIENT_EHLO:
		ehlo_replied(client);
		break;
	case CLIENT_HELO:
		helo_replied(client);
		break;
	case CLIENT_STARTTLS:
		starttls_replied(client);
		break;
	case CLIENT_AUTH:
	case CLIENT_AUTH_ENDS:
		login_replied(client);
		break;
	case CLIENT_ENVELOPE:
		envelope_replied(client);
		break;
	case CLIENT_BODY_DUE:
	case CLIENT_BODY:
		message_interrupted(client);
		break;
	case CLIENT_DOT:
		message_replied(client);
		break;
	case CLIENT_CLOSED:
	case CLIENT_CONNECTING:
	case CLIENT_HANDSHAKE:
	case CLIENT_IDLE: /* 421, or nothing that we asked for */
	case CLIENT_QUIT:
		client_end_reply(client);
		break;
	}
}

static size_t
client_received(struct stream *stream, struct span bytes)
{
	struct smtp_client *client = client_of(stream);
	unsigned connection = client->connection;
	struct span in = bytes;

	/* its owner may connect it anew meanwhile: the rest is none of that connection's */
	while (in.len > 0 && client->state != CLIENT_CLOSED &&
	       client->connection == connection) {
		if (client->state == CLIENT_HANDSHAKE)
			return bytes.len - in.len; /* TLS's, or a reason to break the stream */
		switch (reply_parser_feed(&client->parser, &in)) {
		case REPLY_MORE:
			client->is_reply_partial = true;
			break;
		case REPLY_READY:
			client->is_reply_partial = false;
			client->unread_octets = in.len;
			client_replied(client);
			break;
		case REPLY_MALFORMED:
			client_end_at(client, "4.5.0 protocol error: not an SMTP reply");
			break;
		}
	}
	if (client->state == CLIENT_BODY_DUE)
		body_begin(client);
	return bytes.len;
}

static void
client_ended(struct stream *stream, enum stream_end how)
{
	struct smtp_client *client = client_of(stream);
	char what[128];

	if (how == STREAM_CLOSED_BY_PEER)
		(void)snprintf(what, sizeof(what), "4.4.2 the connection was closed");
	else
		(void)snprintf(what, sizeof(what), "4.4.2 %s", strerror(stream->error));
	client_end_at(client, what);
}

static void
client_drained(struct stream *stream)
{
	struct smtp_client *client = client_of(stream);

	if (client->state == CLIENT_BODY) {
		block_wait(client);
		if (client->body.read == NULL)
			body_continue(client);
	} else if (client->state == CLIENT_DOT) {
		client_wait(client, client->environment->timeouts->dot_ms);
	}
}

static void
client_connected(struct stream *stream, int error)
{
	struct smtp_client *client = client_of(stream);

	if (error != 0) {
		char why[128];
		int len = snprintf(why, sizeof(why), "4.4.1 %s", strerror(error));

		client_end(client, (struct span){ why, (size_t)len });
		return;
	}
	if (client->plan.is_tls_implicit && client->plan.tls != ROUTE_TLS_NONE) {
		handshake_begin(client);
		return;
	}
	client->state = CLIENT_BANNER;
	client_wait(client, client->environment->timeouts->banner_ms);
}

static const struct stream_events client_stream_events = {
	.received = client_received,
	.ended = client_ended,
	.drained = client_drained,
	.connected = client_connected,
};

/* ---- Time ---- */

/* The message moves, though it may be slow: go on. */
static bool
is_block_moving(const struct smtp_client *client)
{
	if (client->state != CLIENT_BODY && client->state != CLIENT_DOT)
		return false;

	size_t unsent = stream_unsent(&client->stream);

	return unsent > 0 && unsent != client->unsent_before;
}

static void
client_timer_expired(struct loop_timer *timer)
{
	struct smtp_client *client = LIST_OWNER(timer, struct smtp_client, timer);

	if (client->state == CLIENT_IDLE)
		smtp_client_quit(client);
	else if (is_block_moving(client))
		block_wait(client);
	else
		client_end_at(client, "4.4.2 timed out");
}

/* ---- For the owner ---- */

void
smtp_client_init(struct smtp_client *client,
		 const struct smtp_client_environment *environment)
{
	client->environment = environment;
	client->timer.expired = client_timer_expired;
}

bool
smtp_client_connect(struct smtp_client *client, const struct ip_endpoint *to,
		    const struct smtp_client_plan *plan, int64_t within_ms,
		    struct fault *fault)
{
	assert(client->state == CLIENT_CLOSED);
	if (!stream_connect(&client->stream, client->environment->loop, to, NULL,
			    &client_stream_events, INPUT_MAX, OUTPUT_MAX, fault))
		return false;
	reply_parser_init(&client->parser);
	client->peer = *to;
	client->connection++;
	client->plan = *plan;
	client->trouble = TROUBLE_CONNECT;
	client->tls = (struct smtp_client_tls){ .version = NULL };
	client->is_answered = false;
	client->state = CLIENT_CONNECTING;
	client->transactions = 0;
	client->service_ms = -1;
	client->needs_reset = false;
	client->is_reply_partial = false;
	client_wait(client, within_ms);
	return true;
}

bool
smtp_client_is_worn(const struct smtp_client *client)
{
	uint64_t max = SMTP_CLIENT_MESSAGES_MAX;

	if (client->ehlo.mail_max > 0 && client->ehlo.mail_max < max)
		max = client->ehlo.mail_max;
	return client->transactions >= max;
}

bool
smtp_client_has_room(const struct smtp_client *client)
{
	if (smtp_client_is_worn(client))
		return false;
	if (client->state == CLIENT_IDLE)
		return true;
	return client->state == CLIENT_DOT && client->next.handover == NULL &&
	       (client->ehlo.offers & EHLO_PIPELINING) != 0;
}

size_t
smtp_client_recipients_max(const struct smtp_client *client)
{
	uint64_t max = client->ehlo.rcpt_max;

	return max > 0 && max < SMTP_CLIENT_RECIPIENTS_MAX ? (size_t)max
							    : SMTP_CLIENT_RECIPIENTS_MAX;
}

bool
smtp_client_must_refuse(const struct smtp_client *client, const struct envelope *envelope,
			struct span *reply)
{
	const struct ehlo *ehlo = &client->ehlo;

	if (envelope->needs_tls &&
	    !(client->tls.is_verified && (ehlo->offers & EHLO_REQUIRETLS)))
		*reply = span_of("5.7.30 REQUIRETLS is not possible to the next hop");
	else if (envelope->is_smtputf8 && !(ehlo->offers & EHLO_SMTPUTF8))
		*reply = span_of("5.6.7 the next hop does not take SMTPUTF8");
	else if (envelope->body == BODY_8BITMIME && !(ehlo->offers & EHLO_8BITMIME))
		*reply = span_of("5.6.3 the next hop does not take 8BITMIME");
	else if (ehlo->size_max > 0 && envelope->size_octets > ehlo->size_max)
		*reply = span_of("5.3.4 the message is larger than the next hop takes");
	else
		return false;
	return true;
}

/*
 * BDAT takes as many round trips as DATA; where there is much to look through for dots, or
 * octets that a line-minded server may stumble over, it is the better way.
 */
static bool
is_chunk_worth(const struct smtp_client *client, const struct handover *handover)
{
	/* BDAT says the size first, and a rewritten header changes it */
	if ((client->ehlo.offers & EHLO_CHUNKING) == 0 || handover->rewriting.to.len > 0)
		return false;
	return handover->envelope->body == BODY_8BITMIME ||
	       handover_octets(handover) >= SMTP_CLIENT_CHUNK_MIN;
}

void
smtp_client_give(struct smtp_client *client, struct handover *handover)
{
	assert(smtp_client_has_room(client));

	struct envelope_progress *progress =
	    client->state == CLIENT_IDLE ? &client->now : &client->next;

	*progress = (struct envelope_progress){
		.handover = handover,
		.is_chunked = is_chunk_worth(client, handover),
		.is_reset_due = client->needs_reset,
	};
	client->needs_reset = false;
	client->transactions++;
	handover->is_notify_passed = (client->ehlo.offers & EHLO_DSN) != 0;
	commands_write(client, progress);
	if (client->state == CLIENT_IDLE)
		envelope_begin(client);
}

void
smtp_client_quit(struct smtp_client *client)
{
	assert(client->state == CLIENT_IDLE);
	client->state = CLIENT_QUIT;
	(void)stream_write(&client->stream, span_of("QUIT\r\n"));
	client_wait(client, client->environment->timeouts->quit_ms);
}

void
smtp_client_break(struct smtp_client *client)
{
	assert(client->now.handover != NULL);
	client_end_at(client, "4.4.2 given up");
}

void
smtp_client_close(struct smtp_client *client)
{
	if (client->state == CLIENT_CLOSED)
		return;
	loop_timer_cancel(client->environment->loop, &client->timer);
	body_source_stop(&client->body);
	login_dialog_free(&client->dialog);
	stream_close(&client->stream);
	client->state = CLIENT_CLOSED;
	client->now.handover = NULL;
	client->next.handover = NULL;
}
