/* SPDX-License-Identifier: ISC */
/* SMTP command lines; see command_line.h. */
#include "smtp/command_line.h"

#define AUTH_MECHANISM_MAX 20 /* octets; RFC 4422 s.3.1 */

struct verb_entry {
	struct span name;
	enum verb verb;
};

/* Those of every message first: the search is linear. The first name of a verb is its own. */
static const struct verb_entry verbs[] = {
	{ SPAN_LITERAL("RCPT"), VERB_RCPT },
	{ SPAN_LITERAL("MAIL"), VERB_MAIL },
	{ SPAN_LITERAL("DATA"), VERB_DATA },
	{ SPAN_LITERAL("EHLO"), VERB_EHLO },
	{ SPAN_LITERAL("QUIT"), VERB_QUIT },
	{ SPAN_LITERAL("RSET"), VERB_RSET },
	{ SPAN_LITERAL("BDAT"), VERB_BDAT },
	{ SPAN_LITERAL("HELO"), VERB_HELO },
	{ SPAN_LITERAL("NOOP"), VERB_NOOP },
	{ SPAN_LITERAL("AUTH"), VERB_AUTH },
	{ SPAN_LITERAL("STARTTLS"), VERB_STARTTLS },
	{ SPAN_LITERAL("VRFY"), VERB_VRFY },
	{ SPAN_LITERAL("EXPN"), VERB_EXPN },
	{ SPAN_LITERAL("HELP"), VERB_HELP },
	{ SPAN_LITERAL("XCLIENT"), VERB_XCLIENT },
	{ SPAN_LITERAL("XFORWARD"), VERB_XFORWARD },
	{ SPAN_LITERAL("ETRN"), VERB_ETRN },
	{ SPAN_LITERAL("BURL"), VERB_BURL },
	{ SPAN_LITERAL("TURN"), VERB_TURN },
	{ SPAN_LITERAL("LHLO"), VERB_LHLO },
	{ SPAN_LITERAL("SEND"), VERB_SEND },
	{ SPAN_LITERAL("SOML"), VERB_SEND },
	{ SPAN_LITERAL("SAML"), VERB_SEND },
	{ SPAN_LITERAL("GET"), VERB_FOREIGN },
	{ SPAN_LITERAL("POST"), VERB_FOREIGN },
	{ SPAN_LITERAL("PUT"), VERB_FOREIGN },
	{ SPAN_LITERAL("HEAD"), VERB_FOREIGN },
	{ SPAN_LITERAL("OPTIONS"), VERB_FOREIGN },
	{ SPAN_LITERAL("CONNECT"), VERB_FOREIGN },
	{ SPAN_LITERAL("PRI"), VERB_FOREIGN },
	{ SPAN_LITERAL("Host:"), VERB_FOREIGN },
	{ SPAN_LITERAL("User-Agent:"), VERB_FOREIGN },
};

static enum verb
verb_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (span_equal_fold(name, verbs[i].name))
			return verbs[i].verb;
	}
	return VERB_UNKNOWN;
}

const char *
verb_name(enum verb verb)
{
	if (verb != VERB_FOREIGN) {
		for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
			if (verbs[i].verb == verb)
				return verbs[i].name.ptr;
		}
	}
	return "?";
}

static bool
verb_takes_utf8(enum verb verb)
{
	return verb == VERB_MAIL || verb == VERB_RCPT || verb == VERB_VRFY || verb == VERB_EXPN;
}

enum command_status
command_line_parse(struct span line, struct command_line *command)
{
	unsigned has_control = 0, has_8bit = 0;

	while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
		line.len--;
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		has_control |= (c < 0x20) | (c == 0x7f);
		has_8bit |= c & 0x80U;
	}
	size_t end = span_find(line, ' ');

	command->name = span_first(line, end);
	command->argument = span_trim(span_skip(line, end));
	command->verb = verb_find(command->name);
	if (has_control != 0)
		return COMMAND_BAD_BYTES;
	if (has_8bit != 0 &&
	    (!verb_takes_utf8(command->verb) || !utf8_is_valid(command->argument)))
		return COMMAND_BAD_BYTES;
	return COMMAND_OK;
}

