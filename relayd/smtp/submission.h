/* SPDX-License-Identifier: ISC */
/*
 * A message as a program on the same machine hands it over, whole and in memory: a file in
 * the pickup directory, or the standard input of relayd-sendmail. Lines may end with LF or
 * CRLF. Who sends it to whom stands in the message:
 *
 *   X-Sender: <a@example.com>           the envelope, as Exchange's and IIS's pickup and
 *   X-Receiver: <b@example.net>         replay directories take it, one line a recipient
 *
 * or, without any X-Receiver, in Sender or From, and in To, Cc and Bcc; where there are
 * Resent- fields they take the place of those (RFC 5322 s.3.6.6).
 */
#ifndef RELAYD_SMTP_SUBMISSION_H
#define RELAYD_SMTP_SUBMISSION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "smtp/address.h"

#define SUBMISSION_RECIPIENTS_MAX 5000

/* Both borrow from the text. */
struct submission {
	struct span header; /* its lines; empty: the message has none */
	struct span body;   /* behind the empty line */
};

/* Cut a message in two. A first line "From ..." of a mailbox file is left out. */
struct submission submission_split(struct span text);

struct submission_field {
	struct span name;
	struct span value; /* may be folded */
	struct span whole; /* all its lines */
};

/* Take the next field off the front; false at the end. */
bool submission_field_next(struct span *header, struct submission_field *field);

/* How often the field is there; the name is compared without case. */
size_t submission_field_count(const struct submission *submission, const char *name);

struct submission_envelope {
	struct address sender; /* may be null: "X-Sender: <>" */
	struct address *recipients;
	size_t recipient_count;
};

enum submission_use {
	SUBMISSION_SENDER = 1,
	SUBMISSION_RECIPIENTS = 2,
};

/*
 * Read the envelope, or the part of it that is wanted (of enum submission_use), into the
 * arena; no recipient twice. False, and the fault says which field and what is wrong with it.
 */
bool submission_envelope_read(const struct submission *submission, unsigned uses,
			      struct arena *arena, struct submission_envelope *envelope,
			      struct fault *fault) MUST_CHECK;

/* What a program may leave out and gets added; empty: nothing is added. */
struct submission_additions {
	struct span from;	/* value of From */
	struct span message_id; /* value of Message-ID */
	int64_t date_wall_ms;	/* 0: no Date is added */
};

/*
 * Append the message as SMTP sends it: every line with CRLF, the fields of the envelope
 * (X-Sender, X-Receiver) and blind copies (Bcc, Resent-Bcc) gone, what is missing added.
 * False, and out undefined, when it would exceed its limit.
 */
bool submission_write(const struct submission *submission,
		      const struct submission_additions *additions, struct buffer *out);

#endif
