/* SPDX-License-Identifier: ISC */
/* smtp/command_line.h: every parser of arguments over every line. */
#include "smtp/command_line.h"
#include "smtp/xclient.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* What was taken borrows from the line and holds no control byte. */
static void
part_check(struct span line, struct span part)
{
	must(part.len == 0 || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
	for (size_t i = 0; i < part.len; i++)
		must(!ascii_is_control(part.ptr[i]));
}

static void
mail_check(struct span argument)
{
	struct mail_argument mail;
	char decoded[4096];
	struct span text;

	if (mail_argument_parse(argument, &mail) != ARGUMENT_OK)
		return;
	part_check(argument, mail.reverse_path.text);
	part_check(argument, mail.envid);
	part_check(argument, mail.auth);
	must(!mail.reverse_path.is_utf8 || mail.is_smtputf8);
	must(xtext_decode(mail.envid, decoded, sizeof(decoded), &text) == PARSE_OK);
	must(utf8_is_valid(text));
	must(xtext_decode(mail.auth, decoded, sizeof(decoded), &text) == PARSE_OK);
	must(utf8_is_valid(text));
}

static void
rcpt_check(struct span argument, bool is_smtputf8)
{
	struct rcpt_argument rcpt;
	char decoded[4096];
	struct span text;

	if (rcpt_argument_parse(argument, is_smtputf8, &rcpt) != ARGUMENT_OK)
		return;
	part_check(argument, rcpt.forward_path.text);
	part_check(argument, rcpt.orcpt);
	must(!rcpt.forward_path.is_utf8 || is_smtputf8);
	must(xtext_decode(rcpt.orcpt, decoded, sizeof(decoded), &text) == PARSE_OK);
	must(utf8_is_valid(text));
	must(rcpt.notify <= 14);
}

static void
xclient_check(struct span argument)
{
	struct xclient_argument x = { .given = 0 };

	if (xclient_argument_parse(argument, &x) != PARSE_OK) {
		must(x.given == 0);
		return;
	}
	must(x.given != 0 && (x.known & ~x.given) == 0);
	must(x.name.len <= XCLIENT_TEXT_MAX && x.helo.len <= XCLIENT_TEXT_MAX);
	must(utf8_is_valid(xclient_span(&x.login)));
	for (size_t i = 0; i < x.helo.len; i++)
		must(x.helo.text[i] > ' ' && x.helo.text[i] < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = { .ptr = (const char *)data, .len = size }, text;
	struct command_line command;
	struct hello hello;
	struct bdat_argument bdat;
	struct auth_argument auth;
	char decoded[64];
	struct buffer xtext;

	if (command_line_parse(line, &command) == COMMAND_OK) {
		part_check(line, command.name);
		part_check(line, command.argument);
		must(command.verb < VERB_COUNT && verb_name(command.verb) != NULL);
	}
	/* the parsers stand on their own feet, whatever came before them */
	mail_check(command.argument);
	mail_check(line);
	rcpt_check(command.argument, size % 2 == 0);
	rcpt_check(line, size % 2 == 0);
	xclient_check(command.argument);
	xclient_check(line);
	if (hello_parse(command.argument, &hello) == PARSE_OK)
		part_check(line, hello.name);
	if (bdat_argument_parse(command.argument, &bdat) == PARSE_OK)
		must(bdat.octets <= INT64_MAX);
	if (auth_argument_parse(command.argument, &auth) == PARSE_OK)
		must(auth.mechanism.len > 0 && auth.mechanism.len <= 20);
	(void)xtext_decode(line, decoded, sizeof(decoded), &text);
	buffer_init(&xtext, 3 * 64);
	if (size <= 64) {
		must(xtext_encode(line, &xtext));
		must(xtext_decode(buffer_span(&xtext), decoded, sizeof(decoded), &text) == PARSE_OK);
		must(span_equal(text, line));
	}
	buffer_reset(&xtext);
	return 0;
}
