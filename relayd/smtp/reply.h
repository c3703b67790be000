/* SPDX-License-Identifier: ISC */
/*
 * SMTP replies, both ways: the table of those that the protocol itself makes us give (those
 * of policy have a table of their own), writing them, and reading a next hop's.
 */
#ifndef RELAYD_SMTP_REPLY_H
#define RELAYD_SMTP_REPLY_H

#include "base/buffer.h"

#define REPLY_LINE_MAX 512 /* octets with CRLF; RFC 5321 s.4.5.3.1.5 */

/* RFC 3463 s.2. class 0: the reply has none (RFC 2034 s.4: banner, hello, 3xx). */
struct enhanced_code {
	uint16_t class;
	uint16_t subject;
	uint16_t detail;
};

struct reply {
	uint16_t code;
	struct enhanced_code enhanced;
	const char *text;
};

enum reply_id {
	/* Those marked "host" begin with our name: write them with reply_append_host. */
	REPLY_BANNER, /* host */
	REPLY_HELLO, /* host */
	REPLY_SHUTDOWN, /* host */
	REPLY_OVERLOADED, /* host */
	REPLY_NOT_SERVED, /* host */
	REPLY_TOO_MANY_ERRORS, /* host */
	REPLY_TOO_MANY_CONNECTIONS, /* host */
	REPLY_CLOSING, /* host */
	REPLY_FOREIGN_PROTOCOL, /* host */
	REPLY_OK,
	REPLY_RESET,
	REPLY_SENDER_OK,
	REPLY_RECIPIENT_OK,
	REPLY_CHUNK_OK,
	REPLY_MESSAGE_OK,
	REPLY_NOOP,
	REPLY_HELP,
	REPLY_CANNOT_VERIFY,
	REPLY_START_DATA,
	REPLY_START_TLS,
	REPLY_UNKNOWN_COMMAND,
	REPLY_COMMAND_BAD_BYTES,
	REPLY_LINE_TOO_LONG,
	REPLY_NOT_IMPLEMENTED,
	REPLY_BAD_SYNTAX,
	REPLY_BAD_HELLO,
	REPLY_NO_ARGUMENT_ALLOWED,
	REPLY_BAD_ARGUMENT,
	REPLY_BAD_PARAMETER,
	REPLY_DUPLICATE_PARAMETER,
	REPLY_UNKNOWN_PARAMETER,
	REPLY_BAD_SENDER,
	REPLY_BAD_RECIPIENT,
	REPLY_NEEDS_SMTPUTF8,
	REPLY_HELLO_FIRST,
	REPLY_MAIL_FIRST,
	REPLY_RCPT_FIRST,
	REPLY_NESTED_MAIL,
	REPLY_BAD_SEQUENCE,
	REPLY_DATA_AFTER_BDAT,
	REPLY_BDAT_FAILED,
	REPLY_SPOKE_TOO_EARLY,
	REPLY_NO_VALID_RECIPIENTS,
	REPLY_TOO_MANY_RECIPIENTS,
	REPLY_MESSAGE_TOO_BIG,
	REPLY_HEADER_TOO_BIG,
	REPLY_STORAGE_FULL,
	REPLY_STORAGE_TROUBLE,
	REPLY_POLICY_TROUBLE,
	REPLY_BARE_CR_OR_LF,
	REPLY_NUL_IN_MESSAGE,
	REPLY_LINE_IN_MESSAGE_TOO_LONG,
	REPLY_8BIT_UNDECLARED,
	REPLY_BAD_HEADER,
	REPLY_LOOP,
	REPLY_TRANSACTION_FAILED,
	REPLY_TLS_UNAVAILABLE,
	REPLY_TLS_REQUIRED,
	REPLY_TLS_ALREADY,
	REPLY_REQUIRETLS_NEEDS_TLS,
	REPLY_AUTH_OK,
	REPLY_AUTH_CONTINUE,
	REPLY_AUTH_REQUIRED,
	REPLY_AUTH_FAILED,
	REPLY_AUTH_TROUBLE,
	REPLY_AUTH_NEEDS_TLS,
	REPLY_AUTH_TOO_WEAK,
	REPLY_AUTH_CANCELLED,
	REPLY_AUTH_BAD_BASE64,
	REPLY_AUTH_LINE_TOO_LONG,
	REPLY_AUTH_UNKNOWN_MECHANISM,
	REPLY_AUTH_ALREADY,
	REPLY_AUTH_IN_TRANSACTION,
	REPLY_AUTH_NOT_OFFERED,
	REPLY_XCLIENT_REFUSED,
	REPLY_COUNT,
};

/* The table's entry; never NULL for an id below REPLY_COUNT. */
const struct reply *reply_of(enum reply_id id);

/* Does the table's text expect our host name in front? */
bool reply_has_host(enum reply_id id);

