/* SPDX-License-Identifier: MIT */
/*
 * cache/slabinfo.c - the text of /proc/slabinfo for this library
 *
 * Idea      The report counts the objects from the descriptors, so that the data path counts
 *           nothing. Objects that rest in sheaves count as active, as in the kernel.
 * Bound     The text takes a look at all runs for each cache.
 * Context   ordinary threads. The figures are a racy look.
 * Source    Linux /proc/slabinfo, version 2.1.
 * Tests     tests/contract/test_cache_create.c  tests/tools/test_stele.sh
 */
#include "arch/call.h"
#include "base/fmt.h"
#include "cache/caches.h"
#include "page/run.h"
#include "slab/bitmap.h"
#include <stele/stats.h>
#include <unistd.h>

struct tally {
	struct kmem_cache *s;
	uint64_t free, slabs;
};

static STELE_RACY_LOOK void add_run(struct run *run, void *arg)
{
	struct tally *tally = arg;

	if (run->kind != RUN_SLAB || run->cache != tally->s || !run->recip)
		return;
	tally->slabs++;
	tally->free += state_free(&run->state);
}

struct sink {
	int fd;
};

/* Standard error by stele_say(): it still works at exit, when programs have closed theirs. Else by
 * the system call, as there: a thread that was cancelled must not end with a cache pinned. */
static void write_line(int fd, const struct stele_out *out)
{
	size_t done = 0;

	if (fd == STDERR_FILENO) {
		stele_say("%.*s", (int)out->len, out->buf);
		return;
	}
	while (done < out->len) {
		long n = STELE_SYSCALL(SYS_write, fd, out->buf + done, out->len - done);

		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

static void cache_line(struct kmem_cache *s, void *arg)
{
	struct sink *sink = arg;
	struct tally tally = { .s = s };
	char buf[256];
	struct stele_out out = { .buf = buf, .size = sizeof(buf) };

	stele_run_each(add_run, &tally);
	if (s->is_static && !tally.slabs)
		return;
	stele_fmt(&out,
		  "%-17s %6lu %6lu %6u %4u %4u : tunables %4u %4u %4u : slabdata %6lu %6lu %6lu\n",
		  s->name, tally.slabs * s->objects - tally.free, tally.slabs * s->objects, s->size,
		  s->objects, (unsigned)s->frames, 0u, 0u, 0u, tally.slabs, tally.slabs, 0ul);
	write_line(sink->fd, &out);
}

void stele_slabinfo_write(int fd)
{
	static const char head[] =
		"slabinfo - version: 2.1\n"
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
		" : tunables <limit> <batchcount> <sharedfactor>"
		" : slabdata <active_slabs> <num_slabs> <sharedavail>\n";
	char buf[sizeof(head)];
	struct stele_out out = { .buf = buf, .size = sizeof(buf) };
	struct sink sink = { .fd = fd };

	stele_out_str(&out, head);
	write_line(fd, &out);
	if (stele_heap_started())
		stele_cache_each(cache_line, &sink);
}
