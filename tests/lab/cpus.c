/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/cpus.c - CPUs of the machine go offline and come back under everything that runs
 *
 * Idea      The kernel moves threads away from a CPU that goes, wherever they are in a
 *           restartable sequence; the objects in that slot must not be lost to anyone. All CPUs
 *           but the first go and come in every order, sometimes all at once, while caches are
 *           created, used and destroyed (traffic.h).
 * Arguments seconds, and "leak" for the control, which must be seen to fail.
 * Needs     root, and a machine of its own.
 */
#include "machine.h"
#include "traffic.h"

static unsigned cpus;
static unsigned long gone, came, refused;

static void turn_if_free(unsigned cpu, bool online)
{
	int error = set_cpu_online(cpu, online);

	if (error == EBUSY) {
		refused++;
		return;
	}
	MUST_FOR(error == 0, error);
	MUST_FOR(is_cpu_online(cpu) == online, cpu);
	if (online)
		came++;
	else
		gone++;
}

/* Bit i of the round's number says whether CPU i + 1 is to be there. */
static void next_set(unsigned long round)
{
	unsigned long there = round ^ round >> 1;

	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		bool online = there >> (cpu - 1) & 1;

		if (is_cpu_online(cpu) != online)
			turn_if_free(cpu, online);
	}
}

int main(int argc, char **argv)
{
	int result;

	cpus = (unsigned)sysconf(_SC_NPROCESSORS_CONF);
	MUST_FOR(cpus > 2, cpus);
	traffic_leak = argc > 2 && strcmp(argv[2], "leak") == 0;
	result = traffic(seconds_asked(argc, argv), next_set);
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		if (!is_cpu_online(cpu))
			turn_if_free(cpu, true);
	printf("%u CPUs: %lu times offline, %lu times online, %lu times refused\n", cpus, gone,
	       came, refused);
	MUST(gone >= cpus && came >= cpus);
	return result;
}
