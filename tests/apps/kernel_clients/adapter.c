// SPDX-License-Identifier: MIT
/*
 * tests/apps/kernel_clients/adapter.c - the test controls that the kernel's own test programs
 * expect
 *
 * Idea      the programs are linked with --wrap for the calls below: their calls are
 *           counted and limited here; the library does them.
 * Controls  a program may say how many allocations without __GFP_DIRECT_RECLAIM a cache grants
 *           (the budget, 0 at first, so that "no memory" happens all the time), and ask what a
 *           cache has given out: objects now, bytes now, objects since a mark. kmalloc()
 *           has no budget: it never grants such a request.
 *           From 6.12 on a program may also say what happens to the tree while its lock is dropped:
 *           a callback, run once at the first request that may wait after one that was refused.
 * Checks    a check that fails says "BUG at FUNCTION:LINE" and comes to assert(0): it is counted,
 *           and the program goes on, so that all of them are known in the end. Any other
 *           assertion ends it at once.
 * Time      some programs start threads and sleep for 5 microseconds "to ensure that they are
 *           started", then expect them to have looked. The first sleep after a start is 50 ms.
 * At exit   after all callbacks of RCU, nothing may be left: by the counts kept here, by the
 *           library's own when the caches are destroyed, and in preempt_count; and the library
 *           must not have reported a bad call, nor any check have failed. Otherwise exit 3.
 * Controls of the controls   KERNEL_CLIENTS_BREAK=NAME does one thing wrong (the table
 *           `breakages`); the run script expects the programs to notice.
 * Written   from what the programs declare and how they call it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stele/slab.h>
#include <stele/stats.h>
#include <urcu.h>

#include "adapter.h"
#include "include/assert.h"

/* What the programs read and write themselves. */
int nr_allocated;
int preempt_count;
int kmalloc_verbose;
int test_verbose;

/* What --wrap calls the library's own, and what it calls in their place. */
struct kmem_cache *__real_kmem_cache_create(const char *name, size_t size, unsigned int align,
					    slab_flags_t flags, void (*ctor)(void *));
void *__real_kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);
void __real_kmem_cache_free(struct kmem_cache *s, void *p);
void __real_kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p);
void *__real_kmalloc(size_t size, gfp_t gfp);
void __real_kfree(const void *p);
int __real_usleep(useconds_t microseconds);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *argument);

struct kmem_cache *__wrap_kmem_cache_create(const char *name, size_t size, unsigned int align,
					    slab_flags_t flags, void (*ctor)(void *));
void *__wrap_kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);
void __wrap_kmem_cache_free(struct kmem_cache *s, void *p);
void __wrap_kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p);
void *__wrap_kmalloc(size_t size, gfp_t gfp);
void __wrap_kfree(const void *p);
int __wrap_usleep(useconds_t microseconds);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *argument);

static const struct breakage {
	const char *name;
	const char *what; /* is done wrong */
} breakages[] = {
	{ "forget", "one object in 1000 is counted as freed and kept" },
	{ "grant", "a request that must not wait is granted beyond the budget" },
	{ "count", "a bulk call answers true, as the library does, where objects are counted" },
	{ "dirty", "an object comes back in another state than it was freed in" },
	{ "twice", "one object in 1000 is handed out although it is in use" },
};
static const struct breakage *broken;

#define CACHES_MAX 8

static struct control {
	struct kmem_cache *cache; /* NULL: of kmalloc() */
	size_t size;
	atomic_uint budget;    /* requests that must not wait, still to be granted */
	atomic_uint allocated; /* objects now */
	atomic_uint total;     /* objects since the mark */
	void (*callback)(void *);
	void *callback_argument;
	atomic_bool callback_due; /* a request was refused */
} controls[CACHES_MAX + 1];

static unsigned int caches; /* fixed when the program has made them, before its threads */
static atomic_ulong ever;   /* objects, all together */

static atomic_uint failed_checks;

static bool breaks(const char *name)
{
	return broken && strcmp(broken->name, name) == 0;
}

/* One in a thousand. */
static bool now_and_then(void)
{
	static atomic_uint calls;

	return atomic_fetch_add(&calls, 1) % 1000 == 999;
}

