/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/run.c, page/frames.c and page/descriptors.c: runs are apart and aligned, every
 * address finds its descriptor, and a request that fails costs nothing.
 */
#include "pages.h"
#include "page/where.h"

#define MANY 4096
#define THREADS 4
#define ROUNDS 4000

static struct run *take(unsigned frames, unsigned align)
{
	bool clean;
	struct run *run = stele_run_take(frames, align, &clean);

	if (!run)
		return NULL;
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	return run;
}

static void every_length_and_alignment_can_be_had(void **state)
{
	(void)state;
	for (unsigned frames = 1; frames <= AREA_FRAMES; frames = frames * 3 / 2 + 1) {
		for (unsigned align = 1; align <= AREA_FRAMES; align *= 2) {
			struct run *run = take(frames, align);

			assert_non_null(run);
			assert_int_equal(run->base % (align * FRAME_SIZE), 0);
			assert_int_equal(run->frames, frames);
			assert_int_equal(run->bytes, frames * FRAME_SIZE);
			memset((void *)run->base, 0xee, run->bytes);
			stele_run_return(run);
		}
	}
}

static void every_frame_leads_to_its_run_until_it_is_returned(void **state)
{
	struct run *run = take(7, 1), *next = take(3, 1);
	uintptr_t base = run->base;

	(void)state;
	for (size_t i = 0; i < 7 * FRAME_SIZE; i += 512)
		assert_ptr_equal(stele_run_of((void *)(base + i)), run);
	assert_ptr_equal(stele_run_of((void *)(base + 7 * FRAME_SIZE - 1)), run);
	for (size_t i = 0; i < 3 * FRAME_SIZE; i += 512)
		assert_ptr_equal(stele_run_of((void *)(next->base + i)), next);
	stele_run_return(run);
	for (size_t i = 0; i < 7; i++)
		assert_null(stele_run_of((void *)(base + i * FRAME_SIZE)));
	stele_run_return(next);
}

static void foreign_addresses_have_no_run(void **state)
{
	int on_stack;

	(void)state;
	assert_null(stele_run_of(NULL));
	assert_null(stele_run_of(&on_stack));
	assert_null(stele_run_of((void *)~0ul));
	assert_null(stele_run_of(stele_hot.base));
	assert_null(stele_run_of(stele_hot.base - 1));
	assert_null(stele_run_of(stele_hot.first - 1));
	assert_null(stele_run_of(stele_hot.first + stele_span()));
	assert_null(stele_run_of(stele_hot.first + stele_span() - 1));
	assert_null(stele_run_of(stele_hot.base + STELE_TAGS_OFFSET));
}

static void clean_frames_read_as_zero(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		bool clean = false;
		struct run *run = stele_run_take(64, 1, &clean);

		assert_non_null(run);
		if (clean) {
			assert_true(all_bytes((void *)run->base, run->bytes, 0));
			seen++;
		}
		memset((void *)run->base, 0xdd, run->bytes);
		run->kind = RUN_LARGE;
		stele_run_publish(run);
		stele_run_return(run);
		if (i % 2)
			stele_purge(0);
	}
	assert_true(seen > 0);
}

static void trimming_and_extending_keep_the_contents(void **state)
{
	struct run *run = take(10, 1);
	uintptr_t base = run->base;
	unsigned first = (unsigned)((base - (uintptr_t)area_memory(area_of(base))) / FRAME_SIZE);

	(void)state;
	memset((void *)base, 0x31, run->bytes);
	stele_run_trim(run, 4);
	assert_int_equal(run->bytes, 4 * FRAME_SIZE);
	assert_int_equal(run->frames, 4);
	assert_ptr_equal(stele_run_of((void *)(base + 4 * FRAME_SIZE - 1)), run);
	assert_null(stele_run_of((void *)(base + 4 * FRAME_SIZE)));
	assert_true(area_claim(area_count(area_of(base)), 3));
	assert_true(take_at(area_at(area_of(base)), first + 4, 3));
	stele_run_extend(run, 7);
	assert_int_equal(run->bytes, 7 * FRAME_SIZE);
	assert_ptr_equal(stele_run_of((void *)(base + 7 * FRAME_SIZE - 1)), run);
	assert_true(all_bytes((void *)base, 4 * FRAME_SIZE, 0x31));
	stele_run_return(run);
}

