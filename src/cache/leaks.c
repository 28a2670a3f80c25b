/* SPDX-License-Identifier: MIT */
/*
 * cache/leaks.c - reports the blocks that a program has lost
 *
 * Idea      The blocks in use are listed (leak_table.c), and those that the program can reach are
 *           marked (leak_scan.c). The others are lost. They are summed by the stack that allocated
 *           them, and the stacks with the most bytes are reported first.
 * Exit      After the program's own handlers, so that memory which they free is not lost. The C
 *           library writes its streams out after this, so it is asked to do so before the process
 *           ends here.
 * Context   an ordinary thread.
 * Failure   one line says that there was no memory, or that the system refused.
 * Tests     tests/contract/test_leaks.c  tests/tools/test_leaks.sh
 */
#include "cache/leaks.h"
#include "arch/call.h"
#include "base/auxv.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "os/report.h"
#include "page/run.h"
#include "slab/checks.h"
#include <errno.h>
#include <stele/debug.h>
#include <stdio.h>

#define MOST_SHOWN 50u

struct lost {
	size_t blocks, bytes, places;
};

static bool has_less_stack(const struct block *a, const struct block *b)
{
	return a->stack < b->stack;
}

static bool has_more_bytes(const struct block *a, const struct block *b)
{
	return a->size > b->size;
}

static bool is_lost(const struct block *block)
{
	return block->tracked && !block->reached;
}

/* The lost blocks come first, and the others are forgotten. */
static void keep_the_lost(struct blocks *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (is_lost(&b->at[i]))
			b->at[n++] = b->at[i];
	b->n = n;
}

/* The table then has one entry for each stack: `size` is the sum of the bytes, `start` the number of
 * blocks. */
static struct lost sum_by_stack(struct blocks *b)
{
	struct lost all = { 0 };
	struct block *sum = NULL;

	stele_blocks_sort(b->at, b->n, has_less_stack);
	for (size_t i = 0; i < b->n; i++) {
		struct block block = b->at[i];

		all.blocks++;
		all.bytes += block.size;
		if (!sum || sum->stack != block.stack) {
			sum = &b->at[all.places++];
			*sum = (struct block){ .stack = block.stack };
		}
		sum->start++;
		sum->size += block.size;
	}
	return all;
}

static void report_place(const struct block *sum)
{
	char what[96];
	struct stele_out out;

	stele_out_init(&out, what, sizeof(what));
	stele_fmt(&out, "lost %zu bytes in %zu block%s, allocated", sum->size, (size_t)sum->start,
		  plural(sum->start));
	stele_stack_report(what, sum->stack);
}

static void add_place(struct lost *sum, const struct block *place)
{
	sum->blocks += place->start;
	sum->bytes += place->size;
	sum->places++;
}

/* Takes the stacks that the option leak_ignore names out of the table, and says how much that was. */
static struct lost without_ignored(struct blocks *b, struct lost all)
{
	struct lost others = { 0 }, ignored = { 0 };

	if (!stele_opt.leak_ignore)
		return all;
	for (size_t i = 0; i < all.places; i++) {
		struct block place = b->at[i];

		if (stele_stack_is_named(place.stack, stele_opt.leak_ignore)) {
			add_place(&ignored, &place);
		} else {
			b->at[others.places] = place;
			add_place(&others, &place);
		}
	}
	if (ignored.places)
		stele_report("stele: ignored %zu bytes in %zu block%s, from %zu place%s "
			     "(leak_ignore)\n",
			     ignored.bytes, ignored.blocks, plural(ignored.blocks), ignored.places,
			     plural(ignored.places));
	return others;
}

static struct lost report_lost(struct blocks *b)
{
	struct lost all;

	keep_the_lost(b);
	all = without_ignored(b, sum_by_stack(b));
	stele_blocks_sort(b->at, all.places, has_more_bytes);
	for (size_t i = 0; i < all.places && i < MOST_SHOWN; i++)
		report_place(&b->at[i]);
	if (all.places > MOST_SHOWN)
		stele_report("stele: and others, from %zu more places\n", all.places - MOST_SHOWN);
	return all;
}

static struct lost sum_tracked(const struct blocks *b)
{
	struct lost all = { 0 };

	for (size_t i = 0; i < b->n; i++)
		if (b->at[i].tracked) {
			all.blocks++;
			all.bytes += b->at[i].size;
		}
	return all;
}

static struct lost report_all(struct blocks *b)
{
	struct lost all = sum_tracked(b), lost = report_lost(b);

	if (lost.blocks)
		stele_report("stele: %.31s (pid %d): %zu bytes in %zu block%s lost, from %zu "
			     "place%s\n",
			     stele_program(), stele_os_pid(), lost.bytes, lost.blocks,
			     plural(lost.blocks), lost.places, plural(lost.places));
	else
		stele_report("stele: %.31s (pid %d): nothing is lost; %zu bytes in %zu block%s are "
			     "in use\n",
			     stele_program(), stele_os_pid(), all.bytes, all.blocks,
			     plural(all.blocks));
	return lost;
}

/* From this frame on: the caller's registers lie in the next one. */
static __attribute__((noinline)) long look_for_lost(void)
{
	struct lost lost = { 0 };
	struct blocks b;

	if (!stele_blocks_list(&b))
		return -ENOMEM;
	stele_blocks_mark(&b, (uintptr_t)__builtin_frame_address(0));
	if (!b.refused)
		lost = report_all(&b);
	stele_blocks_end(&b);
	return b.refused ? -EPERM : (long)lost.blocks;
}

long stele_leak_check(void)
{
	long lost;

	/* Pointers that the caller has in registers go onto the stack. */
	__builtin_unwind_init();
	lost = stele_heap_started() ? look_for_lost() : 0;
	if (lost == -ENOMEM)
		stele_report("stele: leak check: no memory for a table of the blocks\n");
	else if (lost < 0)
		stele_report("stele: leak check: the system does not let the process look at its "
			     "memory (process_vm_readv)\n");
	return lost;
}

void stele_leaks_at_exit(void)
{
	if (stele_leak_check() <= 0 || !stele_opt.leak_status)
		return;
	fflush(NULL);
	STELE_SYSCALL(SYS_exit_group, stele_opt.leak_status);
}
