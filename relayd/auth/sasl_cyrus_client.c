/* SPDX-License-Identifier: ISC */
/*
 * Cyrus SASL 2.1 behind auth/login_client.h. No file below /etc is read: the library asks us
 * for its options, and gets none; of its plug-ins it loads those of our mechanisms alone.
 */
#include "auth/login_client.h"

#include "auth/sasl_memory.h"
#include "base/buffer.h"
#include "base/memory.h"

#include <assert.h>
#include <sasl/sasl.h>
#include <stdlib.h>

#define SERVICE	     "smtp"
#define HOST_MAX     255
#define USER_MAX     255
#define LOG_TEXT_MAX 200

struct login_client {
	sasl_callback_t callbacks[4];
};

struct login_dialog {
	enum auth_mechanism mechanism;
	sasl_conn_t *conn;
	sasl_callback_t callbacks[5];
	bool is_begun;
	bool is_over;
	char host[HOST_MAX + 1];
	char user[USER_MAX + 1];
	char log_text[LOG_TEXT_MAX]; /* what the library said last */
	sasl_secret_t *secret;
	size_t secret_octets; /* of the block */
};

/* ---- The library ---- */

static int
callback_option(void *context, const char *plugin, const char *option, const char **result,
		unsigned *len)
{
	(void)context;
	(void)plugin;
	(void)option;
	(void)result;
	(void)len;
	return SASL_FAIL;
}

static int
callback_log_nothing(void *context, int level, const char *text)
{
	(void)context;
	(void)level;
	(void)text;
	return SASL_OK;
}

static int
callback_verify_file(void *context, const char *file, sasl_verify_type_t type)
{
	static const char *const plugins[] = { "libplain.", "liblogin.", "libscram.",
					       "libcrammd5." };
	struct span name = span_of(file);

	(void)context;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_CONTINUE;
	for (size_t at = span_find(name, '/'); at < name.len; at = span_find(name, '/'))
		name = span_skip(name, at + 1);
	for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
		if (span_starts_fold(name, span_of(plugins[i])))
			return SASL_OK;
	}
	return SASL_CONTINUE; /* passed over */
}

/* Callbacks of many types share one pointer type, as the library's header wants it. */
#define CALLBACK(id, function, context)                                                      \
	(sasl_callback_t) { (id), (int (*)(void))(void (*)(void))(function), (context) }

/* Is the plug-in there? Only a connection can tell. */
static bool
mechanism_is_installed(enum auth_mechanism mechanism)
{
	const struct login_credential nobody = {
		.host = SPAN_LITERAL("localhost"),
		.user = SPAN_LITERAL("nobody"),
		.password = SPAN_LITERAL("nothing"),
	};
	struct login_dialog *dialog = login_dialog_new(NULL, mechanism, &nobody);
	struct fault fault;
	struct span initial;
	bool has_initial;
	bool is_there = login_dialog_begin(dialog, &has_initial, &initial, &fault);

	login_dialog_free(&dialog);
	return is_there;
}

static bool
mechanisms_need(unsigned wanted, struct fault *fault)
{
	for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++) {
		if ((wanted & AUTH_BIT(i)) != 0 &&
		    !mechanism_is_installed((enum auth_mechanism)i))
			return fault_say(fault, "Cyrus SASL's plug-in for %s is not installed "
						"(Debian: libsasl2-modules)",
					 auth_mechanism_name((enum auth_mechanism)i));
	}
	return true;
}

struct login_client *
login_client_new(unsigned wanted, struct fault *fault)
{
	struct login_client *client = memory_new(sizeof(*client));
	int result;

	client->callbacks[0] = CALLBACK(SASL_CB_GETOPT, callback_option, NULL);
	client->callbacks[1] = CALLBACK(SASL_CB_LOG, callback_log_nothing, NULL);
	client->callbacks[2] = CALLBACK(SASL_CB_VERIFYFILE, callback_verify_file, NULL);
	client->callbacks[3] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
	sasl_set_alloc(malloc, calloc, sasl_memory_resize, sasl_memory_free);
	result = sasl_client_init(client->callbacks);
	if (result != SASL_OK) {
		(void)fault_say(fault, "start Cyrus SASL: %s",
				sasl_errstring(result, NULL, NULL));
		free(client);
		return NULL;
	}
	if (!mechanisms_need(wanted, fault))
		login_client_free(&client);
	return client;
}

void
login_client_free(struct login_client **client)
{
	if (*client == NULL)
		return;
	(void)sasl_client_done();
	free(*client);
	*client = NULL;
}

/* ---- One exchange ---- */

static int
callback_name(void *context, int id, const char **result, unsigned *len)
{
	const struct login_dialog *dialog = context;

	/* whom we act for is left to the server: who logs in */
	*result = id == SASL_CB_AUTHNAME ? dialog->user : "";
	if (len != NULL)
		*len = (unsigned)strlen(*result);
	return SASL_OK;
}

