/* SPDX-License-Identifier: ISC */
/*
 * A TLS client for tests that must see what python's ssl does not show: the channel binding
 * (tls-exporter, RFC 9266).
 *
 *	exporter_client PORT
 *
 * Connects to 127.0.0.1, prints the binding in hexadecimal as a line of its own on standard
 * output, and then carries octets both ways between standard input, which is a socket, and the
 * TLS connection, until either ends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BINDING_OCTETS 32
#define PATIENCE_S     120 /* a test that hangs leaves nothing behind */

static int
connect_to(const char *port)
{
	struct sockaddr_in there = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	there.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || connect(fd, (struct sockaddr *)&there, sizeof(there)) == -1) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static bool
binding_print(SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char binding[BINDING_OCTETS];

	if (SSL_export_keying_material(ssl, binding, sizeof(binding), label, sizeof(label) - 1,
				       (const unsigned char *)"", 0, 1) != 1)
		return false;
	for (size_t i = 0; i < sizeof(binding); i++)
		(void)printf("%02x", binding[i]);
	(void)puts("");
	return fflush(stdout) == 0;
}

/* One piece from the test to the server; false: the test has ended. */
static bool
carry_there(SSL *ssl)
{
	char piece[16384];
	ssize_t count = read(STDIN_FILENO, piece, sizeof(piece));

	return count > 0 && SSL_write(ssl, piece, (int)count) == (int)count;
}

/* All that came from the server. */
static bool
carry_back(SSL *ssl)
{
	char piece[16384];

	do {
		int count = SSL_read(ssl, piece, sizeof(piece));

		if (count <= 0 || write(STDIN_FILENO, piece, (size_t)count) != count)
			return false;
	} while (SSL_pending(ssl) > 0);
	return true;
}

int
main(int argc, char *argv[])
{
	if (argc != 2)
		return 2;
	(void)alarm(PATIENCE_S);
	(void)signal(SIGPIPE, SIG_IGN);
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context == NULL ? NULL : SSL_new(context);
	int fd = connect_to(argv[1]);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 ||
	    !binding_print(ssl))
		return 1;
	struct pollfd ends[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };
	bool goes_on = true;

	while (goes_on && poll(ends, 2, -1) > 0) {
		if (ends[0].revents != 0)
			goes_on = carry_there(ssl);
		if (goes_on && ends[1].revents != 0)
			goes_on = carry_back(ssl);
	}
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
	(void)close(fd);
	return 0;
}
