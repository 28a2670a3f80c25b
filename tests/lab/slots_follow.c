/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/slots_follow.c - slots come and go with the CPUs of the machine
 *
 * Idea      A step installed with cpuhp_setup_state() keeps a book of its own: which slots it was
 *           told of. CPUs go offline and online through sysfs, a cpuset takes them away and gives
 *           them back. Then the library's CPU set, the book and the kernel must agree: after
 *           stele_cpu_refresh(), and with stele_cpu_watch() by itself after a while. Last, all of
 *           it beside caches that are created, used and destroyed (traffic.h).
 * Agree     by CPU number, a slot is online when its CPU is. By mm_cid, as many as CPUs that the
 *           process may run on, from 0. Without restartable sequences all are, always.
 * Arguments seconds, and "leak" for the control, which must be seen to fail.
 * Needs     root, control groups of version 2 at /sys/fs/cgroup, and CPUs 0 to 3.
 */
#include "machine.h"
#include "traffic.h"

#include <sched.h>

#include <stele/cpu.h>

#include "percpu/system.h"

#define CPUS 4
#define GROUP "/sys/fs/cgroup/slots_follow"
/* Seconds for what is noticed within one, on a CPU that is slow. */
#define WATCHED 20.0

static atomic_uint book; /* bit n: the step was told that slot n came, and not that it went */
static atomic_ulong came, went;
static bool others;		/* threads that use slots */
static unsigned allowed = CPUS; /* CPUs that the cpuset leaves, from 0 */

/* ---- the step ---- */

static int slot_came(unsigned slot)
{
	MUST_FOR(!(atomic_fetch_or(&book, 1u << slot) >> slot & 1), slot);
	came++;
	return 0;
}

static int slot_went(unsigned slot)
{
	MUST_FOR(atomic_fetch_and(&book, ~(1u << slot)) >> slot & 1, slot);
	went++;
	return 0;
}

/* ---- answers that must agree ---- */

/* Which slots are to be online, as bits. */
static unsigned wanted(void)
{
	unsigned online = 0, n = 0;

	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		if (cpu == 0 || is_cpu_online(cpu)) {
			online |= 1u << cpu;
			n += cpu < allowed;
		}
	if (stele_system()->mode == STELE_MODE_CPU_ID)
		return online;
	return stele_system()->mode == STELE_MODE_MM_CID ? (1u << n) - 1 : (1u << CPUS) - 1;
}

static unsigned of_library(void)
{
	unsigned bits = 0, cpu;

	for_each_online_cpu(cpu) bits |= 1u << cpu;
	return bits;
}

/* Others may use more of the compact slots than there are CPUs for: a number is kept for a
 * while. */
static void expect_agreement(void)
{
	unsigned want = wanted(), is = of_library();
	unsigned more = others && stele_system()->mode == STELE_MODE_MM_CID ? is & ~want : 0;

	MUST_FOR(is == (want | more), is << 16 | want);
	MUST_FOR(atomic_load(&book) == is, atomic_load(&book) << 16 | is);
	MUST_FOR(num_online_cpus() == (unsigned)__builtin_popcount(is), num_online_cpus());
}

static void refresh_and_expect(void)
{
	int result = stele_cpu_refresh();

	MUST_FOR(result >= 0, -result);
	expect_agreement();
	result = stele_cpu_refresh();
	MUST_FOR(others || result == 0, result);
}

/* ---- what happens to the machine ---- */

static void turn(unsigned cpu, bool online)
{
	int error = set_cpu_online(cpu, online);

	MUST_FOR(error == 0, error);
}

static void allow(unsigned n)
{
	char cpus[8];
	int error;

	snprintf(cpus, sizeof(cpus), "0-%u", n - 1);
	error = write_file(GROUP "/cpuset.cpus", cpus);
	MUST_FOR(error == 0, error);
	allowed = n;
}

/* ---- the parts ---- */

static void by_refresh(void)
{
	expect_agreement();
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		turn(cpu, false);
		refresh_and_expect();
	}
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		turn(cpu, true);
		refresh_and_expect();
	}
	for (unsigned n = CPUS; n > 0; n--) {
		allow(n);
		refresh_and_expect();
	}
	allow(CPUS);
	refresh_and_expect();
}

static void expect_soon(void)
{
	double end = seconds_now() + WATCHED;

	while ((atomic_load(&book) != wanted() || of_library() != wanted()) && seconds_now() < end)
		nap_ms(20);
	expect_agreement();
}

static void by_watch(void)
{
	double start = seconds_now();

	MUST(stele_cpu_watch(true) == 0);
	turn(2, false);
	expect_soon();
	turn(3, false);
	turn(2, true);
	expect_soon();
	turn(3, true);
	allow(2);
	expect_soon();
	allow(CPUS);
	expect_soon();
	printf("watched: five changes noticed in %.1f s\n", seconds_now() - start);
	MUST(stele_cpu_watch(false) == 0);
}

static void next(unsigned long round)
{
	unsigned cpu = 1 + (unsigned)(round / 2 % (CPUS - 1));

	turn(cpu, round % 2);
	refresh_and_expect();
}

int main(int argc, char **argv)
{
	unsigned long seen;
	int error, step, result;

	setlinebuf(stdout);
	traffic_leak = argc > 2 && strcmp(argv[2], "leak") == 0;
	error = enter_group(GROUP);
	MUST_FOR(error == 0, error);
	allow(CPUS);
	MUST_FOR(num_possible_cpus() == CPUS, num_possible_cpus());
	stele_cpu_refresh();
	step = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "lab:book", slot_came, slot_went);
	MUST_FOR(step > 0, -step);
	by_refresh();
	by_watch();
	seen = came + went;
	others = true;
	result = traffic(seconds_asked(argc, argv), next);
	others = false;
	for (unsigned cpu = 1; cpu < CPUS; cpu++)
		if (!is_cpu_online(cpu))
			turn(cpu, true);
	refresh_and_expect();
	printf("the step was told %lu times before the traffic, %lu times after\n", seen,
	       came + went);
	MUST((came + went > seen) == (stele_system()->mode != STELE_MODE_FALLBACK));
	cpuhp_remove_state((enum cpuhp_state)step);
	MUST_FOR(atomic_load(&book) == 0, atomic_load(&book));
	return result;
}
