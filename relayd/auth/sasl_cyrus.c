/* SPDX-License-Identifier: ISC */
/*
 * Cyrus SASL 2.1 behind auth/sasl.h.
 *
 * The library asks us for everything: its options (no file below /etc is read), which plug-ins
 * it may load, how a name is written in full, who may act as whom. Our own store takes part in
 * two ways: as an auxiliary property plug-in, which hands a login's SCRAM verifier to the
 * library's SCRAM, and as the check of a password for PLAIN (and LOGIN, which becomes PLAIN
 * here once name and password are known).
 *
 * Decoys. A login that does not exist, is disabled, or has nothing for the mechanism asked
 * gets a verifier (or, over stores of clear text, a password) that follows from a secret and
 * its name, and goes all the way. Whatever comes out of that, `is_decoy` makes it a failure.
 */
#define _DEFAULT_SOURCE /* setenv */
#include "auth/sasl.h"

#include "auth/sasl_memory.h"
#include "auth/store.h"
#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdlib.h>

#define PLUGIN_NAME	 "relayd"
#define SERVICE		 "smtp"
#define BINDING_TYPE	 "tls-exporter" /* RFC 9266 */
#define SSF_TLS		 256
#define LOG_TEXT_MAX	 200
#define CLEAR_PROPERTY	 "*userPassword"
#define STORED_PROPERTY	 "*authPassword"

struct sasl_engine {
	char plugin_name[sizeof(PLUGIN_NAME)]; /* first: its address leads back to us */
	const struct auth_settings *settings;
	const struct log *log;
	sasl_callback_t callbacks[4];
	sasl_auxprop_plug_t plugin;
	struct buffer auxprop_plugins; /* the list that the library is told */
	struct user_store *store;      /* NULL: another method than users-file */
	struct sasl_dialog *current;   /* whose step is being taken */
	unsigned mechanisms;
};

enum login_state {
	LOGIN_ASKS_NAME,
	LOGIN_ASKS_PASSWORD,
};

struct sasl_dialog {
	struct sasl_engine *engine;
	enum auth_mechanism mechanism;
	sasl_conn_t *conn;
	sasl_callback_t callbacks[4];
	sasl_channel_binding_t binding;
	unsigned char binding_octets[AUTH_BINDING_LEN];
	bool is_started;
	bool is_decoy;	 /* there is no such login, or it may not log in */
	bool is_trouble; /* the store could not be asked */
	bool is_over;
	enum login_state login_state;
	size_t name_len; /* LOGIN */
	char name[AUTH_LOGIN_MAX];
	size_t user_len; /* who it claims to be, in canonical form */
	char user[AUTH_LOGIN_MAX];
	char log_text[LOG_TEXT_MAX]; /* what the library said last */
};

/* ---- Options and plug-ins ---- */

static const char *
option_of_method(const struct sasl_engine *engine, struct span name)
{
	const struct auth_settings *s = engine->settings;
	static const char *const checks[AUTH_METHOD_COUNT] = {
		[AUTH_METHOD_USERS_FILE] = "none", /* our callback has the last word */
		[AUTH_METHOD_SASLDB] = "auxprop",
		[AUTH_METHOD_SASLAUTHD] = "saslauthd",
		[AUTH_METHOD_AUXPROP] = "auxprop",
	};

	if (span_equal(name, span_of("auxprop_plugin")))
		return engine->auxprop_plugins.ptr;
	if (span_equal(name, span_of("pwcheck_method")))
		return checks[s->method];
	if (span_equal(name, span_of("sasldb_path")))
		return s->sasldb_path;
	if (span_equal(name, span_of("saslauthd_path")))
		return s->saslauthd_path;
	if (span_equal(name, span_of("keytab")))
		return s->keytab;
	return NULL;
}

