/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/refused.c - system calls that a filter refuses, at start or later
 *
 * Left out  rseq refused late where the C library registers: it ends the program itself then.
 * Idea      A sandbox may refuse what the library would like to have, before it starts or
 *           once it runs. Each refusal has a quiet way out; which one is told by the mode.
 */
#include "page/run.h"
#include "percpu/percpu.h"
#include "cache/sheaves.h"
#include "slab/kmem_cache.h"
#include "limited.h"
#include <stdatomic.h>

#define ANY_MODE (-1)

struct refusal {
	const char *name;
	int calls[4];
	unsigned count;
	bool late;	      /* by the program itself, after the library has started */
	int mode;	      /* what must have been chosen */
	const char *tunables; /* GLIBC_TUNABLES */
};

#define NO_PAGES                                                                                   \
	"stele: kmem_cache_create(plain-1) failed with error -12\n"                                \
	"stele: kmem_cache_create(made-1) failed with error -12\n" NO_AREA

#define NO_GLIBC_RSEQ "glibc.pthread.rseq=0"

static const struct refusal refusals[] = {
	{ "rseq", { SYS_rseq }, 1, false, STELE_MODE_FALLBACK, NULL },
	{ "rseq, where Stele registers",
	  { SYS_rseq },
	  1,
	  false,
	  STELE_MODE_FALLBACK,
	  NO_GLIBC_RSEQ },
	{ "rseq, late, where Stele registers", { SYS_rseq }, 1, true, ANY_MODE, NO_GLIBC_RSEQ },
	{ "nothing, where Stele registers", { 0 }, 0, false, ANY_MODE, NO_GLIBC_RSEQ },
	{ "membarrier", { SYS_membarrier }, 1, false, STELE_MODE_FALLBACK, NULL },
	{ "timer_create", { SYS_timer_create }, 1, false, STELE_MODE_FALLBACK, NULL },
	{ "timer_settime", { SYS_timer_settime }, 1, false, STELE_MODE_FALLBACK, NULL },
	{ "timer_delete", { SYS_timer_delete }, 1, false, ANY_MODE, NULL },
	{ "madvise", { SYS_madvise }, 1, false, ANY_MODE, NULL },
	{ "madvise, late", { SYS_madvise }, 1, true, ANY_MODE, NULL },
	{ "mremap", { SYS_mremap }, 1, false, ANY_MODE, NULL },
	{ "mremap, late", { SYS_mremap }, 1, true, ANY_MODE, NULL },
	{ "sysinfo, prlimit", { SYS_sysinfo, SYS_prlimit64 }, 2, false, ANY_MODE, NULL },
	{ "sched_getaffinity", { SYS_sched_getaffinity }, 1, false, ANY_MODE, NULL },
	{ "sched_yield", { SYS_sched_yield }, 1, false, ANY_MODE, NULL },
	{ "openat, late", { SYS_openat }, 1, true, ANY_MODE, NULL },
	{ "mmap, mprotect, late", { SYS_mmap, SYS_mprotect }, 2, true, ANY_MODE, NULL },
	{ "all that can be done without",
	  { SYS_rseq, SYS_membarrier, SYS_madvise, SYS_mremap },
	  4,
	  false,
	  STELE_MODE_FALLBACK,
	  NULL },
};

static const int errors[] = { EPERM, ENOSYS };
static int error_now;

static int refuse_before(const void *arg)
{
	const struct refusal *r = arg;

	if (r->tunables)
		setenv("GLIBC_TUNABLES", r->tunables, 1);
	return r->late || !r->count ? 0 : refuse_calls(r->calls, r->count, error_now);
}

/* The library opens memory by mmap(): without that call a program gets only memory that is open. */
static bool no_pages(const struct refusal *r)
{
	return r->calls[1] == SYS_mprotect;
}

static int child_refused(unsigned i, int error)
{
	const struct refusal *r = &refusals[i];
	int status;

	if (r->mode != ANY_MODE && stele_system()->mode != r->mode)
		return 20;
	if (r->late && refuse_calls(r->calls, r->count, error) != 0)
		return 21;
	status = usual_child(4000);
	return no_pages(r) && status == 12 ? 0 : status;
}

static atomic_uint filling;

/* Both at once, so that they are on two slots where there are two processors. */
static void *fill_slot(void *arg)
{
	time_t end = time(NULL) + 10;

	atomic_fetch_add(&filling, 1);
	while (atomic_load(&filling) < 2 && time(NULL) < end)
		;
	for (int i = 0; i < 100000; i++)
		kmem_cache_free(arg, kmem_cache_alloc(arg, GFP_KERNEL));
	return NULL;
}

static void fill_other_slots(struct kmem_cache *s)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fill_slot, s) != 0)
		abort();
	fill_slot(s);
	pthread_join(thread, NULL);
}

/*
 * membarrier refused once the library runs by sequences: the library cannot take sheaves out of
 * slots, so caches stay, and destroying one may say so. But the library accuses nobody of having
 * leaked objects, and every object is whole and can be had again.
 */
