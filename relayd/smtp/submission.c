/* SPDX-License-Identifier: ISC */
/* Messages of programs on the same machine; see submission.h. */
#include "smtp/submission.h"

#include "base/clock.h"
#include "base/table.h"
#include "smtp/header_block.h"

#define FIELD_VALUE_MAX (256U << 10) /* octets of one unfolded field */

/* One line off the front, its end included; false when there is none. */
static bool
line_take(struct span *in, struct span *line)
{
	size_t end = span_find(*in, '\n');

	if (in->len == 0)
		return false;
	*line = span_first(*in, end == in->len ? end : end + 1);
	*in = span_skip(*in, line->len);
	return true;
}

/* The line without its LF or CRLF. */
static struct span
line_content(struct span line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* field-name = 1*ftext, ":"                                            RFC 5322 s.3.6.8 */
static bool
line_begins_field(struct span line)
{
	size_t colon = span_find(line, ':');

	for (size_t i = 0; i < colon; i++) {
		if (line.ptr[i] <= ' ' || line.ptr[i] == 0x7f)
			return false;
	}
	return colon > 0 && colon < line.len;
}

static bool
line_is_continued(struct span in)
{
	return in.len > 0 && (in.ptr[0] == ' ' || in.ptr[0] == '\t');
}

bool
submission_field_next(struct span *header, struct submission_field *field)
{
	struct span rest = *header, line;

	if (!line_take(&rest, &line))
		return false;

	size_t colon = span_find(line, ':');

	while (line_is_continued(rest)) {
		struct span more;

		if (line_take(&rest, &more))
			line.len += more.len;
	}
	field->whole = line;
	field->name = span_first(line, colon);
	field->value = span_skip(line, colon == line.len ? colon : colon + 1);
	*header = rest;
	return true;
}

struct submission
submission_split(struct span text)
{
	struct span rest = text, line, before = text;
	struct submission out;
	bool is_first = true;

	if (span_first(text, 5).len == 5 && memcmp(text.ptr, "From ", 5) == 0 &&
	    line_take(&rest, &line))
		before = rest;
	text = before;
	while (line_take(&rest, &line)) {
		if (line_content(line).len == 0) {
			out.header = span_first(text, (size_t)(line.ptr - text.ptr));
			out.body = rest;
			return out;
		}
		if (!(line_is_continued(line) && !is_first) && !line_begins_field(line)) {
			rest = before; /* a body that nothing separates from the header */
			break;
		}
		is_first = false;
		before = rest;
	}
	out.header = span_first(text, text.len - rest.len);
	out.body = rest;
	return out;
}

static bool
field_is(const struct submission_field *field, const char *name)
{
	return span_equal_fold(field->name, span_of(name));
}

size_t
submission_field_count(const struct submission *submission, const char *name)
{
	struct span header = submission->header;
	struct submission_field field;
	size_t count = 0;

	while (submission_field_next(&header, &field))
		count += field_is(&field, name);
	return count;
}

/* ---- Addresses ---- */

/* The value on one line, in the arena: RFC 5322 s.2.2.3. */
static struct span
value_unfold(struct span value, struct arena *arena)
{
	char *text = arena_new(arena, value.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		text[len++] = c == '\t' ? ' ' : c;
	}
	return span_trim((struct span){ text, len });
}

/* How the reader of a list stands: what "," ":" and ";" mean depends on it. */
struct list_scan {
	size_t comments; /* depth */
	bool is_quoted;
	bool is_angle;	 /* inside "<...>", where ":" is no group's */
	bool is_literal; /* inside "[...]" */
};

/* Is the octet at *i a mark of the list itself? Steps over quoted pairs. */
static bool
scan_is_mark(struct list_scan *scan, struct span in, size_t *i)
{
	char c = in.ptr[*i];

	if (c == '\\' && (scan->is_quoted || scan->comments > 0)) {
		*i += *i + 1 < in.len;
		return false;
	}
	if (scan->comments > 0) {
		scan->comments += c == '(';
		scan->comments -= c == ')';
		return false;
	}
	if (c == '"')
		scan->is_quoted = !scan->is_quoted;
	if (scan->is_quoted || c == '"')
		return false;
	scan->comments += c == '(';
	if (c == '<' || c == '>')
		scan->is_angle = c == '<';
	if (c == '[' || c == ']')
		scan->is_literal = c == '[';
	return !scan->is_angle && !scan->is_literal && (c == ',' || c == ':' || c == ';');
}

struct recipient_list {
	struct arena *arena;
	struct table seen;
	struct address *items;
	size_t count;
	size_t room;
};

static bool
recipient_add(struct recipient_list *list, const struct address *address)
{
	if (table_find(&list->seen, address->text) != NULL)
		return true;
	if (list->count == SUBMISSION_RECIPIENTS_MAX)
		return false;
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 16 : 2 * list->room;
		struct address *items = arena_new_array(list->arena, room, sizeof(*items));

		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		list->room = room;
	}
	list->items[list->count] = *address;
	(void)table_put(&list->seen, address->text, &list->items[list->count]);
	list->count++;
	return true;
}