static int
callback_option(void *context, const char *plugin, const char *option, const char **result,
		unsigned *len)
{
	const struct sasl_engine *engine = context;

	(void)plugin;
	if (strcmp(option, "plugin_list") == 0)
		return SASL_FAIL; /* asked with a context that is not ours */
	const char *value = option_of_method(engine, span_of(option));

	for (size_t i = 0; value == NULL && i < engine->settings->option_count; i++) {
		if (strcmp(engine->settings->options[i].name, option) == 0)
			value = engine->settings->options[i].value;
	}
	if (value == NULL)
		return SASL_FAIL;
	*result = value;
	if (len != NULL)
		*len = (unsigned)strlen(value);
	return SASL_OK;
}

static bool
plugin_is_wanted(const struct sasl_engine *engine, struct span file)
{
	const struct auth_settings *s = engine->settings;
	unsigned mechanisms = auth_settings_mechanisms(s);
	const struct { const char *name; bool is_wanted; } plugins[] = {
		{ "libplain.", true },
		{ "libscram.", (mechanisms & AUTH_BIT(AUTH_SCRAM_SHA_256)) != 0 },
		{ "libcrammd5.", (mechanisms & AUTH_BIT(AUTH_CRAM_MD5)) != 0 },
		{ "libgssapiv2.", (mechanisms & AUTH_BIT(AUTH_GSSAPI)) != 0 },
		{ "libsasldb.", s->method == AUTH_METHOD_SASLDB },
		{ "libsql.", s->method == AUTH_METHOD_AUXPROP },
		{ "libldapdb.", s->method == AUTH_METHOD_AUXPROP },
	};

	for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
		if (span_starts_fold(file, span_of(plugins[i].name)))
			return plugins[i].is_wanted;
	}
	return false;
}

static int
callback_verify_file(void *context, const char *file, sasl_verify_type_t type)
{
	const char *slash = strrchr(file, '/');

	switch (type) {
	case SASL_VRFY_PLUGIN:
		return plugin_is_wanted(context, span_of(slash == NULL ? file : slash + 1)) ?
			       SASL_OK :
			       SASL_CONTINUE;
	case SASL_VRFY_CONF:
		return SASL_CONTINUE; /* the options come from us */
	case SASL_VRFY_PASSWD:
	case SASL_VRFY_OTHER:
		break;
	}
	return SASL_OK;
}

/*
 * Levels above SASL_LOG_ERR are never asked for: the highest ones print passwords. What it
 * says about one exchange is kept, and told only if the exchange ends in trouble.
 */
static int
callback_log(void *context, int level, const char *message)
{
	struct sasl_engine *engine = context;

	if (level > SASL_LOG_ERR || message == NULL)
		return SASL_OK;
	if (engine->current == NULL) {
		log_debug(engine->log, "sasl: %s", message);
		return SASL_OK;
	}
	struct span text = span_first(span_of(message), LOG_TEXT_MAX - 1);

	memcpy(engine->current->log_text, text.ptr, text.len);
	engine->current->log_text[text.len] = '\0';
	return SASL_OK;
}

/* ---- Names ---- */

/*
 * The plug-in for SQL writes names into its statements, for SQLite as they come and for the
 * others without knowing the connection's character set. What could end a string there is in
 * no login of a database.
 */
static bool
name_is_harmless(const struct auth_settings *settings, struct span name)
{
	if (settings->method != AUTH_METHOD_AUXPROP || settings->auxprop_plugin == NULL ||
	    strcmp(settings->auxprop_plugin, "sql") != 0)
		return true;
	for (size_t i = 0; i < name.len; i++) {
		if (strchr("'\"`\\;", name.ptr[i]) != NULL)
			return false;
	}
	return true;
}

