/* SPDX-License-Identifier: MIT */
/*
 * rcu/runner.c - the thread that runs the rounds of a flavour
 *
 * Idea      Each flavour of readers that is used has one thread, its runner: no thread that frees
 *           has to wait for readers. When something was put into an empty queue, it gathers for
 *           `rcu_delay`, unless `rcu_expedite` bytes wait, or a thread waits for the round.
 * States    no runner -> a thread, at the first use in an ordinary thread. The thread that makes it
 *           owns the rounds until the new one has taken over; should it end before, the new one
 *           finds another owner, and ends as well. Nothing of it can be left half done: signals are
 *           held back, and every waiter sees that an owner is gone (rcu/runner.h).
 *           A runner that does not get on is replaced (wait.c). It ends when it comes back.
 * Order     GRACE_SLEEP (sync/grace.h), RUNNER.
 * Context   starting: ordinary threads. The runner has all signals held back; a destructor that
 *           ends the thread ends its being the runner.
 * Failure   no thread: a thread that waits for a round runs it (rcu/rounds.c).
 * Tests     tests/contract/test_rcu_leave.c  tests/contract/test_rcu_trouble.c  tests/model/sleep.c
 */
#include "base/options.h"
#include "percpu/system.h"
#include "sync/grace.h"
#include "os/os.h"
#include "rcu/rounds.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Lets things gather for a while. */
static void gather(struct stele_grace *g)
{
	uint64_t most = (uint64_t)stele_opt.rcu_expedite;

	if (stele_opt.rcu_delay && load_relaxed(&g->waiting) < most && grace_gather(g, most))
		stele_os_futex_wait_ms(&g->asleep, GRACE_GATHERING, (unsigned)stele_opt.rcu_delay);
	grace_gathered(g);
}

/* Becomes the runner of the flavour for which @maker made this thread. NULL: it is not needed any
 * more. */
static struct stele_grace *take_over(uint64_t maker)
{
	for (int i = 0; i < STELE_GRACES; i++)
		if (load_relaxed(&stele_runners[i].owner) == maker &&
		    runner_become(&stele_runners[i], maker, stele_owner_me()))
			return &stele_graces[i];
	return NULL;
}

/* Until another thread has been made the runner, because this one did not get on. */
static void run_rounds(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	uint64_t me = stele_owner_me();

	while (load_relaxed(&r->owner) == me) {
		add_relaxed(&r->steps, 1);
		if (grace_fall_asleep(g)) {
			stele_os_futex_wait(&g->asleep, GRACE_ASLEEP);
			continue;
		}
		gather(g);
		stele_round_run(g);
		me = stele_owner_me(); /* another one in the child of a destructor that forked */
	}
	/* It may have been woken in place of the other one. */
	stele_os_futex_wake(&g->asleep, INT32_MAX);
}

/* A thread runs the rounds. It may have ended, or have been replaced, before this call says so: then none
 * does. */
static void say_served(struct stele_grace *g)
{
	runner_say_served(g);
	stele_runner_is_gone(g);
}

/* It names itself: it may end before its maker goes on, and then its memory is gone. */
static void *run(void *arg)
{
	struct stele_grace *g = take_over((uint64_t)(uintptr_t)arg);

	pthread_setname_np(pthread_self(), "stele-rcu");
	if (!g)
		return NULL;
	store_relaxed(&runner_of(g)->serving, stele_thread_token());
	say_served(g); /* so does the maker, which may be gone before it could */
	pthread_cleanup_push(stele_owner_ended, g);
	run_rounds(g);
	pthread_cleanup_pop(1);
	return NULL;
}

/* A destructor that destroys a cache calls the other entries of its round while it waits. So such
 * destructors nest, one level for each slab that waits beside theirs. */
#define STACK_SIZE (8u << 20)

/* Makes a thread that begins by taking over from @me. It has its signals held back, as this thread
 * has, but for the C library's own signals, which must get through to it. */
static int make_thread(uint64_t me)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* The library's way, not the system's: see above. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, run, (void *)(uintptr_t)me);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}

/* Another thread serves. But a thread that was held up in stele_runner_replace() may have said since then
 * that no thread serves. */
static void say_served_again(struct stele_grace *g)
{
	uint64_t owner = load_relaxed(&runner_of(g)->owner);

	if (owner && !(owner & OWNER_STARTING))
		say_served(g);
}

static int start_held(struct stele_grace *g)
{
	uint64_t me = stele_owner_me() | OWNER_STARTING;
	int error;

	if (!stele_runner_become(g, me)) {
		say_served_again(g);
		return 0;
	}
	STELE_POINT("runner:became");
	error = make_thread(me);
	if (error)
		runner_stop(runner_of(g), me);
	else
		say_served(g);
	return error;
}

void stele_runner_replace(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	store_relaxed(&r->adopt, 1);
	if (!owner_change(&r->owner, load_relaxed(&r->owner), 0))
		return;
	STELE_POINT("runner:replaced");
	runner_say_gone(g);
}

int stele_runner_start(struct stele_grace *g)
{
	uint64_t signals;
	int error;

	/* ORDER(RUNNER) acquire: the flavour is set. */
	if (load_acquire(&g->served))
		return 0;
	if (runner_of(g)->broken)
		return -EDEADLK;
	error = stele_flavor_find(g);
	if (error)
		return error;
	signals = stele_os_signals_hold();
	error = start_held(g);
	stele_os_signals_release(signals);
	return error == -EINVAL ? -EAGAIN : error;
}
