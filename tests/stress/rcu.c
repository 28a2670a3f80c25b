/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/rcu.c - nothing that a reader holds is freed, whatever else happens
 *
 * Idea      Writers replace the things that a table publishes, and give each old one to one of the
 *           calls of <stele/rcu.h>; its next allocation has another token. Readers look for a while
 *           at the thing that they found: its token must stay. Beside them: a type-stable cache
 *           whose freed objects must keep theirs, caches that come, give and go, shrinking, barriers,
 *           handlers that give and read, and forks. In debug builds threads are held for a moment
 *           at the named points.
 * Argument  seconds to run.
 */
#include "stress.h"

#include "../toy_flavor.h"
#include "base/options.h"
#include "page/run.h"
#include "rcu/rcu.h"
#include "sync/atomic.h"
#include <signal.h>
#include <sys/wait.h>

#define WRITERS 2
#define READERS 2
#define THREADS (WRITERS + READERS + 2)
#define TABLE 64

/* Sanitizers bear neither forks beside threads nor handlers at every place. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PLAIN 0
#else
#define PLAIN 1
#endif

struct thing {
	uint64_t token;
	uint64_t words[6];
	struct kvfree_rcu_head rcu;
};

static struct kmem_cache *cache, *typesafe;
static _Atomic(struct thing *) table[TABLE];
static _Atomic(uint64_t *) stable[TABLE];

static uint64_t token_of_thing(const void *p)
{
	return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15ull;
}

/* A thread that allocates writes something else first. */
static struct thing *make_thing(uint64_t random)
{
	struct thing *t = random % 3 ? kmem_cache_alloc(cache, 0)
				     : kmalloc(random % 64 ? sizeof(*t) : 50000, GFP_KERNEL);

	if (!t)
		return NULL;
	memset(t, 0xdd, sizeof(*t));
	t->token = token_of_thing(t) + random;
	for (int i = 0; i < 6; i++)
		t->words[i] = t->token + (uint64_t)i;
	return t;
}

static void give(struct thing *t, uint64_t random)
{
	if (random % 16 == 0)
		kfree_rcu_mightsleep(t);
	else if (random % 16 < 8)
		kfree_rcu_nolock(t, rcu);
	else
		kfree_rcu(t, rcu);
}

static void replace_one(uint64_t random)
{
	struct thing *t = make_thing(random >> 8);

	t = atomic_exchange(&table[random % TABLE], t);
	if (t)
		give(t, random >> 16);
}

/* Objects of the type-stable cache have a token that depends on nothing but their address. */
static void replace_stable(uint64_t random)
{
	uint64_t *p = kmem_cache_alloc(typesafe, 0);

	if (p)
		MUST_FOR(*p == token_of_thing(p), *p);
	p = atomic_exchange(&stable[random % TABLE], p);
	if (p)
		kmem_cache_free(typesafe, p);
}

static void look_as_reader(uint64_t random)
{
	const uint64_t *p;
	const struct thing *t;
	uint64_t token = 0;

	toy_read_lock();
	t = atomic_load(&table[random % TABLE]);
	p = atomic_load(&stable[random / TABLE % TABLE]);
	if (t)
		token = t->token;
	if (random >> 48 & 255)
		sched_yield();
	else
		nap_ms(2);
	for (uint64_t i = random >> 40 & 255; i; i--) {
		if (t) {
			MUST_FOR(t->token == token, t->token);
			MUST(t->words[i % 6] == token + i % 6);
		}
		if (p)
			MUST_FOR(*(const volatile uint64_t *)p == token_of_thing(p), *p);
	}
	toy_read_unlock();
}

static void fork_once(uint64_t random)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		signal(SIGUSR1, SIG_IGN);
		alarm(60);
		toy_forget_readers();
		replace_one(random);
		kvfree_rcu_barrier();
		_exit(0);
	}
	if (child > 0) {
		waitpid(child, &status, 0);
		MUST_FOR(status == 0, status);
	}
}

