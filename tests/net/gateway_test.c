/* SPDX-License-Identifier: ISC */
/* net/: default gateways out of /proc/net/route. */
#include "net/gateway.h"

#include "suite.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

/* A line as the kernel writes it on this machine, whatever its byte order. */
static size_t
route(char *out, size_t room, const char *destination, const char *gateway, unsigned flags,
      const char *mask)
{
	int n = snprintf(out, room, "eth0\t%08X\t%08X\t%04X\t0\t0\t100\t%08X\t0\t0\t0   \n",
			 inet_addr(destination), inet_addr(gateway), flags, inet_addr(mask));

	ck_assert_int_gt(n, 0);
	return (size_t)n;
}

START_TEST(gateways_of_default_routes_are_found)
{
	char text[2048] = HEAD, ip[IP_TEXT_SIZE];
	size_t len = strlen(text);
	struct ip found[2];

	len += route(text + len, sizeof(text) - len, "0.0.0.0", "172.17.0.1", 3, "0.0.0.0");
	len += route(text + len, sizeof(text) - len, "172.17.0.0", "0.0.0.0", 1, "255.255.0.0");
	len += route(text + len, sizeof(text) - len, "10.0.0.0", "172.17.0.9", 3, "255.0.0.0");
	len += route(text + len, sizeof(text) - len, "0.0.0.0", "172.17.0.8", 2, "0.0.0.0"); /* down */
	len += route(text + len, sizeof(text) - len, "0.0.0.0", "172.17.0.7", 3, "128.0.0.0");
	len += route(text + len, sizeof(text) - len, "0.0.0.0", "192.168.1.254", 3, "0.0.0.0");
	len += route(text + len, sizeof(text) - len, "0.0.0.0", "192.168.1.253", 3, "0.0.0.0");
	ck_assert_uint_eq(gateways_parse((struct span){ text, len }, found, 2), 2);
	ip_text(&found[0], ip);
	ck_assert_str_eq(ip, "172.17.0.1");
	ip_text(&found[1], ip);
	ck_assert_str_eq(ip, "192.168.1.254");
	/* the last line may be cut off anywhere */
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_uint_le(gateways_parse((struct span){ text, cut }, found, 2), 2);
}
END_TEST

static const char *const none[] = {
	"", "\n", "\n\n", HEAD, "eth0", "eth0\t00000000", "eth0\t00000000\t010011AC\t0003\n",
	"eth0\t0000000\t010011AG\t0003\t0\t0\t0\t00000000\n",
	"eth0\t00000000\t0100000011AC\t0003\t0\t0\t0\t00000000\n",
	"eth0\t00000000\t010011AC\t0003\t0\t0\t0\t\n",
	"eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\n",
};

START_TEST(what_is_no_default_route_is_passed_over)
{
	struct ip found[2];

	ck_assert_uint_eq(gateways_parse(span_of(none[_i]), found, 2), 0);
}
END_TEST

START_TEST(the_running_system_is_asked_without_harm)
{
	struct ip found[8];

	ck_assert_uint_le(gateways_read(found, 8), 8);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("gateway");
	TCase *tc = tcase_create("gateway");

	tcase_add_test(tc, gateways_of_default_routes_are_found);
	tcase_add_loop_test(tc, what_is_no_default_route_is_passed_over, 0, ARRAY_LEN(none));
	tcase_add_test(tc, the_running_system_is_asked_without_harm);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
