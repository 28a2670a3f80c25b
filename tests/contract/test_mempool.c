/* SPDX-License-Identifier: MIT */
/*
 * Reserves. Each test is named by what its user would lose. The timer is off, and waiters do not
 * look by themselves: a lost wake-up is a test that never ends.
 */
#include "contract.h"

#include "base/options.h"
#include "mempool/pool.h"
#include "sync/inject.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stele/mempool.h>
#include <stele/page.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a pool whose own allocation does what a test says ---- */

/* The address sanitizer does not follow a thread out of a call that it was cancelled in. */
#ifdef __SANITIZE_ADDRESS__
#define FOLLOWS_CANCELLING 0
#else
#define FOLLOWS_CANCELLING 1
#endif

#define MANY 64

static struct {
	_Atomic int left; /* allocations that still work; below 0: all of them */
	_Atomic int out;  /* elements that exist */
	_Atomic uint32_t tries;
	_Atomic bool cancels; /* its allocation is a cancellation point */
} source;

static void *source_alloc(gfp_t gfp, void *data)
{
	int left = atomic_load(&source.left);

	assert_ptr_equal(data, &source);
	assert_true(gfp & __GFP_NOMEMALLOC || gfp == GFP_KERNEL);
	atomic_fetch_add(&source.tries, 1);
	if (atomic_load(&source.cancels))
		pthread_testcancel();
	if (left == 0)
		return NULL;
	if (left > 0)
		atomic_fetch_sub(&source.left, 1);
	atomic_fetch_add(&source.out, 1);
	return kmalloc(64, GFP_KERNEL);
}

static void source_free(void *p, void *data)
{
	assert_ptr_equal(data, &source);
	atomic_fetch_sub(&source.out, 1);
	kfree(p);
}

static void source_gives(int n)
{
	atomic_store(&source.left, n);
}

/* Afterwards its own allocation fails. */
static mempool_t *pool_of(int min_nr)
{
	mempool_t *pool;

	source_gives(-1);
	pool = mempool_create(min_nr, source_alloc, source_free, &source);
	assert_non_null(pool);
	source_gives(0);
	return pool;
}

/* Contract 39: all that there ever was has come back. */
static void done_with(mempool_t *pool)
{
	assert_int_equal(stele_mempool_curr_nr(pool), pool->min_nr ? pool->min_nr : 1);
	assert_null(stele_pool_valid(pool));
	mempool_destroy(pool);
	assert_int_equal(atomic_load(&source.out), 0);
}

static void wait_until_waiting(mempool_t *pool, unsigned n)
{
	while (stele_wait_count(&inside(pool)->queue) != n)
		sched_yield();
}

/* ---- one thread ---- */

static void the_reserve_is_there_when_memory_is_not(void **state)
{
	void *p[MANY];

	(void)state;
	for (int min = 1; min <= MANY; min = min * 2 + 1) {
		mempool_t *pool = pool_of(min);

		assert_true(mempool_initialized(pool) && mempool_is_saturated(pool));
		for (int i = 0; i < min; i++) {
			p[i] = mempool_alloc(pool, i % 2 ? GFP_KERNEL : GFP_NOWAIT);
			assert_non_null(p[i]);
			memset(p[i], i, 64);
		}
		assert_null(mempool_alloc(pool, GFP_NOWAIT));
		assert_null(mempool_alloc_preallocated(pool));
		assert_false(mempool_is_saturated(pool));
		for (int i = 0; i < min; i++) {
			assert_int_equal(*(unsigned char *)p[i], i);
			mempool_free(p[i], pool);
		}
		done_with(pool);
	}
}

static void a_reserve_that_lost_an_element_is_found(void **state)
{
	mempool_t *pool = pool_of(3);
	struct reserve *r = &inside(pool)->reserve;
	void *p = atomic_exchange(reserve_place(r, 1), NULL);
	uint64_t counts = load_relaxed(&r->counts);

	(void)state;
	assert_string_equal(stele_pool_valid(pool),
			    "pool: more elements are counted than are there");
	store_relaxed(reserve_place(r, 1), p);
	store_relaxed(&r->counts, counts + RESERVE_ELEMENT);
	assert_string_equal(stele_pool_valid(pool),
			    "pool: more elements than places are spoken for");
	store_relaxed(&r->counts, counts + RESERVE_LIMIT - 3);
	assert_string_equal(stele_pool_valid(pool),
			    "pool: the limit is above the places that exist");
	store_relaxed(&r->counts, counts);
	done_with(pool);
}

