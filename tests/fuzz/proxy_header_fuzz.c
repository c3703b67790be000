/* SPDX-License-Identifier: ISC */
/* PROXY headers: whole, and octet by octet, which must come to the same. */
#include "net/proxy_header.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = { (const char *)data, size }, in = all;
	struct proxy_header header = { .has_endpoints = false }, again = header;
	enum proxy_status whole = proxy_header_take(&in, &header);
	size_t used = size - in.len;

	assert(whole == PROXY_OK || in.len == size);
	for (size_t len = 0; len <= size; len++) {
		struct span part = span_first(all, len);
		enum proxy_status status = proxy_header_take(&part, &again);

		if (status == PROXY_MORE)
			continue;
		assert(status == whole);
		if (status == PROXY_OK)
			assert(len == used && part.len == 0 &&
			       memcmp(&header.source, &again.source, sizeof(again.source)) == 0);
		return 0;
	}
	assert(whole == PROXY_MORE);
	return 0;
}
