/* SPDX-License-Identifier: ISC */
/*
 * XCLIENT (Postfix's XCLIENT_README): a host that is named in `xclient` says who its client is.
 * The session begins afresh as that client's, with the connector of its address; the host may
 * say XCLIENT again at any time between two messages. What one XCLIENT leaves out stays as it
 * was. The host's own login and certificate say nothing of its client.
 */
#include "session/session_private.h"

#include "base/memory.h"

/* Is there a host at the other end whose XCLIENT is taken? */
static bool
session_may_xclient(const struct session *session)
{
	const struct introduction *told = session->introduction;

	if (told != NULL && told->has_xclient)
		return true;
	return policy_is_go_between(session->server->environment.policy, GO_BETWEEN_XCLIENT,
				    told == NULL ? &session->local : &told->bound,
				    &session->peer.ip);
}

/* The last line of a reply stays the last. */
struct span
xclient_offer(struct session *session, struct span hello)
{
	struct buffer *out = &session->server->scratch;
	size_t last = hello.len - 2;

	if (!session_may_xclient(session))
		return hello;
	while (last > 0 && hello.ptr[last - 1] != '\n')
		last--;
	buffer_clear(out);
	(void)buffer_append(out, span_first(hello, last));
	(void)reply_append_line(out, 250, span_of("XCLIENT " XCLIENT_ATTRIBUTES), false);
	(void)buffer_append(out, span_skip(hello, last));
	return buffer_span(out);
}

static void
text_replace(struct xclient_text *to, const struct xclient_argument *x,
	     enum xclient_attribute attribute, const struct xclient_text *from)
{
	if ((x->given & attribute) != 0)
		*to = *from; /* empty when it is not known */
}

/* Where the client connected; what is not known is where the host did. */
static void
destination_take(struct session *session, const struct xclient_argument *x)
{
	const struct ip_endpoint *bound = &session->introduction->bound;

	if ((x->given & XCLIENT_DESTADDR) != 0)
		session->local.ip =
		    (x->known & XCLIENT_DESTADDR) != 0 ? x->destination.ip : bound->ip;
	if ((x->given & XCLIENT_DESTPORT) != 0)
		session->local.port =
		    (x->known & XCLIENT_DESTPORT) != 0 ? x->destination.port : bound->port;
}

/* A login by AUTH was the host's own; one that an earlier XCLIENT told stays. */
static void
login_take(struct session *session, const struct xclient_argument *x)
{
	struct span login = xclient_span(&x->login);

	if ((x->given & XCLIENT_LOGIN) == 0 && session->login != NULL &&
	    strcmp(session->login->mechanism, "XCLIENT") == 0)
		return;
	session_login_forget(session);
	if ((x->given & XCLIENT_LOGIN) != 0 && login.len > 0)
		session_login_set(session, login, "XCLIENT");
}

static void
introduction_take(struct session *session, const struct xclient_argument *x)
{
	struct introduction *told = session->introduction;

	if (told == NULL) {
		told = session->introduction = memory_new(sizeof(*told));
		told->bound = session->local;
	}
	if (!told->has_xclient)
		told->xclient = session->peer;
	told->has_xclient = true;
	session_forget_certificate(session);
	if ((x->given & XCLIENT_ADDR) != 0)
		session->peer = (struct ip_endpoint){ .ip = x->client.ip };
	if ((x->given & XCLIENT_PORT) != 0)
		session->peer.port = x->client.port;
	destination_take(session, x);
	text_replace(&told->name, x, XCLIENT_NAME, &x->name);
	text_replace(&told->helo, x, XCLIENT_HELO, &x->helo);
	login_take(session, x);
}

bool
command_xclient(struct session *session, struct span argument)
{
	struct xclient_argument x;

	if (!session_may_xclient(session)) {
		session_protest(session, REPLY_XCLIENT_REFUSED);
		return false;
	}
	if (xclient_argument_parse(argument, &x) != PARSE_OK) {
		session_protest(session, REPLY_BAD_PARAMETER);
		return false;
	}
	session_uncount(session);
	introduction_take(session, &x);
	session->helo_len = (unsigned char)session->introduction->helo.len;
	memcpy(session->helo, session->introduction->helo.text, session->helo_len);
	session->is_esmtp = false;
	session_begin_again(session);
	return !session->is_ending;
}
