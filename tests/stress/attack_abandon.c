/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/attack_abandon.c - a handler never comes back to the step it interrupted
 *
 * Idea      A handler may leave by siglongjmp(), and a thread may be stopped for good: whatever
 *           was in its hands is lost, but nobody may ever wait for it. The hook at a named point
 *           of the debug build jumps out now and then. Then another thread allocates, frees and
 *           shrinks as if nothing had been.
 * Limits    the heap stays so small that no free() empties caches (cache/decay.c): that holds the
 *           list's lock, for which creating a cache would wait.
 * Failure   the alarm, or a block in two hands.
 * Argument  seconds to run.
 * Builds    debug only; release has no points.
 */
#include "stress.h"
#include "sync/atomic.h"
#include <setjmp.h>

#define TABLE 64
#define ROUNDS 2000

static _Atomic(uint64_t *) table[TABLE];
static sigjmp_buf out;
static __thread bool may_jump;
static uint64_t dice = 0x9e3779b97f4a7c15;
static atomic_ulong jumps;

static void jump_at_point(const char *point)
{
	(void)point;
	if (!may_jump || next_random(&dice) % 256)
		return;
	atomic_fetch_add(&jumps, 1);
	siglongjmp(out, 1);
}

static void swap_small_block(uint64_t *random)
{
	uint64_t r = next_random(random),
		 *p = r % 2 ? kmalloc(8 * (1 + r / 2 % 20), GFP_NOWAIT) : NULL;

	if (p)
		*p = (uintptr_t)p * 31;
	p = atomic_exchange(&table[r / 64 % TABLE], p);
	MUST(!p || *p == (uintptr_t)p * 31);
	if (p)
		*p = 0;
	if (r >> 40 & 1)
		kfree_nolock(p);
	else
		kfree(p);
}

/* Each thread lives for some rounds, so that the fallback's slots all get their turn. */
static void *abandon(void *arg)
{
	static uint64_t random;
	static int left;

	random = (uintptr_t)arg;
	left = ROUNDS;
	may_jump = true;
	sigsetjmp(out, 0);
	while (left-- > 0)
		swap_small_block(&random);
	may_jump = false;
	return NULL;
}

static void *go_on(void *arg)
{
	uint64_t random = (uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++)
		swap_small_block(&random);
	stele_trim(0);
	return NULL;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
	struct stele_stats stats;

	alarm((unsigned)(end - time(NULL)) + 40);
	stele_inject = jump_at_point;
	for (uintptr_t i = 1; time(NULL) < end; i++) {
		pthread_t thread[2];

		MUST(pthread_create(&thread[0], NULL, abandon, (void *)i) == 0);
		MUST(pthread_create(&thread[1], NULL, go_on, (void *)(i + 7)) == 0);
		pthread_join(thread[0], NULL);
		pthread_join(thread[1], NULL);
	}
	stele_inject = NULL;
	stele_stats_read(&stats);
	printf("%lu jumps, %lu bad frees\n", jumps, stats.reports);
	rest_must_be_valid();
	return !jumps || stats.reports;
}
