/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/stack.h: last in first out, no node lost or had twice, a stale head refused.
 */
#include "sync/stack.h"

#include "../unit.h"

#define NODES 64
#define THREADS 4
#define ROUNDS 20000

struct node {
	struct stele_link link;
	_Atomic uint32_t owner; /* 0: on the stack */
	char pad[STELE_STACK_GRAIN - sizeof(struct stele_link) - 4];
};
_Static_assert(sizeof(struct node) == STELE_STACK_GRAIN, "one node per grain");

static struct node nodes[NODES + 1] __attribute__((aligned(64))); /* index 0 is "none" */
static struct stele_stack stack;
static _Atomic uint32_t wrong;

static int setup(void **state)
{
	(void)state;
	stack = (struct stele_stack){ 0 };
	memset(nodes, 0, sizeof(nodes));
	return 0;
}

static struct node *pop(void)
{
	return (struct node *)stack_pop(&stack, nodes);
}

static void push(unsigned i)
{
	stack_push(&stack, nodes, &nodes[i].link);
}

static void the_last_pushed_comes_first(void **state)
{
	(void)state;
	assert_null(pop());
	for (unsigned i = 1; i <= NODES; i++)
		push(i);
	for (unsigned i = NODES; i >= 1; i--)
		assert_ptr_equal(pop(), &nodes[i]);
	assert_null(pop());
}

static void a_chain_goes_on_top_in_its_order(void **state)
{
	(void)state;
	push(1);
	store_relaxed(&nodes[4].link.next, 3);
	store_relaxed(&nodes[3].link.next, 2);
	stack_push_chain(&stack, nodes, &nodes[4].link, &nodes[2].link);
	for (unsigned i = 4; i >= 1; i--)
		assert_ptr_equal(pop(), &nodes[i]);
	assert_null(pop());
}

static void taking_all_leaves_nothing_and_loses_nothing(void **state)
{
	struct stele_link *link;
	unsigned i = 3;

	(void)state;
	assert_null(stack_take_all(&stack, nodes));
	push(1), push(2), push(3);
	link = stack_take_all(&stack, nodes);
	assert_null(pop());
	for (; link; link = stack_below(nodes, link))
		assert_ptr_equal(link, &nodes[i--].link);
	assert_int_equal(i, 0);
}

static void a_head_that_came_back_is_not_the_same_head(void **state)
{
	uint64_t head;

	(void)state;
	push(1), push(2);
	head = load_relaxed(&stack.head);
	assert_ptr_equal(pop(), &nodes[2]);
	assert_ptr_equal(pop(), &nodes[1]);
	push(2); /* on top again, but nothing below */
	assert_int_equal(STELE_STACK_INDEX(head), STELE_STACK_INDEX(load_relaxed(&stack.head)));
	assert_false(stack_pop_if(&stack, nodes, head));
	assert_true(stack_pop_if(&stack, nodes, load_relaxed(&stack.head)));
	assert_null(pop());
}

static void the_tag_wraps_without_touching_the_index(void **state)
{
	(void)state;
	store_relaxed(&stack.head, ~0ull << STELE_STACK_INDEX_BITS);
	push(5);
	assert_int_equal(load_relaxed(&stack.head), 5);
	assert_ptr_equal(pop(), &nodes[5]);
}

static void *pop_and_push(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg + 1, seed = me;
	unsigned held[4], n = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct node *node = n < 4 && unit_random(&seed) % 2 ? pop() : NULL;

		if (node && atomic_exchange(&node->owner, me) != 0)
			add_relaxed(&wrong, 1);
		if (node) {
			held[n++] = (unsigned)(node - nodes);
		} else if (n) {
			store_relaxed(&nodes[held[--n]].owner, 0);
			push(held[n]);
		}
	}
	while (n) {
		store_relaxed(&nodes[held[--n]].owner, 0);
		push(held[n]);
	}
	return NULL;
}

static void no_node_has_two_owners_and_none_is_lost(void **state)
{
	bool seen[NODES + 1] = { false };
	struct node *node;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 1; i <= NODES; i++)
		push(i);
	meet_inside_steps(true);
	in_threads(THREADS, pop_and_push);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	while ((node = pop())) {
		assert_false(seen[node - nodes]);
		seen[node - nodes] = true;
		n++;
	}
	assert_int_equal(n, NODES);
}

static unsigned walk(bool *circle)
{
	struct stack_walk at = stack_walk_from_top(&stack);
	unsigned n = 0;

	for (; stack_walk_node(&at, nodes); stack_walk_down(&at, nodes))
		n++;
	*circle = stack_walk_met_a_circle(&at);
	return n;
}

static void a_walk_sees_every_node_and_ends_in_a_circle(void **state)
{
	bool circle;

	(void)state;
	assert_int_equal(walk(&circle), 0);
	assert_false(circle);
	for (unsigned i = 1; i <= NODES; i++)
		push(i);
	assert_int_equal(walk(&circle), NODES);
	assert_false(circle);
	for (unsigned i = 1; i <= NODES; i++) {
		store_relaxed(&nodes[1].link.next, i);
		assert_true(walk(&circle) >= NODES);
		assert_true(circle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_pushed_comes_first, setup),
		cmocka_unit_test_setup(a_chain_goes_on_top_in_its_order, setup),
		cmocka_unit_test_setup(taking_all_leaves_nothing_and_loses_nothing, setup),
		cmocka_unit_test_setup(a_head_that_came_back_is_not_the_same_head, setup),
		cmocka_unit_test_setup(the_tag_wraps_without_touching_the_index, setup),
		cmocka_unit_test_setup(no_node_has_two_owners_and_none_is_lost, setup),
		cmocka_unit_test_setup(a_walk_sees_every_node_and_ends_in_a_circle, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
