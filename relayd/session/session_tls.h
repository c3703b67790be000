/* SPDX-License-Identifier: ISC */
/* What AUTH asks of the TLS below a session; the one place that knows where it is kept. */
#ifndef RELAYD_SESSION_SESSION_TLS_H
#define RELAYD_SESSION_SESSION_TLS_H

#include "net/tls.h"
#include "session/session_private.h"

static inline bool
session_is_tls(const struct session *session)
{
	(void)session;
	return false; /* no connector offers it */
}

/* The channel binding of this connection; false where there is none: no TLS, or an old one. */
static inline bool
session_binding(const struct session *session, unsigned char out[TLS_BINDING_OCTETS])
{
	return session_is_tls(session) && tls_channel_binding(&session->stream, out);
}

/* The login that the client's verified certificate stands for; empty: it has shown none. */
static inline struct span
session_certificate_login(const struct session *session)
{
	(void)session;
	return (struct span){ NULL, 0 };
}

#endif
