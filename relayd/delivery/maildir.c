/* SPDX-License-Identifier: ISC */
/*
 * Maildirs; see maildir.h. The loop's thread gives the writer's thread one order at a time
 * for each delivery: some octets to append, and whether the file begins or ends with them.
 * What an order points to stays where it is until the order is done. The thread takes all
 * orders that wait at once, so that messages that end together share one sync of the folder.
 */
#include "delivery/maildir.h"

#include "base/memory.h"
#include "delivery/body_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNS_MAX    32 /* of one order */
#define OUT_OCTETS  (64U << 10)
#define HEADER_MAX  ENVELOPE_OCTETS_MAX
#define NAME_SIZE   256 /* NAME_MAX and a NUL */
#define NO_FILE	    (-1)

struct maildir {
	char *path;
	int tmp_fd;
	int new_fd;
};

/* One recipient's file on its way, and the order that the thread carries out for it. */
struct maildir_file {
	struct list link; /* in the writer's orders, then in its results */
	const struct maildir *maildir;
	char name[NAME_SIZE];
	int fd;
	bool is_first; /* this order begins the file */
	bool is_last;  /* this order ends it */
	bool holds_cr; /* a CR was the last octet and is not written yet */
	bool has_failed;
	struct span runs[RUNS_MAX];
	size_t run_count;
	struct fault fault;
};

struct maildir_delivery {
	struct list link; /* in the writer's deliveries */
	struct maildir_writer *writer;
	struct maildir *maildir;
	struct handover *handover;
	void (*done)(void *context, struct handover *handover);
	void *context;
	size_t at; /* the recipient whose file is written */
	struct body_source body;
	bool is_ordered; /* the file is the thread's */
	struct buffer header;
	struct buffer piece; /* of the body, read from disk */
	struct maildir_file file;
};

struct maildir_writer {
	struct loop *loop;
	char *hostname; /* as it may stand in a file name */
	struct list deliveries; /* the loop's thread's */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t has_orders;
	/* under mutex */
	struct list orders;  /* of struct maildir_file: to be carried out */
	struct list results; /* carried out */
	bool is_called;	     /* the loop is told that there are results */
	bool is_stopping;
	struct loop_call results_call;
};

/* ---- The thread ---- */

static bool
octets_write(struct maildir_file *file, const char *octets, size_t count)
{
	while (count > 0) {
		ssize_t written = write(file->fd, octets, count);

		if (written == -1 && errno == EINTR)
			continue;
		if (written == -1)
			return fault_setf(&file->fault, "write %s", file->name);
		octets += written;
		count -= (size_t)written;
	}
	return true;
}

/* Lines end with LF in a Maildir. Returns how many octets went to out, at most in.len + 1. */
static size_t
lines_convert(struct maildir_file *file, struct span in, char *out)
{
	char *at = out;

	if (file->holds_cr && in.len > 0) {
		file->holds_cr = false;
		if (in.ptr[0] != '\n')
			*at++ = '\r';
	}
	while (in.len > 0) {
		size_t before = span_find(in, '\r');

		memcpy(at, in.ptr, before);
		at += before;
		in = span_skip(in, before);
		if (in.len == 1)
			file->holds_cr = true;
		else if (in.len > 1 && in.ptr[1] != '\n')
			*at++ = '\r';
		if (in.len > 0)
			in = span_skip(in, 1);
	}
	return (size_t)(at - out);
}

static bool
run_write(struct maildir_file *file, struct span run, char out[OUT_OCTETS])
{
	while (run.len > 0) {
		struct span part = span_first(run, OUT_OCTETS - 1);

		if (!octets_write(file, out, lines_convert(file, part, out)))
			return false;
		run = span_skip(run, part.len);
	}
	return true;
}

static bool
file_create(struct maildir_file *file)
{
	file->fd = openat(file->maildir->tmp_fd, file->name,
			  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd == NO_FILE)
		return fault_setf(&file->fault, "create %s", file->name);
	return true;
}

