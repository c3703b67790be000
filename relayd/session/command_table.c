/* SPDX-License-Identifier: ISC */
/*
 * Which command may be given when (RFC 5321 s.4.1.4): one table, and the dispatcher that reads
 * it. A handler need not ask again for what its line says. docs/smtp.md has the same table in
 * words, and the tests walk every state times every verb.
 */
#include "session/session_private.h"

#define ACCEPTED REPLY_BANNER /* in the columns of states; never a refusal */

enum command_flag {
	/*
	 * Nothing may follow it before its reply (RFC 2920 s.3.1): what does was written by
	 * somebody who does not read replies, or smuggles. EHLO's answer says whether there is
	 * pipelining at all; what follows DATA unasked could be commands or content.
	 */
	ENDS_GROUP = 1,
	USELESS = 2, /* brings no message nearer; only so many between two messages */
};

struct command {
	bool (*run)(struct session *session, struct span argument);
	unsigned flags;
	enum session_state then; /* when run says true */
	enum reply_id in[STATE_COUNT]; /* ACCEPTED, or what is said instead */
};

#define ANYWHERE { ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED }

/* clang-format off */
static const struct command commands[VERB_COUNT] = {
	/*                   handler           flags                 then             CONNECTED          READY            MAIL                       RCPT               CHUNKS */
	[VERB_EHLO] =     { command_ehlo,     ENDS_GROUP | USELESS, STATE_READY,     ANYWHERE },
	[VERB_HELO] =     { command_helo,     ENDS_GROUP | USELESS, STATE_READY,     ANYWHERE },
	[VERB_MAIL] =     { command_mail,     0,                    STATE_MAIL,      { REPLY_HELLO_FIRST, ACCEPTED,        REPLY_NESTED_MAIL,         REPLY_NESTED_MAIL, REPLY_NESTED_MAIL } },
	[VERB_RCPT] =     { command_rcpt,     0,                    STATE_RCPT,      { REPLY_HELLO_FIRST, REPLY_MAIL_FIRST, ACCEPTED,                 ACCEPTED,          REPLY_BAD_SEQUENCE } },
	[VERB_DATA] =     { command_data,     ENDS_GROUP,           STATE_SAME,      { REPLY_HELLO_FIRST, REPLY_MAIL_FIRST, REPLY_NO_VALID_RECIPIENTS, ACCEPTED,         REPLY_DATA_AFTER_BDAT } },
	[VERB_BDAT] =     { command_bdat,     0,                    STATE_SAME,      ANYWHERE }, /* its chunk comes anyhow */
	[VERB_RSET] =     { command_rset,     USELESS,              STATE_SAME,      ANYWHERE },
	[VERB_NOOP] =     { command_noop,     USELESS,              STATE_SAME,      ANYWHERE },
	[VERB_QUIT] =     { command_quit,     0,                    STATE_SAME,      ANYWHERE },
	[VERB_VRFY] =     { command_vrfy,     USELESS,              STATE_SAME,      ANYWHERE },
	[VERB_EXPN] =     { command_expn,     USELESS,              STATE_SAME,      ANYWHERE },
	[VERB_HELP] =     { command_help,     USELESS,              STATE_SAME,      ANYWHERE },
	[VERB_STARTTLS] = { command_starttls, ENDS_GROUP,           STATE_CONNECTED, { REPLY_HELLO_FIRST, ACCEPTED,        REPLY_BAD_SEQUENCE,        REPLY_BAD_SEQUENCE, REPLY_BAD_SEQUENCE } },
	[VERB_XCLIENT] =  { command_xclient,  ENDS_GROUP,           STATE_CONNECTED, { ACCEPTED,          ACCEPTED,        REPLY_BAD_SEQUENCE,        REPLY_BAD_SEQUENCE, REPLY_BAD_SEQUENCE } },
	[VERB_AUTH] =     { command_auth,     ENDS_GROUP,           STATE_SAME,      { REPLY_HELLO_FIRST, ACCEPTED,        REPLY_AUTH_IN_TRANSACTION, REPLY_AUTH_IN_TRANSACTION, REPLY_AUTH_IN_TRANSACTION } },
};
/* clang-format on */

/* A verb that has no line in the table. */
static void
session_refuse_verb(struct session *session, enum verb verb)
{
	if (verb == VERB_UNKNOWN)
		session_protest(session, REPLY_UNKNOWN_COMMAND);
	else if (verb == VERB_FOREIGN)
		session_turn_away(session, REASON_SESSION_ERRORS, "a request of HTTP");
	else
		session_protest(session, REPLY_NOT_IMPLEMENTED);
}

static void
session_refuse_order(struct session *session, enum reply_id reply)
{
	/* whoever pipelines may send DATA before knowing that no recipient was accepted */
	if (reply == REPLY_NO_VALID_RECIPIENTS)
		session_say(session, reply);
	else
		session_protest(session, reply);
}

void
session_run_command(struct session *session, struct span line)
{
	struct command_line parsed;
	enum command_status status = command_line_parse(line, &parsed);
	const struct command *command = &commands[parsed.verb];

	if (parsed.verb == VERB_FOREIGN) {
		session_refuse_verb(session, parsed.verb);
		return;
	}
	if (status != COMMAND_OK) {
		session_protest(session, REPLY_COMMAND_BAD_BYTES);
		return;
	}
	if (command->run == NULL) {
		session_refuse_verb(session, parsed.verb);
		return;
	}
	if ((command->flags & ENDS_GROUP) != 0 && session->behind > 0) {
		session_turn_away(session, REASON_SESSION_EARLY_TALKER,
				  "spoke on before a reply that it must wait for");
		return;
	}
	if ((command->flags & USELESS) != 0 && !session_may_dawdle(session))
		return;
	if (command->in[session->state] != ACCEPTED) {
		session_refuse_order(session, command->in[session->state]);
		return;
	}
	if (command->run(session, parsed.argument) && command->then != STATE_SAME)
		session->state = command->then;
}
