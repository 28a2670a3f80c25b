/* SPDX-License-Identifier: MIT */
/*
 * Caches that check their objects. Each test is named by what its user would lose.
 */
#include "contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stele/debug.h>
#include <stele/rcu.h>
#include <stele/stats.h>

#define ALL (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
#define FAR 40 /* bytes around an object that are tried */

static int errors;

static void poke(char *p, long i, char value)
{
	__asm__ volatile("" : "+r"(p));
	((volatile char *)p)[i] = value;
}

static void nothing(void *p)
{
	memset(p, 0, 8);
}

/* ---- every byte around an object ---- */

struct shape {
	size_t size;
	unsigned align;
	slab_flags_t flags;
	void (*ctor)(void *);
};

/* One byte of an object in use is written; only its own bytes are its user's. */
static void try_used(const struct shape *shape, struct kmem_cache *s, char *p, long i)
{
	char old = p[i];
	bool own = i >= 0 && i < (long)shape->size;

	errors = 0;
	poke(p, i, (char)(old ^ 0x55));
	validate_slab_cache(s);
	if (own)
		assert_int_equal(errors, 0);
	else if (errors < 2)
		fail_msg("size %zu align %u: byte %ld", shape->size, shape->align, i);
	errors = 0;
	validate_slab_cache(s);
	assert_int_equal(errors, 0); /* it was repaired */
	if (own)
		poke(p, i, old);
}

/* The same of a free one: its own bytes are checked unless they must be kept. */
static void try_free(const struct shape *shape, struct kmem_cache *s, char *p, long i)
{
	bool own = i >= 0 && i < (long)shape->size;
	bool kept = shape->ctor || shape->flags & SLAB_TYPESAFE_BY_RCU;
	char old = p[i];

	errors = 0;
	poke(p, i, (char)(old ^ 0x55));
	validate_slab_cache(s);
	if (own && kept)
		assert_int_equal(errors, 0);
	else if (errors < 2)
		fail_msg("free, size %zu align %u: byte %ld", shape->size, shape->align, i);
	if (own && kept)
		poke(p, i, old);
}

static void try_shape(const struct shape *shape)
{
	struct kmem_cache *s = kmem_cache_create("shape", shape->size, shape->align,
						 shape->flags | ALL, shape->ctor);
	char *p[3];

	assert_non_null(s);
	for (int i = 0; i < 3; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	assert_true((uintptr_t)p[0] % (shape->align ? shape->align : 8) == 0);
	for (long i = -FAR; i < (long)shape->size + FAR; i++)
		try_used(shape, s, p[1], i);
	kmem_cache_free(s, p[1]);
	for (long i = -FAR; i < (long)shape->size + FAR; i++)
		try_free(shape, s, p[1], i);
	kmem_cache_free(s, p[0]);
	kmem_cache_free(s, p[2]);
	kmem_cache_destroy(s);
}

static void no_byte_around_an_object_is_unwatched(void **state)
{
	static const struct shape shapes[] = {
		{ 8, 0, 0, NULL },     { 13, 0, 0, NULL },   { 64, 0, 0, NULL },
		{ 64, 64, 0, NULL },   { 100, 32, 0, NULL }, { 200, 256, 0, NULL },
		{ 64, 0, 0, nothing }, { 1000, 0, 0, NULL }, { 24, 0, SLAB_HWCACHE_ALIGN, NULL },
	};

	(void)state;
	stele_slab_errors_into(&errors);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		try_shape(&shapes[i]);
	stele_slab_errors_into(NULL);
}

/* ---- flags ---- */

static void zones_alone_are_checked_by_a_validation(void **state)
{
	struct kmem_cache *s = kmem_cache_create("zones", 64, 0, SLAB_RED_ZONE, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	errors = 0;
	stele_slab_errors_into(&errors);
	poke(p, 64, 1);
	kmem_cache_free(s, p); /* no F: it is not looked at */
	assert_int_equal(errors, 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	poke(p, 64, 1);
	assert_int_equal(validate_slab_cache(s), 1);
	assert_int_equal(errors, 2);
	stele_slab_errors_into(NULL);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void a_cache_without_flags_has_nothing_to_check(void **state)
{
	struct kmem_cache *s = kmem_cache_create("plain", 64, 0, SLAB_NO_MERGE, NULL);
	void *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	assert_int_equal(validate_slab_cache(s), 0);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void every_call_is_traced(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 64, 0, SLAB_TRACE, NULL);
	struct stderr_text t;
	char expected[256];
	void *p;

	(void)state;
	STDERR_OF(&t, p = kmem_cache_alloc(s, GFP_KERNEL); kmem_cache_free(s, p));
	snprintf(expected, sizeof(expected),
		 "stele: TRACE traced alloc %p inuse=1 fp=0x0\n"
		 "stele: TRACE traced free %p inuse=1 fp=0x0\n",
		 p, p);
	assert_string_equal(t.text, expected);
	kmem_cache_destroy(s);
}

static void a_fresh_cache_gets_its_flags_at_run_time(void **state)
{
	struct kmem_cache *s = kmem_cache_create("later", 64, 0, SLAB_NO_MERGE, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	assert_int_equal(stele_cache_debug(s, SLAB_RED_ZONE), -EBUSY);
	assert_int_equal(stele_cache_debug(s, SLAB_PANIC), -EINVAL);
	kmem_cache_free(s, p);
	assert_int_equal(stele_cache_debug(s, ALL), 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	errors = 0;
	stele_slab_errors_into(&errors);
	poke(p, 64, 1);
	validate_slab_cache(s);
	stele_slab_errors_into(NULL);
	assert_int_equal(errors, 2);
	assert_int_equal(stele_cache_debug(s, ALL | SLAB_TRACE), 0);
	assert_int_equal(stele_cache_debug(s, ALL), 0);
	kmem_cache_free(s, p);
	assert_int_equal(stele_cache_debug(s, 0), 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_int_equal(validate_slab_cache(s), 0);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

/* ---- contents ---- */

static void objects_keep_what_their_kind_promises(void **state)
{
	struct kmem_cache *made = kmem_cache_create("made", 64, 0, ALL, nothing);
	struct kmem_cache *plain = kmem_cache_create("plain", 64, 0, ALL, NULL);
	char *p = kmem_cache_alloc(made, GFP_KERNEL), *q = kmem_cache_zalloc(plain, GFP_KERNEL);

	(void)state;
	assert_int_equal(p[0], 0);
	p[7] = 0;
	kmem_cache_free(made, p);
	assert_int_equal(p[0], 0); /* constructed still */
	for (int i = 0; i < 64; i++)
		assert_int_equal(q[i], 0);
	kmem_cache_free(plain, q);
	assert_int_equal((unsigned char)((volatile char *)q)[0], 0x6b);
	kmem_cache_destroy(made);
	kmem_cache_destroy(plain);
}

static void every_call_can_serve_from_a_checked_cache(void **state)
{
	struct kmem_cache *s = kmem_cache_create("served", 100, 0, ALL, NULL);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 5);
	struct stderr_text t;
	void *p[20], *q;

	(void)state;
	assert_non_null(sheaf);
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 20, p));
	q = kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE);
	memset(q, 1, 100);
	STDERR_OF(&t, kmem_cache_free_bulk(s, 20, p); kfree_nolock(q);
		  q = kmem_cache_alloc_from_sheaf(s, GFP_KERNEL, sheaf); memset(q, 2, 100);
		  kfree(q); kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf); kmem_cache_shrink(s);
		  stele_slab_validate());
	assert_silent(&t);
	kmem_cache_destroy(s);
}

/* ---- threads ---- */

#define ROUNDS 3000

static struct kmem_cache *shared;

static void *use_shared(void *arg)
{
	void *p[16];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 16; k++)
			memset(p[k] = kmem_cache_alloc(shared, GFP_KERNEL), k, 72);
		for (int k = 0; k < 16; k++)
			kmem_cache_free(shared, p[k]);
	}
	return NULL;
}

static void *shrink_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS / 30; i++)
		kmem_cache_shrink(shared);
	return NULL;
}

