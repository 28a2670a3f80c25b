/* SPDX-License-Identifier: MIT */
/*
 * cache/leak_table.c - the table of all blocks in use, by address
 *
 * Idea      The descriptors and bitmaps tell which objects are in use, and the record of a checked
 *           object who allocated it. Other threads may go on, so the table is a look. The record is
 *           copied with care, as its slab may go meanwhile.
 * Left out  the library's own objects, and blocks that were freed and wait: for readers, or in the
 *           ring of checked blocks. Objects that rest in sheaves count as in use, since they are in
 *           no cache whose objects are tracked.
 * Memory    one mapping, gone at the end. Nothing is allocated that would be in the table itself.
 * Context   an ordinary thread.
 * Tests     tests/contract/test_leaks.c
 */
#include "cache/leaks.h"
#include "os/map.h"
#include "os/maps.h"
#include "page/run.h"
#include "slab/bitmap.h"
#include "slab/checks.h"
#include "slab/object.h"
#include <string.h>

/* ---- in order ---- */

static void swap(struct block *a, struct block *b)
{
	struct block c = *a;

	*a = *b;
	*b = c;
}

static void sift(struct block *at, size_t top, size_t n,
		 bool (*before)(const struct block *, const struct block *))
{
	for (size_t child; (child = 2 * top + 1) < n; top = child) {
		if (child + 1 < n && before(&at[child], &at[child + 1]))
			child++;
		if (!before(&at[top], &at[child]))
			return;
		swap(&at[top], &at[child]);
	}
}

void stele_blocks_sort(struct block *at, size_t n,
		       bool (*before)(const struct block *, const struct block *))
{
	for (size_t i = n / 2; i--;)
		sift(at, i, n, before);
	for (size_t left = n; left > 1;) {
		swap(&at[0], &at[--left]);
		sift(at, 0, left, before);
	}
}

static bool is_lower(const struct block *a, const struct block *b)
{
	return a->start < b->start;
}

/* ---- what there is ---- */

static void add_block(struct blocks *b, struct block block)
{
	if (b->n < b->room)
		b->at[b->n++] = block;
}

static bool is_object(const struct run *run)
{
	return run->kind == RUN_SLAB && run->recip && !run_is_own(run);
}

/* In a cache that keeps who allocated its objects. False: it is not in use. */
static bool read_track(const struct kmem_cache *s, void *p, struct block *block, struct blocks *b)
{
	struct object_meta meta;
	long n = stele_os_peek(&meta, (uintptr_t)meta_of(s, p), sizeof(meta));

	b->refused |= n < 0;
	if (n != sizeof(meta) || (load_relaxed(&meta.state) & OBJECT_STATE) != OBJECT_USED)
		return false;
	block->size = meta.asked;
	block->stack = meta.taken.stack;
	block->tracked = true;
	return true;
}

static void add_objects(struct run *run, struct blocks *b)
{
	const struct kmem_cache *s = run_cache(run);
	unsigned n = STELE_MIN(run->objects, SLAB_OBJECTS_MAX);

	for (unsigned i = 0; i < n; i++) {
		void *p = object_at(run, i);
		struct block block = { .start = (uintptr_t)p, .size = cache_object_size(s) };

		if (object_is_free(run, p))
			continue;
		if (!(s->flags & SLAB_STORE_USER) || !s->meta || read_track(s, p, &block, b))
			add_block(b, block);
	}
}

static bool is_large_in_use(const struct run *run)
{
	uint32_t kind = run->kind & ~(uint32_t)RUN_PAGES_FLAG;

	return (kind == RUN_LARGE || kind == RUN_HUGE) && !run_rests(run) && !run_is_given(run);
}

static STELE_RACY_LOOK void list_run(struct run *run, void *arg)
{
	struct block block = { .start = run->base, .size = run->bytes, .root = run_is_pages(run) };

	if (is_object(run)) {
		add_objects(run, arg);
	} else if (is_large_in_use(run)) {
		block.tracked = stele_watch_large_track(run, &block.stack);
		if (block.tracked)
			block.size = stele_watch_large_asked(run);
		add_block(arg, block);
	}
}

static STELE_RACY_LOOK void count_run(struct run *run, void *arg)
{
	size_t *n = arg;

	*n += is_object(run) ? run->objects - state_free(&run->state) : is_large_in_use(run);
}

/* ---- the table ---- */

bool stele_blocks_list(struct blocks *b)
{
	size_t n = 0;

	memset(b, 0, sizeof(*b));
	stele_run_each(count_run, &n);
	b->room = n + n / 8 + 1024;
	b->bytes = STELE_ALIGN_UP(LEAKS_BUFFER + b->room * (sizeof(*b->at) + sizeof(*b->to_scan)),
				  STELE_MAP_UNIT);
	b->buffer = b->room < UINT32_MAX ? stele_os_map_anywhere(b->bytes) : NULL;
	if (!b->buffer)
		return false;
	b->memory = (uintptr_t)b->buffer;
	b->at = (struct block *)(void *)(b->buffer + LEAKS_BUFFER);
	b->to_scan = (uint32_t *)(void *)(b->at + b->room);
	stele_run_each(list_run, b);
	stele_blocks_sort(b->at, b->n, is_lower);
	return true;
}

void stele_blocks_end(struct blocks *b)
{
	stele_os_unmap((void *)b->memory, b->bytes);
}
