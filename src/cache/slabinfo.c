/* SPDX-License-Identifier: MIT */
/*
 * cache/slabinfo.c - the text of /proc/slabinfo for this library
 *
 * Idea      The report counts the objects from the descriptors, so that the data path counts
 *           nothing. Objects that rest in sheaves count as active, as in the kernel. A table by hash
 *           has a tally for each cache, so that one look at all runs counts for all of them.
 * Bound     One look at each run and each cache.
 * Context   ordinary threads. The figures are a racy look.
 * Failure   no memory for the table: the head of the report alone, and a message.
 * Source    Linux /proc/slabinfo, version 2.1.
 * Tests     tests/unit/cache/test_trim.c  tests/tools/test_stele.sh
 */
#include "arch/call.h"
#include "base/fmt.h"
#include "cache/caches.h"
#include "os/map.h"
#include "page/run.h"
#include "slab/bitmap.h"
#include <stele/stats.h>
#include <unistd.h>

struct tally {
	const struct kmem_cache *s;
	uint64_t free, slabs;
};

struct tallies {
	struct tally *all;
	size_t places, caches; /* at least twice as many places, a power of two */
};

/* The tally of @s, or the free place for it. */
static struct tally *tally_of(const struct tallies *tallies, const struct kmem_cache *s)
{
	size_t i = ((uintptr_t)s >> 6) * 0x9e3779b97f4a7c15u >> 32;

	for (;; i++) {
		struct tally *tally = &tallies->all[i & (tallies->places - 1)];

		if (!tally->s || tally->s == s)
			return tally;
	}
}

static void count_cache(struct kmem_cache *s, void *arg)
{
	struct tallies *tallies = arg;

	(void)s;
	tallies->caches++;
}

/* Leaves a cache out that was made after the caches were counted, if the table is half full. */
static void enter_cache(struct kmem_cache *s, void *arg)
{
	struct tallies *tallies = arg;

	if (tallies->caches < tallies->places / 2) {
		tally_of(tallies, s)->s = s;
		tallies->caches++;
	}
}

static STELE_RACY_LOOK void add_run(struct run *run, void *arg)
{
	struct tally *tally = tally_of(arg, run->cache);

	if (run->kind != RUN_SLAB || !run->recip || !tally->s)
		return;
	tally->slabs++;
	tally->free += state_free(&run->state);
}

static bool tallies_begin(struct tallies *tallies)
{
	*tallies = (struct tallies){ .places = 64 };
	stele_list_look(count_cache, tallies);
	while (tallies->places < 4 * tallies->caches)
		tallies->places *= 2;
	tallies->caches = 0;
	tallies->all = stele_os_map_anywhere(tallies->places * sizeof(struct tally));
	if (!tallies->all)
		return false;
	stele_list_look(enter_cache, tallies);
	stele_run_each(add_run, tallies);
	return true;
}

static void tallies_end(const struct tallies *tallies)
{
	stele_os_unmap(tallies->all, tallies->places * sizeof(struct tally));
}

struct sink {
	int fd;
	struct tallies tallies;
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
	const struct tally *tally = tally_of(&sink->tallies, s);
	char buf[256];
	struct stele_out out = { .buf = buf, .size = sizeof(buf) };

	if (s->is_static && !tally->slabs)
		return;
	stele_fmt(&out,
		  "%-17s %6lu %6lu %6u %4u %4u : tunables %4u %4u %4u : slabdata %6lu %6lu %6lu\n",
		  s->name, tally->slabs * s->objects - tally->free, tally->slabs * s->objects,
		  s->size, s->objects, (unsigned)s->frames, 0u, 0u, 0u, tally->slabs, tally->slabs,
		  0ul);
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
	if (!stele_heap_started())
		return;
	if (!tallies_begin(&sink.tallies)) {
		stele_say("stele: no memory to count the slabs of all caches\n");
		return;
	}
	stele_cache_each(cache_line, &sink);
	tallies_end(&sink.tallies);
}
