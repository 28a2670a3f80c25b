/* SPDX-License-Identifier: MIT */
/*
 * A thread validates caches while other threads allocate their objects, take the access to whole pages
 * away and bring it back before they free them. The validation reads no such page, reports nothing,
 * and loses no object.
 *
 * The program starts itself again, so that the buckets of kmalloc() have debug flags.
 */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stele/debug.h>
#include <sys/mman.h>
#include <unistd.h>

#define OBJECTS 4
#define THREADS 2
#define VALIDATIONS 600

static struct kmem_cache *cache;
static size_t page;
static atomic_bool stop;

static void protect(char *p)
{
	memset(p, 1, page);
	assert_int_equal(mprotect(p, page, PROT_NONE), 0);
}

static void unprotect(char *p)
{
	assert_int_equal(mprotect(p, page, PROT_READ | PROT_WRITE), 0);
	assert_true(p[0] == 1 && p[page - 1] == 1);
}

/* Each object is a page. */
static void *use_pages(void *arg)
{
	char *p[OBJECTS];

	while (!atomic_load(&stop)) {
		for (int i = 0; i < OBJECTS; i++) {
			p[i] = kmem_cache_alloc(cache, GFP_KERNEL);
			assert_non_null(p[i]);
			protect(p[i]);
		}
		for (int i = 0; i < OBJECTS; i++) {
			unprotect(p[i]);
			kmem_cache_free(cache, p[i]);
		}
	}
	return arg;
}

/* Of one bucket, aligned to its size: requests that leave the end of the second page to the zone, and
 * requests for both pages. */
static void *use_bucket(void *arg)
{
	while (!atomic_load(&stop)) {
		char *part = kmalloc(2 * page - 800, GFP_KERNEL), *all;

		assert_non_null(part);
		kfree(part);
		all = kmalloc(2 * page, GFP_KERNEL);
		assert_int_equal((uintptr_t)all % (2 * page), 0);
		protect(all + page);
		unprotect(all + page);
		kfree(all);
	}
	return arg;
}

static void validate_beside(void *(*use)(void *))
{
	pthread_t thread[THREADS];
	struct stderr_text t;

	atomic_store(&stop, false);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, use, NULL), 0);
	STDERR_OF(&t, for (int i = 0; i < VALIDATIONS; i++) stele_slab_validate());
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_silent(&t);
	assert_int_equal(stele_slab_errors(), 0);
}

static void validations_read_no_free_page_that_is_taken(void **state)
{
	struct kmem_cache_args args = { .align = (unsigned)page };
	struct stderr_text t;

	(void)state;
	cache = kmem_cache_create("protected", (unsigned)page, &args,
				  SLAB_POISON | SLAB_RED_ZONE | SLAB_CONSISTENCY_CHECKS);
	assert_non_null(cache);
	validate_beside(use_pages);
	STDERR_OF(&t, kmem_cache_destroy(cache)); /* which reports objects that are in use */
	assert_silent(&t);
}

static void validations_read_no_zone_that_is_taken(void **state)
{
	(void)state;
	if (2 * page <= KMALLOC_MAX_CACHE_SIZE) /* else pages of kmalloc() are no objects */
		validate_beside(use_bucket);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(validations_read_no_free_page_that_is_taken),
		cmocka_unit_test(validations_read_no_zone_that_is_taken),
	};

	char debug[64];

	(void)argc;
	page = (size_t)sysconf(_SC_PAGESIZE);
	if (!getenv("STELE_DEBUG")) {
		snprintf(debug, sizeof(debug), "FZ,kmalloc-%zuk", 2 * page / 1024);
		setenv("STELE_DEBUG", debug, 1);
		execv("/proc/self/exe", argv);
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
