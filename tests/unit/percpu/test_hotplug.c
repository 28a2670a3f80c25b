/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/cpus.c and percpu/hotplug.c: steps in order and in reverse, failures at every
 * position, which threads may change the set, and the objects that a closed slot still gives.
 */
#include "percpu/step.h"

#include "four_slots.h"

#include <stdio.h>

#define STEPS 6u /* half of them before the slot is in use */

/* ---- questions ---- */

static void every_slot_is_counted_once(void **state)
{
	unsigned cpu, n = 0, online = 0;

	(void)state;
	assert_int_equal(num_possible_cpus(), SLOTS);
	assert_true(num_present_cpus() >= 1 && num_present_cpus() <= SLOTS);
	for_each_online_cpu(cpu)
	{
		assert_true(cpu_online(cpu));
		online++;
	}
	for_each_present_cpu(cpu) n++;
	assert_int_equal(online, num_online_cpus());
	assert_int_equal(n, num_present_cpus());
	assert_false(cpu_possible(SLOTS));
	assert_false(cpu_online(SLOTS) || cpu_present(SLOTS) || cpu_online(~0u));
	assert_true(raw_smp_processor_id() < SLOTS);
}

/* ---- steps ---- */

static char calls[256];
static int failing = -1; /* this step's next call in this direction fails */
static bool failing_up;
static int numbers[STEPS];
static bool done[STEPS][SLOTS];

static int step(unsigned i, unsigned cpu, bool up)
{
	size_t len = strlen(calls);

	snprintf(calls + len, sizeof(calls) - len, "%c%u", up ? '+' : '-', i);
	if (failing == (int)i && failing_up == up) {
		failing = -1;
		return -EIO;
	}
	assert_int_equal(done[i][cpu], !up);
	done[i][cpu] = up;
	return 0;
}

#define STEP(i)                                                                                    \
	static int up##i(unsigned cpu)                                                             \
	{                                                                                          \
		return step(i, cpu, true);                                                         \
	}                                                                                          \
	static int down##i(unsigned cpu)                                                           \
	{                                                                                          \
		return step(i, cpu, false);                                                        \
	}
/* clang-format off */
STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)
	/* clang-format on */

	static int (*const ups[STEPS])(unsigned) = { up0, up1, up2, up3, up4, up5 };
static int (*const downs[STEPS])(unsigned) = { down0, down1, down2, down3, down4, down5 };
static const char *const names[STEPS] = { "zero", "one", "two", "three", "four", "five" };

static void install_all(void)
{
	for (unsigned i = 0; i < STEPS; i++) {
		numbers[i] = cpuhp_setup_state(i < STEPS / 2 ? CPUHP_BP_PREPARE_DYN
							     : CPUHP_AP_ONLINE_DYN,
					       names[i], ups[i], downs[i]);
		assert_true(numbers[i] > 0);
	}
	calls[0] = 0;
}

static void remove_all(void)
{
	for (unsigned i = STEPS; i-- > 0;)
		cpuhp_remove_state((enum cpuhp_state)numbers[i]);
	for (unsigned i = 0; i < STEPS; i++)
		for (unsigned cpu = 0; cpu < SLOTS; cpu++)
			assert_false(done[i][cpu]);
}

static void assert_called(const char *what)
{
	assert_string_equal(calls, what);
	calls[0] = 0;
}

static void steps_run_up_in_order_and_down_in_reverse(void **state)
{
	(void)state;
	install_all();
	assert_int_equal(stele_cpu_down(1), 0);
	assert_called("-5-4-3-2-1-0");
	assert_false(cpu_online(1));
	assert_int_equal(num_online_cpus(), SLOTS - 1);
	assert_int_equal(stele_cpu_up(1), 0);
	assert_called("+0+1+2+3+4+5");
	assert_true(cpu_online(1));
	remove_all();
}

static void expect_up(char *text, int from, int to)
{
	for (int i = from; i <= to; i++)
		sprintf(text + strlen(text), "+%d", i);
}

static void expect_down(char *text, int from, int to)
{
	for (int i = from; i >= to; i--)
		sprintf(text + strlen(text), "-%d", i);
}

