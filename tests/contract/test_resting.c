/* SPDX-License-Identifier: MIT */
/*
 * Page runs that rest in a slot (cache/resting.c): the next request of that size is served from
 * there. Until then nobody owns a resting run. Few may rest, and they go back when memory is asked
 * for.
 */
#include "contract.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

#define KIB 1024ul
#define MIB (1024 * KIB)
#define SLOT_MOST (9 * MIB / 2) /* of one slot */

static const size_t sizes[] = { 33 * KIB, 64 * KIB, 65 * KIB, 128 * KIB, 300 * KIB, MIB };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Frees and allocates until blocks of @size rest. */
static void *until_it_rests(size_t size)
{
	void *p = kmalloc(size, GFP_KERNEL);

	for (int i = 0; i < 4; i++) {
		kfree(p);
		p = kmalloc(size, GFP_KERNEL);
	}
	assert_non_null(p);
	return p;
}

/* After an interruption, or on another CPU, the block goes back after all. */
static bool rests_when_freed(void *p)
{
	uint64_t used = stele_page_stats().used;

	kfree(p);
	return stele_page_stats().used == used;
}

static void a_size_that_comes_back_rests(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		int kept = 0;

		for (int j = 0; j < 20; j++) {
			void *p = until_it_rests(sizes[i]);
			uint64_t used = stele_page_stats().used;
			bool rested = rests_when_freed(p);

			p = kmalloc(sizes[i], GFP_KERNEL);
			kept += rested && stele_page_stats().used == used;
			kfree(p);
		}
		assert_true(kept >= 10);
	}
}

static void a_block_has_exactly_its_pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *p = until_it_rests(sizes[i]), *q;

		kfree(p);
		for (size_t less = 0; less < 40 * KIB && sizes[i] - less > 33 * KIB;
		     less += 4 * KIB) {
			size_t size = sizes[i] - less, page = stele_page_size();

			q = kmalloc(opaque(size), GFP_KERNEL);
			assert_int_equal(ksize(q), (size + page - 1) / page * page);
			sign(q, ksize(q), less);
			assert_true(signed_by(q, ksize(q), less));
			kfree(q);
		}
	}
}

static void zeroes_are_zeroes(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *p = until_it_rests(sizes[i]);

		memset(unseen(p), 0xee, ksize(p));
		kfree(p);
		p = kzalloc(sizes[i], GFP_KERNEL);
		assert_true(all_zero(p, 0, ksize(p)));
		kfree(p);
	}
}

static void a_block_that_rests_is_not_allocated(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *p = until_it_rests(sizes[i]), *q = kmalloc(sizes[i], GFP_KERNEL);
		struct stele_stats before, after;
		struct stderr_text t;

		stele_stats_read(&before);
		kfree(p);
		kfree(q);
		stele_stats_read(&after);
		assert_int_equal(before.large_count - after.large_count, 2);
		STDERR_OF(&t, kfree(unseen(p)));
		assert_says(&t, "not a pointer of this allocator, or already free; not freed\n");
		STDERR_OF(&t, kfree_nolock(unseen(p)));
		assert_says(&t, "already free; not freed\n");
		/* Said once in a program. */
		STDERR_OF(&t, assert_null(krealloc(unseen(q), 2 * sizes[i], GFP_KERNEL)));
		STDERR_OF(&t, assert_int_equal(ksize(unseen(q)), 0));
	}
}

/* Where memory has one node, this is as true of blocks that rest as of those that do not. */
static void no_other_node_gets_a_block_that_rests_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *p = until_it_rests(sizes[i]), *q;

		kfree(p);
		assert_null(kmalloc_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, 70));
		assert_null(kvmalloc_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, 70));
		p = kmalloc_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, 0);
		q = kmalloc_node(sizes[i], GFP_KERNEL, 70);
		assert_true(p && q);
		kfree(p);
		kfree(q);
	}
}

