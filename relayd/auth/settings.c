/* SPDX-License-Identifier: ISC */
/* What follows from sasl { }; see settings.h. */
#define _GNU_SOURCE /* O_TMPFILE, linkat of a descriptor */
#include "auth/settings.h"

#include "auth/digest.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

unsigned
auth_settings_mechanisms(const struct auth_settings *settings)
{
	unsigned mechanisms = auth_mechanisms_of(settings->method, settings->scram_from_clear);

	return settings->keytab == NULL ? mechanisms & ~AUTH_BIT(AUTH_GSSAPI) : mechanisms;
}

/* The whole secret, or not: a file of another size is none. */
static bool
secret_read(int fd, unsigned char secret[AUTH_SECRET_OCTETS])
{
	unsigned char octets[AUTH_SECRET_OCTETS + 1];
	bool is_whole = read(fd, octets, sizeof(octets)) == AUTH_SECRET_OCTETS;

	if (is_whole)
		memcpy(secret, octets, AUTH_SECRET_OCTETS);
	memory_wipe(octets, sizeof(octets));
	return is_whole;
}

/* Write a new secret beside the path and link it there: it is whole, or not there. */
static bool
secret_make(const char *path, struct fault *fault)
{
	unsigned char secret[AUTH_SECRET_OCTETS];
	size_t size = strlen(path) + sizeof(".new.XXXXXX");
	char *name = memory_new(size);

	(void)snprintf(name, size, "%s.new.XXXXXX", path);
	int fd = mkostemp(name, O_CLOEXEC);
	bool is_made = fd != -1;

	if (is_made) {
		digest_random(secret, sizeof(secret));
		is_made = write(fd, secret, sizeof(secret)) == (ssize_t)sizeof(secret) &&
			  fsync(fd) == 0 && (link(name, path) == 0 || errno == EEXIST);
		memory_wipe(secret, sizeof(secret));
	}
	if (!is_made)
		(void)fault_setf(fault, "make %s", path);
	if (fd != -1) {
		(void)close(fd);
		(void)unlink(name);
	}
	free(name);
	return is_made;
}

bool
auth_secret_load(const char *path, unsigned char secret[AUTH_SECRET_OCTETS],
		 struct fault *fault)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

	if (fd == -1 && errno == ENOENT) {
		if (!secret_make(path, fault))
			return false;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	}
	if (fd == -1)
		return fault_setf(fault, "open %s", path);
	bool is_read = secret_read(fd, secret);

	(void)close(fd);
	return is_read || fault_say(fault, "%s does not hold %d octets; remove it, a new one "
					   "is made", path, AUTH_SECRET_OCTETS);
}
