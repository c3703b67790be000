/* SPDX-License-Identifier: ISC */
/* Delivery status notifications; see report.h. */
#include "delivery/report.h"

#include "base/clock.h"
#include "delivery/rewrite.h"
#include "smtp/address.h"

#include <stdio.h>

#define TEXT_WIDTH    74
#define LINE_CUT      900  /* octets of a line that cannot be folded */
#define SUBJECT_MAX   200  /* octets of the original's subject that is repeated */
#define QP_WIDTH      75   /* octets of a line before its "="; RFC 2045 s.6.7 */
#define BOUNDARY_MAX  64

/* ---- Words ---- */

static bool
is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] >= 0x80)
			return false;
	}
	return true;
}

const char *
report_action_name(enum report_action action)
{
	static const char *const names[] = {
		[REPORT_FAILED] = "failed",
		[REPORT_DELAYED] = "delayed",
		[REPORT_DELIVERED] = "delivered",
		[REPORT_RELAYED] = "relayed",
	};

	return names[action];
}

/* "550 5.1.1 text" and "5.1.1 text" both have one; class 0: none. */
static struct enhanced_code
reply_status(struct span reply, unsigned *code)
{
	struct enhanced_code status = { .class = 0 };
	struct span rest = reply;
	uint64_t number;

	*code = 0;
	if (rest.len > 3 && rest.ptr[3] == ' ' &&
	    number_parse(span_first(rest, 3), 599, &number) == PARSE_OK) {
		*code = (unsigned)number;
		rest = span_skip(rest, 4);
	}
	if (enhanced_code_take(&rest, *code > 0 ? *code
				      : rest.len > 0 && rest.ptr[0] == '4' ? 400U
				      : rest.len > 0 && rest.ptr[0] == '2' ? 200U : 500U,
			       &status) != PARSE_OK)
		status = (struct enhanced_code){ .class = 0 };
	return status;
}

struct enhanced_code
report_status(const struct report_recipient *recipient)
{
	static const unsigned classes[] = {
		[REPORT_FAILED] = 5,
		[REPORT_DELAYED] = 4,
		[REPORT_DELIVERED] = 2,
		[REPORT_RELAYED] = 2,
	};
	uint16_t class = (uint16_t)classes[recipient->action];
	unsigned code;
	struct enhanced_code status = reply_status(recipient->reply, &code);

	if (recipient->is_expired)
		return (struct enhanced_code){ 4, 4, 7 }; /* RFC 3463 s.3.5 */
	if (status.class == class)
		return status;
	return (struct enhanced_code){ .class = class };
}

/* ---- A next hop that does not relay ---- */

bool
report_is_relay_refusal(struct span reply)
{
	/* lower case; as Exchange, Postfix, Sendmail, Exim, qmail and others say it */
	static const char *const words[] = {
		"unable to relay",	"relay access denied",	  "relaying denied",
		"relay denied",		"relay not permitted",	  "not permitted to relay",
		"relaying not allowed", "relay not allowed",	  "not allowed to relay",
		"relaying prohibited",	"relaying is prohibited", "we do not relay",
		"cannot relay",		"relaying is not allowed", "no relaying allowed",
		"authentication required for relay", "refused to relay", "not relaying",
		"rcpthosts",		"not authorized for relay",
	};
	unsigned code;
	struct enhanced_code status = reply_status(reply, &code);

	if (code < 500)
		return false;
	/* Exchange: 5.7.54 Unable to relay, 5.7.64 Relay Access Denied; 5.7.367 is ours */
	if (status.class == 5 && status.subject == 7 &&
	    (status.detail == 54 || status.detail == 64 || status.detail == 367))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct span word = span_of(words[i]);

		for (struct span in = reply; in.len >= word.len; in = span_skip(in, 1)) {
			if (span_starts_fold(in, word))
				return true;
		}
	}
	return false;
}

/* ---- What to do about it ---- */

struct advice {
	struct enhanced_code status; /* detail 0: any of the subject */
	const char *text;
};

