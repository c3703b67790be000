/* SPDX-License-Identifier: ISC */
/* Writing SMTP replies, and the table of those of the protocol; see reply.h. */
#include "smtp/reply.h"

#include <assert.h>

#define WRITTEN_MAX 2000 /* octets of host, text and id in one reply */
#define DOMAIN_ROOM 256	 /* of those, for the host at most */
#define ID_ROOM	    40	 /* of those, kept for " [ID]" */

struct entry {
	struct reply reply;
	bool has_host;
};

/* clang-format off */
static const struct entry table[REPLY_COUNT] = {
	/* Connection: RFC 5321 s.3.1, s.3.8, s.4.5.3.2; enhanced codes RFC 3463, RFC 5248 */
	[REPLY_BANNER] =                { { 220, { 0, 0, 0 }, "ESMTP relayd" }, true },              /* s.3.1 */
	[REPLY_HELLO] =                 { { 250, { 0, 0, 0 }, "" }, true },                          /* s.4.1.1.1 */
	[REPLY_SHUTDOWN] =              { { 421, { 4, 3, 2 }, "Service closing, try again" }, true },/* s.3.8 */
	[REPLY_OVERLOADED] =            { { 421, { 4, 3, 2 }, "Too busy, try again later" }, true }, /* s.4.2.3 */
	[REPLY_NOT_SERVED] =            { { 554, { 5, 7, 1 }, "No service for your address" }, true }, /* s.3.1 */
	[REPLY_TOO_MANY_ERRORS] =       { { 421, { 4, 7, 0 }, "Too many errors" }, true },           /* s.7.8 */
	[REPLY_TOO_MANY_CONNECTIONS] =  { { 421, { 4, 3, 2 }, "Too many connections from your address" }, true }, /* s.7.8 */
	[REPLY_CLOSING] =               { { 221, { 2, 0, 0 }, "Closing connection" }, true },        /* s.4.1.1.10 */
	[REPLY_FOREIGN_PROTOCOL] =      { { 421, { 4, 7, 0 }, "This is an SMTP server" }, true },    /* s.7.8 */

	/* Positive: RFC 5321 s.4.2.2 */
	[REPLY_OK] =                    { { 250, { 2, 0, 0 }, "OK" }, false },
	[REPLY_RESET] =                 { { 250, { 2, 0, 0 }, "Reset" }, false },                    /* s.4.1.1.5 */
	[REPLY_SENDER_OK] =             { { 250, { 2, 1, 0 }, "Sender OK" }, false },                /* s.4.1.1.2 */
	[REPLY_RECIPIENT_OK] =          { { 250, { 2, 1, 5 }, "Recipient OK" }, false },             /* s.4.1.1.3 */
	[REPLY_CHUNK_OK] =              { { 250, { 2, 0, 0 }, "Chunk received" }, false },           /* RFC 3030 s.2 */
	[REPLY_MESSAGE_OK] =            { { 250, { 2, 6, 0 }, "Queued" }, false },                   /* s.4.1.1.4 */
	[REPLY_NOOP] =                  { { 250, { 2, 0, 0 }, "OK" }, false },                       /* s.4.1.1.9 */
	[REPLY_HELP] =                  { { 214, { 2, 0, 0 }, "See RFC 5321, and your postmaster" }, false }, /* s.4.1.1.8 */
	[REPLY_CANNOT_VERIFY] =         { { 252, { 2, 5, 0 }, "Cannot verify, but will take mail that policy permits" }, false }, /* s.3.5.3, s.7.3 */
	[REPLY_START_DATA] =            { { 354, { 0, 0, 0 }, "Start mail input; end with <CRLF>.<CRLF>" }, false }, /* s.4.1.1.4 */
	[REPLY_START_TLS] =             { { 220, { 2, 0, 0 }, "Ready to start TLS" }, false },       /* RFC 3207 s.4 */

	/* Syntax: RFC 5321 s.4.2.4, s.4.3.2 */
	[REPLY_UNKNOWN_COMMAND] =       { { 500, { 5, 5, 1 }, "Unknown command" }, false },
	[REPLY_COMMAND_BAD_BYTES] =     { { 500, { 5, 5, 2 }, "Control or 8-bit characters in command" }, false }, /* s.2.4 */
	[REPLY_LINE_TOO_LONG] =         { { 500, { 5, 5, 2 }, "Line too long" }, false },            /* s.4.5.3.1.9 */
	[REPLY_NOT_IMPLEMENTED] =       { { 502, { 5, 5, 1 }, "Command not implemented" }, false },
	[REPLY_BAD_SYNTAX] =            { { 501, { 5, 5, 4 }, "Syntax error in arguments" }, false },
	[REPLY_BAD_HELLO] =             { { 501, { 5, 5, 4 }, "Invalid domain name" }, false },      /* s.4.1.1.1 */
	[REPLY_NO_ARGUMENT_ALLOWED] =   { { 501, { 5, 5, 4 }, "Command takes no argument" }, false },/* s.4.1.1 */
	[REPLY_BAD_ARGUMENT] =          { { 501, { 5, 5, 4 }, "Bad argument" }, false },
	[REPLY_BAD_PARAMETER] =         { { 501, { 5, 5, 4 }, "Bad value of a parameter" }, false },
	[REPLY_DUPLICATE_PARAMETER] =   { { 501, { 5, 5, 4 }, "Parameter given twice" }, false },    /* RFC 1869 s.4 */
	[REPLY_UNKNOWN_PARAMETER] =     { { 555, { 5, 5, 4 }, "Unsupported parameter" }, false },    /* s.4.1.1.11 */
	[REPLY_BAD_SENDER] =            { { 501, { 5, 1, 7 }, "Invalid address" }, false },          /* RFC 3463 s.3.2 */
	[REPLY_BAD_RECIPIENT] =         { { 501, { 5, 1, 3 }, "Invalid address" }, false },          /* RFC 3463 s.3.2 */
	[REPLY_NEEDS_SMTPUTF8] =        { { 553, { 5, 6, 7 }, "Non-ASCII address needs SMTPUTF8" }, false }, /* RFC 6531 s.3.5 */

	/* Order: RFC 5321 s.4.1.4 */
	[REPLY_HELLO_FIRST] =           { { 503, { 5, 5, 1 }, "Send hello first" }, false },
	[REPLY_MAIL_FIRST] =            { { 503, { 5, 5, 1 }, "Need MAIL command" }, false },
	[REPLY_RCPT_FIRST] =            { { 503, { 5, 5, 1 }, "Need RCPT command" }, false },
	[REPLY_NESTED_MAIL] =           { { 503, { 5, 5, 1 }, "Sender already given" }, false },     /* s.4.1.4 */
	[REPLY_BAD_SEQUENCE] =          { { 503, { 5, 5, 1 }, "Bad sequence of commands" }, false },
	[REPLY_DATA_AFTER_BDAT] =       { { 503, { 5, 5, 1 }, "DATA after BDAT" }, false },          /* RFC 3030 s.2 */
	[REPLY_BDAT_FAILED] =           { { 503, { 5, 5, 1 }, "Transaction failed, send RSET" }, false }, /* RFC 3030 s.2 */
	[REPLY_SPOKE_TOO_EARLY] =       { { 554, { 5, 5, 1 }, "Client spoke before its turn" }, false }, /* s.4.3.1 */
	[REPLY_NO_VALID_RECIPIENTS] =   { { 554, { 5, 5, 1 }, "No valid recipients" }, false },      /* s.3.3 */

	/* Limits: RFC 5321 s.4.5.3.1 */
	[REPLY_TOO_MANY_RECIPIENTS] =   { { 452, { 4, 5, 3 }, "Too many recipients" }, false },      /* s.4.5.3.1.10 */
	[REPLY_MESSAGE_TOO_BIG] =       { { 552, { 5, 3, 4 }, "Message size exceeds fixed maximum message size" }, false }, /* RFC 1870 s.6 */
	[REPLY_HEADER_TOO_BIG] =        { { 552, { 5, 3, 4 }, "Header size exceeds fixed maximum size" }, false },
	[REPLY_STORAGE_FULL] =          { { 452, { 4, 3, 1 }, "Insufficient system resources" }, false },
	[REPLY_STORAGE_TROUBLE] =       { { 451, { 4, 3, 0 }, "Cannot store the message now" }, false },
	[REPLY_POLICY_TROUBLE] =        { { 451, { 4, 3, 0 }, "Cannot decide now, try again later" }, false },

	/* The message */
	[REPLY_BARE_CR_OR_LF] =         { { 550, { 5, 6, 11 }, "Message holds a bare CR or LF" }, false }, /* RFC 5321 s.2.3.8; registry */
	[REPLY_NUL_IN_MESSAGE] =        { { 550, { 5, 6, 0 }, "Message holds a NUL" }, false },      /* RFC 5322 s.4.1 */
	[REPLY_LINE_IN_MESSAGE_TOO_LONG] = { { 550, { 5, 6, 0 }, "Message holds a line of more than 998 octets" }, false }, /* s.4.5.3.1.6 */
	[REPLY_8BIT_UNDECLARED] =       { { 550, { 5, 6, 3 }, "8-bit message needs BODY=8BITMIME" }, false }, /* RFC 6152 s.3 */
	[REPLY_BAD_HEADER] =            { { 550, { 5, 6, 0 }, "Malformed message header" }, false }, /* RFC 5322 s.2.2 */
	[REPLY_LOOP] =                  { { 554, { 5, 4, 6 }, "Hop count exceeded - possible mail loop" }, false }, /* s.6.3 */
	[REPLY_TRANSACTION_FAILED] =    { { 554, { 5, 0, 0 }, "Transaction failed" }, false },

	/* TLS: RFC 3207 s.4 and s.4.1; RFC 8689 s.4.1 */
	[REPLY_TLS_UNAVAILABLE] =       { { 454, { 4, 7, 0 }, "TLS not available now" }, false },
	[REPLY_TLS_REQUIRED] =          { { 530, { 5, 7, 0 }, "Must issue a STARTTLS command first" }, false },
	[REPLY_TLS_ALREADY] =           { { 503, { 5, 5, 1 }, "TLS already active" }, false },
	[REPLY_REQUIRETLS_NEEDS_TLS] =  { { 530, { 5, 7, 10 }, "REQUIRETLS needs TLS" }, false },

	/* AUTH: RFC 4954 s.4 to s.6 */
	[REPLY_AUTH_OK] =               { { 235, { 2, 7, 0 }, "Authentication successful" }, false },
	[REPLY_AUTH_CONTINUE] =         { { 334, { 0, 0, 0 }, "" }, false },
	[REPLY_AUTH_REQUIRED] =         { { 530, { 5, 7, 0 }, "Authentication required" }, false },
	[REPLY_AUTH_FAILED] =           { { 535, { 5, 7, 8 }, "Authentication credentials invalid" }, false },
	[REPLY_AUTH_TROUBLE] =          { { 454, { 4, 7, 0 }, "Temporary authentication failure" }, false },
	[REPLY_AUTH_NEEDS_TLS] =        { { 538, { 5, 7, 11 }, "Encryption required for requested authentication mechanism" }, false },
	[REPLY_AUTH_TOO_WEAK] =         { { 534, { 5, 7, 9 }, "Authentication mechanism is too weak" }, false },
	[REPLY_AUTH_CANCELLED] =        { { 501, { 5, 7, 0 }, "Authentication cancelled" }, false },
	[REPLY_AUTH_BAD_BASE64] =       { { 501, { 5, 5, 2 }, "Cannot decode response" }, false },
	[REPLY_AUTH_LINE_TOO_LONG] =    { { 500, { 5, 5, 6 }, "Authentication exchange line is too long" }, false },
	[REPLY_AUTH_UNKNOWN_MECHANISM] = { { 504, { 5, 5, 4 }, "Unrecognized authentication type" }, false },
	[REPLY_AUTH_ALREADY] =          { { 503, { 5, 5, 1 }, "Already authenticated" }, false },
	[REPLY_AUTH_IN_TRANSACTION] =   { { 503, { 5, 5, 1 }, "AUTH inside a mail transaction" }, false },
	[REPLY_AUTH_NOT_OFFERED] =      { { 503, { 5, 5, 1 }, "Authentication not enabled" }, false },
	[REPLY_XCLIENT_REFUSED] =       { { 550, { 5, 7, 0 }, "XCLIENT not authorized" }, false },
};
/* clang-format on */

