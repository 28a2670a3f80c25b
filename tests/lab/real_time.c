/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/real_time.c - threads of real-time priority allocate beside ordinary ones on their CPU
 *
 * Idea      An ordinary thread that is preempted inside the allocator by one of real-time priority
 *           on its own CPU does not go on before that one sleeps. So the real-time thread must
 *           never wait for the other, and nothing may lend it time: the guest's plan switches off
 *           the kernel's throttle for real-time threads.
 * Measured  how long a burst of calls takes, worst of all, per thread; and how late each wakes,
 *           which is the kernel's and the emulator's part. Printed, not judged.
 * Judged    that each burst ends within LONGEST: only a wait for a thread that cannot run takes
 *           that long, or a wake-up that never comes.
 * Control   "spin": the bursts take a lock that an ordinary thread of the same CPU holds most of
 *           the time; must be seen to fail.
 * Arguments seconds, and "spin".
 * Needs     root and CPUs 0 and 1.
 */
#include "../stress/stress.h"

#include <sched.h>

#define URGENT 3
#define ORDINARY 4
#define BURST 24
#define PERIOD_NS 1000000
#define LONGEST 5.0

struct urgent {
	int priority;
	_Atomic double since; /* of the burst under way; 0 between two */
	unsigned long bursts;
	double worst, sum, latest;
};

static struct urgent urgent[URGENT] = { { .priority = 10 },
					{ .priority = 20 },
					{ .priority = 50 } };
static struct kmem_cache *cache;
static bool spin;
static atomic_flag lock = ATOMIC_FLAG_INIT;

/* On CPU 1; priority 0 is an ordinary thread's. */
static void settle(int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
	if (priority)
		MUST_FOR(sched_setscheduler(0, SCHED_FIFO, &param) == 0, priority);
}

static void calls(void)
{
	void *p[BURST];

	for (unsigned i = 0; i < BURST; i++) {
		p[i] = i % 3 ? kmem_cache_alloc(cache, GFP_KERNEL)
			     : kmalloc(100 + i * 200, GFP_KERNEL);
		MUST(p[i]);
	}
	for (unsigned i = 0; i < BURST; i++)
		kfree(p[i]);
}

/* ---- the urgent ---- */

static void burst(struct urgent *u)
{
	double start = seconds_now(), took;

	atomic_store(&u->since, start);
	while (spin && atomic_flag_test_and_set(&lock))
		;
	calls();
	if (spin)
		atomic_flag_clear(&lock);
	took = seconds_now() - start;
	atomic_store(&u->since, 0);
	u->bursts++;
	u->sum += took;
	u->worst = took > u->worst ? took : u->worst;
}

static void sleep_until(struct timespec *when, struct urgent *u)
{
	double late;

	when->tv_nsec += PERIOD_NS * u->priority / 10;
	when->tv_sec += when->tv_nsec / 1000000000;
	when->tv_nsec %= 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, when, NULL);
	late = seconds_now() - (double)when->tv_sec - (double)when->tv_nsec * 1e-9;
	u->latest = late > u->latest ? late : u->latest;
	/* A thread that is a period late or more does not catch up: the other threads would get no
	 * time. */
	if (late > PERIOD_NS * 1e-9)
		clock_gettime(CLOCK_MONOTONIC, when);
}

static void *urgent_thread(void *number)
{
	struct urgent *u = &urgent[(uintptr_t)number];
	struct timespec when;

	settle(u->priority);
	clock_gettime(CLOCK_MONOTONIC, &when);
	while (!stopped()) {
		sleep_until(&when, u);
		burst(u);
		step_done();
	}
	return NULL;
}

/* ---- the ordinary ---- */

static void *ordinary_thread(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);
	void *held[64] = { NULL };

	if ((uintptr_t)number % 2)
		settle(0);
	while (!stopped()) {
		uint64_t r = next_random(&random);
		bool locked = spin && !atomic_flag_test_and_set(&lock);

		kfree(held[r % 64]);
		held[r % 64] = r % 128 < 64 ? kmalloc(r / 64 % 5000 + 1, GFP_KERNEL)
					    : kmem_cache_alloc(cache, GFP_KERNEL);
		if (locked)
			atomic_flag_clear(&lock);
		step_done();
	}
	for (unsigned i = 0; i < 64; i++)
		kfree(held[i]);
	return NULL;
}

static void *urgent_or_ordinary(void *number)
{
	return (uintptr_t)number < URGENT ? urgent_thread(number) : ordinary_thread(number);
}

/* ---- the watcher, on another CPU ---- */

static void watch(void)
{
	for (unsigned i = 0; i < URGENT; i++) {
		double since = atomic_load(&urgent[i].since);

		MUST_FOR(since == 0 || seconds_now() - since < LONGEST, urgent[i].priority);
	}
	kmem_cache_shrink(cache);
	stele_trim(0);
}

static void settle_watch(void)
{
	struct sched_param param = { .sched_priority = 60 };
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	MUST(sched_setaffinity(0, sizeof(first), &first) == 0);
	MUST(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0);
}

int main(int argc, char **argv)
{
	spin = argc > 2 && strcmp(argv[2], "spin") == 0;
	cache = kmem_cache_create("real_time", 200, 0, SLAB_NO_MERGE, NULL);
	MUST(cache);
	settle_watch();
	run_for(seconds_asked(argc, argv), URGENT + ORDINARY, urgent_or_ordinary, watch);
	for (unsigned i = 0; i < URGENT; i++) {
		const struct urgent *u = &urgent[i];

		printf("priority %d: %lu bursts of %d calls, mean %.0f us, worst %.0f us; woken at "
		       "most %.0f us late\n",
		       u->priority, u->bursts, 2 * BURST, u->sum / (double)u->bursts * 1e6,
		       u->worst * 1e6, u->latest * 1e6);
		MUST_FOR(u->bursts > 0, u->priority);
	}
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