static void memory_comes_first_and_goes_back_there(void **state)
{
	mempool_t *pool = pool_of(2);
	void *p[5];

	(void)state;
	source_gives(-1);
	for (int i = 0; i < 5; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	assert_int_equal(atomic_load(&source.out), 7);
	for (int i = 0; i < 5; i++)
		mempool_free(p[i], pool);
	assert_int_equal(atomic_load(&source.out), 2);
	p[0] = mempool_alloc_noreserve(pool, GFP_KERNEL);
	assert_non_null(p[0]);
	mempool_free(p[0], pool);
	source_gives(0);
	assert_null(mempool_alloc_noreserve(pool, GFP_KERNEL));
	mempool_free(NULL, pool);
	done_with(pool);
}

/* An element of the pool's own allocation fills the reserve up when it is freed. */
static void a_freed_element_replaces_a_lent_one(void **state)
{
	mempool_t *pool = pool_of(1);
	void *mine, *lent;

	(void)state;
	source_gives(1);
	mine = mempool_alloc(pool, GFP_KERNEL);
	lent = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	mempool_free(mine, pool);
	assert_int_equal(stele_mempool_curr_nr(pool), 1);
	mempool_free(lent, pool);
	done_with(pool);
}

static void a_pool_of_no_elements_still_serves(void **state)
{
	mempool_t *pool = pool_of(0);
	void *p;

	(void)state;
	assert_int_equal(stele_mempool_curr_nr(pool), 1);
	p = mempool_alloc(pool, GFP_KERNEL);
	assert_non_null(p);
	assert_null(mempool_alloc(pool, GFP_NOWAIT));
	mempool_free(p, pool);
	done_with(pool);
}

static void several_come_from_the_reserve_all_or_none(void **state)
{
	mempool_t *pool = pool_of(4);
	struct stderr_text t;
	void *p[6];

	(void)state;
	source_gives(2);
	assert_int_equal(mempool_alloc_bulk(pool, p, 4), 0); /* 2 of its own, 2 of the reserve */
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	assert_int_equal(mempool_free_bulk(pool, p, 4), 2);
	mempool_free(p[2], pool);
	mempool_free(p[3], pool);
	assert_int_equal(mempool_alloc_bulk(pool, p, 0), 0);
	source_gives(2);
	STDERR_OF(&t, assert_int_equal(mempool_alloc_bulk(pool, p, 6), 0));
	assert_says(&t, "6 elements are more than the 4 that the pool keeps");
	for (int i = 0; i < 6; i++)
		mempool_free(p[i], pool);
	done_with(pool);
}

static void its_size_changes_while_elements_are_out(void **state)
{
	mempool_t *pool = pool_of(8);
	void *p[400];

	(void)state;
	for (int i = 0; i < 3; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(mempool_resize(pool, 4), 0);
	assert_int_equal(pool->min_nr, 4);
	assert_int_equal(stele_mempool_curr_nr(pool), 4);
	for (int i = 0; i < 3; i++)
		mempool_free(p[i], pool);
	assert_int_equal(atomic_load(&source.out), 4);
	/* Up, with nothing to fill it: what is freed does. */
	source_gives(3);
	assert_int_equal(mempool_resize(pool, 400), 0);
	assert_int_equal(stele_mempool_curr_nr(pool), 7);
	source_gives(-1);
	for (int i = 0; i < 400; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	source_gives(0);
	for (int i = 0; i < 400; i++)
		mempool_free(p[i], pool);
	assert_int_equal(stele_mempool_curr_nr(pool), 400);
	assert_int_equal(mempool_resize(pool, 1), 0);
	assert_int_equal(atomic_load(&source.out), 1);
	done_with(pool);
}

static void each_kind_of_pool_has_its_elements(void **state)
{
	struct kmem_cache *s = kmem_cache_create("mempool", 200, 0, SLAB_NO_MERGE, NULL);
	mempool_t slab = { 0 }, bytes = { 0 }, *pages = mempool_create_page_pool(2, 1);
	void *p;

	(void)state;
	assert_int_equal(mempool_init_slab_pool(&slab, 3, s), 0);
	assert_int_equal(mempool_init_kmalloc_pool(&bytes, 3, 1000), 0);
	assert_non_null(pages);
	p = mempool_alloc_preallocated(&slab);
	assert_int_equal(ksize(p), 200);
	mempool_free(p, &slab);
	p = mempool_alloc_preallocated(&bytes);
	assert_true(ksize(p) >= 1000);
	mempool_free(p, &bytes);
	p = mempool_alloc_preallocated(pages);
	memset(page_address(p), 1, 2 * PAGE_SIZE);
	mempool_free(p, pages);
	mempool_exit(&slab);
	mempool_exit(&bytes);
	mempool_destroy(pages);
	kmem_cache_destroy(s);
}

static void one_that_cannot_be_filled_is_not_made(void **state)
{
	mempool_t pool = { 0 };

	(void)state;
	source_gives(3);
	assert_int_equal(mempool_init(&pool, 4, source_alloc, source_free, &source), -ENOMEM);
	assert_int_equal(atomic_load(&source.out), 0);
	assert_false(mempool_initialized(&pool));
	source_gives(3);
	assert_null(mempool_create(4, source_alloc, source_free, &source));
	assert_int_equal(atomic_load(&source.out), 0);
	mempool_exit(&pool);
	mempool_exit(NULL);
	mempool_destroy(NULL);
}

static void a_thread_without_time_is_late(void **state)
{
	mempool_t *pool = pool_of(1);
	struct timespec now;
	void *p;

	(void)state;
	p = mempool_alloc(pool, GFP_KERNEL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_nsec += 20000000;
	if (now.tv_nsec >= 1000000000) {
		now.tv_nsec -= 1000000000;
		now.tv_sec++;
	}
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_nsec += 1000000000; /* more than a second has */
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_sec = -1;
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	mempool_free(p, pool);
	p = mempool_alloc_timeout(pool, GFP_KERNEL, &now);
	assert_non_null(p);
	mempool_free(p, pool);
	done_with(pool);
}

/* ---- waiting ---- */

struct taker {
	mempool_t *pool;
	pthread_t thread;
	unsigned n;
	void *p[8];
	_Atomic uint32_t *turn;
	uint32_t place;
};

static void *take_and_note(void *arg)
{
	struct taker *t = arg;

	if (t->n == 1)
		t->p[0] = mempool_alloc(t->pool, GFP_KERNEL);
	else
		mempool_alloc_bulk(t->pool, t->p, t->n);
	t->place = add_relaxed(t->turn, 1);
	return NULL;
}

static void begin_to_wait(struct taker *t, mempool_t *pool, unsigned n, _Atomic uint32_t *turn)
{
	unsigned waiting = stele_wait_count(&inside(pool)->queue);

	*t = (struct taker){ .pool = pool, .n = n, .turn = turn };
	assert_int_equal(pthread_create(&t->thread, NULL, take_and_note, t), 0);
	wait_until_waiting(pool, waiting + 1);
}

static void join(struct taker *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	for (unsigned i = 0; i < t->n; i++)
		assert_non_null(t->p[i]);
}

static void the_first_waiter_is_served_first(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		begin_to_wait(&t[i], pool, 1, &turn);
	for (uint32_t i = 0; i < 5; i++) {
		mempool_free(p, pool);
		join(&t[i]);
		assert_int_equal(t[i].place, i);
		p = t[i].p[0];
	}
	mempool_free(p, pool);
	done_with(pool);
}

/* Nor does a newcomer that may sleep run ahead; one that may not takes the elements there. */
static void a_waiter_that_needs_fewer_passes_one_that_needs_more(void **state)
{
	mempool_t *pool = pool_of(3);
	_Atomic uint32_t turn = 0;
	struct taker many, one;
	void *p[3];

	(void)state;
	assert_int_equal(mempool_alloc_bulk(pool, p, 3), 0);
	begin_to_wait(&many, pool, 3, &turn);
	begin_to_wait(&one, pool, 1, &turn);
	mempool_free(p[0], pool);
	join(&one);
	assert_int_equal(one.place, 0);
	mempool_free(p[1], pool);
	mempool_free(p[2], pool);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 1);
	mempool_free(one.p[0], pool);
	join(&many);
	for (int i = 0; i < 3; i++)
		mempool_free(many.p[i], pool);
	done_with(pool);
}

static void a_larger_pool_serves_its_waiters(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;

	(void)state;
	begin_to_wait(&t, pool, 1, &turn);
	source_gives(1);
	assert_int_equal(mempool_resize(pool, 2), 0);
	join(&t);
	mempool_free(p, pool);
	mempool_free(t.p[0], pool);
	done_with(pool);
}

static bool ends_silently(mempool_t *pool)
{
	struct stderr_text t;
	bool good = stderr_begin(&t);

	mempool_destroy(pool);
	stderr_end(&t);
	return good && !t.text[0];
}

static void the_child_of_a_fork_may_end_the_pool(void **state)
{
	mempool_t *pool = pool_of(2);
	_Atomic uint32_t turn = 0;
	struct taker t;
	void *p[2];
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(mempool_alloc_bulk(pool, p, 2), 0);
	begin_to_wait(&t, pool, 2, &turn);
	/* Not enough for the waiter: nobody looks after the queue before the end. */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		store_relaxed(&inside(pool)->was_full, 0);
		_exit(ends_silently(pool) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	mempool_free(p[0], pool);
	mempool_free(p[1], pool);
	join(&t);
	mempool_free(t.p[0], pool);
	mempool_free(t.p[1], pool);
	done_with(pool);
}

static void the_child_of_a_fork_has_the_pool_to_itself(void **state)
{
	mempool_t *pool = pool_of(2);
	void *p = mempool_alloc(pool, GFP_KERNEL), *q = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;
	int status;
	pid_t child;

	(void)state;
	begin_to_wait(&t, pool, 1, &turn);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool good;

		alarm(20);
		mempool_free(p, pool);
		good = mempool_alloc(pool, GFP_KERNEL) == p;
		mempool_free(p, pool);
		mempool_free(q, pool);
		_exit(good && stele_mempool_curr_nr(pool) == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	mempool_free(p, pool);
	join(&t);
	mempool_free(t.p[0], pool);
	mempool_free(q, pool);
	done_with(pool);
}

/* A handler forks in the middle of a wait, and the child goes on with it. */
static mempool_t *forked_pool;
static void *forked_element;
static _Atomic int forked;

static void fork_here(int signal)
{
	pid_t child = fork();

	(void)signal;
	atomic_store(&forked, child);
	if (child == 0) {
		alarm(20);
		mempool_free(forked_element, forked_pool);
	}
}

static void *wait_and_leave(void *pool)
{
	void *p = mempool_alloc(pool, GFP_KERNEL);

	if (forked == 0)
		_exit(p == forked_element ? 0 : 1);
	return p;
}

static void fork_a_waiter(int flags, bool asleep)
{
	struct sigaction action = { .sa_handler = fork_here, .sa_flags = flags };
	pthread_t thread;
	int status;
	void *p;

	forked_pool = pool_of(1);
	forked_element = mempool_alloc(forked_pool, GFP_KERNEL);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	forked = -1;
	assert_int_equal(pthread_create(&thread, NULL, wait_and_leave, forked_pool), 0);
	if (asleep) {
		wait_until_waiting(forked_pool, 1);
		usleep(20000);
		pthread_kill(thread, SIGUSR1);
	}
	while (forked == -1)
		sched_yield();
	assert_int_equal(waitpid(forked, &status, 0), forked);
	assert_int_equal(status, 0);
	mempool_free(forked_element, forked_pool);
	pthread_join(thread, &p);
	assert_ptr_equal(p, forked_element);
	mempool_free(p, forked_pool);
	done_with(forked_pool);
}

static void so_has_a_thread_that_was_waiting(void **state)
{
	(void)state;
	fork_a_waiter(0, true);
	fork_a_waiter(SA_RESTART, true);
}

#if STELE_DEBUG

static const char *_Atomic fork_at;

static void fork_at_point(const char *point)
{
	const char *at = atomic_load(&fork_at);

	if (at && !strcmp(point, at)) {
		atomic_store(&fork_at, NULL);
		raise(SIGUSR1);
	}
}

static void and_a_thread_that_was_about_to_wait(void **state)
{
	static const char *const points[] = { "mempool:comes", "mempool:waits" };

	(void)state;
	stele_inject = fork_at_point;
	for (int i = 0; i < 2; i++) {
		atomic_store(&fork_at, points[i]);
		fork_a_waiter(0, false);
	}
	stele_inject = NULL;
}

static __thread pthread_t served_thread; /* not 0: of the thread that serves it */

static void fork_while_served(const char *point)
{
	if (served_thread && !strcmp(point, "mempool:serves")) {
		pthread_kill(served_thread, SIGUSR1);
		while (forked == -1)
			sched_yield();
	}
}

static void just_fork(int signal)
{
	pid_t child = fork();

	(void)signal;
	if (child == 0)
		alarm(20);
	atomic_store(&forked, child);
}

/* False: it was not yet asleep, and served itself. */
static bool fork_one_who_is_served(void)
{
	pthread_t thread;
	int status = 0;
	void *p;

	forked_pool = pool_of(1);
	forked_element = mempool_alloc(forked_pool, GFP_KERNEL);
	forked = -1;
	assert_int_equal(pthread_create(&thread, NULL, wait_and_leave, forked_pool), 0);
	wait_until_waiting(forked_pool, 1);
	usleep(20000);
	served_thread = thread;
	mempool_free(forked_element, forked_pool);
	served_thread = 0;
	pthread_join(thread, &p);
	assert_ptr_equal(p, forked_element);
	if (forked != -1)
		assert_int_equal(waitpid(forked, &status, 0), forked);
	assert_int_equal(status, 0);
	mempool_free(p, forked_pool);
	done_with(forked_pool);
	return forked != -1;
}

static void and_a_thread_that_was_being_served(void **state)
{
	struct sigaction action = { .sa_handler = just_fork };

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	stele_inject = fork_while_served;
	while (!fork_one_who_is_served())
		;
	stele_inject = NULL;
}

/* ---- between two steps ---- */

static mempool_t *growing;
static void *grown[400];

/* All that there is lies where there was no place when the taker began to look. */
static void grow_and_take(const char *point)
{
	mempool_t *pool = growing;

	if (!pool || strcmp(point, "reserve:fetches") != 0)
		return;
	growing = NULL;
	source_gives(-1);
	assert_int_equal(mempool_resize(pool, 400), 0);
	source_gives(0);
	for (int i = 0; i < 400; i++)
		grown[i] = mempool_alloc_preallocated(pool);
}

static void a_thread_that_is_owed_an_element_finds_it_in_a_larger_pool(void **state)
{
	mempool_t *pool = pool_of(64);
	void *p;

	(void)state;
	growing = pool;
	stele_inject = grow_and_take;
	p = mempool_alloc_preallocated(pool);
	stele_inject = NULL;
	assert_non_null(p);
	for (int i = 0; i < 400; i++)
		mempool_free(grown[i], pool);
	mempool_free(p, pool);
	done_with(pool);
}

#endif

/* The keys by hand: a test need not be allowed to be real-time. */
static void the_more_urgent_is_served_first(void **state)
{
	static const int order[] = { 1, 0, 2 };
	mempool_t *pool = pool_of(1);
	struct wait_queue *q = &inside(pool)->queue;
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_place *place;

		begin_to_wait(&t[i], pool, 1, &turn);
		while (!(place = stele_wait_place(q, i)))
			sched_yield();
		if (i == 1) /* as of a thread whose priority is 50 */
			sub_relaxed(&place->key, 50ull << 56);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct taker *next = &t[order[i]];

		mempool_free(p, pool);
		join(next);
		assert_int_equal(next->place, i);
		p = next->p[0];
	}
	mempool_free(p, pool);
	done_with(pool);
}

/* Contract 38, with what the thread that frees was told by a store without any order. */
static _Atomic(void *) told;

static void *free_what_is_told(void *arg)
{
	void *p;

	while (!(p = load_relaxed(&told)))
		;
	mempool_free(p, arg);
	return NULL;
}

static void a_wake_up_is_not_lost(void **state)
{
	(void)state;
	for (int min = 0; min < 3; min++)
		for (int round = 0; round < 300; round++) {
			mempool_t *pool = pool_of(min);
			_Atomic uint32_t turn = 0;
			struct taker t = { .pool = pool, .n = 1, .turn = &turn };
			pthread_t freer;
			void *p[2] = { NULL };

			store_relaxed(&told, NULL);
			assert_int_equal(pthread_create(&freer, NULL, free_what_is_told, pool), 0);
			if (min == 2)
				p[1] = mempool_alloc(pool, GFP_KERNEL);
			p[0] = mempool_alloc(pool, GFP_KERNEL);
			assert_int_equal(pthread_create(&t.thread, NULL, take_and_note, &t), 0);
			store_relaxed(&told, p[0]);
			join(&t);
			pthread_join(freer, NULL);
			mempool_free(t.p[0], pool);
			mempool_free(p[1], pool);
			done_with(pool);
		}
}

/* Contract 38: neither holds one of two while it waits for the other. */
static void *take_two_often(void *pool)
{
	void *p[2];

	for (int i = 0; i < 2000; i++) {
		mempool_alloc_bulk(pool, p, 2);
		sched_yield();
		mempool_free(p[i % 2], pool);
		mempool_free(p[1 - i % 2], pool);
	}
	return NULL;
}

static void two_threads_that_need_all_elements_get_them_by_turns(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_two_often, pool), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	done_with(pool);
}

/* A deadline, or a cancellation, beside the element that comes: it is had, or it is still there. */
static void *take_in_time(void *pool)
{
	for (int i = 0; i < 2000; i++) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += i % 64 * 1000L; /* beyond a second as well */
		mempool_free(mempool_alloc_timeout(pool, GFP_KERNEL, &until), pool);
	}
	return NULL;
}

static void a_thread_served_when_it_is_late_loses_nothing(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i < 2 ? take_in_time : take_two_often, pool),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	done_with(pool);
}

static void *cancelled_or_served(void *pool)
{
	int old;
	void *p = mempool_alloc(pool, GFP_KERNEL);

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	mempool_free(p, pool);
	return NULL;
}

static void a_thread_served_when_it_is_cancelled_loses_nothing(void **state)
{
	mempool_t *pool = pool_of(1);

	(void)state;
	stele_mempool_cancellable(pool, true);
	for (int i = 0; i < 500; i++) {
		void *p = mempool_alloc(pool, GFP_KERNEL);
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, cancelled_or_served, pool), 0);
		wait_until_waiting(pool, 1);
		if (i % 2)
			mempool_free(p, pool);
		pthread_cancel(thread);
		if (i % 2 == 0)
			mempool_free(p, pool);
		pthread_join(thread, NULL);
		assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	}
	done_with(pool);
}