const struct reply *
reply_of(enum reply_id id)
{
	assert(id < REPLY_COUNT);
	return &table[id].reply;
}

bool
reply_has_host(enum reply_id id)
{
	assert(id < REPLY_COUNT);
	return table[id].has_host;
}

/* Write n in decimal; how many octets. */
static size_t
decimal_put(char *out, unsigned n)
{
	char digits[5];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0 && count < sizeof(digits));
	for (size_t i = 0; i < count; i++)
		out[i] = digits[count - 1 - i];
	return count;
}

/* "550-5.7.1 ", or "550 " where there is no enhanced code. */
static size_t
prefix_put(char line[REPLY_LINE_MAX], unsigned code, const struct enhanced_code *enhanced,
	   bool is_last)
{
	size_t len = decimal_put(line, code);

	line[len++] = is_last ? ' ' : '-';
	if (enhanced->class == 0)
		return len;
	len += decimal_put(line + len, enhanced->class);
	line[len++] = '.';
	len += decimal_put(line + len, enhanced->subject);
	line[len++] = '.';
	len += decimal_put(line + len, enhanced->detail);
	line[len++] = ' ';
	return len;
}

static bool
line_append(struct buffer *out, unsigned code, const struct enhanced_code *enhanced,
	    struct span text, bool is_last)
{
	char line[REPLY_LINE_MAX];
	size_t len = prefix_put(line, code, enhanced, is_last);

