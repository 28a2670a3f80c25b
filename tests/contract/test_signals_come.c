/* SPDX-License-Identifier: MIT */
/*
 * A control call waits for another thread's, which is in a user's function for as long as that
 * likes: signals come through to the thread that waits. The function may wait for just what the
 * handler does.
 */
#include "contract.h"

#include <pthread.h>
#include <signal.h>
#include <stele/cpu.h>
#include <unistd.h>

#define LONG_MS 5000

static struct kmem_cache *slow; /* its destructor waits */
static _Atomic bool inside, may_go, handled, waiting, waited;
static _Atomic bool armed;

static void wait_inside(void)
{
	inside = true;
	while (!may_go)
		usleep(1000);
}

static void wait_in_destructor(void *object)
{
	(void)object;
	if (armed)
		wait_inside();
}

static int wait_in_step(unsigned cpu)
{
	(void)cpu;
	if (armed)
		wait_inside();
	return 0;
}

static int step_of_nothing(unsigned cpu)
{
	(void)cpu;
	return 0;
}

static void on_signal(int signal)
{
	(void)signal;
	handled = true;
}

/* ---- calls that are in a user's function ---- */

static void in_a_destructor(void)
{
	kmem_cache_free(slow, kmem_cache_alloc(slow, GFP_KERNEL));
	armed = true;
	stele_trim(0);
}

static void in_a_new_step(void)
{
	int number;

	armed = true;
	number = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "slow", wait_in_step, NULL);
	armed = false;
	cpuhp_remove_state_nocalls((enum cpuhp_state)number);
}

static void in_a_slot_that_goes(void)
{
	int number = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "slow", NULL, wait_in_step);

	armed = true;
	stele_cpu_down(1);
	armed = false;
	stele_cpu_up(1);
	cpuhp_remove_state_nocalls((enum cpuhp_state)number);
}

/* ---- calls that may wait for them ---- */

static void trims(void)
{
	stele_trim(0);
}

static void destroys(void)
{
	kmem_cache_destroy(kmem_cache_create("short", 72, 0, SLAB_NO_MERGE, NULL));
}

static void shrinks_slowly(void)
{
	kmem_cache_shrink(slow);
}

static void reads(void)
{
	stats_now();
}

static void adds_a_step(void)
{
	int number = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "quick", step_of_nothing, NULL);

	if (number > 0)
		cpuhp_remove_state((enum cpuhp_state)number);
}

static void keeps_the_slots(void)
{
	cpus_read_lock();
	cpus_read_unlock();
}

static void changes_a_slot(void)
{
	stele_cpu_refresh();
}

static const struct {
	const char *name;
	void (*call)(void);
} holders[] = { { "a destructor", in_a_destructor },
		{ "a new step", in_a_new_step },
		{ "a slot that goes", in_a_slot_that_goes } },
  waiters[] = { { "stele_trim", trims },
		{ "kmem_cache_destroy", destroys },
		{ "kmem_cache_shrink", shrinks_slowly },
		{ "stele_stats_read", reads },
		{ "cpuhp_setup_state", adds_a_step },
		{ "cpus_read_lock", keeps_the_slots },
		{ "stele_cpu_refresh", changes_a_slot } };

static void *make_held_call(void *call)
{
	((void (*)(void))call)();
	return NULL;
}

static void *wait_for_it(void *call)
{
	waiting = true;
	((void (*)(void))call)();
	waited = true;
	return NULL;
}

/* False: the signal did not come while the call waited. */
static bool comes_through(void (*holds)(void), void (*waits)(void), bool *at_all)
{
	pthread_t holder, waiter;
	bool came;

	inside = may_go = handled = waiting = waited = armed = false;
	assert_int_equal(pthread_create(&holder, NULL, make_held_call, (void *)holds), 0);
	while (!inside)
		usleep(1000);
	armed = false;
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_it, (void *)waits), 0);
	while (!waiting)
		usleep(1000);
	usleep(50000); /* mostly it waits by then */
	pthread_kill(waiter, SIGUSR1);
	for (int i = 0; i < LONG_MS && !handled && !waited; i++)
		usleep(1000);
	*at_all = !waited;
	came = handled || waited;
	may_go = true;
	pthread_join(holder, NULL);
	pthread_join(waiter, NULL);
	return came;
}

static void signals_come_to_a_call_that_waits(void **state)
{
	unsigned wrong = 0, waits = 0;

	(void)state;
	for (unsigned h = 0; h < sizeof(holders) / sizeof(*holders); h++)
		for (unsigned w = 0; w < sizeof(waiters) / sizeof(*waiters); w++) {
			bool at_all;

			if (comes_through(holders[h].call, waiters[w].call, &at_all)) {
				waits += at_all;
				continue;
			}
			wrong++;
			print_message("%s waits for %s with signals held back\n", waiters[w].name,
				      holders[h].name);
		}
	assert_int_equal(wrong, 0);
	assert_true(waits >= 8);
}

static int setup(void **state)
{
	const struct kmem_cache_args args = { .dtor = wait_in_destructor };

	(void)state;
	slow = kmem_cache_create_args("slow", 64, &args, SLAB_NO_MERGE);
	signal(SIGUSR1, on_signal);
	return slow && num_possible_cpus() > 1 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_come_to_a_call_that_waits),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