static const struct advice advice_table[] = {
	{ { 5, 1, 1 }, "Check the address for typing errors: the server knows no such mailbox." },
	{ { 5, 1, 2 }, "Check the part behind the @: there is no such domain." },
	{ { 5, 1, 6 }, "The mailbox has moved; ask the recipient for the new address." },
	{ { 5, 1, 10 }, "The domain does not take mail at all; check the address." },
	{ { 5, 1, 0 }, "Check the address, and ask the recipient whether it is still in use." },
	{ { 5, 2, 2 }, "The mailbox is full; tell the recipient by other means." },
	{ { 5, 2, 3 }, "Send a smaller message, or a link instead of the attachment." },
	{ { 5, 2, 0 }, "The mailbox does not take mail now; tell the recipient by other means." },
	{ { 5, 3, 4 }, "Send a smaller message, or a link instead of the attachment." },
	{ { 5, 4, 6 }, "The message went round in circles; tell your administrator." },
	{ { 5, 6, 7 }, "The server takes no international addresses; use an address in plain "
		       "letters." },
	{ { 5, 6, 3 }, "The server takes no 8-bit content; have the program that sends it encode "
		       "it (quoted-printable or base64)." },
	{ { 5, 6, 0 }, "The server does not take this kind of content; tell the administrator of "
		       "the program that sent it." },
	{ { 5, 7, 30 }, "The message demands encryption all the way, and the next server does "
			"not offer it." },
	{ { 5, 7, 367 }, "There is nothing you can do: the server behind this one does not relay "
			 "for it. Tell your administrator." },
	{ { 5, 7, 0 }, "The server's policy refuses it. If its answer does not say why, ask the "
		       "recipient's administrator." },
	{ { 4, 4, 7 }, "The server could not be reached, or would not take it, for too long. Send "
		       "it again later, or tell your administrator." },
};

static const char *
advice_find(const struct report_recipient *recipient)
{
	struct enhanced_code status = report_status(recipient);

	if (recipient->action == REPORT_DELAYED)
		return "Nothing: it is tried again and again. Do not send it a second time.";
	if (recipient->action != REPORT_FAILED)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(advice_table); i++) {
		const struct enhanced_code *entry = &advice_table[i].status;

		if (entry->class == status.class && entry->subject == status.subject &&
		    (entry->detail == status.detail || entry->detail == 0))
			return advice_table[i].text;
	}
	return "If the answer does not say what is wrong, tell your administrator.";
}

/* ---- Writing ---- */

/* Bytes from elsewhere: no control byte gets out, and beyond ASCII only good UTF-8. */
static void
clean_append(struct buffer *out, struct span text)
{
	bool is_text = utf8_is_valid(text) || is_ascii(text);

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool is_bad = ascii_is_control(c) || (!is_text && (unsigned char)c >= 0x80);

		(void)buffer_append_byte(out, is_bad ? '?' : c);
	}
}

/*
 * Append words, in lines that begin with indent and go on with it, at most width octets where
 * a blank allows it. column: how much of the first line there is already. No line end.
 */
static void
words_append(struct buffer *out, struct span words, const char *line_start, size_t width,
	     size_t column)
{
	while (words.len > 0) {
		size_t len = span_find(words, ' ');
		struct span word = span_first(words, len < LINE_CUT ? len : LINE_CUT);

		if (column > 0 && column + 1 + word.len > width) {
			(void)buffer_append_text(out, "\r\n");
			(void)buffer_append_text(out, line_start);
			column = strlen(line_start);
		} else if (column > 0 && out->len > 0 && out->ptr[out->len - 1] != ' ') {
			(void)buffer_append_byte(out, ' ');
			column++;
		}
		clean_append(out, word);
		column += word.len;
		words = span_skip(words, word.len);
		while (words.len > 0 && words.ptr[0] == ' ')
			words = span_skip(words, 1);
	}
}

/* A paragraph of the text part, wrapped. */
static void
paragraph_append(struct buffer *out, const char *indent, struct span text)
{
	(void)buffer_append_text(out, indent);
	words_append(out, text, indent, TEXT_WIDTH, strlen(indent));
	(void)buffer_append_text(out, "\r\n");
}

