/* SPDX-License-Identifier: ISC */
/* smtp/address.h: nothing refused changes anything, nothing taken holds what it may not. */
#include "smtp/address.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
address_check(const struct address *a)
{
	must(a->text.len <= PATH_MAX_OCTETS - 2 && utf8_is_valid(a->text));
	must(a->local.len > 0 && a->local.len <= LOCAL_PART_MAX && a->domain.len <= DOMAIN_MAX);
	must(a->local.ptr == a->text.ptr);
	if (a->domain.len > 0) {
		struct address again;

		must(a->local.len + 1 + a->domain.len == a->text.len);
		must(a->domain.ptr[a->domain.len - 1] != '.');
		must(mailbox_parse(a->text, &again) == PARSE_OK);
		must(span_equal(again.domain, a->domain) && again.is_utf8 == a->is_utf8);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span whole = { .ptr = (const char *)data, .len = size }, in, part;
	struct address a;
	struct ip ip;

	if (mailbox_parse(whole, &a) == PARSE_OK)
		address_check(&a);
	in = whole;
	if (reverse_path_take(&in, &a) == PARSE_OK) {
		must(in.len < whole.len);
		if (!address_is_null(&a))
			address_check(&a);
	} else {
		must(in.ptr == whole.ptr && in.len == whole.len);
	}
	in = whole;
	if (forward_path_take(&in, &a) == PARSE_OK)
		address_check(&a);
	else
		must(in.ptr == whole.ptr && in.len == whole.len);
	in = whole;
	if (domain_take(&in, &part) == PARSE_OK)
		must(part.len > 0 && part.len <= DOMAIN_MAX && part.len + in.len == whole.len);
	(void)address_literal_parse(whole, &ip);
	return 0;
}
