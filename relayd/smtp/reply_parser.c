/* SPDX-License-Identifier: ISC */
/* Reading the replies of a next hop; see reply.h. */
#include "smtp/reply.h"

/*
 * Reply-line = *( Reply-code "-" [ textstring ] CRLF )
 *              Reply-code [ SP textstring ] CRLF                    RFC 5321 s.4.2
 */
enum parser_state {
	STATE_BEGIN, /* of the next reply */
	STATE_CODE_1,
	STATE_CODE_2,
	STATE_CODE_3,
	STATE_SEPARATOR,
	STATE_TEXT,
	STATE_TEXT_CR,
	STATE_BROKEN,
};

void
reply_parser_init(struct reply_parser *parser)
{
	*parser = (struct reply_parser){ .state = STATE_BEGIN };
}

enum parse_status
enhanced_code_take(struct span *in, unsigned code, struct enhanced_code *enhanced)
{
	struct span rest = *in;
	uint64_t class, subject, detail;

	if (rest.len < 5 || rest.ptr[1] != '.')
		return PARSE_BAD;
	if (number_take(&rest, 5, &class) != PARSE_OK || class != code / 100 ||
	    (class != 2 && class != 4 && class != 5) || !byte_take(&rest, '.') ||
	    number_take(&rest, 999, &subject) != PARSE_OK || !byte_take(&rest, '.') ||
	    number_take(&rest, 999, &detail) != PARSE_OK)
		return PARSE_BAD;
	if (rest.len > 0 && !byte_take(&rest, ' '))
		return PARSE_BAD;
	*enhanced = (struct enhanced_code){ (uint16_t)class, (uint16_t)subject, (uint16_t)detail };
	*in = rest;
	return PARSE_OK;
}

static void
reply_begin(struct reply_parser *p)
{
	p->code = 0;
	p->enhanced = (struct enhanced_code){ 0, 0, 0 };
	p->text_len = 0;
	p->lines = 0;
	p->total_octets = 0;
}

static void
line_begin(struct reply_parser *p)
{
	p->state = STATE_CODE_1;
	p->line_code = 0;
	p->line_len = 0;
	p->is_last_line = false;
}

static void
text_keep(struct reply_parser *p, struct span line)
{
	if (p->text_len > 0 && line.len > 0 && p->text_len < sizeof(p->text))
		p->text[p->text_len++] = ' ';
	line = span_first(line, sizeof(p->text) - p->text_len);
	if (line.len > 0)
		memcpy(p->text + p->text_len, line.ptr, line.len);
	p->text_len += line.len;
}

/* Judge a whole line and keep what it says. False when the reply is malformed. */
static bool
line_finish(struct reply_parser *p)
{
	struct span line = { .ptr = p->line, .len = p->line_len };
	struct span rest = line;
	struct enhanced_code enhanced;

	if (p->lines > 0 && p->line_code != p->code)
		return false;
	if (++p->lines > REPLY_LINES_MAX)
		return false;
	p->code = (uint16_t)p->line_code;
	if (p->ehlo != NULL && p->lines > 1)
		ehlo_line_add(p->ehlo, line);
	if (enhanced_code_take(&rest, p->code, &enhanced) == PARSE_OK) {
		if (p->lines == 1)
			p->enhanced = enhanced;
		if (p->enhanced.class == enhanced.class &&
		    p->enhanced.subject == enhanced.subject &&
		    p->enhanced.detail == enhanced.detail)
			line = rest;
	}
	text_keep(p, span_trim(line));
	return true;
}

static bool
code_digit_add(struct reply_parser *p, char c)
{
	if (!ascii_is_digit(c) || (p->state == STATE_CODE_1 && (c < '2' || c > '5')))
		return false;
	p->line_code = p->line_code * 10 + (unsigned)(c - '0');
	p->state++;
	return true;
}

static void
text_byte_add(struct reply_parser *p, char c)
{
	if (p->line_len < sizeof(p->line))
		p->line[p->line_len++] = c >= ' ' && c <= '~' ? c : c == '\t' ? ' ' : '?';
}

/* One byte of a reply; *is_end: it ended a line. False when it may not stand there. */
static bool
byte_add(struct reply_parser *p, char c, bool *is_end)
{
	switch (p->state) {
	case STATE_CODE_1:
	case STATE_CODE_2:
	case STATE_CODE_3:
		return code_digit_add(p, c);
	case STATE_SEPARATOR:
		p->is_last_line = c != '-';
		p->state = STATE_TEXT;
		if (c == ' ' || c == '-')
			return true;
		if (c != '\r' && c != '\n')
			return false;
		break;
	case STATE_TEXT_CR:
		p->state = STATE_TEXT;
		if (c != '\n')
			text_byte_add(p, '\r');
		break;
	default:
		break;
	}
	*is_end = c == '\n';
	if (c == '\r')
		p->state = STATE_TEXT_CR;
	else if (c != '\n')
		text_byte_add(p, c);
	return true;
}

