/* SPDX-License-Identifier: ISC */
/* Ids of sessions and attempts; see id.h. */
#include "base/id.h"

#include <stdio.h>

#define SERIAL_BITS	  35
#define SERIAL_MASK	  ((UINT64_C(1) << SERIAL_BITS) - 1)
#define SCRAMBLE	  UINT64_C(21234567891) /* odd: multiplying is a bijection */
#define EPOCH_2026_MS	  INT64_C(1767225600000)
#define SERIALS_PER_SECOND 256

#define PACKED_LEN_MAX	 12 /* characters of five bits each */
#define PACKED_LEN_SHIFT 60

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void
id_session(uint64_t serial, char out[ID_SESSION_LEN + 1])
{
	uint64_t mixed = serial * SCRAMBLE & SERIAL_MASK;

	/* fold the high half into the low one, so neighbours differ at both ends */
	mixed ^= mixed >> 18;
	for (int i = 0; i < ID_SESSION_LEN; i++) {
		out[i] = alphabet[mixed & 31];
		mixed >>= 5;
	}
	out[ID_SESSION_LEN] = '\0';
}

void
id_transaction(const char session[ID_SESSION_LEN + 1], uint32_t number, char out[ID_SIZE])
{
	char digits[8];
	size_t n = 0;

	do {
		digits[n++] = alphabet[number & 31];
		number >>= 5;
	} while (number != 0);
	memcpy(out, session, ID_SESSION_LEN);
	for (size_t i = 0; i < n; i++)
		out[ID_SESSION_LEN + i] = digits[n - 1 - i];
	out[ID_SESSION_LEN + n] = '\0';
}

uint64_t
id_serial_start(int64_t wall_ms)
{
	int64_t since = wall_ms - EPOCH_2026_MS;

	return since < 0 ? 0 : (uint64_t)since * SERIALS_PER_SECOND / 1000;
}

bool
id_is_valid(struct span text)
{
	size_t dot = span_find(text, '.');
	uint64_t number;

	if (dot < text.len &&
	    number_parse(span_skip(text, dot + 1), 1000000, &number) != PARSE_OK)
		return false;
	if (dot < ID_SESSION_LEN || dot > ID_SESSION_LEN + 7)
		return false;
	for (size_t i = 0; i < dot; i++) {
		if (text.ptr[i] == '\0' || strchr(alphabet, text.ptr[i]) == NULL)
			return false;
	}
	return true;
}

uint64_t
id_pack(struct span id)
{
	uint64_t packed = 0;

	if (id.len <= ID_SESSION_LEN || id.len > PACKED_LEN_MAX)
		return 0;
	for (size_t i = 0; i < id.len; i++) {
		const char *at = id.ptr[i] == '\0' ? NULL : strchr(alphabet, id.ptr[i]);

		if (at == NULL)
			return 0;
		packed = packed << 5 | (uint64_t)(at - alphabet);
	}
	return packed | (uint64_t)id.len << PACKED_LEN_SHIFT;
}

void
id_unpack(uint64_t packed, char out[ID_SIZE])
{
	size_t len = (size_t)(packed >> PACKED_LEN_SHIFT);

	out[len] = '\0';
	while (len-- > 0) {
		out[len] = alphabet[packed & 31];
		packed >>= 5;
	}
}