	text = span_first(text, sizeof(line) - 2 - len);
	if (text.len > 0)
		memcpy(line + len, text.ptr, text.len);
	len += text.len;
	line[len++] = '\r';
	line[len++] = '\n';
	return buffer_append(out, (struct span){ .ptr = line, .len = len });
}

/* Copy as much as fits; '?' for what is not printable ASCII. The octets copied. */
static size_t
printable_put(char *out, size_t room, struct span text, bool keeps_newlines)
{
	text = span_first(text, room);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool is_kept = (c >= ' ' && c <= '~') || (c == '\n' && keeps_newlines);

		out[i] = is_kept ? c : c == '\t' ? ' ' : '?';
	}
	return text.len;
}

/* Where the line that begins the text ends: at a newline, else at a blank if it is too long. */
static size_t
line_end_find(struct span text, size_t room)
{
	size_t newline = span_find(span_first(text, room + 1), '\n');

	if (newline <= room && newline < text.len)
		return newline;
	if (text.len <= room)
		return text.len;
	for (size_t end = room; end > 0; end--) {
		if (text.ptr[end] == ' ')
			return end;
	}
	return room;
}

static bool
text_append(struct buffer *out, unsigned code, const struct enhanced_code *enhanced,
	    struct span text)
{
	char prefix[REPLY_LINE_MAX];
	size_t room = REPLY_LINE_MAX - 2 - prefix_put(prefix, code, enhanced, true);

