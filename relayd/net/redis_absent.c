/* SPDX-License-Identifier: ISC */
/* In place of redis.c where relayd is built without hiredis: nobody gets as far as here. */
#include "net/redis.h"

#include <stdlib.h>

struct redis *
redis_new(struct loop *loop, struct dns *dns, const struct redis_settings *settings,
	  redis_news *news, void *context)
{
	(void)loop;
	(void)dns;
	(void)settings;
	(void)news;
	(void)context;
	abort(); /* the configuration has refused it */
}

void
redis_free(struct redis **redis)
{
	*redis = NULL;
}

bool
redis_run(struct redis *redis, size_t script, const struct span *words, size_t word_count,
	  size_t key_count, redis_done *done, void *context)
{
	(void)redis;
	(void)script;
	(void)words;
	(void)word_count;
	(void)key_count;
	(void)done;
	(void)context;
	return false;
}