static int
callback_canonical(sasl_conn_t *conn, void *context, const char *in, unsigned in_len,
		   unsigned flags, const char *realm, char *out, unsigned out_max,
		   unsigned *out_len)
{
	struct sasl_dialog *dialog = context;
	char login[AUTH_LOGIN_MAX];
	size_t len;

	(void)conn;
	(void)realm;
	if (login_canonical(span_of(dialog->engine->settings->realm),
			    (struct span){ in, in_len }, login, &len) != PARSE_OK ||
	    len >= out_max ||
	    !name_is_harmless(dialog->engine->settings, (struct span){ login, len }))
		return SASL_BADPROT;
	memcpy(out, login, len);
	out[len] = '\0';
	*out_len = (unsigned)len;
	if ((flags & SASL_CU_AUTHID) != 0) {
		memcpy(dialog->user, login, len);
		dialog->user_len = len;
	}
	return SASL_OK;
}

/* Everybody may act as himself, and as nobody else. */
static int
callback_authorize(sasl_conn_t *conn, void *context, const char *requested,
		   unsigned requested_len, const char *authenticated,
		   unsigned authenticated_len, const char *realm, unsigned realm_len,
		   struct propctx *properties)
{
	(void)conn;
	(void)context;
	(void)realm;
	(void)realm_len;
	(void)properties;
	return span_equal((struct span){ requested, requested_len },
			  (struct span){ authenticated, authenticated_len }) ?
		       SASL_OK :
		       SASL_NOAUTHZ;
}

/* ---- Passwords ---- */

static int
users_check_password(struct sasl_dialog *dialog, struct span login, struct span password)
{
	switch (user_store_check_password(dialog->engine->store, login, password,
					  clock_monotonic_ms())) {
	case STORE_YES:
		dialog->is_decoy = false;
		return SASL_OK;
	case STORE_NO:
		dialog->is_decoy = true;
		return SASL_BADAUTH;
	case STORE_TROUBLE:
		break;
	}
	dialog->is_trouble = true;
	return SASL_UNAVAIL;
}

/*
 * Other stores may hold verifiers, too (saslpasswd2 -n), by which the library itself cannot
 * check a password.
 */
static int
property_check_password(struct propctx *properties, struct span password)
{
	const char *names[] = { STORED_PROPERTY, NULL };
	struct propval values[2];

	if (properties == NULL || prop_getnames(properties, names, values) <= 0 ||
	    values[0].values == NULL)
		return SASL_NOVERIFY;
	for (size_t i = 0; values[0].values[i] != NULL; i++) {
		struct verifier verifier;

		if (verifier_parse(span_of(values[0].values[i]), &verifier) == PARSE_OK)
			return verifier_check(&verifier, password) ? SASL_OK : SASL_BADAUTH;
	}
	return SASL_NOVERIFY;
}

/* PLAIN's password. Unless we say SASL_OK the library tries pwcheck_method next. */
static int
callback_check_password(sasl_conn_t *conn, void *context, const char *user,
			const char *password, unsigned password_len,
			struct propctx *properties)
{
	struct sasl_dialog *dialog = context;
	struct span given = { password, password_len };

	(void)conn;
	if (password_len == 0 || password_len > PASSWORD_MAX) {
		dialog->is_decoy = true;
		return SASL_BADAUTH;
	}
	switch (dialog->engine->settings->method) {
	case AUTH_METHOD_USERS_FILE:
		return users_check_password(dialog, span_of(user), given);
	case AUTH_METHOD_SASLDB:
	case AUTH_METHOD_AUXPROP:
		return property_check_password(properties, given);
	case AUTH_METHOD_SASLAUTHD:
	case AUTH_METHOD_COUNT:
		break;
	}
	return SASL_NOVERIFY;
}

/* ---- The plug-in that hands verifiers, and decoys, to SCRAM ---- */

static enum digest_kind
scram_digest(enum auth_mechanism mechanism)
{
	return mechanism == AUTH_SCRAM_SHA_1 || mechanism == AUTH_SCRAM_SHA_1_PLUS ?
		       DIGEST_SHA_1 :
		       DIGEST_SHA_256;
}