static void join_cancelled(pthread_t thread, mempool_t *pool)
{
	void *got;

	pthread_cancel(thread);
	pthread_join(thread, &got);
	assert_ptr_equal(got, PTHREAD_CANCELED);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
}

static void *cancellable_bulk(void *pool)
{
	void *p[2];

	mempool_alloc_bulk(pool, p, 2);
	return NULL;
}

static void elements_of_a_cancelled_bulk_go_back(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t thread;
	void *p[2];

	(void)state;
	stele_mempool_cancellable(pool, true);
	assert_int_equal(mempool_alloc_bulk(pool, p, 2), 0);
	source_gives(1);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_bulk, pool), 0);
	wait_until_waiting(pool, 1);
	join_cancelled(thread, pool);
	mempool_free(p[0], pool);
	mempool_free(p[1], pool);
	done_with(pool);
}

static void *cancellable_wait(void *pool)
{
	return mempool_alloc(pool, GFP_KERNEL);
}

static void a_wait_ends_by_cancelling_only_where_asked(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL), *got;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	pthread_cancel(thread);
	usleep(20000);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 1);
	mempool_free(p, pool);
	pthread_join(thread, &p);
	assert_true(p && p != PTHREAD_CANCELED);

	stele_mempool_cancellable(pool, true);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	pthread_cancel(thread);
	pthread_join(thread, &got);
	assert_ptr_equal(got, PTHREAD_CANCELED);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	mempool_free(p, pool);
	done_with(pool);
}

