/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/hostile.c - a neighbour that maps into the range does no harm and costs no memory
 *
 * Idea      In a small arena threads allocate, grow and free blocks of all kinds. Neighbours map
 *           pieces wherever nothing is, in the arena and right behind the tables, write to them,
 *           and unmap them later. NULL is a good answer meanwhile.
 * Judged    blocks and pieces keep their contents. When the neighbours have gone, as many areas can
 *           be had as before they came, and no area is left out.
 * Control   the neighbours must have met: areas were left out, and moves and openings went past
 *           them.
 */
#include "page/areas.h"
#include "page/tables.h"
#include "page/run.h"
#include "stress.h"

#include <errno.h>
#include <sys/mman.h>

#define ARENA "256m"
#define MIB (1ul << 20)
#define ALLOCATORS 3
#define NEIGHBOURS 2
#define BLOCKS 24
#define PIECES 24

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static atomic_ulong given, refused, mapped_in, met;

/* ---- blocks ---- */

struct block {
	char *p;
	size_t size;
	char value;
};

static size_t some_size(uint64_t *dice)
{
	uint64_t r = next_random(dice), kind = r % 8;

	r >>= 8;
	if (kind < 3)
		return 16 + r % 4000;
	if (kind < 5)
		return 30000 + r % MIB;
	return 2 * MIB + r % (10 * MIB);
}

static void write_ends(struct block *b)
{
	b->p[0] = b->p[b->size - 1] = b->p[b->size / 2] = b->value;
}

static void look_at_ends(const struct block *b, size_t size)
{
	MUST_FOR(b->p[0] == b->value, b->p);
	if (size == b->size)
		MUST_FOR(b->p[size - 1] == b->value && b->p[size / 2] == b->value, b->p);
}

static void release(struct block *b)
{
	if (b->p)
		look_at_ends(b, b->size);
	kvfree(b->p);
	b->p = NULL;
}

static void change_block(struct block *b, uint64_t *dice)
{
	size_t size = some_size(dice);
	char *p;

	if (b->p && next_random(dice) % 2) {
		release(b);
		return;
	}
	p = kvrealloc(b->p, size, GFP_KERNEL | __GFP_NOWARN);
	atomic_fetch_add(p ? &given : &refused, 1);
	if (!p) {
		if (b->p)
			look_at_ends(b, b->size);
		return;
	}
	if (b->p)
		MUST_FOR(p[0] == b->value, p);
	*b = (struct block){ p, size, (char)(next_random(dice) | 1) };
	write_ends(b);
}

static void *allocate_hostile(void *arg)
{
	uint64_t dice = random_seed((uintptr_t)arg);
	struct block blocks[BLOCKS] = { { 0 } };

	while (!stopped()) {
		change_block(&blocks[next_random(&dice) % BLOCKS], &dice);
		step_done();
	}
	for (int i = 0; i < BLOCKS; i++)
		release(&blocks[i]);
	return NULL;
}

/* ---- pieces ---- */

struct piece {
	char *at;
	size_t size;
	char value;
};

static char *some_place(uint64_t *dice)
{
	uint64_t r = next_random(dice);
	struct stele_stretch *table = &stele_tables[r / 16 % TABLES];

	if (r % 16 == 0)
		return table->start + load_relaxed(&table->mapped);
	r = next_random(dice);
	return area_memory((uint32_t)(r % stele_heap.areas_max)) + (r >> 32) % 512 * 4096;
}

static void go_away(struct piece *piece)
{
	if (!piece->at)
		return;
	MUST_FOR(piece->at[0] == piece->value && piece->at[piece->size - 1] == piece->value,
		 piece->at);
	munmap(piece->at, piece->size);
	piece->at = NULL;
}

static void come(struct piece *piece, uint64_t *dice)
{
	char *at = some_place(dice);

	piece->size = (1 + next_random(dice) % 600) * 4096;
	piece->at = mmap(at, piece->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (piece->at == MAP_FAILED || piece->at != at) {
		if (piece->at != MAP_FAILED)
			munmap(piece->at, piece->size);
		piece->at = NULL;
		return;
	}
	piece->value = (char)(next_random(dice) | 1);
	piece->at[0] = piece->at[piece->size - 1] = piece->value;
	atomic_fetch_add(&mapped_in, 1);
}

static void *map_into_it(void *arg)
{
	uint64_t dice = random_seed(100 + (uintptr_t)arg);
	struct piece pieces[PIECES] = { { 0 } };

	while (!stopped()) {
		struct piece *piece = &pieces[next_random(&dice) % PIECES];

		go_away(piece);
		come(piece, &dice);
		if (load_relaxed(&stele_heap.foreign))
			atomic_fetch_add(&met, 1);
		nap_ms(1);
	}
	for (int i = 0; i < PIECES; i++)
		go_away(&pieces[i]);
	return NULL;
}

/* ---- */

static void storm(unsigned neighbours, double seconds)
{
	pthread_t thread[ALLOCATORS + NEIGHBOURS];
	double end = seconds_now() + seconds;
	unsigned n = ALLOCATORS + neighbours;

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < n; i++)
		MUST(pthread_create(&thread[i], NULL,
				    i < ALLOCATORS ? allocate_hostile : map_into_it,
				    (void *)i) == 0);
	while (seconds_now() < end || (neighbours && !met))
		nap_ms(10);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

/* So many areas can be had, each as a block. */
static unsigned capacity(void)
{
	static void *all[8192];
	unsigned n = 0;

	stele_trim(0);
	while (n < 8192 && (all[n] = kvmalloc(AREA_SIZE, GFP_KERNEL | __GFP_NOWARN)))
		n++;
	for (unsigned i = 0; i < n; i++)
		kvfree(all[i]);
	return n;
}

static unsigned left_out(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < stele_heap.areas_max; i++)
		n += load_relaxed(area_count(i)) == AREA_FOREIGN;
	return n;
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	unsigned before, after;

	if (!getenv("STELE_ARENA_SIZE")) {
		setenv("STELE_ARENA_SIZE", ARENA, 1);
		execv("/proc/self/exe", argv);
		MUST(!"exec");
	}
	storm(0, seconds / 4);
	before = capacity();
	MUST(before > 64);
	storm(NEIGHBOURS, seconds);
	after = capacity();
	printf("%lu given, %lu refused, %lu pieces; %u areas, then %u, %u left out\n", given,
	       refused, mapped_in, before, after, left_out());
	MUST(mapped_in > 0 && given > 0);
	MUST_FOR(left_out() == 0 && !load_relaxed(&stele_heap.foreign), left_out());
	MUST_FOR(after >= before, after);
	must_be_valid();
	return 0;
}
