/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/strict.c - a system that promises no memory it does not have (overcommit_memory=2)
 *
 * Idea      First the test proves the policy: more than the whole promise is refused. Then the
 *           library works, is refused when the promise is used up, works again, and holds nothing
 *           at the end. How much of the promise it keeps then is told, not judged.
 * Needs     a guest whose plan has set overcommit_memory to 2.
 */
#include "../proc_kib.h"
#include "../limits/workload.h"

#include <sys/mman.h>

#include "percpu/system.h"

#define MIB (1ul << 20)
#define BLOCKS 4096

static int failed;

static void expect(bool good, const char *what, unsigned long value)
{
	printf("%s: %s (%lu)\n", good ? "so" : "NOT SO", what, value);
	failed |= !good;
}

static unsigned long meminfo(const char *name)
{
	return proc_kib("/proc/meminfo", name) << 10;
}

static bool can_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		munmap(p, bytes);
	return p != MAP_FAILED;
}

/* Blocks of 1 MiB, whose memory is promised and hardly touched, until there are no more. */
static unsigned use_up(void)
{
	static void *blocks[BLOCKS];
	unsigned n = 0;

	while (n < BLOCKS && (blocks[n] = kvmalloc(MIB - 100, GFP_KERNEL | __GFP_NOWARN)))
		write_content(blocks[n], 100, n), n++;
	for (unsigned i = 0; i < n; i++)
		kvfree(blocks[i]);
	return n;
}

int main(void)
{
	unsigned long limit = meminfo("CommitLimit"), before, after, given;
	static struct workload work = { .seed = 1, .steps = 4000 };

	expect(limit && !can_map(limit + MIB), "more than CommitLimit is refused", limit);
	workload_run(&work);
	expect(work.given && !work.wrong, "a workload finds all as it should be", work.given);
	stele_trim(0);
	before = meminfo("Committed_AS");
	given = use_up();
	expect(given > 16 && given < limit / MIB, "MiB were had before the refusal", given);
	work = (struct workload){ .seed = 2, .steps = 4000 };
	workload_run(&work);
	expect(work.given && !work.wrong, "afterwards as well", work.given);
	expect(held_after_trim() == 0, "bytes held at the end", (unsigned long)held_after_trim());
	after = meminfo("Committed_AS");
	printf("promised to all: %lu KiB before, %lu KiB at the end\n", before >> 10, after >> 10);
	return failed;
}
