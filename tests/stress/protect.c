/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/protect.c - a program does as it likes with its pages, and others with theirs
 *
 * Idea      Threads allocate, free, create and destroy caches. One takes pages and takes all access
 *           from them for a while; one maps memory beside the library's and unmaps it again. In
 *           between caches are shrunk and statistics read. Memory that was freed meanwhile and
 *           is still read must be the library's own: everything else may be gone.
 * Argument  seconds to run.
 */
#include "stress.h"

#include "../protect.h"

#include <stele/page.h>

#include <fcntl.h>
#include <unistd.h>

#define THREADS 5
#define OBJECTS 24
#define PAGES 400
#define BLOCKS 16
#define MAPPINGS 16
#define MAPPING (1ul << 21)

static struct kmem_cache *few, *many; /* few, many objects in a sheaf */

/* ---- the allocating threads ---- */

/* What the kernel finds at @p: another page than this thread does if its translation is stale. */
static void tell_of_kernel(const void *p)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long word = 0;
	ssize_t got = pread(mem, &word, sizeof(word), (off_t)(uintptr_t)p);

	fprintf(stderr, "the kernel reads %#lx there (%zd bytes)\n", word, got);
	close(mem);
}

/* The mappings that begin within 4 MiB of @p. */
static void tell_of_mappings(const void *p)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[256];

	while (maps && fgets(line, sizeof(line), maps))
		if (strtoul(line, NULL, 16) - ((uintptr_t)p - (4ul << 20)) < 8ul << 20)
			fputs(line, stderr);
}

/* An object that lost its first word: tells what the library knows of it, and what is around. */
static __attribute__((noinline)) void lost(struct kmem_cache *s, void *p, unsigned which,
					   unsigned n, bool bounded)
{
	const uint64_t *words = p;

	fprintf(stderr, "object %u of %u of %u bytes%s, %p, has %#lx %#lx %#lx %#lx\n", which, n,
		kmem_cache_size(s), bounded ? ", nolock" : "", p, (unsigned long)words[0],
		(unsigned long)words[1], (unsigned long)words[2], (unsigned long)words[3]);
	tell_of_kernel(p);
	kmem_dump_obj(p);
	tell_of_mappings(p);
	MUST(!"an object keeps what was written to it");
}

static void some_objects(struct kmem_cache *s, uint64_t *random)
{
	void *p[OBJECTS];
	unsigned n = 1 + (unsigned)(next_random(random) % OBJECTS);
	bool bounded = next_random(random) % 8 == 0;
	uint64_t mine = next_random(random) | 1; /* so an object of two owners shows it */

	for (unsigned i = 0; i < n; i++) {
		p[i] = bounded ? kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE)
			       : kmem_cache_alloc(s, GFP_KERNEL);
		MUST(p[i]);
		*(uint64_t *)p[i] = mine + 2 * i;
	}
	for (unsigned i = 0; i < n; i++) {
		if (*(uint64_t *)p[i] != mine + 2 * i)
			lost(s, p[i], i, n, bounded);
		if (bounded)
			kfree_nolock(p[i]);
		else
			kmem_cache_free(s, p[i]);
	}
}

static void cache_for_a_while(uint64_t *random, uintptr_t number)
{
	size_t size = 64 + next_random(random) % 5000;
	struct kmem_cache *s;
	char name[32];

	snprintf(name, sizeof(name), "for-a-while-%u", (unsigned)number);
	s = kmem_cache_create(name, (unsigned)size, 0, SLAB_NO_MERGE, NULL);
	MUST(s);
	some_objects(s, random);
	kmem_cache_destroy(s);
}

static void allocate_some(uint64_t *random, uintptr_t number)
{
	uint64_t kind = next_random(random) % 256;

	if (kind == 0)
		cache_for_a_while(random, number);
	else if (kind <= 2)
		kmem_cache_shrink(kind % 2 ? few : many);
	else
		some_objects(kind % 2 ? few : many, random);
	step_done();
}

/* ---- the thread that takes the access away ---- */

static void protect_pages(uint64_t *random)
{
	char *pages[PAGES], *blocks[BLOCKS];
	size_t page = stele_page_bytes(), sizes[BLOCKS];

	for (unsigned i = 0; i < PAGES; i++)
		MUST((pages[i] = (char *)__get_free_pages(GFP_KERNEL, 0)) != NULL);
	MUST(pages_protect(pages, PAGES, PROT_NONE));
	for (unsigned i = 0; i < BLOCKS; i++) {
		sizes[i] = page * (1 + next_random(random) % 40);
		MUST((blocks[i] = alloc_pages_exact(sizes[i], GFP_KERNEL)) != NULL);
		MUST(mprotect(blocks[i], sizes[i], PROT_NONE) == 0);
	}
	nap_ms(1 + (long)(next_random(random) % 4));
	for (unsigned i = 0; i < BLOCKS; i++) {
		MUST(mprotect(blocks[i], sizes[i], PROT_READ | PROT_WRITE) == 0);
		free_pages_exact(blocks[i], sizes[i]);
	}
	MUST(pages_protect(pages, PAGES, PROT_READ | PROT_WRITE));
	for (unsigned i = 0; i < PAGES; i++)
		free_pages((unsigned long)pages[i], 0);
}

/* ---- the thread that maps beside ---- */

static void map_beside(uint64_t *random)
{
	char *at[MAPPINGS], *near = kmalloc(MAPPING, GFP_KERNEL);

	MUST(near);
	kfree(near);
	for (unsigned i = 0; i < MAPPINGS; i++) {
		/* A wish only: a mapping that is in use there stays. */
		char *wish = near + (next_random(random) % 64) * MAPPING - 32 * MAPPING;

		at[i] = mmap(wish, MAPPING, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		MUST(at[i] != MAP_FAILED);
		at[i][next_random(random) % MAPPING] = 1;
	}
	for (unsigned i = 0; i < MAPPINGS; i++)
		MUST(munmap(at[i], MAPPING) == 0);
}

static void *work(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);

	while (!stopped()) {
		if ((uintptr_t)number == 0)
			protect_pages(&random);
		else if ((uintptr_t)number == 1)
			map_beside(&random);
		else
			allocate_some(&random, (uintptr_t)number);
	}
	return NULL;
}

static void trim_and_read(void)
{
	struct stele_stats stats;

	stele_trim(0);
	stele_stats_read(&stats);
}

int main(int argc, char **argv)
{
	few = kmem_cache_create("few", 24000, 0, SLAB_NO_MERGE, NULL);
	many = kmem_cache_create("many", 72, 0, SLAB_NO_MERGE, NULL);
	MUST(few && many);
	run_for(seconds_asked(argc, argv), THREADS, work, trim_and_read);
	kmem_cache_destroy(few);
	kmem_cache_destroy(many);
	return finish(2ul << 20);
}
