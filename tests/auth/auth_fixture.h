/* SPDX-License-Identifier: ISC */
/* What the suites of auth/ share: a folder of their own, a users file, a client's side of SCRAM. */
#ifndef RELAYD_TESTS_AUTH_FIXTURE_H
#define RELAYD_TESTS_AUTH_FIXTURE_H

#include "auth/exchange.h"
#include "auth/sasl.h"
#include "auth/users_file.h"

#define REALM "example.com"

/* A new folder for this test; the path lasts for the process. Removed at its exit. */
const char *folder_make(void);

/* "<folder>/<name>"; lasts for the process. */
const char *path_in(const char *folder, const char *name);

void file_write(const char *path, const char *text);

/* Add a login with a SHA-256 verifier, and with a SHA-1 one if wanted. */
void user_put(const char *path, const char *login, const char *password, bool has_sha_1);

/* Settings for a users file in the folder, with a secret. */
struct auth_settings users_file_settings(const char *folder);

/* PLAIN's message, with its NULs; into a static buffer. */
struct span plain_message(const char *authorize_as, const char *user, const char *password);

/* One whole exchange of PLAIN under TLS, by the engine. */
enum auth_code plain_try(struct sasl_engine *engine, const char *user, const char *password);

/* A client's SCRAM exchange, as RFC 5802 s.3 has it; written apart from what it tests. */
struct scram_client {
	enum digest_kind kind;
	const char *user;
	const char *password;
	const char *gs2;	/* "n,,", "y,,", "p=tls-exporter,," */
	struct span binding;	/* behind gs2 in c= */
	char first_bare[512];
	char server_first[1024];
	char message[2048]; /* to send */
	char server_signature[64];
};

void scram_first(struct scram_client *client);
bool scram_final(struct scram_client *client, struct span server_first);

/* The whole exchange with the engine; the code of its last step. */
enum auth_code scram_try(struct sasl_engine *engine, enum auth_mechanism mechanism,
			 const struct auth_facts *facts, struct scram_client *client,
			 char user[AUTH_LOGIN_MAX + 1]);

/* A program's path if it is there, else NULL; looks in /usr/sbin and /usr/bin. */
const char *program_find(const char *name);

/* Start a program (its output goes to <folder>/<name>.log); its pid, to be ended with stop. */
#include <sys/types.h>
pid_t program_start(const char *folder, const char *const argv[]);
void program_stop(pid_t pid);

/* Run a program with input to its end; its exit status, output in <folder>/run.log. */
int program_run(const char *folder, const char *const argv[], const char *input);

/* Wait until a path exists and, when it is a socket, takes connections; bounded. */
bool socket_await(const char *path);
bool port_await(uint16_t port);
uint16_t port_free(void);

#endif
