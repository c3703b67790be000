/* SPDX-License-Identifier: ISC */
/* Base64 as RFC 4648 s.4 defines it, and nothing more lenient. */
#ifndef RELAYD_BASE_BASE64_H
#define RELAYD_BASE_BASE64_H

#include "base/buffer.h"

/* Room that decoding n octets of base64 may ask for, with one to spare. */
#define BASE64_DECODED_SIZE(n) (((n) + 3) / 4 * 3 + 1)

/* Octets of base64 that n octets become. */
#define BASE64_ENCODED_LEN(n) (((n) + 2) / 3 * 4)

/* Append the bytes encoded; false and nothing changed when they do not fit. */
bool base64_encode(struct buffer *out, struct span bytes);

/*
 * Decode the whole of in into out, which has room for BASE64_DECODED_SIZE(in.len); *len tells
 * how many octets came out. Empty gives empty. PARSE_BAD for anything but groups of four
 * letters of the alphabet, the last one padded: no white space, nothing behind the padding,
 * no bits set that the padding leaves over. out may have been written to then.
 */
enum parse_status base64_decode(struct span in, char *out, size_t *len);

#endif
