/* SPDX-License-Identifier: MIT */
/*
 * cache/leak_scan.c - which blocks a program can still reach
 *
 * Idea      A word that could be an address in a block counts as a way to that block. The search begins
 *           with all memory that can be written and is not the heap's own: data, stacks, thread-local
 *           variables, other mappings. It begins with all pages of alloc_pages(), too: a program may
 *           hold only their struct page, which is not an address in those pages. The search goes on
 *           through each block that it reaches.
 * Own stack The caller's frames alone: below them lie words of calls that have returned.
 * Careful   All memory is copied before it is read (os/maps.h), as other threads may unmap it.
 * Limits    Words in registers of other threads are not seen. Nor are pointers that a program hides, at
 *           odd addresses or in other forms than its own.
 * Context   an ordinary thread.
 * Tests     tests/contract/test_leaks.c
 */
#include "cache/leaks.h"
#include "os/maps.h"
#include "os/os.h"
#include "page/areas.h"

#define PAGE 4096ul

/* A block of no bytes has an address, too. */
static bool has_byte(const struct block *block, uintptr_t address)
{
	return address - block->start < STELE_MAX(block->size, 1ul);
}

/* The block that has a byte at @address, or NULL. */
static struct block *block_at(const struct blocks *b, uintptr_t address)
{
	size_t low = 0, high = b->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->at[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && has_byte(&b->at[low - 1], address) ? &b->at[low - 1] : NULL;
}

static void reach(struct blocks *b, struct block *block)
{
	if (!block || block->reached)
		return;
	block->reached = true;
	b->to_scan[b->waiting++] = (uint32_t)(block - b->at);
}

static void look_at_words(struct blocks *b, size_t bytes)
{
	const uintptr_t *word = (const uintptr_t *)(const void *)b->buffer;
	uintptr_t low = b->at[0].start;
	uintptr_t size = b->at[b->n - 1].start + b->at[b->n - 1].size + 1 - low;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		if (word[i] - low < size)
			reach(b, block_at(b, word[i]));
}

/* Pages that cannot be read, or that nobody has touched, are left out. */
static void scan(struct blocks *b, uintptr_t from, uintptr_t to)
{
	from = STELE_ALIGN_UP(from, sizeof(uintptr_t));
	while ((from = stele_os_next_touched(b->touched, from, to)) < to && !b->refused) {
		long n = stele_os_peek(b->buffer, from, STELE_MIN(to - from, (size_t)LEAKS_BUFFER));

		if (n > 0)
			look_at_words(b, (size_t)n);
		b->refused = n < 0;
		from = n > 0 ? from + (size_t)n : (from | (PAGE - 1)) + 1;
	}
}

/* ---- where the search begins ---- */

struct roots {
	struct blocks *blocks;
	uintptr_t stack;
};

static void scan_part(struct roots *r, uintptr_t from, uintptr_t to)
{
	if (r->stack - from < to - from)
		from = r->stack;
	scan(r->blocks, from, to);
}

/* Without the table itself. */
static void scan_root(struct roots *r, uintptr_t from, uintptr_t to)
{
	const struct blocks *b = r->blocks;

	scan_part(r, from, STELE_MIN(to, b->memory));
	scan_part(r, STELE_MAX(from, b->memory + b->bytes), to);
}

/* Of the heap's addresses, those areas alone in which somebody else has mapped something. */
static void scan_foreign_areas(struct roots *r, uintptr_t from, uintptr_t to)
{
	while (from < to) {
		uint32_t number = area_of(from);
		uintptr_t end = (uintptr_t)area_memory(number + 1);

		end = STELE_MIN(end, to);
		if (!area_is_mapped(zone_of_area(number), number))
			scan_root(r, from, end);
		from = end;
	}
}

static bool scan_mapping(const struct stele_mapping *m, void *arg)
{
	struct roots *r = arg;
	uintptr_t heap = (uintptr_t)stele_hot.base, areas = (uintptr_t)area_memory(0);
	uintptr_t heap_end = (uintptr_t)area_memory(stele_heap.areas_max);

	if (!m->readable || !m->writable)
		return true;
	scan_root(r, m->start, STELE_MIN(m->end, heap));
	scan_foreign_areas(r, STELE_MAX(m->start, areas), STELE_MIN(m->end, heap_end));
	scan_root(r, STELE_MAX(m->start, heap_end), m->end);
	return !r->blocks->refused;
}

void stele_blocks_mark(struct blocks *b, uintptr_t stack)
{
	struct roots r = { b, stack };

	if (!b->n)
		return;
	b->touched = stele_os_open_touched();
	for (size_t i = 0; i < b->n; i++)
		if (b->at[i].root)
			reach(b, &b->at[i]);
	stele_os_each_mapping(scan_mapping, &r);
	while (b->waiting) {
		const struct block *block = &b->at[b->to_scan[--b->waiting]];

		scan(b, block->start, block->start + block->size);
	}
	if (b->touched >= 0)
		stele_os_close(b->touched);
}