/* By a wish that comes late, or by a callback of the user's: nobody is left in the queue. */
static void a_thread_cancelled_in_a_wait_has_left_it(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	pthread_t thread;

	(void)state;
	stele_opt.mempool_retry = 5;
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	stele_mempool_cancellable(pool, true);
	join_cancelled(thread, pool);
	stele_mempool_cancellable(pool, false);
	atomic_store(&source.cancels, true);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	join_cancelled(thread, pool);
	atomic_store(&source.cancels, false);
	stele_opt.mempool_retry = 0;
	mempool_free(p, pool);
	done_with(pool);
}

/* For callbacks that recover by themselves: nobody frees here. */
static void the_timer_tries_the_allocation_again(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;

	(void)state;
	stele_opt.mempool_retry = 5;
	begin_to_wait(&t, pool, 1, &turn);
	source_gives(1);
	join(&t);
	stele_opt.mempool_retry = 0;
	mempool_free(t.p[0], pool);
	mempool_free(p, pool);
	done_with(pool);
}

/* ---- what is wrong is said, and nothing is lost ---- */

static void a_wrong_size_is_told(void **state)
{
	mempool_t *pool = pool_of(2), other = { 0 };
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_int_equal(mempool_resize(pool, 0), -EINVAL));
	assert_says(&t, "0 elements: not from 1 to 2097087");
	STDERR_OF(&t, assert_int_equal(mempool_resize(pool, -7), -EINVAL));
	assert_says(&t, "stele: mempool_resize(");
	STDERR_OF(&t, assert_int_equal(mempool_init(&other, -1, source_alloc, source_free, &source),
				       -EINVAL));
	assert_says(&t, "-1 elements: not from 0 to");
	STDERR_OF(&t,
		  assert_int_equal(mempool_init(&other, 1, NULL, source_free, &source), -EINVAL));
	assert_says(&t, "no callback to allocate");
	STDERR_OF(&t,
		  assert_int_equal(mempool_init(&other, 1, source_alloc, NULL, &source), -EINVAL));
	assert_says(&t, "no callback to free");
	assert_int_equal(pool->min_nr, 2);
	done_with(pool);
}

