/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/cpus.c and percpu/hotplug.c with threads that read the set while others change
 * it: the set stays as long as a thread reads, and no writer waits for a reader that is gone.
 */
#include "four_slots.h"

#include "base/options.h"
#include "sync/held.h"
#include "sync/mutex.h"
#include "sync/ranks.h"

#include <signal.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS 400

static _Atomic uint32_t wrong, inside;

static int inside_alone(unsigned cpu)
{
	(void)cpu;
	if (atomic_load(&inside))
		add_relaxed(&wrong, 1);
	return 0;
}

static void read_once(unsigned slot)
{
	bool online;

	if (slot % 2) {
		cpus_read_lock();
	} else if (!cpus_read_trylock()) {
		return;
	}
	atomic_fetch_add(&inside, 1);
	online = cpu_online(slot);
	cpus_read_lock();
	sched_yield();
	cpus_read_unlock();
	if (online != cpu_online(slot))
		add_relaxed(&wrong, 1);
	atomic_fetch_sub(&inside, 1);
	cpus_read_unlock();
}

static void *read_or_change(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (me >= 2)
			read_once(1 + me % 3);
		else if (stele_cpu_down(1 + me) != 0 || stele_cpu_up(1 + me) != 0)
			add_relaxed(&wrong, 1);
	}
	return NULL;
}

static void the_set_stays_as_long_as_somebody_reads(void **state)
{
	int number =
		cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "alone", inside_alone, inside_alone);

	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, read_or_change);
	meet_inside_steps(false);
	cpuhp_remove_state_nocalls((enum cpuhp_state)number);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(num_online_cpus(), SLOTS);
}

static void *read_and_go(void *again)
{
	cpus_read_lock();
	if (again)
		cpus_read_lock();
	return NULL;
}

/* By the bare system call, or killed as a child of vfork(): it could not let go. */
static void a_reader_that_is_gone_stops_no_change(void **state)
{
	pthread_t thread;

	(void)state;
	for (uintptr_t again = 0; again < 2; again++) {
		assert_int_equal(pthread_create(&thread, NULL, read_and_go, (void *)again), 0);
		pthread_join(thread, NULL);
		assert_int_equal(stele_cpu_down(1), 0);
		assert_int_equal(stele_cpu_up(1), 0);
	}
}

#define CROWD 70 /* more than a table of names has places at first */

static _Atomic bool crowd_may_go;

static void *read_in_a_crowd(void *unused)
{
	cpus_read_lock();
	atomic_fetch_add(&inside, 1);
	while (!atomic_load(&crowd_may_go))
		usleep(1000);
	atomic_fetch_sub(&inside, 1);
	cpus_read_unlock();
	return unused;
}

static void *let_them_go(void *unused)
{
	usleep(50000);
	atomic_store(&crowd_may_go, true);
	return unused;
}

static void any_number_of_readers_is_waited_for(void **state)
{
	pthread_t threads[CROWD + 1];

	(void)state;
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_in_a_crowd, NULL), 0);
	while (atomic_load(&inside) < CROWD)
		usleep(1000);
	assert_int_equal(pthread_create(&threads[CROWD], NULL, let_them_go, NULL), 0);
	assert_int_equal(stele_cpu_down(1), 0);
	assert_int_equal(atomic_load(&inside), 0);
	for (int i = 0; i <= CROWD; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stele_cpu_up(1), 0);
}

static void readers_that_die_in_a_crowd_stop_no_change(void **state)
{
	pthread_t threads[CROWD], thread;

	(void)state;
	atomic_store(&crowd_may_go, false);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_in_a_crowd, NULL), 0);
	while (atomic_load(&inside) < CROWD)
		usleep(1000);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(pthread_create(&thread, NULL, read_and_go, NULL), 0);
		pthread_join(thread, NULL);
	}
	atomic_store(&crowd_may_go, true);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stele_cpu_down(1), 0);
	assert_int_equal(stele_cpu_up(1), 0);
}

/* ---- the order of locks (sync/held.h), in debug builds ---- */

