/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/mempool.c - reserves under threads, signal handlers and changes of size
 *
 * Idea      A pool whose own allocation works now and then, and one whose never does. Eight
 *           threads take elements, sleeping when there is none, mark them, pass them to each other
 *           through a table, check and free them; a signal handler does the same without
 *           sleeping, at any instruction of these calls; one thread changes the size. The timer
 *           is off, and waiters do not look by themselves: a lost wake-up stops everything, and
 *           the watch says so.
 * At rest   contract 39: no more elements than min_nr, none lost, none that nobody made.
 * Turns     the order of service is for tests/contract/test_mempool.c: a waiter that was told and
 *           is not run for a while may be passed over here.
 * Argument  seconds to run.
 */
#include "stress.h"
#include "base/options.h"
#include "mempool/pool.h"
#include "sync/atomic.h"
#include <sched.h>
#include <signal.h>
#include <stele/mempool.h>
#include <sys/time.h>

#define THREADS 8
#define TABLE 64
#define FEW 4
#define WORDS 8

struct kind {
	mempool_t pool;
	_Atomic uint32_t made; /* elements that exist */
	uint32_t one_in;       /* own allocations that work; 0: none after the start */
	_Atomic(uint64_t *) table[TABLE];
};

static struct kind kinds[2] = { { .one_in = 0 }, { .one_in = 3 } };
static _Atomic uint32_t starting = 1, calls;

static void *make_element(gfp_t gfp, void *data)
{
	struct kind *kind = data;

	if (!load_relaxed(&starting) &&
	    (!kind->one_in || add_relaxed(&calls, 1) % kind->one_in != 0))
		return NULL;
	add_relaxed(&kind->made, 1);
	return kmalloc_nolock(WORDS * 8, gfp & __GFP_ZERO, NUMA_NO_NODE);
}

static void unmake(void *p, void *data)
{
	sub_relaxed(&((struct kind *)data)->made, 1);
	kfree_nolock(p);
}

static void mark(uint64_t *p)
{
	for (int i = 0; i < WORDS; i++)
		p[i] = (uintptr_t)p * 31 + (uint64_t)i;
}

/* ---- in a debug build ---- */

static _Atomic uint32_t told;

static void at_point(const char *point)
{
	static _Atomic uint64_t dice = 1;

	if (!strcmp(point, "mempool:tells"))
		add_relaxed(&told, 1);
	else if (add_relaxed(&dice, 0x9e3779b97f4a7c15ull) >> 61 == 0)
		sched_yield();
}

/* ---- elements ---- */

static void check_and_free_element(struct kind *kind, uint64_t *p)
{
	for (int i = 0; i < WORDS; i++)
		MUST_FOR(p[i] == (uintptr_t)p * 31 + (uint64_t)i, p[i]);
	memset(p, 0, WORDS * 8);
	mempool_free(p, &kind->pool);
}

static void swap_in(struct kind *kind, uint64_t *p, uint64_t random)
{
	if (p)
		mark(p);
	p = atomic_exchange(&kind->table[random % TABLE], p);
	if (p)
		check_and_free_element(kind, p);
}

/* ---- threads ---- */

static void *use_elements(void *arg)
{
	uint64_t random = random_seed((uintptr_t)arg);

	while (!stopped()) {
		struct kind *kind = &kinds[next_random(&random) % 2];
		uint64_t *p, r = next_random(&random);

		p = mempool_alloc(&kind->pool, GFP_KERNEL);
		MUST(p);
		mark(p);
		if (r % 16 == 0)
			sched_yield();
		/* Not all are passed on: a waiter must have something to wait for. */
		if (r % 4)
			check_and_free_element(kind, p);
		else
			swap_in(kind, p, r >> 8);
		step_done();
	}
	return NULL;
}

static void on_signal(int signal)
{
	static _Atomic uint64_t turn;
	uint64_t r = add_relaxed(&turn, 1) * 0x9e3779b97f4a7c15ull;
	struct kind *kind = &kinds[r >> 60 & 1];
	uint64_t *p = NULL;

	(void)signal;
	if (r >> 50 & 1)
		p = r >> 51 & 1 ? mempool_alloc(&kind->pool, GFP_NOWAIT)
				: mempool_alloc_preallocated(&kind->pool);
	if (p && r >> 52 & 1) {
		mark(p);
		check_and_free_element(kind, p);
	} else if (p) {
		swap_in(kind, p, r >> 20);
	} else {
		swap_in(kind, NULL, r >> 20);
	}
}

