/* SPDX-License-Identifier: MIT */
/*
 * stele_leak_check() finds the blocks that no word of the program leads to, and those alone.
 *
 * Lost      A function of its own allocates and forgets, and the stack that it had is cleared, so that no
 *           word is left by chance.
 */
#include "contract.h"

#include <pthread.h>
#include <semaphore.h>
#include <stele/debug.h>
#include <stele/page.h>
#include <sys/mman.h>
#include <unistd.h>

struct thing {
	struct thing *next;
	char text[40];
};

static struct kmem_cache *cache;
static struct thing *kept;
static _Thread_local struct thing *kept_by_thread;

/* ---- what is said ---- */

static char told[4096];

static void take_line_of_leaks(void *arg, const char *text)
{
	(void)arg;
	strncat(told, text, sizeof(told) - strlen(told) - 1);
}

static long check(void)
{
	static const struct stele_report_to mine = { take_line_of_leaks, NULL };
	long lost;

	told[0] = 0;
	stele_report_to(&mine);
	lost = stele_leak_check();
	stele_report_to(NULL);
	return lost;
}

/* ---- blocks that are lost ---- */

static __attribute__((noinline)) struct thing *make_thing(void)
{
	struct thing *p = kmem_cache_alloc(cache, GFP_KERNEL);

	assert_non_null(p);
	memset(p, 0, sizeof(*p));
	return p;
}

/* As it is written over, a word of the calls before is not found any more. */
static __attribute__((noinline)) void clear_stack(void)
{
	volatile char words[16384];

	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = 0;
}

static __attribute__((noinline)) void lose_things(unsigned n)
{
	while (n--)
		make_thing();
}

/* A chain of three, of which the first one is lost. */
static __attribute__((noinline)) void forget_chain(void)
{
	struct thing *first = make_thing();

	first->next = make_thing();
	first->next->next = make_thing();
}

static int make_cache(void **state)
{
	(void)state;
	cache = kmem_cache_create("things", sizeof(struct thing), 0, SLAB_STORE_USER, NULL);
	return cache ? 0 : -1;
}

/* ---- the cases ---- */

static long lost_before; /* they stay so */

static void freed_blocks_are_not_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		kmem_cache_free(cache, make_thing());
	assert_int_equal(check(), lost_before);
}

static void a_lost_object_is_found_with_its_caller(void **state)
{
	(void)state;
	lose_things(3);
	clear_stack();
	assert_int_equal(check(), lost_before + 3);
	assert_non_null(strstr(told, "stele: lost 144 bytes in 3 blocks, allocated in "));
	assert_non_null(strstr(told, "contract_leaks+0x"));
	assert_non_null(strstr(told, "144 bytes in 3 blocks lost, from 1 place\n"));
	lost_before += 3;
}

static void each_object_of_a_lost_chain_is_found(void **state)
{
	(void)state;
	forget_chain();
	clear_stack();
	assert_int_equal(check(), lost_before + 3);
	lost_before += 3;
}

static void objects_that_data_leads_to_are_not_lost(void **state)
{
	(void)state;
	kept = make_thing();
	kept->next = make_thing();
	kept->next->next = make_thing();
	kept_by_thread = make_thing();
	assert_int_equal(check(), lost_before);
	/* A word in the middle of an object leads to it, too. */
	kept = (struct thing *)(void *)kept->text;
	assert_int_equal(check(), lost_before);
	kmem_cache_free(cache, kept_by_thread);
	kept_by_thread = NULL;
	kept = NULL;
	clear_stack();
	assert_int_equal(check(), lost_before + 3);
	lost_before += 3;
}

static void objects_of_other_caches_lead_further(void **state)
{
	void **plain = kmalloc(64, GFP_KERNEL), **large = kvmalloc(1 << 20, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);

	(void)state;
	assert_true(plain && large && page);
	plain[7] = make_thing();
	large[100000] = make_thing();
	((void **)page_address(page))[500] = make_thing();
	clear_stack();
	assert_int_equal(check(), lost_before);
	kmem_cache_free(cache, plain[7]);
	kmem_cache_free(cache, large[100000]);
	kmem_cache_free(cache, ((void **)page_address(page))[500]);
	kfree(plain);
	kvfree(large);
	__free_page(page);
}

static sem_t there, go_on;

static void *hold_one(void *arg)
{
	struct thing *volatile mine = make_thing();

	kept_by_thread = make_thing();
	sem_post(&there);
	while (sem_wait(&go_on) != 0)
		;
	kmem_cache_free(cache, mine);
	kmem_cache_free(cache, kept_by_thread);
	return arg;
}

static void objects_that_another_thread_holds_are_not_lost(void **state)
{
	pthread_t thread;

	(void)state;
	sem_init(&there, 0, 0);
	sem_init(&go_on, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, hold_one, NULL), 0);
	while (sem_wait(&there) != 0)
		;
	assert_int_equal(check(), lost_before);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}

static void a_foreign_page_without_access_is_passed_over(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(p != MAP_FAILED && mprotect(p + page, page, PROT_NONE) == 0);
	*(void **)(void *)(p + 2 * page) = make_thing();
	clear_stack();
	assert_int_equal(check(), lost_before);
	kmem_cache_free(cache, *(void **)(void *)(p + 2 * page));
	munmap(p, 3 * page);
}

/* Of 64 GiB, one page was touched. */
static void a_vast_mapping_is_looked_at_where_it_was_touched(void **state)
{
	size_t size = 1ul << 36;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void **far = (void **)(void *)(p + size / 3 * 2 / 8 * 8);

	(void)state;
	assert_true(p != MAP_FAILED);
	*far = make_thing();
	clear_stack();
	assert_int_equal(check(), lost_before);
	kmem_cache_free(cache, *far);
	munmap(p, size);
}

static void an_object_without_access_can_be_in_use(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct kmem_cache *pages = kmem_cache_create("leak-pages", (unsigned)page, (unsigned)page,
						     SLAB_STORE_USER, NULL);
	static char *p;

	(void)state;
	assert_non_null(pages);
	p = kmem_cache_alloc(pages, GFP_KERNEL);
	assert_true(p && mprotect(p, page, PROT_NONE) == 0);
	assert_int_equal(check(), lost_before);
	assert_int_equal(mprotect(p, page, PROT_READ | PROT_WRITE), 0);
	kmem_cache_free(pages, p);
	kmem_cache_destroy(pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freed_blocks_are_not_lost),
		cmocka_unit_test(a_lost_object_is_found_with_its_caller),
		cmocka_unit_test(each_object_of_a_lost_chain_is_found),
		cmocka_unit_test(objects_that_data_leads_to_are_not_lost),
		cmocka_unit_test(objects_of_other_caches_lead_further),
		cmocka_unit_test(objects_that_another_thread_holds_are_not_lost),
		cmocka_unit_test(a_foreign_page_without_access_is_passed_over),
		cmocka_unit_test(a_vast_mapping_is_looked_at_where_it_was_touched),
		cmocka_unit_test(an_object_without_access_can_be_in_use),
	};

	return cmocka_run_group_tests(tests, make_cache, NULL);
}