/*
 * Append the reply: code, enhanced code, text, " [ID]" unless id is empty, CRLF. A text that
 * does not fit one line of 512 octets, or holds '\n', becomes a reply of several lines. What
 * is not printable ASCII in it is written as '?', so that no text can end a reply. False, and
 * nothing appended, when out would exceed its limit.
 */
bool reply_append(struct buffer *out, const struct reply *reply, struct span id);

/* The same for an entry of the table, host first if the entry expects it. */
bool reply_append_host(struct buffer *out, enum reply_id reply, struct span host,
		       struct span id);

/* One line of a reply that the caller builds line by line (EHLO); cut at 512 octets. */
bool reply_append_line(struct buffer *out, uint16_t code, struct span text, bool is_last);

/* What the session's class of reply means for what comes next. */
static inline bool
reply_code_is_permanent(unsigned code)
{
	return code >= 500 && code <= 599;
}

static inline bool
reply_code_is_temporary(unsigned code)
{
	return code >= 400 && code <= 499;
}

static inline bool
reply_code_is_positive(unsigned code)
{
	return code >= 200 && code <= 299;
}

/*
 * Reading the replies of a next hop, which is as hostile as any client.
 */
#define REPLY_TEXT_MAX	1000	   /* octets of text that are kept */
#define REPLY_LINES_MAX 100	   /* of one reply */
#define REPLY_TOTAL_MAX (64 << 10) /* octets of one reply */

/* What a server's EHLO reply offers; RFC 5321 s.4.1.1.1. */
enum ehlo_offer {
	EHLO_PIPELINING = 1 << 0,
	EHLO_SIZE = 1 << 1,
	EHLO_8BITMIME = 1 << 2,
	EHLO_SMTPUTF8 = 1 << 3,
	EHLO_CHUNKING = 1 << 4,
	EHLO_DSN = 1 << 5,
	EHLO_STARTTLS = 1 << 6,
	EHLO_AUTH = 1 << 7,
	EHLO_REQUIRETLS = 1 << 8,
	EHLO_LIMITS = 1 << 9,
	EHLO_ENHANCEDSTATUSCODES = 1 << 10,
	EHLO_BINARYMIME = 1 << 11,
};

#define EHLO_MECHANISMS_MAX 256 /* octets of the names of the AUTH mechanisms */

/* All zero: nothing offered. */
struct ehlo {
	unsigned offers; /* of enum ehlo_offer */
	uint64_t size_max; /* octets; 0: not stated */
	uint64_t mail_max; /* transactions a connection, LIMITS MAILMAX (RFC 9422); 0: not stated */
	uint64_t rcpt_max; /* recipients a transaction, LIMITS RCPTMAX; 0: not stated */
	size_t mechanisms_len;
	char mechanisms[EHLO_MECHANISMS_MAX]; /* upper case, one blank between; not terminated */
};

/* Add what one line of the reply (after "250-") says; unknown keywords are ignored. */
void ehlo_line_add(struct ehlo *ehlo, struct span line);

/* Is the mechanism among those offered? Any case. */
bool ehlo_has_mechanism(const struct ehlo *ehlo, struct span mechanism);

/* Reads one reply after another, in pieces of any size. Embedded by value. */
struct reply_parser {
	/* The reply, once it is ready. */
	uint16_t code;
	struct enhanced_code enhanced; /* class 0: none, or one that contradicts the code */
	size_t text_len;
	char text[REPLY_TEXT_MAX]; /* printable ASCII, lines joined by a blank, codes left out */

	struct ehlo *ehlo; /* where the lines after the first go too, or NULL */

	/* The reply so far. */
	unsigned state;
	unsigned line_code;
	unsigned lines;
	size_t total_octets;
	bool is_last_line;
	size_t line_len;
	char line[REPLY_TEXT_MAX]; /* the text of the current line, as far as it fits */
};

enum reply_progress {
	REPLY_MORE, /* all was taken, the reply goes on */
	REPLY_READY, /* *in begins after the reply */
	REPLY_MALFORMED, /* this is no SMTP server, or a hostile one: close; stays so */
};

void reply_parser_init(struct reply_parser *parser);

/*
 * Take bytes off the front of *in up to the end of one reply. After REPLY_READY the fields
 * hold it until the next call, which begins the next reply. Strict: every line carries the
 * same code from 200 to 599; lines end with CRLF or LF; the limits above. Set ehlo (and zero
 * what it points to) before reading the reply to EHLO, and set it to NULL after.
 */
enum reply_progress reply_parser_feed(struct reply_parser *parser, struct span *in);

static inline struct span
reply_parser_text(const struct reply_parser *parser)
{
	return (struct span){ .ptr = parser->text, .len = parser->text_len };
}

/* "5.7.1 " off the front of a text, when its class is that of the code (RFC 2034 s.3). */
enum parse_status enhanced_code_take(struct span *in, unsigned code,
				     struct enhanced_code *enhanced);

#endif