static bool
mechanism_is_scram(enum auth_mechanism mechanism)
{
	return mechanism == AUTH_SCRAM_SHA_1 || mechanism == AUTH_SCRAM_SHA_1_PLUS ||
	       mechanism == AUTH_SCRAM_SHA_256 || mechanism == AUTH_SCRAM_SHA_256_PLUS;
}

static const struct propval *
property_find(const struct propval *asked, const char *name)
{
	for (; asked != NULL && asked->name != NULL; asked++) {
		if (strcmp(asked->name, name) == 0)
			return asked;
	}
	return NULL;
}

static int
property_set_verifier(const sasl_server_params_t *params, const char *property,
		      const struct verifier *verifier)
{
	struct buffer text;

	buffer_init(&text, VERIFIER_TEXT_MAX);
	(void)verifier_append(verifier, &text);
	int result = params->utils->prop_set(params->propctx, property, buffer_text(&text),
					     (int)text.len);

	buffer_reset(&text);
	return result;
}

static int
users_lookup(struct sasl_dialog *dialog, const sasl_server_params_t *params,
	     const struct propval *stored, struct span login)
{
	const struct user_store *store = dialog->engine->store;
	bool is_scram = mechanism_is_scram(dialog->mechanism) && stored != NULL;
	struct verifier verifier;
	enum user_store_answer answer =
	    is_scram ? user_store_verifier(store, login, scram_digest(dialog->mechanism),
					   &verifier) :
		       user_store_is_open(store, login);

	dialog->is_decoy = answer == STORE_NO;
	if (answer == STORE_TROUBLE) {
		dialog->is_trouble = true;
		return SASL_UNAVAIL;
	}
	return is_scram ? property_set_verifier(params, stored->name, &verifier) : SASL_OK;
}

static bool
has_verifier_of(const struct propval *stored, enum digest_kind kind)
{
	if (stored == NULL || stored->values == NULL)
		return false;
	for (size_t i = 0; stored->values[i] != NULL; i++) {
		struct verifier verifier;

		if (verifier_parse(span_of(stored->values[i]), &verifier) == PARSE_OK &&
		    verifier.kind == kind)
			return true;
	}
	return false;
}