enum parse_status
hello_parse(struct span argument, struct hello *hello)
{
	struct hello h = { .name = argument };
	bool has_alnum = false;

	if (argument.len == 0 || argument.len > DOMAIN_MAX)
		return PARSE_BAD;
	if (argument.ptr[0] == '[') {
		if (address_literal_parse(argument, &h.ip) != PARSE_OK)
			return PARSE_BAD;
		h.is_literal = true;
		*hello = h;
		return PARSE_OK;
	}
	for (size_t i = 0; i < argument.len; i++) {
		char c = argument.ptr[i];

		if (ascii_is_alnum(c))
			has_alnum = true;
		else if (c != '-' && c != '_' && c != '.')
			return PARSE_BAD;
	}
	if (!has_alnum)
		return PARSE_BAD;
	*hello = h;
	return PARSE_OK;
}

static void
blanks_skip(struct span *in)
{
	while (byte_take(in, ' '))
		;
}

/*
 * esmtp-param   = esmtp-keyword ["=" esmtp-value]
 * esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 * esmtp-value   = 1*(%d33-60 / %d62-126)              RFC 5321 s.4.1.2; and UTF-8, RFC 6531
 */
enum parse_status
parameter_take(struct span *in, struct span *keyword, struct span *value)
{
	struct span rest = *in;
	size_t key = 0, val = 0;

	blanks_skip(&rest);
	while (key < rest.len &&
	       (ascii_is_alnum(rest.ptr[key]) || (key > 0 && rest.ptr[key] == '-')))
		key++;
	if (key == 0)
		return PARSE_BAD;
	struct span name = span_first(rest, key);

	rest = span_skip(rest, key);
	if (byte_take(&rest, '=')) {
		while (val < rest.len && rest.ptr[val] != ' ' && rest.ptr[val] != '=' &&
		       !ascii_is_control(rest.ptr[val]))
			val++;
		if (val == 0)
			return PARSE_BAD;
	}
	struct span given = span_first(rest, val);

	rest = span_skip(rest, val);
	if (rest.len > 0 && rest.ptr[0] != ' ')
		return PARSE_BAD;
	*keyword = name;
	*value = given;
	*in = rest;
	return PARSE_OK;
}

static int
hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * xtext   = *( xchar / hexchar )                                        RFC 3461 s.4
 * xchar   = %d33-42 / %d44-60 / %d62-126
 * hexchar = "+" 2(%d48-57 / %d65-70)
 *
 * Bytes above 126 pass as themselves; whoever may not have them finds them in the result.
 */
enum parse_status
xtext_decode(struct span xtext, char *out, size_t room, struct span *text)
{
	size_t len = 0;

	for (size_t i = 0; i < xtext.len; i++) {
		char c = xtext.ptr[i];

		if (c == ' ' || c == '=' || ascii_is_control(c) || len == room)
			return PARSE_BAD;
		if (c == '+') {
			int high = i + 2 < xtext.len ? hex_value(xtext.ptr[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_value(xtext.ptr[i + 2]);

			if (low < 0)
				return PARSE_BAD;
			c = (char)(unsigned char)(high * 16 + low);
			i += 2;
		}
		out[len++] = c;
	}
	*text = (struct span){ .ptr = out, .len = len };
	return PARSE_OK;
}

bool
xtext_encode(struct span text, struct buffer *out)
{
	static const char digits[] = "0123456789ABCDEF";
	char *place = buffer_reserve(out, text.len * 3);
	size_t len = 0;

	if (place == NULL)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c > ' ' && c <= '~' && c != '+' && c != '=') {
			place[len++] = (char)c;
			continue;
		}
		place[len++] = '+';
		place[len++] = digits[c >> 4];
		place[len++] = digits[c & 15];
	}
	buffer_claim(out, len);
	return true;
}

/* Printable ASCII and blanks only; with may_be_utf8 other characters too. */
static bool
text_is_printable(struct span text, bool may_be_utf8)
{
	if (may_be_utf8)
		return utf8_is_valid(text);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < ' ' || text.ptr[i] > '~')
			return false;
	}
	return true;
}

