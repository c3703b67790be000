/* SPDX-License-Identifier: ISC */
/* relayd-sendmail's configuration; see sendmail_file.h. */
#include "config/sendmail_file.h"

#include "config/value.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_TEXT_MAX 65536

/* libconfuse hands its complaints to a function without context; it works on one file. */
static _Thread_local struct fault *complaint;

static void __attribute__((format(printf, 2, 0)))
complain(cfg_t *cfg, const char *format, va_list arguments)
{
	struct buffer text;
	char words[256];

	(void)vsnprintf(words, sizeof(words), format, arguments);
	buffer_init(&text, 400);
	(void)buffer_printf(&text, "line %d: %s", cfg == NULL ? 0 : cfg->line, words);
	if (complaint->text[0] == '\0')
		fault_say(complaint, "%s", buffer_text(&text));
	buffer_reset(&text);
}

bool
sendmail_server_parse(const char *text, struct arena *arena, struct submit_server *server)
{
	struct next_hop_settings hop;
	struct span given = span_of(text);

	if (next_hop_parse(given, &hop) != PARSE_OK || hop.is_mx)
		return false;
	server->host = arena_copy_text(arena, hop.host);
	if (hop.port != SMTP_PORT || span_ends_fold(given, span_of(":25")))
		server->port = hop.port;
	return true;
}

static bool
tls_read(const char *text, struct submit_server *server)
{
	static const struct {
		const char *name;
		enum submit_tls tls;
	} choices[] = {
		{ "none", SUBMIT_TLS_NONE },
		{ "required", SUBMIT_TLS_REQUIRED },
		{ "implicit", SUBMIT_TLS_IMPLICIT },
	};

	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		if (span_equal(span_of(text), span_of(choices[i].name))) {
			server->tls = choices[i].tls;
			return true;
		}
	}
	return false;
}

static const char *
text_keep(cfg_t *cfg, const char *name, struct arena *arena)
{
	const char *text = cfg_getstr(cfg, name);

	return text == NULL || text[0] == '\0' ? NULL : arena_copy_text(arena, span_of(text));
}

static bool
values_take(cfg_t *cfg, struct arena *arena, struct sendmail_settings *settings,
	    struct fault *fault)
{
	struct submit_server *server = &settings->server;

	if (!tls_read(cfg_getstr(cfg, "tls"), server))
		return fault_say(fault, "option 'tls': write none, required or implicit");
	server->port = server->tls == SUBMIT_TLS_IMPLICIT ? 465 : SMTP_PORT;
	if (!sendmail_server_parse(cfg_getstr(cfg, "server"), arena, server))
		return fault_say(fault, "option 'server': write for example "
					"\"relay.example.com:25\" or \"127.0.0.1\"");
	server->ca_file = text_keep(cfg, "ca", arena);
	server->user = text_keep(cfg, "user", arena);
	settings->password_file = text_keep(cfg, "password-file", arena);
	settings->pickup = text_keep(cfg, "pickup", arena);
	settings->domain = text_keep(cfg, "domain", arena);
	if ((server->user == NULL) != (settings->password_file == NULL))
		return fault_say(fault, "options 'user' and 'password-file' belong together; "
					"write both or none");
	if (settings->domain != NULL && !domain_is_valid(span_of(settings->domain)))
		return fault_say(fault, "option 'domain': \"%s\" is not a domain; write for "
					"example \"example.com\"",
				 settings->domain);
	return true;
}

static bool
stream_read(FILE *stream, struct arena *arena, struct sendmail_settings *settings,
	    struct fault *fault)
{
	cfg_opt_t options[] = {
		CFG_STR("server", "127.0.0.1", CFGF_NONE),
		CFG_STR("tls", "none", CFGF_NONE),
		CFG_STR("ca", "", CFGF_NONE),
		CFG_STR("user", "", CFGF_NONE),
		CFG_STR("password-file", "", CFGF_NONE),
		CFG_STR("pickup", "", CFGF_NONE),
		CFG_STR("domain", "", CFGF_NONE),
		CFG_END(),
	};
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	bool ok;

	if (cfg == NULL)
		return fault_say(fault, "libconfuse could not begin");
	fault->text[0] = '\0';
	complaint = fault;
	cfg_set_error_function(cfg, complain);
	ok = (stream == NULL || cfg_parse_fp(cfg, stream) == CFG_SUCCESS) &&
	     values_take(cfg, arena, settings, fault);
	(void)cfg_free(cfg);
	return ok;
}

bool
sendmail_file_read(const char *path, bool must_exist, struct arena *arena,
		   struct sendmail_settings *settings, struct fault *fault)
{
	FILE *stream = fopen(path, "re");
	struct fault inner = { .error = 0 };
	bool ok;

	*settings = (struct sendmail_settings){ .pickup = NULL };
	if (stream == NULL && (must_exist || errno != ENOENT))
		return fault_setf(fault, "open %s", path);
	ok = stream_read(stream, arena, settings, &inner);
	if (stream != NULL)
		(void)fclose(stream);
	return ok || fault_say(fault, "%s: %s", path, inner.text);
}
