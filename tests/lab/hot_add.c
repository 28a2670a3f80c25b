/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/hot_add.c - the machine gets a CPU that it never had
 *
 * Idea      A virtual machine may grow. The CPU's number is possible from the start and not
 *           present; it comes, is turned on, and is used by a thread of its own, beside threads
 *           elsewhere that hand it objects; then it is turned off. The library's set and a step's
 *           book must agree with the kernel at each of these.
 * Wish      written on the port on which results are told: the host's part is machine.py.
 * Agree     as in slots_follow.c.
 * Needs     root, a machine with room for one more CPU.
 */
#include "../stress/stress.h"
#include "machine.h"

#include <sched.h>

#include <stele/cpu.h>

#include "percpu/system.h"

#define PORT "/dev/ttyS1"
#define PATIENCE 120.0 /* seconds for what a quiet machine does in one */
#define PLACES 64

static unsigned added; /* the new CPU's number */
static atomic_int came, went;
static struct kmem_cache *cache;
static _Atomic(void *) place[PLACES];

static int count_slot_came(unsigned slot)
{
	(void)slot;
	came++;
	return 0;
}

static int count_slot_went(unsigned slot)
{
	(void)slot;
	went++;
	return 0;
}

/* ---- the machine ---- */

static void wait_until(bool (*condition)(void))
{
	double end = seconds_now() + PATIENCE;

	while (!condition()) {
		MUST(seconds_now() < end);
		nap_ms(20);
	}
}

static bool has_it(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", added);
	return access(path, F_OK) == 0;
}

static bool is_on(void)
{
	return is_cpu_online(added) || set_cpu_online(added, true) == 0;
}

/* ---- answers that must agree: slots by CPU, by mm_cid, or always all ---- */

static void expect_added(bool present, bool online)
{
	enum stele_mode mode = stele_system()->mode;
	int result = stele_cpu_refresh();

	MUST_FOR(result >= 0, -result);
	if (mode == STELE_MODE_CPU_ID)
		MUST_FOR(cpu_present(added) == present, added);
	if (mode != STELE_MODE_FALLBACK)
		MUST_FOR(cpu_online(added) == online, added);
	MUST_FOR(num_online_cpus() ==
			 (mode == STELE_MODE_FALLBACK ? num_possible_cpus() : added + online),
		 num_online_cpus());
}

/* ---- users of it ---- */

static void run_on(unsigned cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
}

/* The first on the new CPU, the others on those that were there. */
static void *exchange(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);

	run_on(number ? (unsigned)(uintptr_t)number - 1 : added);
	while (!stopped()) {
		void *p = kmem_cache_alloc(cache, GFP_KERNEL);

		MUST(p);
		p = atomic_exchange(&place[next_random(&random) % PLACES], p);
		if (p)
			kmem_cache_free(cache, p);
		step_done();
	}
	return NULL;
}

static void use(void)
{
	cache = kmem_cache_create("grows", 96, 0, SLAB_NO_MERGE, NULL);
	MUST(cache);
	run_for(1, 3, exchange, NULL);
}

/* Objects that rest in the slot of the CPU that went are in the cache all the same. */
static void end_of_use(void)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (place[i])
			kmem_cache_free(cache, place[i]);
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
}

int main(void)
{
	int step, error;

	added = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	MUST_FOR(added < num_possible_cpus(), num_possible_cpus());
	step = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "lab:grow", count_slot_came,
					 count_slot_went);
	MUST_FOR(step > 0, -step);
	expect_added(false, false);
	error = write_file(PORT, "wish cpu\n");
	MUST_FOR(error == 0, error);
	wait_until(has_it);
	wait_until(is_on);
	expect_added(true, true);
	use();
	MUST(set_cpu_online(added, false) == 0);
	expect_added(true, false);
	end_of_use();
	printf("CPU %u came and went; the step was told %d times that a slot came, %d that one "
	       "went\n",
	       added, came, went);
	MUST(came == went && came == (stele_system()->mode != STELE_MODE_FALLBACK));
	cpuhp_remove_state_nocalls((enum cpuhp_state)step);
	return finish(1 << 20);
}