/* One of two words; false when it is neither. */
static bool
choice_parse(struct span value, const char *first, const char *second, bool *is_second)
{
	*is_second = span_equal_fold(value, span_of(second));
	return *is_second || span_equal_fold(value, span_of(first));
}

/* RFC 3461 s.4.4: at most 100 octets, of which the decoded form is printable. */
static bool
envid_is_valid(struct span value)
{
	char decoded[ENVID_MAX];
	struct span text;

	return value.len > 0 && value.len <= ENVID_MAX &&
	       xtext_decode(value, decoded, sizeof(decoded), &text) == PARSE_OK &&
	       text_is_printable(text, false);
}

/* RFC 4954 s.5: a mailbox or "<>". Leniency: the mailbox in "<>". */
static bool
auth_is_valid(struct span value, bool may_be_utf8)
{
	char decoded[PATH_MAX_OCTETS];
	struct span text;
	struct address address;

	if (xtext_decode(value, decoded, sizeof(decoded), &text) != PARSE_OK)
		return false;
	if (text.len > 0 && text.ptr[0] == '<')
		return reverse_path_take(&text, &address) == PARSE_OK && text.len == 0 &&
		       (may_be_utf8 || !address.is_utf8);
	return mailbox_parse(text, &address) == PARSE_OK && (may_be_utf8 || !address.is_utf8);
}

/*
 * EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"                        RFC 6533 s.3
 *
 * Does each one in the text stand for a character that is no control?
 */
static bool
embedded_characters_are_valid(struct span text)
{
	static const struct span opening = SPAN_LITERAL("\\x{");

	for (size_t at = span_find(text, '\\'); at < text.len; at = span_find(text, '\\')) {
		uint32_t code = 0;
		size_t digits = 0;

		text = span_skip(text, at);
		if (text.len < opening.len || memcmp(text.ptr, opening.ptr, opening.len) != 0)
			return false;
		text = span_skip(text, opening.len);
		for (; digits < text.len && digits < 6 && hex_value(text.ptr[digits]) >= 0; digits++)
			code = code * 16 + (uint32_t)hex_value(text.ptr[digits]);
		if (digits < 2 || digits == text.len || text.ptr[digits] != '}')
			return false;
		if (code < 0x20 || (code >= 0x7f && code <= 0x9f) || code > 0x10ffff ||
		    (code >= 0xd800 && code <= 0xdfff))
			return false;
		text = span_skip(text, digits + 1);
	}
	return true;
}

/*
 * original-recipient-address = addr-type ";" xtext         RFC 3461 s.4.2, RFC 6533 s.3
 *
 * The type is an atom by its grammar; those that IANA registered are letters, digits and "-".
 */
static bool
orcpt_is_valid(struct span value, bool may_be_utf8)
{
	static const struct span utf8_type = SPAN_LITERAL("utf-8");
	char decoded[ORCPT_MAX];
	size_t semicolon = span_find(value, ';');
	struct span type = span_first(value, semicolon), text;

	if (value.len > ORCPT_MAX || type.len == 0 || semicolon + 1 >= value.len)
		return false;
	for (size_t i = 0; i < type.len; i++) {
		if (!ascii_is_alnum(type.ptr[i]) && type.ptr[i] != '-')
			return false;
	}
	if (xtext_decode(span_skip(value, semicolon + 1), decoded, sizeof(decoded), &text) !=
	    PARSE_OK)
		return false;
	if (!span_equal_fold(type, utf8_type))
		return text_is_printable(text, false);
	return text_is_printable(text, may_be_utf8) && embedded_characters_are_valid(text);
}

/* "NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )                       RFC 3461 s.4.1 */
static bool
notify_parse(struct span value, uint32_t *notify)
{
	static const struct { struct span word; uint32_t bit; } words[] = {
		{ SPAN_LITERAL("SUCCESS"), NOTIFY_SUCCESS },
		{ SPAN_LITERAL("FAILURE"), NOTIFY_FAILURE },
		{ SPAN_LITERAL("DELAY"), NOTIFY_DELAY },
	};

	*notify = 0;
	if (span_equal_fold(value, span_of("NEVER"))) {
		*notify = NOTIFY_NEVER;
		return true;
	}
	for (;;) {
		size_t comma = span_find(value, ','), i = 0;

		while (i < ARRAY_LEN(words) &&
		       !span_equal_fold(span_first(value, comma), words[i].word))
			i++;
		if (i == ARRAY_LEN(words))
			return false;
		*notify |= words[i].bit;
		if (comma == value.len)
			return true;
		value = span_skip(value, comma + 1);
	}
}

