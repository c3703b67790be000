/* SPDX-License-Identifier: ISC */
/*
 * The spool's threads: each has a queue of jobs and takes all that waits at once. Jobs
 * that are done go back to the loop's thread through one mailbox, many with one wake-up.
 */
#ifndef RELAYD_SPOOL_THREAD_H
#define RELAYD_SPOOL_THREAD_H

#include "base/fault.h"
#include "net/loop.h"

#include <pthread.h>

/* Embedded by whatever travels between the threads. */
struct spool_job {
	struct spool_job *next;
	void (*work)(
	    struct spool_job *job); /* for threads that run their jobs one by one */
	void (*done)(
	    struct spool_job *job); /* in the loop's thread; disposes of the job */
};

/* First in, first out. */
struct spool_jobs {
	struct spool_job *first;
	struct spool_job **end;
};

static inline void
spool_jobs_init(struct spool_jobs *jobs)
{
	jobs->first = NULL;
	jobs->end = &jobs->first;
}

static inline void
spool_jobs_add(struct spool_jobs *jobs, struct spool_job *job)
{
	job->next = NULL;
	*jobs->end = job;
	jobs->end = &job->next;
}

/* The first job, taken out; NULL when there is none. */
struct spool_job *spool_jobs_take(struct spool_jobs *jobs);

/* Move all of from to the end of jobs. */
void spool_jobs_join(struct spool_jobs *jobs, struct spool_jobs *from);

struct spool_thread {
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct spool_jobs queue;
	bool is_asleep;
	bool is_stopping;
	bool is_running;
	/* Does the jobs; returns when it wants to be called without any (monotonic ms; 0:
	 * not). */
	int64_t (*turn)(void *context, struct spool_jobs *jobs);
	void *context;
};

/* Begin; false and *fault when there is no thread to be had. */
bool spool_thread_start(struct spool_thread *thread,
			int64_t (*turn)(void *context, struct spool_jobs *jobs),
			void *context, struct fault *fault);

/* Hand over all the jobs, or one. From any thread. */
void spool_thread_hand(struct spool_thread *thread, struct spool_jobs *jobs);
void spool_thread_hand_one(struct spool_thread *thread, struct spool_job *job);

/* Have it finish its queue, and what it hands to itself meanwhile, then end it. */
void spool_thread_stop(struct spool_thread *thread);

/*
 * Once it has ended: do here what others handed over too late; false when there was
 * nothing. And when all have ended: give up what it holds.
 */
bool spool_thread_finish(struct spool_thread *thread);
void spool_thread_reset(struct spool_thread *thread);

struct spool_mailbox;

struct spool_mailbox *spool_mailbox_new(struct loop *loop);

/* Have done called for each of the jobs in the loop's thread. From any thread. */
void spool_mailbox_send(struct spool_mailbox *mailbox, struct spool_jobs *jobs);
void spool_mailbox_send_one(struct spool_mailbox *mailbox, struct spool_job *job);

/* Call done for what waits, now. */
void spool_mailbox_empty(struct spool_mailbox *mailbox);

/* End it, in the loop's thread; it must be empty and nobody may send any more. */
void spool_mailbox_free(struct spool_mailbox **mailbox);

#endif
