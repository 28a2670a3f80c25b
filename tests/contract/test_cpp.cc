// SPDX-License-Identifier: MIT
//
// C++ reads the public header. Without this a C++ user's program might not compile, or not work.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpedantic"
#pragma GCC diagnostic error "-Wextra"
#include <stele/slab.h>
#pragma GCC diagnostic pop

#include <cstdarg>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

extern "C" {
#include <cmocka.h>
}

namespace
{

struct node {
	long key;
	node *next;
};

struct pair {
	long key, value;
};

struct row {
	unsigned int n;
	node element[1];
};

void both_forms_of_create_are_found(void **)
{
	kmem_cache_args args = {};

	args.align = 64;
	kmem_cache *older = kmem_cache_create("older", sizeof(node), 0, 0, nullptr);
	kmem_cache *with = kmem_cache_create("with", sizeof(node), &args, SLAB_NO_MERGE);
	kmem_cache *without = kmem_cache_create("without", sizeof(node), nullptr, 0);
	kmem_cache *named = KMEM_CACHE(node, SLAB_NO_MERGE);
	kmem_cache *copied = KMEM_CACHE_USERCOPY(pair, 0, key);

	for (kmem_cache *s : { older, with, without, named, copied }) {
		assert_non_null(s);
		auto *p = static_cast<node *>(kmem_cache_zalloc(s, GFP_KERNEL));
		assert_non_null(p);
		assert_true(p->key == 0);
		kmem_cache_free(s, p);
		kmem_cache_destroy(s);
	}
}

void typed_allocation_has_a_type(void **)
{
	auto *one = kmalloc_obj(node);
	auto *zeroes = kzalloc_objs(node, 10, GFP_ATOMIC);
	auto *flex = kvzalloc_flex(row, element, 10);

	static_assert(std::is_same<decltype(one), node *>::value, "a node");
	static_assert(std::is_same<decltype(zeroes), node *>::value, "nodes");
	static_assert(std::is_same<decltype(flex), row *>::value, "a row");
	auto *copy = kmalloc_obj(*one);
	static_assert(std::is_same<decltype(copy), node *>::value, "as the variable");
	assert_non_null(one);
	assert_non_null(copy);
	assert_true(zeroes[9].next == nullptr);
	assert_true(ksize(flex) >= sizeof(row) + 10 * sizeof(node));
	kfree(one);
	kfree(copy);
	kfree(zeroes);
	kvfree(flex);
}

node *made()
{
	node *p STELE_FREE(kfree) = kzalloc_obj(node);

	p->key = 3;
	return_ptr(p);
}

void a_scope_frees_and_hands_out(void **)
{
	node *p = made();

	assert_true(p->key == 3);
	kfree(p);
}

void the_family_links(void **)
{
	void *p = kmalloc(10, GFP_KERNEL);

	p = krealloc(p, 100, GFP_KERNEL);
	p = kvrealloc(p, 100000, GFP_KERNEL | __GFP_ZERO);
	assert_true(ksize(p) >= 100000);
	kvfree(p);
	p = kmalloc_nolock(10, __GFP_ZERO, NUMA_NO_NODE);
	kfree_nolock(p);
	assert_true(kcalloc(0, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	kmem_buckets *b = kmem_buckets_create("cpp", 0, 0, 0, nullptr);
	kfree(kmem_buckets_alloc(b, 10, GFP_KERNEL));
	kmem_buckets_destroy(b);
	assert_true(slab_is_available());
}

} // namespace

int main()
{
	const CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_of_create_are_found),
		cmocka_unit_test(typed_allocation_has_a_type),
		cmocka_unit_test(a_scope_frees_and_hands_out),
		cmocka_unit_test(the_family_links),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
