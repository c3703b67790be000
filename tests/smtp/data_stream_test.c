/* SPDX-License-Identifier: ISC */
/* smtp/data_stream.h, smtp/dot_stuff.h, smtp/line_scan.h */
#include "smtp/data_stream.h"
#include "smtp/dot_stuff.h"

#include "reference.h"
#include "smtp_test.h"

#define SEQUENCE_MAX 8
#define BODY_MAX (1U << 20)

/* What one reading of the wire gave. */
struct reading {
	struct data_stream stream;
	struct buffer body;
	size_t runs;
	size_t used; /* octets of the wire up to the end */
	bool has_ended;
};

/* Read the wire in pieces: the first octets, then piece octets each time. */
static void
wire_read(struct reading *r, struct span wire, enum data_mode mode, size_t first, size_t piece)
{
	struct span rest = wire;

	data_stream_init(&r->stream, mode);
	buffer_clear(&r->body);
	r->runs = 0;
	r->has_ended = false;
	while (rest.len > 0 && !r->has_ended) {
		struct span chunk = span_first(rest, rest.len == wire.len && first > 0 ? first : piece);
		struct span in = chunk, run;
		enum data_progress progress;

		while ((progress = data_stream_take(&r->stream, &in, &run)) == DATA_RUN) {
			must(run.len > 0);
			must(buffer_append(&r->body, run));
			r->runs++;
		}
		r->has_ended = progress == DATA_ENDED;
		if (!r->has_ended)
			must(in.len == 0);
		rest = span_skip(rest, chunk.len - in.len);
	}
	r->used = wire.len - rest.len;
}

/* Hold one reading against the reference. */
static void
wire_check(struct reading *r, struct span wire, enum data_mode mode, size_t first, size_t piece,
	   struct buffer *expected)
{
	size_t end = reference_end(wire), longest;
	struct span body = span_first(wire, end);
	bool has_bare = reference_has_bare(body);

	wire_read(r, wire, mode, first, piece);
	must(end < wire.len);
	must(r->has_ended);
	must(r->used == end + 3);
	must(r->stream.has_bare == has_bare);
	must(r->stream.facts.has_nul == reference_has_nul(body));
	must(r->stream.facts.has_8bit == reference_has_8bit(body));
	if (has_bare && mode == DATA_REFUSE)
		return;
	buffer_clear(expected);
	reference_unstuff(body, expected, &longest);
	must(span_equal(buffer_span(&r->body), buffer_span(expected)));
	must(r->stream.octets == expected->len);
	must(r->stream.facts.longest == longest);
}

/* The n-th of all sequences of len octets over the alphabet that endings are made of. */
static void
sequence_make(char *out, size_t len, size_t n)
{
	static const char alphabet[] = { '\r', '\n', '.', 'a' };

	for (size_t i = 0; i < len; i++, n /= ARRAY_LEN(alphabet))
		out[i] = alphabet[n % ARRAY_LEN(alphabet)];
}

/* Every sequence, in every mode, whole, octet by octet and split anywhere. */
START_TEST(only_crlf_dot_crlf_ends_the_data)
{
	static const char tail[] = "\r\n.\r\nRSET\r\n.\r\n";
	struct reading r = { .runs = 0 };
	struct buffer expected;
	size_t len = (size_t)_i;

	buffer_init(&r.body, 1000);
	buffer_init(&expected, 1000);
	for (size_t n = 0; n < (size_t)1 << (2 * len); n++) {
		char text[SEQUENCE_MAX + sizeof(tail)];
		struct span wire = { text, len + sizeof(tail) - 1 };

		sequence_make(text, len, n);
		memcpy(text + len, tail, sizeof(tail));
		for (unsigned mode = DATA_REFUSE; mode <= DATA_NORMALISE; mode++) {
			wire_check(&r, wire, (enum data_mode)mode, 0, wire.len, &expected);
			wire_check(&r, wire, (enum data_mode)mode, 0, 1, &expected);
			wire_check(&r, wire, (enum data_mode)mode, 0, 2, &expected);
			for (size_t first = 1; first <= len + 3; first++)
				wire_check(&r, wire, (enum data_mode)mode, first, wire.len,
					   &expected);
		}
	}
	buffer_reset(&expected);
	buffer_reset(&r.body);
}
END_TEST

