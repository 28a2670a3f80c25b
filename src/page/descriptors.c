/* SPDX-License-Identifier: MIT */
/*
 * page/descriptors.c - descriptors of runs, whether in use or not
 *
 * Idea      A descriptor that is not in use lies on a stack. Where there is none, a new one is made at
 *           the end of their table. They never leave memory.
 * Order     STRETCH: a descriptor is mapped before it is counted.
 * Context   any.
 * Failure   NULL, after the floors above were asked for some that they do not need.
 * Tests     tests/unit/page/test_run.c
 */
#include "page/heap.h"
#include "page/run.h"
#include "page/tables.h"
#include "sync/stack.h"

static struct stele_stack free_descriptors;

/* Usable before it is counted: where no more can be mapped there is nothing to undo. */
static struct run *new_descriptor(void)
{
	uint64_t at = load_relaxed(&stele_heap.next_descriptor);
	size_t end;

	do {
		end = at + sizeof(struct run) - stele_heap.descriptors_at;
		if (stretch_reach(&stele_tables[TABLE_RUNS], end, end + end / 8) != 0)
			return NULL;
		/* ORDER(STRETCH) release: the descriptor is mapped. */
	} while (!cas_release(&stele_heap.next_descriptor, &at, at + sizeof(struct run)));
	return (struct run *)(stele_hot.base + at);
}

static struct run *free_descriptor(void)
{
	struct stele_link *link = stack_pop(&free_descriptors, stele_hot.base);

	return link ? run_of_link(link) : NULL;
}

/* Of the floors above; fixed when the library is loaded. */
static bool (*find_descriptors)(void), (*find_memory)(void);

void stele_run_when_short(bool (*descriptors)(void), bool (*memory)(void))
{
	find_descriptors = descriptors;
	find_memory = memory;
}

bool stele_run_find_memory(void)
{
	return find_memory && find_memory();
}

/* Out of line: a floor above may have some that it does not need. */
static __attribute__((noinline, cold)) struct run *short_of_descriptors(void)
{
	return find_descriptors && find_descriptors() ? free_descriptor() : NULL;
}

struct run *stele_descriptor_take(void)
{
	struct run *run = free_descriptor();

	if (!run)
		run = new_descriptor();
	if (stele_unlikely(!run))
		run = short_of_descriptors();
	/* A large block that waited for readers had it set until the end. */
	if (run)
		store_relaxed(&run->grace.done, NULL);
	return run;
}

void stele_run_return_descriptor(struct run *run)
{
	run->kind = RUN_NONE;
	stack_push(&free_descriptors, stele_hot.base, &run->link);
}

void stele_run_each(void (*each)(struct run *, void *), void *arg)
{
	/* ORDER(STRETCH) acquire: all below are mapped. */
	uint64_t end = load_acquire(&stele_heap.next_descriptor);

	for (uint64_t at = stele_heap.descriptors_at; at < end; at += sizeof(struct run))
		each((struct run *)(stele_hot.base + at), arg);
}