/* Takes until there is nothing; how many. */
static unsigned take_everything(struct run **runs, unsigned frames)
{
	unsigned n = 0;

	while (n < MANY * 4 && (runs[n] = take(frames, 1)))
		n++;
	return n;
}

static void an_empty_arena_says_so_and_recovers(void **state)
{
	static struct run *runs[MANY * 4];
	static const unsigned sizes[] = { 1, 3, 64, 65, 512 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned n = take_everything(runs, sizes[i]), again;

		assert_true(n >= (RANGE_IS_OURS ? stele_heap.areas_max : 1));
		assert_true(n * sizes[i] <= stele_heap.areas_max * AREA_FRAMES);
		for (unsigned k = n; k > 0; k--)
			stele_run_return(runs[k - 1]);
		again = take_everything(runs, sizes[i]);
		assert_int_equal(again, n);
		for (unsigned k = 0; k < again; k++)
			stele_run_return(runs[k]);
		assert_int_equal(stele_page_stats().used, 0);
	}
}

/* Runs of more than half an area lie side by side, over the borders of areas. */
static void long_runs_leave_no_room_between_them(void **state)
{
	static struct run *runs[MANY * 4];
	unsigned n = take_everything(runs, 300);

	(void)state;
	if (RANGE_IS_OURS)
		assert_int_equal(n, stele_heap.areas_max * AREA_FRAMES / 300);
	for (unsigned i = 0; i < n; i++)
		memset((void *)runs[i]->base, (int)i, runs[i]->bytes);
	for (unsigned i = 0; i < n; i++) {
		assert_true(all_bytes((void *)runs[i]->base, runs[i]->bytes, (unsigned char)i));
		stele_run_return(runs[i]);
	}
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

static void injected_failures_come_when_asked_for(void **state)
{
	struct run *run;

	(void)state;
	stele_inject_page_fail = 3;
	run = take(1, 1);
	assert_non_null(run);
	stele_run_return(run);
	run = take(1, 1);
	assert_non_null(run);
	assert_null(take(1, 1));
	assert_null(take(1, 1));
	stele_inject_page_fail = 0;
	stele_run_return(run);
}

static _Atomic uint32_t wrong;

/* Marks every frame of its runs and finds its marks again. */
static void *take_mark_return(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg + 1;
	struct run *mine[16] = { NULL };

	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = unit_random(&seed) % 16;

		if (mine[at]) {
			for (unsigned f = 0; f < mine[at]->frames; f++) {
				uintptr_t frame = mine[at]->base + f * FRAME_SIZE;

				if (*(uintptr_t *)frame != (frame ^ (uintptr_t)mine[at]) ||
				    stele_run_of((void *)frame) != mine[at])
					add_relaxed(&wrong, 1);
			}
			stele_run_return(mine[at]);
			mine[at] = NULL;
			continue;
		}
		mine[at] = take(1 + unit_random(&seed) % (i % 16 ? 8 : 80), 1u << i % 3);
		for (unsigned f = 0; mine[at] && f < mine[at]->frames; f++) {
			uintptr_t frame = mine[at]->base + f * FRAME_SIZE;

			*(uintptr_t *)frame = frame ^ (uintptr_t)mine[at];
		}
	}
	for (int i = 0; i < 16; i++)
		if (mine[i])
			stele_run_return(mine[i]);
	return NULL;
}

static void threads_never_share_a_frame(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, take_mark_return);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(every_length_and_alignment_can_be_had),
		page_test(every_frame_leads_to_its_run_until_it_is_returned),
		page_test(foreign_addresses_have_no_run),
		page_test(clean_frames_read_as_zero),
		page_test(trimming_and_extending_keep_the_contents),
		page_test(an_empty_arena_says_so_and_recovers),
		page_test(long_runs_leave_no_room_between_them),
		page_test(injected_failures_come_when_asked_for),
		page_test(threads_never_share_a_frame),
	};

	return small_arena("16m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
