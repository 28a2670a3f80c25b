/* SPDX-License-Identifier: MIT */
/* A read without ownership leads into memory that a program has: a debug build says so and ends. */
#include "death.h"

#include "cache/sheaves.h"
#include "page/run.h"
#include "slab/parts.h"
#include "sync/names.h"
#include "sync/atomic.h"

#include <signal.h>
#include <sys/resource.h>

static void look_at(void *p)
{
	racy_target(p);
}

static void look_at_part(void *p)
{
	struct names names = { .more = p };

	names_at(&names, NAMES_PLACES);
}

static void look_at_nodes(void *p)
{
	static struct kmem_cache s;

	atomic_store(&s.nodes, p);
	stele_cache_node(&s, 1);
}

static void (*look)(void *p) = look_at;

static int reads_at(void *p)
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		look(p);
		_exit(0);
	}
	return waitpid(child, &status, 0) == child ? status : -1;
}

static bool dies_at(void *p)
{
	int status;

	said_begin();
	status = reads_at(p);
	return said("stele: a read without ownership at %p, in memory that others are given\n",
		    p) &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main(void)
{
	static int here;
	struct kmem_cache *s = kmem_cache_create("racy", 64, 0, SLAB_NO_MERGE, NULL);
	void *object = kmalloc(64, GFP_KERNEL), *large = kmalloc(100000, GFP_KERNEL),
	     *huge = kvmalloc(5000000, GFP_KERNEL);
	unsigned long page = __get_free_pages(GFP_KERNEL, 0);

	MUST(s && object && large && huge && page);
	MUST(dies_at(object));
	MUST(dies_at(large));
	MUST(dies_at(huge));
	MUST(dies_at((void *)page));
	look = look_at_part;
	MUST(dies_at(object));
	look = look_at_nodes;
	MUST(dies_at(object));
	look = look_at;
	/* A cache, a descriptor, a sheaf's slab, and what is not of the heap. */
	said_begin();
	MUST(reads_at(s) == 0);
	MUST(reads_at(stele_run_of(object)) == 0);
	MUST(reads_at((void *)(uintptr_t)stele_sheaf_new(s)) == 0);
	MUST(reads_at(&here) == 0);
	return !said("%s", "");
}
