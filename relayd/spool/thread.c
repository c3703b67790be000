/* SPDX-License-Identifier: ISC */
/* Threads, jobs and the way back; see thread.h. */
#include "spool/thread.h"

#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define STACK_OCTETS (512u * 1024u)

struct spool_mailbox {
	struct loop_call call;
	struct loop *loop;
	pthread_mutex_t lock;
	struct spool_jobs jobs;
	bool is_posted;
};

struct spool_job *
spool_jobs_take(struct spool_jobs *jobs)
{
	struct spool_job *job = jobs->first;

	if (job == NULL)
		return NULL;
	jobs->first = job->next;
	if (jobs->first == NULL)
		jobs->end = &jobs->first;
	job->next = NULL;
	return job;
}

void
spool_jobs_join(struct spool_jobs *jobs, struct spool_jobs *from)
{
	if (from->first == NULL)
		return;
	*jobs->end = from->first;
	jobs->end = from->end;
	spool_jobs_init(from);
}

/* Sleep until there is something to do; the lock is held. */
static void
thread_wait(struct spool_thread *thread, int64_t due_ms)
{
	struct timespec until = { .tv_sec = due_ms / 1000,
				  .tv_nsec = due_ms % 1000 * 1000000 };

	while (thread->queue.first == NULL && !thread->is_stopping) {
		thread->is_asleep = true;
		if (due_ms == 0)
			(void)pthread_cond_wait(&thread->wake, &thread->lock);
		else if (pthread_cond_timedwait(&thread->wake, &thread->lock, &until) ==
			 ETIMEDOUT)
			break;
	}
	thread->is_asleep = false;
}

static void *
thread_run(void *context)
{
	struct spool_thread *thread = context;
	int64_t due_ms = 0;
	bool is_over = false;

	while (!is_over) {
		struct spool_jobs jobs;

		spool_jobs_init(&jobs);
		(void)pthread_mutex_lock(&thread->lock);
		thread_wait(thread, due_ms);
		spool_jobs_join(&jobs, &thread->queue);
		is_over = thread->is_stopping && jobs.first == NULL;
		(void)pthread_mutex_unlock(&thread->lock);
		due_ms = thread->turn(thread->context, &jobs);
	}
	return NULL;
}

static int
thread_create(struct spool_thread *thread)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error != 0)
		return error;
	(void)pthread_attr_setstacksize(&attributes, STACK_OCTETS);
	error = pthread_create(&thread->id, &attributes, thread_run, thread);
	(void)pthread_attr_destroy(&attributes);
	return error;
}

bool
spool_thread_start(struct spool_thread *thread,
		   int64_t (*turn)(void *context, struct spool_jobs *jobs), void *context,
		   struct fault *fault)
{
	pthread_condattr_t attributes;
	sigset_t all, before;

	thread->turn = turn;
	thread->context = context;
	spool_jobs_init(&thread->queue);
	(void)pthread_mutex_init(&thread->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&thread->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);

	(void)sigfillset(&all); /* signals are for the loop's thread */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = thread_create(thread);
	thread->is_running = errno == 0;
	if (!thread->is_running)
		(void)fault_set(fault, "start a thread of the spool");
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread->is_running;
}

void
spool_thread_hand(struct spool_thread *thread, struct spool_jobs *jobs)
{
	if (jobs->first == NULL)
		return;
	(void)pthread_mutex_lock(&thread->lock);
	bool must_wake = thread->is_asleep;

	spool_jobs_join(&thread->queue, jobs);
	thread->is_asleep = false; /* one signal is enough */
	(void)pthread_mutex_unlock(&thread->lock);
	if (must_wake)
		(void)pthread_cond_signal(&thread->wake);
}

void
spool_thread_hand_one(struct spool_thread *thread, struct spool_job *job)
{
	struct spool_jobs jobs;

	spool_jobs_init(&jobs);
	spool_jobs_add(&jobs, job);
	spool_thread_hand(thread, &jobs);
}

void
spool_thread_stop(struct spool_thread *thread)
{
	if (!thread->is_running)
		return;
	(void)pthread_mutex_lock(&thread->lock);
	thread->is_stopping = true;
	(void)pthread_mutex_unlock(&thread->lock);
	(void)pthread_cond_signal(&thread->wake);
	(void)pthread_join(thread->id, NULL);
	thread->is_running = false;
}

bool
spool_thread_finish(struct spool_thread *thread)
{
	struct spool_jobs jobs;

	if (thread->turn == NULL || thread->queue.first == NULL)
		return false;
	spool_jobs_init(&jobs);
	spool_jobs_join(&jobs, &thread->queue);
	(void)thread->turn(thread->context, &jobs);
	return true;
}

void
spool_thread_reset(struct spool_thread *thread)
{
	if (thread->turn == NULL)
		return;
	thread->turn = NULL;
	(void)pthread_cond_destroy(&thread->wake);
	(void)pthread_mutex_destroy(&thread->lock);
}

void
spool_mailbox_empty(struct spool_mailbox *mailbox)
{
	struct spool_jobs jobs;
	struct spool_job *job;

	spool_jobs_init(&jobs);
	(void)pthread_mutex_lock(&mailbox->lock);
	spool_jobs_join(&jobs, &mailbox->jobs);
	(void)pthread_mutex_unlock(&mailbox->lock);
	while ((job = spool_jobs_take(&jobs)) != NULL)
		job->done(job);
}

static void
mailbox_called(struct loop_call *call)
{
	struct spool_mailbox *mailbox = LIST_OWNER(call, struct spool_mailbox, call);

	(void)pthread_mutex_lock(&mailbox->lock);
	mailbox->is_posted = false;
	(void)pthread_mutex_unlock(&mailbox->lock);
	spool_mailbox_empty(mailbox);
}

struct spool_mailbox *
spool_mailbox_new(struct loop *loop)
{
	struct spool_mailbox *mailbox = memory_new(sizeof(*mailbox));

	mailbox->call.run = mailbox_called;
	mailbox->loop = loop;
	(void)pthread_mutex_init(&mailbox->lock, NULL);
	spool_jobs_init(&mailbox->jobs);
	return mailbox;
}

void
spool_mailbox_send(struct spool_mailbox *mailbox, struct spool_jobs *jobs)
{
	if (jobs->first == NULL)
		return;
	(void)pthread_mutex_lock(&mailbox->lock);
	bool must_post = !mailbox->is_posted;

	mailbox->is_posted = true;
	spool_jobs_join(&mailbox->jobs, jobs);
	(void)pthread_mutex_unlock(&mailbox->lock);
	if (must_post)
		loop_post(mailbox->loop, &mailbox->call);
}

void
spool_mailbox_send_one(struct spool_mailbox *mailbox, struct spool_job *job)
{
	struct spool_jobs jobs;

	spool_jobs_init(&jobs);
	spool_jobs_add(&jobs, job);
	spool_mailbox_send(mailbox, &jobs);
}

void
spool_mailbox_free(struct spool_mailbox **mailbox)
{
	struct spool_mailbox *m = *mailbox;

	if (m == NULL)
		return;
	*mailbox = NULL;
	assert(m->jobs.first == NULL);
	(void)loop_call_cancel(m->loop, &m->call); /* the loop may never turn again */
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}
