/* SPDX-License-Identifier: ISC */
/*
 * Failed logins, counted by all workers together in one piece of shared memory.
 *
 *   address   (IPv6: its /64) too many within the window: banned for a while, unless exempt.
 *             The reply to each failure comes later than the one before.
 *   login     never banned and never kept waiting when the password is right, or a stranger
 *             could shut out whom he likes. Only the "no" to a login that many guess at comes
 *             later and later, wherever the guess comes from.
 *   both      failures of one login from one address: the next success of that login there
 *             takes them back from the address's count (somebody had mistyped). A stranger's
 *             success with his own login takes back nothing of his guesses at others.
 *
 * The counts are words changed by compare-and-swap, without a lock that a killed worker could
 * leave behind; the table keeps the most recent some thousands of keys. Time is passed in:
 * monotonic milliseconds, the same clock in all processes of a machine.
 */
#ifndef RELAYD_AUTH_FAILURES_H
#define RELAYD_AUTH_FAILURES_H

#include "base/buffer.h"
#include "base/ip.h"

struct auth_failures;

/* auth-ban { }; of one configuration generation. */
struct auth_ban_settings {
	uint32_t failures; /* so many within the window ban; 0: nobody is banned */
	int64_t window_ms;
	int64_t duration_ms;
	const struct ip_range *exempt; /* never banned */
	size_t exempt_count;
};

/* How long the reply to a failure may be held back at most. */
#define AUTH_DELAY_MAX_MS 15000

/*
 * Memory for so many keys (an address, a login and their pair for each guesser), shared with
 * processes forked later. NULL, with errno, when there is none.
 */
struct auth_failures *auth_failures_new(unsigned keys);
void auth_failures_free(struct auth_failures **failures);

/* Is the address banned, and for how long yet? remaining_ms may be NULL. */
bool auth_failures_is_banned(const struct auth_failures *failures,
			     const struct auth_ban_settings *settings, const struct ip *client,
			     int64_t now_ms, int64_t *remaining_ms);

struct auth_failure {
	int64_t delay_ms;      /* hold the reply back for so long */
	uint32_t from_address; /* failures of this address in its window, this one included */
	uint32_t of_login;
	bool is_banned; /* the address, from now on */
};

/* A login failed. login: as claimed, canonical; empty when it is not known. */
struct auth_failure auth_failures_add(struct auth_failures *failures,
				      const struct auth_ban_settings *settings,
				      const struct ip *client, struct span login,
				      int64_t now_ms);

/* A login succeeded. */
void auth_failures_forgive(struct auth_failures *failures,
			   const struct auth_ban_settings *settings, const struct ip *client,
			   struct span login, int64_t now_ms);

/* Let the address try again (an administrator said so). */
void auth_failures_unban(struct auth_failures *failures, const struct ip *client);

/*
 * The line for the operational log, which contrib/fail2ban reads:
 *
 *   auth failed: client=192.0.2.7 user=bob@example.com mechanism=PLAIN reason=auth.failed
 *   session=7F3K2M9
 *
 * on one line. The name is what a stranger claims: anything but printable ASCII, and blanks,
 * quotes, "=" and "\", become \xNN, so it cannot look like another field; "-" when it is not
 * known.
 */
bool auth_failure_text(struct buffer *out, const struct ip *client, struct span login,
		       const char *mechanism, const char *reason, const char *session);

#endif
