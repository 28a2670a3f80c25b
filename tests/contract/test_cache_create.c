/* SPDX-License-Identifier: MIT */
/*
 * Caches: making, sharing, shrinking and ending them. Each test is named by what its user
 * would lose.
 */
#include "contract.h"

#include "slab/kmem_cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stele/stats.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
	long x, y;
};

static struct kmem_cache *plain(const char *name, size_t size)
{
	return kmem_cache_create(name, size, 0, SLAB_NO_MERGE, NULL);
}

/* A cache that hands out an object, takes it back and can be ended. */
static void assert_works(struct kmem_cache *s, size_t size)
{
	void *p;

	assert_non_null(s);
	assert_true(kmem_cache_size(s) >= size);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_non_null(p);
	memset(p, 0xa5, size);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void every_form_of_create_gives_a_working_cache(void **state)
{
	struct kmem_cache_args args = { .align = 16 };

	(void)state;
	assert_works(kmem_cache_create("older", 40, 0, 0, NULL), 40);
	assert_works(kmem_cache_create("args", 40, &args, 0), 40);
	assert_works(kmem_cache_create("null-args", 40, NULL, 0), 40);
	assert_works(kmem_cache_create_usercopy("copy", 40, 0, 0, 8, 16, NULL), 40);
	assert_works(KMEM_CACHE(point, 0), sizeof(struct point));
	assert_works(KMEM_CACHE_USERCOPY(point, 0, y), sizeof(struct point));
	assert_works((kmem_cache_create)("function", 40, 0, 0, NULL), 40);
}

static void every_size_to_the_largest_can_be_cached(void **state)
{
	static const size_t sizes[] = {
		1, 7, 8, 9, 100, 255, 4095, 4096, 4097, 32768, 100000, 1 << 20, KMEM_CACHE_MAX_SIZE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_works(plain("sized", sizes[i]), sizes[i]);
}

static void a_struct_keeps_its_alignment(void **state)
{
	struct wide {
		long x;
	} __attribute__((aligned(128)));
	struct kmem_cache *s = KMEM_CACHE(wide, 0);
	struct wide *w[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		w[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_int_equal((uintptr_t)w[i] % 128, 0);
	}
	for (int i = 0; i < 64; i++)
		kmem_cache_free(s, w[i]);
	kmem_cache_destroy(s);
}

static void alignment_asked_for_is_given(void **state)
{
	(void)state;
	for (unsigned int align = 1; align <= 4096; align *= 2) {
		struct kmem_cache_args args = { .align = align };
		struct kmem_cache *s = kmem_cache_create("aligned", 24, &args, 0);
		void *p[20];

		assert_non_null(s);
		for (int i = 0; i < 20; i++) {
			p[i] = kmem_cache_alloc(s, GFP_KERNEL);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % align, 0);
			assert_int_equal((uintptr_t)p[i] % sizeof(void *), 0);
		}
		for (int i = 0; i < 20; i++)
			kmem_cache_free(s, p[i]);
		kmem_cache_destroy(s);
	}
}

static void cache_line_alignment_is_given(void **state)
{
	static const size_t sizes[][2] = {
		{ 100, 64 }, { 33, 64 }, { 32, 32 }, { 20, 32 }, { 16, 16 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct kmem_cache *s = kmem_cache_create("lines", sizes[i][0], 0,
							 SLAB_HWCACHE_ALIGN | SLAB_NO_MERGE, NULL);
		void *a = kmem_cache_alloc(s, GFP_KERNEL);
		void *b = kmem_cache_alloc(s, GFP_KERNEL);

		assert_int_equal((uintptr_t)a % sizes[i][1], 0);
		assert_int_equal((uintptr_t)b % sizes[i][1], 0);
		kmem_cache_free(s, a);
		kmem_cache_free(s, b);
		kmem_cache_destroy(s);
	}
}

/* Each refusal: NULL, and a message with the name, the error and the reason. */
static void assert_refused(struct stderr_text *t, struct kmem_cache *s, const char *name,
			   const char *reason)
{
	char said[160];

	assert_null(s);
	snprintf(said, sizeof(said), "stele: kmem_cache_create(%s) failed with error -22: %s\n",
		 name, reason);
	assert_string_equal(t->text, said);
}

static void assert_bad_args(struct kmem_cache_args args, const char *reason)
{
	struct stderr_text t;
	struct kmem_cache *s;

	STDERR_OF(&t, s = kmem_cache_create("args", 64, &args, 0));
	assert_refused(&t, s, "args", reason);
}

static void bad_requests_are_refused_with_a_reason(void **state)
{
	static const char flag[] = "a flag is outside of SLAB_FLAGS_PERMITTED",
			  large[] = "the size is above KMEM_CACHE_MAX_SIZE";
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("flags", 64, NULL, 0x80000000u));
	assert_refused(&t, s, "flags", flag);
	STDERR_OF(&t, s = kmem_cache_create("mark", 64, NULL, SLAB_FAILSLAB));
	assert_refused(&t, s, "mark", flag);
	STDERR_OF(&t, s = kmem_cache_create("large", KMEM_CACHE_MAX_SIZE + 1, NULL, 0));
	assert_refused(&t, s, "large", large);
	STDERR_OF(&t, s = kmem_cache_create("larger", SIZE_MAX, NULL, 0));
	assert_refused(&t, s, "larger", large);
	STDERR_OF(&t, s = kmem_cache_create("empty", 0, NULL, 0));
	assert_refused(&t, s, "empty", "the size is 0");
	STDERR_OF(&t, s = kmem_cache_create((const char *)NULL, 64, NULL, 0));
	assert_refused(&t, s, "(null)", "it has no name");
	assert_bad_args((struct kmem_cache_args){ .align = 24 },
			"the alignment is not a power of two");
	assert_bad_args((struct kmem_cache_args){ .align = 1u << 21 },
			"the alignment is above 1 MiB");
}

/* Type stability needs grace periods: without them it must not be promised silently. */
static void type_stability_is_refused_and_not_ignored(void **state)
{
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("typesafe", 64, NULL, SLAB_TYPESAFE_BY_RCU));
	assert_refused(&t, s, "typesafe",
		       "no RCU flavour: link liburcu-memb or call stele_rcu_set_flavor()");
}

static void set_one(void *object)
{
	*(unsigned char *)object = 1;
}

static void free_pointer_offset_is_checked(void **state)
{
	static const char outside[] = "the freeptr_offset is outside of the object",
			  odd[] = "the freeptr_offset is not that of a pointer",
			  bare[] = "a freeptr_offset without SLAB_TYPESAFE_BY_RCU or a constructor";
	static const struct {
		unsigned int offset;
		bool ctor;
		const char *problem;
	} cases[] = { { 8, true, NULL },       { 0, true, NULL }, { 64, true, outside },
		      { 1000, true, outside }, { 4, true, odd },  { 8, false, bare } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kmem_cache_args args = {
			.freeptr_offset = cases[i].offset,
			.use_freeptr_offset = true,
			.ctor = cases[i].ctor ? set_one : NULL,
		};
		struct stderr_text t;
		struct kmem_cache *s;

		STDERR_OF(&t, s = kmem_cache_create("freeptr", 64, &args, 0));
		if (cases[i].problem)
			assert_refused(&t, s, "freeptr", cases[i].problem);
		else
			assert_works(s, 64);
	}
}

static void a_bad_copyable_part_warns_and_counts_as_none(void **state)
{
	struct kmem_cache_args args = { .useroffset = 60, .usersize = 8 };
	struct stderr_text t;
	struct kmem_cache *s;

	(void)state;
	STDERR_OF(&t, s = kmem_cache_create("usercopy", 64, &args, 0));
	assert_true(t.len > 0);
	assert_works(s, 64);
}

static void a_doubtful_name_warns_only(void **state)
{
	struct stderr_text t;
	struct kmem_cache *a, *b, *c;

	(void)state;
	a = plain("same", 64);
	STDERR_OF(&t, b = plain("same", 64));
	assert_says(&t, "same");
	STDERR_OF(&t, c = plain("two words", 64));
	assert_says(&t, "two words");
	assert_ptr_not_equal(a, b);
	kmem_cache_destroy(a);
	assert_works(b, 64);
	assert_works(c, 64);
}

/* Each list of caches has a line for each. */
static void a_name_is_one_line(void **state)
{
	struct stderr_text t;
	struct kmem_cache *s;
	void *p;

	(void)state;
	STDERR_OF(&t, s = plain("a\nb\x7f", 64));
	assert_string_equal(
		t.text,
		"stele: kmem_cache_create(a?b?): the name had a control character; the cache is "
		"made all the same\n");
	p = kmem_cache_alloc(s, GFP_KERNEL);
	STDERR_OF(&t, assert_true(kmem_dump_obj(p)));
	assert_says(&t, "a?b?");
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void flags_without_checks_are_told_once(void **state)
{
	struct kmem_cache *s[2];
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, s[0] = kmem_cache_create("checked", 64, 0, SLAB_RED_ZONE | SLAB_TRACE, NULL));
	assert_string_equal(t.text,
			    "stele: kmem_cache_create(checked): no checks yet behind "
			    "SLAB_RED_ZONE, SLAB_TRACE; the cache is made without sheaves\n");
	STDERR_OF(&t, s[1] = kmem_cache_create("too", 64, 0, SLAB_POISON, NULL));
	assert_silent(&t);
	kmem_cache_destroy(s[0]);
	kmem_cache_destroy(s[1]);
}

static void the_name_is_copied(void **state)
{
	char name[] = "original";
	struct kmem_cache *s = plain(name, 64);
	struct stderr_text t;
	void *p;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	STDERR_OF(&t, assert_true(kmem_dump_obj(p)));
	assert_says(&t, "original");
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void panic_means_that_no_check_is_needed(void **state)
{
	struct stderr_text t;
	int status;
	pid_t child;

	(void)state;
	assert_true(stderr_begin(&t));
	child = fork();
	if (child == 0) {
		struct kmem_cache *s = kmem_cache_create("must", 0, NULL, SLAB_PANIC);

		_exit(s ? 1 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	stderr_end(&t);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_says(&t, "must");
}

/* ---- sharing ---- */

static void equal_caches_share_and_others_do_not(void **state)
{
	struct kmem_cache_args ctor = { .ctor = set_one }, sheaf = { .sheaf_capacity = 8 };
	struct kmem_cache *host = kmem_cache_create("host", 200, NULL, 0);
	struct kmem_cache *guest = kmem_cache_create("guest", 200, NULL, 0);
	struct kmem_cache *alone[] = {
		kmem_cache_create("no-merge", 200, NULL, SLAB_NO_MERGE),
		kmem_cache_create("ctor", 200, &ctor, 0),
		kmem_cache_create("sheaf", 200, &sheaf, 0),
		kmem_cache_create("reclaim", 200, NULL, SLAB_RECLAIM_ACCOUNT),
		kmem_cache_create("poison", 200, NULL, SLAB_POISON),
		kmem_cache_create("leak", 200, NULL, SLAB_NOLEAKTRACE),
		kmem_cache_create_usercopy("copy", 200, 0, 0, 0, 8, NULL),
		kmem_cache_create("aligned", 200, 256, 0, NULL),
		kmem_cache_create("larger", 300, NULL, 0),
	};

	(void)state;
	assert_ptr_equal(host, guest);
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		assert_non_null(alone[i]);
		assert_ptr_not_equal(alone[i], host);
		kmem_cache_destroy(alone[i]);
	}
	kmem_cache_destroy(host);
	kmem_cache_destroy(guest);
}

/* Contract 23: the smaller cache's cleared objects must not show what the larger one wrote. */
static void a_shared_object_is_cleared_to_its_real_end(void **state)
{
	struct kmem_cache *a = kmem_cache_create("merge-a", 60, NULL, 0);
	struct kmem_cache *b = kmem_cache_create("merge-b", 64, NULL, 0);
	void *p[200];

	(void)state;
	if (a == b)
		assert_int_equal(kmem_cache_size(a), 64);
	for (int i = 0; i < 200; i++) {
		p[i] = kmem_cache_alloc(b, GFP_KERNEL);
		memset(p[i], 0xff, 64);
	}
	for (int i = 0; i < 200; i++)
		kmem_cache_free(b, p[i]);
	for (int i = 0; i < 200; i++) {
		p[i] = kmem_cache_zalloc(a, GFP_KERNEL);
		assert_true(all_zero(p[i], 0, kmem_cache_size(a)));
	}
	for (int i = 0; i < 200; i++)
		kmem_cache_free(a, p[i]);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
}

static void ending_one_user_of_a_shared_cache_keeps_the_other(void **state)
{
	struct kmem_cache *a = kmem_cache_create("share-a", 456, NULL, 0);
	struct kmem_cache *b = kmem_cache_create("share-b", 456, NULL, 0);
	struct stderr_text t;
	void *p = kmem_cache_alloc(b, GFP_KERNEL);

	(void)state;
	assert_ptr_equal(a, b);
	sign(p, 456, 1);
	STDERR_OF(&t, kmem_cache_destroy(a));
	assert_silent(&t);
	assert_true(signed_by(p, 456, 1));
	kmem_cache_free(b, p);
	assert_works(b, 456);
}

/* ---- the end ---- */

static void ending_nothing_is_allowed(void **state)
{
	(void)state;
	kmem_cache_destroy(NULL);
}

static void live_objects_survive_the_end_of_their_cache(void **state)
{
	struct kmem_cache *s = plain("alive", 128);
	struct stderr_text t;
	void *p = kmem_cache_alloc(s, GFP_KERNEL);
	char address[32];

	(void)state;
	sign(p, 128, 7);
	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_says(&t, "kmem_cache_destroy alive: Slab cache still has objects");
	snprintf(address, sizeof(address), "%lx", (unsigned long)p);
	assert_says(&t, address);
	for (int i = 0; i < 100; i++) {
		void *q = kmalloc(128, GFP_KERNEL);

		memset(q, 0, 128);
		kfree(q);
	}
	assert_true(signed_by(p, 128, 7));
}

static void shrink_says_whether_anything_is_left(void **state)
{
	struct kmem_cache *s = plain("shrink", 96);
	void *p[500];

	(void)state;
	assert_int_equal(kmem_cache_shrink(s), 0);
	for (int i = 0; i < 500; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	assert_int_equal(kmem_cache_shrink(s), 1);
	for (int i = 1; i < 500; i++)
		kmem_cache_free(s, p[i]);
	assert_int_equal(kmem_cache_shrink(s), 1);
	kmem_cache_free(s, p[0]);
	assert_int_equal(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
}

/* ---- constructors ---- */

static size_t made, unmade;
static const char kept[8] = "as-made";

static void make(void *object)
{
	memcpy(object, kept, sizeof(kept));
	made++;
}

static void unmake(void *object)
{
	assert_memory_equal(object, kept, sizeof(kept));
	unmade++;
}

/* Contract 22. */
static void an_object_is_constructed_once_and_stays_so(void **state)
{
	struct kmem_cache_args args = { .ctor = make, .dtor = unmake };
	struct kmem_cache *s = kmem_cache_create("ctor", 80, &args, 0);
	char *p[300];
	size_t after_first = 0;

	(void)state;
	made = unmade = 0;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 300; i++) {
			p[i] = kmem_cache_alloc(s, GFP_KERNEL);
			assert_memory_equal(p[i], kept, sizeof(kept));
			memset(p[i] + sizeof(kept), round, 80 - sizeof(kept));
		}
		for (int i = 0; i < 300; i++)
			kmem_cache_free(s, p[i]);
		if (round == 0)
			after_first = made;
	}
	/* Freed and taken again twenty times, made at most as often as slabs came anew. */
	assert_true(made >= 300);
	assert_true(made - unmade <= after_first + unmade);
	kmem_cache_destroy(s);
	assert_int_equal(made, unmade);
}

static void shrinking_destructs_what_it_gives_back(void **state)
{
	struct kmem_cache_args args = { .ctor = make, .dtor = unmake };
	struct kmem_cache *s = kmem_cache_create("dtor", 80, &args, 0);
	void *p;

	(void)state;
	made = unmade = 0;
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_true(made > 0);
	kmem_cache_free(s, p);
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_int_equal(made, unmade);
	kmem_cache_destroy(s);
	assert_int_equal(made, unmade);
}

static void clearing_a_constructed_object_is_refused_loudly(void **state)
{
	struct kmem_cache_args args = { .ctor = make };
	struct kmem_cache *s = kmem_cache_create("ctor-zero", 80, &args, 0);
	struct stderr_text t;
	void *p;

	(void)state;
	STDERR_OF(&t, p = kmem_cache_zalloc(s, GFP_KERNEL));
	assert_non_null(p);
	assert_memory_equal(p, kept, sizeof(kept));
	assert_true(t.len > 0);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

/* Contract 21: every single request for pages during create fails once. */
static void create_without_memory_leaves_nothing_behind(void **state)
{
	bool made_it = false;

	(void)state;
	for (int nth = 1; nth < 100 && !made_it; nth++) {
		struct stderr_text t;
		struct kmem_cache *s;

		stele_inject_page_fail = nth;
		STDERR_OF(&t, s = plain("starved", 5000));
		memory_back();
		made_it = s != NULL;
		kmem_cache_destroy(s);
	}
	assert_true(made_it);
	assert_works(plain("starved", 5000), 5000);
}

/* ---- fork ---- */

static volatile int destructed;

static void count_destructed(void *object)
{
	(void)object;
	destructed++;
}

static void *write_slabinfo(void *arg)
{
	stele_slabinfo_write(*(int *)arg);
	return NULL;
}

/* The length of slabinfo's first two lines. */
static size_t head_length(void)
{
	static char text[65536];
	int fd = memfd_create("slabinfo", 0);
	ssize_t n;

	assert_true(fd >= 0);
	stele_slabinfo_write(fd);
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	assert_true(n > 0);
	text[n] = 0;
	return (size_t)(strchr(strchr(text, '\n') + 1, '\n') + 1 - text);
}

/* A pipe of one page with room for the head: a thread that writes slabinfo to it waits at the first cache. */
static void narrow_pipe(int ends[2])
{
	static char fill[65536];
	size_t size;

	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 1) > 0);
	size = (size_t)fcntl(ends[1], F_GETPIPE_SZ) - head_length();
	assert_int_equal(write(ends[1], fill, size), size);
}

static void drain(int ends[2])
{
	char text[4096];

	close(ends[1]);
	while (read(ends[0], text, sizeof(text)) > 0)
		;
	close(ends[0]);
}

static int end_in_child(struct kmem_cache *s)
{
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_destroy(s);
	return destructed ? 0 : 1;
}

static STELE_RACY_LOOK bool is_walked(struct kmem_cache *s)
{
	return ((volatile struct kmem_cache *)s)->refcount == 2;
}

static void a_child_can_end_a_cache_that_another_thread_was_at(void **state)
{
	struct kmem_cache_args args = { .dtor = count_destructed };
	struct kmem_cache *s = kmem_cache_create("walked", 200, &args, 0);
	int ends[2], status = -1;
	pthread_t thread;
	pid_t child;

	(void)state;
	narrow_pipe(ends);
	assert_int_equal(pthread_create(&thread, NULL, write_slabinfo, &ends[1]), 0);
	while (!is_walked(s))
		usleep(1000);
	child = fork();
	if (child == 0)
		_exit(end_in_child(s));
	waitpid(child, &status, 0);
	fcntl(ends[0], F_SETPIPE_SZ, 65536);
	pthread_join(thread, NULL);
	drain(ends);
	kmem_cache_destroy(s);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_create_gives_a_working_cache),
		cmocka_unit_test(every_size_to_the_largest_can_be_cached),
		cmocka_unit_test(a_struct_keeps_its_alignment),
		cmocka_unit_test(alignment_asked_for_is_given),
		cmocka_unit_test(cache_line_alignment_is_given),
		cmocka_unit_test(bad_requests_are_refused_with_a_reason),
		cmocka_unit_test(type_stability_is_refused_and_not_ignored),
		cmocka_unit_test(free_pointer_offset_is_checked),
		cmocka_unit_test(a_bad_copyable_part_warns_and_counts_as_none),
		cmocka_unit_test(a_doubtful_name_warns_only),
		cmocka_unit_test(a_name_is_one_line),
		cmocka_unit_test(flags_without_checks_are_told_once),
		cmocka_unit_test(the_name_is_copied),
		cmocka_unit_test(panic_means_that_no_check_is_needed),
		cmocka_unit_test(equal_caches_share_and_others_do_not),
		cmocka_unit_test(a_shared_object_is_cleared_to_its_real_end),
		cmocka_unit_test(ending_one_user_of_a_shared_cache_keeps_the_other),
		cmocka_unit_test(ending_nothing_is_allowed),
		cmocka_unit_test(live_objects_survive_the_end_of_their_cache),
		cmocka_unit_test(shrink_says_whether_anything_is_left),
		cmocka_unit_test(an_object_is_constructed_once_and_stays_so),
		cmocka_unit_test(shrinking_destructs_what_it_gives_back),
		cmocka_unit_test(clearing_a_constructed_object_is_refused_loudly),
		cmocka_unit_test(create_without_memory_leaves_nothing_behind),
		cmocka_unit_test(a_child_can_end_a_cache_that_another_thread_was_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
