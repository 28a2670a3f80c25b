/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/space.c - what others see of a process's address space, and limits set at run time
 *
 * Idea      A child of this program does one thing and measures itself by /proc. It measures
 *           the difference that the library makes: a child that allocates nothing is the control.
 * Cases     the size of a process that allocates little; memory locked by mlockall(); what a core
 *           file would hold; RLIMIT_AS that comes after the start, also when a burst is over, and
 *           for one block that needs all that is empty, and for one in whose way a mapping is;
 *           RLIMIT_MEMLOCK after mlockall(); blocks that grow near the limit of mappings; memory that
 *           is promised after a trim; a program with 1.4 TiB of mappings.
 */
#include "../proc_kib.h"
#include "limited.h"

#define MIB (1ul << 20)

static unsigned long status(const char *name)
{
	return proc_kib("/proc/self/status", name);
}

/* The exit status: 0, or this number where it is not so. */
static int expect(bool good, int number, const char *what, unsigned long value)
{
	if (!good)
		printf("  not so: %s (%lu)\n", what, value);
	fflush(stdout);
	return good ? 0 : number;
}

static int small(void)
{
	unsigned long before = status("VmRSS"), after;
	void *p = kmalloc(64, GFP_KERNEL);

	after = status("VmSize");
	kfree(p);
	return expect(p && before && after < 64 << 10, 41, "KiB of a small process", after);
}

static int locked(void)
{
	unsigned long before, after;
	void *p;

	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return 0; /* not root, and a limit that leaves nothing */
	before = status("VmLck");
	p = kmalloc(64, GFP_KERNEL);
	after = status("VmLck");
	kfree(p);
	return expect(p && after - before <= 4 << 10, 42, "KiB locked for one object",
		      after - before);
}

/* Private mappings that were written to are in a core file, with all of their length. */
static int core(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long length = 0, resident = 0, size = 0, kib;
	char line[512];

	for (int i = 0; i < 200; i++)
		memset(kmalloc(100000, GFP_KERNEL), 1, 100000);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %lu", &kib) == 1)
			size = kib;
		if (sscanf(line, "Anonymous: %lu", &kib) == 1 && kib) {
			length += size;
			resident += kib;
		}
	}
	if (f)
		fclose(f);
	return expect(resident > 19000 && length <= 2 * resident, 43, "KiB of a core file", length);
}

static void *nothing(void *arg)
{
	return arg;
}

static volatile char deepest;

static int deep(int n)
{
	volatile char page[4096];

	page[0] = (char)n;
	deepest = page[0];
	return n ? deep(n - 1) + page[0] : 0;
}

static bool others_get_on(void)
{
	pthread_t thread;
	void *p = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || p == MAP_FAILED)
		return false;
	pthread_join(thread, NULL);
	munmap(p, MIB);
	deep(1000);
	return true;
}

/* A limit that comes when the heap has been in use for a while. */
static int later(void)
{
	struct rlimit limit = { 500 * MIB, 500 * MIB };
	void *first = kmalloc(64, GFP_KERNEL), *p[100];
	int n = 0, status;

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 44;
	status = expect(others_get_on(), 45, "threads, mappings, stacks", 0);
	while (n < 100 && (p[n] = kvmalloc(60 * MIB, GFP_KERNEL | __GFP_NOWARN)))
		n++;
	status +=
		expect(n >= 6 && n <= 8, 46, "blocks of 60 MiB under a limit of 500", (unsigned)n);
	while (n)
		kvfree(p[--n]);
	status = status ? status : expect(others_get_on(), 47, "afterwards as well", 0);
	kfree(first);
	return status ? status : usual_child(2000);
}

#define BURST 2000u

static void take_and_free(void)
{
	static void *p[BURST];

	for (unsigned i = 0; i < BURST; i++)
		memset(p[i] = kmalloc(100000, GFP_KERNEL), 1, 100000);
	for (unsigned i = 0; i < BURST; i++)
		kfree(p[i]);
}

/* Everything that was taken is freed, and no trim is asked for: other callers find nearly all the
 * room, also right after the limit was set. */
static int burst(void)
{
	size_t room = status("VmSize") * 1024 + 300 * MIB;
	struct rlimit limit = { room, room };
	void *other;

	for (int round = 0; round < 4; round++)
		take_and_free(); /* so the library keeps these pages */
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 51;
	for (int round = 0; round < 4; round++) {
		take_and_free();
		other = mmap(NULL, 236 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (expect(other != MAP_FAILED, 52, "room after a burst, round", (unsigned)round))
			return 52;
		if (!others_get_on())
			return 53;
		munmap(other, 236 * MIB);
	}
	return 0;
}

#define PIECES 8

/* Areas that are empty in two places, and no more to be had: they serve one block that needs
 * both. */
static int apart(void)
{
	void *p[PIECES], *all;
	struct rlimit limit;

	kfree(kmalloc(64, GFP_KERNEL));
	for (int i = 0; i < PIECES; i++)
		p[i] = kvmalloc(3 * MIB, GFP_KERNEL);
	limit.rlim_cur = limit.rlim_max = status("VmSize") * 1024 + MIB;
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 54;
	for (int i = 0; i < PIECES; i++)
		if (i != PIECES / 2)
			kvfree(p[i]);
	all = kvmalloc(20 * MIB, GFP_KERNEL | __GFP_NOWARN);
	kvfree(all);
	kvfree(p[PIECES / 2]);
	return expect(all, 55, "a block of what is empty in two places", 0);
}

/* A call that goes on for ever holds its signals back: the system ends the process. */
static bool end_after_seconds(void)
{
	const struct rlimit seconds = { 20, 20 };

	return setrlimit(RLIMIT_CPU, &seconds) == 0;
}

static int in_the_way(void)
{
	char *first = kvmalloc(4 * MIB, GFP_KERNEL), *at = first + 16 * MIB;
	void *other = mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;
	struct rlimit limit;

	limit.rlim_cur = limit.rlim_max = status("VmSize") * 1024 + MIB;
	if (other != at || setrlimit(RLIMIT_AS, &limit) != 0 || !end_after_seconds())
		return 56;
	p = kvmalloc(40 * MIB, GFP_KERNEL | __GFP_NOWARN);
	kvfree(first);
	return expect(!p, 57, "a block with no room for it", 0);
}

static int no_more_locked(void)
{
	const struct rlimit limit = { 8 * MIB, 8 * MIB };
	void *first = kmalloc(64, GFP_KERNEL), *p;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || !end_after_seconds())
		return 58;
	if ((getuid() == 0 && setuid(65534) != 0) || mlockall(MCL_FUTURE) != 0)
		return 0;
	p = kvmalloc(40 * MIB, GFP_KERNEL | __GFP_NOWARN);
	kfree(first);
	return expect(!p, 59, "a block that cannot be locked", 0);
}