/* A clear-text password that nobody knows, for a login that another store did not find. */
static int
decoy_password_set(struct sasl_dialog *dialog, const sasl_server_params_t *params,
		   const char *property, struct span login)
{
	unsigned char mac[DIGEST_OCTETS_MAX];
	char text[2 * DIGEST_OCTETS_MAX];

	digest_hmac(DIGEST_SHA_256,
		    (struct span){ (const char *)dialog->engine->settings->secret,
				   AUTH_SECRET_OCTETS },
		    login, mac);
	for (size_t i = 0; i < sizeof(mac); i++) {
		text[2 * i] = "0123456789abcdef"[mac[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
	}
	dialog->is_decoy = true;
	return params->utils->prop_set(params->propctx, property, text, (int)sizeof(text));
}

/* After sasldb, sql or ldapdb, which have answered what they could. */
static int
others_lookup(struct sasl_dialog *dialog, const sasl_server_params_t *params,
	      const struct propval *clear, const struct propval *stored, struct span login)
{
	if (clear == NULL || (clear->values != NULL && clear->values[0] != NULL))
		return SASL_OK;
	if (mechanism_is_scram(dialog->mechanism) &&
	    has_verifier_of(stored, scram_digest(dialog->mechanism)))
		return SASL_OK;
	return decoy_password_set(dialog, params, clear->name, login);
}

static int
plugin_lookup(void *context, sasl_server_params_t *params, unsigned flags, const char *user,
	      unsigned user_len)
{
	struct sasl_engine *engine = context;
	struct span login = { user, user_len };
	const struct propval *asked = params->utils->prop_get(params->propctx);

	if (engine->current == NULL)
		return SASL_FAIL;
	if ((flags & SASL_AUXPROP_AUTHZID) != 0)
		return SASL_OK;
	const struct propval *stored = property_find(asked, STORED_PROPERTY);

	switch (engine->settings->method) {
	case AUTH_METHOD_USERS_FILE:
		return users_lookup(engine->current, params, stored, login);
	case AUTH_METHOD_SASLDB:
	case AUTH_METHOD_AUXPROP:
		return others_lookup(engine->current, params,
				     property_find(asked, CLEAR_PROPERTY), stored, login);
	case AUTH_METHOD_SASLAUTHD:
	case AUTH_METHOD_COUNT:
		break;
	}
	return SASL_OK;
}

/* The library passes on the name that it was given, which stands at the front of the engine. */
static int
plugin_init(const sasl_utils_t *utils, int max_version, int *out_version,
	    sasl_auxprop_plug_t **plugin, const char *name)
{
	struct sasl_engine *engine = (void *)(uintptr_t)name;

	(void)utils;
	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	engine->plugin = (sasl_auxprop_plug_t){
		.glob_context = engine,
		.auxprop_lookup = plugin_lookup,
		.name = engine->plugin_name,
	};
	*out_version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = &engine->plugin;
	return SASL_OK;
}

/* ---- The engine ---- */

/* Callbacks of many types share one pointer type, as the library's header wants it. */
#define CALLBACK(id, function, context)                                                  \
	(sasl_callback_t) { (id), (int (*)(void))(void (*)(void))(function), (context) }

struct plugin_search {
	const char *name;
	bool is_found;
};

static void
plugin_seen(sasl_auxprop_plug_t *plugin, sasl_info_callback_stage_t stage, void *context)
{
	struct plugin_search *search = context;

	if (stage == SASL_INFO_LIST_MECH && plugin != NULL && plugin->name != NULL &&
	    span_equal_fold(span_of(plugin->name), span_of(search->name)))
		search->is_found = true;
}

static bool
store_need(const char *name, struct fault *fault)
{
	struct plugin_search search = { .name = name };

	if (name != NULL)
		(void)auxprop_plugin_info(NULL, plugin_seen, &search);
	return search.is_found ||
	       fault_say(fault, "Cyrus SASL's plug-in %s is not installed",
			 name == NULL ? "for this method" : name);
}

/* Which of the mechanisms that we want are there. */
static unsigned
mechanisms_installed(const struct auth_settings *settings)
{
	unsigned wanted = auth_settings_mechanisms(settings);
	unsigned there = 0;
	const char **names = sasl_global_listmech();

	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		enum auth_mechanism mechanism;

		if (auth_mechanism_parse(span_of(names[i]), &mechanism) == PARSE_OK)
			there |= AUTH_BIT(mechanism);
	}
	there |= AUTH_BIT(AUTH_EXTERNAL);
	if ((there & AUTH_BIT(AUTH_PLAIN)) != 0)
		there |= AUTH_BIT(AUTH_LOGIN);
	if ((there & AUTH_BIT(AUTH_SCRAM_SHA_1)) != 0)
		there |= AUTH_BIT(AUTH_SCRAM_SHA_1_PLUS);
	if ((there & AUTH_BIT(AUTH_SCRAM_SHA_256)) != 0)
		there |= AUTH_BIT(AUTH_SCRAM_SHA_256_PLUS);
	return there & wanted;
}

static bool
library_start(struct sasl_engine *engine, struct fault *fault)
{
	const struct auth_settings *s = engine->settings;

	sasl_set_alloc(malloc, calloc, sasl_memory_resize, sasl_memory_free);
	int result = sasl_server_init(engine->callbacks, "relayd");

	if (result != SASL_OK)
		return fault_say(fault, "start Cyrus SASL: %s",
				 sasl_errstring(result, NULL, NULL));
	result = sasl_auxprop_add_plugin(engine->plugin_name, plugin_init);
	if (result != SASL_OK)
		return fault_say(fault, "add our store to Cyrus SASL: %s",
				 sasl_errstring(result, NULL, NULL));
	if (s->method == AUTH_METHOD_SASLDB && !store_need("sasldb", fault))
		return false;
	if (s->method == AUTH_METHOD_AUXPROP && !store_need(s->auxprop_plugin, fault))
		return false;
	engine->mechanisms = mechanisms_installed(s);
	return true;
}

struct sasl_engine *
sasl_engine_new(const struct auth_settings *settings, const struct log *log,
		struct fault *fault)
{
	struct sasl_engine *engine = memory_new(sizeof(*engine));
	static_assert(offsetof(struct sasl_engine, plugin_name) == 0, "plugin_init counts on it");

	memcpy(engine->plugin_name, PLUGIN_NAME, sizeof(PLUGIN_NAME));
	engine->settings = settings;
	engine->log = log;
	buffer_init(&engine->auxprop_plugins, 256);
	if (settings->method == AUTH_METHOD_SASLDB)
		(void)buffer_append_text(&engine->auxprop_plugins, "sasldb ");
	if (settings->method == AUTH_METHOD_AUXPROP && settings->auxprop_plugin != NULL)
		(void)buffer_printf(&engine->auxprop_plugins, "%s ", settings->auxprop_plugin);
	(void)buffer_append_text(&engine->auxprop_plugins, PLUGIN_NAME);
	(void)buffer_text(&engine->auxprop_plugins);
	if (settings->method == AUTH_METHOD_USERS_FILE)
		engine->store = user_store_new(settings, log);
	if (settings->keytab != NULL)
		(void)setenv("KRB5_KTNAME", settings->keytab, 1);

	engine->callbacks[0] = CALLBACK(SASL_CB_GETOPT, callback_option, engine);
	engine->callbacks[1] = CALLBACK(SASL_CB_LOG, callback_log, engine);
	engine->callbacks[2] = CALLBACK(SASL_CB_VERIFYFILE, callback_verify_file, engine);
	engine->callbacks[3] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
	if (!library_start(engine, fault))
		sasl_engine_free(&engine);
	return engine;
}

void
sasl_engine_free(struct sasl_engine **engine)
{
	if (*engine == NULL)
		return;
	(void)sasl_server_done();
	user_store_free(&(*engine)->store);
	buffer_reset(&(*engine)->auxprop_plugins);
	memory_wipe(*engine, sizeof(**engine));
	free(*engine);
	*engine = NULL;
}

unsigned
sasl_engine_mechanisms(const struct sasl_engine *engine)
{
	return engine->mechanisms;
}

/* ---- One exchange ---- */

static bool
connection_make(struct sasl_dialog *dialog, const struct auth_facts *facts)
{
	static const char *const wanted[] = { STORED_PROPERTY, NULL };
	const struct auth_settings *s = dialog->engine->settings;
	const sasl_security_properties_t security = {
		.security_flags = SASL_SEC_NOANONYMOUS |
				  (facts->is_tls || facts->allows_plain_text ?
					   0U :
					   SASL_SEC_NOPLAINTEXT),
	};
	const sasl_ssf_t ssf = SSF_TLS;
	const char *realm = s->realm[0] == '\0' ? NULL : s->realm;
	char external[AUTH_LOGIN_MAX + 1];
	bool is_made =
	    sasl_server_new(SERVICE, s->hostname, realm, NULL, NULL, dialog->callbacks, 0,
			    &dialog->conn) == SASL_OK &&
	    sasl_setprop(dialog->conn, SASL_SEC_PROPS, &security) == SASL_OK;

	if (is_made && facts->is_tls)
		is_made = sasl_setprop(dialog->conn, SASL_SSF_EXTERNAL, &ssf) == SASL_OK;
	if (is_made && facts->external.len > 0 && facts->external.len < sizeof(external)) {
		memcpy(external, facts->external.ptr, facts->external.len);
		external[facts->external.len] = '\0';
		is_made = sasl_setprop(dialog->conn, SASL_AUTH_EXTERNAL, external) == SASL_OK;
	}
	if (is_made && facts->has_binding)
		is_made = sasl_setprop(dialog->conn, SASL_CHANNEL_BINDING, &dialog->binding) ==
			  SASL_OK;
	if (is_made && s->method != AUTH_METHOD_USERS_FILE)
		is_made = sasl_auxprop_request(dialog->conn, (const char **)(uintptr_t)wanted) ==
			  SASL_OK;
	return is_made;
}

/* Could this exchange succeed at all? The session asks before; this is the second lock. */
static bool
dialog_is_allowed(const struct sasl_engine *engine, enum auth_mechanism mechanism,
		  const struct auth_facts *facts)
{
	if ((engine->mechanisms & AUTH_BIT(mechanism)) == 0)
		return false;
	if (auth_mechanism_is_bound(mechanism) && !facts->has_binding)
		return false;
	if (auth_mechanism_is_plain_text(mechanism) && !facts->is_tls &&
	    !facts->allows_plain_text)
		return false;
	return mechanism != AUTH_EXTERNAL || facts->external.len > 0;
}

struct sasl_dialog *
sasl_dialog_new(struct sasl_engine *engine, enum auth_mechanism mechanism,
		const struct auth_facts *facts)
{
	struct sasl_dialog *dialog = memory_new(sizeof(*dialog));

	dialog->engine = engine;
	dialog->mechanism = mechanism;
	dialog->callbacks[0] = CALLBACK(SASL_CB_CANON_USER, callback_canonical, dialog);
	dialog->callbacks[1] = CALLBACK(SASL_CB_PROXY_POLICY, callback_authorize, dialog);
	dialog->callbacks[2] =
	    CALLBACK(SASL_CB_SERVER_USERDB_CHECKPASS, callback_check_password, dialog);
	dialog->callbacks[3] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
	memcpy(dialog->binding_octets, facts->binding, sizeof(dialog->binding_octets));
	dialog->binding = (sasl_channel_binding_t){
		.name = BINDING_TYPE,
		.critical = auth_mechanism_is_bound(mechanism), /* -PLUS without it is refused */
		.len = AUTH_BINDING_LEN,
		.data = dialog->binding_octets,
	};
	if (!dialog_is_allowed(engine, mechanism, facts))
		dialog->is_decoy = true;
	else if (!connection_make(dialog, facts))
		dialog->is_trouble = true;
	return dialog;
}

void
sasl_dialog_free(struct sasl_dialog **dialog)
{
	if (*dialog == NULL)
		return;
	sasl_dispose(&(*dialog)->conn);
	memory_wipe(*dialog, sizeof(**dialog));
	free(*dialog);
	*dialog = NULL;
}

/* Start the library's side of the exchange, or go on with it. A result code of its own. */
static int
library_step(struct sasl_dialog *dialog, bool has_data, struct span data, struct span *out)
{
	const char *name = auth_mechanism_name(
	    dialog->mechanism == AUTH_LOGIN ? AUTH_PLAIN : dialog->mechanism);
	const char *text = NULL;
	unsigned len = 0;
	/* an empty answer is "", none is NULL */
	const char *in = !has_data ? NULL : data.len == 0 ? "" : data.ptr;
	int result = dialog->is_started ?
			 sasl_server_step(dialog->conn, in, (unsigned)data.len, &text, &len) :
			 sasl_server_start(dialog->conn, name, in, (unsigned)data.len, &text, &len);

	dialog->is_started = true;
	*out = (struct span){ text == NULL ? "" : text, text == NULL ? 0 : len };
	return result;
}

/*
 * LOGIN asks for a name and for a password, and then is PLAIN. Names and passwords with NUL
 * would make another PLAIN message of it.
 */
static int
login_step(struct sasl_dialog *dialog, bool has_data, struct span data, struct span *out)
{
	char message[2 + AUTH_LOGIN_MAX + PASSWORD_MAX];
	size_t len = 0;

	if (!has_data) {
		*out = span_of("Username:");
		return SASL_CONTINUE;
	}
	if (dialog->login_state == LOGIN_ASKS_NAME) {
		if (data.len == 0 || data.len > sizeof(dialog->name) ||
		    span_find(data, '\0') < data.len)
			return SASL_BADPROT;
		memcpy(dialog->name, data.ptr, data.len);
		dialog->name_len = data.len;
		dialog->login_state = LOGIN_ASKS_PASSWORD;
		*out = span_of("Password:");
		return SASL_CONTINUE;
	}
	if (data.len == 0 || data.len > PASSWORD_MAX || span_find(data, '\0') < data.len)
		return SASL_BADAUTH;
	message[len++] = '\0'; /* nobody else to act as */
	memcpy(message + len, dialog->name, dialog->name_len);
	len += dialog->name_len;
	message[len++] = '\0';
	memcpy(message + len, data.ptr, data.len);
	len += data.len;
	int result = library_step(dialog, true, (struct span){ message, len }, out);

	memory_wipe(message, len);
	return result;
}

/* Who logged in, once the library says that somebody did. */
static bool
user_read(struct sasl_dialog *dialog)
{
	const void *name = NULL;

	if (sasl_getprop(dialog->conn, SASL_USERNAME, &name) != SASL_OK || name == NULL)
		return false;
	struct span user = span_of(name);

	if (user.len == 0 || user.len > sizeof(dialog->user))
		return false;
	memcpy(dialog->user, user.ptr, user.len);
	dialog->user_len = user.len;
	return true;
}

static enum auth_code
code_of(struct sasl_dialog *dialog, int result)
{
	if (dialog->is_trouble)
		return AUTH_TROUBLE;
	switch (result) {
	case SASL_CONTINUE:
		return AUTH_CONTINUE;
	case SASL_OK:
		if (dialog->is_decoy)
			return AUTH_FAILED;
		return user_read(dialog) ? AUTH_OK : AUTH_TROUBLE;
	case SASL_FAIL: /* saslauthd away, database away, plug-in at a loss */
	case SASL_NOMEM:
	case SASL_TRYAGAIN:
	case SASL_NOTINIT:
	case SASL_UNAVAIL:
	case SASL_CONFIGERR:
	case SASL_BADVERS:
		return dialog->is_decoy ? AUTH_FAILED : AUTH_TROUBLE;
	default:
		return AUTH_FAILED;
	}
}

void
sasl_dialog_step(struct sasl_dialog *dialog, bool has_data, struct span data,
		 struct auth_answer *answer)
{
	struct sasl_engine *engine = dialog->engine;
	struct span out = { "", 0 };
	int result = SASL_BADAUTH;

	assert(!dialog->is_over);
	if (dialog->conn != NULL && !dialog->is_trouble) {
		engine->current = dialog;
		if (engine->store != NULL)
			user_store_refresh(engine->store);
		result = dialog->mechanism == AUTH_LOGIN ?
			     login_step(dialog, has_data, data, &out) :
			     library_step(dialog, has_data, data, &out);
		engine->current = NULL;
		sasl_stack_wipe();
	}
	enum auth_code code = code_of(dialog, result);

	if (code == AUTH_CONTINUE && out.len > AUTH_DATA_MAX)
		code = AUTH_TROUBLE;
	if (code == AUTH_TROUBLE)
		log_warn(engine->log, "%s: %s (%s)", auth_mechanism_name(dialog->mechanism),
			 sasl_errstring(result, NULL, NULL), dialog->log_text);
	dialog->is_over = code != AUTH_CONTINUE;
	*answer = (struct auth_answer){
		.code = code,
		.user = { dialog->user, dialog->user_len },
		.data = code == AUTH_CONTINUE ? out : (struct span){ "", 0 },
	};
}