static int child_without_barrier(int error)
{
	const int call = SYS_membarrier;
	unsigned given, refused;
	struct kmem_cache *s = kmem_cache_create("stays", 64, 0, SLAB_NO_MERGE, NULL);
	void *p = kmem_cache_alloc(s, GFP_KERNEL), *q;

	fill_other_slots(s);
	if (refuse_calls(&call, 1, error) != 0)
		return 21;
	kmem_cache_free(s, p);
	kmem_cache_shrink(s);
	q = kmem_cache_alloc(s, GFP_KERNEL);
	if (!q)
		return 22;
	kmem_cache_free(s, q);
	kmem_cache_destroy(s);
	return workloads_run(4000, &given, &refused) || !given ? 10 : 0;
}

static atomic_uint turn;
static void *spent[4096];
static unsigned spent_count;

static bool nothing_left_here(const struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN);

	return stele_is_sheaf(main) && sheaf_is_empty(main, s->sheaf_size) &&
	       !stele_pcpu_read(s->words, WORD_SPARE);
}

static void wait_for_turn(unsigned mine)
{
	while (atomic_load(&turn) != mine)
		; /* on its processor, so that the slot stays this thread's */
}

/* Leaves an empty sheaf of the first cache in its slot, then fills one of the second. */
static void *spend(void *arg)
{
	struct kmem_cache **pair = arg;

	do
		spent[spent_count++] = kmem_cache_alloc(pair[0], GFP_KERNEL);
	while (spent_count < ARRAY_SIZE(spent) && !nothing_left_here(pair[0]));
	atomic_store(&turn, 1);
	wait_for_turn(2);
	for (unsigned i = 0; i < ARRAY_SIZE(spent); i++)
		spent[i] = memset(kmem_cache_alloc(pair[1], GFP_KERNEL), 1, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(spent); i++)
		kmem_cache_free(pair[1], spent[i]);
	return NULL;
}

/*
 * As above, but no object is left: only an empty sheaf in another slot, of the size that the first
 * cache has them. A cache made later has larger ones.
 */
static int child_with_an_empty_sheaf(int error)
{
	const int call = SYS_membarrier;
	struct kmem_cache *pair[2], *beside;
	unsigned given, refused, wrong = 0;
	pthread_t thread;

	pair[0] = kmem_cache_create("first", 1000, 0, SLAB_NO_MERGE, NULL);
	if (!pair[0]->words)
		return 0; /* STELE_PROFILE=tiny */
	if (pthread_create(&thread, NULL, spend, pair) != 0)
		abort();
	wait_for_turn(1);
	for (unsigned i = 0; i < spent_count; i++)
		kmem_cache_free(pair[0], spent[i]);
	if (refuse_calls(&call, 1, error) != 0)
		return 21;
	kmem_cache_destroy(pair[0]);
	pair[1] = kmem_cache_create("second", 64, 0, SLAB_NO_MERGE, NULL);
	/* Its sheaf comes to lie behind the one that was left. */
	beside = kmem_cache_create("beside", 1000, 0, SLAB_NO_MERGE, NULL);
	kmem_cache_free(beside, kmem_cache_alloc(beside, GFP_KERNEL));
	atomic_store(&turn, 2);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 100; i++)
		wrong += stele_run_of(kmem_cache_alloc(beside, GFP_KERNEL))->cache != beside;
	return wrong || workloads_run(4000, &given, &refused) || !given ? 10 : 0;
}

static void judge_without_barrier(const char *name, int status)
{
	bool good = status == 0 && !strstr(child_said.text, "wrong:") &&
		    !strstr(child_said.text, "BUG") && !strstr(child_said.text, "free(");

	printf("%s %s: status %d\n", good ? "ok" : "FAILED", name, status);
	fflush(stdout);
	cases_failed += !good;
}

int main(int argc, char **argv)
{
	char argument[32];

	if (argc > 1 && argv[1][0] == 'b')
		return child_without_barrier(atoi(argv[1] + 1));
	if (argc > 1 && argv[1][0] == 'e')
		return child_with_an_empty_sheaf(atoi(argv[1] + 1));
	if (argc > 1)
		return child_refused((unsigned)atoi(argv[1]), atoi(strchr(argv[1], ',') + 1));
	for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
		error_now = errors[e];
		for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
			snprintf(argument, sizeof(argument), "%u,%d", i, error_now);
			judge(refusals[i].name, run_limited(argument, refuse_before, &refusals[i]),
			      no_pages(&refusals[i]) ? NO_PAGES : "");
		}
		snprintf(argument, sizeof(argument), "b%d", error_now);
		judge_without_barrier("membarrier, late", run_limited(argument, NULL, NULL));
		argument[0] = 'e';
		judge_without_barrier("membarrier, late, an empty sheaf is left",
				      run_limited(argument, NULL, NULL));
	}
	return cases_failed != 0;
}
