/* SPDX-License-Identifier: ISC */
/*
 * SMTP command lines: the verb, and the arguments of each verb as typed values. Everything
 * borrows from the line; nothing allocates. A parser that does not say OK leaves its result
 * alone.
 */
#ifndef RELAYD_SMTP_COMMAND_LINE_H
#define RELAYD_SMTP_COMMAND_LINE_H

#include "smtp/address.h"
#include "smtp/envelope.h"

#define COMMAND_LINE_MAX 2048 /* octets with CRLF; RFC 5321 s.4.5.3.1.4 asks 512 + extensions */
#define ENVID_MAX	 100  /* octets; RFC 3461 s.4.4 */
#define ORCPT_MAX	 500  /* octets; RFC 3461 s.4.2 */

enum verb {
	VERB_UNKNOWN,
	VERB_EHLO,
	VERB_HELO,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_QUIT,
	VERB_VRFY,
	VERB_EXPN,
	VERB_HELP,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_XCLIENT,
	VERB_XFORWARD,
	VERB_ETRN,
	VERB_BURL,
	VERB_TURN,
	VERB_LHLO,
	VERB_SEND, /* and SOML and SAML, the other two that RFC 5321 F.6 retired */
	VERB_FOREIGN, /* a request of HTTP, or one of its header lines: end the session */
	VERB_COUNT,
};

struct command_line {
	enum verb verb;
	struct span name;     /* the verb as typed; untrusted bytes when VERB_UNKNOWN */
	struct span argument; /* what follows, without blanks at either end */
};

enum command_status {
	COMMAND_OK,	   /* the verb may still be VERB_UNKNOWN */
	COMMAND_BAD_BYTES, /* NUL, a control byte, or 8-bit where none may be: 500 5.5.2 */
};

/*
 * Split a line given without its CRLF. White space at its end is ignored (RFC 5321 s.4.1.1).
 * 8-bit bytes are let through only if they are valid UTF-8 and the verb takes addresses
 * (MAIL, RCPT, VRFY, EXPN; RFC 6531 s.3.2). *command is set in either case.
 */
enum command_status command_line_parse(struct span line, struct command_line *command);

/* "MAIL", and so on; "?" for those without a name of their own. */
const char *verb_name(enum verb verb);

/* How an argument fared; the session answers the reply named here. */
enum argument_status {
	ARGUMENT_OK,
	ARGUMENT_BAD_SYNTAX,	      /* 501 5.5.4: not of the command's form */
	ARGUMENT_BAD_ADDRESS,	      /* 501 5.1.7 for MAIL, 501 5.1.3 for RCPT */
	ARGUMENT_NEEDS_SMTPUTF8,      /* 553 5.6.7: 8-bit address without SMTPUTF8 */
	ARGUMENT_BAD_PARAMETER,	      /* 501 5.5.4: known parameter, wrong value */
	ARGUMENT_DUPLICATE_PARAMETER, /* 501 5.5.4 */
	ARGUMENT_UNKNOWN_PARAMETER,   /* 555 5.5.4 */
};

/* What EHLO or HELO said. */
struct hello {
	struct span name; /* as given, brackets included */
	bool is_literal;
	struct ip ip; /* when is_literal */
};

/*
 * EHLO's Domain or address-literal, leniently: of letters, digits, "-", "_" and "." in any
 * order that has a letter or digit, since devices use their NetBIOS names. PARSE_BAD is
 * 501 5.5.4 Invalid domain name, as Exchange says.
 */
enum parse_status hello_parse(struct span argument, struct hello *hello);

/* The parameters of MAIL and RCPT that we know; one bit each. */
enum parameter {
	PARAMETER_SIZE = 1 << 0,       /* RFC 1870 */
	PARAMETER_BODY = 1 << 1,       /* RFC 6152 */
	PARAMETER_SMTPUTF8 = 1 << 2,   /* RFC 6531 */
	PARAMETER_RET = 1 << 3,	       /* RFC 3461 */
	PARAMETER_ENVID = 1 << 4,      /* RFC 3461 */
	PARAMETER_AUTH = 1 << 5,       /* RFC 4954 */
	PARAMETER_REQUIRETLS = 1 << 6, /* RFC 8689 */
	PARAMETER_NOTIFY = 1 << 7,     /* RFC 3461 */
	PARAMETER_ORCPT = 1 << 8,      /* RFC 3461 */
};

struct mail_argument {
	struct address reverse_path;
	unsigned given; /* of enum parameter */
	uint64_t size_octets; /* 0 when not given */
	enum envelope_body body;
	enum envelope_ret ret;
	bool is_smtputf8;
	bool needs_tls;
	struct span envid; /* xtext as given; its decoded form is printable ASCII */
	struct span auth;  /* xtext as given, "<>" for nobody; its decoded form is a mailbox */
};

/*
 * "FROM:" Reverse-path [SP Mail-parameters], RFC 5321 s.4.1.1.2. Leniency: blanks after the
 * colon, which printers and scripts send. A path without "<>" is ARGUMENT_BAD_ADDRESS.
 */
enum argument_status mail_argument_parse(struct span argument, struct mail_argument *mail);

struct rcpt_argument {
	struct address forward_path;
	unsigned given;	   /* of enum parameter */
	uint32_t notify;   /* of enum envelope_notify; 0 when not given */
	struct span orcpt; /* "type;xtext" as given; decoded without control bytes */
};

/*
 * "TO:" Forward-path [SP Rcpt-parameters], RFC 5321 s.4.1.1.3, with the same leniency.
 * is_smtputf8: the transaction's MAIL had SMTPUTF8.
 */
enum argument_status rcpt_argument_parse(struct span argument, bool is_smtputf8,
					 struct rcpt_argument *rcpt);

struct bdat_argument {
	uint64_t octets;
	bool is_last;
};

/* chunk-size [SP "LAST"], RFC 3030 s.2; sizes that an int64_t cannot hold are refused. */
enum parse_status bdat_argument_parse(struct span argument, struct bdat_argument *bdat);

struct auth_argument {
	struct span mechanism; /* as typed */
	struct span initial;   /* initial response, base64 unchecked; empty for "=" */
	bool has_initial;
};

/* sasl-mech [SP initial-response], RFC 4954 s.4 and s.8. */
enum parse_status auth_argument_parse(struct span argument, struct auth_argument *auth);

/*
 * Take blanks and esmtp-param = esmtp-keyword ["=" esmtp-value] (RFC 5321 s.4.1.2) off the
 * front; an absent value is empty. Also the form of XCLIENT's attributes. PARSE_BAD at the
 * end of *in, and where no well-formed parameter stands.
 */
enum parse_status parameter_take(struct span *in, struct span *keyword, struct span *value);

/*
 * Decode xtext (RFC 3461 s.4) into out, which has room octets. On PARSE_OK *text is what out
 * now holds: bytes of any value, which the caller judges. PARSE_BAD when it is malformed or
 * too long.
 */
enum parse_status xtext_decode(struct span xtext, char *out, size_t room, struct span *text);

/* Append text as xtext; false when out would exceed its limit. */
bool xtext_encode(struct span text, struct buffer *out);

#endif
