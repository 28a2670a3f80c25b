/* SPDX-License-Identifier: MIT */
/*
 * Caches: making them, and refusing to. Each test is named by what its user would lose. How caches
 * are shared and ended: tests/contract/test_cache_end.c.
 */
#include "caches.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
	long x, y;
};

static void every_form_of_create_gives_a_working_cache(void **state)
{
	struct kmem_cache_args args = { .align = 16 };

	(void)state;
	assert_works(kmem_cache_create("older", 40, 0, 0, NULL), 40);
	assert_works(kmem_cache_create("args", 40, &args, 0), 40);
	assert_works(kmem_cache_create("null-args", 40, NULL, 0), 40);
	assert_works(kmem_cache_create_usercopy("copy", 40, 0, 0, 8, 16, NULL), 40);
	assert_works(KMEM_CACHE(point, 0), sizeof(struct point));
	assert_works(KMEM_CACHE_USERCOPY(point, 0, y), sizeof(struct point));
	assert_works((kmem_cache_create)("function", 40, 0, 0, NULL), 40);
}

static void every_size_to_the_largest_can_be_cached(void **state)
{
	static const size_t sizes[] = {
		1, 7, 8, 9, 100, 255, 4095, 4096, 4097, 32768, 100000, 1 << 20, KMEM_CACHE_MAX_SIZE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_works(plain("sized", sizes[i]), sizes[i]);
}

static void a_struct_keeps_its_alignment(void **state)
{
	struct wide {
		long x;
	} __attribute__((aligned(128)));
	struct kmem_cache *s = KMEM_CACHE(wide, 0);
	struct wide *w[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		w[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_int_equal((uintptr_t)w[i] % 128, 0);
	}
	for (int i = 0; i < 64; i++)
		kmem_cache_free(s, w[i]);
	kmem_cache_destroy(s);
}

static void alignment_asked_for_is_given(void **state)
{
	(void)state;
	for (unsigned int align = 1; align <= 4096; align *= 2) {
		struct kmem_cache_args args = { .align = align };
		struct kmem_cache *s = kmem_cache_create("aligned", 24, &args, 0);
		void *p[20];

		assert_non_null(s);
		for (int i = 0; i < 20; i++) {
			p[i] = kmem_cache_alloc(s, GFP_KERNEL);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % align, 0);
			assert_int_equal((uintptr_t)p[i] % sizeof(void *), 0);
		}
		for (int i = 0; i < 20; i++)
			kmem_cache_free(s, p[i]);
		kmem_cache_destroy(s);
	}
}

static void cache_line_alignment_is_given(void **state)
{
	static const size_t sizes[][2] = {
		{ 100, 64 }, { 33, 64 }, { 32, 32 }, { 20, 32 }, { 16, 16 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct kmem_cache *s = kmem_cache_create("lines", sizes[i][0], 0,
							 SLAB_HWCACHE_ALIGN | SLAB_NO_MERGE, NULL);
		void *a = kmem_cache_alloc(s, GFP_KERNEL);
		void *b = kmem_cache_alloc(s, GFP_KERNEL);

		assert_int_equal((uintptr_t)a % sizes[i][1], 0);
		assert_int_equal((uintptr_t)b % sizes[i][1], 0);
		kmem_cache_free(s, a);
		kmem_cache_free(s, b);
		kmem_cache_destroy(s);
	}
}

/* Each refusal: NULL, and a message with the name, the error and the reason. */
static void assert_refused(struct stderr_text *t, struct kmem_cache *s, const char *name,
			   const char *reason)
{
	char said[160];

	assert_null(s);
	snprintf(said, sizeof(said), "stele: kmem_cache_create(%s) failed with error -22: %s\n",
		 name, reason);
	assert_string_equal(t->text, said);
}

static void assert_bad_args(struct kmem_cache_args args, const char *reason)
{
	struct stderr_text t;
	struct kmem_cache *s;

	STDERR_OF(&t, s = kmem_cache_create("args", 64, &args, 0));
	assert_refused(&t, s, "args", reason);
}

static void bad_requests_are_refused_with_a_reason(void **state)
{
	static const char flag[] = "a flag is outside of SLAB_FLAGS_PERMITTED",
			  large[] = "the size is above KMEM_CACHE_MAX_SIZE";
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("flags", 64, NULL, 0x80000000u));
	assert_refused(&t, s, "flags", flag);
	STDERR_OF(&t, s = kmem_cache_create("mark", 64, NULL, SLAB_FAILSLAB));
	assert_refused(&t, s, "mark", flag);
	STDERR_OF(&t, s = kmem_cache_create("large", KMEM_CACHE_MAX_SIZE + 1, NULL, 0));
	assert_refused(&t, s, "large", large);
	STDERR_OF(&t, s = kmem_cache_create("larger", SIZE_MAX, NULL, 0));
	assert_refused(&t, s, "larger", large);
	STDERR_OF(&t, s = kmem_cache_create("empty", 0, NULL, 0));
	assert_refused(&t, s, "empty", "the size is 0");
	STDERR_OF(&t, s = kmem_cache_create((const char *)NULL, 64, NULL, 0));
	assert_refused(&t, s, "no name", "it has no name");
	assert_bad_args((struct kmem_cache_args){ .align = 24 },
			"the alignment is not a power of two");
	assert_bad_args((struct kmem_cache_args){ .align = 1u << 21 },
			"the alignment is above 1 MiB");
}

/* Type stability needs grace periods: without them it must not be promised silently. */
static void type_stability_is_refused_and_not_ignored(void **state)
{
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("typesafe", 64, NULL, SLAB_TYPESAFE_BY_RCU));
	assert_refused(&t, s, "typesafe",
		       "no RCU flavour: link liburcu-memb or call stele_rcu_set_flavor()");
}