#if STELE_DEBUG
static void the_set_is_outside_of_every_lock(void **state)
{
	static struct stele_mutex inner = STELE_MUTEX(LIST);
	uint32_t before = stele_held_reports();
	struct stderr_text t;

	(void)state;
	stele_opt.abort_on_order = false;
	cpus_read_lock();
	assert_int_equal(stele_held_count(), 1);
	assert_int_equal(stele_lock(&inner), 0);
	stele_unlock(&inner);
	cpus_read_unlock();
	assert_int_equal(stele_held_count(), 0);
	assert_int_equal(stele_held_reports(), before);
	assert_int_equal(stele_lock(&inner), 0);
	assert_true(stderr_begin(&t));
	cpus_read_lock();
	stderr_end(&t);
	cpus_read_unlock();
	stele_unlock(&inner);
	assert_int_equal(stele_held_reports(), before + 1);
	assert_non_null(
		strstr(t.text, "'cpus' (rank 2) is waited for while 'list' (rank 4) is held"));
}
#endif

/* ---- a writer that waits for long ---- */

static _Atomic bool handled;
static _Atomic bool kept_out; /* a reader that came later */

static void on_signal(int number)
{
	(void)number;
	handled = true;
}

static void *take_one_down(void *arg)
{
	(void)arg;
	if (stele_cpu_down(1) != 0)
		add_relaxed(&wrong, 1);
	return NULL;
}

static void *come_later(void *arg)
{
	(void)arg;
	while (cpus_read_trylock()) {
		cpus_read_unlock();
		sched_yield();
	}
	kept_out = true;
	return NULL;
}

#define LONG_MS 60000

/* A reader may have forgotten to let go: a signal must find the thread that waits for it. */
static void a_signal_comes_through_to_a_thread_that_waits_for_readers(void **state)
{
	pthread_t writer, later;

	(void)state;
	signal(SIGUSR1, on_signal);
	cpus_read_lock();
	assert_int_equal(pthread_create(&writer, NULL, take_one_down, NULL), 0);
	assert_int_equal(pthread_create(&later, NULL, come_later, NULL), 0);
	pthread_join(later, NULL);
	assert_true(kept_out);
	pthread_kill(writer, SIGUSR1);
	for (int i = 0; i < LONG_MS && !handled; i++)
		usleep(1000);
	cpus_read_unlock();
	pthread_join(writer, NULL);
	assert_true(handled);
	assert_false(cpu_online(1));
	assert_int_equal(stele_cpu_up(1), 0);
	assert_int_equal(load_relaxed(&wrong), 0);
}

static _Atomic bool step_waits, step_may_go;

static int wait_in_step(unsigned cpu)
{
	(void)cpu;
	step_waits = true;
	while (!step_may_go)
		usleep(1000);
	return 0;
}

static void *read_and_let_go(void *arg)
{
	cpus_read_lock();
	cpus_read_unlock();
	return arg;
}

/* A step may wait for what the handler does. */
static void a_signal_comes_through_to_a_reader_that_waits_for_a_step(void **state)
{
	pthread_t writer, reader;
	bool came;
	int number = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "waits", NULL, wait_in_step);

	(void)state;
	signal(SIGUSR1, on_signal);
	handled = false;
	assert_int_equal(pthread_create(&writer, NULL, take_one_down, NULL), 0);
	while (!step_waits)
		usleep(1000);
	assert_int_equal(pthread_create(&reader, NULL, read_and_let_go, NULL), 0);
	usleep(20000); /* mostly it waits by then */
	pthread_kill(reader, SIGUSR1);
	for (int i = 0; i < LONG_MS && !handled; i++)
		usleep(1000);
	came = handled;
	step_may_go = true;
	pthread_join(writer, NULL);
	pthread_join(reader, NULL);
	assert_true(came);
	assert_int_equal(stele_cpu_up(1), 0);
	cpuhp_remove_state_nocalls((enum cpuhp_state)number);
	assert_int_equal(load_relaxed(&wrong), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_set_stays_as_long_as_somebody_reads),
#if STELE_DEBUG
	cmocka_unit_test(the_set_is_outside_of_every_lock),
#endif
	cmocka_unit_test(a_reader_that_is_gone_stops_no_change),
	cmocka_unit_test(any_number_of_readers_is_waited_for),
	cmocka_unit_test(readers_that_die_in_a_crowd_stop_no_change),
	cmocka_unit_test(a_signal_comes_through_to_a_thread_that_waits_for_readers),
	cmocka_unit_test(a_signal_comes_through_to_a_reader_that_waits_for_a_step),
};

int main(void)
{
	return cmocka_run_group_tests(tests, four_slots, NULL);
}
