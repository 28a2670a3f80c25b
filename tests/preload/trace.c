/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/trace.c - a program can watch the drop-in's malloc, and malloc in its callback
 */
#include "drop_in.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stele/trace.h>
#include <string.h>

#define PAIRS 30000
#define THREADS 3

static atomic_ulong allocs, frees;
static atomic_ulong bytes_asked, bytes_short;

static void on_event(const struct stele_trace_event *event, void *arg)
{
	void *p;

	if (event->event == STELE_TRACE_KMALLOC) {
		atomic_fetch_add(&allocs, 1);
		atomic_fetch_add(&bytes_asked, event->bytes_req);
		if (event->bytes_alloc < event->bytes_req || !event->call_site)
			atomic_fetch_add(&bytes_short, 1);
	} else {
		atomic_fetch_add(&frees, 1);
	}
	p = malloc(event->bytes_req % 500 + 1);
	if (!p || arg)
		abort();
	memset(p, 1, event->bytes_req % 500 + 1);
	free(p);
	errno = 99;
}

static void *pairs(void *arg)
{
	for (int i = 0; i < PAIRS; i++) {
		char *volatile p = malloc((size_t)(i % 3000));

		errno = 7;
		CHECK(p);
		free(p);
		CHECK(errno == 7);
	}
	return arg;
}

static const void *volatile last_site; /* to the compiler malloc() calls nothing of ours */

static void note_site(const struct stele_trace_event *event, void *arg)
{
	(void)arg;
	last_site = event->call_site;
}

static bool called_from(const void *function)
{
	return (uintptr_t)last_site - (uintptr_t)function < 1024;
}

static __attribute__((noinline)) void sites(void)
{
	const void *here = (const void *)(uintptr_t)sites;
	void *volatile p;

	CHECK(stele_malloc_trace_register(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE, note_site,
					  NULL) == 0);
	p = malloc(30);
	CHECK(called_from(here));
	free(p);
	CHECK(called_from(here));
	last_site = NULL;
	p = calloc(3, 30);
	CHECK(called_from(here));
	free(p);
	p = aligned_alloc(64, 64);
	CHECK(called_from(here));
	free(p);
	last_site = NULL;
	p = malloc(1000000);
	CHECK(called_from(here));
	free(p);
	CHECK(stele_malloc_trace_unregister(note_site, NULL) == 0);
}

static void family(void)
{
	void *p = calloc(10, 10), *q;

	p = realloc(p, 5000);
	CHECK(p && allocs == 2 && frees == 1);
	q = aligned_alloc(256, 512);
	CHECK(q && allocs == 3);
	CHECK(posix_memalign(&p, 64, 100) == 0 && allocs == 4);
	free(q);
	q = malloc(1000000);
	CHECK(q && allocs == 5 && frees == 2);
	free(q);
	free(p);
	free(NULL);
	CHECK(allocs == 5 && frees == 4);
}

int main(void)
{
	pthread_t thread[THREADS];
	unsigned events = STELE_TRACE_KMALLOC | STELE_TRACE_KFREE;

	need_drop_in();
	CHECK(stele_malloc_trace_register && stele_malloc_trace_unregister);
	sites();
	CHECK(stele_malloc_trace_register(events, on_event, NULL) == 0);
	CHECK(stele_malloc_trace_register(events, on_event, NULL) == -EEXIST);
	family();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, pairs, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK(stele_malloc_trace_unregister(on_event, NULL) == 0);
	free(malloc(10));
	printf("%lu allocations, %lu frees, %lu bytes\n", allocs, frees, bytes_asked);
	/* Besides ours the C library allocates for threads. */
	CHECK(allocs >= THREADS * PAIRS && allocs < THREADS * PAIRS + 100);
	CHECK(frees >= THREADS * PAIRS && frees < THREADS * PAIRS + 100);
	CHECK(bytes_short == 0);
	return 0;
}
