/* SPDX-License-Identifier: ISC */
/* relayctl reason: what a reason or a reply code means, its cause and its cure. */
#include "ctl/command.h"

#include "base/json.h"
#include "ctl/columns.h"
#include "policy/reason_text.h"
#include "smtp/reply.h"

#include <stdlib.h>

#define TEXT_OCTETS_MAX	 (1U << 20)
#define REPLY_OCTETS_MAX 4096
#define LABEL_COLUMNS	 11
#define CODE_MIN	 3 /* characters of a code that is looked for */

static const char *const style_names[REPLY_STYLE_COUNT] = {
	[REPLY_STYLE_RELAYD] = "relayd",
	[REPLY_STYLE_STANDARD] = "standard",
	[REPLY_STYLE_EXCHANGE] = "exchange",
};

/* What was asked, and what was found. */
struct answer {
	struct span wanted; /* a token, a part of one, a code; empty: everything */
	enum language language;
	const struct settings *settings; /* NULL: not known */
	enum reason reasons[REASON_COUNT];
	size_t reason_count;
	const struct code_text *codes[64];
	size_t code_count;
	bool has_causes;
};

/* ---- Finding ---- */

/* Does a code as people give it ("550", "5.7.1", "550 5.7.1") stand in this reply? */
static bool
reply_has_code(const struct reason_reply *line, struct span code)
{
	struct buffer text;
	bool has = false;

	buffer_init(&text, REPLY_OCTETS_MAX);
	reply_line_append(&text, line);
	struct span reply = buffer_span(&text);

	/* at the front, or behind the three digits, and ending there */
	for (size_t at = 0; at <= 4 && !has && reply.len >= at + code.len + 1; at += 4)
		has = span_equal((struct span){ reply.ptr + at, code.len }, code) &&
		      reply.ptr[at + code.len] == ' ';
	buffer_reset(&text);
	return has && code.len >= CODE_MIN;
}

/* What the configuration says instead; NULL: nothing. */
static const struct reason_reply *
reply_here(const struct answer *a, enum reason reason)
{
	if (a->settings == NULL || a->settings->wording.instead[reason].text == NULL)
		return NULL;
	return &a->settings->wording.instead[reason];
}

static bool
reason_is_wanted(const struct answer *a, enum reason reason)
{
	struct span token = span_of(reason_token(reason)), wanted = a->wanted;

	if (wanted.len == 0 || span_equal(token, wanted) ||
	    reply_has_code(reply_here(a, reason), wanted))
		return true;
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		if (reply_has_code(reason_reply_get(reason, style), wanted) ||
		    reply_has_code(reason_reply_deferred(reason, style), wanted))
			return true;
	}
	return token.len > wanted.len && token.ptr[wanted.len] == '.' &&
	       span_equal(span_first(token, wanted.len), wanted);
}

/* The enhanced code of "5.7.64" or "550 5.7.64". */
static struct span
enhanced_part(struct span wanted)
{
	size_t blank = span_find(wanted, ' ');

	return blank == wanted.len ? wanted : span_skip(wanted, blank + 1);
}

/* Does the protocol answer with this code ("503") and that enhanced code? */
static bool
protocol_says(struct span code, const char *enhanced)
{
	bool says = false;

	for (enum reply_id id = 0; id < REPLY_COUNT && !says; id++) {
		const struct reply *reply = reply_of(id);
		char digits[8], text[24];

		(void)snprintf(digits, sizeof(digits), "%u", (unsigned)reply->code);
		(void)snprintf(text, sizeof(text), "%u.%u.%u", (unsigned)reply->enhanced.class,
			       (unsigned)reply->enhanced.subject,
			       (unsigned)reply->enhanced.detail);
		says = span_equal(span_of(digits), code) && strcmp(text, enhanced) == 0;
	}
	return says;
}

static void
answer_find(struct answer *a)
{
	const struct language_texts *texts = language_texts_get(a->language);
	struct span code = enhanced_part(a->wanted);

	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		if (reason_is_wanted(a, reason))
			a->reasons[a->reason_count++] = reason;
	}
	for (size_t i = 0; i < texts->code_count && a->code_count < ARRAY_LEN(a->codes); i++) {
		if (a->wanted.len == 0 || span_equal(span_of(texts->codes[i].code), code) ||
		    protocol_says(a->wanted, texts->codes[i].code))
			a->codes[a->code_count++] = &texts->codes[i];
	}
	a->has_causes = code_has_causes(code);
}

