/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/growth.c - what a call costs does not grow with the caches, areas and blocks there are
 *
 * Idea      A child makes a world: caches with objects in sheaves, small and large blocks with holes
 *           between them, huge blocks. Its parent counts the instructions of each kind of call
 *           (stepped.h). The worlds are of one size, of 4 times and of 16 times that. Neither the
 *           mean of a kind nor its longest call may grow with the world by more than chance.
 * Control   kmem_cache_create() compares with every cache, so it must be seen to grow.
 * Limits    Work that a call does once in a while counts only when a call does it here; so looks at
 *           cold slots and purges are made frequent by options.
 * Builds    without sanitizers, which add instructions of their own.
 */
#include "../toy_flavor.h"
#include "stepped.h"

#include <stele/page.h>
#include <stele/rcu.h>
#include <sys/mman.h>

#define CACHES 64  /* in a world of size 1 */
#define SMALL 3000 /* blocks of up to 4 KiB */
#define LARGE 100  /* of 100 KB */
#define HUGE 12	   /* of 2.1 MB: more than an area */
#define SCALES 3
#define CALLS 10 /* of each kind */
#define BURST 40
#define MEAN_MORE 1.5 /* a mean may grow by so much between the smallest and the largest world */
#define LONGEST_MORE 2.0
#define CHANCE 1500 /* instructions that a bounded piece of work adds, here or there */

static const unsigned scales[SCALES] = { 1, 4, 16 };

enum kind {
	OBJECTS,
	BLOCKS,
	LARGE_PAIR,
	HUGE_PAIR,
	GROWING,
	PAGES,
	NOLOCK,
	BULK,
	DEFERRED,
	SHRINK,
	CREATE, /* the control */
	KINDS,
};

static const char *const names[KINDS] = {
	"40 objects of a cache", "40 blocks to 4 KiB", "100 KB",	 "2.1 MB",
	"a block that grows",	 "16 pages",	       "_nolock",	 "bulk",
	"40 kfree_rcu()",	 "shrink a cache",     "create a cache",
};

static struct shared {
	_Atomic int inside;
	enum kind kind;
	unsigned scale; /* its number */
	unsigned long sum[SCALES][KINDS], longest[SCALES][KINDS];
} * shared;

/* ---- the child ---- */

struct item {
	char bytes[200];
	struct kvfree_rcu_head rcu;
};

static struct kmem_cache *some, *items;
static uint64_t dice = 0x9e3779b97f4a7c15;

static void *block(size_t size)
{
	char *p = kmalloc(size, GFP_KERNEL);

	MUST(p);
	p[0] = 1;
	return p;
}

/* Each third one is freed: holes of all kinds lie between the others. */
static void blocks_with_holes(unsigned n, size_t least, size_t most)
{
	void **all = malloc(n * sizeof(*all));

	MUST(all);
	for (unsigned i = 0; i < n; i++)
		all[i] = block(least + next_random(&dice) % (most - least + 1));
	for (unsigned i = 0; i < n; i += 3)
		kfree(all[i]);
	free(all);
}

static void caches_with_objects(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[24];
		struct kmem_cache *s;
		void *p[3];

		snprintf(name, sizeof(name), "world-%u", i);
		s = kmem_cache_create(name, 64 + i % 7 * 40, NULL, SLAB_NO_MERGE);
		MUST(s);
		for (int j = 0; j < 3; j++)
			MUST((p[j] = kmem_cache_alloc(s, 0)));
		for (int j = 0; j < 2; j++)
			kmem_cache_free(s, p[j]);
	}
}

static void make_world(unsigned scale)
{
	caches_with_objects(CACHES * scale);
	blocks_with_holes(SMALL * scale, 8, 4096);
	blocks_with_holes(LARGE * scale, 60000, 140000);
	blocks_with_holes(HUGE * scale, 2100000, 4000000);
	MUST(stele_rcu_set_flavor(&toy_flavor) == 0);
	some = kmem_cache_create("some", 500, NULL, SLAB_NO_MERGE);
	items = kmem_cache_create("items", sizeof(struct item), NULL, SLAB_NO_MERGE);
	MUST(some && items);
}

