/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/cpuset.c - the CPUs that threads may use change under them, by cpuset and by affinity
 *
 * Idea      A container's share is made smaller and larger by its owner; the
 *           threads in it are moved as they stand. Each round gives the control group of this
 *           process other CPUs, or one of its threads, then looks where this thread really is.
 *           Meanwhile caches are created, used and destroyed (traffic.h).
 * Arguments seconds, and "leak" for the control, which must be seen to fail.
 * Needs     root, control groups of version 2 at /sys/fs/cgroup, and CPUs 0 to 3.
 */
#include "machine.h"
#include "traffic.h"

#include <dirent.h>
#include <sched.h>

#define GROUP "/sys/fs/cgroup/lab"

struct share {
	const char *cpus;
	unsigned bits;
};

static const struct share shares[] = {
	{ "0", 1 }, { "1-3", 14 }, { "2", 4 },	  { "0-3", 15 },
	{ "3", 8 }, { "0-1", 3 },  { "1,3", 10 }, { "0-3", 15 },
};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

static unsigned long moved, bound;

/* A cpuset may hide CPUs that a thread's own mask wants; then the kernel answers EINVAL. */
static void bind_thread(pid_t thread, unsigned bits)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		if (bits >> cpu & 1)
			CPU_SET(cpu, &set);
	if (sched_setaffinity(thread, sizeof(set), &set) == 0)
		bound++;
	else
		MUST_FOR(errno == EINVAL, errno);
}

/* Every thread of this process but the first, each to other CPUs. */
static void bind_all(unsigned long round)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	MUST(tasks);
	while ((entry = readdir(tasks))) {
		pid_t thread = (pid_t)atoi(entry->d_name);

		if (thread > 0 && thread != getpid())
			bind_thread(thread, shares[(round + (unsigned)thread) % SHARES].bits);
	}
	closedir(tasks);
}

static void next_share(unsigned long round)
{
	const struct share *share = &shares[round % SHARES];
	int error = write_file(GROUP "/cpuset.cpus", share->cpus);
	int cpu;

	MUST_FOR(error == 0, error);
	nap_ms(1);
	cpu = sched_getcpu();
	MUST_FOR(cpu >= 0 && share->bits >> cpu & 1, cpu);
	moved++;
	if (round % 3 == 0)
		bind_all(round);
}

int main(int argc, char **argv)
{
	int error, result;

	error = enter_group(GROUP);
	MUST_FOR(error == 0, error);
	traffic_leak = argc > 2 && strcmp(argv[2], "leak") == 0;
	result = traffic(seconds_asked(argc, argv), next_share);
	write_file(GROUP "/cpuset.cpus", "0-3");
	printf("%lu changes of the group, %lu of threads\n", moved, bound);
	MUST(moved >= SHARES && bound > 0);
	return result;
}