static void construct(void *p)
{
	memset(p, 1, 8);
}

/* Every call with @pool, which is none; the message begins with the call's name. */
static void assert_no_pool(mempool_t *pool, const char *what)
{
	void *object = kmalloc(64, GFP_KERNEL), *p = NULL;
	struct stderr_text t;
	char said[128];
	int error = 0;

#define ASSERT_SAYS(name, statement)                                                               \
	do {                                                                                       \
		STDERR_OF(&t, statement);                                                          \
		snprintf(said, sizeof(said), "stele: " name ": %s\n", what);                       \
		assert_string_equal(t.text, said);                                                 \
	} while (0)
	ASSERT_SAYS("mempool_alloc", p = mempool_alloc(pool, GFP_KERNEL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc", p = mempool_alloc_timeout(pool, GFP_KERNEL, NULL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_preallocated", p = mempool_alloc_preallocated(pool));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_noreserve", p = mempool_alloc_noreserve(pool, GFP_KERNEL));
	assert_null(p);
	ASSERT_SAYS("mempool_alloc_bulk", error = mempool_alloc_bulk(pool, &p, 1));
	assert_int_equal(error, -EINVAL);
	ASSERT_SAYS("mempool_free", mempool_free(object, pool));
	ASSERT_SAYS("mempool_free_bulk", error = (int)mempool_free_bulk(pool, &object, 1));
	assert_int_equal(error, 0);
	ASSERT_SAYS("mempool_resize", error = mempool_resize(pool, 4));
	assert_int_equal(error, -EINVAL);
	ASSERT_SAYS("stele_mempool_cancellable", stele_mempool_cancellable(pool, true));
#undef ASSERT_SAYS
	assert_false(mempool_initialized(pool));
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	mempool_free(NULL, pool);
	mempool_exit(pool);
	kfree(object); /* nobody else has */
}

static void a_pointer_to_no_pool_is_reported_and_nothing_is_lost(void **state)
{
	mempool_t pool = { 0 };
	struct stderr_text t;
	char what[80];
	int error;

	(void)state;
	assert_no_pool(NULL, "0x0 is not a pool");
	STDERR_OF(&t, error = mempool_init_kmalloc_pool(NULL, 1, 64));
	assert_int_equal(error, -EINVAL);
	assert_string_equal(t.text, "stele: mempool_init: 0x0 is not a pool\n");
	snprintf(what, sizeof(what), "%p is not a pool, or not any more", (void *)&pool);
	assert_no_pool(&pool, what);
	assert_int_equal(mempool_init_kmalloc_pool(&pool, 1, 64), 0);
	mempool_exit(&pool);
	assert_no_pool(&pool, what);
}

static void a_cache_with_a_constructor_is_refused(void **state)
{
	struct kmem_cache *s = kmem_cache_create("constructed", 64, 0, 0, construct);
	mempool_t pool = { 0 };
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_int_equal(mempool_init_slab_pool(&pool, 1, s), -EINVAL));
	assert_says(&t, "the cache has a constructor");
	kmem_cache_destroy(s);
}

