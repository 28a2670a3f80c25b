/* SPDX-License-Identifier: MIT */
/*
 * A thread leaves an allocation in the middle of an event, stalls or dies there: a callback can
 * still be removed, and the thread is told of its next events. Each test is named by what its user
 * would lose.
 */
#include "contract.h"

#if STELE_DEBUG
#include "../leaving.h"
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stele/trace.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_AT_MOST 20 /* seconds: the machine may be busy */

static atomic_ulong events;
static atomic_int removed;

static void count_events(const struct stele_trace_event *event, void *arg)
{
	(void)event, (void)arg;
	atomic_fetch_add(&events, 1);
}

static void make_events(void)
{
	for (int i = 0; i < 4; i++)
		kfree(kmalloc(64, GFP_KERNEL));
}

/* ---- removing ---- */

static void *remove_count(void *arg)
{
	atomic_store(&removed, stele_trace_unregister(count_events, NULL) == 0 ? 1 : 2);
	return arg;
}

static void can_be_removed(const char *after)
{
	time_t end = time(NULL) + SECONDS_AT_MOST;
	pthread_t thread;

	atomic_store(&removed, 0);
	assert_int_equal(pthread_create(&thread, NULL, remove_count, NULL), 0);
	while (!atomic_load(&removed)) {
		if (time(NULL) > end)
			fail_msg("%s: the removal does not come back", after);
		usleep(1000);
	}
	assert_int_equal(atomic_load(&removed), 1);
	pthread_join(thread, NULL);
}

static void listen_to_kmalloc(void)
{
	atomic_store(&events, 0);
	assert_int_equal(stele_trace_register(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE, count_events,
					      NULL),
			 0);
}

/* ---- by timers, at any instruction ---- */

static volatile sig_atomic_t may_leave;
static sigjmp_buf out;
static atomic_ulong times_left;
static int events_after;

static void leave_the_callback(int signal)
{
	(void)signal;
	if (!may_leave)
		return;
	may_leave = 0;
	atomic_fetch_add(&times_left, 1);
	siglongjmp(out, 1);
}

static void *allocate_and_be_left(void *arg)
{
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	time_t end = time(NULL) + 2;
	unsigned long before;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (time(NULL) < end) {
		sigsetjmp(out, 1);
		may_leave = 1;
		make_events();
		may_leave = 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	/* Its own events are counted again, each once, and it is in no callback. */
	before = atomic_load(&events);
	make_events();
	events_after = (int)(atomic_load(&events) - before);
	if (stele_trace_register(STELE_TRACE_KFREE, count_events, arg) == -EDEADLK)
		events_after = -1;
	else
		stele_trace_unregister(count_events, arg);
	return NULL;
}

static void wherever_a_handler_leaves_the_callback_can_be_removed(void **state)
{
	struct sigaction action = { .sa_handler = leave_the_callback };
	pthread_t thread;

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	listen_to_kmalloc();
	assert_int_equal(pthread_create(&thread, NULL, allocate_and_be_left, state), 0);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&times_left) > 0);
	can_be_removed("left by timers");
	assert_int_equal(events_after, 8);
}

/* In all threads but the one that shall be left. */
static int block_the_timer(void **state)
{
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	return pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* ---- a child of vfork() and its like ---- */

static void end_in_callback(const struct stele_trace_event *event, void *arg)
{
	count_events(event, arg);
	if (arg && event->event == STELE_TRACE_KMALLOC)
		syscall(SYS_exit, 0);
}

static void *die_in_callback(void *arg)
{
	make_events();
	return arg;
}

static void a_thread_that_died_in_a_callback_is_not_waited_for(void **state)
{
	pthread_t thread;

	listen_to_kmalloc();
	assert_int_equal(stele_trace_register(STELE_TRACE_KMALLOC, end_in_callback, state), 0);
	assert_int_equal(pthread_create(&thread, NULL, die_in_callback, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(stele_trace_unregister(end_in_callback, state), 0);
	can_be_removed("died in a callback");
}

/* ---- at the points ---- */

#if STELE_DEBUG

static unsigned long counted;

static void make_events_and_count(void)
{
	make_events();
	counted = atomic_load(&events);
}

static void a_thread_that_left_between_two_steps_is_not_waited_for(void **state)
{
	static const char *const points[] = { "trace:announced", "trace:leaves" };

	(void)state;
	leaving_begin();
	for (int i = 0; i < 2; i++)
		for (int way = 0; way < LEAVING_WAYS; way++) {
			pthread_t thread;

			/* It may be in the callback, as far as anybody can tell. */
			if (i == 1 && way == LEAVING_STALLS)
				continue;
			listen_to_kmalloc();
			leaving_at(points[i], (enum leaving_way)way);
			assert_true(leaving_thread(&thread, make_events_and_count));
			assert_int_equal(leaving.fired, 1);
			can_be_removed(leaving_names[way]);
			counted = atomic_load(&events);
			leaving_join(thread);
			/* A callback that was called off is not called later. */
			assert_int_equal(atomic_load(&events), counted);
		}
}

#endif

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(wherever_a_handler_leaves_the_callback_can_be_removed),
	cmocka_unit_test(a_thread_that_died_in_a_callback_is_not_waited_for),
#if STELE_DEBUG
	cmocka_unit_test(a_thread_that_left_between_two_steps_is_not_waited_for),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, block_the_timer, NULL);
}
