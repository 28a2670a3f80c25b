/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/memcg.c - a control group's limit of memory, set at the start or later
 *
 * Idea      A child in a group with a limit allocates and frees in phases of different sizes. The
 *           kernel kills it when it holds more than the limit. The test searches for the least
 *           limit that the child survives, with the library and with the C library. The
 *           library's limit must not be more than MORE_MIB above the C library's.
 * Later     The child is without a limit at first, has a burst, and frees most of it. Then its parent
 *           sets the limit, for which the kernel kills at once if too much is held.
 * Control   a child dies under the smallest limit, and lives under the largest.
 * Needs     root, and control groups of version 2 at /sys/fs/cgroup; no swap.
 */
#include "../stress/stress.h"
#include "machine.h"

#include <sys/wait.h>

#define GROUP "/sys/fs/cgroup/memcg"
#define MIB (1ul << 20)
#define LIVE (40 * MIB)	 /* in each phase */
#define BURST (96 * MIB) /* before a limit that comes later */
#define STAYS 8		 /* the first eighth of the burst's blocks */
#define LEAST_MIB 8
#define MOST_MIB 256
#define STEP_MIB 16
#define MORE_MIB 64
#define BLOCKS (1u << 17)

struct allocator {
	const char *name;
	void *(*alloc)(size_t size);
	void (*free)(const void *p);
};

/* ---- the child ---- */

static void *stele_alloc(size_t size)
{
	return kvmalloc(size, GFP_KERNEL);
}

static void libc_free(const void *p)
{
	free((void *)p);
}

static const struct allocator allocators[] = {
	{ "the library", stele_alloc, kvfree },
	{ "the C library", malloc, libc_free },
};

static void *blocks[BLOCKS];

/* Of sizes up to @most, until they are @bytes together. */
static unsigned fill(const struct allocator *with, size_t most, size_t bytes)
{
	uint64_t dice = most;
	unsigned n = 0;

	for (size_t sum = 0, size; sum < bytes && n < BLOCKS; sum += size, n++) {
		size = most / 16 + next_random(&dice) % (most - most / 16);
		blocks[n] = with->alloc(size);
		MUST(blocks[n]);
		memset(blocks[n], 1, size);
	}
	return n;
}

static void free_from(const struct allocator *with, unsigned first, unsigned n)
{
	for (unsigned i = first; i < n; i++)
		with->free(blocks[i]);
}

static void phases(const struct allocator *with)
{
	static const size_t sizes[] = { 2048, 60000, 600000, 4 * MIB, 1000 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		free_from(with, 0, fill(with, sizes[i], LIVE));
}

static void enter(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	MUST(write_file(GROUP "/cgroup.procs", pid) == 0);
}

static void child(const struct allocator *with, bool later, const int *told)
{
	unsigned n;
	char go;

	enter();
	if (later) {
		n = fill(with, 3000, BURST);
		free_from(with, n / STAYS, n);
		MUST(write(told[1], "b", 1) == 1);
		MUST(read(told[0], &go, 1) == 1);
	}
	phases(with);
	_exit(0);
}

/* ---- the parent ---- */

static void set_limit(unsigned long mib)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", mib * MIB);
	/* The kernel may refuse this. The test only judges whether the child lives. */
	write_file(GROUP "/memory.max", mib ? text : "max");
}

/* A pipe in each direction; a dead child closes its ends. */
static bool lives(const struct allocator *with, bool later, unsigned long mib)
{
	int there[2], back[2], status = -1;
	char burst;
	pid_t pid;

	set_limit(later ? 0 : mib);
	MUST(pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		child(with, later, (int[2]){ there[0], back[1] });
	close(there[0]);
	close(back[1]);
	if (later) {
		MUST(read(back[0], &burst, 1) == 1);
		set_limit(mib);
		if (write(there[1], "g", 1) != 1)
			MUST(errno == EPIPE);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	close(there[1]);
	close(back[0]);
	MUST_FOR(status == 0 || WIFSIGNALED(status), status);
	return status == 0;
}

static unsigned long least_limit(const struct allocator *with, bool later)
{
	unsigned long dies = LEAST_MIB, good = MOST_MIB;

	MUST(!lives(with, later, dies));
	MUST(lives(with, later, good));
	while (good - dies > STEP_MIB) {
		unsigned long middle = (dies + good) / 2;

		if (lives(with, later, middle))
			good = middle;
		else
			dies = middle;
	}
	printf("a limit set %s: %s lives with %lu MiB\n", later ? "later" : "at the start",
	       with->name, good);
	return good;
}

int main(void)
{
	bool good = true;

	signal(SIGPIPE, SIG_IGN);
	MUST(write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory") == 0);
	MUST(mkdir(GROUP, 0755) == 0 || errno == EEXIST);
	for (int later = 0; later < 2; later++)
		good &= least_limit(&allocators[0], later) <=
			least_limit(&allocators[1], later) + MORE_MIB;
	return !good;
}