/* "Name: value", folded. */
static void
field_append(struct buffer *out, const char *name, struct span value)
{
	(void)buffer_append_text(out, name);
	(void)buffer_append_text(out, ": ");
	words_append(out, value, " ", TEXT_WIDTH, strlen(name) + 2);
	(void)buffer_append_text(out, "\r\n");
}

static void
field_append_time(struct buffer *out, const char *name, int64_t wall_ms)
{
	(void)buffer_append_text(out, name);
	(void)buffer_append_text(out, ": ");
	(void)clock_rfc5322(wall_ms, out);
	(void)buffer_append_text(out, "\r\n");
}

/* xtext of RFC 3461 s.4, decoded: what would be a control byte is written as '?'. */
static void
xtext_append(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		static const char digits[] = "0123456789ABCDEF";
		const char *high = NULL, *low = NULL;

		if (text.ptr[i] == '+' && i + 2 < text.len) {
			high = memchr(digits, text.ptr[i + 1], 16);
			low = memchr(digits, text.ptr[i + 2], 16);
		}
		if (high == NULL || low == NULL) {
			clean_append(out, (struct span){ text.ptr + i, 1 });
			continue;
		}
		char c = (char)((high - digits) * 16 + (low - digits));

		(void)buffer_append_byte(out, c < ' ' || c == 0x7f ? '?' : c);
		i += 2;
	}
}

/* One character of UTF-8 off the front, as a number. The text is valid. */
static unsigned
character_take(struct span *text)
{
	unsigned char first = (unsigned char)text->ptr[0];
	size_t octets = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	unsigned value = octets == 1 ? first : first & (0xffU >> (octets + 1));

	for (size_t i = 1; i < octets && i < text->len; i++)
		value = value << 6 | ((unsigned char)text->ptr[i] & 0x3fU);
	*text = span_skip(*text, octets < text->len ? octets : text->len);
	return value;
}

/*
 * An address with its type: "rfc822; a@b", or RFC 6533 s.3's "utf-8; ...", as it is where
 * 8-bit text may stand and else with \x{...} for what is not ASCII.
 */
static void
typed_address_append(struct buffer *out, struct span address, bool takes_utf8)
{
	if (is_ascii(address)) {
		(void)buffer_append_text(out, "rfc822; ");
		clean_append(out, address);
		return;
	}
	(void)buffer_append_text(out, "utf-8; ");
	if (takes_utf8 || !utf8_is_valid(address)) {
		clean_append(out, address);
		return;
	}
	while (address.len > 0) {
		unsigned c = character_take(&address);

		if (c < 0x80)
			(void)buffer_append_byte(out, (char)c);
		else
			(void)buffer_printf(out, "\\x{%X}", c);
	}
}

/* Quoted-printable, RFC 2045 s.6.7; CRLF stays what it is. */
static void
quoted_printable_append(struct buffer *out, struct span text)
{
	size_t column = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool ends_line = c == '\n' || (c == '\r' && i + 1 < text.len &&
					       text.ptr[i + 1] == '\n');
		bool is_last = i + 1 == text.len || text.ptr[i + 1] == '\r' ||
			       text.ptr[i + 1] == '\n';
		bool is_plain = (c > ' ' && c < 0x7f && c != '=') ||
				((c == ' ' || c == '\t') && !is_last);

		if (ends_line) {
			if (c == '\n') {
				(void)buffer_append_text(out, "\r\n");
				column = 0;
			}
			continue;
		}
		if (column + (is_plain ? 1 : 3) > QP_WIDTH) {
			(void)buffer_append_text(out, "=\r\n");
			column = 0;
		}
		if (is_plain)
			(void)buffer_append_byte(out, c);
		else
			(void)buffer_printf(out, "=%02X", (unsigned)(unsigned char)c);
		column += is_plain ? 1 : 3;
	}
}

/* ---- The parts ---- */

