/* SPDX-License-Identifier: ISC */
/* relayctl reason: what a reason or a reply code means, its cause and its cure. */
#include "ctl/command.h"

#include "base/json.h"
#include "ctl/columns.h"

#define TEXT_OCTETS_MAX (1U << 20)

static const char *const style_names[REPLY_STYLE_COUNT] = {
	[REPLY_STYLE_RELAYD] = "relayd",
	[REPLY_STYLE_STANDARD] = "standard",
	[REPLY_STYLE_EXCHANGE] = "exchange",
};

/* Does a code as people give it ("550", "5.7.1", "550 5.7.1") stand in this reply? */
static bool
reply_has_code(enum reason reason, enum reply_style style, struct span code)
{
	struct buffer text;
	bool has = false;

	buffer_init(&text, 4096);
	reason_reply_append(&text, reason, style);
	struct span reply = buffer_span(&text);

	/* at the front, or behind the three digits, and ending there */
	for (size_t at = 0; at <= 4 && !has && reply.len >= at + code.len + 1; at += 4)
		has = span_equal((struct span){ reply.ptr + at, code.len }, code) &&
		      reply.ptr[at + code.len] == ' ';
	buffer_reset(&text);
	return has && code.len >= 3;
}

static bool
reason_is_wanted(enum reason reason, struct span wanted)
{
	struct span token = span_of(reason_token(reason));

	if (wanted.len == 0 || span_equal(token, wanted))
		return true;
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		if (reply_has_code(reason, style, wanted))
			return true;
	}
	return token.len > wanted.len && token.ptr[wanted.len] == '.' &&
	       span_equal(span_first(token, wanted.len), wanted);
}

static void
reason_write_json(enum reason reason, struct json *j)
{
	struct buffer reply;

	buffer_init(&reply, 4096);
	json_object_begin(j, NULL);
	json_cstring(j, "reason", reason_token(reason));
	json_cstring(j, "meaning", reason_meaning(reason));
	json_cstring(j, "remedy", reason_remedy(reason));
	json_object_begin(j, "replies");
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		buffer_clear(&reply);
		reason_reply_append(&reply, reason, style);
		json_text_if(j, style_names[style], buffer_span(&reply));
	}
	json_object_end(j);
	json_object_end(j);
	buffer_reset(&reply);
}

static void
reason_explain(enum reason reason, struct buffer *out)
{
	buffer_printf(out, "%s\n  cause     %s\n  remedy    %s\n", reason_token(reason),
		      reason_meaning(reason), reason_remedy(reason));
	for (enum reply_style style = REPLY_STYLE_RELAYD; style < REPLY_STYLE_COUNT; style++) {
		struct buffer reply;

		buffer_init(&reply, 4096);
		reason_reply_append(&reply, reason, style);
		if (reply.len > 0)
			buffer_printf(out, "  %-9s " SPAN_FMT "\n", style_names[style],
				      SPAN_ARG(buffer_span(&reply)));
		buffer_reset(&reply);
	}
}

static void
reasons_list(const enum reason *reasons, size_t count, enum reply_style style)
{
	static const char *const titles[] = { "REASON", "REPLY" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < count; i++) {
		struct buffer reply;

		buffer_init(&reply, 4096);
		reason_reply_append(&reply, reasons[i], style);
		columns_cell(&c, span_of(reason_token(reasons[i])));
		columns_cell(&c, buffer_span(&reply));
		buffer_reset(&reply);
	}
	columns_end(&c);
}

static void
reasons_print(const struct relayctl *ctl, const enum reason *reasons, size_t count,
	      bool in_full)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, TEXT_OCTETS_MAX);
	if (ctl->is_json) {
		json_array_begin(&j, NULL);
		for (size_t i = 0; i < count; i++)
			reason_write_json(reasons[i], &j);
		json_array_end(&j);
		buffer_append_byte(&out, '\n');
	} else if (in_full) {
		for (size_t i = 0; i < count; i++) {
			buffer_append_text(&out, i == 0 ? "" : "\n");
			reason_explain(reasons[i], &out);
		}
	} else {
		reasons_list(reasons, count, REPLY_STYLE_RELAYD);
	}
	output_put(&out);
	buffer_reset(&out);
}

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

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	enum reason found[REASON_COUNT];
	size_t count = 0;
	struct buffer text;
	int status = options_take(ctl, NULL, 0, &argc, argv);

	if (status != GO_ON)
		return status;
	buffer_init(&text, 1000);
	struct span wanted = arguments_join(argc, argv, &text);

	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		if (reason_is_wanted(reason, wanted))
			found[count++] = reason;
	}
	if (count > 0)
		reasons_print(ctl, found, count, wanted.len > 0);
	else
		(void)fprintf(stderr,
			      "relayctl reason: " SPAN_FMT " is no reason and no code of relayd's; "
			      "relayctl reason lists them\n",
			      SPAN_ARG(wanted));
	status = count > 0 ? EXIT_YES : EXIT_NO;
	buffer_reset(&text);
	return status;
}

const struct command command_reason = {
	.name = "reason",
	.summary = "what a reason or a reply code means, cause and remedy",
	.help = "usage: relayctl reason [TOKEN | CODE] [--json]\n"
		"\n"
		"Without an argument: all reasons. With a token (relay.no-grant), the first part of\n"
		"one (evidence) or a reply's code (550, 5.7.367, 550 5.7.1): what it means, what to\n"
		"do, and the reply in each reply-style.\n"
		"\n"
		"examples:\n"
		"  relayctl reason sender.not-authorized\n"
		"  relayctl reason 550 5.7.1\n"
		"\n"
		"exit: 0 found, 1 no such reason\n",
	.run = run,
};