static void a_step_that_fails_on_the_way_up_undoes_those_before(void **state)
{
	struct stderr_text t;
	char text[128], said[128];

	(void)state;
	install_all();
	for (int i = 0; i < (int)STEPS; i++) {
		assert_int_equal(stele_cpu_down(2), 0);
		calls[0] = text[0] = 0;
		failing = i;
		failing_up = true;
		expect_up(text, 0, i);
		expect_down(text, i - 1, 0);
		assert_true(stderr_begin(&t));
		assert_int_equal(stele_cpu_up(2), -EIO);
		sprintf(said, "stele: stele_cpu_up(2): step '%s' failed with error -5; undone\n",
			names[i]);
		assert_said(&t, said);
		assert_called(text);
		assert_false(cpu_online(2));
		assert_true(stele_slot_is_closed(2));
		assert_int_equal(stele_cpu_up(2), 0);
	}
	remove_all();
}

static void a_step_that_fails_on_the_way_down_starts_those_before_again(void **state)
{
	struct stderr_text t;
	char text[128], said[128];

	(void)state;
	install_all();
	for (int i = 0; i < (int)STEPS; i++) {
		calls[0] = text[0] = 0;
		failing = i;
		failing_up = false;
		expect_down(text, STEPS - 1, i);
		expect_up(text, i + 1, STEPS - 1);
		assert_true(stderr_begin(&t));
		assert_int_equal(stele_cpu_down(2), -EIO);
		sprintf(said, "stele: stele_cpu_down(2): step '%s' failed with error -5; undone\n",
			names[i]);
		assert_said(&t, said);
		assert_called(text);
		assert_true(cpu_online(2));
		assert_false(stele_slot_is_closed(2));
	}
	remove_all();
}

static unsigned fails_at;

static int fail_at(unsigned cpu)
{
	if (cpu == fails_at)
		return -ENOMEM;
	done[0][cpu] = true;
	return 0;
}

static int undo(unsigned cpu)
{
	done[0][cpu] = false;
	return 0;
}

static void a_step_that_some_slot_refuses_is_not_installed(void **state)
{
	struct stderr_text t;
	char said[128];

	(void)state;
	for (fails_at = 0; fails_at < SLOTS; fails_at++) {
		assert_true(stderr_begin(&t));
		assert_int_equal(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "picky", fail_at, undo),
				 -ENOMEM);
		sprintf(said,
			"stele: cpuhp_setup_state(picky): slot %u failed with error -12; "
			"undone\n",
			fails_at);
		assert_said(&t, said);
		for (unsigned cpu = 0; cpu < SLOTS; cpu++)
			assert_false(done[0][cpu]);
	}
}

static void numbers_are_given_out_and_come_back(void **state)
{
	struct stderr_text t;
	int first = 0, n = 0, number;

	(void)state;
	assert_true(stderr_begin(&t));
	while ((number = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "many", NULL, NULL)) > 0) {
		first = first ? first : number;
		n++;
	}
	assert_int_equal(number, -ENOSPC);
	assert_said(&t, "stele: cpuhp_setup_state(many): state 2: no number left\n");
	assert_int_equal(n, CPUHP_BP_PREPARE_DYN_END - CPUHP_BP_PREPARE_DYN + 1);
	for (int i = 0; i < n; i++)
		cpuhp_remove_state_nocalls((enum cpuhp_state)(first + i));
	assert_int_equal(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN_END, "fixed", NULL, NULL), 0);
	assert_true(stderr_begin(&t));
	assert_int_equal(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN_END, "other", NULL, NULL), -EBUSY);
	assert_said(&t, "stele: cpuhp_setup_state(other): state 64: taken\n");
	cpuhp_remove_state(CPUHP_AP_ONLINE_DYN_END);
}

/* ---- refusals ---- */

