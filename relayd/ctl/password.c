/* SPDX-License-Identifier: ISC */
/* Passwords from people; see password.h. */
#include "ctl/password.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define CONTROL_C      3
#define GROUPS	       5
#define GROUP_LETTERS  4

void
password_wipe(struct password *password)
{
	memory_wipe(password, sizeof(*password));
}

static const char *
password_judge(const struct password *password)
{
	struct span rest = password_span(password);

	if (rest.len == 0)
		return "an empty password is none";
	if (rest.len > PASSWORD_MAX)
		return "that password is too long";
	while (rest.len > 0) {
		uint32_t code;
		size_t octets = utf8_decode(rest, &code);

		if (octets == 0)
			return "that password is not UTF-8";
		if (code < 0x20 || (code >= 0x7f && code < 0xa0))
			return "a password cannot hold control characters";
		rest = span_skip(rest, octets);
	}
	return NULL;
}

/* One line, octet by octet, so that nothing of it stays in a buffer of stdio's. */
static bool
line_read(struct password *password)
{
	password->len = 0;
	for (;;) {
		char c;
		ssize_t got = read(STDIN_FILENO, &c, 1);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1 || (got == 1 && c == CONTROL_C))
			return false;
		if (got == 0 || c == '\n')
			break;
		if (password->len < sizeof(password->text) - 1)
			password->text[password->len++] = c;
	}
	if (password->len > 0 && password->text[password->len - 1] == '\r')
		password->len--;
	password->text[password->len] = '\0';
	return true;
}

/*
 * Neither echo nor signals meanwhile: ^C ends the line, as one octet of it, and with it the
 * question; the terminal is as before on every way out.
 */
static bool
terminal_ask(const char *question, struct password *password)
{
	struct termios before, silent;

	if (tcgetattr(STDIN_FILENO, &before) == -1)
		return false;
	silent = before;
	silent.c_lflag &= (tcflag_t)~(ECHO | ISIG);
	silent.c_lflag |= ECHONL;
	silent.c_cc[VEOL] = CONTROL_C;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == -1)
		return false;
	(void)fputs(question, stderr);
	bool is_read = line_read(password);

	if (!is_read)
		(void)fputc('\n', stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return is_read;
}

const char *
password_read(const char *login, struct password *password)
{
	struct password again;
	const char *problem;

	if (isatty(STDIN_FILENO) == 0) {
		if (!line_read(password))
			return "standard input cannot be read";
		return password_judge(password);
	}
	(void)fprintf(stderr, "%s\n", login);
	if (!terminal_ask("new password: ", password))
		return "nothing was changed";
	problem = password_judge(password);
	if (problem != NULL)
		return problem;
	if (!terminal_ask("the same again: ", &again))
		problem = "nothing was changed";
	else if (!span_equal(password_span(password), password_span(&again)))
		problem = "the two are not the same; nothing was changed";
	password_wipe(&again);
	return problem;
}

void
password_generate(struct password *password)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* no l, o, 0, 1 */
	unsigned char octets[GROUPS * GROUP_LETTERS];

	static_assert(sizeof(letters) - 1 == 32, "five bits a letter");
	digest_random(octets, sizeof(octets));
	password->len = 0;
	for (size_t i = 0; i < sizeof(octets); i++) {
		if (i > 0 && i % GROUP_LETTERS == 0)
			password->text[password->len++] = '-';
		password->text[password->len++] = letters[octets[i] & 31];
	}
	password->text[password->len] = '\0';
	memory_wipe(octets, sizeof(octets));
}