static struct control *control_of(struct kmem_cache *s)
{
	unsigned int i;

	for (i = 0; i < caches; i++) {
		if (controls[i].cache == s)
			return &controls[i];
	}
	fprintf(stderr, "adapter: a cache that nobody made\n");
	abort();
}

/* Takes n out of the budget, or nothing. */
static bool granted(struct control *c, gfp_t gfp, unsigned int n)
{
	unsigned int left = atomic_load(&c->budget);

	if (gfpflags_allow_blocking(gfp) || breaks("grant"))
		return true;
	do {
		if (left < n) {
			atomic_store(&c->callback_due, c->callback != NULL);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&c->budget, &left, left - n));
	return true;
}

/* The callback allocates, too. So it is no longer due before it is called. */
static void run_callback(struct control *c, gfp_t gfp)
{
	if (gfpflags_allow_blocking(gfp) && atomic_exchange(&c->callback_due, false))
		c->callback(c->callback_argument);
}

static void count_alloc(struct control *c, unsigned int n)
{
	atomic_fetch_add(&c->allocated, n);
	atomic_fetch_add(&c->total, n);
	atomic_fetch_add(&ever, n);
	__atomic_fetch_add(&nr_allocated, (int)n, __ATOMIC_SEQ_CST);
}

static void count_free(struct control *c, unsigned int n)
{
	atomic_fetch_sub(&c->allocated, n);
	__atomic_fetch_sub(&nr_allocated, (int)n, __ATOMIC_SEQ_CST);
}

/* ---- the calls ------------------------------------------------------------------------ */

struct kmem_cache *__wrap_kmem_cache_create(const char *name, size_t size, unsigned int align,
					    slab_flags_t flags, void (*ctor)(void *))
{
	struct control *c = &controls[caches];

	assert(caches < CACHES_MAX);
	c->cache = __real_kmem_cache_create(name, size, align, flags, ctor);
	c->size = size;
	assert(c->cache);
	caches++;
	return c->cache;
}

void *__wrap_kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	static _Atomic(void *) last;
	struct control *c = control_of(s);
	void *p;

	if (!granted(c, gfp, 1))
		return NULL;
	run_callback(c, gfp);
	p = breaks("twice") && now_and_then() ? atomic_load(&last) : NULL;
	if (!p)
		p = __real_kmem_cache_alloc(s, gfp);
	if (!p)
		return NULL;
	if (breaks("dirty"))
		memset(p, 0xa5, c->size);
	atomic_store(&last, p);
	count_alloc(c, 1);
	return p;
}

void __wrap_kmem_cache_free(struct kmem_cache *s, void *p)
{
	count_free(control_of(s), 1);
	if (breaks("forget") && now_and_then())
		return;
	__real_kmem_cache_free(s, p);
}

int adapter_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	struct control *c = control_of(s);

	if (!granted(c, gfp, (unsigned int)n) || !kmem_cache_alloc_bulk(s, gfp, n, p))
		return 0;
	count_alloc(c, (unsigned int)n);
	return breaks("count") ? true : (int)n;
}

void __wrap_kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	count_free(control_of(s), (unsigned int)n);
	__real_kmem_cache_free_bulk(s, n, p);
}

static struct control *const of_kmalloc = &controls[CACHES_MAX];

void *__wrap_kmalloc(size_t size, gfp_t gfp)
{
	void *p = granted(of_kmalloc, gfp, 1) ? __real_kmalloc(size, gfp) : NULL;

	if (p)
		count_alloc(of_kmalloc, 1);
	return p;
}

void __wrap_kfree(const void *p)
{
	if (p)
		count_free(of_kmalloc, 1);
	__real_kfree(p);
}

/* ---- assertions and time -------------------------------------------------------------- */

void adapter_assertion(const char *what, const char *file, int line, const char *function)
{
	if (strcmp(what, "0") == 0 && !broken) {
		atomic_fetch_add(&failed_checks, 1);
		return;
	}
	fflush(stdout);
	fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, what);
	abort();
}

static _Thread_local bool has_started_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *argument)
{
	has_started_threads = true;
	return __real_pthread_create(thread, attr, run, argument);
}