static bool
file_finish(struct maildir_file *file)
{
	if (file->holds_cr && !octets_write(file, "\r", 1))
		return false;
	if (fdatasync(file->fd) == -1)
		return fault_setf(&file->fault, "sync %s", file->name);

	int result = close(file->fd);

	file->fd = NO_FILE;
	if (result == -1)
		return fault_setf(&file->fault, "close %s", file->name);
	if (renameat(file->maildir->tmp_fd, file->name, file->maildir->new_fd, file->name) ==
	    -1)
		return fault_setf(&file->fault, "move %s to new", file->name);
	return true;
}

static void
file_drop(struct maildir_file *file)
{
	if (file->fd != NO_FILE)
		(void)close(file->fd);
	file->fd = NO_FILE;
	(void)unlinkat(file->maildir->tmp_fd, file->name, 0);
}

static bool
order_try(struct maildir_file *file, char out[OUT_OCTETS])
{
	if (file->is_first && !file_create(file))
		return false;
	for (size_t i = 0; i < file->run_count; i++) {
		if (!run_write(file, file->runs[i], out))
			return false;
	}
	return !file->is_last || file_finish(file);
}

static void
order_carry_out(struct maildir_file *file, char out[OUT_OCTETS])
{
	if (order_try(file, out))
		return;
	file->has_failed = true;
	file_drop(file);
}

/* Make the new names durable, with one sync for each folder. */
static void
folders_sync(struct list *orders)
{
	const struct maildir *synced = NULL;
	int error = 0;

	for (struct list *link = orders->next; link != orders; link = link->next) {
		struct maildir_file *file = LIST_OWNER(link, struct maildir_file, link);

		if (!file->is_last || file->has_failed)
			continue;
		if (file->maildir != synced) {
			error = fsync(file->maildir->new_fd) == -1 ? errno : 0;
			synced = file->maildir;
		}
		if (error != 0) {
			errno = error;
			file->has_failed = true;
			fault_setf(&file->fault, "sync the folder of %s", file->name);
		}
	}
}

/* All orders that wait, as soon as there is one. False: the writer stops. */
static bool
orders_take(struct maildir_writer *writer, struct list *orders)
{
	bool goes_on;

	(void)pthread_mutex_lock(&writer->mutex);
	while (list_is_empty(&writer->orders) && !writer->is_stopping)
		(void)pthread_cond_wait(&writer->has_orders, &writer->mutex);
	goes_on = !writer->is_stopping;
	while (goes_on && !list_is_empty(&writer->orders))
		list_append(orders, list_take_first(&writer->orders));
	(void)pthread_mutex_unlock(&writer->mutex);
	return goes_on;
}

static bool
is_stopping(struct maildir_writer *writer)
{
	(void)pthread_mutex_lock(&writer->mutex);

	bool stops = writer->is_stopping;

	(void)pthread_mutex_unlock(&writer->mutex);
	return stops;
}

static void
results_give(struct maildir_writer *writer, struct list *orders)
{
	(void)pthread_mutex_lock(&writer->mutex);
	while (!list_is_empty(orders))
		list_append(&writer->results, list_take_first(orders));
	if (!writer->is_called)
		loop_post(writer->loop, &writer->results_call);
	writer->is_called = true;
	(void)pthread_mutex_unlock(&writer->mutex);
}

static void *
writer_run(void *context)
{
	struct maildir_writer *writer = context;
	char *out = memory_new(OUT_OCTETS);
	struct list orders;

	list_init(&orders);
	while (orders_take(writer, &orders)) {
		for (struct list *link = orders.next; link != &orders; link = link->next) {
			if (is_stopping(writer))
				break;
			order_carry_out(LIST_OWNER(link, struct maildir_file, link), out);
		}
		folders_sync(&orders);
		results_give(writer, &orders);
	}
	free(out);
	return NULL;
}

