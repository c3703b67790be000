/* SPDX-License-Identifier: ISC */
/* What the suites of auth/ share; see auth_fixture.h. */
#define _GNU_SOURCE
#include "auth_fixture.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/memory.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- Files ---- */

static char folder[256];

static void
folder_remove(void)
{
	const char *const argv[] = { "/bin/rm", "-rf", folder, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	(void)waitpid(pid, NULL, 0);
}

static pid_t folder_owner;

static void
folder_remove_at_exit(void)
{
	if (getpid() == folder_owner)
		folder_remove();
}

const char *
folder_make(void)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%s/relayd-auth.XXXXXX",
		       base == NULL ? "/tmp" : base);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	folder_owner = getpid();
	(void)atexit(folder_remove_at_exit);
	return folder;
}

const char *
path_in(const char *where, const char *name)
{
	static char paths[512][256];
	static size_t used;
	char *path = paths[used++];

	ck_assert(used < ARRAY_LEN(paths));
	int len = snprintf(path, sizeof(paths[0]), "%s/%s", where, name);

	ck_assert(len > 0 && (size_t)len < sizeof(paths[0]));
	return path;
}

void
file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert(fputs(text, file) >= 0);
	ck_assert_int_eq(fclose(file), 0);
}

void
user_put(const char *path, const char *login, const char *password, bool has_sha_1)
{
	struct verifier verifiers[2];
	struct fault fault;
	char name[AUTH_LOGIN_MAX];
	size_t len;

	ck_assert(login_canonical(span_of(REALM), span_of(login), name, &len) == PARSE_OK);
	verifier_make(&verifiers[0], DIGEST_SHA_256, span_of(password),
		      VERIFIER_ITERATIONS_DEFAULT);
	verifier_make(&verifiers[1], DIGEST_SHA_1, span_of(password),
		      VERIFIER_ITERATIONS_DEFAULT);
	ck_assert_int_eq(users_file_change(path, span_of(REALM), USER_ADD,
					   (struct span){ name, len }, verifiers,
					   has_sha_1 ? 2 : 1, &fault),
			 USER_CHANGED);
}

struct auth_settings
users_file_settings(const char *where)
{
	struct auth_settings s = {
		.method = AUTH_METHOD_USERS_FILE,
		.hostname = "relay.example.com",
		.realm = REALM,
		.users_file = path_in(where, "users"),
	};

	memset(s.secret, 7, sizeof(s.secret));
	return s;
}

/* ---- PLAIN ---- */

struct span
plain_message(const char *authorize_as, const char *user, const char *password)
{
	static char message[4096];
	int len = snprintf(message, sizeof(message), "%s%c%s%c%s", authorize_as, 0, user, 0,
			   password);

	ck_assert(len > 0 && (size_t)len < sizeof(message));
	return (struct span){ message, (size_t)len };
}

enum auth_code
plain_try(struct sasl_engine *engine, const char *user, const char *password)
{
	const struct auth_facts facts = { .is_tls = true };
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &facts);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, plain_message("", user, password), &answer);
	enum auth_code code = answer.code;

	sasl_dialog_free(&dialog);
	return code;
}

/* ---- SCRAM ---- */

void
scram_first(struct scram_client *client)
{
	static unsigned serial;

	(void)snprintf(client->first_bare, sizeof(client->first_bare), "n=%s,r=nonce%u",
		       client->user, serial++);
	(void)snprintf(client->message, sizeof(client->message), "%s%s", client->gs2,
		       client->first_bare);
}

/* The value of "x=..." in a message of SCRAM. */
static struct span
attribute(struct span message, char name)
{
	while (message.len > 1) {
		struct span part = span_first(message, span_find(message, ','));

		if (part.ptr[0] == name && part.ptr[1] == '=')
			return span_skip(part, 2);
		message = span_skip(message, part.len == message.len ? part.len : part.len + 1);
	}
	return (struct span){ "", 0 };
}

