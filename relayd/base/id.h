/* SPDX-License-Identifier: ISC */
/*
 * Short names for sessions and attempts, made to be read over the telephone: 32 letters and
 * digits without I, L, O and U. A session has seven; each transaction of it adds its number
 * (one character up to 31), so an attempt's id begins with its session's.
 */
#ifndef RELAYD_BASE_ID_H
#define RELAYD_BASE_ID_H

#include "base/span.h"

#define ID_SESSION_LEN 7
#define ID_SIZE	       24 /* any id, with room for ".recipient" and a NUL */

/* The session id of one serial number; numbers alike modulo 2^35 give the same id. */
void id_session(uint64_t serial, char out[ID_SESSION_LEN + 1]);

/* Session id + number of the transaction (from 1), terminated. */
void id_transaction(const char session[ID_SESSION_LEN + 1], uint32_t number, char out[ID_SIZE]);

/*
 * Where a supervisor that remembers nothing begins to count sessions: 256 numbers for each
 * second since 2026, so that it is beyond what was used before at any usual rate.
 */
uint64_t id_serial_start(int64_t wall_ms);

/*
 * A transaction's id as a number: the same for the same id alone, 0 for what is none (or has
 * more than five characters behind the session's). And back.
 */
uint64_t id_pack(struct span id);
void id_unpack(uint64_t packed, char out[ID_SIZE]);

/* Does the text look like an id (a transaction's, perhaps with ".recipient")? */
bool id_is_valid(struct span text);

#endif