static void a_block_that_changed_rests_with_its_new_size(void **state)
{
	void *p = until_it_rests(64 * KIB), *q = until_it_rests(40 * KIB);

	(void)state;
	p = krealloc(p, 40 * KIB, GFP_KERNEL);
	assert_int_equal(ksize(p), 40 * KIB);
	kfree(p);
	kfree(q);
	for (int i = 0; i < 4; i++) {
		p = kmalloc(64 * KIB, GFP_KERNEL);
		assert_int_equal(ksize(p), 64 * KIB);
		sign(p, 64 * KIB, 1);
		q = kmalloc(40 * KIB, GFP_KERNEL);
		sign(q, 40 * KIB, 2);
		assert_true(signed_by(p, 64 * KIB, 1));
		assert_true(signed_by(q, 40 * KIB, 2));
		kfree(p);
		kfree(q);
	}
}

/* This thread's slots, and others that it may have been moved to. */
static void resting_blocks_are_bounded_and_go_when_asked(void **state)
{
	enum { MANY = 40 };
	static void *p[SIZES][MANY];
	uint64_t before, after;

	(void)state;
	stele_trim(0);
	before = stele_page_stats().used;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++)
			for (size_t j = 0; j < MANY; j++)
				assert_non_null(p[i][j] = kmalloc(sizes[i], GFP_KERNEL));
		for (size_t i = 0; i < SIZES; i++)
			for (size_t j = 0; j < MANY; j++)
				kfree(p[i][j]);
	}
	after = stele_page_stats().used;
	assert_true(after <= before + 4 * SLOT_MOST);
	stele_trim(0);
	/* Sheaves stay. */
	assert_true(stele_page_stats().used <= before + 64 * KIB);
}

/* ---- handlers ---- */

static atomic_bool bad;

struct work {
	uint32_t seed;
	void *block[6];
	size_t size[6];
};

static void work_step(struct work *w, size_t owner)
{
	static const uint8_t pages[] = { 9, 10, 16, 17, 24, 70 };
	unsigned at, which;
	size_t size;

	w->seed = w->seed * 1664525 + 1013904223;
	at = w->seed >> 8 & 3;
	which = (w->seed >> 16) % 6;
	size = pages[which] * 4 * KIB;
	if (w->block[at]) {
		char *p = w->block[at];

		if (*(size_t *)p != owner || *(size_t *)(p + w->size[at] - 8) != w->size[at])
			bad = true;
		kfree(p);
	}
	w->block[at] = kmalloc(size, GFP_NOWAIT);
	w->size[at] = size;
	if (!w->block[at])
		return;
	*(size_t *)w->block[at] = owner;
	*(size_t *)((char *)w->block[at] + size - 8) = size;
}

static struct work of_handler = { .seed = 7 };

static void work_on_signal(int number)
{
	(void)number;
	for (int i = 0; i < 3; i++)
		work_step(&of_handler, 1);
}

static void done(struct work *w)
{
	for (int i = 0; i < 6; i++)
		kfree(w->block[i]);
}

static void *beside(void *arg)
{
	atomic_bool *stop = arg;
	struct work w = { .seed = 3 };

	while (!*stop)
		for (int i = 0; i < 100; i++)
			work_step(&w, 2);
	done(&w);
	return NULL;
}

static void handlers_threads_and_trims_share_no_block(void **state)
{
	struct sigaction action = { .sa_handler = work_on_signal };
	struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
	time_t end = time(NULL) + 2;
	struct work w = { .seed = 1 };
	atomic_bool stop = false;
	pthread_t other;
	sigset_t set;

	(void)state;
	/* The other thread takes no signals: the handler's blocks have one owner. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(pthread_create(&other, NULL, beside, &stop), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned n = 0; time(NULL) < end; n++) {
		for (int i = 0; i < 200; i++)
			work_step(&w, 3);
		if (n % 8 == 0)
			stele_trim(MIB);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	stop = true;
	pthread_join(other, NULL);
	done(&w);
	done(&of_handler);
	assert_false(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_that_comes_back_rests),
		cmocka_unit_test(a_block_has_exactly_its_pages),
		cmocka_unit_test(zeroes_are_zeroes),
		cmocka_unit_test(a_block_that_rests_is_not_allocated),
		cmocka_unit_test(no_other_node_gets_a_block_that_rests_here),
		cmocka_unit_test(a_block_that_changed_rests_with_its_new_size),
		cmocka_unit_test(resting_blocks_are_bounded_and_go_when_asked),
		cmocka_unit_test(handlers_threads_and_trims_share_no_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
