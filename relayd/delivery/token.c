/* SPDX-License-Identifier: ISC */
/*
 * Tokens in shared memory; see token.h. There is one writer, and tokens change once an hour:
 * each route has two places, and a number says which one is current. A reader copies it and
 * looks at the number again.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_DONTDUMP */
#include "delivery/token.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#define GOOD_FOR_MS 60000 /* a token that ends sooner is not begun with */

struct token_copy {
	size_t len;
	int64_t expires_wall_ms;
	char text[TOKEN_OCTETS_MAX];
};

struct token_place {
	_Atomic uint64_t number; /* of the current token: copies[number % 2]; 0: none yet */
	_Atomic uint64_t rejected; /* the last number that a worker said no to */
	_Atomic int64_t expires_wall_ms;
	_Atomic uint32_t state; /* enum token_state */
	_Atomic uint32_t troubles; /* which of the two texts is current */
	char trouble[2][TOKEN_TROUBLE_MAX];
	struct token_copy copies[2];
};

struct token_board {
	size_t octets;
	size_t routes;
	struct token_place places[];
};

struct token_board *
token_board_new(size_t routes, struct fault *fault)
{
	size_t octets = sizeof(struct token_board) + routes * sizeof(struct token_place);
	struct token_board *board =
	    mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (board == MAP_FAILED) {
		fault_set(fault, "memory for tokens");
		return NULL;
	}
	(void)madvise(board, octets, MADV_DONTDUMP);
	board->octets = octets;
	board->routes = routes;
	return board;
}

void
token_board_free(struct token_board **board)
{
	if (*board == NULL)
		return;
	(void)munmap(*board, (*board)->octets);
	*board = NULL;
}

bool
token_read(const struct token_board *board, size_t route, int64_t now_wall_ms,
	   struct access_token *token)
{
	const struct token_place *place = &board->places[route];

	for (int tries = 0; tries < 3; tries++) {
		uint64_t number = atomic_load(&place->number);
		const struct token_copy *copy = &place->copies[number % 2];

		if (number == 0 || copy->len > TOKEN_OCTETS_MAX ||
		    copy->expires_wall_ms - now_wall_ms < GOOD_FOR_MS)
			return false;
		token->len = copy->len;
		token->number = number;
		memcpy(token->text, copy->text, copy->len);
		token->text[copy->len] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&place->number) == number)
			return true;
	}
	token_wipe(token);
	return false;
}

uint64_t
token_number(const struct token_board *board, size_t route)
{
	return atomic_load(&board->places[route].number);
}

void
token_wipe(struct access_token *token)
{
	memory_wipe(token, sizeof(*token));
}

void
token_reject(struct token_board *board, size_t route, uint64_t number)
{
	struct token_place *place = &board->places[route];
	uint64_t before = atomic_load(&place->rejected);

	while (before < number &&
	       !atomic_compare_exchange_weak(&place->rejected, &before, number))
		;
}

bool
token_is_rejected(const struct token_board *board, size_t route)
{
	const struct token_place *place = &board->places[route];
	uint64_t number = atomic_load(&place->number);

	return number > 0 && atomic_load(&place->rejected) >= number;
}

void
token_status_read(const struct token_board *board, size_t route, struct token_status *status)
{
	const struct token_place *place = &board->places[route];

	status->state = (enum token_state)atomic_load(&place->state);
	status->expires_wall_ms = atomic_load(&place->expires_wall_ms);
	memcpy(status->trouble, place->trouble[atomic_load(&place->troubles) % 2],
	       sizeof(status->trouble));
	status->trouble[sizeof(status->trouble) - 1] = '\0';
}

void
token_publish(struct token_board *board, size_t route, struct span text,
	      int64_t expires_wall_ms)
{
	struct token_place *place = &board->places[route];
	uint64_t number = atomic_load(&place->number) + 1;
	struct token_copy *copy = &place->copies[number % 2];

	text = span_first(text, TOKEN_OCTETS_MAX);
	memory_wipe(copy, sizeof(*copy));
	memcpy(copy->text, text.ptr, text.len);
	copy->len = text.len;
	copy->expires_wall_ms = expires_wall_ms;
	atomic_store(&place->number, number);
	atomic_store(&place->expires_wall_ms, expires_wall_ms);
	token_trouble(board, route, TOKEN_VALID, "");
}

void
token_trouble(struct token_board *board, size_t route, enum token_state state, const char *why)
{
	struct token_place *place = &board->places[route];
	uint32_t next = atomic_load(&place->troubles) + 1;

	(void)snprintf(place->trouble[next % 2], TOKEN_TROUBLE_MAX, "%s", why);
	atomic_store(&place->troubles, next);
	atomic_store(&place->state, (uint32_t)state);
}
