/* SPDX-License-Identifier: ISC */
/* The AUTH command's lines; see exchange.h. */
#include "auth/exchange.h"

#include "base/base64.h"
#include "base/memory.h"

void
auth_exchange_init(struct auth_exchange *exchange)
{
	*exchange = (struct auth_exchange){ .mechanism = AUTH_PLAIN };
	buffer_init(&exchange->data, BASE64_DECODED_SIZE(AUTH_LINE_MAX));
}

void
auth_exchange_sent(struct auth_exchange *exchange)
{
	if (exchange->data.len > 0)
		memory_wipe(exchange->data.ptr, exchange->data.len);
	buffer_clear(&exchange->data);
	exchange->has_data = false;
}

void
auth_exchange_reset(struct auth_exchange *exchange)
{
	auth_exchange_sent(exchange);
	buffer_reset(&exchange->data);
	exchange->steps = 0;
}

/* The buffer grows before secrets are in it and never again, so no copy is left behind. */
static enum auth_step
answer_take(struct auth_exchange *exchange, struct span base64)
{
	size_t len;

	auth_exchange_sent(exchange);
	char *room = buffer_reserve(&exchange->data, BASE64_DECODED_SIZE(base64.len));

	if (base64_decode(base64, room, &len) != PARSE_OK) {
		memory_wipe(room, BASE64_DECODED_SIZE(base64.len));
		return AUTH_STEP_BASE64;
	}
	buffer_claim(&exchange->data, len);
	exchange->has_data = true;
	return len > AUTH_DATA_MAX ? AUTH_STEP_TOO_LONG : AUTH_STEP_ASK;
}

enum auth_step
auth_exchange_begin(struct auth_exchange *exchange, unsigned offered, unsigned needs_tls,
		    const struct auth_argument *argument)
{
	auth_exchange_reset(exchange);
	if (auth_mechanism_parse(argument->mechanism, &exchange->mechanism) != PARSE_OK)
		return AUTH_STEP_MECHANISM;
	unsigned bit = AUTH_BIT(exchange->mechanism);

	if ((offered & bit) == 0)
		return (needs_tls & bit) != 0 ? AUTH_STEP_NEEDS_TLS : AUTH_STEP_MECHANISM;
	if (!argument->has_initial)
		return AUTH_STEP_ASK;
	if (auth_mechanism_is_server_first(exchange->mechanism))
		return AUTH_STEP_NO_INITIAL;
	if (argument->initial.len > AUTH_LINE_MAX)
		return AUTH_STEP_TOO_LONG;
	return answer_take(exchange, argument->initial);
}

bool
auth_exchange_challenge(struct auth_exchange *exchange, struct span challenge,
			struct buffer *out)
{
	auth_exchange_sent(exchange);
	if (BASE64_ENCODED_LEN(challenge.len) > AUTH_LINE_MAX - strlen("334 \r\n"))
		return false;
	return buffer_append_text(out, "334 ") && base64_encode(out, challenge) &&
	       buffer_append_text(out, "\r\n");
}

enum auth_step
auth_exchange_line(struct auth_exchange *exchange, struct span line)
{
	if (line.len > AUTH_LINE_MAX - strlen("\r\n"))
		return AUTH_STEP_TOO_LONG;
	if (span_equal(line, span_of("*")))
		return AUTH_STEP_CANCELLED;
	if (++exchange->steps > AUTH_STEPS_MAX)
		return AUTH_STEP_TOO_MANY;
	return answer_take(exchange, line);
}
