/* SPDX-License-Identifier: MIT */
/*
 * tests/tooling/readme/misuse.c CASE - makes one mistake, so that docs/bad-input.md can quote the
 * answer
 *
 * Idea      Linked with the shared library like any program. tests/tooling/readme/check runs every
 *           case and compares what is said with what the page says. Cases named malloc-* are for
 *           the drop-in, which the checker preloads.
 * Output    standard error is the library's alone; without an argument, the names of all cases.
 * Exit      0: the program went on, as promised. 1: memory was not what it must be afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <stele/cpu.h>
#include <stele/page.h>
#include <stele/slab.h>

/* Hides a value from the compiler, which would else warn of the mistake or leave it out. */
static void *hidden(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

static char foreign[64] __attribute__((aligned(16)));

/* A cache whose slab stays: one object of it is never freed. */
static struct kmem_cache *cache_of(const char *name, slab_flags_t flags)
{
	struct kmem_cache *s = kmem_cache_create(name, 96, 0, flags | SLAB_NO_MERGE, NULL);

	if (!s || !kmem_cache_alloc(s, GFP_KERNEL))
		exit(1);
	return s;
}

static void free_foreign(void)
{
	kfree(hidden(foreign));
}

static void free_inside(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(hidden(p + 16));
	kfree(p);
}

static void free_cache(void)
{
	struct kmem_cache *s = cache_of("ours", 0);

	kfree(hidden(s));
	if (!kmem_cache_alloc(s, GFP_KERNEL))
		exit(1);
}

static void free_sheaf(void)
{
	struct kmem_cache *s = cache_of("ours", 0);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10);

	kfree(hidden(sheaf));
	if (kmem_cache_sheaf_size(sheaf) < 10)
		exit(1);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
}

static void free_inside_large(void)
{
	char *p = kmalloc(1 << 20, GFP_KERNEL);

	kfree(hidden(p + 4096));
	kfree(p);
}

static void free_twice(void)
{
	struct kmem_cache *s = cache_of("careful", SLAB_CONSISTENCY_CHECKS);
	void *p = kmem_cache_alloc(s, GFP_KERNEL);

	kmem_cache_free(s, p);
	kmem_cache_free(s, hidden(p));
}

static void free_twice_flushed(void)
{
	struct kmem_cache *s = cache_of("quick", 0);
	void *p = kmem_cache_alloc(s, GFP_KERNEL), *between = kmem_cache_alloc(s, GFP_KERNEL);

	kmem_cache_free(s, p);
	kmem_cache_free(s, between);
	kmem_cache_free(s, hidden(p));
	(void)kmem_cache_shrink(s);
}

static void free_twice_large(void)
{
	void *p = kmalloc(1 << 20, GFP_KERNEL);

	kfree(p);
	kfree(hidden(p));
}

static void wrong_cache(void)
{
	struct kmem_cache *a = cache_of("apples", 0), *b = cache_of("pears", 0);

	kmem_cache_free(a, kmem_cache_alloc(b, GFP_KERNEL));
}

static void free_null(void)
{
	kmem_cache_free(cache_of("apples", 0), hidden(NULL));
}

static void large_to_cache(void)
{
	kmem_cache_free(cache_of("apples", 0), kmalloc(1 << 20, GFP_KERNEL));
}

static void pages_to_kfree(void)
{
	kfree((void *)__get_free_pages(GFP_KERNEL, 0));
}

static void wrong_order(void)
{
	free_pages(__get_free_pages(GFP_KERNEL, 1), 0);
}

static void not_pages(void)
{
	free_pages((unsigned long)kmalloc(64, GFP_KERNEL) & ~(PAGE_SIZE - 1), 0);
}

static void huge_order(void)
{
	free_pages(__get_free_pages(GFP_KERNEL, 0), MAX_PAGE_ORDER + 1);
}

static void create_flags(void)
{
	if (kmem_cache_create("flags", 96, 0, 0x80000000u, NULL))
		exit(1);
}

static void create_align(void)
{
	if (kmem_cache_create("align", 96, 24, 0, NULL))
		exit(1);
}

static void create_typesafe(void)
{
	if (kmem_cache_create("typesafe", 96, 0, SLAB_TYPESAFE_BY_RCU, NULL))
		exit(1);
}

