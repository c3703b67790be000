/* SPDX-License-Identifier: ISC */
/*
 * smtp/header_block.h: the same in any pieces, and no address out of a header that could be
 * read in two ways. The first octet of the input chooses the size of the pieces.
 */
#include "smtp/header_block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
block_read(struct header_block *block, struct span message, size_t piece)
{
	header_block_init(block, span_of("by h (relayd)"));
	while (message.len > 0 && header_block_add(block, span_first(message, piece)))
		message = span_skip(message, span_first(message, piece).len);
	header_block_end(block);
}

static void
list_check(const struct address_list *list)
{
	must(list->count > 0 && list->count <= ADDRESSES_MAX);
	for (size_t i = 0; i < list->count; i++) {
		must(list->items[i].domain.len > 0 && list->items[i].local.len > 0);
		must(utf8_is_valid(list->items[i].text));
	}
}

static void
received_check(struct span text)
{
	static const struct ip ip = { { [15] = 1 } };
	struct received r = {
		.helo = text, .ptr = text, .ip = &ip, .host = span_of("h"), .id = text,
		.recipient = text, .cipher = text, .is_smtputf8 = text.len % 2 == 0,
	};
	struct header_block block;
	struct buffer out;

	buffer_init(&out, 4096);
	must(received_append(&out, &r));
	block_read(&block, buffer_span(&out), 4096);
	must(block.counts[HEADER_RECEIVED] == 1 && block.own_hops == 1 && !block.is_malformed);
	must(block.octets == out.len && out.ptr[out.len - 1] == '\n');
	header_block_reset(&block);
	buffer_reset(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header_block whole, pieces;
	struct address_list list;
	struct arena arena;

	if (size == 0)
		return 0;
	struct span message = { .ptr = (const char *)data + 1, .len = size - 1 };

	arena_init(&arena, 0);
	block_read(&whole, message, size);
	block_read(&pieces, message, (size_t)data[0] + 1);
	must(memcmp(whole.counts, pieces.counts, sizeof(whole.counts)) == 0);
	must(whole.own_hops == pieces.own_hops && whole.octets == pieces.octets);
	must(whole.is_malformed == pieces.is_malformed && whole.is_too_big == pieces.is_too_big);
	for (unsigned i = 0; i < HEADER_FIELD_COUNT; i++) {
		struct span value = header_block_value(&whole, (enum header_field)i);

		must(span_equal(value, header_block_value(&pieces, (enum header_field)i)));
		if (address_list_parse(value, &arena, &list) == PARSE_OK)
			list_check(&list);
	}
	if (header_addresses_read(&whole, HEADER_FROM, &arena, &list) == ADDRESSES_OK) {
		must(whole.counts[HEADER_FROM] == 1 && !whole.is_malformed);
		list_check(&list);
	}
	if (address_list_parse(message, &arena, &list) == PARSE_OK)
		list_check(&list);
	received_check(message);
	arena_reset(&arena);
	header_block_reset(&whole);
	header_block_reset(&pieces);
	return 0;
}