static void brief_cache(uint64_t random, unsigned number)
{
	char name[24];
	struct kmem_cache *s;

	snprintf(name, sizeof(name), "brief-%u", number);
	s = kmem_cache_create(name, sizeof(struct thing), NULL,
			      random & 1 ? SLAB_TYPESAFE_BY_RCU : SLAB_NO_MERGE);
	for (uint64_t i = random >> 8 & 255; i; i--) {
		struct thing *t = kmem_cache_alloc(s, 0);

		if (t)
			kfree_rcu(t, rcu);
	}
	kmem_cache_destroy(s);
}

static void control_one(uint64_t random, unsigned number)
{
	switch (random % 64) {
	case 0:
		brief_cache(random >> 8, number);
		break;
	case 1:
		kmem_cache_shrink(typesafe);
		break;
	case 2:
		kvfree_rcu_barrier_on_cache(cache);
		break;
	case 3:
		stele_trim(0);
		break;
	case 4:
		if (PLAIN)
			fork_once(random);
		break;
	default:
		replace_stable(random >> 8);
	}
}

/* ---- a handler in each thread, wherever it is, gives and reads like any other code ---- */

static _Thread_local uint64_t handlers_random;

static void give_and_look(int signal)
{
	uint64_t r = next_random(&handlers_random);
	struct thing *t = make_thing(r | 1);

	(void)signal;
	t = atomic_exchange(&table[r % TABLE], t);
	if (t)
		kfree_rcu_nolock(t, rcu);
	look_as_reader(r | 1ull << 48);
}

static void interrupt_me(unsigned number)
{
	handlers_random = random_seed(number + 100);
	toy_register();
	timer_set(timer_here(SIGUSR1), 1000000, 1000000);
}

static void *work_as_number(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;
	uint64_t random = random_seed(number);

	if (PLAIN)
		interrupt_me(number);
	while (!stopped()) {
		uint64_t r = next_random(&random);

		if (number < WRITERS)
			replace_one(r);
		else if (number < WRITERS + READERS)
			look_as_reader(r);
		else
			control_one(r, number);
		step_done();
	}
	return NULL;
}

static void tokens_for_stable(void *p)
{
	*(uint64_t *)p = token_of_thing(p);
}

#if STELE_DEBUG
static void hold_sometimes(const char *point)
{
	static _Thread_local uint64_t random;

	if (!random)
		random = random_seed((uintptr_t)&random);
	if (next_random(&random) % 8 == 0 &&
	    (!strncmp(point, "rcu:", 4) || !strncmp(point, "grace:", 6) ||
	     !strncmp(point, "runner:", 7)))
		sched_yield();
}

static void hold_points(void)
{
	stele_inject = hold_sometimes;
}
#else
static void hold_points(void) {}
#endif

/* A child of the program must see the table's end as well: everything comes back. */
static void give_all_back(void)
{
	for (int i = 0; i < TABLE; i++) {
		if (table[i])
			give(table[i], (uint64_t)i);
		if (stable[i])
			kmem_cache_free(typesafe, stable[i]);
	}
	kvfree_rcu_barrier();
}

int main(int argc, char **argv)
{
	struct kmem_cache_args args = { .ctor = tokens_for_stable };
	struct stele_stats stats;

	hold_points();
	MUST(stele_heap_start() == 0);
	stele_opt.rcu_delay = 1;
	MUST(stele_rcu_set_flavor(&toy_flavor) == 0);
	/* "broken": grace periods end at once, and this must be seen. */
	toy_broken = argc > 2 && !strcmp(argv[2], "broken");
	signal(SIGUSR1, give_and_look);
	cache = kmem_cache_create("things", sizeof(struct thing), NULL, SLAB_NO_MERGE);
	typesafe = kmem_cache_create("stable", 96, &args, SLAB_TYPESAFE_BY_RCU);
	run_for(seconds_asked(argc, argv), THREADS, work_as_number, NULL);
	give_all_back();
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	kmem_cache_destroy(typesafe);
	kvfree_rcu_barrier();
	stele_stats_read(&stats);
	MUST_FOR(stats.rcu_bytes == 0, stats.rcu_bytes);
	return finish(1 << 20);
}
