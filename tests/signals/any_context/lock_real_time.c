/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/lock_real_time.c - a SCHED_FIFO thread never waits for a lower one
 *
 * Idea      All on one processor. An ordinary thread allocates, frees, shrinks, trims, creates
 *           and destroys, and at each named point of every slow path it is stopped, once for each
 *           few times it comes there. A SCHED_FIFO thread then allocates and frees by every way
 *           there is; only when it is done the other one goes on. If it ever waited for
 *           something that the other has in its hands, neither would go on.
 * Failure   a hang (the alarm, which names the point); a voluntary switch of the SCHED_FIFO
 *           thread while it allocates; SCHED_FIFO refused, as nothing is shown then.
 * Control   "wait": the SCHED_FIFO thread shrinks, which may wait: the hang must be seen.
 * Builds    debug only; release has no points.
 */
#include "../../real_time.h"
#include "../../stress/stress.h"
#include "sync/atomic.h"
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define POINTS 64
#define TIMES 20	/* stops at one point */
#define POINTS_LEAST 12 /* less, and the slow paths were not visited */
#define OBJECTS 700

static struct {
	const char *name;
	unsigned hits, stops;
} points[POINTS];

static sem_t is_stopped, go_on;
static atomic_bool finished;
static __thread bool may_stop;
static const char *volatile stopped_at = "no point";
static struct kmem_cache *cache;
static bool also_wait;

/* At the 1st, 2nd, 4th, ... time. */
static bool is_turn(const char *name)
{
	unsigned i = 0;

	while (i < POINTS - 1 && points[i].name && strcmp(points[i].name, name))
		i++;
	points[i].name = name;
	points[i].hits++;
	return !(points[i].hits & (points[i].hits - 1)) && points[i].stops++ < TIMES;
}

static void stop_here(const char *point)
{
	if (!may_stop || !is_turn(point))
		return;
	stopped_at = point;
	sem_post(&is_stopped);
	while (sem_wait(&go_on) != 0)
		;
}

static void allocate_and_free(void *table[OBJECTS], uint64_t *random)
{
	for (int i = 0; i < OBJECTS; i++) {
		uint64_t r = next_random(random);

		table[i] = r % 3 == 0	 ? kmem_cache_alloc(cache, GFP_NOWAIT)
			   : r % 64 == 1 ? kmalloc(65536, GFP_NOWAIT)
			   : r % 64 == 2 ? kmalloc(3u << 20, GFP_NOWAIT)
					 : kmalloc(8 + r / 64 % 2000, GFP_NOWAIT);
		MUST(table[i]);
	}
	for (int i = 0; i < OBJECTS; i++)
		kfree(table[i]);
}

static void *ordinary(void *arg)
{
	static void *table[OBJECTS];
	uint64_t random = 88172645463325252ull;

	may_stop = true;
	for (int i = 0; i < 400; i++) {
		struct kmem_cache *s;

		allocate_and_free(table, &random);
		kmem_cache_shrink(cache);
		s = kmem_cache_create("for-a-while", 56, 0, SLAB_NO_MERGE, NULL);
		MUST(s);
		kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
		kmem_cache_destroy(s);
		if (i % 8 == 0)
			stele_trim(0);
	}
	atomic_store(&finished, true);
	sem_post(&is_stopped);
	return arg;
}

static long voluntary_switches(void)
{
	struct rusage usage;

	MUST(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_nvcsw;
}

static void *real_time(void *arg)
{
	static void *table[OBJECTS];
	uint64_t random = 362436069ull;
	unsigned long stops = 0;

	for (;;) {
		long before;

		while (sem_wait(&is_stopped) != 0)
			;
		if (atomic_load(&finished))
			break;
		before = voluntary_switches();
		for (int i = 0; i < 3; i++)
			allocate_and_free(table, &random);
		if (also_wait)
			kmem_cache_destroy(kmem_cache_create("waits", 56, 0, SLAB_NO_MERGE, NULL));
		MUST_FOR(voluntary_switches() == before, voluntary_switches() - before);
		stops++;
		sem_post(&go_on);
	}
	*(unsigned long *)arg = stops;
	return NULL;
}

static void hung(int number)
{
	static const char text[] = "the SCHED_FIFO thread waits while the other is stopped at ";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDERR_FILENO, stopped_at, strlen(stopped_at)) < 0 ||
	    write(STDERR_FILENO, "\n", 1) < 0)
		_exit(3);
	_exit(1);
}

static void one_processor(void)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	MUST(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static pthread_t create(void *(*body)(void *), void *arg, int policy, int priority)
{
	pthread_t thread;
	int error = create_scheduled(&thread, policy, priority, body, arg);

	if (error) {
		fprintf(stderr, "%s: a SCHED_FIFO thread is needed, or nothing is shown\n",
			strerror(error));
		_exit(2);
	}
	return thread;
}

int main(int argc, char **argv)
{
	unsigned long stops = 0;
	unsigned reached = 0;
	pthread_t high, low;

	also_wait = argc > 1;
	(void)argv;
	signal(SIGALRM, hung);
	alarm(also_wait ? 10 : 50);
	one_processor();
	sem_init(&is_stopped, 0, 0);
	sem_init(&go_on, 0, 0);
	cache = kmem_cache_create("real-time", 72, 0, SLAB_NO_MERGE, NULL);
	MUST(cache);
	stele_inject = stop_here;
	high = create(real_time, &stops, SCHED_FIFO, 10);
	low = create(ordinary, NULL, SCHED_OTHER, 0);
	pthread_join(low, NULL);
	pthread_join(high, NULL);
	for (; reached < POINTS && points[reached].name; reached++)
		printf("%-20s %6u times, %2u stops\n", points[reached].name, points[reached].hits,
		       points[reached].stops);
	printf("%u points, %lu stops\n", reached, stops);
	return reached < POINTS_LEAST;
}