/* The table must not hold all there is while everybody sleeps: it is emptied here. */
static void *change_size(void *arg)
{
	uint64_t random = random_seed(99);

	(void)arg;
	while (!stopped()) {
		struct kind *kind = &kinds[next_random(&random) % 2];

		MUST(mempool_resize(&kind->pool,
				    kind->one_in ? 1 + (int)(next_random(&random) % 200) : FEW) ==
		     0);
		for (int i = 0; i < TABLE; i++) {
			swap_in(&kinds[0], NULL, (uint64_t)i);
			swap_in(&kinds[1], NULL, (uint64_t)i);
		}
		nap_ms(1);
	}
	/* Until all others have left their last wait. */
	return NULL;
}

static void *drain(void *arg)
{
	while (!load_relaxed((_Atomic uint32_t *)arg)) {
		for (int i = 0; i < TABLE; i++) {
			swap_in(&kinds[0], NULL, (uint64_t)i);
			swap_in(&kinds[1], NULL, (uint64_t)i);
		}
		nap_ms(1);
	}
	return NULL;
}

static void start(void)
{
	for (int i = 0; i < 2; i++)
		MUST(mempool_init(&kinds[i].pool, FEW, make_element, unmake, &kinds[i]) == 0);
	stele_inject_no_looks = true;
	stele_opt.mempool_retry = 0;
	store_relaxed(&starting, 0);
}

static void at_rest(struct kind *kind)
{
	for (int i = 0; i < TABLE; i++)
		swap_in(kind, NULL, (uint64_t)i);
	MUST_FOR(stele_mempool_curr_nr(&kind->pool) == load_relaxed(&kind->made),
		 load_relaxed(&kind->made));
	MUST_FOR((int)load_relaxed(&kind->made) <= kind->pool.min_nr, kind->pool.min_nr);
	if (!kind->one_in)
		MUST_FOR(load_relaxed(&kind->made) == FEW, load_relaxed(&kind->made));
	MUST(!stele_pool_valid(&kind->pool));
	mempool_exit(&kind->pool);
	MUST_FOR(load_relaxed(&kind->made) == 0, load_relaxed(&kind->made));
}

#if STELE_DEBUG
static void hear_points(void)
{
	stele_inject = at_point;
}
#else
static void hear_points(void)
{
	(void)at_point;
}
#endif

static void set_alarm_every(long microseconds)
{
	struct itimerval often = { { 0, microseconds }, { 0, microseconds } };

	MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void start_alarms(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	MUST(sigaction(SIGALRM, &action, NULL) == 0);
	set_alarm_every(300);
}

static pthread_t threads[THREADS], sizes;

static void start_threads(void)
{
	for (uintptr_t i = 0; i < THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, use_elements, (void *)i) == 0);
	MUST(pthread_create(&sizes, NULL, change_size, NULL) == 0);
}

static void watch_steps(double end)
{
	for (unsigned long before = 0; seconds_now() < end; before = atomic_load(&steps)) {
		double now = seconds_now();

		while (seconds_now() < now + 0.2)
			nap_ms(20);
		/* On a loaded machine a step may be late; ten seconds are too long for any. */
		while (atomic_load(&steps) == before && seconds_now() < now + 10)
			nap_ms(20);
		MUST(atomic_load(&steps) != before);
	}
}

/* One more thread drains the table, so that no thread waits for an element for ever. */
static void stop_threads(void)
{
	_Atomic uint32_t drained = 0;
	pthread_t drainer;

	atomic_store(&stop, true);
	MUST(pthread_create(&drainer, NULL, drain, &drained) == 0);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	MUST(pthread_join(sizes, NULL) == 0);
	atomic_store(&drained, 1);
	MUST(pthread_join(drainer, NULL) == 0);
}

static void all_at_rest(void)
{
	struct stele_stats stats;

	printf("%lu steps\n", atomic_load(&steps));
	if (STELE_DEBUG)
		printf("%u times a waiter was told\n", load_relaxed(&told));
	at_rest(&kinds[0]);
	at_rest(&kinds[1]);
	/* Only the points of a debug build tell. */
	MUST(!STELE_DEBUG || load_relaxed(&told) > 0);
	stele_stats_read(&stats);
	MUST_FOR(stats.reports == 0, stats.reports);
	must_be_valid();
}

int main(int argc, char **argv)
{
	double end = seconds_now() + seconds_asked(argc, argv);

	start();
	hear_points();
	start_alarms();
	start_threads();
	watch_steps(end);
	stop_threads();
	set_alarm_every(0);
	all_at_rest();
	return 0;
}
