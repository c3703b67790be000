/* SPDX-License-Identifier: ISC */
/*
 * TLS below a stream (stream.h). A server or a client is made once from the settings, by who
 * may read the files; from then on it needs none of them, so that it works in a process that
 * was forked from its maker and locked up since. Nothing here knows the library's name; it is
 * OpenSSL, and only net/tls_*.c include its headers. docs/tls.md says how it all works.
 *
 * Handshakes run as queued work of the loop (loop_work_add): they never keep others waiting
 * for long, however many there are.
 */
#ifndef RELAYD_NET_TLS_H
#define RELAYD_NET_TLS_H

#include "base/arena.h"
#include "base/fault.h"
#include "net/stream.h"

struct tls_server;
struct tls_client;
struct tls_ticket_keys;

enum tls_profile {
	TLS_MODERN,	  /* TLS 1.3 */
	TLS_INTERMEDIATE, /* 1.2 on; authenticated encryption and forward secrecy only */
	TLS_LEGACY,	  /* 1.0 on, and all that old printers need: no weak keys refused */
};

/* Files, all PEM but the staple, which is DER as `openssl ocsp -respout` writes it. */
struct tls_pair {
	const char *certificate; /* and the chain behind it */
	const char *key;	 /* NULL: in the same file */
	const char *ocsp_staple; /* or NULL */
};

/* --- keys for session tickets ---------------------------------------------------------- */

/*
 * The keys that seal session tickets, in memory that is shared with every process forked
 * later: a client may resume with any worker what it began with another (RFC 5077, RFC 8446
 * s.4.6.1). One process, the supervisor, makes and rotates them; the others look. A ticket
 * lives for TLS_TICKET_LIFE_MS, and is good under the present and the previous keys.
 */
#define TLS_TICKET_LIFE_MS (INT64_C(12) * 3600 * 1000)

/* NULL and *fault when there is no memory, or no randomness. */
struct tls_ticket_keys *tls_ticket_keys_new(struct fault *fault);

/* Call it every TLS_TICKET_LIFE_MS. False and *fault: nothing has changed. */
bool tls_ticket_keys_rotate(struct tls_ticket_keys *keys, struct fault *fault);

/* Wipes them, for all processes. */
void tls_ticket_keys_free(struct tls_ticket_keys **keys);

/* --- servers --------------------------------------------------------------------------- */

/* One `tls` section of the configuration. */
struct tls_settings {
	const char *name; /* for messages */
	const struct tls_pair *pairs; /* of different kinds: RSA, ECDSA, side by side */
	size_t pair_count;	      /* at least 1 */
	const char *const *server_names; /* that clients may ask for: "mx.example.com" or
					  * "*.example.com"; none: the certificates' own */
	size_t server_name_count;
	const char *client_ca; /* file of the CAs whose client certificates count, or NULL */
	enum tls_profile profile;
};

/* What a certificate file held. */
struct tls_certificate {
	const char *section;
	const char *file;
	const char *kind;	  /* "RSA", "ECDSA" or another name of the key's algorithm */
	int64_t expires_at_ms;	  /* since 1970 */
	int64_t staple_expires_at_ms; /* 0: it has no OCSP staple, or one without an end */
};

/* Whole days until it expires; negative afterwards. */
int64_t tls_certificate_days_left(const struct tls_certificate *certificate, int64_t now_ms);

/*
 * Read all files and make a server of the sections. keys are borrowed for its life. NULL and
 * *fault, which names section and file, when a file cannot be read or understood, a key does
 * not belong to its certificate or is too weak for the profile, two pairs are of one kind, a
 * staple is for another certificate or says that it is revoked, or a certificate is past its
 * time at now_ms (since 1970).
 */
struct tls_server *tls_server_new(const struct tls_settings *settings, size_t count,
				  const struct tls_ticket_keys *keys, int64_t now_ms,
				  struct fault *fault);

/* It must outlive every stream that it accepted. */
void tls_server_free(struct tls_server **server);

/* What was read, in the order of the settings; borrowed from the server. */
const struct tls_certificate *tls_server_certificates(const struct tls_server *server,
						      size_t *count);

/* --- what a handshake tells ------------------------------------------------------------ */

struct tls_facts {
	const char *version; /* "TLSv1.3"; lives for ever */
	const char *cipher;  /* "TLS_AES_256_GCM_SHA384"; lives for ever */
	unsigned cipher_bits;
	bool is_resumed;
	struct span server_name; /* that the client asked for, lower case; or empty */

