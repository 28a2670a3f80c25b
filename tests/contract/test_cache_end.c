/* SPDX-License-Identifier: MIT */
/*
 * Caches: sharing, constructors, shrinking and ending them. Each test is named by what its user
 * would lose. How caches are made: tests/contract/test_cache_create.c.
 */
#include "caches.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stele/stats.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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

static sem_t inside, may_end;

static void end_when_told(void *object)
{
	static _Atomic bool begun;

	(void)object;
	if (atomic_exchange(&begun, true))
		return;
	sem_post(&inside);
	while (sem_wait(&may_end) != 0)
		;
}

static void *shrink_in_thread(void *s)
{
	kmem_cache_shrink(s);
	return NULL;
}

/* The program has freed all that it had. */
static void a_slab_in_another_threads_hands_is_no_live_object(void **state)
{
	struct kmem_cache_args args = { .dtor = end_when_told };
	struct kmem_cache *s = kmem_cache_create("held", 200, &args, 0);
	struct stderr_text t;
	pthread_t thread;

	(void)state;
	assert_int_equal(sem_init(&inside, 0, 0) | sem_init(&may_end, 0, 0), 0);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	assert_int_equal(pthread_create(&thread, NULL, shrink_in_thread, s), 0);
	while (sem_wait(&inside) != 0)
		;
	STDERR_OF(&t, kmem_cache_destroy(s));
	sem_post(&may_end);
	pthread_join(thread, NULL);
	assert_string_equal(t.text,
			    "stele: kmem_cache_destroy held: no object remains, but another "
			    "thread has a slab in its hands and does not go on; kept\n");
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

static void construct_kept(void *object)
{
	memcpy(object, kept, sizeof(kept));
	made++;
}

static void destruct_kept(void *object)
{
	assert_memory_equal(object, kept, sizeof(kept));
	unmade++;
}

/* Contract 22. */
static void an_object_is_constructed_once_and_stays_so(void **state)
{
	struct kmem_cache_args args = { .ctor = construct_kept, .dtor = destruct_kept };
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
	struct kmem_cache_args args = { .ctor = construct_kept, .dtor = destruct_kept };
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
	struct kmem_cache_args args = { .ctor = construct_kept };
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

/* A pipe of one page, with room for the head: a thread that writes slabinfo to it waits at its
 * first line of a cache. */
static void narrow_pipe(int ends[2])
{
	static char fill[65536];
	size_t size;

	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 1) > 0);
	size = (size_t)fcntl(ends[1], F_GETPIPE_SZ) - head_length();
	assert_int_equal(write(ends[1], fill, size), size);
}

static void drain_pipe(int ends[2])
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
	drain_pipe(ends);
	kmem_cache_destroy(s);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_caches_share_and_others_do_not),
		cmocka_unit_test(a_shared_object_is_cleared_to_its_real_end),
		cmocka_unit_test(ending_one_user_of_a_shared_cache_keeps_the_other),
		cmocka_unit_test(ending_nothing_is_allowed),
		cmocka_unit_test(live_objects_survive_the_end_of_their_cache),
		cmocka_unit_test(a_slab_in_another_threads_hands_is_no_live_object),
		cmocka_unit_test(shrink_says_whether_anything_is_left),
		cmocka_unit_test(an_object_is_constructed_once_and_stays_so),
		cmocka_unit_test(shrinking_destructs_what_it_gives_back),
		cmocka_unit_test(clearing_a_constructed_object_is_refused_loudly),
		cmocka_unit_test(a_child_can_end_a_cache_that_another_thread_was_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
