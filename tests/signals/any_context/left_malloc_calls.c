/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_malloc_calls.c - TABLE: the calls of the drop-in that a handler leaves
 *
 * Idea      left.h leaves the phases at every instruction; here are the calls of the phases, and those
 *           of the thread that goes on. This program's malloc is the drop-in's. The C library calls it
 *           too, as it starts and ends threads: no handler leaves those calls.
 * Argument  the table, then "jumps", "exits", "stays" or "control", as left.h says.
 */
#include "left.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/wait.h>

#define FORK_EVERY 4 /* a fork in one of so many turns of the control path */

/* ---- the phases ---- */

static void by_size(void)
{
	static const size_t sizes[] = { 8, 96, 512, 4096, 24000, 32768 };

	for (unsigned i = 0; i < 6; i++) {
		hold(i, malloc(sizes[i]), sizes[i], free);
		MUST(malloc_usable_size(held[i].p) >= sizes[i]);
		let_go(i);
	}
	free(malloc(0));
}

static void zeroed(void)
{
	static const size_t sizes[] = { 16, 1000, 20000, 300 << 10 };

	for (unsigned i = 0; i < 4; i++) {
		char *p = calloc(sizes[i] / 8, 8);

		MUST(p);
		MUST_HOLD(!p[0] && !p[sizes[i] / 2] && !p[sizes[i] - 1]);
		hold(i, p, sizes[i], free);
		let_go(i);
	}
}

static void hold_aligned(unsigned i, void *p, size_t alignment, size_t size)
{
	MUST_HOLD((uintptr_t)p % alignment == 0);
	hold(i, p, size, free);
}

static void aligned(void)
{
	volatile size_t no_power = 48;
	void *p;

	hold_aligned(0, aligned_alloc(64, 192), 64, 192);
	hold_aligned(1, memalign(256, 1000), 256, 1000);
	hold_aligned(2, memalign(no_power, 40), 64, 40);
	hold_aligned(3, aligned_alloc(8192, 8192), 8192, 8192);
	MUST(posix_memalign(&p, 64 << 10, 40 << 10) == 0);
	hold_aligned(4, p, 64 << 10, 40 << 10);
	MUST(posix_memalign(&p, 4 << 20, 100) == 0);
	hold_aligned(5, p, 4 << 20, 96);
	let_all_go();
}

static void refill(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, i % 2 ? malloc(1000) : memalign(8, 1000), 1000, free);
	let_all_go();
}

/* Slabs are partial, listed, and dead on their stack. */
static void partial(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, malloc(1500), 1496, free);
	for (unsigned third = 0; third < 3; third++)
		for (unsigned i = third; i < HELD; i += 3)
			let_go(i);
}

/* Memory in slabs rises by more than 2 MiB and falls. */
static void decay(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, malloc(24000), 24000, free);
	let_all_go();
}

static void large(void)
{
	static const size_t sizes[] = { 40 << 10, 300 << 10, 600 << 10, 3 << 20, 2200 << 10 };

	for (unsigned i = 0; i < 5; i++)
		hold(i, malloc(sizes[i]), sizes[i], free);
	let_all_go();
}

/* Large ones too: they grow and shrink in place, or move. */
static void resized(void)
{
	static const size_t sizes[] = {
		64, 300, 4096, 40 << 10, 300 << 10, 200 << 10, 3 << 20, 100
	};
	void *p = malloc(200);

	for (unsigned i = 0; i < 8; i++) {
		p = i % 2 ? reallocarray(p, sizes[i] / 4, 4) : realloc(p, sizes[i]);
		MUST(p);
	}
	free(p);
}

/* Frames run out, at the first request and later. */
static void no_frames(void)
{
	for (int nth = 1; nth <= 5; nth += 2) {
		void *p;

		*page_fail = nth;
		for (unsigned i = 0; i < HELD / 2; i++)
			if ((p = i % 2 ? malloc(3000) : calloc(3000, 1)))
				hold(i, p, 3000, free);
		free(malloc(300 << 10));
		*page_fail = 0;
		let_all_go();
	}
}

/* ---- the thread that goes on ---- */

static void use_data_path(void)
{
	void *p[60];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 60; i++)
			MUST(p[i] = round ? malloc(40u << round * 3) : calloc(9, 8));
		for (unsigned i = 0; i < 60; i++)
			free(p[i]);
	}
	MUST(p[0] = memalign(256, 3000));
	MUST(p[0] = realloc(p[0], 700 << 10));
	free(p[0]);
}

/* The child of a fork has the heap as the threads that left have left it. */
static void use_in_child(void)
{
	int status;
	pid_t child = fork();

	MUST(child >= 0);
	if (!child) {
		use_data_path();
		malloc_trim(0);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	MUST_HOLD(status == 0);
}

static void use_control_path(void)
{
	static unsigned turns;
	FILE *nowhere = fopen("/dev/null", "w");

	MUST(nowhere && malloc_info(0, nowhere) == 0);
	fclose(nowhere);
	MUST(mallinfo2().arena > 0);
	if (turns++ % FORK_EVERY == 0)
		use_in_child();
	malloc_trim(0);
}

/* ---- what the neighbour has ---- */

static void *take_block(size_t bytes)
{
	return memalign(4096, bytes);
}

static void give_block(void *p)
{
	free(p);
}

static void empty_caches(void)
{
	malloc_trim(0);
}

/* ---- the program ---- */

static void (*const phases[])(void) = {
	by_size, zeroed, aligned, refill, partial, resized, large, no_frames, decay,
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))

static void run(unsigned number)
{
	phases[number]();
}

int main(int argc, char **argv)
{
	struct trap_plan calls = {
		.function = (const void *)malloc,
		.function_name = "malloc",
		.phases = PHASES,
		.phase = run,
		.share = 15,
	};

	left_prepare(&calls, argc, argv);
	left_run();
	return 0;
}
