/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/slots.c where the system told of fewer processors than there are, as /sys in a
 * container may: a thread in a slot that was never set up works without sheaves.
 */
#include "percpu/step.h"
#include "slots.h"

#define THREADS 8
#define ROUNDS 20000

static uint64_t words;
static _Atomic uint32_t wrong;

static int one_slot(void **state)
{
	char *base = slots_memory(1);

	(void)state;
	stele_options_parse(environ);
	stele_system_choose();
	stele_system_facts.slots = 1;
	if (!base)
		return -1;
	stele_hot.base = base;
	stele_pcpu_init(base + SLOTS_AT, 1);
	words = stele_pcpu_alloc();
	return words ? 0 : -1;
}

/* Nothing was attached anywhere, so nothing can be had. */
static void *try_every_step(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		void *p = &words;
		bool had = pcpu_pop(words) || pcpu_pop_late(words) || stele_pcpu_pop(words);

		had |= pcpu_push(words, p) || pcpu_push_late(words, p) || stele_pcpu_push(words, p);
		had |= stele_pcpu_cas(words, WORD_SPARE, 1, 2);
		if (had || stele_pcpu_on_top(words, p) || stele_slot_now() != 0)
			add_relaxed(&wrong, 1);
	}
	return NULL;
}

static void threads_in_other_slots_find_nothing_there(void **state)
{
	(void)state;
	in_threads(THREADS, try_every_step);
	assert_int_equal(load_relaxed(&wrong), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_in_other_slots_find_nothing_there),
	};

	return cmocka_run_group_tests(tests, one_slot, NULL);
}
