/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/unregistered.c - threads that the kernel restarts no sequence for
 *
 * Idea      A thread may take its registration back, and a thread made by clone() itself never
 *           had one. Nothing may then be done by sequence: such threads work beside ordinary ones
 *           on one table, with handlers at 20 kHz in all of them. The cloned thread has its
 *           maker's TLS, as clone() leaves it; the maker is unregistered, and waits. (With a maker
 *           that is registered it would be the child of a vfork(), which must not allocate.) A
 *           thread that registers again goes on as before.
 * Failure   an object that is not its owner's; a count that is off; the alarm.
 * Argument  seconds to run.
 */
#include "storm.h"
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>

#define THREADS 4
#define PERIOD_NS 50000
#define CLONE_STACK 262144
#define STEPS 2000
#define UNREGISTER 1
#define SIGNATURE 0x53053053
#define AREA_LENGTH 32

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static struct actor actors[THREADS], in_handlers[THREADS], cloned;
static __thread struct actor *handler_actor;
static atomic_ulong signals, unregistered, clones;

/* Whether the C library registers threads; else Stele does, and this program cannot undo it. */
static bool is_registered(void)
{
	return &__rseq_size && __rseq_size;
}

static int change_registration(int flags)
{
	if (!is_registered())
		return -1;
	return (int)syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			    AREA_LENGTH, flags, SIGNATURE);
}

static void act_on_tick(int signal)
{
	(void)signal;
	atomic_fetch_add(&signals, 1);
	act_in_handler(handler_actor, 2);
}

static int run_cloned(void *arg)
{
	(void)arg;
	for (int i = 0; i < STEPS; i++)
		act(&cloned);
	return 0;
}

/* The kernel clears @running when the thread is gone. Its timer stays with its maker. */
static void clone_one(char *stack)
{
	static int running;
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		    CLONE_SYSVSEM | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
	sigset_t all, old;

	running = 1;
	sigfillset(&all);
	MUST(pthread_sigmask(SIG_BLOCK, &all, &old) == 0);
	MUST(clone(run_cloned, stack + CLONE_STACK, flags, NULL, NULL, NULL, &running) > 0);
	for (int seen; (seen = __atomic_load_n(&running, __ATOMIC_ACQUIRE));)
		syscall(SYS_futex, &running, FUTEX_WAIT, seen, NULL, NULL, 0);
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
	atomic_fetch_add(&clones, 1);
}

/* Threads 0 and 1 are unregistered half of the time, 1 clones meanwhile; the rest is ordinary. */
static void one_turn(unsigned number, char *stack)
{
	bool without = number < 2 && change_registration(UNREGISTER) == 0;

	for (int i = 0; i < STEPS; i++)
		act(&actors[number]);
	if (number == 1 && without)
		clone_one(stack);
	step_done();
	if (!without)
		return;
	atomic_fetch_add(&unregistered, 1);
	MUST(change_registration(0) == 0);
	for (int i = 0; i < STEPS; i++)
		act(&actors[number]);
}

static void *work_unregistered(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;
	char *stack = malloc(CLONE_STACK);
	timer_t timer = timer_here(SIGRTMIN);

	MUST(stack);
	handler_actor = &in_handlers[number];
	timer_set(timer, PERIOD_NS, PERIOD_NS);
	while (!stopped())
		one_turn(number, stack);
	timer_delete(timer);
	free(stack);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = act_on_tick, .sa_flags = SA_RESTART };
	unsigned long made, dropped;

	alarm((unsigned)seconds_asked(argc, argv) + 120);
	kinds_start(NULL);
	MUST(sigaction(SIGRTMIN, &action, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++) {
		actor_start(&actors[i], i);
		actor_start(&in_handlers[i], i + 16);
	}
	actor_start(&cloned, 32);
	run_for(seconds_asked(argc, argv), THREADS, work_unregistered, kinds_trim);
	drop_all(&cloned);
	made = cloned.made;
	dropped = cloned.dropped;
	for (int i = 0; i < THREADS; i++) {
		made += actors[i].made + in_handlers[i].made;
		dropped += actors[i].dropped + in_handlers[i].dropped;
	}
	printf("%lu signals, %lu times unregistered, %lu cloned threads\n", signals, unregistered,
	       clones);
	MUST(signals > 0);
	MUST((unregistered > 0 && clones > 0) || !is_registered());
	MUST_FOR(made == dropped, made - dropped);
	return kinds_finish(made);
}