struct composition {
	const struct report *report;
	struct buffer *out;
	bool is_utf8; /* its reader's address is: 8-bit text may stand everywhere */
	bool is_8bit; /* some of it is */
	char boundary[BOUNDARY_MAX];
};

static size_t
action_count(const struct report *report, enum report_action action)
{
	size_t count = 0;

	for (size_t i = 0; i < report->recipient_count; i++)
		count += report->recipients[i].action == action;
	return count;
}

/* The first kind that is there, the worst first. */
static enum report_action
report_kind(const struct report *report)
{
	enum report_action kind = REPORT_FAILED;

	while (kind < REPORT_RELAYED && action_count(report, kind) == 0)
		kind++;
	return kind;
}

static bool
octets_have(struct span in, struct span part)
{
	for (; in.len >= part.len; in = span_skip(in, 1)) {
		size_t at = span_find(in, part.ptr[0]);

		if (in.len - at < part.len)
			return false;
		in = span_skip(in, at);
		if (memcmp(in.ptr, part.ptr, part.len) == 0)
			return true;
	}
	return false;
}

static void
boundary_choose(struct composition *c)
{
	unsigned n = 0;

	do {
		(void)snprintf(c->boundary, sizeof(c->boundary), "=_%.*s/%u",
			       SPAN_ARG(span_first(c->report->id, 40)), n++);
	} while (octets_have(c->report->original, span_of(c->boundary)));
}

static void
part_begin(const struct composition *c, const char *type, const char *encoding)
{
	(void)buffer_printf(c->out, "\r\n--%s\r\nContent-Type: %s\r\n", c->boundary, type);
	if (encoding != NULL)
		(void)buffer_printf(c->out, "Content-Transfer-Encoding: %s\r\n", encoding);
	(void)buffer_append_text(c->out, "\r\n");
}

static struct span
original_header(const struct report *report)
{
	struct span rest = report->original;
	struct header_line line;

	while (header_line_take(&rest, &line) == HEADER_FIELD)
		;
	return span_first(report->original, report->original.len - rest.len);
}

static void
subject_append(const struct composition *c)
{
	static const char *const kinds[] = {
		[REPORT_FAILED] = "Undeliverable: ",
		[REPORT_DELAYED] = "Delayed: ",
		[REPORT_DELIVERED] = "Delivered: ",
		[REPORT_RELAYED] = "Relayed: ",
	};
	struct buffer subject;
	struct buffer line;

	buffer_init(&subject, SUBJECT_MAX);
	buffer_init(&line, SUBJECT_MAX + 100);
	(void)buffer_append_text(&line, kinds[report_kind(c->report)]);
	if (header_find(c->report->original, span_of("Subject"), &subject) && subject.len > 0 &&
	    is_ascii(buffer_span(&subject)))
		clean_append(&line, buffer_span(&subject));
	else
		(void)buffer_append_text(&line, "your message");
	field_append(c->out, "Subject", buffer_span(&line));
	buffer_reset(&line);
	buffer_reset(&subject);
}

/* In-Reply-To and References, where the original has a name that can stand there. */
static void
references_append(const struct composition *c)
{
	struct buffer id;

	buffer_init(&id, LINE_CUT);
	if (header_find(c->report->original, span_of("Message-ID"), &id) && id.len > 2 &&
	    id.ptr[0] == '<' && id.ptr[id.len - 1] == '>' && is_ascii(buffer_span(&id)) &&
	    span_find(buffer_span(&id), ' ') == id.len) {
		field_append(c->out, "In-Reply-To", buffer_span(&id));
		field_append(c->out, "References", buffer_span(&id));
	}
	buffer_reset(&id);
}

