/* SPDX-License-Identifier: ISC */
/* Passwords from people: asked for without echo, read from standard input, or made up. */
#ifndef RELAYD_CTL_PASSWORD_H
#define RELAYD_CTL_PASSWORD_H

#include "auth/verifier.h"

/* Holds a password; password_wipe it on every path out. */
struct password {
	char text[PASSWORD_MAX + 2]; /* terminated; room to notice one that is too long */
	size_t len;
};

/*
 * From a terminal: asked for twice, without echo. From anything else: the first line of
 * standard input. NULL, or what is wrong with it.
 */
const char *password_read(const char *login, struct password *password);

/* A new one, of 100 random bits in letters and digits that are not mistaken for each other. */
void password_generate(struct password *password);

static inline struct span
password_span(const struct password *password)
{
	return (struct span){ password->text, password->len };
}

void password_wipe(struct password *password);

#endif