static void a_validation_beside_users_finds_nothing(void **state)
{
	pthread_t threads[4];
	struct stderr_text t;

	(void)state;
	shared = kmem_cache_create("shared", 72, 0, ALL, NULL);
	assert_true(stderr_begin(&t));
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i ? use_shared : shrink_often, NULL);
	for (int i = 0; i < 50; i++)
		validate_slab_cache(shared);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	stderr_end(&t);
	assert_silent(&t);
	kmem_cache_destroy(shared);
}

/* ---- reports ---- */

static char told[4096];

static void take_line(void *arg, const char *text)
{
	(void)arg;
	strncat(told, text, sizeof(told) - strlen(told) - 1);
}

static void a_program_can_take_the_reports(void **state)
{
	static const struct stele_report_to mine = { take_line, NULL };
	struct kmem_cache *s = kmem_cache_create("taken", 16, 0, ALL, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct stderr_text t;

	(void)state;
	stele_report_to(&mine);
	STDERR_OF(&t, poke(p, 16, 1); kmem_cache_free(s, p); kmem_cache_free(s, p + 8));
	stele_report_to(NULL);
	assert_silent(&t);
	assert_non_null(strstr(told, "BUG taken ("));
	assert_non_null(strstr(told, "not the start of an object in cache 'taken'; not freed"));
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

/* The line that begins with @what names a CPU that the machine has, and this thread. */
static void assert_where(const struct stderr_text *t, const char *what)
{
	const char *line = strstr(t->text, what), *cpu = line ? strstr(line, " cpu=") : NULL;
	unsigned number = ~0u, thread = 0;

	assert_non_null(cpu);
	assert_int_equal(sscanf(cpu, " cpu=%u pid=%u", &number, &thread), 2);
	assert_true(number < (unsigned)sysconf(_SC_NPROCESSORS_CONF));
	assert_int_equal(thread, gettid());
}

static void a_dump_names_who_allocated_and_freed(void **state)
{
	struct kmem_cache *s = kmem_cache_create("dumped", 16, 0, ALL, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *q = kmem_cache_alloc(s, GFP_KERNEL);
	struct stderr_text t;

	(void)state;
	kmem_cache_free(s, p);
	STDERR_OF(&t, assert_true(kmem_dump_obj(p + 3)));
	assert_says(&t, " slab dumped start ");
	assert_says(&t, " pointer offset 3 size 16\n");
	assert_says(&t, "Allocated in contract_debug+0x");
	assert_says(&t, "Freed in contract_debug+0x");
	assert_where(&t, "Allocated in");
	assert_where(&t, "Freed in");
	kmem_cache_free(s, q);
	kmem_cache_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_around_an_object_is_unwatched),
		cmocka_unit_test(zones_alone_are_checked_by_a_validation),
		cmocka_unit_test(a_cache_without_flags_has_nothing_to_check),
		cmocka_unit_test(every_call_is_traced),
		cmocka_unit_test(a_fresh_cache_gets_its_flags_at_run_time),
		cmocka_unit_test(objects_keep_what_their_kind_promises),
		cmocka_unit_test(every_call_can_serve_from_a_checked_cache),
		cmocka_unit_test(a_validation_beside_users_finds_nothing),
		cmocka_unit_test(a_program_can_take_the_reports),
		cmocka_unit_test(a_dump_names_who_allocated_and_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