static void
header_append(const struct composition *c)
{
	const struct report *report = c->report;
	struct buffer *out = c->out;

	field_append_time(out, "Date", report->now_wall_ms);
	(void)buffer_append_text(out, "From: Mail Delivery System <");
	clean_append(out, report->from);
	(void)buffer_append_text(out, ">\r\nTo: <");
	clean_append(out, report->to);
	(void)buffer_append_text(out, ">\r\n");
	subject_append(c);
	(void)buffer_printf(out, "Message-ID: <%.*s.%lld@%.*s>\r\n", SPAN_ARG(report->id),
			    (long long)report->now_wall_ms, SPAN_ARG(report->hostname));
	references_append(c);
	(void)buffer_printf(out,
			    "Auto-Submitted: auto-replied\r\n"
			    "MIME-Version: 1.0\r\n"
			    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
			    "\tboundary=\"%s\"\r\n"
			    "\r\n"
			    "This is a MIME message about the delivery of mail.\r\n",
			    c->boundary);
}

/* What one server said, or what happened instead. */
static void
happening_append(struct buffer *out, const struct report_recipient *recipient)
{
	unsigned code;
	struct buffer line;

	(void)reply_status(recipient->reply, &code);
	buffer_init(&line, 4096);
	switch (recipient->action) {
	case REPORT_FAILED:
		(void)buffer_append_text(&line, recipient->is_expired
						    ? "It was tried for too long. The last time "
						    : "");
		break;
	case REPORT_DELAYED:
		(void)buffer_append_text(&line, "It is not delivered yet. ");
		break;
	case REPORT_DELIVERED:
		(void)buffer_append_text(&line, "It was delivered.");
		break;
	case REPORT_RELAYED:
		(void)buffer_append_text(&line, "It was handed to ");
		clean_append(&line, recipient->next_hop);
		(void)buffer_append_text(&line, ", which does not report what becomes of it.");
		break;
	}
	if ((recipient->action == REPORT_FAILED || recipient->action == REPORT_DELAYED) &&
	    recipient->reply.len > 0) {
		if (code > 0 && recipient->next_hop.len > 0) {
			clean_append(&line, recipient->next_hop);
			(void)buffer_append_text(&line, " answered: ");
		} else {
			(void)buffer_append_text(&line, "this happened: ");
		}
		clean_append(&line, recipient->reply);
	}
	paragraph_append(out, "        ", buffer_span(&line));
	buffer_reset(&line);
}

static void
recipients_append(struct buffer *out, const struct report *report, enum report_action action,
		  const char *title)
{
	if (action_count(report, action) == 0)
		return;
	(void)buffer_append_text(out, "\r\n");
	paragraph_append(out, "", span_of(title));
	for (size_t i = 0; i < report->recipient_count; i++) {
		const struct report_recipient *recipient = &report->recipients[i];
		const char *advice = advice_find(recipient);

		if (recipient->action != action)
			continue;
		(void)buffer_append_text(out, "\r\n    ");
		clean_append(out, recipient->address);
		(void)buffer_append_text(out, "\r\n");
		happening_append(out, recipient);
		if (advice != NULL) {
			(void)buffer_append_text(out, "        What to do: ");
			words_append(out, span_of(advice), "        ", TEXT_WIDTH, 20);
			(void)buffer_append_text(out, "\r\n");
		}
	}
}

/* Why someone else than the sender reads this. */
static void
reader_append(struct buffer *out, const struct report *report)
{
	struct buffer line;

	if (report->reader == REPORT_TO_SENDER)
		return;
	buffer_init(&line, 4096);
	(void)buffer_append_text(&line, "The message came from ");
	clean_append(&line, report->envelope->client);
	(void)buffer_append_text(&line, " with the sender <");
	clean_append(&line, report->envelope->sender);
	if (report->reader == REPORT_TO_OWNER) {
		(void)buffer_append_text(&line, ">, which nothing proves to be its own, so that "
						"sender is not told. You are, because the grant \"");
		clean_append(&line, report->grant);
		(void)buffer_append_text(&line, "\", under which it was accepted, names you.");
	} else {
		(void)buffer_append_text(&line, ">. Nobody else can be told, so you are.");
	}
	(void)buffer_append_text(out, "\r\n");
	paragraph_append(out, "", buffer_span(&line));
	buffer_reset(&line);
}

