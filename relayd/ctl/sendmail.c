/* SPDX-License-Identifier: ISC */
/*
 * relayd-sendmail: the sendmail command for programs that know no other way to send mail. It
 * reads a message from standard input, hands it to relayd by SMTP, and says with sysexits'
 * codes how that went. Where the server cannot take the message now, and a pickup directory
 * is configured, the message is left there.
 */
#include "config.h" /* PACKAGE_VERSION */

#include "base/clock.h"
#include "base/memory.h"
#include "config/sendmail_file.h"
#include "config/value.h"
#include "smtp/submission.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define MESSAGE_OCTETS_MAX (256U << 20)
#define PASSWORD_OCTETS_MAX 1024

struct sendmail {
	struct sendmail_settings settings;
	struct arena arena;
	const char *config_path; /* NULL: the default, which may be missing */
	const char *server;	 /* given on the command line */
	const char *sender;	 /* -f */
	const char *full_name;	 /* -F */
	bool reads_recipients;	 /* -t */
	bool ignores_dots;	 /* -i */
	bool is_verbose;
	char **arguments; /* recipients */
	char hostname[DOMAIN_MAX + 1];
};

static const char usage_text[] =
    "usage: relayd-sendmail [-t] [-i] [-f SENDER] [-F NAME] [RECIPIENT ...] < MESSAGE\n"
    "\n"
    "Read a message from standard input and send it through relayd.\n"
    "\n"
    "  -t          take the recipients from To, Cc and Bcc (Bcc is removed)\n"
    "  -i          a line with a single dot does not end the message (also -oi)\n"
    "  -f SENDER   envelope sender (also -r); default: you, at this machine's domain\n"
    "  -F NAME     your full name, for a From field that is missing\n"
    "  -S SERVER   HOST[:PORT] of the relay in place of the configured one\n"
    "  -C FILE     configuration; default: " SENDMAIL_PATH_DEFAULT "\n"
    "  -v          say what happens\n"
    "\n"
    "Other options of sendmail are taken where they change nothing (-bm, -em, -o..., -G,\n"
    "-N, -R, -B, -h, -L, -O), and refused where they would: -bs, -bd, -bi, -bp, -q.\n"
    "Exit status: 0 sent or kept for sending; 64 usage; 65 a bad message; 69 refused for\n"
    "good; 75 not now, try again; 78 bad configuration. See relayd-sendmail(8).\n";

static int
trouble(int status, const char *what, const char *why)
{
	(void)fprintf(stderr, "relayd-sendmail: %s%s%s\n", what, why[0] == '\0' ? "" : ": ", why);
	return status;
}

/* The same for a part of the work. */
static bool
complain(const char *what, const char *why)
{
	(void)trouble(EX_SOFTWARE, what, why);
	return false;
}

/* ---- Arguments ---- */

/* Options that name a mode which this program does not have. */
static int
mode_refuse(const char *mode)
{
	if (strcmp(mode, "p") == 0)
		return trouble(EX_USAGE, "-bp: run relayctl queue list", "");
	(void)fprintf(stderr,
		      "relayd-sendmail: -b%s: this program only sends (-bm); relayd(8) is "
		      "the server\n",
		      mode);
	return EX_USAGE;
}

static const char *
argument_copy(struct sendmail *sendmail, const char *text)
{
	return arena_copy_text(&sendmail->arena, span_of(text));
}

/* -1: go on; else the exit status. */
static int
option_take(struct sendmail *sendmail, int option, const char *value)
{
	switch (option) {
	case 't':
		sendmail->reads_recipients = true;
		return -1;
	case 'i':
		sendmail->ignores_dots = true;
		return -1;
	case 'f':
	case 'r':
		sendmail->sender = argument_copy(sendmail, value);
		return -1;
	case 'F':
		sendmail->full_name = argument_copy(sendmail, value);
		return -1;
	case 'S':
		sendmail->server = argument_copy(sendmail, value);
		return -1;
	case 'C':
		sendmail->config_path = argument_copy(sendmail, value);
		return -1;
	case 'v':
		sendmail->is_verbose = true;
		return -1;
	case 'b':
		return strcmp(value, "m") == 0 ? -1 : mode_refuse(value);
	case 'o':
		sendmail->ignores_dots = sendmail->ignores_dots || strcmp(value, "i") == 0;
		return -1;
	case 'q':
		return trouble(EX_USAGE, "-q: run relayctl queue retry", "");
	case 'B':
	case 'e':
	case 'G':
	case 'h':
	case 'L':
	case 'N':
	case 'n':
	case 'O':
	case 'R':
	case 'm':
	case 'U':
		return -1;
	default:
		return trouble(EX_USAGE, "try relayd-sendmail --help", "");
	}
}

