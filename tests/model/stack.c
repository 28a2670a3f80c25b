/* SPDX-License-Identifier: MIT */
/*
 * tests/model/stack.c - sync/stack.h: no node twice, none lost, its contents travel with it
 *
 * Idea      Three nodes; every thread pops one, pops two and pushes them as a chain, or takes
 *           all and pushes them back. A thread that has a node writes its payload.
 * Scenes    ABA     one pops while another pops two and pushes the first back: the same
 *                   node is on top again, with another one below
 *           CHAIN   one pushes two as a chain while another takes all
 *           POPPERS three pop and push
 * Broken    STACK_PUSH, STACK_POP  the order relaxed: the payload is raced for (TSan)
 *           STACK_TAG              the head has no tag: A, B, A is taken for unchanged
 */
#ifdef BROKEN_STACK_PUSH
#define ORDER_STACK_PUSH memory_order_relaxed
#endif
#ifdef BROKEN_STACK_POP
#define ORDER_STACK_POP memory_order_relaxed
#endif
#ifdef BROKEN_STACK_TAG
#define STACK_TAG_STEP 0
#endif
enum { SCENE_NONE, SCENE_ABA, SCENE_CHAIN, SCENE_POPPERS, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "sync/stack.h"

#define NODES 3

struct node {
	struct stele_link link;
	struct payload payload;
} __attribute__((aligned(STELE_STACK_GRAIN)));

static struct node nodes[NODES + 1]; /* index 0 is none */
static struct stele_stack stack;

static struct node *take(int me)
{
	struct node *node = (struct node *)stack_pop(&stack, nodes);

	if (node)
		payload_take(&node->payload, me);
	return node;
}

static void give(struct node *node, int me)
{
	payload_leave(&node->payload, me);
	stack_push(&stack, nodes, &node->link);
}

static void one(int me)
{
	struct node *node = take(me);

	STELE_POINT("model:one");
	if (node)
		give(node, me);
}

static void two(int me)
{
	struct node *a = take(me), *b = take(me);

	STELE_POINT("model:two");
	if (!a)
		a = b, b = NULL;
	if (!a)
		return;
	if (!b) {
		give(a, me);
		return;
	}
	payload_leave(&a->payload, me);
	payload_leave(&b->payload, me);
	store_relaxed(&a->link.next, stack_index(nodes, &b->link));
	stack_push_chain(&stack, nodes, &a->link, &b->link);
}

static void all(int me)
{
	struct stele_link *link = stack_take_all(&stack, nodes), *below;

	for (int n = 0; link; link = below) {
		struct node *node = (struct node *)link;

		model_assert(n++ < NODES);
		below = stack_below(nodes, link);
		payload_take(&node->payload, me);
		STELE_POINT("model:all");
		give(node, me);
	}
}

static void keep_second(int me)
{
	struct node *first = take(me), *second = take(me);

	if (first)
		give(first, me);
	STELE_POINT("model:again");
	if (second)
		give(second, me);
}

/* True: this round is one. */
static bool played(int me)
{
	switch (model_scene) {
	case SCENE_ABA:
		if (me <= 2)
			(me == 1 ? one : keep_second)(me);
		return true;
	case SCENE_CHAIN:
		if (me <= 2)
			(me == 1 ? two : all)(me);
		return true;
	case SCENE_POPPERS:
		one(me);
		return true;
	default:
		return false;
	}
}

static void model_thread(int me)
{
	if (played(me))
		return;
	for (int step = 0; step < MODEL_STEPS; step++) {
		switch ((model_choice(3) + (unsigned)me) % 3) {
		case 0:
			one(me);
			break;
		case 1:
			two(me);
			break;
		default:
			all(me);
		}
	}
}

static void model_setup(void)
{
	atomic_store(&stack.head, 0);
	for (int i = 1; i <= NODES; i++) {
		nodes[i].payload.holder = 0;
		stack_push(&stack, nodes, &nodes[i].link);
	}
}

static void model_check(void)
{
	int found = 0;

	for (struct node *node; found <= NODES && (node = take(1)); found++)
		;
	model_assert(found == NODES);
}