bool
scram_final(struct scram_client *client, struct span server_first)
{
	char salt[256], keys[3][DIGEST_OCTETS_MAX], salted[DIGEST_OCTETS_MAX];
	unsigned char signature[DIGEST_OCTETS_MAX], server[DIGEST_OCTETS_MAX];
	char auth_message[4096], bare[1024], proof[DIGEST_OCTETS_MAX];
	size_t salt_len, octets = digest_octets(client->kind);
	uint64_t iterations;
	struct buffer text;
	struct span nonce = attribute(server_first, 'r');

	if (base64_decode(attribute(server_first, 's'), salt, &salt_len) != PARSE_OK ||
	    number_parse(attribute(server_first, 'i'), 1000000, &iterations) != PARSE_OK)
		return false;
	buffer_init(&text, 1024);
	ck_assert(buffer_append_text(&text, client->gs2) &&
		  buffer_append(&text, client->binding));
	struct buffer coded;

	buffer_init(&coded, 1024);
	ck_assert(base64_encode(&coded, buffer_span(&text)));
	(void)snprintf(bare, sizeof(bare), "c=%s,r=" SPAN_FMT, buffer_text(&coded),
		       SPAN_ARG(nonce));
	int message_len = snprintf(auth_message, sizeof(auth_message), "%s," SPAN_FMT ",%s",
				   client->first_bare, SPAN_ARG(server_first), bare);
	struct span message = { auth_message, (size_t)message_len };

	digest_stretch(client->kind, span_of(client->password), (struct span){ salt, salt_len },
		       (uint32_t)iterations, (unsigned char *)salted);
	digest_hmac(client->kind, (struct span){ salted, octets }, span_of("Client Key"),
		    (unsigned char *)keys[0]);
	digest_hash(client->kind, (struct span){ keys[0], octets }, (unsigned char *)keys[1]);
	digest_hmac(client->kind, (struct span){ salted, octets }, span_of("Server Key"),
		    (unsigned char *)keys[2]);
	digest_hmac(client->kind, (struct span){ keys[1], octets }, message, signature);
	digest_hmac(client->kind, (struct span){ keys[2], octets }, message, server);
	for (size_t i = 0; i < octets; i++)
		proof[i] = (char)((unsigned char)keys[0][i] ^ signature[i]);
	buffer_clear(&coded);
	ck_assert(base64_encode(&coded, (struct span){ proof, octets }));
	(void)snprintf(client->message, sizeof(client->message), "%s,p=%s", bare,
		       buffer_text(&coded));
	buffer_clear(&coded);
	ck_assert(base64_encode(&coded, (struct span){ (const char *)server, octets }));
	(void)snprintf(client->server_signature, sizeof(client->server_signature), "%s",
		       buffer_text(&coded));
	buffer_reset(&coded);
	buffer_reset(&text);
	return true;
}

enum auth_code
scram_try(struct sasl_engine *engine, enum auth_mechanism mechanism,
	  const struct auth_facts *facts, struct scram_client *client,
	  char user[AUTH_LOGIN_MAX + 1])
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, mechanism, facts);
	struct auth_answer answer;

	scram_first(client);
	sasl_dialog_step(dialog, true, span_of(client->message), &answer);
	(void)snprintf(client->server_first, sizeof(client->server_first), SPAN_FMT,
		       SPAN_ARG(answer.data));
	if (answer.code == AUTH_CONTINUE && scram_final(client, answer.data)) {
		sasl_dialog_step(dialog, true, span_of(client->message), &answer);
		if (answer.code == AUTH_CONTINUE) {
			ck_assert(span_equal(attribute(answer.data, 'v'),
					     span_of(client->server_signature)));
			sasl_dialog_step(dialog, true, span_of(""), &answer);
		}
	}
	if (user != NULL)
		(void)snprintf(user, AUTH_LOGIN_MAX + 1, SPAN_FMT, SPAN_ARG(answer.user));
	enum auth_code code = answer.code;

	sasl_dialog_free(&dialog);
	return code;
}

/* ---- Programs ---- */

const char *
program_find(const char *name)
{
	static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin" };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		const char *path = path_in(folders[i], name);

		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

/* In the child: input, output and error, then the program. */
static void __attribute__((noreturn))
program_become(const char *log, int input_fd, const char *const argv[])
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)setsid(); /* saslauthd ends its whole group */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays when a test is killed */
	(void)dup2(input_fd, 0);
	(void)dup2(fd, 1);
	(void)dup2(fd, 2);
	(void)execve(argv[0], (char *const *)(uintptr_t)argv, environ);
	_exit(127);
}

pid_t
program_start(const char *where, const char *const argv[])
{
	const char *slash = strrchr(argv[0], '/');
	char name[128];

	(void)snprintf(name, sizeof(name), "%s.log", slash == NULL ? argv[0] : slash + 1);
	const char *log = path_in(where, name);
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		program_become(log, open("/dev/null", O_RDONLY), argv);
	return pid;
}

void
program_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	int64_t until_ms = clock_monotonic_ms() + 3000;

	(void)kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (clock_monotonic_ms() > until_ms) /* saslauthd may hang in its own handler */
			(void)kill(pid, SIGKILL);
		(void)poll(NULL, 0, 10);
	}
}

int
program_run(const char *where, const char *const argv[], const char *input)
{
	const char *log = path_in(where, "run.log");
	int ends[2], status;

	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		(void)close(ends[1]);
		program_become(log, ends[0], argv);
	}
	(void)close(ends[0]);
	if (input != NULL)
		ck_assert_int_eq(write(ends[1], input, strlen(input)), (ssize_t)strlen(input));
	(void)close(ends[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool
await(const struct sockaddr *address, socklen_t size)
{
	int64_t until_ms = clock_monotonic_ms() + 20000;

	while (clock_monotonic_ms() < until_ms) {
		int fd = socket(address->sa_family, SOCK_STREAM, 0);
		bool is_there = connect(fd, address, size) == 0;

		(void)close(fd);
		if (is_there)
			return true;
		(void)poll(NULL, 0, 20);
	}
	return false;
}

bool
socket_await(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return await((const struct sockaddr *)&address, sizeof(address));
}

bool
port_await(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};

	return await((const struct sockaddr *)&address, sizeof(address));
}

uint16_t
port_free(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	(void)close(fd);
	return ntohs(address.sin_port);
}
