/* SPDX-License-Identifier: ISC */
/*
 * Values as they are written in a configuration: sizes, durations, limits, next hops. Each
 * function reads the whole span or changes nothing.
 */
#ifndef RELAYD_CONFIG_VALUE_H
#define RELAYD_CONFIG_VALUE_H

#include "base/buffer.h"
#include "delivery/delivery.h"
#include "policy/policy.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS	  (60 * MINUTE_MS)
#define DAY_MS	  (24 * HOUR_MS)

#define KB UINT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)

#define VALUE_TEXT_SIZE 32

#define SMTP_PORT 25

/* "36MB", "100KB", "2GB" (powers of 1024, any case) or a plain number of octets. */
enum parse_status size_parse(struct span text, uint64_t *octets);

/* The shortest text that size_parse reads as this many. */
void size_text(uint64_t octets, char out[VALUE_TEXT_SIZE]);

/* "250ms", "5s", "10m", "1h", "5d": at most 10,000 days. */
enum parse_status duration_parse(struct span text, int64_t *ms);
void duration_text(int64_t ms, char out[VALUE_TEXT_SIZE]);

/* "600 messages/hour", "5000 recipients/day", "2GB octets/day"; second, minute, hour, day. */
enum parse_status limit_parse(struct span text, struct limit_source *limit);

/*
 * "mail.example.com:587", "mail.example.com", "192.0.2.1:25", "192.0.2.1", "[2001:db8::1]:25",
 * "[2001:db8::1]", "mx". Without a port it is 25. The host borrows from the text.
 */
enum parse_status next_hop_parse(struct span text, struct next_hop_settings *next_hop);

/* One domain name and nothing else: the rules of domain_take. */
bool domain_is_valid(struct span text);

/* A name that configurations give to things: letters, digits, "-", "_" and ".", 64 at most. */
bool title_is_valid(struct span text);

/* "sha256:" and 64 hexadecimal digits, "dns:NAME", "email:ADDRESS", "cn:TEXT". */
bool certificate_name_is_valid(struct span text);

/* Changes that make one name of the other: letters put in, left out, replaced or swapped. */
unsigned text_distance(struct span a, struct span b);

#endif
