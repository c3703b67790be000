/* SPDX-License-Identifier: ISC */
/*
 * delivery/rewrite.h: whatever a header says, the one that is sent in its place names our
 * sender alone in From, and what follows the header is left to be sent as it is. The first
 * octet of the input chooses the kind of rewriting.
 */
#include "delivery/report.h"
#include "delivery/rewrite.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TO "n@example.com"

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* A header of ours has one From with one mailbox, and no other Sender. */
static void
author_check(struct span header)
{
	struct address_list list;
	struct header_block block;
	struct arena arena;

	header_block_init(&block, span_of(""));
	(void)header_block_add(&block, header);
	header_block_end(&block);
	must(block.counts[HEADER_FROM] == 1 && block.counts[HEADER_SENDER] == 0);
	arena_init(&arena, 0);
	if (header_addresses_read(&block, HEADER_FROM, &arena, &list) == ADDRESSES_OK) {
		must(list.count == 1 && span_equal(list.items[0].text, span_of(TO)));
	} else { /* only because of other things in it */
		must(block.is_malformed || block.is_too_big ||
		     block.values[HEADER_FROM].is_cut);
	}
	arena_reset(&arena);
	header_block_reset(&block);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = { (const char *)data, size };
	struct rewriting rewriting = { .to = SPAN_LITERAL(TO) };
	struct buffer out;
	size_t octets = 0;
	bool is_all, takes_all;

	if (size == 0)
		return 0;
	takes_all = (data[0] & 1) != 0;
	is_all = (data[0] & 2) != 0;
	in = span_skip(in, 1);
	if (!takes_all)
		rewriting.from = span_of("root@localhost");
	buffer_init(&out, 1U << 20);
	if (rewrite_header(&rewriting, in, is_all, &out, &octets)) {
		must(octets <= in.len && out.len >= 2);
		must(memcmp(out.ptr + out.len - 2, "\r\n", 2) == 0);
		if (takes_all)
			author_check(buffer_span(&out));
	} else {
		must(out.len == 0 && !is_all);
	}
	buffer_clear(&out);
	(void)header_find(in, span_of("Subject"), &out);
	must(out.len == 0 || (memchr(out.ptr, '\n', out.len) == NULL &&
			      memchr(out.ptr, '\r', out.len) == NULL));
	(void)report_is_relay_refusal(in);
	buffer_reset(&out);
	return 0;
}