static void
text_compose(struct buffer *out, const struct report *report)
{
	(void)buffer_append_text(out, "This is the mail relay ");
	clean_append(out, report->hostname);
	(void)buffer_append_text(out, ".\r\n");
	reader_append(out, report);
	recipients_append(out, report, REPORT_FAILED,
			  "The message could not be delivered to, and is not tried any more for:");
	recipients_append(out, report, REPORT_DELAYED,
			  "This is a warning only. The message still waits for:");
	recipients_append(out, report, REPORT_DELIVERED, "The message was delivered to:");
	recipients_append(out, report, REPORT_RELAYED, "The message was passed on for:");
	if (action_count(report, REPORT_DELAYED) > 0) {
		(void)buffer_append_text(out, "\r\nIt is given up on ");
		(void)clock_rfc5322(report->expires_wall_ms, out);
		(void)buffer_append_text(out, ".\r\n");
	}
	(void)buffer_append_text(out, "\r\n");
	(void)buffer_append_text(out, "The id of the message is ");
	clean_append(out, report->envelope->id);
	(void)buffer_append_text(out, ". The administrator of this relay learns all\r\n"
				      "that is known about it with\r\n\r\n    relayctl why ");
	clean_append(out, report->envelope->id);
	(void)buffer_append_text(out, "\r\n");
}

static void
text_append(struct composition *c)
{
	struct buffer text;

	buffer_init(&text, REPORT_OCTETS_MAX);
	text_compose(&text, c->report);
	c->out->is_over |= text.is_over;
	if (is_ascii(buffer_span(&text))) {
		part_begin(c, "text/plain; charset=us-ascii", NULL);
		(void)buffer_append(c->out, buffer_span(&text));
	} else if (c->is_utf8) {
		part_begin(c, "text/plain; charset=utf-8", "8bit");
		(void)buffer_append(c->out, buffer_span(&text));
		c->is_8bit = true;
	} else {
		part_begin(c, "text/plain; charset=utf-8", "quoted-printable");
		quoted_printable_append(c->out, buffer_span(&text));
	}
	buffer_reset(&text);
}

/* "rfc822;xtext" as the client gave it: the type stays, the text is decoded. */
static void
original_recipient_append(const struct composition *c, struct span orcpt)
{
	size_t sign = span_find(orcpt, ';');
	struct span type = span_first(orcpt, sign);

	if (orcpt.len == 0 || sign == orcpt.len || (!c->is_utf8 && !is_ascii(orcpt)))
		return;
	(void)buffer_append_text(c->out, "Original-Recipient: ");
	clean_append(c->out, type);
	(void)buffer_append_text(c->out, "; ");
	xtext_append(c->out, span_skip(orcpt, sign + 1));
	(void)buffer_append_text(c->out, "\r\n");
}

/* The host of "host:port", in brackets when it is an address. A path is none. */
static void
remote_append(const struct composition *c, struct span next_hop)
{
	size_t end = next_hop.len;
	struct span host;
	struct ip ip;

	if (next_hop.len == 0 || next_hop.ptr[0] == '/')
		return;
	while (end > 0 && next_hop.ptr[end - 1] != ':')
		end--;
	host = end == 0 ? next_hop : span_first(next_hop, end - 1);
	if (ip_parse(host, &ip) == PARSE_OK) {
		(void)buffer_append_text(c->out, "Remote-MTA: dns; [");
		clean_append(c->out, host);
		(void)buffer_append_text(c->out, "]\r\n");
		return;
	}
	(void)buffer_append_text(c->out, "Remote-MTA: dns; ");
	clean_append(c->out, host);
	(void)buffer_append_text(c->out, "\r\n");
}

static void
diagnostic_append(const struct composition *c, struct span reply)
{
	struct buffer value;
	unsigned code;

	if (reply.len == 0)
		return;
	(void)reply_status(reply, &code);
	buffer_init(&value, 8192);
	(void)buffer_append_text(&value, code > 0 ? "smtp; " : "x-relayd; ");
	for (size_t i = 0; i < reply.len; i++)
		(void)buffer_append_byte(&value,
					 !c->is_utf8 && (unsigned char)reply.ptr[i] >= 0x80
					     ? '?' : reply.ptr[i]);
	field_append(c->out, "Diagnostic-Code", buffer_span(&value));
	buffer_reset(&value);
}