static int
arguments_take(struct sendmail *sendmail, int argc, char **argv)
{
	int option;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(usage_text, stdout);
		return EX_OK;
	}
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		(void)puts("relayd-sendmail " PACKAGE_VERSION);
		return EX_OK;
	}
	while ((option = getopt(argc, argv, "tif:r:F:S:C:vb:o:q::B:e:Gh:L:N:nO:R:mU")) != -1) {
		int status = option_take(sendmail, option, optarg);

		if (status != -1)
			return status;
	}
	sendmail->arguments = argv + optind;
	if (sendmail->arguments[0] == NULL && !sendmail->reads_recipients)
		return trouble(EX_USAGE,
			       "nobody to send to; name recipients, or -t to take them from "
			       "the message",
			       "");
	return -1;
}

/* ---- What is sent ---- */

/* Until the end, or a line with a single dot. */
static bool
message_read(const struct sendmail *sendmail, struct buffer *text)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t got;
	bool ok = true;

	while (ok && (got = getline(&line, &room, stdin)) != -1) {
		if (!sendmail->ignores_dots &&
		    (strcmp(line, ".\n") == 0 || strcmp(line, ".\r\n") == 0))
			break;
		ok = buffer_append(text, (struct span){ line, (size_t)got });
	}
	free(line);
	return ok && ferror(stdin) == 0;
}

static void
hostname_find(struct sendmail *sendmail)
{
	const char *wanted = sendmail->settings.domain;
	char name[DOMAIN_MAX + 1] = "";

	if (wanted == NULL && gethostname(name, sizeof(name) - 1) == 0 &&
	    domain_is_valid(span_of(name)))
		wanted = name;
	if (wanted == NULL)
		wanted = "localhost.localdomain";
	(void)snprintf(sendmail->hostname, sizeof(sendmail->hostname), "%s", wanted);
}

/* "name" becomes "name@domain"; "<>" the null sender. False: no address. */
static bool
address_complete(struct sendmail *sendmail, const char *text, struct address *out)
{
	struct span given = span_trim(span_of(text));
	struct buffer whole;
	bool ok;

	if (given.len == 0 || span_equal(given, span_of("<>"))) {
		*out = (struct address){ .is_literal = false };
		return true;
	}
	if (given.ptr[0] == '<' && given.ptr[given.len - 1] == '>')
		given = (struct span){ given.ptr + 1, given.len - 2 };
	buffer_init(&whole, 2 * PATH_MAX_OCTETS);
	ok = buffer_append(&whole, given);
	if (span_find(given, '@') == given.len)
		ok = ok && buffer_printf(&whole, "@%s", sendmail->hostname);
	ok = ok && mailbox_parse(arena_copy(&sendmail->arena, buffer_span(&whole)), out) ==
		       PARSE_OK;
	buffer_reset(&whole);
	return ok;
}

static bool
sender_find(struct sendmail *sendmail, struct address *sender)
{
	const struct passwd *account = getpwuid(getuid());

	if (sendmail->sender != NULL)
		return address_complete(sendmail, sendmail->sender, sender);
	return account != NULL && address_complete(sendmail, account->pw_name, sender);
}

/* Addresses of the command line, each argument one or several between commas. */
static bool
arguments_read(struct sendmail *sendmail, struct address *out, size_t max, size_t *count)
{
	for (char **argument = sendmail->arguments; *argument != NULL; argument++) {
		struct span rest = span_of(*argument);

		while (rest.len > 0) {
			size_t end = span_find(rest, ',');
			const char *one =
			    arena_copy_text(&sendmail->arena, span_first(rest, end));

			if (*count == max || span_trim(span_of(one)).len == 0 ||
			    !address_complete(sendmail, one, &out[*count]) ||
			    address_is_null(&out[*count]))
				return complain("this is no recipient", one);
			(*count)++;
			rest = span_skip(rest, end == rest.len ? end : end + 1);
		}
	}
	return true;
}

struct outgoing {
	struct address sender;
	struct address *recipients;
	size_t recipient_count;
	struct buffer text;
};

/* With -t the message's recipients and those of the command line. */
static bool
recipients_find(struct sendmail *sendmail, const struct submission *message,
		struct outgoing *out)
{
	struct submission_envelope envelope = { .recipient_count = 0 };
	struct fault fault = { .error = 0 };
	size_t room = 0;

