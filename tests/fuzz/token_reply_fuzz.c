/* SPDX-License-Identifier: ISC */
/* daemon/token_reply.h: tokens are visible ASCII, words one printable line, whatever comes. */
#include "daemon/token_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
text_check(const char *text, char first)
{
	for (; *text != '\0'; text++) {
		if (*text < first || *text > '~')
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct token_reply reply;
	static struct token_file file;
	struct span json = { (const char *)data, size };

	if (token_reply_parse(json, &reply) == PARSE_OK) {
		if (reply.token[0] == '\0' && reply.error[0] == '\0')
			abort();
		if (reply.lifetime_s < 0)
			abort();
		text_check(reply.token, '!');
		text_check(reply.refresh_token, '!');
		text_check(reply.error, ' ');
		text_check(reply.description, ' ');
		(void)token_error_is_final(reply.error);
	}
	if (token_file_parse(json, &file) == PARSE_OK) {
		text_check(file.key, '!');
		text_check(file.token, '!');
	}
	return 0;
}
