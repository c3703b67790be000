/* SPDX-License-Identifier: ISC */
/* Scanning lines of text; see line_scan.h. */
#include "smtp/line_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define EACH_OCTET UINT64_C(0x0101010101010101)
#define LOW_BITS   UINT64_C(0x7f7f7f7f7f7f7f7f)
#define HIGH_BITS  UINT64_C(0x8080808080808080)

/* Eight octets as a number whose lowest eight bits are the first octet. */
static inline uint64_t
word_read(const char *octets)
{
	uint64_t word;

	memcpy(&word, octets, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* The high bit of each octet that is zero, and no other bit. */
static inline uint64_t
zeros_mark(uint64_t word)
{
	return ~(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
}

/* Gather the high bits of eight octets into the lowest eight bits. */
static inline uint64_t
high_bits_gather(uint64_t marks)
{
	return (marks >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

struct scan_marks
scan_block_portable(const char octets[SCAN_BLOCK])
{
	struct scan_marks marks = { .cr = 0 };
	uint64_t nuls = 0, any = 0;

	for (unsigned i = 0; i < SCAN_BLOCK; i += 8) {
		uint64_t word = word_read(octets + i);

		marks.cr |= high_bits_gather(zeros_mark(word ^ EACH_OCTET * '\r')) << i;
		marks.lf |= high_bits_gather(zeros_mark(word ^ EACH_OCTET * '\n')) << i;
		nuls |= zeros_mark(word);
		any |= word;
	}
	marks.has_nul = nuls != 0;
	marks.has_8bit = (any & HIGH_BITS) != 0;
	return marks;
}

#ifdef __SSE2__
static inline uint64_t
sixteen_bits(__m128i marks)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(marks);
}

static inline struct scan_marks
marks_of(const char *octets)
{
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
	__m128i part[4], any, least;
	struct scan_marks marks = { .cr = 0 };

	for (unsigned i = 0; i < 4; i++)
		memcpy(&part[i], octets + (size_t)16 * i, sizeof(part[i]));
	for (unsigned i = 0; i < 4; i++) {
		marks.cr |= sixteen_bits(_mm_cmpeq_epi8(part[i], cr)) << (16 * i);
		marks.lf |= sixteen_bits(_mm_cmpeq_epi8(part[i], lf)) << (16 * i);
	}
	any = _mm_or_si128(_mm_or_si128(part[0], part[1]), _mm_or_si128(part[2], part[3]));
	least = _mm_min_epu8(_mm_min_epu8(part[0], part[1]), _mm_min_epu8(part[2], part[3]));
	marks.has_8bit = _mm_movemask_epi8(any) != 0;
	marks.has_nul = _mm_movemask_epi8(_mm_cmpeq_epi8(least, _mm_setzero_si128())) != 0;
	return marks;
}
#else
static inline struct scan_marks
marks_of(const char *octets)
{
	return scan_block_portable(octets);
}
#endif

struct scan_marks
scan_block(const char octets[SCAN_BLOCK])
{
	return marks_of(octets);
}

/* The marks of fewer than 64 octets; those that are missing have none. */
static struct scan_marks
marks_of_rest(const char *octets, size_t len)
{
	char block[SCAN_BLOCK];

	memset(block, 'a', sizeof(block));
	memcpy(block, octets, len);
	return marks_of(block);
}

/* A block that is used in part only: look at those octets themselves. */
static void
facts_add_some(struct line_facts *facts, const char *octets, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		facts->has_nul |= octets[i] == '\0';
		facts->has_8bit |= ((unsigned char)octets[i] & 0x80) != 0;
	}
}

size_t
line_scan(struct span in, unsigned stops, struct line_facts *facts, bool *ends_line)
{
	size_t at = 0, end = in.len, line_begin = 0, before = facts->line_octets;
	uint64_t after_cr = 0;
	bool is_stopped = false;

	while (at < in.len && !is_stopped) {
		size_t len = in.len - at < SCAN_BLOCK ? in.len - at : SCAN_BLOCK;
		struct scan_marks marks = len == SCAN_BLOCK ? marks_of(in.ptr + at) :
							      marks_of_rest(in.ptr + at, len);
		uint64_t behind_cr = marks.cr << 1 | after_cr;
		uint64_t line_ends = marks.lf & behind_cr;
		uint64_t bare = marks.lf ^ behind_cr;

		if (len < SCAN_BLOCK)
			bare &= (UINT64_C(1) << len) - 1;
		if (bare != 0 && (stops & STOP_AT_BARE) != 0) {
			uint64_t first = bare & (~bare + 1);

			/* a mark without LF says that the octet before it is a bare CR */
			end = at + (size_t)__builtin_ctzll(first) - ((marks.lf & first) == 0);
			line_ends &= first - 1;
			is_stopped = true;
		}
		for (; line_ends != 0; line_ends &= line_ends - 1) {
			size_t next = at + (size_t)__builtin_ctzll(line_ends) + 1;
			size_t octets = before + next - 2 - line_begin;

			if (octets > facts->longest)
				facts->longest = octets;
			line_begin = next;
			before = 0;
			if ((stops & STOP_AT_DOT) != 0 && next < in.len && in.ptr[next] == '.') {
				end = next;
				is_stopped = true;
				break;
			}
		}
		if (!is_stopped || end >= at + len) {
			facts->has_nul |= marks.has_nul;
			facts->has_8bit |= marks.has_8bit;
		} else if (end > at && (marks.has_nul || marks.has_8bit)) {
			facts_add_some(facts, in.ptr + at, end - at);
		}
		after_cr = marks.cr >> 63;
		at += len;
	}
	if (!is_stopped && in.len > 0 && in.ptr[in.len - 1] == '\r')
		end--;
	facts->line_octets = before + end - line_begin;
	*ends_line = end > 0 && line_begin == end;
	return end;
}
