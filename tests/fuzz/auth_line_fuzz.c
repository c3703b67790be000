/* SPDX-License-Identifier: ISC */
/* The AUTH command's line: the first two octets choose what is offered, the rest is the argument. */
#include "auth/exchange.h"
#include "base/base64.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Base64 has one form for each value: what decodes is what encoding gives. */
static void
base64_see(struct span text)
{
	char *decoded = malloc(BASE64_DECODED_SIZE(text.len));
	struct buffer again;
	size_t len;

	assert(decoded != NULL);
	buffer_init(&again, text.len + 4);
	if (base64_decode(text, decoded, &len) == PARSE_OK) {
		assert(len < BASE64_DECODED_SIZE(text.len));
		assert(base64_encode(&again, (struct span){ decoded, len }));
		assert(span_equal(buffer_span(&again), text));
	}
	buffer_reset(&again);
	free(decoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth_exchange x;
	struct auth_argument argument;

	if (size < 2)
		return 0;
	unsigned offered = data[0] | (unsigned)(data[1] & 1) << 8;
	unsigned needs_tls = (unsigned)data[1] >> 1;
	struct span line = { (const char *)data + 2, size - 2 };

	base64_see(line);
	if (auth_argument_parse(line, &argument) != PARSE_OK)
		return 0;
	auth_exchange_init(&x);
	enum auth_step step = auth_exchange_begin(&x, offered, needs_tls, &argument);

	if (step == AUTH_STEP_ASK) {
		assert((offered & AUTH_BIT(x.mechanism)) != 0);
		assert(x.has_data == argument.has_initial);
		assert(x.data.len <= AUTH_DATA_MAX);
	}
	if (step == AUTH_STEP_NEEDS_TLS)
		assert((offered & AUTH_BIT(x.mechanism)) == 0);
	auth_exchange_reset(&x);
	return 0;
}