static void
status_recipient_append(const struct composition *c, const struct report_recipient *recipient)
{
	const struct report *report = c->report;
	struct enhanced_code status = report_status(recipient);

	(void)buffer_append_text(c->out, "\r\n");
	original_recipient_append(c, recipient->orcpt);
	(void)buffer_append_text(c->out, "Final-Recipient: ");
	typed_address_append(c->out, recipient->address, c->is_utf8);
	(void)buffer_printf(c->out, "\r\nAction: %s\r\nStatus: %u.%u.%u\r\n",
			    report_action_name(recipient->action), (unsigned)status.class,
			    (unsigned)status.subject, (unsigned)status.detail);
	remote_append(c, recipient->next_hop);
	diagnostic_append(c, recipient->reply);
	if (recipient->tried_wall_ms > 0)
		field_append_time(c->out, "Last-Attempt-Date", recipient->tried_wall_ms);
	field_append(c->out, "Final-Log-ID", report->envelope->id);
	if (recipient->action == REPORT_DELAYED)
		field_append_time(c->out, "Will-Retry-Until", report->expires_wall_ms);
}

static void
status_append(const struct composition *c)
{
	const struct report *report = c->report;
	const struct envelope *envelope = report->envelope;

	if (c->is_utf8)
		part_begin(c, "message/global-delivery-status", "8bit");
	else
		part_begin(c, "message/delivery-status", NULL);
	if (envelope->envid.len > 0) {
		(void)buffer_append_text(c->out, "Original-Envelope-Id: ");
		xtext_append(c->out, envelope->envid);
		(void)buffer_append_text(c->out, "\r\n");
	}
	(void)buffer_append_text(c->out, "Reporting-MTA: dns; ");
	clean_append(c->out, report->hostname);
	(void)buffer_append_text(c->out, "\r\n");
	field_append_time(c->out, "Arrival-Date", envelope->arrived_wall_ms);
	for (size_t i = 0; i < report->recipient_count; i++)
		status_recipient_append(c, &report->recipients[i]);
}

/* Lines that SMTP takes (RFC 5321 s.4.5.3.1.6), and ASCII alone. */
static bool
is_plain(struct span text)
{
	size_t line = 0;

	for (size_t i = 0; i < text.len; i++) {
		line = text.ptr[i] == '\n' ? 0 : line + 1;
		if (line > 998 || (unsigned char)text.ptr[i] >= 0x80 || text.ptr[i] == '\0')
			return false;
	}
	return true;
}

static void
original_append(struct composition *c)
{
	const struct report *report = c->report;
	bool is_whole = report->is_whole && (c->is_utf8 || !report->envelope->is_smtputf8);
	struct span original = is_whole ? report->original : original_header(report);
	bool plain = is_plain(original);

	if (is_whole) {
		part_begin(c, report->envelope->is_smtputf8 ? "message/global" : "message/rfc822",
			   plain ? NULL : "8bit");
		(void)buffer_append(c->out, original);
		c->is_8bit |= !plain;
	} else if (plain) {
		part_begin(c, "text/rfc822-headers", NULL);
		(void)buffer_append(c->out, original);
	} else {
		part_begin(c, report->envelope->is_smtputf8 ? "message/global-headers"
							    : "text/rfc822-headers; charset=utf-8",
			   "quoted-printable");
		quoted_printable_append(c->out, original);
	}
}

bool
report_compose(const struct report *report, struct buffer *out, struct report_needs *needs)
{
	struct composition c = {
		.report = report,
		.out = out,
		.is_utf8 = !is_ascii(report->to),
	};

	boundary_choose(&c);
	header_append(&c);
	text_append(&c);
	status_append(&c);
	original_append(&c);
	(void)buffer_printf(out, "\r\n--%s--\r\n", c.boundary);
	needs->is_8bit = c.is_8bit || c.is_utf8;
	needs->is_smtputf8 = c.is_utf8;
	return !out->is_over;
}