static void elements_that_stay_out_are_told(void **state)
{
	mempool_t *pool = pool_of(3);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, mempool_destroy(pool));
	assert_says(&t, "1 of 3 elements have not come back");
	assert_int_equal(atomic_load(&source.out), 1);
	source_free(p, &source);
}

static void cleared_elements_are_not_promised(void **state)
{
	mempool_t *pool = pool_of(1);
	struct stderr_text t;
	void *p = NULL;

	(void)state;
	source_gives(1); /* told although there is memory now */
	STDERR_OF(&t, p = mempool_alloc(pool, GFP_KERNEL | __GFP_ZERO));
	assert_non_null(p);
	assert_says(&t, "__GFP_ZERO is not for pools");
	mempool_free(p, pool);
	done_with(pool);
}

static void a_foreign_or_misaligned_element_harms_nothing(void **state)
{
	struct kmem_cache *s = kmem_cache_create("pooled", 96, 0, SLAB_NO_MERGE, NULL);
	mempool_t pool = { 0 };
	struct stderr_text t;
	char *foreign = kmalloc(96, GFP_KERNEL);

	(void)state;
	assert_int_equal(mempool_init_slab_pool(&pool, 1, s), 0);
	STDERR_OF(&t, mempool_free(foreign, &pool));
	assert_says(&t, "kmem_cache_free(");
	STDERR_OF(&t, mempool_free(foreign + 8, &pool));
	assert_says(&t, "kmem_cache_free(");
	mempool_exit(&pool);
	kmem_cache_destroy(s);
	kfree(foreign);
}