	for (char **argument = sendmail->arguments; *argument != NULL; argument++)
		room += strlen(*argument) / 2 + 1;
	if (sendmail->reads_recipients &&
	    !submission_envelope_read(message, SUBMISSION_RECIPIENTS, &sendmail->arena, &envelope,
				      &fault) &&
	    (room == 0 || envelope.recipient_count > 0))
		return complain(fault.text, "");
	room += envelope.recipient_count;
	if (room > SUBMISSION_RECIPIENTS_MAX)
		room = SUBMISSION_RECIPIENTS_MAX;
	out->recipients = arena_new_array(&sendmail->arena, room, sizeof(*out->recipients));
	for (size_t i = 0; i < envelope.recipient_count; i++)
		out->recipients[out->recipient_count++] = envelope.recipients[i];
	return arguments_read(sendmail, out->recipients, room, &out->recipient_count);
}

/* A display name that no header reader stumbles over. */
static void
from_compose(const struct sendmail *sendmail, const struct address *sender, struct buffer *out)
{
	struct span name = span_of(sendmail->full_name);
	struct span text = address_is_null(sender) ? span_of("MAILER-DAEMON") : sender->text;

	if (name.len == 0 || !utf8_is_valid(name)) {
		(void)buffer_append(out, text);
		return;
	}
	(void)buffer_append_byte(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '"' || name.ptr[i] == '\\')
			(void)buffer_append_byte(out, '\\');
		(void)buffer_append_byte(out, name.ptr[i]);
	}
	(void)buffer_printf(out, "\" <" SPAN_FMT ">", SPAN_ARG(text));
}

static bool
message_compose(struct sendmail *sendmail, const struct submission *message,
		struct outgoing *out)
{
	struct submission_additions additions = { .date_wall_ms = clock_wall_ms() };
	struct buffer from, id;
	bool ok;

	buffer_init(&from, 2048);
	buffer_init(&id, 512);
	from_compose(sendmail, &out->sender, &from);
	(void)buffer_printf(&id, "<%lld.%ld@%s>", (long long)additions.date_wall_ms,
			    (long)getpid(), sendmail->hostname);
	additions.from = buffer_span(&from);
	additions.message_id = buffer_span(&id);
	ok = submission_write(message, &additions, &out->text);
	buffer_reset(&from);
	buffer_reset(&id);
	return ok;
}

/* ---- Where it goes ---- */

static bool
password_load(struct sendmail *sendmail, char text[PASSWORD_OCTETS_MAX + 1])
{
	const char *path = sendmail->settings.password_file;
	FILE *file;

	if (path == NULL)
		return true;
	file = fopen(path, "re");
	if (file == NULL || fgets(text, PASSWORD_OCTETS_MAX + 1, file) == NULL)
		text[0] = '\0';
	if (file != NULL)
		(void)fclose(file);
	text[strcspn(text, "\r\n")] = '\0';
	sendmail->settings.server.password = text;
	return text[0] != '\0';
}

static enum submit_result
server_try(struct sendmail *sendmail, const struct outgoing *out, struct buffer *reply)
{
	struct span *recipients =
	    arena_new_array(&sendmail->arena, out->recipient_count, sizeof(*recipients));
	char password[PASSWORD_OCTETS_MAX + 1] = "";

	for (size_t i = 0; i < out->recipient_count; i++)
		recipients[i] = out->recipients[i].text;

	const struct submit_message message = {
		.sender = out->sender.text,
		.recipients = recipients,
		.recipient_count = out->recipient_count,
		.text = buffer_span(&out->text),
	};
	enum submit_result result = SUBMIT_LATER;

	if (password_load(sendmail, password))
		result = submit_message(&sendmail->settings.server, &message, reply);
	else
		(void)buffer_printf(reply, "cannot read the password in %s",
				    sendmail->settings.password_file);
	memory_wipe(password, sizeof(password));
	return result;
}

/* The message with its envelope in front, as the pickup directory takes it. */
static bool
pickup_compose(const struct outgoing *out, struct buffer *text)
{
	bool ok = buffer_printf(text, "X-Sender: <" SPAN_FMT ">\r\n", SPAN_ARG(out->sender.text));

	for (size_t i = 0; i < out->recipient_count; i++)
		ok = ok && buffer_printf(text, "X-Receiver: <" SPAN_FMT ">\r\n",
					 SPAN_ARG(out->recipients[i].text));
	return ok && buffer_append(text, buffer_span(&out->text));
}