static void free_pointer_offset_is_checked(void **state)
{
	static const char outside[] = "the freeptr_offset is outside of the object",
			  odd[] = "the freeptr_offset is not that of a pointer",
			  bare[] = "a freeptr_offset without SLAB_TYPESAFE_BY_RCU or a constructor";
	static const struct {
		unsigned int offset;
		bool ctor;
		const char *problem;
	} cases[] = { { 8, true, NULL },       { 0, true, NULL }, { 64, true, outside },
		      { 1000, true, outside }, { 4, true, odd },  { 8, false, bare } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kmem_cache_args args = {
			.freeptr_offset = cases[i].offset,
			.use_freeptr_offset = true,
			.ctor = cases[i].ctor ? set_one : NULL,
		};
		struct stderr_text t;
		struct kmem_cache *s;

		STDERR_OF(&t, s = kmem_cache_create("freeptr", 64, &args, 0));
		if (cases[i].problem)
			assert_refused(&t, s, "freeptr", cases[i].problem);
		else
			assert_works(s, 64);
	}
}

static void a_bad_copyable_part_warns_and_counts_as_none(void **state)
{
	struct kmem_cache_args args = { .useroffset = 60, .usersize = 8 };
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("usercopy", 64, &args, 0));
	assert_true(t.len > 0);
	assert_works(s, 64);
}

static void a_doubtful_name_warns_only(void **state)
{
	struct stderr_text t;
	struct kmem_cache *a, *b, *c;

	(void)state;
	a = plain("same", 64);
	STDERR_OF(&t, b = plain("same", 64));
	assert_says(&t, "same");
	STDERR_OF(&t, c = plain("two words", 64));
	assert_says(&t, "two words");
	assert_ptr_not_equal(a, b);
	kmem_cache_destroy(a);
	assert_works(b, 64);
	assert_works(c, 64);
}