/* An element that an allocation callback made up is not freed into the cache, and not lost either. */
static void *made_up;

static void *make_up(gfp_t gfp, void *cache)
{
	(void)gfp, (void)cache;
	return made_up;
}

static void a_callback_that_makes_elements_up_harms_nothing(void **state)
{
	struct kmem_cache *s = kmem_cache_create("made-up", 96, 0, SLAB_NO_MERGE, NULL);
	char *own = kmem_cache_alloc(s, GFP_KERNEL), *foreign = kmalloc(96, GFP_KERNEL);
	char *wrong[] = { foreign, own + 8, foreign + 1 };
	mempool_t pool = { 0 };
	struct stderr_text t;

	(void)state;
	memset(own, 1, 96);
	memset(foreign, 2, 96);
	for (int i = 0; i < 3; i++) {
		made_up = wrong[i];
		assert_int_equal(mempool_init(&pool, 1, make_up, mempool_free_slab, s), 0);
		STDERR_OF(&t, mempool_exit(&pool));
		assert_says(&t, "kmem_cache_free(");
	}
	for (int i = 0; i < 96; i++)
		assert_true(own[i] == 1 && foreign[i] == 2);
	kmem_cache_free(s, own);
	kfree(foreign);
	kmem_cache_destroy(s);
}

/* ---- the option mempool_debug ---- */

static void debug_sees_a_wrong_element(void **state)
{
	struct kmem_cache *s = kmem_cache_create("watched", 96, 0, SLAB_NO_MERGE, NULL);
	mempool_t pool = { 0 };
	struct stderr_text t;
	unsigned char *p, *foreign = kmalloc(96, GFP_KERNEL);

	(void)state;
	stele_opt.mempool_debug = 1;
	assert_int_equal(mempool_init_slab_pool(&pool, 2, s), 0);
	p = mempool_alloc_preallocated(&pool);
	assert_int_equal(p[0], 0x5a);
	STDERR_OF(&t, mempool_free(foreign, &pool));
	assert_says(&t, "not an element of the pool");
	STDERR_OF(&t, mempool_free(p + 8, &pool));
	assert_says(&t, "not an element of the pool");
	mempool_free(p, &pool);
	assert_int_equal(unseen(p)[0], 0x6b);
	STDERR_OF(&t, mempool_free(p, &pool));
	assert_says(&t, "the element is in the reserve already");
	unseen(p)[40] = 7;
	STDERR_OF(&t, assert_ptr_equal(mempool_alloc_preallocated(&pool), p));
	assert_says(&t, "BUG: mempool element poison mismatch");
	assert_says(&t, " size 96");
	assert_says(&t, "0x6b 0x7 0x6b");
	mempool_free(p, &pool);
	STDERR_OF(&t, mempool_exit(&pool));
	assert_silent(&t);
	stele_opt.mempool_debug = 0;
	kmem_cache_destroy(s);
	kfree(foreign);
}

/* The second cache is merged into the first, whose objects are larger from then on. */
static void debug_goes_on_with_the_size_that_the_cache_had(void **state)
{
	struct kmem_cache *small = kmem_cache_create("sixty", 60, 0, 0, NULL), *large;
	struct stderr_text t;
	mempool_t *pool;
	unsigned char *p;

	(void)state;
	stele_opt.mempool_debug = 1;
	pool = mempool_create_slab_pool(4, small);
	assert_non_null(pool);
	large = kmem_cache_create("sixty-four", 64, 0, 0, NULL);
	assert_ptr_equal(large, small);
	STDERR_OF(&t, p = mempool_alloc_preallocated(pool));
	assert_silent(&t);
	mempool_free(p, pool);
	unseen(p)[59] = 7; /* the last byte of a small one */
	STDERR_OF(&t, assert_ptr_equal(mempool_alloc_preallocated(pool), p));
	assert_says(&t, " size 60");
	mempool_free(p, pool);
	STDERR_OF(&t, mempool_destroy(pool));
	assert_silent(&t);
	stele_opt.mempool_debug = 0;
	kmem_cache_destroy(large);
	kmem_cache_destroy(small);
}

static void fail_no_more(int signal)
{
	(void)signal;
	stele_opt.fail_mempool_alloc = 0;
}

static void debug_knows_an_element_that_was_never_in_the_reserve(void **state)
{
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct sigaction action = { .sa_handler = fail_no_more };
	struct stderr_text t;
	mempool_t *pool;
	void *p, *q = NULL;

	(void)state;
	stele_opt.mempool_debug = 1;
	stele_opt.mempool_retry = 5;
	pool = mempool_create_kmalloc_pool(1, 64);
	p = mempool_alloc_preallocated(pool);
	stele_opt.fail_mempool_alloc = 1;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	STDERR_OF(&t, q = mempool_alloc(pool, GFP_KERNEL));
	assert_null(strstr(t.text, "poison mismatch"));
	stele_opt.mempool_debug = 0;
	stele_opt.mempool_retry = 0;
	mempool_free(q, pool);
	mempool_free(p, pool);
	mempool_destroy(pool);
}

