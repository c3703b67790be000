/* SPDX-License-Identifier: ISC */
/*
 * Closing a connection whose peer still talks. A plain close would answer its next octets
 * with a reset, and the reset may overtake our last reply. So we say that we have nothing
 * more to say, and read and drop what comes until the peer is done or loses our patience.
 */
#ifndef RELAYD_NET_LINGER_H
#define RELAYD_NET_LINGER_H

#include "net/loop.h"

#define LINGER_MS     2000
#define LINGER_COUNT  1024 /* at once in one loop; beyond that a close is just a close */
#define LINGER_OCTETS (UINT32_C(64) << 20) /* the most that is read and dropped */

/* Takes over fd, and closes it in its time. */
void linger_begin(struct loop *loop, int fd);

/* Close all of them now. */
void linger_end_all(struct loop *loop);

#endif
