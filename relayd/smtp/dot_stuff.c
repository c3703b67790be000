/* SPDX-License-Identifier: ISC */
/* Bodies on their way out; see dot_stuff.h. */
#include "smtp/dot_stuff.h"

enum stuff_state {
	STATE_LINE, /* where a line begins */
	STATE_IN_LINE,
	STATE_CR, /* CR held */
};

static const struct span crlf = SPAN_LITERAL("\r\n");

void
dot_stuff_init(struct dot_stuff *stuff)
{
	*stuff = (struct dot_stuff){ .state = STATE_LINE };
}

static bool
line_end_give(struct dot_stuff *stuff, struct span *run)
{
	line_facts_end(&stuff->facts);
	stuff->state = STATE_LINE;
	*run = crlf;
	return true;
}

bool
dot_stuff_take(struct dot_stuff *stuff, struct span *in, struct span *run)
{
	static const struct span dot = SPAN_LITERAL(".");
	bool ends_line;

	if (in->len == 0)
		return false;
	if (stuff->state == STATE_CR) { /* the LF, if it comes, is one with it */
		(void)byte_take(in, '\n');
		return line_end_give(stuff, run);
	}
	if (stuff->state == STATE_LINE && in->ptr[0] == '.') {
		stuff->state = STATE_IN_LINE;
		*run = dot;
		return true;
	}
	*run = span_first(*in, line_scan(*in, STOP_AT_DOT | STOP_AT_BARE, &stuff->facts,
					 &ends_line));
	*in = span_skip(*in, run->len);
	if (run->len > 0) {
		stuff->state = ends_line ? STATE_LINE : STATE_IN_LINE;
		return true;
	}
	if (byte_take(in, '\n'))
		return line_end_give(stuff, run);
	*in = span_skip(*in, 1);
	stuff->state = STATE_CR;
	return dot_stuff_take(stuff, in, run);
}

struct span
dot_stuff_end(struct dot_stuff *stuff)
{
	static const struct span after_line = SPAN_LITERAL(".\r\n");
	static const struct span in_line = SPAN_LITERAL("\r\n.\r\n");
	bool is_line = stuff->state == STATE_LINE;

	stuff->state = STATE_LINE;
	line_facts_end(&stuff->facts);
	return is_line ? after_line : in_line;
}
