/* SPDX-License-Identifier: ISC */
/*
 * What supervisor and worker say to each other over their socket pair: words of one octet, of
 * which some are followed by the number of octets (4, in the machine's own order) and the
 * octets of something that they carry. Both ends are the same program, so what is carried may
 * be a struct. Nothing here waits: what the other end does not take yet is kept, up to a limit.
 */
#ifndef RELAYD_DAEMON_CHANNEL_H
#define RELAYD_DAEMON_CHANNEL_H

#include "delivery/operation.h"
#include "net/stream.h"

enum worker_word {
	WORD_READY = 'r', /* worker: it serves */
	WORD_DRAIN = 'd', /* supervisor: accept no more, let sessions end by themselves */
	WORD_STOP = 's',  /* supervisor: accept no more, end what can end now */
	WORD_ADOPT = 'a', /* supervisor: a worker ended, its spool shard is free */
	WORD_ORDER = 'o', /* supervisor: struct order_head and the request, an operator's wish */
	WORD_TALLY = 'n', /* worker: struct order_answer, what became of it */
	WORD_HUNG = 'h',  /* worker: struct worker_hung, an auth helper that hangs */
};

#define CHANNEL_CARGO_MAX (80U << 10)

#define ORDER_USER_SIZE 64

/* In front of a request as control_request.h reads it. */
struct order_head {
	uint64_t number; /* comes back with the answer */
	uint32_t uid;
	char user[ORDER_USER_SIZE];
};

struct order_answer {
	uint64_t number;
	struct queue_tally tally;
	bool is_broken;	 /* the audit trail cannot be written: not all was done */
	bool is_loading; /* part of the queue is not known yet: it is being read */
};

struct channel;

struct channel_events {
	/* The other end said something; cargo is borrowed for the call. */
	void (*said)(struct channel *channel, char word, struct span cargo);
	/* The other end is gone, or talks nonsense; the channel is closed. */
	void (*ended)(struct channel *channel);
};

/* Embedded by its owner, who zeroes it. */
struct channel {
	struct stream stream;
	const struct channel_events *events;
	int fd; /* 0 or -1: none; for whoever must not inherit it */
};

/* Takes the descriptor over, which must be non-blocking; on failure it stays the caller's. */
bool channel_open(struct channel *channel, struct loop *loop, int fd,
		  const struct channel_events *events, struct fault *fault);

/* Harmless when it is closed. */
void channel_close(struct channel *channel);

/*
 * Say a word at the end of the turn; cargo only with those that carry something. False: the
 * other end is gone, or takes nothing for so long that the channel was given up.
 */
bool channel_say(struct channel *channel, enum worker_word word, struct span cargo);

#endif