static bool
file_write(int fd, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t wrote = write(fd, bytes.ptr, bytes.len);

		if (wrote == -1 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return false;
		bytes = span_skip(bytes, (size_t)wrote);
	}
	return fsync(fd) == 0;
}

/* Written under a name that nobody picks up, then renamed: whole or not at all. */
static bool
pickup_leave(struct sendmail *sendmail, const struct outgoing *out)
{
	struct buffer text, path, name;
	bool ok = false;
	int fd;

	buffer_init(&text, 2U * MESSAGE_OCTETS_MAX);
	buffer_init(&path, 4096);
	buffer_init(&name, 4096);
	(void)buffer_printf(&path, "%s/relayd-sendmail.XXXXXX", sendmail->settings.pickup);
	fd = mkstemp((char *)(uintptr_t)buffer_text(&path));
	if (fd != -1) {
		(void)buffer_printf(&name, "%s.eml", buffer_text(&path));
		ok = fchmod(fd, 0660) == 0 && pickup_compose(out, &text) &&
		     file_write(fd, buffer_span(&text)) &&
		     rename(buffer_text(&path), buffer_text(&name)) == 0;
		if (!ok)
			(void)unlink(buffer_text(&path));
		(void)close(fd);
	}
	buffer_reset(&text);
	buffer_reset(&path);
	buffer_reset(&name);
	return ok;
}

static int
message_send(struct sendmail *sendmail, const struct outgoing *out)
{
	struct buffer reply;
	int status = EX_OK;

	buffer_init(&reply, SUBMIT_REPLY_MAX + 1);

	enum submit_result result = server_try(sendmail, out, &reply);

	if (sendmail->is_verbose)
		(void)fprintf(stderr, "%s:%u: %s\n", sendmail->settings.server.host,
			      sendmail->settings.server.port, buffer_text(&reply));
	if (result == SUBMIT_REFUSED)
		status = trouble(EX_UNAVAILABLE, "refused", buffer_text(&reply));
	else if (result == SUBMIT_LATER &&
		 (sendmail->settings.pickup == NULL || !pickup_leave(sendmail, out)))
		status = trouble(EX_TEMPFAIL, "not sent, try again later", buffer_text(&reply));
	buffer_reset(&reply);
	return status;
}

static int
sendmail_run(struct sendmail *sendmail)
{
	struct outgoing out = { .recipient_count = 0 };
	struct buffer text;
	struct submission message;
	int status;

	hostname_find(sendmail);
	sendmail->settings.server.hello = sendmail->hostname;
	buffer_init(&text, MESSAGE_OCTETS_MAX);
	buffer_init(&out.text, 2U * MESSAGE_OCTETS_MAX);
	if (!message_read(sendmail, &text)) {
		status = trouble(EX_DATAERR, "the message is too long or cannot be read", "");
	} else if (!sender_find(sendmail, &out.sender)) {
		status = trouble(EX_USAGE, "the sender is no address; name another with -f", "");
	} else {
		message = submission_split(buffer_span(&text));
		if (!recipients_find(sendmail, &message, &out))
			status = EX_DATAERR;
		else if (!message_compose(sendmail, &message, &out))
			status = trouble(EX_DATAERR, "the message is too long", "");
		else
			status = message_send(sendmail, &out);
	}
	buffer_reset(&text);
	buffer_reset(&out.text);
	return status;
}

static bool
settings_take(struct sendmail *sendmail)
{
	const char *path =
	    sendmail->config_path == NULL ? SENDMAIL_PATH_DEFAULT : sendmail->config_path;
	struct fault fault = { .error = 0 };

	if (!sendmail_file_read(path, sendmail->config_path != NULL, &sendmail->arena,
				&sendmail->settings, &fault))
		return complain(fault_text(&fault), "");
	if (sendmail->server != NULL &&
	    !sendmail_server_parse(sendmail->server, &sendmail->arena,
				   &sendmail->settings.server))
		return complain("-S takes HOST or HOST:PORT, not", sendmail->server);
	return true;
}

int
main(int argc, char **argv)
{
	struct sendmail sendmail = { .server = NULL };
	int status;

	arena_init(&sendmail.arena, 0);
	status = arguments_take(&sendmail, argc, argv);
	if (status == -1)
		status = settings_take(&sendmail) ? sendmail_run(&sendmail) : EX_CONFIG;
	arena_reset(&sendmail.arena);
	return status;
}
