/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/leave.c - threads that leave from inside an allocation and never come back
 *
 * Idea      A victim allocates and frees until it is made to leave: cancelled, asynchronously or
 *           at a point of its own; by pthread_exit() in a handler; by siglongjmp() out of one.
 *           The objects in its hands are lost. After each round, when only main is left, main
 *           drops what it knows of, empties the caches, and counts what is still in use.
 *           Victims also grow the heap to several MiB and let it shrink, so that they leave
 *           from where a free() empties caches and gives pages back as well.
 * Bound     per event, of the typed cache: one sheaf, and the objects that the victim's own code
 *           holds. Without restartable sequences a thread that is gone may hold its slot's line
 *           for good, with the two sheaves in it. A thread that leaves at points of its own loses
 *           nothing.
 * Then      caches can be created, shrunk and destroyed, and memory given back: no thread waits
 *           for one that is gone.
 * Failure   more is lost than that; wrong contents; a bad free seen; the alarm.
 * Argument  seconds to run.
 * Builds    not with sanitizers, which do not follow a handler that never comes back.
 */
#include <errno.h>
#include "../../stress/stress.h"
#include "../another_cache.h"
#include <signal.h>
#include <sys/mman.h>
#include "percpu/system.h"
#include "slab/kmem_cache.h"
#include <setjmp.h>

#define VICTIMS 2
#define PLACES 512
#define LARGE 400
#define LARGE_BYTES 8000
#define TYPED 136
#define IN_HANDS 2 /* by the victim's own code, per event */
#define JUMPS 8	   /* events of one round of WAY_JUMP, per victim */
#define STALL_SECONDS 60
#define GIVEN_BYTES (512u << 10)

enum way { WAY_ASYNC, WAY_DEFERRED, WAY_EXIT, WAY_JUMP, WAYS };
static const char *const way_names[WAYS] = { "cancelled anywhere", "cancelled at a point",
					     "exit in a handler", "jump out of a handler" };

struct victim {
	uint64_t random;
	enum way way;
	sigjmp_buf out;
	volatile bool ready;
	volatile int jumps_left;
};

static struct victim victims[VICTIMS];
static __thread struct victim *self;
static struct kmem_cache *cache;
static _Atomic(uint64_t *) table[PLACES];
static _Atomic(void *) large[VICTIMS][LARGE];
static unsigned long events[WAYS], lost[WAYS], lost_most[WAYS];

static void mark(uint64_t *p)
{
	*p = (uintptr_t)p * 31;
}

static void check(const uint64_t *p)
{
	MUST_FOR(*p == (uintptr_t)p * 31, *p);
}

static void drop_signed(uint64_t *p)
{
	if (!p)
		return;
	check(p);
	*p = 0;
	kmem_cache_free(cache, p);
}

static void one_step(uint64_t r)
{
	uint64_t *p = NULL;

	if (r >> 20 & 3) {
		p = kmem_cache_alloc(cache, GFP_ATOMIC);
		MUST(p);
		mark(p);
	}
	drop_signed(atomic_exchange(&table[r % PLACES], p));
}

/*
 * Memory in slabs rises by 3 MiB, then falls: the free that crosses the half empties all caches.
 * No thread writes to this memory, so it costs no page faults, and the fall happens often.
 */
static void grow(struct victim *victim)
{
	for (int i = 0; i < LARGE; i++) {
		void *p = kmalloc(LARGE_BYTES, GFP_ATOMIC);

		MUST(p);
		kfree(atomic_exchange(&large[victim - victims][i], p));
	}
}

static void fall(struct victim *victim)
{
	for (int i = 0; i < LARGE; i++)
		kfree(atomic_exchange(&large[victim - victims][i], NULL));
}

static _Noreturn void allocate_until_gone(struct victim *victim)
{
	for (;;) {
		for (int i = 0; i < 100; i++)
			one_step(next_random(&victim->random));
		if (next_random(&victim->random) % 4 != 0) {
			grow(victim);
			fall(victim);
		}
		if (victim->way == WAY_DEFERRED)
			pthread_testcancel();
		if (victim->way == WAY_JUMP && victim->jumps_left <= 0)
			pthread_exit(NULL);
	}
}

static void on_signal(int signal)
{
	(void)signal;
	if (self->way == WAY_EXIT)
		pthread_exit(NULL);
	if (self->jumps_left <= 0)
		return;
	self->jumps_left--;
	siglongjmp(self->out, 1);
}

static void *be_victim(void *arg)
{
	struct victim *victim = arg;
	int old;

	self = victim;
	pthread_setcanceltype(victim->way == WAY_ASYNC ? PTHREAD_CANCEL_ASYNCHRONOUS
						       : PTHREAD_CANCEL_DEFERRED,
			      &old);
	sigsetjmp(victim->out, 1);
	victim->ready = true;
	allocate_until_gone(victim);
}