static void create_large(void)
{
	if (kmem_cache_create("large", KMEM_CACHE_MAX_SIZE + 1, 0, 0, NULL))
		exit(1);
}

static void create_space(void)
{
	cache_of("two words", 0);
}

static void create_lines(void)
{
	cache_of("two\nlines", 0);
}

static void create_again(void)
{
	cache_of("again", 0);
	cache_of("again", 0);
}

static void create_tracked(void)
{
	cache_of("tracked", SLAB_DEBUG_OBJECTS);
}

static void create_usercopy(void)
{
	if (!kmem_cache_create_usercopy("copied", 96, 0, 0, 90, 10, NULL))
		exit(1);
}

static void make(void *object)
{
	memset(object, 7, 96);
}

static void zero_made(void)
{
	struct kmem_cache *s = kmem_cache_create("made", 96, 0, 0, make);
	unsigned char *p = kmem_cache_zalloc(s, GFP_KERNEL);

	if (!p || p[0] != 7)
		exit(1);
}

static void destroy_live(void)
{
	kmem_cache_destroy(cache_of("live", 0));
}

static void destroy_foreign(void)
{
	kmem_cache_destroy(hidden(foreign));
}

/* ---- CPUs ---- */

static void cpu_twice(void)
{
	if (stele_cpu_up(0) != -EINVAL)
		exit(1);
}

static void cpu_held(void)
{
	cpus_read_lock();
	if (stele_cpu_down(0) != -EDEADLK)
		exit(1);
	cpus_read_unlock();
	cpus_read_unlock();
}

static int number;

static int change_itself(unsigned int cpu)
{
	if (stele_cpu_down(cpu) != -EDEADLK)
		exit(1);
	return cpu ? 0 : -EIO;
}

static void step_fails(void)
{
	number = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "app:step", change_itself, NULL);
	if (number != -EIO)
		exit(1);
}

static void step_wrong(void)
{
	if (cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, NULL, NULL, NULL) != -EINVAL ||
	    cpuhp_setup_state(CPUHP_ONLINE, "app:late", NULL, NULL) != -EINVAL ||
	    cpuhp_setup_state(CPUHP_SLUB_DEAD, "app:ours", NULL, NULL) != -EBUSY)
		exit(1);
	cpuhp_remove_state(CPUHP_AP_ONLINE_DYN);
	cpuhp_remove_state(CPUHP_SLUB_DEAD);
}

static void too_large(void)
{
	if (kmalloc(KMALLOC_MAX_SIZE + 1, GFP_KERNEL))
		exit(1);
}

static void overflow(void)
{
	if (kmalloc_array((size_t)(uintptr_t)hidden((void *)-1), 2, GFP_KERNEL))
		exit(1);
}

static void bad_align(void)
{
	if (kvmalloc_node_align(100, 24, GFP_KERNEL, NUMA_NO_NODE))
		exit(1);
}

static void size_of_foreign(void)
{
	if (ksize(hidden(foreign)))
		exit(1);
}

static void resize_foreign(void)
{
	if (krealloc(hidden(foreign), 100, GFP_KERNEL))
		exit(1);
}

/* Nothing of the freed object is touched, and it is not handed out twice. */
static void resize_freed(void)
{
	unsigned char *p = kmalloc(64, GFP_KERNEL), *q;

	memset(p, 7, 64);
	kfree(p);
	if (krealloc(hidden(p), 200, GFP_KERNEL))
		exit(1);
	q = kmalloc(64, GFP_KERNEL);
	if (q == p && (q[0] != 7 || q[63] != 7))
		exit(1);
	if (q == kmalloc(64, GFP_KERNEL))
		exit(1);
}

static void nolock_flags(void)
{
	kfree_nolock(kmalloc_nolock(64, GFP_KERNEL, NUMA_NO_NODE));
}

static void nolock_flags_cache(void)
{
	kfree_nolock(kmem_cache_alloc_nolock(cache_of("any", 0), GFP_KERNEL, NUMA_NO_NODE));
}

static void nolock_flags_pages(void)
{
	free_pages_nolock(alloc_pages_nolock(GFP_KERNEL, NUMA_NO_NODE, 0), 0);
}

static void nolock_large(void)
{
	kfree_nolock(kmalloc(1 << 20, GFP_KERNEL));
}

