/* SPDX-License-Identifier: ISC */
/* Default gateways; see gateway.h. */
#include "net/gateway.h"

#include <fcntl.h>
#include <unistd.h>

#define ROUTES_FILE	  "/proc/net/route"
#define ROUTES_OCTETS_MAX 65536 /* 512 routes of 128 octets; the default ones come early */
#define ROUTE_UP	  1u
#define ROUTE_GATEWAY	  2u

enum { COLUMN_DESTINATION = 1, COLUMN_GATEWAY, COLUMN_FLAGS, COLUMN_MASK = 7, COLUMNS };

/* A word behind blanks or tabs off the front. */
static struct span
column_take(struct span *line)
{
	size_t from = 0, to;

	while (from < line->len && (line->ptr[from] == ' ' || line->ptr[from] == '\t'))
		from++;
	for (to = from; to < line->len && line->ptr[to] != ' ' && line->ptr[to] != '\t';)
		to++;
	struct span word = span_first(span_skip(*line, from), to - from);

	*line = span_skip(*line, to);
	return word;
}

static bool
hex_parse(struct span text, uint32_t *value)
{
	uint32_t number = 0;

	if (text.len == 0 || text.len > 8)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.ptr[i]);
		bool is_letter = c >= 'a' && c <= 'f';

		if (!is_letter && (c < '0' || c > '9'))
			return false;
		number = number << 4 | (uint32_t)(is_letter ? c - 'a' + 10 : c - '0');
	}
	*value = number;
	return true;
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ...: addresses as the memory has them */
static bool
route_parse(struct span line, struct ip *gateway)
{
	uint32_t values[COLUMNS] = { 0 };

	for (size_t i = 0; i < COLUMNS; i++) {
		struct span word = column_take(&line);

		if ((i == COLUMN_DESTINATION || i == COLUMN_GATEWAY || i == COLUMN_FLAGS ||
		     i == COLUMN_MASK) && !hex_parse(word, &values[i]))
			return false;
	}
	if (values[COLUMN_DESTINATION] != 0 || values[COLUMN_MASK] != 0 ||
	    values[COLUMN_GATEWAY] == 0 ||
	    (values[COLUMN_FLAGS] & (ROUTE_UP | ROUTE_GATEWAY)) != (ROUTE_UP | ROUTE_GATEWAY))
		return false;
	*gateway = (struct ip){ { [10] = 0xff, [11] = 0xff } };
	memcpy(gateway->bytes + 12, &values[COLUMN_GATEWAY], 4);
	return true;
}

size_t
gateways_parse(struct span routes, struct ip *out, size_t room)
{
	size_t count = 0;

	while (routes.len > 0 && count < room) {
		size_t end = span_find(routes, '\n');

		if (route_parse(span_first(routes, end), &out[count]))
			count++;
		routes = span_skip(routes, end < routes.len ? end + 1 : end);
	}
	return count;
}

size_t
gateways_read(struct ip *out, size_t room)
{
	char text[4096];
	struct buffer routes;
	ssize_t n = 0;
	int fd = open(ROUTES_FILE, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return 0;
	buffer_init(&routes, ROUTES_OCTETS_MAX);
	do
		n = read(fd, text, sizeof(text));
	while (n > 0 && buffer_append(&routes, (struct span){ text, (size_t)n }));
	(void)close(fd);
	size_t count = gateways_parse(buffer_span(&routes), out, room);

	buffer_reset(&routes);
	return count;
}