static void make_leave(pthread_t thread, const struct victim *victim, uint64_t r)
{
	struct timespec nap = { 0, 20000 + (long)(r % 2000000) };

	while (!victim->ready)
		nap_ms(1);
	for (int i = victim->way == WAY_JUMP ? JUMPS : 1; i > 0; i--) {
		nanosleep(&nap, NULL);
		if (victim->way == WAY_ASYNC || victim->way == WAY_DEFERRED)
			pthread_cancel(thread);
		else
			pthread_kill(thread, SIGRTMIN);
	}
}

/* Objects of the cache that are in use, as slabinfo counts them. */
static unsigned long in_use(void)
{
	char text[65536], *line;
	unsigned long active;
	int ends[2];
	ssize_t n;

	MUST(pipe(ends) == 0);
	stele_slabinfo_write(ends[1]);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	MUST(n > 0);
	text[n] = 0;
	line = strstr(text, "\nleave ");
	MUST(line && sscanf(line, "\nleave %lu", &active) == 1);
	return active;
}

/* Memory still goes back to the system: of what was touched and freed nothing is resident. */
static void give_back(void)
{
	unsigned char resident[GIVEN_BYTES / 4096];
	size_t pages = GIVEN_BYTES / (size_t)sysconf(_SC_PAGESIZE);
	void *p = kmalloc(GIVEN_BYTES, GFP_KERNEL);

	MUST(p && (uintptr_t)p % 4096 == 0);
	memset(p, 1, GIVEN_BYTES);
	MUST(mincore(p, GIVEN_BYTES, resident) == 0 && resident[pages - 1] & 1);
	kfree(p);
	stele_trim(0);
	if (mincore(p, GIVEN_BYTES, resident) != 0) {
		MUST_FOR(errno == ENOMEM, errno); /* not even mapped */
		return;
	}
	for (size_t i = 0; i < pages; i++)
		MUST_FOR(!(resident[i] & 1), i);
}

static unsigned long bound(unsigned long events_now)
{
	unsigned sheaves = stele_system()->mode == STELE_MODE_FALLBACK ? 3 : 1;

	return events_now * (sheaves * cache->capacity + IN_HANDS);
}

static unsigned long left_by(struct victim *victim)
{
	return victim->way == WAY_JUMP ? (unsigned long)(JUMPS - victim->jumps_left) : 1;
}

static void one_round(enum way way, uint64_t *random)
{
	unsigned long before = in_use(), now, n = 0;
	pthread_t thread[VICTIMS];

	alarm(STALL_SECONDS);
	for (int i = 0; i < VICTIMS; i++) {
		victims[i].random = next_random(random) | 1;
		victims[i].way = way;
		victims[i].ready = false;
		victims[i].jumps_left = JUMPS;
		MUST(pthread_create(&thread[i], NULL, be_victim, &victims[i]) == 0);
	}
	for (int i = 0; i < VICTIMS; i++)
		make_leave(thread[i], &victims[i], next_random(random));
	for (int i = 0; i < VICTIMS; i++) {
		victims[i].jumps_left = 0;
		MUST(pthread_join(thread[i], NULL) == 0);
		n += left_by(&victims[i]);
		fall(&victims[i]);
	}
	for (int i = 0; i < PLACES; i++)
		drop_signed(atomic_exchange(&table[i], NULL));
	kmem_cache_shrink(cache);
	now = in_use();
	events[way] += n;
	lost[way] += now - before;
	if (now - before > lost_most[way])
		lost_most[way] = now - before;
	MUST_FOR(now >= before && now - before <= (way == WAY_DEFERRED ? 0 : bound(n)),
		 now - before);
}

static unsigned long all_events(void)
{
	unsigned long n = 0;

	for (int i = 0; i < WAYS; i++)
		n += events[i];
	return n;
}

/* The unwinder is loaded by the first thread that exits; not in a handler. */
static void *exit_once(void *arg)
{
	pthread_exit(arg);
}

int main(int argc, char **argv)
{
	double end = seconds_now() + seconds_asked(argc, argv);
	struct sigaction action = { .sa_handler = on_signal };
	struct stele_stats stats;
	uint64_t random = random_seed(4);
	pthread_t first;

	cache = kmem_cache_create("leave", TYPED, NULL, SLAB_NO_MERGE);
	MUST(cache && sigaction(SIGRTMIN, &action, NULL) == 0);
	MUST(pthread_create(&first, NULL, exit_once, NULL) == 0 && pthread_join(first, NULL) == 0);
	give_back();
	for (unsigned i = 0; seconds_now() < end || i < WAYS; i++) {
		one_round((enum way)(i % WAYS), &random);
		if (i % 8 < WAYS) {
			use_another_cache();
			give_back();
		}
	}
	for (int i = 0; i < WAYS; i++)
		printf("%s: %lu times, %lu objects lost, at most %lu in a round\n", way_names[i],
		       events[i], lost[i], lost_most[i]);
	/* The library's own count, of every cache: one per event, or a full one on its way to two
	 * halves and the empty one that is to have the other half. */
	stele_stats_read(&stats);
	printf("%lu sheaves are lost\n", stats.sheaves_out);
	MUST_FOR(stats.sheaves_out <= 2 * all_events(), stats.sheaves_out);
	MUST_FOR(stats.reports == 0, stats.reports);
	rest_must_be_valid();
	return 0;
}