/* ---- For programs ---- */

static void
text_write_json(const struct reason_text *text, struct json *j)
{
	json_cstring(j, "meaning", text->cause);
	json_cstring(j, "remedy", text->remedy);
	json_cstring(j, "sender_remedy", text->sender);
}

static void
reason_write_json(const struct answer *a, enum reason reason, struct json *j)
{
	struct reason_text text = reason_text_get(reason, a->language);
	struct buffer reply;

	buffer_init(&reply, REPLY_OCTETS_MAX);
	json_object_begin(j, NULL);
	json_cstring(j, "reason", reason_token(reason));
	text_write_json(&text, j);
	json_object_begin(j, "replies");
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		buffer_clear(&reply);
		reason_reply_append(&reply, reason, style);
		json_text_if(j, style_names[style], buffer_span(&reply));
	}
	json_object_end(j);
	buffer_clear(&reply);
	reply_line_append(&reply, reply_here(a, reason));
	json_text_if(j, "configured", buffer_span(&reply));
	json_object_end(j);
	buffer_reset(&reply);
}

static void
answer_write_json(const struct answer *a, struct json *j)
{
	const struct language_texts *texts = language_texts_get(a->language);

	json_array_begin(j, NULL);
	for (size_t i = 0; i < a->reason_count; i++)
		reason_write_json(a, a->reasons[i], j);
	for (size_t i = 0; i < a->code_count; i++) {
		json_object_begin(j, NULL);
		json_cstring(j, "code", a->codes[i]->code);
		text_write_json(&a->codes[i]->text, j);
		json_object_end(j);
	}
	for (size_t i = 0; a->has_causes && i < texts->cause_count; i++) {
		json_object_begin(j, NULL);
		json_cstring(j, "cause", texts->causes[i].name);
		text_write_json(&texts->causes[i].text, j);
		json_object_end(j);
	}
	json_array_end(j);
}

/* ---- For people ---- */

/* "  label      words"; the columns of a label are its characters, not its octets. */
static void
line_put(struct buffer *out, const char *label, const char *words)
{
	size_t columns = 0;

	for (const char *c = label; *c != '\0'; c++)
		columns += ((unsigned char)*c & 0xc0) != 0x80;
	buffer_printf(out, "  %s", label);
	for (; columns < LABEL_COLUMNS; columns++)
		buffer_append_byte(out, ' ');
	buffer_printf(out, "%s\n", words);
}

static void
text_put(const struct answer *a, const char *title, const struct reason_text *text,
	 struct buffer *out)
{
	const struct language_texts *texts = language_texts_get(a->language);

	buffer_printf(out, "%s%s\n", out->len == 0 ? "" : "\n", title);
	line_put(out, texts->word_cause, text->cause);
	line_put(out, texts->word_remedy, text->remedy);
	line_put(out, texts->word_sender, text->sender);
}

static void
reason_put(const struct answer *a, enum reason reason, struct buffer *out)
{
	struct reason_text text = reason_text_get(reason, a->language);
	struct buffer reply;

	buffer_init(&reply, REPLY_OCTETS_MAX);
	text_put(a, reason_token(reason), &text, out);
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		buffer_clear(&reply);
		reason_reply_append(&reply, reason, style);
		if (reply.len > 0)
			line_put(out, style_names[style], buffer_text(&reply));
	}
	buffer_clear(&reply);
	reply_line_append(&reply, reply_here(a, reason));
	if (reply.len > 0)
		line_put(out, language_texts_get(a->language)->word_here,
			 buffer_text(&reply));
	buffer_reset(&reply);
}

static void
answer_put(const struct answer *a, struct buffer *out)
{
	const struct language_texts *texts = language_texts_get(a->language);

	for (size_t i = 0; i < a->reason_count; i++)
		reason_put(a, a->reasons[i], out);
	for (size_t i = 0; i < a->code_count; i++)
		text_put(a, a->codes[i]->code, &a->codes[i]->text, out);
	if (a->has_causes)
		buffer_printf(out, "\n%s\n", texts->word_causes);
	for (size_t i = 0; a->has_causes && i < texts->cause_count; i++)
		text_put(a, texts->causes[i].name, &texts->causes[i].text, out);
}

