/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/lock_sent_trap.c - a handler of a sent SIGTRAP leaves a control call
 *
 * Idea      docs/any-context.md, "Signals that are not held back": one thread shrinks and trims,
 *           and is left by siglongjmp() at any moment, perhaps inside of a lock. From then on its
 *           own control calls must come back, and all threads must go on to allocate and free. When
 *           it has ended, control calls of others work again.
 * Failure   a hang (the alarm), or an allocation that fails.
 */
#include "../../stress/stress.h"
#include "base/options.h"
#include <setjmp.h>
#include <signal.h>

#define ROUNDS 60
#define BESIDE 2000

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t may_leave;
static _Atomic int inside; /* the thread may be hit */

static void leave(int number)
{
	(void)number;
	if (!may_leave)
		return;
	may_leave = 0;
	siglongjmp(out, 1);
}

static void allocate(void)
{
	void *p[64];

	for (int i = 0; i < BESIDE; i++) {
		for (int j = 0; j < 64; j++) {
			p[j] = kmalloc(40 + (size_t)j * 30, GFP_KERNEL);
			if (!p[j])
				abort();
		}
		for (int j = 0; j < 64; j++)
			kfree(p[j]);
	}
}

static void *control(void *arg)
{
	if (sigsetjmp(out, 1) == 0) {
		may_leave = 1;
		for (;;) {
			atomic_store(&inside, 1);
			stele_trim(0);
		}
	}
	stele_trim(0); /* comes back, done or not */
	allocate();
	return arg;
}

static void *allocate_beside(void *arg)
{
	allocate();
	return arg;
}

int main(void)
{
	struct sigaction action = { .sa_handler = leave };

	stele_opt.abort_on_order = false;
	alarm(60);
	sigaction(SIGTRAP, &action, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t hit, beside;

		atomic_store(&inside, 0);
		if (pthread_create(&hit, NULL, control, NULL) ||
		    pthread_create(&beside, NULL, allocate_beside, NULL))
			return 1;
		while (!atomic_load(&inside))
			sched_yield();
		for (volatile int spin = i * 500; spin > 0; spin--)
			;
		pthread_kill(hit, SIGTRAP);
		pthread_join(beside, NULL);
		pthread_join(hit, NULL);
		stele_trim(0);
	}
	return 0;
}
