/* SPDX-License-Identifier: ISC */
/*
 * smtp/submission.h: nothing is read outside the message, addresses are addresses, and what
 * is written holds no envelope field and no line end but CRLF.
 */
#include "smtp/submission.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
envelope_check(const struct submission *submission)
{
	struct submission_envelope envelope;
	struct fault fault = { .error = 0 };
	struct arena arena = { .blocks = NULL };

	if (submission_envelope_read(submission, SUBMISSION_SENDER | SUBMISSION_RECIPIENTS, &arena,
				     &envelope, &fault)) {
		struct address again;

		must(envelope.recipient_count > 0);
		for (size_t i = 0; i < envelope.recipient_count; i++)
			must(mailbox_parse(envelope.recipients[i].text, &again) == PARSE_OK);
		must(address_is_null(&envelope.sender) ||
		     mailbox_parse(envelope.sender.text, &again) == PARSE_OK);
	} else {
		must(fault.text[0] != '\0');
	}
	arena_reset(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct submission_additions additions = { .date_wall_ms = 1 };
	struct submission s = submission_split((struct span){ (const char *)data, size });
	struct buffer out;

	must(s.header.len + s.body.len <= size);
	envelope_check(&s);
	buffer_init(&out, 2 * size + 200);
	must(submission_write(&s, &additions, &out));
	for (size_t i = 0; i < out.len; i++)
		must(out.ptr[i] != '\n' || (i > 0 && out.ptr[i - 1] == '\r'));

	struct submission again = submission_split(buffer_span(&out));

	must(submission_field_count(&again, "Bcc") == 0);
	must(submission_field_count(&again, "X-Receiver") == 0);
	buffer_reset(&out);
	return 0;
}
