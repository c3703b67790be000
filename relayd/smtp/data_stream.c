/* SPDX-License-Identifier: ISC */
/* Message bodies as they arrive; see data_stream.h. */
#include "smtp/data_stream.h"

/*
 * Bytes that may yet turn out to mean something else (a CR, a dot that begins a line) are
 * not handed out but held in the state. Only the states marked "true" follow a CRLF or the
 * start of the data, and only from them does a dot lead to the end.
 */
enum data_state {
	STATE_LINE_TRUE,   /* where a line begins, after CRLF or at the start */
	STATE_LINE_MADE,   /* where a line begins, after a bare CR or LF made into CRLF */
	STATE_IN_LINE,
	STATE_CR,	   /* CR held */
	STATE_DOT_TRUE,	   /* "." that begins a line held */
	STATE_DOT_MADE,
	STATE_DOT_TRUE_CR, /* ".", CR held */
	STATE_DOT_MADE_CR,
	STATE_ENDED,
};

static const struct span crlf = SPAN_LITERAL("\r\n");
static const struct span dot_crlf = SPAN_LITERAL(".\r\n");

void
data_stream_init(struct data_stream *stream, enum data_mode mode)
{
	*stream = (struct data_stream){ .mode = mode, .state = STATE_LINE_TRUE };
}

/* A whole line's end, and what was held before it. */
static void
line_give(struct data_stream *s, struct span text, enum data_state next, struct span *run)
{
	s->facts.line_octets += text.len - crlf.len;
	line_facts_end(&s->facts);
	s->state = next;
	*run = text;
}

/* A bare CR or LF. Normalised, it ends the line, and what was held goes with it. */
static void
bare_take(struct data_stream *s, struct span line, struct span *run)
{
	s->has_bare = true;
	if (s->mode == DATA_NORMALISE) {
		line_give(s, line, STATE_LINE_MADE, run);
		return;
	}
	s->facts.line_octets += line.len - 1; /* what was held, and the bare byte itself */
	s->octets += line.len - 1;
	s->state = STATE_IN_LINE;
}

/* From a line's begin or inside one: as far as nothing needs care. */
static void
line_take(struct data_stream *s, struct span *in, struct span *run)
{
	bool is_refused = s->has_bare && s->mode == DATA_REFUSE;
	unsigned stops = is_refused ? STOP_AT_DOT : STOP_AT_DOT | STOP_AT_BARE;
	bool ends_line;

	if (s->state != STATE_IN_LINE && in->ptr[0] == '.') {
		s->state = s->state == STATE_LINE_TRUE ? STATE_DOT_TRUE : STATE_DOT_MADE;
		*in = span_skip(*in, 1);
		return;
	}
	*run = span_first(*in, line_scan(*in, stops, &s->facts, &ends_line));
	if (run->len > 0) {
		*in = span_skip(*in, run->len);
		s->state = ends_line ? STATE_LINE_TRUE : STATE_IN_LINE;
		return;
	}
	if (in->ptr[0] == '\r')
		s->state = STATE_CR;
	else
		bare_take(s, crlf, run);
	*in = span_skip(*in, 1);
}

/* Behind a held CR. */
static void
cr_take(struct data_stream *s, struct span *in, struct span *run)
{
	if (byte_take(in, '\n'))
		line_give(s, crlf, STATE_LINE_TRUE, run);
	else
		bare_take(s, crlf, run);
}

/* Behind a held dot: one that does not stand alone is removed (RFC 5321 s.4.5.2). */
static void
dot_take(struct data_stream *s, struct span *in, struct span *run)
{
	if (byte_take(in, '\r'))
		s->state = s->state == STATE_DOT_TRUE ? STATE_DOT_TRUE_CR : STATE_DOT_MADE_CR;
	else if (byte_take(in, '\n'))
		bare_take(s, dot_crlf, run);
	else
		s->state = STATE_IN_LINE;
}

/* Behind a held dot and CR: the end, but only if the dot's line began as a line must. */
static void
dot_cr_take(struct data_stream *s, struct span *in, struct span *run)
{
	if (!byte_take(in, '\n'))
		bare_take(s, dot_crlf, run);
	else if (s->state == STATE_DOT_TRUE_CR)
		s->state = STATE_ENDED;
	else
		line_give(s, dot_crlf, STATE_LINE_TRUE, run);
}

enum data_progress
data_stream_take(struct data_stream *stream, struct span *in, struct span *run)
{
	while (in->len > 0 && stream->state != STATE_ENDED) {
		*run = (struct span){ NULL, 0 };
		switch ((enum data_state)stream->state) {
		case STATE_LINE_TRUE:
		case STATE_LINE_MADE:
		case STATE_IN_LINE:
			line_take(stream, in, run);
			break;
		case STATE_CR:
			cr_take(stream, in, run);
			break;
		case STATE_DOT_TRUE:
		case STATE_DOT_MADE:
			dot_take(stream, in, run);
			break;
		case STATE_DOT_TRUE_CR:
		case STATE_DOT_MADE_CR:
			dot_cr_take(stream, in, run);
			break;
		case STATE_ENDED:
			break;
		}
		stream->octets += run->len;
		if (run->len > 0 && !(stream->has_bare && stream->mode == DATA_REFUSE))
			return DATA_RUN;
	}
	return stream->state == STATE_ENDED ? DATA_ENDED : DATA_MORE;
}

void
bdat_stream_init(struct bdat_stream *stream)
{
	*stream = (struct bdat_stream){ .ends_line = true };
}

void
bdat_stream_add(struct bdat_stream *stream, struct span bytes)
{
	struct span rest = bytes;

	if (bytes.len == 0)
		return;
	stream->octets += bytes.len;
	if (stream->is_after_cr && byte_take(&rest, '\n')) {
		line_facts_end(&stream->facts);
		stream->ends_line = true;
	} else if (stream->is_after_cr) {
		stream->has_bare = true;
		stream->facts.line_octets++;
	}
	if (rest.len > 0) {
		/* until one was found it stops at a bare CR or LF, after that only at the end */
		size_t used = line_scan(rest, stream->has_bare ? 0 : STOP_AT_BARE,
					&stream->facts, &stream->ends_line);

		rest = span_skip(rest, used);
		if (rest.len > 1 || (rest.len == 1 && rest.ptr[0] == '\n')) {
			stream->has_bare = true;
			stream->ends_line = false;
			rest = span_skip(rest, line_scan(rest, 0, &stream->facts,
							 &stream->ends_line));
		}
		if (rest.len > 0)
			stream->ends_line = false;
	}
	stream->is_after_cr = bytes.ptr[bytes.len - 1] == '\r';
}

void
bdat_stream_end(struct bdat_stream *stream)
{
	if (stream->is_after_cr) {
		stream->has_bare = true;
		stream->facts.line_octets++;
		stream->is_after_cr = false;
	}
	line_facts_end(&stream->facts);
}