/* For a run with wrong options: any call that starts the library. */
static void start(void)
{
	kfree(kmalloc(64, GFP_KERNEL));
}

/* This program again, from its first instruction with room for itself and for nothing else. */
static void no_room(void)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };
	char *argv[] = { (char *)"misuse", (char *)"starved", NULL };

	if (setrlimit(RLIMIT_DATA, &limit) == 0)
		execv("/proc/self/exe", argv);
	exit(1);
}

static void starved(void)
{
	if (kmalloc(64, GFP_KERNEL) || kmalloc(64, GFP_KERNEL))
		exit(1);
}

/* The heap starts; its first area does not fit any more. */
static void no_area(void)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };

	if (!slab_is_available() || setrlimit(RLIMIT_AS, &limit) != 0)
		exit(1);
	starved();
}

static void malloc_foreign(void)
{
	free(hidden(foreign));
}

static void malloc_inside(void)
{
	free((char *)hidden(malloc(64)) + 16);
}

static void malloc_inside_large(void)
{
	free((char *)hidden(malloc(1 << 20)) + 4096);
}

static void refused(void *p, size_t size)
{
	errno = 0;
	if (realloc(hidden(p), size) || errno != ENOMEM)
		exit(1);
}

static void malloc_resize_foreign(void)
{
	refused(foreign, 100);
}

static void malloc_resize_inside(void)
{
	refused((char *)malloc(64) + 16, 100);
}

static void malloc_resize_freed(void)
{
	void *p = malloc(64);

	free(p);
	refused(p, 200);
	if (malloc(64) == malloc(64))
		exit(1);
}

static void malloc_resize_freed_large(void)
{
	void *p = malloc(1 << 20);

	free(p);
	refused(p, 2 << 20);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "free-foreign", free_foreign },
	{ "free-inside", free_inside },
	{ "free-inside-large", free_inside_large },
	{ "free-cache", free_cache },
	{ "free-sheaf", free_sheaf },
	{ "free-twice", free_twice },
	{ "free-twice-flushed", free_twice_flushed },
	{ "free-twice-large", free_twice_large },
	{ "wrong-cache", wrong_cache },
	{ "free-null", free_null },
	{ "large-to-cache", large_to_cache },
	{ "pages-to-kfree", pages_to_kfree },
	{ "wrong-order", wrong_order },
	{ "not-pages", not_pages },
	{ "huge-order", huge_order },
	{ "create-flags", create_flags },
	{ "create-align", create_align },
	{ "create-typesafe", create_typesafe },
	{ "create-large", create_large },
	{ "create-space", create_space },
	{ "create-lines", create_lines },
	{ "create-again", create_again },
	{ "create-tracked", create_tracked },
	{ "create-usercopy", create_usercopy },
	{ "zero-made", zero_made },
	{ "destroy-live", destroy_live },
	{ "destroy-foreign", destroy_foreign },
	{ "cpu-twice", cpu_twice },
	{ "cpu-held", cpu_held },
	{ "step-fails", step_fails },
	{ "step-wrong", step_wrong },
	{ "too-large", too_large },
	{ "overflow", overflow },
	{ "bad-align", bad_align },
	{ "size-of-foreign", size_of_foreign },
	{ "resize-foreign", resize_foreign },
	{ "resize-freed", resize_freed },
	{ "nolock-flags", nolock_flags },
	{ "nolock-flags-cache", nolock_flags_cache },
	{ "nolock-flags-pages", nolock_flags_pages },
	{ "nolock-large", nolock_large },
	{ "start", start },
	{ "no-room", no_room },
	{ "no-area", no_area },
	{ "malloc-foreign", malloc_foreign },
	{ "malloc-inside", malloc_inside },
	{ "malloc-inside-large", malloc_inside_large },
	{ "malloc-resize-foreign", malloc_resize_foreign },
	{ "malloc-resize-inside", malloc_resize_inside },
	{ "malloc-resize-freed", malloc_resize_freed },
	{ "malloc-resize-freed-large", malloc_resize_freed_large },
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "starved") == 0)
		return starved(), 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc < 2)
			puts(cases[i].name);
		else if (strcmp(argv[1], cases[i].name) == 0)
			return cases[i].run(), 0;
	}
	return argc < 2 ? 0 : 2;
}