static void objects(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmem_cache_alloc(some, 0);
	for (int i = 0; i < BURST; i++)
		kmem_cache_free(some, p[i]);
}

static void small_blocks(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmalloc(1 + next_random(&dice) % 4096, GFP_KERNEL);
	for (int i = 0; i < BURST; i++)
		kfree(p[i]);
}

static void growing(void)
{
	void *p = NULL;

	for (size_t size = 5000; size < 12000; size += size / 4)
		p = krealloc(p, size, GFP_KERNEL);
	kfree(p);
}

static void pages(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 4);

	if (page)
		__free_pages(page, 4);
}

static void nolock(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmalloc_nolock(300, 0, NUMA_NO_NODE);
	for (int i = 0; i < BURST; i++)
		kfree_nolock(p[i]);
}

static void bulk(void)
{
	void *p[BURST];

	if (kmem_cache_alloc_bulk(some, GFP_KERNEL, BURST, p))
		kmem_cache_free_bulk(some, BURST, p);
}

static void deferred(void)
{
	for (int i = 0; i < BURST; i++) {
		struct item *item = kmem_cache_alloc(items, 0);

		if (item)
			kfree_rcu(item, rcu);
	}
}

static void call(enum kind kind)
{
	switch (kind) {
	case OBJECTS:
		return objects();
	case BLOCKS:
		return small_blocks();
	case LARGE_PAIR:
		return kfree(kmalloc(100000, GFP_KERNEL));
	case HUGE_PAIR:
		return kfree(kmalloc(2100000, GFP_KERNEL));
	case GROWING:
		return growing();
	case PAGES:
		return pages();
	case NOLOCK:
		return nolock();
	case BULK:
		return bulk();
	case DEFERRED:
		return deferred();
	case SHRINK:
		kmem_cache_shrink(some);
		return;
	default:
		kmem_cache_destroy(kmem_cache_create("other", 900, NULL, 0));
	}
}

/* Not one after the other: each kind finds what the others have left. */
static void child(unsigned scale)
{
	MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	make_world(scale);
	for (int i = 0; i < CALLS; i++)
		for (enum kind kind = 0; kind < KINDS; kind++) {
			nap_ms(2); /* the clock asks for looks */
			shared->kind = kind;
			raise(SIGSTOP);
			atomic_store(&shared->inside, 1);
			call(kind);
			atomic_store(&shared->inside, 0);
		}
	_exit(0);
}

/* ---- the parent ---- */

static void count(pid_t pid)
{
	unsigned long n = stepped_insns(pid, &shared->inside);
	unsigned long *longest = &shared->longest[shared->scale][shared->kind];

	shared->sum[shared->scale][shared->kind] += n;
	*longest = n > *longest ? n : *longest;
}

static void run_world(unsigned number)
{
	pid_t pid;

	shared->scale = number;
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		child(scales[number]);
	MUST(stepped_run(pid, count) == 0);
}

static double mean(unsigned scale, enum kind kind)
{
	return (double)shared->sum[scale][kind] / CALLS;
}

static bool grows(enum kind kind)
{
	unsigned long before = shared->longest[1][kind];

	if (shared->longest[0][kind] > before)
		before = shared->longest[0][kind];
	return mean(2, kind) > mean(0, kind) * MEAN_MORE + CHANCE ||
	       (double)shared->longest[2][kind] > (double)before * LONGEST_MORE + CHANCE;
}

int main(void)
{
	bool good = true;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	MUST(shared != MAP_FAILED);
	setenv("STELE_CPU_LOOK", "1", 1);
	setenv("STELE_DIRTY_MIN", "64k", 1);
	for (unsigned i = 0; i < SCALES; i++)
		run_world(i);
	printf("instructions, mean and longest of %u calls, in worlds of size 1, 4 and 16\n", CALLS);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		printf("%-22s", names[kind]);
		for (unsigned i = 0; i < SCALES; i++)
			printf(" %8.0f %8lu", mean(i, kind), shared->longest[i][kind]);
		printf("%s\n", grows(kind) ? "  grows" : "");
		good &= grows(kind) == (kind == CREATE);
	}
	return !good;
}
