/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/close.c and percpu/take.c, each beside each: while one thread empties a slot,
 * another one opens, closes, takes, brings up or looks again. Each sheaf is had once, and a
 * slot that is being emptied is reached by no step.
 */
#include "base/options.h"
#include "percpu/cpus.h"
#include "slots.h"

#include <time.h>

#define SLOTS 4u
#define SHEAVES 3
#define MEET_MS 20 /* how long an operation that does not wait is given to happen */

static uint64_t words;
static struct test_sheaf sheaves[SHEAVES];
static unsigned slot;
static _Atomic uint32_t had[SHEAVES]; /* how often each was had */
static _Atomic bool other_done;

static int four_slots_and_stay(void **state)
{
	(void)state;
	words = slots_start_up(SLOTS);
	stay_here();
	return words ? 0 : -1;
}

/* ---- what is in the slot ---- */

static void note(uint64_t top)
{
	for (int i = 0; i < SHEAVES; i++)
		if (top == (uint64_t)(uintptr_t)sheaves[i].entry)
			add_relaxed(&had[i], 1);
}

static void note_top(uint64_t top, void *arg)
{
	(void)arg;
	note(top);
}

static void note_found(const uint64_t found[3])
{
	for (int i = 0; i < 3; i++)
		note(found[i]);
}

static void put_noted_sheaves(void)
{
	static const enum stele_word word[SHEAVES] = { WORD_MAIN, WORD_SPARE, WORD_RCU };

	assert_int_not_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_UNINIT);
	slot = stele_slot_now();
	for (int i = 0; i < SHEAVES; i++) {
		store_relaxed(&had[i], 0);
		while (!stele_pcpu_cas(words, word[i], word[i] == WORD_SPARE ? 0 : SHEAF_EMPTY,
				       sheaf_start(&sheaves[i])))
			; /* interrupted */
	}
}

/* ---- what another thread does meanwhile ---- */

static void by_opening(void)
{
	stele_slot_open(slot);
}

static void by_up(void)
{
	stele_cpu_up(slot);
}

static void by_refresh(void)
{
	stele_cpu_refresh();
}

static void by_closing(void)
{
	assert_int_equal(stele_slot_close(slot), 0);
}

static void by_taking(void)
{
	assert_int_equal(stele_pcpu_take_all(words, EFFORT_WAITING, note_top, NULL), 0);
	assert_int_equal(stele_pcpu_take_rcu(words, note_top, NULL), 0);
}

static void by_emptying(void)
{
	uint64_t found[3] = { 0 };

	stele_slot_empty(slot, words, found);
	note_found(found);
}

static void ignore(unsigned cold_slot, void *arg)
{
	(void)cold_slot, (void)arg;
}

static void by_cold_look(void)
{
	assert_false(stele_slot_empty_cold(slot, ignore, NULL) && !atomic_load(&other_done));
}

static void by_mending(void)
{
	stele_pcpu_mend();
}

static void by_new_line(void)
{
	uint64_t line = stele_pcpu_alloc();

	assert_int_not_equal(line, 0);
	stele_pcpu_free(line);
}

/* A step in whatever slot this thread has; nothing may be had of the slot that is emptied. */
static void by_use(void)
{
	for (int i = 0; i < 1000; i++)
		if (stele_pcpu_pop(words))
			abort();
}

static const struct other {
	const char *name;
	void (*work)(void);
	bool slot_is_offline; /* shown though the set has it offline: used again unannounced */
} others[] = {
	{ "open", by_opening, false },
	{ "open", by_opening, true },
	{ "up", by_up, true },
	{ "refresh", by_refresh, true },
	{ "refresh", by_refresh, false },
	{ "close", by_closing, false },
	{ "take", by_taking, false },
	{ "empty", by_emptying, false },
	{ "cold look", by_cold_look, false },
	{ "mend", by_mending, false },
	{ "new line", by_new_line, false },
	{ "use", by_use, false },
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

static pthread_t thread;

static void *run_other(void *arg)
{
	((const struct other *)arg)->work();
	atomic_store(&other_done, true);
	return NULL;
}

/* Some operations wait for the one that is under way. */
static void start_other(const struct other *other)
{
	const struct timespec millisecond = { 0, 1000000 };

	atomic_store(&other_done, false);
	assert_int_equal(pthread_create(&thread, NULL, run_other, (void *)other), 0);
	for (int i = 0; i < MEET_MS && !atomic_load(&other_done); i++)
		nanosleep(&millisecond, NULL);
}

/* As hotplug leaves a slot that went with its CPU and is used again. */
static void take_offline(unsigned cpu)
{
	assert_int_equal(stele_cpu_down(cpu), 0);
	stele_slot_open(cpu);
	stele_cpus.seen[0] &= ~(1ull << cpu);
}

static void begin_with(const struct other *other)
{
	unsigned here;

	assert_int_not_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_UNINIT);
	here = stele_slot_now();
	if (other->slot_is_offline)
		take_offline(here);
	put_noted_sheaves();
}

