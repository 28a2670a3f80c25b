/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/bound.c - kmalloc_nolock() and kfree_nolock() are short, at every single call
 *
 * Idea      A child makes a mess: caches that grow and shrink, sheaves and barns that are full or
 *           empty, dead and idle slabs. Some of its calls are stepped through, instruction by
 *           instruction, by its parent, and the longest counts. The work left to others is done
 *           in one call at the end: the proof that a long one would be seen.
 * Argument  of the stress tests; the mess is the same however long.
 * Builds    without sanitizers, which add instructions of their own.
 */
#include "slab/kmem_cache.h"
#include "stepped.h"

#include <errno.h>
#include <sys/mman.h>

/* Instructions of a _nolock call. A debug build has more: it also checks whole structures on the
 * way. */
#define MOST (STELE_DEBUG ? 14000 : 4000)
/* With several memory nodes a call may open an area of each, and map its part of the tables. */
#define MOST_NODES (MOST + 1000)
#define HELD 3000

enum { ALLOC, FREE, BARRIER, KINDS };
static const char *const names[KINDS] = { "kmalloc_nolock", "kfree_nolock",
					  "stele_deferred_barrier" };

static struct shared {
	_Atomic int inside; /* the call is under way */
	int kind;
	unsigned long longest[KINDS], calls[KINDS];
} * shared;

/* ---- the child ---- */

static void *held[HELD];
static uint64_t dice = 0x9e3779b97f4a7c15;

/* The parent counts from "inside" on, until it is over. */
static void stepped(int kind, size_t size, void **p)
{
	shared->kind = kind;
	raise(SIGSTOP);
	atomic_store(&shared->inside, 1);
	if (kind == ALLOC)
		*p = kmalloc_nolock(size, 0, NUMA_NO_NODE);
	else if (kind == FREE)
		kfree_nolock(*p);
	else
		stele_deferred_barrier();
	atomic_store(&shared->inside, 0);
}

static void alloc_some(unsigned from, unsigned to, size_t size, unsigned every)
{
	for (unsigned i = from; i < to; i++) {
		if (next_random(&dice) % every == 0)
			stepped(ALLOC, size, &held[i]);
		else
			held[i] = next_random(&dice) % 2 ? kmalloc(size, 0)
							 : kmalloc_nolock(size, 0, NUMA_NO_NODE);
		MUST(held[i]);
	}
}

static void free_some(unsigned from, unsigned to, unsigned every)
{
	for (unsigned i = from; i < to; i++) {
		if (next_random(&dice) % every == 0 || i + 1 == to)
			stepped(FREE, 0, &held[i]);
		else if (next_random(&dice) % 2)
			kfree_nolock(held[i]);
		else
			kfree(held[i]);
	}
}

static void mess(void)
{
	static const size_t sizes[] = { 8, 56, 512, 3000, 32768 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned n = sizes[i] > 4096 ? 500 : HELD; /* over many areas */

		alloc_some(0, n, sizes[i], n / 25);
		free_some(0, n / 2, n / 25);
		alloc_some(0, n / 4, sizes[i], n / 25);
		stele_deferred_barrier(); /* dead slabs lie on the stack now */
		alloc_some(n / 4, n / 2, sizes[i], n / 50);
		free_some(0, n, n / 25);
	}
}

/* Slabs of a cache that has no sheaves: every one that is empty is left to the barrier. */
static void leave_slabs(void)
{
	struct kmem_cache *s = kmem_cache_create("left", 3000, NULL, SLAB_CONSISTENCY_CHECKS);

	for (unsigned i = 0; i < HELD / 10; i++)
		MUST((held[i] = kmem_cache_alloc(s, 0)));
	for (unsigned i = 0; i < HELD / 10; i++)
		kfree_nolock(held[i]);
	stepped(BARRIER, 0, NULL);
}

static void child(void)
{
	MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	kfree(kmalloc(64, 0)); /* the first call of a slot sets it up */
	mess();
	leave_slabs();
	must_be_valid();
	_exit(0);
}

/* ---- the parent ---- */

static void step_through(pid_t pid)
{
	unsigned long n = stepped_insns(pid, &shared->inside);

	shared->calls[shared->kind]++;
	if (n > shared->longest[shared->kind])
		shared->longest[shared->kind] = n;
}

int main(void)
{
	bool good = true;
	pid_t pid;
	unsigned long most;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	MUST(shared != MAP_FAILED);
	pid = fork();
	if (pid == 0)
		child();
	MUST(stepped_run(pid, step_through) == 0);
	most = getenv("STELE_NODES") ? MOST_NODES : MOST;
	for (int kind = 0; kind < KINDS; kind++) {
		printf("%-22s %5lu calls, longest %lu instructions\n", names[kind],
		       shared->calls[kind], shared->longest[kind]);
		good &= (shared->longest[kind] > most) == (kind == BARRIER);
	}
	return !good;
}