/* The mailboxes between two marks of a list: one, or none at all. */
static bool
piece_add(struct recipient_list *list, struct span piece)
{
	struct address_list found;

	if (span_trim(piece).len == 0)
		return true;
	return address_list_parse(piece, list->arena, &found) == PARSE_OK &&
	       found.count == 1 && recipient_add(list, &found.items[0]);
}

/*
 * address-list = (mailbox / group) *("," (mailbox / group)); a group's name ends with ":", and
 * what it holds with ";". Both may hold nothing, as in "undisclosed-recipients:;".
 */
static bool
addresses_add(struct recipient_list *list, struct span value)
{
	struct list_scan scan = { .comments = 0 };
	bool is_group = false;
	size_t from = 0;

	for (size_t i = 0; i < value.len; i++) {
		if (!scan_is_mark(&scan, value, &i))
			continue;

		struct span piece = { value.ptr + from, i - from };

		if (value.ptr[i] == ':') {
			if (is_group)
				return false;
			is_group = true;
		} else if ((value.ptr[i] == ';' && !is_group) || !piece_add(list, piece)) {
			return false;
		} else if (value.ptr[i] == ';') {
			is_group = false;
		}
		from = i + 1;
	}
	return !is_group && piece_add(list, span_skip(value, from));
}

/* ---- The envelope ---- */

static bool
field_complain(const struct submission_field *field, struct fault *fault, const char *what)
{
	return fault_say(fault, "the field " SPAN_FMT " %s",
			 SPAN_ARG(span_first(field->name, 40)), what);
}

/* "<a@example.com>" or "a@example.com"; has_null: "<>" too. */
static bool
path_read(const struct submission_field *field, bool has_null, struct arena *arena,
	  struct address *address, struct fault *fault)
{
	struct span text = value_unfold(field->value, arena);
	struct span rest = text;

	if (text.len > 0 && text.ptr[0] == '<' &&
	    reverse_path_take(&rest, address) == PARSE_OK && rest.len == 0 &&
	    (has_null || !address_is_null(address)))
		return true;
	if (mailbox_parse(text, address) == PARSE_OK)
		return true;
	return field_complain(field, fault,
			      "is not an address; write for example <a@example.com>");
}

static bool
recipient_field_use(const struct submission_field *field, bool is_explicit, bool is_resent)
{
	if (is_explicit)
		return field_is(field, "X-Receiver");
	if (is_resent)
		return field_is(field, "Resent-To") || field_is(field, "Resent-Cc") ||
		       field_is(field, "Resent-Bcc");
	return field_is(field, "To") || field_is(field, "Cc") || field_is(field, "Bcc");
}

static bool
is_resent(const struct submission *submission)
{
	return submission_field_count(submission, "Resent-To") > 0 ||
	       submission_field_count(submission, "Resent-Cc") > 0 ||
	       submission_field_count(submission, "Resent-Bcc") > 0;
}

static bool
recipients_collect(const struct submission *submission, struct recipient_list *list,
		   struct fault *fault)
{
	bool is_explicit = submission_field_count(submission, "X-Receiver") > 0;
	bool resent = is_resent(submission);
	struct span header = submission->header;
	struct submission_field field;
	struct address address;

	while (submission_field_next(&header, &field)) {
		if (!recipient_field_use(&field, is_explicit, resent))
			continue;
		if (field.value.len > FIELD_VALUE_MAX)
			return field_complain(&field, fault, "is too long");
		if (is_explicit && (!path_read(&field, false, list->arena, &address, fault) ||
				    !recipient_add(list, &address)))
			return is_explicit && list->count == SUBMISSION_RECIPIENTS_MAX ?
				       fault_say(fault, "more than %d recipients",
						 SUBMISSION_RECIPIENTS_MAX) :
				       false;
		if (!is_explicit &&
		    !addresses_add(list, value_unfold(field.value, list->arena)))
			return list->count == SUBMISSION_RECIPIENTS_MAX ?
				       fault_say(fault, "more than %d recipients",
						 SUBMISSION_RECIPIENTS_MAX) :
				       field_complain(&field, fault,
						      "holds something that is no address");
	}
	if (list->count == 0)
		return fault_say(fault, "there is no recipient; write X-Receiver, To, Cc or Bcc");
	return true;
}