static void *always_the_same(gfp_t gfp, void *data)
{
	(void)gfp;
	return data;
}

static void to_nowhere(void *p, void *data)
{
	assert_ptr_equal(p, data);
}

static void debug_does_not_fill_a_pool_with_one_element(void **state)
{
	mempool_t pool = { 0 };
	struct stderr_text t;
	char element[8];

	(void)state;
	stele_opt.mempool_debug = 1;
	STDERR_OF(&t, assert_int_equal(mempool_init(&pool, 2, always_the_same, to_nowhere, element),
				       -ENOMEM));
	assert_says(&t, "the element is in the reserve already");
	stele_opt.mempool_debug = 0;
}

static void failures_on_purpose_use_the_reserve(void **state)
{
	mempool_t *pool;
	void *p[6];

	(void)state;
	stele_opt.fail_mempool_alloc = 2;
	source_gives(-1);
	pool = mempool_create(3, source_alloc, source_free, &source);
	for (int i = 0; i < 6; i++)
		p[i] = mempool_alloc(pool, GFP_NOWAIT);
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	for (int i = 0; i < 6; i++)
		mempool_free(p[i], pool);
	stele_opt.fail_mempool_alloc = 0;
	stele_opt.fail_mempool_alloc_bulk = 3;
	assert_int_equal(mempool_alloc_bulk(pool, p, 3), 0);
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	stele_opt.fail_mempool_alloc_bulk = 0;
	for (int i = 0; i < 3; i++)
		mempool_free(p[i], pool);
	done_with(pool);
}

static int no_timer(void **state)
{
	(void)state;
	kfree(kmalloc(8, GFP_KERNEL)); /* the options are read */
	stele_opt.mempool_retry = 0;
	stele_inject_no_looks = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest cancelling[] = {
		cmocka_unit_test(a_thread_served_when_it_is_cancelled_loses_nothing),
		cmocka_unit_test(elements_of_a_cancelled_bulk_go_back),
		cmocka_unit_test(a_wait_ends_by_cancelling_only_where_asked),
		cmocka_unit_test(a_thread_cancelled_in_a_wait_has_left_it),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_is_there_when_memory_is_not),
		cmocka_unit_test(a_reserve_that_lost_an_element_is_found),
		cmocka_unit_test(memory_comes_first_and_goes_back_there),
		cmocka_unit_test(a_freed_element_replaces_a_lent_one),
		cmocka_unit_test(a_pool_of_no_elements_still_serves),
		cmocka_unit_test(several_come_from_the_reserve_all_or_none),
		cmocka_unit_test(its_size_changes_while_elements_are_out),
		cmocka_unit_test(each_kind_of_pool_has_its_elements),
		cmocka_unit_test(one_that_cannot_be_filled_is_not_made),
		cmocka_unit_test(a_thread_without_time_is_late),
		cmocka_unit_test(the_first_waiter_is_served_first),
		cmocka_unit_test(a_waiter_that_needs_fewer_passes_one_that_needs_more),
		cmocka_unit_test(a_larger_pool_serves_its_waiters),
		cmocka_unit_test(the_child_of_a_fork_has_the_pool_to_itself),
		cmocka_unit_test(the_child_of_a_fork_may_end_the_pool),
		cmocka_unit_test(so_has_a_thread_that_was_waiting),
#if STELE_DEBUG
		cmocka_unit_test(and_a_thread_that_was_about_to_wait),
		cmocka_unit_test(and_a_thread_that_was_being_served),
		cmocka_unit_test(a_thread_that_is_owed_an_element_finds_it_in_a_larger_pool),
#endif
		cmocka_unit_test(the_more_urgent_is_served_first),
		cmocka_unit_test(a_wake_up_is_not_lost),
		cmocka_unit_test(two_threads_that_need_all_elements_get_them_by_turns),
		cmocka_unit_test(a_thread_served_when_it_is_late_loses_nothing),
		cmocka_unit_test(the_timer_tries_the_allocation_again),
		cmocka_unit_test(a_wrong_size_is_told),
		cmocka_unit_test(a_cache_with_a_constructor_is_refused),
		cmocka_unit_test(a_pointer_to_no_pool_is_reported_and_nothing_is_lost),
		cmocka_unit_test(elements_that_stay_out_are_told),
		cmocka_unit_test(cleared_elements_are_not_promised),
		cmocka_unit_test(a_foreign_or_misaligned_element_harms_nothing),
		cmocka_unit_test(a_callback_that_makes_elements_up_harms_nothing),
		cmocka_unit_test(debug_sees_a_wrong_element),
		cmocka_unit_test(debug_goes_on_with_the_size_that_the_cache_had),
		cmocka_unit_test(debug_knows_an_element_that_was_never_in_the_reserve),
		cmocka_unit_test(debug_does_not_fill_a_pool_with_one_element),
		cmocka_unit_test(failures_on_purpose_use_the_reserve),
	};

	if (cmocka_run_group_tests(tests, no_timer, NULL) != 0)
		return 1;
	return FOLLOWS_CANCELLING && cmocka_run_group_tests(cancelling, no_timer, NULL) != 0;
}
