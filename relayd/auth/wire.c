/* SPDX-License-Identifier: ISC */
/* Datagrams between workers and auth helpers; see wire.h. */
#include "auth/wire.h"

#include <assert.h>

#define REQUEST_MARK 0x52514131 /* "1AQR" */
#define ANSWER_MARK  0x4e414131 /* "1AAN" */

enum {
	FLAG_TLS = 1,
	FLAG_PLAIN_TEXT = 2,
	FLAG_BINDING = 4,
	FLAG_DATA = 8,
	FLAGS_ALL = 15,
};

struct request_head {
	uint32_t mark;
	uint32_t op;
	uint64_t id;
	uint32_t mechanism;
	uint32_t flags;
	uint32_t external_len;
	uint32_t data_len;
	unsigned char binding[AUTH_BINDING_LEN];
};

struct answer_head {
	uint32_t mark;
	uint32_t code;
	uint64_t id;
	uint32_t user_len;
	uint32_t data_len;
	uint32_t mechanisms;
	int32_t pid;
};

static struct span
span_of_bytes(const void *bytes, size_t len)
{
	return (struct span){ bytes, len };
}

void
auth_request_write(const struct auth_request *request, struct buffer *out)
{
	const struct auth_facts *facts = &request->facts;
	struct request_head head = {
		.mark = REQUEST_MARK,
		.op = request->op,
		.id = request->id,
		.mechanism = request->mechanism,
		.flags = (facts->is_tls ? FLAG_TLS : 0U) |
			 (facts->allows_plain_text ? FLAG_PLAIN_TEXT : 0U) |
			 (facts->has_binding ? FLAG_BINDING : 0U) |
			 (request->has_data ? FLAG_DATA : 0U),
		.external_len = (uint32_t)facts->external.len,
		.data_len = (uint32_t)request->data.len,
	};

	assert(facts->external.len <= AUTH_LOGIN_MAX && request->data.len <= AUTH_DATA_MAX);
	if (facts->has_binding)
		memcpy(head.binding, facts->binding, sizeof(head.binding));
	(void)buffer_append(out, span_of_bytes(&head, sizeof(head)));
	(void)buffer_append(out, facts->external);
	(void)buffer_append(out, request->data);
	assert(!out->is_over);
}

void
auth_answer_write(const struct auth_answer *answer, struct buffer *out)
{
	struct answer_head head = {
		.mark = ANSWER_MARK,
		.code = answer->code,
		.id = answer->id,
		.user_len = (uint32_t)answer->user.len,
		.data_len = (uint32_t)answer->data.len,
		.mechanisms = answer->mechanisms,
		.pid = answer->pid,
	};

	assert(answer->user.len <= AUTH_LOGIN_MAX && answer->data.len <= AUTH_DATA_MAX);
	(void)buffer_append(out, span_of_bytes(&head, sizeof(head)));
	(void)buffer_append(out, answer->user);
	(void)buffer_append(out, answer->data);
	assert(!out->is_over);
}

/* The two variable parts fill the rest exactly, and neither exceeds its limit. */
static bool
parts_take(struct span rest, uint32_t first_len, uint32_t data_len, struct span *first,
	   struct span *data)
{
	if (first_len > AUTH_LOGIN_MAX || data_len > AUTH_DATA_MAX ||
	    rest.len != (size_t)first_len + data_len)
		return false;
	*first = span_first(rest, first_len);
	*data = span_skip(rest, first_len);
	return true;
}

enum parse_status
auth_request_read(struct span datagram, struct auth_request *request)
{
	struct request_head head;
	struct auth_request r = { .op = AUTH_OP_START };

	if (datagram.len < sizeof(head))
		return PARSE_BAD;
	memcpy(&head, datagram.ptr, sizeof(head));
	if (head.mark != REQUEST_MARK || head.op >= AUTH_OP_COUNT ||
	    head.mechanism >= AUTH_MECHANISM_COUNT || (head.flags & ~(uint32_t)FLAGS_ALL) != 0 ||
	    !parts_take(span_skip(datagram, sizeof(head)), head.external_len, head.data_len,
			&r.facts.external, &r.data))
		return PARSE_BAD;
	r.id = head.id;
	r.op = (enum auth_op)head.op;
	r.mechanism = (enum auth_mechanism)head.mechanism;
	r.has_data = (head.flags & FLAG_DATA) != 0;
	r.facts.is_tls = (head.flags & FLAG_TLS) != 0;
	r.facts.allows_plain_text = (head.flags & FLAG_PLAIN_TEXT) != 0;
	r.facts.has_binding = (head.flags & FLAG_BINDING) != 0;
	memcpy(r.facts.binding, head.binding, sizeof(head.binding));
	*request = r;
	return PARSE_OK;
}

enum parse_status
auth_answer_read(struct span datagram, struct auth_answer *answer)
{
	struct answer_head head;
	struct auth_answer a = { .code = AUTH_OK };

	if (datagram.len < sizeof(head))
		return PARSE_BAD;
	memcpy(&head, datagram.ptr, sizeof(head));
	if (head.mark != ANSWER_MARK || head.code >= AUTH_CODE_COUNT ||
	    !parts_take(span_skip(datagram, sizeof(head)), head.user_len, head.data_len,
			&a.user, &a.data))
		return PARSE_BAD;
	a.id = head.id;
	a.code = (enum auth_code)head.code;
	a.mechanisms = head.mechanisms;
	a.pid = head.pid;
	*answer = a;
	return PARSE_OK;
}