static void impossible_changes_are_refused_with_a_message(void **state)
{
	struct stderr_text t;

	(void)state;
	assert_true(stderr_begin(&t));
	assert_int_equal(stele_cpu_down(SLOTS), -EINVAL);
	assert_int_equal(stele_cpu_up(~0u), -EINVAL);
	assert_int_equal(stele_cpu_up(0), -EINVAL);
	assert_int_equal(cpuhp_setup_state(CPUHP_ONLINE, "late", NULL, NULL), -EINVAL);
	assert_int_equal(cpuhp_setup_state(CPUHP_OFFLINE, "early", NULL, NULL), -EINVAL);
	assert_int_equal(cpuhp_setup_state(CPUHP_BRINGUP_CPU, "ours", NULL, NULL), -EBUSY);
	assert_int_equal(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, NULL, NULL, NULL), -EINVAL);
	cpuhp_remove_state(CPUHP_AP_ONLINE_DYN);
	cpuhp_remove_state(CPUHP_BRINGUP_CPU);
	cpuhp_remove_state(CPUHP_INVALID);
	cpus_read_unlock();
	assert_said(&t, "stele: stele_cpu_down(4): no such slot; there are 4\n"
			"stele: stele_cpu_up(4294967295): no such slot; there are 4\n"
			"stele: stele_cpu_up(0): the slot is online already\n"
			"stele: cpuhp_setup_state(late): state 65: no such state\n"
			"stele: cpuhp_setup_state(early): state 0: no such state\n"
			"stele: cpuhp_setup_state(ours): state 23: taken\n"
			"stele: cpuhp_setup_state: no name\n"
			"stele: cpuhp_remove_state(24): no such step\n"
			"stele: cpuhp_remove_state(23): the library's own; it stays\n"
			"stele: cpuhp_remove_state(-1): no such step\n"
			"stele: cpus_read_unlock: this thread does not hold it\n");
}

static void the_last_slot_stays(void **state)
{
	struct stderr_text t;

	(void)state;
	for (unsigned cpu = 1; cpu < SLOTS; cpu++)
		assert_int_equal(stele_cpu_down(cpu), 0);
	assert_true(stderr_begin(&t));
	assert_int_equal(stele_cpu_down(0), -EBUSY);
	assert_int_equal(stele_cpu_down(1), -EINVAL);
	assert_said(&t, "stele: stele_cpu_down(0): the slot is the last one online\n"
			"stele: stele_cpu_down(1): the slot is offline already\n");
	assert_int_equal(num_online_cpus(), 1);
	for (unsigned cpu = 1; cpu < SLOTS; cpu++)
		assert_int_equal(stele_cpu_up(cpu), 0);
}

static int inside_number, errors[4];

static int try_from_inside(unsigned cpu)
{
	errors[0] = stele_cpu_up(cpu);
	errors[1] = stele_cpu_down(0);
	errors[2] = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "inner", NULL, NULL);
	errors[3] = stele_cpu_refresh();
	cpuhp_remove_state((enum cpuhp_state)inside_number);
	cpus_read_lock(); /* this may be: it is the writer's own */
	errors[0] |= cpus_read_trylock() ? 0 : 1;
	cpus_read_unlock();
	cpus_read_unlock();
	return 0;
}

static void a_step_changes_nothing_itself(void **state)
{
	struct stderr_text t;
	char said[512];

	(void)state;
	inside_number =
		cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "inside", try_from_inside, NULL);
	assert_int_equal(stele_cpu_down(3), 0);
	assert_true(stderr_begin(&t));
	assert_int_equal(stele_cpu_up(3), 0);
	sprintf(said,
		"stele: stele_cpu_up(3): called from within a step\n"
		"stele: stele_cpu_down(0): called from within a step\n"
		"stele: cpuhp_setup_state(inner): called from within a step\n"
		"stele: stele_cpu_refresh(): called from within a step\n"
		"stele: cpuhp_remove_state(%d): called from within a step; it stays\n",
		inside_number);
	assert_said(&t, said);
	for (int i = 0; i < 4; i++)
		assert_int_equal(errors[i], -EDEADLK);
	cpuhp_remove_state_nocalls((enum cpuhp_state)inside_number);
}

static void a_thread_that_keeps_the_set_cannot_change_it(void **state)
{
	struct stderr_text t;

	(void)state;
	cpus_read_lock();
	cpus_read_lock();
	assert_true(stderr_begin(&t));
	assert_int_equal(stele_cpu_down(1), -EDEADLK);
	assert_int_equal(stele_cpu_watch(true), -EDEADLK);
	assert_said(&t, "stele: stele_cpu_down(1): called by a thread that holds cpus_read_lock()\n"
			"stele: stele_cpu_watch: called from within a step, or by a thread "
			"that holds cpus_read_lock()\n");
	cpus_read_unlock();
	cpus_read_unlock();
	assert_int_equal(stele_cpu_down(1), 0);
	assert_int_equal(stele_cpu_up(1), 0);
}

/* ---- closed slots ---- */

static struct test_sheaf sheaves[3];