struct parameter_entry {
	struct span keyword;
	enum parameter parameter;
	bool has_value;
};

static const struct parameter_entry mail_parameters[] = {
	{ SPAN_LITERAL("SIZE"), PARAMETER_SIZE, true },
	{ SPAN_LITERAL("BODY"), PARAMETER_BODY, true },
	{ SPAN_LITERAL("SMTPUTF8"), PARAMETER_SMTPUTF8, false },
	{ SPAN_LITERAL("AUTH"), PARAMETER_AUTH, true },
	{ SPAN_LITERAL("RET"), PARAMETER_RET, true },
	{ SPAN_LITERAL("ENVID"), PARAMETER_ENVID, true },
	{ SPAN_LITERAL("REQUIRETLS"), PARAMETER_REQUIRETLS, false },
};

static const struct parameter_entry rcpt_parameters[] = {
	{ SPAN_LITERAL("NOTIFY"), PARAMETER_NOTIFY, true },
	{ SPAN_LITERAL("ORCPT"), PARAMETER_ORCPT, true },
};

/*
 * Take the next parameter off *in and look it up among the count entries; *given collects
 * what was there already.
 */
static enum argument_status
parameter_find(struct span *in, const struct parameter_entry *entries, size_t count,
	       unsigned *given, enum parameter *parameter, struct span *value)
{
	struct span keyword;

	if (parameter_take(in, &keyword, value) != PARSE_OK)
		return ARGUMENT_BAD_SYNTAX;
	for (size_t i = 0; i < count; i++) {
		if (!span_equal_fold(keyword, entries[i].keyword))
			continue;
		if ((*given & entries[i].parameter) != 0)
			return ARGUMENT_DUPLICATE_PARAMETER;
		if ((value->len > 0) != entries[i].has_value)
			return ARGUMENT_BAD_PARAMETER;
		*given |= entries[i].parameter;
		*parameter = entries[i].parameter;
		return ARGUMENT_OK;
	}
	return ARGUMENT_UNKNOWN_PARAMETER;
}

/* Set what the parameter says. ENVID and AUTH are judged when all has been read. */
static bool
mail_parameter_set(struct mail_argument *mail, enum parameter parameter, struct span value)
{
	bool is_second;

	if (parameter == PARAMETER_SIZE)
		return number_parse(value, UINT64_MAX, &mail->size_octets) == PARSE_OK;
	if (parameter == PARAMETER_BODY) {
		bool is_known = choice_parse(value, "7BIT", "8BITMIME", &is_second);

		mail->body = is_second ? BODY_8BITMIME : BODY_7BIT;
		return is_known;
	}
	if (parameter == PARAMETER_RET) {
		bool is_known = choice_parse(value, "FULL", "HDRS", &is_second);

		mail->ret = is_second ? RET_HDRS : RET_FULL;
		return is_known;
	}
	if (parameter == PARAMETER_ENVID) {
		mail->envid = value;
		return envid_is_valid(value);
	}
	mail->auth = parameter == PARAMETER_AUTH ? value : mail->auth;
	mail->is_smtputf8 |= parameter == PARAMETER_SMTPUTF8;
	mail->needs_tls |= parameter == PARAMETER_REQUIRETLS;
	return true;
}

/* Take the word, "FROM:" or "TO:", and the blanks behind it. */
static bool
word_take(struct span *in, const char *word)
{
	struct span name = span_of(word);

	if (!span_starts_fold(*in, name))
		return false;
	*in = span_skip(*in, name.len);
	blanks_skip(in);
	return true;
}

/* After the path only blanks and parameters may stand, never something stuck to it. */
static bool
path_is_ended(struct span rest)
{
	return rest.len == 0 || rest.ptr[0] == ' ';
}

