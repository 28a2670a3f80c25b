/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/inline.h>: the two calls do what the library's do, with words and without. Other
 * contract tests are compiled a second time with that header.
 */
#include "contract.h"

#include <stele/inline.h>

#define MANY 400
#define SIZE 72

static struct kmem_cache *inline_cache(const char *name)
{
	struct kmem_cache *s = kmem_cache_create(name, SIZE, 0, SLAB_NO_MERGE, NULL);

	assert_non_null(s);
	return s;
}

static void words_are_of_one_version(void **state)
{
	(void)state;
	assert_non_null(stele_inline_words(STELE_INLINE_VERSION));
	assert_null(stele_inline_words(0));
	assert_null(stele_inline_words(STELE_INLINE_VERSION + 1));
	assert_null(stele_inline_words(~0u));
}

/* Whether each of many objects is its owner's alone, and all go back. */
static void use_objects(struct kmem_cache *s)
{
	static void *p[MANY];

	for (size_t i = 0; i < MANY; i++) {
		p[i] = i % 5 ? kmem_cache_alloc(s, GFP_KERNEL)
			     : kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO);
		assert_non_null(p[i]);
		assert_true(i % 5 || all_zero(p[i], 0, SIZE));
		sign(p[i], SIZE, i);
	}
	for (size_t i = 0; i < MANY; i++) {
		assert_true(signed_by(p[i], SIZE, i));
		kmem_cache_free(s, p[i]);
	}
}

/* NULL: on this machine the calls are the library's. */
#ifdef kmem_cache_alloc
static const struct stele_inline **where_words_are(void)
{
	return &stele_inline_here;
}
#else
static const struct stele_inline **where_words_are(void)
{
	return NULL;
}
#endif

static void calls_do_the_same_with_and_without_words(void **state)
{
	const struct stele_inline **where = where_words_are();
	struct kmem_cache *s = inline_cache("both");

	(void)state;
	use_objects(s);
	if (where) {
		const struct stele_inline *here = *where;

		assert_non_null(here);
		*where = NULL;
		use_objects(s);
		*where = here;
		use_objects(s);
	}
	destroy_empty(s);
}

/* What the library's call says where it is called by its address. */
static void told_alike(struct kmem_cache *s, void *p)
{
	struct stderr_text here, there;
	void (*free_there)(struct kmem_cache *, void *) = kmem_cache_free;

	STDERR_OF(&here, kmem_cache_free(s, p));
	STDERR_OF(&there, free_there(s, p));
	assert_true(here.len > 0);
	assert_string_equal(here.text, there.text);
	assert_int_equal(here.callers, there.callers);
}

static void mistakes_are_told_alike(void **state)
{
	struct kmem_cache *s = inline_cache("one"), *other = inline_cache("other");
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	int mine;

	(void)state;
	told_alike(other, p);
	told_alike(s, p + 8);
	told_alike(s, &mine);
	kmem_cache_free(s, p);
	told_alike(s, p);
	destroy_empty(s);
	destroy_empty(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_of_one_version),
		cmocka_unit_test(calls_do_the_same_with_and_without_words),
		cmocka_unit_test(mistakes_are_told_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