static bool
recipients_read(const struct submission *submission, struct arena *arena,
		struct submission_envelope *envelope, struct fault *fault)
{
	struct recipient_list list = { .arena = arena };

	table_init(&list.seen, 0);

	bool ok = recipients_collect(submission, &list, fault);

	table_reset(&list.seen);
	envelope->recipients = list.items;
	envelope->recipient_count = list.count;
	return ok;
}

/* The first field of this name, if there is one. */
static bool
field_find(const struct submission *submission, const char *name,
	   struct submission_field *field)
{
	struct span header = submission->header;

	while (submission_field_next(&header, field)) {
		if (field_is(field, name))
			return true;
	}
	return false;
}

static bool
sender_read(const struct submission *submission, struct arena *arena, struct address *sender,
	    struct fault *fault)
{
	static const char *const plain[] = { "Sender", "From" };
	static const char *const resent[] = { "Resent-Sender", "Resent-From" };
	const char *const *names = is_resent(submission) ? resent : plain;
	struct submission_field field;
	struct address_list found;

	if (submission_field_count(submission, "X-Sender") > 1)
		return fault_say(fault, "there are several fields X-Sender; leave one");
	if (field_find(submission, "X-Sender", &field))
		return path_read(&field, true, arena, sender, fault);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (!field_find(submission, names[i], &field))
			continue;
		if (field.value.len > FIELD_VALUE_MAX ||
		    address_list_parse(value_unfold(field.value, arena), arena, &found) !=
			PARSE_OK ||
		    found.count != 1)
			return field_complain(&field, fault,
					      "must hold one address to send from");
		*sender = found.items[0];
		return true;
	}
	return fault_say(fault, "there is no sender; write X-Sender, Sender or From");
}

bool
submission_envelope_read(const struct submission *submission, unsigned uses,
			 struct arena *arena, struct submission_envelope *envelope,
			 struct fault *fault)
{
	*envelope = (struct submission_envelope){ .recipient_count = 0 };
	if ((uses & SUBMISSION_SENDER) != 0 &&
	    !sender_read(submission, arena, &envelope->sender, fault))
		return false;
	return (uses & SUBMISSION_RECIPIENTS) == 0 ||
	       recipients_read(submission, arena, envelope, fault);
}

/* ---- Writing ---- */

static bool
field_is_private(const struct submission_field *field)
{
	return field_is(field, "Bcc") || field_is(field, "Resent-Bcc") ||
	       field_is(field, "X-Sender") || field_is(field, "X-Receiver");
}

/* Every line with CRLF, also the last. */
static bool
lines_append(struct buffer *out, struct span text)
{
	struct span line;

	while (line_take(&text, &line)) {
		if (!buffer_append(out, line_content(line)) ||
		    !buffer_append_text(out, "\r\n"))
			return false;
	}
	return true;
}

static bool
field_append(struct buffer *out, const char *name, struct span value)
{
	return buffer_append_text(out, name) && buffer_append_text(out, ": ") &&
	       buffer_append(out, value) && buffer_append_text(out, "\r\n");
}

static bool
additions_append(const struct submission *submission,
		 const struct submission_additions *additions, struct buffer *out)
{
	bool ok = true;

	if (additions->from.len > 0 && submission_field_count(submission, "From") == 0)
		ok = ok && field_append(out, "From", additions->from);
	if (additions->message_id.len > 0 &&
	    submission_field_count(submission, "Message-ID") == 0)
		ok = ok && field_append(out, "Message-ID", additions->message_id);
	if (additions->date_wall_ms != 0 && submission_field_count(submission, "Date") == 0)
		ok = ok && buffer_append_text(out, "Date: ") &&
		     clock_rfc5322(additions->date_wall_ms, out) &&
		     buffer_append_text(out, "\r\n");
	return ok;
}

bool
submission_write(const struct submission *submission,
		 const struct submission_additions *additions, struct buffer *out)
{
	struct span header = submission->header;
	struct submission_field field;

	while (submission_field_next(&header, &field)) {
		if (!field_is_private(&field) && !lines_append(out, field.whole))
			return false;
	}
	return additions_append(submission, additions, out) &&
	       buffer_append_text(out, "\r\n") && lines_append(out, submission->body);
}