enum argument_status
mail_argument_parse(struct span argument, struct mail_argument *mail)
{
	struct mail_argument m = { .given = 0 };
	struct span value;

	if (!word_take(&argument, "FROM:"))
		return ARGUMENT_BAD_SYNTAX;
	if (reverse_path_take(&argument, &m.reverse_path) != PARSE_OK)
		return ARGUMENT_BAD_ADDRESS;
	if (!path_is_ended(argument))
		return ARGUMENT_BAD_SYNTAX;
	for (blanks_skip(&argument); argument.len > 0; blanks_skip(&argument)) {
		enum parameter parameter = PARAMETER_SIZE;
		enum argument_status status =
		    parameter_find(&argument, mail_parameters, ARRAY_LEN(mail_parameters),
				   &m.given, &parameter, &value);

		if (status != ARGUMENT_OK)
			return status;
		if (!mail_parameter_set(&m, parameter, value))
			return ARGUMENT_BAD_PARAMETER;
	}
	if (m.reverse_path.is_utf8 && !m.is_smtputf8)
		return ARGUMENT_NEEDS_SMTPUTF8;
	if (m.auth.len > 0 && !auth_is_valid(m.auth, m.is_smtputf8))
		return ARGUMENT_BAD_PARAMETER;
	*mail = m;
	return ARGUMENT_OK;
}

enum argument_status
rcpt_argument_parse(struct span argument, bool is_smtputf8, struct rcpt_argument *rcpt)
{
	struct rcpt_argument r = { .given = 0 };
	struct span value;

	if (!word_take(&argument, "TO:"))
		return ARGUMENT_BAD_SYNTAX;
	if (forward_path_take(&argument, &r.forward_path) != PARSE_OK)
		return ARGUMENT_BAD_ADDRESS;
	if (!path_is_ended(argument))
		return ARGUMENT_BAD_SYNTAX;
	for (blanks_skip(&argument); argument.len > 0; blanks_skip(&argument)) {
		enum parameter parameter = PARAMETER_NOTIFY;
		enum argument_status status =
		    parameter_find(&argument, rcpt_parameters, ARRAY_LEN(rcpt_parameters),
				   &r.given, &parameter, &value);

		if (status != ARGUMENT_OK)
			return status;
		if (parameter == PARAMETER_ORCPT)
			r.orcpt = value;
		if (parameter == PARAMETER_ORCPT ? !orcpt_is_valid(value, is_smtputf8) :
						   !notify_parse(value, &r.notify))
			return ARGUMENT_BAD_PARAMETER;
	}
	if (r.forward_path.is_utf8 && !is_smtputf8)
		return ARGUMENT_NEEDS_SMTPUTF8;
	*rcpt = r;
	return ARGUMENT_OK;
}

enum parse_status
bdat_argument_parse(struct span argument, struct bdat_argument *bdat)
{
	struct bdat_argument b = { .is_last = false };

	if (number_take(&argument, INT64_MAX, &b.octets) != PARSE_OK)
		return PARSE_BAD;
	if (argument.len > 0) {
		if (!byte_take(&argument, ' '))
			return PARSE_BAD;
		blanks_skip(&argument);
		if (!span_equal_fold(argument, span_of("LAST")))
			return PARSE_BAD;
		b.is_last = true;
	}
	*bdat = b;
	return PARSE_OK;
}

enum parse_status
auth_argument_parse(struct span argument, struct auth_argument *auth)
{
	size_t end = span_find(argument, ' ');
	struct auth_argument a = { .mechanism = span_first(argument, end) };

	if (a.mechanism.len == 0 || a.mechanism.len > AUTH_MECHANISM_MAX)
		return PARSE_BAD;
	for (size_t i = 0; i < a.mechanism.len; i++) {
		char c = a.mechanism.ptr[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '_')
			return PARSE_BAD;
	}
	a.initial = span_trim(span_skip(argument, end));
	a.has_initial = a.initial.len > 0;
	if (span_find(a.initial, ' ') < a.initial.len)
		return PARSE_BAD;
	if (span_equal(a.initial, span_of("=")))
		a.initial.len = 0;
	*auth = a;
	return PARSE_OK;
}