	for (;;) {
		size_t end = line_end_find(text, room);
		bool is_last = end == text.len;

		if (!line_append(out, code, enhanced, span_first(text, end), is_last))
			return false;
		if (is_last)
			return true;
		text = span_skip(text, end);
		if (text.ptr[0] == '\n' || text.ptr[0] == ' ')
			text = span_skip(text, 1);
	}
}

static bool
reply_write(struct buffer *out, const struct reply *reply, struct span host, struct span id)
{
	char text[WRITTEN_MAX];
	size_t len = 0, before = out->len;

	len += printable_put(text, DOMAIN_ROOM, host, false);
	if (host.len > 0 && reply->text[0] != '\0')
		text[len++] = ' ';
	len += printable_put(text + len, sizeof(text) - ID_ROOM - len, span_of(reply->text), true);
	if (id.len > 0) {
		text[len++] = ' ';
		text[len++] = '[';
		len += printable_put(text + len, ID_ROOM - 3, id, false);
		text[len++] = ']';
	}
	if (text_append(out, reply->code, &reply->enhanced,
			(struct span){ .ptr = text, .len = len }))
		return true;
	out->len = before;
	return false;
}

bool
reply_append(struct buffer *out, const struct reply *reply, struct span id)
{
	return reply_write(out, reply, (struct span){ NULL, 0 }, id);
}

bool
reply_append_host(struct buffer *out, enum reply_id reply, struct span host, struct span id)
{
	if (!reply_has_host(reply))
		host.len = 0;
	return reply_write(out, reply_of(reply), host, id);
}

bool
reply_append_line(struct buffer *out, uint16_t code, struct span text, bool is_last)
{
	static const struct enhanced_code none = { 0, 0, 0 };
	char clean[REPLY_LINE_MAX];
	size_t len = printable_put(clean, sizeof(clean), text, false);

	return line_append(out, code, &none, (struct span){ .ptr = clean, .len = len }, is_last);
}
