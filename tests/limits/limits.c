/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/limits.c - RLIMIT_AS, RLIMIT_DATA, and a system that commits strictly
 *
 * Idea      Under a limit the library starts with what it is given; beyond it, it answers NULL;
 *           freed memory can be had again. Strict commit (overcommit_memory=2) is a setting of
 *           the whole machine, so its effect is made by a filter: mappings that are both large and
 *           writable are refused.
 */
#include "limited.h"
#include <inttypes.h>

#define MIB (1ul << 20)

struct limit {
	const char *name;
	int resource;
	size_t bytes;
	const char *child;
};

static const struct limit limits[] = {
	{ "RLIMIT_AS 4 GiB", RLIMIT_AS, 4096 * MIB, "usual" },
	{ "RLIMIT_AS 1 GiB", RLIMIT_AS, 1024 * MIB, "usual" },
	{ "RLIMIT_AS 256 MiB", RLIMIT_AS, 256 * MIB, "usual" },
	{ "RLIMIT_AS 96 MiB", RLIMIT_AS, 96 * MIB, "usual" },
	{ "RLIMIT_AS 16 MiB", RLIMIT_AS, 16 * MIB, "usual" },
	{ "RLIMIT_AS 2,000,000 KiB, blocks of 1 MiB", RLIMIT_AS, 2000000ul << 10, "blocks" },
	{ "RLIMIT_AS 2,000,000 KiB, a little more", RLIMIT_AS, 2000000ul << 10, "blocks_more" },
	{ "RLIMIT_AS 256 MiB, used up", RLIMIT_AS, 256 * MIB, "fill" },
	{ "RLIMIT_DATA 256 MiB", RLIMIT_DATA, 256 * MIB, "small_pages" },
	{ "RLIMIT_DATA 64 MiB", RLIMIT_DATA, 64 * MIB, "small_pages" },
	{ "RLIMIT_DATA 16 MiB", RLIMIT_DATA, 16 * MIB, "small_pages" },
	{ "RLIMIT_DATA 1 MiB, too little to start", RLIMIT_DATA, 1 * MIB, "none" },
	{ "RLIMIT_DATA 64 MiB, used up", RLIMIT_DATA, 64 * MIB, "fill" },
};

static int set_limit(const void *arg)
{
	const struct limit *l = arg;
	struct rlimit limit = { l->bytes, l->bytes };

	return setrlimit(l->resource, &limit);
}

/* Writable private mappings of 64 MiB and more answer ENOMEM, as with overcommit_memory=2. */
static int commit_strictly(const void *arg)
{
	const unsigned len = offsetof(struct seccomp_data, args[1]);
	const unsigned prot = offsetof(struct seccomp_data, args[2]);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 7),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, prot),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2 /* PROT_WRITE */, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, len + 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0, 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, len),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 64u << 20, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* ---- children ---- */

static int no_memory_at_all(void)
{
	struct kmem_cache *s;

	s = kmem_cache_create("none", 64, 0, 0, NULL);
	return s || kmalloc(64, GFP_KERNEL) || kvmalloc(1 << 20, GFP_KERNEL) ||
	       alloc_pages(GFP_KERNEL, 0) || alloc_pages_exact(4096, GFP_KERNEL) ||
	       kmalloc_nolock(64, 0, NUMA_NO_NODE) || krealloc(NULL, 64, GFP_KERNEL);
}

#define BLOCKS (1u << 17)
static char **blocks; /* not in the program's own data, which the limits count */

/* Blocks of about 5 KiB until there are no more. */
static unsigned take_all(void)
{
	unsigned n = 0;

	while (n < BLOCKS && (blocks[n] = kmalloc(5000, GFP_KERNEL | __GFP_NOWARN))) {
		write_content(blocks[n], 5000, n);
		n++;
	}
	return n;
}

static unsigned free_all(unsigned n)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < n; i++) {
		wrong += !has_content(blocks[i], 5000, i, true);
		kfree(blocks[i]);
	}
	return wrong;
}