static void end_with(const struct other *other)
{
	unsigned cpu;

	pthread_join(thread, NULL);
	for (int i = 0; i < SHEAVES; i++)
		if (load_relaxed(&had[i]) != 1)
			fail_msg("%s: sheaf %d was had %u times", other->name, i, had[i]);
	for_each_possible_cpu(cpu)
	{
		stele_slot_open(cpu);
		if (!cpu_online(cpu))
			assert_int_equal(stele_cpu_up(cpu), 0);
	}
}

/* ---- a cold look, and each of them ---- */

static void look_cold(unsigned cold_slot, void *arg)
{
	const struct other *other = arg;
	uint64_t found[3] = { 0 };

	start_other(other);
	if (by_sequence() && stele_slot_is_shown(cold_slot))
		fail_msg("%s: steps reach a slot that is being emptied", other->name);
	if (stele_slot_is_closed(cold_slot))
		fail_msg("%s: the slot looks as if its CPU had been taken away", other->name);
	stele_slot_empty_held(cold_slot, words, found);
	note_found(found);
	if (by_sequence() && stele_slot_is_shown(cold_slot))
		fail_msg("%s: steps reach a slot that was being emptied", other->name);
}

static void a_slot_that_a_cold_look_empties_stays_out_of_reach(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OTHERS; i++) {
		begin_with(&others[i]);
		assert_true(stele_slot_empty_cold(slot, look_cold, (void *)&others[i]));
		end_with(&others[i]);
	}
}

static void a_slot_that_came_up_during_a_cold_look_is_online(void **state)
{
	struct other refresh = { "refresh", by_refresh, true };

	(void)state;
	if (!by_sequence())
		return; /* all slots are always there */
	begin_with(&refresh);
	assert_false(cpu_online(slot));
	assert_true(stele_slot_empty_cold(slot, look_cold, &refresh));
	pthread_join(thread, NULL);
	assert_true(cpu_online(slot));
	assert_true(stele_slot_is_shown(slot));
}

/* ---- a closed slot, and each of them ---- */

static void a_closed_slot_is_emptied_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OTHERS; i++) {
		uint64_t found[3] = { 0 };

		if (others[i].work == by_opening || others[i].slot_is_offline)
			continue; /* only the writer that closed the slot does this */
		begin_with(&others[i]);
		assert_int_equal(stele_slot_close(slot), 0);
		start_other(&others[i]);
		assert_false(stele_slot_is_shown(slot));
		stele_slot_empty(slot, words, found);
		note_found(found);
		end_with(&others[i]);
	}
}

/* The end of a refused step on the way up, for a slot in use (percpu/hotplug.c). */
static void a_slot_in_use_is_not_emptied_as_a_closed_one(void **state)
{
	uint64_t found[3] = { 0 };

	(void)state;
	if (!by_sequence())
		return; /* there each line is locked, and can be taken from a slot in use */
	put_noted_sheaves();
	stele_slot_empty(slot, words, found);
	note_found(found);
	for (int i = 0; i < SHEAVES; i++)
		assert_int_equal(load_relaxed(&had[i]), 0);
	by_taking();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_that_a_cold_look_empties_stays_out_of_reach),
		cmocka_unit_test(a_slot_that_came_up_during_a_cold_look_is_online),
		cmocka_unit_test(a_closed_slot_is_emptied_once),
		cmocka_unit_test(a_slot_in_use_is_not_emptied_as_a_closed_one),
	};

	return cmocka_run_group_tests(tests, four_slots_and_stay, NULL);
}
