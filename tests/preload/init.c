/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/init.c - under init_on_alloc or init_on_free a program finds no byte of a former
 * owner
 *
 * It is run with each of the options. Without both it must fail.
 */
#include "drop_in.h"

#define ROUNDS 200

static const size_t sizes[] = { 1, 16, 40, 100, 1000, 2000, 9000, 32768, 40000, 200000, 3 << 20 };
#define SIZES (sizeof(sizes) / sizeof(*sizes))

/* A pointer whose object the compiler does not know. */
static char *any(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

static void *checked_clear(void *got, size_t from)
{
	char *p = any(got);
	size_t usable;

	CHECK(p);
	usable = malloc_usable_size(p);
	for (size_t i = from; i < usable; i++)
		CHECK_FOR(p[i] == 0, i);
	memset(p, 0x5c, usable);
	return p;
}

static void every_call_gives_clear_memory(size_t size)
{
	void *p[6], *q = NULL;

	p[0] = checked_clear(malloc(size), 0);
	p[1] = checked_clear(calloc(size, 1), 0);
	p[2] = checked_clear(memalign(64, size), 0);
	p[3] = checked_clear(realloc(NULL, size), 0);
	CHECK(posix_memalign(&q, 4096, size) == 0);
	p[4] = checked_clear(q, 0);
	p[5] = checked_clear(reallocarray(NULL, size, 1), 0);
	for (int i = 0; i < 6; i++)
		free(p[i]);
}

/* Only init_on_alloc knows the end that the last call asked for. */
static void the_part_that_a_block_gains_is_clear(void)
{
	static const size_t steps[] = { 40,    44,	48,	 80,	  60,	   80,
					1100,  1000,	1100,	 50000,	  49000,   50000,
					60000, 3 << 20, 4 << 20, 5 << 20, 4 << 20, 5 << 20 };
	size_t had = 20;
	char *p = any(malloc(had));

	memset(p, 0x5c, had);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		p = any(realloc(p, steps[i]));
		CHECK(p);
		for (size_t at = had < steps[i] ? had : steps[i]; at < steps[i]; at++)
			CHECK_FOR(p[at] == 0, at);
		had = steps[i];
		memset(p, 0x5c, had);
	}
	free(p);
}

int main(void)
{
	const char *on_alloc = getenv("STELE_INIT_ON_ALLOC");

	need_drop_in();
	for (size_t i = 0; i < SIZES * ROUNDS; i++)
		every_call_gives_clear_memory(sizes[i % (i < 7 * SIZES ? SIZES : 8)]);
	if (on_alloc && *on_alloc == '1')
		the_part_that_a_block_gains_is_clear();
	return 0;
}
