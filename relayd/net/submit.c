/* SPDX-License-Identifier: ISC */
/* Submission through libcurl; see submit.h. */
#include "net/submit.h"

#include <curl/curl.h>
#include <stdio.h>

#define CONNECT_WITHIN_S 20L
#define IDLE_WITHIN_S	 300L /* RFC 5321 s.4.5.3.2: five minutes for most replies */

/* One submission. */
struct submit {
	struct span left;     /* of the message */
	struct buffer *reply; /* the last negative one, or else the last one */
	bool is_negative;
};

static size_t
message_read(char *out, size_t size, size_t count, void *context)
{
	struct submit *submit = context;
	struct span part = span_first(submit->left, size * count);

	if (part.len > 0)
		memcpy(out, part.ptr, part.len);
	submit->left = span_skip(submit->left, part.len);
	return part.len;
}

/* Each line that the server sends: what refuses is kept, whatever comes behind it. */
static size_t
reply_take(char *text, size_t size, size_t count, void *context)
{
	struct submit *submit = context;
	struct span line = { text, size * count };
	bool is_negative = line.len > 0 && (line.ptr[0] == '4' || line.ptr[0] == '5');

	while (line.len > 0 && ascii_is_control(line.ptr[line.len - 1]))
		line.len--;
	if (line.len == 0 || (submit->is_negative && !is_negative))
		return size * count;
	submit->is_negative = is_negative;
	buffer_clear(submit->reply);
	(void)buffer_append(submit->reply, span_first(line, SUBMIT_REPLY_MAX));
	return size * count;
}

static struct curl_slist *
recipients_list(const struct submit_message *message)
{
	struct curl_slist *list = NULL;
	struct buffer path;

	buffer_init(&path, 1024);
	for (size_t i = 0; i < message->recipient_count; i++) {
		buffer_clear(&path);
		(void)buffer_printf(&path, "<" SPAN_FMT ">", SPAN_ARG(message->recipients[i]));

		struct curl_slist *more = curl_slist_append(list, buffer_text(&path));

		if (path.is_over || more == NULL) {
			curl_slist_free_all(more == NULL ? list : more);
			list = NULL;
			break;
		}
		list = more;
	}
	buffer_reset(&path);
	return list;
}

static void
server_set(CURL *curl, const struct submit_server *server, struct buffer *text)
{
	bool is_v6 = span_find(span_of(server->host), ':') < strlen(server->host);

	buffer_clear(text);
	(void)buffer_printf(text, "%s://%s%s%s:%u/%s",
			    server->tls == SUBMIT_TLS_IMPLICIT ? "smtps" : "smtp",
			    is_v6 ? "[" : "", server->host, is_v6 ? "]" : "", server->port,
			    server->hello);
	curl_easy_setopt(curl, CURLOPT_URL, buffer_text(text));
	curl_easy_setopt(curl, CURLOPT_USE_SSL,
			 server->tls == SUBMIT_TLS_NONE ? (long)CURLUSESSL_NONE :
							  (long)CURLUSESSL_ALL);
	if (server->socket_path != NULL)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, server->socket_path);
	if (server->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, server->ca_file);
	if (server->user != NULL) {
		curl_easy_setopt(curl, CURLOPT_USERNAME, server->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, server->password);
	}
}

static void
message_set(CURL *curl, const struct submit_message *message, struct submit *submit,
	    struct buffer *text)
{
	buffer_clear(text);
	(void)buffer_printf(text, "<" SPAN_FMT ">", SPAN_ARG(message->sender));
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, buffer_text(text));
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)message->text.len);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, message_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, submit);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, reply_take);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, submit);
}

static void
limits_set(CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_WITHIN_S);
	curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, IDLE_WITHIN_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, IDLE_WITHIN_S);
}

static enum submit_result
result_of(CURLcode code, const struct submit *submit)
{
	char first = submit->reply->len > 0 ? submit->reply->ptr[0] : '0';

	if (code == CURLE_OK)
		return SUBMIT_ACCEPTED;
	if (submit->is_negative && first == '5')
		return SUBMIT_REFUSED;
	if (!submit->is_negative) {
		buffer_clear(submit->reply);
		(void)buffer_append_text(submit->reply, curl_easy_strerror(code));
	}
	return SUBMIT_LATER;
}

enum submit_result
submit_message(const struct submit_server *server, const struct submit_message *message,
	       struct buffer *reply)
{
	struct submit submit = { .left = message->text, .reply = reply };
	CURL *curl = curl_easy_init();
	struct curl_slist *recipients = recipients_list(message);
	enum submit_result result = SUBMIT_LATER;
	struct buffer text;

	buffer_clear(reply);
	buffer_init(&text, 4096);
	if (curl == NULL || recipients == NULL) {
		(void)buffer_append_text(reply, "libcurl could not begin");
	} else {
		limits_set(curl);
		server_set(curl, server, &text);
		message_set(curl, message, &submit, &text);
		curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
		result = result_of(curl_easy_perform(curl), &submit);
	}
	curl_slist_free_all(recipients);
	curl_easy_cleanup(curl);
	buffer_reset(&text);
	return result;
}