enum reply_progress
reply_parser_feed(struct reply_parser *parser, struct span *in)
{
	if (parser->state == STATE_BEGIN && in->len > 0) {
		reply_begin(parser);
		line_begin(parser);
	}
	while (in->len > 0 && parser->state != STATE_BROKEN) {
		bool is_end = false;
		bool is_good = ++parser->total_octets <= REPLY_TOTAL_MAX &&
			       byte_add(parser, in->ptr[0], &is_end);

		*in = span_skip(*in, 1);
		if (!is_good || (is_end && !line_finish(parser))) {
			parser->state = STATE_BROKEN;
		} else if (is_end && parser->is_last_line) {
			parser->state = STATE_BEGIN;
			return REPLY_READY;
		} else if (is_end) {
			line_begin(parser);
		}
	}
	return parser->state == STATE_BROKEN ? REPLY_MALFORMED : REPLY_MORE;
}

/* Take blanks and the word behind them; false at the end. */
static bool
word_take(struct span *in, struct span *word)
{
	*in = span_trim(*in);
	*word = span_first(*in, span_find(*in, ' '));
	*in = span_skip(*in, word->len);
	return word->len > 0;
}

bool
ehlo_has_mechanism(const struct ehlo *ehlo, struct span mechanism)
{
	struct span rest = { .ptr = ehlo->mechanisms, .len = ehlo->mechanisms_len };
	struct span word;

	while (word_take(&rest, &word)) {
		if (span_equal_fold(word, mechanism))
			return true;
	}
	return false;
}

static void
mechanism_add(struct ehlo *ehlo, struct span name)
{
	size_t blank = ehlo->mechanisms_len > 0;

	if (name.len > sizeof(ehlo->mechanisms) - ehlo->mechanisms_len - blank ||
	    ehlo->mechanisms_len + blank > sizeof(ehlo->mechanisms) ||
	    ehlo_has_mechanism(ehlo, name))
		return;
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_')
			return;
	}
	if (blank)
		ehlo->mechanisms[ehlo->mechanisms_len++] = ' ';
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		ehlo->mechanisms[ehlo->mechanisms_len++] =
		    c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
	}
}

static void
limit_read(struct ehlo *ehlo, struct span word)
{
	static const struct span mail = SPAN_LITERAL("MAILMAX="), rcpt = SPAN_LITERAL("RCPTMAX=");
	uint64_t value;

	if (span_starts_fold(word, mail) &&
	    number_parse(span_skip(word, mail.len), UINT64_MAX, &value) == PARSE_OK)
		ehlo->mail_max = value;
	if (span_starts_fold(word, rcpt) &&
	    number_parse(span_skip(word, rcpt.len), UINT64_MAX, &value) == PARSE_OK)
		ehlo->rcpt_max = value;
}

void
ehlo_line_add(struct ehlo *ehlo, struct span line)
{
	static const struct { struct span keyword; enum ehlo_offer offer; } offers[] = {
		{ SPAN_LITERAL("PIPELINING"), EHLO_PIPELINING },     /* RFC 2920 */
		{ SPAN_LITERAL("SIZE"), EHLO_SIZE },		     /* RFC 1870 */
		{ SPAN_LITERAL("8BITMIME"), EHLO_8BITMIME },	     /* RFC 6152 */
		{ SPAN_LITERAL("SMTPUTF8"), EHLO_SMTPUTF8 },	     /* RFC 6531 */
		{ SPAN_LITERAL("CHUNKING"), EHLO_CHUNKING },	     /* RFC 3030 */
		{ SPAN_LITERAL("BINARYMIME"), EHLO_BINARYMIME },     /* RFC 3030 */
		{ SPAN_LITERAL("DSN"), EHLO_DSN },		     /* RFC 3461 */
		{ SPAN_LITERAL("STARTTLS"), EHLO_STARTTLS },	     /* RFC 3207 */
		{ SPAN_LITERAL("AUTH"), EHLO_AUTH },		     /* RFC 4954 */
		{ SPAN_LITERAL("REQUIRETLS"), EHLO_REQUIRETLS },     /* RFC 8689 */
		{ SPAN_LITERAL("LIMITS"), EHLO_LIMITS },	     /* RFC 9422 */
		{ SPAN_LITERAL("ENHANCEDSTATUSCODES"), EHLO_ENHANCEDSTATUSCODES }, /* RFC 2034 */
	};
	static const struct span old_auth = SPAN_LITERAL("AUTH=");
	struct span word;
	unsigned offer = 0;

	if (span_starts_fold(line, old_auth)) { /* as servers wrote it before RFC 2554 */
		line = span_skip(line, old_auth.len);
		offer = EHLO_AUTH;
	} else if (word_take(&line, &word)) {
		for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
			if (span_equal_fold(word, offers[i].keyword))
				offer = offers[i].offer;
		}
	}
	ehlo->offers |= offer;
	while (word_take(&line, &word)) {
		if (offer == EHLO_AUTH)
			mechanism_add(ehlo, word);
		else if (offer == EHLO_LIMITS)
			limit_read(ehlo, word);
		else if (offer == EHLO_SIZE &&
			 number_parse(word, UINT64_MAX, &ehlo->size_max) != PARSE_OK)
			ehlo->size_max = 0;
	}
}
