/* SPDX-License-Identifier: ISC */
/* /etc/hosts: names with addresses that no name server is asked for. */
#ifndef RELAYD_NET_HOSTS_H
#define RELAYD_NET_HOSTS_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/ip.h"
#include "base/table.h"

/* The addresses of one name, in the order of the file. */
struct host_address {
	struct ip ip;
	const struct host_address *next;
};

/* Embedded by value; all zero is empty. */
struct hosts {
	struct table names;
	struct arena arena;
};

/*
 * Read the file; one that does not exist is empty. Lines that make no sense are passed
 * over, as the C library does. False and *fault when it cannot be read; hosts_reset in either case.
 */
bool hosts_read(struct hosts *hosts, const char *path, struct fault *fault);
void hosts_reset(struct hosts *hosts);

/* The name's addresses, or NULL; case does not matter, a last dot neither. */
const struct host_address *hosts_find(const struct hosts *hosts, struct span name);

#endif