/* ---- The loop's side ---- */

static void recipient_begin(struct maildir_delivery *delivery);
static void body_order(struct maildir_delivery *delivery);

static void
order_give(struct maildir_delivery *delivery)
{
	struct maildir_writer *writer = delivery->writer;

	assert(!delivery->is_ordered);
	delivery->is_ordered = true;
	(void)pthread_mutex_lock(&writer->mutex);
	list_append(&writer->orders, &delivery->file.link);
	(void)pthread_cond_signal(&writer->has_orders);
	(void)pthread_mutex_unlock(&writer->mutex);
}

static void
delivery_drop(struct maildir_delivery *delivery)
{
	body_source_stop(&delivery->body);
	buffer_reset(&delivery->header);
	buffer_reset(&delivery->piece);
	list_remove(&delivery->link);
	free(delivery);
}

/* The present recipient has its result: the next one, or the end. */
static void
recipient_end(struct maildir_delivery *delivery)
{
	body_source_stop(&delivery->body);
	delivery->at++;
	if (delivery->at < delivery->handover->recipient_count) {
		recipient_begin(delivery);
		return;
	}

	struct maildir_delivery ended = *delivery;

	delivery_drop(delivery);
	ended.done(ended.context, ended.handover);
}

static void
recipient_fail(struct maildir_delivery *delivery, struct fault *fault)
{
	struct buffer why;

	buffer_init(&why, FAULT_TEXT_MAX + 256);
	buffer_printf(&why, "4.3.0 %s", fault_text(fault));
	handover_settle_one(delivery->handover, delivery->at, RESULT_DEFERRED,
			       buffer_span(&why));
	buffer_reset(&why);
	recipient_end(delivery);
}

static void
recipient_succeed(struct maildir_delivery *delivery)
{
	struct buffer reply;

	buffer_init(&reply, 2 * NAME_SIZE);
	buffer_printf(&reply, "2.0.0 stored as %s", delivery->file.name);
	handover_settle_one(delivery->handover, delivery->at, RESULT_DELIVERED,
			       buffer_span(&reply));
	buffer_reset(&reply);
	recipient_end(delivery);
}

static void
order_done(struct maildir_delivery *delivery)
{
	struct maildir_file *file = &delivery->file;

	delivery->is_ordered = false;
	if (file->has_failed) {
		recipient_fail(delivery, &file->fault);
	} else if (file->is_last) {
		recipient_succeed(delivery);
	} else {
		file->is_first = false;
		file->run_count = 0;
		body_order(delivery);
	}
}

static void
results_take(struct loop_call *call)
{
	struct maildir_writer *writer = LIST_OWNER(call, struct maildir_writer, results_call);
	struct list done;
	struct list *link;

	list_init(&done);
	(void)pthread_mutex_lock(&writer->mutex);
	writer->is_called = false;
	while (!list_is_empty(&writer->results))
		list_append(&done, list_take_first(&writer->results));
	(void)pthread_mutex_unlock(&writer->mutex);
	while ((link = list_take_first(&done)) != NULL) {
		struct maildir_file *file = LIST_OWNER(link, struct maildir_file, link);

		order_done(LIST_OWNER(file, struct maildir_delivery, file));
	}
}

static void
file_fail(struct maildir_delivery *delivery, struct fault *fault)
{
	file_drop(&delivery->file);
	recipient_fail(delivery, fault);
}

static void
body_arrived(struct body_source *body, struct span run, struct fault *fault)
{
	struct maildir_delivery *delivery = LIST_OWNER(body, struct maildir_delivery, body);
	struct maildir_file *file = &delivery->file;

	if (run.ptr == NULL) {
		file_fail(delivery, fault);
		return;
	}
	buffer_clear(&delivery->piece);
	(void)buffer_append(&delivery->piece, run); /* fits: BODY_PIECE_OCTETS */
	file->runs[file->run_count++] = buffer_span(&delivery->piece);
	order_give(delivery);
}

