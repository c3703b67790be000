/* SPDX-License-Identifier: ISC */
/* HTTPS through libcurl; see fetch.h. */
#include "net/fetch.h"

#include <curl/curl.h>
#include <stdio.h>

#define CONNECT_WITHIN_S 15L

static size_t
content_take(char *bytes, size_t size, size_t count, void *context)
{
	struct buffer *content = context;

	/* fewer taken than given makes libcurl give up: the answer is too long */
	return buffer_append(content, (struct span){ bytes, size * count }) ? size * count : 0;
}

static void
request_set(CURL *curl, const struct fetch_request *request)
{
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_WITHIN_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, request->within_s);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "relayd");
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 3L);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, request->follows_redirects ? 1L : 0L);
	if (request->ca.len > 0) {
		struct curl_blob ca = { .data = (char *)(uintptr_t)request->ca.ptr,
					.len = request->ca.len,
					.flags = CURL_BLOB_COPY };

		curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
	}
	if (request->form.ptr != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->form.len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->form.ptr);
	}
}

static bool
answer_take(CURL *curl, struct fetch_answer *answer, struct fault *fault)
{
	char words[CURL_ERROR_SIZE] = "";
	const char *type = NULL;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);

	CURLcode code = curl_easy_perform(curl);

	if (code == CURLE_WRITE_ERROR && answer->content->is_over)
		return fault_say(fault, "the answer is longer than %u octets", FETCH_ANSWER_MAX);
	if (code != CURLE_OK)
		return fault_say(fault, "%s",
				 words[0] != '\0' ? words : curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	(void)snprintf(answer->content_type, sizeof(answer->content_type), "%s",
		       type == NULL ? "" : type);
	return true;
}

bool
fetch(const struct fetch_request *request, struct fetch_answer *answer, struct fault *fault)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *where = NULL;
	bool ok;

	buffer_clear(answer->content);
	answer->status = 0;
	answer->content_type[0] = '\0';
	if (curl == NULL)
		return fault_say(fault, "libcurl could not begin");
	request_set(curl, request);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, content_take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer->content);
	if (request->where != NULL) {
		where = curl_slist_append(NULL, request->where);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, where);
		curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* which would look by itself */
	}
	ok = answer_take(curl, answer, fault);
	curl_easy_cleanup(curl);
	curl_slist_free_all(where);
	return ok;
}

bool
form_append(struct buffer *form, const char *name, struct span value)
{
	static const char hex[] = "0123456789ABCDEF";
	bool ok = (form->len == 0 || buffer_append_byte(form, '&')) &&
		  buffer_append_text(form, name) && buffer_append_byte(form, '=');

	for (size_t i = 0; ok && i < value.len; i++) {
		char c = value.ptr[i];

		if (ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~')
			ok = buffer_append_byte(form, c);
		else
			ok = buffer_append_byte(form, '%') &&
			     buffer_append_byte(form, hex[(unsigned char)c >> 4]) &&
			     buffer_append_byte(form, hex[(unsigned char)c & 15]);
	}
	return ok;
}
