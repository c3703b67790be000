/* SPDX-License-Identifier: ISC */
/* Whether redis.c or redis_absent.c is in; apart, since relayctl asks and has neither. */
#include "config.h"

#include "net/redis.h"

bool
redis_is_built_in(void)
{
#ifdef HAVE_REDIS
	return true;
#else
	return false;
#endif
}