/* Gather what there is of the body into the next order. */
static void
body_order(struct maildir_delivery *delivery)
{
	struct maildir_file *file = &delivery->file;

	while (file->run_count < RUNS_MAX) {
		switch (body_source_next(&delivery->body, &file->runs[file->run_count])) {
		case BODY_RUN:
			file->run_count++;
			continue;
		case BODY_LATER:
			return; /* with a place left for what arrives */
		case BODY_END:
			file->is_last = true;
			break;
		}
		break;
	}
	order_give(delivery);
}

static bool
name_set(struct maildir_delivery *delivery)
{
	const struct spool_info *info = spool_message_info(delivery->handover->message);
	int len = snprintf(delivery->file.name, sizeof(delivery->file.name),
			   "%lld.U%llxR%u.%s", (long long)(info->stored_wall_ms / 1000),
			   (unsigned long long)info->uid,
			   delivery->handover->recipients[delivery->at].index,
			   delivery->writer->hostname);

	return len > 0 && (size_t)len < sizeof(delivery->file.name);
}

static void
recipient_begin(struct maildir_delivery *delivery)
{
	const struct handover *handover = delivery->handover;
	struct span to = handover_recipient_get(handover, delivery->at)->address;
	struct maildir_file *file = &delivery->file;

	*file = (struct maildir_file){
		.maildir = delivery->maildir,
		.fd = NO_FILE,
		.is_first = true,
	};
	list_init(&file->link);
	(void)name_set(delivery); /* the hostname was cut so that it fits */
	buffer_clear(&delivery->header);
	buffer_printf(&delivery->header,
		      "Return-Path: <" SPAN_FMT ">\n"
		      "X-Original-To: " SPAN_FMT "\n"
		      "Delivered-To: " SPAN_FMT "\n",
		      SPAN_ARG(handover->sender), SPAN_ARG(to), SPAN_ARG(to));
	file->runs[file->run_count++] = buffer_span(&delivery->header);
	body_source_start(&delivery->body, handover->message, body_arrived);
	body_source_rewrite(&delivery->body, &handover->rewriting);
	body_order(delivery);
}

void
maildir_deliver(struct maildir_writer *writer, struct maildir *maildir,
		struct handover *handover,
		void (*done)(void *context, struct handover *handover), void *context)
{
	struct maildir_delivery *delivery = memory_new(sizeof(*delivery));

	delivery->writer = writer;
	delivery->maildir = maildir;
	delivery->handover = handover;
	delivery->done = done;
	delivery->context = context;
	buffer_init(&delivery->header, HEADER_MAX);
	buffer_init(&delivery->piece, BODY_PIECE_OCTETS);
	list_init(&delivery->link);
	list_append(&writer->deliveries, &delivery->link);
	recipient_begin(delivery);
}

/* ---- Making and ending ---- */

/* "/" and ":" may not stand in a file's name; 64 octets are plenty to tell hosts apart. */
static char *
hostname_escape(struct span hostname)
{
	struct buffer out;

	buffer_init(&out, 256);
	hostname = span_first(hostname, 64);
	for (size_t i = 0; i < hostname.len; i++) {
		char c = hostname.ptr[i];

		if (c == '/' || c == ':' || ascii_is_control(c))
			buffer_printf(&out, "\\%03o", (unsigned)(unsigned char)c);
		else
			buffer_append_byte(&out, c);
	}

	char *text = memory_copy_text(buffer_span(&out));

	buffer_reset(&out);
	return text;
}

/* The thread takes no signals: they are the main thread's matter. */
static bool
thread_start(struct maildir_writer *writer, struct fault *fault)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);

	int error = pthread_create(&writer->thread, NULL, writer_run, writer);

	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return error == 0 || fault_set(fault, "start the Maildir thread");
}