static int fill(void)
{
	unsigned first, again, wrong;

	blocks = mmap(NULL, BLOCKS * sizeof(*blocks), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (blocks == MAP_FAILED)
		return 17;
	first = take_all();
	printf("  %u blocks before NULL", first);
	wrong = free_all(first);
	again = take_all();
	printf(", %u after all were freed\n", again);
	wrong += free_all(again);
	fflush(stdout);
	if (first == BLOCKS || first < 1000)
		return 13; /* no limit, or nothing was given */
	if (again < first - first / 50 || wrong)
		return 14;
	return usual_child(4000);
}

/* The limit counts address space: 1,500 MiB of 1,953 must be usable in such blocks. */
static int many_blocks(size_t size)
{
	enum { MANY = 1500 };
	static char *all[MANY];
	unsigned n = 0, wrong = 0;

	while (n < MANY && (all[n] = kvmalloc(size, GFP_KERNEL | __GFP_NOWARN))) {
		write_content(all[n], 100, n);
		n++;
	}
	printf("  %u blocks of %lu bytes\n", n, (unsigned long)size);
	for (unsigned i = 0; i < n; i++) {
		wrong += !has_content(all[i], 100, i, true);
		kvfree(all[i]);
	}
	fflush(stdout);
	return n < MANY ? 18 : wrong ? 19 : usual_child(1000);
}

/* Where huge pages come by themselves, a few bytes touched must not be two megabytes. */
static bool may_be_huge(const void *p)
{
	FILE *f = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0
			  ? fopen("/proc/self/smaps", "re")
			  : NULL;
	uintptr_t from, to;
	char line[512];
	bool here = false, huge = f != NULL;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			huge = !strstr(line, " nh");
	}
	if (f)
		fclose(f);
	return huge;
}

#define NOTHING "stele: no address space or memory to start with; every allocation fails\n"

static int works_or_not(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return 30;
	kfree(p);
	return 0;
}

/* Limits about as large as the program: either it works and says nothing, or it says why not. */
static void judge_least(void)
{
	unsigned works = 0, says = 0, wrong = 0;

	for (size_t kib = 2048; kib <= 12288; kib += 512) {
		struct limit limit = { "", RLIMIT_AS, kib << 10, "least" };
		int status = run_limited("least", set_limit, &limit);

		if (status == 0 && !child_said.text[0])
			works++;
		else if (status == 30 && (strcmp(child_said.text, NOTHING) == 0 ||
					  strcmp(child_said.text, NO_AREA) == 0))
			says++;
		else
			wrong += status == 30 || status == 0;
	}
	printf("%s RLIMIT_AS at the least: works %u times, says why not %u times, wrong %u times\n",
	       works && says && !wrong ? "ok" : "FAILED", works, says, wrong);
	cases_failed += !works || !says || wrong;
}

static int small_pages(void)
{
	void *p = kmalloc(5000, GFP_KERNEL);
	bool huge = may_be_huge(p);

	kfree(p);
	return huge ? 20 : usual_child(4000);
}

static int child(const char *what)
{
	if (strcmp(what, "blocks") == 0)
		return many_blocks(1 * MIB);
	if (strcmp(what, "blocks_more") == 0)
		return many_blocks(1 * MIB + 1);
	if (strcmp(what, "none") == 0)
		return no_memory_at_all() ? 15 : 0;
	if (strcmp(what, "fill") == 0)
		return fill();
	if (strcmp(what, "small_pages") == 0)
		return small_pages();
	if (strcmp(what, "least") == 0)
		return works_or_not();
	return usual_child(4000);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return child(argv[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		bool none = strcmp(limits[i].child, "none") == 0;

		judge(limits[i].name, run_limited(limits[i].child, set_limit, &limits[i]),
		      none ? NOTHING "stele: kmem_cache_create(none) failed with error -12\n" : "");
	}
	judge_least();
	judge("strict commit", run_limited("small_pages", commit_strictly, NULL), "");
	return cases_failed != 0;
}