/* Each list of caches has a line for each. */
static void a_name_is_one_line(void **state)
{
	struct stderr_text t;
	struct kmem_cache *s;
	void *p;

	(void)state;
	STDERR_OF(&t, s = plain("a\nb\x7f", 64));
	assert_string_equal(
		t.text,
		"stele: kmem_cache_create(a?b?): the name had a control character; the cache is "
		"made all the same\n");
	p = kmem_cache_alloc(s, GFP_KERNEL);
	STDERR_OF(&t, assert_true(kmem_dump_obj(p)));
	assert_says(&t, "a?b?");
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void debug_flags_make_a_cache_silently(void **state)
{
	struct kmem_cache *s[2];
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, s[0] = kmem_cache_create("checked", 64, 0, SLAB_RED_ZONE | SLAB_TRACE, NULL));
	assert_silent(&t);
	STDERR_OF(&t, s[1] = kmem_cache_create("too", 64, 0, SLAB_POISON, NULL));
	assert_silent(&t);
	kmem_cache_destroy(s[0]);
	kmem_cache_destroy(s[1]);
}

static void a_flag_without_effect_warns_once(void **state)
{
	struct kmem_cache *s[2];
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, s[0] = kmem_cache_create("tracked", 64, 0, SLAB_DEBUG_OBJECTS, NULL));
	assert_string_equal(t.text, "stele: kmem_cache_create(tracked): SLAB_DEBUG_OBJECTS has no "
				    "effect; the cache is made all the same\n");
	STDERR_OF(&t, s[1] = kmem_cache_create("too", 64, 0, SLAB_DEBUG_OBJECTS, NULL));
	assert_silent(&t);
	kmem_cache_destroy(s[0]);
	kmem_cache_destroy(s[1]);
}

static void the_name_is_copied(void **state)
{
	char name[] = "original";
	struct kmem_cache *s = plain(name, 64);
	struct stderr_text t;
	void *p;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	STDERR_OF(&t, assert_true(kmem_dump_obj(p)));
	assert_says(&t, "original");
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void panic_means_that_no_check_is_needed(void **state)
{
	struct stderr_text t;
	int status;
	pid_t child;

	(void)state;
	assert_true(stderr_begin(&t));
	child = fork();
	if (child == 0) {
		struct kmem_cache *s = kmem_cache_create("must", 0, NULL, SLAB_PANIC);

		_exit(s ? 1 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	stderr_end(&t);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_says(&t, "must");
}

/* Contract 21: every single request for pages during create fails once. */
static void create_without_memory_leaves_nothing_behind(void **state)
{
	bool made_it = false;

	(void)state;
	for (int nth = 1; nth < 100 && !made_it; nth++) {
		struct stderr_text t;
		struct kmem_cache *s;

		stele_inject_page_fail = nth;
		STDERR_OF(&t, s = plain("starved", 5000));
		memory_back();
		made_it = s != NULL;
		kmem_cache_destroy(s);
	}
	assert_true(made_it);
	assert_works(plain("starved", 5000), 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_create_gives_a_working_cache),
		cmocka_unit_test(every_size_to_the_largest_can_be_cached),
		cmocka_unit_test(a_struct_keeps_its_alignment),
		cmocka_unit_test(alignment_asked_for_is_given),
		cmocka_unit_test(cache_line_alignment_is_given),
		cmocka_unit_test(bad_requests_are_refused_with_a_reason),
		cmocka_unit_test(type_stability_is_refused_and_not_ignored),
		cmocka_unit_test(free_pointer_offset_is_checked),
		cmocka_unit_test(a_bad_copyable_part_warns_and_counts_as_none),
		cmocka_unit_test(a_doubtful_name_warns_only),
		cmocka_unit_test(a_name_is_one_line),
		cmocka_unit_test(debug_flags_make_a_cache_silently),
		cmocka_unit_test(a_flag_without_effect_warns_once),
		cmocka_unit_test(the_name_is_copied),
		cmocka_unit_test(panic_means_that_no_check_is_needed),
		cmocka_unit_test(create_without_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
