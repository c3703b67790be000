/* SPDX-License-Identifier: ISC */
/* smtp/reply.h: a next hop's replies, whole and in pieces, and written again. */
#include "smtp/reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
reply_check(const struct reply_parser *p, const struct ehlo *ehlo)
{
	must(p->code >= 200 && p->code <= 599 && p->text_len <= REPLY_TEXT_MAX);
	must(p->enhanced.class == 0 || p->enhanced.class == p->code / 100);
	must(p->lines > 0 && p->lines <= REPLY_LINES_MAX && p->total_octets <= REPLY_TOTAL_MAX);
	for (size_t i = 0; i < p->text_len; i++)
		must(p->text[i] >= ' ' && p->text[i] <= '~');
	must(ehlo->mechanisms_len <= EHLO_MECHANISMS_MAX);
}

/* Passing it on gives a reply of the same code that a client reads as one. */
static void
written_check(const struct reply_parser *p)
{
	char text[REPLY_TEXT_MAX + 1];
	struct reply reply = { p->code, p->enhanced, text };
	struct reply_parser again;
	struct buffer out;

	memcpy(text, p->text, p->text_len);
	text[p->text_len] = '\0';
	buffer_init(&out, 4096);
	must(reply_append(&out, &reply, span_of("7F3K2M9Q")));

	struct span in = buffer_span(&out);

	reply_parser_init(&again);
	must(reply_parser_feed(&again, &in) == REPLY_READY && in.len == 0);
	must(again.code == p->code);
	buffer_reset(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span whole = { .ptr = (const char *)data, .len = size };
	struct reply_parser at_once, piecemeal;
	struct ehlo first = { .offers = 0 }, second = { .offers = 0 };
	enum reply_progress progress = REPLY_READY;

	reply_parser_init(&at_once);
	reply_parser_init(&piecemeal);
	at_once.ehlo = &first;
	piecemeal.ehlo = &second;
	while (whole.len > 0 && progress == REPLY_READY) {
		struct span before = whole;
		enum reply_progress other = REPLY_MORE;

		progress = reply_parser_feed(&at_once, &whole);
		for (size_t i = 0; i < before.len - whole.len; i++) {
			struct span octet = { .ptr = before.ptr + i, .len = 1 };

			must(other == REPLY_MORE);
			other = reply_parser_feed(&piecemeal, &octet);
		}
		must(progress == other);
		if (progress != REPLY_READY)
			break;
		must(at_once.code == piecemeal.code);
		must(span_equal(reply_parser_text(&at_once), reply_parser_text(&piecemeal)));
		must(first.offers == second.offers && first.size_max == second.size_max);
		reply_check(&at_once, &first);
		written_check(&at_once);
	}
	return 0;
}
