/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/system.c: the mode asked for is the one chosen, and the reason is told.
 */
#include "arch/rseq.h"
#include "percpu/slots.h"
#include "slots.h"

#define THREADS 8

static struct stele_system chosen(int rseq, int slots)
{
	stele_opt.rseq = rseq;
	stele_opt.slots = slots;
	stele_system_choose();
	return stele_system_facts;
}

/* What the fast steps look at; an architecture without sequences has no area at all. */
static bool nobody_registered(void)
{
	return !STELE_ARCH_HAS_RSEQ || step_area(stele_hot.rseq)->cpu_id < 0;
}

static void turned_off_means_off(void **state)
{
	struct stele_system facts = chosen(0, 0);

	(void)state;
	assert_int_equal(facts.mode, STELE_MODE_FALLBACK);
	assert_int_equal(facts.slots, stele_os_cpus_possible());
	assert_int_equal(facts.own_registration, 0);
	if (STELE_ARCH_HAS_RSEQ)
		assert_string_equal(facts.why, "turned off by the option rseq");
	/* The fast steps must find a thread that is not registered. */
	assert_true(nobody_registered());
}

static void the_fallback_has_as_many_slots_as_asked_for(void **state)
{
	(void)state;
	assert_int_equal(chosen(0, 3).slots, 3);
	assert_int_equal(chosen(0, 4096).slots, 4096);
	assert_int_equal(chosen(0, 0).slots, stele_os_cpus_possible());
}

static void sequences_are_used_only_where_they_are_registered(void **state)
{
	struct stele_system facts = chosen(1, 0);

	(void)state;
	assert_non_null(facts.why);
	if (facts.mode == STELE_MODE_FALLBACK) {
		assert_int_equal(facts.own_registration, 0);
		assert_true(nobody_registered());
		return;
	}
	assert_true(step_area(stele_rseq.area)->cpu_id >= 0);
	assert_int_equal(stele_rseq.id,
			 stele_rseq.area + (facts.mode == STELE_MODE_MM_CID ? 24 : 4));
	/* Only mm_cid may be read by the fast steps. */
	assert_int_equal(stele_hot.rseq == stele_rseq.area, facts.mode == STELE_MODE_MM_CID);
	assert_true(step_slot(stele_rseq.id) < facts.slots);
}

static void a_fast_path_closed_before_the_choice_stays_closed(void **state)
{
	int mode;

	(void)state;
	stele_fast_path(FAST_TRACE, false);
	mode = chosen(-1, 0).mode;
	assert_true(nobody_registered());
	stele_fast_path(FAST_TRACE, true);
	assert_int_equal(stele_hot.rseq == stele_rseq.area && !nobody_registered(),
			 mode == STELE_MODE_MM_CID);
	stele_fast_path(FAST_TRACE, false);
	assert_true(nobody_registered());
	stele_fast_path(FAST_TRACE, true);
}

static void a_fast_path_stays_closed_while_one_reason_is_left(void **state)
{
	bool open = stele_hot.rseq == stele_rseq.area && !nobody_registered();

	(void)state;
	stele_fast_path(FAST_TRACE, false);
	stele_fast_path(FAST_WATCH, false);
	stele_fast_path(FAST_TRACE, true);
	assert_true(nobody_registered());
	stele_fast_path(FAST_WATCH, true);
	assert_int_equal(stele_hot.rseq == stele_rseq.area && !nobody_registered(), open);
}

static void the_choice_is_the_same_every_time(void **state)
{
	struct stele_system first = chosen(-1, 0), second = chosen(-1, 0);

	(void)state;
	assert_int_equal(first.mode, second.mode);
	assert_string_equal(first.why, second.why);
	stele_opt.selftest = false;
	assert_int_equal(chosen(-1, 0).mode, first.mode);
	stele_opt.selftest = true;
}

static _Atomic uint64_t token[THREADS];
static _Atomic uint32_t slot[THREADS], met;

static void *tell_token(void *arg)
{
	uintptr_t i = (uintptr_t)arg;

	store_relaxed(&token[i], stele_os_token());
	store_relaxed(&slot[i], stele_thread_slot());
	if (stele_os_token() != load_relaxed(&token[i]))
		store_relaxed(&token[i], 0);
	add_relaxed(&met, 1);
	while (load_relaxed(&met) < THREADS)
		sched_yield();
	return NULL;
}

static void each_thread_has_a_token_of_its_own_and_a_slot_that_exists(void **state)
{
	unsigned used[3] = { 0 };

	(void)state;
	chosen(0, 3);
	in_threads(THREADS, tell_token);
	for (int i = 0; i < THREADS; i++) {
		assert_int_not_equal(load_relaxed(&token[i]), 0);
		assert_true(load_relaxed(&slot[i]) < 3);
		used[load_relaxed(&slot[i])]++;
		for (int j = 0; j < i; j++)
			assert_int_not_equal(load_relaxed(&token[i]), load_relaxed(&token[j]));
	}
	for (int i = 0; i < 3; i++)
		assert_true(used[i] >= THREADS / 3);
}

static void *tell_name(void *arg)
{
	store_relaxed((_Atomic uint32_t *)arg, stele_thread_name());
	return NULL;
}

/* Two live threads never have one name, however many threads there were. */
static void the_name_for_lines_is_the_kernels_number(void **state)
{
	_Atomic uint32_t other = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, tell_name, &other), 0);
	pthread_join(thread, NULL);
	assert_int_equal(stele_thread_name(), gettid());
	assert_int_not_equal(load_relaxed(&other), gettid());
	assert_int_not_equal(load_relaxed(&other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turned_off_means_off),
		cmocka_unit_test(the_fallback_has_as_many_slots_as_asked_for),
		cmocka_unit_test(sequences_are_used_only_where_they_are_registered),
		cmocka_unit_test(a_fast_path_closed_before_the_choice_stays_closed),
		cmocka_unit_test(a_fast_path_stays_closed_while_one_reason_is_left),
		cmocka_unit_test(the_choice_is_the_same_every_time),
		cmocka_unit_test(each_thread_has_a_token_of_its_own_and_a_slot_that_exists),
		cmocka_unit_test(the_name_for_lines_is_the_kernels_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
