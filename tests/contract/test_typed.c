/* SPDX-License-Identifier: MIT */
/*
 * Typed allocation and scopes, under the strictest reading of C11. Each test is named by what
 * its user would lose.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpedantic"
#include <stele/slab.h>
#pragma GCC diagnostic pop

#include "contract.h"

struct point {
	long x, y;
};

struct row {
	unsigned int n;
	struct point point[];
};

static void an_object_has_its_types_size(void **state)
{
	struct point *a = kmalloc_obj(struct point), *b = kzalloc_obj(*b, GFP_ATOMIC);
	struct point *c = kvmalloc_obj(*c), *d = kvzalloc_obj(struct point, GFP_NOWAIT);

	(void)state;
	assert_int_equal(ksize(a), kmalloc_size_roundup(sizeof(*a)));
	assert_true(all_zero(b, 0, sizeof(*b)));
	assert_non_null(c);
	assert_true(all_zero(d, 0, sizeof(*d)));
	kfree(a);
	kfree(b);
	kvfree(c);
	kvfree(d);
}

static void objects_are_counted(void **state)
{
	struct point *a = kmalloc_objs(struct point, 100), *b = kzalloc_objs(*b, 100, GFP_ATOMIC);
	struct point *c = kvmalloc_objs(struct point, 1000000), *d = kvzalloc_objs(*d, 3);
	int evaluated = 0;

	(void)state;
	assert_true(ksize(a) >= 100 * sizeof(*a));
	assert_true(all_zero(b, 0, 100 * sizeof(*b)));
	assert_true(ksize(c) >= 1000000 * sizeof(*c));
	assert_true(all_zero(d, 0, 3 * sizeof(*d)));
	kfree(a);
	kfree(b);
	kvfree(c);
	kvfree(d);
	assert_ptr_equal(kmalloc_objs(struct point, 0), ZERO_SIZE_PTR);
	a = kmalloc_objs(struct point, ++evaluated);
	assert_int_equal(evaluated, 1);
	kfree(a);
}

static void a_flexible_array_fits(void **state)
{
	struct row *a = kmalloc_flex(struct row, point, 10);
	struct row *b = kzalloc_flex(*b, point, 10, GFP_ATOMIC);
	struct row *c = kvmalloc_flex(struct row, point, 1000000), *d = kvzalloc_flex(*d, point, 0);
	size_t ten = sizeof(struct row) + 10 * sizeof(struct point);

	(void)state;
	assert_int_equal(ksize(a), kmalloc_size_roundup(ten));
	assert_true(all_zero(b, 0, ten));
	assert_true(ksize(c) >= 1000000 * sizeof(struct point));
	assert_true(all_zero(d, 0, sizeof(*d)));
	kfree(a);
	kfree(b);
	kvfree(c);
	kvfree(d);
}

static void too_many_is_null_and_not_a_short_object(void **state)
{
	size_t many = opaque(SIZE_MAX / sizeof(struct point) + 2);
	struct row *e = NULL;

	(void)state;
	assert_null(kmalloc_objs(struct point, many, GFP_KERNEL | __GFP_NOWARN));
	assert_null(kvzalloc_objs(struct point, many, GFP_KERNEL | __GFP_NOWARN));
	assert_null(kmalloc_flex(*e, point, many, GFP_KERNEL | __GFP_NOWARN));
	assert_null(kvmalloc_flex(*e, point, opaque(SIZE_MAX / sizeof(struct point)),
				  GFP_KERNEL | __GFP_NOWARN));
	assert_int_equal(stele_size_mul(many, sizeof(struct point)), SIZE_MAX);
	assert_int_equal(stele_size_add(opaque(SIZE_MAX), 1), SIZE_MAX);
}

/* ---- scopes ---- */

static struct kmem_cache *none_left;

static void open_scope(void)
{
	struct point *a __free(kfree) = kmalloc_obj(*a);
	struct point *b __free(kvfree) = kvmalloc_objs(*b, 100000);
	struct point *c __free(kvfree_atomic) = kvmalloc_obj(*c);
	struct point *d __free(kfree_sensitive) = kmalloc_obj(*d);
	void *e __free(kfree) = kmem_cache_alloc(none_left, GFP_KERNEL);

	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_non_null(d);
	assert_non_null(e);
}

static void a_scope_frees_what_it_holds(void **state)
{
	(void)state;
	none_left = kmem_cache_create("scope", 48, 0, SLAB_NO_MERGE, NULL);
	for (int i = 0; i < 1000; i++)
		open_scope();
	destroy_empty(none_left);
}

static void empty_scope(void)
{
	void *a __free(kfree) = NULL;
	void *b __free(kfree) = (void *)(intptr_t)-12;
	void *c __free(kvfree) = (void *)(intptr_t)-4095;
	void *d __free(kvfree_atomic) = ZERO_SIZE_PTR;
	void *e __free(kfree_sensitive) = NULL;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	(void)e;
}

static void a_scope_ignores_null_and_errors(void **state)
{
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, empty_scope());
	assert_silent(&t);
}

static struct point *handed_out(void)
{
	struct point *p __free(kfree) = kzalloc_obj(*p);

	p->x = 5;
	return_ptr(p);
}

static void an_object_handed_out_of_a_scope_stays(void **state)
{
	struct point *p = handed_out(), *q;

	(void)state;
	q = kmalloc_obj(*q);
	assert_ptr_not_equal(p, q);
	assert_int_equal(p->x, 5);
	kfree(p);
	kfree(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_has_its_types_size),
		cmocka_unit_test(objects_are_counted),
		cmocka_unit_test(a_flexible_array_fits),
		cmocka_unit_test(too_many_is_null_and_not_a_short_object),
		cmocka_unit_test(a_scope_frees_what_it_holds),
		cmocka_unit_test(a_scope_ignores_null_and_errors),
		cmocka_unit_test(an_object_handed_out_of_a_scope_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