static void
answer_list(const struct answer *a)
{
	static const char *const titles[] = { "REASON", "REPLY" };
	static const struct reply_wording usual = { .style = REPLY_STYLE_RELAYD };
	const struct reply_wording *wording =
	    a->settings == NULL ? &usual : &a->settings->wording;
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < a->reason_count; i++) {
		struct buffer reply;

		buffer_init(&reply, REPLY_OCTETS_MAX);
		reply_line_append(&reply, wording_reply(wording, a->reasons[i]));
		columns_cell(&c, span_of(reason_token(a->reasons[i])));
		columns_cell(&c, buffer_span(&reply));
		buffer_reset(&reply);
	}
	for (size_t i = 0; i < a->code_count; i++) {
		columns_cell(&c, span_of(a->codes[i]->code));
		columns_cell(&c, span_of(a->codes[i]->text.cause));
	}
	columns_end(&c);
}

static void
answer_print(const struct relayctl *ctl, const struct answer *a)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, TEXT_OCTETS_MAX);
	if (ctl->is_json) {
		answer_write_json(a, &j);
		buffer_append_byte(&out, '\n');
	} else if (a->wanted.len > 0) {
		answer_put(a, &out);
	} else {
		answer_list(a);
	}
	output_put(&out);
	buffer_reset(&out);
}

/* ---- Asking ---- */

/* The arguments as one text: 550 5.7.1 need not be quoted. */
static struct span
arguments_join(int argc, char **argv, struct buffer *out)
{
	for (int i = 0; i < argc; i++) {
		buffer_append_text(out, i == 0 ? "" : " ");
		buffer_append_text(out, argv[i]);
	}
	return buffer_span(out);
}

/* As --lang says, or else the environment. */
static int
language_choose(const struct relayctl *ctl, const char *option, enum language *language)
{
	static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

	if (option != NULL) {
		*language = language_find(span_of(option));
		return *language < LANGUAGE_COUNT ?
			   GO_ON :
			   usage_complain(ctl, "--lang %s is not there; write en or fr", option);
	}
	*language = LANGUAGE_EN;
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		const char *value = getenv(variables[i]);

		if (value == NULL || value[0] == '\0')
			continue;
		*language = language_find(span_of(value));
		break;
	}
	if (*language == LANGUAGE_COUNT)
		*language = LANGUAGE_EN;
	return GO_ON;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	const char *lang = NULL;
	const struct option options[] = { { "--lang", OPTION_TEXT, &lang } };
	struct answer answer = { .reason_count = 0 };
	struct buffer text;
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON)
		status = language_choose(ctl, lang, &answer.language);
	if (status != GO_ON)
		return status;
	settings_try(ctl);
	buffer_init(&text, 1000);
	answer.settings = ctl->settings;
	answer.wanted = arguments_join(argc, argv, &text);
	answer_find(&answer);
	bool is_found = answer.reason_count + answer.code_count > 0;

	if (is_found)
		answer_print(ctl, &answer);
	else
		(void)fprintf(stderr,
			      "relayctl reason: " SPAN_FMT " is no reason and no code of relayd's; "
			      "relayctl reason lists them\n",
			      SPAN_ARG(answer.wanted));
	buffer_reset(&text);
	return is_found ? EXIT_YES : EXIT_NO;
}

const struct command command_reason = {
	.name = "reason",
	.summary = "what a reason or a reply code means, cause and remedy",
	.help = "usage: relayctl reason [TOKEN | CODE] [--lang en|fr] [--json]\n"
		"\n"
		"Without an argument: all reasons and codes. With a token (relay.no-grant), the\n"
		"first part of one (evidence) or a reply's code (550, 5.7.367, 550 5.7.1): the\n"
		"cause, what the administrator can do, what whoever sends can do, and the reply in\n"
		"each reply-style and as configured here. Codes that next hops send are there too;\n"
		"with 5.7.1 and its relatives come the causes for which mail servers send them.\n"
		"  --lang en|fr       the language; by default that of LC_ALL, LC_MESSAGES or LANG\n"
		"\n"
		"examples:\n"
		"  relayctl reason sender.not-authorized\n"
		"  relayctl reason 550 5.7.1 --lang fr\n"
		"\n"
		"exit: 0 found, 1 no such reason or code\n",
	.run = run,
};
