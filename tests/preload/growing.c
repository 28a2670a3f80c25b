/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/growing.c - blocks that grow together by small steps are copied now and then only
 *
 * Measure   how often a block moves on its way, by steps of a page, up to SIZE / 16, SIZE / 4 and
 *           SIZE. With exact sizes each step moves a block whose neighbour is another such block,
 *           so the bytes copied grow with the square of the size.
 */
#include "drop_in.h"

#define BLOCKS 16
#define STEP 4096ul
#define SIZE (1900ul << 10)

static unsigned moves_up_to(size_t size)
{
	char *block[BLOCKS] = { NULL };
	unsigned moves = 0;

	for (size_t now = STEP; now <= size; now += STEP)
		for (int i = 0; i < BLOCKS; i++) {
			char *p = realloc(block[i], now);

			CHECK(p);
			moves += p != block[i];
			memset(p + now - STEP, i + 1, STEP);
			block[i] = p;
		}
	for (int i = 0; i < BLOCKS; i++) {
		for (size_t at = 0; at < size / STEP * STEP; at += STEP)
			CHECK(block[i][at] == i + 1 && block[i][at + STEP - 1] == i + 1);
		free(block[i]);
	}
	return moves / BLOCKS;
}

/* A block has an eighth to spare. When it shrinks by half, half of its memory goes back. */
static void the_part_that_is_cut_off_goes_back(void)
{
	char *p = malloc(SIZE);

	CHECK(p);
	p = realloc(p, SIZE / 2);
	CHECK(p && malloc_usable_size(p) < SIZE / 2 + SIZE / 8);
	p = realloc(p, SIZE / 2 + STEP);
	CHECK(p && malloc_usable_size(p) < SIZE / 2 + SIZE / 8);
	free(p);
}

int main(void)
{
	unsigned few, some, many;

	need_drop_in();
	few = moves_up_to(SIZE / 16);
	some = moves_up_to(SIZE / 4);
	many = moves_up_to(SIZE);
	/* Where objects are checked, each step moves a block. */
	if (getenv("STELE_DEBUG"))
		return 0;
	/* A doubling takes six steps of an eighth; below 32 KiB there are the buckets. */
	CHECK(few <= 30);
	CHECK(some <= few + 2 * 8);
	CHECK(many <= some + 2 * 8);
	the_part_that_is_cut_off_goes_back();
	return 0;
}