static unsigned put_sheaves_here(void)
{
	unsigned slot;

	for (int i = 0; i < 3; i++)
		sheaf_start(&sheaves[i]);
	assert_int_not_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_UNINIT);
	slot = stele_slot_now();
	assert_true(stele_pcpu_cas(words, WORD_MAIN, SHEAF_EMPTY,
				   (uint64_t)(uintptr_t)sheaves[0].entry));
	assert_true(stele_pcpu_cas(words, WORD_SPARE, 0, (uint64_t)(uintptr_t)sheaves[1].entry));
	assert_true(stele_pcpu_cas(words, WORD_RCU, SHEAF_EMPTY,
				   (uint64_t)(uintptr_t)sheaves[2].entry));
	assert_true(stele_pcpu_push(words, &sheaves));
	return slot;
}

static uint64_t sum_of(unsigned slot)
{
	uint64_t sum = 0;
	uint32_t at = 0;

	while (!stele_slot_sum(slot, &at, 16, &sum))
		;
	return sum;
}

static void a_closed_slot_gives_nothing_and_loses_nothing(void **state)
{
	uint64_t found[3] = { 0 };
	unsigned slot;

	(void)state;
	stay_here();
	slot = put_sheaves_here();
	assert_int_not_equal(sum_of(slot), 0);
	assert_int_equal(stele_slot_close(slot), 0);
	assert_true(stele_slot_is_closed(slot));
	assert_null(pcpu_pop(words));
	assert_false(pcpu_push(words, &words));
	assert_null(stele_pcpu_pop(words));
	assert_int_equal(stele_pcpu_sheaves(words), 3);
	stele_slot_empty(slot, words, found);
	assert_int_equal(found[0], (uintptr_t)sheaves[0].entry + 8);
	assert_int_equal(found[1], (uintptr_t)sheaves[1].entry);
	assert_int_equal(found[2], (uintptr_t)sheaves[2].entry);
	assert_int_equal(stele_pcpu_sheaves(words), 0);
	assert_int_equal(sum_of(slot), 0);
	stele_slot_open(slot);
	assert_null(stele_pcpu_pop(words));
}

static void count_taken(uint64_t top, void *arg)
{
	(void)top;
	++*(unsigned *)arg;
}

static void sheaves_of_a_closed_slot_are_found_by_taking_all(void **state)
{
	unsigned slot, taken = 0;

	(void)state;
	slot = put_sheaves_here();
	assert_int_equal(stele_slot_close(slot), 0);
	assert_int_equal(stele_pcpu_take_all(words, EFFORT_WAITING, count_taken, &taken), 0);
	assert_int_equal(stele_pcpu_take_rcu(words, count_taken, &taken), 0);
	assert_int_equal(taken, 3);
	stele_slot_open(slot);
}

static void a_thread_without_sequences_takes_another_slot(void **state)
{
	unsigned slot = stele_slot_now();

	(void)state;
	assert_int_equal(stele_slot_close(slot), 0);
	if (stele_system_facts.mode == STELE_MODE_FALLBACK) {
		assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
		assert_int_not_equal(stele_slot_now(), slot);
	} else if (stele_slot_now() == slot) {
		assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_UNINIT);
	}
	stele_slot_open(slot);
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_is_counted_once),
		cmocka_unit_test(steps_run_up_in_order_and_down_in_reverse),
		cmocka_unit_test(a_step_that_fails_on_the_way_up_undoes_those_before),
		cmocka_unit_test(a_step_that_fails_on_the_way_down_starts_those_before_again),
		cmocka_unit_test(a_step_that_some_slot_refuses_is_not_installed),
		cmocka_unit_test(numbers_are_given_out_and_come_back),
		cmocka_unit_test(impossible_changes_are_refused_with_a_message),
		cmocka_unit_test(the_last_slot_stays),
		cmocka_unit_test(a_step_changes_nothing_itself),
		cmocka_unit_test(a_thread_that_keeps_the_set_cannot_change_it),
		cmocka_unit_test(a_closed_slot_gives_nothing_and_loses_nothing),
		cmocka_unit_test(sheaves_of_a_closed_slot_are_found_by_taking_all),
		cmocka_unit_test(a_thread_without_sequences_takes_another_slot),
	};

	return cmocka_run_group_tests(tests, four_slots, NULL);
}
