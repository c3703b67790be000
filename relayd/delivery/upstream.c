/* SPDX-License-Identifier: ISC */
/* Files of routes; see upstream.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MADV_DONTDUMP */
#include "delivery/upstream.h"

#include "auth/login_client.h"
#include "base/buffer.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct password {
	char octets[LOGIN_PASSWORD_MAX + 2]; /* with the line's end, while it is read */
	size_t len;
};

struct upstream {
	struct tls_client *tls;
	struct password *passwords; /* one for each route */
	size_t route_count;
	unsigned mechanisms;
};

/* ---- Passwords ---- */

static size_t
passwords_octets(size_t count)
{
	return (count == 0 ? 1 : count) * sizeof(struct password);
}

/* Zeroed, and left out of core dumps. */
static struct password *
passwords_new(size_t count)
{
	size_t octets = passwords_octets(count);
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, octets, MADV_DONTDUMP);
	return p;
}

/* The file's first line is the password; anything behind it is a mistake. */
static bool
password_trim(struct password *password)
{
	struct span text = { password->octets, password->len };
	size_t end = span_find(text, '\n');

	if (end < text.len && end + 1 < text.len)
		return false;
	if (end > 0 && text.ptr[end - 1] == '\r' && end < text.len)
		end--;
	password->len = end;
	return end > 0 && end <= LOGIN_PASSWORD_MAX &&
	       span_find(span_first(text, end), '\0') == end;
}

static bool
password_take(struct password *password, int fd, const struct route_settings *route,
	      const struct log *log, struct fault *fault)
{
	struct stat info;
	ssize_t got;

	if (fstat(fd, &info) == -1 ||
	    (got = read(fd, password->octets, sizeof(password->octets))) == -1)
		return fault_setf(fault, "route \"" SPAN_FMT "\": read password-file %s",
				  SPAN_ARG(route->name), route->auth.password_file);
	password->len = (size_t)got;
	if (!password_trim(password))
		return fault_say(fault,
				 "route \"" SPAN_FMT "\": password-file %s does not hold one "
				 "line with a password of at most %d octets",
				 SPAN_ARG(route->name), route->auth.password_file,
				 LOGIN_PASSWORD_MAX);
	if ((info.st_mode & S_IRWXO) != 0 && log != NULL)
		log_warn(log, "route \"" SPAN_FMT "\": everybody may read password-file %s; "
			      "chmod 640 it",
			 SPAN_ARG(route->name), route->auth.password_file);
	return true;
}

static bool
password_read(struct password *password, const struct route_settings *route,
	      const struct log *log, struct fault *fault)
{
	int fd = open(route->auth.password_file, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return fault_setf(fault, "route \"" SPAN_FMT "\": open password-file %s",
				  SPAN_ARG(route->name), route->auth.password_file);

	bool is_read = password_take(password, fd, route, log, fault);

	(void)close(fd);
	return is_read;
}

/* ---- TLS ---- */

/* Where the next hop's name is not checked the CAs only tell what its certificate is worth. */
static const char *
ca_choose(const struct route_settings *route)
{
	if (route->tls_ca != NULL)
		return route->tls_ca;
	if (route->tls == ROUTE_TLS_VERIFY || access(TLS_CA_FILE, R_OK) == 0)
		return TLS_CA_FILE;
	return NULL;
}

/* Old ciphers are better than none, but only there. */
static enum tls_profile
profile_choose(const struct route_settings *route)
{
	return route->tls == ROUTE_TLS_OPPORTUNISTIC ? TLS_LEGACY : TLS_INTERMEDIATE;
}

static bool
tls_make(struct upstream *upstream, const struct route_settings *routes, size_t count,
	 int64_t now_wall_ms, struct fault *fault)
{
	struct tls_client_settings *settings = memory_new_array(count, sizeof(*settings));
	struct tls_pair *pairs = memory_new_array(count, sizeof(*pairs));
	char **names = memory_new_array(count, sizeof(*names));
	bool is_used = false;

	for (size_t i = 0; i < count; i++) {
		bool has_tls = routes[i].tls != ROUTE_TLS_NONE && routes[i].maildir.len == 0;

		names[i] = memory_copy_text(routes[i].name);
		pairs[i] = (struct tls_pair){ .certificate = routes[i].certificate,
					      .key = routes[i].key };
		settings[i] = (struct tls_client_settings){
			.name = names[i],
			.pair = routes[i].certificate == NULL ? NULL : &pairs[i],
			.ca = has_tls ? ca_choose(&routes[i]) : NULL,
			.profile = profile_choose(&routes[i]),
		};
		is_used = is_used || has_tls;
	}
	if (is_used)
		upstream->tls = tls_client_new(settings, count, now_wall_ms, fault);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
	free(pairs);
	free(settings);
	return !is_used || upstream->tls != NULL;
}

/* ---- All of it ---- */

struct upstream *
upstream_new(const struct route_settings *routes, size_t count, int64_t now_wall_ms,
	     const struct log *log, struct fault *fault)
{
	struct upstream *upstream = memory_new(sizeof(*upstream));
	bool is_good = true;

	upstream->route_count = count;
	upstream->passwords = passwords_new(count);
	if (upstream->passwords == NULL) {
		free(upstream);
		(void)fault_set(fault, "mmap for passwords");
		return NULL;
	}
	for (size_t i = 0; i < count && is_good; i++) {
		if (routes[i].auth.mechanisms == 0)
			continue;
		upstream->mechanisms |= routes[i].auth.mechanisms;
		is_good = password_read(&upstream->passwords[i], &routes[i], log, fault);
	}
	if (!is_good || !tls_make(upstream, routes, count, now_wall_ms, fault))
		upstream_free(&upstream);
	return upstream;
}

void
upstream_free(struct upstream **upstream)
{
	struct upstream *ours = *upstream;

	if (ours == NULL)
		return;
	tls_client_free(&ours->tls);
	memory_wipe(ours->passwords, passwords_octets(ours->route_count));
	(void)munmap(ours->passwords, passwords_octets(ours->route_count));
	free(ours);
	*upstream = NULL;
}

struct tls_client *
upstream_tls(const struct upstream *upstream)
{
	return upstream->tls;
}

struct span
upstream_password(const struct upstream *upstream, size_t route)
{
	const struct password *password = &upstream->passwords[route];

	return (struct span){ password->octets, password->len };
}

unsigned
upstream_mechanisms(const struct upstream *upstream)
{
	return upstream->mechanisms;
}
