/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_held.h - the objects that a phase holds when a handler leaves it
 *
 * Idea      A phase makes calls of one kind. It notes each object after the allocation, and strikes
 *           it out before the free: so all objects can be freed when the phase was left, but for
 *           those that the call itself has in hand.
 * Included  by left_others.h alone.
 */
#ifndef TESTS_ANY_CONTEXT_LEFT_HELD_H
#define TESTS_ANY_CONTEXT_LEFT_HELD_H

#include "trap.h"

#define HELD 130

static int *page_fail; /* the library's */

static struct {
	void *volatile p;
	void (*volatile free)(void *);
	volatile size_t size;
} held[HELD];

static void hold(unsigned i, void *p, size_t size, void (*free)(void *))
{
	MUST(p);
	held[i].free = free;
	held[i].size = size;
	for (size_t at = 0; at<size; at += size> 4096 ? size / 8 & ~(size_t)7 : 8)
		*(uint64_t *)((char *)p + at) = (uintptr_t)p + at;
	held[i].p = p;
}

static void let_go(unsigned i)
{
	void *p = held[i].p;
	size_t size = held[i].size;

	if (!p)
		return;
	for (size_t at = 0; at<size; at += size> 4096 ? size / 8 & ~(size_t)7 : 8)
		MUST_HOLD(*(uint64_t *)((char *)p + at) == (uintptr_t)p + at);
	held[i].p = NULL;
	held[i].free(p);
}

static void let_all_go(void)
{
	for (unsigned i = 0; i < HELD; i++)
		let_go(i);
}

#endif