static const struct { const char *wire; const char *normalised; } smuggling[] = {
	{ "a\n.\n", "a\r\n.\r\n" }, { "a\n.\r\n", "a\r\n.\r\n" }, { "a\r.\r", "a\r\n.\r\n" },
	{ "a\r\n.\n", "a\r\n.\r\n" }, { "a\r\n.\r", "a\r\n.\r\n" }, { "a\r\n.\r\r\n", "a\r\n.\r\n\r\n" },
	{ "a\n.\r", "a\r\n.\r\n" }, { "a\r.\r\n", "a\r\n.\r\n" }, { "a\n\r.\n\r", "a\r\n\r\n.\r\n\r\n" },
	{ "a\r\n..\r\n", "a\r\n.\r\n" }, { "a\n..\n", "a\r\n.\r\n" },
};

START_TEST(smuggled_end_neither_ends_nor_survives)
{
	struct reading r = { .runs = 0 };
	char wire[100];
	size_t len = strlen(smuggling[_i].wire);
	static const char rest[] = "b\r\nMAIL FROM:<x@y>\r\n.\r\n";

	memcpy(wire, smuggling[_i].wire, len);
	memcpy(wire + len, rest, sizeof(rest));
	len += sizeof(rest) - 1;
	buffer_init(&r.body, 1000);
	wire_read(&r, (struct span){ wire, len }, DATA_NORMALISE, 0, len);
	must(r.has_ended);
	must(r.used == len);

	char expected[100];
	size_t head = strlen(smuggling[_i].normalised);

	memcpy(expected, smuggling[_i].normalised, head);
	memcpy(expected + head, rest, sizeof(rest));
	expected[head + sizeof(rest) - 4] = '\0';
	ck_assert_str_eq(buffer_text(&r.body), expected);

	wire_read(&r, (struct span){ wire, len }, DATA_REFUSE, 0, len);
	must(r.has_ended);
	must(r.used == len);
	buffer_reset(&r.body);
}
END_TEST

START_TEST(end_may_stand_where_the_body_would_begin)
{
	struct reading r = { .runs = 0 };

	buffer_init(&r.body, 1000);
	wire_read(&r, span_of(".\r\nQUIT\r\n"), DATA_REFUSE, 0, 100);
	must(r.has_ended);
	must(r.used == 3);
	must(r.stream.octets == 0);
	buffer_reset(&r.body);
}
END_TEST

START_TEST(body_without_dots_is_one_run)
{
	static char wire[20000];
	struct reading r = { .runs = 0 };
	size_t len = 0;

	while (len < sizeof(wire) - 80) {
		memset(wire + len, 'x', 70);
		memcpy(wire + len + 70, "\r\n", 2);
		len += 72;
	}
	memcpy(wire + len, ".\r\n", 3);
	buffer_init(&r.body, sizeof(wire));
	wire_read(&r, (struct span){ wire, len + 3 }, DATA_REFUSE, 0, len + 3);
	must(r.has_ended);
	must(r.runs == 1);
	must(r.stream.octets == len);
	must(r.stream.facts.longest == 70);
	buffer_reset(&r.body);
}
END_TEST

/* xorshift64: the same numbers on every machine. */
static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly lines of text, with all that makes trouble strewn in. */
static size_t
random_text(uint64_t *state, char *out, size_t max)
{
	static const char *const pieces[] = { "\r\n", "\r\n", "\r\n", "\r\n.", "\r\n..", ".", "\r", "\n",
		"a", "the quick brown fox jumps over the lazy dog", "\xc3\xa9",
		"0123456789012345678901234567890123456789012345678901234567890123456789" };
	size_t count = random_next(state) % 40, len = 0;
	bool is_clean = random_next(state) % 2 == 0;

	for (size_t i = 0; i < count; i++) {
		const char *piece = pieces[random_next(state) % ARRAY_LEN(pieces)];

		if (is_clean && (strcmp(piece, "\r") == 0 || strcmp(piece, "\n") == 0))
			piece = "b";
		if (len + strlen(piece) > max)
			break;
		memcpy(out + len, piece, strlen(piece));
		len += strlen(piece);
	}
	if (random_next(state) % 8 == 0 && len < max)
		out[len++] = '\0';
	return len;
}