	/*
	 * Who the peer is: "sha256:<64 digits>" of its certificate first; when that is verified
	 * also "dns:..", "email:..", "cn:..". Only the fingerprint of what is not verified is
	 * told, since anybody can make a certificate with any name. The peer has proved that it
	 * holds the key in either case. None without a certificate.
	 */
	const struct span *identities;
	size_t identity_count;
	bool is_verified;	 /* by our CAs, within its time; a server's for its name, too */
	const char *unverified; /* why not; NULL when it is, or there is none. For ever */
};

/* A copy that lives as long as the arena. */
struct tls_facts *tls_facts_copy(struct arena *arena, const struct tls_facts *facts);

/*
 * The handshake is over. facts are borrowed for the call. NULL: it failed, *fault says why,
 * and the stream is closed. Either way the callback may close or free its stream; it is never
 * called before tls_accept or tls_connect return, nor when the owner closes the stream first.
 */
typedef void tls_done(struct stream *stream, const struct tls_facts *facts,
		      struct fault *fault);

/* --- handshakes ------------------------------------------------------------------------ */

struct tls_offer {
	const struct tls_server *server;
	size_t section;		/* the connector's own; its profile and CAs hold whatever
				 * name the client asks for */
	bool wants_certificate; /* ask for one; the client may do without */
	struct span first;	/* octets of the client's that were read already: those behind a
				 * PROXY header. Never what came behind STARTTLS */
};

/*
 * Be the server on an open stream from now on. Everything received must have been taken,
 * everything written sent (in drained, after STARTTLS): false and *fault otherwise, and
 * nothing has changed. Within received it may be called too; what that leaves untaken breaks
 * the stream. A paused stream is resumed. Until done is called the owner does not pause it;
 * what it writes leaves afterwards. It may close the stream, as it does when its time for the
 * whole handshake is up, and must be ready for `ended`, which then takes the place of done.
 */
bool tls_accept(struct stream *stream, const struct tls_offer *offer, tls_done *done,
		struct fault *fault);

enum tls_check {
	TLS_CHECK_NOTHING, /* any certificate; facts tell what it was worth */
	TLS_CHECK_NAME,	   /* a CA of ours vouches for the name, or there is no connection */
	TLS_CHECK_DANE,	   /* one of the TLSA records vouches for it, or there is none */
};

/* A TLSA record, RFC 6698 s.2.1. */
struct tls_tlsa {
	uint8_t usage;	  /* TLSA_USAGE_TA or _EE */
	uint8_t selector; /* 0: the certificate, 1: its public key */
	uint8_t matching; /* 0: all of that, 1: its SHA-256, 2: its SHA-512 */
	struct span data; /* borrowed */
};

#define TLSA_USAGE_TA 2 /* the certificate of a CA above the server's; names are checked */
#define TLSA_USAGE_EE 3 /* the server's own; neither its names nor its dates matter */
#define TLS_TLSA_MAX  16

struct tls_tlsa_set {
	size_t count;
	struct tls_tlsa records[TLS_TLSA_MAX];
};

/* How to speak to the next hops of one route. */
struct tls_client_settings {
	const char *name; /* of the route, for messages */
	const struct tls_pair *pair; /* our certificate, or NULL */
	const char *ca; /* file of the CAs that vouch for next hops; NULL: none does */
	enum tls_profile profile;
};

/* Where Debian keeps the CAs that the world trusts. */
#define TLS_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

/* As tls_server_new. A CA file that several routes name is read and kept once. */
struct tls_client *tls_client_new(const struct tls_client_settings *settings, size_t count,
				  int64_t now_ms, struct fault *fault);
void tls_client_free(struct tls_client **client);
const struct tls_certificate *tls_client_certificates(const struct tls_client *client,
						      size_t *count);

struct tls_request {
	struct tls_client *client; /* which remembers sessions, to be resumed later */
	size_t route;
	struct span name; /* of the next hop, A-labels, or an address as text */
	enum tls_check check;
	const struct tls_tlsa_set *tlsa; /* for TLS_CHECK_DANE, then not empty; read by tls_connect */
	struct span other_name; /* for TLS_CHECK_DANE: another name that a certificate below a
				 * TLSA_USAGE_TA may have; or empty */
};

/* Be the client on an open stream from now on; for the rest as tls_accept. */
bool tls_connect(struct stream *stream, const struct tls_request *request, tls_done *done,
		 struct fault *fault);

/* --- afterwards ------------------------------------------------------------------------ */

#define TLS_BINDING_OCTETS 32

/*
 * The tls-exporter channel binding (RFC 9266) for SCRAM-*-PLUS. False on a stream without
 * TLS, or with a version before 1.3, where it would prove nothing.
 */
bool tls_channel_binding(const struct stream *stream, unsigned char out[TLS_BINDING_OCTETS]);

#endif
