/* SPDX-License-Identifier: ISC */
/*
 * smtp/data_stream.h and smtp/dot_stuff.h against the slow reference. The first octet of the
 * input chooses the mode and how the rest is cut into pieces.
 */
#include "smtp/data_stream.h"
#include "smtp/dot_stuff.h"

#include "smtp/reference.h"

#include <stdlib.h>

#define INPUT_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Sizes of pieces from 1 to 255, or all at once for 0; they vary along the way. */
static struct span
piece_take(struct span *rest, unsigned *seed)
{
	struct span piece = *rest;

	if (*seed != 0) {
		*seed = (*seed * 5 + 3) % 256 | 1;
		piece = span_first(*rest, *seed);
	}
	*rest = span_skip(*rest, piece.len);
	return piece;
}

static void
data_check(struct span wire, enum data_mode mode, unsigned seed)
{
	size_t end = reference_end(wire), longest;
	struct span body = span_first(wire, end), rest = wire;
	struct data_stream stream;
	struct buffer out, expected;
	enum data_progress progress = DATA_MORE;

	buffer_init(&out, 2 * INPUT_MAX);
	buffer_init(&expected, 2 * INPUT_MAX);
	data_stream_init(&stream, mode);
	while (rest.len > 0 && progress == DATA_MORE) {
		struct span in = piece_take(&rest, &seed), run;
		char *copy = malloc(in.len); /* so that reading past its end is seen */

		must(copy != NULL);
		memcpy(copy, in.ptr, in.len);
		in.ptr = copy;
		while ((progress = data_stream_take(&stream, &in, &run)) == DATA_RUN)
			must(run.len > 0 && buffer_append(&out, run));
		rest = (struct span){ .ptr = rest.ptr - in.len, .len = rest.len + in.len };
		free(copy);
		if (progress == DATA_MORE)
			must(in.len == 0);
	}
	must((progress == DATA_ENDED) == (end < wire.len));
	if (progress == DATA_ENDED) {
		bool has_bare = reference_has_bare(body);

		must(wire.len - rest.len == end + 3);
		must(stream.has_bare == has_bare);
		must(stream.facts.has_nul == reference_has_nul(body));
		must(stream.facts.has_8bit == reference_has_8bit(body));
		reference_unstuff(body, &expected, &longest);
		if (!has_bare || mode == DATA_NORMALISE) {
			must(span_equal(buffer_span(&out), buffer_span(&expected)));
			must(stream.octets == expected.len && stream.facts.longest == longest);
		}
	}
	must(!reference_has_bare(buffer_span(&out)) || mode == DATA_REFUSE ||
	     progress != DATA_ENDED);
	buffer_reset(&expected);
	buffer_reset(&out);
}

static void
stuff_check(struct span body, unsigned seed)
{
	struct span rest = body, run;
	struct dot_stuff stuff;
	struct buffer out, expected;

	buffer_init(&out, 4 * INPUT_MAX);
	buffer_init(&expected, 4 * INPUT_MAX);
	dot_stuff_init(&stuff);
	while (rest.len > 0) {
		struct span in = piece_take(&rest, &seed);

		while (dot_stuff_take(&stuff, &in, &run))
			must(run.len > 0 && buffer_append(&out, run));
	}
	must(buffer_append(&out, dot_stuff_end(&stuff)));
	reference_stuff(body, &expected);
	must(span_equal(buffer_span(&out), buffer_span(&expected)));
	must(!reference_has_bare(buffer_span(&out)));
	must(reference_end(buffer_span(&out)) == out.len - 3);
	buffer_reset(&expected);
	buffer_reset(&out);
}

static void
bdat_check(struct span body, unsigned seed)
{
	struct span rest = body;
	struct bdat_stream stream;

	bdat_stream_init(&stream);
	while (rest.len > 0)
		bdat_stream_add(&stream, piece_take(&rest, &seed));
	bdat_stream_end(&stream);
	must(stream.octets == body.len && stream.has_bare == reference_has_bare(body));
	must(stream.facts.has_nul == reference_has_nul(body));
	must(stream.facts.has_8bit == reference_has_8bit(body));
	must(stream.ends_line ==
	     (body.len == 0 || (body.len >= 2 && reference_has(body, body.len - 2, "\r\n"))));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	body = (struct span){ .ptr = (const char *)data + 1, .len = size - 1 };
	data_check(body, data[0] % 2 == 0 ? DATA_REFUSE : DATA_NORMALISE, data[0] / 2);
	stuff_check(body, data[0] / 2);
	bdat_check(body, data[0] / 2);
	return 0;
}