START_TEST(random_bodies_read_alike_in_any_pieces)
{
	uint64_t state = 88172645463325252U;
	struct reading r = { .runs = 0 };
	struct buffer expected;

	buffer_init(&r.body, BODY_MAX);
	buffer_init(&expected, BODY_MAX);
	for (unsigned i = 0; i < 20000; i++) {
		char text[4100];
		size_t len = random_text(&state, text, 4000);

		memcpy(text + len, "\r\n.\r\n\xff", 7);
		struct span wire = { text, len + 7 };

		for (unsigned mode = DATA_REFUSE; mode <= DATA_NORMALISE; mode++) {
			wire_check(&r, wire, (enum data_mode)mode, 0, wire.len, &expected);
			wire_check(&r, wire, (enum data_mode)mode, 0,
				   1 + random_next(&state) % 100, &expected);
		}
	}
	buffer_reset(&expected);
	buffer_reset(&r.body);
}
END_TEST

/* Send a body, in pieces; the whole of what goes out. */
static void
body_stuff(struct span body, size_t piece, struct buffer *wire)
{
	struct dot_stuff stuff;

	dot_stuff_init(&stuff);
	buffer_clear(wire);
	while (body.len > 0) {
		struct span in = span_first(body, piece), run;

		body = span_skip(body, in.len);
		while (dot_stuff_take(&stuff, &in, &run)) {
			must(run.len > 0);
			must(buffer_append(wire, run));
		}
	}
	must(buffer_append(wire, dot_stuff_end(&stuff)));
}

static void
stuffing_check(struct span body, size_t piece, struct buffer *wire, struct buffer *expected,
	       struct reading *r)
{
	body_stuff(body, piece, wire);
	buffer_clear(expected);
	reference_stuff(body, expected);
	must(span_equal(buffer_span(wire), buffer_span(expected)));
	must(!reference_has_bare(buffer_span(wire)));
	must(reference_end(buffer_span(wire)) == wire->len - 3);
	wire_read(r, buffer_span(wire), DATA_REFUSE, 0, wire->len);
	must(r->has_ended && !r->stream.has_bare);
	must(r->used == wire->len);
}

START_TEST(what_is_sent_ends_once_and_has_no_bare_cr_or_lf)
{
	struct reading r = { .runs = 0 };
	struct buffer wire, expected;
	size_t len = (size_t)_i;

	buffer_init(&r.body, 1000);
	buffer_init(&wire, 1000);
	buffer_init(&expected, 1000);
	for (size_t n = 0; n < (size_t)1 << (2 * len); n++) {
		char text[SEQUENCE_MAX];

		sequence_make(text, len, n);
		for (size_t piece = 1; piece <= len + 1; piece++)
			stuffing_check((struct span){ text, len }, piece, &wire, &expected, &r);
	}
	buffer_reset(&expected);
	buffer_reset(&wire);
	buffer_reset(&r.body);
}
END_TEST

START_TEST(random_bodies_are_sent_alike_in_any_pieces)
{
	uint64_t state = 362436069362436069U;
	struct reading r = { .runs = 0 };
	struct buffer wire, expected;

	buffer_init(&r.body, BODY_MAX);
	buffer_init(&wire, BODY_MAX);
	buffer_init(&expected, BODY_MAX);
	for (unsigned i = 0; i < 10000; i++) {
		char text[4000];
		size_t len = random_text(&state, text, sizeof(text));

		stuffing_check((struct span){ text, len }, 4000, &wire, &expected, &r);
		stuffing_check((struct span){ text, len }, 1 + random_next(&state) % 90, &wire,
			       &expected, &r);
	}
	buffer_reset(&expected);
	buffer_reset(&wire);
	buffer_reset(&r.body);
}
END_TEST