static int
callback_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
	struct login_dialog *dialog = context;

	(void)conn;
	(void)id;
	*secret = dialog->secret;
	return SASL_OK;
}

static int
callback_log(void *context, int level, const char *text)
{
	struct login_dialog *dialog = context;
	struct span kept = span_first(span_of(text), LOG_TEXT_MAX - 1);

	if (level == SASL_LOG_PASS || text == NULL)
		return SASL_OK;
	memcpy(dialog->log_text, kept.ptr, kept.len);
	dialog->log_text[kept.len] = '\0';
	return SASL_OK;
}

/* Terminated, and cut where it does not fit: the configuration saw to it that it does. */
static void
text_copy(char *to, size_t room, struct span from)
{
	struct span kept = span_first(from, room - 1);

	if (kept.len > 0)
		memcpy(to, kept.ptr, kept.len);
	to[kept.len] = '\0';
}

struct login_dialog *
login_dialog_new(struct login_client *client, enum auth_mechanism mechanism,
		       const struct login_credential *login)
{
	struct login_dialog *dialog = memory_new(sizeof(*dialog));

	(void)client; /* the library keeps what was started in a place of its own */
	assert(login->password.len <= LOGIN_PASSWORD_MAX);
	dialog->mechanism = mechanism;
	text_copy(dialog->host, sizeof(dialog->host), login->host);
	text_copy(dialog->user, sizeof(dialog->user), login->user);
	dialog->secret_octets = sizeof(*dialog->secret) + login->password.len;
	dialog->secret = memory_new(dialog->secret_octets);
	dialog->secret->len = login->password.len;
	memcpy(dialog->secret->data, login->password.ptr, login->password.len);
	dialog->callbacks[0] = CALLBACK(SASL_CB_USER, callback_name, dialog);
	dialog->callbacks[1] = CALLBACK(SASL_CB_AUTHNAME, callback_name, dialog);
	dialog->callbacks[2] = CALLBACK(SASL_CB_PASS, callback_password, dialog);
	dialog->callbacks[3] = CALLBACK(SASL_CB_LOG, callback_log, dialog);
	dialog->callbacks[4] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
	return dialog;
}

void
login_dialog_free(struct login_dialog **dialog)
{
	if (*dialog == NULL)
		return;
	sasl_dispose(&(*dialog)->conn);
	memory_wipe((*dialog)->secret, (*dialog)->secret_octets);
	free((*dialog)->secret);
	free(*dialog);
	*dialog = NULL;
}

/* What the library said to a step; result is one of its codes. */
static bool
step_conclude(struct login_dialog *dialog, int result, struct fault *fault)
{
	sasl_stack_wipe();
	dialog->is_over = result == SASL_OK;
	if (result == SASL_OK || result == SASL_CONTINUE)
		return true;
	return fault_say(fault, "login by %s: %s%s%s", auth_mechanism_name(dialog->mechanism),
			 sasl_errstring(result, NULL, NULL),
			 dialog->log_text[0] == '\0' ? "" : ": ", dialog->log_text);
}

bool
login_dialog_begin(struct login_dialog *dialog, bool *has_initial, struct span *initial,
		  struct fault *fault)
{
	const sasl_security_properties_t security = { .security_flags = SASL_SEC_NOANONYMOUS };
	const char *name = auth_mechanism_name(dialog->mechanism);
	const char *text = NULL;
	const char *chosen = NULL;
	unsigned len = 0;
	int result;

	assert(!dialog->is_begun);
	dialog->is_begun = true;
	result = sasl_client_new(SERVICE, dialog->host, NULL, NULL, dialog->callbacks, 0,
				 &dialog->conn);
	if (result == SASL_OK)
		result = sasl_setprop(dialog->conn, SASL_SEC_PROPS, &security);
	if (result == SASL_OK)
		result = sasl_client_start(dialog->conn, name, NULL, &text, &len, &chosen);
	*has_initial = text != NULL;
	*initial = (struct span){ text == NULL ? "" : text, text == NULL ? 0 : len };
	return step_conclude(dialog, result, fault);
}

bool
login_dialog_answer(struct login_dialog *dialog, struct span challenge,
		   struct span *answer, struct fault *fault)
{
	const char *text = NULL;
	unsigned len = 0;
	int result;

	assert(dialog->is_begun);
	if (dialog->is_over)
		return fault_say(fault, "login by %s: a challenge too many",
				 auth_mechanism_name(dialog->mechanism));
	result = sasl_client_step(dialog->conn, challenge.len == 0 ? "" : challenge.ptr,
				  (unsigned)challenge.len, NULL, &text, &len);
	*answer = (struct span){ text == NULL ? "" : text, text == NULL ? 0 : len };
	return step_conclude(dialog, result, fault);
}

bool
login_dialog_is_over(const struct login_dialog *dialog)
{
	return dialog->is_over;
}
