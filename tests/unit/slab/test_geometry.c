/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/geometry.c: a cache of the library that a second thread fills in late is the same all
 * the while; another thread uses it already.
 */
#include "page/run.h"
#include "percpu/system.h"
#include "slab/geometry.h"

#include "../unit.h"

#include <pthread.h>
#include <time.h>

#define FLAGS (SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN)
#define SECONDS 1.0

static struct kmem_cache cache;
static _Atomic bool over;

static void boot(void)
{
	stele_slab_boot(&cache, "late", 192, 64, FLAGS);
}

static void *boot_late(void *unused)
{
	while (!load_relaxed(&over))
		boot();
	return unused;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What a slab is made by, as another thread sees it at any moment. */
static STELE_RACY_LOOK bool is_as_it_was(const volatile struct kmem_cache *s,
					 const struct kmem_cache *was)
{
	return s->frames == was->frames && s->objects == was->objects && s->size == was->size &&
	       s->run_align == was->run_align && s->recip == was->recip && s->flags == was->flags;
}

/* System pages of 64 KiB: slabs that stay are rounded up to these. */
static void late_boot_changes_nothing(void **state)
{
	double end = now() + SECONDS;
	struct kmem_cache *was;
	pthread_t thread;
	bool same = true;

	(void)state;
	assert_int_equal(stele_heap_start(), 0);
	stele_system_facts.page_size = 65536;
	boot();
	assert_int_equal(cache.frames % (65536 / FRAME_SIZE), 0);
	was = test_malloc(sizeof(*was));
	*was = cache;
	assert_int_equal(pthread_create(&thread, NULL, boot_late, NULL), 0);
	while (same && now() < end)
		for (int i = 0; same && i < 1000; i++)
			same = is_as_it_was(&cache, was);
	store_relaxed(&over, true);
	pthread_join(thread, NULL);
	assert_true(same);
	test_free(was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_boot_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