/* A system with strict commit has promised as much as a trim leaves mapped. */
static int trimmed(void)
{
	static void *p[200];
	unsigned long before, after;

	kfree(kmalloc(64, GFP_KERNEL));
	stele_trim(0);
	before = status("VmSize");
	for (int i = 0; i < 200; i++)
		p[i] = kvmalloc(MIB - 100, GFP_KERNEL);
	for (int i = 0; i < 200; i++)
		kvfree(p[i]);
	stele_trim(0);
	after = status("VmSize");
	return expect(after <= before + (4 << 10), 48, "KiB more after a trim", after - before);
}

#define PAGES 131072ul
#define GROWING 60

/* Splits mappings until @left are left, or all. */
static bool use_up_mappings(unsigned left)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	size_t i = 0;

	if (p == MAP_FAILED)
		return false;
	while (i < PAGES && mprotect(p + i * page, page, PROT_READ) == 0)
		i += 2;
	for (; left >= 2 && i >= 2; left -= 2)
		mprotect(p + (i -= 2) * page, page, PROT_NONE);
	return i < PAGES;
}

static bool has(const char *p, size_t bytes, char value)
{
	for (size_t at = 0; at < bytes; at += 262144)
		if (p[at] != value)
			return false;
	return true;
}

static void fill_from(char *p, size_t from, size_t to, char value)
{
	for (size_t at = (from + 262143) / 262144 * 262144; at < to; at += 262144)
		p[at] = value;
}

/* The contents of a block come along, or the call says NULL and the block is as it was. */
static int grow(unsigned left)
{
	static char *p[GROWING];
	static size_t have[GROWING];

	for (int i = 0; i < GROWING; i++) {
		have[i] = 3 * MIB;
		p[i] = kvmalloc(have[i], GFP_KERNEL);
		fill_from(p[i], 0, have[i], (char)(i + 1));
	}
	if (!use_up_mappings(left))
		return 49;
	for (int step = 0; step < 6 * GROWING; step++) {
		int i = step % GROWING;
		char *q = kvrealloc(p[i], have[i] + 2200000, GFP_KERNEL | __GFP_NOWARN);

		if (!has(q ? q : p[i], have[i], (char)(i + 1)))
			return 50;
		if (!q)
			continue;
		fill_from(q, have[i], have[i] + 2200000, (char)(i + 1));
		p[i] = q;
		have[i] += 2200000;
	}
	for (int i = 0; i < GROWING; i++)
		kvfree(p[i]);
	return 0;
}

#define OTHERS 1400

/* Mappings of the program's own, as of a database's files, take addresses and no memory. An emulator
 * notes each page of them. */
static int others(void)
{
	void *p[1000];
	unsigned n = 0, ours = STELE_TEST_EMULATED ? 0 : OTHERS;

	kfree(kmalloc(64, GFP_KERNEL));
	for (unsigned i = 0; i < ours; i++)
		mmap(NULL, 1024 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);
	while (n < 1000 && (p[n] = kvmalloc(3 * MIB, GFP_KERNEL | __GFP_NOWARN)))
		n++;
	for (unsigned i = 0; i < n; i++)
		kvfree(p[i]);
	return expect(n == 1000, 56, "blocks beside 1.4 TiB of mappings", n);
}

static int child_in_space(const char *what)
{
	if (strcmp(what, "small") == 0)
		return small();
	if (strcmp(what, "locked") == 0)
		return locked();
	if (strcmp(what, "core") == 0)
		return core();
	if (strcmp(what, "later") == 0)
		return later();
	if (strcmp(what, "trimmed") == 0)
		return trimmed();
	if (strcmp(what, "burst") == 0)
		return burst();
	if (strcmp(what, "apart") == 0)
		return apart();
	if (strcmp(what, "in the way") == 0)
		return in_the_way();
	if (strcmp(what, "no more locked") == 0)
		return no_more_locked();
	if (strcmp(what, "others") == 0)
		return others();
	return grow((unsigned)atoi(what));
}

int main(int argc, char **argv)
{
	static const char *const cases[] = { "small",	       "locked", "core",    "later",
					     "burst",	       "apart",	 "trimmed", "in the way",
					     "no more locked", "30",	 "380" };

	if (argc > 1)
		return child_in_space(argv[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		judge(cases[i], run_limited(cases[i], NULL, NULL), "");
	/* Each time the system begins its mappings elsewhere. */
	for (int i = 0; i < 6; i++)
		judge("others", run_limited("others", NULL, NULL), "");
	return cases_failed != 0;
}
