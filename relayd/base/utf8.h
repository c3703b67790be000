/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 (RFC 3629) in bytes that may be anything, and showing such bytes to people: what
 * clients send must not move a cursor, forge a line or turn the direction of writing.
 */
#ifndef RELAYD_BASE_UTF8_H
#define RELAYD_BASE_UTF8_H

#include "base/buffer.h"

/*
 * The octets of the sequence at the front of s (shortest form, no surrogates) and its code
 * point; 0, and *code unchanged, when the bytes there are none. s may not be empty.
 */
size_t utf8_decode(struct span s, uint32_t *code);

/* Control characters, line separators, directional controls, byte order marks. */
bool utf8_is_active(uint32_t code);

/* Append s with active characters and bytes that are not UTF-8 written as \x1b, \u202e. */
bool utf8_append_printable(struct buffer *out, struct span s);

/* How many characters s has; bytes that are not UTF-8 count one each. */
size_t utf8_count(struct span s);

#endif