struct maildir_writer *
maildir_writer_new(struct loop *loop, struct span hostname, struct fault *fault)
{
	struct maildir_writer *writer = memory_new(sizeof(*writer));

	writer->loop = loop;
	writer->hostname = hostname_escape(hostname);
	list_init(&writer->deliveries);
	list_init(&writer->orders);
	list_init(&writer->results);
	writer->results_call.run = results_take;
	(void)pthread_mutex_init(&writer->mutex, NULL);
	(void)pthread_cond_init(&writer->has_orders, NULL);
	if (thread_start(writer, fault))
		return writer;
	free(writer->hostname);
	free(writer);
	return NULL;
}

static void
thread_stop(struct maildir_writer *writer)
{
	(void)pthread_mutex_lock(&writer->mutex);
	writer->is_stopping = true;
	(void)pthread_cond_signal(&writer->has_orders);
	(void)pthread_mutex_unlock(&writer->mutex);
	(void)pthread_join(writer->thread, NULL);
	(void)pthread_cond_destroy(&writer->has_orders);
	(void)pthread_mutex_destroy(&writer->mutex);
}

void
maildir_writer_free(struct maildir_writer **writer)
{
	struct list *link;

	if (*writer == NULL)
		return;
	thread_stop(*writer);
	(void)loop_call_cancel((*writer)->loop, &(*writer)->results_call);
	while ((link = list_take_first(&(*writer)->deliveries)) != NULL) {
		struct maildir_delivery *delivery =
		    LIST_OWNER(link, struct maildir_delivery, link);

		if (delivery->file.fd != NO_FILE)
			file_drop(&delivery->file);
		handover_free(&delivery->handover);
		delivery_drop(delivery);
	}
	free((*writer)->hostname);
	free(*writer);
	*writer = NULL;
}

static bool
folder_make(const char *path, struct fault *fault)
{
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return fault_setf(fault, "make Maildir %s", path);
	return true;
}

/* Open path/name, made if need be; NO_FILE and *fault when nothing can be put there. */
static int
folder_open(const char *path, const char *name, struct fault *fault)
{
	struct buffer text;
	int fd = NO_FILE;

	buffer_init(&text, 4096);
	if (!buffer_printf(&text, "%s/%s", path, name))
		fault_say(fault, "Maildir %s: the path is too long", path);
	else if (!folder_make(buffer_text(&text), fault))
		fd = NO_FILE;
	else if ((fd = open(buffer_text(&text), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
		 faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == -1) {
		fault_setf(fault, "Maildir folder %s", buffer_text(&text));
		if (fd != NO_FILE)
			(void)close(fd);
		fd = NO_FILE;
	}
	buffer_reset(&text);
	return fd;
}

struct maildir *
maildir_open(struct span path, struct fault *fault)
{
	struct maildir *maildir = memory_new(sizeof(*maildir));
	int cur_fd = NO_FILE;

	maildir->path = memory_copy_text(path);
	maildir->tmp_fd = NO_FILE;
	maildir->new_fd = NO_FILE;
	if (folder_make(maildir->path, fault)) {
		maildir->tmp_fd = folder_open(maildir->path, "tmp", fault);
		if (maildir->tmp_fd != NO_FILE)
			maildir->new_fd = folder_open(maildir->path, "new", fault);
		if (maildir->new_fd != NO_FILE)
			cur_fd = folder_open(maildir->path, "cur", fault);
	}
	if (cur_fd == NO_FILE) {
		maildir_close(&maildir);
		return NULL;
	}
	(void)close(cur_fd);
	return maildir;
}

void
maildir_close(struct maildir **maildir)
{
	if (*maildir == NULL)
		return;
	if ((*maildir)->tmp_fd != NO_FILE)
		(void)close((*maildir)->tmp_fd);
	if ((*maildir)->new_fd != NO_FILE)
		(void)close((*maildir)->new_fd);
	free((*maildir)->path);
	free(*maildir);
	*maildir = NULL;
}
