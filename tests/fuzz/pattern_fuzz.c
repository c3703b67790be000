/* SPDX-License-Identifier: ISC */
/*
 * A pattern, a newline, an address: whatever they are, nothing breaks; a pattern that was taken
 * holds an address exactly when it covers the pattern that is this address, and its set says
 * the same.
 */
#include "policy/pattern_table.h"
#include "policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The address as a pattern, where it can be written as one. */
static bool
address_as_pattern(const struct address *address, struct pattern *pattern)
{
	if (address_is_null(address)) {
		pattern->kind = PATTERN_NULL;
		pattern->key.len = pattern->key.local_len = 0;
		return true;
	}
	pattern->kind = PATTERN_ADDRESS;
	address_key_make(&pattern->key, address);
	return pattern->key.kind != ADDRESS_STRANGE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = { (const char *)data, size };
	struct span text = span_first(all, span_find(all, '\n'));
	struct span rest = span_skip(all, text.len == all.len ? all.len : text.len + 1);
	struct text_list list = { &text, 1 };
	struct fault fault;
	struct pattern pattern, exact;
	struct address address = { .is_literal = false };

	struct pattern_set *set = pattern_set_new(&list, NULL, &fault);
	bool is_pattern = pattern_parse(text, &pattern) == NULL;

	assert(is_pattern == (set != NULL));
	if (is_pattern && (rest.len == 0 || mailbox_parse(rest, &address) == PARSE_OK)) {
		unsigned specificity = pattern_set_match(set, &address);

		if (address_as_pattern(&address, &exact))
			assert((specificity > 0) == pattern_covers(&pattern, &exact));
		else
			assert((specificity > 0) == (pattern.kind == PATTERN_ANY));
		assert(pattern_covers(&pattern, &pattern));
	}
	pattern_set_free(&set);
	return 0;
}