int __wrap_usleep(useconds_t microseconds)
{
	const useconds_t long_enough_to_start = 50000;

	if (has_started_threads && microseconds < long_enough_to_start)
		microseconds = long_enough_to_start;
	has_started_threads = false;
	return __real_usleep(microseconds);
}

/* ---- what the programs ask for -------------------------------------------------------- */

void kmem_cache_set_non_kernel(struct kmem_cache *s, unsigned int budget)
{
	atomic_store(&control_of(s)->budget, budget);
}

void kmem_cache_set_callback(struct kmem_cache *s, void (*callback)(void *))
{
	control_of(s)->callback = callback;
	atomic_store(&control_of(s)->callback_due, false);
}

void kmem_cache_set_private(struct kmem_cache *s, void *argument)
{
	control_of(s)->callback_argument = argument;
}

unsigned long kmem_cache_get_alloc(struct kmem_cache *s)
{
	struct control *c = control_of(s);

	return atomic_load(&c->allocated) * c->size;
}

unsigned int kmem_cache_nr_allocated(struct kmem_cache *s)
{
	return atomic_load(&control_of(s)->allocated);
}

unsigned int kmem_cache_nr_tallocated(struct kmem_cache *s)
{
	return atomic_load(&control_of(s)->total);
}

void kmem_cache_zero_nr_tallocated(struct kmem_cache *s)
{
	atomic_store(&control_of(s)->total, 0);
}

/* A bulk call gives all or nothing, of objects that nobody else has, and takes them back. */
void test_kmem_cache_bulk(void)
{
	enum { MANY = 300, SIZE = 96 };
	struct kmem_cache *s = __wrap_kmem_cache_create("bulk", SIZE, 32, 0, NULL);
	unsigned char *p[MANY];
	int i;

	for (int round = 0; round < 3; round++) {
		assert(adapter_alloc_bulk(s, GFP_KERNEL, MANY, (void **)p) == MANY || broken);
		for (i = 0; i < MANY; i++) {
			assert((uintptr_t)p[i] % 32 == 0);
			memset(p[i], i & 0xff, SIZE);
		}
		for (i = 0; i < MANY; i++)
			assert(p[i][0] == (i & 0xff) && p[i][SIZE - 1] == (i & 0xff));
		assert(kmem_cache_nr_allocated(s) == MANY);
		__wrap_kmem_cache_free_bulk(s, MANY, (void **)p);
		assert(kmem_cache_nr_allocated(s) == 0);
	}
	kmem_cache_set_non_kernel(s, MANY - 1);
	assert(adapter_alloc_bulk(s, GFP_NOWAIT, MANY, (void **)p) == 0 || broken);
}

/* ---- start and end -------------------------------------------------------------------- */

static __attribute__((constructor)) void start(void)
{
	const char *name = getenv("KERNEL_CLIENTS_BREAK");
	size_t i;

	for (i = 0; name && i < sizeof(breakages) / sizeof(breakages[0]); i++) {
		if (strcmp(breakages[i].name, name) == 0)
			broken = &breakages[i];
	}
	if (name && !broken) {
		fprintf(stderr, "adapter: no breakage '%s'\n", name);
		exit(2);
	}
}

/* Returns how many things are not as they should be. */
static int ended(void)
{
	struct stele_stats stats;
	int faults = 0;
	unsigned int i;

	rcu_barrier();
	for (i = 0; i < caches; i++) {
		kmem_cache_destroy(controls[i].cache);
		faults += atomic_load(&controls[i].allocated) != 0;
	}
	stele_stats_read(&stats);
	faults += atomic_load(&failed_checks) != 0;
	faults += nr_allocated != 0 || preempt_count != 0 || stats.reports != 0;
	printf("adapter: %lu objects taken, %d left, %d preempt, %llu reports, %u failed checks\n",
	       atomic_load(&ever), nr_allocated, preempt_count, (unsigned long long)stats.reports,
	       atomic_load(&failed_checks));
	return faults;
}

static __attribute__((destructor)) void end(void)
{
	int faults = ended();

	fflush(NULL);
	if (faults)
		_exit(3);
}
