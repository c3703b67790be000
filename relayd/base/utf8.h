/* SPDX-License-Identifier: ISC */
/* UTF-8 as RFC 3629 defines it: shortest form, no surrogates, at most U+10FFFF. */
#ifndef RELAYD_BASE_UTF8_H
#define RELAYD_BASE_UTF8_H

#include "base/span.h"

/*
 * The octets of the character at the front of s, which may not be empty, and its number; 0
 * when the bytes there are no character.
 */
size_t utf8_decode(struct span s, uint32_t *code);

#endif
