/* SPDX-License-Identifier: ISC */
/*
 * CRC-32C; see crc32c.h. The instruction takes three clocks but one can begin each clock,
 * so three neighbouring blocks are summed side by side and then joined: a sum is moved
 * over n octets by multiplying it with x^(8n), for which there is an instruction too.
 */
#include "spool/crc32c.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_CRC_INSTRUCTION 1
#include <immintrin.h>
#endif

/* The sum of the octet with one bit set, for each bit; any other is a sum of those. */
#define BIT(i, k, sum) (((i) >> (k)) & 1u ? (sum) : 0u)
#define SUM(i)                                                                      \
	(BIT(i, 0, 0xf26b8303u) ^ BIT(i, 1, 0xe13b70f7u) ^ BIT(i, 2, 0xc79a971fu) ^ \
	 BIT(i, 3, 0x8ad958cfu) ^ BIT(i, 4, 0x105ec76fu) ^ BIT(i, 5, 0x20bd8edeu) ^ \
	 BIT(i, 6, 0x417b1dbcu) ^ BIT(i, 7, 0x82f63b78u))
#define SUM4(i)	 SUM(i), SUM((i) + 1u), SUM((i) + 2u), SUM((i) + 3u)
#define SUM16(i) SUM4(i), SUM4((i) + 4u), SUM4((i) + 8u), SUM4((i) + 12u)
#define SUM64(i) SUM16(i), SUM16((i) + 16u), SUM16((i) + 32u), SUM16((i) + 48u)

static const uint32_t octet_sums[256] = { SUM64(0u), SUM64(64u), SUM64(128u),
					  SUM64(192u) };

uint32_t
crc32c_plain(uint32_t before, struct span bytes)
{
	uint32_t sum = ~before;

	for (size_t i = 0; i < bytes.len; i++)
		sum = (sum >> 8) ^ octet_sums[(sum ^ (unsigned char)bytes.ptr[i]) & 0xff];
	return ~sum;
}

#ifdef HAS_CRC_INSTRUCTION

#define FAST __attribute__((target("sse4.2,pclmul")))

/* Three blocks of so many octets, and x^(16n-33), x^(8n-33) modulo the polynomial. */
struct fold {
	size_t block;
	uint32_t by_two;
	uint32_t by_one;
};

static const struct fold folds[] = {
	{ 4096, 0x54a86326u, 0x82f89c77u },
	{ 256, 0xdd7e3b0cu, 0xb9e02b86u },
};

FAST static uint64_t
word_at(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* sum * factor * x^33 */
FAST static uint64_t
sum_move(uint64_t sum, uint32_t factor)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)sum),
					       _mm_cvtsi32_si128((int)factor), 0);

	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

FAST static uint64_t
three_blocks_sum(uint64_t sum, const char *p, const struct fold *fold)
{
	uint64_t a = sum, b = 0, c = 0;

	for (size_t i = 0; i < fold->block; i += 8) {
		a = _mm_crc32_u64(a, word_at(p + i));
		b = _mm_crc32_u64(b, word_at(p + fold->block + i));
		c = _mm_crc32_u64(c, word_at(p + 2 * fold->block + i));
	}
	return sum_move(a, fold->by_two) ^ sum_move(b, fold->by_one) ^ c;
}

FAST static uint32_t
crc32c_fast(uint32_t before, struct span bytes)
{
	const char *p = bytes.ptr;
	size_t left = bytes.len;
	uint64_t sum = (uint32_t)~before;

	for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
		for (; left >= 3 * folds[i].block; left -= 3 * folds[i].block) {
			sum = three_blocks_sum(sum, p, &folds[i]);
			p += 3 * folds[i].block;
		}
	}
	for (; left >= 8; left -= 8, p += 8)
		sum = _mm_crc32_u64(sum, word_at(p));
	for (; left > 0; left--, p++)
		sum = _mm_crc32_u8((uint32_t)sum, (unsigned char)*p);
	return ~(uint32_t)sum;
}

uint32_t
crc32c(uint32_t before, struct span bytes)
{
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return crc32c_fast(before, bytes);
	return crc32c_plain(before, bytes);
}

#else

uint32_t
crc32c(uint32_t before, struct span bytes)
{
	return crc32c_plain(before, bytes);
}

#endif