static void
bdat_check(struct span body, size_t piece)
{
	struct bdat_stream stream;
	struct span rest = body;
	size_t longest = 0;

	bdat_stream_init(&stream);
	while (rest.len > 0) {
		struct span chunk = span_first(rest, piece);

		bdat_stream_add(&stream, chunk);
		rest = span_skip(rest, chunk.len);
	}
	bdat_stream_add(&stream, span_of(""));
	bdat_stream_end(&stream);
	must(stream.has_bare == reference_has_bare(body));
	must(stream.octets == body.len);
	must(stream.facts.has_nul == reference_has_nul(body));
	must(stream.facts.has_8bit == reference_has_8bit(body));
	must(stream.ends_line == (body.len == 0 || (body.len >= 2 &&
						    reference_has(body, body.len - 2, "\r\n"))));
	for (size_t i = 0, begin = 0; i <= body.len; i++) {
		bool is_end = i == body.len || (i + 2 <= body.len && reference_has(body, i, "\r\n"));

		if (!is_end)
			continue;
		longest = i - begin > longest ? i - begin : longest;
		begin = i + 2;
		i++;
	}
	must(stream.facts.longest == longest);
}

START_TEST(chunks_are_judged_alike_in_any_pieces)
{
	uint64_t state = 521288629521288629U;

	for (size_t len = 0; len <= 6; len++) {
		for (size_t n = 0; n < (size_t)1 << (2 * len); n++) {
			char text[SEQUENCE_MAX];

			sequence_make(text, len, n);
			for (size_t piece = 1; piece <= len + 1; piece++)
				bdat_check((struct span){ text, len }, piece);
		}
	}
	for (unsigned i = 0; i < 10000; i++) {
		char text[4000];
		size_t len = random_text(&state, text, sizeof(text));

		bdat_check((struct span){ text, len }, sizeof(text));
		bdat_check((struct span){ text, len }, 1 + random_next(&state) % 90);
	}
}
END_TEST

START_TEST(portable_scan_marks_what_the_fast_one_marks)
{
	uint64_t state = 123456789123456789U;

	for (unsigned i = 0; i < 100000; i++) {
		static const char interesting[] = { '\r', '\n', '\0', '\x80', '\xff', '\x0c', '\x0e',
			'\x09', '\x0b', '\x8d', '\x8a', '\x01' };
		char block[SCAN_BLOCK];

		memset(block, 'a', sizeof(block));
		for (unsigned j = 0; j < i % 12; j++)
			block[random_next(&state) % SCAN_BLOCK] =
			    interesting[random_next(&state) % sizeof(interesting)];

		struct scan_marks fast = scan_block(block), plain = scan_block_portable(block);

		for (unsigned j = 0; j < SCAN_BLOCK; j++) {
			must((plain.cr >> j & 1) == (block[j] == '\r'));
			must((plain.lf >> j & 1) == (block[j] == '\n'));
		}
		must(fast.cr == plain.cr);
		must(fast.lf == plain.lf);
		must(plain.has_nul == (memchr(block, 0, sizeof(block)) != NULL));
		must(fast.has_nul == plain.has_nul);
		must(fast.has_8bit == plain.has_8bit);
	}
}
END_TEST

TCase *
data_stream_tcase(void)
{
	TCase *tc = tcase_create("data_stream");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, only_crlf_dot_crlf_ends_the_data, 0, 8);
	tcase_add_loop_test(tc, smuggled_end_neither_ends_nor_survives, 0, ARRAY_LEN(smuggling));
	tcase_add_test(tc, end_may_stand_where_the_body_would_begin);
	tcase_add_test(tc, body_without_dots_is_one_run);
	tcase_add_test(tc, random_bodies_read_alike_in_any_pieces);
	tcase_add_loop_test(tc, what_is_sent_ends_once_and_has_no_bare_cr_or_lf, 0, 8);
	tcase_add_test(tc, random_bodies_are_sent_alike_in_any_pieces);
	tcase_add_test(tc, chunks_are_judged_alike_in_any_pieces);
	tcase_add_test(tc, portable_scan_marks_what_the_fast_one_marks);
	return tc;
}
