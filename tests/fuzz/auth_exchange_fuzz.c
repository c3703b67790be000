/* SPDX-License-Identifier: ISC */
/*
 * A whole AUTH exchange: the input is the client's lines, the first of them the command's
 * argument; the helper challenges with what it was told. Then the same bytes as datagrams.
 */
#include "auth/exchange.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span
line_take(struct span *input)
{
	struct span line = span_first(*input, span_find(*input, '\n'));

	*input = span_skip(*input, line.len);
	(void)byte_take(input, '\n');
	return line;
}

static void
exchange_run(struct span input)
{
	struct auth_exchange x;
	struct auth_argument argument;
	struct buffer out;
	unsigned asked = 0;

	if (auth_argument_parse(line_take(&input), &argument) != PARSE_OK)
		return;
	auth_exchange_init(&x);
	buffer_init(&out, AUTH_LINE_MAX);
	enum auth_step step =
	    auth_exchange_begin(&x, (1U << AUTH_MECHANISM_COUNT) - 1, 0, &argument);

	while (step == AUTH_STEP_ASK && input.len > 0) {
		char challenge[128];
		struct span told = span_first(buffer_span(&x.data), sizeof(challenge));

		assert(x.data.len <= AUTH_DATA_MAX && ++asked <= AUTH_STEPS_MAX + 1);
		if (told.len > 0)
			memcpy(challenge, told.ptr, told.len);
		buffer_clear(&out);
		assert(auth_exchange_challenge(&x, (struct span){ challenge, told.len }, &out));
		assert(out.len >= 6 && memcmp(out.ptr, "334 ", 4) == 0);
		assert(out.ptr[out.len - 2] == '\r' && out.ptr[out.len - 1] == '\n');
		assert(!x.has_data && x.data.len == 0);
		step = auth_exchange_line(&x, line_take(&input));
		assert(step != AUTH_STEP_MECHANISM && step != AUTH_STEP_NEEDS_TLS);
	}
	auth_exchange_reset(&x);
	buffer_reset(&out);
}

static void
datagram_run(struct span datagram)
{
	struct auth_request request;
	struct auth_answer answer;
	struct buffer again;

	buffer_init(&again, AUTH_MESSAGE_MAX);
	if (auth_request_read(datagram, &request) == PARSE_OK) {
		assert(request.data.len <= AUTH_DATA_MAX);
		assert(request.facts.external.len <= AUTH_LOGIN_MAX);
		auth_request_write(&request, &again);
		assert(again.len == datagram.len);
	}
	buffer_clear(&again);
	if (auth_answer_read(datagram, &answer) == PARSE_OK) {
		auth_answer_write(&answer, &again);
		assert(span_equal(buffer_span(&again), datagram));
	}
	buffer_reset(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = { (const char *)data, size };

	exchange_run(input);
	if (size <= AUTH_MESSAGE_MAX)
		datagram_run(input);
	return 0;
}
